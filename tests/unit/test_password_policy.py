"""What is a good password: length counts, every reason is told at once, and nothing is cut."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resetsvc.errors import PasswordRefused, Reason
from resetsvc.passwords.common import common_passwords, is_common
from resetsvc.passwords.policy import MAX_LENGTH, check_password

NAMES = ("demo@example.com", "Acme Cloud")
UNRELATED = "vkwbzqxjhgfdmnry"  # sixteen letters that are no word


def reasons(password: str, *, min_length: int = 15, names: tuple[str, ...] = NAMES) -> list[str]:
    try:
        check_password(password, min_length=min_length, names=names)
    except PasswordRefused as refusal:
        return [reason.code for reason in refusal.reasons]
    return []


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery staple",
        "four unrelated words here",
        "all lower case no digits",
        "Pa$$phrases with spaces ünd Umlauts",
        "  spaces at both ends kept  ",
        "пароль из четырёх слов",
        "ねこがすきなひとはいぬもすきですか",
        "\U0001f600\U0001f680\U0001f40d\U0001f984 vkwbzqxjhgf",
        UNRELATED,
        "x7" * 3 + UNRELATED,
        "tab\tand\nnewline in it!",
        "my demo of a fine phrase",  # a part of the address is no harm in a long one
    ],
)
def test_a_long_unrelated_password_is_good_without_any_rule_of_composition(password: str) -> None:
    assert reasons(password) == []


def test_characters_are_counted_not_octets() -> None:
    assert reasons("äöüßéèêçñåøæœþð") == []  # 15 characters, 30 octets
    assert reasons("äöüßéèêçñåøæœþ") == ["too_short"]
    assert (
        reasons("\U0001f600\U0001f680\U0001f40d\U0001f984\U0001f9ca\U0001f511\U0001f33f" + "vkwbzqxj") == []
    )


def test_characters_are_counted_after_composing() -> None:
    decomposed = unicodedata.normalize("NFD", "äöüéèêçñåâôîûá")  # 14 letters, 28 code points
    assert len(decomposed) == 28
    assert reasons(decomposed) == ["too_short"]
    assert reasons(unicodedata.normalize("NFD", "äöüéèêçñåâôîûáà")) == []


def test_the_longest_password_is_taken_and_one_more_is_told_its_limit() -> None:
    longest = (UNRELATED + "pl") * 100
    longest = longest[:MAX_LENGTH]
    assert len(longest) == MAX_LENGTH == 1024
    assert reasons(longest) == []
    with pytest.raises(PasswordRefused) as refusal:
        check_password(longest + "v", min_length=15, names=NAMES)
    assert refusal.value.reasons == (Reason("too_long", 1024),)


def test_what_grows_beyond_the_limit_by_composing_is_too_long() -> None:
    grows = "\u0958"  # NFC takes it apart (composition exclusion)
    assert len(unicodedata.normalize("NFC", grows)) == 2
    assert reasons((UNRELATED * 100)[:1000] + grows * 24) == ["too_long"]


@pytest.mark.parametrize("min_length", [8, 15, 128])
def test_the_shortest_length_is_that_of_the_setting(min_length: int) -> None:
    good = ("vkwbzqxjhgfdmnryptlc" * 7)[:min_length]
    assert reasons(good, min_length=min_length) == []
    with pytest.raises(PasswordRefused) as refusal:
        check_password(good[:-1], min_length=min_length, names=NAMES)
    assert refusal.value.reasons == (Reason("too_short", min_length),)


def test_the_list_of_common_passwords_is_long_enough() -> None:
    assert len(common_passwords()) >= 20_000
    assert {"password", "123456", "qwerty", "letmein"} <= common_passwords()


@pytest.mark.parametrize(
    "password",
    [
        "password1234567",
        "Password!!!!!!1",
        "PASSWORD1234567",
        "passwordpassword",
        "PasswordPassword",
        "1234567password",
        "!!!!!!!password!!!!!!!",
        "password 2026 !!",
        "letmeinletmeinletmein",
        "2026letmeinletmein!!",
        "qwertyqwertyqwerty",
        "   password   12345",
        "dragon123456789!",
        "monkey\u0661\u0662\u0663\u0664\u0665\u0666\u0667\u0668\u0669",  # Arabic digits
    ],
)
def test_a_common_word_with_decoration_is_common(password: str) -> None:
    assert reasons(password) == ["common"]


def test_every_common_password_is_known_in_every_spelling() -> None:
    for word in sorted(common_passwords()):
        assert is_common(word)
        assert word == word.casefold()  # or no folded password could ever meet it


@pytest.mark.parametrize(
    "password",
    [
        "a" * 15,
        "aaaaaaaaaaaaaab",
        "abababababababab",
        "1234567890123456",
        "abcdefghijklmnop",
        "zyxwvutsrqponmlk",
        "ABCDEFGHIJKLMNOP",
        " " * 20,
        "\U0001f600" * 20,
        "111111111111112222",
    ],
)
def test_a_row_of_the_same_or_of_neighbours_is_too_simple(password: str) -> None:
    assert reasons(password) == ["too_simple"]


@pytest.mark.parametrize(
    "password",
    [
        "demo@example.com",
        "DEMO@EXAMPLE.COM!!",
        "xx-demo@example.com-xx",
        "vkwbzq demo@example.com xjhgfdmnry vkwbzq",
        "Acme Cloud rules",
        "acmecloud-vkwbzq",
        "acme cloud acme cloud",
        "demo.example.2026",
        "example-example!!",
        "ACMECLOUD1234567",
    ],
)
def test_a_password_made_of_the_address_or_the_product_is_refused(password: str) -> None:
    assert "contains_name" in reasons(password)


def test_a_long_local_part_is_refused_wherever_it_stands() -> None:
    assert reasons("vkwbzq johnathan xjhgfd", names=("johnathan@example.com",)) == ["contains_name"]
    assert reasons("vkwbzq JÖRGLING xjhgfd", names=("jo\u0308rgling@example.com",)) == ["contains_name"]


def test_a_short_or_empty_name_makes_no_password_bad() -> None:
    assert reasons("me and my cat named tom", names=("me@a.b", "", "app", " ")) == []


def test_all_reasons_are_told_at_once() -> None:
    assert reasons("demo@ex", names=("demo@ex",)) == ["too_short", "contains_name"]
    assert reasons("password1") == ["too_short", "common"]
    assert reasons("aaaa") == ["too_short", "too_simple"]
    assert reasons("dragon", names=("dragon@example.com",)) == ["too_short", "common", "contains_name"]
    assert reasons("aaaaaa", names=("aaaaaa@b.c",)) == ["too_short", "too_simple", "contains_name"]


def test_an_empty_password_is_refused() -> None:
    assert reasons("") == ["too_short", "too_simple"]


@pytest.mark.parametrize("password", ["\ud800" + UNRELATED, UNRELATED + "\udfff", "\ud83d" * 2000])
def test_a_lone_surrogate_is_refused_and_breaks_nothing(password: str) -> None:
    assert reasons(password) == ["not_text"]


@settings(deadline=None, derandomize=True, max_examples=150)
@given(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=60), st.text(max_size=20), st.text(max_size=20)
)
def test_any_text_gets_an_answer_and_a_refusal_names_its_reasons(
    password: str, address: str, product: str
) -> None:
    codes = reasons(password, names=(address, product))
    assert len(codes) == len(set(codes))
    length = len(unicodedata.normalize("NFC", password))
    assert ("too_short" in codes) == (length < 15)
    assert ("too_long" in codes) == (length > 1024)


def test_a_refusal_does_not_hold_the_password() -> None:
    with pytest.raises(PasswordRefused) as refusal:
        check_password("hunter2", min_length=15, names=())
    assert "hunter2" not in str(refusal.value) + repr(refusal.value.reasons)
