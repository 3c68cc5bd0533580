"""`resetsvc dev`: the service, an SMTP catcher and the mailbox page, in one process on loopback, set up by itself."""

import asyncio
import json
import os
import secrets
import shutil
import socket
import sys
from pathlib import Path

import click
from hypercorn.config import Config

from resetsvc import server
from resetsvc.accounts.builtin import BuiltinAccounts
from resetsvc.app import create_app
from resetsvc.dev.catcher import catcher
from resetsvc.dev.caught_mails import CaughtMails
from resetsvc.dev.mailbox import create_mailbox
from resetsvc.errors import SetupError
from resetsvc.logs import set_up_logging
from resetsvc.service import Service
from resetsvc.settings import Settings, load_settings

HOST = "127.0.0.1"
CONFIG_NAME = "resetsvc.toml"
DEMO_ADDRESS = "demo@example.com"
DEMO_PASSWORD = "the demo account's first password"  # noqa: S105 -- made up, for a demo, and printed at the start


def run_dev(*, port: int, mailbox_port: int, smtp_port: int, data_dir: Path) -> None:
    """Run until a signal. SetupError if a port is taken, with the option that chooses another one."""
    ports = {"--port": port, "--mailbox-port": mailbox_port, "--smtp-port": smtp_port}
    listening = _listen(ports)
    data_dir.mkdir(parents=True, exist_ok=True)
    settings = _settings(data_dir, port, smtp_port)
    set_up_logging(settings)
    server.run(_main(settings, listening, data_dir))


async def _main(settings: Settings, listening: dict[str, socket.socket], data_dir: Path) -> None:
    stop = server.Stop()
    port, mailbox_port, smtp_port = (taken.getsockname()[1] for taken in listening.values())

    async def ready(service: Service) -> None:
        await _add_demo_account(service)
        _say_where(port, mailbox_port, smtp_port, data_dir)

    app = create_app(settings, on_start=ready)
    mails = await CaughtMails.open(data_dir / "mailbox")
    stop.also(mails.close)  # ends the event streams of open mailbox pages: the server waits for them
    listening["--smtp-port"].close()  # for the catcher, which opens its own
    async with catcher(mails, host=HOST, port=smtp_port):
        mailbox = create_mailbox(mails, service_url=f"http://{HOST}:{port}")
        serving = asyncio.create_task(
            server.serve_app(mailbox, _config(listening["--mailbox-port"]), stop.wait)
        )
        try:
            # The service ends first: its last letters still find the catcher.
            await server.serve_app(app, _config(listening["--port"]), stop.wait)
        finally:
            stop.now()
            await serving


def _settings(data_dir: Path, port: int, smtp_port: int) -> Settings:
    """The environment's settings, but for those that could reach beyond this machine or need somebody's choice."""
    own: dict[str, str | bool] = {
        "database_url": f"sqlite:///{data_dir.resolve() / 'resetsvc.db'}",
        "secret_key": _key(data_dir / "secret.key"),
        "public_url": f"http://{HOST}:{port}",
        "smtp_url": f"smtp://{HOST}:{smtp_port}?tls=none",
        "dispatch": True,
    }
    defaults = {
        "mail_from": "Resetsvc Demo <no-reply@example.com>",
        "product_name": "Resetsvc Demo",
        "log_format": "console",
        "login_url": f"http://{HOST}:{port}/reset-password",
    }
    given = {name for name in defaults if f"RESETSVC_{name.upper()}" in os.environ}
    own |= {name: value for name, value in defaults.items() if name not in given}
    # The demo account is in the built-in table, and nobody's real accounts are for a demo.
    settings = load_settings(**own, accounts=None, accounts_url=None, accounts_preset=None)
    _write_config(data_dir / CONFIG_NAME, own)
    return settings


def _write_config(path: Path, own: dict[str, str | bool]) -> None:
    """Leave the settings where `RESETSVC_CONFIG` can name them, so that every other command works on this data too.

    Written as JSON strings and booleans, which are TOML's as well.
    """
    lines = [f"{name} = {json.dumps(value)}\n" for name, value in own.items()]
    with os.fdopen(
        os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "w", encoding="utf-8"
    ) as file:
        os.fchmod(file.fileno(), 0o600)  # one that was there kept its mode
        file.write("# Written by `resetsvc dev` at each start.\n" + "".join(lines))


def _key(path: Path) -> str:
    """The key of this data folder, made at the first start: links go on working over a restart."""
    try:
        with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(32) + "\n")
    except FileExistsError:
        pass
    return path.read_text("utf-8").strip()


def _config(listening: socket.socket) -> Config:
    config = server.read_config(None)
    config.bind = [f"fd://{listening.detach()}"]
    return config


async def _add_demo_account(service: Service) -> None:
    assert isinstance(service.accounts, BuiltinAccounts)
    await service.accounts.add(DEMO_ADDRESS, DEMO_PASSWORD)


def _listen(ports: dict[str, int]) -> dict[str, socket.socket]:
    """Take all ports before anything starts: an address that is opened as soon as it is printed waits, and is not refused."""
    listening: dict[str, socket.socket] = {}
    chosen: dict[int, str] = {}
    try:
        for option, port in ports.items():
            if port in chosen:
                raise SetupError(f"{chosen[port]} and {option} are both {port}: choose two different ports")
            chosen[port] = option
            try:
                listening[option] = socket.create_server((HOST, port), backlog=128)
            except OSError as error:
                why = os.strerror(error.errno) if error.errno else str(error)
                raise SetupError(
                    f"port {port} on {HOST} is taken ({why}): choose another one with {option}"
                ) from error
    except SetupError:
        for taken in listening.values():
            taken.close()
        raise
    return listening


def _say_where(port: int, mailbox_port: int, smtp_port: int, data_dir: Path) -> None:
    command = "resetsvc" if shutil.which("resetsvc") else sys.argv[0]  # `make run` is not on the PATH
    if command.endswith("__main__.py"):  # started as `python -m resetsvc`
        command = f"{sys.executable} -m resetsvc"
    click.echo(
        f"""
resetsvc runs on this machine only. Open:

  Ask for a reset   http://{HOST}:{port}/reset-password
  Mailbox           http://{HOST}:{mailbox_port}/

  Demo account      {DEMO_ADDRESS} (password: {DEMO_PASSWORD})
  SMTP catcher      {HOST}:{smtp_port}
  Kept in           {data_dir}/
  Other commands    RESETSVC_CONFIG={data_dir / CONFIG_NAME} {command} letters list

Ctrl+C stops it.
"""
    )
