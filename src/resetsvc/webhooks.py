"""HTTP messages that are signed as Standard Webhooks 1.0.0 has it: id, time and body under HMAC-SHA-256.

Three headers: `webhook-id` names the message and stays the same when it is sent again, `webhook-timestamp` is when this
attempt was made, `webhook-signature` is `v1,` and the base64 of the HMAC of `id.timestamp.body`, once for each secret.
Pure functions of their arguments: no I/O, no clock.
"""

import base64
import binascii
import hmac
import re
from collections.abc import Mapping, Sequence

ID = "webhook-id"
TIMESTAMP = "webhook-timestamp"
SIGNATURE = "webhook-signature"

TOLERANCE = 300.0  # seconds that a message may be older or newer than the clock here
_PREFIX = "whsec_"
_FEWEST_BYTES, _MOST_BYTES = 24, 64  # of a secret, as the specification has it
# No full stop: it parts the id from what follows in what is signed.
_AN_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_A_TIME = re.compile(r"[0-9]{1,12}")


class NotGenuine(Exception):
    """Nobody who has the secret sent this, or not now. The text says which, and holds nothing of the message."""


def parse_secret(text: str) -> bytes:
    """Return the key in `whsec_…`; ValueError with a sentence that does not show it."""
    if not text.startswith(_PREFIX):
        raise ValueError(f"does not begin with {_PREFIX}")
    try:
        key = base64.b64decode(text.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"is not base64 after {_PREFIX}") from None
    if not _FEWEST_BYTES <= len(key) <= _MOST_BYTES:
        raise ValueError(f"has to hold {_FEWEST_BYTES} to {_MOST_BYTES} random bytes in base64")
    if len(set(key)) < _FEWEST_BYTES // 3:
        raise ValueError("repeats a few bytes, so it can be guessed")
    return key


class Secrets:
    """What both sides know. Several while one takes another's place: all of them sign, and any of them is believed."""

    def __init__(self, secrets: Sequence[str]) -> None:
        """Take `whsec_…` texts; ValueError if there is none or one is not of that form."""
        if not secrets:
            raise ValueError("needs at least one secret")
        self._keys = tuple(parse_secret(secret) for secret in secrets)

    def sign(self, message_id: str, body: bytes, now: float) -> dict[str, str]:
        """Return the three headers of a message."""
        if not _AN_ID.fullmatch(message_id):
            raise ValueError("the id of a message is letters, digits, _ and - alone")
        timestamp = str(int(now))
        return {
            ID: message_id,
            TIMESTAMP: timestamp,
            SIGNATURE: " ".join(_signature(key, message_id, timestamp, body) for key in self._keys),
        }

    def verify(self, headers: Mapping[str, str], body: bytes, *, message_id: str, now: float) -> None:
        """Raise NotGenuine unless this is the message of that id, signed within the last minutes.

        headers -- with names in any case, if the mapping itself takes them so; a header sent twice is no valid one
        """
        if headers.get(ID) != message_id:
            raise NotGenuine("the id is not the one that was expected")
        timestamp = headers.get(TIMESTAMP, "")
        if not _A_TIME.fullmatch(timestamp):
            raise NotGenuine("there is no timestamp")
        if abs(now - int(timestamp)) > TOLERANCE:
            raise NotGenuine("the timestamp is too far from the time here")
        given = [one.encode() for one in headers.get(SIGNATURE, "").split(" ")]
        expected = [_signature(key, message_id, timestamp, body).encode() for key in self._keys]
        # All are compared, whichever fits: how long it takes tells nothing.
        if not sum(hmac.compare_digest(mine, theirs) for mine in expected for theirs in given):
            raise NotGenuine("no signature fits")


def _signature(key: bytes, message_id: str, timestamp: str, body: bytes) -> str:
    signed = b".".join((message_id.encode(), timestamp.encode(), body))
    return "v1," + base64.b64encode(hmac.digest(key, signed, "sha256")).decode()
