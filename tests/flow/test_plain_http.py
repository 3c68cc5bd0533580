"""What comes over http is not sent on to https: a program would go on sending passwords in the clear (ASVS 4.1.2)."""

import pytest

from tests.flow.conftest import ANN, NEW_PASSWORD, OLD_PASSWORD, Running, Start


@pytest.mark.parametrize("forwarded", ["http", "https"])
async def test_nothing_is_redirected_to_https(start: Start, forwarded: str) -> None:
    running: Running = await start(public_url="https://reset.example.com")
    await running.accounts.add(ANN, OLD_PASSWORD)
    mail = await running.mail_to()
    headers = {"X-Forwarded-Proto": forwarded, "Forwarded": f"proto={forwarded}"}
    for path in ("/reset-password", mail.link_path, "/healthz", "/openapi.json"):
        assert (await running.client.get(path, headers=headers)).status_code == 200, path
    answer = await running.client.post(mail.link_path, json={"password": NEW_PASSWORD}, headers=headers)
    assert answer.status_code == 200
    assert "Location" not in answer.headers
