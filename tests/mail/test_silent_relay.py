"""Letters to one domain hang in a relay: whether the relay is to blame, or the domain, the next relay finds out."""

import asyncio

from resetsvc.relay.destinations import SILENT_AFTER, Destinations
from resetsvc.relay.verdict import Verdict
from tests.mail.senders import HandTime, letter, sending_to
from tests.support.relay_on_order import Fault, RelayOnOrder


async def test_a_domain_whose_letters_hang_in_a_silent_relay_is_served_by_the_next() -> None:
    time = HandTime()
    async with (
        RelayOnOrder() as first,
        RelayOnOrder() as second,
        sending_to(first, second, clock=time.clock, destinations=Destinations) as sender,
    ):
        assert (await sender.send(letter("ann@good.test"))).verdict is Verdict.SENT
        hanging = first.order(Fault.hang("MAIL"))
        lost = [sender.begin(letter(f"bob{number}@good.test")) for number in range(2)]
        await hanging.reached(2)
        time.seconds += SILENT_AFTER
        attempts = await asyncio.gather(*(sender.send(letter(f"eve{n}@good.test")) for n in range(5)))
        assert [attempt.verdict for attempt in attempts] == [Verdict.SENT] * 5
        assert (first.accepted, second.accepted) == (1, 5)
        await first.stop()
        await asyncio.gather(*lost)


async def test_where_a_lane_is_left_one_letter_finds_out_and_the_others_go_to_the_next_relay() -> None:
    time = HandTime()
    async with (
        RelayOnOrder() as first,
        RelayOnOrder() as second,
        sending_to(first, second, connections=8, clock=time.clock, destinations=Destinations) as sender,
    ):
        assert (await sender.send(letter("ann@good.test"))).verdict is Verdict.SENT
        hanging = first.order(Fault.hang("MAIL"))
        lost = [sender.begin(letter(f"bob{number}@good.test")) for number in range(3)]
        await hanging.reached(3)
        time.seconds += SILENT_AFTER
        probe = sender.begin(letter("dan@good.test"))
        await hanging.reached(4)
        attempts = await asyncio.gather(*(sender.send(letter(f"eve{n}@good.test")) for n in range(5)))
        assert [attempt.verdict for attempt in attempts] == [Verdict.SENT] * 5
        assert (first.accepted, second.accepted) == (1, 5)
        await first.stop()
        await asyncio.gather(*lost, probe)


async def test_a_domain_that_alone_is_silent_waits_for_its_relay_and_fills_no_lane_of_the_next() -> None:
    time = HandTime()
    async with (
        RelayOnOrder() as first,
        RelayOnOrder() as second,
        sending_to(first, second, connections=8, clock=time.clock, destinations=Destinations) as sender,
    ):
        hanging = first.order(Fault.hang("RCPT"), only_for=lambda to: "@hole" in to)
        lost = [sender.begin(letter(f"bob{number}@hole.test")) for number in range(2)]
        await hanging.reached(2)
        time.seconds += SILENT_AFTER
        assert (await sender.send(letter("ann@good.test"))).verdict is Verdict.SENT
        probe = sender.begin(letter("bob2@hole.test"))
        await hanging.reached(3)
        postponed = await sender.send(letter("bob3@hole.test"))
        assert (postponed.verdict, postponed.reply) == (
            Verdict.POSTPONED,
            "its domain does not answer at the moment",
        )
        assert (first.accepted, second.connections) == (1, 0)
        await first.stop()
        await asyncio.gather(*lost, probe)


async def test_a_relay_that_takes_its_time_at_each_step_silences_no_domain() -> None:
    """Else all that wait for it would go back to the queue for ten seconds, as if nobody were there."""
    time = HandTime()
    async with (
        RelayOnOrder() as relay,
        sending_to(relay, connections=4, clock=time.clock, destinations=Destinations) as sender,
    ):
        steps = [relay.order(Fault.hold(step), times=1) for step in ("EHLO", "RCPT", "DOT")]
        slow = sender.begin(letter("bob@slow.test"))
        for step in steps:
            await step.reached()
            time.seconds += 0.75 * SILENT_AFTER
            if step is not steps[-1]:
                step.release()
        others = [sender.begin(letter(f"eve{number}@slow.test")) for number in range(2)]
        await asyncio.sleep(0)
        steps[-1].release()
        attempts = await asyncio.gather(slow, *others)
        assert [attempt.verdict for attempt in attempts] == [Verdict.SENT] * 3


async def test_letters_stay_in_the_queue_while_a_lone_relay_says_nothing_and_one_finds_out() -> None:
    """Claimed, they would go back for ten seconds, all that wait, however soon it speaks again."""
    time = HandTime()
    async with (
        RelayOnOrder() as relay,
        sending_to(relay, connections=8, clock=time.clock, destinations=Destinations) as sender,
    ):
        hanging = relay.order(Fault.hang("MAIL"), times=2)
        lost = [sender.begin(letter(f"bob{number}@good.test")) for number in range(2)]
        await hanging.reached(2)
        assert sender.outbox.room() > 3
        time.seconds += SILENT_AFTER
        assert sender.outbox.room() == 3, "the two that hang, and one that may ask"
        answer = relay.order(Fault.hold("RCPT"), times=1)
        asking = sender.begin(letter("dan@good.test"))
        await answer.reached()
        time.seconds += SILENT_AFTER / 2  # its lane was opened just now: that was a word
        assert sender.outbox.room() > 3
        time.seconds += SILENT_AFTER / 2
        assert sender.outbox.room() == 4, "the three that hang, and again one"
        assert (await sender.send(letter("ann@good.test"))).verdict is Verdict.SENT
        assert sender.outbox.room() > 4, "it speaks"
        answer.release()
        assert (await asking).verdict is Verdict.SENT
        await relay.stop()
        await asyncio.gather(*lost)
