from __future__ import annotations

import gzip
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tailrace import durable
from tailrace.errors import Busy, DataError
from tailrace.landing.inbox import land_inbox
from tailrace.landing.land import land
from tailrace.landing.loads import loads, loads_dir
from tailrace.landing.quarantine import list_quarantine
from tests.landing.conftest import AS_OF, World, call, compact


def many(count: int, **keys: object) -> list[bytes]:
    return [compact(call(messageId=f"m{n}", userId=f"u{n % 7}", properties={"n": n}, **keys)) for n in range(count)]


def tree(world: World) -> dict[str, bytes]:
    return {
        str(p.relative_to(world.folder)): p.read_bytes() for p in loads_dir(world.settings).rglob("*") if p.is_file()
    }


def test_the_same_file_again_changes_nothing(world: World) -> None:
    path = world.file("in.jsonl", *many(50), b"broken")
    first = world.land(path)
    before = tree(world)
    again = world.land(path)
    renamed = world.land(world.file("other.jsonl", *many(50), b"broken"))
    assert first.landed == 50
    assert [again.load_id, renamed.load_id] == [None, None]
    assert again.known_files == ("in.jsonl",)
    assert tree(world) == before


def test_files_with_nothing_but_what_is_known_and_lines_quarantined_before_are_loads_of_their_own(
    make_world: Callable[[str], World],
) -> None:
    """As a full export of each day brings them: the same broken line every time, and some days nothing new."""
    found = []
    for name in ("one", "two"):
        world = make_world(name)
        done = [
            world.lines(*many(50), b"broken", name="monday.jsonl"),
            world.lines(b"broken", *many(50), name="tuesday.jsonl"),
            world.lines(*many(25), b"broken", *many(50), name="wednesday.jsonl"),
            world.lines(b"broken", name="thursday.jsonl"),
            world.lines(b"broken", name="thursday.jsonl"),
        ]
        assert [(each.landed, each.quarantined) for each in done] == [(50, 1), (0, 1), (0, 1), (0, 1), (0, 0)]
        found.append([load.load_id for load in loads(world.settings)])
    assert len(set(found[0])) == 4
    assert found[0] == found[1]


def test_a_message_id_lands_once_within_a_load_and_across_loads(world: World) -> None:
    done = world.lines(*many(10), *many(10), *many(5))
    assert (done.lines, done.landed, done.duplicate, done.n_conflicting) == (25, 10, 15, 0)
    done = world.lines(*many(12), compact(call(messageId="m3", event="Other")), name="second.jsonl")
    assert (done.landed, done.duplicate, done.n_conflicting) == (2, 11, 1)


def test_the_same_bad_line_in_one_file_after_another_is_quarantined_each_time(world: World) -> None:
    world.lines(compact(call()), b"cut short {", name="first.jsonl")

    for name, lines in (
        ("alone.jsonl", [b"cut short {"]),
        ("with-a-duplicate.jsonl", [b"cut short {", compact(call())]),
        ("again.jsonl", [b"cut short {", b""]),
    ):
        done = world.lines(*lines, name=name)
        assert (done.landed, done.quarantined) == (0, 1), name
        assert world.lines(*lines, name=name).known_files, name

    assert len({load.load_id for load in loads(world.settings)}) == 4
    assert len({each.id for each in list_quarantine(world.settings)}) == 4


def test_the_same_message_id_in_another_source_is_another_event(world: World) -> None:
    world.contract("web", "format: segment\n")
    world.lines(*many(3))
    assert world.lines(*many(3), source="web").landed == 3


def test_without_a_message_id_the_content_is_the_id(world: World) -> None:
    line = compact(call(messageId=...))
    done = world.lines(line, line, compact(call(messageId=..., event="Other")))
    assert (done.landed, done.duplicate) == (2, 1)
    assert all(row[0].startswith("sha:") for row in world.events("event_id"))


def test_names_and_order_of_files_and_rows_and_threads_change_nothing(make_world: Callable[[str], World]) -> None:
    rows = [*many(400), *many(40, event="Conflict"), b"bad", b"bad", b"[]", compact(call(messageId=...))]
    seen = set()
    for seed in range(4):
        world = make_world(str(seed))
        world.settings = replace(world.settings, threads=1 + seed % 3)
        shuffled = random.Random(seed).sample(rows, len(rows))
        files = [world.file(f"{seed}-{n}.jsonl", *shuffled[n::3]) for n in range(3)]
        done = world.land(*random.Random(seed).sample(files, 3))
        events = world.events("event_id, type, event, user_id, event_at, properties, load_id, load_seq")
        seen.add((done.load_id, done.n_conflicting, tuple(sorted(events))))
    assert len(seen) == 1


def test_a_history_load_is_another_load_and_needs_a_reason(make_world: Callable[[str], World]) -> None:
    now, then = make_world("now"), make_world("then")
    plain = now.land(now.file("in.jsonl", *many(3)))
    with pytest.raises(DataError, match="reason"):
        then.land(then.file("in.jsonl", *many(3)), history=True)
    history = then.land(then.file("in.jsonl", *many(3)), history=True, reason="backfill of March")
    assert plain.load_id != history.load_id
    assert {row[0] for row in then.events("is_history")} == {True}
    assert loads(then.settings)[0].reason == "backfill of March"


def test_the_record_says_what_the_load_holds(world: World) -> None:
    world.file("inbox/a/1.jsonl", *many(3), b"bad")
    world.file("inbox/.hidden.jsonl", b"never read")
    done = world.land(world.folder / "inbox")
    (load,) = loads(world.settings)
    assert (load.load_id, load.load_seq, load.lines, load.landed, load.quarantined) == (done.load_id, 1, 4, 3, 1)
    assert [(file.name, file.lines) for file in load.files] == [("a/1.jsonl", 4)]
    assert {part.name: part.rows for part in load.parquet} == {"events-1.parquet": 3, "quarantine.parquet": 1}
    assert load.first_event_at is not None


def test_the_inbox_is_landed_per_source(world: World) -> None:
    assert land_inbox(world.settings, AS_OF).landed == []
    path = world.settings.inbox / "app" / "day.jsonl.gz"
    path.parent.mkdir(parents=True)
    path.write_bytes(gzip.compress(b"\n".join(many(4))))
    assert [(done.source, done.landed) for done in land_inbox(world.settings, AS_OF).landed] == [("app", 4)]
    assert [done.load_id for done in land_inbox(world.settings, AS_OF).landed] == [None]


def test_a_second_landing_at_once_is_refused(world: World) -> None:
    path = world.file("in.jsonl", *many(1))
    with durable.exclusive(world.settings.data_dir / "landing.lock", "a landing"), pytest.raises(Busy, match="landing"):
        land(world.settings, [path], "app", as_of=AS_OF)


def test_a_missing_file_is_named(world: World) -> None:
    with pytest.raises(DataError, match=r"nothing\.jsonl"):
        world.land(world.folder / "nothing.jsonl")


def test_a_lost_load_is_noticed(world: World) -> None:
    world.lines(*many(1))
    world.lines(*many(2), name="b.jsonl")
    durable.remove(loads_dir(world.settings) / loads(world.settings)[0].load_id)
    with pytest.raises(DataError, match="not numbered"):
        loads(world.settings)


PROGRAM = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from tailrace.landing.land import land
from tailrace.settings import Settings
settings = Settings(Path(sys.argv[1]), Path(sys.argv[2]))
land(settings, [Path(sys.argv[3])], "app", as_of=datetime(2026, 11, 21, tzinfo=UTC))
"""


@pytest.mark.parametrize("point", ["land.staged", "land.recorded", "land.moved"])
def test_killed_at_any_step_and_run_again_the_store_is_as_if_nothing_happened(
    make_world: Callable[[str], World], point: str
) -> None:
    calm, killed = make_world("calm"), make_world("killed")
    for world in (calm, killed):
        world.file("in.jsonl", *many(30), b"bad")
    expected = calm.land(calm.folder / "in.jsonl")
    arguments = [killed.settings.data_dir, killed.settings.project_dir, killed.folder / "in.jsonl"]
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, *map(str, arguments)],
        env={**os.environ, "TAILRACE_CRASH_AT": point},
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL
    killed.land(killed.folder / "in.jsonl")
    assert [load.load_id for load in loads(killed.settings)] == [expected.load_id]
    assert sorted(killed.events("event_id")) == sorted(calm.events("event_id"))
    assert [path.name for path in loads_dir(killed.settings).iterdir()] == [expected.load_id]


def test_a_file_larger_than_one_piece_keeps_its_line_numbers(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tailrace.landing.chunks.CHUNK", 1000)
    monkeypatch.setattr("tailrace.landing.stage.SMALL", 1)
    done = world.lines(*many(100), b"bad", *many(150)[100:])
    assert (done.landed, done.quarantined) == (150, 1)
    assert [row[0] for row in world.events("line")] == [*range(1, 101), *range(102, 152)]
    _ = Path


def test_event_at_is_corrected_for_the_clock_of_the_device(world: World) -> None:
    skewed = call(
        timestamp="2026-10-01T08:00:00Z", originalTimestamp="2016-10-01T08:00:00Z", sentAt="2016-10-01T08:00:05Z",
        receivedAt="2026-10-01T09:00:05.250Z",
    )  # fmt: skip
    plain = call(messageId="m2", timestamp="2026-10-01T08:00:00+05:30")
    day = call(messageId="m3", timestamp="2026-10-01")
    world.lines(*map(compact, (skewed, plain, day)))
    assert world.events("event_at::varchar") == [
        ("2026-10-01 09:00:00.25",), ("2026-10-01 02:30:00",), ("2026-10-01 00:00:00",)
    ]  # fmt: skip


@pytest.mark.parametrize(
    "written",
    ["infinity", "epoch", "2026-13-01T00:00:00Z", "2026-12-31T23:59:60Z", "2026-12-31T24:00:00Z", "01/02/2026", "now", "",  # noqa: E501
     "2026-10-01T00:00:00 UTC", "2026-10-01T00:00:00.+05Z", 1760000000, 1760000000000, 17600.5],
)  # fmt: skip
def test_a_time_that_is_not_as_declared_is_never_guessed(world: World, written: object) -> None:
    assert world.lines(compact(call(timestamp=written))).reasons == {"time_invalid": 1}


@pytest.mark.parametrize(
    ("unit", "written"),
    [
        ("epoch_s", 1790841600),
        ("epoch_s", "1790841600.0"),
        ("epoch_ms", 1790841600000),
        ("epoch_us", "1790841600000000"),
    ],
)
def test_a_declared_epoch_is_read_in_its_unit_and_another_unit_is_implausible(
    world: World, unit: str, written: object
) -> None:
    world.contract("app", f"format: segment\ntimestamps: {{format: {unit}, from: 2000-01-01}}\n")
    world.lines(compact(call(timestamp=written)))
    assert world.events("event_at::varchar") == [("2026-10-01 08:00:00",)]
    wrong = 1790841600 if unit != "epoch_s" else 1790841600000
    assert set(world.lines(compact(call(messageId="w", timestamp=wrong)), name="w").reasons) <= {
        "time_implausible",
        "time_invalid",
    }
    assert len(world.events()) == 1


def test_a_local_time_that_no_clock_showed_is_quarantined(world: World) -> None:
    world.contract("app", "format: segment\ntimestamps: {zone: America/New_York}\n")
    times = ["2026-03-08T02:30:00", "2026-03-08T03:30:00", "2026-03-08T02:30:00Z"]
    done = world.lines(*(compact(call(messageId=str(n), timestamp=each)) for n, each in enumerate(times)))
    assert done.reasons == {"time_invalid": 1}
    assert world.events("event_at::varchar") == [("2026-03-08 07:30:00",), ("2026-03-08 02:30:00",)]


def test_of_lines_that_say_the_same_the_first_one_is_named(world: World) -> None:
    # Enough for DuckDB to read them in several pieces, each in its own time.
    count, text = 10_000, {"text": "what a person did " * 20}
    lines = [compact(call(messageId=f"m{n % count}", userId="u", properties=text)) for n in range(3 * count)]
    done = world.lines(*lines)
    assert (done.landed, done.duplicate, done.n_conflicting) == (count, 2 * count, 0)
    assert set(world.events("event_id, line")) == {(f"m{n}", n + 1) for n in range(count)}
