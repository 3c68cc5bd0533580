"""What the letters of figure E are compared with: `aiosmtplib.sendmail` in a loop, on connections that stay open.

No queue, no database, no records; the bytes of the mail are made beforehand, and are as many as those of one of ours.

python -m bench.harness.bare_loop --port 2525 --count 5000 --lanes 8 --octets 3000 [--uvloop]
"""

import argparse
import asyncio
from collections.abc import Iterator

from aiosmtplib import SMTP


async def _send(port: int, count: int, lanes: int, octets: int) -> None:
    body = b"x" * 70 + b"\r\n"
    head = b"From: bench <no-reply@bench.example>\r\nTo: someone\r\nSubject: Reset your password\r\n\r\n"
    mail = head + body * max(1, (octets - len(head)) // len(body))
    numbers = iter(range(count))
    await asyncio.gather(*(_lane(port, mail, numbers) for _ in range(lanes)))


async def _lane(port: int, mail: bytes, numbers: Iterator[int]) -> None:
    client = SMTP(
        hostname="127.0.0.1",
        port=port,
        use_tls=False,
        start_tls=False,
        local_hostname="bench.example",
        timeout=30,
    )
    async with client:
        for number in numbers:
            await client.sendmail("no-reply@bench.example", [f"user{number:06d}@bench.example"], mail)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--lanes", type=int, default=8)
    parser.add_argument("--octets", type=int, default=3000)
    parser.add_argument("--uvloop", action="store_true")
    given = parser.parse_args()
    factory = asyncio.new_event_loop
    if given.uvloop:
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(_send(given.port, given.count, given.lanes, given.octets))


if __name__ == "__main__":
    main()
