"""What is peculiar to one application: how it changes a password, and how much of one it takes. Nothing is ever cut."""

import pytest

from resetsvc.errors import PasswordRefused, Reason
from resetsvc.passwords.formats import FORMATS, format_named
from tests.unit.formats.vectors import LONG, LOW, ODD, PASSWORD, PEPPER, SALT, VECTORS

every = pytest.mark.parametrize("name", FORMATS)
COMPOSED, TAKEN_APART = "caf\u00e9 au lait pour deux", "cafe\u0301 au lait pour deux"
LIGATURE, LETTERS = "\ufb01sh in the water", "fish in the water"


def refusal(name: str, password: str, **costs: object) -> tuple[Reason, ...]:
    with pytest.raises(PasswordRefused) as refused:
        format_named(name, **(LOW[name] | costs)).hash(password)
    return refused.value.reasons


def takes(name: str, chosen: str, typed: str, **costs: object) -> bool:
    form = format_named(name, **(LOW[name] | costs))
    return form.verify(form.hash(chosen), typed)


@pytest.mark.parametrize("name", sorted(set(FORMATS) - {"better_auth_scrypt", "flask_security"}))
def test_most_applications_take_a_password_as_it_was_typed(name: str) -> None:
    assert not takes(name, COMPOSED, TAKEN_APART)
    assert not takes(name, LIGATURE, LETTERS)


@pytest.mark.parametrize("name", ["better_auth_scrypt", "flask_security"])
def test_those_that_normalise_take_what_looks_alike(name: str) -> None:
    assert takes(name, COMPOSED, TAKEN_APART)
    assert takes(name, LIGATURE, LETTERS)


def test_flask_security_normalises_as_it_is_told() -> None:
    assert takes("flask_security", COMPOSED, TAKEN_APART, normalize="NFC")
    assert not takes("flask_security", LIGATURE, LETTERS, normalize="NFC")
    assert not takes("flask_security", COMPOSED, TAKEN_APART, normalize="")


def test_flask_securitys_salt_is_part_of_every_hash() -> None:
    stored = format_named("flask_security", **LOW["flask_security"]).hash(PASSWORD)
    assert not format_named("flask_security", password_salt=SALT + "0").verify(stored, PASSWORD)
    assert not format_named("argon2id").verify(stored, PASSWORD)


@pytest.mark.parametrize("inner", ["argon2", "bcrypt"])
def test_flask_security_reads_both_whichever_it_writes(inner: str) -> None:
    form = format_named("flask_security", **(LOW["flask_security"] | {"inner": inner, "rounds": 4}))
    assert form.hash(PASSWORD).startswith({"argon2": "$argon2id$", "bcrypt": "$2b$04$"}[inner])
    for vector in ("flask-security", "flask-security, bcrypt", "flask-security, pbkdf2_sha512"):
        assert form.verify(VECTORS[vector].stored, PASSWORD)


@pytest.mark.parametrize(
    "name", [*sorted(set(FORMATS) - {"bcrypt", "better_auth_scrypt"}), "flask_security, bcrypt"]
)
def test_nothing_is_cut_where_there_is_no_limit(name: str) -> None:
    name, _, inner = name.partition(", ")
    costs: dict[str, object] = {"inner": inner, "rounds": 4} if inner else {}
    longest = "\U0001f680" * 1000
    assert takes(name, longest + "a", longest + "a", **costs)
    assert not takes(name, longest + "a", longest + "b", **costs)


@pytest.mark.parametrize("password", ["x" * 72, "ö" * 36, "\U0001f680" * 18])
def test_bcrypt_takes_72_octets_and_refuses_one_more_with_its_limit(password: str) -> None:
    assert takes("bcrypt", password, password)
    assert not takes("bcrypt", password, password[:-1] + "y")
    assert refusal("bcrypt", password + "x") == (Reason("too_many_bytes", 72),)


def test_bcrypt_takes_no_longer_password_for_the_one_that_it_would_be_cut_to() -> None:
    form = format_named("bcrypt", **LOW["bcrypt"])
    assert not form.verify(form.hash("x" * 72), "x" * 73)


@pytest.mark.parametrize("password", ["nul\0in the middle of it", "\0", "nul at the end\0"])
def test_bcrypt_refuses_a_nul_at_which_some_would_stop_reading(password: str) -> None:
    assert refusal("bcrypt", password) == (Reason("not_text"),)
    form = format_named("bcrypt", **LOW["bcrypt"])
    assert not form.verify(form.hash(password.partition("\0")[0]), password)


@pytest.mark.parametrize("name", sorted(set(FORMATS) - {"bcrypt"}))
def test_all_others_keep_a_nul_like_any_character(name: str) -> None:
    assert takes(name, "a\0b", "a\0b")
    assert not takes(name, "a\0b", "a\0c")
    assert not takes(name, "a\0b", "a")


@pytest.mark.parametrize("pepper", [PEPPER, "short pepper", "ö" * 30])
def test_a_pepper_leaves_the_password_its_72_octets(pepper: str) -> None:
    assert takes("bcrypt", "x" * 72, "x" * 72, pepper=pepper)
    assert not takes("bcrypt", "x" * 72, "x" * 71 + "y", pepper=pepper)
    assert refusal("bcrypt", "x" * 73, pepper=pepper) == (Reason("too_many_bytes", 72),)
    stored = format_named("bcrypt", rounds=4, pepper=pepper).hash(PASSWORD)
    assert not format_named("bcrypt").verify(stored, PASSWORD)


@pytest.mark.parametrize("prefix", ["2a", "2b", "2y"])
def test_each_prefix_is_written_where_it_is_asked_for_and_all_are_read(prefix: str) -> None:
    stored = format_named("bcrypt", rounds=4, prefix=prefix).hash(PASSWORD)
    assert stored.startswith(f"${prefix}$04$")
    for other in ("2a", "2b", "2y"):
        assert format_named("bcrypt", prefix=other).verify(stored, PASSWORD)
        assert format_named("bcrypt").verify(stored.replace(f"${prefix}$", f"${other}$"), PASSWORD)


@pytest.mark.parametrize("typed", ["  four words here", "four words here\t\r\n", "\v four words here \0"])
def test_wordpress_takes_off_white_space_at_both_ends_as_php_does(typed: str) -> None:
    # A NUL has become a backslash and a zero by then.
    assert takes("wordpress", typed, "four words here") == ("\0" not in typed)
    assert takes("wordpress", typed, typed)
    # What PHP's trim does not take off stays: U+00A0.
    assert not takes("wordpress", "four words here\u00a0", "four words here")


def test_wordpress_refuses_what_is_longer_than_it_takes() -> None:
    assert takes("wordpress", "x" * 4096, "x" * 4096)
    assert refusal("wordpress", "x" * 4097) == (Reason("too_many_bytes", 4096),)
    # Each quote is two octets by the time that WordPress counts.
    assert refusal("wordpress", "'" * 2049) == (Reason("too_many_bytes", 4096),)


def test_better_auth_refuses_what_its_log_in_would_refuse() -> None:
    assert takes("better_auth_scrypt", "x" * 128, "x" * 128)
    assert refusal("better_auth_scrypt", "x" * 129) == (Reason("too_long", 128),)
    # JavaScript counts an emoji as two, and counts before it normalises.
    assert refusal("better_auth_scrypt", "\U0001f680" * 65) == (Reason("too_long", 128),)
    assert takes("better_auth_scrypt", "\ufb01" * 128, "fi" * 64, max_length=300) is False
    assert refusal("better_auth_scrypt", ODD, max_length=4) == (Reason("too_long", 4),)
    assert takes("better_auth_scrypt", LONG, LONG, max_length=600)


@every
@pytest.mark.parametrize("password", ["\ud800 half a character", "half a character \udfff"])
def test_half_of_a_character_is_refused_and_matches_nothing(name: str, password: str) -> None:
    assert refusal(name, password) == (Reason("not_text"),)
    form = format_named(name, **LOW[name])
    assert not form.verify(form.hash("half a character"), password)


@every
def test_a_limit_that_is_told_is_the_one_that_is_kept(name: str) -> None:
    limit = format_named(name, **LOW[name]).max_bytes
    if limit is None:
        assert name not in ("bcrypt", "wordpress")
    else:
        assert refusal(name, "x" * (limit + 1)) == (Reason("too_many_bytes", limit),)
        assert takes(name, "x" * limit, "x" * limit)


@every
def test_a_refusal_does_not_hold_the_password(name: str) -> None:
    with pytest.raises(PasswordRefused) as refused:
        format_named(name, **LOW[name]).hash("hunter2\ud800")
    assert "hunter2" not in str(refused.value) + repr(refused.value.reasons)
