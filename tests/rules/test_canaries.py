"""Private and undocumented parts of libraries that we lean on: when one of these fails, a library changed underneath."""

import hashlib
import importlib.metadata
import inspect
import threading
import tomllib
from pathlib import Path
from typing import Any, cast

import aiosmtplib
import aiosqlite
import h11
import hypercorn.asyncio.run
import pytest
import sqlalchemy
from databases import Database
from hypercorn.asyncio import serve
from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.config import Config
from hypercorn.protocol import ProtocolWrapper
from hypercorn.protocol.http_stream import ASGIHTTPState, HTTPStream
from hypercorn.utils import LifespanFailureError
from itsdangerous import TimestampSigner
from limits import parse
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from packaging.requirements import Requirement
from quart import Quart, current_app, request
from werkzeug.datastructures import Headers

from resetsvc import server
from resetsvc.errors import SetupError
from resetsvc.limits import CalmMemoryStorage
from resetsvc.store.sqlite import DurableConnection, open_sqlite
from tests.rules.source import ROOT
from tests.support.relay_on_order import RelayOnOrder


def requirement(name: str) -> Requirement:
    table = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    wanted = [Requirement(text) for text in table["project"]["dependencies"]]
    return next(found for found in wanted if found.name == name)


@pytest.mark.parametrize(
    "name", ["databases", "sqlalchemy", "limits", "aiosmtplib", "hypercorn", "itsdangerous"]
)
def test_what_is_installed_is_in_the_range_that_is_pinned(name: str) -> None:
    pinned = requirement(name)
    assert any(bound.operator == "<" for bound in pinned.specifier), (
        "an upper bound, since private parts are used"
    )
    assert importlib.metadata.version(name) in pinned.specifier


async def test_databases_works_on_this_sqlalchemy_and_gives_the_driver_itself(tmp_path: Path) -> None:
    """`databases` calls private parts of SQLAlchemy; we take its raw connection and our own pragmas with `factory`."""
    assert sqlalchemy.__version__ in requirement("sqlalchemy").specifier
    database = open_sqlite(f"sqlite:///{tmp_path / 'canary.db'}")
    async with database.connection() as connection:
        assert isinstance(connection.raw_connection, aiosqlite.Connection)
        assert isinstance(connection.raw_connection._conn, DurableConnection)
        raw = connection.raw_connection
        assert await raw._execute(lambda: threading.current_thread()) is not threading.main_thread()  # type: ignore[no-untyped-call]
        await connection.execute("CREATE TABLE t (a)")
        await connection.execute("INSERT INTO t VALUES (:a)", {"a": 7})
        row = await connection.fetch_one("SELECT a FROM t WHERE a = :a", {"a": 7})
        assert row is not None
        assert row["a"] == 7
        pragmas = {
            name: [value[0] for value in await connection.raw_connection.execute_fetchall(f"PRAGMA {name}")]
            for name in ("journal_mode", "synchronous", "secure_delete", "foreign_keys")
        }
    assert pragmas == {"journal_mode": ["wal"], "synchronous": [2], "secure_delete": [1], "foreign_keys": [1]}


def test_databases_knows_nothing_better_than_what_we_use_of_it() -> None:
    assert importlib.metadata.version("databases").startswith("0.9."), "is SqliteConnection still needed?"
    assert "factory" not in inspect.signature(Database.__init__).parameters, (
        "there is a public way now: use it"
    )


async def test_the_limits_package_still_looks_through_everything_at_each_request() -> None:
    """CalmMemoryStorage overrides a private method by its mangled name. Renamed, it would override nothing and say nothing."""
    name = "_MemoryStorage__schedule_expiry"
    assert name in vars(MemoryStorage), "the package's method has another name now"
    assert name in vars(CalmMemoryStorage)

    class Counting(CalmMemoryStorage):
        asked = 0
        looked = 0

        async def _MemoryStorage__schedule_expiry(self) -> None:  # noqa: N802 -- the name that Python gives the package's private method
            self.asked += 1
            before = self._looked_through_at
            await super()._MemoryStorage__schedule_expiry()
            self.looked += self._looked_through_at != before

    storage = Counting()
    window = SlidingWindowCounterRateLimiter(storage)
    for _ in range(20):
        assert await window.hit(parse("100/minute"), "ask", "192.0.2.1")
    assert storage.asked >= 20, (
        "the package no longer calls it for each request: is CalmMemoryStorage still needed?"
    )
    assert storage.looked == 1, "once a second, not after every request"


async def test_the_limits_package_forgets_old_clients_all_the_same() -> None:
    storage = CalmMemoryStorage()
    window = SlidingWindowCounterRateLimiter(storage)
    await window.hit(parse("1/second"), "ask", "192.0.2.1")
    assert storage.expirations
    for key in storage.expirations:
        storage.expirations[key] = 0.0  # long ago
    storage._looked_through_at = float("-inf")
    await window.hit(parse("1/second"), "ask", "192.0.2.2")
    assert storage.timer is not None
    await storage.timer
    assert not [key for key in storage.expirations if "192.0.2.1" in key]


async def test_aiosmtplib_hands_its_transport_over_between_two_commands() -> None:
    async with RelayOnOrder() as relay:
        client = aiosmtplib.SMTP(
            hostname="127.0.0.1", port=relay.port, local_hostname="me.test", start_tls=False, timeout=5
        )
        await client.connect()
        assert client.transport is not None
        assert hasattr(client.transport, "set_protocol")
        needed_before = bool(client.is_ehlo_or_helo_needed)
        await client.ehlo()
        assert (needed_before, bool(client.is_ehlo_or_helo_needed)) == (True, False)
        assert client.supports_extension("pipelining") is True
        assert client.supports_extension("no-such-thing") is False
        client.close()


async def test_aiosmtplib_logs_in_by_our_own_login() -> None:
    for name in ("auth_crammd5", "auth_plain", "auth_login", "_ehlo_or_helo_if_needed"):
        assert inspect.iscoroutinefunction(getattr(aiosmtplib.SMTP, name)), name
    asked: list[tuple[object, object]] = []

    class Asking(aiosmtplib.SMTP):
        async def login(
            self, username: str | bytes, password: str | bytes, /, timeout: object = None
        ) -> aiosmtplib.SMTPResponse:
            asked.append((username, password))
            await self._ehlo_or_helo_if_needed()
            assert "plain" in self.supported_auth_methods
            return await self.auth_plain(username, password)

    async with RelayOnOrder(credentials=("ann", "a word")) as relay:
        client = Asking(
            hostname="127.0.0.1",
            port=relay.port,
            local_hostname="me.test",
            start_tls=False,
            username="ann",
            password="a word",
            timeout=5,
        )
        await client.connect()
        client.close()
    assert asked == [("ann", "a word")]


def test_hypercorns_lifespan_error_has_the_form_that_a_reason_is_read_from() -> None:
    assert (
        str(LifespanFailureError("startup", "it's a reason"))
        == "Lifespan failure in startup. 'it's a reason'"
    )


async def test_a_reason_not_to_start_comes_out_of_hypercorn_word_for_word() -> None:
    reason = "the database '/x' cannot be used: it's full"
    app = Quart("canary")
    app.log_exception = lambda *_: None  # type: ignore[method-assign]  # quiet, as App in resetsvc.app is

    @app.before_serving
    async def fail() -> None:
        raise SetupError(reason)

    config = server.read_config(None)
    config.bind = ["127.0.0.1:0"]

    async def never() -> None:
        raise AssertionError("it did not start, so nobody waits for its end")

    with pytest.raises(SetupError) as caught:
        await server.serve_app(app, config, never)
    assert str(caught.value) == reason


def test_hypercorn_has_what_the_server_is_set_up_with() -> None:
    for name in ("bind", "insecure_bind", "quic_bind", "workers", "accesslog", "errorlog", "backlog"):
        assert hasattr(Config, name), name
    for name in ("create_sockets", "create_ssl_context", "from_mapping"):
        assert callable(getattr(Config, name)), name
    assert "shutdown_trigger" in inspect.signature(serve).parameters


def test_hypercorn_takes_sockets_that_are_open_already() -> None:
    config = server.read_config(None)
    config.bind = ["127.0.0.1:0"]
    (address,) = server.listen(config)
    assert address != "127.0.0.1:0"
    (bind,) = config.bind
    assert bind.startswith("fd://")
    assert server.listen(config) == [address], "what was taken stays taken"
    sockets = config.create_sockets()
    assert sockets.insecure_sockets[0].getsockname()[1] == int(address.rpartition(":")[2])
    sockets.insecure_sockets[0].close()


def test_itsdangerous_asks_our_signer_for_its_keys() -> None:
    """The derived keys are kept: signing has to go through `derive_key`, for each key that verifies."""
    asked: list[str | bytes | None] = []

    class Asking(TimestampSigner):
        def derive_key(self, secret_key: str | bytes | None = None) -> bytes:
            asked.append(secret_key)
            return super().derive_key(secret_key)

    signer = Asking(["old" * 9, "new" * 9], salt=b"s", key_derivation="hmac", digest_method=hashlib.sha256)
    token = signer.sign("x")
    assert asked, "signing no longer asks derive_key"
    before = len(asked)
    assert signer.unsign(token) == b"x"
    assert len(asked) > before, "reading no longer asks derive_key"
    assert signer.secret_keys == [b"old" * 9, b"new" * 9], (
        "oldest first, as bytes: what the kept keys are found by"
    )


def test_hypercorn_looks_its_protocols_up_where_we_put_ours() -> None:
    """`PlainHttp1` and `Http2` take the places of names in a module of hypercorn: there is no setting for it."""
    for name in ("H11Protocol", "H2Protocol"):
        assert name in ProtocolWrapper.__init__.__code__.co_names
        assert name in ProtocolWrapper.__init__.__globals__


def test_hypercorn_looks_its_connections_up_where_we_put_ours() -> None:
    """`Connection` takes the place of a name in another; and what it leaves out is what hypercorn does at those times."""
    (callback,) = (
        code
        for code in hypercorn.asyncio.run.worker_serve.__code__.co_consts
        if getattr(code, "co_name", "") == "_server_callback"
    )
    assert "TCPServer" in callback.co_names
    code = [method.__code__ for method in vars(TCPServer).values() if inspect.isfunction(method)]
    names = {name for one in code for name in one.co_names}
    assert {"idle_task", "restart", "stop", "_idle_timeout", "_initiate_server_close"} <= names


def test_h11_can_be_told_of_an_answer_that_it_has_not_made() -> None:
    """`PlainHttp1` makes most answers itself; h11 goes on reading, and says whether another request may come."""
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert isinstance(connection.next_event(), h11.Request)
    assert isinstance(connection.next_event(), h11.EndOfMessage)
    assert connection._request_method == b"GET"
    assert connection._cstate.keep_alive is True
    connection._cstate.process_event(h11.SERVER, h11.Response)
    connection._cstate.process_event(h11.SERVER, h11.EndOfMessage)
    assert (connection.our_state, connection.their_state) == (h11.DONE, h11.DONE)
    connection.start_next_cycle()
    assert (connection.our_state, connection.their_state) == (h11.IDLE, h11.IDLE)
    connection.receive_data(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert isinstance(connection.next_event(), h11.Request)
    assert connection._cstate.keep_alive is False


def test_h11_can_be_told_that_an_answer_is_the_last_one() -> None:
    connection = h11.Connection(h11.SERVER)
    connection._cstate.process_keep_alive_disabled()
    assert connection._cstate.keep_alive is False


def test_hypercorns_stream_is_told_what_ours_leaves_out() -> None:
    """`Exchange` ends as `HTTPStream._send_closed` does, and goes by the same states."""
    names = set(HTTPStream._send_closed.__code__.co_names)
    assert {"EndBody", "state", "ASGIHTTPState", "CLOSED", "log", "access", "StreamClosed"} <= names
    assert {"REQUEST", "RESPONSE", "CLOSED"} <= set(ASGIHTTPState.__members__)


def test_werkzeug_keeps_headers_in_a_list_of_pairs() -> None:
    """`OneTask` puts those of a request there, all at once."""
    headers = Headers([("A", "b")])
    assert headers._list == [("A", "b")]
    headers._list = [("C", "d"), ("C", "e")]
    assert (headers.get("c"), headers.getlist("c"), "a" in headers) == ("d", ["d", "e"], False)


def test_werkzeugs_names_for_the_current_one_of_something_tell_it() -> None:
    """`asked` and `parts` ask `request` and `current_app` for it once, and not for each thing that they want of it."""
    for name in (request, current_app):
        assert callable(cast(Any, name)._get_current_object)
        with pytest.raises(RuntimeError, match="Not within"):
            cast(Any, name)._get_current_object()
