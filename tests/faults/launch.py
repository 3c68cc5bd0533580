"""`resetsvc serve` with what no setting offers: another lease, a deadline of seconds, one part broken.

Without `--bind` it is `resetsvc dispatch`.

python -m tests.faults.launch --bind 127.0.0.1:8000 --lease 2 --deadline 3 --mutant no-lease
"""

import click
import structlog

from resetsvc import server
from resetsvc.app import create_app
from resetsvc.logs import set_up_logging
from resetsvc.service import Service, open_service
from resetsvc.settings import load_settings
from tests.faults.mutants import MUTANTS, Mutant

log = structlog.stdlib.get_logger("resetsvc")


@click.command()
@click.option("--bind")
@click.option("--lease", type=float)
@click.option("--deadline", type=float)
@click.option("--mutant", type=click.Choice(sorted(MUTANTS)))
def launch(bind: str | None, lease: float | None, deadline: float | None, mutant: str | None) -> None:
    broken = MUTANTS[mutant] if mutant else Mutant()
    settings = load_settings() if bind else load_settings(dispatch=True)
    if deadline is not None:
        settings = settings.model_copy(update={"delivery_deadline": deadline})
    settings = settings.model_copy(update=broken.settings)
    set_up_logging(settings)
    other_parts = {**({} if lease is None else {"lease": lease}), **broken.parts(settings)}

    async def serve(address: str) -> None:
        stop = server.Stop()
        config = server.read_config(None)
        config.bind = [address]

        async def ready(service: Service) -> None:
            app.extensions["resetsvc"] = broken.parts_seen(service)
            server.freeze_garbage()
            log.info("serving", bind=config.bind)

        app = create_app(settings, on_start=ready, **other_parts)
        await server.serve_app(app, config, stop.wait)
        log.info("stopped")

    async def dispatch() -> None:
        stop = server.Stop()
        async with open_service(settings, **other_parts):
            server.freeze_garbage()
            log.info("dispatching")
            await stop.wait()
        log.info("stopped")

    server.run(serve(bind) if bind else dispatch())


if __name__ == "__main__":
    launch()
