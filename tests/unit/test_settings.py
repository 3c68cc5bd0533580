"""Every setting with what it takes and refuses; all problems at once, by name, and never a secret among them."""

import base64
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from resetsvc.errors import WrongSettings
from resetsvc.settings import TEST_KEY, Settings, load_settings
from resetsvc.testing import make_settings

KEY = "a-good-long-secret-key-0123456789"
SHORT = "hunter2-secret"
NEEDED = {
    "RESETSVC_SECRET_KEY": KEY,
    "RESETSVC_PUBLIC_URL": "https://reset.example.com",
    "RESETSVC_SMTP_URL": "smtp://127.0.0.1:1025?tls=none",
    "RESETSVC_MAIL_FROM": "Example <no-reply@example.com>",
}
Environment = Callable[..., None]


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
    """An empty folder to start in, and an environment with the needed settings and those given by their short names."""
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.upper().startswith("RESETSVC_"):
            monkeypatch.delenv(name)

    def set_to(**values: str) -> None:
        for name, value in (
            NEEDED | {f"RESETSVC_{name.upper()}": value for name, value in values.items()}
        ).items():
            monkeypatch.setenv(name, value)

    return set_to


def problems(**overrides: object) -> list[str]:
    with pytest.raises(WrongSettings) as refusal:
        load_settings(**overrides)
    return list(refusal.value.problems)


GOOD: list[tuple[str, str, object]] = [
    ("database_url", "sqlite:///a.db", "sqlite:///a.db"),
    ("database_url", "sqlite:////var/lib/a.db", "sqlite:////var/lib/a.db"),
    ("public_url", "https://example.com/accounts/", "https://example.com/accounts"),
    ("public_url", "http://localhost:8000", "http://localhost:8000"),
    ("public_url", "http://127.0.0.1:8000", "http://127.0.0.1:8000"),
    ("public_url", "http://[::1]:8000", "http://[::1]:8000"),
    ("public_url", "http://app.localhost", "http://app.localhost"),
    ("reset_url", "https://app.example.com/#/new?t={token}", "https://app.example.com/#/new?t={token}"),
    ("reset_url", "{public_url}/x/{token}", "{public_url}/x/{token}"),
    ("login_url", "https://app.example.com/login?next=/", "https://app.example.com/login?next=/"),
    ("login_url", "", None),
    ("product_name", "Bäckerei <Müller> & Söhne", "Bäckerei <Müller> & Söhne"),
    ("product_name", "x" * 80, "x" * 80),
    ("token_ttl", "60", 60),
    ("token_ttl", "86400", 86400),
    ("delivery_deadline", "604800", 604800),
    ("smtp_connections", "256", 256),
    ("smtp_timeout", "0.5", 0.5),
    ("mail_from", "no-reply@example.com", "no-reply@example.com"),
    ("mail_from", '"Acme, Inc." <a@example.com>', '"Acme, Inc." <a@example.com>'),
    ("password_min_length", "8", 8),
    ("breach_url", "https://breaches.example/range/", "https://breaches.example/range/"),
    ("breach_url", "http://127.0.0.1:8081", "http://127.0.0.1:8081"),
    ("breach_url", "", None),
    ("events_url", "", None),
    ("argon2_memory", "8192", 8192),
    ("argon2_time", "1", 1),
    ("argon2_parallelism", "64", 64),
    ("argon2_concurrency", "1", 1),
    ("limit_per_client", "", ""),
    ("limit_per_client", " 100 per 5 minutes ", "100 per 5 minutes"),
    ("limit_per_account", "", ""),
    ("limit_per_account", "1/day", "1/day"),
    ("limit_storage_url", "redis://localhost:6379/0", "redis://localhost:6379/0"),
    ("limit_storage_url", "redis://u:p@localhost", "redis://u:p@localhost:6379"),
    (
        "limit_storage_url",
        "rediss://[::1]/2?ssl_ca_certs=/ca.pem",
        "rediss://[::1]:6379/2?ssl_ca_certs=/ca.pem",
    ),
    ("limit_storage_url", "unix:///run/redis.sock?db=1", "unix:///run/redis.sock?db=1"),
    ("trusted_proxies", "2", 2),
    ("cors_origins", "", ()),
    (
        "cors_origins",
        "https://A.example.com http://localhost:3000",
        ("https://a.example.com", "http://localhost:3000"),
    ),
    ("cors_origins", '["https://a.example.com"]', ("https://a.example.com",)),
    ("queue_limit", "1", 1),
    ("retention_days", "1", 1),
    ("dispatch", "false", False),
    ("dispatch", "0", False),
    ("dispatch", "true", True),
    ("templates", ".", Path(".")),
    ("templates", "", None),
    ("locales", ".", Path(".")),
    ("locales", "", None),
    ("log_format", "console", "console"),
    ("log_level", "debug", "debug"),
]  # fmt: skip -- one line a case

BAD: list[tuple[str, str]] = [
    ("database_url", ""),
    ("database_url", "sqlite://"),
    ("database_url", "sqlite:///"),
    ("database_url", "sqlite:///:memory:"),
    ("database_url", "sqlite:///file:x?mode=memory"),
    ("database_url", "mysql://u:hunter2@h/d"),
    ("database_url", "postgresql://u:hunter2@h"),
    ("database_url", "postgresql://u:hunter2@/d"),
    ("database_url", "postgresql:///"),
    ("database_url", "postgresql+asyncpg://u:hunter2@h/d"),
    ("database_url", "postgresql://u:hun:ter2/x@h/d"),
    ("database_url", "postgresql://u:hunter2@h:port/d"),
    ("database_url", "postgresql://u:hunter2@[h/d"),
    ("database_url", "postgresql://u:hunter2@h/d?pool_size=1"),
    ("database_url", "postgresql://u:hunter2@h/d?pool_size=many"),
    ("database_url", "postgresql://u:hunter2@h/d?pgbouncer=perhaps"),
    ("database_url", "postgresql://u:hunter2@h/d?pool_size"),
    ("database_url", "var/a.db"),
    ("secret_key", ""),
    ("secret_key", SHORT),
    ("secret_key", "a" * 64),
    ("secret_key", "abcabcab" * 8),
    ("secret_key", "hunter2" * 10),
    ("secret_key", KEY[:31]),
    ("secret_key", "changeme-changeme2-changeme3-changeme4"),
    ("secret_key", "CHANGE_ME: 8c1fd7a01bd44c5c9ad0d2b3"),
    ("secret_key", "please change this 4f1f9c7be05b2c27"),
    ("secret_key", "your-secret-key-here-8c1fd7a01bd44c"),
    ("secret_key", "django-insecure-8c1fd7a01bd44c5c9ad0"),
    ("secret_key", "correct horse battery staple, and so on"),
    ("secret_key", "qwertyuiopasdfghjklzxcvbnm1234567890"),
    ("secret_key", TEST_KEY),
    ("secret_key_fallbacks", json.dumps([TEST_KEY])),
    ("secret_key_fallbacks", "changeme-changeme2-changeme3-changeme4"),
    ("secret_key_fallbacks", SHORT),
    ("secret_key_fallbacks", KEY + " " + SHORT),
    ("secret_key_fallbacks", "[hunter2"),
    ("secret_key_fallbacks", '["hunter2"]'),
    ("secret_key_fallbacks", "[1]"),
    ("secret_key_fallbacks", "x" * 40),
    ("public_url", ""),
    ("public_url", "reset.example.com"),
    ("public_url", "http://reset.example.com"),
    ("public_url", "http://localhost.example.com"),
    ("public_url", "http://127.0.0.1.example.com"),
    ("public_url", "ftp://reset.example.com"),
    ("public_url", "https://"),
    ("public_url", "https://u:hunter2@example.com"),
    ("public_url", "https://example.com?x=1"),
    ("public_url", "https://example.com#x"),
    ("public_url", "javascript:alert(1)"),
    ("public_url", "https://example.com/a b"),
    ("public_url", 'https://example.com/"x'),
    ("public_url", "https://example.com/\n"),
    ("public_url", "https://example.com/\u200b"),
    ("public_url", "https://[::1"),
    ("public_url", "https://example.com:99999"),
    ("public_url", "https://hunter2\u2100.example.com"),
    ("public_url", "//example.com"),
    ("reset_url", ""),
    ("reset_url", "https://app.example.com/"),
    ("reset_url", "https://app.example.com/{token}/{token}"),
    ("reset_url", "http://app.example.com/{token}"),
    ("reset_url", "https://app.example.com/{token}/{id}"),
    ("reset_url", "/reset/{token}"),
    ("reset_url", "javascript:{token}"),
    ("reset_url", "https://a.example.com/<{token}>"),
    ("reset_url", "https://app.example.com/{ token }"),
    ("login_url", "/login"),
    ("login_url", "javascript:alert(1)"),
    ("login_url", "http://app.example.com"),
    ("product_name", ""),
    ("product_name", "x" * 81),
    ("product_name", "a\nb"),
    ("product_name", "a\rBcc: x@y.z"),
    ("product_name", "a\u2028b"),
    ("product_name", "\ue000link\ue001"),
    ("product_name", "a\u202eb"),
    ("token_ttl", "59"),
    ("token_ttl", "86401"),
    ("token_ttl", ""),
    ("token_ttl", "30 minutes"),
    ("token_ttl", "nan"),
    ("token_ttl", "-1800"),
    ("delivery_deadline", "59"),
    ("delivery_deadline", "604801"),
    ("delivery_deadline", "1e99"),
    ("smtp_url", ""),
    ("smtp_url", "http://h"),
    ("smtp_url", "smtp://u:hunter2@h/x"),
    ("smtp_url", "smtp://h smtp://u:hunter2@h:x"),
    ("smtp_url", "smtp://u:hunter2\u2100@h"),
    ("smtp_url", "[]"),
    ("smtp_url", '["smtp://h", 1]'),
    ("smtp_connections", "0"),
    ("smtp_connections", "257"),
    ("smtp_timeout", "0"),
    ("smtp_timeout", "601"),
    ("smtp_timeout", "nan"),
    ("smtp_timeout", "inf"),
    ("mail_from", ""),
    ("mail_from", "Example"),
    ("mail_from", "a@example.com, b@example.com"),
    ("mail_from", "Example <>"),
    ("mail_from", "Ex\nBcc: x@y.z <a@example.com>"),
    ("mail_from", "a@example.com\r\nBcc: x@y.z"),
    ("mail_from", "a@exa mple.com"),
    ("password_min_length", "7"),
    ("password_min_length", "129"),
    ("events_url", "http://www.example.com/hooks"),
    ("events_url", "https://u:hunter2@www.example.com/hooks"),
    ("events_url", "https://www.example.com/hooks#top"),
    ("events_secret", "hunter2"),
    ("events_secret", "whsec_hunter2!"),
    ("events_secret", "whsec_aHVudGVyMg=="),
    ("breach_url", "http://breaches.example/range"),
    ("breach_url", "breaches.example/range"),
    ("breach_url", "https://u:hunter2@breaches.example/range"),
    ("breach_url", "https://breaches.example/range?prefix="),
    ("breach_url", "https://breaches.example/range#"),
    ("breach_url", "https://breaches.example/ra nge"),
    ("breach_url", "ftp://breaches.example/range"),
    ("argon2_memory", "8191"),
    ("argon2_memory", "4194305"),
    ("argon2_time", "0"),
    ("argon2_parallelism", "0"),
    ("argon2_concurrency", "0"),
    ("argon2_concurrency", "65"),
    ("limit_per_client", "20"),
    ("limit_per_client", "20/fortnight"),
    ("limit_per_client", "0/minute"),
    ("limit_per_client", "-1/minute"),
    ("limit_per_client", "20/minute;100/hour"),
    ("limit_per_account", "none"),
    ("limit_per_account", "0/hour"),
    ("limit_per_account", "3/hour 10/day"),
    ("limit_storage_url", ""),
    ("limit_storage_url", "memcached://u:hunter2@h"),
    ("limit_storage_url", "redis://"),
    ("limit_storage_url", "redis://u:hunter2@h:port/0"),
    ("limit_storage_url", "redis://u:hunter2@h:0/0"),
    ("limit_storage_url", "redis://u:hunter2@h:65536/0"),
    ("limit_storage_url", "redis://u:hunter2@[h/0"),
    ("limit_storage_url", "redis://u:hun/ter2@h/0"),
    ("limit_storage_url", "redis://u:hunter2@h/first"),
    ("limit_storage_url", "redis://u:hunter2@h,i:6379/0"),
    ("limit_storage_url", "redis://u:hunter2@h/0?db=first"),
    ("limit_storage_url", "redis://u:hunter2@h/0?hunter2=1"),
    ("limit_storage_url", "rediss://u:hunter2@h/0?ssl_cert_reqs=none"),
    ("limit_storage_url", "redis://u:hunter2@h/0?db"),
    ("limit_storage_url", "unix://"),
    ("trusted_proxies", "-1"),
    ("trusted_proxies", "17"),
    ("trusted_proxies", "all"),
    ("cors_origins", "*"),
    ("cors_origins", "https://*.example.com"),
    ("cors_origins", "https://a.example.com/"),
    ("cors_origins", "https://a.example.com/x"),
    ("cors_origins", "a.example.com"),
    ("cors_origins", "null"),
    ("cors_origins", "https://[::1"),
    ("cors_origins", "[https://a.example.com"),
    ("cors_origins", "https://a.example.com, https://b.example.com"),
    ("queue_limit", "0"),
    ("queue_limit", "-5"),
    ("retention_days", "0"),
    ("ops_token", SHORT),
    ("dispatch", "perhaps"),
    ("dispatch", ""),
    ("templates", "no-such-folder"),
    ("locales", "no-such-folder"),
    ("log_format", "xml"),
    ("log_level", "loud"),
]  # fmt: skip -- one line a case


@pytest.mark.parametrize(("name", "value", "expected"), GOOD)
def test_a_good_value_is_taken(name: str, value: str, expected: object, environment: Environment) -> None:
    environment(**{name: value})
    assert getattr(load_settings(), name) == expected


@pytest.mark.parametrize(("name", "value"), BAD)
def test_a_wrong_value_is_told_by_its_name_and_without_itself(
    name: str, value: str, environment: Environment
) -> None:
    environment(**{name: value})
    (problem,) = problems()
    assert problem.startswith(f"RESETSVC_{name.upper()} ")
    assert "hunter" not in problem
    assert len(value) < 12 or value.strip() not in problem
    assert "\n" not in problem


def test_events_go_where_the_settings_say_and_only_signed(environment: Environment) -> None:
    url = "https://www.example.com/hooks?from=resets"
    environment(events_url=url)
    assert problems() == [
        "RESETSVC_EVENTS_SECRET is missing: RESETSVC_EVENTS_URL is told nothing that is not signed"
    ]
    first, second = ("whsec_" + base64.b64encode(bytes(range(n, n + 32))).decode() for n in (1, 2))
    environment(events_url=url, events_secret=f"{first} {second}")
    settings = load_settings()
    assert settings.events_url == url
    assert [secret.get_secret_value() for secret in settings.events_secret] == [first, second]
    assert first not in repr(settings)
    assert first not in str(settings.told())


def test_every_setting_has_a_value_that_it_takes_and_one_that_it_refuses() -> None:
    needs_other_tests = {"secret_key", "secret_key_fallbacks", "smtp_url", "ops_token", "events_secret"}
    in_test_mapping = {"accounts", "accounts_url", "accounts_preset"}
    assert {name for name, _, _ in GOOD} | needs_other_tests | in_test_mapping == set(Settings.model_fields)
    assert {name for name, _ in BAD} | in_test_mapping == set(Settings.model_fields)


def test_the_defaults_are_those_of_the_contract(environment: Environment) -> None:
    environment()
    settings = load_settings()
    assert settings.model_dump(exclude={"secret_key"}) == {
        "database_url": "sqlite:///var/resetsvc.db",
        "accounts_url": None,
        "accounts_preset": None,
        "accounts": None,
        "secret_key_fallbacks": (),
        "public_url": "https://reset.example.com",
        "reset_url": "{public_url}/reset/{token}",
        "login_url": None,
        "product_name": "Your account",
        "token_ttl": 1800,
        "delivery_deadline": 14400,
        "smtp_url": ("smtp://127.0.0.1:1025?tls=none",),
        "smtp_connections": 8,
        "smtp_timeout": 30,
        "mail_from": "Example <no-reply@example.com>",
        "password_min_length": 15,
        "breach_url": None,
        "events_url": None,
        "events_secret": (),
        "argon2_memory": 19456,
        "argon2_time": 2,
        "argon2_parallelism": 1,
        "argon2_concurrency": 2,
        "limit_per_client": "20/minute",
        "limit_per_account": "3/hour",
        "limit_storage_url": "memory://",
        "trusted_proxies": 0,
        "cors_origins": (),
        "queue_limit": 100000,
        "retention_days": 30,
        "ops_token": None,
        "dispatch": True,
        "templates": None,
        "locales": None,
        "log_format": "json",
        "log_level": "info",
    }  # fmt: skip -- as a table
    assert settings.reset_link("T") == "https://reset.example.com/reset/T"
    assert settings.cancel_link("T") == "https://reset.example.com/reset/T/cancel"
    assert settings.ask_link == "https://reset.example.com/reset-password"


def test_what_is_needed_and_missing_is_told_all_at_once(environment: Environment) -> None:
    assert problems() == [f"{name} is missing" for name in sorted(NEEDED)]


def test_all_that_is_wrong_is_told_at_once(environment: Environment, tmp_path: Path) -> None:
    environment(
        token_ttl="5", secret_key=SHORT, smtp_url="smtp://u:hunter2@h:x", tokn_ttl="600", log_level="loud"
    )
    (tmp_path / ".env").write_text("RESETSVC_PRODCUT_NAME=x\nRESETSVC_QUEUE_LIMIT=0\nOTHER=1\n")
    told = problems()
    assert [problem.split()[0] for problem in told] == [
        "RESETSVC_LOG_LEVEL",
        "RESETSVC_PRODCUT_NAME",
        "RESETSVC_QUEUE_LIMIT",
        "RESETSVC_SECRET_KEY",
        "RESETSVC_SMTP_URL",
        "RESETSVC_TOKEN_TTL",
        "RESETSVC_TOKN_TTL",
    ]  # fmt: skip -- as a list
    assert "hunter" not in " ".join(told)
    assert "RESETSVC_PRODCUT_NAME (in .env) is no setting" in told
    assert "RESETSVC_TOKN_TTL (in the environment) is no setting" in told


@pytest.mark.parametrize(
    "secrets",
    [
        {"secret_key": KEY, "secret_key_fallbacks": f"{KEY}-older", "ops_token": "0123456789abcdef-ops"},
        {"smtp_url": "smtp://robot:hunter2%21@mail.example.com"},
    ],
)
def test_a_secret_is_not_in_what_is_printed_of_settings(
    secrets: dict[str, str], environment: Environment
) -> None:
    environment(**secrets)
    settings = load_settings()
    shown = repr(settings.relays) + "".join(
        repr(getattr(settings, name)) for name in ("secret_key", "secret_key_fallbacks", "ops_token")
    )
    for secret in (*secrets.values(), "hunter2"):
        assert secret not in shown


def test_an_empty_token_of_operations_is_none(environment: Environment) -> None:
    environment(ops_token="")
    assert load_settings().ops_token is None
    environment(ops_token="0123456789abcdef")
    token = load_settings().ops_token
    assert token is not None
    assert token.get_secret_value() == "0123456789abcdef"


@pytest.mark.parametrize("form", [" ".join, json.dumps, "\n".join])
def test_older_keys_come_newest_first_and_the_present_one_signs(
    form: Callable[[list[str]], str], environment: Environment
) -> None:
    old, older = f"{KEY}-old", f"{KEY}-older"
    environment(secret_key_fallbacks=form([old, older]))
    assert load_settings().keys == (older, old, KEY)


def test_relays_keep_their_order(environment: Environment) -> None:
    environment(smtp_url="smtps://a.example.com  smtp://b.example.com\tsmtp://c.example.com?tls=none")
    assert [relay.name for relay in load_settings().relays] == [
        "a.example.com:465",
        "b.example.com:587",
        "c.example.com:25",
    ]


def write_toml(folder: Path, **values: Any) -> str:
    file = folder / "resetsvc.toml"
    file.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items()), "utf-8")
    file.chmod(0o600)
    return str(file)


def test_the_environment_wins_over_the_env_file_and_that_over_the_toml_file(
    environment: Environment, tmp_path: Path
) -> None:
    environment(
        config=write_toml(tmp_path, token_ttl=100, product_name="toml", delivery_deadline=100),
        product_name="environment",
    )
    (tmp_path / ".env").write_text("RESETSVC_TOKEN_TTL=200\nRESETSVC_PRODUCT_NAME=dotenv\n")
    settings = load_settings()
    assert (settings.delivery_deadline, settings.token_ttl, settings.product_name) == (
        100,
        200,
        "environment",
    )
    assert load_settings(product_name="by hand").product_name == "by hand"


def test_a_toml_file_takes_its_own_types(environment: Environment, tmp_path: Path) -> None:
    relays = ["smtp://a.example.com", "smtp://b.example.com"]
    config = write_toml(
        tmp_path,
        cors_origins=["https://a.example.com"],
        dispatch=False,
        token_ttl=600,
        smtp_timeout=2.5,
        secret_key_fallbacks=[KEY],
    )
    environment(config=config, smtp_url=" ".join(relays))
    settings = load_settings()
    assert settings.cors_origins == ("https://a.example.com",)
    assert (settings.dispatch, settings.token_ttl, settings.smtp_timeout) == (False, 600, 2.5)
    assert settings.keys == (KEY, KEY)
    assert settings.smtp_url == tuple(relays)


@pytest.mark.parametrize("name", ["tokn_ttl", "resetsvc_token_ttl", "smtp", "TOKEN_TTL"])
def test_a_name_in_the_toml_file_works_or_is_told_to_be_none(
    name: str, environment: Environment, tmp_path: Path
) -> None:
    """Never passed over: a typing error would leave the default in force."""
    environment(config=write_toml(tmp_path, **{name: 777}))
    try:
        settings = load_settings()
    except WrongSettings as told:
        assert told.problems == (f"{name} (in the file named by RESETSVC_CONFIG) is no setting",)  # noqa: PT017 -- either is right
    else:
        assert settings.token_ttl == 777


def test_a_toml_file_with_a_wrong_value_is_told_without_it(environment: Environment, tmp_path: Path) -> None:
    environment(config=write_toml(tmp_path, ops_token=SHORT, token_ttl=5))
    told = problems()
    assert [problem.split()[0] for problem in told] == ["RESETSVC_OPS_TOKEN", "RESETSVC_TOKEN_TTL"]
    assert "hunter" not in str(told)


@pytest.mark.parametrize(
    "content", [b"secret_key = 'hunter2", b"= 5", b"[[[", b"\xff\xfe\x00", b"a = 1\na = 2", b"\0"]
)
def test_a_file_that_is_no_toml_is_one_plain_problem(
    content: bytes, environment: Environment, tmp_path: Path
) -> None:
    file = tmp_path / "broken.toml"
    file.write_bytes(content)
    environment(config=str(file))
    (problem,) = problems()
    assert "RESETSVC_CONFIG" in problem
    assert "hunter" not in problem


@pytest.mark.parametrize("config", ["no-such-file.toml", "."])
def test_a_toml_file_that_is_not_there_is_told(config: str, environment: Environment) -> None:
    environment(config=config)
    assert problems() == ["RESETSVC_CONFIG names a file that does not exist"]


def test_an_env_file_that_is_no_text_is_told(environment: Environment, tmp_path: Path) -> None:
    environment()
    (tmp_path / ".env").write_bytes(b"RESETSVC_TOKEN_TTL=\xff\xfe\n")
    (problem,) = problems()
    assert ".env" in problem


def test_names_of_the_test_suite_and_of_others_are_left_alone(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment(test_postgresql_url="x")
    monkeypatch.setenv("RESETSVCX", "y")
    assert load_settings().token_ttl == 1800


def test_a_lower_case_name_is_taken_as_the_same(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment()
    monkeypatch.setenv("resetsvc_token_ttl", "600")
    assert load_settings().token_ttl == 600
    monkeypatch.setenv("resetsvc_tokn_ttl", "600")
    assert len(problems()) == 1


def test_settings_do_not_change_once_read(environment: Environment) -> None:
    environment()
    with pytest.raises(ValueError, match="frozen"):
        setattr(load_settings(), "token_ttl", 5)  # noqa: B010 -- mypy knows that it is frozen


def test_the_path_of_the_service_is_that_of_its_public_address(environment: Environment) -> None:
    environment(public_url="https://example.com/accounts/")
    assert load_settings().base_path == "/accounts"
    assert load_settings().ask_link == "https://example.com/accounts/reset-password"
    environment(public_url="https://example.com")
    assert load_settings().base_path == ""


# ---- keys that are no secret ----


@pytest.mark.parametrize("value", [value for name, value in BAD if name == "secret_key" and value])
def test_whoever_has_a_key_that_is_none_is_told_how_to_make_one(value: str, environment: Environment) -> None:
    environment(secret_key=value)
    (problem,) = problems()
    assert problem.endswith("`resetsvc keygen` makes a good one")


def test_the_key_of_the_fixtures_is_for_the_fixtures_only(environment: Environment, tmp_path: Path) -> None:
    assert make_settings(tmp_path).keys == (TEST_KEY,)
    environment(secret_key=TEST_KEY)
    assert "public" in problems()[0]


@pytest.mark.parametrize("name", ["secret_key", "secret_key_fallbacks"])
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o602, 0o620, 0o601])
@pytest.mark.parametrize("kind", [".env", "toml"])
def test_a_key_in_a_file_that_others_can_read_is_refused_with_the_way_out(
    kind: str, mode: int, name: str, environment: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = key_file(kind, tmp_path, monkeypatch, environment, **{name: KEY})
    file.chmod(mode)
    shown = ".env" if kind == ".env" else str(file)
    assert problems() == [
        f"RESETSVC_{name.upper()} stands in {shown}, which others than its owner can read or write: chmod 600 {shown}"
    ]
    file.chmod(0o600)
    assert KEY in load_settings().keys
    file.chmod(0o400)
    assert KEY in load_settings().keys


def key_file(
    kind: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    environment: Environment,
    **values: str,
) -> Path:
    """A file with these settings, and all that is needed besides in the environment."""
    if kind == "toml":
        file = Path(write_toml(folder, **values))
        environment(config=str(file))
    else:
        file = folder / ".env"
        file.write_text("".join(f"RESETSVC_{name.upper()}={value}\n" for name, value in values.items()))
        environment()
    for name in values:
        monkeypatch.delenv(f"RESETSVC_{name.upper()}", raising=False)
    return file


@pytest.mark.parametrize("kind", [".env", "toml"])
def test_a_file_that_others_can_read_may_hold_everything_but_keys(
    kind: str, environment: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key_file(kind, tmp_path, monkeypatch, environment, product_name="Acme").chmod(0o644)
    assert load_settings().product_name == "Acme"


@pytest.mark.parametrize("kind", [".env", "toml"])
def test_a_key_in_a_file_that_is_not_the_one_that_counts_is_nobodys_business(
    kind: str, environment: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says that the key comes from that file, so it has to."""
    key_file(kind, tmp_path, monkeypatch, environment, secret_key="an old one: 8c1fd7a01bd44c5c9ad0").chmod(
        0o644
    )
    monkeypatch.setenv("resetsvc_secret_key" if kind == "toml" else "RESETSVC_SECRET_KEY", KEY)
    assert load_settings().keys == (KEY,)
    monkeypatch.undo()


def test_of_two_files_with_a_key_the_one_that_counts_has_to_be_closed(
    environment: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toml = key_file("toml", tmp_path, monkeypatch, environment, secret_key=f"{KEY}-toml")
    dotenv = tmp_path / ".env"
    dotenv.write_text(f"RESETSVC_SECRET_KEY={KEY}\n")
    toml.chmod(0o644)
    dotenv.chmod(0o600)
    assert load_settings().keys == (KEY,)
    toml.chmod(0o600)
    dotenv.chmod(0o644)
    assert [problem.split(",")[0] for problem in problems()] == ["RESETSVC_SECRET_KEY stands in .env"]
    assert load_settings(secret_key=f"{KEY}-by-hand").keys == (f"{KEY}-by-hand",)


def test_a_link_to_a_file_is_as_open_as_the_file(
    environment: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = key_file("toml", tmp_path, monkeypatch, environment, secret_key=KEY)
    file.chmod(0o600)
    link = tmp_path / "link to it.toml"
    link.symlink_to(file)
    monkeypatch.setenv("RESETSVC_CONFIG", str(link))
    assert load_settings().keys == (KEY,)
    file.chmod(0o644)
    (problem,) = problems()
    assert problem.endswith(f"chmod 600 '{link}'")


def test_a_file_that_others_can_read_is_told_together_with_all_that_is_wrong(
    environment: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key_file(".env", tmp_path, monkeypatch, environment, secret_key=SHORT, token_ttl="5").chmod(0o644)
    told = problems()
    assert [problem.split()[1] for problem in told] == ["needs", "stands", "should"]
    assert "hunter" not in str(told)


@pytest.mark.parametrize("kind", [".env", "toml"])
def test_an_address_of_accounts_that_is_none_is_one_more_problem_and_not_an_error(
    kind: str, environment: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It might hold a password, as far as anybody can tell."""
    file = key_file(kind, tmp_path, monkeypatch, environment, accounts_url="https://ann:hunter2@[::1")
    file.chmod(0o644)
    open_to_others = problems()
    file.chmod(0o600)
    closed = problems()
    assert closed
    assert "hunter2" not in str(open_to_others)
    (more,) = set(open_to_others) - set(closed)
    assert more.startswith("RESETSVC_ACCOUNTS_URL stands in ")
