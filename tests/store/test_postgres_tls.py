"""TLS to PostgreSQL: with `sslmode=verify-full` nobody else is taken for the server, and that is said in one line."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from resetsvc.errors import DatabaseUnsuitable, DatabaseUnusable
from resetsvc.store.database import Store
from resetsvc.store.schema import REVISION, current_revision
from tests.support import postgres
from tests.support.certificates import CertificateKind
from tests.support.pgbouncer import tls_before


@pytest.fixture
def url() -> Iterator[str]:
    """On the tests' own server: one of somebody else's may be out of reach for a pooler."""
    server = postgres.own_server()
    postgres.run_sql(server.url(), "CREATE DATABASE encrypted")
    yield server.url("encrypted")
    postgres.run_sql(server.url(), "DROP DATABASE encrypted WITH (FORCE)")


async def test_schema_pool_and_news_go_over_tls_to_a_server_whose_certificate_is_in_order(url: str) -> None:
    async with tls_before(url, "good") as through:
        with pytest.raises(DatabaseUnusable, match="SSL required"):
            await Store(f"{through}&sslmode=disable").open()
        store = Store(f"{through}&sslmode=verify-full&pool_size=3")
        await store.migrate()
        await store.open()
        assert await store.read(current_revision) == REVISION
        heard = asyncio.Event()
        await store.listen(heard.set)
        async with asyncio.timeout(10):
            await heard.wait()
            heard.clear()
            store.announce()
            await heard.wait()
        await store.close()


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("expired", "certificate has expired"),
        ("wrong name", "IP address mismatch"),
        ("unknown CA", "unable to get local issuer certificate"),
    ],
)
async def test_a_certificate_that_is_not_in_order_is_told_and_no_password_is_sent(
    kind: CertificateKind, told: str, url: str
) -> None:
    async with tls_before(url, kind) as through:
        for work in (
            Store(f"{through}&sslmode=verify-full").open,
            Store(f"{through}&sslmode=verify-full").migrate,
        ):
            with pytest.raises(DatabaseUnsuitable, match=told) as refused:
                await work()
            assert "hunter2" not in str(refused.value)
            assert "\n" not in str(refused.value)


@pytest.mark.parametrize("sslmode", ["require", "verify-full"])
async def test_a_server_without_tls_is_refused_where_tls_is_asked_for(sslmode: str, url: str) -> None:
    async with tls_before(url, None) as through:
        with pytest.raises(DatabaseUnsuitable, match="rejected SSL upgrade") as refused:
            await Store(f"{through}&sslmode={sslmode}").open()
        assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("content", [None, "no certificate"], ids=["missing", "wrong"])
async def test_an_authority_whose_file_is_missing_or_wrong_is_told(
    content: str | None, url: str, tmp_path: Path
) -> None:
    file = tmp_path / "authority.pem"
    if content is not None:
        file.write_text(content)
    async with tls_before(url, "good") as through:
        wrong = f"{through.partition('?')[0]}?sslmode=verify-full&sslrootcert={file}"
        for work in (Store(wrong).open, Store(wrong).migrate):
            with pytest.raises(DatabaseUnsuitable, match=r"sslrootcert=.*authority\.pem") as refused:
                await work()
            assert "hunter2" not in str(refused.value)
