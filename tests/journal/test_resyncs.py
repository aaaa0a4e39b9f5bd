"""A person's word that all of a sync is to be said again is kept, waits for a plan, and is done once."""

import pyarrow as pa
import pytest

from tailrace.errors import JournalError
from tailrace.journal.records import SyncBatch

SYNC = "sync_crm__people"
NO_INTENTS = ("intent_id", "campaign", "version", "step", "enrollment_id", "channel", "message", "class")


def _apply(journal, at, plan_id, batches=(), used=()):
    nothing = {name: pa.array([], pa.string()) for name in NO_INTENTS}
    nothing |= {name: pa.array([], pa.int64()) for name in ("person_id", "priority")}
    nothing |= {name: pa.array([], pa.timestamp("us")) for name in ("deliver_after", "expires_at")}
    journal.apply_plan(plan_id, None, at, at, pa.table(nothing), batches, used_resyncs=used)


def test_it_waits_for_a_plan_and_is_done_by_one(journal, at):
    told = journal.resync(SYNC, "ada", "they lost it", at)
    waiting = journal.resyncs()
    _apply(journal, at, "p1", used=[told.seq])
    (done,) = journal.resyncs_of(SYNC)

    assert waiting == [told]
    assert (told.who, told.reason, told.at, told.plan_id) == ("ada", "they lost it", at, None)
    assert journal.resyncs() == []
    assert done.plan_id == "p1"


def test_asking_twice_before_a_plan_is_asking_once(journal, at):
    first, second = (journal.resync(SYNC, who, "they lost it", at) for who in ("ada", "ben"))
    other = journal.resync("sync_crm__objects", "ada", "they lost it", at)

    assert second == first
    assert journal.resyncs() == [first, other]


def test_no_reason_is_no_word(journal, at):
    with pytest.raises(JournalError, match="--reason"):
        journal.resync(SYNC, "ada", " ", at)
    assert journal.resyncs() == []


def test_rows_that_no_destination_has_answered_are_under_way(journal, at):
    batches = [
        SyncBatch(SYNC, 0, 1000, "crm"),
        SyncBatch(SYNC, 1, 7, "crm"),
        SyncBatch("sync_crm__objects", 0, 3, "crm"),
    ]
    _apply(journal, at, "p1", batches)

    assert journal.rows_under_way("p1") == {SYNC: {"pending": 1007}, "sync_crm__objects": {"pending": 3}}
    assert journal.rows_under_way("p2") == {}


def test_a_row_without_a_word_of_its_own_has_the_code_of_its_batch(journal, at):
    _apply(journal, at, "p1", [SyncBatch(SYNC, 0, 2, "crm")])
    with journal._db.transaction():
        journal._db.run(
            "insert into outcomes (item_id, kind, attempt, outcome, code, recorded_at) values"
            " ('p1/sync_crm__people/0', 'batch', 1, 'rejected', 'removal_refused:small', 0)"
        )
        journal._db.run("insert into row_outcomes values (1, 1, 'rejected', 'other')")

    rows = journal.acknowledged_rows(0).sort_by([("seq", "ascending"), ("position", "ascending")]).to_pylist()

    assert [(row["position"], row["code"]) for row in rows] == [(0, "removal_refused:small"), (1, "other")]
