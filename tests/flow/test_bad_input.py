"""Whatever is no request for a reset is refused, clearly, in every form, and leaves nothing behind."""

import gzip
import json
from collections.abc import AsyncIterator, Mapping
from urllib.parse import quote_from_bytes

import pytest
import pytest_asyncio
from quart import Response

from resetsvc import create_app
from resetsvc.testing import Mailbox, make_settings
from tests.flow.conftest import FORMS, Running, body_of, text_of

# One service for the whole table: that nothing is left behind is looked at after each row of it.
pytestmark = pytest.mark.asyncio(loop_scope="module")

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"
MULTIPART = "multipart/form-data; boundary=x"
GOOD = "ann@example.com"
LARGEST = 16 * 1024


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def table(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    mailbox = Mailbox()
    app = create_app(make_settings(tmp_path_factory.mktemp("table")), outbox=mailbox)
    async with app.test_app():
        running = Running(app, app.test_client(), mailbox)
        await running.accounts.add(GOOD, "an old password of hers")
        yield running


def in_a_form(email: str) -> tuple[str, bytes]:
    return FORM, b"email=" + quote_from_bytes(email.encode("utf-8", "surrogatepass")).encode()


def in_multipart(email: str) -> tuple[str, bytes]:
    value = email.encode("utf-8", "surrogatepass")
    return (
        MULTIPART,
        b'--x\r\nContent-Disposition: form-data; name="email"\r\n\r\n' + value + b"\r\n--x--\r\n",
    )


def in_json(email: str) -> tuple[str, bytes]:
    return JSON, json.dumps({"email": email}).encode()


NOT_ADDRESSES = {
    "empty": "",
    "spaces": "   ",
    "no at": "ann",
    "no domain": "ann@",
    "no local part": "@example.com",
    "only an at": "@",
    "NUL": "ann@example.com\0",
    "NUL in the middle": "ann\0@example.com",
    "CR": "ann@example.com\r",
    "LF": "ann@example.com\n",
    "CRLF and a header": "ann@example.com\r\nBcc: eve@example.com",
    "LF and a command": "ann@example.com\nRCPT TO:<eve@example.com>",
    "CRLF, encoded twice": "ann@example.com%0d%0aBcc:eve@example.com",
    "CRLF in the local part": "ann\r\n@example.com",
    "tab": "ann@example.com\t",
    "escape": "ann\x1b[31m@example.com",
    "delete": "ann\x7f@example.com",
    "next line U+0085": "ann@example.com\x85",
    "line separator U+2028": "ann@example.com\u2028Bcc: eve@example.com",
    "line separator in the local part": "a\u2028nn@example.com",
    "paragraph separator U+2029": "ann@example.com\u2029",
    "zero width space": "ann\u200b@example.com",
    "right-to-left override": "ann\u202e@example.com",
    "byte order mark": "\ufeffann@example.com",
    "no-break space": "ann@example.com\xa0",
    "comma": "ann@example.com,eve@example.com",
    "comma and space": "ann@example.com, eve@example.com",
    "semicolon": "ann@example.com;eve@example.com",
    "space": "ann@example.com eve@example.com",
    "space within": "an n@example.com",
    "angle brackets": "<ann@example.com>",
    "display name": "Ann <ann@example.com>",
    "two in angle brackets": "<ann@example.com><eve@example.com>",
    "comment": "ann(eve@example.com)@example.com",
    "quoted local part": '"ann"@example.com',
    "quoted local part with an at": '"ann@eve.example "@example.com',
    "backslash": "ann\\@example.com",
    "source route": "@eve.example:ann@example.com",
    "two ats": "ann@eve.example@example.com",
    "mailto": "mailto:ann@example.com",
    "address literal": "ann@[127.0.0.1]",
    "dots together": "ann..b@example.com",
    "dot first": ".ann@example.com",
    "dot last": "ann.@example.com",
    "dots together in the domain": "ann@example..com",
    "dot after the domain": "ann@example.com.",
    "hyphen before a label": "ann@-example.com",
    "underscore in the domain": "ann@exa_mple.com",
    "port": "ann@example.com:25",
    "path": "ann@example.com/../",
    "65 octets before the at": "a" * 65 + "@example.com",
    "65 octets in 33 letters": "é" * 33 + "@example.com",
    "a label of 64": "ann@" + "a" * 64 + ".com",
    "255 octets": "ann@" + ".".join(["a" * 62] * 3) + "." + "a" * 58 + ".com",
    "12,000 octets": "a" * 12_000 + "@example.com",
    "many ats": "@" * 5_000,
    "many dots": "a." * 2_500 + "@example.com",
    "lone surrogate": "ann\ud800@example.com",
    "lone surrogate in the domain": "ann@ex\udfffample.com",
    "markup": '"><script>alert(1)</script>@example.com',
    "template": "{{7*7}}@{{config}}",
}


@pytest.mark.parametrize("name", list(NOT_ADDRESSES))
async def test_what_is_not_an_address_is_refused(table: Running, name: str) -> None:
    for encode in (in_a_form, in_multipart, in_json):
        media_type, body = encode(NOT_ADDRESSES[name])
        for form in FORMS:
            answer = await post(table, media_type, body, form)
            assert answer.status_code == 400, encode
            await assert_it_is_told(answer, "json" if media_type == JSON else form)
            assert b"<script>alert" not in await body_of(answer)
    await assert_nothing_is_left(table)


def part(disposition: bytes, value: bytes = b"ann@example.com", more: bytes = b"") -> bytes:
    return b"--x\r\nContent-Disposition: " + disposition + b"\r\n" + more + b"\r\n" + value + b"\r\n"


EMAIL = b'form-data; name="email"'
END = b"--x--\r\n"
DEEP = 8_000  # as deep as 16 KiB hold; 100,000 are a body that is too large

NOT_REQUESTS: Mapping[str, tuple[int, str, bytes]] = {
    # the field
    "form: missing": (400, FORM, b"locale=en"),
    "form: no body": (400, FORM, b""),
    "form: without =": (400, FORM, b"email"),
    "form: twice": (400, FORM, b"email=ann@example.com&email=eve@example.com"),
    "form: twice the same": (400, FORM, b"email=ann@example.com&email=ann@example.com"),
    "form: twice, one empty": (400, FORM, b"email=&email=ann@example.com"),
    "form: once more, encoded": (400, FORM, b"email=ann@example.com&%65mail=eve@example.com"),
    "form: []": (400, FORM, b"email[]=ann@example.com"),
    "form: [0] and [1]": (400, FORM, b"email[0]=ann@example.com&email[1]=eve@example.com"),
    "form: other case": (400, FORM, b"Email=ann@example.com"),
    "form: semicolons": (400, FORM, b"x=1;email=ann@example.com"),
    "form: NUL in the name": (400, FORM, b"email%00=ann@example.com"),
    "form: a thousand fields": (400, FORM, b"email=ann@example.com" + b"&x=1" * 1000),
    "multipart: missing": (400, MULTIPART, part(b'form-data; name="other"') + END),
    "multipart: twice": (400, MULTIPART, part(EMAIL) + part(EMAIL, b"eve@example.com") + END),
    "multipart: a file": (400, MULTIPART, part(EMAIL + b'; filename="a.txt"') + END),
    "multipart: a nameless file": (400, MULTIPART, part(EMAIL + b'; filename=""') + END),
    "multipart: text and file": (400, MULTIPART, part(EMAIL) + part(EMAIL + b'; filename="a"') + END),
    "multipart: no name": (400, MULTIPART, part(b"form-data") + END),
    "multipart: 60 parts": (413, MULTIPART, part(EMAIL) + part(b'form-data; name="x"') * 60 + END),
    "json: missing": (400, JSON, b"{}"),
    "json: null": (400, JSON, b'{"email": null}'),
    "json: true": (400, JSON, b'{"email": true}'),
    "json: false": (400, JSON, b'{"email": false}'),
    "json: 0": (400, JSON, b'{"email": 0}'),
    "json: 1.5": (400, JSON, b'{"email": 1.5}'),
    "json: array": (400, JSON, b'{"email": ["ann@example.com"]}'),
    "json: array of two": (400, JSON, b'{"email": ["ann@example.com", "eve@example.com"]}'),
    "json: empty array": (400, JSON, b'{"email": []}'),
    "json: object": (400, JSON, b'{"email": {"0": "ann@example.com"}}'),
    "json: operator": (400, JSON, b'{"email": {"$ne": null}}'),
    "json: NaN": (400, JSON, b'{"email": NaN}'),
    "json: NaN elsewhere": (400, JSON, b'{"email": "ann@example.com", "x": NaN}'),
    "json: -Infinity": (400, JSON, b'{"email": "ann@example.com", "x": -Infinity}'),
    "json: twice": (400, JSON, b'{"email": "ann@example.com", "email": "eve@example.com"}'),
    "json: twice the same": (400, JSON, b'{"email": "ann@example.com", "email": "ann@example.com"}'),
    "json: twice, one escaped": (400, JSON, b'{"email": "ann@example.com", "\\u0065mail": "e@x.example"}'),
    "json: in an object": (400, JSON, b'{"user": {"email": "ann@example.com"}}'),
    "json: other case": (400, JSON, b'{"EMAIL": "ann@example.com"}'),
    # the body
    "json: no body": (400, JSON, b""),
    "json: not JSON": (400, JSON, b"email=ann@example.com"),
    "json: array at the top": (400, JSON, b'[{"email": "ann@example.com"}]'),
    "json: pairs at the top": (400, JSON, b'[["email", "ann@example.com"]]'),
    "json: text at the top": (400, JSON, b'"ann@example.com"'),
    "json: null at the top": (400, JSON, b"null"),
    "json: cut short": (400, JSON, b'{"email": "ann@example.com"'),
    "json: more behind it": (400, JSON, b'{"email": "ann@example.com"} {}'),
    "json: comma at the end": (400, JSON, b'{"email": "ann@example.com",}'),
    "json: control character": (400, JSON, b'{"email": "ann@example.com\n"}'),
    "json: deep array": (400, JSON, b"[" * DEEP),
    "json: deep array, closed": (400, JSON, b"[" * DEEP + b"]" * DEEP),
    "json: deep object": (400, JSON, b'{"a":' * 2500),
    "json: deep, and ignored": (400, JSON, b'{"email": "ann@example.com", "x": ' + b"[" * DEEP + b"}"),
    "json: 100,000 deep": (413, JSON, b"[" * 100_000 + b"]" * 100_000),
    "json: a number of 9,000 digits": (400, JSON, b'{"email": "ann@example.com", "x": ' + b"1" * 9000 + b"}"),
    "json: UTF-16": (400, JSON, '{"email": "ann@example.com"}'.encode("utf-16")),
    "json: UTF-16, and said so": (
        400,
        f"{JSON}; charset=utf-16",
        '{"email": "ann@example.com"}'.encode("utf-16"),
    ),
    "json: UTF-32": (400, JSON, '{"email": "ann@example.com"}'.encode("utf-32")),
    "json: byte order mark": (400, JSON, b'\xef\xbb\xbf{"email": "ann@example.com"}'),
    "json: invalid UTF-8": (400, JSON, b'{"email": "ann\xff@example.com"}'),
    "json: overlong NUL": (400, JSON, b'{"email": "ann\xc0\x80@example.com"}'),
    "form: UTF-16": (400, FORM, "email=ann@example.com".encode("utf-16")),
    "form: invalid UTF-8": (400, FORM, b"email=ann\xff@example.com"),
    "form: invalid UTF-8, encoded": (400, FORM, b"email=ann%ff@example.com"),
    "form: invalid UTF-8 elsewhere": (400, FORM, b"email=ann@example.com&x=%ff"),
    "form: overlong slash": (400, FORM, b"email=ann%c0%af@example.com"),
    "multipart: no boundary": (400, "multipart/form-data", part(EMAIL) + END),
    "multipart: empty boundary": (400, "multipart/form-data; boundary=", part(EMAIL) + END),
    "multipart: boundary with é": (400, 'multipart/form-data; boundary="é"', part(EMAIL) + END),
    "multipart: other boundary": (400, "multipart/form-data; boundary=y", part(EMAIL) + END),
    "multipart: no end": (400, MULTIPART, part(EMAIL)),
    "multipart: cut in a header": (400, MULTIPART, b"--x\r\nContent-Dispo"),
    "multipart: no disposition": (400, MULTIPART, b"--x\r\n\r\nann@example.com\r\n--x--\r\n"),
    "multipart: no body": (400, MULTIPART, b""),
    "multipart: invalid UTF-8": (400, MULTIPART, part(EMAIL, b"ann\xff@example.com") + END),
    "multipart: base64": (
        400,
        MULTIPART,
        part(EMAIL, b"YW5uQGV4YW1wbGUuY29t", b"Content-Transfer-Encoding: base64\r\n") + END,
    ),
    "multipart: a boundary of 9,000": (400, "multipart/form-data; boundary=" + "y" * 9000, part(EMAIL) + END),
    # the size, and what it is said to be
    "form: one octet too many": (413, FORM, b"email=ann@example.com&x=".ljust(LARGEST + 1, b"x")),
    "multipart: too large": (
        413,
        MULTIPART,
        part(EMAIL) + part(b'form-data; name="x"', b"x" * LARGEST) + END,
    ),
    "json: too large": (413, JSON, json.dumps({"email": GOOD, "x": "x" * LARGEST}).encode()),
    "text/plain": (415, "text/plain", b"email=ann@example.com"),
    "text/plain with JSON in it": (415, "text/plain", b'{"email": "ann@example.com"}'),
    "xml": (415, "application/xml", b"<email>ann@example.com</email>"),
    "octets": (415, "application/octet-stream", b"email=ann@example.com"),
    "multipart/mixed": (415, "multipart/mixed; boundary=x", part(EMAIL) + END),
    "another JSON": (415, "application/vnd.api+json", b'{"email": "ann@example.com"}'),
    "two types": (415, "application/json, text/plain", b'{"email": "ann@example.com"}'),
    "no type": (415, "", b"email=ann@example.com"),
    "no type and no body": (400, "", b""),
    "garbage for a type": (415, ";;;=", b"email=ann@example.com"),
}


@pytest.mark.parametrize("name", list(NOT_REQUESTS))
async def test_what_is_not_a_request_is_refused(table: Running, name: str) -> None:
    status, media_type, body = NOT_REQUESTS[name]
    for form in FORMS:
        answer = await post(table, media_type, body, form)
        assert answer.status_code == status, await text_of(answer)
        await assert_it_is_told(answer, "json" if media_type.split(";")[0] == JSON else form)
    await assert_nothing_is_left(table)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "GZIP", "identity, gzip"])
async def test_packed_bodies_are_refused_and_not_unpacked(table: Running, encoding: str) -> None:
    for body in (gzip.compress(b"email=ann@example.com"), b"email=ann@example.com"):
        answer = await table.client.post(
            "/reset-password", data=body, headers={"Content-Type": FORM, "Content-Encoding": encoding}
        )
        assert answer.status_code == 415
    await assert_nothing_is_left(table)


async def test_a_large_body_is_refused_though_its_size_was_not_announced(table: Running) -> None:
    connection = table.client.request("/reset-password", method="POST", headers={"Content-Type": FORM})
    async with connection:
        await connection.send(b"email=ann@example.com&x=")
        await connection.send(b"x" * LARGEST)
        await connection.send_complete()
    answer = await connection.as_response()
    assert answer.status_code == 413
    await assert_it_is_told(answer, "text")
    await assert_nothing_is_left(table)


@pytest.mark.parametrize(
    "host",
    [
        "[::1",
        "a" * 5000,
        "a b<>",
        "",
        "evil:99999999",
        "é.example",
        "evil.example/../",
        "user@evil.example",
        "\0",
    ],
)
async def test_no_host_header_makes_an_error(table: Running, host: str) -> None:
    client = table.app.test_client(use_cookies=False)  # its cookie jar reads the host before anything is sent
    answer = await client.post("/reset-password", form={"email": "nobody"}, headers={"Host": host})
    assert answer.status_code == 400
    assert await text_of(answer) == "Enter an email address, like name@example.com.\n"


@pytest.mark.parametrize(
    "headers",
    [
        {"Accept": ",,;;=="},
        {"Accept": "text/html;q=abc"},
        {"Accept": "text/html;q=-1"},
        {"Accept": "a" * 9000},
        {"Accept-Language": "de;q="},
        {"Accept-Language": "de;q=nan, en;q=1e400"},
        {"Accept-Language": "\0, ../../etc/passwd"},
        {"Accept-Language": "x-" * 4000},
        {"Cookie": "=;;=;session=x; session"},
        {"Origin": "\0"},
        {"X-Forwarded-For": "1.2.3.4, ::1, x" * 500},
        {"If-None-Match": '"', "If-Modified-Since": "yesterday", "Range": "bytes=9-1"},
        {"Authorization": "Bearer é"},
    ],
    ids=str,
)
async def test_no_header_makes_an_error(table: Running, headers: dict[str, str]) -> None:
    answer = await table.client.post("/reset-password", form={"email": "nobody"}, headers=headers)
    assert answer.status_code == 400
    assert (await table.client.get("/metrics", headers=headers)).status_code == 404
    assert (await table.client.get("/static/resetsvc.css", headers=headers)).status_code in (
        200,
        400,
    )  # 400: a range that is none


async def test_a_person_is_shown_the_form_again_with_what_was_typed(table: Running) -> None:
    page = await text_of(await post(table, *in_a_form("ann.example.com"), "html"))
    assert 'name="email" type="email" value="ann.example.com"' in page
    assert "Enter an email address, like name@example.com." in page
    assert 'aria-invalid="true"' in page


async def post(running: Running, media_type: str, body: bytes, form: str) -> Response:
    headers = {"Content-Type": media_type, **FORMS[form]}
    return await running.client.post("/reset-password", data=body, headers=headers)


async def assert_it_is_told(answer: Response, form: str) -> None:
    """In the form that was asked for, in a sentence, and with nothing of our insides."""
    text = await text_of(answer)
    if form == "json":
        assert answer.headers["Content-Type"] == "application/problem+json"
        problem = json.loads(text)
        assert problem.keys() == {"type", "title", "status", "detail", "code"}
        assert problem["status"] == answer.status_code
        sentences = [problem["title"], problem["detail"]]
        assert problem["code"].replace("_", "").isalpha()
    elif form == "html":
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        assert text.startswith("<!doctype html>")
        assert "<h1>" in text
        sentences = []
    else:
        assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert text.endswith("\n")
        assert text.count("\n") == 1
        sentences = [text.strip()]
    assert all(len(sentence) > 8 for sentence in sentences)
    for inside in ("Traceback", "werkzeug", "Exception", "Error(", "sqlite", "SELECT"):
        assert inside not in text
    if form != "html":  # a person is shown the form as it was filled in
        assert "@example" not in text.replace("name@example.com", "")


async def assert_nothing_is_left(table: Running) -> None:
    assert await table.letters() == []
    assert table.mailbox.mails == []
