"""`serve`, `dispatch` and `dev`: what runs until it is stopped."""

from pathlib import Path

import click
import structlog

from resetsvc import server
from resetsvc.app import create_app
from resetsvc.errors import SetupError
from resetsvc.logs import set_up_logging
from resetsvc.service import Service, open_service
from resetsvc.settings import load_settings

log = structlog.stdlib.get_logger("resetsvc")

PORT = click.IntRange(1, 65535)


@click.command()
@click.option(
    "--bind", metavar="HOST:PORT", help="Where to listen, in place of the configuration file's `bind`."
)
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    default=None,
    help="hypercorn's configuration.  [default: hypercorn.toml, or the built-in one if there is none]",
)
def serve(bind: str | None, config: Path | None) -> None:
    """Run the service: hypercorn, the app, and the dispatcher unless RESETSVC_DISPATCH=false."""
    settings = load_settings()
    set_up_logging(settings)
    if config is None and Path("hypercorn.toml").is_file():
        config = Path("hypercorn.toml")
    server_config = server.read_config(config)
    if bind is not None:
        server_config.bind = [bind]
    addresses = server.listen(server_config)

    async def main() -> None:
        stop = server.Stop()
        stop.also(lambda: log.info("stopping"))

        async def ready(_: Service) -> None:
            server.freeze_garbage()
            log.info("serving", bind=addresses, dispatch=settings.dispatch)

        app = create_app(settings, on_start=ready)
        await server.serve_app(app, server_config, stop.wait)
        log.info("stopped")

    server.run(main())


@click.command()
def dispatch() -> None:
    """Run the dispatcher alone: it delivers what any number of `serve` processes have stored."""
    settings = load_settings(dispatch=True)
    set_up_logging(settings)

    async def main() -> None:
        stop = server.Stop()
        stop.also(lambda: log.info("stopping"))
        async with open_service(settings):
            server.freeze_garbage()
            log.info("dispatching")
            await stop.wait()
        log.info("stopped")

    server.run(main())


@click.command()
@click.option("--port", type=PORT, default=8000, show_default=True, help="Where the service listens.")
@click.option("--mailbox-port", type=PORT, default=8025, show_default=True, help="Where the mailbox page is.")
@click.option("--smtp-port", type=PORT, default=1025, show_default=True, help="Where mails are caught.")
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("var"),
    show_default=True,
    help="Where database, key and caught mails are kept.",
)
def dev(port: int, mailbox_port: int, smtp_port: int, data_dir: Path) -> None:
    """Run everything on this machine, with nothing configured.

    The service, a demo account, an SMTP catcher, and a mailbox page that shows what was caught. Loopback only.
    """
    try:
        from resetsvc.dev.run import run_dev
    except ModuleNotFoundError as error:
        raise SetupError(f"{error.name} is missing: pip install 'resetsvc[dev]'") from error
    run_dev(port=port, mailbox_port=mailbox_port, smtp_port=smtp_port, data_dir=data_dir)
