"""How the kit speaks with an application: a request a line on standard input, an answer a line on standard output.

Each application is started with the URL of an empty database, in the form that resetsvc takes.

The applications run in environments of their own, so this imports nothing but the standard library. The drivers of the
other languages speak the same words.
"""

import json
import os
import sys
from typing import Any, Protocol


class Driver(Protocol):
    """An application of one framework."""

    def versions(self) -> dict[str, str]:
        """What is real here, and of which version."""
        ...

    def make(self, people: dict[str, str]) -> None:
        """Make schema, accounts (address -> password), a live session of each, and what is a second factor to each."""
        ...

    def nobodies(self) -> list[str]:
        """Make accounts that a reset is not for (no password, not active) and return their addresses; some have none."""
        ...

    def login(self, email: str, password: str) -> bool:
        """Whether the framework's own log-in lets this person in."""
        ...

    def own_reset(self, email: str, password: str) -> bool:
        """Change the password by the framework's own reset, as its link would; False if it has none."""
        ...

    def session(self, email: str) -> dict[str, bool]:
        """Which of the sessions and tokens that `make` began still work, each by its kind."""
        ...

    def second_factor(self, email: str) -> Any:
        """What is stored about the second factor."""
        ...


def serve(driver: Driver) -> None:
    """Answer requests until standard input ends."""
    # Frameworks print what they like: only answers may reach the kit.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    for line in sys.stdin:
        request = json.loads(line)
        do = getattr(driver, request.pop("do"))
        try:
            answer = {"answer": do(**request)}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
            sys.excepthook(*sys.exc_info())
        answers.write(json.dumps(answer) + "\n")
