"""What a stranger who spends somebody's mails of the hour does to them: how long, in figures that the docs tell."""

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


async def test_the_defaults_leave_no_link_in_the_second_half_of_the_hour(start: Start) -> None:
    """Those who are asked for by a stranger have links for thirty minutes, and then none until the budget refills."""
    hour = await the_hour(start, token_ttl=1800)
    hour.go_to(1799)
    assert await hour.a_link_works()
    for second in (1803, 2700, HOUR - 1):
        hour.go_to(second)
        assert not await hour.a_link_works()
    hour.go_to(HOUR + 1)
    assert await hour.a_link_works()


async def test_links_that_live_as_long_as_the_budgets_time_leave_no_gap(start: Start) -> None:
    hour = await the_hour(start, token_ttl=HOUR)
    for second in (1803, 2700, HOUR - 1, HOUR + 1, HOUR + 2, HOUR + 3):
        hour.go_to(second)
        assert await hour.a_link_works()
