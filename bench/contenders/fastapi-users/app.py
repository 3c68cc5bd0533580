"""fastapi-users as its documentation sets it up, with the mail sent by aiosmtplib in `on_after_forgot_password`."""

import os
import uuid
from collections.abc import AsyncIterator
from email.message import EmailMessage
from typing import Annotated

import aiosmtplib
from fastapi import Depends, FastAPI, Request
from fastapi_users import BaseUserManager, FastAPIUsers, UUIDIDMixin
from fastapi_users.authentication import AuthenticationBackend, BearerTransport, JWTStrategy
from fastapi_users.db import SQLAlchemyBaseUserTableUUID, SQLAlchemyUserDatabase
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase

SECRET = "a key for nothing but measurements"
BASE_URL = os.environ["BENCH_BASE_URL"]

engine = create_async_engine(f"sqlite+aiosqlite:///{os.environ['BENCH_DATABASE']}")
new_session = async_sessionmaker(engine, expire_on_commit=False)


class Base(DeclarativeBase):
    pass


class User(SQLAlchemyBaseUserTableUUID, Base):
    pass


class UserManager(UUIDIDMixin, BaseUserManager[User, uuid.UUID]):
    reset_password_token_secret = SECRET
    verification_token_secret = SECRET

    async def on_after_forgot_password(self, user: User, token: str, request: Request | None = None) -> None:
        link = f"{BASE_URL}/reset-password?token={token}"
        message = EmailMessage()
        message["From"] = "no-reply@bench.example"
        message["To"] = user.email
        message["Subject"] = "Reset your password"
        message.set_content(f"To choose a new password, follow this link:\n\n{link}\n")
        message.add_alternative(
            f'<p><a href="{link}">Choose a new password</a></p><p>{link}</p>', subtype="html"
        )
        await aiosmtplib.send(
            message, hostname=os.environ["BENCH_SMTP_HOST"], port=int(os.environ["BENCH_SMTP_PORT"])
        )


async def get_session() -> AsyncIterator[AsyncSession]:
    async with new_session() as session:
        yield session


async def get_user_db(
    session: Annotated[AsyncSession, Depends(get_session)],
) -> AsyncIterator[SQLAlchemyUserDatabase[User, uuid.UUID]]:
    yield SQLAlchemyUserDatabase(session, User)


async def get_user_manager(
    user_db: Annotated[SQLAlchemyUserDatabase[User, uuid.UUID], Depends(get_user_db)],
) -> AsyncIterator[UserManager]:
    yield UserManager(user_db)


def get_strategy() -> JWTStrategy[User, uuid.UUID]:
    return JWTStrategy(secret=SECRET, lifetime_seconds=3600)


backend = AuthenticationBackend(
    name="jwt", transport=BearerTransport(tokenUrl="auth/jwt/login"), get_strategy=get_strategy
)
users = FastAPIUsers[User, uuid.UUID](get_user_manager, [backend])

app = FastAPI()
app.include_router(users.get_auth_router(backend), prefix="/auth/jwt", tags=["auth"])
app.include_router(users.get_reset_password_router(), prefix="/auth", tags=["auth"])


@app.get("/")
async def root() -> dict[str, str]:
    return {"status": "ok"}
