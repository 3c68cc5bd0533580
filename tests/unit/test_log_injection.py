"""Whatever is written into an event, it stays one event: nobody from outside can add a line to the log (ASVS 16.4.1)."""

import io
import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from resetsvc.logs import set_up_logging
from resetsvc.testing import make_settings

HOSTILE = 'a\nb\r\nc\u2028d\u2029e\x85f\x1b[2J\x00"}\n{"event":"password changed"}'


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    before = structlog.get_config()
    yield
    structlog.configure(**before)
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.parametrize("form", ["json", "console"])
def test_text_from_outside_begins_no_line_and_moves_no_cursor(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    set_up_logging(make_settings(tmp_path, log_format=form))
    structlog.stdlib.get_logger("resetsvc.some_part").info("letter attempt", reply=HOSTILE)
    logging.getLogger("a.library").warning("it said %s", HOSTILE)
    lines = stream.getvalue().split("\n")
    assert len(lines) == 3
    assert lines.pop() == ""
    assert not {letter for line in lines for letter in line} & set("\r\0\x85\u2028\u2029")
    if form == "json":
        assert "\x1b" not in stream.getvalue()
        assert [json.loads(line)["event"] for line in lines] == ["letter attempt", f"it said {HOSTILE}"]
    else:
        assert "\x1b[2J" not in stream.getvalue()
