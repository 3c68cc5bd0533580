"""Makes the database, with an account for every address on standard input. All have one password."""

import asyncio
import sys

from app import Base, User, engine
from pwdlib import PasswordHash
from sqlalchemy import insert


async def fill() -> None:
    password = PasswordHash.recommended().hash("the same for everybody")
    rows = [{"email": line.strip(), "hashed_password": password} for line in sys.stdin]
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
        await connection.execute(insert(User), rows)
    await engine.dispose()


asyncio.run(fill())
