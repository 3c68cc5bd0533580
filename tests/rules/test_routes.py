"""Every route is limited by client, or says here why it is not."""

from pathlib import Path

import pytest
from quart import Quart, Response
from quart.typing import TestClientProtocol as Client

from resetsvc.settings import Settings
from resetsvc.testing import make_settings
from tests.rules.source import PACKAGE

LIMITED = {
    ("POST", "/reset-password"),
    ("POST", "/reset/<token>"),
    ("POST", "/reset/<token>/cancel"),
}
NOT_LIMITED = {
    (
        "GET",
        "/reset-password",
    ): "a page without anything of anybody on it, that costs as little as an answer of 429",
    (
        "GET",
        "/reset/<token>",
    ): "a wrong token costs microseconds; scanners and previews of a whole company come from one address",
    ("GET", "/reset/<token>/cancel"): "the same",
    ("GET", "/.well-known/change-password"): "a redirect",
    ("GET", "/healthz"): "asked all the time, by those who run the service",
    ("GET", "/readyz"): "the same",
    ("GET", "/metrics"): "for those with the token only; a wrong one costs one comparison",
    ("GET", "/openapi.json"): "says what everybody may know",
    ("GET", "/static/<path:filename>"): "files",
}


@pytest.fixture
def resetsvc_settings(tmp_path: Path) -> Settings:
    return make_settings(tmp_path, limit_per_client="1/hour")


def routes(app: Quart) -> set[tuple[str, str]]:
    return {
        (method, rule.rule)
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }


async def ask(client: Client, method: str, path: str, form: dict[str, str] | None = None) -> Response:
    answer = await (client.get(path) if method == "GET" else client.post(path, form=form))
    assert isinstance(answer, Response)
    return answer


async def test_every_route_is_limited_or_says_why_not(resetsvc_app: Quart) -> None:
    assert routes(resetsvc_app) == LIMITED | set(NOT_LIMITED)
    assert not LIMITED & set(NOT_LIMITED)


@pytest.mark.parametrize(("method", "rule"), sorted(LIMITED))
async def test_a_limited_route_refuses_what_is_too_much(
    method: str, rule: str, resetsvc_client: Client
) -> None:
    path = rule.replace("<token>", "0" * 32)
    form = {"email": "ann@example.com", "password": "four unrelated words here"}
    first = await ask(resetsvc_client, method, path, form)
    second = await ask(resetsvc_client, method, path, form)
    assert first.status_code in (200, 410)
    assert second.status_code == 429
    assert int(second.headers["Retry-After"]) > 0


@pytest.mark.parametrize(("method", "rule"), sorted(NOT_LIMITED))
async def test_a_route_that_is_not_limited_never_says_so(
    method: str, rule: str, resetsvc_client: Client
) -> None:
    path = rule.replace("<token>", "0" * 32).replace("<path:filename>", "resetsvc.css")
    assert (PACKAGE / "static" / "resetsvc.css").exists()
    statuses = {(await ask(resetsvc_client, method, path)).status_code for _ in range(3)}
    assert len(statuses) == 1
    assert 429 not in statuses


async def test_asking_and_trying_links_have_a_budget_each(resetsvc_client: Client) -> None:
    """Who used up the right to ask can still use the link that came."""
    for _ in range(2):
        asked = await resetsvc_client.post("/reset-password", form={"email": "ann@example.com"})
    assert asked.status_code == 429
    tried = await resetsvc_client.post(f"/reset/{'0' * 32}", form={"password": "four unrelated words here"})
    assert tried.status_code == 410
