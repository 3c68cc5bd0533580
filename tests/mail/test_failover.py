"""Several relays: the first that is up takes the letters; the next one stands in for it, and hands back."""

import pytest
from structlog.testing import capture_logs

from resetsvc.relay.verdict import Verdict
from tests.mail.senders import IMPATIENT, commands, sending_to
from tests.support.relay_on_order import Fault, RelayOnOrder

SENT = Verdict.SENT
NEVER = (3600.0,)


async def test_the_first_relay_takes_all_letters_while_it_is_up() -> None:
    async with RelayOnOrder() as first, RelayOnOrder() as second, sending_to(first, second) as sender:
        for _ in range(5):
            assert (await sender.send()).relay == f"127.0.0.1:{first.port}"
        assert second.connections == 0


@pytest.mark.parametrize(
    "fault",
    [
        Fault.refuse(),
        Fault.drop("BANNER"),
        Fault.reply("BANNER", 554, "go away"),
        Fault.reply("MAIL", 421, "closing"),
        Fault.reply("MAIL", 550, "we do not know you"),
        Fault.drop("MAIL"),
    ],
)
async def test_the_next_relay_takes_over_within_the_same_attempt_and_traffic_returns(fault: Fault) -> None:
    async with RelayOnOrder() as first, RelayOnOrder() as second, sending_to(first, second) as sender:
        first.order(fault)
        for _ in range(3):
            attempt = await sender.send()
            assert (attempt.verdict, attempt.relay) == (SENT, f"127.0.0.1:{second.port}")
        assert second.connections == 1
        first.clear()
        while not sender.up[0]:
            sender.room_again.clear()
            await sender.room_again.wait()
        assert (await sender.send()).relay == f"127.0.0.1:{first.port}"
        assert first.accepted == 1


async def test_a_relay_that_hangs_costs_the_letters_that_met_it_one_time_out_and_the_others_nothing() -> None:
    pair = RelayOnOrder(), RelayOnOrder()
    async with (
        pair[0] as first,
        pair[1] as second,
        sending_to(first, second, timeout=IMPATIENT, probe_pauses=NEVER) as sender,
    ):
        hung = first.order(Fault.hang("BANNER"))
        assert (await sender.send()).verdict is SENT
        for _ in range(10):
            assert (await sender.send()).verdict is SENT
        assert (hung.struck, first.connections, second.accepted) == (1, 1, 11)


async def test_a_letter_that_a_relay_refused_for_good_is_not_shown_to_the_next_one() -> None:
    async with RelayOnOrder() as first, RelayOnOrder() as second, sending_to(first, second) as sender:
        first.order(Fault.reply("RCPT", 550, "no such user"), times=1)
        first.order(Fault.drop("DOT"), times=1)
        assert (await sender.send()).verdict is Verdict.FAILED
        assert (
            await sender.send()
        ).verdict is Verdict.RETRY  # perhaps taken: the next one would make a copy at once
        assert second.connections == 0


async def test_while_all_are_down_there_is_no_room_and_no_letter_is_tried() -> None:
    async with (
        RelayOnOrder() as first,
        RelayOnOrder() as second,
        sending_to(first, second, probe_pauses=NEVER) as sender,
    ):
        first.order(Fault.refuse())
        second.order(Fault.drop("BANNER"))
        assert (await sender.send()).verdict is Verdict.RELAY_DOWN
        assert (sender.up, sender.outbox.room()) == ([False, False], 0)
        for _ in range(10):
            assert (await sender.send()).verdict is Verdict.RELAY_DOWN
        assert second.connections == 1


async def test_probes_carry_no_letter_and_come_one_at_a_time() -> None:
    async with RelayOnOrder() as relay, sending_to(relay, connections=4) as sender:
        relay.order(Fault.reply("EHLO", 421, "not yet"))
        letters = [sender.begin() for _ in range(4)]
        for each in letters:
            assert (await each).verdict is Verdict.RELAY_DOWN
        await relay.until(lambda: relay.open_connections == 0)
        relay.most_open = 0
        await relay.until(lambda: relay.connections >= 10)
        assert relay.most_open == 1
        assert set(commands(relay)) == {"EHLO"}


async def test_a_relay_that_is_up_again_gets_one_letter_first_and_then_all() -> None:
    async with RelayOnOrder() as relay, sending_to(relay, connections=4) as sender:
        relay.order(Fault.refuse())
        assert (await sender.send()).verdict is Verdict.RELAY_DOWN
        relay.clear()
        at_once = relay.order(Fault.hold("DOT"))
        await sender.until_room()
        assert sender.outbox.room() == 1
        letters = [sender.begin() for _ in range(6)]
        await at_once.reached()
        assert relay.open_connections == 1
        at_once.release()
        assert {(await each).verdict for each in letters} == {SENT}
        assert relay.most_open == 4


async def test_a_relay_that_greets_again_but_hangs_holds_up_one_letter_and_no_other() -> None:
    async with RelayOnOrder() as first, RelayOnOrder() as second, sending_to(first, second) as sender:
        first.order(Fault.refuse())
        assert (await sender.send()).relay == f"127.0.0.1:{second.port}"
        stuck = first.order(Fault.hold("RCPT"))
        first.orders.remove(first.orders.orders[0])
        while sender.up != [True, True]:
            sender.room_again.clear()
            await sender.room_again.wait()
        trial = sender.begin()
        await stuck.reached()
        assert sender.outbox.room() > 1
        others = [sender.begin() for _ in range(10)]
        assert {(await each).relay for each in others} == {f"127.0.0.1:{second.port}"}
        assert not trial.done()
        stuck.release()
        assert (await trial).relay == f"127.0.0.1:{first.port}"
        assert (await sender.send()).relay == f"127.0.0.1:{first.port}"


async def test_an_outage_is_told_once_and_its_end_when_a_letter_went_through() -> None:
    async with RelayOnOrder() as relay, sending_to(relay) as sender:
        with capture_logs() as logs:
            relay.order(Fault.refuse())
            assert (await sender.send()).verdict is Verdict.RELAY_DOWN
            relay.clear()
            relay.order(Fault.drop("MAIL"))
            for _ in range(3):  # it greets, and drops the letter
                await sender.until_room()
                assert (await sender.send()).verdict is Verdict.RELAY_DOWN
            relay.clear()
            await sender.until_room()
            assert [entry["event"] for entry in logs] == ["relay down"]
            assert (await sender.send()).verdict is SENT
        assert [entry["event"] for entry in logs] == ["relay down", "relay up"]


async def test_a_relay_that_cannot_be_spoken_to_at_all_is_probed_for_ever() -> None:
    """A probe that died of an odd reply would leave the relay down until the next start."""
    async with RelayOnOrder(credentials=("me", "word")) as relay, sending_to(relay) as sender:
        odd = [
            b"\xff\r\n",
            b"220\r\n\r\n\r\n",
            b"999 what\r\n",
            b"\r\n",
            b"220-\xff\xfe\r\n220 \x00\r\n",
            b"-1 no\r\n",
        ]
        for data in odd:
            relay.order(Fault.garbage("BANNER", data), times=1)
        for data in [b"334 ???\r\n", b"235\r\n235\r\n", b"250 \xff\r\n"]:
            relay.order(Fault.garbage("AUTH", data), times=1)
            relay.order(Fault.garbage("EHLO", data), times=1)
        relay.order(Fault.reply("AUTH", 454, "later"), times=1)
        relay.order(Fault.reply("AUTH", 535, "no", close=True), times=1)
        while (await sender.send()).verdict is not SENT:
            await sender.until_room()
        assert relay.accepted == 1
