"""For those who run the service: alive, ready, counted, described; and what of it strangers see."""

import pytest

from resetsvc.testing import HandClock
from tests.flow.conftest import ANN, FORMS, OLD_PASSWORD, Running, Start, seen, text_of, whole_clock

TOKEN = "a token for those who run it"


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def test_alive_and_ready(running: Running) -> None:
    for path in ("/healthz", "/readyz"):
        answer = await running.client.get(path)
        assert answer.status_code == 200
        assert (await answer.get_json())["status"] == "ok"
        assert answer.headers["Content-Type"] == "application/json"


async def test_not_ready_while_the_database_cannot_be_read_but_alive(running: Running) -> None:
    await running.change("ALTER TABLE alembic_version RENAME TO elsewhere")
    ready = await running.client.get("/readyz")
    assert ready.status_code == 503
    assert "database" in (await ready.get_json())["problems"]
    assert (await running.client.get("/healthz")).status_code == 200
    await running.change("ALTER TABLE elsewhere RENAME TO alembic_version")
    assert (await running.client.get("/readyz")).status_code == 200


async def test_not_ready_on_an_older_schema_and_ready_on_a_newer_one(running: Running) -> None:
    """Migrations only add: yesterday's processes go on while today's are started one by one."""
    await running.change("UPDATE alembic_version SET version_num = '0001'")
    ready = await running.client.get("/readyz")
    assert ready.status_code == 503
    assert "schema" in (await ready.get_json())["problems"]["database"]
    await running.change("UPDATE alembic_version SET version_num = '9999'")
    assert (await running.client.get("/readyz")).status_code == 200


async def test_ready_without_a_dispatcher_where_there_is_to_be_none(start: Start) -> None:
    running = await start(dispatch=False)
    assert (await running.client.get("/readyz")).status_code == 200
    await running.accounts.add(ANN, OLD_PASSWORD)
    await running.ask()
    assert [row["state"] for row in await running.letters()] == ["queued"]


async def test_strangers_do_not_even_learn_that_there_are_metrics(start: Start) -> None:
    without = await start()
    running = await start(ops_token=TOKEN)
    for form in FORMS.values():
        nowhere = await seen(await running.client.get("/nowhere", headers=form))
        for headers in (
            {},
            bearer("a token for those who run i"),
            bearer(TOKEN + "x"),
            bearer(""),
            bearer("é" * 20),
            {"Authorization": f"Basic {TOKEN}"},
            {"Authorization": TOKEN},
            {"Cookie": f"token={TOKEN}"},
        ):
            assert await seen(await running.client.get("/metrics", headers={**form, **headers})) == nowhere
        assert await seen(await running.client.get(f"/metrics?token={TOKEN}", headers=form)) == nowhere
        for headers in ({}, bearer(""), bearer(TOKEN), bearer("None")):
            assert await seen(await without.client.get("/metrics", headers={**form, **headers})) == nowhere


async def test_metrics_count_what_happened(start: Start) -> None:
    hand = HandClock()
    running = await start(ops_token=TOKEN, clock=whole_clock(hand))
    await running.accounts.add(ANN, OLD_PASSWORD)
    mail = await running.mail_to()
    await running.ask("nobody@example.com")
    await running.ask("not an address")
    await running.client.get("/nowhere/secret")
    await running.set_password(mail.link_path)
    await running.mailbox.next_mail()
    await running.letters_finished(3)
    running.mailbox.close_for_now()
    await running.ask()
    hand.advance(90)
    assert (
        await running.client.get("/metrics", headers={"Authorization": f"bearer {TOKEN}"})
    ).status_code == 200
    answer = await running.client.get("/metrics", headers=bearer(TOKEN))
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    text = await text_of(answer)
    for line in (
        'resetsvc_requests_total{route="/reset-password",status="200"} 3.0',
        'resetsvc_requests_total{route="/reset-password",status="400"} 1.0',
        'resetsvc_requests_total{route="/reset/<token>",status="200"} 1.0',
        'resetsvc_requests_total{route="none",status="404"} 1.0',
        'resetsvc_attempts_total{relay="mailbox",verdict="sent"} 2.0',
        'resetsvc_letters{state="sent"} 2.0',
        'resetsvc_letters{state="dropped"} 1.0',
        'resetsvc_letters{state="queued"} 1.0',
        "resetsvc_oldest_waiting_seconds 90.0",
        'resetsvc_relay_up{relay="mailbox"} 0.0',
    ):
        assert line in text.splitlines(), line
    for private in (mail.token, ANN, "secret"):
        assert private not in text


async def test_the_number_of_series_cannot_be_chosen_from_outside(start: Start) -> None:
    running = await start(ops_token=TOKEN)

    async def series() -> set[str]:
        text = await text_of(await running.client.get("/metrics", headers=bearer(TOKEN)))
        return {line.rpartition(" ")[0] for line in text.splitlines() if "route=" in line}

    for path in ("/nowhere", "/reset/first", "/metrics"):
        await running.client.get(path)
    await series()
    before = await series()
    for number in range(30):
        for path in (f"/nowhere/{number}", f"/reset/{number}"):
            await running.client.get(path)
    assert await series() == before


async def test_the_interface_is_described(running: Running) -> None:
    answer = await running.client.get("/openapi.json")
    assert answer.status_code == 200
    told = await answer.get_json()
    assert told["openapi"].startswith("3.1")
    assert {"/reset-password", "/reset/{token}", "/reset/{token}/cancel", "/healthz", "/readyz"} <= set(
        told["paths"]
    )


@pytest.mark.parametrize("wanted", list(FORMS))
async def test_a_database_that_refuses_is_told_as_503_and_nothing_is_accepted(
    start: Start, wanted: str
) -> None:
    running = await start()
    await running.change("ALTER TABLE letters RENAME TO elsewhere")
    answer = await running.ask(headers=FORMS[wanted])
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    text = await text_of(answer)
    for inside in ("letters", "sqlite", "table", "INSERT"):
        assert inside not in text
    assert await running.rows("SELECT * FROM elsewhere") == []
    await running.change("ALTER TABLE elsewhere RENAME TO letters")
    assert (await running.ask(headers=FORMS[wanted])).status_code == 200
