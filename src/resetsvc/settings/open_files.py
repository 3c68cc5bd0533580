"""Secrets that stand in a file which others than its owner can read or write, and the way out."""

import os
import shlex
import stat
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import urlsplit

from pydantic_settings import BaseSettings

from resetsvc.accounts.mapping import SECRETS
from resetsvc.settings.sources import PREFIX, config_file, names_in_environment, read_config, read_dotenv

_MAY_HOLD_SECRETS = ("secret_key", "secret_key_fallbacks", "events_secret", "accounts_url", "accounts")


def secrets_in_open_files(settings: type[BaseSettings], given: Collection[str]) -> list[str]:
    """A sentence for each.

    given -- names of settings that come from neither the environment nor a file
    """
    environment = {name.lower() for name in names_in_environment()}
    dotenv = {
        name.lower().removeprefix(PREFIX.lower()): value for name, value in read_dotenv(settings).items()
    }
    # In the order in which they count.
    files: list[tuple[str, Mapping[str, Any]]] = [
        (str(settings.model_config.get("env_file")), dotenv),
        (config_file() or "", read_config()),
    ]
    problems = []
    for name in _MAY_HOLD_SECRETS:
        if name in given or f"{PREFIX}{name}".lower() in environment:
            continue
        file = next((file for file, found in files if name in found and _is_secret(name, found[name])), None)
        if file is not None and os.stat(file).st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            problems.append(
                f"{PREFIX}{name.upper()} stands in {file}, which others than its owner can read or write: "
                f"chmod 600 {shlex.quote(file)}"
            )
    return problems


def _is_secret(name: str, value: object) -> bool:
    """Whether a setting holds a secret at all: the address of a SQLite file is none."""
    if not name.startswith("accounts"):
        return True
    described = value if isinstance(value, dict) else {"url": value}
    url = str(described.get("url", ""))
    hashes = described.get("hash")
    return (
        _has_password(url)
        or "password=" in url
        or "secret" in described
        or (isinstance(hashes, dict) and any(name in hashes for name in SECRETS))
    )


def _has_password(url: str) -> bool:
    try:
        return bool(urlsplit(url).password)
    except ValueError:  # `https://[`: what cannot be read may hold one
        return True
