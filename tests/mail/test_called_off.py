"""Letters that are called off in the middle: the service stops, or their task is cancelled."""

import asyncio

from resetsvc.relay.verdict import Attempt, Verdict
from tests.mail.senders import sending_to
from tests.support.relay_on_order import Fault, RelayOnOrder

SENT = Verdict.SENT


async def test_a_letter_that_is_called_off_leaves_no_lane_and_no_trace() -> None:
    async with RelayOnOrder() as relay, sending_to(relay, connections=2) as sender:
        for step in ("BANNER", "EHLO", "MAIL", "RCPT", "DATA", "BODY", "DOT"):
            stuck = relay.order(Fault.hold(step))
            sending = sender.begin()
            await stuck.reached()
            sending.cancel()
            await asyncio.wait({sending})
            assert sending.cancelled()
            assert sender.open_lanes == [0]
            stuck.release()
            await relay.until(lambda: relay.open_connections == 0)
        assert sender.up == [True]
        assert (await sender.send()).verdict is SENT


async def test_a_letter_that_is_called_off_just_as_a_lane_is_free_for_it_wakes_the_next_one() -> None:
    """Else that one would wait for ever: the lane lies idle, and nobody else will tell."""
    async with RelayOnOrder() as relay, sending_to(relay, connections=1) as sender:
        slow = relay.order(Fault.hold("DOT"), times=1)

        async def send_and_call_the_next_off() -> Attempt:
            attempt = await sender.send()
            woken.cancel()  # in the same turn of the loop in which its lane was given back
            return attempt

        first = asyncio.create_task(send_and_call_the_next_off())
        await slow.reached()
        waiting, woken, last = sender.begin(), sender.begin(), sender.begin()
        await asyncio.sleep(0)
        waiting.cancel()
        slow.release()
        assert (await last).verdict is Verdict.SENT
        assert (await first).verdict is Verdict.SENT
        await asyncio.wait({woken, waiting})
        assert woken.cancelled()
        assert waiting.cancelled()
        assert sender.open_lanes == [1]
