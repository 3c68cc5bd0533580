"""What matters most, once more on PostgreSQL. RESETSVC_TEST_DATABASE=postgresql runs all flow tests on it."""

from collections.abc import Iterator

import pytest

from tests.flow.test_admission import (
    test_requests_that_wait_together_become_one_mail,
    test_three_mails_an_hour_and_then_one_each_twenty_minutes,
)
from tests.flow.test_asking import test_the_pattern_of_the_contract_is_answered_to_the_letter
from tests.flow.test_audit import (
    test_a_link_that_is_used_and_the_password_that_it_changed_are_kept,
    test_of_many_that_use_one_link_at_once_one_is_kept_as_used,
)
from tests.flow.test_cancel import (
    test_a_mail_that_waits_is_not_sent_after_it,
    test_with_the_tick_no_reset_mail_comes_for_a_day,
)
from tests.flow.test_dispatch import (
    test_a_process_that_stops_puts_back_what_it_cannot_finish,
    test_of_many_letters_none_is_lost_and_none_comes_twice_whatever_is_said_of_them,
    test_what_a_killed_process_held_is_taken_over_when_its_lease_ends,
)
from tests.flow.test_link import (
    look_up,
    test_a_letter_that_still_waits_when_a_link_is_used_goes_no_more,
    test_links_outlive_a_restart_and_dead_ones_stay_dead,
    test_what_ends_a_letter_while_it_is_about_to_be_tried_again_has_its_say,
    test_what_ends_a_letter_while_its_account_is_looked_up_has_its_say,
)
from tests.flow.test_new_password import (
    test_a_client_that_hangs_up_at_any_moment_tears_nothing,
    test_a_notice_that_cannot_be_stored_leaves_the_password_as_it_was,
    test_of_fifty_at_once_exactly_one_wins,
    test_of_two_links_used_at_once_exactly_one_wins,
    test_the_owner_is_told_at_once,
)
from tests.flow.test_ops import (
    test_a_database_that_refuses_is_told_as_503_and_nothing_is_accepted,
    test_not_ready_on_an_older_schema_and_ready_on_a_newer_one,
)
from tests.support import postgres


@pytest.fixture
def database() -> Iterator[str]:
    url = postgres.new_database()
    yield url
    postgres.drop_database(url)
