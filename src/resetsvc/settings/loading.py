"""From the environment and files to settings, or to all that is wrong with them at once.

Problems are told by the name that the person typed, and without the value: it may be a secret.
"""

import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from resetsvc.accounts.mapping import WrongMapping
from resetsvc.errors import WrongSettings
from resetsvc.settings.keys import is_known_to_all
from resetsvc.settings.model import Settings
from resetsvc.settings.open_files import secrets_in_open_files
from resetsvc.settings.sources import PREFIX, config_file, names_in_environment, read_config, read_dotenv

# Read by `sources` or by the test suite, and no settings of the service.
_NOT_SETTINGS = {"RESETSVC_CONFIG"}
_NOT_SETTINGS_PREFIX = "RESETSVC_TEST_"


def load_settings(**overrides: object) -> Settings:
    """Read the settings from the environment, `.env` and the TOML file, or raise WrongSettings with all that is wrong.

    overrides -- settings by their names in lower case; they win over everything that is read
    """
    problems = _unknown_names()
    try:
        settings = Settings(**overrides)  # type: ignore[arg-type]  # pydantic checks them, by name
    except ValidationError as error:
        problems += [
            problem for found in error.errors(include_input=False) for problem in _problems_of(found)
        ]
    except (OSError, tomllib.TOMLDecodeError) as error:
        problems.append(f"RESETSVC_CONFIG cannot be read: {error}")
    except UnicodeDecodeError:
        problems.append(".env or the file named by RESETSVC_CONFIG is not UTF-8 text")
    else:
        problems += _unfit_together(settings)
    problems += secrets_in_open_files(Settings, overrides)
    if problems:
        raise WrongSettings(sorted(set(problems)))
    return settings


def _unknown_names() -> list[str]:
    """Names that look like settings and are none: most likely a typing error that would go unnoticed.

    What cannot be read has no names; loading says so.
    """
    known = {PREFIX + name.upper() for name in Settings.model_fields} | _NOT_SETTINGS
    dotenv = read_dotenv(Settings)
    found = dict.fromkeys(names_in_environment(), "the environment")
    found |= {name.upper(): ".env" for name in dotenv}
    problems = [
        f"{name} (in {where}) is no setting"
        for name, where in found.items()
        if name.upper().startswith(PREFIX)
        and name.upper() not in known
        and not name.upper().startswith(_NOT_SETTINGS_PREFIX)
    ]
    if "resetsvc_config" in {name.lower() for name in dotenv}:
        problems.append("RESETSVC_CONFIG (in .env) has to be set in the environment")
    config = config_file()
    if config and not Path(config).is_file():
        problems.append("RESETSVC_CONFIG names a file that does not exist")
    elif config:
        problems += [
            f"{name} (in the file named by RESETSVC_CONFIG) is no setting"
            for name in read_config()
            if name.lower() not in Settings.model_fields
        ]
    return problems


def _problems_of(found: Any) -> list[str]:
    wrong = found.get("ctx", {}).get("error")
    if isinstance(wrong, WrongMapping):
        return wrong.problems
    return [f"{PREFIX}{str(found['loc'][0]).upper()} {_sentence(found)}"]


def _sentence(found: Any) -> str:
    if found["type"] == "missing":
        return "is missing"
    if found["type"] == "value_error":
        return str(found["ctx"]["error"])
    return str(found["msg"][0].lower() + found["msg"][1:]).replace("input should", "should")


def _unfit_together(settings: Settings) -> list[str]:
    """What is wrong though each value is good by itself."""
    keys = {"SECRET_KEY": (settings.secret_key,), "SECRET_KEY_FALLBACKS": settings.secret_key_fallbacks}
    problems = [
        f"{PREFIX}{name} is the one that tests are run with, and public: `resetsvc keygen` makes a good one"
        for name, values in keys.items()
        if any(is_known_to_all(key) for key in values)
    ]
    if settings.events_url and not settings.events_secret:
        problems.append(
            f"{PREFIX}EVENTS_SECRET is missing: {PREFIX}EVENTS_URL is told nothing that is not signed"
        )
    return problems
