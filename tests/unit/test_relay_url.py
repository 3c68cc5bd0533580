"""Where a relay is: TLS unless it is refused by name, and no word of the URL in what is said against it."""

import pytest

from resetsvc.relay.url import RelayAddress, parse_relay_url


@pytest.mark.parametrize(
    ("url", "relay"),
    [
        ("smtps://u:p@mail.example.com:465", RelayAddress("mail.example.com", 465, "implicit", "u", "p")),
        ("smtps://mail.example.com", RelayAddress("mail.example.com", 465, "implicit")),
        ("smtps://mail.example.com?tls=implicit", RelayAddress("mail.example.com", 465, "implicit")),
        ("smtp://mail.example.com", RelayAddress("mail.example.com", 587, "starttls")),
        ("smtp://mail.example.com/", RelayAddress("mail.example.com", 587, "starttls")),
        ("smtp://mail.example.com:2525?tls=starttls", RelayAddress("mail.example.com", 2525, "starttls")),
        ("smtp://127.0.0.1:1025?tls=none", RelayAddress("127.0.0.1", 1025, "none")),
        ("smtp://localhost?tls=none", RelayAddress("localhost", 25, "none")),
        ("smtp://[::1]:1025?tls=none", RelayAddress("::1", 1025, "none")),
        (
            "smtp://ann%40example.com:p%40ss%3A%2F%25@h",
            RelayAddress("h", 587, "starttls", "ann@example.com", "p@ss:/%"),
        ),
        ("smtp://u:@h", RelayAddress("h", 587, "starttls", "u", "")),
    ],
)  # fmt: skip -- one line a case
def test_a_relay_is_read_from_its_url(url: str, relay: RelayAddress) -> None:
    assert parse_relay_url(url) == relay


@pytest.mark.parametrize(
    "url",
    [
        "",
        "mail.example.com",
        "mail.example.com:587",
        "http://mail.example.com",
        "smtp:mail",
        "smtp://",
        "smtp://:25",
        "smtp://u:hunter2@",
        "smtp://u:hunter2@h:0",
        "smtp://u:hunter2@h:65536",
        "smtp://u:hunter2@h:-1",
        "smtp://u:hunter2@h:abc",
        "smtp://u:hunter2@h/path",
        "smtp://u:hunter2@h#x",
        "smtp://u:hunt#er2@h",
        "smtp://u:hunt/er2@h",
        "smtp://u@h",
        "smtp://:hunter2@",
        "smtp://u:hunter2@h?tls=opportunistic",
        "smtp://u:hunter2@h?tls=",
        "smtp://u:hunter2@h?tls=implicit",
        "smtps://u:hunter2@h?tls=none",
        "smtps://u:hunter2@h?tls=starttls",
        "smtp://u:hunter2@h?tls=none&tls=starttls",
        "smtp://u:hunter2@h?verify=no",
        "smtp://u:hunter2@h?TLS=none",
        "smtp://u:hunter2\u2100@h",
        "smtp://u:hunter2@[::1",
        "smtp://u:hunter2@h o s t",
    ],
)  # fmt: skip -- a list
def test_a_wrong_url_is_refused_without_a_word_of_its_secret(url: str) -> None:
    with pytest.raises(ValueError, match=r"relay|tls") as refusal:
        parse_relay_url(url)
    assert "hunt" not in str(refusal.value)
    assert refusal.value.__cause__ is None


def test_a_relay_is_shown_without_its_credentials() -> None:
    relay = parse_relay_url("smtp://robot:hunter2@mail.example.com")
    assert relay.name == "mail.example.com:587"
    assert "robot" not in repr(relay)
    assert "hunter2" not in repr(relay)
