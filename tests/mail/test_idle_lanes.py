"""Lanes that nobody uses: closed in good time and form, and no letter suffers from one that the relay closed."""

import pytest

from resetsvc.relay.lanes import IDLE_SECONDS
from resetsvc.relay.verdict import Verdict
from tests.mail.senders import HandTime, all_lanes_open, commands, sending_to
from tests.support.relay_on_order import Fault, RelayOnOrder

SENT = Verdict.SENT


async def test_idle_lanes_are_closed_with_good_manners() -> None:
    time = HandTime()
    async with RelayOnOrder() as relay, sending_to(relay, connections=3, clock=time.clock) as sender:
        await all_lanes_open(relay, sender, 3)
        time.seconds += IDLE_SECONDS / 2
        assert (await sender.send()).verdict is SENT
        time.seconds += IDLE_SECONDS / 2 + 1
        await sender.outbox.tend()
        await relay.until(lambda: relay.open_connections == 1)
        assert commands(relay).count("QUIT") == 2
        assert (await sender.send()).verdict is SENT
        assert relay.connections == 3
        time.seconds += IDLE_SECONDS + 1
        await sender.outbox.tend()
        await relay.until(lambda: relay.open_connections == 0)
        assert commands(relay).count("QUIT") == 3
        assert (await sender.send()).verdict is SENT


async def test_lanes_that_are_used_are_not_idle() -> None:
    time = HandTime()
    async with RelayOnOrder() as relay, sending_to(relay, clock=time.clock) as sender:
        slow = relay.order(Fault.hold("DOT"))
        sending = sender.begin()
        await slow.reached()
        time.seconds += 10 * IDLE_SECONDS
        await sender.outbox.tend()
        slow.release()
        assert (await sending).verdict is SENT
        assert sender.open_lanes == [1]


async def test_a_relay_that_hangs_at_quit_holds_nobody_up_and_its_connection_counts_until_it_is_closed() -> (
    None
):
    time = HandTime()
    async with RelayOnOrder() as relay, sending_to(relay, connections=2, clock=time.clock) as sender:
        await all_lanes_open(relay, sender, 2)
        quit_ = relay.order(Fault.hold("QUIT"))
        time.seconds += IDLE_SECONDS + 1
        await sender.outbox.tend()  # had it waited, the lanes would be given up and closed by now
        await quit_.reached(2)
        assert sender.open_lanes == [2]
        sending = sender.begin()
        quit_.release()
        assert (await sending).verdict is SENT
        assert relay.most_open == 2


async def test_a_lane_that_the_relay_closed_while_it_was_idle_costs_no_letter_an_attempt() -> None:
    async with RelayOnOrder() as relay, sending_to(relay, connections=3) as sender:
        await all_lanes_open(relay, sender, 3)
        await relay.stop()
        await relay.start()
        assert (await sender.send()).verdict is SENT
        assert relay.mails[-1].connection == 4
        assert sender.open_lanes == [1]


@pytest.mark.parametrize(
    "fault",
    [
        Fault.drop("MAIL"),
        Fault.reply("MAIL", 421, "idle too long"),
        Fault.drop("MAIL", reset=True),
        Fault.garbage("MAIL"),
    ],
)
async def test_a_lane_that_turns_out_closed_at_the_first_word_costs_no_letter_an_attempt(
    fault: Fault,
) -> None:
    """The relay's end and our MAIL cross on the way."""
    async with RelayOnOrder() as relay, sending_to(relay, connections=3) as sender:
        await all_lanes_open(relay, sender, 3)
        relay.order(fault, times=1)
        assert (await sender.send()).verdict is SENT
        assert sender.up == [True]


async def test_a_relay_that_says_something_while_a_lane_is_idle_loses_the_lane() -> None:
    """ "421 closing" mostly; whatever it is, it would be read as the answer to MAIL."""
    async with RelayOnOrder() as relay, sending_to(relay) as sender:
        relay.order(Fault.garbage("DOT", b"250 yes\r\n", accept=True), times=1)
        assert (await sender.send()).verdict is SENT
        late = relay.order(Fault.garbage("DOT", b"250 yes\r\n421 good night\r\n", accept=True), times=1)
        assert (await sender.send()).verdict is SENT
        await late.reached()
        assert (await sender.send()).verdict is SENT
        assert [mail.connection for mail in relay.mails] == [1, 1, 2]
