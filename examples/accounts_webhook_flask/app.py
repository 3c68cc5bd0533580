"""A Flask application that keeps its own accounts, and answers resetsvc's three questions about them.

The part that matters is `accounts()`. The rest is an application as there are many: users in SQLite, a log-in, sessions.
"""

import json
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime

from flask import Flask, Response, abort, request, session
from standardwebhooks.webhooks import Webhook
from werkzeug.security import check_password_hash, generate_password_hash

# `version` goes up with every change of password or address: resetsvc compares it, and so do this application's sessions.
SCHEMA = """
CREATE TABLE IF NOT EXISTS users (
    id INTEGER PRIMARY KEY, email TEXT NOT NULL COLLATE NOCASE, password TEXT, active INTEGER NOT NULL DEFAULT 1,
    version INTEGER NOT NULL DEFAULT 1
);
CREATE INDEX IF NOT EXISTS users_email ON users (email);
CREATE TABLE IF NOT EXISTS questions (id TEXT PRIMARY KEY, answer TEXT, at REAL NOT NULL);
"""
REMEMBERED = 600  # seconds: twice what a signature counts for


def create_app(database: str, secret: str, session_key: str) -> Flask:
    app = Flask("shop")
    app.secret_key = session_key
    app.config["MAX_CONTENT_LENGTH"] = 256 * 1024  # 500 addresses take half of it
    webhook = Webhook(secret)

    @contextmanager
    def transaction() -> Iterator[sqlite3.Connection]:
        db = sqlite3.connect(database, isolation_level=None, timeout=5)
        db.row_factory = sqlite3.Row
        try:
            db.execute("BEGIN IMMEDIATE")
            yield db
            db.execute("COMMIT")
        finally:
            db.close()  # what was not committed is undone

    @app.post("/internal/accounts")
    def accounts() -> Response:
        # The very bytes that were signed: JSON that is read and written again has another signature.
        raw = request.get_data()
        try:
            question = webhook.verify(raw, dict(request.headers))
        except Exception:  # headers that are none raise more than one kind
            abort(401)
        message_id = request.headers["webhook-id"]
        try:
            answer_of = QUESTIONS[question["type"]]
            # A hash is slow, and the transaction below holds up everybody else.
            new = generate_password_hash(question["password"]) if "password" in question else None
        except (TypeError, KeyError):
            abort(400)

        with transaction() as db:
            db.execute("DELETE FROM questions WHERE at < ?", [time.time() - REMEMBERED])
            seen = db.execute("SELECT answer FROM questions WHERE id = ?", [message_id]).fetchone()
            if seen is None:
                answer = json.dumps(answer_of(db, question, new))
                # With the change, in one transaction: either both are there or neither.
                db.execute("INSERT INTO questions VALUES (?, ?, ?)", [message_id, answer, time.time()])
            elif question["type"] == "accounts.swap":
                answer = seen["answer"]  # it was lost on its way: the same one, and no second change
            else:
                abort(409)  # somebody repeats what he overheard
        answer_id = f"answer_to_{message_id}"
        now = datetime.now(UTC)
        return Response(
            answer,
            content_type="application/json",
            headers={
                "webhook-id": answer_id,
                "webhook-timestamp": str(int(now.timestamp())),
                "webhook-signature": webhook.sign(answer_id, now, answer),
            },
        )

    @app.post("/login")
    def login() -> tuple[str, int]:
        with transaction() as db:
            user = db.execute("SELECT * FROM users WHERE email = ?", [request.form["email"]]).fetchone()
        if (
            user is None
            or not user["active"]
            or not check_password_hash(user["password"] or "", request.form["password"])
        ):
            return "No.\n", 401
        session["user"], session["version"] = user["id"], user["version"]
        return "Welcome.\n", 200

    @app.get("/me")
    def me() -> tuple[str, int]:
        with transaction() as db:
            user = db.execute(
                "SELECT email FROM users WHERE id = ? AND version = ? AND active",
                [session.get("user"), session.get("version")],
            ).fetchone()
        return (f"{user['email']}\n", 200) if user is not None else ("Log in.\n", 401)

    with closing(sqlite3.connect(database)) as db:
        db.executescript(SCHEMA)
    return app


# ---- the three questions ----


def find(db: sqlite3.Connection, question: dict, _: str | None) -> dict:
    # One statement for all of them, by the index.
    rows = db.execute(
        "SELECT users.*, value AS asked FROM json_each(?) JOIN users ON email = value",
        [json.dumps(question["addresses"])],
    )
    return {"accounts": [{**told(row), "asked": row["asked"]} for row in rows]}


def get(db: sqlite3.Connection, question: dict, _: str | None) -> dict:
    row = db.execute("SELECT * FROM users WHERE id = ?", [question["id"]]).fetchone()
    return {"account": None if row is None else told(row)}


def swap(db: sqlite3.Connection, question: dict, new: str | None) -> dict:
    changed = db.execute(
        "UPDATE users SET password = ?, version = version + 1 WHERE id = ? AND version = ? AND active",
        [new or question["password_hash"], question["id"], question["version"]],
    )
    return {"swapped": changed.rowcount == 1}


QUESTIONS = {"accounts.find": find, "accounts.get": get, "accounts.swap": swap}


def told(row: sqlite3.Row) -> dict:
    return {
        "id": str(row["id"]),
        "address": row["email"],
        "active": bool(row["active"] and row["password"]),  # without a password (a social log-in): no mail
        "version": str(row["version"]),
    }


def add_user(database: str, email: str, password: str | None) -> None:
    with closing(sqlite3.connect(database)) as db, db:
        db.execute(
            "INSERT INTO users (email, password) VALUES (?, ?)",
            [email, generate_password_hash(password) if password else None],
        )


def add_demo_user(database: str) -> None:
    """The first time: another one with this address at the next start, and neither would get a mail."""
    with closing(sqlite3.connect(database)) as db:
        known = db.execute("SELECT 1 FROM users WHERE email = ?", ["demo@example.com"]).fetchone()
    if known is None:
        add_user(database, "demo@example.com", "an old password of mine")


if __name__ == "__main__":
    app = create_app("shop.db", os.environ["ACCOUNTS_SECRET"], os.environ["SESSION_KEY"])
    add_demo_user("shop.db")
    app.run(port=5000)
