"""Which other origins may read answers: exactly those in the settings, and never with credentials."""

import pytest

from tests.flow.conftest import ANN, NEW_PASSWORD, OLD_PASSWORD, Start

APP = "https://app.example.com"
PREFLIGHT = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
ALLOW = "Access-Control-Allow-Origin"


async def test_a_front_end_on_an_allowed_origin_does_the_whole_reset(start: Start) -> None:
    running = await start(cors_origins=(APP, "http://localhost:3000"))
    await running.accounts.add(ANN, OLD_PASSWORD)
    origin = {"Origin": APP}

    async def preflight(path: str) -> None:
        answer = await running.client.options(path, headers={**origin, **PREFLIGHT})
        assert answer.status_code in (200, 204)
        assert answer.headers[ALLOW] == APP
        assert "POST" in answer.headers["Access-Control-Allow-Methods"]
        assert "content-type" in answer.headers["Access-Control-Allow-Headers"].lower()
        assert int(answer.headers["Access-Control-Max-Age"]) > 0

    await preflight("/reset-password")
    answer = await running.client.post("/reset-password", json={"email": ANN}, headers=origin)
    assert (answer.status_code, answer.headers[ALLOW]) == (200, APP)
    token = (await running.mailbox.next_mail()).token
    answer = await running.client.get(f"/reset/{token}", headers={**origin, "Accept": "application/json"})
    assert (answer.status_code, answer.headers[ALLOW]) == (200, APP)
    await preflight(f"/reset/{token}")
    refused = await running.client.post(f"/reset/{token}", json={"password": "short"}, headers=origin)
    assert (refused.status_code, refused.headers[ALLOW]) == (422, APP)  # errors can be read too
    answer = await running.client.post(f"/reset/{token}", json={"password": NEW_PASSWORD}, headers=origin)
    assert (answer.status_code, answer.headers[ALLOW]) == (200, APP)
    await preflight(f"/reset/{token}/cancel")


async def test_errors_of_every_kind_can_be_read_and_so_can_when_to_come_back(start: Start) -> None:
    running = await start(cors_origins=(APP,), limit_per_client="1/minute")
    await running.ask()
    for path, method, status in (
        ("/reset-password", "POST", 429),
        ("/nowhere", "GET", 404),
        ("/reset-password", "PUT", 405),
        ("/reset/x", "GET", 410),
    ):
        answer = await running.open(path, method, form={"email": ANN}, headers={"Origin": APP})
        assert (answer.status_code, answer.headers[ALLOW]) == (status, APP)
        assert answer.headers["Access-Control-Expose-Headers"] == "Retry-After"


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        "*",
        "",
        "http://app.example.com",
        "https://app.example.com:8443",
        "https://app.example.com.evil.example",
        "https://evil.example/https://app.example.com",
        "https://sub.app.example.com",
        "https://app.example.com/",
        "https://app.example.comevil",
        "https://app.example.com, https://evil.example",
    ],
)
async def test_another_origin_reads_nothing(start: Start, origin: str) -> None:
    running = await start(cors_origins=(APP,))
    for answer in (
        await running.client.options("/reset-password", headers={"Origin": origin, **PREFLIGHT}),
        await running.client.post("/reset-password", json={"email": ANN}, headers={"Origin": origin}),
        await running.client.get("/reset-password", headers={"Origin": origin}),
    ):
        assert not [name for name, _ in answer.headers.items() if name.lower().startswith("access-control")]
        assert "Origin" in answer.headers["Vary"]  # so that no cache hands one origin's answer to another


async def test_without_a_setting_no_origin_reads_anything(start: Start) -> None:
    running = await start()
    for origin in (APP, "https://reset.example.com", "null"):
        for answer in (
            await running.client.options("/reset-password", headers={"Origin": origin, **PREFLIGHT}),
            await running.client.get("/reset-password", headers={"Origin": origin}),
        ):
            assert not [
                name for name, _ in answer.headers.items() if name.lower().startswith("access-control")
            ]
            assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"


async def test_credentials_are_never_allowed(start: Start) -> None:
    running = await start(cors_origins=(APP,))
    for method in ("OPTIONS", "GET", "POST"):
        answer = await running.open(
            "/reset-password", method, headers={"Origin": APP, "Cookie": "session=1", **PREFLIGHT}
        )
        assert "Access-Control-Allow-Credentials" not in answer.headers
        assert "Set-Cookie" not in answer.headers


# ---- posting from a page of another site ----

STRANGER = {"Sec-Fetch-Site": "cross-site", "Origin": "https://stranger.example"}


async def test_a_page_of_another_site_can_have_nobody_ask_for_a_reset(start: Start) -> None:
    """Each of its visitors would have a client limit of their own."""
    running = await start(cors_origins=(APP,))
    for headers in (STRANGER, {**STRANGER, "Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
        for sent in ({"form": {"email": ANN}}, {"json": {"email": ANN}}):
            answer = await running.client.post("/reset-password", headers=headers, **sent)
            assert answer.status_code == 403
    told = await running.client.post(
        "/reset-password", json={"email": ANN}, headers={**STRANGER, "Accept": "application/json"}
    )
    assert (await told.get_json())["code"] == "forbidden"
    assert await running.letters() == []


async def test_a_page_of_another_site_can_use_no_link_either(start: Start) -> None:
    running = await start()
    await running.accounts.add(ANN, OLD_PASSWORD)
    mail = await running.mail_to()
    assert (await running.set_password(mail.link_path, headers=STRANGER)).status_code == 403
    assert (await running.client.post(f"{mail.link_path}/cancel", headers=STRANGER)).status_code == 403
    assert (await running.set_password(mail.link_path)).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "same-origin", "Origin": "null"},  # our own page, whose referrer policy hides it
        {"Sec-Fetch-Site": "same-site", "Origin": "https://www.example.com"},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "cross-site", "Origin": APP},
        {"Origin": "https://stranger.example"},  # no browser of today: they all say where they come from
        {},
    ],
    ids=str,
)
async def test_our_own_pages_the_application_s_and_programs_may_post(
    start: Start, headers: dict[str, str]
) -> None:
    running = await start(cors_origins=(APP,))
    answer = await running.client.post("/reset-password", form={"email": ANN}, headers=headers)
    assert answer.status_code == 200


async def test_a_link_in_a_mail_that_is_read_on_another_site_opens(start: Start) -> None:
    running = await start()
    await running.accounts.add(ANN, OLD_PASSWORD)
    mail = await running.mail_to()
    assert (await running.client.get(mail.link_path, headers=STRANGER)).status_code == 200
