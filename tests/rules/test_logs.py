"""No secret in any log: a whole reset over real sockets with planted secrets, then a search in all that was left behind."""

import base64
import email
import email.policy
import re
import sys
from email.message import EmailMessage
from pathlib import Path
from urllib.parse import quote, urlsplit

import httpx
import pytest

from tests.cli.processes import SECRETS, add_account, environment, run, running
from tests.support.relay_on_order import Fault, RelayOnOrder

ADDRESS = "planted.address-7Qx@example.com"
UNKNOWN = "planted.unknown-8Wd@example.com"
OLD = "an old passphrase of hers 5Vb"
NEW = "a planted passphrase of 9Ks"
REFUSED = "planted 1x"
LOGIN = ("planted-user-3Gh", "planted smtp pa$$word 4Lm")

# Every logger that exists is set to DEBUG before the command runs, as somebody in search of a fault would do.
LOUD = """
import logging, sys
import aiosmtplib, aiosqlite, databases, hypercorn, quart, limits, alembic, sqlalchemy, uvloop
import resetsvc.app, resetsvc.cli
for name in list(logging.root.manager.loggerDict) + ["aiosmtplib", "aiosqlite", "databases", "quart.app", "asyncio"]:
    logging.getLogger(name).setLevel(logging.DEBUG)
logging.root.setLevel(logging.DEBUG)
resetsvc.cli.main(prog_name="resetsvc")
"""


def traces_of(secret: str) -> set[bytes]:
    """The ways in which a text may stand somewhere: as it is, in a URL, in base64 (SMTP's log-in)."""
    plain = secret.encode()
    return {plain, quote(secret, safe="").encode(), base64.b64encode(plain), repr(secret)[1:-1].encode()}


def assert_not_in(where: str, content: bytes, secrets: dict[str, str]) -> None:
    lower = content.lower()
    for name, secret in secrets.items():
        for trace in traces_of(secret):
            at = lower.find(trace.lower())
            assert at < 0, f"{name} is in {where}: …{content[max(0, at - 80) : at + 80]!r}…"


@pytest.mark.parametrize("log_format", ["json", "console"])
async def test_no_secret_is_left_behind_anywhere(log_format: str, tmp_path: Path) -> None:
    async with RelayOnOrder(credentials=LOGIN) as relay:
        env = environment(
            tmp_path,
            relay.url,
            log_format=log_format,
            log_level="debug",
            ops_token=SECRETS["ops"],
            public_url="http://127.0.0.1",
        )
        await add_account(env, ADDRESS.lower(), OLD)
        await add_account(env, "other@example.com", OLD)
        # What relays say may quote a link or an address: a refusal that does, then a mail that goes through.
        relay.order(Fault.reply("RCPT", 451, f"<{ADDRESS}> try later"), times=1)
        async with running(
            "serve", "--bind", "127.0.0.1:0", env=env, cwd=tmp_path, program=[sys.executable, "-c", LOUD]
        ) as server:
            await server.until(lambda said: "serving" in said)
            port = re.search(r"127\.0\.0\.1:(\d+)", server.said)
            assert port is not None
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port[1]}") as client:
                answers = [
                    await client.post("/reset-password", data={"email": address})
                    for address in (ADDRESS, UNKNOWN)
                ]
                assert {answer.status_code for answer in answers} == {200}
                await server.until(lambda said: "try later" in said)
                # The retry is a quarter of a minute away; another request's mail is not.
                answers.append(await client.post("/reset-password", json={"email": "other@example.com"}))
                mail = await relay.next_mail()
                link = link_in(mail.message)
                token = link.rpartition("/")[2]
                path = urlsplit(link).path
                answers += [
                    await client.get(path),
                    await client.get(f"{path}x"),
                    await client.post(path, json={"password": REFUSED}),
                    await client.post(f"{path}x", data={"password": NEW}),
                    await client.post(
                        path, content=b"\xff" + token.encode(), headers={"Content-Type": "application/json"}
                    ),
                    await client.put(path, content=NEW.encode()),
                    await client.get(f"/nowhere/{token}?password={quote(NEW)}"),
                    await client.post(f"/reset-password?email={ADDRESS}", json={"email": [ADDRESS, token]}),
                    await client.get("/metrics", headers={"Authorization": "Bearer wrong"}),
                ]
                changed = await client.post(path, data={"password": NEW})
                assert changed.status_code == 200
                notice = await relay.next_mail()
                assert b"Your password was changed" in notice.message
                answers.append(await client.post(path, data={"password": NEW}))
                answers.append(await client.get(f"{path}/cancel"))
                figures = await client.get("/metrics", headers={"Authorization": f"Bearer {SECRETS['ops']}"})
                assert figures.status_code == 200
            assert await server.stop() == 0

        log = server.said.encode()
        assert b"request" in log
        assert b"letter attempt" in log
        shown = await run("letters", "list", "--json", env=env, cwd=tmp_path)
        told = await run("check", env=env, cwd=tmp_path)

    never_anywhere = {
        "the token": token,
        "the link": link,
        "the old password": OLD,
        "the new password": NEW,
        "the refused password": REFUSED,
        "the SMTP password": LOGIN[1],
        "the ops token": SECRETS["ops"],
        "the secret key": SECRETS["key"],
    }
    addresses = {
        "an address": ADDRESS,
        "an address of nobody": UNKNOWN,
        "another address": "other@example.com",
    }
    for where, content in {
        "the log": log,
        "letters list": shown.said.encode(),
        "check": told.said.encode(),
    }.items():
        assert_not_in(where, content, {**never_anywhere, **addresses, "the SMTP user": LOGIN[0]})
    for answer in answers:
        body = (
            answer.content
            if answer.status_code >= 400 and "html" not in answer.headers["content-type"]
            else b""
        )
        where = f"{answer.request.method} {answer.request.url.path}: {answer.status_code}"
        assert_not_in(where, body + str(answer.headers).encode(), {**never_anywhere, **addresses})
    assert_not_in("the metrics", figures.content, {**never_anywhere, **addresses})

    kept = b"".join(path.read_bytes() for path in sorted(tmp_path.glob("resetsvc.db*")))
    assert ADDRESS.lower().encode() in kept, "this test looks into the wrong file"
    assert_not_in("the database", kept, {**never_anywhere, "the SMTP user": LOGIN[0]})


def link_in(message: bytes) -> str:
    parsed = email.message_from_bytes(message, policy=email.policy.default)
    assert isinstance(parsed, EmailMessage)
    part = parsed.get_body(("plain",))
    assert part is not None
    found = re.search(r"^(https?://\S+)$", part.get_content().replace("\r\n", "\n"), re.MULTILINE)
    assert found is not None
    return found[1]
