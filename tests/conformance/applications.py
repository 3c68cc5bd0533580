"""The applications of the frameworks: programs in environments of their own, spoken to line by line."""

import json
import select
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support.lacking import lacking

ROOT = Path(__file__).parents[2]
FRAMEWORKS = Path(__file__).parent / "frameworks"
PYTHON = ROOT / ".venv-frameworks" / "bin" / "python"
UNPACKED = ROOT / ".frameworks" / "debian"

# Seconds that an answer may take. The slowest make several hashes each, at the costs that the frameworks choose.
PATIENCE = 60


class ApplicationFailed(AssertionError):
    """The application itself did not do what was asked of it: nothing is known about resetsvc."""


class Application:
    """One that runs. `folder` names its program in tests/conformance/frameworks."""

    def __init__(self, folder: str, url: str, *arguments: str) -> None:
        self._folder = folder
        program = command(folder)  # first: where it is lacking, nothing is left open
        self._printed = tempfile.TemporaryFile("w+")  # noqa: SIM115  # closed with the application
        self._process = subprocess.Popen(
            [*program, url, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._printed,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()
        self._printed.close()

    def versions(self) -> dict[str, str]:
        versions = self._ask("versions")
        assert isinstance(versions, dict)
        return versions

    def make(self, people: dict[str, str]) -> None:
        self._ask("make", people=people)

    def nobodies(self) -> list[str]:
        """Have it make accounts that a reset is not for; return their addresses."""
        return list(self._ask("nobodies"))

    def lets_in(self, email: str, password: str) -> bool:
        return bool(self._ask("login", email=email, password=password))

    def own_reset(self, email: str, password: str) -> bool:
        return bool(self._ask("own_reset", email=email, password=password))

    def sessions(self, email: str) -> dict[str, bool]:
        """Which of a person's sessions and tokens work, by their kind."""
        sessions = self._ask("session", email=email)
        assert isinstance(sessions, dict)
        assert sessions
        return sessions

    def second_factor(self, email: str) -> Any:
        return self._ask("second_factor", email=email)

    def _ask(self, word: str, **more: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"do": word, **more}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._failed(word, "it has ended") from None
        if not select.select([self._process.stdout], [], [], PATIENCE)[0]:
            raise self._failed(word, f"no answer within {PATIENCE} s")
        line = self._process.stdout.readline()
        if not line:
            raise self._failed(word, "it has ended")
        answer = json.loads(line)
        if "error" in answer:
            raise self._failed(word, answer["error"])
        return answer["answer"]

    def _failed(self, word: str, why: str) -> ApplicationFailed:
        self._printed.seek(0)
        return ApplicationFailed(f"{self._folder}, {word}: {why}\n{self._printed.read()[-3000:]}")


def command(folder: str) -> list[str]:
    """How its program is started; a test that needs what this machine lacks is skipped."""
    [program] = (FRAMEWORKS / folder).glob("drive.*")
    if program.suffix == ".py":
        if not PYTHON.exists():
            lacking("the frameworks of Python: make frameworks")
        return [str(PYTHON), str(program)]
    if program.suffix == ".mjs":
        if shutil.which("node") is None or not (FRAMEWORKS / "node_modules").is_dir():
            lacking("the frameworks of Node.js: apt-get install nodejs npm, then make frameworks")
        return ["node", str(program)]
    if program.suffix == ".php":
        if shutil.which("php") is None or not UNPACKED.is_dir():
            lacking(
                "the frameworks of PHP: apt-get install php-cli (CONTRIBUTING.md has all), then make frameworks"
            )
        return ["php", str(program)]
    if not _ruby_has(
        "devise", "devise-two-factor", "sqlite3", "activerecord", "actionmailer", "rack-test", "pg"
    ):
        lacking(
            "the frameworks of Ruby: apt-get install ruby-devise ruby-devise-two-factor ruby-activerecord ruby-sqlite3"
        )
    return ["ruby", str(program)]


def _php_has(*extensions: str) -> bool:
    if shutil.which("php") is None:
        return False
    listed = subprocess.run(["php", "-m"], capture_output=True, text=True, check=False).stdout.split()
    return set(extensions) <= set(listed)


def _ruby_has(*gems: str) -> bool:
    if shutil.which("ruby") is None:
        return False
    asked = "; ".join(f'Gem::Specification.find_by_name("{gem}")' for gem in gems)
    return subprocess.run(["ruby", "-e", asked], capture_output=True, check=False).returncode == 0
