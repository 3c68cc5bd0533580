"""What `check` says of an endpoint: also of one that works, and believes whoever asks."""

from typing import Any

import pytest

from resetsvc.accounts.webhook_inspection import NOBODY, inspect_endpoint
from resetsvc.accounts.webhook_mapping import WebhookMapping
from resetsvc.clock import Clock
from tests.accounts_webhook.samples import Sample
from tests.accounts_webhook.test_questions import ANN
from tests.accounts_webhook.test_samples import sample as sample
from tests.support.accounts_endpoint import OTHER_SECRET, SECRET, AccountsEndpoint

Found = dict[str, tuple[bool, str]]


async def inspected(url: str, **other: Any) -> Found:
    mapping = WebhookMapping.model_validate({"url": url, "secret": SECRET, **other})
    return {name: (fine, told) async for name, fine, told in inspect_endpoint(mapping, Clock())}


def host_of(url: str) -> str:
    return url.removeprefix("http://").partition("/")[0]


async def test_the_samples_are_in_order(sample: Sample) -> None:
    assert await inspected(sample.endpoint) == {
        "accounts": (True, f"{host_of(sample.url)} answers, and signs its answers"),
        "accounts signatures": (True, "unsigned, altered, old and repeated questions are refused"),
    }


async def test_nothing_is_asked_about_anybody_and_nothing_changed(endpoint: AccountsEndpoint) -> None:
    endpoint.add(ANN)
    assert all(fine for fine, _ in (await inspected(endpoint.url)).values())
    assert [question.body for question in endpoint.questions] == [
        {"type": "accounts.find", "addresses": [NOBODY]}
    ]
    assert len(endpoint.not_genuine) == 3
    assert endpoint.changes == 0


async def test_an_endpoint_that_believes_everybody_is_found_out(endpoint: AccountsEndpoint) -> None:
    endpoint.believes_everybody = True
    fine, told = (await inspected(endpoint.url))["accounts signatures"]
    assert not fine
    assert told == (
        f"{host_of(endpoint.url)} answers a question that is not signed, and one whose signature is that of another, "
        "and one from twice as long ago as it may be"
    )


async def test_an_endpoint_that_forgets_what_it_was_asked_is_found_out(endpoint: AccountsEndpoint) -> None:
    endpoint.forgets = True
    assert (await inspected(endpoint.url))["accounts signatures"] == (
        False,
        f"{host_of(endpoint.url)} answers a question that was asked before",
    )


async def test_an_endpoint_that_finds_everybody_is_found_out(endpoint: AccountsEndpoint) -> None:
    endpoint.add(NOBODY)
    assert (await inspected(endpoint.url))["accounts"] == (
        False,
        f"{host_of(endpoint.url)} has an account for an address that nobody can have",
    )


@pytest.mark.parametrize(
    ("manner", "says"),
    [
        ("401", "answered 401 (the secrets differ"),
        ("404", "answered 404 (the URL"),
        ("500", "answered 500"),
        ("redirect", "answered 307"),
        ("silent", "no answer in time"),
        ("unsigned", "an answer that is not genuine"),
    ],
)
async def test_an_endpoint_that_fails_is_told_with_what_may_be_wrong(
    endpoint: AccountsEndpoint, manner: Any, says: str
) -> None:
    endpoint.manner = manner
    found = await inspected(endpoint.url, timeout=0.3)
    assert list(found) == ["accounts"]
    fine, told = found["accounts"]
    assert not fine
    assert told.startswith(f"{host_of(endpoint.url)}: {says}")


async def test_a_malformed_answer_another_secret_and_nobody_there_are_told(
    endpoint: AccountsEndpoint,
) -> None:
    endpoint.says_instead = {"accounts": [{"id": 1}]}
    assert "a malformed answer, at accounts.0.id" in (await inspected(endpoint.url))["accounts"][1]
    found = await inspected(endpoint.url, secret=OTHER_SECRET)
    assert "the secrets differ" in found["accounts"][1]
    found = await inspected("http://127.0.0.1:1/accounts")
    assert found["accounts"] == (
        False,
        "127.0.0.1:1: ConnectError (nothing listens there, or its certificate is not one that this system trusts)",
    )
    for _, told in found.values():
        assert SECRET not in told
