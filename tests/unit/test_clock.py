"""The real clock: what leases are measured by."""

import time

import pytest

from resetsvc.clock import Clock, new_id


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
