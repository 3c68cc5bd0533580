"""What the audit trail keeps of each event of the running service, and what it never does."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from resetsvc import create_app
from resetsvc.clock import Clock
from resetsvc.store import schema
from resetsvc.testing import HandClock, Mailbox, make_settings
from resetsvc.tokens import Tokens
from resetsvc.trail import AT_MOST, Trail
from resetsvc.version import __version__
from tests.flow.conftest import (
    ANN,
    NEW_PASSWORD,
    OLD_PASSWORD,
    RememberedAccounts,
    Running,
    Start,
    seen,
    until,
    whole_clock,
)
from tests.support.gate import Gate

CLIENT = "198.51.100.77"
HERE: dict[str, Any] = {"scope_base": {"client": (CLIENT, 50_000)}}
KEY, OLD_KEY = "the key of this year: 0123456789 abcdef", "the key of last year: 0123456789 abcdef"
AT_THE_START = ["schema_migrated", "service_started"]


async def trail_of(running: Running, at_least: int) -> list[tuple[str, dict[str, Any]]]:
    """The records but those of the start, once there are so many."""

    async def enough() -> bool:
        return len(await running.rows("SELECT seq FROM audit")) >= at_least + len(AT_THE_START)

    await until(enough)
    rows = await running.rows("SELECT event, detail FROM audit ORDER BY seq")
    assert [row["event"] for row in rows[:2]] == AT_THE_START
    return [(row["event"], json.loads(row["detail"])) for row in rows[2:]]


async def fault(running: Running) -> str | None:
    service = running.service
    found, _ = await Trail(service.store, service.settings.keys, Clock()).verify()
    return found


async def ids(running: Running) -> dict[str, Any]:
    (account,) = await running.rows("SELECT id FROM accounts")
    letters = await running.letters()
    return {"letter": letters[0]["id"][:16], "account": account["id"]}


async def test_the_start_is_kept_with_the_settings_and_without_secrets(start: Start) -> None:
    running = await start(
        secret_key=KEY,
        secret_key_fallbacks=(OLD_KEY,),
        smtp_url="smtps://robot:hunter2%21@mx.example.com smtp://127.0.0.1:1025?tls=none",
        ops_token="hunter2-the-ops-token",
        limit_storage_url="memory://",
        login_url="https://app.example.com/login?code=hunter2#hunter2",
    )
    assert await trail_of(running, 0) == []
    rows = await running.rows("SELECT detail FROM audit ORDER BY seq")
    assert json.loads(rows[0]["detail"]) == {"from": None, "to": schema.REVISION}
    detail = json.loads(rows[1]["detail"])
    assert detail["version"] == __version__
    told = detail["settings"]
    assert set(told) == set(type(running.service.settings).model_fields)
    assert (told["secret_key"], told["secret_key_fallbacks"], told["ops_token"]) == ("set", ["set"], "set")
    assert told["smtp_url"] == ["mx.example.com:465", "127.0.0.1:1025"]
    assert told["login_url"] == "https://app.example.com/login"
    assert told["mail_from"] == "example.com"
    assert (told["token_ttl"], told["dispatch"], told["limit_per_account"]) == (1800, True, "3/hour")
    everything = rows[1]["detail"]
    assert "hunter2" not in everything
    assert KEY not in everything
    assert OLD_KEY not in everything
    assert await fault(running) is None


async def test_a_url_with_a_password_in_it_is_told_without_whatever_holds_it(tmp_path: Path) -> None:
    for url in ("redis://:hun%2Ft%23e%3Fr2@redis.example.com/0", "redis://user:hunter2@redis.example.com"):
        told = make_settings(tmp_path, limit_storage_url=url).told()
        assert told["limit_storage_url"] == "redis://…"


async def test_a_link_that_is_used_and_the_password_that_it_changed_are_kept(ann: Running) -> None:
    mail = await ann.mail_to()
    assert await trail_of(ann, 0) == []
    assert (await ann.set_password(mail.link_path, **HERE)).status_code == 200
    about = {**await ids(ann), "client": "198.51.100.x"}
    assert await trail_of(ann, 2) == [
        ("link_used", about),
        ("password_changed", {**about, "address": "a***@example.com"}),
    ]
    assert await fault(ann) is None


async def test_a_change_that_comes_to_nothing_is_not_kept_as_one(start: Start) -> None:
    accounts = RememberedAccounts(swap_fails=RuntimeError("in the middle"))
    accounts.put(ANN)
    running = await start(accounts=accounts)
    mail = await running.mail_to()
    assert (await running.set_password(mail.link_path)).status_code == 500
    accounts.swap_fails = None
    assert (await running.set_password(mail.link_path)).status_code == 200
    assert [event for event, _ in await trail_of(running, 2)] == ["link_used", "password_changed"]


async def test_a_refused_password_is_not_kept(ann: Running) -> None:
    mail = await ann.mail_to()
    assert (await ann.set_password(mail.link_path, "short")).status_code == 422
    assert (await ann.set_password(mail.link_path)).status_code == 200
    assert [event for event, _ in await trail_of(ann, 2)] == ["link_used", "password_changed"]


@pytest.mark.parametrize("mute", [True, False])
async def test_a_cancellation_is_kept_and_whether_it_muted(ann: Running, mute: bool) -> None:
    mail = await ann.mail_to()
    form = {"mute": "1"} if mute else {}
    assert (await ann.client.post(mail.cancel_path, form=form, **HERE)).status_code == 200
    assert await trail_of(ann, 1) == [
        (
            "resets_cancelled",
            {**await ids(ann), "address": "a***@example.com", "client": "198.51.100.x", "muted": mute},
        )
    ]


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("end", ["", "/cancel"])
async def test_a_dead_link_that_was_once_ours_is_kept_once_a_minute(
    ann: Running, method: str, end: str
) -> None:
    mail = await ann.mail_to()
    assert (await ann.set_password(mail.link_path)).status_code == 200
    for _ in range(3):
        answer = await ann.open(mail.link_path + end, method, form={"password": NEW_PASSWORD}, **HERE)
        assert answer.status_code == 410
    refused = (
        "link_refused",
        {"letter": (await ids(ann))["letter"], "why": "ended", "client": "198.51.100.x"},
    )
    assert (await trail_of(ann, 3))[2:] == [refused]
    # Whatever came after it would have been written by now.
    ann.service.parts.trail.note_limit_hit("ask", CLIENT)
    assert [event for event, _ in await trail_of(ann, 4)][2:] == ["link_refused", "limit_hit"]


async def test_a_link_that_ran_out_and_one_of_a_changed_account_are_kept_as_such(start: Start) -> None:
    hand = HandClock()
    running = replace(await start(clock=whole_clock(hand), token_ttl=600), hand=hand)
    await running.accounts.add(ANN, OLD_PASSWORD)
    mail = await running.mail_to()
    await running.letters_finished(1)
    hand.advance(600)
    assert (await running.client.get(mail.link_path)).status_code == 410
    late = await running.mail_to()
    await running.accounts.disable(ANN)
    assert (await running.client.get(late.link_path)).status_code == 410
    kept = await trail_of(running, 2)
    assert [(event, detail["why"]) for event, detail in kept] == [
        ("link_refused", "expired"),
        ("link_refused", "account_changed"),
    ]


async def test_of_many_that_use_one_link_at_once_one_is_kept_as_used(ann: Running) -> None:
    mail = await ann.mail_to()
    answers = await asyncio.gather(*(ann.set_password(mail.link_path) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers)[0] == 200
    events = [event for event, _ in await trail_of(ann, 2)]
    assert events.count("link_used") == events.count("password_changed") == 1
    assert await fault(ann) is None


async def test_garbage_leaves_no_trace(ann: Running) -> None:
    mail = await ann.mail_to()
    stranger = Tokens(["another key altogether: 0123456789 abcd"], 1800, Clock()).sign("0" * 44)
    head, _, signature = mail.token.rpartition(".")
    for token in ("x", "null", stranger, f"{head}.{signature[::-1]}", f"{mail.token}=", mail.token[:-1]):
        for end in ("", "/cancel"):
            for method in ("GET", "POST"):
                answer = await ann.open(f"/reset/{token}{end}", method, form={"password": NEW_PASSWORD})
                assert answer.status_code == 410
    assert (await ann.set_password(mail.link_path)).status_code == 200
    assert [event for event, _ in await trail_of(ann, 2)] == ["link_used", "password_changed"]


async def test_an_old_token_in_another_spelling_leaves_no_trace_either(ann: Running) -> None:
    """Its signature says the same in base64: 16 spellings of one would be 16 tokens to whoever counts by text."""
    mail = await ann.mail_to()
    assert (await ann.set_password(mail.link_path)).status_code == 200
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = alphabet.index(mail.token[-1])
    other = alphabet[last ^ 1]
    assert (await ann.client.get(f"/reset/{mail.token[:-1]}{other}")).status_code == 410
    assert (await ann.client.get(mail.link_path)).status_code == 410
    assert [event for event, _ in await trail_of(ann, 3)][2:] == ["link_refused"]


async def test_a_limit_that_is_hit_is_kept_once_a_minute_and_client(start: Start) -> None:
    hand = HandClock()
    running = await start(clock=whole_clock(hand), limit_per_client="1/minute")
    for _ in range(5):
        await running.ask(**HERE)
        await running.client.post("/reset/x", form={"password": NEW_PASSWORD}, **HERE)
    hand.advance(60)
    assert (await running.ask(**HERE)).status_code == 429
    client = "198.51.100.x"
    assert await trail_of(running, 3) == [
        ("limit_hit", {"purpose": "ask", "client": client}),
        ("limit_hit", {"purpose": "link", "client": client}),
        ("limit_hit", {"purpose": "ask", "client": client}),
    ]


async def test_a_flood_from_everywhere_does_not_fill_the_trail(start: Start) -> None:
    running = await start(clock=whole_clock(HandClock()), limit_per_client="1/hour")
    await running.accounts.add(ANN, OLD_PASSWORD)
    for n in range(AT_MOST + 20):
        client: dict[str, Any] = {"scope_base": {"client": (f"203.0.113.{n}", 50_000)}}
        for status in (410, 429):
            answer = await running.client.post("/reset/x", form={"password": "x"}, **client)
            assert answer.status_code == status
    mail = await running.mail_to()
    assert (await running.client.post(mail.cancel_path, **HERE)).status_code == 200
    kept = await trail_of(running, AT_MOST + 1)
    assert [event for event, _ in kept] == ["limit_hit"] * AT_MOST + ["resets_cancelled"]


async def test_asking_leaves_no_record_whoever_it_is_for(ann: Running) -> None:
    """The letters table tells that already; and what is written for one and not for another can be measured."""
    for address in (ANN, "nobody@example.com", "not an address"):
        await ann.ask(address)
    await ann.letters_finished(2)
    ann.service.parts.trail.note_limit_hit("ask", CLIENT)
    assert [event for event, _ in await trail_of(ann, 1)] == ["limit_hit"]


async def test_an_answer_does_not_wait_for_the_trail(start: Start) -> None:
    """A limit that is hit while nothing can be written is told as ever."""
    running = await start(limit_per_client="1/minute")
    assert (await running.ask(**HERE)).status_code == 200
    gate = Gate()

    async def hold(_: object) -> None:
        await gate.wait()

    holding = asyncio.create_task(running.service.store.unit(hold))
    await gate.reached()
    try:
        async with asyncio.timeout(5):
            refused = await running.ask(**HERE)
            again = await running.ask(**HERE)
    finally:
        gate.open()
        await holding
    assert refused.status_code == 429
    assert (await seen(refused)).body == (await seen(again)).body
    assert [event for event, _ in await trail_of(running, 1)] == ["limit_hit"]


async def test_no_address_token_or_password_is_in_the_trail(start: Start) -> None:
    accounts = RememberedAccounts()
    accounts.put(ANN, account_id=ANN)  # as where accounts are called by their address
    running = await start(accounts=accounts)
    mail = await running.mail_to()
    assert (await running.set_password(mail.link_path, **HERE)).status_code == 200
    await running.mailbox.next_mail()
    assert (await running.client.get(mail.link_path, **HERE)).status_code == 410
    other = await running.mail_to()
    assert (await running.client.post(other.cancel_path, form={"mute": "1"}, **HERE)).status_code == 200
    assert len(await trail_of(running, 4)) == 4
    letters = await running.letters()
    rows = await running.rows("SELECT * FROM audit")
    kept = repr([dict(row) for row in rows])
    assert "a***@example.com" in kept
    secrets = [ANN, CLIENT, mail.token, other.token, NEW_PASSWORD, running.service.settings.keys[-1]]
    secrets += [letter["id"] for letter in letters]
    assert not [secret for secret in secrets if secret in kept]


@asynccontextmanager
async def service(folder: Path, **settings: Any) -> AsyncIterator[Running]:
    mailbox = Mailbox()
    app = create_app(make_settings(folder, **settings), outbox=mailbox)
    async with app.test_app():
        yield Running(app, app.test_client(), mailbox)


async def test_the_chain_goes_on_over_restarts_and_changes_of_keys(tmp_path: Path) -> None:
    rotation: list[dict[str, Any]] = [
        {"secret_key": OLD_KEY},
        {"secret_key": OLD_KEY},
        {"secret_key": KEY, "secret_key_fallbacks": (OLD_KEY,)},
        {"secret_key": KEY},
    ]
    for settings in rotation:
        async with service(tmp_path, **settings):
            pass  # what it noted at the start is written when it stops, at the latest
    async with service(tmp_path, secret_key=KEY) as running:

        async def whole() -> bool:
            return len(await running.rows("SELECT seq FROM audit")) == 7

        await until(whole)
        assert [row["event"] for row in await running.rows("SELECT event FROM audit ORDER BY seq")] == [
            "schema_migrated",
            "service_started",
            "service_started",
            "key_changed",
            "service_started",
            "service_started",
            "service_started",
        ]
        assert await fault(running) is None


async def test_what_was_noted_while_the_service_stops_is_still_written(tmp_path: Path) -> None:
    gate = Gate()

    async def hold(_: object) -> None:
        await gate.wait()

    async with service(tmp_path, dispatch=False) as running:
        holding = asyncio.create_task(running.service.store.unit(hold))
        await gate.reached()
        trail = running.service.parts.trail
        for purpose in ("ask", "link"):
            trail.note_limit_hit(purpose, CLIENT)
            # Its writer takes the first and waits with it, so the second waits for the writer.
            await asyncio.sleep(0)
        asyncio.get_running_loop().call_later(0.2, gate.open)
    await holding
    async with service(tmp_path) as again:
        kept = [row["event"] for row in await again.rows("SELECT event FROM audit ORDER BY seq")]
    assert kept[:4] == [*AT_THE_START, "limit_hit", "limit_hit"]
