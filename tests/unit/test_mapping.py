"""`[accounts]`: what it takes, from where, and what is wrong with it: all at once, by name, and never a secret."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from resetsvc.accounts.mapping import Mapping, WrongMapping, preset_names, read_mapping
from resetsvc.accounts.place import Kind
from resetsvc.accounts.webhook_mapping import WebhookMapping
from resetsvc.errors import WrongSettings
from resetsvc.settings import load_settings
from resetsvc.testing import make_settings
from tests.unit.test_settings import NEEDED

URL = "postgresql://resetsvc:hunter2@db.example/app"
WHOLE: dict[str, Any] = {
    "url": URL,
    "table": "members",
    "columns": {"id": "id", "address": "email", "password": "pw"},
    "hash": {"format": "bcrypt"},
}


def problems(**changes: object) -> list[str]:
    with pytest.raises(WrongMapping) as refusal:
        read_mapping({**WHOLE, **changes})
    assert "hunter" not in str(refusal.value)
    assert "hunter" not in repr(refusal.value)
    return refusal.value.problems


def test_a_whole_description_is_taken() -> None:
    mapping = read_mapping(
        {
            **WHOLE,
            "table": "shop.members",
            "filter": [
                "deleted_at IS NULL",
                "kind = 'person'",
                "level = -3",
                "banned = FALSE",
                "a is not null",
            ],
            "columns": {
                **WHOLE["columns"],
                "active": "is_active",
                "locale": "lang",
                "name": "full_name",
                "lookup": "lower_email",
            },
            "compare": "collation",
            "effects": [
                {"delete": "sessions", "where": {"member": "{id}", "kind": "web"}, "if_exists": True},
                {
                    "update": "devices",
                    "set": {"trusted": False},
                    "null": ["key"],
                    "where": {"email": "{address}"},
                },
                {"set": {"stamp": "{uuid}"}, "null": ["remember"]},
            ],
        }
    )  # fmt: skip -- as it would stand in TOML
    assert [(one.column, one.null, one.value) for one in mapping.filter] == [
        ("deleted_at", True, True),
        ("kind", None, "person"),
        ("level", None, -3),
        ("banned", None, False),
        ("a", False, True),
    ]
    assert mapping.place.kind is Kind.POSTGRESQL
    assert mapping.place.name == "db.example/app"
    assert mapping.format.name == "bcrypt"
    assert len(mapping.effects) == 3


def test_nothing_shows_the_password_of_the_database_or_a_salt() -> None:
    mapping = read_mapping({**WHOLE, "hash": {"format": "bcrypt", "pepper": "hunter2"}})
    for shown in (repr(mapping), str(mapping), repr(mapping.place), str(mapping.told()), repr(mapping.hash)):
        assert "hunter2" not in shown
    assert mapping.told() == {
        "preset": None,
        "database": "postgresql://db.example/app",
        "table": "members",
        "format": "bcrypt",
    }


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"table": "users; DROP TABLE users"}, "accounts.table is no plain name, or schema.name"),
        ({"table": 'users"'}, "accounts.table is no plain name"),
        ({"table": "a.b.c"}, "accounts.table is no plain name"),
        ({"table": ""}, "accounts.table is no plain name"),
        ({"table": 3}, "accounts.table should be a valid string"),
        ({"tabel": "x"}, "accounts.tabel is not known here"),
        ({"columns": {"id": "id", "address": "email"}}, "accounts.columns.password is missing"),
        ({"columns": {**WHOLE["columns"], "adress": "x"}}, "accounts.columns.adress is not known here"),
        ({"columns": {**WHOLE["columns"], "id": "id)"}}, "accounts.columns.id is no plain name"),
        ({"columns": {**WHOLE["columns"], "id": "i" * 64}}, "accounts.columns.id is no plain name"),
        ({"columns": "x"}, "accounts.columns should be"),
        ({"compare": "loosely"}, "accounts.compare should be 'exact', 'lower', 'upper' or 'collation'"),
        ({"filter": "1=1 OR true"}, "accounts.filter knows `column IS NULL`"),
        ({"filter": "a = 'x' OR 'y'"}, "accounts.filter knows"),
        ({"filter": ["a IS NULL", "b = (SELECT 1)"]}, "accounts.filter knows"),
        ({"filter": "a = 'it''s'"}, "accounts.filter knows"),
        ({"filter": 5}, "accounts.filter knows"),
        ({"hash": {}}, "accounts.hash.format is missing"),
        ({"hash": {"format": "md5"}}, "accounts.hash there is no hash format"),
        ({"hash": {"format": "bcrypt", "rounds": 400}}, "accounts.hash the hash format bcrypt"),
        ({"hash": {"format": "bcrypt", "cots": 4}}, "accounts.hash the hash format bcrypt has no 'cots'"),
        ({"hash": {"format": "bcrypt", "name": "x"}}, "accounts.hash the hash format bcrypt has no 'name'"),
        ({"effects": [{"delete": "sessions"}]}, "accounts.effects[0] would be on the rows of all accounts"),
        ({"effects": [{"delete": "sessions", "where": {"kind": "web"}}]}, "accounts.effects[0] would be on"),
        ({"effects": [{"update": "x", "set": {"a": 1}}]}, "accounts.effects[0] would be on the rows of all"),
        ({"effects": [{"where": {"a": "{id}"}}]}, "accounts.effects[0] does nothing"),
        (
            {"effects": [{"set": {"a": 1}, "where": {"a": "{id}"}}]},
            "accounts.effects[0] is on the account's own row",
        ),
        (
            {"effects": [{"delete": "s", "null": ["a"], "where": {"a": "{id}"}}]},
            "accounts.effects[0] deletes, so",
        ),
        (
            {"effects": [{"set": {"a": "{password}"}}]},
            "accounts.effects[0].set.a holds a brace and is none of",
        ),
        ({"effects": [{"set": {"a b": 1}}]}, "accounts.effects[0].set.a b is no plain name"),
        ({"effects": [{"set": {"pw": "x"}}]}, "accounts has an effect, number 0, that changes pw"),
        ({"effects": [{"null": ["email"]}]}, "accounts has an effect, number 0, that changes email"),
        ({"url": "oracle://u:hunter2@h/d"}, "accounts.url is not of the form"),
        ({"url": "mysql://u:hunter2@h"}, "accounts.url has to name a host and a database"),
        ({"url": "mysql://u:hunter2@h:port/d"}, "accounts.url is not of the form mysql://"),
        ({"url": "mysql://u:hunter2@h/d?tls=perhaps"}, "accounts.url has a tls that is neither"),
        ({"url": "mysql://u:hunter2@h/d?sql_mode=x"}, "accounts.url knows unix_socket, tls and ca"),
        ({"url": "postgresql://u:hunter2@h"}, "accounts.url has to name a host and a database"),
        ({"url": "sqlite:///"}, "accounts.url is not of the form sqlite:///path"),
        ({"url": "sqlite:///:memory:"}, "accounts.url is not of the form sqlite:///path"),
        ({"url": 5}, "accounts.url should be a valid string"),
        ({"preset": "jango"}, "accounts.preset is none of aspnet_identity, better_auth, devise, django"),
        ({"preset": 7}, "accounts.preset should be a valid string"),
        (
            {"password_table": {"table": "account", "account": "userId", "where": {"a": "{x}"}}},
            "accounts.password_table.where.a holds a brace",
        ),
        (
            {"password_table": {"table": "account", "account": "userId", "where": {"a": "{id}"}}},
            "accounts.password_table.where.a is {id}, which stands for something in effects alone",
        ),
        (
            {
                "password_table": {"table": "account", "account": "userId"},
                "effects": [{"update": "account", "set": {"pw": ""}, "where": {"userId": "{id}"}}],
            },
            "accounts has an effect, number 0, that changes pw",
        ),
        (
            {"effects": [{"update": "members", "null": ["email"], "where": {"id": "{id}"}}]},
            "accounts has an effect, number 0, that changes email",
        ),
    ],
)  # fmt: skip -- one line a case
def test_what_is_wrong_is_told_by_its_name(changes: dict[str, object], problem: str) -> None:
    told = problems(**changes)
    assert len(told) == 1
    assert told[0].startswith(problem)
    assert "\n" not in told[0]


def test_all_that_is_wrong_is_told_at_once() -> None:
    told = problems(
        table="a b", url="mysql://h", columns={"id": "id"}, compare="so", x=1, hash={"format": "x"}
    )
    assert [problem.split()[0] for problem in sorted(told)] == [
        "accounts.columns.address",
        "accounts.columns.password",
        "accounts.compare",
        "accounts.hash",
        "accounts.table",
        "accounts.url",
        "accounts.x",
    ]


def test_a_preset_and_a_url_are_all_that_is_needed() -> None:
    for name in preset_names():
        mapping = read_mapping({"preset": name, "url": URL, **SECRETS.get(name, {})})
        assert mapping.preset == name


# What no preset can know.
SECRETS: dict[str, dict[str, object]] = {"flask_security": {"hash": {"password_salt": "hunter2 and more"}}}


def test_what_is_written_wins_over_the_preset_key_by_key() -> None:
    mapping = read_mapping(
        {"preset": "django", "url": URL, "table": "shop_user", "columns": {"id": "uid", "active": ""}}
    )
    assert mapping.table == "shop_user"
    assert mapping.columns.id == "uid"
    assert mapping.columns.address == "email"
    assert mapping.columns.active is None
    assert mapping.hash.format == "django_pbkdf2_sha256"


def test_another_format_takes_no_costs_of_the_presets() -> None:
    mapping = read_mapping({"preset": "laravel", "url": URL, "hash": {"format": "argon2id"}})
    assert mapping.hash.costs == {}
    dearer = read_mapping({"preset": "django", "url": URL, "hash": {"iterations": 2_000_000}})
    assert (dearer.hash.format, dearer.hash.costs) == ("django_pbkdf2_sha256", {"iterations": 2_000_000})


def test_neither_a_preset_nor_a_table_is_told_as_that_alone() -> None:
    with pytest.raises(WrongMapping) as refusal:
        read_mapping({"url": URL})
    (problem,) = refusal.value.problems
    assert problem.startswith("accounts has neither a preset (one of aspnet_identity,")


# ---- where it comes from ----


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.upper().startswith("RESETSVC_"):
            monkeypatch.delenv(name)
    for name, value in NEEDED.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def in_file(environment: pytest.MonkeyPatch, folder: Path, text: str, mode: int = 0o600) -> None:
    path = folder / "resetsvc.toml"
    path.write_text(text)
    path.chmod(mode)
    environment.setenv("RESETSVC_CONFIG", str(path))


def loaded() -> Mapping:
    accounts = load_settings().accounts
    assert isinstance(accounts, Mapping)
    return accounts


def wrong() -> list[str]:
    with pytest.raises(WrongSettings) as refusal:
        load_settings()
    assert "hunter" not in str(refusal.value)
    return list(refusal.value.problems)


def test_without_any_of_it_accounts_are_the_built_in_ones(environment: pytest.MonkeyPatch) -> None:
    assert load_settings().accounts is None
    environment.setenv("RESETSVC_ACCOUNTS_URL", "")
    environment.setenv("RESETSVC_ACCOUNTS_PRESET", "")
    environment.setenv("RESETSVC_ACCOUNTS", "")
    assert load_settings().accounts is None


def test_the_table_of_the_file_is_read(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    in_file(environment, tmp_path, f'[accounts]\npreset = "django"\nurl = "{URL}"\ntable = "shop_user"\n')
    assert loaded().table == "shop_user"


def test_the_environment_wins_over_the_file(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    in_file(environment, tmp_path, f'[accounts]\npreset = "django"\nurl = "{URL}"\ncompare = "exact"\n')
    environment.setenv("RESETSVC_ACCOUNTS_URL", "postgresql://u@elsewhere.example/app")
    environment.setenv("RESETSVC_ACCOUNTS_PRESET", "laravel")
    found = loaded()
    assert found.place.name == "elsewhere.example/app"
    assert found.table == "users"
    assert found.compare == "exact"


def test_two_variables_are_all_that_is_needed(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("RESETSVC_ACCOUNTS_URL", URL)
    environment.setenv("RESETSVC_ACCOUNTS_PRESET", "django")
    assert loaded().table == "auth_user"
    told = load_settings().told()
    assert "hunter2" not in str(told)
    assert "hunter2" not in repr(load_settings())


def test_the_whole_of_it_fits_into_a_variable(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("RESETSVC_ACCOUNTS", json.dumps(WHOLE))
    assert loaded().table == "members"
    environment.setenv("RESETSVC_ACCOUNTS", "{hunter2")
    assert wrong() == ["RESETSVC_ACCOUNTS begins like JSON and is none"]
    environment.setenv("RESETSVC_ACCOUNTS", "[1]")
    assert wrong() == ["RESETSVC_ACCOUNTS is no table"]


def test_wrong_descriptions_are_told_beside_other_wrong_settings(
    environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    in_file(
        environment, tmp_path, '[accounts]\npreset = "django"\n\n[accounts.columns]\nid = "a b"\nidd = "x"\n'
    )
    environment.setenv("RESETSVC_ACCOUNTS_URL", "oracle://u:hunter2@h/d")
    environment.setenv("RESETSVC_TOKEN_TTL", "5")
    told = wrong()
    assert [problem.split()[0] for problem in told] == [
        "RESETSVC_ACCOUNTS_URL",
        "RESETSVC_TOKEN_TTL",
        "accounts.columns.id",
        "accounts.columns.idd",
    ]


def test_a_wrong_preset_in_the_environment_is_told_by_its_variable(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("RESETSVC_ACCOUNTS_URL", URL)
    environment.setenv("RESETSVC_ACCOUNTS_PRESET", "jango")
    assert [problem.split()[0] for problem in wrong()] == ["RESETSVC_ACCOUNTS_PRESET"]


def test_a_file_with_the_databases_password_has_to_be_closed_to_others(
    environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    in_file(environment, tmp_path, f'[accounts]\npreset = "django"\nurl = "{URL}"\n', mode=0o644)
    (problem,) = wrong()
    assert problem.startswith("RESETSVC_ACCOUNTS stands in ")
    assert problem.endswith(f"chmod 600 {tmp_path / 'resetsvc.toml'}")
    in_file(environment, tmp_path, '[accounts]\npreset = "django"\nurl = "sqlite:///a.db"\n', mode=0o644)
    assert loaded().table == "auth_user"


def test_settings_of_a_test_take_a_description_too(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, accounts={"preset": "django", "url": "sqlite:///a.db"})
    assert isinstance(settings.accounts, Mapping)
    assert settings.accounts.table == "auth_user"


# ---- an endpoint in place of a database ----

SECRET = "whsec_" + "hunter2hunter2hunter2hunter2hunter2hunter2aA="[:44]


def test_a_web_address_means_an_endpoint(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    in_file(
        environment, tmp_path, f'[accounts]\nurl = "https://shop.example/accounts"\nsecret = "{SECRET}"\n'
    )
    settings = load_settings()
    assert isinstance(settings.accounts, WebhookMapping)
    assert "hunter2" not in repr(settings)
    assert settings.told()["accounts"] == {"endpoint": "https://shop.example/accounts"}


def test_what_is_wrong_with_an_endpoint_is_told_by_its_name(
    environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    in_file(environment, tmp_path, '[accounts]\nurl = "http://shop.example/accounts"\ntable = "users"\n')
    assert [problem.split()[0] for problem in wrong()] == [
        "accounts.secret",
        "accounts.table",
        "accounts.url",
    ]
    environment.setenv("RESETSVC_ACCOUNTS_URL", "https://u:hunter2@shop.example/accounts")
    assert "RESETSVC_ACCOUNTS_URL" in [problem.split()[0] for problem in wrong()]


def test_a_file_with_an_endpoints_secret_has_to_be_closed_to_others(
    environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    text = f'[accounts]\nurl = "https://shop.example/accounts"\nsecret = "{SECRET}"\n'
    in_file(environment, tmp_path, text, mode=0o644)
    (problem,) = wrong()
    assert problem.startswith("RESETSVC_ACCOUNTS stands in ")
