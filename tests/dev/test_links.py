"""Addresses in a text: found whole, without the sentence around them, and nothing else becomes markup."""

import pytest

from resetsvc.dev.links import find_links, link_up


@pytest.mark.parametrize(
    ("text", "links"),
    [
        ("http://127.0.0.1:8000/reset/a.b-c_d", ("http://127.0.0.1:8000/reset/a.b-c_d",)),
        ("Open https://example.com/x.", ("https://example.com/x",)),
        ("(see https://example.com/x)", ("https://example.com/x",)),
        ("https://example.com/x_(y)", ("https://example.com/x_(y)",)),
        ("<https://example.com/x>", ("https://example.com/x",)),
        (
            "HTTPS://example.com/?a=1&b=2, twice: HTTPS://example.com/?a=1&b=2",
            ("HTTPS://example.com/?a=1&b=2",),
        ),
        ("javascript:alert(1) data:text/html,x file:///etc/passwd mailto:a@b.example", ()),
        ("", ()),
    ],
)
def test_the_web_addresses_are_found(text: str, links: tuple[str, ...]) -> None:
    assert find_links(text) == links


def test_all_but_the_address_stays_text() -> None:
    linked = link_up('<b>"Open" https://example.com/?a=1&b=2"onclick=x</b>')
    assert linked == (
        "&lt;b&gt;&#34;Open&#34; "
        '<a href="https://example.com/?a=1&amp;b=2" target="_blank" rel="noopener noreferrer">'
        "https://example.com/?a=1&amp;b=2</a>"
        "&#34;onclick=x&lt;/b&gt;"
    )
