"""Each contender of the benchmarks starts, answers, and mails a link. Without their packages (`make bench`): skipped."""

import asyncio
import email
import email.policy
import json
import re
import urllib.request
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from email.message import EmailMessage
from pathlib import Path
from urllib.parse import urlencode

import pytest
from bench.contenders import CONTENDERS, Contender, Place, addresses, resetsvc_dispatch_command
from bench.harness.machine import free_port
from bench.harness.processes import running, wait_until_it_answers

from tests.support.lacking import lacking
from tests.support.relay_on_order import RelayOnOrder

NAMES = [contender.name for contender in CONTENDERS]
KNOWN, UNKNOWN = "user000002@bench.example", "user000001@bench.example"
PATIENCE = 30


def named(name: str) -> Contender:
    contender = next(contender for contender in CONTENDERS if contender.name == name)
    if not contender.installed:
        lacking(f"{name} is not installed: make .venv-bench/.done")
    return contender


@asynccontextmanager
async def serving(contender: Contender, relay: RelayOnOrder, folder: Path) -> AsyncIterator[Place]:
    place = Place(free_port(), folder, "127.0.0.1", relay.port, "half")
    await asyncio.to_thread(contender.prepare, place)
    # Starting and stopping wait, and the relay answers in this event loop meanwhile: hence the threads.
    with ExitStack() as stack:
        program = await asyncio.to_thread(
            stack.enter_context,
            running(
                contender.command(place),
                core=None,
                log=folder / "said.log",
                env=contender.environment(place),
                folder=folder,
            ),
        )
        leave = stack.pop_all()
        try:
            await asyncio.to_thread(wait_until_it_answers, program, place.port, contender.ready_path)
            yield place
        finally:
            await asyncio.to_thread(leave.close)


async def ask(contender: Contender, place: Place, address: str) -> int:
    fields = {contender.ask_field: address}
    if contender.body_format == "json":
        body, kind = json.dumps(fields).encode(), "application/json"
    else:
        body, kind = urlencode(fields).encode(), "application/x-www-form-urlencoded"
    request = urllib.request.Request(  # noqa: S310 -- our own server's address
        place.url + contender.ask_path, body, {"Content-Type": kind}
    )

    def answered() -> int:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310 -- the same
            status: int = answer.status
            return status

    return await asyncio.to_thread(answered)


async def next_mail(relay: RelayOnOrder) -> tuple[tuple[str, ...], str]:
    """Recipients and text of the next mail."""
    async with asyncio.timeout(PATIENCE):
        mail = await relay.next_mail()
    message = email.message_from_bytes(mail.message, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    body = message.get_body(("plain",))
    assert body is not None
    text: str = body.get_content()
    return mail.rcpt_tos, text


@pytest.mark.parametrize("name", [each.name for each in CONTENDERS if each.sends_mail])
async def test_a_contender_mails_a_link_to_an_account_and_nothing_to_others(
    name: str, tmp_path: Path
) -> None:
    contender = named(name)
    async with RelayOnOrder() as relay:
        async with serving(contender, relay, tmp_path) as place:
            assert await ask(contender, place, UNKNOWN) < 400
            assert await ask(contender, place, KNOWN) < 400
            recipients, text = await next_mail(relay)
            assert recipients == (KNOWN,)
            assert re.search(re.escape(place.url) + r"/\S*\S{20}", text), text
        assert len(relay.mails) == 1


@pytest.mark.parametrize("name", [each.name for each in CONTENDERS if not each.sends_mail])
async def test_a_contender_that_sends_nothing_answers(name: str, tmp_path: Path) -> None:
    contender = named(name)
    async with RelayOnOrder() as relay:
        async with serving(contender, relay, tmp_path) as place:
            assert await ask(contender, place, KNOWN) == 200
        assert relay.connections == 0


async def test_what_was_accepted_elsewhere_is_sent_by_the_dispatcher_alone(tmp_path: Path) -> None:
    accepting, whole = named("resetsvc-accepting"), named("resetsvc")
    async with RelayOnOrder() as relay, serving(accepting, relay, tmp_path) as place:
        assert await ask(accepting, place, KNOWN) == 200
        dispatching = running(
            resetsvc_dispatch_command(place),
            core=None,
            log=tmp_path / "dispatch.log",
            env=whole.environment(place),
            folder=tmp_path,
        )
        await asyncio.to_thread(dispatching.__enter__)
        try:
            recipients, _ = await next_mail(relay)
        finally:
            await asyncio.to_thread(dispatching.__exit__, None, None, None)
    assert recipients == (KNOWN,)


@pytest.mark.parametrize("name", NAMES)
def test_the_releases_of_a_contender_are_told(name: str) -> None:
    contender = named(name)
    versions = contender.versions()
    assert set(versions) == set(contender.packages)
    assert all(re.match(r"\d+\.\d+", version) for version in versions.values())


def test_every_contender_says_what_it_lacks_but_the_one_that_lacks_nothing() -> None:
    assert [each.name for each in CONTENDERS if not each.lacks] == ["resetsvc"]


def test_half_of_the_addresses_have_an_account_or_all() -> None:
    half, everybody = list(addresses("half")), list(addresses("all"))
    assert len(half) == 50_000
    assert KNOWN in half
    assert UNKNOWN not in half
    assert len(everybody) == 100_000
    assert set(half) < set(everybody)
