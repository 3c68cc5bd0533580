"""What the tests of this folder begin with: a relay in their own loop, where a step has to be held and let go."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from tests.faults.ledgers import SMTP
from tests.support.relay_command import order_in_words
from tests.support.relay_on_order import RelayOnOrder


class RelayHere:
    """The relay on order as the machine wants it. `house` is the relay itself."""

    def __init__(self, house: RelayOnOrder) -> None:
        self.house = house
        self.port = house.port

    async def start(self, *faults: str) -> None:
        for words in faults:
            await self.order(words)

    async def order(self, words: str) -> None:
        if words == "clear":
            self.house.clear()
        else:
            order_in_words(self.house, words)

    async def away(self) -> None:
        """It ends with its fixture: what stops now may still want to take leave of it."""


@pytest_asyncio.fixture
async def relay_here(tmp_path: Path) -> AsyncIterator[RelayHere]:
    async with RelayOnOrder(ledger=tmp_path / SMTP) as house:
        yield RelayHere(house)
