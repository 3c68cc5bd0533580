"""Whether a password is known from a breach: asked of a service in the manner of Have I Been Pwned, by five letters.

Only the first five hexadecimal digits of the SHA-1 leave the process; the service answers with the ends of all hashes
that begin so, and the comparison is made here (k-anonymity). A service that fails keeps nobody from a new password:
it is one check of several, so it fails open, and says so in the log.
"""

import asyncio
import hashlib
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Protocol

import structlog

from resetsvc.errors import SetupError
from resetsvc.passwords.policy import normalise

if TYPE_CHECKING:
    import httpx

log = structlog.stdlib.get_logger("resetsvc.passwords.breach")

PATIENCE = 1.0  # seconds, from the look-up of the name to the last octet: a person waits for it
CONNECT_WITHIN = 0.4  # seconds of these, for TCP and for TLS each
_PREFIX = 5  # hexadecimal digits
# A thousand lines are usual, of at most fifty octets. What is much longer is no such answer.
_LARGEST_ANSWER = 256 * 1024
_MOST_CONNECTIONS = 16
_LINE = re.compile(rb"([0-9A-F]{35}):([0-9]{1,12})", re.IGNORECASE)


class Breached(Protocol):
    """Whether a password is known from a breach. Never raises: False if that cannot be found out."""

    async def __call__(self, password: str) -> bool: ...


class _Failed(Exception):
    """No usable answer; the text goes into the log, so it holds nothing of the question."""


async def nobody_asked(password: str) -> bool:
    """Stands in where no service is set."""
    return False


@asynccontextmanager
async def open_breach_check(url: str | None) -> AsyncIterator[Breached]:
    """Give the check for as long as the service runs.

    url -- where the five digits are appended after a slash; None: nobody is asked
    """
    if url is None:
        yield nobody_asked
        return
    if find_spec("httpx") is None:
        raise SetupError("RESETSVC_BREACH_URL needs an HTTP client: pip install 'resetsvc[breach]'")
    import httpx  # a tenth of a second and 4 MB: for those who use it

    # The system's certificates, as for SMTP; no proxy and no .netrc from the environment.
    client = httpx.AsyncClient(
        verify=ssl.create_default_context(),
        trust_env=False,
        follow_redirects=False,  # another place might not be one to ask, nor one with https
        # `PATIENCE` is for all of it. Connecting has a bound of httpx's own: its sockets are left open where a handshake is
        # cancelled from outside.
        timeout=httpx.Timeout(None, connect=CONNECT_WITHIN),
        limits=httpx.Limits(max_connections=_MOST_CONNECTIONS),
        # Padded, so that the length of an answer does not tell the digits; not compressed, so that its size is known.
        headers={
            "Add-Padding": "true",
            "User-Agent": "resetsvc",
            "Accept": "text/plain",
            "Accept-Encoding": "identity",
        },
    )
    async with client:
        yield BreachCheck(client, url)


class BreachCheck:
    """Asks one service."""

    def __init__(self, client: "httpx.AsyncClient", url: str) -> None:
        self._client = client
        self._url = url.rstrip("/")

    async def __call__(self, password: str) -> bool:
        # SHA-1 is the protocol's; of what would be hashed, so after NFC.
        digest = hashlib.sha1(normalise(password).encode(), usedforsecurity=False).hexdigest().upper()
        prefix, suffix = digest[:_PREFIX], digest[_PREFIX:].encode()
        try:
            async with asyncio.timeout(PATIENCE):
                answer = await self._fetch(prefix)
            return _holds(answer, suffix)
        except TimeoutError:
            _tell("no answer in time")
        except _Failed as failed:
            _tell(str(failed))
        return False

    async def _fetch(self, prefix: str) -> bytes:
        """Return the answer's body; _Failed if it is none."""
        import httpx

        try:
            async with self._client.stream("GET", f"{self._url}/{prefix}") as response:
                if response.status_code != 200:
                    raise _Failed(f"answered {response.status_code}")
                body = bytearray()
                async for octets in response.aiter_raw():
                    body += octets
                    if len(body) > _LARGEST_ANSWER:
                        raise _Failed("an answer without end")
                return bytes(body)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            # Its text may name the address that was asked for, with the digits in it.
            raise _Failed(type(error).__name__) from None


def _holds(answer: bytes, suffix: bytes) -> bool:
    """Whether the end of our hash is among the lines. Lines with a count of 0 are padding.

    _Failed unless every line is of the protocol: the page of a captive portal is not "never breached".
    """
    found = False
    for line in answer.splitlines():
        if not line.strip():
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None:
            raise _Failed("an answer in another form")
        found = found or (match[1].upper() == suffix and int(match[2]) > 0)
    return found


def _tell(why: str) -> None:
    log.warning("breach check failed, and the password was let through", why=why)
