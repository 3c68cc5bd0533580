"""What a hash format is: how one application keeps its passwords."""

from typing import Protocol


class Format(Protocol):
    """Writes and reads the hashes of one application, as that application itself does.

    name      -- what it is called in the configuration
    max_bytes -- how much of a password the format can keep, in octets of UTF-8; None: any that is let in
    """

    @property
    def name(self) -> str: ...

    @property
    def max_bytes(self) -> int | None: ...

    def hash(self, password: str) -> str:
        """Return what the application stores. PasswordRefused for what the format cannot keep whole.

        Slow on purpose: on the event loop, only by `resetsvc.passwords.hashing.Hasher`.
        """
        ...

    def verify(self, stored: str, password: str) -> bool:
        """Whether the application would take this password. False for what is malformed or dearer than the bounds."""
        ...

    def recognises(self, stored: str) -> bool:
        """Whether a stored text has a form that the application reads with this format. Hashes nothing."""
        ...
