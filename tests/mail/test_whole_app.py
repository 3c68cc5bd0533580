"""The whole service with real relays: what people ask for is answered at once, and arrives whatever the relay does."""

import json
from pathlib import Path

import pytest

from resetsvc.letters import State
from resetsvc.store import kept_letters as kept
from tests.mail.houses import NEW, links, serving
from tests.support.relay_on_order import Fault, RelayOnOrder


async def test_a_reset_from_the_request_to_the_notice(tmp_path: Path) -> None:
    async with RelayOnOrder() as relay, serving(tmp_path, relay) as house:
        assert await house.ask("ann@user.test") == "Email sent"
        mail = await relay.next_mail()
        assert (mail.mail_from, mail.rcpt_tos) == ("no-reply@example.com", ("ann@user.test",))
        answer = await house.client.post(links(mail)[0], form={"password": NEW})
        assert answer.status_code == 200
        notice = await relay.next_mail()
        assert notice.rcpt_tos == ("ann@user.test",)
        assert b"Your password was changed" in notice.message
        await house.until_states(sent=2)


@pytest.mark.parametrize("step", ["BANNER", "MAIL", "DOT"])
async def test_answers_do_not_wait_for_a_relay_that_hangs_and_all_letters_arrive(
    tmp_path: Path, step: str
) -> None:
    async with RelayOnOrder() as relay, serving(tmp_path, relay, limit_per_account="") as house:
        stuck = relay.order(Fault.hold(step))  # type: ignore[arg-type]  # pytest's parameters are plain strings
        assert await house.ask("ann@user.test") == "Email sent"
        await stuck.reached()
        # The relay has one letter by the throat: these are answered all the same, before anything moves there.
        for _ in range(5):
            assert await house.ask("bob@user.test") == "Email sent"
            assert await house.ask("nobody@user.test") == "Email sent"
        assert relay.accepted == 0
        stuck.release()
        await relay.until(lambda: relay.accepted == 6)
        await house.until_states(sent=6, dropped=5)
        assert relay.most_open <= 2


async def test_answers_do_not_wait_for_a_relay_that_is_down_and_all_letters_arrive_when_it_is_back(
    tmp_path: Path,
) -> None:
    async with RelayOnOrder() as relay, serving(tmp_path, relay) as house:
        await relay.stop()
        for name in ("ann", "bob", "cyd", "dan"):
            assert await house.ask(f"{name}@user.test") == "Email sent"
        assert relay.accepted == 0
        await relay.start()
        await relay.until(lambda: relay.accepted == 4)
        await house.until_states(sent=4)
        letters = await house.service.store.read(lambda unit: kept.list_letters(unit, None, 10))
        assert {letter["attempts"] for letter in letters} == {1}  # an outage is no letter's misfortune


async def test_the_next_relay_delivers_while_the_first_is_down(tmp_path: Path) -> None:
    async with RelayOnOrder() as first, RelayOnOrder() as second, serving(tmp_path, first, second) as house:
        await first.stop()
        await house.ask("ann@user.test")
        await second.next_mail()
        await first.start()
        letters = ("bob", "cyd", "dan")
        await first.until(lambda: first.connections >= 1)
        for name in letters:
            await house.ask(f"{name}@user.test")
        await first.until(lambda: first.accepted + second.accepted == 4)
        await house.until_states(sent=4)


async def test_a_connection_lost_after_the_dot_gives_a_copy_that_is_known_and_whose_link_works(
    tmp_path: Path,
) -> None:
    """The relay had taken it and could not say so: the person gets it twice, mail programs show it once."""
    async with RelayOnOrder() as relay, serving(tmp_path, relay) as house:
        relay.order(Fault.drop("DOT", accept=True), times=2)
        await house.ask("ann@user.test")
        await relay.next_mail()
        for attempt in (1, 2):
            await house.until_attempts(attempt)
            house.clock.advance(60)
            house.service.supervisor.wake()  # type: ignore[union-attr]  # this service has a dispatcher
            await relay.next_mail()
        await house.until_states(sent=1)
        copies = list(relay.mails)
        assert len(copies) == 3
        assert len({mail.message_id for mail in copies}) == 1
        assert copies[0].message_id
        for mail in copies:
            assert (await house.client.get(links(mail)[0])).status_code == 200
        assert (await house.client.post(links(copies[0])[0], form={"password": NEW})).status_code == 200
        for mail in copies:
            assert (await house.client.get(links(mail)[0])).status_code == 410


async def test_a_letter_that_is_refused_for_a_time_comes_again_and_others_do_not_wait(tmp_path: Path) -> None:
    async with RelayOnOrder() as relay, serving(tmp_path, relay) as house:
        relay.order(
            Fault.reply("RCPT", 451, "greylisted"), times=1, only_for=lambda to: to == "ann@user.test"
        )
        await house.ask("ann@user.test")
        await house.until_attempts(1)
        await house.ask("bob@user.test")
        assert (await relay.next_mail()).rcpt_tos == ("bob@user.test",)
        await house.until_states(sent=1, queued=1)
        house.clock.advance(30)
        assert (await relay.next_mail()).rcpt_tos == ("ann@user.test",)
        await house.until_states(sent=2)


async def test_a_letter_that_is_refused_for_good_is_not_sent_again(tmp_path: Path) -> None:
    async with RelayOnOrder() as relay, serving(tmp_path, relay) as house:
        relay.order(Fault.reply("RCPT", 550, "no such user"), only_for=lambda to: to == "ann@user.test")
        await house.ask("ann@user.test")
        await house.until_states(failed=1)
        house.clock.advance(3600)
        await house.ask("bob@user.test")
        await relay.next_mail()
        assert [line for _, line in relay.commands].count("RCPT TO:<ann@user.test>") == 1


async def test_a_refused_log_in_keeps_every_letter(tmp_path: Path) -> None:
    async with RelayOnOrder(credentials=("me", "word")) as relay, serving(tmp_path, relay) as house:
        refused = relay.order(Fault.reply("AUTH", 535, "wrong password"))
        for name in ("ann", "bob"):
            await house.ask(f"{name}@user.test")
        await refused.reached(4)
        states = await house.states()
        assert states.get("queued", 0) + states.get("sending", 0) == 2
        refused.withdraw()
        await relay.until(lambda: relay.accepted == 2)
        await house.until_states(sent=2)


async def test_odd_replies_are_put_on_record_and_keep_nobody_from_being_served(tmp_path: Path) -> None:
    """A reply that the database cannot take would undo the whole batch, and the letters in it would never end."""
    async with RelayOnOrder() as relay, serving(tmp_path, relay) as house:
        relay.order(Fault.garbage("BANNER", b"421 surcharg\xe9 \x00\x1b[2J\r\n"), times=2)
        relay.order(Fault.garbage("DOT", b"451 \xed\xa0\x80\xff\x00 later\r\n"), times=1)
        await house.ask("ann@user.test")
        await house.until_attempts(1)
        attempts = await house.service.store.read(
            lambda unit: unit.fetch_all("SELECT code, reply FROM attempts ORDER BY seq")
        )
        assert [row["code"] for row in attempts][-1] == 451
        assert all(str(row["reply"]).isprintable() for row in attempts)
        json.dumps([dict(row) for row in attempts]).encode()
        house.clock.advance(60)
        await relay.next_mail()
        await house.until_states(**{State.SENT.value: 1})
