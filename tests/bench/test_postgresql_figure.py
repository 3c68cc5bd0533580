"""How figures M and N count, on a small PostgreSQL. Nothing here is timed."""

from collections.abc import Iterator

import pytest
from bench.figures.m_postgresql import claim_all
from bench.harness.full_queue import fill_queue
from bench.harness.postgres_house import House, bare_settings, postgres_house
from bench.harness.processes import ProgramFailed

from resetsvc.settings import Settings


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
    kept_for = Settings.model_fields["retention_days"].default * 86400
    finished = f"""
        SELECT count(*) AS n FROM settled_letters WHERE state = 'sent' AND link IN ('used', 'expired')
        AND extract(epoch FROM now()) - finished_at BETWEEN 80000 AND {kept_for}
        """  # noqa: S608 -- a number of ours
    assert house.run("main", finished) == [{"n": 500}]
    fill_queue(settings, 20)
    assert claim_all(house, "main", 1, 20) > 0
    assert house.run("main", finished) == [{"n": 500}]


def test_the_log_grows_by_what_is_written(house: House, settings: dict[str, str]) -> None:
    before = house.wal()
    fill_queue(settings, 100)
    assert house.wal() - before > 100 * 300
