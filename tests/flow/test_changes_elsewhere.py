"""Accounts in another database: a crash at any point leaves either nothing changed, or everything done after the restart."""

import asyncio
from dataclasses import dataclass, field, replace

import pytest

from resetsvc.audit import Event
from resetsvc.dispatch.leases import LEASE
from resetsvc.errors import CannotStore
from resetsvc.housekeeping import erase
from resetsvc.testing import HandClock
from tests.flow.conftest import ANN, NEW_PASSWORD, OLD_PASSWORD, RememberedAccounts, Running, Start, until

LOOK_AFTER = 2 * LEASE
LINK_USED, PASSWORD_CHANGED = Event.LINK_USED.value, Event.PASSWORD_CHANGED.value
CHANGE_UNCLEAR = Event.CHANGE_UNCLEAR.value
BOB = "bob@example.com"


class Crash(BaseException):
    """The process is gone: nothing of it is done any more, not even what stands in `finally` of ours."""


async def crash() -> None:
    raise Crash


@dataclass
class Elsewhere:
    """A service whose accounts are elsewhere, with Ann's link in hand; and what became of it all."""

    start: Start
    accounts: RememberedAccounts
    hand: HandClock = field(default_factory=HandClock)

    async def begin(self) -> Running:
        running = await self.start(accounts=self.accounts, clock=self.hand.clock, limit_per_account="")
        return replace(running, hand=self.hand)

    @property
    def password(self) -> str:
        return self.accounts.passwords[f"id of {ANN}"]


@pytest.fixture
def elsewhere(start: Start) -> Elsewhere:
    accounts = RememberedAccounts(elsewhere=True)
    accounts.put(ANN)
    return Elsewhere(start, accounts)


async def changes(running: Running) -> int:
    return len(await running.rows("SELECT * FROM changes"))


async def events(running: Running) -> list[str]:
    rows = await running.rows("SELECT event FROM audit ORDER BY seq")
    return [row["event"] for row in rows if row["event"] in (LINK_USED, PASSWORD_CHANGED, CHANGE_UNCLEAR)]


async def notices(running: Running) -> int:
    return len(await running.rows("SELECT * FROM letters WHERE kind = 'notice'"))


async def crash_in(running: Running, path: str) -> None:
    """Set the password with a process that dies on the way, at the point where the accounts were told to."""
    token = path.rpartition("/")[2]
    with pytest.raises(Crash):
        await running.service.parts.confirm.change_password(token, NEW_PASSWORD, client="203.0.113.9")


async def look_after_a_crash(elsewhere: Elsewhere, running: Running) -> None:
    """Let a dispatcher look once it has to believe that the process is dead."""
    elsewhere.hand.advance(LOOK_AFTER + 1)

    async def ended() -> bool:
        return await changes(running) == 0

    # By itself it looks every five seconds; asked here, so that nobody waits.
    await running.service.changes.finish_interrupted()
    await until(ended)


async def test_a_password_elsewhere_is_changed_once_and_all_of_it(elsewhere: Elsewhere) -> None:
    running = await elsewhere.begin()
    first, second = await running.mail_to(), await running.mail_to()
    assert (await running.set_password(first.link_path)).status_code == 200
    assert elsewhere.password == NEW_PASSWORD
    assert (await running.mailbox.next_mail()).subject == "Your password was changed"
    for mail in (first, second):
        assert (await running.set_password(mail.link_path)).status_code == 410
    assert await changes(running) == 0
    assert await events(running) == [LINK_USED, PASSWORD_CHANGED]
    assert [row["link"] for row in await running.letters()] == ["used", "revoked", None]


async def test_a_crash_before_the_swap_leaves_nothing_changed_and_the_link_works_again(
    elsewhere: Elsewhere,
) -> None:
    running = await elsewhere.begin()
    mail, other = await running.mail_to(), await running.mail_to()
    elsewhere.accounts.before_swap = crash
    await crash_in(running, mail.link_path)
    assert await changes(running) == 1
    elsewhere.accounts.before_swap = None
    # Nobody knows yet what became of it: neither this link nor another one of the account goes ahead of that.
    for link in (mail, other):
        assert (await running.set_password(link.link_path)).status_code == 503
    await look_after_a_crash(elsewhere, running)
    assert elsewhere.password == OLD_PASSWORD
    assert await notices(running) == 0
    assert await events(running) == []
    assert (await running.set_password(mail.link_path)).status_code == 200
    assert elsewhere.password == NEW_PASSWORD


async def test_a_crash_after_the_swap_is_completed_after_the_restart(elsewhere: Elsewhere) -> None:
    running = await elsewhere.begin()
    mail, other = await running.mail_to(), await running.mail_to()
    elsewhere.accounts.after_swap = crash
    await crash_in(running, mail.link_path)
    elsewhere.accounts.after_swap = None
    assert elsewhere.password == NEW_PASSWORD
    # Whoever comes before it is completed: no link of the account does anything.
    for dead in (mail, other):
        assert (await running.set_password(dead.link_path)).status_code == 410
    assert await notices(running) == 0

    second = await elsewhere.begin()
    await look_after_a_crash(elsewhere, second)
    rows = await second.rows("SELECT link FROM letters WHERE kind = 'reset' ORDER BY seq")
    assert [row["link"] for row in rows] == ["used", "revoked"]
    assert await events(second) == [LINK_USED, PASSWORD_CHANGED]
    assert await notices(second) == 1
    noted = await second.rows("SELECT client FROM letters WHERE kind = 'notice'")
    assert [row["client"] for row in noted] == ["203.0.113.9"]


async def test_a_dispatcher_looks_by_itself(elsewhere: Elsewhere) -> None:
    """At its start, and every five seconds."""
    running = await elsewhere.begin()
    mail = await running.mail_to()
    elsewhere.accounts.after_swap = crash
    await crash_in(running, mail.link_path)
    elsewhere.hand.advance(LOOK_AFTER + 1)
    second = await elsewhere.begin()
    assert (await asyncio.wait_for(second.mailbox.next_mail(), 8)).subject == "Your password was changed"


async def test_it_is_not_looked_into_before_its_process_has_to_be_dead(elsewhere: Elsewhere) -> None:
    running = await elsewhere.begin()
    mail = await running.mail_to()
    elsewhere.accounts.after_swap = crash
    await crash_in(running, mail.link_path)
    elsewhere.hand.advance(LOOK_AFTER - 1)
    assert await running.service.changes.finish_interrupted() == 0
    assert await changes(running) == 1
    elsewhere.hand.advance(2)
    assert await running.service.changes.finish_interrupted() == 1


async def test_a_swap_whose_answer_is_lost_is_completed(elsewhere: Elsewhere) -> None:
    """It was done, and the database's "yes" did not arrive: a person is told to try again, and is told the truth later."""
    running = await elsewhere.begin()
    mail = await running.mail_to()

    async def lose_the_answer() -> None:
        raise CannotStore

    elsewhere.accounts.after_swap = lose_the_answer
    assert (await running.set_password(mail.link_path)).status_code == 503
    assert await notices(running) == 0
    await look_after_a_crash(elsewhere, running)
    assert await notices(running) == 1
    assert elsewhere.password == NEW_PASSWORD


async def test_a_process_that_was_only_slow_and_the_one_that_looked_into_it_do_it_once(
    elsewhere: Elsewhere,
) -> None:
    running = await elsewhere.begin()
    mail = await running.mail_to()

    async def be_slow() -> None:
        elsewhere.hand.advance(LOOK_AFTER + 1)
        assert await running.service.changes.finish_interrupted() == 1

    elsewhere.accounts.after_swap = be_slow
    assert (await running.set_password(mail.link_path)).status_code == 200
    assert await notices(running) == 1
    assert await events(running) == [LINK_USED, PASSWORD_CHANGED]


async def test_a_swap_that_comes_after_it_was_believed_dead_is_completed_too(elsewhere: Elsewhere) -> None:
    running = await elsewhere.begin()
    mail = await running.mail_to()

    async def be_far_too_slow() -> None:
        elsewhere.hand.advance(LOOK_AFTER + 1)
        assert await running.service.changes.finish_interrupted() == 0  # nothing is changed yet
        assert await changes(running) == 0

    elsewhere.accounts.before_swap = be_far_too_slow
    assert (await running.set_password(mail.link_path)).status_code == 200
    assert await notices(running) == 1
    assert await events(running) == [LINK_USED, PASSWORD_CHANGED]


async def test_an_owner_who_stops_all_links_in_that_moment_is_told_of_the_change_all_the_same(
    elsewhere: Elsewhere,
) -> None:
    running = await elsewhere.begin()
    mail = await running.mail_to()

    async def stop_them() -> None:
        await running.change("UPDATE letters SET link = 'revoked' WHERE kind = 'reset'")

    elsewhere.accounts.after_swap = stop_them
    assert (await running.set_password(mail.link_path)).status_code == 200
    assert await notices(running) == 1


async def test_a_password_that_was_changed_by_the_application_meanwhile_kills_the_link(
    elsewhere: Elsewhere,
) -> None:
    running = await elsewhere.begin()
    mail = await running.mail_to()

    async def change_there() -> None:
        account = elsewhere.accounts.by_id[f"id of {ANN}"]
        elsewhere.accounts.by_id[account.id] = replace(account, credential="another one")

    elsewhere.accounts.before_swap = change_there
    assert (await running.set_password(mail.link_path)).status_code == 410
    assert elsewhere.password == OLD_PASSWORD
    assert await changes(running) == 0
    assert await notices(running) == 0


@pytest.mark.parametrize("point", ["before_swap", "after_swap"])
async def test_a_change_by_the_application_in_the_seconds_after_a_crash_is_not_put_down_to_the_link(
    elsewhere: Elsewhere, point: str
) -> None:
    """Nobody can know whether ours was made before it: so the owner is told, and the trail says just that."""
    running = await elsewhere.begin()
    mail, other = await running.mail_to(), await running.mail_to()
    setattr(elsewhere.accounts, point, crash)
    await crash_in(running, mail.link_path)
    setattr(elsewhere.accounts, point, None)
    account = elsewhere.accounts.by_id[f"id of {ANN}"]
    elsewhere.accounts.by_id[account.id] = replace(account, credential="the application's")
    await look_after_a_crash(elsewhere, running)
    assert await events(running) == [CHANGE_UNCLEAR]
    assert (await running.mailbox.next_mail()).subject == "Your password was changed"
    rows = await running.rows("SELECT link FROM letters WHERE kind = 'reset' ORDER BY seq")
    assert [row["link"] for row in rows] == ["revoked", "revoked"]
    for dead in (mail, other):
        assert (await running.set_password(dead.link_path)).status_code == 410


async def test_where_nobody_foresees_the_credential_another_one_is_taken_for_ours(
    elsewhere: Elsewhere,
) -> None:
    elsewhere.accounts.foresees_credentials = False
    running = await elsewhere.begin()
    mail = await running.mail_to()
    elsewhere.accounts.after_swap = crash
    await crash_in(running, mail.link_path)
    await look_after_a_crash(elsewhere, running)
    assert await events(running) == [LINK_USED, PASSWORD_CHANGED]
    assert await notices(running) == 1


async def test_of_two_with_one_link_one_wins_and_the_other_is_told_to_come_again(
    elsewhere: Elsewhere,
) -> None:
    running = await elsewhere.begin()
    mail = await running.mail_to()
    within: list[int] = []

    async def come_second() -> None:
        elsewhere.accounts.before_swap = None
        within.append((await running.set_password(mail.link_path, "another four words here")).status_code)

    elsewhere.accounts.before_swap = come_second
    assert (await running.set_password(mail.link_path)).status_code == 200
    assert within == [503]
    assert elsewhere.password == NEW_PASSWORD
    assert await notices(running) == 1


@pytest.mark.parametrize("method", ["get", "swap"])
async def test_accounts_that_cannot_be_reached_change_nothing(elsewhere: Elsewhere, method: str) -> None:
    running = await elsewhere.begin()
    mail = await running.mail_to()
    setattr(elsewhere.accounts, f"{method}_fails", CannotStore())
    answer = await running.set_password(mail.link_path)
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "5"
    elsewhere.hand.advance(LOOK_AFTER + 1)
    if method == "get":
        assert await running.service.changes.finish_interrupted() == 0
    setattr(elsewhere.accounts, f"{method}_fails", None)
    await running.service.changes.finish_interrupted()
    assert elsewhere.password == OLD_PASSWORD
    assert (await running.set_password(mail.link_path)).status_code == 200


@pytest.mark.parametrize("odd", [ANN, BOB])
async def test_an_account_that_cannot_be_looked_into_holds_up_no_other_change(
    elsewhere: Elsewhere, odd: str
) -> None:
    """It may be refused for good, and come first each time."""
    elsewhere.accounts.put(BOB)
    running = await elsewhere.begin()
    mails = [await running.mail_to(ANN), await running.mail_to(BOB)]
    elsewhere.accounts.after_swap = crash
    for mail in mails:
        await crash_in(running, mail.link_path)
    elsewhere.hand.advance(LOOK_AFTER + 1)
    elsewhere.accounts.out_of_reach = {f"id of {odd}"}
    with pytest.raises(CannotStore):
        await running.service.changes.finish_interrupted()
    told = await running.mailbox.next_mail()
    assert (told.subject, told.recipient) == ("Your password was changed", ANN if odd == BOB else BOB)
    assert await changes(running) == 1
    elsewhere.accounts.out_of_reach = set()
    elsewhere.hand.advance(LOOK_AFTER + 1)
    assert await running.service.changes.finish_interrupted() == 1
    assert (await running.mailbox.next_mail()).recipient == odd


async def test_a_change_of_accounts_that_are_gone_is_forgotten(elsewhere: Elsewhere) -> None:
    running = await elsewhere.begin()
    mail = await running.mail_to()
    elsewhere.accounts.after_swap = crash
    await crash_in(running, mail.link_path)
    del elsewhere.accounts.by_id[f"id of {ANN}"]
    await look_after_a_crash(elsewhere, running)
    assert await notices(running) == 0


async def test_a_link_that_its_owner_stopped_while_the_password_was_hashed_changes_nothing(
    elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = await elsewhere.begin()
    mail = await running.mail_to()

    async def stop_meanwhile(password: str) -> str:
        assert (await running.client.post(f"{mail.link_path}/cancel")).status_code == 200
        return password

    monkeypatch.setattr(elsewhere.accounts, "seal", stop_meanwhile)
    assert (await running.set_password(mail.link_path)).status_code == 410
    assert elsewhere.password == OLD_PASSWORD
    assert await changes(running) == 0


async def test_what_nobody_ever_ended_is_erased_with_the_letters(elsewhere: Elsewhere) -> None:
    """The accounts were moved to another place after the crash: nobody looks into it any more."""
    running = await elsewhere.begin()
    mail = await running.mail_to()
    elsewhere.accounts.before_swap = crash
    await crash_in(running, mail.link_path)
    store, now = running.service.store, elsewhere.hand.clock.now()
    day = 86400.0
    await erase(store, now + 29 * day, 30 * day)
    assert await changes(running) == 1
    await erase(store, now + 31 * day, 30 * day)
    assert await changes(running) == 0
