"""Links: only the exact text that was signed, for its purpose, by one of the keys, within its time."""

import hashlib
import hmac
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from itsdangerous import TimestampSigner

from resetsvc.clock import Clock
from resetsvc.errors import LinkDoesNotWork
from resetsvc.testing import HandClock
from resetsvc.tokens import CLOCK_SKEW, Tokens

KEY = "the present key, of more than 32 characters"
OLD = "the key before it, of more than 32 characters"
OLDER = "the key before that, of more than 32 characters"
ID = "01992d5f3a00" + "0123456789abcdef" * 2
LIFETIME = 1800
BASE64 = string.ascii_letters + string.digits + "-_"


def tokens(*keys: str, clock: HandClock | None = None, lifetime: int = LIFETIME) -> Tokens:
    return Tokens(keys or (KEY,), lifetime, (clock or HandClock()).clock)


def refused(reader: Tokens, token: str) -> bool:
    try:
        reader.read(token)
    except LinkDoesNotWork:
        return True
    return False


def test_a_signed_id_is_read_again() -> None:
    signer = tokens()
    for _ in range(20):
        letter_id = Clock().new_letter_id()
        assert signer.read(signer.sign(letter_id)) == letter_id


def test_a_token_is_safe_in_a_url_and_in_a_mail() -> None:
    token = tokens().sign(ID)
    assert set(token) <= set(BASE64 + ".")
    assert len(token) == 95  # as docs/reference/mail.md says
    assert token[-1] in BASE64  # a dot at the end of a link is often taken for the end of the sentence


def test_a_token_altered_at_any_place_is_refused() -> None:
    """Every place, every letter of the alphabet: the last letter of base64 has two spare bits, which must not be."""
    signer = tokens()
    token = signer.sign(ID)
    for place, was in enumerate(token):
        for letter in BASE64 + ".=%/ ":
            if letter != was:
                assert refused(signer, token[:place] + letter + token[place + 1 :]), (place, letter)


@pytest.mark.parametrize(
    "alter",
    [
        lambda token: token[:-1],
        lambda token: token[1:],
        lambda token: token + "A",
        lambda token: token + "=",
        lambda token: token + "==",
        lambda token: token + "\n",
        lambda token: token + " ",
        lambda token: " " + token,
        lambda token: token + "\0",
        lambda token: token.upper(),
        lambda token: token.replace(".", ".."),
        lambda token: token.replace(".", ":"),
        lambda token: "." + token,
        lambda token: token + "." + token,
        lambda token: token + token,
        lambda token: token.rpartition(".")[0],
        lambda token: token.rpartition(".")[0] + ".",
        lambda token: token[:32],
        lambda token: token[::-1],
        lambda token: token.translate({ord("0"): "\uff10"}),  # full-width digits
        lambda token: token.translate({ord("1"): "\u0661"}),  # Arabic digits
        lambda token: token[:33] + "AAAA" + token[33:],
        lambda token: token + "é",
        lambda token: token + "\ud800",
        lambda token: "".join(f"%{ord(letter):02x}" for letter in token),
        lambda token: token.replace("-", "+").replace("_", "/") + "==",
    ],
)
def test_no_other_spelling_of_a_token_works(alter: "object") -> None:
    assert callable(alter)
    signer = tokens()
    assert refused(signer, str(alter(signer.sign(ID))))


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "..",
        "null",
        "None",
        "0",
        "true",
        "[]",
        "{}",
        "a" * 20_000,
        "." * 20_000,
        "é",
        "\0",
        f"{ID}..",
        f"{ID}.AAAA.",
    ],
)  # fmt: skip -- a list
def test_what_was_never_a_token_is_refused(text: str) -> None:
    assert refused(tokens(), text)


@settings(deadline=None, derandomize=True, max_examples=80)
@given(
    st.one_of(
        st.text(max_size=200),
        st.from_regex(r"[0-9a-f]{44}\.[A-Za-z0-9_-]{4,12}\.[A-Za-z0-9_-]{43}", fullmatch=True),
    )
)
def test_no_made_up_token_works_or_breaks_anything(text: str) -> None:
    assert refused(tokens(), text)


class ForeignSigner(TimestampSigner):
    """itsdangerous as another part of an application would use it: same key, same form, at the same time."""

    def get_timestamp(self) -> int:
        return int(HandClock().seconds)


def signed_elsewhere(salt: bytes, digest: object = hashlib.sha256) -> str:
    return ForeignSigner(KEY, salt=salt, key_derivation="hmac", digest_method=digest).sign(ID).decode()


def test_a_signature_for_another_purpose_is_refused() -> None:
    """Only the purpose differs: with ours, it would be read."""
    assert tokens().read(signed_elsewhere(b"resetsvc.reset-link.1")) == ID
    for purpose in (b"resetsvc.message-id.1", b"itsdangerous.Signer", b"resetsvc.reset-link.2", b""):
        assert refused(tokens(), signed_elsewhere(purpose))


@pytest.mark.parametrize("digest", [hashlib.sha1, hashlib.md5, hashlib.sha512])
def test_a_signature_by_another_digest_is_refused(digest: object) -> None:
    assert refused(tokens(), signed_elsewhere(b"resetsvc.reset-link.1", digest))


def test_a_signature_of_one_letter_does_not_serve_for_another() -> None:
    signer = tokens()
    _, rest = signer.sign(ID).split(".", 1)
    assert refused(signer, f"{Clock().new_letter_id()}.{rest}")


def test_the_time_is_signed_too() -> None:
    clock = HandClock()
    signer = tokens(clock=clock)
    letter_id, _, signature = signer.sign(ID).split(".")
    clock.advance(LIFETIME - 1)
    _, later, _ = signer.sign(ID).split(".")
    assert refused(signer, f"{letter_id}.{later}.{signature}")


def test_another_key_does_not_verify() -> None:
    assert refused(tokens(KEY), tokens(OLD).sign(ID))
    assert refused(tokens(KEY), tokens(KEY[:-1]).sign(ID))


def test_older_keys_verify_until_they_are_removed_and_the_newest_signs() -> None:
    rotated = tokens(OLDER, OLD, KEY)
    for key in (OLDER, OLD, KEY):
        assert rotated.read(tokens(key).sign(ID)) == ID
    fresh = rotated.sign(ID)
    assert tokens(KEY).read(fresh) == ID
    assert refused(tokens(OLDER, OLD), fresh)
    assert refused(tokens(OLD, KEY), tokens(OLDER).sign(ID))


def test_a_link_works_to_the_last_second_of_its_lifetime_and_not_one_more() -> None:
    clock = HandClock()
    signer = tokens(clock=clock)
    token = signer.sign(ID)
    clock.advance(LIFETIME - 1)
    assert signer.read(token) == ID
    clock.advance(1)
    assert refused(signer, token)
    clock.advance(10 * 365 * 86400)
    assert refused(signer, token)


def test_the_lifetime_is_that_of_the_reader() -> None:
    """Shortening the setting shortens the links that are out."""
    clock = HandClock()
    token = tokens(clock=clock).sign(ID)
    clock.advance(60)
    assert refused(tokens(clock=clock, lifetime=60), token)


def test_a_clock_that_is_a_little_ahead_is_forgiven() -> None:
    here, elsewhere = HandClock(), HandClock()
    elsewhere.advance(CLOCK_SKEW)
    assert tokens(clock=here).read(tokens(clock=elsewhere).sign(ID)) == ID
    elsewhere.advance(1)
    assert refused(tokens(clock=here), tokens(clock=elsewhere).sign(ID))


def test_a_clock_set_back_does_not_lengthen_the_life_of_a_link() -> None:
    clock = HandClock()
    signer = tokens(clock=clock)
    token = signer.sign(ID)
    clock.advance(-3600)
    assert refused(signer, token)


@pytest.mark.parametrize("seconds", [1e9, 2.0**31, 2.0**32 + 1, 9e9])
def test_links_work_at_any_time_of_the_calendar(seconds: float) -> None:
    signer = tokens(clock=HandClock(seconds))
    assert signer.read(signer.sign(ID)) == ID


def test_a_message_id_is_stable_and_tells_nothing_of_the_letter() -> None:
    found = tokens().message_id(ID)
    assert tokens(clock=HandClock(0.0)).message_id(ID) == found
    assert len(found) == 32
    assert set(found) <= set(string.hexdigits)
    assert found != ID
    assert tokens(OLD).message_id(ID) != found  # without the key it cannot be computed
    assert found not in {
        hashlib.sha256(ID.encode()).hexdigest()[:32],
        hmac.digest(KEY.encode(), ID.encode(), "sha256")[:16].hex(),
    }
    assert found[:16] not in tokens().sign(ID)
    assert tokens().message_id(ID[:-1] + "e") != found


def test_a_message_id_cannot_be_made_into_a_link() -> None:
    """Whoever reads the header of a mail learns nothing that signs."""
    signer = tokens()
    assert refused(signer, f"{signer.message_id(ID)}.{signer.sign(ID).split('.', 1)[1]}")
