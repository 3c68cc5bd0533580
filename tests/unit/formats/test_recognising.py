"""What is stored for an account: which format it is of, and whether it is a password at all."""

import base64
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resetsvc.errors import PasswordRefused
from resetsvc.passwords.formats import FORMATS, format_named, recognise
from tests.unit.formats.vectors import LOW, PASSWORD, VECTORS


@pytest.mark.parametrize("name", sorted(set(FORMATS) - {"flask_security"}))
def test_what_is_written_is_recognised_by_its_name(name: str) -> None:
    assert recognise(format_named(name, **LOW[name]).hash(PASSWORD)) == name


def test_flask_securitys_hash_is_called_by_what_is_inside() -> None:
    """Nothing in it tells that the password went through an HMAC first."""
    assert recognise(format_named("flask_security", **LOW["flask_security"]).hash(PASSWORD)) == "argon2id"


UNUSABLE = [
    None,
    "",
    " ",
    "!",
    "!MjVk2sGtjqMnLiq2cxhfPyqhDAalN6NShWqlqB0Y",  # Django's set_unusable_password
    "*",
    "*0",
    "!!",
    "x",
    "unusable",
    "NULL",
    # Formats that are not read here.
    "pbkdf2_sha1$1000000$x45ojRbf4ByHdvM0QF2ksl$MzGVI1cL/s59HryEqsqpn6qb3qs=",
    "md5$RD33FEBDbY8fotGzh3Nx1g$b37dce0cd8d21f3fc74ece6c212fd9e1",
    "5f4dcc3b5aa765d61d8327deb882cf99",
    "{SSHA}0c0blFTXXNuAMHECS4uxrj3ZieMoWImr",
    "$1$abcdefgh$irWbblnpmw.5z7wgBnprh0",
    "$6$saltsalt$" + "a" * 86,
    "$2x$04$" + "a" * 53,
    "$2b$03$" + "a" * 53,
    "$2b$32$" + "a" * 53,
    "$H$9" + "a" * 30,
    "$P$4" + "a" * 30,
    "plain text that somebody stored",
]


@pytest.mark.parametrize("stored", UNUSABLE)
def test_what_is_no_password_that_can_be_read_has_no_name_and_verifies_nothing(stored: str | None) -> None:
    assert recognise(stored) is None
    for name in FORMATS:
        form = format_named(name, **LOW[name])
        assert stored is None or not form.recognises(stored)
        for password in ("", PASSWORD, stored or ""):
            assert not form.verify(stored or "", password)


@pytest.mark.parametrize("name", FORMATS)
def test_no_format_takes_the_hash_of_another_for_its_own(name: str) -> None:
    # WordPress and Flask-Security read plain ones, too.
    also = {
        "wordpress": {"bcrypt", "argon2id", "flask_security"},
        "flask_security": {"bcrypt", "argon2id", "wordpress"},
        "argon2id": {"flask_security"},
        "bcrypt": {"flask_security", "wordpress"},
    }
    form = format_named(name, **LOW[name])
    for vector in VECTORS.values():
        if vector.format != name and vector.format not in also.get(name, set()):
            assert not form.recognises(vector.stored)
            assert not form.verify(vector.stored, vector.password)


def identity(version: int, digest: int, length: int, rest: int) -> str:
    """A hash of ASP.NET Core Identity that says what it likes of itself."""
    return base64.b64encode(struct.pack(">BIII", version, digest, 1000, length) + bytes(rest)).decode()


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        ("aspnet_identity_v3", identity(1, 3, 16, 48)),  # a digest that there is not
        ("aspnet_identity_v3", identity(1, 2**32 - 1, 16, 48)),
        ("aspnet_identity_v3", identity(1, 2, 15, 48)),  # too little salt
        ("aspnet_identity_v3", identity(1, 2, 16, 31)),  # too little key
        ("aspnet_identity_v3", identity(1, 2, 2**32 - 1, 48)),  # a salt beyond the end
        ("aspnet_identity_v3", identity(2, 2, 16, 48)),  # a version that there is not
        ("aspnet_identity_v3", identity(1, 2, 16, 48)[:-1]),
        ("aspnet_identity_v3", identity(1, 2, 16, 48).replace("A", "Ä")),
        ("aspnet_identity_v3", base64.b64encode(bytes(48)).decode()),
        ("aspnet_identity_v3", base64.b64encode(bytes(50)).decode()),
        ("aspnet_identity_v3", identity(1, 2, 400, 500)),
        # The key of one digest under the name of another, and half a key: a prefix of PBKDF2 is PBKDF2, too.
        ("werkzeug_pbkdf2", VECTORS["werkzeug pbkdf2, sha512"].stored[:-64]),
        ("werkzeug_pbkdf2", VECTORS["werkzeug pbkdf2"].stored.replace("sha256", "sha512")),
        ("flask_security", VECTORS["flask-security, pbkdf2_sha512"].stored[:-43]),
        ("flask_security", VECTORS["flask-security, pbkdf2_sha512"].stored.replace("sha512$", "sha256$")),
        # Bits in a salt that no bcrypt writes there.
        ("bcrypt", "$2b$04$" + "a" * 53),
        ("bcrypt", "$2b$04$" + "a" * 21 + "/" + "a" * 31),
        # Argon2 with a salt, then with a key, that does not come out even.
        ("argon2id", VECTORS["pwdlib"].stored.replace("QOlwpw$", "QOlwp$")),
        ("argon2id", VECTORS["pwdlib"].stored + "AA"),
    ],
)
def test_what_contradicts_itself_verifies_nothing(name: str, stored: str) -> None:
    assert not format_named(name, **LOW[name]).verify(stored, PASSWORD)


def bent(stored: str, draw: st.DrawFn) -> str:
    """A real hash with a piece of it cut out, doubled or replaced."""
    start = draw(st.integers(0, len(stored)))
    end = draw(st.integers(start, min(len(stored), start + 12)))
    piece = draw(st.one_of(st.text(max_size=4), st.text("$:,=./+0123456789", max_size=4)))
    return stored[:start] + piece + stored[end:]


@st.composite
def malformed(draw: st.DrawFn) -> str:
    vector = draw(st.sampled_from(list(VECTORS.values())))
    stored = bent(vector.stored, draw)
    return stored if draw(st.booleans()) else bent(stored, draw)


FORMS = {name: format_named(name, **LOW[name]) for name in FORMATS}


@pytest.mark.parametrize("name", FORMATS)
@settings(deadline=None, derandomize=True, max_examples=120, database=None)
@given(stored=st.one_of(st.text(max_size=120), malformed(), st.text("$argon2idbcryptwp:=,.059", max_size=80)))
def test_whatever_is_stored_nothing_is_raised_and_nothing_is_taken(name: str, stored: str) -> None:
    """The password is one that no hash here is of: True would be an open door."""
    form = FORMS[name]
    assert form.verify(stored, "no hash here is of this one") is False
    assert form.recognises(stored) in (True, False)
    assert recognise(stored) in (None, *FORMATS)


@pytest.mark.parametrize("name", FORMATS)
@settings(deadline=None, derandomize=True, max_examples=15, database=None)
@given(password=st.text(max_size=40))
def test_any_text_is_kept_whole_or_refused(name: str, password: str) -> None:
    form = FORMS[name]
    try:
        stored = form.hash(password)
    except PasswordRefused as refused:
        told = {reason.code for reason in refused.reasons}
        over, nul = len(password.encode()) > 72, "\0" in password
        assert name == "bcrypt", "nothing else has a limit that is as near"
        assert over or nul
        assert told == {"too_many_bytes" if over else "not_text"}
        return
    assert form.verify(stored, password)
    assert not form.verify(stored, password + "x")
    assert recognise(stored) is not None
