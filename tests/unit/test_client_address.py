"""Who is asking: the caller cannot choose what is counted, and a mail shows too little to track anybody by."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resetsvc.client_address import UNKNOWN, client_address, limit_key, mask_client

PEER = "198.51.100.7"


@pytest.mark.parametrize(
    ("peer", "forwarded", "proxies", "client"),
    [
        (PEER, [], 0, PEER),
        (PEER, ["203.0.113.5"], 0, PEER),  # nobody is trusted: the header is the caller's own
        (PEER, ["203.0.113.5"], 1, "203.0.113.5"),
        (PEER, ["6.6.6.6, 203.0.113.5"], 1, "203.0.113.5"),  # what stands left was sent by the client
        (PEER, ["6.6.6.6", "203.0.113.5"], 1, "203.0.113.5"),  # as a header of its own
        (PEER, ["6.6.6.6, 203.0.113.5, 10.0.0.1"], 2, "203.0.113.5"),
        (PEER, ["6.6.6.6", "203.0.113.5,10.0.0.1"], 2, "203.0.113.5"),
        (PEER, ["203.0.113.5"], 2, PEER),  # shorter than the chain: it did not come through it
        (PEER, [], 1, PEER),
        (PEER, [""], 1, PEER),
        (PEER, ["203.0.113.5,"], 1, PEER),
        (PEER, ["unknown"], 1, PEER),
        (PEER, ["203.0.113.5, <script>"], 1, PEER),
        (PEER, ["203.0.113.5:4711"], 1, "203.0.113.5"),
        (PEER, ["[2001:db8::1]:4711"], 1, "2001:db8::1"),
        (PEER, ["2001:DB8:0:0::1"], 1, "2001:db8::1"),
        (PEER, ["fe80::1%eth0"], 1, "fe80::1"),
        (PEER, ["::ffff:203.0.113.5"], 1, "203.0.113.5"),
        ("::ffff:203.0.113.5", [], 0, "203.0.113.5"),
        ("203.0.113.5:4711", [], 0, "203.0.113.5"),
        ("0203.0.113.5", [], 0, UNKNOWN),  # octal to some, decimal to others: nobody's
        ("3405803781", [], 0, UNKNOWN),
        ("", [], 0, UNKNOWN),
        ("/run/resetsvc.sock", [], 0, UNKNOWN),
        ("unix:", ["203.0.113.5"], 1, "203.0.113.5"),
    ],
)  # fmt: skip -- one line a case
def test_the_client_is_found_from_the_right(
    peer: str, forwarded: list[str], proxies: int, client: str
) -> None:
    assert client_address(peer, forwarded, proxies) == client


@settings(deadline=None, derandomize=True, max_examples=150)
@given(st.lists(st.text(max_size=30), max_size=4), st.integers(1, 3))
def test_whatever_a_caller_writes_before_it_changes_nothing(forged: list[str], proxies: int) -> None:
    by_proxies = ["203.0.113.5", "10.0.0.1", "10.0.0.2"][:proxies]
    assert client_address(PEER, [*forged, ", ".join(by_proxies)], proxies) == "203.0.113.5"


@settings(deadline=None, derandomize=True, max_examples=150)
@given(st.text(max_size=60))
def test_garbage_gives_an_address_or_unknown(text: str) -> None:
    found = client_address(text, [text], 1)
    assert found == UNKNOWN or client_address(found, [], 0) == found
    assert len(found) <= 64  # the width of its column


@pytest.mark.parametrize(
    ("client", "key"),
    [
        ("203.0.113.5", "203.0.113.5"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        (UNKNOWN, UNKNOWN),
    ],
)
def test_a_limit_counts_an_ipv4_address_or_an_ipv6_subscriber(client: str, key: str) -> None:
    assert limit_key(client) == key


@pytest.mark.parametrize(
    ("client", "shown"),
    [
        ("203.0.113.5", "203.0.113.x"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:x"),
        ("2001:db8::1", "2001:db8:0:x"),
        ("::1", "0:0:0:x"),
        (UNKNOWN, None),
        ("", None),
        ("<b>", None),
    ],
)
def test_a_mail_shows_part_of_the_address_or_nothing(client: str, shown: str | None) -> None:
    assert mask_client(client) == shown
