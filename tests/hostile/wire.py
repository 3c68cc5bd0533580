"""Bytes to a port and back: a client without opinions. What came back is read strictly, so that no answer hides in another."""

import socket
from dataclasses import dataclass
from types import TracebackType

PATIENCE = 20.0  # seconds that the service has for all it wants to say
CLOSED_IN_OUR_FACE = (ConnectionResetError, BrokenPipeError)


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP/1.1 answer."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str:
        """The one header of this name, "" if there is none."""
        found = [value for key, value in self.headers if key == name]
        assert len(found) <= 1, f"{name} was sent {len(found)} times"
        return found[0] if found else ""


class Unreadable(Exception):
    """What came back is not a row of whole HTTP/1.1 answers."""


class Connection:
    """One connection. Sending never fails: whoever is refused early may be cut off while still talking."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._heard = b""

    def __enter__(self) -> "Connection":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except CLOSED_IN_OUR_FACE:
            return

    def answers(self, *, half_close: bool) -> list[Answer]:
        """All that comes until the service closes the connection. `half_close`: say first that nothing more follows."""
        if half_close:
            self.no_more()
        while (data := self._receive()) != b"":
            self._heard += data
        return read_answers(self._heard)

    def next_answer(self, method: str = "GET") -> Answer:
        """One answer; the connection stays as it is."""
        while True:
            try:
                answer, self._heard = _read_one(self._heard, closed=False, without_body=method == "HEAD")
            except _Incomplete:
                data = self._receive()
                if data == b"":
                    raise Unreadable(self._heard) from None
                self._heard += data
            else:
                return answer

    def raw(self) -> bytes:
        """All that comes until the end, as it is."""
        while (data := self._receive()) != b"":
            self._heard += data
        return self._heard

    def some(self) -> bytes:
        """What comes next, as it is; empty at the end."""
        return self._receive()

    def no_more(self) -> None:
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            return

    def _receive(self) -> bytes:
        try:
            return self._socket.recv(65536)
        except CLOSED_IN_OUR_FACE:
            return b""


class _Incomplete(Exception):
    pass


def read_answers(data: bytes, *, without_body: bool = False) -> list[Answer]:
    """Every answer in what a connection brought until its end; Unreadable if anything of it is none."""
    found = []
    while data:
        try:
            answer, data = _read_one(data, closed=True, without_body=without_body)
        except _Incomplete:
            raise Unreadable(data) from None
        found.append(answer)
    return found


def one_answer(answers: list[Answer]) -> Answer:
    assert len(answers) == 1, [answer.status for answer in answers]
    return answers[0]


def _read_one(data: bytes, *, closed: bool, without_body: bool) -> tuple[Answer, bytes]:
    head, separator, rest = data.partition(b"\r\n\r\n")
    if not separator:
        raise _Incomplete
    first, *lines = head.decode("latin-1").split("\r\n")
    version, status, *_ = first.split(" ", 2)
    if version != "HTTP/1.1" or not (len(status) == 3 and status.isdigit()):
        raise Unreadable(data)
    headers = []
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or "\n" in line or "\r" in line:
            raise Unreadable(data)
        headers.append((name.lower(), value.strip()))
    answer = Answer(int(status), tuple(headers), b"")
    if answer.status < 200 or answer.status in (204, 304) or without_body:
        return answer, rest
    if answer.header("transfer-encoding") == "chunked":
        body, rest = _chunks(rest)
    elif length := answer.header("content-length"):
        if len(rest) < int(length):
            raise _Incomplete
        body, rest = rest[: int(length)], rest[int(length) :]
    else:
        if not closed:
            raise _Incomplete
        body, rest = rest, b""
    return Answer(answer.status, answer.headers, body), rest


def _chunks(data: bytes) -> tuple[bytes, bytes]:
    body = b""
    while True:
        size, separator, data = data.partition(b"\r\n")
        if not separator:
            raise _Incomplete
        length = int(size, 16)
        if len(data) < length + 2:
            raise _Incomplete
        if length == 0:
            return body, data[2:]
        body, data = body + data[:length], data[length + 2 :]
