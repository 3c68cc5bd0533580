"""`accounts conform` where accounts are behind an endpoint: does it keep its promises about a swap? Tried on one account."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from pydantic import BaseModel

from resetsvc.accounts.webhook import Seal, read_answer
from resetsvc.accounts.webhook_contract import (
    Find,
    FindAnswer,
    Get,
    GetAnswer,
    OnRecord,
    SwapAnswer,
    SwapToHash,
    SwapToPassword,
)
from resetsvc.accounts.webhook_endpoint import Endpoint, EndpointFailed
from resetsvc.accounts.webhook_mapping import WebhookMapping
from resetsvc.clock import Clock
from resetsvc.errors import ResetError
from resetsvc.passwords.hashing import Hasher
from resetsvc.webhooks import Secrets

Say = Callable[[str], None]
Answer = TypeVar("Answer", bound=BaseModel)


class PromiseBroken(ResetError):
    """What the endpoint does not do as it should, and at which step. No secret and no address is in it."""


class EndpointTrial:
    """One account, once through. `say` is called with a line for each step that went well."""

    def __init__(
        self, endpoint: Endpoint, clock: Clock, say: Say, *, timeout: float, seal: Seal | None
    ) -> None:
        self._endpoint = endpoint
        self._clock = clock
        self._say = say
        self._timeout = timeout
        self._seal = seal
        self._step = "account"
        self._perhaps_changed = False

    @classmethod
    def of(cls, described: WebhookMapping, hasher: Hasher, clock: Clock, say: Say) -> "EndpointTrial":
        endpoint = Endpoint(described.url, Secrets(described.secrets), clock)
        return cls(endpoint, clock, say, timeout=described.timeout, seal=described.seal_by(hasher.hash_as))

    async def close(self) -> None:
        await self._endpoint.close()

    async def run(self, email: str, password: str) -> None:
        """Raises PromiseBroken. Whatever it says, and whoever stops this, `password` is in force afterwards."""
        before = await self._account(email)
        self._say("account: found by its address and by its id, and mail would go to it")
        new_password = self._clock.new_id()
        changed = asyncio.ensure_future(self._change(before, new_password))
        try:
            await asyncio.shield(changed)
        finally:
            # It may be under way still, if this was stopped: then whether there is anything to put back is not told yet.
            await asyncio.wait([changed])
            _ = changed.exception()  # told already, unless this was stopped
            await self._put_back(before, password)

    async def _change(self, before: OnRecord, new_password: str) -> None:
        self._step = "swap"
        question, message_id = await self._question(before, new_password), self._clock.new_id()
        self._perhaps_changed = True
        if not await self._swap(question, message_id):
            self._perhaps_changed = False
            raise PromiseBroken("swap: refused, though the version is that of the account")
        after = await self._get(before.id)
        if after.version == before.version:
            raise PromiseBroken(
                "swap: done, they say, and the version is as before: links would not die with it"
            )
        self._say("swap: done, and the version is another one")

        self._step = "the same again"
        if not await self._swap(question, message_id):
            raise PromiseBroken(
                "the same again: another answer than the first time; an answer that was lost would look like a refusal"
            )
        if (await self._get(before.id)).version != after.version:
            raise PromiseBroken("the same again: it was done a second time")
        self._say("the same again: the same answer, and nothing is done twice")

        self._step = "an old version"
        if await self._swap(question):
            raise PromiseBroken("an old version: the endpoint swaps, though the version has changed since")
        self._say("an old version: nothing is changed")

    async def _put_back(self, before: OnRecord, password: str) -> None:
        if not self._perhaps_changed:
            return
        self._step = "old password: NOT put back"
        now = await self._get(before.id)
        if not await self._swap(await self._question(now, password)):
            raise PromiseBroken("old password: NOT put back, as the account was changed meanwhile")
        self._say("old password: back in force")

    async def _account(self, email: str) -> OnRecord:
        found = (await self._ask(Find(addresses=[email]), FindAnswer)).accounts
        if len(found) != 1:
            raise PromiseBroken(f"account: {'several have' if found else 'nobody has'} this address")
        (account,) = found
        if not account.active:
            raise PromiseBroken("account: it is not active, so no mail would go to it")
        there = await self._get(account.id)
        if there.model_dump() != account.model_dump(exclude={"asked"}):
            raise PromiseBroken("account: by its id it is another one than by its address")
        return there

    async def _get(self, account_id: str) -> OnRecord:
        there = (await self._ask(Get(id=account_id), GetAnswer)).account
        if there is None:
            raise PromiseBroken(f"{self._step}: there is no account of the id that was told before")
        return there

    async def _question(self, account: OnRecord, password: str) -> BaseModel:
        if self._seal is None:
            return SwapToPassword(id=account.id, version=account.version, password=password)
        return SwapToHash(id=account.id, version=account.version, password_hash=await self._seal(password))

    async def _swap(self, question: BaseModel, message_id: str | None = None) -> bool:
        return (await self._ask(question, SwapAnswer, message_id)).swapped

    async def _ask(self, question: BaseModel, answer: type[Answer], message_id: str | None = None) -> Answer:
        body = question.model_dump_json().encode()
        try:
            raw = await self._endpoint.ask(
                body, message_id=message_id or self._clock.new_id(), within=self._timeout
            )
            return read_answer(raw, answer)
        except EndpointFailed as failed:
            raise PromiseBroken(f"{self._step}: {failed}") from None
