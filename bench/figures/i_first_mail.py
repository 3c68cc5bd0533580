"""I. Seconds from `Email sent` to the mail at the relay, in an idle service.

One request after the other, each for an account; the next one goes out when the mail of the last has arrived. Client and
line to the relay run in one loop of this harness, so that one clock times both: the last octet of the answer, and the
250 with which smtp-sink takes the body. (smtp-sink itself puts no times on record; a line without delay in front of it
sees its replies.) A relay that has the mail before the client has its answer counts as 0.
"""

import asyncio

from bench.figures.c_relay_moods import request_of
from bench.harness.bench import Bench
from bench.harness.delay_line import exact_loop, open_line
from bench.harness.machine import free_port
from bench.harness.open_loop import connect, percentile
from bench.harness.relays import Relay, instant_relay
from bench.harness.result import Chart, Goal, Result

LETTER = "I"
TITLE = "From the answer to the mail at the relay, idle service"

REQUESTS = 100
UNIFORMITY_DELAY = 0.0  # seconds: the service has equal work for the unknown, and no setting for a delay
_PAUSE = 0.05  # between two requests, so that each finds the service idle
_TAKEN = b"250 2.0.0 "  # how smtp-sink answers a body; MAIL has 2.1.0, RCPT 2.1.5


def measure(bench: Bench) -> Result:
    result = Result(LETTER, TITLE)
    ours = bench.contender("resetsvc")
    port = free_port()
    with instant_relay(bench.new_folder("relay"), bench.cores.load) as sink:
        place = bench.new_place(ours, Relay(port))

        async def ask_one_after_the_other() -> list[float]:
            loop = asyncio.get_running_loop()
            taken: asyncio.Queue[float] = asyncio.Queue()

            def on_reply(reply: bytes) -> None:
                if reply.startswith(_TAKEN):
                    taken.put_nowait(loop.time())

            async with await open_line(port, sink.port, 0.0, on_reply):
                serving = bench.serving(ours, place)
                # Its start waits for the service, which the line must not wait for.
                await asyncio.to_thread(serving.__enter__)
                try:
                    seconds = []
                    for number in range(bench.many(REQUESTS) + 5):
                        connection = await connect(place.port)
                        status = await connection.ask(request_of(ours, 2 * number))
                        if status != 200:
                            raise RuntimeError(f"a request was answered with {status}")
                        async with asyncio.timeout(10):
                            arrived = await taken.get()
                        seconds.append(max(0.0, arrived - connection.last_byte_at))
                        connection.close()
                        await asyncio.sleep(_PAUSE)
                    return seconds[5:]  # the first ones open connections and fill caches
                finally:
                    await asyncio.to_thread(serving.__exit__, None, None, None)

        bench.say("one request after the other")
        with asyncio.Runner(loop_factory=exact_loop) as runner:
            seconds = runner.run(ask_one_after_the_other())
    for share in (0.5, 0.9, 0.99):
        result.add(
            "resetsvc",
            f"p{share * 100:.0f}",
            percentile(seconds, share) * 1000,
            "ms",
            f"{len(seconds)} requests",
        )
    above = percentile(seconds, 0.99) - UNIFORMITY_DELAY
    result.goals.append(
        Goal(
            "p99 above the configured uniformity delay (there is none: 0)", "at most", 50, above * 1000, "ms"
        )
    )
    ranks = (0.5, 0.9, 0.99, 1.0)
    result.charts.append(
        Chart(
            "ms",
            [f"p{share * 100:.0f}" for share in ranks],
            {"resetsvc": [percentile(seconds, share) * 1000 for share in ranks]},
            line=("50 ms, the most", 50),
        )
    )
    return result
