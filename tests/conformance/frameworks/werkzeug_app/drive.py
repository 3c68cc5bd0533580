"""A Flask application of the usual kind: Flask-SQLAlchemy, Werkzeug's hashes, and Flask-Login for the session.

Its sessions end with a change of the password as Flask-Login's documentation shows: what is in the cookie is a token of
the account's, `session_token`, which a change replaces. It may be started with the name of another of Werkzeug's methods. The second factor is a column of the application's own.
"""

import secrets
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from flask import Flask, abort, request
from flask_login import LoginManager, UserMixin, current_user, login_required, login_user
from flask_sqlalchemy import SQLAlchemy
from protocol import serve
from urls import for_sqlalchemy
from werkzeug.security import check_password_hash, generate_password_hash

db = SQLAlchemy()


class User(UserMixin, db.Model):
    id = db.Column(db.Integer, primary_key=True)
    email = db.Column(db.String(120), unique=True, nullable=False)
    password_hash = db.Column(db.String(256), nullable=False)
    session_token = db.Column(db.String(64), unique=True, nullable=False)
    totp_secret = db.Column(db.String(64))

    def get_id(self) -> str:
        return str(self.session_token)


class Application:
    def __init__(self) -> None:
        self._app = Flask("conformance")
        self._browsers: dict[str, Any] = {}

    def versions(self) -> dict[str, str]:
        return {package: version(package) for package in ("Werkzeug", "Flask", "Flask-Login")}

    def make(self, people: dict[str, str]) -> None:
        self._app.config.update(SECRET_KEY="conformance", SQLALCHEMY_DATABASE_URI=for_sqlalchemy(sys.argv[1]))
        db.init_app(self._app)
        manager = LoginManager(self._app)
        manager.user_loader(lambda token: User.query.filter_by(session_token=token).first())

        @self._app.post("/login")
        def log_in() -> str:
            user = User.query.filter_by(email=request.form["email"]).first()
            if user is None or not check_password_hash(user.password_hash, request.form["password"]):
                abort(403)
            login_user(user, remember=True)
            return ""

        @self._app.get("/me")
        @login_required
        def me() -> dict[str, str]:
            return {"who": current_user.email}

        with self._app.app_context():
            db.create_all()
            for email, password in people.items():
                db.session.add(
                    User(
                        email=email,
                        password_hash=generate_password_hash(password, *sys.argv[2:]),
                        session_token=secrets.token_urlsafe(),
                        totp_secret=f"secret of {email}",
                    )
                )
            db.session.commit()
        for email, password in people.items():
            self._browsers[email] = self._app.test_client()
            entered = self._browsers[email].post("/login", data={"email": email, "password": password})
            assert entered.status_code == 200

    def nobodies(self) -> list[str]:
        return []

    def login(self, email: str, password: str) -> bool:
        answer = self._app.test_client().post("/login", data={"email": email, "password": password})
        assert answer.status_code in {200, 403}
        return bool(answer.status_code == 200)

    def own_reset(self, email: str, password: str) -> bool:
        return False

    def session(self, email: str) -> dict[str, bool]:
        return {"session": self._browsers[email].get("/me").status_code == 200}

    def second_factor(self, email: str) -> Any:
        with self._app.app_context():
            return User.query.filter_by(email=email).one().totp_secret


if __name__ == "__main__":
    serve(Application())
