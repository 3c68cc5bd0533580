"""Languages: which there are, which one a person reads, and the gettext catalog of each. Sentences live in templates and here.

A language is added by a folder `<locale>/LC_MESSAGES/resetsvc.mo`, built in or named by RESETSVC_LOCALES: no code.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

from babel import Locale, UnknownLocaleError, negotiate_locale
from babel.dates import format_datetime
from babel.support import NullTranslations, Translations

from resetsvc.errors import Reason

DOMAIN = "resetsvc"
SOURCE_LANGUAGE = "en"
BUILT_IN = Path(__file__).parent / "locales"


class Languages:
    """The languages that there are catalogs for; English is in the source and always there."""

    def __init__(self, extra_folder: Path | None = None) -> None:
        self._catalogs: dict[str, NullTranslations] = {SOURCE_LANGUAGE: NullTranslations()}
        for folder in (BUILT_IN, extra_folder):
            if folder is None:
                continue
            for catalog in sorted(folder.glob(f"*/LC_MESSAGES/{DOMAIN}.mo")):
                name = catalog.parent.parent.name
                if not self.is_locale(name):
                    continue
                with catalog.open("rb") as file:
                    self._catalogs[name.replace("-", "_")] = Translations(fp=file, domain=DOMAIN)
        self._match = lru_cache(maxsize=256)(self._find)  # people share a few wishes

    @staticmethod
    def is_locale(name: str) -> bool:
        """Whether this is a language tag that can be known at all, such as `de` or `pt-BR`."""
        try:
            Locale.parse(name.replace("-", "_"))
        except (UnknownLocaleError, ValueError):
            return False
        return True

    @property
    def names(self) -> list[str]:
        return sorted(self._catalogs)

    def catalog(self, language: str) -> NullTranslations:
        return self._catalogs[language]

    def best(self, *wishes: str | None) -> str:
        """The first wish that there is a catalog for (`de-AT` is content with `de`), else English."""
        for wish in wishes:
            if wish:
                found = self._match(wish[:35])
                if found:
                    return found
        return SOURCE_LANGUAGE

    def from_header(self, accept_language: str) -> str:
        """The best language for an Accept-Language header (RFC 9110 12.5.4)."""
        if not accept_language or len(self._catalogs) == 1:
            return SOURCE_LANGUAGE
        wishes: list[tuple[float, str]] = []
        for part in accept_language[:200].split(","):
            name, _, quality = part.partition(";")
            try:
                weight = float(quality.partition("q=")[2] or 1)
            except ValueError:
                continue
            if weight > 0:  # 0: anything but this one
                wishes.append((-weight, name.strip()))
        return self.best(*(name for _, name in sorted(wishes, key=lambda wish: wish[0])))

    def _find(self, wish: str) -> str | None:
        found = negotiate_locale([wish.replace("-", "_")], self.names, sep="_")
        # It gives the wish back as it was written, and a wish for `EN` is one for `en` (RFC 5646 2.1.1).
        return next((name for name in self.names if found and name.lower() == found.lower()), None)


@lru_cache(maxsize=256)
def _format_minute(minute: int, language: str) -> str:
    moment = datetime.fromtimestamp(minute * 60, UTC)
    return format_datetime(moment, "HH:mm 'UTC', d MMMM y", locale=language)


def format_time(seconds: float, language: str) -> str:
    """A moment as a mail shows it, to the minute. UTC and saying so: nobody knows the reader's time zone."""
    return _format_minute(int(seconds // 60), language)


def reason_sentences(reasons: Sequence[Reason], catalog: NullTranslations) -> list[str]:
    """Why a password was refused, as sentences for the person who chose it."""
    return [_sentence(reason, catalog) for reason in reasons]


def _sentence(reason: Reason, catalog: NullTranslations) -> str:
    _, ngettext = catalog.ugettext, catalog.ungettext
    match reason.code:
        case "too_short":
            return ngettext(
                "Use at least %(n)d character.", "Use at least %(n)d characters.", reason.limit or 0
            ) % {"n": reason.limit}
        case "too_long":
            return ngettext(
                "Use at most %(n)d character.", "Use at most %(n)d characters.", reason.limit or 0
            ) % {"n": reason.limit}
        case "too_many_bytes":
            return ngettext(
                "Use at most %(n)d byte: plain letters and digits take one each, accented letters two, other scripts and emoji up to four.",
                "Use at most %(n)d bytes: plain letters and digits take one each, accented letters two, other scripts and emoji up to four.",
                reason.limit or 0,
            ) % {"n": reason.limit}
        case "common":
            return _("This is one of the passwords that are tried first. Choose one that is harder to guess.")
        case "breached":
            return _(
                "This password is known from a data breach, so attackers try it. Choose one that you use nowhere else."
            )
        case "too_simple":
            return _(
                "This is a row of the same or neighbouring characters. Choose one that is harder to guess."
            )
        case "contains_name":
            return _("Your address or the name of this service is in it. Choose one that does not hold them.")
        case "missing":
            return _("Enter a new password.")
        case _:
            return _("This password holds characters that cannot be stored. Choose another one.")
