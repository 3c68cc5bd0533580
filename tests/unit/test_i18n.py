"""Languages: a person gets one that there is, whatever is asked for."""

from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from hypothesis import given, settings
from hypothesis import strategies as st

from resetsvc.errors import Reason
from resetsvc.i18n import SOURCE_LANGUAGE, Languages, format_time, reason_sentences


def add_language(
    folder: Path, name: str, sentences: dict[str | tuple[str, str], str | tuple[str, str]]
) -> None:
    catalog = Catalog(locale=name.replace("-", "_"))
    for message, translation in sentences.items():
        catalog.add(message, translation)
    place = folder / name / "LC_MESSAGES"
    place.mkdir(parents=True)
    with (place / "resetsvc.mo").open("wb") as file:
        write_mo(file, catalog)


@pytest.fixture
def languages(tmp_path: Path) -> Languages:
    add_language(tmp_path, "de", {"Enter a new password.": "Geben Sie ein neues Passwort ein."})
    add_language(
        tmp_path,
        "pt-BR",
        {
            ("Use at least %(n)d character.", "Use at least %(n)d characters."): (
                "Use ao menos %(n)d caractere.",
                "Use ao menos %(n)d caracteres.",
            )
        },
    )
    add_language(tmp_path, "en", {})
    (tmp_path / "no language" / "LC_MESSAGES").mkdir(parents=True)
    (tmp_path / "no language" / "LC_MESSAGES" / "resetsvc.mo").write_bytes(b"")
    return Languages(tmp_path)


def test_a_folder_adds_languages_and_what_is_none_is_passed_over(languages: Languages) -> None:
    assert {"de", "en", "pt_BR"} <= set(languages.names)
    assert "no language" not in languages.names


@pytest.mark.parametrize(
    ("wishes", "language"),
    [
        (["de"], "de"),
        (["de-AT"], "de"),
        (["de_AT"], "de"),
        (["DE"], "de"),
        (["DE-at"], "de"),
        (["EN"], "en"),
        (["En-GB"], "en"),
        (["pt-BR"], "pt_BR"),
        (["PT-br"], "pt_BR"),
        (["xx", "de"], "de"),
        ([None, "", "de"], "de"),
        (["de", "pt-BR"], "de"),
        ([], "en"),
        ([None], "en"),
        (["../../etc/passwd"], "en"),
        (["de\0"], "en"),
        (["*"], "en"),
        (["x" * 100_000], "en"),
    ],
)
def test_the_first_wish_that_there_is_wins_else_english(
    languages: Languages, wishes: list[str | None], language: str
) -> None:
    assert languages.best(*wishes) == language


@settings(deadline=None, derandomize=True, max_examples=200)
@given(st.one_of(st.text(max_size=40), st.from_regex(r"[a-zA-Z]{2}[-_]?[a-zA-Z]{0,4}", fullmatch=True)))
def test_there_is_a_catalog_for_whatever_is_chosen(wish: str) -> None:
    """`locale` comes from the form: a letter that cannot be composed would be lost (and others merged into it)."""
    languages = Languages()
    languages.catalog(languages.best(wish))
    languages.catalog(languages.from_header(wish))


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "en"),
        ("de", "de"),
        ("de-DE,de;q=0.9,en;q=0.8", "de"),
        ("fr-FR,fr;q=0.9,de;q=0.2", "de"),
        ("en;q=0.5, de;q=0.9", "de"),
        ("de;q=0.5, en;q=0.9", "en"),
        ("de;q=0", "en"),
        ("de;q=0, pt-BR;q=0.1", "pt_BR"),
        ("de;q=nonsense, pt-BR", "pt_BR"),
        ("de;q=nan", "en"),
        ("*", "en"),
        (",;,;q=,=;", "en"),
        ("," * 100_000 + "de", "en"),
    ],
)
def test_the_header_is_read_by_its_weights(languages: Languages, header: str, language: str) -> None:
    assert languages.from_header(header) == language


def test_reasons_become_sentences_in_the_language(languages: Languages) -> None:
    english, german, portuguese = (languages.catalog(name) for name in ("en", "de", "pt_BR"))
    assert reason_sentences([Reason("too_short", 1)], english) == ["Use at least 1 character."]
    assert reason_sentences([Reason("too_short", 15)], english) == ["Use at least 15 characters."]
    assert reason_sentences([Reason("too_long", 1024)], english) == ["Use at most 1024 characters."]
    [bytes_of_bcrypt] = reason_sentences([Reason("too_many_bytes", 72)], english)
    assert bytes_of_bcrypt.startswith("Use at most 72 bytes:")
    assert reason_sentences([Reason("missing")], german) == ["Geben Sie ein neues Passwort ein."]
    assert reason_sentences([Reason("too_short", 15)], portuguese) == ["Use ao menos 15 caracteres."]


def test_every_reason_has_a_sentence_of_its_own() -> None:
    catalog = Languages().catalog(SOURCE_LANGUAGE)
    codes = [
        "too_short",
        "too_long",
        "too_many_bytes",
        "common",
        "too_simple",
        "contains_name",
        "missing",
        "not_text",
    ]
    sentences = reason_sentences([Reason(code, 15) for code in codes], catalog)
    assert len(set(sentences)) == len(codes)


def test_a_time_says_its_zone_and_changes_with_the_minute() -> None:
    assert format_time(1_790_000_000.0, "en") == "14:13 UTC, 21 September 2026"
    assert format_time(1_790_000_000.0, "de") == "14:13 UTC, 21 September 2026"
    assert format_time(1_798_761_599.9, "de") == "23:59 UTC, 31 Dezember 2026"
    assert format_time(1_798_761_600.0, "en") == "00:00 UTC, 1 January 2027"
