"""Letters that are called off in the middle: the service stops, or their task is cancelled."""

import asyncio

from resetsvc.relay.verdict import Verdict
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


async def test_letters_that_are_called_off_while_they_wait_wake_the_next_one() -> None:
    """One of them may have been woken for a lane in the very moment."""
    async with RelayOnOrder() as relay, sending_to(relay, connections=1) as sender:
        slow = relay.order(Fault.hold("DOT"), times=1)
        first = sender.begin()
        await slow.reached()
        woken, waiting, last = sender.begin(), sender.begin(), sender.begin()
        await asyncio.sleep(0)
        waiting.cancel()
        first.add_done_callback(lambda _: woken.cancel())
        slow.release()
        assert (await last).verdict is SENT
        assert (await first).verdict is SENT
        await asyncio.wait({woken, waiting})
        assert waiting.cancelled()
        assert sender.open_lanes == [1]
