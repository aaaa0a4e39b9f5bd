"""What a branch knows at an instant is what had been recorded by then, of what it sent itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tailrace import clock, engine
from tailrace.journal.choices import CHOSEN
from tailrace.journal.journal import Journal
from tailrace.journal.readings import MIRRORS
from tailrace.journal.records import Record
from tailrace.landing.mirror import mirror
from tailrace.pipeline.hindsight import Hindsight
from tailrace.pipeline.remembered import remember
from tailrace.planning import relations
from tailrace.planning.store import Inputs, Plan, Store
from tailrace.settings import Settings

FIRST = datetime(2026, 3, 2, 6, tzinfo=UTC)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(tmp_path / "data", tmp_path)


@pytest.fixture
def journal(settings: Settings) -> Iterator[Journal]:
    with Journal.open(settings) as opened:
        yield opened


def _row(intent: str, at: datetime, channel: str) -> dict[str, Any]:
    return {
        "intent_id": intent,
        "enrollment_id": f"pass-{intent}",
        "campaign": "notes",
        "version": "v1",
        "step": "call" if channel == "webhook" else "note",
        "message": "note",
        "person_id": 7,
        "channel": channel,
        "class": "action" if channel == "webhook" else "marketing",
        "priority": 50,
        "deliver_after": clock.naive(at),
        "expires_at": clock.naive(at + 9 * DAY),
    }


def _really(
    journal: Journal,
    intent: str,
    applied: datetime,
    told: datetime | None = None,
    outcome: str = "accepted",
    channel: str = "email",
) -> None:
    """Have a run apply the message at `applied`, and its outcome recorded at `told`."""
    row = {name: [value] for name, value in _row(intent, applied, channel).items()}
    kinds = {name: pa.timestamp("us") for name in ("deliver_after", "expires_at")}
    table = pa.table({name: pa.array(values, kinds.get(name)) for name, values in row.items()})
    journal.apply_plan(f"real-{intent}", None, applied, applied, table, [])
    if told is not None:
        with journal.sender(told) as epoch:
            due = [item for item in journal.due_messages(channel, told, 100).items if item.item_id == intent]
            claimed = journal.claim(epoch, told, due, destination="smtp", is_idempotent=False)
            status, body = (404, '{"why": "gone"}') if channel == "webhook" else (None, None)
            records = [Record(claim, outcome, "code", status_code=status, body=body) for claim in claimed.claims]
            journal.record(epoch, told, records)


def _planned(
    settings: Settings, as_of: datetime, sends: Sequence[dict[str, Any]], acts: Sequence[tuple[Any, ...]] = ()
) -> tuple[Store, str, Plan]:
    store = Store(settings)
    with engine.connect(settings) as connection:
        pieces = {}
        for name, columns, rows in (
            ("verdicts", relations.VERDICTS, [send | {"verdict": "send"} for send in sends]),
            ("acts", relations.ACTS, acts),
        ):
            schema = connection.sql(f"{columns} limit 0").to_arrow_table().schema
            listed = [row if isinstance(row, dict) else dict(zip(schema.names, row, strict=True)) for row in rows]
            connection.register("given", pa.Table.from_pylist(listed, schema=schema))
            pieces[name] = (store.put(connection, "select * from given order by all"),)
    plan = Plan(None, as_of, "scheduled", Inputs("l", "p", "d", 0, ()), pieces)
    return store, store.save(plan), plan


@pytest.fixture
def open_at(settings: Settings, journal: Journal, tmp_path: Path) -> Iterator[Any]:
    opened: list[Hindsight] = []

    def begin() -> Hindsight:
        opened.append(Hindsight(settings, journal, FIRST, tmp_path / "mirror"))
        return opened[-1]

    yield begin
    for each in opened:
        each.close()


def _known(hindsight: Hindsight, since: int = 0) -> list[tuple[str, str]]:
    table = hindsight.message_outcomes(since)
    return list(zip(table.column("intent_id").to_pylist(), table.column("outcome").to_pylist(), strict=True))


def _mirrored(hindsight: Hindsight, table: str) -> list[dict[str, Any]]:
    return [row for path in hindsight.mirror()[table] for row in pq.read_table(path).to_pylist()]


def test_before_the_branch_begins_it_knows_what_was_recorded_by_then(journal: Journal, open_at: Any) -> None:
    _really(journal, "old", FIRST - 2 * DAY, FIRST - DAY, "rejected")
    _really(journal, "told-late", FIRST - DAY, FIRST + HOUR, "rejected")
    _really(journal, "others", FIRST, FIRST + HOUR)
    hindsight = open_at()

    hindsight.settle(FIRST)
    assert _known(hindsight) == [("old", "rejected")]
    assert [row["intent_id"] for row in _mirrored(hindsight, "intents")] == ["old", "told-late"]

    hindsight.settle(FIRST + DAY)
    assert _known(hindsight) == [("old", "rejected"), ("told-late", "rejected")], (
        "the branch did not send the other one"
    )


def test_what_the_branch_and_the_journal_both_sent_has_the_journals_outcome(
    settings: Settings, journal: Journal, open_at: Any
) -> None:
    _really(journal, "bounced", FIRST, FIRST + HOUR, "rejected")
    _really(journal, "still-waiting", FIRST)
    _really(journal, "sent-much-later", FIRST + 5 * DAY, FIRST + 5 * DAY + HOUR, "rejected")
    hindsight = open_at()
    hindsight.settle(FIRST)
    sends = [_row(name, FIRST, "email") for name in ("bounced", "still-waiting", "sent-much-later", "only-here")]
    hindsight.note(*_planned(settings, FIRST, sends))

    hindsight.settle(FIRST + DAY)

    assert sorted(_known(hindsight)) == [
        ("bounced", "rejected"),
        ("only-here", "accepted"),
        ("sent-much-later", "accepted"),
    ]
    assert hindsight.really_sent("notes") == 3


def test_a_message_is_taken_for_accepted_only_once_it_was_to_leave(
    settings: Settings, journal: Journal, open_at: Any
) -> None:
    hindsight = open_at()
    hindsight.settle(FIRST)
    hindsight.note(*_planned(settings, FIRST, [_row("in-two-days", FIRST + 2 * DAY, "email")]))

    hindsight.settle(FIRST + DAY)
    assert _known(hindsight) == []
    hindsight.settle(FIRST + 3 * DAY)
    assert _known(hindsight) == [("in-two-days", "accepted")]
    assert _mirrored(hindsight, "outcomes")[0]["recorded_at"] == clock.naive(FIRST + 2 * DAY)
    hindsight.settle(FIRST + 4 * DAY)
    assert len(_mirrored(hindsight, "outcomes")) == 1, "it is said once"


def test_a_webhook_has_the_journals_answer_or_an_assumed_one(
    settings: Settings, journal: Journal, open_at: Any
) -> None:
    _really(journal, "really-called", FIRST, FIRST + HOUR, "rejected", "webhook")
    hindsight = open_at()
    hindsight.settle(FIRST)
    hindsight.note(
        *_planned(settings, FIRST, [_row(name, FIRST, "webhook") for name in ("really-called", "called-here")])
    )
    hindsight.settle(FIRST + DAY)

    answers = {row["intent_id"]: (row["status_code"], row["body"]) for row in hindsight.responses(0).to_pylist()}
    assert answers == {"really-called": (404, '{"why": "gone"}'), "called-here": (200, None)}
    assert {row["intent_id"]: row["status_code"] for row in _mirrored(hindsight, "responses")} == {
        "really-called": 404,
        "called-here": 200,
    }


def test_numbers_go_up_so_that_whoever_reads_after_one_misses_nothing(
    settings: Settings, journal: Journal, open_at: Any
) -> None:
    _really(journal, "old", FIRST - 2 * DAY, FIRST - DAY)
    _really(journal, "later", FIRST + 3 * DAY, FIRST + 4 * DAY)
    hindsight = open_at()
    hindsight.settle(FIRST)
    seen = 0
    told = []
    for day in range(4):
        new = hindsight.message_outcomes(seen).to_pylist()
        told += [row["intent_id"] for row in new]
        seen = max([seen, *(row["seq"] for row in new)])
        as_of = FIRST + day * DAY
        names = {f"day-{day}", "day-0"}
        hindsight.note(*_planned(settings, as_of, [_row(name, as_of, "email") for name in sorted(names)]))
        hindsight.settle(as_of + DAY)
    assert told == ["old", "day-0", "day-1", "day-2"]
    for table in ("intents", "outcomes"):
        numbers = [row["seq"] for row in _mirrored(hindsight, table)]
        assert numbers == sorted(set(numbers))


def test_acts_of_the_branch_are_done_at_its_own_as_of(settings: Settings, journal: Journal, open_at: Any) -> None:
    hindsight = open_at()
    hindsight.settle(FIRST)
    act = ("mark-1", 7, "notes", "mark", "update", "stage", '"nudged"')
    # What only changes an attribute is not a message that waits for an outcome.
    hindsight.note(*_planned(settings, FIRST, [_row("mark-1", FIRST, "email")], [act]))
    hindsight.settle(FIRST + DAY)
    assert [(row["name"], row["acted_at"]) for row in _mirrored(hindsight, "acts")] == [("stage", clock.naive(FIRST))]
    assert _mirrored(hindsight, "intents") == []
    assert hindsight.acknowledged_rows(0).num_rows == 0
    assert hindsight.releases() == []


def test_the_journal_is_read_whole_however_much_of_it_is_mirrored(settings: Settings, journal: Journal) -> None:
    tables = {table: partial(journal.mirror, table) for table in MIRRORS}
    for number in range(3):
        _really(journal, f"m-{number}", FIRST + number * DAY, FIRST + number * DAY + HOUR, channel="webhook")
        with engine.connect(settings) as connection:
            for table in MIRRORS:
                remember(connection, settings, journal, table, f"all_{table}")
                read = connection.sql(f"select * from all_{table} order by seq").to_arrow_table()
                assert read.to_pylist() == journal.mirror(table, 0).to_pylist()
                assert read.column_names == MIRRORS[table].names
        if number < 2:
            mirror(settings, tables)


def test_of_choices_it_knows_those_that_the_runs_until_then_considered(journal: Journal, open_at: Any) -> None:
    row = dict.fromkeys(CHOSEN.names) | {"campaign": "c", "step": "s", "person_id": 1, "occurrence": ""}
    row |= {"entered_at": clock.naive(FIRST), "due_at": clock.naive(FIRST)}
    for name in ("one", "other"):
        journal.choose("b", pa.Table.from_pylist([row | {"enrollment_id": name}], schema=CHOSEN), "kim", "why", FIRST)
    hindsight = open_at()

    hindsight.settle(FIRST)
    assert hindsight.chosen().num_rows == 0
    hindsight.settle(FIRST + DAY, (), [2])
    assert hindsight.chosen().column("enrollment_id").to_pylist() == ["other"]
