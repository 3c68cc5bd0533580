"""Accounts behind the application's own HTTP endpoint: whoever does not share a database answers three questions.

What is asked and answered is in `webhook_contract`; how it is signed in `resetsvc.webhooks`.
"""

import asyncio
import hashlib
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import count
from typing import TypeVar

import structlog
from pydantic import BaseModel, ValidationError

from resetsvc.accounts import Account
from resetsvc.accounts.breaker import Breaker, Resting
from resetsvc.accounts.webhook_contract import (
    LONGEST_PASSWORD,
    MOST_ADDRESSES,
    Find,
    FindAnswer,
    Found,
    Get,
    GetAnswer,
    OnRecord,
    SwapAnswer,
    SwapToHash,
    SwapToPassword,
)
from resetsvc.accounts.webhook_endpoint import Endpoint, EndpointFailed, QuestionRefused
from resetsvc.clock import Clock
from resetsvc.errors import CannotStore, PasswordRefused, Reason
from resetsvc.store.connection import Connection
from resetsvc.webhooks import Secrets

log = structlog.stdlib.get_logger("resetsvc.accounts.webhook")

FAILED = "accounts endpoint failed"  # the event of every failure; `why` says more
TIMEOUT = 5.0  # seconds for one attempt, unless set otherwise
ATTEMPTS = 3
# Seconds for a question with all its attempts. Letters that cannot be looked up are taken again a little later, and a
# dispatcher that waits for longer than 3.5 seconds counts as standing still. A swap ends within ten, whatever happens.
FIND_WITHIN = 2.5
GET_WITHIN = 5.0
SWAP_WITHIN = 9.0
# Of parts of a question, and not one was answered: an odd address in each sixteenth of them is not to be believed.
_MOST_REFUSALS = 31
_PAUSE = 0.2  # seconds before the second attempt; twice as long before each further one

Answer = TypeVar("Answer", bound=BaseModel)
Seal = Callable[[str], Awaitable[str]]


class WebhookAccounts:
    """Meets the contract `resetsvc.accounts.Accounts` by asking one endpoint. Close it in the end."""

    elsewhere = True

    def __init__(
        self,
        url: str,
        secrets: Sequence[str],
        clock: Clock,
        *,
        timeout: float = TIMEOUT,
        seal: Seal | None = None,
    ) -> None:
        """Take plain values.

        url     -- of the endpoint; checked by `WebhookMapping`
        secrets -- `whsec_…`; several while one takes another's place
        timeout -- seconds for one attempt
        seal    -- makes the hash that the endpoint wants; None: it is sent the password and hashes that itself
        """
        self._endpoint = Endpoint(url, Secrets(secrets), clock)
        self._clock = clock
        self._timeout = timeout
        self._seal = seal
        self._breaker = Breaker(clock)

    async def close(self) -> None:
        await self._endpoint.close()

    async def find(self, addresses: Sequence[str]) -> Mapping[str, Account]:
        until = self._clock.monotonic() + FIND_WITHIN
        found: dict[str, Account] = {}
        for begin in range(0, len(addresses), MOST_ADDRESSES):
            found |= await self._find(list(addresses[begin : begin + MOST_ADDRESSES]), until)
        return found

    async def get(self, account_id: str) -> Account | None:
        there = await self._get(account_id, self._clock.monotonic() + GET_WITHIN)
        return None if there is None else _account(there)

    async def seal(self, password: str) -> str:
        if self._seal is not None:
            return await self._seal(password)
        # The policy counts after NFC, which makes one character of several.
        if len(password) > LONGEST_PASSWORD:
            raise PasswordRefused([Reason("too_long", LONGEST_PASSWORD)])
        return password

    def credential_after(self, account: Account, sealed: str) -> None:
        """The version that the application will give it is the application's to choose."""

    async def swap(self, unit: Connection | None, account: Account, sealed: str) -> bool:
        until = self._clock.monotonic() + SWAP_WITHIN
        # Only a fingerprint of the version is ever kept here, so it is asked for once more. What changes between this
        # question and the next one is seen there: the endpoint compares the version itself.
        there = await self._get(account.id, until)
        if there is None or not there.active or _account(there).credential != account.credential:
            return False
        question: SwapToPassword | SwapToHash
        if self._seal is None:
            question = SwapToPassword(id=there.id, version=there.version, password=sealed)
        else:
            question = SwapToHash(id=there.id, version=there.version, password_hash=sealed)
        answer = await self._ask(question, question.type, SwapAnswer, until, one_message=True)
        return answer.swapped

    # ---- questions ----

    async def _find(self, addresses: list[str], until: float) -> dict[str, Account]:
        """Find some; without those that the endpoint cannot even be asked about, as long as it answers for others.

        One odd address makes many a framework refuse all of the question. Whoever typed it must not hold up the mails
        of all who happened to ask at the same time.
        """
        found: list[Found] = []
        answered, refusals, refused = False, 0, 0
        # The larger parts first: however many odd addresses there are, a part without any is soon met.
        waiting = deque([addresses])
        while waiting:
            some = waiting.popleft()
            try:
                found += await self._find_some(some, until)
                answered = True
            except _Unanswered as failed:
                refusals += 1
                one = len(some) == 1
                # Perhaps nothing at all is taken, by an endpoint that is wrong: then nobody is told that there is no
                # account, and it is not asked about each address.
                hopeless = not answered and (refusals == _MOST_REFUSALS or (one and not waiting))
                if hopeless or not isinstance(failed.why, QuestionRefused):
                    raise
                refused += one
                half = len(some) // 2
                waiting += [some[:half], some[half:]] if half else []
        if refused:
            log.warning("the accounts endpoint refuses addresses, which get no mail", addresses=refused)
        return _by_address(found)

    async def _find_some(self, addresses: list[str], until: float) -> list[Found]:
        def fits(answer: FindAnswer) -> bool:
            return {one.asked for one in answer.accounts} <= set(addresses)

        question = Find(addresses=addresses)
        return (await self._ask(question, question.type, FindAnswer, until, fits=fits)).accounts

    async def _get(self, account_id: str, until: float) -> OnRecord | None:
        def fits(answer: GetAnswer) -> bool:
            return answer.account is None or answer.account.id == account_id

        question = Get(id=account_id)
        return (await self._ask(question, question.type, GetAnswer, until, fits=fits)).account

    # ---- attempts ----

    async def _ask(
        self,
        question: BaseModel,
        call: str,
        answer: type[Answer],
        until: float,
        *,
        fits: Callable[[Answer], bool] = lambda _: True,
        one_message: bool = False,
    ) -> Answer:
        """Ask, again where that may help, and return the answer; CannotStore if there is none in time.

        one_message -- all attempts have one id, by which the endpoint knows that it has done this already. Otherwise each
                       has its own, and an endpoint refuses one that it has seen: somebody repeats what he overheard
        fits        -- whether this answer can be one to this question
        """
        body = question.model_dump_json().encode()
        message_id = self._clock.new_id()
        for attempt in count(1):
            within = max(min(self._timeout, until - self._clock.monotonic()), 0.0)
            was_down = self._breaker.open
            try:
                with self._breaker.attempt(QuestionRefused):
                    raw = await self._endpoint.ask(body, message_id=message_id, within=within)
                    read = read_answer(raw, answer, fits)
                if was_down:
                    log.info("accounts endpoint works again")
                return read
            except Resting:
                # Told when it began: not for each question.
                resting = EndpointFailed("left alone after failures in a row")
                raise _Unanswered(resting) from resting
            except EndpointFailed as failed:
                self._tell(call, failed, attempt)
                pause = _PAUSE * 2 ** (attempt - 1) * (0.5 + self._clock.chance())
                late = self._clock.monotonic() + pause >= until
                if not failed.again or attempt == ATTEMPTS or late or self._breaker.open:
                    raise _Unanswered(failed) from failed
            await asyncio.sleep(pause)
            if not one_message:
                message_id = self._clock.new_id()
        raise AssertionError("counting has no end")

    def _tell(self, call: str, failed: EndpointFailed, attempt: int) -> None:
        log.warning(FAILED, call=call, why=str(failed), attempt=attempt)
        if self._breaker.open:
            log.error("accounts endpoint is left alone for some seconds")


class _Unanswered(CannotStore):
    """The application that keeps the accounts gave no usable answer. Try again shortly."""

    def __init__(self, why: EndpointFailed) -> None:
        super().__init__()
        self.why = why


def read_answer(raw: bytes, answer: type[Answer], fits: Callable[[Answer], bool] = lambda _: True) -> Answer:
    """Return what a body holds; EndpointFailed if that is of another form, or no answer to this question."""
    try:
        read = answer.model_validate_json(raw)
    except ValidationError as error:
        # Names of our own fields and numbers; never a value.
        where = ".".join(str(step) for step in error.errors(include_input=False)[0]["loc"])
        raise EndpointFailed(f"a malformed answer, at {where or 'its beginning'}") from None
    if not fits(read):
        raise EndpointFailed("an answer about accounts that were not asked for")
    return read


def _by_address(found: Sequence[Found]) -> dict[str, Account]:
    """By the address that was asked for. Who of two the mail is for cannot be known: neither gets one."""
    times = Counter(one.asked for one in found)
    if several := sum(number > 1 for number in times.values()):
        log.warning("addresses with several accounts get no mail", addresses=several)
    return {one.asked: _account(one) for one in found if times[one.asked] == 1}


def _account(there: OnRecord) -> Account:
    # A fingerprint: it is kept with every letter, and an application may well say more by its version than it should.
    credential = hashlib.sha256(f"{there.address}\0{there.version}".encode()).hexdigest()[:32]
    return Account(there.id, there.address, there.active, credential, there.locale)
