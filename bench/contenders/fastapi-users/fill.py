"""Makes the database, with an account for every address on standard input. All have one password."""

import asyncio
import sys
import uuid

from app import Base, User, engine
from fastapi_users.password import PasswordHelper
from sqlalchemy import insert, text


async def fill() -> None:
    password = PasswordHelper().hash("the same for everybody")
    rows = [
        {
            "id": uuid.uuid4(),
            "email": line.strip(),
            "hashed_password": password,
            "is_active": True,
            "is_superuser": False,
            "is_verified": True,
        }
        for line in sys.stdin
    ]
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
        await connection.execute(insert(User), rows)
        # Its own index cannot serve its look-up by lower(email): whoever has 100,000 accounts makes this one.
        await connection.execute(text("CREATE INDEX user_lower_email ON user (lower(email))"))
    await engine.dispose()


asyncio.run(fill())
