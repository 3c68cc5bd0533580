"""`resetsvc.testing` in somebody else's suite: the example of its documentation, run as it is written there."""

import re
import textwrap

import pytest

import resetsvc.testing

pytest_plugins = ["pytester"]

MARKED = "import pytest\n\npytestmark = pytest.mark.asyncio\n\n"


def documented(number: int) -> str:
    """The example of that number in the module's documentation: first the conftest, then the test."""
    assert resetsvc.testing.__doc__ is not None
    blocks = re.findall(r"(?:^    .*\n|^\n)+", resetsvc.testing.__doc__, re.MULTILINE)
    return textwrap.dedent([block for block in blocks if block.strip()][number])


OVERRIDES = """
import dataclasses

import pytest

from resetsvc.testing import HandClock, make_settings


@pytest.fixture
def hand():
    return HandClock()


@pytest.fixture
def resetsvc_clock(hand):
    return hand.clock


@pytest.fixture
def resetsvc_settings(tmp_path):
    return make_settings(tmp_path, token_ttl=600, reset_url="https://app.example.com/new?t={token}")


async def test_links_lead_to_our_front_end_for_ten_minutes(
    hand, resetsvc_client, resetsvc_mailbox, resetsvc_accounts
):
    await resetsvc_accounts.add("ann@example.com", "an old password of hers")
    await resetsvc_client.post("/reset-password", json={"email": "ann@example.com"})
    mail = await resetsvc_mailbox.next_mail()
    assert mail.link == f"https://app.example.com/new?t={mail.token}"
    hand.advance(599)
    assert (await resetsvc_client.get(f"/reset/{mail.token}")).status_code == 200
    hand.advance(1)
    assert (await resetsvc_client.get(f"/reset/{mail.token}")).status_code == 410


async def test_a_fresh_database_for_each_test(resetsvc_accounts):
    assert await resetsvc_accounts.add("ann@example.com", "an old password of hers")


async def test_no_mail_comes_where_none_is_asked_for(resetsvc_client, resetsvc_mailbox):
    with pytest.raises(AssertionError, match="no mail came"):
        await resetsvc_mailbox.next_mail(timeout=0.01)
"""


def run(pytester: pytest.Pytester, mode: str, **modules: str) -> pytest.RunResult:
    pytester.makeconftest(documented(0))
    pytester.makepyfile(**modules)
    pytester.makeini(
        f"[pytest]\nasyncio_mode = {mode}\nasyncio_default_fixture_loop_scope = function\nfilterwarnings = error\n"
    )
    return pytester.runpytest_subprocess("-p", "no:cacheprovider")


def test_the_documented_example_runs_in_a_foreign_suite(pytester: pytest.Pytester) -> None:
    run(pytester, "strict", test_documented=MARKED + documented(1)).assert_outcomes(passed=1)


def test_its_parts_can_be_overridden_and_nothing_of_the_environment_reaches_it(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another team's machine may run the real service beside its tests."""
    monkeypatch.setenv("RESETSVC_DATABASE_URL", "sqlite:////nowhere/at/all.db")
    monkeypatch.setenv("RESETSVC_RESET_URL", "https://production.example.com/{token}")
    monkeypatch.setenv("RESETSVC_PASSWORD_MIN_LENGTH", "no number")
    (pytester.path / ".env").write_text("RESETSVC_SECRET_KEY=short\nRESETSVC_PASSWORD_MIN_LENGTH=90\n")
    ran = run(pytester, "auto", test_documented=documented(1), test_overrides=OVERRIDES)
    ran.assert_outcomes(passed=4)
