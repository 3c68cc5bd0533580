"""The tables that the frameworks make, as far as a reset sees them, in words that all three databases take.

What is different from one to the other stands in braces (the PostgreSQL of the tests has no citext). The frameworks themselves are asked in tests/conformance.
"""

from collections.abc import Mapping

TYPES = {
    "sqlite": {
        "uuid": "CHAR(36)",
        "citext": "TEXT COLLATE NOCASE",
        "time": "DATETIME",
        "key": "INTEGER",
        "json": "TEXT",
    },
    "postgresql": {
        "uuid": "UUID",
        "citext": "VARCHAR(160)",
        "time": "TIMESTAMP WITH TIME ZONE",
        "key": "BIGINT",
        "json": "JSONB",
    },
    "mariadb": {
        "uuid": "CHAR(36)",
        "citext": "VARCHAR(160)",
        "time": "DATETIME NULL",
        "key": "BIGINT",
        "json": "TEXT",
    },
}  # fmt: skip -- as a table

SCHEMAS: Mapping[str, tuple[str, ...]] = {
    "django": (
        'CREATE TABLE "auth_user" ("id" INTEGER PRIMARY KEY, "password" VARCHAR(128) NOT NULL, "last_login" {time}, '
        '"is_superuser" BOOLEAN NOT NULL, "username" VARCHAR(150) NOT NULL UNIQUE, "first_name" VARCHAR(150) NOT NULL, '
        '"last_name" VARCHAR(150) NOT NULL, "email" VARCHAR(254) NOT NULL, "is_staff" BOOLEAN NOT NULL, '
        '"is_active" BOOLEAN NOT NULL, "date_joined" {time})',
        'CREATE TABLE "django_session" ("session_key" VARCHAR(40) PRIMARY KEY, "session_data" TEXT NOT NULL, "expire_date" {time})',
        'CREATE TABLE "authtoken_token" ("key" VARCHAR(40) PRIMARY KEY, "created" {time}, "user_id" INTEGER NOT NULL)',
    ),
    "flask_security": (
        'CREATE TABLE "user" ("id" INTEGER PRIMARY KEY, "email" VARCHAR(255) NOT NULL UNIQUE, "username" VARCHAR(255), '
        '"password" VARCHAR(255), "active" BOOLEAN NOT NULL, "fs_uniquifier" VARCHAR(64) NOT NULL UNIQUE, '
        '"confirmed_at" {time}, "tf_primary_method" VARCHAR(64), "tf_totp_secret" VARCHAR(255), "us_totp_secrets" TEXT)',
    ),
    "fastapi_users": (
        'CREATE TABLE "user" ("id" {uuid} PRIMARY KEY, "email" VARCHAR(320) NOT NULL UNIQUE, '
        '"hashed_password" VARCHAR(1024) NOT NULL, "is_active" BOOLEAN NOT NULL, "is_superuser" BOOLEAN NOT NULL, '
        '"is_verified" BOOLEAN NOT NULL)',
        'CREATE TABLE "accesstoken" ("token" VARCHAR(43) PRIMARY KEY, "created_at" {time}, "user_id" {uuid} NOT NULL)',
    ),
    "werkzeug": (
        'CREATE TABLE "user" ("id" INTEGER PRIMARY KEY, "username" VARCHAR(64), "email" VARCHAR(120), "password_hash" VARCHAR(256))',
    ),
    "laravel": (
        'CREATE TABLE "users" ("id" {key} PRIMARY KEY, "name" VARCHAR(255) NOT NULL, "email" VARCHAR(255) NOT NULL UNIQUE, '
        '"email_verified_at" {time}, "password" VARCHAR(255) NOT NULL, "remember_token" VARCHAR(100), "created_at" {time}, '
        '"updated_at" {time}, "two_factor_secret" TEXT)',
        'CREATE TABLE "password_reset_tokens" ("email" VARCHAR(255) PRIMARY KEY, "token" VARCHAR(255) NOT NULL, "created_at" {time})',
        'CREATE TABLE "sessions" ("id" VARCHAR(255) PRIMARY KEY, "user_id" {key}, "payload" TEXT NOT NULL, "last_activity" INTEGER)',
        'CREATE TABLE "personal_access_tokens" ("id" {key} PRIMARY KEY, "tokenable_type" VARCHAR(255) NOT NULL, '
        '"tokenable_id" {key} NOT NULL, "name" TEXT, "token" VARCHAR(64))',
    ),
    "devise": (
        'CREATE TABLE "users" ("id" {key} PRIMARY KEY, "email" VARCHAR(255) NOT NULL UNIQUE, '
        '"encrypted_password" VARCHAR(255) NOT NULL, "reset_password_token" VARCHAR(255) UNIQUE, '
        '"reset_password_sent_at" {time}, "remember_created_at" {time}, "created_at" {time}, "updated_at" {time}, '
        '"otp_secret" VARCHAR(255))',
    ),
    "phoenix": (
        'CREATE TABLE "users" ("id" {key} PRIMARY KEY, "email" {citext} NOT NULL UNIQUE, "hashed_password" VARCHAR(255), '
        '"confirmed_at" {time}, "inserted_at" {time}, "updated_at" {time})',
        'CREATE TABLE "users_tokens" ("id" {key} PRIMARY KEY, "user_id" {key} NOT NULL, "token" VARCHAR(255) NOT NULL, '
        '"context" VARCHAR(255) NOT NULL, "inserted_at" {time})',
    ),
    "better_auth": (
        'CREATE TABLE "user" ("id" VARCHAR(36) PRIMARY KEY, "name" TEXT NOT NULL, "email" VARCHAR(255) NOT NULL UNIQUE, '
        '"emailVerified" BOOLEAN NOT NULL, "image" TEXT, "createdAt" {time}, "updatedAt" {time}, "twoFactorEnabled" BOOLEAN)',
        'CREATE TABLE "session" ("id" VARCHAR(36) PRIMARY KEY, "expiresAt" {time}, "token" VARCHAR(255) NOT NULL UNIQUE, '
        '"userId" VARCHAR(36) NOT NULL)',
        'CREATE TABLE "account" ("id" VARCHAR(36) PRIMARY KEY, "accountId" TEXT NOT NULL, "providerId" VARCHAR(50) NOT NULL, '
        '"userId" VARCHAR(36) NOT NULL, "accessToken" TEXT, "password" TEXT, "createdAt" {time}, "updatedAt" {time})',
        'CREATE TABLE "twoFactor" ("id" VARCHAR(36) PRIMARY KEY, "secret" TEXT NOT NULL, "userId" VARCHAR(36) NOT NULL)',
    ),
    "wordpress": (
        'CREATE TABLE "wp_users" ("ID" {key} PRIMARY KEY, "user_login" VARCHAR(60) NOT NULL, "user_pass" VARCHAR(255) NOT NULL, '
        '"user_nicename" VARCHAR(50), "user_email" VARCHAR(100) NOT NULL, "user_activation_key" VARCHAR(255) NOT NULL, '
        '"user_status" INTEGER NOT NULL)',
        'CREATE TABLE "wp_usermeta" ("umeta_id" {key} PRIMARY KEY, "user_id" {key} NOT NULL, "meta_key" VARCHAR(255), "meta_value" TEXT)',
    ),
    "aspnet_identity": (
        'CREATE TABLE "AspNetUsers" ("Id" VARCHAR(200) PRIMARY KEY, "UserName" VARCHAR(200), "NormalizedUserName" VARCHAR(200), '
        '"Email" VARCHAR(200), "NormalizedEmail" VARCHAR(200), "EmailConfirmed" BOOLEAN NOT NULL, "PasswordHash" TEXT, '
        '"SecurityStamp" TEXT, "ConcurrencyStamp" TEXT, "TwoFactorEnabled" BOOLEAN NOT NULL, "LockoutEnd" {time})',
        'CREATE TABLE "AspNetUserTokens" ("UserId" VARCHAR(200) NOT NULL, "Name" VARCHAR(100) NOT NULL, "Value" TEXT)',
    ),
}  # fmt: skip -- as a table

UUIDS = ("0b0e5f6c-6f0e-4a51-8c55-1d5a0f1f6b01", "0b0e5f6c-6f0e-4a51-8c55-1d5a0f1f6b02")


def statements(preset: str, kind: str) -> list[str]:
    return [statement.format(**TYPES[kind]) for statement in SCHEMAS[preset]]


Rows = list[tuple[str, dict[str, object]]]


def rows(preset: str, password: str) -> Rows:
    """Ann and Bob, each with everything that a log-in leaves behind, and with a second factor where there is one."""
    found: Rows = []
    for number, name in ((1, "ann"), (2, "bob")):
        email, uuid = f"{name}@example.com", UUIDS[number - 1]
        match preset:
            case "django":
                found.append(
                    (
                        "auth_user",
                        {
                            "id": number, "password": password, "is_superuser": False, "username": name, "first_name": "",
                            "last_name": "", "email": email, "is_staff": False, "is_active": True,
                        },
                    )
                )  # fmt: skip
                found.append(("authtoken_token", {"key": f"key{number}", "user_id": number}))
            case "flask_security":
                found.append(
                    (
                        "user",
                        {
                            "id": number, "email": email, "password": password, "active": True,
                            "fs_uniquifier": f"uniquifier {number}", "tf_totp_secret": "second",
                        },
                    )
                )  # fmt: skip
            case "fastapi_users":
                found.append(
                    (
                        "user",
                        {
                            "id": uuid, "email": email, "hashed_password": password, "is_active": True,
                            "is_superuser": False, "is_verified": True,
                        },
                    )
                )  # fmt: skip
                found.append(("accesstoken", {"token": f"token{number}", "user_id": uuid}))
            case "werkzeug":
                found.append(
                    ("user", {"id": number, "username": name, "email": email, "password_hash": password})
                )
            case "laravel":
                found += [
                    (
                        "users",
                        {
                            "id": number, "name": name, "email": email, "password": password, "remember_token": "remember",
                            "two_factor_secret": "second",
                        },
                    ),
                    ("sessions", {"id": f"session{number}", "user_id": number, "payload": "x"}),
                    ("password_reset_tokens", {"email": email, "token": "x"}),
                    (
                        "personal_access_tokens",
                        {"id": number, "tokenable_type": r"App\Models\User", "tokenable_id": number},
                    ),
                    # Of another model with the same id: not this account's.
                    (
                        "personal_access_tokens",
                        {"id": 10 + number, "tokenable_type": r"App\Models\Team", "tokenable_id": number},
                    ),
                ]  # fmt: skip
            case "devise":
                found.append(
                    (
                        "users",
                        {
                            "id": number, "email": email, "encrypted_password": password,
                            "reset_password_token": f"token{number}", "reset_password_sent_at": "2026-01-01 00:00:00",
                            "remember_created_at": "2026-01-01 00:00:00", "updated_at": "2026-01-01 00:00:00",
                            "otp_secret": "second",
                        },
                    )
                )  # fmt: skip
            case "phoenix":
                found.append(
                    (
                        "users",
                        {
                            "id": number, "email": email, "hashed_password": password, "confirmed_at": "2026-01-01 00:00:00",
                            "updated_at": "2026-01-01 00:00:00",
                        },
                    )
                )  # fmt: skip
                found.append(
                    ("users_tokens", {"id": number, "user_id": number, "token": "x", "context": "session"})
                )
            case "better_auth":
                found += [
                    (
                        "user",
                        {"id": uuid, "name": name, "email": email, "emailVerified": True, "twoFactorEnabled": True},
                    ),
                    ("session", {"id": f"session{number}", "token": f"token{number}", "userId": uuid}),
                    (
                        "account",
                        {
                            "id": f"account{number}", "accountId": uuid, "providerId": "credential", "userId": uuid,
                            "password": password, "updatedAt": "2026-01-01 00:00:00",
                        },
                    ),
                    (
                        "account",
                        {
                            "id": f"social{number}", "accountId": "x", "providerId": "github", "userId": uuid,
                            "accessToken": "social", "updatedAt": "2026-01-01 00:00:00",
                        },
                    ),
                    ("twoFactor", {"id": f"factor{number}", "secret": "second", "userId": uuid}),
                ]  # fmt: skip
            case "wordpress":
                found.append(
                    (
                        "wp_users",
                        {
                            "ID": number, "user_login": name, "user_pass": password, "user_email": email,
                            "user_activation_key": "key", "user_status": 0,
                        },
                    )
                )  # fmt: skip
                for key, meta in enumerate(("session_tokens", "nickname", "_application_passwords")):
                    found.append(
                        (
                            "wp_usermeta",
                            {"umeta_id": 10 * number + key, "user_id": number, "meta_key": meta, "meta_value": "x"},
                        )
                    )  # fmt: skip
            case "aspnet_identity":
                found.append(
                    (
                        "AspNetUsers",
                        {
                            "Id": uuid, "UserName": email, "Email": email, "NormalizedEmail": email.upper(),
                            "EmailConfirmed": True, "PasswordHash": password, "SecurityStamp": "old",
                            "ConcurrencyStamp": "old", "TwoFactorEnabled": True,
                        },
                    )
                )  # fmt: skip
                found.append(
                    ("AspNetUserTokens", {"UserId": uuid, "Name": "AuthenticatorKey", "Value": "second"})
                )
    return found
