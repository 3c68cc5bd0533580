"""How figures M and N count, on a small PostgreSQL. Nothing here is timed."""

from collections.abc import Iterator

import pytest
from bench.figures.m_postgresql import claim_all
from bench.harness.full_queue import fill_queue
from bench.harness.postgres_house import House, bare_settings, postgres_house
from bench.harness.processes import ProgramFailed


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with postgres_house() as house:
        house.make("main")
        yield house


@pytest.fixture
def settings(house: House) -> dict[str, str]:
    house.run("main", "TRUNCATE letters, attempts")
    return bare_settings(house, "main")


def test_three_that_claim_take_each_letter_once(house: House, settings: dict[str, str]) -> None:
    fill_queue(settings, 300)
    assert house.count("main", "state = 'queued'") == 300
    assert claim_all(house, "main", 3, 300) > 0
    assert house.count("main", "state = 'sent' AND attempts = 1 AND relay = 'bench'") == 300


def test_claims_that_are_not_as_many_as_letters_are_no_figure(house: House, settings: dict[str, str]) -> None:
    fill_queue(settings, 10)
    with pytest.raises(ProgramFailed, match="10 letters were claimed, and 11 were due"):
        claim_all(house, "main", 1, 11)


def test_finished_letters_are_as_the_service_leaves_them_and_nothing_claims_them(
    house: House, settings: dict[str, str]
) -> None:
    house.add_finished_letters("main", 500)
    done = (
        "state = 'sent' AND finished_at < extract(epoch FROM now()) - 80000 AND link IN ('used', 'expired')"
    )
    assert house.count("main", done) == 500
    # What fills the pages up is finished, too.
    assert (
        house.count("main", "state = 'dropped' AND finished_at IS NOT NULL")
        == house.count("main", "TRUE") - 500
        > 0
    )
    fill_queue(settings, 20)
    assert claim_all(house, "main", 1, 20) > 0
    assert house.count("main", done) == 500


def test_the_log_grows_by_what_is_written(house: House, settings: dict[str, str]) -> None:
    before = house.wal()
    fill_queue(settings, 100)
    assert house.wal() - before > 100 * 300
