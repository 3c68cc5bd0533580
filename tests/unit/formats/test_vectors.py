"""What each application wrote is read as that application reads it, and what is written here looks the same."""

import re

import pytest

from resetsvc.passwords.formats import FORMATS, format_named, recognise
from tests.unit.formats.vectors import LOW, ODD, PASSWORD, QUOTED, VECTORS, Vector

named = pytest.mark.parametrize("vector", VECTORS.values(), ids=VECTORS.keys())
every = pytest.mark.parametrize("name", FORMATS)


def test_every_format_has_a_hash_of_its_own_application() -> None:
    assert {vector.format for vector in VECTORS.values()} == set(FORMATS) == set(LOW)


@named
def test_a_hash_of_the_application_verifies_its_password_and_no_other(vector: Vector) -> None:
    form = format_named(vector.format, **vector.costs)
    assert form.verify(vector.stored, vector.password)
    # White space at the ends is nothing to WordPress.
    bare = vector.password.strip()
    for other in (bare.swapcase(), bare + "!", bare[1:], ""):
        assert not form.verify(vector.stored, other)


@named
def test_a_hash_of_the_application_is_recognised_by_name(vector: Vector) -> None:
    assert format_named(vector.format, **vector.costs).recognises(vector.stored)
    assert recognise(vector.stored) == (vector.called or vector.format)


@named
def test_a_hash_with_one_sign_changed_verifies_nothing(vector: Vector) -> None:
    form = format_named(vector.format, **vector.costs)
    # In the key; the last sign of a base64 may hold bits that nobody reads. A digit is a sign of every alphabet here.
    place = len(vector.stored) - 5
    changed = "0" if vector.stored[place] != "0" else "1"
    stored = vector.stored[:place] + changed + vector.stored[place + 1 :]
    assert stored != vector.stored
    assert form.recognises(stored)
    assert not form.verify(stored, vector.password)


@named
def test_a_hash_that_is_cut_or_longer_verifies_nothing(vector: Vector) -> None:
    form = format_named(vector.format, **vector.costs)
    for stored in (vector.stored[:-1], vector.stored + "A", vector.stored + "\n", " " + vector.stored):
        assert not form.verify(stored, vector.password)


@every
@pytest.mark.parametrize("password", [PASSWORD, ODD, QUOTED, "x" * 72, "emoji \U0001f680 & 猫が好き"])
def test_what_is_written_is_read_again(name: str, password: str) -> None:
    form = format_named(name, **LOW[name])
    stored = form.hash(password)
    assert form.verify(stored, password)
    assert not form.verify(stored, password.strip()[1:])
    assert form.recognises(stored)


@every
def test_a_format_is_called_as_it_is_asked_for(name: str) -> None:
    assert format_named(name, **LOW[name]).name == name


@every
def test_each_hash_has_a_salt_of_its_own(name: str) -> None:
    form = format_named(name, **LOW[name])
    assert form.hash(PASSWORD) != form.hash(PASSWORD)


# The form of the application's own hash, to the letter: the vector with its salt and key blotted out.
SHAPES = {
    "argon2id": r"\$argon2id\$v=19\$m=64,t=1,p=1\$[\w+/]{22}\$[\w+/]{43}",
    "bcrypt": r"\$2b\$04\$[./\w]{53}",
    "django_pbkdf2_sha256": r"pbkdf2_sha256\$1000\$[A-Za-z0-9]{22}\$[\w+/]{43}=",
    "django_argon2": r"argon2\$argon2id\$v=19\$m=64,t=1,p=2\$[\w+/]{30}\$[\w+/]{43}",
    "django_bcrypt_sha256": r"bcrypt_sha256\$\$2b\$04\$[./\w]{53}",
    "django_scrypt": r"scrypt\$64\$[A-Za-z0-9]{22}\$8\$5\$[\w+/]{86}==",
    "werkzeug_scrypt": r"scrypt:64:8:1\$[A-Za-z0-9]{16}\$[0-9a-f]{128}",
    "werkzeug_pbkdf2": r"pbkdf2:sha256:1000\$[A-Za-z0-9]{16}\$[0-9a-f]{64}",
    "better_auth_scrypt": r"[0-9a-f]{32}:[0-9a-f]{128}",
    "wordpress": r"\$wp\$2y\$04\$[./\w]{53}",
    "aspnet_identity_v3": r"AQAAAAIAAAPoAAAAE[\w+/]{65}==",
    "flask_security": r"\$argon2id\$v=19\$m=64,t=1,p=1\$[\w+/]{22}\$[\w+/]{43}",
}


@every
def test_what_is_written_has_the_form_of_the_application(name: str) -> None:
    assert re.fullmatch(SHAPES[name], format_named(name, **LOW[name]).hash(PASSWORD), re.ASCII)
