"""Bytes that are hardly HTTP: 4xx or the door, never two answers for one smuggled request, and the next one is served.

What h11 and hypercorn do by themselves and we cannot change is held here too, with the reason why it is harmless.
"""

from collections.abc import Iterator

import pytest

from resetsvc.testing import CaughtMail
from tests.hostile.house import ANN, House
from tests.hostile.wire import Answer, Connection, one_answer

EVE = b"email=eve@evil.example"
MINE = b"email=me@example.com"
FORM = b"Content-Type: application/x-www-form-urlencoded\r\n"
POST = b"POST /reset-password HTTP/1.1\r\nHost: reset.example.com\r\n" + FORM
CHUNKED = b"Transfer-Encoding: chunked\r\n"
CLOSE = b"Connection: close\r\n"
SMUGGLED = POST + CLOSE + b"Content-Length: %d\r\n\r\n" % len(EVE) + EVE


def length(number: object) -> bytes:
    return f"Content-Length: {number}\r\n".encode("latin-1")


def chunk(data: bytes, size: bytes | None = None) -> bytes:
    return (b"%x" % len(data) if size is None else size) + b"\r\n" + data + b"\r\n"


def get(target: bytes, headers: bytes = b"Host: reset.example.com\r\n", method: bytes = b"GET") -> bytes:
    return method + b" " + target + b" HTTP/1.1\r\n" + headers + CLOSE + b"\r\n"


@pytest.fixture(autouse=True)
def _nothing_alarms_nothing_is_left_and_somebody_else_is_served(house: House) -> Iterator[None]:
    yield
    house.ask_healthily()
    assert house.has_let_go()
    assert house.records.alarming() == []
    assert not any("evil" in address for address in house.addresses())


def refused(house: House, data: bytes, *statuses: int) -> Answer:
    """One answer with one of these statuses (any 4xx if none is named), nothing stored, and the connection closed."""
    before = house.letters()
    answer = one_answer(house.send(data))
    assert answer.status in statuses if statuses else 400 <= answer.status < 500, answer.status
    assert house.letters() == before
    return answer


# ---- where a body ends ----

TWO_LENGTHS = {
    "TE, then CL": POST + CHUNKED + length(6) + b"\r\n0\r\n\r\n",
    "CL, then TE": POST + length(6) + CHUNKED + b"\r\n0\r\n\r\n",
    "CL that covers both": POST + length(5 + len(SMUGGLED)) + CHUNKED + b"\r\n0\r\n\r\n",
    "CL of nought": POST + length(0) + CHUNKED + b"\r\n0\r\n\r\n",
    "TE in odd letters": POST + b"tRANSFER-eNCODING: CHUNKED\r\n" + length(6) + b"\r\n0\r\n\r\n",
    "TE with space around": POST + b"Transfer-Encoding: \t chunked \r\n" + length(6) + b"\r\n0\r\n\r\n",
    "TE behind a folded line": POST + b"Transfer-Encoding:\r\n chunked\r\n" + length(6) + b"\r\n0\r\n\r\n",
    "with a good body": POST + CHUNKED + length(len(MINE)) + b"\r\n" + chunk(MINE) + b"0\r\n\r\n",
    "a path that is not there": POST.replace(b"/reset-password", b"/nowhere")
    + CHUNKED
    + length(6)
    + b"\r\n0\r\n\r\n",
    "a GET": POST.replace(b"POST", b"GET") + CHUNKED + length(6) + b"\r\n0\r\n\r\n",
    "TE in HTTP/1.0": POST.replace(b"1.1", b"1.0")
    + b"Connection: keep-alive\r\n"
    + CHUNKED
    + b"\r\n0\r\n\r\n",
    "two CL": POST + length(len(MINE)) + length(5) + b"\r\n" + MINE,
    "two CL, one nought": POST + length(0) + length(len(SMUGGLED)) + b"\r\n",
    "two CL in one line": POST + length(f"{len(MINE)}, 5") + b"\r\n" + MINE,
}


@pytest.mark.parametrize("name", list(TWO_LENGTHS))
def test_a_request_of_two_lengths_is_refused_and_what_follows_is_no_request(house: House, name: str) -> None:
    answer = refused(house, TWO_LENGTHS[name] + SMUGGLED, 400)
    assert answer.header("connection") == "close"


LENGTHS = [
    "+20",
    "-1",
    "-0",
    "0x14",
    "2 0",
    "20abc",
    "",
    "2e1",
    "20.0",
    "\xb2",
    "9" * 30,
    "20;",
    "\t",
    "２０".encode().decode("latin-1"),
]


@pytest.mark.parametrize("number", LENGTHS)
def test_a_length_that_is_no_number_is_refused(house: House, number: str) -> None:
    refused(house, POST + length(number) + b"\r\n" + MINE + SMUGGLED, 400)


@pytest.mark.parametrize(
    "size", [b"0x14", b"+14", b"-1", b"g", b"", b" 14", b"14\n", b"1_4", b"F" * 21, b"0" * 21 + b"14"]
)
def test_a_chunk_whose_size_is_no_number_is_refused(house: House, size: bytes) -> None:
    refused(house, POST + CHUNKED + b"\r\n" + chunk(MINE, size) + b"0\r\n\r\n" + SMUGGLED, 400)


def test_a_chunk_that_does_not_end_where_it_said_is_refused(house: House) -> None:
    refused(house, POST + CHUNKED + b"\r\n" + chunk(MINE)[:-2] + b"XX0\r\n\r\n" + SMUGGLED, 400)


@pytest.mark.parametrize("size", [b"7FFFFFFF", b"F" * 16])
def test_a_chunk_of_which_the_rest_never_comes_stores_nothing(house: House, size: bytes) -> None:
    """Its sender leaves. Whether hypercorn still says 400 depends on whether it reads the end with the data or after."""
    before = house.letters()
    answers = house.send(POST + CHUNKED + b"\r\n" + chunk(MINE, size) + SMUGGLED, half_close=True)
    assert [answer.status for answer in answers] in ([], [400])
    assert house.letters() == before


CODINGS = [
    b"identity",
    b"gzip, chunked",
    b"chunked, chunked",
    b"chunked, identity",
    b"xchunked",
    b'"chunked"',
    b"",
]


@pytest.mark.parametrize("coding", CODINGS)
def test_a_transfer_coding_other_than_chunked_is_not_guessed_at(house: House, coding: bytes) -> None:
    """h11 says 501, and closes: what RFC 9112 6.1 asks for. It is no failure of ours: nothing of the app has run."""
    refused(
        house,
        POST + b"Transfer-Encoding: " + coding + b"\r\n\r\n" + chunk(MINE) + b"0\r\n\r\n" + SMUGGLED,
        501,
    )


def test_two_transfer_codings_are_not_guessed_at(house: House) -> None:
    body = chunk(MINE) + b"0\r\n\r\n"
    refused(house, POST + CHUNKED + b"Transfer-Encoding: identity\r\n\r\n" + body + SMUGGLED, 501)
    refused(house, POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n" + body + SMUGGLED, 400)


def test_extensions_and_trailers_are_read_over_however_many_there_are(house: House) -> None:
    """They are no part of the body: 200 as without them, once. None of their names has a meaning to us."""
    extended = b'14;a=b;c="d"' + b";e" * 400
    before = house.letters()
    trailers = (
        b"Content-Length: 5\r\nHost: evil.example\r\nTransfer-Encoding: chunked\r\n" + b"X: y\r\n" * 500
    )
    assert len(MINE) == 0x14
    data = POST + CHUNKED + CLOSE + b"\r\n" + chunk(MINE, extended) + b"0\r\n" + trailers + b"\r\n"
    assert one_answer(house.send(data)).status == 200
    assert house.letters() == before + 1


def test_a_flood_of_chunk_extensions_ends_in_one_answer(house: House) -> None:
    """The size of a body counts without its frames, and these are sixteen times as large."""
    flood = (b"1;" + b"x" * 14 + b"\r\na\r\n") * 16_000
    refused(house, POST + CHUNKED + CLOSE + b"\r\n" + flood + b"0\r\n\r\n", 400)


@pytest.mark.parametrize("first", [b"GET /readyz", b"GET /reset/unknown", b"POST /reset-password"])
def test_a_body_that_nobody_reads_to_its_end_keeps_no_connection(house: House, first: bytes) -> None:
    """hypercorn keeps ten pieces of it, and waits for room then; of one that is too large nobody makes any."""
    pieces = chunk(b"a" * 16_385) + chunk(b"b") * 100
    answer = one_answer(house.send(first + b" HTTP/1.1\r\nHost: x\r\n" + FORM + CHUNKED + b"\r\n" + pieces))
    assert answer.status == {b"GET /readyz": 200, b"GET /reset/unknown": 410}.get(first, 413)


def test_a_body_that_holds_a_request_is_a_body(house: House) -> None:
    for head in (POST.replace(b"/reset-password", b"/nowhere"), POST.replace(b"POST", b"GET"), POST):
        before = house.letters()
        answer = one_answer(house.send(head + CLOSE + length(len(SMUGGLED)) + b"\r\n" + SMUGGLED))
        assert answer.status in (200, 400, 404)
        assert house.letters() == before


def test_what_is_sent_in_a_row_is_answered_in_a_row(house: House) -> None:
    """So that the tests above mean something: without a doubtful length the second request is one."""
    before = house.letters()
    first = POST + length(len(MINE)) + b"\r\n" + MINE
    second = POST + CLOSE + length(len(MINE)) + b"\r\n" + MINE
    assert [answer.status for answer in house.send(first + second)] == [200, 200]
    assert house.letters() == before + 2


# ---- heads ----

BAD_HEADERS = {
    "NUL in a value": b"Host: x\r\nX: a\0b\r\n",
    "NUL in a name": b"Host: x\r\nX\0: a\r\n",
    "CR in a value": b"Host: x\r\nX: a\rb\r\n",
    "space before the colon": b"Host: x\r\nContent-Length : 5\r\n",
    "no colon": b"Host: x\r\nfoo\r\n",
    "no name": b"Host: x\r\n: a\r\n",
    "a folded line first": b" Host: x\r\nHost: x\r\n",
    "parentheses in a name": b"Host: x\r\nA(b): c\r\n",
    "no host": b"X: y\r\n",
    "two hosts": b"Host: reset.example.com\r\nHost: evil.example\r\n",
    "the same host twice": b"Host: x\r\nHost: x\r\n",
    "not ASCII in a name": b"Host: x\r\n\xff: a\r\n",
}


@pytest.mark.parametrize("name", list(BAD_HEADERS))
def test_a_head_that_is_none_is_refused(house: House, name: str) -> None:
    refused(house, get(b"/healthz", BAD_HEADERS[name]), 400)


READ_LENIENTLY = {
    # RFC 9112 5.2: "replace each received obs-fold with one or more SP". No header that may be folded decides anything.
    "folded": b"Host: x\r\nX: a\r\n b\r\n",
    # RFC 9112 2.2: a single LF may end a line. It does for h11 throughout, so a proxy that reads LF as text and hands it
    # on could be tricked; those in use refuse it, and a doubtful length is refused whatever brought it about.
    "LF alone": b"Host: x\nX: y\n",
    # Never shown and never logged: nobody's terminal is cleared.
    "an escape": b"Host: x\r\nX: \x1b[2J\r\n",
    "ISO 8859-1": b"Host: x\r\nX: \xff\r\n",
    "an expectation that nobody knows": b"Host: x\r\nExpect: 200-ok\r\n",
    "many headers": b"Host: x\r\n" + b"a: b\r\n" * 1000,
    "an empty host": b"Host:\r\n",
    "a host with somebody in front": b"Host: user@evil.example\r\n",
    "a host that is none": b"Host: [::1\r\n",
    "another host": b"Host: evil.example:99999\r\n",
}


@pytest.mark.parametrize("name", list(READ_LENIENTLY))
def test_a_head_that_is_odd_but_clear_is_answered_once(house: House, name: str) -> None:
    answer = one_answer(house.send(get(b"/healthz", READ_LENIENTLY[name])))
    assert (answer.status, answer.body) == (200, b'{"status":"ok"}\n')


def test_a_head_without_end_is_refused(house: House) -> None:
    """It may come in one piece or in many: what is over 8 KiB and still no whole head is 431."""
    with Connection(house.port) as connection:
        connection.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 100_000)
        answer = one_answer(connection.answers(half_close=False))
    assert (answer.status, answer.header("connection")) == (431, "close")


HOSTS = {
    "another": b"Host: evil.example\r\n",
    "with a port": b"Host: reset.example.com:evil.example\r\n",
    "with somebody in front": b"Host: reset.example.com@evil.example\r\n",
    "empty": b"Host:\r\n",
    "markup": b'Host: "><script>evil.example\r\n',
    "forwarded": b"Host: reset.example.com\r\nX-Forwarded-Host: evil.example\r\nX-Forwarded-Proto: http\r\n",
    "forwarded, folded": b"Host: reset.example.com\r\nX-Forwarded-Host:\r\n evil.example\r\n",
    "Forwarded": b"Host: reset.example.com\r\nForwarded: host=evil.example\r\n",
    "in the target": b"Host: reset.example.com\r\n",
}


@pytest.mark.parametrize("name", list(HOSTS))
def test_the_links_in_a_mail_are_made_from_the_setting_alone(house: House, name: str) -> None:
    target = b"http://evil.example/reset-password" if name == "in the target" else b"/reset-password"
    body = b"email=" + ANN.encode()
    head = b"POST " + target + b" HTTP/1.1\r\n" + HOSTS[name] + FORM + CLOSE + length(len(body)) + b"\r\n"

    def ask() -> None:
        assert one_answer(house.send(head + body)).status == 200

    mail: CaughtMail = house.mail_after(ask)
    assert mail.link.startswith("https://reset.example.com/reset/")
    assert mail.cancel_link == f"{mail.link}/cancel"
    assert b"evil" not in mail.raw.replace(b"=\r\n", b"")


# ---- first lines ----

TARGETS: dict[bytes, tuple[int, ...]] = {
    b"*": (404,),
    b"evil.example:443": (404,),
    b"?x": (404,),  # Quart fails at a path that is empty
    b"healthz": (404,),
    b"http://[": (404,),
    b"http://[::1": (404,),
    b"http://": (404,),
    b"http://evil.example": (404,),
    b"ftp://evil.example/healthz": (404,),
    b"//evil.example/healthz": (404,),
    b"/healthz/": (404,),
    b"/healthz#x": (404,),
    b"/./healthz": (404,),
    b"/a/../healthz": (404,),
    b"/%2e%2e/%2e%2e/etc/passwd": (404,),
    b"/static/../app.py": (404,),
    b"/static/%2e%2e/app.py": (404,),
    b"/static/..%2fapp.py": (404,),
    b"/static/..%5capp.py": (404,),
    b"/static/%00": (404,),
    b"/static//etc/passwd": (404,),
    b"/\\..\\app.py": (404,),
    b"/%": (404,),
    b"/%zz": (404,),
    b"/%0d%0aX:%20y": (404,),
    b"/reset/%2fcancel": (404,),
    b"/reset/%2e%2e": (410,),
    b"/reset/a%00b": (410,),
    b"/reset/%ff%fe": (410,),
    b"/reset/%ed%a0%80": (410,),  # a surrogate
    b"/reset/a%2fcancel": (410,),  # the path that it spells: encoded or not, it is the same to us
    b"/" + b"a" * 7000: (404,),
    b"/" + b"../" * 2000: (404,),
    b"/reset/" + b"%00" * 2000: (410,),
    b"/" + b"a" * 65_536: (431,),
    # not printable ASCII: h11 refuses it before any of it is a path
    b"/reset/a\0b": (400,),
    b"/reset/\xff\xfe": (400,),
    b"/reset/\x7f": (400,),
    b"/reset/a b": (400,),
    b"/healthz?\xff": (400,),
    b"": (400,),
}


@pytest.mark.parametrize("target", list(TARGETS), ids=lambda target: repr(target[:30]))
def test_an_odd_target_is_refused(house: House, target: bytes) -> None:
    answer = refused(house, get(target), *TARGETS[target])
    assert not answer.header("location")
    for method in (b"POST", b"PUT"):
        assert 400 <= refused(house, get(target, method=method)).status < 500


def test_a_whole_address_as_the_target_is_its_path(house: House) -> None:
    """RFC 9112 3.2.2: a server has to take it. Whose host it names makes no difference, as with `Host`."""
    for target in (b"http://evil.example/healthz", b"HTTPS://user@evil.example:1/healthz?x", b"/%68ealthz"):
        assert one_answer(house.send(get(target))).body == b'{"status":"ok"}\n'


METHODS = [
    b"get",
    b"Get",
    b"head",
    b"post",
    b"GETX",
    b"TRACE",
    b"CONNECT",
    b"PROPFIND",
    b"DELETE",
    b"PRI",
    b"%47ET",
    b"M" * 7000,
]


@pytest.mark.parametrize("method", METHODS, ids=lambda method: repr(method[:10]))
def test_an_unknown_method_is_405_with_what_is_known(house: House, method: bytes) -> None:
    """Methods are case-sensitive (RFC 9110 9.1); hypercorn would make them capitals, and fails at the end of `head`."""
    answer = refused(house, get(b"/reset-password", method=method), 405)
    assert answer.header("allow") == "GET, HEAD, OPTIONS, POST"
    assert answer.body == b"This page does not take requests of this kind.\n"
    assert answer.header("content-security-policy")


def test_trace_echoes_nothing(house: House) -> None:
    headers = b"Host: x\r\nCookie: a-secret\r\n"
    assert b"a-secret" not in refused(house, get(b"/healthz", headers, method=b"TRACE"), 405).body


def test_connect_makes_no_tunnel(house: House) -> None:
    refused(house, get(b"evil.example:443", method=b"CONNECT"), 404)


@pytest.mark.parametrize("method", [b"G T", b"G\0T", b"\xff", b"POST\t", b'X-"', b""])
def test_what_is_no_word_is_no_method(house: House, method: bytes) -> None:
    refused(house, get(b"/reset-password", method=method), 400)


@pytest.mark.parametrize(
    "version", [b"", b" http/1.1", b" HTTP/1.1 ", b" HTTP/1.1x", b" HTTP/11", b" HTTPS/1.1", b" 1.1"]
)
def test_what_is_no_version_is_refused(house: House, version: bytes) -> None:
    """Also HTTP/0.9, whose first line has none."""
    refused(house, b"GET /healthz" + version + b"\r\nHost: x\r\n\r\n" + SMUGGLED, 400)


@pytest.mark.parametrize("version", [b"HTTP/0.9", b"HTTP/1.0", b"HTTP/1.2", b"HTTP/2.0", b"HTTP/9.9"])
def test_a_version_that_we_do_not_speak_is_answered_in_ours(house: House, version: bytes) -> None:
    """h11 reads the number and nothing else by it. Harmless: one request, one answer, with a length of its own."""
    answers = house.send(b"GET /healthz " + version + b"\r\nHost: x\r\n" + CLOSE + b"\r\n")
    assert one_answer(answers).body == b'{"status":"ok"}\n'


@pytest.mark.parametrize(
    "data",
    [
        b"\0\1\2\r\n\r\n",
        bytes.fromhex("16030100c8010000c40303") + b"\0" * 200,
        b"\r\n\r\n",
        b"EHLO x\r\n\r\n",
    ],
)
def test_another_protocol_is_refused(house: House, data: bytes) -> None:
    refused(house, data + SMUGGLED, 400)


# ---- upgrades ----


@pytest.mark.parametrize(
    "more", [b"13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", b"13\r\n", b"12\r\n"]
)
def test_an_upgrade_to_a_websocket_is_not_taken_up(house: House, more: bytes) -> None:
    """There are none here, and hypercorn keeps the connection for ever where the handshake is a bad one."""
    wish = b"Host: x\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: " + more
    with Connection(house.port) as connection:
        connection.send(b"GET /healthz HTTP/1.1\r\n" + wish + b"\r\n")
        assert connection.next_answer().body == b'{"status":"ok"}\n'
        connection.send(get(b"/nowhere"))  # HTTP, as before
        assert one_answer(connection.answers(half_close=False)).status == 404


@pytest.mark.parametrize(
    "settings", [b"HTTP2-Settings: AAMAAABkAAQAAP__\r\n", b"HTTP2-Settings: !!!\r\n", b""]
)
def test_an_upgrade_to_http_2_is_not_taken_up(house: House, settings: bytes) -> None:
    """A proxy that handed it on would be blind to what follows, and to whose `X-Forwarded-For` it is."""
    wish = b"Host: x\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\n" + settings
    with Connection(house.port) as connection:
        connection.send(b"GET /healthz HTTP/1.1\r\n" + wish + b"\r\n")
        assert connection.next_answer().body == b'{"status":"ok"}\n'
        connection.send(get(b"/nowhere"))
        assert one_answer(connection.answers(half_close=False)).status == 404


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
FRAMES = {
    "settings": b"\0\0\0\4\0\0\0\0\0",
    "a request": b"\0\0\0\4\0\0\0\0\0" + b"\0\0\x0f\1\5\0\0\0\1\x82\x86\x41\1x\x04\x08/healthz",
    "HTTP/1": SMUGGLED,
    "nothing": b"",
}


@pytest.mark.parametrize("name", list(FRAMES))
def test_http_2_is_not_spoken_without_tls(house: House, name: str) -> None:
    """404 for the first line of its preface, 400 for the second, and the end. No connection without a time-out."""
    before = house.letters()
    assert [answer.status for answer in house.send(PREFACE + FRAMES[name])] == [404, 400]
    assert house.letters() == before


def test_what_follows_a_farewell_is_no_request(house: House) -> None:
    """hypercorn answers 400 to both, though it may have done the first one: `Connection: close` was a lie."""
    one_answer(house.send(get(b"/healthz") + SMUGGLED))
    one_answer(house.send(POST + CLOSE + length(len(MINE)) + b"\r\n" + MINE + SMUGGLED))
