from __future__ import annotations

from contextlib import closing

import pyarrow as pa
import pytest

from tailrace.errors import JournalError
from tailrace.journal import Journal, Record, database
from tailrace.journal.opening import open_database
from tailrace.journal.readings import MIRRORS


def acts(*rows):
    names = ("intent_id", "person_id", "campaign", "step", "kind", "name", "value")
    types = [pa.int64() if name == "person_id" else pa.string() for name in names]
    columns = zip(*rows, strict=True) if rows else [[] for _ in names]
    return pa.table([pa.array(list(c), t) for c, t in zip(columns, types, strict=True)], names=list(names))


NUDGED = ("a", 1, "onboarding", "nudge", "update", "onboarding_stage", '"nudged"')
COUNTED = ("a", 1, "onboarding", "nudge", "update", "n_nudges", "1")
LISTED = ("b", 2, "onboarding", "list", "add", "seg_beta_testers", None)


def held(journal):
    return [(row["intent_id"], row["kind"], row["name"], row["value"]) for row in journal.mirror("acts", 0).to_pylist()]


def test_an_act_is_written_once_whatever_plans_say_later(journal, intents, at):
    journal.apply_plan("p1", None, at, at, intents(), [], [], acts(NUDGED, COUNTED, LISTED))
    journal.apply_plan("p1", None, at, at, intents(), [], [], acts(NUDGED))
    changed = (*NUDGED[:-1], '"again"')
    journal.apply_plan("p2", "p1", at, at, intents(), [], [], acts(changed, ("c", *NUDGED[1:])))
    assert held(journal) == [
        ("a", "update", "onboarding_stage", '"nudged"'),
        ("a", "update", "n_nudges", "1"),
        ("b", "add", "seg_beta_testers", None),
        ("c", "update", "onboarding_stage", '"nudged"'),
    ]


def test_an_act_is_mirrored_with_the_instant_of_its_plan(journal, intents, at):
    journal.apply_plan("p1", None, at, at.replace(hour=9), intents(), [], [], acts(LISTED))
    rows = journal.mirror("acts", 0)
    assert rows.schema == MIRRORS["acts"]
    assert rows.column("acted_at").to_pylist() == [at.replace(tzinfo=None)]
    assert journal.mirror("acts", 1).num_rows == 0


def answered(journal, intents, at, **answer):
    journal.apply_plan("p1", None, at, at, intents("a", channel="webhook", klass="action"), [])
    epoch = journal.start_epoch(at)
    items = journal.due_messages("webhook", at, 9).items
    (claim,) = journal.claim(epoch, at, items, destination="hook", is_idempotent=False).claims
    journal.record(epoch, at, [Record(claim, **answer)])


def test_an_answer_is_kept_with_its_outcome_and_its_body_is_not_mirrored(journal, intents, at):
    answered(journal, intents, at, outcome="accepted", code="http:404", status_code=404, body='{"why": "canary"}')
    (row,) = journal.responses(0).to_pylist()
    assert row == {
        "seq": 1,
        "intent_id": "a",
        "enrollment_id": "e-a",
        "step": "hello",
        "status_code": 404,
        "body": '{"why": "canary"}',
        "recorded_at": at.replace(tzinfo=None),
    }
    assert journal.responses(1).num_rows == 0
    mirrored = journal.mirror("responses", 0)
    assert mirrored.schema == MIRRORS["responses"]
    assert mirrored.column("status_code").to_pylist() == [404]
    assert "canary" not in str(mirrored.to_pylist())
    assert [row["outcome"] for row in journal.message_outcomes(0).to_pylist()] == ["accepted"]
    assert "canary" not in repr(Record(None, "accepted", "x", status_code=200, body="canary"))


@pytest.mark.parametrize("how", ["rejected", "expired", "cancelled", "settled"])
def test_a_step_that_ended_without_an_answer_is_told_with_none(journal, intents, at, how):
    journal.apply_plan("p1", None, at, at, intents("a", channel="webhook", klass="action", expires=at), [])
    journal.apply_plan("p2", "p1", at, at, intents("mail"), [])
    epoch = journal.start_epoch(at)
    items = journal.due_messages("webhook", at, 9).items
    if how == "expired":
        journal.expire(epoch, at.replace(hour=9))
    elif how == "cancelled":
        journal.claim(epoch, at, items, destination="hook", is_idempotent=False, withdrawn={"a": "why"})
    else:
        (claim,) = journal.claim(epoch, at, items, destination="hook", is_idempotent=False).claims
        journal.record(epoch, at, [Record(claim, "rejected" if how == "rejected" else "unknown", "call:url")])
    if how == "settled":
        assert journal.responses(0).num_rows == 0
        journal.settle("a", "accepted", "kim", "asked them", at)
    (row,) = journal.responses(0).to_pylist()
    assert (row["intent_id"], row["enrollment_id"], row["status_code"], row["body"]) == ("a", "e-a", None, None)
    assert journal.mirror("responses", 0).num_rows == 0


@pytest.mark.parametrize("outcome", ["retry_later", "blocked", "unknown"])
def test_an_answer_that_is_not_the_last_is_not_kept(journal, intents, at, outcome):
    answered(journal, intents, at, outcome=outcome, code="http:503", status_code=503, next_at=at)
    assert journal.responses(0).num_rows == journal.mirror("responses", 0).num_rows == 0


def test_a_record_that_is_refused_leaves_no_answer(journal, intents, at):
    journal.apply_plan("p1", None, at, at, intents("a", channel="webhook"), [])
    old = journal.start_epoch(at)
    items = journal.due_messages("webhook", at, 9).items
    (claim,) = journal.claim(old, at, items, destination="hook", is_idempotent=False).claims
    journal.start_epoch(at)
    with pytest.raises(JournalError, match="replaced by a later one"):
        journal.record(old, at, [Record(claim, "accepted", "http:200", status_code=200, body="{}")])
    assert journal.responses(0).num_rows == journal.message_outcomes(0).num_rows == 0


def test_a_journal_of_the_first_version_migrates_with_all_that_is_in_it(settings, intents, at, monkeypatch):
    first = (1, database._steps()[1])
    monkeypatch.setattr(database, "_steps", lambda: dict([first]))
    with closing(open_database(settings)) as old:
        assert old.migrate() == ["0001_the_journal"]
        with old.transaction():
            old.run("insert into journal values ('old', 0)")
            old.run("insert into plans (plan_id, as_of, applied_at) values ('p1', 0, 0)")
            old.run(
                "insert into intents (intent_id, plan_id, campaign, version, step, enrollment_id, person_id, channel,"
                " message, class, priority, deliver_after)"
                " values ('a', 'p1', 'c', 'v', 's', 'e', 7, 'email', 'm', 'marketing', 1, 0)"
            )
            old.run("insert into states values ('a', 'message', 'email', 'pending', 0, 0, null, null, 1, 1, 0, null)")
    monkeypatch.undo()
    with Journal.open(settings) as journal:
        assert journal.journal_id == "old"
        (item,) = journal.due_messages("email", at, 9).items
        assert (item.item_id, item.topic, item.klass) == ("a", None, "marketing")
        assert journal.apply_plan("p2", "p1", at, at, intents("b", is_draft=True), []) == 1
        assert journal.n_drafts() == 1
    with Journal.open(settings) as journal:
        assert journal.mirror("intents", 0).column("intent_id").to_pylist() == ["a", "b"]


def test_a_key_is_one_broadcast_for_ever(journal, at):
    begun = journal.begin_broadcast("news", "march", "f1", 10, "kim", at)
    assert begun.is_new
    again = journal.begin_broadcast("news", "march", "f1", 10, "lee", at.replace(hour=9))
    assert (again.is_new, again.who, again.at) == (False, "kim", at)
    with pytest.raises(JournalError, match=r"key `march` with other data \(10 rows, by kim\)"):
        journal.begin_broadcast("news", "march", "f2", 11, "lee", at)
    assert journal.begin_broadcast("news", "april", "f2", 11, "lee", at).is_new
    assert journal.begin_broadcast("other", "march", "f2", 11, "lee", at).is_new
