"""The new password: set once, whole or not at all, by whoever holds a link that works; and told to the owner."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from resetsvc.accounts.builtin import BuiltinAccounts
from resetsvc.clock import new_id
from resetsvc.testing import HandClock
from tests.flow.conftest import (
    ANN,
    FORMS,
    NEW_PASSWORD,
    OLD_PASSWORD,
    RememberedAccounts,
    Running,
    Start,
    seen,
    text_of,
)


@pytest.mark.parametrize("wanted", list(FORMS))
async def test_the_new_password_works_and_the_old_one_no_longer(ann: Running, wanted: str) -> None:
    mail = await ann.mail_to()
    answer = await ann.set_password(mail.link_path, headers=FORMS[wanted])
    assert answer.status_code == 200
    assert "Set-Cookie" not in answer.headers  # nobody is logged in by it
    told = {
        "text": "Your password was changed.\n",
        "html": "<h1>Your password was changed</h1>",
        "json": '{"status": "changed"}',
    }
    assert told[wanted] in await text_of(answer)
    assert await ann.accounts.verify(ANN, NEW_PASSWORD)
    assert not await ann.accounts.verify(ANN, OLD_PASSWORD)


async def test_json_and_multipart_set_it_too(ann: Running) -> None:
    mail = await ann.mail_to()
    answer = await ann.client.post(mail.link_path, json={"password": NEW_PASSWORD, "username": "bob"})
    assert (answer.status_code, await answer.get_json()) == (200, {"status": "changed"})
    await ann.mailbox.next_mail()
    mail = await ann.mail_to()
    body = (
        b'--x\r\nContent-Disposition: form-data; name="password"\r\n\r\nfour words in multipart\r\n--x--\r\n'
    )
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    assert (await ann.client.post(mail.link_path, data=body, headers=headers)).status_code == 200
    assert await ann.accounts.verify(ANN, "four words in multipart")


async def test_a_used_link_is_refused(ann: Running) -> None:
    mail = await ann.mail_to()
    assert (await ann.set_password(mail.link_path)).status_code == 200
    for form in FORMS.values():
        answer = await ann.set_password(mail.link_path, "another four words here", headers=form)
        assert answer.status_code == 410
    assert await ann.accounts.verify(ANN, NEW_PASSWORD)


async def test_of_fifty_at_once_exactly_one_wins(ann: Running) -> None:
    mail = await ann.mail_to()
    passwords = [f"{NEW_PASSWORD}, number {number}" for number in range(50)]
    answers = await asyncio.gather(*(ann.set_password(mail.link_path, password) for password in passwords))
    won = [password for password, answer in zip(passwords, answers, strict=True) if answer.status_code == 200]
    assert len(won) == 1
    assert sorted(answer.status_code for answer in answers) == [200] + [410] * 49
    assert len({await seen(answer) for answer in answers if answer.status_code == 410}) == 1
    assert await ann.accounts.verify(ANN, won[0])
    assert (await ann.mailbox.next_mail()).subject == "Your password was changed"
    kinds = [row["kind"] for row in await ann.letters_finished(2)]
    assert kinds == ["reset", "notice"]


async def test_a_link_works_once_where_the_accounts_cannot_tell_a_change(start: Start) -> None:
    accounts = RememberedAccounts(hides_credentials=True)
    account = accounts.put(ANN)
    running = await start(accounts=accounts, limit_per_account="")
    older, mail = await running.mail_to(), await running.mail_to()
    passwords = [f"{NEW_PASSWORD}, number {number}" for number in range(10)]
    answers = await asyncio.gather(
        *(running.set_password(mail.link_path, password) for password in passwords)
    )
    won = [password for password, answer in zip(passwords, answers, strict=True) if answer.status_code == 200]
    assert [accounts.passwords[account.id]] == won
    assert (await running.set_password(mail.link_path)).status_code == 410
    assert (await running.set_password(older.link_path)).status_code == 410


async def test_of_two_links_used_at_once_exactly_one_wins(start: Start) -> None:
    running = await start(limit_per_account="")
    await running.accounts.add(ANN, OLD_PASSWORD)
    mails = [await running.mail_to() for _ in range(2)]
    passwords = ["four unrelated words here", "four other words over there"]
    answers = await asyncio.gather(
        *(
            running.set_password(mail.link_path, password)
            for mail, password in zip(mails, passwords, strict=True)
        )
    )
    won = [password for password, answer in zip(passwords, answers, strict=True) if answer.status_code == 200]
    assert len(won) == 1
    assert await running.accounts.verify(ANN, won[0])


REFUSED = {
    "": "missing",
    "short": "too_short",
    "fourteen chars": "too_short",
    "a" * 14 + "\u0308": "too_short",  # 15 code points as typed, 14 after NFC
    "longer " * 147: "too_long",
    "x" * 1025: "too_long",
    "password1234567": "common",
    "!!Football!!2024": "common",
    "aaaaaaaaaaaaaaaaaaaa": "too_simple",
    "abcdefghijklmnopqrstuvwxyz": "too_simple",
    "my ann@example.com password": "contains_name",
    "gaudyexampleexample": "contains_name",
}


@pytest.mark.parametrize(
    "password", list(REFUSED), ids=lambda password: password[:20].encode("unicode_escape").decode()
)
async def test_a_refused_password_is_told_why_and_the_link_lives_on(ann: Running, password: str) -> None:
    mail = await ann.mail_to()
    before = [dict(row) for row in await ann.letters_finished(1)]
    told = await ann.client.post(mail.link_path, json={"password": password})
    assert told.status_code == 422
    assert told.headers["Content-Type"] == "application/problem+json"
    problem = await told.get_json()
    assert problem["code"] == "password_refused"
    assert REFUSED[password] in [reason["code"] for reason in problem["reasons"]]
    sentences = [reason["detail"] for reason in problem["reasons"]]
    assert all(sentence.endswith(".") for sentence in sentences)
    for form in ("html", "text"):
        answer = await ann.set_password(mail.link_path, password, headers=FORMS[form])
        assert answer.status_code == 422
        text = await text_of(answer)
        assert all(sentence in text for sentence in sentences)
        assert len(password) < 6 or password not in text  # never shown again
    assert [dict(row) for row in await ann.letters()] == before
    assert await ann.accounts.verify(ANN, OLD_PASSWORD)
    assert (await ann.set_password(mail.link_path)).status_code == 200


async def test_the_numbers_in_a_reason_are_for_programs_too(start: Start) -> None:
    running = await start(password_min_length=20, product_name="Wonderland")
    await running.accounts.add(ANN, OLD_PASSWORD)
    mail = await running.mail_to()
    answer = await running.client.post(mail.link_path, json={"password": "wonderland four"})
    assert (await answer.get_json())["reasons"] == [
        {"code": "too_short", "detail": "Use at least 20 characters.", "limit": 20},
        {
            "code": "contains_name",
            "detail": "Your address or the name of this service is in it. Choose one that does not hold them.",
        },
    ]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"json": {"password": ["four unrelated words here"]}}, 400),
        ({"json": {"password": {"a": 1}}}, 400),
        ({"json": {"password": 123456789012345678}}, 400),
        ({"json": {"password": True}}, 400),
        ({"json": {"password": None}}, 400),
        ({"json": {}}, 422),
        ({"json": [NEW_PASSWORD]}, 400),
        ({"data": b"password=four+unrelated+words&password=four+other+words+here", "headers": {"Content-Type": "application/x-www-form-urlencoded"}}, 400),
        ({"data": b'{"password": "four unrelated words", "password": "x"}', "headers": {"Content-Type": "application/json"}}, 400),
        ({"data": b"password=%ff%fe four unrelated words", "headers": {"Content-Type": "application/x-www-form-urlencoded"}}, 400),
        ({"json": {"password": "four unrelated words \ud800"}}, 422),
        ({"data": b"password=" + b"a" * 17_000, "headers": {"Content-Type": "application/x-www-form-urlencoded"}}, 413),
        ({"data": b"four unrelated words here", "headers": {"Content-Type": "text/plain"}}, 415),
        ({}, 422),
    ],
)  # fmt: skip
async def test_what_is_no_password_is_refused_and_the_link_lives_on(
    ann: Running, body: dict[str, object], status: int
) -> None:
    mail = await ann.mail_to()
    answer = await ann.open(mail.link_path, "POST", **body)
    assert answer.status_code == status, await text_of(answer)
    assert await ann.accounts.verify(ANN, OLD_PASSWORD)
    assert (await ann.set_password(mail.link_path)).status_code == 200


@pytest.mark.parametrize(
    "password",
    [
        "  spaces at both ends  ",
        "a fair password of 64 characters".ljust(64, "~"),
        ("four words and then on until the end " * 28)[:1024],
        "\u0436\u0438\u0437\u043d\u044c \u043f\u0440\u043e\u0436\u0438\u0442\u044c \u0434\u043e\u043c",
        "\U0001f600\U0001f638\U0001f4a9\U0001f40d \U0001f355\U0001f680\U0001f308 and four!",
        "quotes ' \" & <tags> %s {x} \\ ; --",
        "a NUL \0 in four good words",
        "tabs\tand\nline ends are kept",
    ],
    ids=lambda password: password[:12].encode("unicode_escape").decode(),
)
async def test_any_character_counts_and_none_is_cut_or_changed(ann: Running, password: str) -> None:
    mail = await ann.mail_to()
    assert (await ann.client.post(mail.link_path, json={"password": password})).status_code == 200
    assert await ann.accounts.verify(ANN, password)
    for other in (password[:-1], password + " ", password.strip() + "!", password.upper() + "x"):
        assert not await ann.accounts.verify(ANN, other)


async def test_one_keyboards_letters_are_another_ones(ann: Running) -> None:
    mail = await ann.mail_to()
    assert (
        await ann.set_password(mail.link_path, "cafe\u0301 cre\u0300me bru\u0302le\u0301e")
    ).status_code == 200
    assert await ann.accounts.verify(ANN, "caf\u00e9 cr\u00e8me br\u00fbl\u00e9e")


# ---- what a wrong link costs ----


async def test_neither_a_wrong_link_nor_a_refused_password_costs_a_hash(start: Start) -> None:
    accounts = RememberedAccounts()
    account = accounts.put(ANN)
    running = await start(accounts=accounts, limit_per_account="")
    used, cancelled, changed = [await running.mail_to() for _ in range(3)]
    never_was = "0" * 44 + ".aaaaaa." + "A" * 43
    for token in ("x", never_was, used.token[:-1], used.token + "A", used.token.upper()):
        assert (await running.set_password(f"/reset/{token}")).status_code in (404, 410)
    assert (await running.set_password(used.link_path, "short")).status_code == 422
    assert accounts.sealed == []

    assert (await running.set_password(used.link_path)).status_code == 200
    assert accounts.sealed == [NEW_PASSWORD]
    for mail in (used, cancelled, changed):
        assert (await running.set_password(mail.link_path)).status_code == 410
    await running.mailbox.next_mail()
    another = await running.mail_to()
    accounts.by_id[account.id] = replace(accounts.by_id[account.id], active=False)
    assert (await running.set_password(another.link_path)).status_code == 410
    accounts.by_id[account.id] = replace(accounts.by_id[account.id], active=True)
    assert (await running.client.post(another.cancel_path)).status_code == 200
    assert (await running.set_password(another.link_path)).status_code == 410
    assert accounts.sealed == [NEW_PASSWORD]


async def test_a_password_changed_elsewhere_while_ours_is_hashed_wins(start: Start) -> None:
    accounts = RememberedAccounts()
    account = accounts.put(ANN)
    running = await start(accounts=accounts)
    mail = await running.mail_to()

    async def somebody_is_faster() -> None:
        accounts.by_id[account.id] = replace(account, credential="changed elsewhere")

    accounts.before_swap = somebody_is_faster
    assert (await running.set_password(mail.link_path)).status_code == 410
    assert accounts.passwords[account.id] == OLD_PASSWORD
    assert [row["kind"] for row in await running.letters_finished(1)] == [
        "reset"
    ]  # and no notice of a change


class SlowAccounts(BuiltinAccounts):
    """The built-in accounts, with something happening while a password is hashed."""

    def __init__(self) -> None:
        """Without a store: the service has none yet when it is handed its accounts."""

    def join(self, others: BuiltinAccounts, meanwhile: Callable[[], Awaitable[None]]) -> None:
        vars(self).update(vars(others))
        self.meanwhile = meanwhile

    async def seal(self, password: str) -> str:
        await self.meanwhile()
        return await super().seal(password)


async def test_the_built_in_accounts_swap_only_what_they_were_asked_to(start: Start) -> None:
    """Two processes on one database: one hashes while the other sets a password."""
    first = await start()
    await first.accounts.add(ANN, OLD_PASSWORD)
    accounts = SlowAccounts()
    second = await start(accounts=accounts, dispatch=False)

    async def changed_elsewhere() -> None:
        await first.change("UPDATE accounts SET password_hash = 'set elsewhere' WHERE address = :a", a=ANN)

    accounts.join(first.accounts, changed_elsewhere)
    mail = await first.mail_to()
    assert (await second.set_password(mail.link_path)).status_code == 410
    assert [row["password_hash"] for row in await first.rows("SELECT * FROM accounts")] == ["set elsewhere"]
    assert [row["kind"] for row in await first.letters_finished(1)] == ["reset"]


# ---- both or neither ----


async def test_a_notice_that_cannot_be_stored_leaves_the_password_as_it_was(start: Start) -> None:
    """The notice is the last thing in the unit: whatever was done before it is taken back."""
    ids: list[str] = []
    clock = replace(HandClock().clock, new_id=lambda: ids.pop() if ids else new_id())
    running = await start(clock=clock)
    await running.accounts.add(ANN, OLD_PASSWORD)
    mail = await running.mail_to()
    before = [dict(row) for row in await running.letters_finished(1)]
    ids.append(before[0]["id"][12:])  # taken already, in this millisecond: its row is refused

    answer = await running.set_password(mail.link_path)

    assert ids == []
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "5"
    assert await running.accounts.verify(ANN, OLD_PASSWORD)
    assert [dict(row) for row in await running.letters()] == before
    assert (await running.set_password(mail.link_path)).status_code == 200
    assert await running.accounts.verify(ANN, NEW_PASSWORD)
    assert (await running.mailbox.next_mail()).subject == "Your password was changed"


async def test_accounts_that_fail_leave_the_link_as_it_was(start: Start) -> None:
    accounts = RememberedAccounts()
    accounts.put(ANN)
    running = await start(accounts=accounts)
    mail = await running.mail_to()
    before = [dict(row) for row in await running.letters_finished(1)]
    accounts.swap_fails = ConnectionError("the table that holds the users at db7.internal is gone")
    for form in FORMS.values():
        answer = await running.set_password(mail.link_path, headers=form)
        assert answer.status_code == 500
        assert "db7" not in await text_of(answer)
    assert [dict(row) for row in await running.letters()] == before
    accounts.swap_fails = None
    assert (await running.set_password(mail.link_path)).status_code == 200


async def test_a_client_that_hangs_up_at_any_moment_tears_nothing(start: Start) -> None:
    """Whenever it goes, what it has sent is done to the end: the link used, the password new, the notice owed."""
    running = await start(limit_per_account="")
    for turns in range(0, 24, 2):
        address = f"ann{turns}@example.com"
        await running.accounts.add(address, OLD_PASSWORD)
        mail = await running.mail_to(address)
        connection = running.client.request(
            mail.link_path, method="POST", headers={"Content-Type": "application/json"}
        )
        async with connection:
            await connection.send(b'{"password": "four unrelated words here"}')
            await connection.send_complete()
            for _ in range(turns):
                await running.rows("SELECT 1")
            await connection.disconnect()
        await running.change("UPDATE mutes SET until = until")  # behind whatever unit was begun
        changed = await running.accounts.verify(address, NEW_PASSWORD)
        links = await running.rows(
            "SELECT link FROM letters WHERE address = :a AND kind = 'reset'", a=address
        )
        notices = await running.rows(
            "SELECT 1 FROM letters WHERE address = :a AND kind = 'notice'", a=address
        )
        assert changed
        assert [row["link"] for row in links] == ["used"]
        assert len(notices) == 1
        assert (await running.mailbox.next_mail()).subject == "Your password was changed"


async def test_a_client_that_hangs_up_within_the_change_does_not_stop_it(start: Start) -> None:
    accounts = RememberedAccounts()
    account = accounts.put(ANN)
    running = await start(accounts=accounts)
    mail = await running.mail_to()
    connection = running.client.request(
        mail.link_path, method="POST", headers={"Content-Type": "application/json"}
    )
    hung_up = False

    async def hang_up() -> None:
        nonlocal hung_up
        await connection.disconnect()
        hung_up = True

    accounts.before_swap = hang_up
    async with connection:
        await connection.send(b'{"password": "four unrelated words here"}')
        await connection.send_complete()
    assert hung_up
    assert (await running.mailbox.next_mail()).subject == "Your password was changed"
    assert accounts.passwords[account.id] == NEW_PASSWORD
    assert [row["link"] for row in await running.letters_finished(2)] == ["used", None]


# ---- told to the owner ----


async def test_the_owner_is_told_at_once(ann: Running) -> None:
    mail = await ann.mail_to()
    await ann.set_password(mail.link_path, headers={"X-Forwarded-For": "203.0.113.9"})
    notice = await ann.mailbox.next_mail()
    assert (notice.recipient, notice.subject) == (ANN, "Your password was changed")
    assert notice.message["Auto-Submitted"] == "auto-generated"
    for part in (notice.text, notice.html):
        assert mail.token not in part
        assert "/reset/" not in part  # no link that acts
        assert "https://reset.example.com/reset-password" in part


async def test_the_notice_is_owed_from_the_moment_of_the_change(ann: Running) -> None:
    mail = await ann.mail_to()
    await ann.letters_finished(1)
    ann.mailbox.close_for_now()
    assert (await ann.set_password(mail.link_path)).status_code == 200
    kinds = [(row["kind"], row["state"], row["address"]) for row in await ann.letters()]
    assert kinds == [("reset", "sent", ANN), ("notice", "queued", ANN)]
    ann.mailbox.open_again()
    assert (await ann.mailbox.next_mail()).subject == "Your password was changed"


async def test_a_notice_waits_out_an_outage_that_ends_every_reset_mail(start: Start) -> None:
    hand = HandClock()
    running = await start(clock=hand.clock)
    await running.accounts.add(ANN, OLD_PASSWORD)
    mail = await running.mail_to()
    running.mailbox.close_for_now()
    assert (await running.set_password(mail.link_path)).status_code == 200
    hand.advance(2 * 86400)
    running.mailbox.open_again()
    assert (await running.mailbox.next_mail()).subject == "Your password was changed"


async def test_the_last_page_leads_to_the_login(start: Start) -> None:
    running = await start(login_url="https://app.example.com/login")
    await running.accounts.add(ANN, OLD_PASSWORD)
    mail = await running.mail_to()
    page = await text_of(await running.set_password(mail.link_path, headers=FORMS["html"]))
    assert 'href="https://app.example.com/login"' in page


async def test_the_name_that_is_on_record_is_no_part_of_a_good_password(start: Start) -> None:
    accounts = RememberedAccounts()
    account = accounts.put(ANN)
    accounts.by_id[account.id] = replace(account, name="Annabel Leeward")
    running = await start(accounts=accounts)
    mail = await running.mail_to()
    answer = await running.set_password(
        mail.link_path, "2026 annabel leeward!", headers={"Accept": "application/json"}
    )
    assert answer.status_code == 422
    assert [reason["code"] for reason in (await answer.get_json())["reasons"]] == ["contains_name"]
    assert (await running.set_password(mail.link_path, NEW_PASSWORD)).status_code == 200
