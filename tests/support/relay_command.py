"""The relay as a process of its own, for tests that kill processes: faults in words, a ledger on the disk.

Faults are written KIND:STEP:DETAILS, then `*TIMES` and `@DOMAIN` (of the recipient) where wanted:
  hang:RCPT  hang:DOT:accept  hang:BODY*2  hang:RCPT@slow.example  hang:CONNECT  refuse
  reply:DATA:451:try later  drop:DOT  drop:DOT:accept  drop:DOT:after_answer  drop:RCPT:reset
  garbage:EHLO  endless:EHLO  drip:EHLO:0.05  garbage_after_starttls  go_ahead
  delay:0.02  delay:RCPT:0.02  rate:1
With --orders-from-stdin the same words are read as lines, besides `clear`, `stop` and `start`; each is answered
`ok` or `error: …` when it is in force.
"""

import argparse
import asyncio
import re
import signal
import sys
from pathlib import Path
from typing import cast, get_args

from tests.support.certificates import CertificateKind, write_ca_file
from tests.support.faults import Fault, Step
from tests.support.relay_on_order import Offers, RelayOnOrder, Tls

_ORDER = re.compile(r"(?P<fault>.*?)(?:\*(?P<times>[0-9]+))?(?:@(?P<domain>[^@*:]+))?", re.DOTALL)


def order_in_words(relay: RelayOnOrder, words: str) -> None:
    match = _ORDER.fullmatch(words)
    assert match is not None  # the pattern fits every text
    domain = match["domain"]
    relay.order(
        fault_in_words(match["fault"]),
        times=int(match["times"]) if match["times"] else None,
        only_for=(lambda recipient: recipient.endswith("@" + domain)) if domain else None,
    )


def fault_in_words(words: str) -> Fault:
    kind, *details = words.split(":")
    match kind, details:
        case "hang", [step]:
            return Fault.hang(_step(step))
        case "hang", [step, "accept"]:
            return Fault.hang(_step(step), accept=True)
        case "reply", [step, code, *text]:
            return Fault.reply(_step(step), int(code), ":".join(text) or "as ordered")
        case "drop", [step, *flags] if set(flags) <= {"accept", "after_answer", "reset"}:
            return Fault.drop(
                _step(step),
                accept="accept" in flags,
                after_answer="after_answer" in flags,
                reset="reset" in flags,
            )
        case "garbage", [step]:
            return Fault.garbage(_step(step))
        case "endless", [step]:
            return Fault.endless(_step(step))
        case "drip", [step, seconds]:
            return Fault.drip(_step(step), float(seconds))
        case "delay", [seconds]:
            return Fault.delay(float(seconds))
        case "delay", [step, seconds]:
            return Fault.delay(float(seconds), _step(step))
        case "rate", [per_second]:
            return Fault.rate(float(per_second))
        case "refuse", []:
            return Fault.refuse()
        case "go_ahead", []:
            return Fault.go_ahead()
        case "garbage_after_starttls", []:
            return Fault.garbage_after_starttls()
        case _:
            raise ValueError(f"no such fault: {words}")


def _step(word: str) -> Step:
    if word not in get_args(Step):
        raise ValueError(f"no such step: {word}")
    return cast(Step, word)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.support.relay_on_order",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--ledger", type=Path)
    parser.add_argument("--ledger-with-message", action="store_true", help="whole mails in the ledger")
    parser.add_argument("--fault", action="append", default=[])
    parser.add_argument("--delay", type=float, help="seconds before every reply")
    parser.add_argument("--no-pipelining", action="store_true")
    parser.add_argument("--tls", choices=get_args(Tls), default="none")
    parser.add_argument("--certificate", choices=get_args(CertificateKind), default="good")
    parser.add_argument("--ca-file", type=Path, help="is written: what a client must trust")
    parser.add_argument("--credentials", metavar="USER:PASSWORD")
    parser.add_argument("--orders-from-stdin", action="store_true")
    return parser.parse_args()


async def _obey_stdin(relay: RelayOnOrder) -> None:
    lines = asyncio.StreamReader()
    pipe, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(lines), sys.stdin
    )
    while line := (await lines.readline()).decode().rstrip("\n"):
        try:
            match line:
                case "clear":
                    relay.clear()
                case "stop":
                    await relay.stop()
                case "start":
                    await relay.start()
                case words:
                    order_in_words(relay, words)
        except ValueError as error:
            _say(f"error: {error}")
        else:
            _say("ok")
    pipe.close()


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def _run(arguments: argparse.Namespace) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    if arguments.ca_file:
        write_ca_file(arguments.ca_file)
    user, _, password = (arguments.credentials or "").partition(":")
    async with RelayOnOrder(
        tls=arguments.tls,
        certificate=arguments.certificate,
        credentials=(user, password) if user else None,
        offers=Offers(pipelining=not arguments.no_pipelining),
        port=arguments.port,
        ledger=arguments.ledger,
        ledger_with_message=arguments.ledger_with_message,
        remember=False,
    ) as relay:
        if arguments.delay:
            relay.order(Fault.delay(arguments.delay))
        for words in arguments.fault:
            order_in_words(relay, words)
        _say(f"listening on {relay.port}")
        obeying = asyncio.create_task(_obey_stdin(relay)) if arguments.orders_from_stdin else None
        await stop.wait()
        if obeying is not None:
            obeying.cancel()


def main() -> int:
    try:
        asyncio.run(_run(_arguments()))
    except (OSError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0
