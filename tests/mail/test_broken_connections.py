"""Connections that drop and replies that are none: the lane is given up, the next letter goes over a new one."""

import asyncio
import socket
from collections.abc import Callable

import pytest

from resetsvc.relay.conversation import Conversation
from resetsvc.relay.verdict import Verdict
from tests.mail.senders import PATIENT, SOON, sending_to
from tests.mail.test_replies import both_ways, well_equipped
from tests.support.relay_on_order import Fault, Offers, RelayOnOrder, Step

DOWN, RETRY, SENT = Verdict.RELAY_DOWN, Verdict.RETRY, Verdict.SENT
BEFORE_A_LETTER: tuple[Step, ...] = ("BANNER", "EHLO", "STARTTLS", "AUTH")
WITH_A_LETTER: dict[Step, Verdict] = {"MAIL": DOWN, "RCPT": RETRY, "DATA": RETRY, "BODY": RETRY, "DOT": RETRY}
MEANING = dict.fromkeys(BEFORE_A_LETTER, DOWN) | WITH_A_LETTER
BREAKS: dict[str, Callable[[Step], Fault]] = {
    "drop": Fault.drop,
    "reset": lambda step: Fault.drop(step, reset=True),
    "garbage": Fault.garbage,
    "two digits": lambda step: Fault.garbage(step, b"25\r\n"),
    "no code": lambda step: Fault.garbage(step, b"OK\r\n"),
    "an empty line": lambda step: Fault.garbage(step, b"\r\n"),
    "two codes in one reply": lambda step: Fault.garbage(step, b"550-no\r\n250 yes\r\n"),
    "endless lines": Fault.endless,
    "endless line": lambda step: Fault.endless(step, lines=False),
}
# What aiosmtplib reads before the session is ours forgives a code of two digits and mixed ones.
FORGIVEN_AT_FIRST = ("two codes in one reply",)


@both_ways
@pytest.mark.parametrize("kind", BREAKS)
@pytest.mark.parametrize("step", MEANING)
async def test_a_broken_session_ends_the_lane_and_not_the_letter(
    step: Step, kind: str, pipelining: bool
) -> None:
    if step in BEFORE_A_LETTER and kind in FORGIVEN_AT_FIRST:
        kind = "garbage"
    async with well_equipped(step, pipelining=pipelining) as relay, sending_to(relay) as sender:
        relay.order(BREAKS[kind](step))
        attempt = await sender.send()
        assert (attempt.verdict, attempt.code) == (MEANING[step], None)
        assert sender.open_lanes == [0]
        relay.clear()
        await sender.until_room()
        assert (await sender.send()).verdict is SENT
        assert [mail.connection for mail in relay.mails] == [relay.connections] != [1]
        assert relay.most_open <= 2  # the old one may not be gone yet when the new one comes


async def test_a_relay_that_resets_connections_at_once_is_down() -> None:
    async with RelayOnOrder() as relay, sending_to(relay) as sender:
        relay.order(Fault.drop("CONNECT"))
        assert (await sender.send()).verdict is DOWN
        relay.clear()
        await sender.until_room()
        assert (await sender.send()).verdict is SENT


async def test_a_relay_that_refuses_connections_is_down_until_it_listens() -> None:
    async with RelayOnOrder() as relay, sending_to(relay) as sender:
        relay.order(Fault.refuse())
        assert (await sender.send()).verdict is DOWN
        assert sender.outbox.room() == 0
        assert "refused" in (await sender.send()).reply or sender.up == [False]
        relay.clear()
        await sender.until_room()
        assert (await sender.send()).verdict is SENT


@both_ways
async def test_a_connection_lost_after_the_dot_is_unknown_and_so_the_letter_comes_again(
    pipelining: bool,
) -> None:
    async with RelayOnOrder(offers=Offers(pipelining=pipelining)) as relay, sending_to(relay) as sender:
        relay.order(Fault.drop("DOT", accept=True), times=1)
        assert (await sender.send()).verdict is RETRY
        assert (await sender.send()).verdict is SENT
        assert [mail.message_id for mail in relay.mails] == ["<1@shop.test>"] * 2


@both_ways
async def test_a_relay_that_closes_after_its_yes_has_taken_the_letter(pipelining: bool) -> None:
    async with RelayOnOrder(offers=Offers(pipelining=pipelining)) as relay, sending_to(relay) as sender:
        relay.order(Fault.drop("DOT", after_answer=True))
        for _ in range(3):
            assert (await sender.send()).verdict is SENT
        assert sender.up == [True]
        assert len({mail.connection for mail in relay.mails}) == 3


@both_ways
@pytest.mark.parametrize("more", [b"250 another yes\r\n", b"250-half a", b"250 yes\r\n" * 4])
async def test_a_session_that_says_too_much_is_not_used_again(more: bytes, pipelining: bool) -> None:
    """The surplus would be read as the answer to the next letter's first command, and all others shift by one."""
    async with RelayOnOrder(offers=Offers(pipelining=pipelining)) as relay, sending_to(relay) as sender:
        relay.order(Fault.garbage("DOT", b"250 yes\r\n" + more, accept=True), times=1)
        assert (await sender.send()).verdict is SENT
        assert sender.open_lanes == [0]
        assert (await sender.send()).verdict is SENT
        assert [mail.connection for mail in relay.mails] == [1, 2]


async def test_a_lane_that_is_flooded_with_replies_is_closed_before_anyone_looks_at_it() -> None:
    """Else a relay could fill our memory on lanes that are idle."""
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    with theirs:
        _, lane = await loop.create_connection(
            lambda: Conversation(pipelining=True, utf8=True, timeout=PATIENT), sock=ours
        )
        assert lane.usable
        await loop.sock_sendall(theirs, b"250 yes\r\n" * 4)
        async with asyncio.timeout(SOON):
            assert await loop.sock_recv(theirs, 1) == b""
        assert not lane.usable


@both_ways
async def test_a_relay_that_refuses_in_the_middle_of_a_body_is_heard(pipelining: bool) -> None:
    async with RelayOnOrder(offers=Offers(pipelining=pipelining)) as relay, sending_to(relay) as sender:
        relay.order(Fault.reply("BODY", 552, "too big"), times=1)
        attempt = await sender.send()
        assert (attempt.verdict, attempt.code) == (Verdict.FAILED, 552)
        assert (await sender.send()).verdict is SENT
