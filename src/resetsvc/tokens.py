"""Signed links: a letter's id and the second it was signed, nothing else. No storage and no rules in here.

A token is `<44 hex digits of the id>.<time>.<HMAC-SHA256>`. Whether its letter is still open is not for the
signature to say: that is in the database.
"""

import hashlib
import hmac
import re
from collections.abc import Sequence

from itsdangerous import BadSignature, TimestampSigner, base64_decode, base64_encode

from resetsvc.clock import Clock
from resetsvc.errors import LinkDoesNotWork
from resetsvc.letters import short_id

# One purpose, one derived key: a signature made for one is worthless for another (ASVS 9.2.2).
_RESET = b"resetsvc.reset-link.1"
_MESSAGE_ID = b"resetsvc.message-id.1"
_SHAPE = re.compile(r"[0-9a-f]{44}\.[A-Za-z0-9_-]{4,12}\.[A-Za-z0-9_-]{43}")
CLOCK_SKEW = 5  # seconds that another machine's clock may be ahead when it signs


class Tokens:
    """Signs and reads links. `keys` go from oldest to newest: the last one signs, all of them verify."""

    def __init__(self, keys: Sequence[str], lifetime: int, clock: Clock) -> None:
        self._lifetime = lifetime
        self._clock = clock
        self._signer = _ClockedSigner(keys, clock)
        self._message_id_key = hmac.digest(keys[-1].encode(), _MESSAGE_ID, "sha256")

    def sign(self, letter_id: str) -> str:
        """Return the token of a reset letter. It works for the configured lifetime from now."""
        return self._signer.sign(letter_id).decode("ascii")

    def read(self, token: str) -> str:
        """Return the letter's id, or raise LinkDoesNotWork for anything but a fresh token in the exact text it was given.

        The exact text: base64 lets several spellings stand for one signature, and whoever counts or blocks by
        token would otherwise see several tokens where there is one.
        """
        if not _SHAPE.fullmatch(token):
            raise LinkDoesNotWork
        try:
            letter_id, signed_at = self._signer.unsign(token, return_timestamp=True)
        except BadSignature:
            raise LinkDoesNotWork from None
        age = self._clock.now() - signed_at.timestamp()
        signature = token.rpartition(".")[2]
        if base64_encode(base64_decode(signature)).decode() != signature:
            raise LinkDoesNotWork
        if not -CLOCK_SKEW <= age < self._lifetime:
            raise LinkDoesNotWork(short_id(letter_id.decode("ascii")), "expired")
        return letter_id.decode("ascii")

    def message_id(self, letter_id: str) -> str:
        """Return the left half of a letter's Message-ID: the same for every copy, and no way back to the id."""
        return hmac.digest(self._message_id_key, letter_id.encode(), "sha256")[:16].hex()


class _ClockedSigner(TimestampSigner):
    """itsdangerous's signer on our clock, with its HMAC keys derived once instead of at every call."""

    def __init__(self, keys: Sequence[str], clock: Clock) -> None:
        super().__init__(list(keys), salt=_RESET, key_derivation="hmac", digest_method=hashlib.sha256)
        self._clock = clock
        self._derived = {key: super(_ClockedSigner, self).derive_key(key) for key in self.secret_keys}

    def derive_key(self, secret_key: str | bytes | None = None) -> bytes:
        key = self.secret_keys[-1] if secret_key is None else secret_key
        return self._derived[key if isinstance(key, bytes) else key.encode()]

    def get_timestamp(self) -> int:
        return int(self._clock.now())
