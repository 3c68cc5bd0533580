"""The quick way to a mail gives, as the standard library reads it, what the slow way gives."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markupsafe import escape

from resetsvc.compose.skeleton import Render, prepare
from tests.unit.mails import LETTER, NOTICE, RECIPIENT, Workshop, headers, parsed, part

HEADERS = b"Date: Mon, 21 Sep 2026 14:13:20 +0000\r\nFrom: a@example.com\r\nTo: b@example.com\r\nMessage-ID: <1@example.com>\r\n"
ODD_NAMES = [
    "Example",
    "Bäckerei Müller & Söhne",
    '<script>alert("1")</script>',
    'O\'Reilly "&amp;" <b>Co</b>',
    "=?utf-8?q?not_encoded?=",
    "= =20 =C3=A4 =",
    "\U0001f600" * 40,
    "株式会社" * 20,
    "." * 80,
    "x" * 80,
    "{{ link }} {% raw %} %(n)s",
]
TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc", "Co"]), max_size=200)


def render_with(text: str, html: str, subject: str = "A subject") -> Render:
    """Templates of the simplest kind: `{name}` stands for a value."""

    def render(values: Mapping[str, str | None]) -> tuple[str, str, str]:
        filled_text, filled_html = text, html
        for name, value in values.items():
            filled_text = filled_text.replace(f"{{{name}}}", value or "")
            filled_html = filled_html.replace(f"{{{name}}}", str(escape(value or "")))
        return subject, filled_text, filled_html

    return render


@settings(deadline=None, derandomize=True, max_examples=200)
@given(TEXTS, TEXTS, TEXTS, TEXTS)
@example("ends in blanks   ", "  ", "\t", " ")
@example("", "", "", "")
@example("a" * 74, "b" * 75, "c" * 76, "d" * 77)
@example("ä" * 25 + "a", "ä" * 12, "é" * 38, "=" * 25)
@example("." * 10, ".", ".", "\n.\n".strip())
@example("a" * 73, ".", "." * 100, "x\n.y\n..")
@example("=_resetsvc_alternative", "--=_resetsvc_alternative--", "", "")
def test_whatever_is_filled_in_comes_out_as_it_went_in(
    before: str, value: str, between: str, other: str
) -> None:
    """Text around two gaps, both filled; with line ends on either side, and without."""
    pattern = f"x{before}{{one}}{between}{{two}}\n{{one}}\n{before} {{two}}x"
    render = render_with(pattern, f"<p>{pattern}</p>")
    values = {"one": value, "two": other}
    body = prepare(render, frozenset(values), frozenset()).fill(HEADERS, values)
    _, text, html = render(values)
    message = parsed(body)
    assert part(message, "plain") == text.strip() + "\n"
    assert part(message, "html") == html.strip() + "\n"
    assert_lines_are_short(body)
    assert b"\r\n." not in body, "SMTP would have to double a dot"


@settings(deadline=None, derandomize=True, max_examples=60)
@given(
    st.text(st.characters(exclude_categories=["Cs", "Cc", "Co", "Zs", "Zl", "Zp"]), min_size=1, max_size=300)
)
@example("Réinitialisez votre mot de passe")
@example("=?utf-8?q?x?=")
def test_any_subject_survives(subject: str) -> None:
    render = render_with("a", "b", subject)
    assert parsed(prepare(render, frozenset(), frozenset()).fill(HEADERS, {}))["Subject"] == subject


def assert_lines_are_short(body: bytes) -> None:
    assert body.endswith(b"\r\n")
    lines = body.split(b"\r\n")
    head = lines.index(b"")
    assert max(map(len, lines[:head])) <= 998
    assert max(map(len, lines[head:])) <= 76
    assert not any(b"\r" in line or b"\n" in line for line in lines)


@pytest.mark.parametrize("product_name", ODD_NAMES)
@pytest.mark.parametrize("letter", [LETTER, NOTICE], ids=["reset", "notice"])
def test_a_mail_is_what_the_standard_library_makes_of_it(
    letter: "object", product_name: str, tmp_path: Path
) -> None:
    assert letter in (LETTER, NOTICE)
    workshop = Workshop(tmp_path, product_name=product_name)
    chosen = LETTER if letter is LETTER else NOTICE
    assert_same_mail(workshop, chosen.client, chosen is NOTICE)


@settings(deadline=None, derandomize=True, max_examples=60)
@given(
    client=st.one_of(st.ip_addresses().map(str), st.sampled_from(["", "unknown", "<b>", "a" * 64])),
    product_name=st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=80),
    path=st.text(st.sampled_from("abcXYZ019-._~!$&()*+,;=:@/?#%äß"), max_size=400),
    notice=st.booleans(),
)
def test_odd_values_change_nothing_in_that(
    client: str, product_name: str, path: str, notice: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    workshop = Workshop(
        tmp_path_factory.getbasetemp(),
        product_name=product_name,
        reset_url="https://front.example.com/" + path + "?t={token}&x=1" + path,
    )
    assert_same_mail(workshop, client, notice)


def assert_same_mail(workshop: Workshop, client: str, notice: bool) -> None:
    letter = replace(NOTICE if notice else LETTER, client=client)
    body = workshop.compose(letter).body
    quick, slow = parsed(body), workshop.slowly(letter, RECIPIENT, "en")
    assert headers(quick) == headers(slow)
    for kind in ("plain", "html"):
        assert part(quick, kind) == part(slow, kind)
    assert [p.get_content_type() for p in quick.iter_parts()] == [
        p.get_content_type() for p in slow.iter_parts()
    ]
    assert not quick.defects
    assert not any(p.defects for p in quick.iter_parts())
    assert_lines_are_short(body)
    assert body.isascii()


@pytest.mark.parametrize(
    "alter",
    [
        lambda value: value.upper(),
        lambda value: value[:-1],
        lambda value: str(len(value)),
        lambda value: value.replace("\ue000", "%EE%80%80").replace("\ue001", "%EE%80%81"),
        lambda value: value[:200],
        lambda value: value.replace("\ue000", ""),
        lambda value: value[::-1],
        lambda value: value.removeprefix("https://"),
        lambda value: value.replace("&", ""),
    ],
    ids=[
        "upper",
        "cut",
        "length",
        "urlencode",
        "truncate",
        "half a gap",
        "reverse",
        "strip",
        "replace",
    ],
)
@pytest.mark.parametrize("place", ["text", "html", "subject"])
def test_a_template_that_alters_a_value_is_refused(alter: Callable[[str], str], place: str) -> None:
    def render(values: Mapping[str, str | None]) -> tuple[str, str, str]:
        shown = alter(values["link"] or "")
        return (
            f"s {shown}" if place == "subject" else "s",
            f"t {shown}" if place == "text" else "t",
            f"h {escape(shown)}" if place == "html" else "h",
        )

    with pytest.raises(ValueError, match=r"not change it|differs from letter to letter"):
        prepare(render, frozenset({"link"}), frozenset())


def test_a_template_that_prints_a_value_without_escaping_it_is_refused() -> None:
    """`{{ link|safe }}`: what is filled in is escaped, whatever the template wanted."""

    def render(values: Mapping[str, str | None]) -> tuple[str, str, str]:
        return "s", "t", f"<a href={values['link']}>"

    with pytest.raises(ValueError, match="not change it"):
        prepare(render, frozenset({"link"}), frozenset())


def test_a_value_that_is_lacking_leaves_no_gap() -> None:
    def render(values: Mapping[str, str | None]) -> tuple[str, str, str]:
        line = "nothing" if values["client"] is None else f"from {values['client']}"
        return "s", line, str(escape(line))

    assert (
        part(
            parsed(prepare(render, frozenset({"client"}), frozenset()).fill(HEADERS, {"client": "X"})),
            "plain",
        )
        == "from X\n"
    )
    assert (
        part(parsed(prepare(render, frozenset(), frozenset({"client"})).fill(HEADERS, {})), "plain")
        == "nothing\n"
    )


def test_a_value_that_nobody_gave_is_an_error_and_no_empty_place() -> None:
    skeleton = prepare(render_with("{link}", "{link}"), frozenset({"link"}), frozenset())
    with pytest.raises(KeyError):
        skeleton.fill(HEADERS, {})
