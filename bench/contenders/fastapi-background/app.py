"""A reset as tutorials for FastAPI teach it: the mail goes out by aiosmtplib in a background task, after the answer."""

import os
import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from typing import Annotated

import aiosmtplib
import jwt
from fastapi import BackgroundTasks, Depends, FastAPI
from pydantic import BaseModel, EmailStr
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

SECRET_KEY = "a key for nothing but measurements"
BASE_URL = os.environ["BENCH_BASE_URL"]

engine = create_async_engine(f"sqlite+aiosqlite:///{os.environ['BENCH_DATABASE']}")
new_session = async_sessionmaker(engine, expire_on_commit=False)
app = FastAPI()


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(unique=True, index=True)
    hashed_password: Mapped[str]


class ForgotPassword(BaseModel):
    email: EmailStr


async def get_session() -> AsyncIterator[AsyncSession]:
    async with new_session() as session:
        yield session


async def send_reset_mail(address: str, token: str) -> None:
    link = f"{BASE_URL}/reset-password?token={token}"
    message = EmailMessage()
    message["From"] = "no-reply@bench.example"
    message["To"] = address
    message["Subject"] = "Reset your password"
    message.set_content(f"To choose a new password, follow this link:\n\n{link}\n")
    message.add_alternative(f'<p><a href="{link}">Choose a new password</a></p><p>{link}</p>', subtype="html")
    await aiosmtplib.send(
        message, hostname=os.environ["BENCH_SMTP_HOST"], port=int(os.environ["BENCH_SMTP_PORT"])
    )


@app.get("/")
async def root() -> dict[str, str]:
    return {"status": "ok"}


@app.post("/forgot-password")
async def forgot_password(
    asked: ForgotPassword,
    background_tasks: BackgroundTasks,
    session: Annotated[AsyncSession, Depends(get_session)],
) -> dict[str, str]:
    user = await session.scalar(select(User).where(User.email == asked.email))
    if user is not None:
        expires = datetime.now(UTC) + timedelta(minutes=30)
        claims = {"sub": str(user.id), "exp": expires, "jti": secrets.token_hex(16)}
        token = jwt.encode(claims, SECRET_KEY, algorithm="HS256")
        background_tasks.add_task(send_reset_mail, user.email, token)
    return {"message": "Email sent"}
