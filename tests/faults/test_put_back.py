"""A letter that was given up is put back by hand: it arrives, and its whole story can be read."""

import json
from pathlib import Path

from resetsvc.relay.verdict import Verdict
from tests.cli.processes import environment, run
from tests.faults.test_clock import DEADLINE, WallClock, serving


async def test_a_letter_that_expired_and_was_put_back_is_delivered_and_its_story_holds_every_attempt(
    tmp_path: Path,
) -> None:
    wall = WallClock()
    env = environment(tmp_path, delivery_deadline=str(int(2 * DEADLINE)))  # the command goes by the real time
    async with serving(tmp_path, wall) as house:
        house.mailbox.orders.extend([Verdict.RETRY, Verdict.RETRY])
        await house.running.ask()
        await house.until(lambda rows: rows[0]["attempts"] == 1)
        wall.passed += 20
        await house.until(lambda rows: rows[0]["attempts"] == 2)
        wall.passed += DEADLINE
        (letter,) = await house.until(lambda rows: rows[0]["finished_at"] is not None)
        assert letter["state"] == "expired"
        put_back = await run("letters", "retry", letter["id"], env=env, cwd=tmp_path)
        assert (put_back.code, put_back.out) == (0, "1 put back.\n")
        house.running.wake()
        await house.mailbox.next_mail()
        await house.until(lambda rows: rows[0]["state"] == "sent")
    shown = await run("letters", "show", letter["id"][:16], "--json", env=env, cwd=tmp_path)
    story = json.loads(shown.out)
    assert story["state"] == "sent"
    made = [
        (attempt["verdict"], attempt["code"], attempt["relay"], attempt["reply"])
        for attempt in story["attempts_made"]
    ]
    assert made == [
        ("retry", 451, "mailbox", "as it was told"),
        ("retry", 451, "mailbox", "as it was told"),
        ("sent", 250, "mailbox", "caught"),
    ]
    assert all(attempt["at"] for attempt in story["attempts_made"])
