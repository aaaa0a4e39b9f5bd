"""A backfill may ask for a range: what happened outside of it is not landed, and is not lost either."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tailrace.errors import DataError
from tailrace.landing import backfills
from tailrace.landing.backfills import Asked
from tailrace.landing.land import Landed
from tailrace.landing.loads import loads
from tailrace.landing.quarantine import counts, list_quarantine
from tailrace.landing.retry import retry
from tests.landing.conftest import AS_OF, World, call, compact

FIRST, LAST = datetime(2026, 5, 1, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC)


def of(*moments: str) -> list[bytes]:
    return [compact(call(messageId=moment, timestamp=moment)) for moment in moments]


def backfill(world: World, *paths: Path, since: datetime | None = FIRST, until: datetime | None = LAST) -> Landed:
    return world.land(*paths, history=True, reason="lost", asked=Asked("kim", AS_OF, since, until))


BEFORE, BEGIN, INSIDE, END = (
    "2026-04-30T23:59:59.999Z",
    "2026-05-01T00:00:00Z",
    "2026-05-09T08:00:00Z",
    "2026-06-01T00:00:00Z",
)
MONTHS = (BEFORE, BEGIN, INSIDE, END)


def test_what_happened_outside_of_the_range_is_quarantined_with_its_line_and_a_reason_that_says_so(
    world: World,
) -> None:
    done = backfill(world, world.file("in.jsonl", *of(*MONTHS), *of("1890-01-01T00:00:00Z"), b"broken"))

    assert (done.landed, done.quarantined) == (2, 4)
    assert done.reasons == {"not_json": 1, "outside_range": 2, "time_implausible": 1}
    assert [row[0] for row in world.events("event_id")] == [BEGIN, INSIDE]
    outside = list_quarantine(world.settings, reason="outside_range")
    assert [(line.file, line.line) for line in outside] == [("in.jsonl", 1), ("in.jsonl", 4)]
    assert outside[0].detail == (
        "of 2026-04-30T23:59:59Z; the backfill is from 2026-05-01T00:00:00Z to 2026-06-01T00:00:00Z"
    )
    assert outside[0].explanation == "a time outside the range that the backfill was asked for"
    # They may be most of a file, and hide nothing that somebody has to mend.
    assert [line.reason for line in list_quarantine(world.settings)] == ["time_implausible", "not_json"]
    assert counts(world.settings) == {"not_json": 1, "outside_range": 2, "time_implausible": 1}
    assert (counts(world.settings, "app"), counts(world.settings, "elsewhere")) == (counts(world.settings), {})


@pytest.mark.parametrize(
    ("since", "until", "landed"),
    [(None, None, MONTHS), (FIRST, None, (BEGIN, INSIDE, END)), (None, LAST, (BEFORE, BEGIN, INSIDE))],
)
def test_a_bound_that_is_not_given_is_open(
    world: World, since: datetime | None, until: datetime | None, landed: tuple[str, ...]
) -> None:
    backfill(world, world.file("in.jsonl", *of(*MONTHS)), since=since, until=until)
    assert [row[0] for row in world.events("event_id")] == list(landed)


def test_calls_of_a_batch_and_rows_of_other_formats_are_held_to_the_range_too(world: World) -> None:
    batch = compact({"batch": [call(messageId=moment, timestamp=moment) for moment in MONTHS]})
    assert backfill(world, world.file("in.jsonl", batch)).reasons == {"outside_range": 2}
    world.contract("rows", "format: csv\nmapping: {type: track, event: {const: Paid}, user_id: who, timestamp: at}\n")
    path = world.file("in.csv", b"who,at", *[f"ada,{moment}".encode() for moment in MONTHS])
    done = world.land(path, source="rows", history=True, reason="lost", asked=Asked("kim", AS_OF, FIRST, LAST))
    assert (done.landed, done.reasons) == (2, {"outside_range": 2})


def test_the_same_request_again_reads_nothing_and_names_the_load_that_it_made(world: World) -> None:
    one, two = world.file("1.jsonl", *of(*MONTHS[:2])), world.file("2.jsonl", *of(*MONTHS[2:]))
    first = backfill(world, one, two)
    again = backfill(world, two, world.file("renamed.jsonl", *of(*MONTHS[:2])))
    assert (again.load_id, again.known_load, again.lines) == (None, first.load_id, 0)
    assert len(loads(world.settings)) == 1


def test_another_range_of_the_same_file_lands_the_rest_of_it_and_so_does_a_landing_without_one(world: World) -> None:
    path = world.file("in.jsonl", *of(*MONTHS))
    backfill(world, path)
    later = backfill(world, path, since=LAST, until=None)
    assert (later.landed, later.duplicate, later.reasons) == (1, 0, {"outside_range": 3})
    rest = world.land(path)
    assert (rest.landed, rest.duplicate, rest.quarantined) == (1, 3, 0)
    assert world.land(path).known_files == ("in.jsonl",)


def test_two_ranges_that_keep_out_the_same_lines_are_two_loads(world: World) -> None:
    path = world.file("in.jsonl", *of(BEFORE))
    first, second = backfill(world, path), backfill(world, path, until=None)
    assert first.load_id != second.load_id
    assert [load.quarantined for load in loads(world.settings)] == [1, 1]


def test_a_retry_lands_what_a_range_kept_out_only_when_its_line_is_named(world: World) -> None:
    backfill(world, world.file("in.jsonl", *of(*MONTHS)))
    assert retry(world.settings, as_of=AS_OF).lines == 0
    line = list_quarantine(world.settings, reason="outside_range")[0]
    assert retry(world.settings, as_of=AS_OF, ids=[line.id]).landed == 1
    assert loads(world.settings)[-1].is_history


def test_an_empty_range_is_refused_before_anything_is_landed(world: World) -> None:
    with pytest.raises(DataError, match=r"the range from 2026-06-01.* is empty; expected `--from` before `--to`"):
        backfill(world, world.file("in.jsonl", *of(INSIDE)), since=LAST, until=FIRST)
    assert loads(world.settings) == []


def test_a_range_without_a_plausible_time_in_it_is_refused_before_anything_is_landed(world: World) -> None:
    long_ago = datetime(1800, 1, 1, tzinfo=UTC)
    with pytest.raises(
        DataError, match=r"outside of the times .* takes for plausible, 1950-01-01T.* Nothing was landed"
    ):
        backfill(world, world.file("in.jsonl", *of(INSIDE)), since=None, until=long_ago)
    assert loads(world.settings) == []


def test_who_asked_when_and_for_what_stands_beside_the_load(world: World) -> None:
    backfill(world, world.file("in.jsonl", *of(INSIDE)))
    (load,) = loads(world.settings)
    record = backfills.read(world.settings, load)
    assert record is not None
    assert (record.who, record.at, record.since, record.until) == ("kim", AS_OF, FIRST, LAST)
    assert load.reason == "lost"


def test_a_record_that_cannot_be_read_is_named(world: World) -> None:
    backfill(world, world.file("in.jsonl", *of(INSIDE)))
    (load,) = loads(world.settings)
    path: Any = world.settings.landing / "loads" / load.load_id / "backfill.json"
    path.chmod(0o644)
    path.write_text("{}")
    with pytest.raises(DataError, match=r"backfill\.json: the record of this backfill cannot be read"):
        backfills.read(world.settings, load)
