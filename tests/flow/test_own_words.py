"""Templates and languages of the operator's own: a folder is enough, and no code."""

from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from quart.testing.app import LifespanError

from tests.flow.conftest import ANN, FORMS, OLD_PASSWORD, Running, Start, text_of

GERMAN = {
    "Reset your password": "Passwort zurücksetzen",
    "Enter an email address, like name@example.com.": "Geben Sie eine E-Mail-Adresse ein, etwa name@example.com.",
    "There is no such page.": "Diese Seite gibt es nicht.",
    "Your password was changed": "Ihr Passwort wurde geändert",
    "Choose a new password": "Wählen Sie ein neues Passwort",
    "Page not found": "Seite nicht gefunden",
}


def add_language(
    folder: Path,
    name: str,
    sentences: dict[str, str],
    plurals: dict[tuple[str, str], tuple[str, str]] | None = None,
) -> Path:
    catalog = Catalog(locale="de")
    for sentence, translation in sentences.items():
        catalog.add(sentence, translation)
    for pair, both in (plurals or {}).items():
        catalog.add(pair, both)
    target = folder / name / "LC_MESSAGES" / "resetsvc.mo"
    target.parent.mkdir(parents=True)
    with target.open("wb") as file:
        write_mo(file, catalog)
    return folder


@pytest.fixture
async def german(start: Start, tmp_path: Path) -> Running:
    characters = ("Use at least %(n)d character.", "Use at least %(n)d characters.")
    translated = ("Mindestens %(n)d Zeichen.", "Mindestens %(n)d Zeichen!")
    folder = add_language(tmp_path / "locales", "de", GERMAN, {characters: translated})
    running = await start(locales=folder, limit_per_account="")
    await running.accounts.add(ANN, OLD_PASSWORD)
    return running


WISHED = [
    ("de", "de"),
    ("de-AT", "de"),
    ("de-AT,de;q=0.9,en;q=0.8", "de"),
    ("fr, de;q=0.5", "de"),
    ("en;q=0.3, de;q=0.7", "de"),
    ("DE", "de"),
    ("en", "en"),
    ("en-GB,en;q=0.9,de;q=0.8", "en"),
    ("fr", "en"),
    ("", "en"),
    ("*", "en"),
    ("../../de", "en"),
]


async def test_pages_speak_the_language_of_the_browser(german: Running) -> None:
    for wished, language in WISHED:
        page = await text_of(await german.client.get("/reset-password", headers={"Accept-Language": wished}))
        assert f'<html lang="{language}"' in page, wished
        assert ("Passwort zurücksetzen" in page) is (language == "de")


async def test_errors_speak_it_too(german: Running) -> None:
    wish = {"Accept-Language": "de"}
    assert "Geben Sie eine E-Mail-Adresse ein" in await text_of(await german.ask("nobody", headers=wish))
    page = await text_of(await german.ask("nobody", headers={**wish, **FORMS["html"]}))
    assert "Geben Sie eine E-Mail-Adresse ein" in page
    problem = await (await german.client.get("/nowhere", headers={**wish, **FORMS["json"]})).get_json()
    assert (problem["title"], problem["code"]) == ("Seite nicht gefunden", "not_found")
    mail = await german.mail_to()
    answer = await german.client.post(mail.link_path, json={"password": "kurz!"}, headers=wish)
    reasons = (await answer.get_json())["reasons"]
    assert reasons == [{"code": "too_short", "detail": "Mindestens 15 Zeichen!", "limit": 15}]


async def test_mails_speak_the_accounts_language_then_the_requests(german: Running) -> None:
    await german.accounts.add("hans@example.com", OLD_PASSWORD, locale="de")
    assert (await german.mail_to("hans@example.com")).subject == "Passwort zurücksetzen"
    for how in (
        {"json": {"email": ANN, "locale": "de"}},
        {"json": {"email": ANN, "locale": "de-CH"}, "headers": {"Accept-Language": "en"}},
        {"form": {"email": ANN}, "headers": {"Accept-Language": "de"}},
    ):
        assert (await german.open("/reset-password", "POST", **how)).status_code == 200
        assert (await german.mailbox.next_mail()).subject == "Passwort zurücksetzen"
    await german.open(
        "/reset-password", "POST", form={"email": ANN, "locale": "en"}, headers={"Accept-Language": "de"}
    )
    assert (await german.mailbox.next_mail()).subject == "Reset your password"


async def test_the_notice_speaks_the_accounts_language(german: Running) -> None:
    await german.accounts.add("hans@example.com", OLD_PASSWORD, locale="de")
    mail = await german.mail_to("hans@example.com")
    assert (await german.set_password(mail.link_path)).status_code == 200
    assert (await german.mailbox.next_mail()).subject == "Ihr Passwort wurde geändert"


async def test_a_folder_that_is_no_language_is_passed_over(start: Start, tmp_path: Path) -> None:
    add_language(tmp_path / "locales", "no-language-at-all", GERMAN)
    running = await start(locales=tmp_path / "locales")
    assert (await running.client.get("/reset-password")).status_code == 200


async def test_a_page_and_a_mail_of_ones_own_replace_the_built_in_ones(start: Start, tmp_path: Path) -> None:
    own = tmp_path / "own"
    (own / "pages").mkdir(parents=True)
    (own / "mails").mkdir()
    (own / "pages" / "done.html").write_text(
        "<!doctype html><title>Done</title><h1>All set, {{ product_name }}</h1>"
    )
    (own / "mails" / "reset.subject").write_text("{{ product_name }}: choose a new password")
    running = await start(templates=own, product_name="A & B")
    await running.accounts.add(ANN, OLD_PASSWORD)
    mail = await running.mail_to()
    assert mail.subject == "A & B: choose a new password"
    assert "We were asked to reset the password" in mail.text  # the others are as they were
    answer = await running.set_password(mail.link_path, headers=FORMS["html"])
    assert "<h1>All set, A &amp; B</h1>" in await text_of(answer)
    assert "Content-Security-Policy" in answer.headers
    page = await text_of(await running.client.get("/reset-password"))
    assert "<h1>Reset your password</h1>" in page


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("pages/done.html", "{% if %}"),
        ("mails/reset.txt", "{{ no_such_word }}"),
        ("mails/notice.html", "{% block %}"),
    ],
)
async def test_a_broken_template_is_found_at_the_start(
    start: Start, tmp_path: Path, name: str, source: str
) -> None:
    own = tmp_path / "own"
    (own / name).parent.mkdir(parents=True)
    (own / name).write_text(source)
    with pytest.raises(LifespanError, match="template"):
        await start(templates=own)
