"""One step's answer: the usual one, or what was ordered for it."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, NoReturn, Protocol

from tests.support.accepted_mail import AcceptedMail
from tests.support.faults import (
    Answer,
    Append,
    Delay,
    Drip,
    Drop,
    Endless,
    GoAhead,
    Hold,
    Rate,
    Refuse,
    Say,
    Step,
)
from tests.support.orders import Order, OrderBook
from tests.support.wire import Gone, Wire


@dataclass(frozen=True, slots=True)
class Offers:
    """What EHLO announces. STARTTLS and AUTH come from the relay's `tls` and `credentials`."""

    pipelining: bool = True
    eightbitmime: bool = True
    smtputf8: bool = True
    size: int | None = 10_485_760
    auth: tuple[str, ...] = ("PLAIN", "LOGIN")


class House(Protocol):
    """What a conversation needs of the relay it belongs to."""

    offers: Offers
    orders: OrderBook

    @property
    def credentials(self) -> tuple[str, str] | None: ...
    @property
    def offers_starttls(self) -> bool: ...
    def tls_context(self) -> ssl.SSLContext: ...
    async def accept(self, mail: AcceptedMail) -> None: ...
    def note_command(self, connection: int, command: str) -> None: ...
    def note_early_talk(self, connection: int, step: Step) -> None: ...


class Reply(NamedTuple):
    code: int
    data: bytes


def reply(code: int, *lines: str) -> Reply:
    last = len(lines) - 1
    text = "".join(f"{code}{'-' if at < last else ' '}{line}\r\n" for at, line in enumerate(lines))
    return Reply(code, text.encode())


GO_AHEAD = reply(354, "End data with <CR><LF>.<CR><LF>")
_LAST_IN_ITS_GROUP: frozenset[Step] = frozenset(
    {"BANNER", "EHLO", "STARTTLS", "AUTH", "DATA", "NOOP", "QUIT"}
)
"""Commands after which even a pipelining client must wait (RFC 2920 3.1)."""
_ENDLESS_CHUNK = 200
_NONE_SAID = 999
"""Stands for the code where no reply was given: no yes, so the state does not change."""


async def nothing_to_keep() -> None:
    pass


class Answering:
    def __init__(self, house: House, wire: Wire, number: int) -> None:
        self._house = house
        self._wire = wire
        self._number = number

    async def answer(
        self,
        step: Step,
        usual: Reply,
        *,
        about: Sequence[str] = (),
        keep: Callable[[], Awaitable[None]] = nothing_to_keep,
    ) -> int:
        """Says the usual, or what was ordered; gives the code that now counts.

        `keep` runs before a yes leaves, and before faults that are ordered with `accept`.
        """
        if self._wire.has_unread and (step in _LAST_IN_ITS_GROUP or not self._house.offers.pipelining):
            self._house.note_early_talk(self._number, step)
        taken = self._house.orders.take(step, about)
        for order in taken.waits:
            await self._wait(order)
        if taken.act is None:
            return await self._say(usual, keep)
        return await self._misbehave(taken.act, usual, keep)

    async def _misbehave(self, order: Order, usual: Reply, keep: Callable[[], Awaitable[None]]) -> int:
        wire = self._wire
        match order.fault.act:
            case Hold(accept=accept):
                if accept:
                    await keep()
                await self._hang(order)
                return await self._say(usual, keep)
            case Answer(code, text, close):
                await self._say(reply(code, text), keep)
                if close:
                    await self._leave(order)
            case Drop(after_answer=True):
                await self._say(usual, keep)
                await self._leave(order)
            case Drop(accept=accept, reset=reset):
                if accept:
                    await keep()
                self._throw_out(order, reset=reset)
            case Say(data, accept):
                if accept:
                    await keep()
                code = _NONE_SAID
                wire.write(data)
            case Endless(accept, lines):
                if accept:
                    await keep()
                await self._talk_for_ever(order, usual.code, lines=lines)
            case Drip(seconds):
                await keep()
                code = usual.code
                for byte in usual.data:
                    # The wait comes first: none may lie between STARTTLS's last byte and the handshake.
                    await asyncio.sleep(seconds)
                    if wire.lost.done():
                        raise Gone
                    wire.write(bytes((byte,)))
            case Append(data):
                code = usual.code
                wire.write(usual.data + data)
            case GoAhead():
                code = await self._say(GO_AHEAD if usual.code == 554 else usual, keep)
            case Delay() | Rate() | Refuse() as act:
                raise AssertionError(f"{act} is no act of a conversation")
        order.strike()
        return code

    async def suffer_in_body(self, about: Sequence[str]) -> bool:
        """Faults while the mail comes in; whether an answer was given already."""
        taken = self._house.orders.take("BODY", about)
        if taken.act is None and not taken.waits:
            return False
        await self._wire.first_bytes()
        self._wire.pause()
        for order in taken.waits:
            await self._wait(order)
        act = taken.act
        if act is None or isinstance(act.fault.act, Hold):
            if act is not None:
                await self._hang(act)
            self._wire.resume()
            return False
        self._wire.resume()
        await self._misbehave(act, reply(552, "5.3.4 Enough"), nothing_to_keep)
        return True

    async def handshake(self) -> None:
        self._wire.pause()
        self._wire.forget_unread()  # RFC 3207 5: what came in plain text before is not to be trusted
        taken = self._house.orders.take("HANDSHAKE", ())
        for order in taken.waits:
            await self._wait(order)
        if (order_ := taken.act) is not None:
            match order_.fault.act:
                case Hold():
                    await self._hang(order_)
                case Drop(reset=reset):
                    self._throw_out(order_, reset=reset)
                case Say(data):
                    self._wire.write(data)
                    order_.strike()
                    await self._wire.wait_gone_or(asyncio.get_running_loop().create_future())
                case act:
                    raise AssertionError(f"{act} is no fault of a handshake")
        await self._wire.start_tls(self._house.tls_context())

    async def _say(self, said: Reply, keep: Callable[[], Awaitable[None]]) -> int:
        if said.code < 400:
            await keep()
        self._wire.write(said.data)
        return said.code

    async def _wait(self, order: Order) -> None:
        order.strike()
        await asyncio.sleep(order.pause())

    async def _hang(self, order: Order) -> None:
        order.strike()
        if isinstance(order.fault.act, Hold) and order.fault.act.until_gone:
            await self._wire.wait_gone_or(order.released)
        else:
            await asyncio.wait({order.released})

    async def _talk_for_ever(self, order: Order, code: int, *, lines: bool) -> NoReturn:
        chunk = (f"{code}-and so on\r\n".encode() if lines else b"and so on ") * _ENDLESS_CHUNK
        if not lines:
            self._wire.write(f"{code} ".encode())
        order.strike()
        while True:
            self._wire.write(chunk)
            await self._wire.drained()
            await asyncio.sleep(0)  # a client in the same event loop must get its turn

    async def _leave(self, order: Order) -> NoReturn:
        await self._wire.hang_up()
        order.strike()
        raise Gone

    def _throw_out(self, order: Order, *, reset: bool) -> NoReturn:
        self._wire.abort(reset=reset)
        order.strike()
        raise Gone
