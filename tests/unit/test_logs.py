"""Where our own events go, and what happens when they cannot go there."""

import io
import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from resetsvc.logs import Lines, set_up_logging
from resetsvc.testing import make_settings

HOSTILE = 'a\nb\r\nc\u2028d\u2029e\x85f\x1b[2J\x00"}\n{"event":"password changed"}'


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    before = structlog.get_config()
    yield
    structlog.configure(**before)
    root.handlers[:] = handlers
    root.setLevel(level)


def told(folder: Path, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> tuple[io.StringIO, Any]:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    set_up_logging(make_settings(folder, **settings))
    return stream, structlog.stdlib.get_logger("resetsvc.some_part")


def test_an_event_is_one_line_of_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stream, log = told(tmp_path, monkeypatch, log_format="json")
    log.info("letter attempt", letter="0123", code=250)
    event = json.loads(stream.getvalue())
    assert event.pop("timestamp").endswith("Z")
    assert event == {
        "event": "letter attempt",
        "level": "info",
        "logger": "resetsvc.some_part",
        "letter": "0123",
        "code": 250,
    }


def test_what_is_no_json_is_told_as_python_tells_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stream, log = told(tmp_path, monkeypatch, log_format="json")
    log.info("look", path=Path("/a/b"))
    assert "/a/b" in json.loads(stream.getvalue())["path"]


@pytest.mark.parametrize("form", ["json", "console"])
def test_the_level_of_the_settings_holds_for_our_events_and_for_those_of_libraries(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream, log = told(tmp_path, monkeypatch, log_format=form, log_level="warning")
    log.debug("no")
    log.info("no")
    log.warning("ours")
    logging.getLogger("a library").info("no")
    logging.getLogger("a library").warning("theirs")
    lines = stream.getvalue().splitlines()
    assert len(lines) == 2
    assert "ours" in lines[0]
    assert "theirs" in lines[1]


def test_an_error_is_told_with_its_traceback_in_the_same_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream, log = told(tmp_path, monkeypatch, log_format="json")
    try:
        raise ValueError("broken")
    except ValueError:
        log.exception("unexpected error")
    (line,) = stream.getvalue().splitlines()
    event = json.loads(line)
    assert event["level"] == "error"
    assert "ValueError: broken" in event["exception"]


class Full(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


@pytest.mark.parametrize("make", [Full, lambda: closed()])
def test_a_line_that_cannot_be_written_harms_nobody(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", make())
    Lines("resetsvc").info("a line")


def closed() -> io.StringIO:
    stream = io.StringIO()
    stream.close()
    return stream


@pytest.mark.parametrize("form", ["json", "console"])
def test_text_from_outside_begins_no_line_and_moves_no_cursor(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is written into an event, it stays one event (ASVS 16.4.1)."""
    stream, log = told(tmp_path, monkeypatch, log_format=form)
    log.info("letter attempt", reply=HOSTILE)
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
