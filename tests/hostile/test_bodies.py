"""Bodies, types, headers and queries that nobody would write by hand, on the wire: 4xx or the documented 200.

Never a 5xx, nothing alarming in any log, and no letter unless the answer was 200.
"""

import json
import re
from urllib.parse import quote_from_bytes

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.hostile.conftest import fuzzing
from tests.hostile.house import ANN, House
from tests.hostile.wire import Answer, one_answer

# The service runs in a thread of this process and takes chances meanwhile: hypothesis blames its own strategies for it.
pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")

FORM = b"application/x-www-form-urlencoded"
JSON = b"application/json"
NEW_PASSWORD = "four unrelated words here"
REFUSALS = {400, 413, 415, 422}
# `{token}` is a link that works: what only breaks behind it is looked for, too.
TARGETS = [
    "/reset-password",
    "/reset/{token}",
    "/reset/{token}/cancel",
    "/reset/unknown",
    "/reset/unknown/cancel",
]
FIELDS = ["email", "password", "mute", "locale", "x", "", "__proto__", "email[]", "\0", "é"]

octets = st.binary(max_size=300)
# What a wire carries in a header: h11 refuses the rest by itself, which test_wire.py looks at.
header_value = st.binary(max_size=80).map(lambda raw: re.sub(rb"[\0-\x08\x0a-\x1f\x7f]", b"", raw).strip())
field_name = st.sampled_from(FIELDS) | st.text(max_size=10)
value_text = st.sampled_from([ANN, NEW_PASSWORD, "1", ""]) | st.text(max_size=60)

# ---- types ----

charset = st.sampled_from(
    [
        b"",
        b"utf-8",
        b"utf-16",
        b"utf-7",
        b"idna",
        b"rot13",
        b"hex",
        b"zlib",
        b"undefined",
        b"\xff",
        b'"',
        b"x" * 999,
    ]
)
parameter = st.tuples(
    st.sampled_from([b"charset", b"boundary", b"charset*", b"boundary*0", b"q", b""]), charset | header_value
).map(lambda pair: b";" + b"=".join(pair))
media_type = st.tuples(
    st.sampled_from(
        [
            FORM,
            JSON,
            b"multipart/form-data",
            b"text/plain",
            b"",
            b"APPLICATION/JSON",
            b"application/json,text/html",
            b"/",
            b"*/*",
        ]
    )
    | header_value,
    st.lists(parameter, max_size=3).map(b"".join),
).map(b"".join)

# ---- bodies ----

leaf = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([10**400, -(10**18), 2**63])
    | st.floats()  # also NaN and Infinity, which Python writes and JSON has not
    | value_text
    | st.text(st.characters(categories=("Cs", "Cc", "Cf", "Cn")), max_size=10)  # lone surrogates and the like
)
tree = st.recursive(
    leaf,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(field_name, inner, max_size=4),
    max_leaves=12,
)


def json_object(pairs: list[tuple[str, object]]) -> bytes:
    """Written by hand, so that a key can be there twice."""
    return (
        b"{"
        + b",".join(json.dumps(key).encode() + b":" + json.dumps(value).encode() for key, value in pairs)
        + b"}"
    )


json_body = (
    st.lists(st.tuples(field_name, tree), max_size=6).map(json_object)
    | tree.map(lambda value: json.dumps(value).encode())
    | tree.map(lambda value: json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    | st.integers(1, 8000).map(lambda depth: b'{"email":' + b"[" * depth)
    | st.integers(1, 2500).map(lambda depth: b'{"a":' * depth + b"1" + b"}" * depth)
    | st.integers(1, 9000).map(lambda digits: b'{"email":' + b"9" * digits + b"}")
    | st.integers(1, 9).map(lambda digits: b'{"x":1e' + b"9" * digits + b"}")
)
escaped = st.binary(max_size=60).map(lambda raw: quote_from_bytes(raw).encode()) | value_text.map(
    lambda text: quote_from_bytes(text.encode("utf-8", "surrogatepass")).encode()
)
form_body = st.lists(
    st.tuples(st.sampled_from([name.encode() for name in FIELDS]) | octets, escaped | octets).map(b"=".join),
    max_size=6,
).map(b"&".join)

part_headers = st.sampled_from(
    [
        b'Content-Disposition: form-data; name="email"',
        b'Content-Disposition: form-data; name="password"',
        b'Content-Disposition: form-data; name="email"; filename="a"',
        b"Content-Disposition: form-data; name*=utf-8''%ff",
        b"Content-Disposition: form-data; name*0=em; name*1=ail",
        b'Content-Disposition: form-data; name="' + b"\\" * 99,
        b"Content-Disposition",
        b"Content-Type: text/plain; charset=undefined",
        b"Content-Type: multipart/mixed; boundary=b",
        b"Content-Transfer-Encoding: base64",
    ]
)
part = st.tuples(
    st.sampled_from([b"--b\r\n", b"--b", b"--b--\r\n", b"--b \r\n", b"--b\n", b"--c\r\n", b"\r\n--b\r\n"]),
    st.lists(part_headers | octets, max_size=3).map(b"\r\n".join),
    st.sampled_from([b"\r\n\r\n", b"\n\n", b"\r\n", b""]),
    octets | value_text.map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.sampled_from([b"\r\n", b"\n", b""]),
).map(b"".join)
multipart_body = st.lists(part, max_size=5).map(b"".join)

body_and_type = st.one_of(
    st.tuples(json_body, st.just(JSON)),
    st.tuples(form_body, st.just(FORM)),
    st.tuples(multipart_body, st.just(b"multipart/form-data; boundary=b")),
    st.tuples(json_body | form_body | multipart_body | octets, media_type),
)

# ---- headers and queries ----

NAMES = [
    b"Accept",
    b"Accept-Language",
    b"Cookie",
    b"Origin",
    b"Referer",
    b"Authorization",
    b"If-None-Match",
    b"Range",
]
NAMES += [
    b"If-Modified-Since",
    b"X-Forwarded-For",
    b"X-Forwarded-Host",
    b"Forwarded",
    b"Content-Encoding",
    b"Expect",
]
NAMES += [
    b"Access-Control-Request-Method",
    b"Sec-Fetch-Site",
    b"Date",
    b"TE",
    b"Content-Type",
    b"Content-Language",
]
header_line = st.tuples(st.sampled_from(NAMES), header_value).map(lambda pair: b": ".join(pair) + b"\r\n")
headers = st.lists(header_line, max_size=6).map(b"".join)
query = st.binary(max_size=80).map(lambda raw: re.sub(rb"[^!-~]", b"%ff", raw).replace(b"#", b""))
accept = st.sampled_from([b"", b"Accept: text/html\r\n", b"Accept: application/json\r\n"])


def request(method: bytes, target: bytes, more: bytes, body: bytes = b"") -> bytes:
    return (
        method + b" " + target + b" HTTP/1.1\r\nHost: reset.example.com\r\nConnection: close\r\n" + more
        + b"Content-Length: %d\r\n\r\n" % len(body) + body
    )  # fmt: skip


def assert_it_is_refused_or_done(house: House, target: str, before: int, answer: Answer) -> None:
    letters = house.letters() - before
    if answer.status == 200:
        # The request itself, or the notice of the change.
        expected = 0 if target.endswith("/cancel") else 1
        assert letters == expected
        if "{token}" in target:
            house.link_was_used()
    else:
        assert answer.status in REFUSALS | ({410} if "/reset/" in target else set()), answer
        assert letters == 0
    for inside in (b"Traceback", b"werkzeug", b"Error(", b"SELECT "):
        assert inside not in answer.body
    assert answer.header("content-security-policy")
    assert house.records.alarming() == []
    house.records.forget_what_is_harmless()


@pytest.mark.parametrize("target", TARGETS)
@given(sent=body_and_type, wanted=accept)
@example(sent=(b'{"email": "\\ud800@example.com", "password": "\\ud800"}', JSON), wanted=b"")
@example(sent=(b'{"email": "ann@example.com", "password": "four unrelated words here"}', JSON), wanted=b"")
@example(
    sent=(b"email=a%00@example.com&password=%00%00%00%00%00%00%00%00%00%00%00%00%00%00%00%00", FORM),
    wanted=b"",
)
@fuzzing
def test_any_body_of_any_type_is_refused_or_done(
    house: House, target: str, sent: tuple[bytes, bytes], wanted: bytes
) -> None:
    body, kind = sent
    path = target.replace("{token}", house.open_token() if "{token}" in target else "").encode()
    before = house.letters()
    answer = one_answer(house.send(request(b"POST", path, wanted + b"Content-Type: " + kind + b"\r\n", body)))
    assert_it_is_refused_or_done(house, target, before, answer)


@pytest.mark.parametrize("target", TARGETS)
@given(more=headers, asked=query)
@fuzzing
def test_any_header_and_any_query_change_nothing_but_the_form_of_the_answer(
    house: House, target: str, more: bytes, asked: bytes
) -> None:
    """Also where the query holds what the body should: it is not looked at."""
    path = target.replace("{token}", house.open_token() if "{token}" in target else "").encode()
    before = house.letters()
    body = b"email=ann@example.com&password=short&mute=0"
    sent = request(
        b"POST", path + b"?email=eve@example.com&" + asked, b"Content-Type: " + FORM + b"\r\n" + more, body
    )
    answer = one_answer([found for found in house.send(sent) if found.status != 100])
    assert_it_is_refused_or_done(house, target, before, answer)
    assert not any(recipient.startswith("eve") for recipient in house.recipients())


@pytest.mark.parametrize(
    "path", ["/reset-password", "/reset/{token}", "/reset/{token}/cancel", "/metrics", "/readyz"]
)
@given(more=headers, asked=query)
@fuzzing
def test_looking_with_any_header_and_query_is_harmless(
    house: House, path: str, more: bytes, asked: bytes
) -> None:
    target = path.replace("{token}", house.open_token() if "{token}" in path else "").encode()
    before = house.letters()
    answers = house.send(request(b"GET", target + b"?" + asked, more))
    answer = one_answer([found for found in answers if found.status != 100])
    assert answer.status == (404 if path == "/metrics" else 200)
    assert house.letters() == before
    assert house.records.alarming() == []
    house.records.forget_what_is_harmless()


def test_the_house_finds_what_is_alarming(house: House) -> None:
    """So that its silence means something: an error behind a request, as nobody foresaw it."""
    pages = house.service.parts.pages

    def fails(*_: object, **__: object) -> str:
        raise RuntimeError("nobody foresaw this")

    vars(pages)["render"] = fails
    try:
        answer = one_answer(house.send(request(b"GET", b"/reset-password", b"")))
    finally:
        del vars(pages)["render"]
    assert answer.status == 500
    found = house.records.alarming()
    assert len(found) == 1
    assert "unexpected error" in found[0]
    house.records.ours.entries.clear()
