"""`resetsvc serve` whose handler looks the account up: what the self-test has to convict.

python -m tests.selftest.launch --bind 127.0.0.1:8000
"""

import dataclasses
from typing import cast

import click

from resetsvc import server
from resetsvc.accounts import Accounts
from resetsvc.app import create_app
from resetsvc.clock import new_id
from resetsvc.intake import Intake
from resetsvc.logs import set_up_logging
from resetsvc.service import Service
from resetsvc.settings import load_settings


class IntakeWithCodes:
    """Also makes a one-time code for whoever has an account, and hashes it as carefully as a password.

    A mistake that is easily made: the hash is there, the code has to be stored, and it is needed for accounts only.
    """

    def __init__(self, intake: Intake, accounts: Accounts) -> None:
        self._intake = intake
        self._accounts = accounts

    async def accept(self, address: str, *, client: str, locale: str | None) -> str:
        if await self._accounts.find([address]):
            await self._accounts.seal(new_id())
        return await self._intake.accept(address, client=client, locale=locale)


@click.command()
@click.option("--bind", required=True)
def launch(bind: str) -> None:
    settings = load_settings()
    set_up_logging(settings)
    config = server.read_config(None)
    config.bind = [bind]

    async def main() -> None:
        stop = server.Stop()

        async def break_it(service: Service) -> None:
            intake = cast(Intake, IntakeWithCodes(service.parts.intake, service.accounts))
            app.extensions["resetsvc"] = dataclasses.replace(service.parts, intake=intake)

        app = create_app(settings, on_start=break_it)
        await server.serve_app(app, config, stop.wait)

    server.run(main())


if __name__ == "__main__":
    launch()
