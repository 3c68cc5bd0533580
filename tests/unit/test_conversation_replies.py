"""The reader of SMTP replies, without a socket: whatever comes in whatever pieces, it is never out of step unnoticed."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resetsvc.relay.conversation import Conversation, Envelope, Handover
from resetsvc.relay.verdict import Verdict, presentable

MAIL = Envelope(
    "no-reply@example.com", "ann@example.com", b"Subject: x\r\n\r\n.a line that begins with a dot\r\n"
)


class Wire(asyncio.Transport):
    """The relay's end of a connection: answers each write with the next of its lines, in pieces of a given size."""

    def __init__(self, *answers: bytes, piece: int = 10_000) -> None:
        super().__init__()
        self.written = b""
        self.wrote_recipient = asyncio.Event()
        self.aborted = False
        self._answers = list(answers)
        self._piece = piece
        self.conversation: Conversation | None = None

    def write(self, data: Any) -> None:
        self.written += bytes(data)
        if b"RCPT" in self.written:
            self.wrote_recipient.set()
        answer = self._answers.pop(0) if self._answers else b""
        assert self.conversation is not None
        for start in range(0, len(answer), self._piece):
            asyncio.get_running_loop().call_soon(
                self.conversation.data_received, answer[start : start + self._piece]
            )

    def abort(self) -> None:
        self.aborted = True

    def is_closing(self) -> bool:
        return self.aborted


def conversation(wire: Wire, *, pipelining: bool = False, utf8: bool = False) -> Conversation:
    made = Conversation(pipelining=pipelining, utf8=utf8, timeout=5)
    wire.conversation = made
    made.connection_made(wire)
    return made


async def handed_over(
    answers: Sequence[bytes], *, piece: int = 10_000, may_send: bool = True
) -> tuple[Handover, Wire]:
    wire = Wire(*answers, piece=piece)
    return await conversation(wire).hand_over(MAIL, lambda: may_send), wire


GOOD = [b"250 ok\r\n", b"250 ok\r\n", b"354 go ahead\r\n", b"250 2.0.0 queued\r\n"]


async def test_a_letter_is_handed_over_step_by_step() -> None:
    outcome, wire = await handed_over(GOOD)
    assert outcome == Handover(Verdict.SENT, 250, "2.0.0 queued", True)
    assert wire.written == (
        b"MAIL FROM:<no-reply@example.com>\r\nRCPT TO:<ann@example.com>\r\nDATA\r\n"
        b"Subject: x\r\n\r\n..a line that begins with a dot\r\n.\r\n"
    )


async def test_with_pipelining_the_commands_go_in_one_packet() -> None:
    wire = Wire(b"".join(GOOD[:3]), GOOD[3])
    outcome = await conversation(wire, pipelining=True).hand_over(MAIL, lambda: True)
    assert (outcome.verdict, outcome.reusable) == (Verdict.SENT, True)


@pytest.mark.parametrize("piece", [1, 2, 3, 5, 7])
async def test_replies_in_pieces_of_any_size_are_put_together(piece: int) -> None:
    many_lines = b"250-first\r\n250-second\r\n250 2.0.0 third\r\n"
    outcome, _ = await handed_over([many_lines, b"250\r\n", b"354\n", many_lines], piece=piece)
    assert outcome == Handover(Verdict.SENT, 250, "first second 2.0.0 third", True)


@pytest.mark.parametrize(
    "garbage",
    [
        b"hello\r\n",
        b"\r\n",
        b"25\r\n",
        b"2500 ok\r\n",
        b"250_ok\r\n",
        b"150 ok\r\n",
        b"650 ok\r\n",
        b"-250 ok\r\n",
        b" 250 ok\r\n",
        b"250-a\r\n251 b\r\n",
        b"250-a\r\nb\r\n",
        b"\xff\xfe\r\n",
        "²50 ok\r\n".encode(),
        "\uff12\uff15\uff10 ok\r\n".encode(),
        b"HTTP/1.1 400 Bad Request\r\n",
        b"\0\0\0\r\n",
        b"0x2 ok\r\n",
    ],
)  # fmt: skip -- a list
async def test_what_is_no_reply_ends_the_session_and_never_counts_as_sent(garbage: bytes) -> None:
    for place in range(4):
        answers = [*GOOD[:place], garbage]
        outcome, wire = await handed_over(answers)
        assert outcome.verdict in (Verdict.RETRY, Verdict.RELAY_DOWN)
        assert not outcome.reusable
        assert wire.aborted


@settings(deadline=None, derandomize=True, max_examples=100)
@given(st.lists(st.binary(max_size=30), max_size=4), st.integers(1, 8))
def test_no_bytes_of_a_relay_raise_anything_or_pass_for_a_taken_letter(
    answers: list[bytes], piece: int
) -> None:
    async def talk() -> None:
        wire = Wire(*answers, piece=piece)
        session = conversation(wire)
        task = asyncio.ensure_future(session.hand_over(MAIL, lambda: True))
        for _ in range(200):
            await asyncio.sleep(0)
        session.connection_lost(None)
        outcome = await task
        assert outcome.verdict is not Verdict.SENT or answers[3][:1] == b"2"
        assert not outcome.reusable

    asyncio.run(talk())


@pytest.mark.parametrize(
    "endless", [b"250-" + b"x" * 40_000, b"250-a\r\n" * 4_000, b"x" * 40_000, b"250-a\n" * 5_000]
)
async def test_a_reply_without_end_is_not_read_to_its_end(endless: bytes) -> None:
    outcome, wire = await handed_over([endless], piece=1000)
    assert (outcome.verdict, outcome.reusable, wire.aborted) == (Verdict.RELAY_DOWN, False, True)
    assert "does not end" in outcome.reply


async def test_a_reply_that_nobody_asked_for_makes_the_session_unusable() -> None:
    session = conversation(Wire(*GOOD))
    assert session.usable
    session.data_received(b"421 closing\r\n")
    assert not session.usable


@pytest.mark.parametrize("half", [b"4", b"421-closing\r\n"])
async def test_half_a_reply_that_nobody_asked_for_does_too(half: bytes) -> None:
    session = conversation(Wire())
    session.data_received(half)
    assert not session.usable


async def test_an_answer_too_many_is_never_read_as_that_to_the_next_letter() -> None:
    outcome, _ = await handed_over([*GOOD[:3], b"250 queued\r\n250 and one more\r\n"])
    assert outcome.verdict is Verdict.SENT
    assert not outcome.reusable


async def test_a_letter_withheld_sends_no_byte_of_its_body_and_closes() -> None:
    outcome, wire = await handed_over(GOOD, may_send=False)
    assert (outcome.verdict, outcome.code, outcome.reusable) == (Verdict.WITHHELD, None, False)
    assert b"Subject" not in wire.written
    assert wire.aborted


async def test_after_a_refusal_the_session_is_put_back_in_step() -> None:
    wire = Wire(b"250 ok\r\n", b"550 5.1.1 no such user\r\n", b"250 reset\r\n")
    session = conversation(wire)
    outcome = await session.hand_over(MAIL, lambda: True)
    assert outcome == Handover(Verdict.FAILED, 550, "5.1.1 no such user", True)
    assert wire.written.endswith(b"RSET\r\n")
    assert session.usable


async def test_a_cancelled_letter_leaves_a_session_that_nobody_uses_again() -> None:
    wire = Wire(b"250 ok\r\n")
    session = conversation(wire)
    task = asyncio.ensure_future(session.hand_over(MAIL, lambda: True))
    async with asyncio.timeout(5):
        await wire.wrote_recipient.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not session.usable
    assert wire.aborted


async def test_a_letter_beyond_ascii_goes_only_where_that_is_offered() -> None:
    jorg = Envelope("no-reply@example.com", "jörg@example.com", b"x\r\n", utf8=True)
    closed, opened = Wire(*GOOD), Wire(*GOOD)
    outcome = await conversation(closed).hand_over(jorg, lambda: True)
    assert (outcome.verdict, outcome.reusable, closed.written) == (Verdict.FAILED, True, b"")
    outcome = await conversation(opened, utf8=True).hand_over(jorg, lambda: True)
    assert outcome.verdict is Verdict.SENT
    assert opened.written.startswith(
        b"MAIL FROM:<no-reply@example.com> SMTPUTF8\r\nRCPT TO:<j\xc3\xb6rg@example.com>\r\n"
    )


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("5.7.1 fine", "5.7.1 fine"),
        (
            "spam: https://x.example/reset/0123456789abcdef0123456789abcdef.abcdef.A-_b/cancel",
            "spam: https://x.example/reset/[link]/cancel",
        ),
        ("0123456789ABCDEF0123456789ABCDEF%2Eabcdef%2Exyz", "[link]"),
        ("queued as 0123456789abcdef0123456789abcdef", "queued as 0123456789abcdef0123456789abcdef"),
        ("\x1b[2J\x07bell\tand\r\0", "[2J bell and"),
        ("x" * 300, "x" * 200),
        ("550 <ann@example.com>: no such user", "550 <a***@example.com>: no such user"),
        ("y" * 180 + "0123456789abcdef0123456789abcdef.abcdef.Ab", "y" * 180 + "[link]"),
    ],
)  # fmt: skip -- one line a case
def test_what_a_relay_said_is_kept_without_links_and_without_controls(said: str, kept: str) -> None:
    """Spam filters quote what they dislike, and the record of a reply is shown on terminals."""
    assert presentable(said) == kept


async def test_a_link_that_a_spam_filter_quotes_is_not_in_the_reply() -> None:
    token = "0123456789abcdef0123456789abcdef.Zm9v.sig-nature_"
    outcome, _ = await handed_over([*GOOD[:3], f"554 blocked: https://a.example/reset/{token}\r\n".encode()])
    assert outcome == Handover(Verdict.FAILED, 554, "blocked: https://a.example/reset/[link]", True)
