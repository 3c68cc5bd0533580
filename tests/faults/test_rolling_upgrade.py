"""A new version with another schema takes the old one's place while requests come in: none fails."""

import asyncio
import random
import shutil
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

from resetsvc.store.address import parse_address
from resetsvc.store.postgres import connect
from resetsvc.store.schema import REVISION
from tests.faults.ledgers import ANSWERED, REFUSED, UNKNOWN
from tests.faults.load import Load, Mix
from tests.faults.machine import KEY, Machine, Setup
from tests.faults.nodes import postgresql_and_redis, settings_of_nodes
from tests.faults.processes import ROOT, ServiceProcess, environment
from tests.faults.report import report
from tests.support.balancer import balancer

SOON = 60.0
TOMORROW = f"{int(REVISION) + 1:04}"
MIGRATION = f"""\
import sqlalchemy as sa
from alembic import op

revision = "{TOMORROW}"
down_revision = "{REVISION}"


def upgrade() -> None:
    op.add_column("letters", sa.Column("of_tomorrow", sa.Text()))
    op.add_column("accounts", sa.Column("of_tomorrow", sa.Integer(), nullable=False, server_default="1"))
    op.create_table("of_tomorrow", sa.Column("id", sa.Text(), primary_key=True))
"""


def make_new_version(folder: Path) -> Path:
    """The package as it is, but for one more migration. Returns what has to stand in PYTHONPATH."""
    package = folder / "resetsvc"
    shutil.copytree(ROOT / "src" / "resetsvc", package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "store/migrations/versions" / f"{TOMORROW}_of_tomorrow.py").write_text(MIGRATION)
    schema = package / "store/schema.py"
    told = schema.read_text().replace(f'REVISION = "{REVISION}"', f'REVISION = "{TOMORROW}"')
    assert told != schema.read_text()
    schema.write_text(told)
    return folder


async def test_a_migration_that_cannot_have_a_table_gives_way_before_a_request_fails(tmp_path: Path) -> None:
    """Somebody reads a table for hours, as a backup does. Whoever comes after a migration that waits would wait, too."""
    code = str(make_new_version(tmp_path / "new"))
    async with postgresql_and_redis(tmp_path) as (database, redis):
        setup = Setup(tmp_path, serving=1, known=20, settings=settings_of_nodes(redis))
        async with Machine(setup, database=database) as machine:
            backup = await connect(parse_address(database.url), server_settings={})
            async with machine.load(rate=60, changes=0.0) as load:
                await load.answers(20)
                await backup.execute("BEGIN; LOCK TABLE letters IN ACCESS SHARE MODE")
                migrating = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", "resetsvc", "migrate"),
                    env=environment({**machine.settings, "PYTHONPATH": code}),
                    cwd=tmp_path,
                    stderr=PIPE,
                )
                _, told = await migrating.communicate()
                await load.answers(20)
            await backup.close()
        revisions = database.rows("SELECT version_num FROM alembic_version")
    assert migrating.returncode == 1
    assert b"try again later" in told.splitlines()[-1]
    assert revisions == [{"version_num": REVISION}]
    assert load.counts.outcomes[ANSWERED] == load.counts.sent, load.counts.others


async def test_a_new_version_and_its_schema_come_while_requests_do(tmp_path: Path) -> None:
    """In the order of docs/how_to/use_postgresql.md."""
    code = str(make_new_version(tmp_path / "new"))
    async with postgresql_and_redis(tmp_path) as (database, redis), balancer() as door:
        setup = Setup(tmp_path, serving=2, dispatching=1, known=200, settings=settings_of_nodes(redis))
        async with Machine(setup, database=database) as machine:
            ports = machine.ports(2)
            settings = {**machine.settings, "PYTHONPATH": code}
            new = [
                ServiceProcess(
                    f"new-{port}",
                    ["resetsvc", "serve", "--bind", f"127.0.0.1:{port}"],
                    settings,
                    tmp_path,
                    port,
                )
                for port in ports
            ]
            new.append(ServiceProcess("new-dispatch", ["resetsvc", "dispatch"], settings, tmp_path, None))
            *serving, dispatching = machine.services
            for service in serving:
                assert service.port is not None
                door.put_in(service.port)
            mix = Mix(machine.addresses, rate=60, workers=8, changes=0.2, kept=0.0)
            try:
                async with Load(tmp_path, database, [door], mix, random.Random(3), KEY) as load:  # noqa: S311 -- repeatable
                    await load.answers(40)
                    migrating = await asyncio.create_subprocess_exec(
                        *(sys.executable, "-m", "resetsvc", "migrate"),
                        env=environment(settings),
                        cwd=tmp_path,
                    )
                    assert await migrating.wait() == 0
                    await load.answers(40)  # the old version on the new schema
                    for old, its_successor in zip((*serving, dispatching), new, strict=True):
                        await its_successor.start()
                        if old.port is not None and its_successor.port is not None:
                            door.put_in(its_successor.port)
                            await load.answers(20)
                            await door.take_out(old.port)
                        assert await old.stop() == 0
                    await load.answers(40)
                assert await machine.until(lambda: machine.undelivered() == 0, within=SOON)
                assert [await service.stop() for service in new] == [0, 0, 0]
            finally:
                for service in new:
                    await service.away()
        verdict = machine.verdict()
        revisions = database.rows("SELECT version_num FROM alembic_version")
    assert revisions == [{"version_num": TOMORROW}]
    assert all(door.handed_on[service.port or 0] >= 20 for service in (*serving, *new[:2]))
    assert load.counts.outcomes[ANSWERED] == load.counts.sent, load.counts.others
    assert load.counts.outcomes[REFUSED] == load.counts.outcomes[UNKNOWN] == 0
    assert verdict.good, report(verdict, as_json=False)
    assert verdict.figures["copies beyond the first"] == 0
