"""`letters list`, `show`, `retry`: for a person and for a program."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace

import pytest

from resetsvc.clock import Clock
from resetsvc.letters import Kind, NewLetter
from resetsvc.store import admissions as admission_sql
from resetsvc.store import kept_letters as kept
from resetsvc.store import letters as sql
from resetsvc.store import links
from resetsvc.store.connection import Connection, Row
from resetsvc.store.database import Store
from resetsvc.store.settled_letters import settle_letters
from tests.cli.conftest import Command
from tests.cli.processes import one_line

ASKED = 1_790_000_000.0  # 2026-09-21T14:13:20Z

SENT, FAILED, EXPIRED, QUEUED = (digit * 32 for digit in "a1f0")
NOTICE, TWIN = "1" * 31 + "2", "f" * 31 + "0"


def new(letter_id: str, kind: Kind = Kind.RESET, deadline_at: float = 9e9) -> NewLetter:
    return NewLetter(
        letter_id, kind, "ann.person@example.com", "de", "198.51.100.77", f"m{letter_id}", ASKED, deadline_at
    )


async def fill(store: Store) -> None:
    """Letters as they are left after a day: sent, failed, expired; and one that waits, with a bell in its address."""

    async def work(unit: Connection) -> None:
        wanted = [
            new(SENT),
            new(FAILED),
            new(NOTICE, Kind.NOTICE),
            new(EXPIRED, deadline_at=ASKED + 2),
            new(TWIN, deadline_at=ASKED + 2),
        ]
        await sql.insert_letters(unit, wanted)
        await sql.expire_letters(unit, ASKED + 3)
        claimed = await sql.claim_due_letters(
            unit, fresh=True, owner="me", now=ASKED + 5, lease_until=ASKED + 9, limit=9
        )
        assert {letter.id for letter in claimed} == {SENT, FAILED, NOTICE}
        await admission_sql.admit_letters(unit, [(SENT, "7", "c"), (FAILED, "7", "c")], now=ASKED + 5)
        await sql.mark_sent(unit, [(SENT, ASKED + 6, "mx.example:25", "250 2.0.0 queued as 4711")])
        await links.mark_link_used(unit, SENT, ASKED + 7)
        refusal = ("mx.example:25", "failed", 550, "no such user\x1b[2J\x07here")
        await sql.insert_attempts(unit, [(FAILED, ASKED + 6, *refusal), (NOTICE, ASKED + 6, *refusal)])
        await sql.fail_letters(unit, [(FAILED, "550"), (NOTICE, "550")], owner="me", now=ASKED + 6)
        await sql.insert_letters(unit, [replace(new(QUEUED), address="a\x1b]0;x\x07b@example.com")])

    await store.unit(work)


async def let_hours_pass(store: Store) -> None:
    """What was sent, and whose link was used, is settled."""
    moved = await store.unit(lambda unit: settle_letters(unit, after=0, until=ASKED + 9, limit=9))
    assert len(moved) == 1


@pytest.fixture(params=[False, True], ids=["", "settled"])
def filled(resetsvc: Command, request: pytest.FixtureRequest) -> Command:
    resetsvc.with_store(fill)
    if request.param:
        resetsvc.with_store(let_hours_pass)
    return resetsvc


def states(resetsvc: Command) -> dict[str, str]:
    return {row["id"]: row["state"] for row in rows_of(resetsvc, None)}


def rows_of(resetsvc: Command, state: str | None) -> Sequence[Row]:
    async def read(store: Store) -> Sequence[Row]:
        return await store.read(lambda connection: kept.list_letters(connection, state, 99))

    return resetsvc.with_store(read)


def test_no_letters_are_told(resetsvc: Command) -> None:
    assert resetsvc("letters", "list").stdout == "No letters.\n"
    assert json.loads(resetsvc("letters", "list", "--json").stdout) == []


def test_the_list_is_a_table_with_the_newest_first(filled: Command) -> None:
    result = filled("letters", "list")
    assert result.exit_code == 0
    head, *rows = result.stdout.splitlines()
    assert head.split() == ["ID", "KIND", "STATE", "REASON", "TO", "ASKED", "ATTEMPTS", "NEXT"]
    assert [row.split()[0] for row in rows] == [
        letter[:16] for letter in (QUEUED, TWIN, EXPIRED, NOTICE, FAILED, SENT)
    ]
    starts = {
        match.start()
        for line in (head, *rows)
        for match in [re.search(r"(?<=  )(TO|a\*\*\*@)", line)]
        if match
    }
    assert len(starts) == 1, "columns stand under each other"
    assert "2026-09-21T14:13:20Z" in rows[-1]


def test_addresses_are_masked_and_terminals_are_not_steered(filled: Command) -> None:
    for command in (
        ["list"],
        ["list", "--json"],
        ["show", SENT],
        ["show", QUEUED],
        ["show", FAILED],
        ["show", FAILED, "--json"],
    ):
        shown = filled("letters", *command).stdout
        assert "ann.person" not in shown
        assert "198.51.100.77" not in shown
        assert "\x1b" not in shown, command
        assert "\x07" not in shown


def test_the_list_for_a_program(filled: Command) -> None:
    found = json.loads(filled("letters", "list", "--json").stdout)
    assert [letter["id"] for letter in found] == [QUEUED, TWIN, EXPIRED, NOTICE, FAILED, SENT]
    assert found[-1] == {
        "id": SENT,
        "kind": "reset",
        "state": "sent",
        "reason": None,
        "to": "a***@example.com",
        "asked_at": "2026-09-21T14:13:20Z",
        "attempts": 1,
        "due_at": None,
        "sent_at": "2026-09-21T14:13:26Z",
    }


@pytest.mark.parametrize(
    ("state", "ids"),
    [
        ("sent", [SENT]),
        ("failed", [NOTICE, FAILED]),
        ("expired", [TWIN, EXPIRED]),
        ("queued", [QUEUED]),
        ("sending", []),
        ("dropped", []),
    ],
)
def test_the_list_by_state(state: str, ids: list[str], filled: Command) -> None:
    assert [
        letter["id"] for letter in json.loads(filled("letters", "list", "--state", state, "--json").stdout)
    ] == ids


def test_the_list_has_a_limit(filled: Command) -> None:
    found = json.loads(filled("letters", "list", "--limit", "2", "--json").stdout)
    assert [letter["id"] for letter in found] == [QUEUED, TWIN]


def test_a_letters_story_is_told(filled: Command) -> None:
    shown = filled("letters", "show", FAILED).stdout
    for words in (
        FAILED,
        "failed",
        "550",
        "mx.example:25",
        "no such user",
        "2026-09-21T14:13:26Z",
        "198.51.100.x",
    ):
        assert words in shown, words
    story = json.loads(filled("letters", "show", SENT, "--json").stdout)
    assert story["attempts_made"] == [
        {
            "at": "2026-09-21T14:13:26Z",
            "relay": "mx.example:25",
            "verdict": "sent",
            "code": 250,
            "reply": "2.0.0 queued as 4711",
        }
    ]
    assert (story["link"], story["account"], story["locale"]) == ("used", "7", "de")


def test_the_beginning_of_an_id_is_enough_if_it_is_the_only_one(filled: Command) -> None:
    assert json.loads(filled("letters", "show", "aa", "--json").stdout)["id"] == SENT
    twice = filled("letters", "show", "fff")
    assert (twice.exit_code, twice.stderr) == (1, "resetsvc: more than one letter begins with fff\n")
    never = filled("letters", "show", "bb")
    assert (never.exit_code, never.stderr) == (1, "resetsvc: there is no letter bb\n")


def test_letters_that_failed_or_expired_are_put_back_with_a_fresh_deadline(filled: Command) -> None:
    result = filled("letters", "retry", "--failed")
    assert (result.exit_code, result.output) == (0, "4 put back.\n")
    assert states(filled) == {
        SENT: "sent",
        **dict.fromkeys((FAILED, NOTICE, EXPIRED, TWIN, QUEUED), "queued"),
    }
    rows = rows_of(filled, "queued")
    now = Clock().now()
    deadlines = {row["id"]: row["deadline_at"] - now for row in rows}
    assert deadlines[FAILED] == pytest.approx(14400, abs=60)
    assert deadlines[NOTICE] == pytest.approx(3 * 86400, abs=60)
    assert filled("letters", "retry", "--failed").output == "0 put back.\n"


def test_one_letter_is_put_back_by_the_beginning_of_its_id(filled: Command) -> None:
    assert filled("letters", "retry", FAILED[:31] + "1", EXPIRED).output == "2 put back.\n"
    assert states(filled)[NOTICE] == "failed"


def test_what_neither_failed_nor_expired_is_left_alone_and_named(filled: Command) -> None:
    result = filled("letters", "retry", SENT, EXPIRED, QUEUED)
    assert result.exit_code == 1
    assert result.stdout == "1 put back.\n"
    assert one_line(result.stderr)
    assert SENT in result.stderr
    assert QUEUED in result.stderr
    assert EXPIRED not in result.stderr


def test_one_wrong_id_and_nothing_is_put_back(filled: Command) -> None:
    before = states(filled)
    result = filled("letters", "retry", FAILED, "bbbb")
    assert (result.exit_code, result.stderr) == (1, "resetsvc: there is no letter bbbb\n")
    assert states(filled) == before
