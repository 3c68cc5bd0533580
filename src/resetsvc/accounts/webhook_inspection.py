"""What `resetsvc check` says of an application's endpoint: does it answer, and does it refuse what it has to refuse?

Nothing is changed by this: what is asked is who has an address that nobody can have.
"""

from collections.abc import AsyncIterator
from urllib.parse import urlsplit

from resetsvc.accounts.webhook import read_answer
from resetsvc.accounts.webhook_contract import Find, FindAnswer
from resetsvc.accounts.webhook_endpoint import Endpoint, EndpointFailed
from resetsvc.accounts.webhook_mapping import WebhookMapping
from resetsvc.clock import Clock
from resetsvc.webhooks import SIGNATURE, TOLERANCE, Secrets

Finding = tuple[str, bool, str]  # what was looked at, whether it is in order, what was seen

NOBODY = "nobody@resetsvc.invalid"  # `.invalid` is kept free of addresses (RFC 2606)
_HINTS = {
    "answered 401": "the secrets differ, the clocks do, or the body is changed on its way",
    "answered 404": "the URL is another one",
    "ConnectError": "nothing listens there, or its certificate is not one that this system trusts",
}


async def inspect_endpoint(mapping: WebhookMapping, clock: Clock) -> AsyncIterator[Finding]:
    """Ask one question as it should be asked, and then as nobody should be answered."""
    host = urlsplit(mapping.url).netloc
    secrets = Secrets(mapping.secrets)
    endpoint = Endpoint(mapping.url, secrets, clock)
    body = Find(addresses=[NOBODY]).model_dump_json().encode()
    asked = clock.new_id()
    try:
        raw = await endpoint.ask(body, message_id=asked, within=mapping.timeout)
        found = read_answer(raw, FindAnswer)
        if found.accounts:
            yield "accounts", False, f"{host} has an account for an address that nobody can have"
        else:
            yield "accounts", True, f"{host} answers, and signs its answers"
        answered = [
            how
            for how, headers in _wrong_questions(secrets, body, asked, clock)
            if await endpoint.status_of(body, headers, within=mapping.timeout) == 200
        ]
    except EndpointFailed as failed:
        hint = _HINTS.get(str(failed))
        yield "accounts", False, f"{host}: {failed}{f' ({hint})' if hint else ''}"
        return
    finally:
        await endpoint.close()
    if answered:
        yield "accounts signatures", False, f"{host} answers a question {', and one '.join(answered)}"
    else:
        yield "accounts signatures", True, "unsigned, altered, old and repeated questions are refused"


def _wrong_questions(
    secrets: Secrets, body: bytes, asked: str, clock: Clock
) -> list[tuple[str, dict[str, str]]]:
    now = clock.now()
    other = secrets.sign(clock.new_id(), body + b" ", now)
    return [
        ("that is not signed", {}),
        (
            "whose signature is that of another",
            {**secrets.sign(clock.new_id(), body, now), SIGNATURE: other[SIGNATURE]},
        ),
        ("from twice as long ago as it may be", secrets.sign(clock.new_id(), body, now - 2 * TOLERANCE)),
        ("that was asked before", secrets.sign(asked, body, now)),
    ]
