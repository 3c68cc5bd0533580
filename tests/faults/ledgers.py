"""The three ledgers and the list of blows: what each line is, and how it is read back from its file.

client's    one line when a request leaves, one when its answer was read in full (or could not be)
SMTP's      one line for each mail that the relay took over, synced before its 250
database's  the tables themselves, as the last process left them
blows       what was done to the processes, the relay and the database, and when
leases      what was held at each look, where somebody looked

All times are seconds since 1970 from one machine's clock. A request is known everywhere by its number: it goes out
as the client's network address, and comes back in the letter's row.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError

from tests.faults.databases import MachineDatabase, SqliteFile

ANSWERED, REFUSED, UNKNOWN = "answered", "refused", "unknown"
INITIAL_PASSWORD = "the wooden heron of before"
NO_PASSWORD_WE_KNOW = -1


@dataclass(frozen=True, slots=True)
class Request:
    """What the client asked, and what it was told.

    outcome   -- answered: the success that was promised; refused: any other whole answer; unknown: none came whole
    letter_id -- for the change of a password: whose link was used
    """

    number: int
    kind: Literal["ask", "change"]
    address: str
    began: float
    ended: float | None = None
    outcome: str = UNKNOWN
    status: int | None = None
    letter_id: str | None = None


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail that the relay took over: the left half of its Message-ID, its only recipient, when."""

    message_id: str
    recipient: str
    at: float


@dataclass(frozen=True, slots=True)
class Letter:
    """A row of `letters`, as far as the checker looks at it. `refusals`: SMTP's 5yz codes among its attempts."""

    id: str
    kind: Literal["reset", "notice"]
    state: str
    message_id: str
    number: int | None
    address: str = ""
    reason: str | None = None
    asked_at: float = 0.0
    account_id: str | None = None
    admitted_at: float | None = None
    sent_at: float | None = None
    finished_at: float | None = None
    link: str | None = None
    link_at: float | None = None
    refusals: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Account:
    """`password`: the number of the request that set it; None: the first one; NO_PASSWORD_WE_KNOW: neither."""

    id: str
    address: str
    active: bool = True
    password: int | None = None


@dataclass(frozen=True, slots=True)
class Blow:
    """Something that was done: at one moment, or from `at` until `until`.

    kind -- kill, stall (SIGSTOP), lock (of the database), database (ended, and back), relay (misbehaves so that the
            answer to a mail is lost); anything else is told and excuses nothing
    """

    kind: str
    at: float
    until: float
    what: str = ""

    def as_json(self) -> str:
        return json.dumps({"kind": self.kind, "at": self.at, "until": self.until, "what": self.what})


@dataclass(frozen=True, slots=True)
class Look:
    """A look at what is held, begun at one moment and answered at another.

    able_since -- since when, without a break, somebody could have taken over what is nobody's: the database answers, and
                  one at least that delivers is up
    held       -- the letters that are being sent, and until when each is held
    """

    began: float
    ended: float
    able_since: float
    held: Mapping[str, float]

    def as_json(self) -> str:
        return json.dumps({name: getattr(self, name) for name in self.__slots__})


@dataclass(frozen=True, slots=True)
class Ledgers:
    requests: Sequence[Request] = ()
    mails: Sequence[Mail] = ()
    letters: Sequence[Letter] = ()
    accounts: Sequence[Account] = ()
    blows: Sequence[Blow] = ()
    looks: Sequence[Look] = ()

    @classmethod
    def read(cls, folder: Path, database: MachineDatabase | None = None) -> Self:
        """Everything that a run left in its folder, and in its database if that is not there."""
        requests = read_requests(_lines(folder / CLIENT))
        letters, accounts = read_database(database or SqliteFile(folder / DATABASE), requests)
        return cls(
            requests,
            read_mails(_lines(folder / SMTP)),
            letters,
            accounts,
            [Blow(**line) for line in _lines(folder / BLOWS)],
            [Look(**line) for line in _lines(folder / LEASES)],
        )


CLIENT, SMTP, DATABASE, BLOWS = "client.jsonl", "smtp.jsonl", "resetsvc.db", "blows.jsonl"
LEASES = "leases.jsonl"


def client_of(number: int) -> str:
    """The network address that a request comes from: its number, in 10.0.0.0/8."""
    assert 0 <= number < 1 << 24
    return f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"


def number_of(client: str | None) -> int | None:
    parts = (client or "").split(".")
    if len(parts) != 4 or parts[0] != "10":
        return None
    return int(parts[1]) << 16 | int(parts[2]) << 8 | int(parts[3])


def password_of(number: int) -> str:
    """The password that a request for a change sets."""
    return f"{number:08d} quiet umbrellas hum"


class ClientLedger:
    """Writes the client's ledger. Nothing is kept back: a driver that is killed leaves what it knew."""

    def __init__(self, path: Path, now: Callable[[], float]) -> None:
        self._file = path.open("a", buffering=1)
        self._now = now
        self.next_number = 1

    def leave(self, kind: str, address: str, letter_id: str | None = None) -> int:
        """A request is about to leave: its number."""
        number, self.next_number = self.next_number, self.next_number + 1
        line: dict[str, Any] = {"number": number, "kind": kind, "address": address, "began": self._now()}
        self._write({**line, "letter_id": letter_id} if letter_id else line)
        return number

    def come_back(self, number: int, outcome: str, status: int | None) -> None:
        self._write({"number": number, "outcome": outcome, "status": status, "ended": self._now()})

    def close(self) -> None:
        self._file.close()

    def _write(self, line: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(line) + "\n")


def read_requests(lines: Iterable[Mapping[str, Any]]) -> list[Request]:
    """A request whose second line is missing was never answered as far as anybody knows."""
    found: dict[int, dict[str, Any]] = {}
    for line in lines:
        found.setdefault(line["number"], {}).update(line)
    return [Request(**fields) for fields in found.values()]


def read_mails(lines: Iterable[Mapping[str, Any]]) -> list[Mail]:
    return [
        Mail(line["message_id"].strip("<>").partition("@")[0], recipient, line["wall_time"])
        for line in lines
        for recipient in line["rcpt_tos"]
    ]


def read_database(
    database: MachineDatabase, requests: Sequence[Request]
) -> tuple[list[Letter], list[Account]]:
    """Letters in the order in which they were stored, and accounts with the password that each has now."""
    refusals: dict[str, list[int]] = {}
    for row in database.rows("SELECT letter_id, code FROM attempts WHERE code >= 500 ORDER BY seq"):
        refusals.setdefault(row["letter_id"], []).append(row["code"])
    letters = [
        Letter(
            number=number_of(row["client"]),
            refusals=tuple(refusals.get(row["id"], ())),
            **{name: row[name] for name in _COPIED},
        )
        # Where a clock was put forward some of them are settled: they were stored before the others.
        for order, table in (("id", "settled_letters"), ("seq", "letters"))
        for row in database.rows(f"SELECT client, {', '.join(_COPIED)} FROM {table} ORDER BY {order}")  # noqa: S608 -- names of ours
    ]
    tried: dict[str, list[int]] = {}
    for request in requests:
        if request.kind == "change":
            tried.setdefault(request.address, []).append(request.number)
    accounts = [
        Account(
            row["id"],
            row["address"],
            bool(row["active"]),
            _password_now(row["password_hash"], tried.get(row["address"], ())),
        )
        for row in database.rows("SELECT id, address, active, password_hash FROM accounts")
    ]
    return letters, accounts


_COPIED = (
    *("id", "kind", "state", "message_id", "address", "reason", "asked_at", "account_id", "admitted_at"),
    *("sent_at", "finished_at", "link", "link_at"),
)


def _password_now(stored: str, tried: Sequence[int]) -> int | None:
    """Accounts that nobody tried to change are not looked at: thousands of hashes would take minutes."""
    if not tried:
        return None
    for number in reversed(tried):
        if _opens(stored, password_of(number)):
            return number
    return None if _opens(stored, INITIAL_PASSWORD) else NO_PASSWORD_WE_KNOW


def _opens(stored: str, password: str) -> bool:
    try:
        return PasswordHasher().verify(stored, password)
    except VerificationError:
        return False


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """The whole lines of a file. The last one may be torn: its writer was killed before anybody could rely on it."""
    if not path.exists():
        return
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield json.loads(line)
