"""Lanes: kept open and used again, and never more of them than allowed, nor than the relay takes."""

from structlog.testing import capture_logs

from resetsvc.relay.lanes import CEILING_SECONDS
from resetsvc.relay.verdict import Verdict
from tests.mail.senders import IMPATIENT, HandTime, all_lanes_open, commands, sending_to
from tests.support.relay_on_order import Fault, RelayOnOrder

SENT = Verdict.SENT


async def test_one_letter_after_the_other_takes_one_lane() -> None:
    async with RelayOnOrder() as relay, sending_to(relay, connections=8) as sender:
        for _ in range(20):
            assert (await sender.send()).verdict is SENT
        assert (relay.connections, sender.open_lanes) == (1, [1])
    assert commands(relay).count("EHLO") == commands(relay).count("QUIT") == 1


async def test_there_are_never_more_connections_than_allowed() -> None:
    async with RelayOnOrder() as relay, sending_to(relay, connections=3) as sender:
        first = relay.order(Fault.hold("DOT"))
        letters = [sender.begin() for _ in range(40)]
        await first.reached(3)
        assert sender.open_lanes == [3]
        first.release()
        assert {(await each).verdict for each in letters} == {SENT}
        assert (relay.connections, relay.most_open, relay.accepted) == (3, 3, 40)


async def test_there_are_never_more_connections_than_allowed_while_lanes_break() -> None:
    async with RelayOnOrder() as relay, sending_to(relay, connections=3) as sender:
        relay.order(Fault.reply("DOT", 451, "later", close=False), times=5)
        relay.order(Fault.drop("RCPT"), times=1)
        relay.order(Fault.garbage("DATA"), times=1)
        letters = [sender.begin() for _ in range(40)]
        verdicts = [(await each).verdict for each in letters]
        assert set(verdicts) == {SENT, Verdict.RETRY}
        assert verdicts.count(SENT) == relay.accepted
        # The relay hears of an end a moment after we did.
        assert relay.most_open <= 3 + 2
        assert sender.open_lanes[0] <= 3


async def test_a_relay_that_takes_fewer_connections_gets_fewer() -> None:
    time = HandTime()
    async with RelayOnOrder() as relay, sending_to(relay, connections=4, clock=time.clock) as sender:
        await all_lanes_open(relay, sender, 2)
        relay.order(Fault.reply("BANNER", 421, "too many connections from you"))
        at_once = relay.order(Fault.hold("DOT"))
        with capture_logs() as logs:
            letters = [sender.begin() for _ in range(8)]
            await at_once.reached(2)
            await relay.until(lambda: relay.open_connections == 2 and relay.connections > 2)
            tried = relay.connections
            at_once.release()
            assert {(await each).verdict for each in letters} == {SENT}
        assert {entry["event"] for entry in logs} == {"relay takes no more connections"}
        assert sender.up == [True]
        assert sender.open_lanes == [2]
        assert relay.connections == tried <= 4  # it was not asked again for each letter

        relay.clear()
        time.seconds += CEILING_SECONDS
        await sender.outbox.tend()
        await all_lanes_open(relay, sender, 4)
        assert sender.open_lanes == [4]


async def test_a_relay_that_takes_one_connection_from_the_start_gets_all_letters_over_it() -> None:
    async with RelayOnOrder() as relay, sending_to(relay, connections=4) as sender:
        first = relay.order(Fault.hold("BANNER"), times=1)
        relay.order(Fault.reply("BANNER", 421, "one connection is enough"))
        letters = [sender.begin() for _ in range(6)]
        await first.reached()
        await relay.until(lambda: relay.connections == 4 and relay.open_connections == 1)
        first.release()
        assert {(await each).verdict for each in letters} == {SENT}
        assert {mail.connection for mail in relay.mails} == {1}
        assert sender.up == [True]


async def test_an_outage_at_the_start_is_not_taken_for_a_limit_on_connections() -> None:
    """Else the relay would get one letter at a time for a minute after it is back."""
    async with RelayOnOrder() as relay, sending_to(relay, connections=4) as sender:
        relay.order(Fault.refuse())
        with capture_logs() as logs:
            letters = [sender.begin() for _ in range(4)]
            assert {(await each).verdict for each in letters} == {Verdict.RELAY_DOWN}
        assert [entry["event"] for entry in logs] == ["relay down"]
        relay.clear()
        await sender.until_room()
        assert (await sender.send()).verdict is SENT
        await all_lanes_open(relay, sender, 4)


async def test_a_lane_that_never_ends_does_not_keep_the_others_from_closing() -> None:
    async with RelayOnOrder() as relay, sending_to(relay, connections=2, timeout=IMPATIENT) as sender:
        relay.order(Fault.hang("DOT"), times=1)
        stuck = sender.begin()
        assert (await sender.send()).verdict in (SENT, Verdict.RETRY)
        assert (await stuck).verdict in (SENT, Verdict.RETRY)
        assert relay.accepted == 1
