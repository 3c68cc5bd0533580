"""fastapi-users with tokens in the database, asked over HTTP through its own routers.

It has no second factor of its own: the column is this application's.
"""

import asyncio
import sys
import uuid
from collections.abc import AsyncIterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import httpx
from fastapi import Depends, FastAPI
from fastapi_users import BaseUserManager, FastAPIUsers, UUIDIDMixin
from fastapi_users.authentication import AuthenticationBackend, BearerTransport
from fastapi_users.authentication.strategy.db import DatabaseStrategy
from fastapi_users.db import SQLAlchemyBaseUserTableUUID, SQLAlchemyUserDatabase
from fastapi_users.schemas import BaseUser, BaseUserCreate
from fastapi_users_db_sqlalchemy.access_token import (
    SQLAlchemyAccessTokenDatabase,
    SQLAlchemyBaseAccessTokenTableUUID,
)
from protocol import serve
from sqlalchemy import String, select
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.pool import NullPool
from urls import for_sqlalchemy


class Base(DeclarativeBase):
    pass


class User(SQLAlchemyBaseUserTableUUID, Base):
    totp_secret: Mapped[str | None] = mapped_column(String(64))


class AccessToken(SQLAlchemyBaseAccessTokenTableUUID, Base):
    pass


class People(UUIDIDMixin, BaseUserManager[User, uuid.UUID]):
    reset_password_token_secret = "conformance"
    mailed = ""

    async def on_after_forgot_password(self, user: User, token: str, request: Any = None) -> None:
        self.mailed = token


class Application:
    def __init__(self) -> None:
        self._app = FastAPI()
        self._tokens: dict[str, str] = {}

    def versions(self) -> dict[str, str]:
        return {"fastapi-users": version("fastapi-users"), "SQLAlchemy": version("SQLAlchemy")}

    def make(self, people: dict[str, str]) -> None:
        # No connection outlives a request: each is answered in an event loop of its own.
        engine = create_async_engine(
            for_sqlalchemy(sys.argv[1], sqlite="sqlite+aiosqlite"), poolclass=NullPool
        )
        self._sessions = async_sessionmaker(engine, expire_on_commit=False)
        asyncio.run(self._make(engine, people))

    async def _make(self, engine: Any, people: dict[str, str]) -> None:
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        self._add_routes()
        for email, password in people.items():
            added = await self._ask("POST", "/register", json={"email": email, "password": password})
            assert added.status_code == 201
            entered = await self._log_in(email, password)
            self._tokens[email] = entered.json()["access_token"]
            async with self._sessions() as session:
                user = (await session.execute(select(User).where(User.email == email))).scalar_one()
                user.totp_secret = f"secret of {email}"
                await session.commit()

    def _add_routes(self) -> None:
        async def people() -> AsyncIterator[People]:
            async with self._sessions() as session:
                yield People(SQLAlchemyUserDatabase(session, User))

        async def strategy() -> AsyncIterator[Any]:
            async with self._sessions() as session:
                yield DatabaseStrategy(
                    SQLAlchemyAccessTokenDatabase(session, AccessToken), lifetime_seconds=3600
                )

        backend = AuthenticationBackend("tokens", BearerTransport("login"), strategy)
        users = FastAPIUsers[User, uuid.UUID](people, [backend])
        self._app.include_router(users.get_auth_router(backend))
        self._app.include_router(users.get_register_router(BaseUser[uuid.UUID], BaseUserCreate))

        @self._app.get("/me")
        async def me(user: User = Depends(users.current_user(active=True))) -> dict[str, str]:  # noqa: B008 - FastAPI's way
            return {"who": user.email}

    def nobodies(self) -> list[str]:
        asyncio.run(self._inactive("inactive@example.com"))
        return ["inactive@example.com"]

    async def _inactive(self, email: str) -> None:
        await self._ask("POST", "/register", json={"email": email, "password": "a password of theirs"})
        async with self._sessions() as session:
            user = (await session.execute(select(User).where(User.email == email))).scalar_one()
            user.is_active = False
            await session.commit()

    def login(self, email: str, password: str) -> bool:
        answer = asyncio.run(self._log_in(email, password))
        assert answer.status_code in {200, 400}
        return bool(answer.status_code == 200)

    async def _log_in(self, email: str, password: str) -> httpx.Response:
        return await self._ask("POST", "/login", data={"username": email, "password": password})

    def own_reset(self, email: str, password: str) -> bool:
        asyncio.run(self._own_reset(email, password))
        return True

    async def _own_reset(self, email: str, password: str) -> None:
        async with self._sessions() as session:
            people = People(SQLAlchemyUserDatabase(session, User))
            await people.forgot_password(await people.get_by_email(email))
            await people.reset_password(people.mailed, password)

    def session(self, email: str) -> dict[str, bool]:
        bearer = {"Authorization": f"Bearer {self._tokens[email]}"}
        answer = asyncio.run(self._ask("GET", "/me", headers=bearer))
        return {"access token": answer.status_code == 200}

    def second_factor(self, email: str) -> Any:
        return asyncio.run(self._secret(email))

    async def _secret(self, email: str) -> str | None:
        async with self._sessions() as session:
            secret = await session.execute(select(User.totp_secret).where(User.email == email))
            return secret.scalar_one()

    async def _ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        transport = httpx.ASGITransport(self._app)
        async with httpx.AsyncClient(transport=transport, base_url="http://application") as client:
            return await client.request(method, path, **more)


if __name__ == "__main__":
    serve(Application())
