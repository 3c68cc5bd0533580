"""Both mails as a person, a mail program and an attacker meet them."""

import re
import unicodedata
from dataclasses import replace
from email.utils import parseaddr
from pathlib import Path
from typing import Any

import pytest
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import TemplateError

from resetsvc.compose.composer import Composer, UnusableAddress, require_single_recipient
from resetsvc.i18n import Languages
from resetsvc.letters import ClaimedLetter
from resetsvc.templates import Templates
from tests.unit.mails import LETTER, NOTICE, NOW, RECIPIENT, Seen, Workshop, headers, parsed, part, urls

BOTH = pytest.mark.parametrize("letter", [LETTER, NOTICE], ids=["reset", "notice"])


def raw_headers(body: bytes) -> list[str]:
    head = body.partition(b"\r\n\r\n")[0].decode()
    return [line.partition(":")[0].lower() for line in re.sub(r"\r\n[ \t]", " ", head).split("\r\n")]


@BOTH
def test_each_header_is_there_exactly_once(letter: ClaimedLetter, tmp_path: Path) -> None:
    names = raw_headers(Workshop(tmp_path).compose(letter).body)
    assert len(names) == len(set(names))
    assert {
        "date",
        "from",
        "to",
        "subject",
        "message-id",
        "auto-submitted",
        "mime-version",
        "content-type",
    } <= set(names)
    assert not {"cc", "bcc", "reply-to", "return-path", "sender", "received"} & set(names)


@BOTH
def test_the_headers_say_what_they_should(letter: ClaimedLetter, tmp_path: Path) -> None:
    found = headers(parsed(Workshop(tmp_path).compose(letter).body))
    assert found["date"] == "Mon, 21 Sep 2026 14:13:20 +0000"
    assert found["from"] == "Example <no-reply@example.com>"
    assert found["to"] == RECIPIENT
    assert found["auto-submitted"] == "auto-generated"
    assert found["message-id"] == f"<{letter.message_id}@example.com>"
    assert found["subject"] == ("Reset your password" if letter is LETTER else "Your password was changed")


@BOTH
def test_a_mail_goes_to_the_address_on_record_and_to_nobody_else(
    letter: ClaimedLetter, tmp_path: Path
) -> None:
    envelope = Workshop(tmp_path).compose(letter)
    assert envelope.recipient == RECIPIENT
    assert envelope.sender == "no-reply@example.com"
    assert not envelope.utf8
    assert b"typed" not in envelope.body.lower()
    assert [address.addr_spec for address in parsed(envelope.body)["To"].addresses] == [RECIPIENT]


def test_both_parts_have_the_same_links_and_no_other(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    message = parsed(workshop.compose().body)
    token = workshop.tokens.sign(LETTER.id)
    ours = {f"https://reset.example.com/reset/{token}", f"https://reset.example.com/reset/{token}/cancel"}
    assert set(urls(part(message, "plain"))) == ours
    assert set(Seen(part(message, "html")).links) == ours
    assert set(urls(part(message, "html"))) == ours
    for link in ours:
        assert f"\n{link}\n" in part(message, "plain")  # alone on its line: no mail program cuts it


def test_the_link_opens_this_letter(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    link = urls(part(parsed(workshop.compose().body), "plain"))[0]
    assert workshop.tokens.read(link.rpartition("/")[2]) == LETTER.id


def test_the_notice_has_no_link_that_acts(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    envelope = workshop.compose(NOTICE)
    message = parsed(envelope.body)
    assert set(urls(part(message, "plain"))) == {"https://reset.example.com/reset-password"}
    assert set(Seen(part(message, "html")).links) == {"https://reset.example.com/reset-password"}
    unsoftened = envelope.body.replace(b"=\r\n", b"")
    assert NOTICE.id.encode() not in unsoftened
    assert b"/reset/" not in unsoftened


@BOTH
def test_neither_mail_tells_what_only_we_know(letter: ClaimedLetter, tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    body = workshop.compose(letter).body.replace(b"=\r\n", b"")
    for secret in (letter.account_id, letter.credential, letter.client, *workshop.settings.keys):
        assert secret
        assert secret.encode() not in body
    assert b"203.0.113.x" in body  # recognisable to its owner
    assert letter.id.encode() not in body.partition(b"\r\n\r\n")[0]


@BOTH
def test_nothing_in_the_page_is_fetched_from_anywhere_and_no_form_or_script_is_in_it(
    letter: ClaimedLetter, tmp_path: Path
) -> None:
    page = part(parsed(Workshop(tmp_path).compose(letter).body), "html")
    seen = Seen(page)
    assert seen.remote == []
    assert not {
        "img",
        "script",
        "link",
        "iframe",
        "form",
        "input",
        "object",
        "embed",
        "video",
        "svg",
        "base",
    } & set(seen.tags)
    assert "url(" not in page
    assert "@import" not in page


@BOTH
def test_all_copies_of_a_letter_have_one_message_id(letter: ClaimedLetter, tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    first = parsed(workshop.compose(letter).body)["Message-ID"]
    workshop.clock.advance(3600)
    assert parsed(workshop.compose(replace(letter, attempts=3)).body)["Message-ID"] == first
    assert parsed(Workshop(tmp_path).compose(letter).body)["Message-ID"] == first


def test_the_lifetime_counts_from_sending_and_not_from_asking(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    workshop.clock.advance(3600)
    text = part(parsed(workshop.compose().body), "plain")
    assert "works once and for 30 minutes, until 15:43 UTC, 21 September 2026." in text
    assert "came at 14:12 UTC, 21 September 2026, from the network address 203.0.113.x." in text
    workshop.clock.advance(1799)
    assert workshop.tokens.read(urls(text)[0].rpartition("/")[2]) == LETTER.id


@pytest.mark.parametrize(
    ("token_ttl", "told"),
    [
        (60, "for 1 minute,"),
        (90, "for 1 minute,"),
        (1800, "for 30 minutes,"),
        (3600, "for 1 hour,"),
        (86400, "for 24 hours,"),
        (5400, "for 90 minutes,"),
    ],
)
def test_the_lifetime_is_told_in_words_that_fit(token_ttl: int, told: str, tmp_path: Path) -> None:
    message = parsed(Workshop(tmp_path, token_ttl=token_ttl).compose().body)
    assert told in part(message, "plain")
    assert told in Seen(part(message, "html")).words


@BOTH
def test_a_client_that_is_not_known_is_not_mentioned(letter: ClaimedLetter, tmp_path: Path) -> None:
    for client in ("", "unknown", "<marquee>"):
        message = parsed(Workshop(tmp_path).compose(replace(letter, client=client)).body)
        for kind in ("plain", "html"):
            assert "network address" not in part(message, kind)
            assert "None" not in part(message, kind)
            assert "marquee" not in part(message, kind)


@BOTH
@pytest.mark.parametrize(
    "product_name",
    [
        "<script>alert(1)</script>",
        '"><a href="https://evil.example">x</a>',
        "&lt;b&gt;",
        "{{ 7*7 }}{% if %}",
        "a%(n)sb%sc",
        "-->",
        "]]>",
    ],
)
def test_a_product_name_is_text_and_never_markup(
    letter: ClaimedLetter, product_name: str, tmp_path: Path
) -> None:
    message = parsed(Workshop(tmp_path, product_name=product_name).compose(letter).body)
    plain = Seen(part(parsed(Workshop(tmp_path).compose(letter).body), "html"))
    seen = Seen(part(message, "html"))
    assert seen.tags == plain.tags
    assert len(seen.links) == len(plain.links)
    assert product_name in seen.words
    assert product_name in part(message, "plain")


@BOTH
@pytest.mark.parametrize(
    "locale",
    ['de"><script>', "<b>", "en\r\nBcc: x@y.z", "../../x", "EN", "en-GB-oxendict", "x" * 35, "\ud800"],
)
def test_a_locale_from_the_form_injects_nothing(letter: ClaimedLetter, locale: str, tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    assert workshop.compose(replace(letter, locale=locale)).body == workshop.compose(letter).body


@pytest.mark.parametrize(
    "reset_url",
    [
        "https://front.example.com/#/reset?token={token}",
        "{public_url}/app/{token}/new?a=1&b=2&amp;c=3",
        "https://front.example.com/" + "very-long-path/" * 60 + "{token}",
        "https://front.example.com/?x=%C3%A4&t={token}",
        "https://front.example.com/ä/{token}=",
    ],
)
def test_a_front_end_of_ones_own_is_linked_to_unaltered(reset_url: str, tmp_path: Path) -> None:
    workshop = Workshop(tmp_path, reset_url=reset_url)
    message = parsed(workshop.compose().body)
    link = workshop.settings.reset_link(workshop.tokens.sign(LETTER.id))
    assert workshop.tokens.sign(LETTER.id) in link
    assert f"\n{link}\n" in part(message, "plain")
    assert Seen(part(message, "html")).links.count(link) == 2  # the button, and the bare link


@pytest.mark.parametrize(
    ("mail_from", "name"),
    [
        ("no-reply@example.com", ""),
        ("Müller & Söhne <no-reply@example.com>", "Müller & Söhne"),
        ('"Acme, Inc." <no-reply@example.com>', "Acme, Inc."),
        ('"a@b.c" <no-reply@example.com>', "a@b.c"),
        ("株式会社" * 20 + " <no-reply@example.com>", "株式会社" * 20),
    ],
)
def test_the_sender_is_one_address_whatever_its_name(mail_from: str, name: str, tmp_path: Path) -> None:
    envelope = Workshop(tmp_path, mail_from=mail_from).compose()
    (sender,) = parsed(envelope.body)["From"].addresses
    assert (sender.display_name, sender.addr_spec) == (name, "no-reply@example.com")
    assert max(map(len, envelope.body.split(b"\r\n"))) <= 998
    assert envelope.body.isascii()


@pytest.mark.parametrize(
    ("on_record", "recipient", "utf8"),
    [
        (
            "Ann@Example.com",
            "Ann@Example.com",
            False,
        ),  # as it is on record: a local part may tell capitals apart
        (" ann@example.com ", "ann@example.com", False),
        ("jörg@example.com", "jörg@example.com", True),
        ("ann@münchen.de", "ann@xn--mnchen-3ya.de", False),
    ],
)
def test_an_address_on_record_is_made_fit_for_smtp(
    on_record: str, recipient: str, utf8: bool, tmp_path: Path
) -> None:
    envelope = Workshop(tmp_path).compose(recipient=on_record)
    assert (envelope.recipient, envelope.utf8) == (recipient, utf8)
    assert envelope.body.isascii() is not utf8
    assert parseaddr(str(parsed(envelope.body)["To"]))[1] == recipient or utf8


@pytest.mark.parametrize(
    "on_record",
    [
        "",
        "ann",
        "a@x.de,b@x.de",
        "a@x.de b@x.de",
        "a@x.de\r\nRCPT TO:<b@x.de>",
        "<a@x.de>",
        "Ann <a@x.de>",
        "a@x.de>",
        "a@x.de\r\nBcc: b@x.de",
        "a@x.de\n",
        "a\0@x.de",
        "jörg@x.de,b@x.de",
        "jörg b@x.de",
        "jörg@x.de\r\nBcc: b@x.de",
        "j\ud800@x.de",
        "ä@" + "x" * 300,
    ],
)  # fmt: skip -- a list
def test_an_address_on_record_that_could_be_read_as_two_is_not_used(on_record: str, tmp_path: Path) -> None:
    """Other people's tables hold what other people's forms let through."""
    with pytest.raises(UnusableAddress):
        Workshop(tmp_path).compose(recipient=on_record)
    with pytest.raises(UnusableAddress):
        require_single_recipient(on_record)


@settings(deadline=None, derandomize=True, max_examples=60)
@given(local=st.text(max_size=20), domain=st.text(max_size=20))
def test_no_address_on_record_adds_a_header(
    local: str, domain: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    workshop = Workshop(tmp_path_factory.getbasetemp())
    expected = raw_headers(workshop.compose().body)
    try:
        envelope = workshop.compose(recipient=f"{local}@{domain}.com")
    except UnusableAddress:
        return
    assert raw_headers(envelope.body) == expected
    assert not any(
        unicodedata.category(letter)[0] in "CZ" or letter in "<>,;" for letter in envelope.recipient
    )


# ---- templates and languages ----


class CountedTemplates(Templates):
    """Knows how often a template was asked for."""

    asked_for = 0

    def __getattribute__(self, name: str) -> Any:
        if name == "get":
            self.asked_for += 1
        return super().__getattribute__(name)


def test_templates_are_rendered_at_the_start_and_never_for_a_letter(tmp_path: Path) -> None:
    """Rendering costs more than all the rest of a letter; this holds the cost down without a clock."""
    workshop = Workshop(tmp_path)
    templates = CountedTemplates(Languages())
    composer = Composer(workshop.settings, templates, workshop.tokens, workshop.clock.clock)
    composer.prepare_all()
    at_the_start = templates.asked_for
    assert at_the_start > 0
    for letter in (LETTER, NOTICE, replace(LETTER, client=""), replace(NOTICE, client="2001:db8::1")):
        composer.compose(letter, RECIPIENT, None)
    assert templates.asked_for == at_the_start


def own_templates(folder: Path, **files: str) -> Path:
    mails = folder / "templates" / "mails"
    mails.mkdir(parents=True)
    for name, content in files.items():
        (mails / name.replace("__", ".")).write_text(content, "utf-8")
    return folder / "templates"


def test_a_template_of_ones_own_takes_the_place_of_ours_and_the_others_stay(tmp_path: Path) -> None:
    templates = own_templates(
        tmp_path,
        reset__txt="Hallo! {{ link }}\n{{ product_name }} {{ minutes }} {{ ask_url }}",
        reset__subject="{{ product_name }}: your\nlink",
    )
    workshop = Workshop(tmp_path, templates=templates, product_name="Größe <& Co>")
    workshop.composer.prepare_all()
    message = parsed(workshop.compose().body)
    link = workshop.settings.reset_link(workshop.tokens.sign(LETTER.id))
    assert (
        part(message, "plain") == f"Hallo! {link}\nGröße <& Co> 30 https://reset.example.com/reset-password\n"
    )
    assert message["Subject"] == "Größe <& Co>: your link"
    assert "Choose a new password" in part(message, "html")
    assert parsed(workshop.compose(NOTICE).body)["Subject"] == "Your password was changed"


@pytest.mark.parametrize(
    "template",
    [
        "{{ link|upper }}",
        "{{ link|urlencode }}",
        "{{ link|length }}",
        "{{ link|truncate(20) }}",
        "{{ link[:60] }}",
        "{{ link|replace('https', 'http') }}",
        "{{ asked_from|default('?')|title }}",
        "{{ link|reverse }}",
    ],
)
def test_a_template_that_alters_a_value_is_found_at_the_start(template: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not change it"):
        Workshop(tmp_path, templates=own_templates(tmp_path, reset__txt=template)).composer.prepare_all()


def test_a_subject_with_a_link_in_it_is_found_at_the_start(tmp_path: Path) -> None:
    """Subjects are shown on locked screens, and kept by everything that a mail passes."""
    templates = own_templates(tmp_path, reset__subject="Reset: {{ link }}")
    with pytest.raises(ValueError, match="subject"):
        Workshop(tmp_path, templates=templates).composer.prepare_all()


@pytest.mark.parametrize("template", ["{{ lnik }}", "{% if lnik %}a{% endif %}", "{{ link"])
def test_a_typing_error_in_a_template_is_found_at_the_start(template: str, tmp_path: Path) -> None:
    with pytest.raises(TemplateError):
        Workshop(tmp_path, templates=own_templates(tmp_path, reset__html=template)).composer.prepare_all()


def german(folder: Path) -> Path:
    catalog = Catalog(locale="de")
    catalog.add("Reset your password", "Setzen Sie Ihr Passwort zurück – für größte Sicherheit")
    catalog.add(
        "To choose a new password, open this link:",
        "Öffnen Sie diesen Link, um ein neues Passwort zu wählen:",
    )
    catalog.add("Your password was changed", "Ihr Passwort wurde geändert")
    catalog.add("This was not me", "Das war <ich> & nicht")
    catalog.add(
        (
            "The link works once and for %(minutes)s minute, until %(expires_at)s.",
            "The link works once and for %(minutes)s minutes, until %(expires_at)s.",
        ),
        (
            "Bis %(expires_at)s, also %(minutes)s Minute lang.",
            "Bis %(expires_at)s, also %(minutes)s Minuten lang.",
        ),
    )
    place = folder / "locales" / "de" / "LC_MESSAGES"
    place.mkdir(parents=True)
    with (place / "resetsvc.mo").open("wb") as file:
        write_mo(file, catalog)
    return folder / "locales"


@pytest.mark.parametrize(
    ("account", "asked", "is_german"),
    [
        ("de", None, True),
        ("de-AT", "en", True),
        (None, "de", True),
        ("", "DE-ch", True),
        ("xx", "de", True),  # a language on record that there is no catalog for
        ("en", "de", False),  # the account's own language wins over that of whoever asked
        (None, None, False),
        (None, "fr", False),
    ],
)
def test_a_mail_is_in_the_language_of_the_account_or_else_of_the_request(
    account: str | None, asked: str | None, is_german: bool, tmp_path: Path
) -> None:
    workshop = Workshop(tmp_path, locales=german(tmp_path))
    workshop.composer.prepare_all()
    message = parsed(workshop.compose(replace(LETTER, locale=asked), language=account).body)
    expected = (
        "Setzen Sie Ihr Passwort zurück – für größte Sicherheit" if is_german else "Reset your password"
    )
    assert message["Subject"] == expected
    assert ("Öffnen Sie diesen Link" in part(message, "plain")) is is_german
    assert ('<html lang="de"' in part(message, "html")) is is_german
    assert ("Bis 14:43 UTC, 21 September 2026, also 30 Minuten lang." in part(message, "plain")) is is_german


@BOTH
def test_a_translated_mail_too_is_what_the_standard_library_makes_of_it(
    letter: ClaimedLetter, tmp_path: Path
) -> None:
    workshop = Workshop(tmp_path, locales=german(tmp_path))
    quick, slow = (
        parsed(workshop.compose(letter, language="de").body),
        workshop.slowly(letter, RECIPIENT, "de"),
    )
    assert headers(quick) == headers(slow)
    assert part(quick, "plain") == part(slow, "plain")
    assert part(quick, "html") == part(slow, "html")


@BOTH
def test_the_same_letter_at_the_same_time_is_the_same_bytes(letter: ClaimedLetter, tmp_path: Path) -> None:
    assert Workshop(tmp_path).compose(letter) == Workshop(tmp_path).compose(letter)
    later = Workshop(tmp_path)
    later.clock.advance(60)
    assert later.clock.seconds == NOW + 60
    assert later.compose(letter) != Workshop(tmp_path).compose(letter)
