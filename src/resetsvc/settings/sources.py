"""Where settings come from: the environment, `.env`, the TOML file that RESETSVC_CONFIG names. Nobody else reads them."""

import contextlib
import os
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from pydantic_settings import BaseSettings, DotEnvSettingsSource

PREFIX = "RESETSVC_"


def config_file() -> str | None:
    return os.environ.get("RESETSVC_CONFIG")


def read_from(config: Path) -> None:
    """Let this process read its settings from a TOML file, as RESETSVC_CONFIG would."""
    os.environ["RESETSVC_CONFIG"] = str(config)


def names_in_environment() -> Collection[str]:
    return list(os.environ)


def read_dotenv(settings: type[BaseSettings]) -> Mapping[str, str | None]:
    """What stands in `.env`, by names in lower case; nothing where it cannot be read."""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        return DotEnvSettingsSource(settings, env_file=settings.model_config.get("env_file")).env_vars
    return {}


def read_config() -> Mapping[str, Any]:
    """What stands in the file that RESETSVC_CONFIG names; nothing where there is none, or none that can be read."""
    with contextlib.suppress(OSError, ValueError):  # also UnicodeDecodeError, TOMLDecodeError
        return tomllib.loads(Path(config_file() or "").read_text("utf-8"))
    return {}
