"""Breached passwords: refused where a service knows them, which learns five digits and can neither stop nor slow anybody."""

import asyncio
import logging
import subprocess
import sys
from pathlib import Path

import pytest
from quart.testing.app import LifespanError
from structlog.testing import capture_logs

from resetsvc.passwords.breach import PATIENCE, open_breach_check
from tests.flow.conftest import (
    ANN,
    FORMS,
    NEW_PASSWORD,
    OLD_PASSWORD,
    RememberedAccounts,
    Running,
    Start,
    text_of,
)
from tests.support.breach_server import BreachServer, Manner, breach_server, sha1
from tests.support.certificates import server_context, write_ca_file
from tests.support.unhurried_loop import loop_time

FAILED = "breach check failed, and the password was let through"


async def with_ann(start: Start, url: str) -> Running:
    running = await start(breach_url=url)
    assert await running.accounts.add(ANN, OLD_PASSWORD)
    return running


# ---- what it says ----


async def test_a_breached_password_is_told_so_and_the_link_lives_on(start: Start) -> None:
    async with breach_server(known={NEW_PASSWORD: 3}) as server:
        running = await with_ann(start, server.url)
        mail = await running.mail_to()
        before = [dict(row) for row in await running.letters_finished(1)]
        told = await running.client.post(mail.link_path, json={"password": NEW_PASSWORD})
        assert told.status_code == 422
        problem = await told.get_json()
        assert problem["code"] == "password_refused"
        (reason,) = problem["reasons"]
        assert reason["code"] == "breached"
        assert "data breach" in reason["detail"]
        for form in ("html", "text"):
            answer = await running.set_password(mail.link_path, headers=FORMS[form])
            assert answer.status_code == 422
            text = await text_of(answer)
            assert reason["detail"] in text
            assert NEW_PASSWORD not in text
        assert [dict(row) for row in await running.letters()] == before
        assert await running.accounts.verify(ANN, OLD_PASSWORD)
        assert (await running.set_password(mail.link_path, "four other words over there")).status_code == 200
        assert await running.accounts.verify(ANN, "four other words over there")


async def test_a_password_that_nobody_knows_is_set(start: Start) -> None:
    async with breach_server(known={"another password": 9}) as server:
        running = await with_ann(start, server.url)
        mail = await running.mail_to()
        with capture_logs() as records:
            assert (await running.set_password(mail.link_path)).status_code == 200
        assert len(server.requests) == 1
        assert FAILED not in {record["event"] for record in records}


async def test_padding_accuses_nobody(start: Start) -> None:
    """Padding is made up: it may happen to be a real hash, and has a count of 0."""
    async with breach_server(known={NEW_PASSWORD: 0}) as server:
        running = await with_ann(start, server.url)
        mail = await running.mail_to()
        assert f"{sha1(NEW_PASSWORD)[5:]}:0" in server.lines(sha1(NEW_PASSWORD)[:5])
        assert (await running.set_password(mail.link_path)).status_code == 200
        assert len(server.requests) == 1


async def test_a_service_that_writes_small_letters_is_understood() -> None:
    async with breach_server(known={NEW_PASSWORD: 1}) as server, open_breach_check(server.url) as breached:
        server.lower_case = True
        assert await breached(NEW_PASSWORD)
        assert not await breached(OLD_PASSWORD)


async def test_it_is_asked_about_what_is_hashed() -> None:
    """After NFC: one keyboard's letters are another one's, and a breached password is breached on both."""
    async with (
        breach_server(known={"caf\u00e9 au lait pour deux": 1}) as server,
        open_breach_check(server.url) as breached,
    ):
        assert await breached("cafe\u0301 au lait pour deux")
        assert not await breached("cafe au lait pour deux")


@pytest.mark.parametrize("end", ["", "/"])
async def test_the_address_may_end_with_a_slash(end: str) -> None:
    async with breach_server() as server, open_breach_check(server.url + end) as breached:
        await breached(NEW_PASSWORD)
        assert server.requests[0].startswith(f"GET /range/{sha1(NEW_PASSWORD)[:5]} HTTP/1.1\r\n".encode())


# ---- what it learns ----


async def test_only_five_digits_leave_the_process(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    """Neither the service nor a log gets to know more, not even with everything at DEBUG."""
    async with breach_server() as server:
        with caplog.at_level(logging.DEBUG), capture_logs() as records:
            running = await with_ann(start, server.url)
            mail = await running.mail_to()
            for password in (NEW_PASSWORD, NEW_PASSWORD.upper()):
                server.known = {password: 2}
                assert (await running.set_password(mail.link_path, password)).status_code == 422
            server.manner = "broken"
            assert (await running.set_password(mail.link_path)).status_code == 200
        asked = [sha1(password)[:5] for password in (NEW_PASSWORD, NEW_PASSWORD.upper(), NEW_PASSWORD)]
        assert server.asked_for == asked
        said = b"".join(server.requests).upper()
        logged = (caplog.text + repr(records)).upper()
        assert "BREACH CHECK FAILED" in logged
        for password in (NEW_PASSWORD, NEW_PASSWORD.upper()):
            digest = sha1(password)
            for secret in (password.upper(), digest[5:], digest[:6], digest[5:12], digest[-8:]):
                assert secret.encode() not in said
                assert secret not in logged
            assert digest[:5] not in logged
        for personal in ("ann", "example", mail.token, "cookie"):
            assert personal.upper().encode() not in said
        for request in server.requests:
            assert b"add-padding: true" in request.lower()
            assert b"user-agent: resetsvc\r\n" in request.lower()
            assert b"accept-encoding: identity" in request.lower()  # its size is what was bounded


async def test_it_is_asked_only_about_what_could_become_a_password(start: Start) -> None:
    async with breach_server(known={NEW_PASSWORD: 1}) as server:
        accounts = RememberedAccounts()
        accounts.put(ANN)
        running = await start(breach_url=server.url, accounts=accounts)
        mail = await running.mail_to()
        for path in ("/reset/x", mail.link_path[:-1], mail.link_path + "A"):
            assert (await running.set_password(path)).status_code in (404, 410)
        for refused in ("short", "aaaaaaaaaaaaaaaaaaaa", "password1234567", f"my {ANN} password", "x" * 1025):
            assert (await running.set_password(mail.link_path, refused)).status_code == 422
        answer = await running.client.post(mail.link_path, json={"password": "four unrelated words \ud800"})
        assert answer.status_code == 422
        assert server.requests == []
        assert (await running.set_password(mail.link_path)).status_code == 422
        assert len(server.requests) == 1
        assert accounts.sealed == []  # and a breached one costs no hash


# ---- what it cannot do ----

# How a service may fail, and what the log says of it.
FAILURES: dict[Manner, str] = {
    "silent": "no answer in time",
    "dripping": "no answer in time",
    "hangs up": "RemoteProtocolError",
    "cut short": "RemoteProtocolError",
    "garbage": "RemoteProtocolError",
    "portal": "an answer in another form",
    "endless": "an answer without end",
    "endless line": "an answer without end",
    "redirect": "answered 302",
    "missing": "answered 404",
    "broken": "answered 500",
    "compressed": "an answer in another form",
}


@pytest.mark.parametrize("manner", list(FAILURES))
async def test_a_service_that_fails_keeps_nobody_from_a_new_password(start: Start, manner: Manner) -> None:
    async with breach_server() as elsewhere, breach_server(known={NEW_PASSWORD: 1}) as server:
        server.manner, server.elsewhere = manner, f"{elsewhere.url}/{sha1(NEW_PASSWORD)[:5]}"
        running = await with_ann(start, server.url)
        mail = await running.mail_to()
        began = loop_time()
        with capture_logs() as records:
            async with asyncio.timeout(10):
                answer = await running.set_password(mail.link_path)
        assert answer.status_code == 200
        assert loop_time() - began < 5 * PATIENCE
        assert await running.accounts.verify(ANN, NEW_PASSWORD)
        told = [record for record in records if record["event"] == FAILED]
        assert [(record["why"], record["log_level"]) for record in told] == [(FAILURES[manner], "warning")]
        assert len(server.requests) == 1
        assert elsewhere.requests == []


async def test_a_redirect_to_itself_is_not_followed_either() -> None:
    async with breach_server() as server, open_breach_check(server.url) as breached:
        server.manner, server.elsewhere = "redirect", "/range/00000"
        assert not await breached(NEW_PASSWORD)
        assert len(server.requests) == 1


async def test_a_service_that_is_down_keeps_nobody_from_a_new_password(start: Start) -> None:
    async with breach_server() as server:
        pass
    running = await with_ann(start, server.url)
    mail = await running.mail_to()
    with capture_logs() as records:
        assert (await running.set_password(mail.link_path)).status_code == 200
    assert [record["why"] for record in records if record["event"] == FAILED] == ["ConnectError"]


async def test_after_a_failure_it_is_asked_again() -> None:
    """Also where the failure left a connection half read."""
    async with breach_server(known={NEW_PASSWORD: 1}) as server, open_breach_check(server.url) as breached:
        for manner in ("silent", "endless", "cut short", "redirect"):
            server.manner = manner
            assert not await breached(NEW_PASSWORD)
            server.manner = "well"
            assert await breached(NEW_PASSWORD)


async def test_however_many_ask_a_service_that_hangs_nobody_waits_longer() -> None:
    """There are fewer connections than questions: waiting for one counts too."""
    async with breach_server() as server, open_breach_check(server.url) as breached:
        server.manner = "silent"
        began = loop_time()
        async with asyncio.timeout(10):
            answers = await asyncio.gather(*(breached(f"{NEW_PASSWORD} {n}") for n in range(100)))
        assert answers == [False] * 100
        # One after another on 16 connections, they would take seven times as long.
        assert PATIENCE * 0.9 < loop_time() - began < 5 * PATIENCE
        assert 1 < len(server.requests) <= 16


async def test_a_handshake_that_hangs_leaves_no_connection_open() -> None:
    """While the service runs, and not only when it ends."""
    ended = asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(4096):
            pass
        writer.close()
        ended.set()

    listening = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    url = f"https://127.0.0.1:{listening.sockets[0].getsockname()[1]}/range"
    async with listening, open_breach_check(url) as breached:
        with capture_logs() as records:
            assert not await breached(NEW_PASSWORD)
        assert [record["why"] for record in records] == ["ConnectTimeout"]
        await asyncio.wait_for(ended.wait(), 5)


async def test_a_forged_certificate_gets_no_question(start: Start) -> None:
    async with breach_server(server_context("unknown CA"), known={NEW_PASSWORD: 1}) as server:
        running = await with_ann(start, server.url)
        mail = await running.mail_to()
        with capture_logs() as records:
            assert (await running.set_password(mail.link_path)).status_code == 200
        assert [record["why"] for record in records if record["event"] == FAILED] == ["ConnectError"]
        assert server.requests == []


async def test_a_certificate_that_the_system_trusts_is_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_ca_file(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    async with (
        breach_server(server_context("good"), known={NEW_PASSWORD: 1}) as server,
        open_breach_check(server.url) as breached,
    ):
        assert await breached(NEW_PASSWORD)


async def test_a_proxy_in_the_environment_gets_no_question(monkeypatch: pytest.MonkeyPatch) -> None:
    async with breach_server() as proxy, breach_server(known={NEW_PASSWORD: 1}) as server:
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url.removesuffix("/range"))
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        async with open_breach_check(server.url) as breached:
            assert await breached(NEW_PASSWORD)
        assert proxy.requests == []


# ---- what it costs those who do not use it ----


async def test_without_the_setting_nobody_is_asked() -> None:
    async with open_breach_check(None) as breached:
        assert not await breached("password")


def test_without_the_setting_nothing_is_loaded() -> None:
    code = "import sys, resetsvc.app, resetsvc.cli; sys.exit('httpx' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


async def test_without_the_extra_the_start_names_it(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "httpx", None)  # as where it is not installed
    with pytest.raises(LifespanError, match=r"pip install 'resetsvc\[breach\]'"):
        await start(breach_url="https://breaches.example/range")


async def test_a_question_that_is_called_off_leaves_the_rest_as_it_was() -> None:
    server: BreachServer
    async with breach_server(known={NEW_PASSWORD: 1}) as server, open_breach_check(server.url) as breached:
        server.manner = "silent"
        for _ in range(20):  # more than there are connections
            asked = len(server.requests)
            question = asyncio.ensure_future(breached(NEW_PASSWORD))
            async with asyncio.timeout(5):
                while len(server.requests) == asked:  # noqa: ASYNC110 -- the server's list sets no event
                    await asyncio.sleep(0.005)
            question.cancel()
            with pytest.raises(asyncio.CancelledError):
                await question
        server.manner = "well"
        assert await breached(NEW_PASSWORD)
