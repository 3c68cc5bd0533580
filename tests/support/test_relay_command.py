"""The relay as a process: its ledger, its faults in words, its end by SIGTERM."""

import asyncio
import json
import signal
import smtplib
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.support.faults import Fault
from tests.support.relay_command import fault_in_words, order_in_words
from tests.support.relay_on_order import RelayOnOrder

ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def relay_process(*arguments: str) -> AsyncIterator[tuple[Process, int]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.relay_on_order", *arguments, stdin=PIPE, stdout=PIPE, cwd=ROOT
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(10):
            ready = (await process.stdout.readline()).split()
        assert ready[:2] == [b"listening", b"on"]
        yield process, int(ready[2])
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


def send(port: int) -> None:
    with smtplib.SMTP("127.0.0.1", port, local_hostname="me.test", timeout=10) as client:
        client.sendmail("a@shop.test", ["b@user.test"], b"Message-ID: <1@shop.test>\r\n\r\nHello\r\n")


async def test_a_relay_process_keeps_a_ledger_takes_orders_and_ends_by_sigterm(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.jsonl"
    async with relay_process(
        "--ledger", str(ledger), "--fault", "reply:MAIL:451:later*1", "--orders-from-stdin", "--no-pipelining"
    ) as (process, port):
        assert process.stdin is not None
        assert process.stdout is not None
        with pytest.raises(smtplib.SMTPSenderRefused):
            await asyncio.to_thread(send, port)
        await asyncio.to_thread(send, port)
        lines = [json.loads(line) for line in ledger.read_text().splitlines()]
        assert [(line["message_id"], line["rcpt_tos"]) for line in lines] == [
            ("<1@shop.test>", ["b@user.test"])
        ]

        for words, answer in [
            ("dance:RCPT", b"error: no such fault: dance:RCPT\n"),
            ("hang:LUNCH", b"error: no such step: LUNCH\n"),
            ("reply:RCPT:550:gone@user.test", b"ok\n"),
        ]:
            process.stdin.write(words.encode() + b"\n")
            assert await process.stdout.readline() == answer
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            await asyncio.to_thread(send, port)
        for words in ("clear", "stop"):
            process.stdin.write(words.encode() + b"\n")
            assert await process.stdout.readline() == b"ok\n"
        with pytest.raises(ConnectionRefusedError):
            await asyncio.to_thread(send, port)
        process.stdin.write(b"start\n")
        assert await process.stdout.readline() == b"ok\n"
        await asyncio.to_thread(send, port)
        assert len(ledger.read_text().splitlines()) == 2

        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        ("hang:RCPT", Fault.hang("RCPT")),
        ("hang:DOT:accept", Fault.hang("DOT", accept=True)),
        ("hang:CONNECT", Fault.hang("CONNECT")),
        ("refuse", Fault.refuse()),
        ("reply:DATA:451:4.3.0: try later", Fault.reply("DATA", 451, "4.3.0: try later")),
        ("drop:DOT", Fault.drop("DOT")),
        ("drop:DOT:accept", Fault.drop("DOT", accept=True)),
        ("drop:DOT:after_answer", Fault.drop("DOT", after_answer=True)),
        ("drop:RCPT:reset", Fault.drop("RCPT", reset=True)),
        ("garbage:EHLO", Fault.garbage("EHLO")),
        ("endless:EHLO", Fault.endless("EHLO")),
        ("drip:EHLO:0.05", Fault.drip("EHLO", 0.05)),
        ("garbage_after_starttls", Fault.garbage_after_starttls()),
        ("go_ahead", Fault.go_ahead()),
        ("delay:0.02", Fault.delay(0.02)),
        ("delay:RCPT:0.02", Fault.delay(0.02, "RCPT")),
        ("rate:1", Fault.rate(1)),
    ],
)
async def test_every_fault_can_be_said_in_words(words: str, fault: Fault) -> None:
    assert fault_in_words(words) == fault


async def test_times_and_a_domain_can_be_said_in_words() -> None:
    async with RelayOnOrder() as relay:
        order_in_words(relay, "hang:RCPT*2@slow.test")
        (order,) = relay.orders.orders
        assert order.fault == Fault.hang("RCPT")
        assert order.times_left == 2
        assert order.only_for is not None
        assert order.only_for("a@slow.test")
        assert not order.only_for("a@user.test")
