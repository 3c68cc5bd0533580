"""What is put beside resetsvc, and what a change of a password may do there: this and nothing more."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Case:
    """One application, on each of the kinds of databases that it is made on.

    name          -- as the table in the documentation calls it
    preset        -- of resetsvc
    real          -- what of the framework is real; what is not, is written down in the application's own file
    folder        -- of its program, in tests/conformance/frameworks
    changes       -- by table: the column that names the person, and the columns that change in the one row of the person
    ends          -- by table: the column that names the person, and what else is said of the rows that go: all of them
    besides       -- what resetsvc changes and the framework's own reset does not, in the words of `what_changed`
    leaves        -- what the framework's own reset changes and resetsvc does not
    as_configured -- what stands in `[accounts]` besides `preset` and `url`
    """

    name: str
    preset: str
    real: str
    folder: str
    arguments: tuple[str, ...] = ()
    databases: tuple[str, ...] = ("SQLite",)
    changes: Mapping[str, tuple[str, frozenset[str]]] = field(default_factory=dict)
    ends: Mapping[str, tuple[str, Mapping[str, Any]]] = field(default_factory=dict)
    besides: frozenset[str] = frozenset()
    leaves: frozenset[str] = frozenset()
    as_configured: Mapping[str, Any] = field(default_factory=dict)


DEVISE_CHANGES = {
    "users": (
        "id",
        frozenset(
            {
                "encrypted_password",
                "reset_password_sent_at",
                "reset_password_token",
                "updated_at",
            }
        ),
    )
}

CASES = (
    Case(
        name="Django",
        preset="django",
        real="all: Django, the sessions, django-otp, the tokens of Django REST framework",
        folder="django_app",
        databases=("SQLite", "PostgreSQL"),
        changes={"auth_user": ("id", frozenset({"password"}))},
        ends={"authtoken_token": ("user_id", {})},
        besides=frozenset({"rows gone from authtoken_token"}),
    ),
    Case(
        name="Django, user model of its own",
        preset="django",
        real="all, as above; the user model is the application's",
        folder="django_app",
        arguments=("custom",),
        as_configured={"table": "people_person"},
        changes={"people_person": ("id", frozenset({"password"}))},
        ends={"authtoken_token": ("user_id", {})},
        besides=frozenset({"rows gone from authtoken_token"}),
    ),
    *(
        Case(
            name=f"Django, {hasher}",
            preset="django",
            real="all, as above; PASSWORD_HASHERS begins with another one",
            folder="django_app",
            arguments=("auth_user", hasher),
            as_configured={"hash": {"format": written}},
            changes={"auth_user": ("id", frozenset({"password"}))},
            ends={"authtoken_token": ("user_id", {})},
            besides=frozenset({"rows gone from authtoken_token"}),
        )
        for hasher, written in (
            ("Argon2PasswordHasher", "django_argon2"),
            ("BCryptSHA256PasswordHasher", "django_bcrypt_sha256"),
            ("ScryptPasswordHasher", "django_scrypt"),
        )
    ),
    Case(
        name="Flask-Security",
        preset="flask_security",
        real="all: Flask-Security-Too with its two-factor feature",
        folder="flask_security_app",
        databases=("SQLite", "PostgreSQL"),
        as_configured={"hash": {"password_salt": "a salt that the kit tells resetsvc too"}},
        changes={"user": ("id", frozenset({"password", "fs_uniquifier"}))},
        leaves=frozenset({"user.update_datetime"}),
    ),
    Case(
        name="fastapi-users",
        preset="fastapi_users",
        real="all: fastapi-users with tokens in the database; the second factor is the application's",
        folder="fastapi_users_app",
        databases=("SQLite", "PostgreSQL"),
        changes={"user": ("id", frozenset({"hashed_password"}))},
        ends={"accesstoken": ("user_id", {})},
        besides=frozenset({"rows gone from accesstoken"}),
    ),
    Case(
        name="Flask with Werkzeug's hashes",
        preset="werkzeug",
        real="Werkzeug, Flask and Flask-Login; table and second factor are the application's",
        folder="werkzeug_app",
        as_configured={"effects": [{"set": {"session_token": "{hex}"}}]},
        changes={"user": ("id", frozenset({"password_hash", "session_token"}))},
    ),
    Case(
        name="Flask with Werkzeug's pbkdf2",
        preset="werkzeug",
        real="as above",
        folder="werkzeug_app",
        arguments=("pbkdf2",),
        as_configured={
            "hash": {"format": "werkzeug_pbkdf2"},
            "effects": [{"set": {"session_token": "{hex}"}}],
        },
        changes={"user": ("id", frozenset({"password_hash", "session_token"}))},
    ),
    Case(
        name="Laravel",
        preset="laravel",
        real="Laravel; the tables of its skeleton, of Sanctum and of Fortify are written down",
        folder="laravel_app",
        databases=("SQLite", "MariaDB"),
        changes={"users": ("id", frozenset({"password", "remember_token", "updated_at"}))},
        ends={
            "sessions": ("user_id", {}),
            "personal_access_tokens": ("tokenable_id", {}),
            "password_reset_tokens": ("email", {}),
        },
        besides=frozenset({"rows gone from sessions", "rows gone from personal_access_tokens"}),
    ),
    Case(
        name="Rails with Devise",
        preset="devise",
        real="all: Rails, Devise, devise-two-factor",
        folder="devise_app",
        databases=("SQLite", "PostgreSQL"),
        changes=DEVISE_CHANGES,
    ),
    Case(
        name="Rails with Devise and a pepper",
        preset="devise",
        real="all, as above: Rails, Devise, devise-two-factor",
        folder="devise_app",
        arguments=("peppered",),
        as_configured={"hash": {"pepper": "a pepper that the kit tells resetsvc too"}},
        changes=DEVISE_CHANGES,
    ),
    Case(
        name="Phoenix",
        preset="phoenix",
        real="none of it: the tables of `mix phx.gen.auth` are written down, the hash is checked by Ruby's bcrypt",
        folder="phoenix_app",
        changes={"users": ("id", frozenset({"hashed_password", "updated_at"}))},
        ends={"users_tokens": ("user_id", {})},
    ),
    Case(
        name="Better Auth",
        preset="better_auth",
        real="all: Better Auth with its two-factor plug-in",
        folder="better_auth_app",
        databases=("SQLite", "PostgreSQL"),
        changes={"account": ("userId", frozenset({"password", "updatedAt"}))},
        ends={"session": ("userId", {})},
        besides=frozenset({"rows gone from session"}),
    ),
    Case(
        name="WordPress",
        preset="wordpress",
        real="all: WordPress; the second factor is what the plug-in Two-Factor stores, written down",
        folder="wordpress_app",
        databases=("MariaDB",),
        changes={"wp_users": ("ID", frozenset({"user_pass"}))},
        ends={"wp_usermeta": ("user_id", {"meta_key": "session_tokens"})},
        besides=frozenset({"rows gone from wp_usermeta"}),
        leaves=frozenset({"rows new in wp_usermeta"}),
    ),
    Case(
        name="WordPress, people from before 6.8",
        preset="wordpress",
        real="as above, with hashes by WordPress's own phpass",
        folder="wordpress_app",
        arguments=("phpass",),
        databases=("MariaDB",),
        changes={"wp_users": ("ID", frozenset({"user_pass"}))},
        ends={"wp_usermeta": ("user_id", {"meta_key": "session_tokens"})},
        besides=frozenset({"rows gone from wp_usermeta"}),
        leaves=frozenset({"rows new in wp_usermeta"}),
    ),
    Case(
        name="ASP.NET Core Identity",
        preset="aspnet_identity",
        real="none of it: tables and hash are written down as documented",
        folder="aspnet_identity_app",
        changes={"AspNetUsers": ("Id", frozenset({"PasswordHash", "SecurityStamp", "ConcurrencyStamp"}))},
    ),
)

# Each with each of its kinds of databases.
RUNS = tuple((case, kind) for case in CASES for kind in case.databases)
