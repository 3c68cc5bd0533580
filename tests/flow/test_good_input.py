"""What is just within the bounds of a request is taken: strict is not the same as picky."""

import pytest

from tests.flow.conftest import Running

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"
MULTIPART = "multipart/form-data; boundary=x"
PART = b'--x\r\nContent-Disposition: form-data; name="email"\r\n\r\nann@example.com\r\n--x--\r\n'
GOOD = "ann@example.com"
LARGEST = 16 * 1024


@pytest.mark.parametrize(
    ("media_type", "body"),
    [
        (FORM, b"email=ann@example.com&x=".ljust(LARGEST, b"x")),
        (FORM.upper(), b"email=ann@example.com"),
        (f"{FORM}; charset=UTF-8", b"email=ann%40example.com"),
        (FORM, b"email=+ann@example.com+"),
        (f"{JSON};charset=utf-8", b' {"email": "ann@\\u0065xample.com"} '),
        (MULTIPART, b"preamble\r\n" + PART + b"epilogue"),
        ('multipart/form-data; charset=utf-8; boundary="x"', PART),
    ],
)
async def test_what_is_just_within_the_bounds_is_taken(
    running: Running, media_type: str, body: bytes
) -> None:
    answer = await running.client.post("/reset-password", data=body, headers={"Content-Type": media_type})
    assert answer.status_code == 200
    assert [row["address"] for row in await running.letters()] == [GOOD]


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("o'hara+news@sub.example.co.uk", "o'hara+news@sub.example.co.uk"),
        ("a" * 64 + "@example.com", "a" * 64 + "@example.com"),
        ("ann@localhost", "ann@localhost"),
        ("j\u00f6rg@example.com", "j\u00f6rg@example.com"),
        ("jo\u0308rg@example.com", "j\u00f6rg@example.com"),
        ("ann@b\u00fccher.example", "ann@xn--bcher-kva.example"),
        ("ann%bob@example.com", "ann%bob@example.com"),
    ],
)
async def test_unusual_addresses_are_addresses(running: Running, typed: str, kept: str) -> None:
    answer = await running.client.post("/reset-password", json={"email": typed})
    assert answer.status_code == 200
    assert [row["address"] for row in await running.letters()] == [kept]
