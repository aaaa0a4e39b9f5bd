"""What a destination said later of what it had accepted is kept once, and takes back no more than it had accepted."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tailrace.errors import JournalError
from tailrace.journal import Record, RowOutcome, SyncBatch
from tailrace.journal.follow_ups import FollowUps

DAY = timedelta(days=1)


@pytest.fixture
def accepted(journal, intents, at):
    """Return the epoch of a sender to whom a batch of three was accepted, but for its second row."""
    journal.apply_plan("p1", None, at, at, intents(), [SyncBatch("s", 0, 3, "google"), SyncBatch("s", 1, 1, "crm")])
    with journal.sender(at) as epoch:
        for destination, rows in (("google", (RowOutcome(1, "rejected", "key:phone"),)), ("crm", ())):
            (due,) = journal.due_batches(destination, "p1", at, 9).items
            (claim,) = journal.claim(epoch, at, [due], destination=destination, is_idempotent=True).claims
            journal.record(epoch, at, [Record(claim, "accepted", "ok", provider_id=f"r-{destination}", rows=rows)])
        yield epoch


def said(journal):
    rows = journal.acknowledged_rows(0).sort_by("seq").to_pylist()
    return {(row["batch_no"], row["position"]): (row["outcome"], row["code"]) for row in rows}


def test_what_is_not_believed_is_unknown_and_what_was_refused_stays_refused(journal, accepted, at):
    follow_ups = FollowUps(journal)
    (what,) = follow_ups.to_ask("google", at - DAY, at, 9)
    assert (what.provider_id, what.plan_id, what.sync, what.batch_no, what.n_rows) == ("r-google", "p1", "s", 0, 2)

    before = said(journal)
    follow_ups.record(accepted, at, what, "failed:NO_CONSENT:2", is_believed=False)

    unknown, refused = ("unknown", "failed:NO_CONSENT:2"), ("rejected", "key:phone")
    assert before[0, 0] == ("accepted", "ok")
    assert said(journal) == {(0, 0): unknown, (0, 1): refused, (0, 2): unknown, (1, 0): ("accepted", "ok")}
    assert follow_ups.to_ask("google", at - DAY, at, 9) == []


def test_what_is_believed_is_as_it_was_and_not_asked_again(journal, accepted, at):
    before = said(journal)
    follow_ups = FollowUps(journal)
    (what,) = follow_ups.to_ask("google", at - DAY, at, 9)
    follow_ups.record(accepted, at, what, "success", is_believed=True)

    assert (said(journal), follow_ups.to_ask("google", at - DAY, at, 9)) == (before, [])


def test_only_what_was_accepted_in_that_time_is_asked_about(journal, accepted, at):
    follow_ups = FollowUps(journal)
    assert follow_ups.to_ask("google", at - DAY, at - timedelta(seconds=1), 9) == []
    assert follow_ups.to_ask("google", at + timedelta(seconds=1), at + DAY, 9) == []


def test_a_sender_that_was_replaced_says_nothing(journal, accepted, at):
    follow_ups = FollowUps(journal)
    (what,) = follow_ups.to_ask("google", at - DAY, at, 9)
    with pytest.raises(JournalError):
        follow_ups.record(accepted - 1, at, what, "failed", is_believed=False)
    assert said(journal)[0, 0] == ("accepted", "ok")
