"""What a stranger who spends somebody's mails does to them: nothing, unless links end before the budget refills."""

from resetsvc.testing import HandClock
from tests.flow.conftest import ANN, OLD_PASSWORD, Running, Start

HOUR = 3600


class Hour:
    """An hour that a stranger begins by asking three times, a second apart."""

    def __init__(self, running: Running, hand: HandClock) -> None:
        self.running = running
        self.hand = hand
        self.asked = 0
        self.second = 0

    async def begin(self) -> None:
        for number in range(1, 4):
            await self.ask()
            assert len(self.running.mailbox.mails) == number
            self.go_to(self.second + 1)

    def go_to(self, second: int) -> None:
        self.hand.advance(second - self.second)
        self.second = second

    async def ask(self) -> None:
        await self.running.ask()
        self.asked += 1
        await self.running.letters_finished(self.asked)

    async def a_link_works(self) -> bool:
        """Whether she has one, if she asks for one now."""
        await self.ask()
        links = [mail.link_path for mail in self.running.mailbox.mails]
        return 200 in [(await self.running.client.get(link)).status_code for link in links]


async def the_hour(start: Start, token_ttl: int) -> Hour:
    hand = HandClock()
    running = await start(clock=hand.clock, token_ttl=token_ttl, limit_per_client="")
    await running.accounts.add(ANN, OLD_PASSWORD)
    hour = Hour(running, hand)
    await hour.begin()
    return hour


async def test_a_stranger_can_keep_no_owner_without_a_link(start: Start) -> None:
    """At the defaults: a link works for thirty minutes, and a budget that is spent still gives one in twenty."""
    hour = await the_hour(start, token_ttl=1800)
    for second in range(300, 3 * HOUR, 300):
        hour.go_to(second)
        assert await hour.a_link_works()
    assert len(hour.running.mailbox.mails) == 3 + 3 * 3 - 1  # those at once, and one each twenty minutes


async def test_links_that_end_before_the_budget_refills_leave_a_gap(start: Start) -> None:
    """Which is what `resetsvc check` warns of."""
    hour = await the_hour(start, token_ttl=600)
    hour.go_to(599)
    assert await hour.a_link_works()
    for second in (603, 1000, 1199):
        hour.go_to(second)
        assert not await hour.a_link_works()
    hour.go_to(1203)
    assert await hour.a_link_works()
