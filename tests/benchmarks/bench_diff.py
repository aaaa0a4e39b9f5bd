"""Snapshot and diff of memberships against DuckDB's FULL OUTER JOIN over rows with string keys.

    python -m tests.benchmarks.bench_diff [people] [segments]

Defaults: 2,000,000 people, 20 segments, half of the people in each (20 M memberships), 1 % churn. Each variant runs
in its own process, interleaved, three times; the ratios of the medians of time and of the peaks are printed. Ours
starts from segment tables, one row per member, in the order of the people they are selected from, and ends with the
plan's memberships and changes stored.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import duckdb

from tailrace import clock, engine
from tailrace.planning import memberships
from tailrace.planning.memberships import Bit, Cause
from tailrace.planning.store import Store
from tailrace.settings import Settings

RUNS = 3


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
        connection.execute(
            "copy (select person_id, bit_or(1::ubigint << s::ubigint) as w0 from all_before group by person_id"
            f" order by person_id) to '{root}/parent.parquet' (format parquet, compression zstd)"
        )
        connection.execute("drop table all_before; drop table all_after")


def ours(root: Path, segments: int) -> dict[str, float]:
    """Snapshot the segment tables, diff against the parent, store both relations."""
    settings = Settings(data_dir=root, project_dir=root)
    connection = engine.connect(settings)
    engine.attach(connection, settings.warehouse, "wh")
    bits = [Bit(f"seg_{s}", s, Cause.BEHAVIOUR, f"wh.segments.seg_{s}") for s in range(segments)]
    started = clock.monotonic()
    memberships.snapshot(connection, bits, f"read_parquet('{root}/parent.parquet')")
    memberships.moves(connection, bits, {})
    store = Store(settings)
    changed = store.put(connection, memberships.changes(bits))
    store.put(connection, memberships.memberships(connection))
    return {"seconds": clock.monotonic() - started, "changes": changed.rows}


def joined(root: Path) -> dict[str, float]:
    """The yardstick: FULL OUTER JOIN of membership rows with string keys."""
    settings = Settings(data_dir=root, project_dir=root, memory_limit="16GB")
    connection = engine.connect(settings)
    engine.attach(connection, settings.warehouse, "wh")
    started = clock.monotonic()
    connection.execute(
        "create temp table changes as select coalesce(c.segment, p.segment) as segment, coalesce(c.user_id, p.user_id)"
        " as user_id, p.user_id is null as entered from wh.rows_after c full outer join wh.rows_before p"
        " on c.segment = p.segment and c.user_id = p.user_id where c.user_id is null or p.user_id is null"
    )
    row = connection.execute("select count(*) from changes").fetchone()
    assert row is not None
    return {"seconds": clock.monotonic() - started, "changes": row[0]}


def main() -> None:
    if len(sys.argv) > 2 and sys.argv[1] == "prepare":
        prepare(Path(sys.argv[2]), int(sys.argv[4]), int(sys.argv[3]))
        return
    if len(sys.argv) > 2 and sys.argv[1] in ("ours", "joined"):
        root, segments = Path(sys.argv[2]), int(sys.argv[3])
        result = ours(root, segments) if sys.argv[1] == "ours" else joined(root)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        sys.stdout.write(json.dumps(result | {"peak_mb": peak}))
        return
    people = int(sys.argv[1]) if len(sys.argv) > 1 else 2_000_000
    segments = int(sys.argv[2]) if len(sys.argv) > 2 else 20
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        # A child's peak starts at its parent's: the one that measures must not have done the heavy work itself.
        start = [sys.executable, "-m", "tests.benchmarks.bench_diff"]
        subprocess.run([*start, "prepare", str(root), str(segments), str(people)], check=True)
        results: dict[str, list[dict[str, float]]] = {"ours": [], "joined": []}
        for _ in range(RUNS):
            for variant, seen in results.items():
                command = [*start, variant, str(root), str(segments)]
                seen.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    medians = {
        variant: {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        for variant, runs in results.items()
    }
    for variant, median in medians.items():
        print(f"{variant:8} {median['seconds']:.3f} s  {median['peak_mb']:.0f} MB  {median['changes']:.0f} changes")
    for key, goal in (("seconds", 0.35), ("peak_mb", 0.25)):
        print(f"ratio of {key}: {medians['ours'][key] / medians['joined'][key]:.3f} (goal at most {goal})")


if __name__ == "__main__":
    main()
