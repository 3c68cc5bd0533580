"""Which requests become a mail: budgets, merging, accounts that get none. Nobody who asks can see any of it."""

from resetsvc.testing import HandClock
from tests.flow.conftest import ANN, OLD_PASSWORD, RememberedAccounts, Running, Start, seen

BOB = "bob@example.com"


async def ends_of(running: Running, finished: int) -> list[str]:
    """How the letters ended, in the order in which they were asked for."""
    return [row["reason"] or row["state"] for row in await running.letters_finished(finished)]


async def test_three_mails_an_hour_and_then_one_each_twenty_minutes(start: Start) -> None:
    hand = HandClock()
    running = await start(clock=hand.clock)
    await running.accounts.add(ANN, OLD_PASSWORD)
    mails = []
    for _ in range(3):
        mails.append(await running.mail_to())
        await running.letters_finished(len(mails))
        hand.advance(60)
    for number in range(4, 7):
        assert (await running.ask()).status_code == 200
        await running.letters_finished(number)
    assert await ends_of(running, 6) == ["sent"] * 3 + ["over_budget"] * 3
    assert len(running.mailbox.mails) == 3
    # A full bucket locks nobody out: what was sent goes on working, and it refills.
    for mail in mails:
        assert (await running.client.get(mail.link_path)).status_code == 200
    hand.advance(1200 - 61)
    await running.ask()
    assert (await ends_of(running, 7))[-1] == "over_budget"
    hand.advance(2)
    await running.mail_to()
    await running.letters_finished(8)
    hand.advance(1)
    await running.ask()
    assert (await ends_of(running, 9))[-1] == "over_budget"


async def test_one_accounts_budget_is_not_anothers(start: Start) -> None:
    running = await start(limit_per_account="1/hour")
    for address in (ANN, BOB):
        await running.accounts.add(address, OLD_PASSWORD)
    await running.mail_to(ANN)
    await running.letters_finished(1)
    await running.ask(ANN)
    assert (await ends_of(running, 2))[1] == "over_budget"
    await running.mail_to(BOB)


async def test_another_spelling_of_an_address_has_the_same_budget(start: Start) -> None:
    running = await start(limit_per_account="1/hour")
    await running.accounts.add(ANN, OLD_PASSWORD)
    await running.mail_to(ANN)
    await running.letters_finished(1)
    for number, spelling in enumerate(("ANN@example.com", " ann@EXAMPLE.com "), start=2):
        await running.ask(spelling)
        assert (await ends_of(running, number))[-1] == "over_budget"


async def test_requests_that_wait_together_become_one_mail(ann: Running) -> None:
    await ann.accounts.add(BOB, OLD_PASSWORD)
    ann.mailbox.close_for_now()
    for _ in range(5):
        await ann.ask(ANN)
    await ann.ask(BOB)
    ann.mailbox.open_again()
    assert await ends_of(ann, 6) == ["sent", "merged", "merged", "merged", "merged", "sent"]
    assert [mail.recipient for mail in ann.mailbox.mails] == [ANN, BOB]
    # What was merged took nothing from the budget.
    await ann.mail_to(ANN)


async def test_a_merged_request_lends_its_deadline_to_the_mail_that_answers_it(start: Start) -> None:
    hand = HandClock()
    running = await start(clock=hand.clock, delivery_deadline=600)
    await running.accounts.add(ANN, OLD_PASSWORD)
    running.mailbox.close_for_now()
    await running.ask()
    hand.advance(500)
    await running.ask()
    running.mailbox.open_again()
    first, second = await running.letters_finished(2)
    assert (first["state"], second["reason"]) == ("sent", "merged")
    assert first["deadline_at"] == second["deadline_at"]


async def test_without_a_limit_every_request_becomes_a_mail(start: Start) -> None:
    running = await start(limit_per_account="")
    await running.accounts.add(ANN, OLD_PASSWORD)
    running.mailbox.close_for_now()
    for _ in range(6):
        await running.ask()
    running.mailbox.open_again()
    assert await ends_of(running, 6) == ["sent"] * 6
    assert len({mail.token for mail in running.mailbox.mails}) == 6


async def test_accounts_that_get_none(ann: Running) -> None:
    await ann.accounts.add(BOB, OLD_PASSWORD)
    await ann.accounts.disable(BOB)
    await ann.ask("nobody@example.com")
    await ann.ask(BOB)
    assert sorted(await ends_of(ann, 2)) == ["disabled", "no_account"]
    assert ann.mailbox.mails == []


async def test_an_account_that_is_disabled_while_its_mail_waits_gets_none(ann: Running) -> None:
    ann.mailbox.close_for_now()
    await ann.ask()
    await ann.accounts.disable(ANN)
    ann.mailbox.open_again()
    assert await ends_of(ann, 1) == ["disabled"]


async def test_an_account_made_while_the_request_waits_gets_its_mail(running: Running) -> None:
    running.mailbox.close_for_now()
    await running.ask()
    await running.accounts.add(ANN, OLD_PASSWORD)
    running.mailbox.open_again()
    assert (await running.mailbox.next_mail()).recipient == ANN


async def test_the_address_on_record_gets_the_mail_whatever_it_was_found_under(start: Start) -> None:
    """Accounts may be found by an old address or an alias: what was typed is never mailed to."""
    accounts = RememberedAccounts()
    accounts.put("alias@example.com", mailed_to="real@example.com")
    running = await start(accounts=accounts)
    await running.ask("alias@example.com")
    mail = await running.mailbox.next_mail()
    assert (mail.recipient, mail.message["To"]) == ("real@example.com", "real@example.com")
    assert b"alias@" not in mail.raw
    assert (await running.set_password(mail.link_path)).status_code == 200
    notice = await running.mailbox.next_mail()
    assert (notice.recipient, notice.subject) == ("real@example.com", "Your password was changed")


async def test_two_addresses_of_one_account_share_its_budget(start: Start) -> None:
    accounts = RememberedAccounts()
    accounts.put("alias@example.com", mailed_to="real@example.com", account_id="1")
    accounts.put("real@example.com", account_id="1")
    running = await start(accounts=accounts, limit_per_account="1/hour")
    await running.ask("alias@example.com")
    await running.letters_finished(1)
    await running.ask("real@example.com")
    assert await ends_of(running, 2) == ["sent", "over_budget"]


async def test_an_address_on_record_that_is_two_is_mailed_to_neither(start: Start) -> None:
    """Other people's tables hold what other people's forms let through."""
    accounts = RememberedAccounts()
    for number, recorded in enumerate(
        ("a@example.com, eve@evil.example", "a@example.com\r\nRCPT TO:<eve@evil.example>", "Ann <a@example.com>", "")
    ):  # fmt: skip
        accounts.put(f"user{number}@example.com", mailed_to=recorded or " ", account_id=str(number))
        running_address = f"user{number}@example.com"
        assert running_address in accounts.found_under
    running = await start(accounts=accounts)
    for address in accounts.found_under:
        await running.ask(address)
    assert await ends_of(running, 4) == ["unusable"] * 4
    assert running.mailbox.mails == []


async def test_asking_for_somebody_else_does_not_stop_them(start: Start) -> None:
    """Whoever spends a person's budget leaves that person with links that work."""
    running = await start(limit_per_account="2/hour")
    await running.accounts.add(ANN, OLD_PASSWORD)
    asked_by_eve = await running.mail_to()
    await running.letters_finished(1)
    hers = await running.mail_to()
    await running.letters_finished(2)
    answers = [await seen(await running.ask()) for _ in range(3)]
    assert len(set(answers)) == 1
    assert await ends_of(running, 5) == ["sent", "sent", *["over_budget"] * 3]
    assert (await running.client.get(asked_by_eve.link_path)).status_code == 200
    assert (await running.set_password(hers.link_path)).status_code == 200
