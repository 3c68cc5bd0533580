"""docs/how_to/rotate_keys.md, walked through: what a change of keys keeps alive, and what it ends."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from resetsvc import create_app
from resetsvc.clock import Clock
from resetsvc.testing import CaughtMail, HandClock, Mailbox, make_settings
from resetsvc.trail import Trail
from tests.flow.conftest import ANN, NEW_PASSWORD, OLD_PASSWORD, Running, whole_clock

OLD, NEW = "the key of last year: 0123456789 abcdef", "the key of this year: 0123456789 abcdef"
TTL = 600


@asynccontextmanager
async def service(
    folder: Path, key: str, *fallbacks: str, dispatch: bool = True, hand: HandClock | None = None
) -> AsyncIterator[Running]:
    """A service on the one database, with these keys; stopped at the end, as for a restart."""
    settings = make_settings(
        folder, secret_key=key, secret_key_fallbacks=fallbacks, token_ttl=TTL, dispatch=dispatch
    )
    mailbox = Mailbox()
    app = create_app(settings, outbox=mailbox, clock=whole_clock(hand) if hand else None)
    async with app.test_app():
        yield Running(app, app.test_client(), mailbox, hand)


async def opens(running: Running, mail: CaughtMail) -> bool:
    status = (await running.client.get(mail.link_path)).status_code
    assert status in (200, 410)
    return status == 200


async def mail_by(running: Running, address: str) -> CaughtMail:
    """A mail that has been sent, and is on record as sent: the next service must not send it again."""
    mail = await running.mail_to(address)
    await running.letters_finished(len(await running.letters()))
    return mail


async def test_a_rotation_in_good_order_breaks_no_link_until_the_old_key_is_removed(tmp_path: Path) -> None:
    hand = HandClock()
    async with service(tmp_path, OLD, hand=hand) as before:
        for name in ("ann", "bob", "eve"):
            assert await before.accounts.add(f"{name}@example.com", OLD_PASSWORD)
        of_old = await mail_by(before, ANN)
        of_old_too = await mail_by(before, "bob@example.com")

    async with service(tmp_path, NEW, OLD, hand=hand) as during:
        assert await opens(during, of_old)
        of_new = await mail_by(during, "eve@example.com")
        assert await opens(during, of_new)
        assert (await during.set_password(of_old.link_path)).status_code == 200
        await during.mailbox.next_mail()
        await during.letters_finished(4)
        assert await during.accounts.verify(ANN, NEW_PASSWORD)

    async with service(tmp_path, OLD, hand=hand) as as_it_was:
        assert not await opens(as_it_was, of_new), "the new key signs, or the rotation would never end"
        assert await opens(as_it_was, of_old_too)

    hand.advance(TTL)
    async with service(tmp_path, NEW, OLD, hand=hand) as waited:
        assert not await opens(waited, of_old_too), (
            "every old link has run out: nothing is lost by removing the key"
        )

    async with service(tmp_path, NEW, hand=hand) as after:
        fresh = await mail_by(after, "bob@example.com")
        assert (await after.set_password(fresh.link_path)).status_code == 200


async def test_with_the_old_key_removed_its_links_die_at_once_and_a_new_one_can_be_asked_for(
    tmp_path: Path,
) -> None:
    """The key has leaked: whoever has it can make no link that works."""
    async with service(tmp_path, OLD) as before:
        assert await before.accounts.add(ANN, OLD_PASSWORD)
        mail = await mail_by(before, ANN)
        assert await opens(before, mail)
    async with service(tmp_path, NEW) as after:
        assert not await opens(after, mail)
        assert (await after.set_password(mail.link_path)).status_code == 410
        assert not await after.accounts.verify(ANN, NEW_PASSWORD)
        again = await mail_by(after, ANN)
        assert (await after.set_password(again.link_path)).status_code == 200


async def test_in_two_rounds_every_process_reads_what_every_other_signs(tmp_path: Path) -> None:
    async with service(tmp_path, OLD) as first, service(tmp_path, OLD, NEW, dispatch=False) as second:
        assert await first.accounts.add(ANN, OLD_PASSWORD)
        of_first = await mail_by(first, ANN)
        assert await opens(second, of_first)
    async with service(tmp_path, NEW, OLD) as first, service(tmp_path, OLD, NEW, dispatch=False) as second:
        of_first = await mail_by(first, ANN)
        assert await opens(second, of_first)
        assert await opens(first, of_first)


async def test_a_letter_that_waits_over_a_rotation_keeps_its_message_id_and_gets_a_new_signature(
    tmp_path: Path,
) -> None:
    async with service(tmp_path, OLD, dispatch=False) as before:
        assert await before.accounts.add(ANN, OLD_PASSWORD)
        assert (await before.ask()).status_code == 200
        (letter,) = await before.letters()
    async with service(tmp_path, NEW) as after:
        mail = await after.mailbox.next_mail()
        assert mail.message["Message-ID"] == f"<{letter['message_id']}@example.com>"
        assert (await after.set_password(mail.link_path)).status_code == 200


async def test_every_copy_of_a_letter_has_one_message_id_whichever_key_signed_it(tmp_path: Path) -> None:
    async with service(tmp_path, OLD) as before:
        assert await before.accounts.add(ANN, OLD_PASSWORD)
        first = await mail_by(before, ANN)
    async with service(tmp_path, OLD, dispatch=False) as between:
        # As after a kill between the relay's "accepted" and the record of it.
        await between.change(
            "UPDATE letters SET state = 'queued', sent_at = NULL, finished_at = NULL, due_at = 0"
        )
    async with service(tmp_path, NEW, OLD) as after:
        copy = await after.mailbox.next_mail()
        assert copy.message["Message-ID"] == first.message["Message-ID"]
        assert copy.token != first.token
        assert await opens(after, first)
        assert await opens(after, copy)


async def test_the_audit_trail_is_good_with_the_present_key_alone_once_a_rotation_is_over(
    tmp_path: Path,
) -> None:
    for keys in ((OLD,), (NEW, OLD), (NEW,)):
        async with service(tmp_path, *keys):
            pass
    async with service(tmp_path, NEW) as after:
        fault, told = await Trail(after.service.store, [NEW], Clock()).verify()
        assert fault is None
        assert "under older keys: later records vouch for them" in told


async def test_after_a_leak_the_trail_of_the_old_key_is_good_with_both_keys_only(tmp_path: Path) -> None:
    for key in (OLD, NEW):
        async with service(tmp_path, key):
            pass
    async with service(tmp_path, NEW) as after:
        fault, _ = await Trail(after.service.store, [NEW], Clock()).verify()
        assert fault is not None
        assert "RESETSVC_SECRET_KEY_FALLBACKS" in fault
        assert (await Trail(after.service.store, [OLD, NEW], Clock()).verify())[0] is None
