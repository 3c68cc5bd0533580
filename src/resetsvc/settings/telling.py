"""What the audit trail may hold of a setting: no secret, and of a URL only where it leads."""

import re

from pydantic import BaseModel, SecretStr

from resetsvc.accounts.mapping import Mapping


def tell(value: object) -> object:
    match value:
        case SecretStr():
            return "set"
        case Mapping():
            return value.told()
        case BaseModel():
            return {"endpoint": tell(getattr(value, "url", None))}
        case tuple():
            return [tell(each) for each in value]
        case str() if "://" in value:
            scheme, _, rest = value.partition("://")
            # With a user or password in it, where those end is for others to find out.
            return f"{scheme}://{'…' if '@' in rest else re.split(r'[?#]', rest)[0]}"
        case str() | int() | float() | None:
            return value
        case _:
            return str(value)
