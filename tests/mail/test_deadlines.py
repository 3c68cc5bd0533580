"""The whole service with real relays: what is late is not sent, what is left over is sent by whoever comes next."""

from pathlib import Path

from resetsvc.app import create_app
from resetsvc.clock import Clock
from resetsvc.relay.relays import Relays
from resetsvc.testing import HandClock, make_settings
from tests.mail.houses import OLD, House, serving
from tests.mail.senders import IMPATIENT, PATIENT, commands
from tests.support.relay_on_order import Fault, RelayOnOrder


async def test_nothing_is_sent_after_the_deadline(tmp_path: Path) -> None:
    async with RelayOnOrder() as relay, serving(tmp_path, relay, delivery_deadline=3600) as house:
        relay.order(Fault.reply("RCPT", 451, "greylisted"), times=1)
        await house.ask("ann@user.test")
        await house.until_attempts(1)
        house.clock.advance(3601)
        await house.until_states(expired=1)
        await house.ask("bob@user.test")
        await relay.next_mail()
        assert [mail.rcpt_tos for mail in relay.mails] == [("bob@user.test",)]


async def test_a_deadline_that_passes_while_the_relay_thinks_stops_the_letter_at_the_body(
    tmp_path: Path,
) -> None:
    async with RelayOnOrder() as relay, serving(tmp_path, relay, delivery_deadline=3600) as house:
        go_ahead = relay.order(Fault.hold("DATA"), times=1)
        await house.ask("ann@user.test")
        await go_ahead.reached()
        house.clock.advance(3601)
        go_ahead.release()
        await house.until_states(expired=1)
        assert relay.mails == []
        assert commands(relay).count("DATA") == 1


async def test_a_lease_that_ran_out_while_the_relay_thought_stops_the_letter_at_the_body(
    tmp_path: Path,
) -> None:
    """As a process that stood still: another one may have taken the letter over meanwhile."""
    late = 0.0
    hand = HandClock()
    real = Clock()
    clock = Clock(now=hand.clock.now, monotonic=lambda: real.monotonic() + late, chance=lambda: 0.5)
    settings = make_settings(tmp_path, smtp_timeout=PATIENT)
    async with RelayOnOrder() as relay:
        outbox = Relays(
            make_settings(tmp_path, smtp_url=(relay.url,)).relays, connections=2, timeout=PATIENT, clock=clock
        )
        app = create_app(settings, outbox=outbox, clock=clock)
        async with app.test_app():
            house = House(app, hand)
            await house.accounts.add("ann@user.test", OLD)
            go_ahead = relay.order(Fault.hold("DATA"), times=1)
            await house.ask("ann@user.test")
            await go_ahead.reached()
            late = 60.0
            go_ahead.release()
            await relay.until(lambda: relay.open_connections == 0)
            assert relay.mails == []
            # It goes back and out again under a new claim, with the same Message-ID and one copy.
            await relay.next_mail()
            await house.until_states(sent=1)
            assert relay.accepted == 1


async def test_a_service_that_stops_while_a_relay_hangs_puts_the_letter_back(tmp_path: Path) -> None:
    async with RelayOnOrder() as relay:
        async with serving(tmp_path, relay, timeout=IMPATIENT) as house:
            stuck = relay.order(Fault.hang("DATA"))
            await house.ask("ann@user.test")
            await stuck.reached()
        relay.clear()
        hand = HandClock(seconds=HandClock().seconds + 60)
        settings = make_settings(tmp_path, smtp_url=(relay.url,))
        app = create_app(settings, clock=hand.clock)
        async with app.test_app():
            assert (await relay.next_mail()).rcpt_tos == ("ann@user.test",)
            await House(app, hand).until_states(sent=1)
