"""The journal forgets a person but for ids, and nothing goes to them any more."""

from __future__ import annotations

import pytest
from tests.journal.test_drafts import states

from tailrace.errors import JournalError
from tailrace.journal import Record, SyncBatch

EVERYBODY = {1: "a", 2: "b", 3: "c", 4: "d", 5: "e"}


@pytest.fixture
def busy(journal, intents, at):
    """One of each: a draft, a pending one, one that a dead sender had claimed, an unknown and an accepted one."""
    journal.apply_plan("p1", None, at, at, intents("a", is_draft=True), [])
    journal.apply_plan("p2", "p1", at, at, _only(intents("a", "b", "c", "d", "e"), 1), [SyncBatch("s", 0, 2, "crm")])
    first = journal.start_epoch(at)
    items = {item.item_id: item for item in journal.due_messages("email", at, 9).items}
    (unknown, accepted) = journal.claim(
        first, at, [items["d"], items["e"]], destination="x", is_idempotent=False
    ).claims
    journal.record(first, at, [Record(unknown, "unknown", "end:timeout"), Record(accepted, "accepted", "250")])
    journal.claim(first, at, [items["c"]], destination="x", is_idempotent=False)
    return journal


def _only(table, start):
    return table.slice(start)


def test_what_is_open_is_cancelled_and_what_is_over_stays(busy, at):
    assert states(busy) == {
        "a": "draft",
        "b": "pending",
        "c": "claimed",
        "d": "unknown",
        "e": "accepted",
        "p2/s/0": "pending",
    }
    dry = busy.erase([*EVERYBODY], at, is_dry=True)
    assert states(busy)["a"] == "draft"

    done = busy.erase([*EVERYBODY], at, is_dry=False)

    assert dry == done == {"messages": 4, "answers": 0, "values": 0}
    assert states(busy) == {**dict.fromkeys("abcd", "cancelled"), "e": "accepted", "p2/s/0": "pending"}
    codes = busy._db.tuples("select item_id, outcome from outcomes where code = 'erased' order by 1")
    assert codes == [(name, "cancelled") for name in "abcd"]
    assert busy.erase([*EVERYBODY], at, is_dry=False)["messages"] == 0
    assert busy.unknown() == []
    with pytest.raises(JournalError, match="is cancelled"):
        busy.settle("d", "retry_later", "kim", "why not", at)


def test_nobody_else_is_touched(busy, at):
    before = states(busy)
    assert busy.erase([2], at, is_dry=False)["messages"] == 1
    assert states(busy) == {**before, "b": "cancelled"}


def test_the_batches_with_a_row_of_theirs_are_cancelled_and_a_claimed_one_may_have_arrived(busy, at):
    epoch = busy.start_epoch(at)
    (item,) = busy.due_batches("crm", "p2", at, 9).items
    busy.claim(epoch, at, [item], destination="crm", is_idempotent=True)
    assert busy.cancel_batches_with({"p2/s/0", "p2/s/7"}, at) == 2
    assert busy.cancel_batches_with({"p2/s/0"}, at) == 0
    assert [row["outcome"] for row in busy.acknowledged_rows(0).to_pylist()] == ["unknown", "unknown"]
    assert states(busy)["p2/s/0"] == "cancelled"


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
def test_what_is_forgotten_leaves_no_byte_in_the_file(busy, settings, at):
    busy._db._connection.execute("pragma secure_delete = off").fetchall()
    for number in range(200):
        busy._db._connection.execute(
            "insert into responses (intent_id, enrollment_id, step, status_code, body, recorded_at)"
            " values (?, 'e', 's', 200, ?, 0)",
            (f"gone-{number}", '"kanarie"' * 20),
        )
    busy._db._connection.execute("delete from responses where intent_id <> 'gone-7'")
    busy._db._connection.execute("update responses set intent_id = 'b'")
    assert busy.erase([2], at, is_dry=False)["answers"] == 1

    busy.leave_no_trace()

    files = sorted(settings.data_dir.glob("journal.sqlite*"))
    assert files
    assert not [path.name for path in files if b"kanarie" in path.read_bytes()]
