"""Messages that say the same to one person, since two user ids became theirs: only one of them goes."""

from __future__ import annotations

from datetime import timedelta

import pyarrow as pa
import pytest

from tailrace.errors import JournalError
from tailrace.journal import Record, State


def same(*pairs: tuple[str, str], is_once: bool = True) -> pa.Table:
    """Return pairs of messages as a plan has them: both ways."""
    both = [*pairs, *((other, one) for one, other in pairs)]
    return pa.table(
        {
            "intent_id": pa.array([one for one, _ in both], pa.string()),
            "other_intent_id": pa.array([other for _, other in both], pa.string()),
            "is_once": pa.array([is_once] * len(both), pa.bool_()),
        }
    )


def states(journal):
    return {row["item_id"]: row["state"] for row in journal._db.all("select item_id, state from states")}


def withdrawn(journal):
    return journal._db.tuples(
        "select item_id, outcome, destination from outcomes where code = 'merged' order by item_id"
    )


def claim(journal, at, *names):
    epoch = journal.start_epoch(at)
    items = [item for item in journal.due_messages("email", at, 9).items if item.item_id in names]
    return epoch, journal.claim(epoch, at, items, destination="relay", is_idempotent=False).claims


@pytest.mark.parametrize(("is_draft", "left"), [(True, "draft"), (False, "pending")])
def test_of_two_that_wait_who_came_first_goes(journal, intents, at, is_draft, left):
    journal.apply_plan("p1", None, at, at, intents("a", "b", "c", is_draft=is_draft), [])
    journal.apply_plan("p2", "p1", at, at, intents(), [], merged_messages=same(("b", "a"), ("c", "never")))
    assert states(journal) == {"a": left, "b": "cancelled", "c": left}
    assert withdrawn(journal) == [("b", "cancelled", None)]


def test_of_three_one_goes(journal, intents, at):
    journal.apply_plan("p1", None, at, at, intents("a", "b", "c", is_draft=True), [])
    pairs = same(("c", "a"), ("c", "b"), ("b", "a"))
    journal.apply_plan("p2", "p1", at, at, intents(), [], merged_messages=pairs)
    assert states(journal) == {"a": "draft", "b": "cancelled", "c": "cancelled"}
    assert [item for item, *_ in withdrawn(journal)] == ["b", "c"], "said once of each"


def test_what_was_approved_goes_before_what_waits_for_approval(journal, intents, at):
    journal.apply_plan("p1", None, at, at, intents("a", "b", is_draft=True), [])
    journal.approve(["b"], "kim", "read", at)
    journal.apply_plan("p2", "p1", at, at, intents(), [], merged_messages=same(("a", "b")))
    assert states(journal) == {"a": "cancelled", "b": "pending"}
    with pytest.raises(JournalError, match="a is cancelled"):
        journal.approve(["a"], "kim", "read", at)


@pytest.mark.parametrize(("is_once", "becomes"), [(True, "cancelled"), (False, "pending")])
def test_what_went_is_not_said_again_unless_people_enter_again(journal, intents, at, is_once, becomes):
    journal.apply_plan("p1", None, at, at, intents("a", "b"), [])
    epoch, claims = claim(journal, at, "b")
    journal.record(epoch, at, [Record(claims[0], State.ACCEPTED, "sent")])
    journal.apply_plan("p2", "p1", at, at, intents(), [], merged_messages=same(("a", "b"), is_once=is_once))
    assert states(journal) == {"a": becomes, "b": "accepted"}


@pytest.mark.parametrize("is_once", [True, False])
def test_beside_one_that_may_have_gone_nothing_goes(journal, intents, at, is_once):
    journal.apply_plan("p1", None, at, at, intents("a", "b", "c", "d"), [])
    claim(journal, at, "b", "d")
    # The next sender finds what the first one left: nobody knows.
    epoch = journal.start_epoch(at + timedelta(minutes=1))
    journal.sweep(epoch, at + timedelta(minutes=1))
    pairs = same(("a", "b"), ("c", "d"), is_once=is_once)
    journal.apply_plan("p2", "p1", at, at, intents(), [], merged_messages=pairs)
    assert states(journal) == {"a": "cancelled", "b": "unknown", "c": "cancelled", "d": "unknown"}


def test_one_that_may_have_arrived_and_is_tried_again_goes_before_who_came_first(journal, intents, at):
    journal.apply_plan("p1", None, at, at, intents("a", "b", "c", "d"), [])
    epoch, claims = claim(journal, at, "b", "c", "d")
    later = at + timedelta(minutes=5)
    again = [Record(each, "retry_later", "lost", next_at=later, may_have_arrived=True) for each in claims]
    journal.record(epoch, at, again)
    journal.apply_plan("p2", "p1", at, at, intents(), [], merged_messages=same(("a", "b"), ("c", "d")))
    assert states(journal) == {"a": "cancelled", "b": "pending", "c": "pending", "d": "pending"}


def test_what_is_on_its_way_is_left_alone(journal, intents, at):
    journal.apply_plan("p1", None, at, at, intents("a", "b"), [])
    claim(journal, at, "a", "b")
    journal.apply_plan("p2", "p1", at, at, intents(), [], merged_messages=same(("a", "b")))
    assert states(journal) == {"a": "claimed", "b": "claimed"}
    assert withdrawn(journal) == []


def test_one_that_its_destination_refused_holds_nothing_back(journal, intents, at):
    journal.apply_plan("p1", None, at, at, intents("a", "b"), [])
    epoch, claims = claim(journal, at, "a")
    journal.record(epoch, at, [Record(claims[0], State.REJECTED, "no")])
    journal.apply_plan("p2", "p1", at, at, intents(), [], merged_messages=same(("a", "b")))
    assert states(journal) == {"a": "rejected", "b": "pending"}


def test_one_that_a_person_rejected_or_that_came_too_late_holds_nothing_back(journal, intents, at):
    journal.apply_plan("p1", None, at, at, intents("a", "c", is_draft=True, expires=at + timedelta(hours=1)), [])
    journal.reject(["a"], "kim", "no", at)
    later = at + timedelta(hours=2)
    journal.expire(journal.start_epoch(later), later)
    journal.apply_plan("p2", "p1", later, later, intents("b", "d", is_draft=True), [])
    journal.apply_plan("p3", "p2", later, later, intents(), [], merged_messages=same(("a", "b"), ("c", "d")))
    assert states(journal) == {"a": "cancelled", "c": "expired", "b": "draft", "d": "draft"}


def test_applying_again_withdraws_nothing_more_and_a_later_plan_goes_on(journal, intents, at):
    journal.apply_plan("p1", None, at, at, intents("a", "b", is_draft=True), [])
    for _ in range(2):
        journal.apply_plan("p2", "p1", at, at, intents(), [], merged_messages=same(("a", "b")))
    journal.apply_plan("p3", "p2", at, at, intents("c", is_draft=True), [], merged_messages=same(("c", "a")))
    assert states(journal) == {"a": "draft", "b": "cancelled", "c": "cancelled"}
    assert [item for item, *_ in withdrawn(journal)] == ["b", "c"]
    journal.apply_plan("p4", "p3", at, at, intents("d"), [])
    assert states(journal)["d"] == "pending"
