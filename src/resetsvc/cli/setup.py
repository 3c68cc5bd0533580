"""`keygen` and `migrate`: what is done once."""

import asyncio
import secrets

import click

from resetsvc.clock import Clock
from resetsvc.settings import load_settings
from resetsvc.store import schema
from resetsvc.store.database import Store
from resetsvc.trail import Trail


def new_key() -> str:
    """256 random bits."""
    return secrets.token_urlsafe(32)


@click.command()
def keygen() -> None:
    """Print a new secret key (256 random bits)."""
    click.echo(new_key())


@click.command()
def migrate() -> None:
    """Bring the database schema up to date.

    Safe to run twice, and from two machines at once.
    """
    settings = load_settings()

    async def work() -> None:
        store = Store(settings.database_url)
        await store.migrate()
        await store.open()
        try:
            trail = Trail(store, settings.keys, Clock())
            await store.unit(lambda unit: trail.record_schema(unit, schema.REVISION))
        finally:
            await store.close()

    asyncio.run(work())
    click.echo(f"The schema is at revision {schema.REVISION}.")
