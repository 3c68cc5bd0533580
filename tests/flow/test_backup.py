"""A copy of a SQLite file that is in use, made and put back as docs/how_to/back_up.md says."""

import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.flow.conftest import ANN, NEW_PASSWORD, OLD_PASSWORD, Start

pytestmark = pytest.mark.about_sqlite

HOW_TO = Path(__file__).parents[2] / "docs" / "how_to" / "back_up.md"
NOBODY_ELSE = "bob@example.com"


def copy(database: Path, copied: Path) -> None:
    """By the line of Python that the how-to prints."""
    (program,) = re.findall(r"python3 -c '(.+)' \\$", HOW_TO.read_text(), re.MULTILINE)
    subprocess.run([sys.executable, "-c", program, str(database), str(copied)], check=True)


async def test_a_copy_of_a_database_in_use_is_whole_and_can_be_served(start: Start, tmp_path: Path) -> None:
    copied = tmp_path / "copied.db"
    first = await start()
    for address in (ANN, NOBODY_ELSE):
        assert await first.accounts.add(address, OLD_PASSWORD)
    mail = await first.mail_to(ANN)
    await first.app.shutdown()
    accepting = await start(dispatch=False)
    assert (await accepting.ask(NOBODY_ELSE)).status_code == 200
    copy(tmp_path / "resetsvc.db", copied)
    with closing(sqlite3.connect(copied)) as looked_at:
        assert looked_at.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert (await accepting.set_password(mail.link_path)).status_code == 200
    await accepting.app.shutdown()

    restored = await start(database_url=f"sqlite:///{copied}")
    # What waited then is sent now, and what was used since can be used.
    assert (await restored.mailbox.next_mail()).recipient == NOBODY_ELSE
    assert await restored.accounts.verify(ANN, OLD_PASSWORD)
    assert (await restored.set_password(mail.link_path)).status_code == 200
    assert await restored.accounts.verify(ANN, NEW_PASSWORD)
    assert (await restored.set_password(mail.link_path)).status_code == 410
