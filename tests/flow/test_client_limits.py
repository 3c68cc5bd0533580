"""How often one client may ask and try, and how many requests may wait: told with when to come back."""

from dataclasses import replace
from typing import Any

import pytest

from resetsvc.testing import HandClock
from tests.flow.conftest import (
    ANN,
    FORMS,
    NEW_PASSWORD,
    OLD_PASSWORD,
    RememberedAccounts,
    Running,
    Start,
    seen,
    text_of,
    whole_clock,
)


def at(client: str) -> dict[str, Any]:
    """As a connection from this address."""
    return {"scope_base": {"client": (client, 50_000)}}


def behind_proxies(forwarded_for: str) -> dict[str, Any]:
    return {"headers": {"X-Forwarded-For": forwarded_for}}


@pytest.mark.parametrize("wanted", list(FORMS))
async def test_asking_too_often_is_told_with_the_seconds_to_wait(start: Start, wanted: str) -> None:
    running = await start(limit_per_client="3/minute")
    for _ in range(3):
        assert (await running.ask(headers=FORMS[wanted])).status_code == 200
    answer = await running.ask(headers=FORMS[wanted])
    assert answer.status_code == 429
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    text = await text_of(answer)
    assert "Too many requests" in text
    if wanted == "json":
        assert (await answer.get_json())["code"] == "too_many_requests"
    assert len(await running.letters()) == 3


async def test_the_limit_does_not_look_at_the_address(start: Start) -> None:
    """A 429 for known addresses only has told who has an account."""
    running = await start(limit_per_client="2/minute", limit_per_account="1/hour")
    await running.accounts.add(ANN, OLD_PASSWORD)
    for first, last in ((ANN, "nobody@example.com"), ("nobody@example.com", ANN)):
        client = at(f"192.0.2.{len(first)}")
        assert (await running.ask(first, **client)).status_code == 200
        assert (await running.ask(first, **client)).status_code == 200
        assert (await running.ask(last, **client)).status_code == 429


async def test_each_client_has_a_budget_of_its_own(start: Start) -> None:
    running = await start(limit_per_client="1/minute")
    for client, status in {
        "192.0.2.1": 200,
        "192.0.2.2": 200,
        "2001:db8:0:1::1": 200,
        "2001:db8:0:1:ffff::9": 429,  # the same /64
        "2001:db8:0:2::1": 200,
        "::ffff:192.0.2.1": 429,  # the same address in other clothes
    }.items():
        assert (await running.ask(**at(client))).status_code == status, client


async def test_a_client_cannot_choose_whom_it_is_taken_for(start: Start) -> None:
    direct = await start(limit_per_client="1/minute")
    assert (await direct.ask(**behind_proxies("192.0.2.1"))).status_code == 200
    assert (await direct.ask(**behind_proxies("192.0.2.2"))).status_code == 429
    proxied = await start(limit_per_client="1/minute", trusted_proxies=1)
    assert (await proxied.ask(**behind_proxies("192.0.2.1"))).status_code == 200
    assert (await proxied.ask(**behind_proxies("198.51.100.7, 192.0.2.1"))).status_code == 429
    assert (await proxied.ask(**behind_proxies("192.0.2.1, 192.0.2.2"))).status_code == 200


async def test_trying_links_has_a_budget_of_its_own(start: Start) -> None:
    running = await start(limit_per_client="3/minute")
    await running.accounts.add(ANN, OLD_PASSWORD)
    mail = await running.mail_to()
    for path in ("/reset/x", "/reset/y", "/reset/z/cancel"):
        assert (await running.client.post(path, form={"password": NEW_PASSWORD})).status_code == 410
    for path in (mail.link_path, mail.cancel_path):
        answer = await running.client.post(path, form={"password": NEW_PASSWORD})
        assert answer.status_code == 429
        assert 1 <= int(answer.headers["Retry-After"]) <= 60
    assert (await running.client.get(mail.link_path)).status_code == 200  # looking is free
    assert (await running.ask()).status_code == 200  # and so is asking, still
    assert (await running.set_password(mail.link_path, **at("192.0.2.9"))).status_code == 200


async def test_the_last_attempt_allowed_may_be_the_right_one(start: Start) -> None:
    running = await start(limit_per_client="3/minute")
    await running.accounts.add(ANN, OLD_PASSWORD)
    mail = await running.mail_to()
    for _ in range(2):
        assert (await running.set_password(mail.link_path, "short")).status_code == 422
    assert (await running.set_password(mail.link_path)).status_code == 200


async def test_guessing_costs_no_hash(start: Start) -> None:
    accounts = RememberedAccounts()
    accounts.put(ANN)
    running = await start(accounts=accounts, limit_per_client="5/minute")
    statuses = [(await running.set_password(f"/reset/{number}")).status_code for number in range(8)]
    assert statuses == [410] * 5 + [429] * 3
    assert accounts.sealed == []


@pytest.mark.parametrize("wanted", list(FORMS))
async def test_a_full_queue_is_told_and_nothing_is_kept(start: Start, wanted: str) -> None:
    hand = HandClock()
    running = replace(await start(clock=whole_clock(hand), queue_limit=3), hand=hand)
    running.mailbox.close_for_now()
    for number in range(3):
        assert (await running.ask(f"person{number}@example.com", headers=FORMS[wanted])).status_code == 200
    for address in ("person9@example.com", ANN):
        refused = await running.ask(address, headers=FORMS[wanted])
        assert refused.status_code == 503
        assert refused.headers["Retry-After"] == "60"
    if wanted == "json":
        assert (await refused.get_json())["code"] == "unavailable"
    assert len(await running.letters()) == 3
    running.mailbox.open_again()
    await running.letters_finished(3)
    hand.advance(2)
    assert (await running.ask(headers=FORMS[wanted])).status_code == 200


async def test_a_full_queue_answers_everybody_alike(start: Start) -> None:
    running: Running = await start(queue_limit=1)
    await running.accounts.add(ANN, OLD_PASSWORD)
    running.mailbox.close_for_now()
    await running.ask("first@example.com")
    assert await seen(await running.ask(ANN)) == await seen(await running.ask("nobody@example.com"))


async def test_a_full_queue_stops_no_one_who_has_a_link(start: Start) -> None:
    running = await start(queue_limit=1)
    await running.accounts.add(ANN, OLD_PASSWORD)
    mail = await running.mail_to()
    await running.letters_finished(1)
    running.mailbox.close_for_now()
    await running.ask("first@example.com")
    assert (await running.set_password(mail.link_path)).status_code == 200
    assert [row["kind"] for row in await running.letters()][-1] == "notice"
