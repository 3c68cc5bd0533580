"""An HTTP server with nothing behind it that treats some addresses otherwise, on order: for tests of the self-test itself.

A process of its own: beside the client that measures it would wait for the interpreter's lock.

python -m tests.selftest.bare_server --fd 5 --slow k:5 --answers 100
"""

import random
import socket
import time
from dataclasses import dataclass

import click

PLAIN = b"HTTP/1.1 %d Whatever\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n%s\r\n%s"


@dataclass(frozen=True, slots=True)
class Habits:
    """What it does otherwise. An address is one of `marked` if it begins with that letter.

    slow    -- milliseconds that marked addresses wait longer for their answer
    echo    -- milliseconds that the question after one for a marked address waits longer
    says    -- the answer's body for marked addresses
    status  -- of the answer to every address
    jitter  -- up to so many milliseconds that every answer takes longer, by chance
    answers -- after so many, it says that it closes the connection, and does
    hangs_up -- after so many, it closes without a word
    """

    marked: bytes = b"k"
    slow: float = 0
    echo: float = 0
    jitter: float = 0
    says: bytes = b"Email sent"
    status: int = 200
    answers: int = 1_000_000
    hangs_up: int = 1_000_000


def talk(connection: socket.socket, habits: Habits) -> None:
    """Answer until the client or a habit closes the connection."""
    chance = random.Random(3)  # noqa: S311 -- delays that a seed decides
    owed = 0.0
    data = b""
    for number in range(1, habits.hangs_up + 1):
        while (end := data.find(b"\r\n\r\n")) < 0:
            if not (received := connection.recv(65536)):
                return
            data += received
        head, data = data[:end], data[end + 4 :]
        length = 0
        if b"Content-Length: " in head:
            length = int(head.partition(b"Content-Length: ")[2].split()[0])
        while len(data) < length:
            data += connection.recv(65536)
        body, data = data[:length], data[length:]
        asks = head.startswith(b"POST")
        marked = asks and body.startswith(b"email=" + habits.marked)
        time.sleep((owed + (habits.slow if marked else 0) + chance.uniform(0, habits.jitter)) / 1000)
        owed = habits.echo if marked else 0
        said = habits.says if marked else b"Email sent"
        last = number == habits.answers
        closes = b"Connection: close\r\n" if last else b""
        status = habits.status if asks else 200
        connection.sendall(PLAIN % (status, len(said), closes, said))
        if last:
            return


@click.command()
@click.option("--fd", type=int, required=True)
@click.option("--slow", type=float, default=0.0)
@click.option("--echo", type=float, default=0.0)
@click.option("--jitter", type=float, default=0.0)
@click.option("--says", default="Email sent")
@click.option("--status", default=200)
@click.option("--answers", default=1_000_000)
@click.option("--hangs-up", default=1_000_000)
def main(
    fd: int, slow: float, echo: float, jitter: float, says: str, status: int, answers: int, hangs_up: int
) -> None:
    habits = Habits(b"k", slow, echo, jitter, says.encode(), status, answers, hangs_up)
    with socket.socket(fileno=fd) as listening:
        while True:
            connection, _ = listening.accept()
            with connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                talk(connection, habits)


if __name__ == "__main__":
    main()
