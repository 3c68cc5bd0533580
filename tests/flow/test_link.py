"""The link: what it is built from, that looking uses nothing up, what ends it, and that all dead links look alike."""

import asyncio
import logging
import string
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import structlog
from structlog.testing import capture_logs

from resetsvc.accounts import Account
from resetsvc.accounts.builtin import BuiltinAccounts
from resetsvc.relay.conversation import Envelope
from resetsvc.relay.verdict import Attempt, Verdict
from resetsvc.testing import CaughtMail, HandClock, Mailbox
from tests.flow.conftest import (
    ANN,
    FORMS,
    NEW_PASSWORD,
    OLD_PASSWORD,
    RememberedAccounts,
    Running,
    Seen,
    Start,
    body_of,
    seen,
    text_of,
    until,
    whole_clock,
)

KEY = "the key of this year: 0123456789 abcdef"
OLDER_KEY = "the key of last year: 0123456789 abcdef"


# ---- what it is built from ----


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "http", "X-Forwarded-Port": "81"},
        {"Forwarded": "host=evil.example;proto=http", "X-Original-Host": "evil.example"},
        {"X-Forwarded-Prefix": "/evil.example", "X-Rewrite-Url": "https://evil.example/"},
        {"Origin": "https://evil.example", "Referer": "https://evil.example/"},
    ],
    ids=lambda headers: " ".join(headers),
)
async def test_no_header_reaches_a_mail(ann: Running, headers: dict[str, str]) -> None:
    await ann.ask(headers=headers)
    mail = await ann.mailbox.next_mail()
    assert mail.link.startswith("https://reset.example.com/reset/")
    assert mail.cancel_link == f"{mail.link}/cancel"
    assert b"evil" not in mail.raw.replace(b"=\r\n", b"")
    assert "evil" not in mail.text + mail.html


async def test_no_header_reaches_a_page(ann: Running) -> None:
    mail = await ann.mail_to()
    for path in (mail.link_path, mail.cancel_path, "/reset-password", "/nowhere"):
        answer = await ann.client.get(
            path, headers={"Host": "evil.example", "X-Forwarded-Host": "evil.example", **FORMS["html"]}
        )
        assert b"evil" not in await body_of(answer)


async def test_the_link_leads_to_a_front_end_of_ones_own(start: Start) -> None:
    running = await start(
        reset_url="https://app.example.com/#/new-password?t={token}",
        public_url="https://api.example.com/auth",
    )
    await running.accounts.add(ANN, OLD_PASSWORD)
    mail = await running.mail_to()
    assert mail.link == f"https://app.example.com/#/new-password?t={mail.token}"
    assert mail.cancel_link == f"https://api.example.com/auth/reset/{mail.token}/cancel"
    answer = await running.client.post(f"/reset/{mail.token}", json={"password": NEW_PASSWORD})
    assert answer.status_code == 200


async def test_the_page_holds_the_form_and_whose_password_it_is(ann: Running) -> None:
    mail = await ann.mail_to()
    page = await text_of(await ann.client.get(mail.link_path, headers=FORMS["html"]))
    assert f'action="{mail.link_path}"' in page
    assert f'name="username" autocomplete="username" value="{ANN}"' in page
    assert 'autocomplete="new-password"' in page


async def test_a_program_is_told_what_the_password_needs(ann: Running) -> None:
    mail = await ann.mail_to()
    answer = await ann.client.get(mail.link_path, headers=FORMS["json"])
    assert await answer.get_json() == {
        "status": "open",
        "username": ANN,
        "password": {"min_length": 15, "max_length": 1024},
    }


# ---- looking ----


async def test_looking_a_hundred_times_uses_nothing_up(ann: Running) -> None:
    mail = await ann.mail_to()
    before = await ann.letters_finished(1)
    for path in (mail.link_path, mail.cancel_path):
        for _ in range(25):
            assert (await ann.client.get(path)).status_code == 200
            assert (await ann.client.head(path)).status_code == 200
    assert (await ann.client.options(mail.link_path)).status_code == 200
    assert (await ann.client.get(mail.link_path + "?password=" + "x" * 20)).status_code == 200
    assert [dict(row) for row in await ann.letters()] == [dict(row) for row in before]
    assert (await ann.set_password(mail.link_path)).status_code == 200


async def test_only_a_post_changes_anything(ann: Running) -> None:
    mail = await ann.mail_to()
    for method in ("PUT", "PATCH", "DELETE", "TRACE", "QUERY", "HEAD", "OPTIONS"):
        for path in (mail.link_path, mail.cancel_path):
            answer = await ann.open(path, method, form={"password": NEW_PASSWORD, "mute": "1"})
            assert answer.status_code == (200 if method in ("HEAD", "OPTIONS") else 405)
    assert (await ann.set_password(mail.link_path)).status_code == 200


async def test_the_link_works_on_another_device(ann: Running) -> None:
    mail = await ann.mail_to()
    elsewhere = ann.app.test_client()
    assert (await elsewhere.get(mail.link_path, headers={"User-Agent": "Phone/1"})).status_code == 200
    answer = await elsewhere.post(mail.link_path, form={"password": NEW_PASSWORD})
    assert answer.status_code == 200


async def test_looking_tells_caches_and_other_sites_nothing(ann: Running) -> None:
    mail = await ann.mail_to()
    answer = await ann.client.get(mail.link_path, headers=FORMS["html"])
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    page = await text_of(answer)
    assert "https://" not in page
    assert "http://" not in page


# ---- what ends it ----


async def use_it(running: Running, mail: CaughtMail) -> None:
    assert (await running.set_password(mail.link_path)).status_code == 200


async def cancel_it(running: Running, mail: CaughtMail) -> None:
    assert (await running.client.post(mail.cancel_path)).status_code == 200


async def change_the_password_elsewhere(running: Running, _: CaughtMail) -> None:
    await running.change("UPDATE accounts SET password_hash = 'another' WHERE address = :ann", ann=ANN)


async def change_the_address(running: Running, _: CaughtMail) -> None:
    await running.change("UPDATE accounts SET address = 'ann@new.example' WHERE address = :ann", ann=ANN)


async def disable_the_account(running: Running, _: CaughtMail) -> None:
    assert await running.accounts.disable(ANN)


async def delete_the_account(running: Running, _: CaughtMail) -> None:
    await running.change("DELETE FROM accounts WHERE address = :ann", ann=ANN)


async def give_the_address_to_another_account(running: Running, mail: CaughtMail) -> None:
    await delete_the_account(running, mail)
    assert await running.accounts.add(ANN, "somebody else's password")


async def erase_the_letter(running: Running, _: CaughtMail) -> None:
    await running.letters_finished(1)
    await running.change("DELETE FROM letters")


async def let_it_expire(running: Running, _: CaughtMail) -> None:
    assert running.hand is not None
    running.hand.advance(1800)


ENDS: list[Callable[[Running, CaughtMail], Awaitable[None]]] = [
    use_it,
    cancel_it,
    change_the_password_elsewhere,
    change_the_address,
    disable_the_account,
    delete_the_account,
    give_the_address_to_another_account,
    erase_the_letter,
    let_it_expire,
]


async def every_answer_of(running: Running, token: str) -> list[Seen]:
    """What a client sees of a link in every way that it can be looked at and used."""
    path = f"/reset/{token}"
    answers = []
    for headers in FORMS.values():
        answers += [
            await seen(await running.client.get(path, headers=headers)),
            await seen(await running.client.head(path, headers=headers)),
            await seen(await running.client.post(path, form={"password": NEW_PASSWORD}, headers=headers)),
            await seen(await running.client.post(path, form={"password": "short"}, headers=headers)),
            await seen(await running.client.post(path, json={}, headers=headers)),
            await seen(await running.client.get(path + "/cancel", headers=headers)),
            await seen(await running.client.post(path + "/cancel", form={"mute": "1"}, headers=headers)),
        ]
    return answers


@pytest.mark.parametrize("end", ENDS)
async def test_a_link_ends_and_then_looks_like_one_that_never_was(
    start: Start, end: Callable[[Running, CaughtMail], Awaitable[None]]
) -> None:
    hand = HandClock()
    running = replace(await start(clock=hand.clock), hand=hand)
    await running.accounts.add(ANN, OLD_PASSWORD)
    mail = await running.mail_to()
    assert (await running.client.get(mail.link_path)).status_code == 200

    await end(running, mail)

    never_was = "0" * 44 + ".aaaaaa." + "A" * 43
    answers = await every_answer_of(running, mail.token)
    assert {answer.status for answer in answers} == {410}
    assert answers == await every_answer_of(running, never_was)
    assert await running.accounts.verify(ANN, OLD_PASSWORD) is (end in STILL_THE_OLD_PASSWORD)


STILL_THE_OLD_PASSWORD = [cancel_it, erase_the_letter, let_it_expire]


async def test_a_link_works_until_its_last_second(start: Start) -> None:
    hand = HandClock()
    running = await start(clock=hand.clock, token_ttl=600)
    await running.accounts.add(ANN, OLD_PASSWORD)
    mail = await running.mail_to()
    hand.advance(599)
    assert (await running.client.get(mail.link_path)).status_code == 200
    hand.advance(1)
    assert (await running.client.get(mail.link_path)).status_code == 410


async def test_time_is_counted_from_sending_and_not_from_asking(start: Start) -> None:
    hand = HandClock()
    running = await start(clock=hand.clock)
    await running.accounts.add(ANN, OLD_PASSWORD)
    running.mailbox.close_for_now()
    await running.ask()
    hand.advance(3 * 3600)
    running.mailbox.open_again()
    mail = await running.mailbox.next_mail()
    hand.advance(1799)
    assert (await running.set_password(mail.link_path)).status_code == 200


async def test_a_clock_set_back_revives_nothing_that_was_used(start: Start) -> None:
    hand = HandClock()
    running = await start(clock=hand.clock)
    await running.accounts.add(ANN, OLD_PASSWORD)
    mail = await running.mail_to()
    await use_it(running, mail)
    hand.advance(-1000)
    assert (await running.client.get(mail.link_path)).status_code == 410
    hand.advance(1000)
    assert (await running.client.get(mail.link_path)).status_code == 410


async def test_older_links_stay_good_until_one_is_used(start: Start) -> None:
    running = await start(limit_per_account="")
    await running.accounts.add(ANN, OLD_PASSWORD)
    mails = [await running.mail_to() for _ in range(4)]
    assert len({mail.token for mail in mails}) == 4
    for mail in mails:
        assert (await running.client.get(mail.link_path)).status_code == 200
    await use_it(running, mails[1])
    for mail in mails:
        assert (await running.client.get(mail.link_path)).status_code == 410
        assert (await running.set_password(mail.link_path, "another four words here")).status_code == 410
    assert await running.accounts.verify(ANN, NEW_PASSWORD)


async def test_other_accounts_keep_their_links(ann: Running) -> None:
    await ann.accounts.add("bob@example.com", OLD_PASSWORD)
    hers, his = await ann.mail_to(), await ann.mail_to("bob@example.com")
    await use_it(ann, hers)
    assert (await ann.client.get(his.link_path)).status_code == 200


async def test_a_letter_that_still_waits_when_a_link_is_used_goes_no_more(start: Start) -> None:
    """It would bring a live link to a mailbox in which nobody waits for it any more."""
    running = await start(limit_per_account="")
    await running.accounts.add(ANN, OLD_PASSWORD)
    first = await running.mail_to()
    await running.letters_finished(1)
    running.mailbox.close_for_now()
    await running.ask()
    await use_it(running, first)
    running.mailbox.open_again()
    notice = await running.mailbox.next_mail()
    assert notice.subject == "Your password was changed"
    await running.past_all_letters()
    assert len(running.mailbox.mails) == 2
    assert [row["reason"] for row in (await running.letters())[:2]] == [None, "password_changed"]


class HeldLookUp:
    """Once it is `on`: the dispatcher looks accounts up, and what it then does about them waits until it is let go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.on = False
        self.done, self.let_go = asyncio.Event(), asyncio.Event()
        find = BuiltinAccounts.find

        async def held(accounts: BuiltinAccounts, addresses: Sequence[str]) -> Mapping[str, Account]:
            found = await find(accounts, addresses)
            if self.on and found:
                self.done.set()
                await self.let_go.wait()
            return found

        monkeypatch.setattr(BuiltinAccounts, "find", held)


@pytest.fixture
def look_up(monkeypatch: pytest.MonkeyPatch) -> HeldLookUp:
    return HeldLookUp(monkeypatch)


async def stop_all(running: Running, mail: CaughtMail) -> None:
    assert (await running.client.post(mail.cancel_path)).status_code == 200


BY_WHAT = {"password_changed": use_it, "cancelled": stop_all}


@pytest.mark.parametrize("end", BY_WHAT)
async def test_what_ends_a_letter_while_its_account_is_looked_up_has_its_say(
    start: Start, look_up: HeldLookUp, end: str
) -> None:
    """What was found is the account as it was: the mail would bring a link that is dead, or one that was stopped."""
    running = await start(limit_per_account="")
    await running.accounts.add(ANN, OLD_PASSWORD)
    first = await running.mail_to()
    await running.letters_finished(1)
    look_up.on = True
    await running.ask()
    await look_up.done.wait()
    await BY_WHAT[end](running, first)
    look_up.on = False
    look_up.let_go.set()
    await running.past_all_letters()
    assert [row["reason"] for row in (await running.letters())[:2]] == [None, end]
    assert [mail.subject for mail in running.mailbox.mails].count(first.subject) == 1


@pytest.mark.parametrize("end", BY_WHAT)
async def test_what_ends_a_letter_while_it_is_about_to_be_tried_again_has_its_say(
    start: Start, look_up: HeldLookUp, end: str
) -> None:
    hand, mailbox = HandClock(), ForgetfulMailbox()
    mailbox.forgets = False
    running = await start(clock=whole_clock(hand), outbox=mailbox, limit_per_account="")
    await running.accounts.add(ANN, OLD_PASSWORD)
    first = await running.mail_to()
    await running.letters_finished(1)
    mailbox.forgets = True
    await running.mail_to()

    async def waits_again() -> bool:
        return [row["attempts"] for row in await running.letters()] == [1, 1]

    await until(waits_again)
    mailbox.forgets = False
    look_up.on = True
    hand.advance(60)
    running.wake()
    await look_up.done.wait()
    await BY_WHAT[end](running, first)
    look_up.on = False
    look_up.let_go.set()
    await running.past_all_letters()
    assert [row["reason"] for row in (await running.letters())[:2]] == [None, end]
    assert [mail.subject for mail in mailbox.mails].count(first.subject) == 2


async def test_asking_after_the_change_gives_a_new_link(ann: Running) -> None:
    await use_it(ann, await ann.mail_to())
    assert (await ann.mailbox.next_mail()).subject == "Your password was changed"
    again = await ann.mail_to()
    assert (await ann.set_password(again.link_path, "another four words here")).status_code == 200


class ForgetfulMailbox(Mailbox):
    """Takes mails and then says that it did not: a relay that is cut off after the final dot."""

    forgets = True

    async def hand_over(
        self, recipient: str, compose: Callable[[], Envelope], may_send: Callable[[], bool]
    ) -> Attempt:
        attempt = await super().hand_over(recipient, compose, may_send)
        if self.forgets:
            return Attempt(Verdict.RETRY, "mailbox", None, "lost the connection after the body")
        return attempt


async def test_every_copy_of_a_letter_holds_a_link_that_works(start: Start) -> None:
    hand, mailbox = HandClock(), ForgetfulMailbox()
    running = await start(clock=whole_clock(hand), outbox=mailbox)
    await running.accounts.add(ANN, OLD_PASSWORD)
    first = await running.mail_to()
    assert (await running.client.get(first.link_path)).status_code == 200

    async def waits_again() -> bool:
        return [row["state"] for row in await running.letters()] == ["queued"]

    await until(waits_again)
    mailbox.forgets = False
    hand.advance(15)
    running.wake()
    second = await mailbox.next_mail()
    assert first.message["Message-ID"] == second.message["Message-ID"]
    for mail in (first, second):
        assert (await running.client.get(mail.link_path)).status_code == 200
    await use_it(running, second)
    assert (await running.client.get(first.link_path)).status_code == 410


async def test_a_copy_that_waits_for_its_next_attempt_dies_with_the_link(start: Start) -> None:
    hand, mailbox = HandClock(), ForgetfulMailbox()
    running = await start(clock=whole_clock(hand), outbox=mailbox)
    await running.accounts.add(ANN, OLD_PASSWORD)
    first = await running.mail_to()
    mailbox.forgets = False
    await use_it(running, first)
    assert (await mailbox.next_mail()).subject == "Your password was changed"
    hand.advance(600)
    running.wake()
    await running.past_all_letters()
    assert len(mailbox.mails) == 2


# ---- the text of a token ----


ODD_TOKENS = [
        "null", "undefined", "0", "1", "-1", "true", "[object Object]", "..", ".", "%2e%2e", "%00", "a%00b", "%0d%0aSet-Cookie:%20a=b",
        "a" * 20_000, "." * 20_000, "0" * 44, "0" * 44 + ".", "0" * 44 + "..", "0" * 44 + ".aaaaaa." + "A" * 43,
        "{token}", "{{7*7}}", "' OR 1=1 --", "%27%20OR%201=1", "\u202e", "\U0001f600", "\u0660" * 32, "%ff", "*", "cancel", "%2fcancel",
        "eyJhbGciOiJub25lIn0.e30.", "<script>alert(1)</script>", "a?b", "a#b", "a;b", "a b",
    ]  # fmt: skip


async def test_odd_tokens_are_refused(ann: Running) -> None:
    for token in ODD_TOKENS:
        answers = [
            await ann.client.get(f"/reset/{token}", headers=FORMS["html"]),
            await ann.set_password(f"/reset/{token}", headers=FORMS["html"]),
            await ann.client.get(f"/reset/{token}/cancel", headers=FORMS["html"]),
            await ann.client.post(f"/reset/{token}/cancel", headers=FORMS["html"]),
        ]
        for answer in answers:
            assert 400 <= answer.status_code < 500, token
            assert "Set-Cookie" not in answer.headers
            assert b"<script>alert" not in await body_of(answer)


async def test_odd_paths_are_refused_without_a_redirect(ann: Running) -> None:
    for path in (
        "/reset", "/reset/", "/reset//cancel", "//reset/a", "/reset/a/", "/reset/a/b", "/reset/a/cancel/", "/Reset/a"
    ):  # fmt: skip
        for method in ("GET", "POST"):
            answer = await ann.open(path, method, form={"password": NEW_PASSWORD})
            assert answer.status_code in (404, 410), path
            assert "Location" not in answer.headers


async def test_a_token_changed_anywhere_is_dead(ann: Running) -> None:
    """Base64 has several spellings of one signature: only the one that was mailed works."""
    mail = await ann.mail_to()
    token = mail.token
    altered = [token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :] for at in range(len(token))]
    altered += [token + more for more in ("=", ".", "A", "%20", "%0a", "/", "//", "\u200b")]
    altered += [" " + token, token.upper(), token[:-1], token[1:], token + token, token.replace(".", "..")]
    alphabet = string.ascii_letters + string.digits + "-_"
    altered += [token[:-1] + letter for letter in alphabet if letter != token[-1]]
    for other in altered:
        answer = await ann.set_password(f"/reset/{other}")
        assert answer.status_code in (404, 410), other
    assert (await ann.set_password(mail.link_path)).status_code == 200


async def test_a_link_signed_with_an_older_key_works_until_that_key_is_removed(start: Start) -> None:
    running = await start(secret_key=OLDER_KEY)
    await running.accounts.add(ANN, OLD_PASSWORD)
    mail = await running.mail_to()
    await running.app.shutdown()
    rotated = await start(secret_key=KEY, secret_key_fallbacks=(OLDER_KEY,))
    assert (await rotated.client.get(mail.link_path)).status_code == 200
    removed = await start(secret_key=KEY, dispatch=False)
    assert (await removed.client.get(mail.link_path)).status_code == 410
    fresh = await rotated.mail_to()
    assert (await removed.client.get(fresh.link_path)).status_code == 200


async def test_links_outlive_a_restart_and_dead_ones_stay_dead(start: Start) -> None:
    running = await start(limit_per_account="")
    await running.accounts.add(ANN, OLD_PASSWORD)
    await running.accounts.add("bob@example.com", OLD_PASSWORD)
    used, open_ = await running.mail_to(), await running.mail_to("bob@example.com")
    await use_it(running, used)
    await running.app.shutdown()
    again = await start(limit_per_account="")
    assert (await again.client.get(used.link_path)).status_code == 410
    assert (await again.client.get(open_.link_path)).status_code == 200


# ---- where it must not be ----


@pytest.mark.about_sqlite
async def test_neither_token_nor_password_is_in_the_files(ann: Running, tmp_path: Path) -> None:
    mail = await ann.mail_to()
    assert (await ann.set_password(mail.link_path, "short")).status_code == 422
    await use_it(ann, mail)
    await ann.mailbox.next_mail()
    await ann.letters_finished(2)
    files = {path.name: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert any(ANN.encode() in data for data in files.values())  # so the right files were read
    signature = mail.token.rpartition(".")[2]
    for secret in (mail.token, signature, NEW_PASSWORD, OLD_PASSWORD, "Choose a new password"):
        assert not any(secret.encode() in data for data in files.values())


async def test_neither_token_nor_password_nor_address_is_in_a_log(
    ann: Running, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("asyncio").setLevel(logging.DEBUG)
    with capture_logs() as records:
        mail = await ann.mail_to()
        await ann.client.get(mail.link_path)
        await ann.set_password(mail.link_path, "short")
        await ann.client.get(f"/reset/{mail.token}x")
        await ann.client.get(f"/nowhere/{mail.token}?email={ANN}")
        await use_it(ann, mail)
        await ann.client.post(mail.cancel_path)
        await ann.mailbox.next_mail()
        await ann.letters_finished(2)
    assert any(record["event"] == "password changed" for record in records)
    told = repr(records) + caplog.text
    signature = mail.token.rpartition(".")[2]
    for secret in (mail.token, signature, NEW_PASSWORD, OLD_PASSWORD, ANN):
        assert secret not in told


@pytest.fixture
def structlog_as_it_comes() -> Iterator[None]:
    """As in an app that nobody has set up logging for."""
    configured, before = structlog.is_configured(), structlog.get_config()
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()
    if configured:
        structlog.configure(**before)


async def test_an_error_that_nobody_expected_is_logged_without_what_was_sent(
    structlog_as_it_comes: None, start: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    accounts = RememberedAccounts()
    accounts.put(ANN)
    running = await start(accounts=accounts)
    mail = await running.mail_to()
    accounts.swap_fails = RuntimeError("nobody expected this")
    assert (await running.set_password(mail.link_path)).status_code == 500
    logged = capsys.readouterr().out
    assert "RuntimeError: nobody expected this" in logged
    for secret in (mail.token, mail.token.rpartition(".")[2], NEW_PASSWORD, ANN):
        assert secret not in logged


async def test_fifty_who_look_at_once_all_see_it(ann: Running) -> None:
    mail = await ann.mail_to()
    answers = await asyncio.gather(*(ann.client.get(mail.link_path) for _ in range(50)))
    assert {answer.status_code for answer in answers} == {200}
