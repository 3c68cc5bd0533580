"""One run: a framework makes its tables and its people, resetsvc resets one of them, the framework says what it finds."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from collections.abc import Mapping as Table
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from resetsvc.accounts.mapping import Mapping
from resetsvc.accounts.table import TableAccounts
from resetsvc.app import create_app
from resetsvc.cli.conform import StepFailed, Trial
from resetsvc.clock import Clock
from resetsvc.passwords.hashing import Hasher
from resetsvc.settings import Settings
from resetsvc.testing import Mailbox, make_settings
from tests.conformance.applications import Application
from tests.conformance.cases import Case
from tests.conformance.databases import Database, new_database
from tests.conformance.differences import Rows, stray_changes, what_changed

ANN, BOB, CYD = "ann@example.com", "bob@example.com", "cyd@example.com"
PEOPLE = {
    ANN: "the password that Ann had",
    BOB: "the password that Bob keeps",
    CYD: "the password of Cyd, who tests",
}

# What forms, shells and databases like to change on the way: quotes, backslashes, a letter of two octets, and one that
# may be written in two ways, of which this is the one with a combining accent.
NEW = ' O\'Neil said "1 \\ 2" to Zoë and Zoe\u0301 {0} %s '


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was found, each for itself.

    made           -- before the reset: the framework lets both in, their sessions work, a wrong password does not
    no_mail        -- accounts that the framework made without a password, or as not active, would get no mail; None if it
                      has no such accounts
    tried          -- `accounts conform` verified a hash that the framework made, and left it as it was
    reset          -- resetsvc took the address, sent a mail, and the new password by its link
    logs_in        -- the framework lets the person in by the new password
    hash_kept      -- and has no wish to make the hash anew, as it does where it holds its costs for too low
    old_refused    -- and no longer by the old one
    sessions_dead  -- none of the person's sessions and tokens works, all of the other's do
    second_factor  -- what is stored of it is as it was, byte for byte
    by_framework   -- what the framework's own reset changes in the database; None if it has none of its own
    by_resetsvc    -- and what resetsvc's did
    stray          -- what else changed in the database, or should have and did not
    """

    case: Case
    kind: str
    versions: Table[str, str]
    made: bool
    no_mail: bool | None
    tried: bool
    reset: bool
    logs_in: bool
    hash_kept: bool
    old_refused: bool
    sessions_dead: bool
    second_factor: bool
    by_framework: frozenset[str] | None
    by_resetsvc: frozenset[str]
    stray: Sequence[str]


def run(case: Case, kind: str, folder: Path, new: str = NEW) -> Outcome:
    database = new_database(kind, folder)
    with Application(case.folder, database.url, *case.arguments) as application:
        application.make(PEOPLE)
        made = not application.lets_in(ANN, f"{PEOPLE[ANN]}!") and all(
            application.lets_in(email, password) and all(application.sessions(email).values())
            for email, password in PEOPLE.items()
        )
        nobodies = application.nobodies()
        no_mail = not asyncio.run(_mailed(case, database, folder, nobodies)) if nobodies else None
        tried = asyncio.run(_try(case, database, folder)) and application.lets_in(CYD, PEOPLE[CYD])
        factors = [application.second_factor(email) for email in PEOPLE]
        before = database.rows()
        reset = asyncio.run(_reset(case, database, folder, new))
        after = database.rows()
        return Outcome(
            case=case,
            kind=kind,
            versions=application.versions(),
            made=made,
            no_mail=no_mail,
            tried=tried,
            reset=reset,
            stray=stray_changes(case, _person(before), ANN, before, after),
            second_factor=all(factors) and factors == [application.second_factor(email) for email in PEOPLE],
            sessions_dead=not any(application.sessions(ANN).values())
            and all(application.sessions(BOB).values()),
            logs_in=application.lets_in(ANN, new),
            hash_kept=_hashes(case, after) == _hashes(case, database.rows()),
            old_refused=not application.lets_in(ANN, PEOPLE[ANN]),
            by_framework=_own_reset(application, database),
            by_resetsvc=what_changed(before, after),
        )


def _own_reset(application: Application, database: Database) -> frozenset[str] | None:
    before = database.rows()
    if not application.own_reset(BOB, NEW):
        return None
    changed = what_changed(before, database.rows())
    assert application.lets_in(BOB, NEW)
    return changed


def _settings(case: Case, database: Database, folder: Path) -> Settings:
    accounts = {"preset": case.preset, "url": database.url, **case.as_configured}
    return make_settings(folder, accounts=accounts)


@asynccontextmanager
async def _opened(
    case: Case, database: Database, folder: Path
) -> AsyncIterator[tuple[TableAccounts, Mapping, Hasher]]:
    settings = _settings(case, database, folder)
    assert isinstance(settings.accounts, Mapping)
    hasher = Hasher.from_settings(settings)
    accounts = TableAccounts(settings.accounts, hasher, Clock())
    try:
        yield accounts, settings.accounts, hasher
    finally:
        await accounts.close()
        hasher.close()


async def _mailed(case: Case, database: Database, folder: Path, addresses: Sequence[str]) -> list[str]:
    """Who of these would get a mail; Ann would in any case."""
    async with _opened(case, database, folder) as (accounts, _, _):
        found = await accounts.find([ANN, *addresses])
    mailed = [address for address, account in found.items() if account.active]
    assert ANN in mailed
    return [address for address in mailed if address != ANN]


async def _try(case: Case, database: Database, folder: Path) -> bool:
    said: list[str] = []
    async with _opened(case, database, folder) as (accounts, described, hasher):
        try:
            await Trial(accounts, described, hasher, said.append).run(CYD, PEOPLE[CYD])
        except StepFailed:
            return False
    return said[-1] == "old hash: back in place"


async def _reset(case: Case, database: Database, folder: Path, new: str) -> bool:
    mailbox = Mailbox()
    app = create_app(_settings(case, database, folder), outbox=mailbox)
    async with app.test_app():
        client = app.test_client()
        # As somebody types it on a telephone.
        await client.post("/reset-password", form={"email": "Ann@EXAMPLE.com"})
        mail = await mailbox.next_mail(timeout=30)
        answer = await client.post(mail.link_path, form={"password": new})
        if answer.status_code != 200:
            return False
        notice = await mailbox.next_mail(timeout=30)
        return (mail.recipient, notice.recipient) == (ANN, ANN)


def _hashes(case: Case, rows: Rows) -> list[str]:
    return [
        str(row[column])
        for table, (_, changed) in case.changes.items()
        for row in rows[table]
        for column in sorted(changed)
        if "pass" in column.lower() and "reset" not in column
    ]


def _person(rows: Rows) -> str:
    """What the application calls Ann."""
    for table in rows.values():
        for row in table:
            if ANN in map(str, row.values()):
                for column, value in row.items():
                    if column.lower() == "id":
                        return str(value)
    raise AssertionError("the person is not in the application's database")
