"""`check`: what is in order and what is not, a line each."""

import asyncio
import email
import email.policy
import json
import sqlite3

import pytest
from click.testing import Result

from tests.cli.conftest import Command
from tests.support.relay_on_order import Fault, RelayOnOrder

WORD = "a planted word 7Tz"


async def check(resetsvc: Command, *options: str) -> Result:
    """In a thread, so that the relay can answer meanwhile."""
    return await asyncio.to_thread(resetsvc, "check", *options)


async def findings(resetsvc: Command, *options: str) -> tuple[int, dict[str, tuple[bool, str]]]:
    result = await check(resetsvc, "--json", *options)
    found = {one["check"]: (one["ok"], one["detail"]) for one in json.loads(result.stdout)}
    assert result.stderr == ""
    return result.exit_code, found


async def test_all_in_order(resetsvc: Command) -> None:
    async with RelayOnOrder(credentials=("ann", WORD)) as relay:
        resetsvc.set(smtp_url=relay.url)
        result = await check(resetsvc)
        assert result.exit_code == 0, result.output
        head, *rows = result.stdout.splitlines()
        assert head.split() == ["CHECK", "RESULT", "DETAIL"]
        assert [row.split()[0] for row in rows] == [
            "settings",
            "public",
            "links",
            "templates",
            "database",
            "relay",
        ]
        assert f"127.0.0.1:{relay.port}" in rows[-1]
        assert "logged in" in rows[-1]
        assert WORD not in result.output
        code, found = await findings(resetsvc)
        assert code == 0
        assert all(fine for fine, _ in found.values())
        assert not relay.mails, "looking sends nothing"
        await relay.until(lambda: relay.open_connections == 0)


async def test_it_tells_whether_a_stranger_can_keep_an_owner_without_a_link(resetsvc: Command) -> None:
    async with RelayOnOrder() as relay:
        resetsvc.set(smtp_url=relay.url)
        for settings, told, gap in (
            ({"token_ttl": "1800"}, "work for 30 minutes; who has spent", False),
            ({"token_ttl": "1200"}, "another one each 20", False),
            ({"token_ttl": "1199"}, "a stranger can keep its owner without a link", True),
            ({"token_ttl": "1199", "limit_per_account": "6/hour"}, "another one each 10", False),
            ({"token_ttl": "60", "limit_per_account": ""}, "work for 1 minutes", False),
        ):
            resetsvc.set(**settings)
            code, found = await findings(resetsvc)
            assert code == 0
            fine, detail = found["links"]
            assert fine
            assert told in detail
            assert ("RESETSVC_TOKEN_TTL" in detail) is gap


async def test_a_test_mail_goes_over_every_relay_if_asked_for(resetsvc: Command) -> None:
    async with RelayOnOrder() as first, RelayOnOrder() as second:
        resetsvc.set(smtp_url=f"{first.url} {second.url}")
        code, found = await findings(resetsvc, "--send-to", "Ops.Person@example.com")
        assert code == 0, found
        for relay in (first, second):
            mail = await relay.next_mail()
            assert mail.rcpt_tos == ("ops.person@example.com",)
            assert mail.mail_from == "no-reply@example.com"
            message = email.message_from_bytes(mail.message, policy=email.policy.default)
            assert message["Subject"] == "Test mail from Example"
            assert message["To"] == "ops.person@example.com"
            assert message["Auto-Submitted"] == "auto-generated"
            fine, detail = found[f"relay 127.0.0.1:{relay.port}"]
            assert fine
            assert "o***@example.com" in detail
            assert "ops.person" not in detail


async def test_a_relay_that_is_down_fails_and_the_others_are_looked_at(resetsvc: Command) -> None:
    async with RelayOnOrder() as relay:
        resetsvc.set(smtp_url=f"smtp://127.0.0.1:1?tls=none {relay.url}")
        code, found = await findings(resetsvc)
        assert code == 1
        assert not found["relay 127.0.0.1:1"][0]
        assert found[f"relay 127.0.0.1:{relay.port}"][0]
        table = (await check(resetsvc)).stdout
        assert [line.split()[-2:] and "FAIL" in line for line in table.splitlines()].count(True) == 1


async def test_a_wrong_log_in_is_named_without_it(resetsvc: Command) -> None:
    async with RelayOnOrder(credentials=("ann", "the right word")) as relay:
        resetsvc.set(smtp_url=f"smtp://ann:{WORD.replace(' ', '%20')}@127.0.0.1:{relay.port}?tls=none")
        result = await check(resetsvc)
        assert result.exit_code == 1
        assert "log-in refused" in result.output
        assert "535" in result.output
        assert WORD not in result.output


async def test_a_certificate_that_nobody_vouches_for_is_named(resetsvc: Command) -> None:
    async with RelayOnOrder(tls="starttls", certificate="unknown CA") as relay:
        resetsvc.set(smtp_url=relay.url)
        code, found = await findings(resetsvc)
        assert code == 1
        fine, detail = found[f"relay 127.0.0.1:{relay.port}"]
        assert not fine
        assert "certificate" in detail


async def test_a_relay_without_the_tls_that_is_asked_for_fails(resetsvc: Command) -> None:
    async with RelayOnOrder() as relay:
        resetsvc.set(smtp_url=f"smtp://127.0.0.1:{relay.port}")
        code, found = await findings(resetsvc, "--send-to", "ops@example.com")
        assert code == 1
        assert "TLS" in found[f"relay 127.0.0.1:{relay.port}"][1]
        assert not relay.mails


async def test_a_relay_that_hangs_fails_in_time(resetsvc: Command) -> None:
    async with RelayOnOrder() as relay:
        relay.order(Fault.hang("BANNER"))
        resetsvc.set(smtp_url=relay.url, smtp_timeout="0.3")
        async with asyncio.timeout(10):
            code, found = await findings(resetsvc)
        assert code == 1
        assert not found[f"relay 127.0.0.1:{relay.port}"][0]


async def test_a_test_mail_that_is_refused_fails_with_the_relays_words(resetsvc: Command) -> None:
    async with RelayOnOrder() as relay:
        relay.order(Fault.reply("RCPT", 550, "we do not know <ops.person@example.com>\x1b[2J"))
        resetsvc.set(smtp_url=relay.url)
        result = await check(resetsvc, "--send-to", "ops.person@example.com")
        assert result.exit_code == 1
        assert "550" in result.output
        assert "we do not know" in result.output
        assert "ops.person" not in result.output
        assert "\x1b" not in result.output


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("mails/reset.txt", "{{ link "),
        ("mails/reset.html", "{{ nobody.knows.this }}"),
        ("mails/notice.subject", "{% if %}"),
    ],
)
def test_a_broken_mail_template_is_named(name: str, text: str, resetsvc: Command) -> None:
    template = resetsvc.folder / "templates" / name
    template.parent.mkdir(parents=True)
    template.write_text(text)
    resetsvc.set(templates=str(resetsvc.folder / "templates"))
    result = resetsvc("check")
    assert result.exit_code == 1
    assert "templates" in result.stdout
    line = next(line for line in result.stdout.splitlines() if line.startswith("templates"))
    assert "FAIL" in line


def test_a_broken_page_template_is_named(resetsvc: Command) -> None:
    template = resetsvc.folder / "templates" / "pages" / "ask.html"
    template.parent.mkdir(parents=True)
    template.write_text("{% if %}")
    resetsvc.set(templates=str(resetsvc.folder / "templates"))
    line = next(line for line in resetsvc("check").stdout.splitlines() if line.startswith("templates"))
    assert "FAIL" in line


def test_a_database_that_cannot_be_opened_fails(resetsvc: Command) -> None:
    (resetsvc.folder / "a file").write_text("")
    resetsvc.set(database_url=f"sqlite:///{resetsvc.folder}/a file/resetsvc.db")
    result = resetsvc("check")
    assert result.exit_code == 1
    line = next(line for line in result.stdout.splitlines() if line.startswith("database"))
    assert "FAIL" in line


async def test_accounts_elsewhere_are_looked_at(resetsvc: Command) -> None:
    path = resetsvc.folder / "shop.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE auth_user (id INTEGER PRIMARY KEY, email, password, is_active)")
        connection.execute("INSERT INTO auth_user VALUES (1, 'ann@example.com', '!', 1)")
    connection.close()
    async with RelayOnOrder() as relay:
        resetsvc.set(smtp_url=relay.url, accounts_url=f"sqlite:///{path}", accounts_preset="django")
        code, found = await findings(resetsvc)
        assert code == 0, found
        assert found["accounts"] == (True, f"sqlite {path}, table auth_user, preset django")
        assert "none or unusable 1 (no mail)" in found["accounts hashes"][1]
        assert "ann@" not in str(found)
        resetsvc.set(accounts_preset="laravel")
        code, found = await findings(resetsvc)
        assert code == 1
        assert "look like those of django" in found["accounts columns"][1]


def test_a_wrong_description_of_accounts_is_a_wrong_setting(resetsvc: Command) -> None:
    resetsvc.set(accounts_url="oracle://u:hunter2@h/d", accounts_preset="jango")
    result = resetsvc("check")
    assert result.exit_code == 2
    assert "RESETSVC_ACCOUNTS_URL is not of the form" in result.stdout
    assert "RESETSVC_ACCOUNTS_PRESET is none of" in result.stdout
    assert "hunter2" not in result.output


def test_wrong_settings_are_a_line_each_and_exit_2(resetsvc: Command) -> None:
    resetsvc.set(token_ttl="1", secret_key="short-secret")
    result = resetsvc("check", "--json")
    assert result.exit_code == 2
    found = json.loads(result.stdout)
    assert [one["check"] for one in found] == ["settings", "settings"]
    assert not any(one["ok"] for one in found)
    assert "short-secret" not in result.output
    assert len(resetsvc("check").stdout.splitlines()) == 3


def test_the_public_url_is_shown_and_not_contacted(resetsvc: Command) -> None:
    resetsvc.set(public_url="https://nowhere.invalid")
    shown = resetsvc("check").stdout
    assert "ok      https://nowhere.invalid" in shown
    resetsvc.set(public_url="http://localhost:8000")
    assert "only this machine" in resetsvc("check").stdout
