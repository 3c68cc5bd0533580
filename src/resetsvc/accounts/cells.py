"""What a column of another application's table holds, whichever way its driver hands it over. Pure."""

from resetsvc.accounts.place import Kind

_FALSE = {"", "f", "false", "n", "no", "off"}


def text_of(value: object) -> str:
    """What a column holds, as text; empty for NULL."""
    if isinstance(value, bytes):  # MySQL, where a column's collation is a binary one
        return value.decode("utf-8", "replace")
    return "" if value is None else str(value)


def truth_of(value: object) -> bool:
    """Whether a column says yes. No: NULL, zero in any notation, and the words of `_FALSE`. All else is a yes."""
    if isinstance(value, bytes):
        # MySQL's BIT(1), or a text that is filled up with NULs: in its BINARY(3), or as PostgreSQL's "char".
        value = value.decode("latin-1").strip("\0")
    if isinstance(
        value, str
    ):  # PostgreSQL's numbers and bits come as text, and some keep a word in such a column
        return value.strip().lower().strip("+-0.") not in _FALSE
    return bool(value)


def can_be_kept(account_id: object, kind: Kind) -> bool:
    """Whether an id is one that a letter can keep as text, and the account is found by afterwards.

    Binary ids are none, such as UUIDs of 16 bytes. Text that comes as bytes is found by text in MySQL alone. No letter
    can keep a NUL on PostgreSQL: all that were claimed with it would wait.
    """
    if isinstance(account_id, bytes) and kind is not Kind.MYSQL:
        return False
    written = text_of(account_id)
    return "\ufffd" not in written and "\0" not in written
