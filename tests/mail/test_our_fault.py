"""A log-in or a sender that is refused is our own fault: one alarm, few tries, every letter kept, the next relay takes over."""

import pytest
from structlog.testing import capture_logs

from resetsvc.relay.url import parse_relay_url
from resetsvc.relay.verdict import Verdict
from tests.mail.senders import commands, sending_to
from tests.support.relay_on_order import Fault, RelayOnOrder

SENT, OURS = Verdict.SENT, Verdict.OUR_FAULT
LOGGED_IN = ("me", "a secret of ours")
REFUSALS = {
    "log-in": Fault.reply("AUTH", 535, "wrong password"),
    "log-in, and closed": Fault.reply("AUTH", 535, "wrong password", close=True),
    "sender": Fault.reply("MAIL", 550, "not your address"),
    "sender, and closed": Fault.reply("MAIL", 550, "not your address", close=True),
    "not logged in": Fault.reply("MAIL", 530, "authentication required"),
}


@pytest.mark.parametrize("kind", REFUSALS)
async def test_a_refusal_of_us_is_told_once_and_ends_when_it_is_mended(kind: str) -> None:
    async with RelayOnOrder(credentials=LOGGED_IN) as relay, sending_to(relay) as sender:
        refused = relay.order(REFUSALS[kind])
        with capture_logs() as logs:
            attempt = await sender.send()
            assert (attempt.verdict, attempt.code) == (OURS, REFUSALS[kind].act.code)  # type: ignore[union-attr]  # these are all answers
            if refused.fault.step == "AUTH":
                await refused.reached(6)  # by probes, which carry no letter
            while refused.struck < 6:
                await sender.until_room()
                assert (await sender.send()).verdict is OURS
            assert [(entry["event"], entry["log_level"]) for entry in logs] == [("relay refuses us", "error")]
        relay.clear()
        await sender.until_room()
        assert (await sender.send()).verdict is SENT


@pytest.mark.parametrize("kind", REFUSALS)
async def test_the_next_relay_takes_over_when_the_first_refuses_us(kind: str) -> None:
    async with (
        RelayOnOrder(credentials=LOGGED_IN) as first,
        RelayOnOrder() as second,
        sending_to(first, second, our_fault_pause=3600.0) as sender,
    ):
        refused = first.order(REFUSALS[kind])
        for _ in range(5):
            attempt = await sender.send()
            assert (attempt.verdict, attempt.relay) == (SENT, f"127.0.0.1:{second.port}")
        assert first.connections == 1
        assert refused.struck <= 2  # PLAIN and LOGIN
        status = sender.outbox.status()[0]
        assert (status.name, status.up) == (f"127.0.0.1:{first.port}", False)
        assert status.why_down is not None
        assert status.why_down.verdict is OURS


@pytest.mark.parametrize("found_out_by_a_probe", [False, True])
async def test_a_refused_log_in_is_not_tried_so_often_that_the_relay_locks_us_out(
    found_out_by_a_probe: bool,
) -> None:
    """Another relay, that is merely down, is probed many times meanwhile."""
    async with (
        RelayOnOrder(credentials=LOGGED_IN) as strict,
        RelayOnOrder() as down,
        sending_to(strict, down, our_fault_pause=3600.0) as sender,
    ):
        if found_out_by_a_probe:
            strict.order(Fault.drop("AUTH"), times=1)
        refused = strict.order(Fault.reply("AUTH", 535, "wrong password", close=True))
        down.order(Fault.reply("BANNER", 421, "closed"))
        assert (await sender.send()).verdict is Verdict.RELAY_DOWN
        await refused.reached()
        until_then = down.connections
        await down.until(lambda: down.connections >= until_then + 10)
        assert refused.struck == 1
        why = sender.outbox.status()[0].why_down
        assert why is not None
        assert (why.verdict, why.code) == (OURS, 535)


async def test_a_log_in_that_cannot_be_checked_at_the_moment_is_the_relays_fault() -> None:
    async with (
        RelayOnOrder(credentials=LOGGED_IN) as relay,
        sending_to(relay, our_fault_pause=3600.0) as sender,
    ):
        relay.order(Fault.reply("AUTH", 454, "temporary authentication failure"))
        attempt = await sender.send()
        assert (attempt.verdict, attempt.code) == (Verdict.RELAY_DOWN, 454)
        relay.clear()
        await sender.until_room()
        assert (await sender.send()).verdict is SENT


async def test_no_secret_is_in_what_is_told() -> None:
    async with RelayOnOrder(credentials=("user-of-ours", "word-of-ours")) as relay:
        with capture_logs() as logs:
            async with sending_to(relay) as sender:
                for code in (535, 454):
                    relay.order(Fault.reply("AUTH", code, "no"))
                    attempt = await sender.send()
                    told = repr((attempt, logs, sender.outbox.status(), parse_relay_url(relay.url)))
                    assert "of-ours" not in told
                    relay.clear()
                    await sender.until_room()
                    assert (await sender.send()).verdict is SENT
    assert "AUTH" in commands(relay)
