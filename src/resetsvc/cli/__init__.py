"""The command `resetsvc`. Every command that fails says why in one line, and exits with 2 for wrong use or settings."""

import logging
import sys
from typing import Any

import click

from resetsvc.cli.accounts import accounts
from resetsvc.cli.doctor import check
from resetsvc.cli.letters import letters
from resetsvc.cli.run import dev, dispatch, serve
from resetsvc.cli.setup import keygen, migrate
from resetsvc.errors import ResetError, WrongSettings
from resetsvc.version import __version__


class Commands(click.Group):
    """A group that turns our errors into one line on stderr and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except WrongSettings as error:
            click.echo(f"resetsvc: {error}", err=True)
            sys.exit(2)
        except (ResetError, OSError) as error:
            if isinstance(error, BrokenPipeError):
                raise
            click.echo(f"resetsvc: {error}", err=True)
            sys.exit(1)
        except Exception as error:
            if isinstance(error, click.ClickException | click.exceptions.Exit | click.Abort):
                raise
            logging.getLogger("resetsvc").debug("unexpected error", exc_info=True)
            click.echo(f"resetsvc: unexpected error ({type(error).__name__}): {error}", err=True)
            sys.exit(1)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="resetsvc")
def main() -> None:
    """A password-reset service to put beside any user table.

    `resetsvc dev` needs no settings and shows everything on this machine. All other commands read the
    settings from RESETSVC_* variables, `.env`, or the TOML file that RESETSVC_CONFIG names.
    """


for command in (dev, serve, dispatch, migrate, accounts, letters, check, keygen):
    main.add_command(command)
