"""A relay that says nothing, or drips: an attempt ends in its time, and costs nobody else anything."""

import asyncio
import socket

import pytest

from resetsvc.relay.lane import CannotOpen, open_lane
from resetsvc.relay.url import parse_relay_url
from resetsvc.relay.verdict import Verdict
from tests.mail.senders import IMPATIENT, sending_to
from tests.mail.test_replies import LOGGED_IN, both_ways, well_equipped
from tests.support.certificates import server_context
from tests.support.relay_on_order import Fault, Offers, RelayOnOrder, Step, Tls, client_context

BEFORE_A_LETTER: tuple[Step, ...] = ("CONNECT", "BANNER", "EHLO", "STARTTLS", "AUTH")
WITH_A_LETTER: dict[Step, Verdict] = {
    "MAIL": Verdict.RELAY_DOWN,
    "RCPT": Verdict.RETRY,
    "DATA": Verdict.RETRY,
    "BODY": Verdict.RETRY,
    "DOT": Verdict.RETRY,
}
LONGEST = (
    3 * IMPATIENT + 5.0
)  # the rest for a busy machine: what is not cut off goes on for half a minute, or for ever


@pytest.mark.parametrize("step", BEFORE_A_LETTER)
async def test_a_relay_that_hangs_before_a_letter_is_down(step: Step) -> None:
    async with well_equipped(step, pipelining=True) as relay, sending_to(relay, timeout=IMPATIENT) as sender:
        relay.order(Fault.hang(step))
        async with asyncio.timeout(LONGEST):
            attempt = await sender.send()
        assert (attempt.verdict, attempt.code) == (Verdict.RELAY_DOWN, None)
        assert sender.up == [False]
        relay.clear()
        await sender.until_room()
        assert (await sender.send()).verdict is Verdict.SENT


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
async def test_a_handshake_that_hangs_ends_in_its_time_and_its_connection_too(tls: Tls) -> None:
    async with (
        RelayOnOrder(tls=tls) as relay,
        sending_to(relay, timeout=IMPATIENT, probe_pauses=(0.1,)) as sender,
    ):
        handshake = relay.order(Fault.hang("HANDSHAKE"), times=1)
        async with asyncio.timeout(LONGEST):
            assert (await sender.send()).verdict is Verdict.RELAY_DOWN
        assert handshake.struck == 1
        await sender.until_room()
        assert (await sender.send()).verdict is Verdict.SENT
        assert relay.most_open == 1


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
async def test_a_relay_that_hangs_inside_tls_keeps_no_connection_of_ours(tls: Tls) -> None:
    async with (
        RelayOnOrder(tls=tls, credentials=LOGGED_IN) as relay,
        sending_to(relay, timeout=IMPATIENT, probe_pauses=(0.1,)) as sender,
    ):
        relay.order(Fault.hang("AUTH"))
        assert (await sender.send()).verdict is Verdict.RELAY_DOWN
        await relay.until(lambda: relay.connections >= 4)
        assert relay.most_open == 1


async def test_a_relay_that_hangs_inside_tls_is_left_without_waiting_for_its_goodbye() -> None:
    """An end in good form waits half a minute for the relay's own: meanwhile probes would pile connections up."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def greet_and_hang() -> None:
            connection, _ = listening.accept()
            connection.settimeout(LONGEST)
            with (
                connection.dup() as wire,
                server_context("good").wrap_socket(connection, server_side=True) as relay,
            ):
                relay.sendall(b"220 relay.test\r\n")
                relay.recv(1000)
                while wire.recv(1000):  # until the client's end; TimeoutError if it does not come
                    pass

        hanging = asyncio.create_task(asyncio.to_thread(greet_and_hang))
        address = parse_relay_url(f"smtps://127.0.0.1:{listening.getsockname()[1]}")
        with pytest.raises(CannotOpen, match="no reply within"):
            await open_lane(address, timeout=IMPATIENT, tls=client_context())
        await hanging


@both_ways
@pytest.mark.parametrize("step", WITH_A_LETTER)
async def test_a_letter_that_meets_a_hang_ends_in_its_time(step: Step, pipelining: bool) -> None:
    async with (
        RelayOnOrder(offers=Offers(pipelining=pipelining)) as relay,
        sending_to(relay, timeout=IMPATIENT) as sender,
    ):
        relay.order(Fault.hang(step))
        async with asyncio.timeout(LONGEST):
            attempt = await sender.send()
        assert (attempt.verdict, attempt.code) == (WITH_A_LETTER[step], None)
        assert f"no reply within {IMPATIENT:g} s" in attempt.reply
        assert sender.open_lanes == [0]
        relay.clear()
        await sender.until_room()
        assert (await sender.send()).verdict is Verdict.SENT
        assert [mail.connection for mail in relay.mails] == [relay.connections] != [1]


async def test_a_reset_that_hangs_does_not_change_what_was_said() -> None:
    async with RelayOnOrder() as relay, sending_to(relay, timeout=IMPATIENT) as sender:
        relay.order(Fault.reply("RCPT", 550, "no such user"))
        relay.order(Fault.hang("RSET"))
        attempt = await sender.send()
        assert (attempt.verdict, attempt.code) == (Verdict.FAILED, 550)
        assert sender.open_lanes == [0]


async def test_leaving_a_relay_that_hangs_at_quit_ends_in_its_time() -> None:
    async with RelayOnOrder() as relay:
        quit_ = relay.order(Fault.hang("QUIT"))
        async with asyncio.timeout(LONGEST), sending_to(relay, timeout=IMPATIENT) as sender:
            assert (await sender.send()).verdict is Verdict.SENT
        assert quit_.struck == 1


@both_ways
@pytest.mark.parametrize("step", ["BANNER", "EHLO", *[step for step in WITH_A_LETTER if step != "BODY"]])
async def test_a_dripped_reply_is_not_waited_for_byte_by_byte(step: Step, pipelining: bool) -> None:
    async with (
        RelayOnOrder(offers=Offers(pipelining=pipelining)) as relay,
        sending_to(relay, timeout=IMPATIENT) as sender,
    ):
        relay.order(Fault.drip(step, IMPATIENT / 4))
        async with asyncio.timeout(LONGEST):
            attempt = await sender.send()
        assert (attempt.verdict, attempt.code) == (WITH_A_LETTER.get(step, Verdict.RELAY_DOWN), None)
        relay.clear()
        await sender.until_room()
        assert (await sender.send()).verdict is Verdict.SENT


@both_ways
async def test_a_reply_that_drips_in_within_the_time_is_read(pipelining: bool) -> None:
    async with RelayOnOrder(offers=Offers(pipelining=pipelining)) as relay, sending_to(relay) as sender:
        steps: tuple[Step, ...] = ("BANNER", "EHLO", "MAIL", "RCPT", "DATA", "DOT")
        for step in steps:
            relay.order(Fault.drip(step, 0.001))
        assert (await sender.send()).verdict is Verdict.SENT
        assert (await sender.send()).verdict is Verdict.SENT
        assert relay.connections == 1


async def test_relays_whose_lanes_all_hang_in_bodies_are_down_and_letters_for_others_go_on() -> None:
    """One slow recipient is no reason to take a relay down; as many silences in a row as it has lanes are one."""
    async with RelayOnOrder() as relay, sending_to(relay, connections=2, timeout=IMPATIENT) as sender:
        relay.order(Fault.hang("DOT"))
        assert (await sender.send()).verdict is Verdict.RETRY
        assert sender.up == [True]
        assert (await sender.send()).verdict is Verdict.RETRY
        assert sender.up == [False]


async def test_silences_between_letters_that_go_through_take_no_relay_down() -> None:
    async with RelayOnOrder() as relay, sending_to(relay, connections=2, timeout=IMPATIENT) as sender:
        for _ in range(3):
            relay.order(Fault.hang("DOT"), times=1)
            assert (await sender.send()).verdict is Verdict.RETRY
            assert (await sender.send()).verdict is Verdict.SENT
        assert sender.up == [True]


async def test_a_used_lane_that_hangs_costs_a_letter_one_time_out_and_not_one_for_each_idle_lane() -> None:
    async with RelayOnOrder() as relay, sending_to(relay, connections=5, timeout=IMPATIENT) as sender:
        at_dot = relay.order(Fault.hold("DOT"))
        letters = [sender.begin() for _ in range(5)]
        await at_dot.reached(5)
        at_dot.release()
        assert {(await each).verdict for each in letters} == {Verdict.SENT}
        assert sender.open_lanes == [5]
        relay.order(Fault.hang("MAIL"), times=1)
        hung = relay.order(Fault.hang("MAIL"), times=4)
        assert (await sender.send()).verdict is Verdict.RELAY_DOWN
        assert hung.struck == 1
