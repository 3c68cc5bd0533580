"""One signed question over HTTP, one signed answer to it and to no other; whatever else comes back is a failure."""

import asyncio
import ssl
from collections.abc import Iterator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

from resetsvc.accounts.webhook_contract import LARGEST_ANSWER
from resetsvc.clock import Clock
from resetsvc.errors import SetupError
from resetsvc.webhooks import NotGenuine, Secrets

if TYPE_CHECKING:
    import httpx

_CONNECT_SHARE = 0.4  # of the time for an attempt, for TCP and for TLS each: two seconds of five
_MOST_CONNECTIONS = 16
_IDLE = 4.0  # seconds that a connection is kept for the next question: many servers close it after five
# 409: the same question is being answered at this moment, for an attempt that we gave up.
_TRY_AGAIN = {409, 429, 500, 502, 503, 504}
_WRONG_QUESTION = {400, 413, 422}


class EndpointFailed(Exception):
    """No usable answer. The text goes into the log, so it holds nothing of the question or the answer.

    again -- whether the same question may well be answered a little later
    """

    def __init__(self, why: str, *, again: bool = False) -> None:
        super().__init__(why)
        self.again = again


class QuestionRefused(EndpointFailed):
    """The endpoint works, and does not take this question."""


def answer_id(question_id: str) -> str:
    """Return the id that the answer to a question is signed with.

    The question's own in it, so that an answer fits one question alone; and something more, so that nobody can send a
    question of ours back to us as its answer.
    """
    return f"answer_to_{question_id}"


class Endpoint:
    """One URL. Connections are kept and used again; close it in the end."""

    def __init__(self, url: str, secrets: Secrets, clock: Clock) -> None:
        if find_spec("httpx") is None:
            raise SetupError("accounts behind a URL need an HTTP client: pip install 'resetsvc[webhook]'")
        import httpx  # a tenth of a second and 4 MB: for those who use it

        self._url = url
        self._secrets = secrets
        self._clock = clock
        # The system's certificates, as for SMTP; no proxy and no .netrc from the environment.
        self._client = httpx.AsyncClient(
            verify=ssl.create_default_context(),
            trust_env=False,
            follow_redirects=False,  # a password is sent where the settings say, and nowhere else
            timeout=None,  # noqa: S113 -- each question has its own
            limits=httpx.Limits(max_connections=_MOST_CONNECTIONS, keepalive_expiry=_IDLE),
            # Not compressed, so that its size is known and the signed bytes are those that arrive.
            headers={
                "User-Agent": "resetsvc",
                "Content-Type": "application/json",
                "Accept": "application/json",
                "Accept-Encoding": "identity",
            },
        )

    async def close(self) -> None:
        await self._client.aclose()

    async def ask(self, body: bytes, *, message_id: str, within: float) -> bytes:
        """Send a question once; return the body of its answer.

        within -- seconds, from the wait for a connection to the last byte

        Raises EndpointFailed.
        """
        headers = self._secrets.sign(message_id, body, self._clock.now())
        with _failures():
            async with asyncio.timeout(within):
                answered, answer = await self._fetch(body, headers, within)
        try:
            self._secrets.verify(answered, answer, message_id=answer_id(message_id), now=self._clock.now())
        except NotGenuine as found:
            raise EndpointFailed(f"an answer that is not genuine: {found}") from None
        return answer

    async def status_of(self, body: bytes, headers: Mapping[str, str], *, within: float) -> int:
        """Send what somebody else might send, and return the status of the answer alone: is it refused?"""
        with _failures():
            async with (
                asyncio.timeout(within),
                self._post(body, headers, within) as response,
            ):
                return response.status_code
        raise AssertionError("either there is a status or a failure")

    async def _fetch(
        self, body: bytes, headers: Mapping[str, str], within: float
    ) -> "tuple[httpx.Headers, bytes]":
        async with self._post(body, headers, within) as response:
            _look_at(response.status_code)
            answer = bytearray()
            async for octets in response.aiter_raw():
                answer += octets
                if len(answer) > LARGEST_ANSWER:
                    raise EndpointFailed("an answer that is too large")
            return response.headers, bytes(answer)

    def _post(
        self, body: bytes, headers: Mapping[str, str], within: float
    ) -> "AbstractAsyncContextManager[httpx.Response]":
        import httpx

        # Both end before the whole does: a handshake that is cancelled from outside leaves its socket open until it is
        # collected (httpcore 1.0 on Python 3.11).
        timeout = httpx.Timeout(None, connect=_CONNECT_SHARE * within)
        return self._client.stream("POST", self._url, content=body, headers=headers, timeout=timeout)


@contextmanager
def _failures() -> Iterator[None]:
    """Make EndpointFailed of whatever keeps an answer away."""
    import httpx

    try:
        yield
    except TimeoutError:
        raise EndpointFailed("no answer in time", again=True) from None
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        # Its text may name what was asked for.
        raise EndpointFailed(type(error).__name__, again=True) from None


def _look_at(status: int) -> None:
    if status == 200:
        return
    if status in _WRONG_QUESTION:
        raise QuestionRefused(f"answered {status}")
    raise EndpointFailed(f"answered {status}", again=status in _TRY_AGAIN)
