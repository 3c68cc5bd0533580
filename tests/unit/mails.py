"""What the tests of mails share: a composer, a letter, the slow way to the same mail, and what is in a mail."""

import email
import email.policy
import re
from dataclasses import replace
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import parseaddr
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from resetsvc.client_address import mask_client
from resetsvc.compose.composer import Composer
from resetsvc.i18n import Languages, format_time
from resetsvc.letters import ClaimedLetter, Kind
from resetsvc.relay.conversation import Envelope
from resetsvc.settings import Settings
from resetsvc.templates import Templates
from resetsvc.testing import HandClock, make_settings
from resetsvc.tokens import Tokens

NOW = 1_790_000_000.0
LETTER = ClaimedLetter(
    id="01992d5f3a00" + "0123456789abcdef" * 2,
    kind=Kind.RESET,
    address="Typed@example.com",
    locale=None,
    client="203.0.113.77",
    message_id="feedfacefeedfacefeedfacefeedface",
    asked_at=NOW - 75,
    deadline_at=NOW + 3600,
    attempts=0,
    account_id="account-4711",
    credential="credential-0815",
)
NOTICE = replace(LETTER, kind=Kind.NOTICE)
RECIPIENT = "ann@example.com"


class Workshop:
    """A composer and the parts that it is made of."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.settings: Settings = make_settings(folder, **settings)
        self.clock = HandClock(NOW)
        self.tokens = Tokens(self.settings.keys, self.settings.token_ttl, self.clock.clock)
        self.templates = Templates(Languages(self.settings.locales), self.settings.templates)
        self.composer = Composer(self.settings, self.templates, self.tokens, self.clock.clock)

    def compose(
        self, letter: ClaimedLetter = LETTER, recipient: str = RECIPIENT, language: str | None = None
    ) -> Envelope:
        return self.composer.compose(letter, recipient, language)

    def slowly(self, letter: ClaimedLetter, recipient: str, language: str) -> EmailMessage:
        """The same mail by the standard library, from the same templates and values."""
        token = self.tokens.sign(letter.id)
        values: dict[str, str | None] = (
            {
                "link": self.settings.reset_link(token),
                "cancel_link": self.settings.cancel_link(token),
                "expires_at": format_time(NOW + self.settings.token_ttl, language),
                "asked_at": format_time(letter.asked_at, language),
                "asked_from": mask_client(letter.client),
            }
            if letter.kind is Kind.RESET
            else {
                "changed_at": format_time(letter.asked_at, language),
                "changed_from": mask_client(letter.client),
            }
        )
        subject, text, html = self.composer.renderer(letter.kind, language)(values)
        name, address = parseaddr(self.settings.mail_from)
        message = EmailMessage(policy=email.policy.SMTPUTF8)
        message["Date"] = "Mon, 21 Sep 2026 14:13:20 +0000"
        message["From"] = Address(name, addr_spec=address)
        message["To"] = recipient
        message["Message-ID"] = f"<{letter.message_id}@{address.rpartition('@')[2]}>"
        message["Subject"] = " ".join(subject.split())
        message["Auto-Submitted"] = "auto-generated"
        message["X-Auto-Response-Suppress"] = "All"
        message.set_content(text.strip() + "\n")
        message.add_alternative(html.strip() + "\n", subtype="html")
        return parsed(message.as_bytes())


def parsed(body: bytes) -> EmailMessage:
    message = email.message_from_bytes(body, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


def part(message: EmailMessage, kind: str) -> str:
    found = message.get_body((kind,))
    assert found is not None
    content = found.get_content()
    assert isinstance(content, str)
    return content.replace("\r\n", "\n")


def headers(message: EmailMessage) -> dict[str, str]:
    """What a reader sees of the headers; how the parts are put together is each writer's own affair."""
    own = ("content-type", "mime-version", "content-transfer-encoding")
    return {name.lower(): str(value) for name, value in message.items() if name.lower() not in own}


class Seen(HTMLParser):
    """What is in a page: its links, its tags, whatever would be fetched from elsewhere, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.tags: list[str] = []
        self.remote: list[str] = []
        self.words = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attributes:
            if tag == "a" and name == "href":
                self.links.append(value or "")
            elif (
                name in ("src", "srcset", "background", "href", "poster", "data", "action")
                or name.startswith("on")
                or (name == "style" and "url(" in (value or ""))
            ):
                self.remote.append(f"{tag} {name}={value}")

    def handle_data(self, data: str) -> None:
        self.words += data


def urls(text: str) -> list[str]:
    return re.findall(r"https?://[^\s<>\"']+", text)
