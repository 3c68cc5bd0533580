"""The real clock: what leases are measured by."""

import time

import pytest

from resetsvc.clock import Clock, new_id
from resetsvc.testing import HandClock


@pytest.mark.skipif(
    not hasattr(time, "CLOCK_BOOTTIME"), reason="this system has no clock that counts its sleep"
)
def test_leases_are_measured_by_a_clock_that_counts_the_sleep_of_a_suspended_machine() -> None:
    """A virtual machine that was suspended past its lease must not believe that it still holds it."""
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    measured = Clock().monotonic()
    assert before <= measured <= time.clock_gettime(time.CLOCK_BOOTTIME)


def test_an_id_is_128_random_bits_that_no_option_can_be_mistaken_for() -> None:
    ids = {new_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(len(found) == 32 and set(found) <= set("0123456789abcdef") for found in ids)


def test_ids_of_letters_sort_by_when_they_were_made_and_are_no_easier_to_guess() -> None:
    """Neighbours in time are neighbours in the index; and all 128 random bits are there besides."""
    hand = HandClock()
    ids = []
    for _ in range(1000):
        ids.append(hand.clock.new_letter_id())
        hand.advance(0.0011)
    assert ids == sorted(ids)
    assert {len(found) for found in ids} == {44}
    assert len({found[12:] for found in ids}) == 1000
    assert int(ids[0][:12], 16) == int(HandClock().seconds * 1000)
