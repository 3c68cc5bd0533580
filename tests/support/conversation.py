"""One SMTP conversation: RFC 5321 as a well-behaved server keeps it, except where an order says otherwise."""

import asyncio
import base64
import binascii
import re
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NamedTuple, NoReturn, Protocol

from tests.support.accepted_mail import AcceptedMail, message_id_of
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


_OK = reply(250, "2.0.0 OK")
_GO_AHEAD = reply(354, "End data with <CR><LF>.<CR><LF>")
_OUT_OF_ORDER = reply(503, "5.5.1 Bad sequence of commands")
_BAD_SYNTAX = reply(501, "5.5.4 Syntax error in parameters")
_MAIL = re.compile(r"FROM:\s*<([^<>]*)>((?:\s+\S+)*)\s*", re.IGNORECASE)
_RCPT = re.compile(r"TO:\s*<([^<>]+)>\s*", re.IGNORECASE)
_LAST_IN_ITS_GROUP: frozenset[Step] = frozenset(
    {"BANNER", "EHLO", "STARTTLS", "AUTH", "DATA", "NOOP", "QUIT"}
)
_ENDLESS_CHUNK = 200
_NONE_SAID = 999
"""Stands for the code where no reply was given: no yes, so the state does not change."""


async def _nothing_to_keep() -> None:
    pass


class Conversation:
    def __init__(self, house: House, wire: Wire, number: int) -> None:
        self._house = house
        self._wire = wire
        self._number = number
        self._greeted = False
        self._logged_in = False
        self._mail_from: str | None = None
        self._utf8 = False
        self._asked_for: list[str] = []
        self._rcpt_tos: list[str] = []
        self._commands: dict[str, Callable[[str], Awaitable[None]]] = {
            "EHLO": self._ehlo,
            "HELO": self._helo,
            "STARTTLS": self._starttls,
            "AUTH": self._auth,
            "MAIL": self._mail,
            "RCPT": self._rcpt,
            "DATA": self._data,
            "RSET": self._rset,
            "NOOP": self._noop,
            "QUIT": self._quit,
        }

    async def hold(self, *, implicit_tls: bool) -> None:
        """Talks until the client has left or was thrown out: ends by raising Gone."""
        if implicit_tls:
            await self._handshake()
        if 500 <= await self._answer("BANNER", reply(220, "relay.test ESMTP")) < 600:
            self._commands = {"QUIT": self._quit}  # RFC 5321 3.1: then only QUIT is served
        while True:
            line = (await self._wire.line()).decode("utf-8", "surrogateescape")
            self._house.note_command(self._number, line)
            verb, _, argument = line.partition(" ")
            command = self._commands.get(verb.upper())
            if command is None:
                self._wire.write(reply(500, "5.5.2 Command not recognized").data)
            else:
                await command(argument)

    # The commands.

    async def _ehlo(self, argument: str) -> None:
        offers = self._house.offers
        lines = ["relay.test"]
        if offers.pipelining:
            lines.append("PIPELINING")
        if offers.eightbitmime:
            lines.append("8BITMIME")
        if offers.smtputf8:
            lines.append("SMTPUTF8")
        if offers.size is not None:
            lines.append(f"SIZE {offers.size}")
        if self._house.offers_starttls and not self._wire.secure:
            lines.append("STARTTLS")
        if self._offers_auth():
            lines.append(f"AUTH {' '.join(offers.auth)}")
        await self._greet(reply(250, *lines))

    async def _helo(self, argument: str) -> None:
        await self._greet(reply(250, "relay.test"))

    async def _greet(self, usual: Reply) -> None:
        self._forget_mail()
        self._greeted = await self._answer("EHLO", usual) == 250

    async def _starttls(self, argument: str) -> None:
        if not self._house.offers_starttls or self._wire.secure:
            await self._answer("STARTTLS", _OUT_OF_ORDER)
            return
        if await self._answer("STARTTLS", reply(220, "2.0.0 Ready to start TLS")) == 220:
            # No await since the 220 was written: nothing of the client's TLS can have been read as plain text.
            await self._handshake()
            self._greeted = self._logged_in = False
            self._forget_mail()

    async def _auth(self, argument: str) -> None:
        mechanism, _, initial = argument.partition(" ")
        mechanism = mechanism.upper()
        if not self._greeted or self._logged_in or not self._offers_auth():
            await self._answer("AUTH", _OUT_OF_ORDER)
        elif mechanism not in self._house.offers.auth or mechanism not in ("PLAIN", "LOGIN"):
            await self._answer("AUTH", reply(504, "5.5.4 Unrecognized authentication type"))
        else:
            try:
                given = await self._credentials(mechanism, initial.strip())
            except (binascii.Error, UnicodeDecodeError, ValueError):
                await self._answer("AUTH", _BAD_SYNTAX)
                return
            if given == self._house.credentials:
                usual = reply(235, "2.7.0 Authentication successful")
            else:
                usual = reply(535, "5.7.8 Authentication credentials invalid")
            self._logged_in = await self._answer("AUTH", usual) == 235

    async def _mail(self, argument: str) -> None:
        match = _MAIL.fullmatch(argument)
        if not self._greeted or self._mail_from is not None:
            usual = _OUT_OF_ORDER
        elif self._offers_auth() and not self._logged_in:
            usual = reply(530, "5.7.0 Authentication required")
        elif match is None:
            usual = _BAD_SYNTAX
        else:
            usual = self._verdict_on_parameters(match[1], match[2].upper().split())
        if await self._answer("MAIL", usual) < 400 and match is not None:
            self._mail_from = match[1]

    async def _rcpt(self, argument: str) -> None:
        match = _RCPT.fullmatch(argument)
        if self._mail_from is None:
            usual = _OUT_OF_ORDER
        elif match is None:
            usual = _BAD_SYNTAX
        elif not match[1].isascii() and not self._utf8:
            usual = reply(553, "5.6.7 Non-ASCII address without SMTPUTF8")
        else:
            usual = _OK
        recipient = match[1] if match else ""
        self._asked_for.append(recipient)
        if await self._answer("RCPT", usual, about=(recipient,)) < 400 and match is not None:
            self._rcpt_tos.append(recipient)

    async def _data(self, argument: str) -> None:
        if self._mail_from is None and not self._asked_for:
            usual = _OUT_OF_ORDER
        elif not self._rcpt_tos:
            usual = reply(554, "5.5.1 No valid recipients")
        else:
            usual = _GO_AHEAD
        if await self._answer("DATA", usual, about=self._asked_for) != 354:
            return
        answered = await self._suffer_in_body()
        message = await self._wire.body()
        if not answered:
            await self._answer_dot(message)
        self._forget_mail()

    async def _rset(self, argument: str) -> None:
        self._forget_mail()
        await self._answer("RSET", _OK)

    async def _noop(self, argument: str) -> None:
        await self._answer("NOOP", _OK)

    async def _quit(self, argument: str) -> None:
        await self._answer("QUIT", reply(221, "2.0.0 Bye"))
        await self._wire.hang_up()
        raise Gone

    # What commands share.

    def _forget_mail(self) -> None:
        self._mail_from = None
        self._utf8 = False
        self._asked_for = []
        self._rcpt_tos = []

    def _offers_auth(self) -> bool:
        plain_is_fine = self._wire.secure or not self._house.offers_starttls
        return self._house.credentials is not None and plain_is_fine

    def _verdict_on_parameters(self, mail_from: str, parameters: list[str]) -> Reply:
        offers = self._house.offers
        for parameter in parameters:
            name, _, value = parameter.partition("=")
            if name == "SIZE" and offers.size is not None and value.isdecimal():
                if int(value) > offers.size:
                    return reply(552, "5.3.4 Message too big")
            elif name == "SMTPUTF8" and offers.smtputf8:
                self._utf8 = True
            elif not (name == "BODY" and offers.eightbitmime):
                return reply(555, f"5.5.4 Unsupported parameter {name}")
        if not mail_from.isascii() and not self._utf8:
            return reply(553, "5.6.7 Non-ASCII address without SMTPUTF8")
        return _OK

    async def _credentials(self, mechanism: str, initial: str) -> tuple[str, str]:
        if mechanism == "PLAIN":
            _, user, password = (await self._secret(initial, "")).split("\0")
        else:
            user = await self._secret(initial, "VXNlcm5hbWU6")
            password = await self._secret("", "UGFzc3dvcmQ6")
        return user, password

    async def _secret(self, initial: str, challenge: str) -> str:
        if not initial:
            self._wire.write(f"334 {challenge}\r\n".encode())
            initial = (await self._wire.line()).decode()
        return base64.b64decode(initial, validate=True).decode()

    async def _answer_dot(self, message: bytes) -> None:
        size = self._house.offers.size
        kept = False

        async def keep() -> None:
            nonlocal kept
            if kept or not self._rcpt_tos:
                return
            kept = True
            await self._house.accept(
                AcceptedMail(
                    message=message,
                    mail_from=self._mail_from or "",
                    rcpt_tos=tuple(self._rcpt_tos),
                    message_id=message_id_of(message),
                    received_at=time.monotonic(),
                    wall_time=time.time(),
                    connection=self._number,
                )
            )

        if not self._rcpt_tos:
            usual = reply(554, "5.5.1 No valid recipients")
        elif size is not None and len(message) > size:
            usual = reply(552, "5.3.4 Message too big")
        else:
            usual = _OK
        await self._answer("DOT", usual, about=self._asked_for, keep=keep)

    # Where orders strike.

    async def _answer(
        self,
        step: Step,
        usual: Reply,
        *,
        about: list[str] | tuple[str, ...] = (),
        keep: Callable[[], Awaitable[None]] = _nothing_to_keep,
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
                code = await self._say(_GO_AHEAD if self._asked_for else usual, keep)
            case Delay() | Rate() | Refuse() as act:
                raise AssertionError(f"{act} is no act of a conversation")
        order.strike()
        return code

    async def _suffer_in_body(self) -> bool:
        """Faults while the mail comes in; whether an answer was given already."""
        taken = self._house.orders.take("BODY", self._asked_for)
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
        await self._misbehave(act, reply(552, "5.3.4 Enough"), _nothing_to_keep)
        return True

    async def _handshake(self) -> None:
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
