"""What senders tell each other of a destination's pace, in whatever database the journal stands."""

from __future__ import annotations

from datetime import timedelta

SECOND = timedelta(seconds=1)


def test_room_is_given_out_one_after_another_and_from_now_on_when_none_is_taken(journal, at):
    assert journal.reserve("crm", at, 4 * SECOND) == at
    assert journal.reserve("crm", at, 4 * SECOND) == at + 4 * SECOND
    assert journal.reserve("other", at, 4 * SECOND) == at
    assert journal.reserve("crm", at + 30 * SECOND, SECOND) == at + 30 * SECOND


def test_what_a_wrong_clock_reserved_is_passed_over(journal, at):
    journal.reserve("crm", at + timedelta(days=9), SECOND)
    assert journal.reserve("crm", at, SECOND) == at


def test_a_pause_holds_until_it_is_over_and_a_longer_one_stands(journal, at):
    assert journal.paused_until("crm", at) is None
    journal.pause("crm", at + 60 * SECOND)
    journal.pause("crm", at + 5 * SECOND)
    journal.reserve("crm", at, SECOND)
    assert journal.paused_until("crm", at) == at + 60 * SECOND
    assert journal.paused_until("crm", at + 60 * SECOND) is None
    assert journal.paused_until("other", at) is None


def test_a_pause_that_nobody_would_ask_for_is_passed_over(journal, at):
    journal.pause("crm", at + timedelta(days=9))
    assert journal.paused_until("crm", at) is None
