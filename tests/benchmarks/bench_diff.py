"""Snapshot and diff of memberships against DuckDB's FULL OUTER JOIN over rows with string keys.

    python -m tests.benchmarks.bench_diff [people] [segments]

Defaults: 2,000,000 people, 20 segments, half of the people in each (20 M memberships), 1 % churn. Each variant runs
in its own process, interleaved, RUNS times, each starting from what the warehouse holds:

ours      from segment tables (one row per member) to the plan's memberships and changes, both stored and fsynced
joined    the join alone, from the rows of both sides to a temporary table of changes: nothing is kept for next time
kept      the join, and its rows written as Parquet: without them there is nothing to join with next time

Medians and their ratios are printed, of wall time, of cpu time (which other work on the machine disturbs less) and of
peak memory. The goal is held against `joined`.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from tailrace import clock, engine
from tailrace.planning import memberships
from tailrace.planning.memberships import Bit, Cause
from tailrace.planning.store import Piece, Store
from tailrace.settings import Settings

RUNS = 5


def prepare(root: Path, people: int, segments: int) -> None:
    """Write the warehouse with both shapes, and the parent's memberships as a plan keeps them."""
    with duckdb.connect(str(root / "warehouse.duckdb")) as connection:
        connection.execute("create schema segments")
        connection.execute(
            f"create table people as select (hash(i) >> 4)::bigint as person_id,"
            f" 'usr_' || lpad(((i * 2654435761) % 4294967296)::varchar, 10, '0') as user_id, i"
            f" from range({people}) t(i)"
        )
        for name, shift in (("before", 0), ("after", 1)):
            arms = " union all ".join(
                f"select 'lifecycle_segment_{s:02}' as segment, {s} as s, person_id, user_id from people where"
                f" (hash(i * 64 + {s}) % 2 = 1)" + (f" <> (hash(i * 64 + {s} + 1000000007) % 200 = 0)" if shift else "")
                for s in range(segments)
            )
            connection.execute(f"create table all_{name} as {arms}")
            connection.execute(f"create table rows_{name} as select segment, user_id from all_{name} order by segment")
        for s in range(segments):
            connection.execute(
                f"create table segments.seg_{s} as select person_id from all_after where s = {s} order by person_id"
            )
        parent = Store(Settings(data_dir=root, project_dir=root)).put(
            connection,
            "select person_id, bit_or(1::ubigint << s::ubigint) as w0 from all_before group by person_id"
            " order by person_id",
        )
        (root / "parent").write_text(parent.sha256)
        connection.execute("drop table all_before; drop table all_after")


def ours(root: Path, segments: int) -> int:
    """Snapshot the segment tables, diff against the parent, store both relations."""
    settings = Settings(data_dir=root, project_dir=root)
    connection = engine.connect(settings)
    engine.attach(connection, settings.warehouse, "wh")
    store = Store(settings)
    bits = [Bit(f"seg_{s}", s, Cause.BEHAVIOUR, f"wh.segments.seg_{s}") for s in range(segments)]
    parent = store.path(Piece((root / "parent").read_text(), 0))
    with measured():
        memberships.snapshot(connection, bits, f"read_parquet('{parent}')")
        memberships.moves(connection, bits, {})
        changed = store.put(connection, memberships.changes(bits))
        current = store.put(connection, memberships.memberships(connection))
    for piece in (changed, current):  # An object that is there already is not written again: the next run must.
        store.path(piece).unlink()
    return changed.rows


def joined(root: Path, *, kept: bool = False) -> int:
    """The yardstick: FULL OUTER JOIN of membership rows with string keys, in whatever order is fastest."""
    settings = Settings(data_dir=root, project_dir=root, memory_limit="16GB")
    connection = engine.connect(settings)
    connection.execute("set preserve_insertion_order = false")
    engine.attach(connection, settings.warehouse, "wh")
    with measured():
        connection.execute(
            "create temp table changes as select coalesce(c.segment, p.segment) as segment,"
            " coalesce(c.user_id, p.user_id) as user_id, p.user_id is null as entered"
            " from wh.rows_after c full outer join wh.rows_before p"
            " on c.segment = p.segment and c.user_id = p.user_id where c.user_id is null or p.user_id is null"
        )
        if kept:
            connection.execute(f"copy wh.rows_after to '{root}/kept.parquet' (format parquet, compression zstd)")
    return int(engine.row(connection, "select count(*) from changes")[0])


SPENT: dict[str, float] = {}


@contextmanager
def measured() -> Iterator[None]:
    """Note the wall and cpu seconds of what is done inside."""
    wall, cpu = clock.monotonic(), time.process_time()
    yield
    SPENT.update(seconds=clock.monotonic() - wall, cpu=time.process_time() - cpu)


VARIANTS: dict[str, Callable[[Path, int], int]] = {
    "ours": ours,
    "joined": lambda root, _: joined(root),
    "kept": lambda root, _: joined(root, kept=True),
}


def main() -> None:
    if len(sys.argv) > 2 and sys.argv[1] == "prepare":
        prepare(Path(sys.argv[2]), int(sys.argv[4]), int(sys.argv[3]))
        return
    if len(sys.argv) > 2 and sys.argv[1] in VARIANTS:
        root = Path(sys.argv[2])
        n_changes = VARIANTS[sys.argv[1]](root, int(sys.argv[3]))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        sys.stdout.write(json.dumps(SPENT | {"changes": n_changes, "peak_mb": peak}))
        return
    people = int(sys.argv[1]) if len(sys.argv) > 1 else 2_000_000
    segments = int(sys.argv[2]) if len(sys.argv) > 2 else 20
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        # A child's peak starts at its parent's: the one that measures must not have done the heavy work itself.
        start = [sys.executable, "-m", "tests.benchmarks.bench_diff"]
        subprocess.run([*start, "prepare", str(root), str(segments), str(people)], check=True)
        results: dict[str, list[dict[str, float]]] = {variant: [] for variant in VARIANTS}
        for _ in range(RUNS):
            for variant, seen in results.items():
                command = [*start, variant, str(root), str(segments)]
                seen.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    medians = {
        variant: {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        for variant, runs in results.items()
    }
    for variant, median in medians.items():
        print(
            f"{variant:8} {median['seconds']:.3f} s  {median['cpu']:.3f} cpu s  {median['peak_mb']:.0f} MB"
            f"  {median['changes']:.0f} changes"
        )
    for peer in ("joined", "kept"):
        for key, goal in (("seconds", 0.35), ("cpu", None), ("peak_mb", 0.25)):
            goal_text = f" (goal at most {goal})" if goal and peer == "joined" else ""
            print(f"ours / {peer}, {key}: {medians['ours'][key] / medians[peer][key]:.3f}{goal_text}")


if __name__ == "__main__":
    main()
