"""The commands with `[accounts]` in a file: a whole reset over real sockets, what is left behind of it, and what `check` says."""

import json
import re
from pathlib import Path

import httpx
import pytest

from tests.accounts_webhook.test_questions import ANN, NEW_PASSWORD, OLD_PASSWORD
from tests.cli.processes import environment, run, running
from tests.rules.test_logs import assert_not_in, link_in
from tests.support.accounts_endpoint import OTHER_SECRET, SECRET, AccountsEndpoint
from tests.support.relay_on_order import RelayOnOrder


@pytest.fixture
def config(tmp_path: Path, endpoint: AccountsEndpoint) -> Path:
    path = tmp_path / "resetsvc.toml"
    path.write_text(f'[accounts]\nurl = "{endpoint.url}"\nsecret = "{SECRET}"\n', "utf-8")
    path.chmod(0o600)
    return path


async def test_a_whole_reset_by_the_commands_leaves_no_secret_behind(
    endpoint: AccountsEndpoint, config: Path, tmp_path: Path
) -> None:
    ann = endpoint.add(ANN, version=987654321)
    async with RelayOnOrder() as relay:
        env = environment(
            tmp_path, relay.url, config=str(config), log_level="debug", public_url="http://127.0.0.1"
        )
        async with running("serve", "--bind", "127.0.0.1:0", env=env, cwd=tmp_path) as server:
            await server.until(lambda said: "serving" in said)
            port = re.search(r"127\.0\.0\.1:(\d+)", server.said)
            assert port is not None
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port[1]}") as client:
                for address in ("nobody@example.com", ANN):
                    assert (
                        await client.post("/reset-password", data={"email": address})
                    ).text == "Email sent"
                link = link_in((await relay.next_mail()).message)
                path = httpx.URL(link).path
                endpoint.manner = "500"
                assert (await client.get(path)).status_code == 503
                endpoint.manner = "well"
                assert (await client.get(path)).status_code == 200
                assert (await client.post(path, data={"password": NEW_PASSWORD})).status_code == 200
                assert b"Your password was changed" in (await relay.next_mail()).message
                assert (await client.post(path, data={"password": OLD_PASSWORD})).status_code == 410
            assert await server.stop() == 0
        log = server.said.encode()
    assert (ann.password, endpoint.changes) == (NEW_PASSWORD, 1)
    assert b"accounts endpoint failed" in log
    secrets = {
        "the new password": NEW_PASSWORD,
        "the old password": OLD_PASSWORD,
        "the version": "987654321",
        "the secret": SECRET,
        "the link": link,
    }
    assert_not_in("the log", log, {**secrets, "the address": ANN})
    kept = b"".join(path.read_bytes() for path in sorted(tmp_path.glob("resetsvc.db*")))
    assert ANN.encode() in kept, "this test looks into the wrong file"
    assert_not_in("the database", kept, secrets)


async def test_check_says_how_the_endpoint_is(
    endpoint: AccountsEndpoint, config: Path, tmp_path: Path
) -> None:
    async def accounts() -> tuple[int, dict[str, tuple[bool, str]]]:
        async with RelayOnOrder() as relay:
            env = environment(tmp_path, relay.url, config=str(config))
            ended = await run("check", "--json", env=env, cwd=tmp_path)
        assert SECRET not in ended.said
        found = {one["check"]: (one["ok"], one["detail"]) for one in json.loads(ended.out)}
        return ended.code, {name: told for name, told in found.items() if name.startswith("accounts")}

    host = endpoint.url.split("/")[2]
    assert await accounts() == (
        0,
        {
            "accounts": (True, f"{host} answers, and signs its answers"),
            "accounts signatures": (True, "unsigned, altered, old and repeated questions are refused"),
        },
    )
    endpoint.believes_everybody = True
    code, found = await accounts()
    assert (code, found["accounts signatures"][0]) == (1, False)
    endpoint.believes_everybody, endpoint.secret = False, OTHER_SECRET
    code, found = await accounts()
    assert code == 1
    assert "answered 401" in found["accounts"][1]
