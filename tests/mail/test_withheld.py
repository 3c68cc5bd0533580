"""The last look before the body: a letter whose time ran out is not sent, not even a byte of it."""

import asyncio

import pytest

from resetsvc.relay.conversation import Envelope
from resetsvc.relay.verdict import Verdict
from tests.mail.senders import RECIPIENT, letter, sending_to
from tests.mail.test_replies import both_ways
from tests.support.relay_on_order import Fault, Offers, RelayOnOrder


@both_ways
async def test_a_letter_whose_time_ran_out_before_the_body_is_not_sent(pipelining: bool) -> None:
    async with RelayOnOrder(offers=Offers(pipelining=pipelining)) as relay, sending_to(relay) as sender:
        attempt = await sender.send(may_send=lambda: False)
        assert (attempt.verdict, attempt.code) == (Verdict.WITHHELD, None)
        assert sender.open_lanes == [0]
        await relay.until(lambda: relay.open_connections == 0)
        assert relay.accepted == 0
        assert sender.up == [True]
        assert (await sender.send()).verdict is Verdict.SENT
        assert [mail.connection for mail in relay.mails] == [2]


@both_ways
async def test_the_time_is_looked_at_after_the_go_ahead_and_not_before(pipelining: bool) -> None:
    """However long the relay takes until its 354: what counts is the moment in which the body would leave."""
    in_time = True
    asked: list[int] = []

    async with RelayOnOrder(offers=Offers(pipelining=pipelining)) as relay, sending_to(relay) as sender:

        def may_send() -> bool:
            asked.append(len(relay.commands))
            return in_time

        go_ahead = relay.order(Fault.hold("DATA"))
        sending = asyncio.create_task(sender.send(may_send=may_send))
        await go_ahead.reached()
        assert asked == []
        in_time = False
        go_ahead.release()
        assert (await sending).verdict is Verdict.WITHHELD
        assert len(asked) == 1
        await relay.until(lambda: relay.open_connections == 0)
        assert relay.mails == []


async def test_a_letter_is_composed_when_it_has_a_lane_and_not_while_it_waits_for_one() -> None:
    """Its link works from then on: waiting must not use that time up."""
    composed: list[str] = []

    def compose() -> Envelope:
        composed.append("now")
        return letter()

    async with RelayOnOrder() as relay, sending_to(relay, connections=1) as sender:
        slow = relay.order(Fault.hold("DOT"))
        first = sender.begin()
        await slow.reached()
        second = asyncio.create_task(sender.outbox.hand_over(RECIPIENT, compose, lambda: True))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert composed == []
        slow.release()
        assert (await first).verdict is (await second).verdict is Verdict.SENT
        assert composed == ["now"]


async def test_a_letter_that_cannot_be_composed_costs_no_lane() -> None:
    def compose() -> Envelope:
        raise RuntimeError("a broken template")

    async with RelayOnOrder() as relay, sending_to(relay, connections=1) as sender:
        for _ in range(3):
            with pytest.raises(RuntimeError, match="a broken template"):
                await sender.outbox.hand_over(RECIPIENT, compose, lambda: True)
        assert (await sender.send()).verdict is Verdict.SENT
        assert relay.connections == 1
