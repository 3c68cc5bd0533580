"""Lines and bodies out of a buffer, wherever packets end."""

import asyncio

import pytest

from tests.support.wire import Gone, Wire

BODY = b"x\r\n..y\r\n.z\r\n.\r\n"


@pytest.mark.parametrize("cut", range(1, len(BODY)))
async def test_a_body_is_read_rightly_wherever_packets_end(cut: int) -> None:
    wire = Wire(reads_at_once=True)
    reading = asyncio.create_task(wire.body())
    await asyncio.sleep(0)  # now it waits
    wire.data_received(BODY[:cut])
    await asyncio.sleep(0)
    assert not reading.done()
    wire.data_received(BODY[cut:] + b"NOOP\r\n")
    async with asyncio.timeout(10):
        assert await reading == b"x\r\n.y\r\nz\r\n"
    assert await wire.line() == b"NOOP"


async def test_what_came_before_the_end_is_still_read() -> None:
    wire = Wire(reads_at_once=True)
    wire.data_received(b"NOOP\r\nQUI")
    wire.connection_lost(None)
    assert await wire.line() == b"NOOP"
    with pytest.raises(Gone):
        await wire.line()
