"""The echo: whether requests that come after one for a known address are slower, since the service works for it then.

After each request for a reset, `/healthz` is asked again and again. How many times is settled beforehand, by how often
it can be asked in the window when nothing else goes on; so the sum of the latencies is the time that the same questions
took, and it grows by whatever work came between them. (With as many questions as fit into the window, the sum would
always be the window.)
"""

from collections import defaultdict
from collections.abc import Callable

from resetsvc.selftest.client import Client
from resetsvc.selftest.measurement import PLANTED, Classes, Result, Samples, find
from resetsvc.selftest.statistics import quantile

WINDOW = 60_000  # microseconds
# Microseconds, on the first question: about what the delivery of one letter costs a service's loop.
PLANTED_DELAY = 500
_CALIBRATION = 200  # questions

# What an attacker would look at, of the latencies after one request.
SUMS: dict[str, Callable[[list[float]], float]] = {
    "the sum of the latencies": sum,
    # Less noise, if the work is done at once.
    "the sum of the first ten": lambda latencies: sum(latencies[:10]),
    "the longest of them": max,
    "the first of them": lambda latencies: latencies[0],
}


class Echo:
    """After each request, asks other questions and looks at what they took together."""

    def __init__(self, client: Client, classes: Classes, window: int = WINDOW) -> None:
        self._client = client
        self._window = window
        self._classes = classes
        self._samples: dict[str, Samples] = {what: defaultdict(list) for what in SUMS}
        self._questions = 0

    def measure(self, samples: int) -> None:
        self._questions = self._questions or self._calibrate()
        for name, address, counts in self._classes.one_round(samples):
            self._client.ask(address)
            wait = PLANTED_DELAY * 1000 if name == PLANTED else 0
            latencies = [self._client.poll(wait=wait).took / 1000]
            latencies += [self._client.poll().took / 1000 for _ in range(self._questions - 1)]
            if counts:
                for what, figure in SUMS.items():
                    self._samples[what][name].append(figure(latencies))

    def result(self, rounds: int) -> Result:
        compared = self._classes.compared
        return Result(
            "echo",
            [find(what, samples, compared, PLANTED_DELAY) for what, samples in self._samples.items()],
            next(iter(self._samples.values())),
            rounds,
            notes=[
                f"{self._questions} questions to /healthz after each request, about {self._window / 1000:g} ms"
            ],
        )

    def _calibrate(self) -> int:
        usual = quantile(sorted(self._client.poll().took / 1000 for _ in range(_CALIBRATION)), 0.5)
        return max(2, round(self._window / usual))
