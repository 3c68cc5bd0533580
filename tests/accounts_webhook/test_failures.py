"""An endpoint that fails: nothing is changed twice, nobody waits for long, nothing leaves for elsewhere, and the log says why."""

import asyncio
import logging
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from resetsvc.accounts.webhook import (
    ATTEMPTS,
    FAILED,
    FIND_WITHIN,
    GET_WITHIN,
    SWAP_WITHIN,
    WebhookAccounts,
)
from resetsvc.clock import Clock
from resetsvc.dispatch.supervisor import ALIVE_WITHIN
from resetsvc.errors import CannotStore, SetupError
from tests.accounts_webhook.conftest import Connect
from tests.accounts_webhook.test_questions import ANN, BOB, NEW_PASSWORD, OLD_PASSWORD, account_of
from tests.support.accounts_endpoint import SECRET, AccountsEndpoint, Manner, accounts_endpoint
from tests.support.certificates import CertificateKind, server_context, write_ca_file
from tests.support.unhurried_loop import loop_time

NOT_GENUINE = "an answer that is not genuine"

# How an endpoint may fail, what the log says of it, and whether it is asked again.
FAILURES: dict[Manner, tuple[str, bool]] = {
    "silent": ("no answer in time", True),
    "dripping": ("no answer in time", True),
    "hangs up": ("RemoteProtocolError", True),
    "loses its answer": ("RemoteProtocolError", True),
    "cut short": ("RemoteProtocolError", True),
    "garbage": ("RemoteProtocolError", True),
    "endless": ("an answer that is too large", False),
    "too large": ("an answer that is too large", False),
    "redirect": ("answered 307", False),
    "unsigned": (f"{NOT_GENUINE}: the id is not the one that was expected", False),
    "signed by another": (f"{NOT_GENUINE}: no signature fits", False),
    "answer to another": (f"{NOT_GENUINE}: the id is not the one that was expected", False),
    "our own question": (f"{NOT_GENUINE}: the id is not the one that was expected", False),
    "an old answer": (f"{NOT_GENUINE}: the timestamp is too far from the time here", False),
    "an answer from the future": (f"{NOT_GENUINE}: the timestamp is too far from the time here", False),
    "compressed": (f"{NOT_GENUINE}: no signature fits", False),
    "400": ("answered 400", False),
    "401": ("answered 401", False),
    "403": ("answered 403", False),
    "404": ("answered 404", False),
    "422": ("answered 422", False),
    "409": ("answered 409", True),
    "429": ("answered 429", True),
    "500": ("answered 500", True),
    "503": ("answered 503", True),
}


class Hand:
    """A clock whose pauses are the test's to say; what is signed has the real time."""

    def __init__(self) -> None:
        self.seconds = 1000.0
        self.clock = Clock(monotonic=lambda: self.seconds, chance=lambda: 0.0)


QUICK = 0.3  # seconds for an attempt, where an endpoint is to take longer than it may


@pytest.mark.parametrize("manner", list(FAILURES))
async def test_a_failure_is_no_answer_and_the_log_says_why(
    endpoint: AccountsEndpoint, connect: Connect, manner: Manner
) -> None:
    why, again = FAILURES[manner]
    ann = endpoint.add(ANN)
    accounts = connect(timeout=QUICK, clock=Hand().clock)
    await accounts.find([ANN])
    asked = len(endpoint.questions)
    endpoint.manner = manner
    calls: dict[str, Callable[[], Awaitable[object]]] = {
        "accounts.find": lambda: accounts.find([ANN]),
        "accounts.get": lambda: accounts.get(ann.id),
    }
    for call, ask in calls.items():
        with capture_logs() as records, pytest.raises(CannotStore):
            await ask()
        told = [record for record in records if record["event"] == FAILED]
        attempts = ATTEMPTS if again and call == "accounts.find" else len(told)
        assert [(one["call"], one["why"], one["attempt"]) for one in told] == [
            (call, why, number) for number in range(1, attempts + 1)
        ]
        assert {one["log_level"] for one in told} == {"warning"}
        assert (len(told) > 1) == again
    ids = [question.message_id for question in endpoint.questions[asked:]]
    assert len(ids) == len(set(ids))  # an endpoint that has seen an id refuses it
    endpoint.manner = "well"
    assert ann.password == OLD_PASSWORD


@pytest.mark.parametrize("manner", list(FAILURES))
async def test_a_swap_without_an_answer_cannot_be_told_and_never_happens_twice(
    endpoint: AccountsEndpoint, connect: Connect, manner: Manner
) -> None:
    ann = endpoint.add(ANN)
    accounts = connect(timeout=QUICK, clock=Hand().clock)
    account = await account_of(accounts)
    endpoint.manners = ["well"]  # to the question how the account is now
    endpoint.manner = manner
    with pytest.raises(CannotStore):
        await accounts.swap(None, account, NEW_PASSWORD)
    swaps = [question for question in endpoint.questions if question.body["type"] == "accounts.swap"]
    assert (len(swaps) > 1) == FAILURES[manner][1]
    assert len({question.message_id for question in swaps}) == 1
    assert len({question.raw for question in swaps}) == 1
    assert endpoint.changes <= 1
    assert (ann.password == NEW_PASSWORD) == bool(endpoint.changes)


@pytest.mark.parametrize(
    "manner", ["loses its answer", "cut short", "dripping", "hangs up", "500", "silent", "409"]
)
async def test_an_answer_that_was_lost_is_asked_for_again_and_nothing_is_done_twice(
    endpoint: AccountsEndpoint, connect: Connect, manner: Manner
) -> None:
    ann = endpoint.add(ANN)
    accounts = connect(timeout=QUICK, clock=Hand().clock)
    account = await account_of(accounts)
    endpoint.manners = ["well", manner]
    assert await accounts.swap(None, account, NEW_PASSWORD)
    assert endpoint.types() == ["find", "get", "swap", "swap"]
    assert (ann.password, ann.version, endpoint.changes) == (NEW_PASSWORD, 2, 1)


async def test_a_look_up_that_failed_once_goes_well_the_second_time(
    endpoint: AccountsEndpoint, accounts: WebhookAccounts
) -> None:
    endpoint.add(ANN)
    endpoint.manners = ["503", "hangs up"]
    assert set(await accounts.find([ANN])) == {ANN}
    endpoint.manners = ["loses its answer"]
    assert await accounts.get("1") is not None


async def test_a_connection_that_was_closed_while_it_lay_idle_costs_an_attempt_and_no_more(
    endpoint: AccountsEndpoint, accounts: WebhookAccounts
) -> None:
    ann = endpoint.add(ANN)
    account = await account_of(accounts)
    endpoint.manners = ["well", "hangs up", "well"]
    assert await accounts.swap(None, account, NEW_PASSWORD)
    assert (ann.version, endpoint.connections) == (2, 2)


# ---- answers of another form ----

RIGHT = {"id": "1", "address": ANN, "active": True, "version": "v1", "asked": ANN}


@pytest.mark.parametrize(
    ("says", "where"),
    [
        (b"", "its beginning"),
        (b"<!doctype html>", "its beginning"),
        (b'{"accounts": [', "its beginning"),
        (b'{"accounts": [' + b"[" * 10_000, "its beginning"),
        ([], "its beginning"),
        (None, "its beginning"),
        ({}, "accounts"),
        ({"accounts": None}, "accounts"),
        ({"accounts": {}}, "accounts"),
        ({"accounts": [None]}, "accounts.0"),
        ({"accounts": [{**RIGHT, "id": 1}]}, "accounts.0.id"),
        ({"accounts": [{**RIGHT, "id": ""}]}, "accounts.0.id"),
        ({"accounts": [{**RIGHT, "id": "x" * 256}]}, "accounts.0.id"),
        ({"accounts": [{**RIGHT, "active": "false"}]}, "accounts.0.active"),
        ({"accounts": [{**RIGHT, "active": 1}]}, "accounts.0.active"),
        ({"accounts": [RIGHT, {**RIGHT, "version": None}]}, "accounts.1.version"),
        ({"accounts": [{**RIGHT, "version": 7}]}, "accounts.0.version"),
        ({"accounts": [{**RIGHT, "address": [ANN, BOB]}]}, "accounts.0.address"),
        ({"accounts": [{**RIGHT, "address": "x" * 321}]}, "accounts.0.address"),
        ({"accounts": [{**RIGHT, "locale": 5}]}, "accounts.0.locale"),
        *(
            (
                {"accounts": [{key: value for key, value in RIGHT.items() if key != missing}]},
                f"accounts.0.{missing}",
            )
            for missing in RIGHT
        ),
    ],
)
async def test_an_answer_of_another_form_is_refused_and_the_log_names_the_place(
    endpoint: AccountsEndpoint, accounts: WebhookAccounts, says: object, where: str
) -> None:
    endpoint.says_instead = b"null" if says is None else says
    with capture_logs() as records, pytest.raises(CannotStore):
        await accounts.find([ANN])
    (told,) = [record for record in records if record["event"] == FAILED]
    assert told["why"] == f"a malformed answer, at {where}"


async def test_what_an_answer_holds_besides_is_ignored(
    endpoint: AccountsEndpoint, accounts: WebhookAccounts
) -> None:
    endpoint.says_instead = {"accounts": [{**RIGHT, "password_hash": "x", "plan": 3}], "took": 0.1}
    assert set(await accounts.find([ANN])) == {ANN}


async def test_accounts_that_were_not_asked_for_are_refused(
    endpoint: AccountsEndpoint, accounts: WebhookAccounts
) -> None:
    ann = endpoint.add(ANN)
    account = await account_of(accounts)
    with capture_logs() as records:
        endpoint.says_instead = {"accounts": [{**RIGHT, "asked": BOB}]}
        with pytest.raises(CannotStore):
            await accounts.find([ANN])
        endpoint.says_instead = {"account": {**RIGHT, "id": "2"}}
        with pytest.raises(CannotStore):
            await accounts.get(ann.id)
        with pytest.raises(CannotStore):
            await accounts.swap(None, account, NEW_PASSWORD)
    assert {record["why"] for record in records} == {"an answer about accounts that were not asked for"}
    assert "swap" not in endpoint.types()


@pytest.mark.parametrize("says", [{}, {"swapped": "true"}, {"swapped": 1}, {"swapped": None}, {"ok": True}])
async def test_a_swap_counts_only_where_the_answer_says_so(
    endpoint: AccountsEndpoint, accounts: WebhookAccounts, says: object
) -> None:
    endpoint.add(ANN)
    account = await account_of(accounts)
    endpoint.manners = ["well"]
    answer = endpoint.reply

    def says_so(message_id: str, body: dict[str, object]) -> bytes:
        if body["type"] == "accounts.swap":
            endpoint.says_instead = says
        return answer(message_id, body)

    endpoint.reply = says_so  # type: ignore[method-assign]  # the endpoint is the test's own
    with pytest.raises(CannotStore):
        await accounts.swap(None, account, NEW_PASSWORD)


# ---- time ----


async def test_a_look_up_ends_before_the_dispatcher_counts_as_standing_still(
    endpoint: AccountsEndpoint, accounts: WebhookAccounts
) -> None:
    assert FIND_WITHIN + 0.5 <= ALIVE_WITHIN
    endpoint.manner = "silent"
    began = loop_time()
    with pytest.raises(CannotStore):
        await accounts.find([ANN])
    # All attempts together: were it for each of them, three times as long.
    assert FIND_WITHIN * 0.9 < loop_time() - began < 2 * FIND_WITHIN


async def test_what_a_swap_takes_in_all_is_bounded_and_not_each_of_its_steps(
    endpoint: AccountsEndpoint, connect: Connect
) -> None:
    """Within ten seconds, after which whoever finds an interrupted change has to know that nothing more will come."""
    assert GET_WITHIN <= SWAP_WITHIN < 10
    endpoint.add(ANN)
    hand = Hand()
    accounts = connect(clock=hand.clock)
    account = await account_of(accounts)
    answer = endpoint.reply

    def takes_its_time(message_id: str, body: dict[str, object]) -> bytes:
        hand.seconds += SWAP_WITHIN - 0.3
        endpoint.manner = "silent"
        return answer(message_id, body)

    endpoint.reply = takes_its_time  # type: ignore[method-assign]  # the endpoint is the test's own
    began = loop_time()
    with pytest.raises(CannotStore):
        await accounts.swap(None, account, NEW_PASSWORD)
    assert loop_time() - began < SWAP_WITHIN / 2  # for a step of its own it would be all of it, and more
    assert endpoint.types()[:3] == ["find", "get", "swap"]


async def test_a_connection_that_does_not_come_about_is_given_up_before_an_answer_would_be(
    endpoint: AccountsEndpoint, connect: Connect
) -> None:
    """It speaks no TLS, and waits for words that never come: as a firewall does that drops what it does not like."""
    failed_after: list[float] = []

    def chance() -> float:  # a coin is tossed for the pause after each failure
        failed_after.append(loop_time() - began)
        return 0.0

    accounts = connect(url=endpoint.url.replace("http:", "https:"), clock=Clock(chance=chance))
    began = loop_time()
    with capture_logs() as records, pytest.raises(CannotStore):
        await accounts.find([ANN])
    assert {record["why"] for record in records if record["event"] == FAILED} == {"ConnectTimeout"}
    assert 0.3 * FIND_WITHIN < failed_after[0] < 0.9 * FIND_WITHIN
    assert failed_after[-1] < 2 * FIND_WITHIN


async def test_no_attempt_takes_longer_than_is_set(endpoint: AccountsEndpoint, connect: Connect) -> None:
    accounts = connect(timeout=0.2, clock=Hand().clock)
    endpoint.manner = "dripping"
    began = loop_time()
    with pytest.raises(CannotStore):
        await accounts.find([ANN])
    assert 3 * 0.2 <= loop_time() - began < FIND_WITHIN
    assert len(endpoint.questions) == ATTEMPTS


async def test_a_question_that_is_called_off_leaves_the_rest_as_it_was(
    endpoint: AccountsEndpoint, connect: Connect
) -> None:
    """As when a supervisor gives a dispatcher up."""
    endpoint.add(ANN)
    accounts = connect()
    endpoint.manner = "silent"
    for _ in range(20):  # more than there are connections
        endpoint.asked.clear()
        question = asyncio.ensure_future(accounts.find([ANN]))
        async with asyncio.timeout(5):
            await endpoint.asked.wait()
        question.cancel()
        with pytest.raises(asyncio.CancelledError):
            await question
    endpoint.manner = "well"
    assert set(await accounts.find([ANN])) == {ANN}


# ---- the breaker ----


async def test_after_five_failures_in_a_row_it_is_left_alone_and_then_tried_once(
    endpoint: AccountsEndpoint, connect: Connect
) -> None:
    endpoint.add(ANN)
    hand = Hand()
    accounts = connect(clock=hand.clock)
    endpoint.manner = "401"  # not asked again by itself
    for _ in range(4):
        with pytest.raises(CannotStore):
            await accounts.find([ANN])
    endpoint.manners = ["well"]
    await accounts.find([ANN])  # in a row: this one begins the count anew
    with capture_logs() as records:
        for _ in range(5):
            with pytest.raises(CannotStore):
                await accounts.find([ANN])
        asked = len(endpoint.questions)
        for _ in range(10):
            with pytest.raises(CannotStore) as told:
                await accounts.get("1")
            assert "left alone" in repr(told.value.__cause__)
        assert len(endpoint.questions) == asked
        hand.seconds += 4.9
        with pytest.raises(CannotStore):
            await accounts.find([ANN])
        assert len(endpoint.questions) == asked
        hand.seconds += 0.2
        outcomes = await asyncio.gather(*(accounts.find([ANN]) for _ in range(10)), return_exceptions=True)
        assert all(isinstance(outcome, CannotStore) for outcome in outcomes)
        assert len(endpoint.questions) == asked + 1
        endpoint.manner = "well"
        with pytest.raises(CannotStore):
            await accounts.find([ANN])
        hand.seconds += 5.1
        await accounts.find([ANN])
        assert set(await accounts.find([ANN])) == {ANN}
    events = [record["event"] for record in records]
    assert events.count(FAILED) == 6  # those that were tried
    assert events.count("accounts endpoint is left alone for some seconds") == 2
    assert events.count("accounts endpoint works again") == 1


async def test_a_question_that_is_refused_is_no_failure_of_the_endpoint(
    endpoint: AccountsEndpoint, accounts: WebhookAccounts
) -> None:
    endpoint.add(ANN)
    endpoint.refuses = {BOB}
    for _ in range(10):
        with pytest.raises(CannotStore):
            await accounts.find([BOB])
    assert set(await accounts.find([ANN])) == {ANN}


async def test_a_trial_that_is_called_off_leaves_room_for_the_next(
    endpoint: AccountsEndpoint, connect: Connect
) -> None:
    endpoint.add(ANN)
    hand = Hand()
    accounts = connect(clock=hand.clock)
    endpoint.manner = "404"
    for _ in range(5):
        with pytest.raises(CannotStore):
            await accounts.find([ANN])
    hand.seconds += 6
    endpoint.manner = "silent"
    endpoint.asked.clear()
    trial = asyncio.ensure_future(accounts.find([ANN]))
    async with asyncio.timeout(5):
        await endpoint.asked.wait()
    trial.cancel()
    with pytest.raises(asyncio.CancelledError):
        await trial
    endpoint.manner = "well"
    assert set(await accounts.find([ANN])) == {ANN}


# ---- where questions go ----


async def test_a_redirect_is_not_followed(endpoint: AccountsEndpoint, accounts: WebhookAccounts) -> None:
    endpoint.add(ANN)
    account = await account_of(accounts)
    async with accounts_endpoint() as elsewhere:
        endpoint.manner, endpoint.elsewhere = "redirect", elsewhere.url
        endpoint.manners = ["well"]
        with pytest.raises(CannotStore):
            await accounts.swap(None, account, NEW_PASSWORD)
        assert elsewhere.connections == 0


async def test_a_proxy_in_the_environment_gets_no_question(
    endpoint: AccountsEndpoint, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint.add(ANN)
    async with accounts_endpoint() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        assert set(await connect().find([ANN])) == {ANN}
        assert proxy.connections == 0


@pytest.mark.parametrize("kind", ["expired", "wrong name", "unknown CA"])
async def test_a_wrong_certificate_gets_no_question(
    kind: CertificateKind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, connect: Connect
) -> None:
    write_ca_file(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    async with accounts_endpoint(server_context(kind)) as server:
        with capture_logs() as records, pytest.raises(CannotStore):
            await connect(url=server.url).find([ANN])
        assert {record["why"] for record in records if record["event"] == FAILED} == {"ConnectError"}
        assert server.questions == []


async def test_a_certificate_that_the_system_trusts_is_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, connect: Connect
) -> None:
    write_ca_file(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    async with accounts_endpoint(server_context("good")) as server:
        server.add(ANN)
        assert set(await connect(url=server.url).find([ANN])) == {ANN}


async def test_an_endpoint_that_is_down_is_a_failure_like_others(connect: Connect) -> None:
    async with accounts_endpoint() as gone:
        pass
    with capture_logs() as records, pytest.raises(CannotStore):
        await connect(url=gone.url).find([ANN])
    assert [record["why"] for record in records if record["event"] == FAILED] == ["ConnectError"] * ATTEMPTS


# ---- what is told of it ----


@pytest.mark.parametrize("manner", list(FAILURES))
async def test_no_failure_tells_a_secret_or_an_address(
    endpoint: AccountsEndpoint, connect: Connect, manner: Manner, caplog: pytest.LogCaptureFixture
) -> None:
    ann = endpoint.add(ANN)
    ann.version = 987654321
    accounts = connect(timeout=QUICK, clock=Hand().clock)
    account = await account_of(accounts)
    said = []
    with caplog.at_level(logging.DEBUG, "resetsvc"), capture_logs() as records:
        for manners in ([manner] * 3, ["well", *[manner] * 3]):
            endpoint.manners = [*manners]
            endpoint.manner = manner
            with pytest.raises(CannotStore) as told:
                await accounts.swap(None, account, NEW_PASSWORD)
            error: BaseException | None = told.value
            while error is not None:
                said += [str(error), repr(error)]
                error = error.__cause__
    text = "\n".join(said) + repr(records) + caplog.text
    assert FAILED in text
    for secret in (NEW_PASSWORD, ANN, "987654321", account.credential, SECRET, SECRET[6:]):
        assert secret not in text


# ---- what it costs those who do not use it ----


def test_without_it_no_http_client_is_loaded() -> None:
    code = (
        "import sys, resetsvc.app, resetsvc.cli, resetsvc.accounts.webhook; sys.exit('httpx' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


async def test_without_the_extra_the_start_names_it(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "httpx", None)  # as where it is not installed
    with pytest.raises(SetupError, match=r"pip install 'resetsvc\[webhook\]'"):
        connect()
