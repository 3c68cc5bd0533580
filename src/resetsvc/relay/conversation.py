"""One SMTP session after its greeting and log-in: hands letters over, one after the other, every reply checked.

aiosmtplib connects, does TLS and logs in, and gives its transport to this protocol: it has no pipelining, it cannot
look at the lease between DATA and the body, and its reply reader drops what it does not expect, where an unexpected
reply means that the session is out of step and must not be used again.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from resetsvc.relay.reply_reader import ReplyReader
from resetsvc.relay.verdict import Reply, Step, Verdict, presentable, verdict_of


@dataclass(frozen=True, slots=True)
class Envelope:
    """A composed letter on its way: exactly one recipient, and the bytes of the mail with CRLF line ends."""

    sender: str
    recipient: str
    body: bytes
    utf8: bool = False  # the recipient needs SMTPUTF8 (RFC 6531)


@dataclass(slots=True)
class Pace:
    """How long the replies to one letter took, in seconds. `pipelining`: the first three were to one packet."""

    mail: float = 0.0
    rcpt: float = 0.0
    data: float = 0.0
    body: float = 0.0
    pipelining: bool = True


class SessionBroken(Exception):
    """The session cannot be used any more: it closed, timed out, or said something that is no reply."""

    def __init__(self, step: Step, what: str) -> None:
        super().__init__(what)
        self.step = step


@dataclass(frozen=True, slots=True)
class Handover:
    """What came of one letter in a session. `reusable`: the session is in step and can take the next one."""

    verdict: Verdict
    code: int | None
    reply: str
    reusable: bool


class Conversation(asyncio.Protocol):
    """The protocol of an open session.

    pipelining -- the relay offers RFC 2920: MAIL, RCPT and DATA go in one packet, one round trip instead of three
    """

    def __init__(self, *, pipelining: bool, utf8: bool, timeout: float) -> None:
        self._pipelining = pipelining
        self._utf8 = utf8
        self._timeout = timeout
        self._transport: asyncio.Transport | None = None
        self._reader = ReplyReader()
        self._waiter: asyncio.Future[None] | None = None
        self._patience_ends = 0.0
        self._patience: asyncio.TimerHandle | None = None
        self._waited: dict[Step, float] = {}
        self._broken: str | None = None
        self._writable = asyncio.Event()
        self._writable.set()

    # ---- asyncio.Protocol ----

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # The one of uvloop is one by its methods, not by its class.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if (wrong := self._reader.feed(data)) is not None:
            self._break(wrong)
        else:
            self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self._break(
            "the relay closed the connection"
            if exc is None
            else f"the connection broke ({type(exc).__name__})"
        )

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    # ---- handing letters over ----

    @property
    def usable(self) -> bool:
        """Whether the session is open and in step: a reply that nobody asked for means that it closes or is confused."""
        return self._broken is None and self._reader.in_step

    @property
    def pace(self) -> Pace:
        """How long this session waited for each of the last replies."""
        took = self._waited.get
        return Pace(
            took(Step.MAIL, 0.0),
            took(Step.RCPT, 0.0),
            took(Step.DATA, 0.0),
            took(Step.BODY, 0.0),
            self._pipelining,
        )

    async def hand_over(
        self, envelope: Envelope, may_send: Callable[[], bool], heard: Callable[[], None] = lambda: None
    ) -> Handover:
        """Give one letter to the relay. Never raises for what the relay does; a cancelled call leaves the session broken.

        may_send -- asked after the relay's go-ahead, just before the first byte of the body: False withholds it
        heard    -- called when the relay has said something about the recipient
        """
        step = Step.MAIL
        refusal: tuple[Step, Reply] | None = None
        try:
            if envelope.utf8 and not self._utf8:
                return Handover(
                    Verdict.FAILED, None, "the relay does not take addresses beyond ASCII", self.usable
                )
            option = " SMTPUTF8" if envelope.utf8 else ""
            commands = [
                (Step.MAIL, f"MAIL FROM:<{envelope.sender}>{option}\r\n".encode()),
                (Step.RCPT, f"RCPT TO:<{envelope.recipient}>\r\n".encode()),
                (Step.DATA, b"DATA\r\n"),
            ]
            if self._pipelining:
                self._write(b"".join(command for _, command in commands))
            go_ahead: Reply | None = None
            for step, command in commands:
                if not self._pipelining:
                    self._write(command)
                reply = await self._reply(step)
                if step is Step.RCPT:
                    heard()
                good = reply.code == 354 if step is Step.DATA else 200 <= reply.code < 300
                if step is Step.DATA:
                    go_ahead = reply if good else None
                if not good and refusal is None:
                    refusal = step, reply
                    if not self._pipelining:
                        break
            if refusal is not None:
                return await self._refused(*refusal, waits_for_body=go_ahead is not None)
            step = Step.BODY
            if not may_send():
                self._break("withheld")  # closing is the only way out after 354 without sending anything
                return Handover(Verdict.WITHHELD, None, "not sent: its time ran out before the body", False)
            return await self._body(envelope)
        except SessionBroken as broken:
            if refusal is not None:  # it said why before it left
                return Handover(
                    verdict_of(refusal[0], refusal[1].code),
                    refusal[1].code,
                    presentable(refusal[1].text),
                    False,
                )
            verdict = Verdict.RELAY_DOWN if broken.step is Step.MAIL else Verdict.RETRY
            return Handover(verdict, None, f"{broken} (at {broken.step})", False)
        except asyncio.CancelledError:
            # The answer to what was written is still to come: the next command would read it as its own.
            self._break("interrupted")
            raise

    async def quit(self, timeout: float) -> None:
        """Take leave, if the relay listens; close in any case."""
        try:
            if self.usable:
                self._write(b"QUIT\r\n")
                async with asyncio.timeout(timeout):
                    await self._reply(Step.CONNECT)
        except (SessionBroken, TimeoutError):
            pass
        finally:
            self._break("closed")

    def close(self) -> None:
        self._break("closed")

    async def _refused(self, step: Step, reply: Reply, *, waits_for_body: bool) -> Handover:
        verdict = verdict_of(step, reply.code)
        if waits_for_body or reply.code == 421 or not 400 <= reply.code < 600:
            # It said 354 although it refused the recipient, or it made no sense: do not argue, begin a new session.
            self._break("refused")
        else:
            self._write(b"RSET\r\n")  # RFC 5321 4.1.1.5: forget the sender that it has taken
            try:
                if (await self._reply(Step.MAIL)).code != 250:
                    self._break("RSET was refused")
            except SessionBroken:
                pass
        return Handover(verdict, reply.code, presentable(reply.text), self.usable)

    async def _body(self, envelope: Envelope) -> Handover:
        body = envelope.body
        if b"\r\n." in body or body.startswith(b"."):
            body = body.replace(b"\r\n.", b"\r\n..")
            body = b"." + body if body.startswith(b".") else body
        self._write(body + (b".\r\n" if body.endswith(b"\r\n") else b"\r\n.\r\n"))
        if not self._writable.is_set():
            try:
                async with asyncio.timeout(self._timeout):
                    await self._writable.wait()
            except TimeoutError:
                self._break("the relay stopped reading")  # perhaps after it had said why: then that counts
        reply = await self._reply(Step.BODY)
        verdict = verdict_of(Step.BODY, reply.code)
        if not (200 <= reply.code < 300 or 400 <= reply.code < 600) or reply.code == 421:
            self._break("closing")
        return Handover(verdict, reply.code, presentable(reply.text), self.usable)

    # ---- replies ----

    async def _reply(self, step: Step) -> Reply:
        """The next reply, within the time for one step however slowly it drips in; else SessionBroken."""
        began = time.perf_counter()
        if not self._reader.replies and self._broken is None:
            loop = asyncio.get_running_loop()
            self._waiter = loop.create_future()
            self._patience_ends = loop.time() + self._timeout
            if self._patience is None:
                self._patience = loop.call_later(self._timeout, self._look_at_the_clock)
            try:
                await self._waiter
            finally:
                self._waiter = None
        self._waited[step] = time.perf_counter() - began
        if self._reader.replies:
            return self._reader.replies.popleft()
        raise SessionBroken(step, self._broken or "the session broke")

    def _look_at_the_clock(self) -> None:
        """One timer goes on from reply to reply: it costs more to set one for each than to read the reply."""
        self._patience = None
        if self._waiter is None or self._broken is not None:
            return
        loop = asyncio.get_running_loop()
        if loop.time() >= self._patience_ends:
            self._break(f"no reply within {self._timeout:g} s")
        else:
            self._patience = loop.call_at(self._patience_ends, self._look_at_the_clock)

    def _write(self, data: bytes) -> None:
        if self._transport is not None and self._broken is None:
            self._transport.write(data)

    def _break(self, why: str) -> None:
        if self._broken is None:
            self._broken = why
            if self._patience is not None:
                self._patience.cancel()
            if self._transport is not None:
                # Not close(): that waits for a relay that no longer reads.
                self._transport.abort()
        self._writable.set()
        self._wake(force=True)

    def _wake(self, *, force: bool = False) -> None:
        if self._waiter is not None and not self._waiter.done() and (self._reader.replies or force):
            self._waiter.set_result(None)
