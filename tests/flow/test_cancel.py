""" "This was not me": stops all open links of an account; keeps mails away for a day only if the person ticks that."""

import re

import pytest

from resetsvc.testing import HandClock
from tests.flow.conftest import ANN, FORMS, OLD_PASSWORD, Running, Start, seen, text_of, whole_clock


@pytest.mark.parametrize("wanted", list(FORMS))
async def test_a_post_stops_every_open_link_and_changes_no_password(start: Start, wanted: str) -> None:
    running = await start(limit_per_account="")
    await running.accounts.add(ANN, OLD_PASSWORD)
    mails = [await running.mail_to() for _ in range(3)]
    answer = await running.client.post(mails[1].cancel_path, headers=FORMS[wanted])
    assert answer.status_code == 200
    told = {
        "text": "The link does not work any more.\n",
        "html": "<h1>The reset links were stopped</h1>",
        "json": '{"status": "cancelled", "muted": false}',
    }
    assert told[wanted] in await text_of(answer)
    for mail in mails:
        assert (await running.client.get(mail.link_path)).status_code == 410
        assert (await running.set_password(mail.link_path)).status_code == 410
        assert (await running.client.post(mail.cancel_path)).status_code == 410
    assert await running.accounts.verify(ANN, OLD_PASSWORD)


async def test_opening_the_page_stops_nothing(ann: Running) -> None:
    mail = await ann.mail_to()
    for _ in range(3):
        assert (await ann.client.get(mail.cancel_path + "?mute=1", headers=FORMS["html"])).status_code == 200
        assert (await ann.client.head(mail.cancel_path)).status_code == 200
    assert (await ann.set_password(mail.link_path)).status_code == 200


async def test_the_box_on_the_page_is_not_ticked(ann: Running) -> None:
    """A mail scanner that presses buttons would else lock the person out for a day."""
    mail = await ann.mail_to()
    page = await text_of(await ann.client.get(mail.cancel_path, headers=FORMS["html"]))
    box = re.search(r'<input[^>]*name="mute"[^>]*>', page)
    assert box is not None
    assert 'type="checkbox" value="1"' in box.group()
    assert "checked" not in box.group()
    assert f'<form class="form" method="post" action="{mail.cancel_path}">' in page


async def test_other_accounts_keep_their_links(ann: Running) -> None:
    await ann.accounts.add("bob@example.com", OLD_PASSWORD)
    hers, his = await ann.mail_to(), await ann.mail_to("bob@example.com")
    assert (await ann.client.post(hers.cancel_path, form={"mute": "1"})).status_code == 200
    assert (await ann.client.get(his.link_path)).status_code == 200
    await ann.mail_to("bob@example.com")


async def test_without_the_tick_the_next_mail_comes(ann: Running) -> None:
    for untold in ({}, {"mute": ""}, {"mute": "0"}, {"mute": "false"}, {"muted": "1"}):
        if await ann.letters():
            await ann.change("DELETE FROM letters")  # an hour's budget is three
        mail = await ann.mail_to()
        assert (await ann.client.post(mail.cancel_path, form=untold)).status_code == 200
        await ann.letters_finished(1)
    await ann.mail_to()


@pytest.mark.parametrize(
    "how", [{"form": {"mute": "1"}}, {"json": {"mute": "1"}}, {"json": {"mute": 1}}, {"json": {"mute": True}}]
)
async def test_with_the_tick_no_reset_mail_comes_for_a_day(
    start: Start, how: dict[str, dict[str, str]]
) -> None:
    hand = HandClock()
    running = await start(clock=hand.clock, limit_per_account="")
    await running.accounts.add(ANN, OLD_PASSWORD)
    mail = await running.mail_to()
    asked = await seen(await running.ask())
    await running.mailbox.next_mail()
    answer = await running.open(mail.cancel_path, "POST", **how, headers=FORMS["json"])
    assert await answer.get_json() == {"status": "cancelled", "muted": True}
    for number, hours in enumerate((0, 12, 11.9), start=3):
        hand.advance(hours * 3600)
        assert await seen(await running.ask()) == asked  # and nobody learns of it
        assert (await running.letters_finished(number))[-1]["reason"] == "muted"
    assert len(running.mailbox.mails) == 2
    hand.advance(0.2 * 3600)
    again = await running.mail_to()
    assert (await running.set_password(again.link_path)).status_code == 200


async def test_a_mail_that_waits_is_not_sent_after_it(start: Start) -> None:
    running = await start(limit_per_account="")
    await running.accounts.add(ANN, OLD_PASSWORD)
    mail = await running.mail_to()
    await running.letters_finished(1)
    running.mailbox.close_for_now()
    await running.ask()
    assert (await running.client.post(mail.cancel_path)).status_code == 200
    running.mailbox.open_again()
    await running.past_all_letters()
    assert len(running.mailbox.mails) == 1
    assert [row["reason"] for row in (await running.letters())[:2]] == [None, "cancelled"]


@pytest.mark.parametrize("mute", [{}, {"mute": "1"}], ids=["plain", "with mute"])
async def test_a_link_that_does_not_work_stops_nothing(start: Start, mute: dict[str, str]) -> None:
    hand = HandClock()
    running = await start(clock=whole_clock(hand), limit_per_account="")
    await running.accounts.add(ANN, OLD_PASSWORD)
    old = await running.mail_to()
    hand.advance(1800)
    fresh = await running.mail_to()
    for token in (old.token, fresh.token + "A", "x", "0" * 44):
        assert (await running.client.post(f"/reset/{token}/cancel", form=mute)).status_code == 410
    assert (await running.client.get(fresh.link_path)).status_code == 200
    await running.mail_to()


async def test_a_used_link_cannot_mute(ann: Running) -> None:
    mail = await ann.mail_to()
    assert (await ann.set_password(mail.link_path)).status_code == 200
    assert (await ann.client.post(mail.cancel_path, form={"mute": "1"})).status_code == 410
    assert await ann.rows("SELECT * FROM mutes") == []


async def test_a_body_that_cannot_be_read_stops_nothing(ann: Running) -> None:
    mail = await ann.mail_to()
    bad = await ann.client.post(mail.cancel_path, data=b"{", headers={"Content-Type": "application/json"})
    assert bad.status_code == 400
    assert (await ann.client.get(mail.link_path)).status_code == 200
