"""How other applications keep their passwords: each format by its name, and the name of what is stored."""

import inspect
from collections.abc import Callable

from resetsvc.passwords.formats.argon2id import Argon2id
from resetsvc.passwords.formats.aspnet import AspNetIdentityV3
from resetsvc.passwords.formats.bcrypt_hash import Bcrypt
from resetsvc.passwords.formats.better_auth import BetterAuthScrypt
from resetsvc.passwords.formats.contract import Format
from resetsvc.passwords.formats.django import (
    DjangoArgon2,
    DjangoBcryptSha256,
    DjangoPbkdf2Sha256,
    DjangoScrypt,
)
from resetsvc.passwords.formats.flask_security import FlaskSecurity
from resetsvc.passwords.formats.werkzeug import WerkzeugPbkdf2, WerkzeugScrypt
from resetsvc.passwords.formats.wordpress import WordPress

__all__ = ["FORMATS", "Format", "format_named", "recognise"]

FORMATS: dict[str, Callable[..., Format]] = {
    "argon2id": Argon2id,
    "bcrypt": Bcrypt,
    "django_pbkdf2_sha256": DjangoPbkdf2Sha256,
    "django_argon2": DjangoArgon2,
    "django_bcrypt_sha256": DjangoBcryptSha256,
    "django_scrypt": DjangoScrypt,
    "werkzeug_scrypt": WerkzeugScrypt,
    "werkzeug_pbkdf2": WerkzeugPbkdf2,
    "better_auth_scrypt": BetterAuthScrypt,
    "wordpress": WordPress,
    "aspnet_identity_v3": AspNetIdentityV3,
    "flask_security": FlaskSecurity,
}


def format_named(name: str, /, **costs: object) -> Format:
    """Return a format; ValueError with a sentence for whoever wrote the configuration, without any value of it.

    costs -- by the names that docs/reference/hash_formats.md gives; what is left out is the application's default
    """
    if name not in FORMATS:
        raise ValueError(f"there is no hash format {name!r}; there are {', '.join(FORMATS)}")
    make = FORMATS[name]
    taken = list(inspect.signature(make).parameters)
    for cost in costs:
        if cost not in taken:
            raise ValueError(
                f"the hash format {name} has no {cost!r}; it has {', '.join(taken) or 'no costs'}"
            )
    try:
        return make(**costs)
    except ValueError as error:
        raise ValueError(f"the hash format {name}: {error}") from None


# To recognise a hash takes no key.
_NO_KEY = {"flask_security": {"password_salt": "none"}}
# In this order: what several can read is called by the plainest of them.
_READERS = [make(**_NO_KEY.get(name, {})) for name, make in FORMATS.items()]


def recognise(stored: str | None) -> str | None:
    """Return the name of the format that a stored hash is of; None if it is unknown, or no password at all.

    Nothing tells Flask-Security's double hash from the plain one inside: it is called by the name of that one.
    """
    if stored is None:
        return None
    return next((reader.name for reader in _READERS if reader.recognises(stored)), None)
