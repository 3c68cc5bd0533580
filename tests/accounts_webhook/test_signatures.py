"""Signed messages: as others sign and check them, and refused wherever anything about them is not so."""

import base64
from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from resetsvc.webhooks import ID, SIGNATURE, TIMESTAMP, TOLERANCE, NotGenuine, Secrets, parse_secret

NOW = 1_790_000_000.0
SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
OTHER = "whsec_" + base64.b64encode(bytes(range(100, 132))).decode()
BODY = b'{"type":"accounts.get","id":"42"}'


def signed(*secrets: str, body: bytes = BODY, now: float = NOW) -> dict[str, str]:
    return Secrets(secrets or [SECRET]).sign("a-message", body, now)


def verify(headers: dict[str, str], *secrets: str, body: bytes = BODY, now: float = NOW) -> None:
    Secrets(secrets or [SECRET]).verify(headers, body, message_id="a-message", now=now)


@pytest.mark.parametrize(
    ("secret", "message_id", "at", "body", "signature"),
    [
        # Those that the reference libraries in each language are tested with. (The specification's own example tells
        # a signature without its secret.)
        (
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1614265330,
            b'{"test": 2432232314}',
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        ),
        (
            "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
            "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk",
            1649367553,
            b'{"email":"test@example.com","username":"test_user"}',
            "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=",
        ),
    ],
)
def test_known_messages_have_their_known_signatures(
    secret: str, message_id: str, at: int, body: bytes, signature: str
) -> None:
    assert Secrets([secret]).sign(message_id, body, at + 0.9) == {
        ID: message_id,
        TIMESTAMP: str(at),
        SIGNATURE: signature,
    }


def test_what_we_sign_is_believed_by_the_reference_library() -> None:
    now = datetime.now(UTC)
    headers = signed(now=now.timestamp())
    assert Webhook(SECRET).verify(BODY, headers) == {"type": "accounts.get", "id": "42"}
    with pytest.raises(WebhookVerificationError):
        Webhook(OTHER).verify(BODY, headers)
    both = signed(OTHER, SECRET, now=now.timestamp())
    assert Webhook(SECRET).verify(BODY, both) == Webhook(OTHER).verify(BODY, both)


def test_what_the_reference_library_signs_is_believed() -> None:
    at = datetime.fromtimestamp(NOW, UTC)
    headers = {
        ID: "a-message",
        TIMESTAMP: str(int(NOW)),
        SIGNATURE: Webhook(SECRET).sign("a-message", at, BODY.decode()),
    }
    verify(headers)
    with pytest.raises(NotGenuine, match="no signature fits"):
        verify(headers, OTHER)


def test_one_that_fits_among_several_is_enough() -> None:
    """While one secret takes another's place, neither side has to be first."""
    old, new, both = signed(SECRET), signed(OTHER), signed(OTHER, SECRET)
    assert len(both[SIGNATURE].split(" ")) == 2
    for headers in (old, new, both):
        verify(headers, OTHER, SECRET)
    verify(both, SECRET)
    verify(both, OTHER)
    with_a_strange_one = {**old, SIGNATURE: f"v1a,c29tZXRoaW5n {old[SIGNATURE]} v2,x"}
    verify(with_a_strange_one, SECRET)


def test_whatever_is_altered_no_longer_fits() -> None:
    headers = signed()
    with pytest.raises(NotGenuine, match="no signature fits"):
        verify(headers, body=BODY + b" ")
    with pytest.raises(NotGenuine, match="no signature fits"):
        verify({**headers, TIMESTAMP: str(int(NOW) + 1)})
    with pytest.raises(NotGenuine, match="the id is not the one"):
        verify({**headers, ID: "another"})
    renamed = Secrets([SECRET]).sign("another", BODY, NOW)
    with pytest.raises(NotGenuine, match="no signature fits"):
        verify({**renamed, ID: "a-message"})


@pytest.mark.parametrize(
    "signature",
    [
        "",
        "v1",
        "v1,",
        ",",
        "v1,====",
        "V1",
        "v2",
        "v1,é",
        "v1,\N{SNOWMAN}",
        " ",
        "v1 ,",
        "cut short",
        "one octet off",
    ],
)
def test_a_signature_that_is_none_is_refused(signature: str) -> None:
    right = signed()[SIGNATURE]
    wrong = {
        "V1": right.replace("v1", "V1"),
        "v2": right.replace("v1", "v2"),
        "cut short": right[:12],
        "one octet off": right[:8] + ("A" if right[8] != "A" else "B") + right[9:],
    }.get(signature, signature)
    with pytest.raises(NotGenuine, match="no signature fits"):
        verify({**signed(), SIGNATURE: wrong})


@pytest.mark.parametrize("missing", [ID, TIMESTAMP, SIGNATURE])
def test_a_message_without_one_of_its_headers_is_refused(missing: str) -> None:
    with pytest.raises(NotGenuine):
        verify({name: value for name, value in signed().items() if name != missing})


@pytest.mark.parametrize(
    "timestamp", ["", "now", "1e9", "-5", "１７９００00000", "1790000000.5", "9" * 13, "nan"]
)
def test_a_timestamp_that_is_none_is_refused(timestamp: str) -> None:
    with pytest.raises(NotGenuine, match="no timestamp"):
        verify({**signed(), TIMESTAMP: timestamp})


def test_a_message_counts_for_five_minutes_on_either_side() -> None:
    assert timedelta(minutes=5).total_seconds() == TOLERANCE
    headers = signed()
    for away in (-TOLERANCE, 0, TOLERANCE):
        verify(headers, now=NOW + away)
    for away in (-TOLERANCE - 1, TOLERANCE + 1):
        with pytest.raises(NotGenuine, match="too far"):
            verify(headers, now=NOW + away)


def test_an_id_that_could_run_into_what_follows_it_is_not_signed() -> None:
    for message_id in ("", "a.b", "a b", "a\nb", "x" * 129):
        with pytest.raises(ValueError, match="the id of a message"):
            Secrets([SECRET]).sign(message_id, BODY, NOW)


def test_a_body_need_not_be_text() -> None:
    verify(signed(body=b"\xff\x00"), body=b"\xff\x00")


@pytest.mark.parametrize(
    ("secret", "says"),
    [
        ("", "does not begin with whsec_"),
        (SECRET.removeprefix("whsec_"), "does not begin with whsec_"),
        (SECRET.upper(), "does not begin with whsec_"),
        ("whsec_not base64!", "is not base64 after whsec_"),
        ("whsec_é", "is not base64 after whsec_"),
        ("whsec_" + base64.b64encode(bytes(range(23))).decode(), "24 to 64 random bytes"),
        ("whsec_" + base64.b64encode(bytes(range(65))).decode(), "24 to 64 random bytes"),
        ("whsec_" + base64.b64encode(b"secret! " * 4).decode(), "repeats a few bytes"),
    ],
)
def test_a_secret_that_is_none_is_told_without_being_shown(secret: str, says: str) -> None:
    with pytest.raises(ValueError, match=says) as told:
        parse_secret(secret)
    assert not secret or secret not in str(told.value)
    with pytest.raises(ValueError, match=says):
        Secrets([SECRET, secret])


def test_nobody_signs_with_nothing() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Secrets([])
    assert SECRET.removeprefix("whsec_") not in repr(Secrets([SECRET]))
