from __future__ import annotations

from datetime import timedelta

import pytest

from tailrace.errors import JournalError
from tailrace.journal import Decided, Record, State
from tailrace.journal.database import tables


def states(journal):
    return {row["item_id"]: row["state"] for row in journal._db.all("select item_id, state from states")}


def everything(journal):
    """Return every row of every table."""
    return {table: sorted(journal._db.tuples(f"select * from {table}"), key=repr) for table in tables()}


def words(journal):
    return [tuple(row) for row in journal._db.tuples("select intent_id, decision, who, reason from approvals")]


def test_a_draft_is_listed_and_no_sender_sees_it(journal, intents, at):
    journal.apply_plan("p1", None, at, at, intents("a", "b", is_draft=True), [])
    journal.apply_plan("p2", "p1", at, at, intents("c"), [])
    assert states(journal) == {"a": "draft", "b": "draft", "c": "pending"}
    assert [one.intent_id for one in journal.drafts()] == ["a", "b"]
    assert [one.intent_id for one in journal.drafts("welcome", 1)] == ["a"]
    assert journal.drafts("another") == []
    assert journal.n_drafts() == journal.counts().messages["draft"] == 2
    assert [item.item_id for item in journal.due_messages("email", at, 9).items] == ["c"]
    epoch = journal.start_epoch(at)
    (item,) = journal.due_messages("email", at, 9).items
    from dataclasses import replace

    assert journal.claim(epoch, at, [replace(item, item_id="a")], destination="x", is_idempotent=True).claims == []


def test_a_plan_that_wants_a_draft_again_leaves_what_was_decided(journal, intents, at):
    journal.apply_plan("p1", None, at, at, intents("a", is_draft=True), [])
    journal.approve(["a"], "kim", "read", at)
    journal.apply_plan("p2", "p1", at, at, intents("a", "b", is_draft=True), [])
    assert states(journal) == {"a": "pending", "b": "draft"}


def test_a_campaign_that_became_a_draft_does_not_hold_back_what_was_applied_before(journal, intents, at):
    journal.apply_plan("p1", None, at, at, intents("a"), [])
    journal.apply_plan("p2", "p1", at, at, intents("a", is_draft=True), [])
    assert states(journal) == {"a": "pending"}


def test_each_decision_is_kept_with_who_why_and_when_and_twice_is_once(journal, intents, at):
    journal.apply_plan("p1", None, at, at, intents("a", "b", "c", is_draft=True), [])
    assert journal.approve(["a", "b", "a"], "kim", "read both", at) == Decided(2, 0, 0)
    assert journal.approve(["a", "b", "c"], "lee", "and this", at) == Decided(1, 2, 0)
    assert words(journal) == [
        ("a", "approved", "kim", "read both"),
        ("b", "approved", "kim", "read both"),
        ("c", "approved", "lee", "and this"),
    ]
    assert [(line.what, line.code) for line in journal.history(["a"])] == [("applied", "p1"), ("approved", "by:kim")]


def test_a_rejection_is_an_outcome_and_can_take_back_an_approval_until_a_sender_has_it(journal, intents, at):
    journal.apply_plan("p1", None, at, at, intents("a", "b", "c", is_draft=True), [])
    journal.approve(["a", "b"], "kim", "read", at)
    epoch = journal.start_epoch(at)
    items = [item for item in journal.due_messages("email", at, 9).items if item.item_id == "b"]
    journal.claim(epoch, at, items, destination="relay", is_idempotent=False)
    assert journal.reject(["a", "c"], "lee", "no", at) == Decided(2, 0, 0)
    assert journal.reject(["a", "c"], "lee", "no", at) == Decided(0, 2, 0)
    with pytest.raises(JournalError, match="b is claimed, and was approved"):
        journal.reject(["b"], "lee", "too late", at)
    assert states(journal) == {"a": "cancelled", "b": "claimed", "c": "cancelled"}
    told = journal.message_outcomes(0).to_pylist()
    assert [(row["intent_id"], row["outcome"]) for row in told] == [("a", "cancelled"), ("c", "cancelled")]
    assert [line.code for line in journal.history(["c"])] == ["p1", "rejected"]


def test_what_a_destination_may_have_cannot_be_rejected(journal, intents, at):
    journal.apply_plan("p1", None, at, at, intents("a", is_draft=True), [])
    journal.approve(["a"], "kim", "read", at)
    epoch = journal.start_epoch(at)
    items = journal.due_messages("email", at, 9).items
    (claim,) = journal.claim(epoch, at, items, destination="hook", is_idempotent=True).claims
    journal.record(epoch, at, [Record(claim, "retry_later", "reset", next_at=at, may_have_arrived=True)])
    with pytest.raises(JournalError, match="may have left already"):
        journal.reject(["a"], "lee", "no", at)


@pytest.mark.parametrize("how", ["approve", "reject"])
def test_one_that_cannot_be_decided_stops_the_whole_decision(journal, intents, at, how):
    journal.apply_plan("p1", None, at, at, intents("a", is_draft=True), [])
    journal.apply_plan("p2", "p1", at, at, intents("sent"), [])
    before = everything(journal)
    decide = getattr(journal, how)
    for ids, why in ((["a", "sent"], "sent is pending"), (["a", "zzz"], "zzz is not in the journal")):
        with pytest.raises(JournalError, match=why):
            decide(ids, "kim", "read", at)
    with pytest.raises(JournalError, match="has no reason"):
        decide(["a"], "kim", " ", at)
    with pytest.raises(JournalError, match="a has expired"):
        decide(["a"], "kim", "read", at + timedelta(days=31))
    assert everything(journal) == before


def test_all_of_a_campaign_leaves_the_expired_to_expire(journal, intents, at):
    journal.apply_plan("p1", None, at, at, intents("a", "b", is_draft=True), [])
    journal.apply_plan("p2", "p1", at, at, intents("short", is_draft=True, expires=at + timedelta(hours=1)), [])
    later = at + timedelta(hours=2)
    assert journal.approve_all("welcome", "kim", "read", later) == Decided(2, 0, 1)
    assert states(journal) == {"a": "pending", "b": "pending", "short": "draft"}
    assert journal.expire(journal.start_epoch(later), later) == 1
    assert states(journal)["short"] == "expired"
    assert journal.reject_all(None, "kim", "nothing left", later) == Decided(0, 0, 0)
    with pytest.raises(JournalError, match=r"`welcom` is in the journal; expected one of: welcome\. Did you mean"):
        journal.approve_all("welcom", "kim", "read", later)


def test_every_state_is_in_the_one_list(journal, intents, at):
    journal.apply_plan("p1", None, at, at, intents("a", is_draft=True), [])
    journal.apply_plan("p2", "p1", at, at, intents("b"), [])
    assert set(states(journal).values()) <= {state.value for state in State}
