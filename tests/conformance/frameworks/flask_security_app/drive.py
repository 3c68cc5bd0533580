"""Flask-Security-Too with its two-factor feature; people log in at its own `/login`.

Its session is a cookie that carries the account's `fs_uniquifier`, and so does its authentication token.
"""

import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from flask import Flask
from flask_security import Security, SQLAlchemyUserDatastore, auth_required, current_user, hash_password
from flask_security.models import fsqla_v3 as fsqla
from flask_security.recoverable import update_password
from flask_sqlalchemy import SQLAlchemy
from protocol import serve
from urls import for_sqlalchemy

SALT = "a salt that the kit tells resetsvc too"


class Application:
    def __init__(self) -> None:
        self._app = Flask("conformance")
        self._browsers: dict[str, Any] = {}
        self._tokens: dict[str, str] = {}

    def versions(self) -> dict[str, str]:
        return {"Flask-Security-Too": version("Flask-Security-Too")}

    def make(self, people: dict[str, str]) -> None:
        self._app.config.update(
            SECRET_KEY="conformance",
            SQLALCHEMY_DATABASE_URI=for_sqlalchemy(sys.argv[1]),
            WTF_CSRF_ENABLED=False,
            SECURITY_PASSWORD_SALT=SALT,
            SECURITY_TWO_FACTOR=True,
            SECURITY_SEND_PASSWORD_RESET_NOTICE_EMAIL=False,
            SECURITY_TOTP_SECRETS={"1": "a secret for the secrets of the second factor"},
            SECURITY_TOTP_ISSUER="conformance",
        )
        db = SQLAlchemy(self._app)
        fsqla.FsModels.set_db_info(db)
        role = type("Role", (db.Model, fsqla.FsRoleMixin), {})
        user = type("User", (db.Model, fsqla.FsUserMixin), {})
        # Named by the user's model; SQLAlchemy forgets what nobody holds.
        self._webauthn = type("WebAuthn", (db.Model, fsqla.FsWebAuthnMixin), {})
        self._people = SQLAlchemyUserDatastore(db, user, role)
        self._security = Security(self._app, self._people)

        @self._app.get("/me")
        @auth_required("token", "session")
        def me() -> dict[str, str]:
            return {"who": current_user.email}

        with self._app.app_context():
            db.create_all()
            for email, password in people.items():
                self._people.create_user(email=email, password=hash_password(password))
            self._people.commit()
        for email, password in people.items():
            self._browsers[email] = self._app.test_client()
            entered = self._log_in(self._browsers[email], email, password)
            self._tokens[email] = entered.json["response"]["user"]["authentication_token"]
        with self._app.app_context():
            for email in people:
                user = self._people.find_user(email=email)
                self._people.tf_set(
                    user, "authenticator", self._security._totp_factory.generate_totp_secret()
                )
                self._people.mf_set_recovery_codes(user, [f"first-of-{email}", f"second-of-{email}"])
            self._people.commit()

    def nobodies(self) -> list[str]:
        with self._app.app_context():
            self._people.create_user(email="nopassword@example.com", password=None)
            inactive = self._people.create_user(
                email="inactive@example.com", password=hash_password("a password")
            )
            self._people.deactivate_user(inactive)
            self._people.commit()
        return ["nopassword@example.com", "inactive@example.com"]

    def login(self, email: str, password: str) -> bool:
        """Let in as far as to the question for the second factor, which is asked of everybody here."""
        answer = self._log_in(self._app.test_client(), email, password)
        assert answer.status_code in {200, 400}
        return answer.status_code == 200 and answer.json["response"]["tf_required"]

    def _log_in(self, browser: Any, email: str, password: str) -> Any:
        return browser.post("/login?include_auth_token", json={"email": email, "password": password})

    def own_reset(self, email: str, password: str) -> bool:
        with self._app.test_request_context():
            # Normalised by the form, as a rule.
            update_password(
                self._people.find_user(email=email), self._security.password_util.normalize(password)
            )
            self._people.commit()
        return True

    def session(self, email: str) -> dict[str, bool]:
        as_json = {"Accept": "application/json"}
        token = {"Authentication-Token": self._tokens[email]}
        stranger = self._app.test_client()
        return {
            "session": self._browsers[email].get("/me", headers=as_json).status_code == 200,
            "authentication token": stranger.get("/me", headers=as_json | token).status_code == 200,
        }

    def second_factor(self, email: str) -> Any:
        with self._app.app_context():
            user = self._people.find_user(email=email)
            return [user.tf_primary_method, user.tf_totp_secret, list(user.mf_recovery_codes)]


if __name__ == "__main__":
    serve(Application())
