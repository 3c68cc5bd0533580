"""What the relay can be ordered to do wrong: at which step of a conversation, and how.

`hang`, `hold`, `delay` and `rate` make a step wait; all others replace what the relay would have answered.
"""

from dataclasses import dataclass
from typing import Literal, Self, get_args

Step = Literal[
    "CONNECT",  # before anything was said: `refuse`, `hang` (SYN is never answered) or `drop` (accepted, reset)
    "HANDSHAKE",  # TLS, at the start (smtps) or after STARTTLS's 220
    "BANNER",
    "EHLO",
    "STARTTLS",
    "AUTH",  # when the credentials are complete: where a real server says 235 or 535
    "MAIL",
    "RCPT",
    "DATA",  # in place of the 354
    "BODY",  # when the first bytes of the mail have come
    "DOT",  # after the final dot, in place of the 250
    "RSET",
    "NOOP",
    "QUIT",
]

_ALL: frozenset[Step] = frozenset(get_args(Step))
ANSWERED: frozenset[Step] = _ALL - {"CONNECT", "HANDSHAKE", "BODY"}
"""The steps that end in a reply."""
WITH_RECIPIENTS: frozenset[Step] = frozenset({"RCPT", "DATA", "BODY", "DOT"})
"""The steps at which the relay knows a recipient: `only_for` can choose among these."""


@dataclass(frozen=True, slots=True)
class Hold:
    accept: bool
    until_gone: bool


@dataclass(frozen=True, slots=True)
class Delay:
    seconds: float


@dataclass(frozen=True, slots=True)
class Rate:
    per_second: float


@dataclass(frozen=True, slots=True)
class Answer:
    code: int
    text: str
    close: bool


@dataclass(frozen=True, slots=True)
class Drop:
    accept: bool
    after_answer: bool
    reset: bool


@dataclass(frozen=True, slots=True)
class Say:
    data: bytes
    accept: bool


@dataclass(frozen=True, slots=True)
class Endless:
    accept: bool
    lines: bool


@dataclass(frozen=True, slots=True)
class Drip:
    seconds: float


@dataclass(frozen=True, slots=True)
class Append:
    data: bytes


@dataclass(frozen=True, slots=True)
class GoAhead:
    pass


@dataclass(frozen=True, slots=True)
class Refuse:
    pass


Act = Hold | Delay | Rate | Answer | Drop | Say | Endless | Drip | Append | GoAhead | Refuse


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing to do wrong. `step` None: at every step that ends in a reply.

    `accept`, where it can be given, matters at DOT only: whether the mail is recorded as accepted although
    (or before) its answer goes wrong.
    """

    step: Step | None
    act: Act

    @classmethod
    def hang(cls, step: Step, *, accept: bool = False) -> Self:
        """No answer, ever; the connection stays open. At BODY nothing more is read, at CONNECT SYN is not answered."""
        return cls(step, Hold(accept, until_gone=True))

    @classmethod
    def hold(cls, step: Step, *, accept: bool = False) -> Self:
        """Waits at a gate until the test calls `release()` on the order, then goes on as usual.

        As a busy server it does not notice meanwhile that the client has left: a mail held at DOT is accepted even so.
        `accept=True` at DOT: the mail is recorded before the gate, its 250 is sent after it.
        """
        return cls(_checked(step, _ALL - {"CONNECT"}), Hold(accept, until_gone=False))

    @classmethod
    def reply(cls, step: Step, code: int, text: str, *, close: bool | None = None) -> Self:
        """This code in place of the usual one; below 400 counts as a yes. Closes after a 421 unless told otherwise.

        At BODY it is said while the mail still comes, and nothing more after the dot.
        """
        return cls(
            _checked(step, ANSWERED | {"BODY"}), Answer(code, text, code == 421 if close is None else close)
        )

    @classmethod
    def drop(
        cls, step: Step, *, accept: bool = False, after_answer: bool = False, reset: bool = False
    ) -> Self:
        """Closes in place of the answer, or after the usual answer; with `reset` by RST."""
        _checked(step, ANSWERED if after_answer else _ALL)
        return cls(step, Drop(accept or after_answer, after_answer, reset or step == "CONNECT"))

    @classmethod
    def garbage(
        cls, step: Step, data: bytes = b"\xff\xfe\x00\x07 this is no reply\r\n", *, accept: bool = False
    ) -> Self:
        """These bytes in place of the answer."""
        return cls(_checked(step, _ALL - {"CONNECT"}), Say(data, accept))

    @classmethod
    def endless(cls, step: Step, *, lines: bool = True, accept: bool = False) -> Self:
        """A reply that never ends, as fast as the client reads: of many lines, or of one line."""
        return cls(_checked(step, ANSWERED | {"BODY"}), Endless(accept, lines))

    @classmethod
    def drip(cls, step: Step, seconds: float) -> Self:
        """The usual answer, a byte each so many seconds."""
        return cls(_checked(step, ANSWERED), Drip(seconds))

    @classmethod
    def garbage_after_starttls(cls, data: bytes = b"250 injected\r\n") -> Self:
        """Plain bytes in the same segment as STARTTLS's 220, then TLS as usual (the attack of CVE-2011-0411, turned round)."""
        return cls("STARTTLS", Append(data))

    @classmethod
    def delay(cls, seconds: float, step: Step | None = None) -> Self:
        """So many seconds before the answer of one step, or of every step."""
        return cls(None if step is None else _checked(step, _ALL - {"CONNECT"}), Delay(seconds))

    @classmethod
    def rate(cls, per_second: float = 1.0) -> Self:
        """Accepts at most so many mails a second, all connections together; the others wait after their dot."""
        return cls("DOT", Rate(per_second))

    @classmethod
    def go_ahead(cls) -> Self:
        """354 to DATA although every RCPT was refused, then 554 after the dot: what RFC 2920 allows and some servers do."""
        return cls("DATA", GoAhead())

    @classmethod
    def refuse(cls) -> Self:
        """Nobody listens on the port; connections that are open stay."""
        return cls("CONNECT", Refuse())


def _checked(step: Step, allowed: frozenset[Step]) -> Step:
    if step not in allowed:
        raise ValueError(f"this fault cannot happen at {step}")
    return step
