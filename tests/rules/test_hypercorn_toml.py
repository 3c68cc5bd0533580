"""hypercorn.toml holds what hypercorn knows, and the packaged copy is the one that people read."""

import tomllib
from pathlib import Path

import pytest
from hypercorn.config import Config

from resetsvc import server
from resetsvc.errors import WrongSettings
from tests.rules.source import PACKAGE, ROOT

FILES = [ROOT / "hypercorn.toml", PACKAGE / "hypercorn.toml"]


def test_both_copies_are_the_same_bytes() -> None:
    assert FILES[0].read_bytes() == FILES[1].read_bytes()


@pytest.mark.parametrize("path", FILES, ids=["root", "package"])
def test_only_keys_that_hypercorn_knows(path: Path) -> None:
    table = tomllib.loads(path.read_text("utf-8"))
    assert table
    assert not {name for name in table if not hasattr(Config(), name)}
    server.read_config(path)  # also their types


def test_it_keeps_the_promises_of_its_comments() -> None:
    config = Config.from_toml(str(FILES[0]))
    assert config.workers == 0, "in this process, with proper signals"
    assert config.accesslog is None, "the path of a request holds the token"
    assert config.include_server_header is False
    assert config.bind == ["127.0.0.1:8000"], "not open to the network unless somebody says so"
    assert 0 < config.graceful_timeout <= 30
    assert config.keep_alive_timeout <= 5, "slow headers are cut, and clients that left keep no descriptor"
    assert config.h11_max_incomplete_size <= 16384


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("bindd = 'x'", "bindd is no setting of hypercorn"),
        ("_bind = 'x'", "_bind is no setting of hypercorn"),
        ("create_sockets = 1", "create_sockets is no setting of hypercorn"),
        ("log = 'x'", "log is no setting of hypercorn"),
        ("[logging]\na = 1", "logging is no setting of hypercorn"),
        ("bind = 8000", "bind is not a list of texts"),
        ("bind = [8000]", "bind is not a list of texts"),
        ("workers = '1'", "workers is not a number"),
        ("workers = true", "workers is not a number"),
        ("include_server_header = 'no'", "include_server_header is not true or false"),
        ("workers = 2", "start `resetsvc serve` several times instead"),
        ("certfile = 'cert.pem'", "certfile and keyfile go together"),
        ("certfile = 'nowhere.pem'\nkeyfile = 'nowhere.pem'", "nowhere.pem with nowhere.pem cannot be used"),
        ("bind = [", "cannot be read"),
        ("bind = '\udcff'", "cannot be read"),
    ],
)
def test_what_is_wrong_is_named(text: str, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "hypercorn.toml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(WrongSettings) as caught:
        server.read_config(path)
    assert problem in str(caught.value)
    assert str(path) in str(caught.value)


def test_all_wrong_keys_are_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "hypercorn.toml"
    path.write_text("zeal = 1\nbind = 3\nbindd = 'x'\n")
    with pytest.raises(WrongSettings) as caught:
        server.read_config(path)
    assert len(caught.value.problems) == 3


def test_every_kind_of_key_can_be_set(tmp_path: Path) -> None:
    path = tmp_path / "hypercorn.toml"
    path.write_text(
        "bind = '127.0.0.1:1'\nworkers = 1\nbacklog = 5\nread_timeout = 3\nroot_path = '/x'\nverify_mode = 2\ngroup = 5\n"
    )
    config = server.read_config(path)
    assert config.bind == ["127.0.0.1:1"]
    assert (config.backlog, config.read_timeout, config.root_path) == (5, 3, "/x")
