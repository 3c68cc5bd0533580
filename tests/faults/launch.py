"""`resetsvc serve` with what no setting offers: another lease, a deadline of seconds, one part broken.

python -m tests.faults.launch --bind 127.0.0.1:8000 --lease 2 --deadline 3 --mutant no-lease
"""

import click
import structlog

from resetsvc import server
from resetsvc.app import Service, create_app
from resetsvc.logs import set_up_logging
from resetsvc.settings import load_settings
from tests.faults.mutants import MUTANTS, Mutant

log = structlog.stdlib.get_logger("resetsvc")


@click.command()
@click.option("--bind", required=True)
@click.option("--lease", type=float)
@click.option("--deadline", type=float)
@click.option("--mutant", type=click.Choice(sorted(MUTANTS)))
def launch(bind: str, lease: float | None, deadline: float | None, mutant: str | None) -> None:
    broken = MUTANTS[mutant] if mutant else Mutant()
    settings = load_settings()
    if deadline is not None:
        settings = settings.model_copy(update={"delivery_deadline": deadline})
    settings = settings.model_copy(update=broken.settings)
    set_up_logging(settings)
    config = server.read_config(None)
    config.bind = [bind]

    async def main() -> None:
        stop = server.Stop()

        async def ready(service: Service) -> None:
            app.extensions["resetsvc"] = broken.parts_seen(service)
            server.freeze_garbage()
            log.info("serving", bind=config.bind)

        other_parts = {} if lease is None else {"lease": lease}
        app = create_app(settings, on_start=ready, **{**other_parts, **broken.parts(settings)})
        await server.serve_app(app, config, stop.wait)
        log.info("stopped")

    server.run(main())


if __name__ == "__main__":
    launch()
