"""Composes the two kinds of letters. The token is minted here, when a letter is about to leave, and kept nowhere."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime, formataddr, parseaddr
from functools import lru_cache

from resetsvc.addresses import parse_address
from resetsvc.client_address import mask_client
from resetsvc.clock import Clock
from resetsvc.compose.skeleton import Render, Skeleton, prepare
from resetsvc.errors import ResetError
from resetsvc.i18n import format_time
from resetsvc.letters import ClaimedLetter, Kind
from resetsvc.relay.conversation import Envelope
from resetsvc.settings import Settings
from resetsvc.templates import Templates
from resetsvc.tokens import Tokens


class Composer:
    """Turns letters into mails. Pure but for the time: the same letter at the same time gives the same bytes."""

    def __init__(self, settings: Settings, templates: Templates, tokens: Tokens, clock: Clock) -> None:
        self._settings = settings
        self._templates = templates
        self._tokens = tokens
        self._clock = clock
        name, address = parseaddr(settings.mail_from)
        self._sender = parse_address(address)
        self._from = b"From: " + formataddr((name, self._sender)).encode() + b"\r\n"
        self._domain = self._sender.rpartition("@")[2]
        self._skeletons: dict[tuple[Kind, str, frozenset[str]], Skeleton] = {}

    def prepare_all(self) -> None:
        """Render every skeleton once, so that a broken template is found at the start and not with the first letter."""
        for language in self._templates.languages.names:
            for client in ("192.0.2.1", ""):
                for kind in Kind:
                    probe = ClaimedLetter(
                        "0" * 32, kind, "a@example.com", None, client, "0", 0.0, 0.0, 0, "1", "1"
                    )
                    self.compose(probe, "a@example.com", language)

    def compose(self, letter: ClaimedLetter, recipient: str, language: str | None) -> Envelope:
        """Return the mail for a letter, with a link that works from now for the configured time.

        recipient -- the address on record: the only one a letter is ever sent to
        language  -- of the account, if on record; else the letter's
        """
        require_single_recipient(recipient)
        recipient = recipient.strip(" ") if recipient.isascii() else parse_address(recipient)
        chosen = self._templates.languages.best(language, letter.locale)
        now = self._clock.now()
        values = self._values(letter, chosen, now)
        headers = b"".join(
            (
                _date_header(int(now)),
                self._from,
                b"To: ",
                recipient.encode(),
                b"\r\nMessage-ID: <",
                letter.message_id.encode("ascii"),
                b"@",
                self._domain.encode("ascii"),
                b">\r\n",
            )
        )
        given = {name: value for name, value in values.items() if value is not None}
        skeleton = self._skeleton(letter.kind, chosen, frozenset(given), frozenset(values) - frozenset(given))
        return Envelope(
            sender=self._sender,
            recipient=recipient,
            body=skeleton.fill(headers, given),
            utf8=not (recipient.isascii() and self._sender.isascii()),
        )

    def _values(self, letter: ClaimedLetter, language: str, now: float) -> dict[str, str | None]:
        """What differs from letter to letter. None: this letter lacks it."""
        if letter.kind is Kind.NOTICE:
            return {
                "changed_at": format_time(letter.asked_at, language),
                "changed_from": mask_client(letter.client),
            }
        token = self._tokens.sign(letter.id)
        return {
            "link": self._settings.reset_link(token),
            "cancel_link": self._settings.cancel_link(token),
            "expires_at": format_time(now + self._settings.token_ttl, language),
            "asked_at": format_time(letter.asked_at, language),
            "asked_from": mask_client(letter.client),
        }

    def _skeleton(
        self, kind: Kind, language: str, present: frozenset[str], absent: frozenset[str]
    ) -> Skeleton:
        key = (kind, language, present)
        skeleton = self._skeletons.get(key)
        if skeleton is None:
            skeleton = prepare(self.renderer(kind, language), present, absent)
            self._skeletons[key] = skeleton
        return skeleton

    def renderer(self, kind: Kind, language: str) -> Render:
        """The slow way from values to (subject, text, HTML): what skeletons are made with and tested against."""
        same_for_all = {
            "product_name": self._settings.product_name,
            "minutes": max(1, self._settings.token_ttl // 60),
            "ask_url": self._settings.ask_link,
            "locale": language,
        }

        def render(values: Mapping[str, str | None]) -> tuple[str, str, str]:
            subject, text, html = (
                self._templates.get(f"mails/{kind}.{form}", language).render({**same_for_all, **values})
                for form in ("subject", "txt", "html")
            )
            return subject, text, html

        return render


class UnusableAddress(ResetError):
    """The address on record cannot stand in an SMTP command."""


def require_single_recipient(address: str) -> None:
    """Raise UnusableAddress for an address on record that could be read as two, or carry a command of its own.

    Other people's tables hold what other people's forms let through.
    """
    try:
        parse_address(address)
    except ResetError:
        raise UnusableAddress from None


@lru_cache(maxsize=4)
def _date_header(second: int) -> bytes:
    return f"Date: {format_datetime(datetime.fromtimestamp(second, UTC))}\r\n".encode("ascii")
