"""A relay's URL: a secret in it is never told, however wrongly it is written, and TLS is never left out by accident."""

import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resetsvc.relay.url import parse_relay_url

SECRET = "hush-hush"  # a piece that would be recognised


@settings(deadline=None, derandomize=True, max_examples=300)
@given(
    st.sampled_from(["smtp", "smtps", "http", ""]),
    st.text(string.punctuation + "℀é\t\n\x00", max_size=4),
    st.text(string.punctuation + "℀é\t\n\x00", max_size=4),
    st.sampled_from(
        ["host:25", "host:0", "host:99999", "host:x", "[::1", "[::1]:25", "host?tls=no", "host?x=1", ""]
    ),
)
def test_a_password_is_never_in_what_is_told(scheme: str, before: str, after: str, host: str) -> None:
    """Also where a character in it that should be written as %XX ends the user's part of the URL too early."""
    url = f"{scheme}://me:{before}{SECRET}{after}@{host}"
    try:
        address = parse_relay_url(url)
    except ValueError as error:
        told = f"{error!r} {error.__cause__!r}" + (
            "" if error.__suppress_context__ else repr(error.__context__)
        )
    else:
        told = f"{address!r} {address.name}"
    assert SECRET not in told


@pytest.mark.parametrize("character", [*"?#/@:[]%&= ", "\t", "ü"])
def test_a_password_with_any_character_written_as_percent_is_read(character: str) -> None:
    written = "".join(f"%{byte:02X}" for byte in character.encode())
    address = parse_relay_url(f"smtp://me:{written}{SECRET}{written}@host:25")
    assert (address.username, address.password) == ("me", f"{character}{SECRET}{character}")


@pytest.mark.parametrize(
    ("url", "tls", "port"),
    [
        ("smtp://host", "starttls", 587),
        ("smtp://host:25", "starttls", 25),
        ("smtp://host:465", "starttls", 465),
        ("smtps://host", "implicit", 465),
        ("smtps://host:587", "implicit", 587),
        ("smtp://host?tls=starttls", "starttls", 587),
        ("smtp://host?tls=none", "none", 25),
    ],
)
def test_tls_is_on_unless_it_is_turned_off_by_name(url: str, tls: str, port: int) -> None:
    address = parse_relay_url(url)
    assert (address.host, address.tls, address.port) == ("host", tls, port)


@pytest.mark.parametrize(
    "query",
    [
        "tls=None",
        "tls=",
        "tls=off",
        "tls=false",
        "tls=0",
        "tls=none&tls=starttls",
        "TLS=none",
        "tls=none&x=1",
    ],
)
def test_what_only_resembles_no_tls_is_refused(query: str) -> None:
    with pytest.raises(ValueError, match="tls"):
        parse_relay_url(f"smtp://host:25?{query}")


def test_smtps_without_tls_is_refused() -> None:
    with pytest.raises(ValueError, match="always on"):
        parse_relay_url("smtps://host?tls=none")


@pytest.mark.parametrize("user", ["me@", ":word@", ":@"])
def test_half_a_log_in_is_refused(user: str) -> None:
    with pytest.raises(ValueError, match="user"):
        parse_relay_url(f"smtp://{user}host")


def test_a_password_may_be_empty() -> None:
    assert parse_relay_url("smtp://me:@host").password == ""
