"""One SMTP conversation: RFC 5321 as a well-behaved server keeps it, except where an order says otherwise."""

import base64
import binascii
import re
import time
from collections.abc import Awaitable, Callable

from tests.support.accepted_mail import AcceptedMail, message_id_of
from tests.support.answering import GO_AHEAD, Answering, House, Reply, reply
from tests.support.wire import Gone, Wire

_OK = reply(250, "2.0.0 OK")
_OUT_OF_ORDER = reply(503, "5.5.1 Bad sequence of commands")
_BAD_SYNTAX = reply(501, "5.5.4 Syntax error in parameters")
_MAIL = re.compile(r"FROM:\s*<([^<>]*)>((?:\s+\S+)*)\s*", re.IGNORECASE)
_RCPT = re.compile(r"TO:\s*<([^<>]+)>\s*", re.IGNORECASE)


class Conversation:
    def __init__(self, house: House, wire: Wire, number: int) -> None:
        self._house = house
        self._wire = wire
        self._answering = Answering(house, wire, number)
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
            await self._answering.handshake()
        if 500 <= await self._answering.answer("BANNER", reply(220, "relay.test ESMTP")) < 600:
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
        self._greeted = await self._answering.answer("EHLO", usual) == 250

    async def _starttls(self, argument: str) -> None:
        if not self._house.offers_starttls or self._wire.secure:
            await self._answering.answer("STARTTLS", _OUT_OF_ORDER)
            return
        if await self._answering.answer("STARTTLS", reply(220, "2.0.0 Ready to start TLS")) == 220:
            # No await since the 220 was written: nothing of the client's TLS can have been read as plain text.
            await self._answering.handshake()
            self._greeted = self._logged_in = False
            self._forget_mail()

    async def _auth(self, argument: str) -> None:
        mechanism, _, initial = argument.partition(" ")
        mechanism = mechanism.upper()
        if not self._greeted or self._logged_in or not self._offers_auth():
            await self._answering.answer("AUTH", _OUT_OF_ORDER)
        elif mechanism not in self._house.offers.auth or mechanism not in ("PLAIN", "LOGIN"):
            await self._answering.answer("AUTH", reply(504, "5.5.4 Unrecognized authentication type"))
        else:
            try:
                given = await self._credentials(mechanism, initial.strip())
            except (binascii.Error, UnicodeDecodeError, ValueError):
                await self._answering.answer("AUTH", _BAD_SYNTAX)
                return
            if given == self._house.credentials:
                usual = reply(235, "2.7.0 Authentication successful")
            else:
                usual = reply(535, "5.7.8 Authentication credentials invalid")
            self._logged_in = await self._answering.answer("AUTH", usual) == 235

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
        if await self._answering.answer("MAIL", usual) < 400 and match is not None:
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
        if await self._answering.answer("RCPT", usual, about=(recipient,)) < 400 and match is not None:
            self._rcpt_tos.append(recipient)

    async def _data(self, argument: str) -> None:
        if self._mail_from is None and not self._asked_for:
            usual = _OUT_OF_ORDER
        elif not self._rcpt_tos:
            usual = reply(554, "5.5.1 No valid recipients")
        else:
            usual = GO_AHEAD
        if await self._answering.answer("DATA", usual, about=self._asked_for) != 354:
            return
        answered = await self._answering.suffer_in_body(self._asked_for)
        message = await self._wire.body()
        if not answered:
            await self._answer_dot(message)
        self._forget_mail()

    async def _rset(self, argument: str) -> None:
        self._forget_mail()
        await self._answering.answer("RSET", _OK)

    async def _noop(self, argument: str) -> None:
        await self._answering.answer("NOOP", _OK)

    async def _quit(self, argument: str) -> None:
        await self._answering.answer("QUIT", reply(221, "2.0.0 Bye"))
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
        await self._answering.answer("DOT", usual, about=self._asked_for, keep=keep)
