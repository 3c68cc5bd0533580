"""The page of the documentation that says what the frameworks said. Pure: outcomes in, Markdown out."""

from collections.abc import Sequence

from tests.conformance.cases import CASES
from tests.conformance.kit import Outcome

HEAD = """\
# Conformance

<!-- Written by `make conformance` from what the frameworks answered. Do not change it by hand. -->

Beside each of these applications resetsvc reset a password, with `preset` and `url` as its whole description of the
accounts (and what the first column names). Then the application itself was asked: `make conformance` does it again,
and so does every run of the tests that finds the frameworks.

| application (preset) | versions | database | made the account | no mail | tried | reset | logs in | hash kept | old one refused | sessions dead | second factor untouched | all else unchanged |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
"""

MEANING = """
What the columns say:

- **made the account**: tables, three people, their sessions, tokens and second factors by the application; it let them in, and
  refused a wrong password.
- **no mail**: accounts that the application made without a password, for log-ins by others alone, or not active, would get
  none; – where it has no such accounts.
- **tried**: `resetsvc accounts conform` on a third person, as an operator would: it verified the hash that the application
  had made, wrote one, and put the old one back, by which the application let that person in again.
- **reset**: resetsvc was asked for a reset, sent its mail, and took a new password by its link. The password holds
  quotes, backslashes, spaces at both ends, and a letter in its composed and in its decomposed form: what forms, shells,
  databases and normalisation like to change.
- **logs in**, **old one refused**: by the application's own log-in.
- **hash kept**: the log-in did not make the hash anew, as Django, Flask-Security, fastapi-users and WordPress do where its
  form or its costs are not today's.
- **sessions dead**: none of the person's sessions, remember-me cookies and tokens works any more; all of the others' do.
- **second factor untouched**: what is stored of it is the same, octet for octet.
- **all else unchanged**: every row of every table is as it was, octet for octet, but for what the preset says it
  changes; and all of that was changed.

## Your own

Versions, columns and settings of your application may be others. Try yours, on a copy of its database or on a staging one,
with an account of your own whose password you know:

```console
$ printf '%s' 'its present password' | resetsvc accounts conform me@example.com --password-stdin
account: found, and mail would go to it
stored hash: django_pbkdf2_sha256
old password: right
new hash: django_pbkdf2_sha256 written, with 1 effect
read back: takes the new password and no longer the old one
old hash: back in place
```

Each step is a line; the first that fails ends it, with its reason and exit code 1. The old hash is in place afterwards whatever
happens, but for a `kill -9` or a power cut in that moment; the account is logged out everywhere, as after any change.
A wrong password changes nothing.
"""

OWN = """
## Beside the framework's own reset

Then the application reset the password of another person by the framework's own code, and what that changed in the
database was held against what resetsvc had changed. What is not named here is the same in both.

| application | resetsvc changes besides | the framework alone changes |
| --- | --- | --- |
"""

REAL = """
## What is real

| application | real |
| --- | --- |
"""


def page(outcomes: Sequence[Outcome]) -> str:
    rows = "".join(map(_row, outcomes))
    own = "".join(dict.fromkeys(_own(outcome) for outcome in outcomes if outcome.by_framework is not None))
    real = "".join(_line(case.name, case.real) for case in CASES)
    return f"{HEAD}{rows}{MEANING}{OWN}{own}{REAL}{real}"


def _row(outcome: Outcome) -> str:
    case = outcome.case
    found = (
        outcome.made,
        outcome.no_mail,
        outcome.tried,
        outcome.reset,
        outcome.logs_in,
        outcome.hash_kept,
        outcome.old_refused,
        outcome.sessions_dead,
        outcome.second_factor,
        not outcome.stray,
    )
    described = "".join(f", `{name}`" for name in case.as_configured)
    versions = ", ".join(f"{name} {version}" for name, version in outcome.versions.items())
    return _line(f"{case.name} (`{case.preset}`{described})", versions, outcome.kind, *map(_word, found))


def _own(outcome: Outcome) -> str:
    assert outcome.by_framework is not None
    besides, leaves = outcome.by_resetsvc - outcome.by_framework, outcome.by_framework - outcome.by_resetsvc
    return _line(outcome.case.name, *(", ".join(sorted(found)) or "nothing" for found in (besides, leaves)))


def _word(found: bool | None) -> str:
    return "–" if found is None else "yes" if found else "**no**"


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |\n"


def all_well(outcomes: Sequence[Outcome]) -> bool:
    return not any("**no**" in _row(outcome) for outcome in outcomes)
