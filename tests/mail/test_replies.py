"""Whatever a relay answers at whatever step: what it means for the letter, and whether the lane is used again."""

import pytest

from resetsvc.relay.verdict import Verdict
from tests.mail.senders import letter, sending_to
from tests.support.relay_on_order import Fault, Offers, RelayOnOrder, Step

SENT, RETRY, FAILED = Verdict.SENT, Verdict.RETRY, Verdict.FAILED
OURS, DOWN = Verdict.OUR_FAULT, Verdict.RELAY_DOWN

# What each code means where it is said. The first line is the rule, the other ones its exceptions.
CODES = (421, 450, 451, 452, 530, 535, 550, 552, 554)
MEANING: dict[Step, dict[int, Verdict]] = {
    "BANNER": dict.fromkeys(CODES, DOWN) | {530: OURS},
    "EHLO": dict.fromkeys(CODES, DOWN) | {530: OURS},
    "STARTTLS": dict.fromkeys(CODES, DOWN) | {530: OURS},
    "AUTH": dict.fromkeys((421, 450, 451, 452), DOWN) | dict.fromkeys((530, 535, 550, 552, 554), OURS),
    "MAIL": dict.fromkeys((450, 451, 452), RETRY)
    | {421: DOWN}
    | dict.fromkeys((530, 535, 550, 552, 554), OURS),
    "RCPT": dict.fromkeys((450, 451, 452), RETRY)
    | dict.fromkeys((550, 552, 554), FAILED)
    | {421: DOWN, 530: OURS, 535: OURS},
    "DATA": dict.fromkeys((450, 451, 452), RETRY)
    | dict.fromkeys((552, 554), FAILED)
    | {421: DOWN, 530: OURS, 535: OURS, 550: OURS},
    "DOT": dict.fromkeys((421, 450, 451, 452), RETRY)
    | dict.fromkeys((550, 552, 554), FAILED)
    | {530: OURS, 535: OURS},
}
LOGGED_IN = ("me", "a secret of ours")

everywhere = pytest.mark.parametrize(
    ("step", "code"), [(step, code) for step, codes in MEANING.items() for code in codes]
)
both_ways = pytest.mark.parametrize("pipelining", [True, False], ids=["pipelined", "one by one"])


def well_equipped(step: Step, *, pipelining: bool) -> RelayOnOrder:
    """A relay that comes to this step."""
    return RelayOnOrder(
        tls="starttls" if step == "STARTTLS" else "none",
        credentials=LOGGED_IN if step == "AUTH" else None,
        offers=Offers(pipelining=pipelining),
    )


@both_ways
@everywhere
async def test_a_reply_means_what_it_means_at_its_step(step: Step, code: int, pipelining: bool) -> None:
    async with well_equipped(step, pipelining=pipelining) as relay, sending_to(relay) as sender:
        relay.order(Fault.reply(step, code, "as ordered"))
        attempt = await sender.send()
        expected = MEANING[step][code]
        assert (attempt.verdict, attempt.code, attempt.relay) == (expected, code, f"127.0.0.1:{relay.port}")
        assert "as ordered" in attempt.reply
        assert relay.mails == []

        # In step: the same lane takes the next letter. Refused as a client or closing: a new one does.
        assert sender.up == [expected not in (OURS, DOWN)]
        in_step = expected in (RETRY, FAILED) and code != 421
        assert sender.open_lanes == [1 if in_step else 0]
        relay.clear()
        await sender.until_room()
        assert (await sender.send()).verdict is SENT
        mail = await relay.next_mail()
        assert (mail.connection == 1) is in_step
        assert mail.rcpt_tos == ("ann@user.test",)
        assert relay.most_open == 1


@both_ways
@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA", "DOT"])
async def test_a_relay_that_refuses_and_leaves_is_taken_at_its_word(step: Step, pipelining: bool) -> None:
    """Not as a connection that broke: then a letter that was refused for good would come again and again."""
    async with RelayOnOrder(offers=Offers(pipelining=pipelining)) as relay, sending_to(relay) as sender:
        relay.order(Fault.reply(step, 550, "we do not like you", close=True))
        attempt = await sender.send()
        assert (attempt.verdict, attempt.code) == (MEANING[step][550], 550)
        relay.clear()
        await sender.until_room()
        assert (await sender.send()).verdict is SENT
        assert [mail.connection for mail in relay.mails] == [2]


@both_ways
async def test_a_session_that_cannot_be_reset_is_not_used_again(pipelining: bool) -> None:
    async with RelayOnOrder(offers=Offers(pipelining=pipelining)) as relay, sending_to(relay) as sender:
        relay.order(Fault.reply("RCPT", 550, "no such user"))
        relay.order(Fault.reply("RSET", 502, "what is that?"))
        assert (await sender.send()).verdict is FAILED
        relay.clear()
        assert (await sender.send()).verdict is SENT
        assert (await relay.next_mail()).connection == 2


@both_ways
@pytest.mark.parametrize("code", [251, 252])
async def test_a_relay_may_forward_a_recipient(code: int, pipelining: bool) -> None:
    async with RelayOnOrder(offers=Offers(pipelining=pipelining)) as relay, sending_to(relay) as sender:
        relay.order(Fault.reply("RCPT", code, "will forward"))
        assert (await sender.send()).verdict is SENT


@both_ways
@pytest.mark.parametrize(
    ("step", "code"), [("MAIL", 354), ("RCPT", 354), ("DATA", 250), ("DOT", 354), ("DOT", 300)]
)
async def test_a_reply_that_makes_no_sense_is_no_yes(step: Step, code: int, pipelining: bool) -> None:
    async with (
        RelayOnOrder(offers=Offers(pipelining=pipelining, size=None)) as relay,
        sending_to(relay) as sender,
    ):
        relay.order(Fault.reply(step, code, "?"))
        attempt = await sender.send()
        assert (attempt.verdict, attempt.code) == (RETRY, code)
        assert sender.open_lanes == [0]
        relay.clear()
        assert (await sender.send()).verdict is SENT
        assert relay.mails[-1].connection == 2


async def test_a_go_ahead_after_a_refused_recipient_sends_no_body() -> None:
    """RFC 2920 3.1 lets a relay say 354 there; an empty body in answer would be a mail to nobody, or to all."""
    async with RelayOnOrder() as relay, sending_to(relay) as sender:
        relay.order(Fault.reply("RCPT", 550, "no such user"))
        relay.order(Fault.go_ahead())
        attempt = await sender.send()
        assert (attempt.verdict, attempt.code) == (FAILED, 550)
        assert sender.open_lanes == [0]
        relay.clear()
        assert (await sender.send()).verdict is SENT
        assert [mail.connection for mail in relay.mails] == [2]


async def test_one_letters_refusal_is_not_the_next_ones() -> None:
    async with RelayOnOrder() as relay, sending_to(relay) as sender:
        relay.order(Fault.reply("RCPT", 550, "no such user"), only_for=lambda to: to == "gone@user.test")
        letters = [letter("gone@user.test"), letter("ann@user.test")] * 3
        verdicts = [(await sender.send(each)).verdict for each in letters]
        assert verdicts == [FAILED, SENT] * 3
        assert [mail.rcpt_tos for mail in relay.mails] == [("ann@user.test",)] * 3
        assert relay.connections == 1


async def test_what_a_relay_says_is_kept_without_links_and_without_what_steers_a_terminal() -> None:
    async with RelayOnOrder() as relay, sending_to(relay) as sender:
        link = f"https://reset.test/reset/{'0a' * 16}.AbCdEf"
        relay.order(Fault.reply("DOT", 554, f"\x1b[2J spam: {link} " + "x" * 400))
        attempt = await sender.send()
        assert "0a0a" not in attempt.reply
        assert attempt.reply.isprintable()
        assert len(attempt.reply) <= 200
    async with RelayOnOrder() as relay, sending_to(relay) as sender:
        relay.order(Fault.garbage("BANNER", b"421 \x1b[2J serveur surcharg\xe9\r\n"))
        attempt = await sender.send()
        assert (attempt.verdict, attempt.code) == (DOWN, 421)
        # A lone surrogate would raise, here and in the database.
        assert attempt.reply.encode().decode().isprintable()
