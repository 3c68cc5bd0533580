"""`audit list` and `audit verify`, and what other commands leave in the trail."""

import json
import os
import re
import sqlite3
from typing import Any

import pytest

from resetsvc.audit import Event
from resetsvc.clock import Clock
from resetsvc.letters import Kind, NewLetter
from resetsvc.store import letters as sql
from resetsvc.store.connection import Connection
from resetsvc.store.database import Store
from resetsvc.store.schema import REVISION
from resetsvc.trail import Trail
from tests.cli.conftest import Command
from tests.cli.processes import SECRETS, one_line, serving

NEW_KEY = "aNewKey-8c1fd7a01bd44c5c9ad0d2b3f6e7"
LETTER = "a1" * 16
AT = 1_790_000_000.0  # 2026-09-21T14:13:20Z


async def fill(store: Store) -> None:
    trail = Trail(store, [SECRETS["key"]], Clock(now=lambda: AT))

    async def work(unit: Connection) -> None:
        about = {"letter": LETTER, "account": "7", "client": "198.51.100.77"}
        await trail.record(unit, Event.LINK_USED, **about)
        await trail.record(unit, Event.PASSWORD_CHANGED, **about, address="ann.person@example.com")
        await trail.record(unit, Event.RESETS_CANCELLED, **about, muted=True)
        await trail.record(unit, Event.LIMIT_HIT, purpose="a\x1b[2J\x07sk", client="2001:db8:1:2::3")

    await store.unit(work)


@pytest.fixture
def filled(resetsvc: Command) -> Command:
    resetsvc.with_store(fill)
    return resetsvc


def tamper(resetsvc: Command, *statements: str) -> None:
    connection = sqlite3.connect(resetsvc.folder / "resetsvc.db")
    for statement in ("DROP TRIGGER audit_no_update", "DROP TRIGGER audit_no_delete", *statements):
        connection.execute(statement)
    connection.commit()
    connection.close()


def listed(resetsvc: Command, *options: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(resetsvc("audit", "list", "--json", *options).stdout)
    return found


def test_the_list_is_a_table_with_the_newest_first(filled: Command) -> None:
    result = filled("audit", "list")
    assert (result.exit_code, result.stderr) == (0, "")
    head, *rows = result.stdout.splitlines()
    assert head.split() == ["SEQ", "TIME", "EVENT", "DETAIL"]
    assert [row.split()[:3] for row in rows] == [
        [str(seq), "2026-09-21T14:13:20Z", event]
        for seq, event in (
            (4, "limit_hit"),
            (3, "resets_cancelled"),
            (2, "password_changed"),
            (1, "link_used"),
        )
    ]
    assert rows[1].endswith("account=7 client=198.51.100.x letter=a1a1a1a1a1a1a1a1 muted=true")


def test_the_list_for_a_program(filled: Command) -> None:
    first = listed(filled)[-1]
    assert (len(first.pop("key")), len(first.pop("chain"))) == (12, 64)
    assert first == {
        "seq": 1,
        "at": "2026-09-21T14:13:20Z",
        "event": "link_used",
        "detail": {"letter": "a1a1a1a1a1a1a1a1", "account": "7", "client": "198.51.100.x"},
    }


def test_the_list_has_a_limit(filled: Command) -> None:
    assert [record["seq"] for record in listed(filled, "--limit", "2")] == [4, 3]


def test_no_records_are_told(resetsvc: Command) -> None:
    assert resetsvc("audit", "list").stdout == "No records.\n"
    assert listed(resetsvc) == []


def test_nothing_personal_is_shown_and_terminals_are_not_steered(filled: Command) -> None:
    for options in ([], ["--json"]):
        shown = filled("audit", "list", *options).stdout
        for trace in ("ann.person", "198.51.100.77", "2001:db8:1:2", LETTER, "\x1b", "\x07"):
            assert trace not in shown, options


def test_a_good_trail_is_told_with_its_head(filled: Command) -> None:
    result = filled("audit", "verify")
    assert (result.exit_code, result.stderr) == (0, "")
    assert re.fullmatch(r"4 records, all as they were written\. Head: 4:[0-9a-f]{32}\n", result.stdout)


def test_looking_and_verifying_leave_no_record(filled: Command) -> None:
    for command in (
        ["audit", "verify"],
        ["audit", "list"],
        ["letters", "list"],
        ["accounts", "disable", "x@y.z"],
    ):
        filled(*command)
    assert len(listed(filled)) == 4


def test_the_first_record_that_does_not_fit_is_told_with_exit_1(filled: Command) -> None:
    tamper(filled, "UPDATE audit SET detail = '{}' WHERE seq >= 2")
    result = filled("audit", "verify")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        "resetsvc: the audit trail is not as it was written: "
        "record 2 was altered, moved, or written without the key\n"
    )


def test_a_removed_end_is_told(filled: Command) -> None:
    tamper(filled, "DELETE FROM audit WHERE seq > 2")
    assert "it ended at record 2, and went on to 4" in filled("audit", "verify").stderr


def test_an_altered_record_can_still_be_listed(filled: Command) -> None:
    tamper(filled, "UPDATE audit SET detail = 'no JSON', at = 'x' WHERE seq = 2")
    assert filled("audit", "verify").exit_code == 1
    tamper_again = sqlite3.connect(filled.folder / "resetsvc.db")
    tamper_again.execute("UPDATE audit SET at = 1e300 WHERE seq = 3")
    tamper_again.commit()
    tamper_again.close()
    result = filled("audit", "list")
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == 5


def test_a_trail_without_records_proves_nothing(filled: Command) -> None:
    tamper(filled, "DELETE FROM audit", "DELETE FROM audit_head")
    result = filled("audit", "verify")
    assert result.exit_code == 1
    assert "there are no records" in result.stderr


def test_a_head_that_was_noted_elsewhere_has_to_be_in_the_trail(filled: Command) -> None:
    noted = filled("audit", "verify").stdout.split()[-1]
    filled.with_store(fill)
    assert filled("audit", "verify", "--head", noted).exit_code == 0
    seq, _, chain = noted.partition(":")
    for wrong in (f"3:{chain}", f"{seq}:{'0' * 32}", f"99:{chain}"):
        result = filled("audit", "verify", "--head", wrong)
        assert (result.exit_code, one_line(result.stderr)) == (1, True)
        assert f"does not go through the head {wrong}" in result.stderr


@pytest.mark.parametrize("head", ["4", "4:", "4:short", "x:" + "0" * 32, "4:" + "0" * 65, "-4:" + "0" * 32])
def test_what_is_no_head_is_wrong_use(head: str, filled: Command) -> None:
    result = filled("audit", "verify", "--head", head)
    assert result.exit_code == 2
    assert one_line(result.stderr)


def test_the_trail_of_a_key_that_is_not_here_says_what_to_do(filled: Command) -> None:
    filled.set(secret_key=NEW_KEY)
    result = filled("audit", "verify")
    assert result.exit_code == 1
    assert one_line(result.stderr)
    assert "name it in RESETSVC_SECRET_KEY_FALLBACKS for this command" in result.stderr
    filled.set(secret_key_fallbacks=SECRETS["key"])
    assert filled("audit", "verify").exit_code == 0


def test_a_migration_is_recorded_by_the_command(resetsvc: Command) -> None:
    for _ in range(2):
        assert resetsvc("migrate").exit_code == 0
    (record,) = listed(resetsvc)
    assert (record["event"], record["detail"]) == ("schema_migrated", {"from": None, "to": REVISION})


def test_letters_put_back_are_recorded_together_and_by_whom(resetsvc: Command) -> None:
    ids = [f"{n:032x}" for n in range(1, 121)]

    async def expired(store: Store) -> None:
        letters = [NewLetter(i, Kind.RESET, "ann@example.com", None, "", f"m{i}", AT, AT + 1) for i in ids]
        await store.write(lambda connection: sql.insert_letters(connection, letters))
        await store.write(lambda connection: sql.expire_letters(connection, AT + 2))

    resetsvc.with_store(expired)
    assert resetsvc("letters", "retry", ids[0]).exit_code == 0
    assert resetsvc("letters", "retry", ids[0]).exit_code == 1  # waits already: nothing was done
    assert resetsvc("letters", "retry", "--failed").exit_code == 0
    assert resetsvc("letters", "retry", "--failed").exit_code == 0  # nothing left to put back
    many, one = listed(resetsvc)
    assert one["event"] == many["event"] == "letters_put_back"
    assert one["detail"] == {"number": 1, "letters": [ids[0][:16]], "uid": os.getuid()}
    assert (many["detail"]["number"], len(many["detail"]["letters"])) == (119, 100)
    assert resetsvc("audit", "verify").exit_code == 0


async def test_a_service_that_started_is_on_record_also_after_it_was_stopped(resetsvc: Command) -> None:
    async with serving(resetsvc.env, resetsvc.folder) as server:
        assert await server.stop() == 0
    connection = sqlite3.connect(resetsvc.folder / "resetsvc.db")
    events = [event for (event,) in connection.execute("SELECT event FROM audit ORDER BY seq")]
    connection.close()
    assert events == ["schema_migrated", "service_started"]
