"""The relay that cannot be reached, and comes back."""

import asyncio
import socket

import pytest

from tests.support.listener import Listener
from tests.support.raw_client import GIVES_UP_AFTER, greeted, send
from tests.support.relay_on_order import Fault, RelayOnOrder


async def refused(relay: RelayOnOrder) -> bool:
    try:
        _, writer = await asyncio.open_connection(relay.host, relay.port)
    except ConnectionRefusedError:
        return True
    writer.transport.abort()
    return False


async def test_a_stopped_relay_cuts_off_refuses_and_comes_back_on_its_port() -> None:
    async with RelayOnOrder() as relay, greeted(relay) as client:
        port = relay.port
        await relay.stop()
        assert await client.everything() == b""
        assert relay.open_connections == 0
        assert await refused(relay)
        await relay.start()
        assert relay.port == port
        await asyncio.to_thread(send, relay)
        assert len(relay.mails) == 1


async def test_a_relay_that_refuses_keeps_the_connections_it_has() -> None:
    async with RelayOnOrder() as relay, greeted(relay) as client:
        relay.order(Fault.refuse())
        assert await refused(relay)
        assert await client.code("NOOP") == 250
        relay.clear()
        assert not await refused(relay)


async def test_a_hang_at_connect_leaves_syn_unanswered() -> None:
    async with RelayOnOrder() as relay:
        order = relay.order(Fault.hang("CONNECT"))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(GIVES_UP_AFTER):
                await asyncio.open_connection(relay.host, relay.port)
        assert relay.connections == 0
        order.withdraw()
        await asyncio.to_thread(send, relay)


async def test_the_port_of_a_stopped_relay_is_kept_for_it() -> None:
    async with RelayOnOrder() as relay:
        await relay.stop()
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind((relay.host, relay.port))


async def test_faults_that_cannot_happen_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot happen at CONNECT"):
        Fault.reply("CONNECT", 421, "no")
    with pytest.raises(ValueError, match="cannot happen at BODY"):
        Fault.drip("BODY", 1)
    async with RelayOnOrder() as relay:
        with pytest.raises(ValueError, match="cannot be counted"):
            relay.order(Fault.refuse(), times=1)


async def test_replies_are_not_held_back_for_a_fuller_packet() -> None:
    loop = asyncio.get_running_loop()
    arrived: asyncio.Future[socket.socket] = loop.create_future()
    listener = Listener("127.0.0.1", 0, arrived.set_result)
    listener.listen()
    with socket.create_connection((listener.host, listener.port)):
        transport, _ = await loop.connect_accepted_socket(asyncio.Protocol, await arrived)
        connection = transport.get_extra_info("socket")
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        transport.abort()
    listener.close()
