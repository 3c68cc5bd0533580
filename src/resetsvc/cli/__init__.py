"""The command `resetsvc`. Every command that fails says why in one line, and exits with 2 for wrong use or settings."""

import logging
import sys
from collections.abc import Sequence
from typing import Any

import click

from resetsvc.cli.accounts import accounts
from resetsvc.cli.audit import audit
from resetsvc.cli.conform import conform
from resetsvc.cli.doctor import check
from resetsvc.cli.init import init
from resetsvc.cli.letters import letters
from resetsvc.cli.run import dev, dispatch, serve
from resetsvc.cli.selftest import selftest
from resetsvc.cli.setup import keygen, migrate
from resetsvc.errors import DatabaseUnsuitable, ResetError, SchemaOutdated, SchemaTooNew, WrongSettings
from resetsvc.version import __version__


class Commands(click.Group):
    """A group that tells every failure in one line on stderr, and by its exit code."""

    def main(self, args: Sequence[str] | None = None, *positional: Any, **extra: Any) -> Any:
        try:
            code = super().main(args, *positional, **{**extra, "standalone_mode": False})
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            code = error.exit_code
        except click.UsageError as error:
            command = error.ctx.command_path if error.ctx else "resetsvc"
            code = _say(f"{error.format_message()} (see `{command} --help`)", error.exit_code)
        except click.ClickException as error:
            code = _say(error.format_message(), error.exit_code)
        except click.Abort:
            code = _say("interrupted", 130)
        except (WrongSettings, DatabaseUnsuitable, SchemaOutdated, SchemaTooNew) as error:
            code = _say(str(error), 2)  # to start again changes nothing
        except (ResetError, OSError) as error:
            code = _say(str(error), 1)
        except Exception as error:
            logging.getLogger("resetsvc").debug("unexpected error", exc_info=True)
            code = _say(f"unexpected error ({type(error).__name__}): {error}", 1)
        sys.exit(code or 0)


def _say(failure: str, code: int) -> int:
    click.echo(f"resetsvc: {' '.join(failure.split())}", err=True)
    return code


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="resetsvc")
def main() -> None:
    """A password-reset service to put beside any user table.

    `resetsvc dev` needs no settings and shows everything on this machine. All other commands read the
    settings from RESETSVC_* variables, `.env`, or the TOML file that RESETSVC_CONFIG names.
    """


for command in (dev, init, serve, dispatch, migrate, accounts, letters, audit, check, keygen, selftest):
    main.add_command(command)
accounts.add_command(conform)
