"""Opening a lane: connect, TLS, log-in, EHLO by aiosmtplib, then the open session to our own protocol."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Any, cast

import aiosmtplib

from resetsvc.relay.conversation import Conversation
from resetsvc.relay.url import RelayAddress
from resetsvc.relay.verdict import Verdict, presentable


class CannotOpen(Exception):
    """No session came about. `verdict` is RELAY_DOWN, or OUR_FAULT where the relay refuses our log-in."""

    def __init__(self, verdict: Verdict, code: int | None, reply: str) -> None:
        super().__init__(reply)
        self.verdict = verdict
        self.code = code
        self.reply = reply


async def open_lane(
    address: RelayAddress,
    *,
    timeout: float,
    tls: ssl.SSLContext,
    heard: Callable[[], None] = lambda: None,
) -> Conversation:
    """Return an open session, ready for its first letter, or raise CannotOpen; then the connection is closed.

    timeout -- seconds for each step (connecting, a command, TLS); for all of them together, three times that
    heard   -- called for what the relay says on the way: it is there, however slow
    """

    def before_command() -> None:  # and so after the answer to the one before, or the greeting
        limit.reschedule(asyncio.get_running_loop().time() + timeout)
        heard()

    client = _Client(
        hostname=address.host,
        port=address.port,
        username=address.username,
        password=address.password,
        local_hostname=own_name(),
        # Its own time limits rest on asyncio.wait_for, which on Python 3.11 can swallow a cancellation.
        timeout=None,
        use_tls=address.tls == "implicit",
        # Never None: that would go on in the clear where TLS is not offered.
        start_tls=address.tls == "starttls",
        tls_context=None if address.tls == "none" else tls,
    )
    try:
        async with asyncio.timeout(3 * timeout), asyncio.timeout(timeout) as limit:
            client.before_command = before_command
            await client.connect()
            if client.is_ehlo_or_helo_needed:
                await client.ehlo()
    except TimeoutError as error:
        client.close()
        raise CannotOpen(Verdict.RELAY_DOWN, None, f"no reply within {timeout:g} s") from error
    except Exception as error:
        # Any error at all: a probe that died of a rare one would leave its relay down for ever.
        client.close()
        raise _cannot_open(error) from error
    except BaseException:
        client.close()
        raise
    transport = client.transport
    if transport is None or transport.is_closing():
        client.close()
        raise CannotOpen(Verdict.RELAY_DOWN, None, "the relay closed the connection after its greeting")
    conversation = Conversation(
        pipelining=client.supports_extension("pipelining"),
        utf8=client.supports_extension("smtputf8"),
        timeout=timeout,
    )
    cast(asyncio.Transport, transport).set_protocol(conversation)
    conversation.connection_made(transport)
    return conversation


class _Client(aiosmtplib.SMTP):
    before_command: Callable[[], None]

    async def execute_command(self, *args: bytes, timeout: Any = None) -> aiosmtplib.SMTPResponse:
        self.before_command()
        return await super().execute_command(*args)

    def close(self) -> None:
        """Close at once: a transport that ends TLS in good form keeps the connection half a minute if the relay hangs."""
        if self.transport is not None:
            cast(asyncio.Transport, self.transport).abort()
        super().close()

    async def login(
        self, username: str | bytes, password: str | bytes, /, timeout: object = None
    ) -> aiosmtplib.SMTPResponse:
        """Log in by the first method that works; raise what the relay said first.

        Relays close after a refusal: aiosmtplib's own loop then reports a lost connection, and a wrong password
        would be tried again every few seconds until the relay locks us out.
        """
        await self._ehlo_or_helo_if_needed()
        methods = {"cram-md5": self.auth_crammd5, "plain": self.auth_plain, "login": self.auth_login}
        refusal: aiosmtplib.SMTPException | None = None
        for name in self.supported_auth_methods:
            try:
                return await methods[name](username, password)
            except aiosmtplib.SMTPAuthenticationError as error:
                refusal = refusal or error
            except aiosmtplib.SMTPException as error:
                raise refusal or error from None
        raise refusal or aiosmtplib.SMTPException("the relay offers no log-in that we know")


def own_name() -> str:
    """What we say after EHLO: this machine's name, or a loopback literal where it has none that SMTP allows."""
    name = socket.gethostname()
    if name.isascii() and "." in name and not name.startswith("."):
        return name
    return "[127.0.0.1]"


def _cannot_open(error: Exception) -> CannotOpen:
    if isinstance(error, aiosmtplib.SMTPResponseException):
        code = error.code if 200 <= error.code < 600 else None  # aiosmtplib has -1 for what is no reply
        at_log_in = isinstance(error, aiosmtplib.SMTPAuthenticationError)
        # 454 at log-in is about the relay, 5yz about us; 530, 534 and 538 say "log in otherwise" at any step (RFC 4954).
        ours = code is not None and code >= 500 and (at_log_in or code in (530, 534, 538))
        words = presentable(("log-in refused: " if at_log_in else "") + error.message)
        return CannotOpen(Verdict.OUR_FAULT if ours else Verdict.RELAY_DOWN, code, words)
    cause = error.__cause__ if isinstance(error, aiosmtplib.SMTPConnectError) else error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return CannotOpen(
            Verdict.RELAY_DOWN, None, presentable(f"certificate refused: {cause.verify_message}")
        )
    return CannotOpen(Verdict.RELAY_DOWN, None, presentable(str(error)) or type(error).__name__)
