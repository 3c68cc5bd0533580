"""The orders that are in force, and which of them apply to a step now: the oldest that fits wins, waits add up."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.support.bell import Bell
from tests.support.faults import ANSWERED, WITH_RECIPIENTS, Delay, Fault, Rate, Step


class Order:
    """A fault in force. Tests wait for it with `reached()`, end it with `withdraw()`, open its gate with `release()`."""

    def __init__(
        self, book: "OrderBook", fault: Fault, times: int | None, only_for: Callable[[str], bool] | None
    ) -> None:
        if only_for is not None and fault.step is not None and fault.step not in WITH_RECIPIENTS:
            raise ValueError(f"no recipient is known at {fault.step}")
        self.fault = fault
        self.times_left = times
        self.only_for = only_for
        self.struck = 0
        self.released: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._book = book
        self._next_slot = 0.0

    async def reached(self, times: int = 1, *, within: float = 30.0) -> None:
        """Returns when the fault has struck so often. A held step has then come to its gate; other faults have happened."""
        async with asyncio.timeout(within):
            await self._book.bell.until(lambda: self.struck >= times)

    def release(self) -> None:
        """Lets all steps that hang or are held by this order go on, and ends the order."""
        self.withdraw()
        if not self.released.done():
            self.released.set_result(None)

    def withdraw(self) -> None:
        """No new strikes; what has been struck stays so."""
        self._book.remove(self)

    def strike(self) -> None:
        self.struck += 1
        self._book.bell.ring()

    def applies_to(self, step: Step, recipients: Sequence[str]) -> bool:
        if step != self.fault.step and not (self.fault.step is None and step in ANSWERED):
            return False
        return self.only_for is None or any(map(self.only_for, recipients))

    def pause(self) -> float:
        """Seconds to wait now; a rate gives each caller the next free slot."""
        match self.fault.act:
            case Delay(seconds):
                return seconds
            case Rate(per_second):
                now = time.monotonic()
                slot = max(now, self._next_slot)
                self._next_slot = slot + 1 / per_second
                return slot - now
            case _:
                return 0.0


@dataclass(frozen=True, slots=True)
class Taken:
    """What a step has to suffer: first the waits, then one act in place of (or around) the answer."""

    waits: tuple[Order, ...] = ()
    act: Order | None = None


_NOTHING = Taken()


class OrderBook:
    """`changed` is called when orders come or go: some take effect before there is a step that could ask."""

    def __init__(self, bell: Bell, changed: Callable[[], None]) -> None:
        self.bell = bell
        self.orders: list[Order] = []
        self._changed = changed

    def add(self, fault: Fault, times: int | None, only_for: Callable[[str], bool] | None) -> Order:
        order = Order(self, fault, times, only_for)
        self.orders.append(order)
        if fault.step == "CONNECT":
            self._changed()
        return order

    def remove(self, order: Order) -> None:
        if order in self.orders:
            self.orders.remove(order)
            if order.fault.step == "CONNECT":
                self._changed()

    def clear(self) -> None:
        for order in list(self.orders):
            self.remove(order)

    def take(self, step: Step, recipients: Sequence[str]) -> Taken:
        if not self.orders:
            return _NOTHING
        fitting = [order for order in self.orders if order.applies_to(step, recipients)]
        waits = tuple(order for order in fitting if isinstance(order.fault.act, Delay | Rate))
        act = next((order for order in fitting if order not in waits), None)
        for order in (*waits, act) if act else waits:
            self._use_up(order)
        return Taken(waits, act)

    def _use_up(self, order: Order) -> None:
        if order.times_left is not None:
            order.times_left -= 1
            if order.times_left == 0:
                self.remove(order)
