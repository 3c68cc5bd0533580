"""What counts as an address: one recipient, one spelling, and nothing that a header or a command could be made of."""

import unicodedata
from typing import SupportsIndex

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from resetsvc.addresses import mask_address, parse_address
from resetsvc.errors import AddressRefused

ODD = "aZ0@.-_+\"'<>,;:()[]\\ \t\r\n\0\x7f\u0131\u0130\u212a\uff45\u2028\u200b\u00e9\u0301\u0331\u00df\u1e9e\u3002\u037e\u1fef\ud800\U0001f600"


@pytest.mark.parametrize(
    ("typed", "canonical"),
    [
        ("ann@example.com", "ann@example.com"),
        ("  Ann@Example.COM  ", "ann@example.com"),
        ("ann+reset@sub.example.co.uk", "ann+reset@sub.example.co.uk"),
        ("!#$%&'*+/=?^_`{|}~-@example.com", "!#$%&'*+/=?^_`{|}~-@example.com"),
        ("root@localhost", "root@localhost"),
        ("a@1.example", "a@1.example"),
        ("a@xn--mnchen-3ya.de", "a@xn--mnchen-3ya.de"),
        ("a@MÜNCHEN.de", "a@xn--mnchen-3ya.de"),
        ("Jörg@example.com", "jörg@example.com"),
        ("jo\u0308rg@example.com", "jörg@example.com"),
        ("用户@例子.测试", "用户@xn--fsqu00a.xn--0zwm56d"),
        ("H\u0331@example.com", "\u1e96@example.com"),
    ],
)
def test_an_address_has_one_canonical_form(typed: str, canonical: str) -> None:
    assert parse_address(typed) == canonical


@pytest.mark.parametrize(
    "typed",
    [
        "",
        " ",
        "@",
        "a",
        "a@",
        "@example.com",
        "a@b@example.com",
        "a b@example.com",
        "a@exam ple.com",
        ".a@example.com",
        "a.@example.com",
        "a..b@example.com",
        "a@.example.com",
        "a@example.com.",
        "a@a..b",
        "a@-example.com",
        "a@example-.com",
        "a@exa_mple.com",
        "a@[127.0.0.1]",
        "a@[IPv6:::1]",
        '"a b"@example.com',
        "a(comment)@example.com",
        "Ann <ann@example.com>",
        "<ann@example.com>",
        "a@example.com,b@example.com",
        "a@example.com;b@example.com",
        "a@example.com b@example.com",
        "a@example.com\r\nBcc: b@example.com",
        "a\r\n@example.com",
        "a@example.com\n",
        "\ta@example.com",
        "a\0@example.com",
        "a@exam\0ple.com",
        "a\x7f@example.com",
        "a\x1b[31m@example.com",
        "a\u0085@example.com",
        "a\u2028@example.com",
        "a\u2029b@example.com",
        "a\u200b@example.com",
        "a\u202e@example.com",
        "a\u00a0@example.com",
        "\u00a0a@example.com",
        "a@example\u200b.com",
        "a\ufeff@example.com",
        "a\uff20example.com",
        "a@\uff45xample.com",
        "a@ex\u212aample.com",
        "a@exam\ud800ple.com",
        "\ud800@example.com",
        "a\u037e@example.com",
        "a\u1fef@example.com",
        "\U0001f600@example.com",
        "mailto:a@example.com",
        "a:b@example.com",
        "a\\@example.com",
        "a%0d%0a@exa%mple.com",
        "a@" + "xn--" + "a" * 60 + ".de",
    ],
)  # fmt: skip -- one line a kind
def test_what_is_no_plain_address_is_refused(typed: str) -> None:
    with pytest.raises(AddressRefused):
        parse_address(typed)


@pytest.mark.parametrize(
    ("look_alike", "victim"),
    [
        ("\u212aelvin@example.com", "kelvin@example.com"),  # the Kelvin sign
        ("m\u0131ke@example.com", "mike@example.com"),  # dotless i (CVE-2019-19844)
        ("M\u0130KE@example.com", "mike@example.com"),  # dotted capital I
        ("\uff4dike@example.com", "mike@example.com"),  # full-width m
        ("mi\u017fs@example.com", "miss@example.com"),  # long s
        ("m\u0456ke@example.com", "mike@example.com"),  # Cyrillic i
        ("\ufb01sh@example.com", "fish@example.com"),  # the ligature fi
        ("stra\u00dfe@example.com", "strasse@example.com"),
        ("mike@exampl\u0435.com", "mike@example.com"),  # Cyrillic e in the domain
        ("mike@fa\u00df.de", "mike@fass.de"),
    ],
)
def test_a_look_alike_is_never_taken_for_another_address(look_alike: str, victim: str) -> None:
    assert parse_address(victim) == victim
    assert parse_address(look_alike) != victim


def test_no_character_beyond_ascii_turns_into_an_ascii_one() -> None:
    """All of Unicode, in the place of one letter."""
    plain = {parse_address(f"{chr(code)}@x.de")[0] for code in range(ord("a"), ord("z"))}
    for code in range(0x80, 0x20000):
        if unicodedata.category(chr(code))[0] not in "LMN" and not unicodedata.decomposition(chr(code)):
            continue
        try:
            found = parse_address(f"{chr(code)}@x.de")
        except AddressRefused:
            continue
        assert found.removesuffix("@x.de") not in plain | {"k", "`", "z"}, hex(code)
        assert parse_address(found) == found, hex(code)


@pytest.mark.parametrize(
    "typed",
    [
        "a" * 64 + "@example.com",
        "ä" * 32 + "@example.com",
        "a@" + ".".join(["b" * 63, "c" * 63, "d" * 63, "e" * 60]),
    ],
)
def test_the_longest_addresses_are_taken(typed: str) -> None:
    assert parse_address(typed) == typed


@pytest.mark.parametrize(
    "typed",
    [
        "a" * 65 + "@example.com",
        "ä" * 32 + "a@example.com",  # octets count, not characters
        "a@" + ".".join(["b" * 63, "c" * 63, "d" * 63, "e" * 61]),
        "a@" + "b" * 64 + ".com",
        "a@" + ".".join(["ü" * 60] * 5),
    ],
)
def test_one_octet_more_is_refused(typed: str) -> None:
    with pytest.raises(AddressRefused):
        parse_address(typed)


class Untouchable(str):
    """A text that nobody may read: only its length may be asked for."""

    __slots__ = ()

    def strip(self, chars: str | None = None, /) -> str:
        raise AssertionError("read")

    def isascii(self) -> bool:
        raise AssertionError("read")

    def __getitem__(self, key: SupportsIndex | slice, /) -> str:
        raise AssertionError("read")


@pytest.mark.parametrize(
    "typed", ["a" * 10_000_000, "a@" + "a." * 5_000_000, "@" * 10_000_000, "\u0301" * 1017]
)
def test_a_text_that_is_much_too_long_is_refused_before_it_is_read(typed: str) -> None:
    with pytest.raises(AddressRefused):
        parse_address(Untouchable(typed))


@settings(deadline=None, derandomize=True, max_examples=150)
@given(
    st.one_of(
        st.emails(),
        st.builds("{}@{}".format, st.text(ODD, max_size=12), st.text(ODD, max_size=12)),
        st.builds("{}@{}.com".format, st.text(max_size=8), st.text(max_size=8)),
        st.builds(
            "{}@example.com".format,
            st.text(st.characters(categories=("Lu", "Ll", "Mn")), min_size=1, max_size=6),
        ),
    )
)
@example("H\u0331\u0323@example.com")
@example("\u0130\u0323@example.com")
def test_whatever_is_accepted_is_one_plain_recipient_in_its_only_spelling(typed: str) -> None:
    try:
        address = parse_address(typed)
    except AddressRefused:
        return
    local, at, domain = address.partition("@")
    assert at == "@"
    assert "@" not in domain
    assert local
    assert domain.isascii()
    assert not any(letter.isspace() or unicodedata.category(letter)[0] == "C" for letter in address)
    assert not set(address) & set(',;<>"()[]:\\')
    assert len(local.encode()) <= 64
    assert len(address.encode()) <= 254
    assert parse_address(address) == address
    if typed.isascii():
        assert address == typed.strip(" ").lower()
    assert parse_address(f"  {address} ") == address


@settings(deadline=None, derandomize=True, max_examples=200)
@given(st.text("abcxyzäöüçñé\u0301\u0308\u0331", min_size=1, max_size=10))
def test_capital_letters_make_no_other_address(local: str) -> None:
    """But for letters whose capital is two letters (ß): those are told apart."""
    try:
        small = parse_address(f"{local}@example.com")
    except AddressRefused:
        return
    upper = unicodedata.normalize("NFD", local).upper()
    assert parse_address(f"{upper}@example.com") == small


@pytest.mark.parametrize(
    ("address", "shown"),
    [("demo@example.com", "d***@example.com"), ("a@b", "a***@b"), ("no address", "***"), ("", "***")],
)
def test_a_log_shows_one_letter_and_the_domain(address: str, shown: str) -> None:
    assert mask_address(address) == shown
