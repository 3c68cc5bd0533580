"""The relay's ledger: a mail stands in it before its sender hears of it."""

import asyncio
import json
from pathlib import Path

from tests.support.raw_client import MAIL, connected, greeted, send
from tests.support.relay_on_order import Fault, RelayOnOrder


async def test_a_mail_is_in_the_ledger_before_its_250(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.jsonl"
    async with RelayOnOrder(ledger=ledger) as relay, connected(relay) as client:
        relay.order(Fault.hang("DOT", accept=True), times=1)
        talk = asyncio.create_task(client.step("DOT"))
        mail = await relay.next_mail()
        assert json.loads(ledger.read_text()) == {
            "message_id": "<1@shop.test>",
            "mail_from": "a@shop.test",
            "rcpt_tos": ["b@user.test"],
            "wall_time": mail.wall_time,
            "connection": 1,
            "size": len(mail.message),
        }
        talk.cancel()
    async with RelayOnOrder(ledger=ledger) as relay:
        await asyncio.gather(*(asyncio.to_thread(send, relay) for _ in range(10)))
        assert len(ledger.read_text().splitlines()) == 11


async def test_a_client_that_has_its_250_finds_its_mail_in_the_ledger(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.jsonl"
    async with RelayOnOrder(ledger=ledger) as relay, greeted(relay) as client:
        for number in range(1, 21):
            await client.envelope()
            assert await client.code(MAIL + b".\r\n") == 250
            assert len(ledger.read_text().splitlines()) == number
