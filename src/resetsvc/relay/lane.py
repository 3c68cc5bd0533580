"""Opening a lane: connect, TLS, log-in, EHLO by aiosmtplib, then the open session to our own protocol."""

import asyncio
import socket
import ssl
from typing import cast

import aiosmtplib

from resetsvc.relay.conversation import Conversation
from resetsvc.relay.url import RelayAddress
from resetsvc.relay.verdict import Step, Verdict, verdict_of


class CannotOpen(Exception):
    """No session came about. `verdict` is RELAY_DOWN, or OUR_FAULT where the relay refuses our log-in."""

    def __init__(self, verdict: Verdict, code: int | None, reply: str) -> None:
        super().__init__(reply)
        self.verdict = verdict
        self.code = code
        self.reply = reply


async def open_lane(address: RelayAddress, *, timeout: float, tls: ssl.SSLContext) -> Conversation:
    """Return an open session, ready for its first letter, or raise CannotOpen.

    timeout -- seconds for each step; for all of them together, three times that
    """
    client = aiosmtplib.SMTP(
        hostname=address.host,
        port=address.port,
        username=address.username,
        password=address.password,
        local_hostname=own_name(),
        timeout=timeout,
        use_tls=address.tls == "implicit",
        start_tls=address.tls
        == "starttls",  # never None: that would go on in the clear where TLS is not offered
        tls_context=None if address.tls == "none" else tls,
    )
    try:
        async with asyncio.timeout(3 * timeout):
            await client.connect()
            if client.is_ehlo_or_helo_needed:
                await client.ehlo()
    except aiosmtplib.SMTPAuthenticationError as error:
        raise CannotOpen(Verdict.OUR_FAULT, error.code, f"log-in refused: {error.message[:150]}") from error
    except aiosmtplib.SMTPResponseException as error:
        verdict = verdict_of(Step.AUTH, error.code) if error.code in (530, 534, 538) else Verdict.RELAY_DOWN
        raise CannotOpen(verdict, error.code, error.message[:150]) from error
    except ssl.SSLCertVerificationError as error:
        raise CannotOpen(Verdict.RELAY_DOWN, None, f"certificate refused: {error.verify_message}") from error
    except (aiosmtplib.SMTPException, OSError, TimeoutError, ValueError) as error:
        # ValueError: a reply that is no text. OSError includes ssl.SSLError: garbage where TLS should begin.
        raise CannotOpen(Verdict.RELAY_DOWN, None, _without_address(error)) from error
    finally:
        transport = client.transport
        if transport is None or transport.is_closing():
            client.close()
    if transport is None or transport.is_closing():
        raise CannotOpen(Verdict.RELAY_DOWN, None, "the relay closed the connection after its greeting")
    conversation = Conversation(
        pipelining=client.supports_extension("pipelining"),
        utf8=client.supports_extension("smtputf8"),
        timeout=timeout,
    )
    cast(asyncio.Transport, transport).set_protocol(conversation)
    conversation.connection_made(transport)
    return conversation


def own_name() -> str:
    """What we say after EHLO: this machine's name, or a loopback literal where it has none that SMTP allows."""
    name = socket.gethostname()
    if name.isascii() and "." in name and not name.startswith("."):
        return name
    return "[127.0.0.1]"


def _without_address(error: BaseException) -> str:
    return (str(error) or type(error).__name__)[:150]
