"""What do twenty segments cost over the feature table, and what over raw events? And what does a day's build cost?

    python tests/benchmarks/bench_segments.py [--people 1000000] [--events 20000000] [--build]

Both sides run in one process on the same data, best of three. `--build` also times real builds: the first, one with a
day of new events, one with nothing new.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb

sys.path.insert(0, str(Path(__file__).parents[2]))

from tailrace.settings import Settings
from tailrace.warehouse.build import build
from tailrace.warehouse.landed import EVENTS, LoadFiles

START = datetime(2026, 1, 1, tzinfo=UTC)
DAYS = 180
NAMES = ["logged_in", "project_created", "report_exported", "teammate_invited", "integration_connected", "page_seen"]

# One threshold per segment: (days back, usage events at least). Twenty ordinary questions, the same on both sides.
QUESTIONS = [(days, least) for days in (7, 14, 28, 30, 56) for least in (1, 3, 10, 25)]


def rows_of_day(first: int, last: int, day: int, people: int) -> str:
    """SQL for the events numbered first to last, all on one day, skewed towards the lower-numbered people."""
    names = "[" + ", ".join(f"'{name}'" for name in NAMES) + "]"
    return f"""
        select
            'e' || number as event_id,
            'app' as source,
            'load{day:03}' as load_id,
            cast({day + 1} as bigint) as load_seq,
            false as is_history,
            case when number % 40 = 0 then 'identify' else 'track' end as type,
            case when number % 40 != 0 then {names}[1 + cast(hash(number) % 6 as integer)] end as event,
            'user-' || cast({people} * pow((hash(number * 7) % 1000003) / 1000003.0, 3) as integer) as user_id,
            cast(null as varchar) as anonymous_id,
            cast(null as varchar) as previous_id,
            cast(null as varchar) as group_id,
            timestamp '{START:%Y-%m-%d}' + to_days({day}) + to_seconds(hash(number * 13) % 86400) as event_at,
            timestamp '{START:%Y-%m-%d}' + to_days({day + 1}) as landed_at,
            '{{"format": "csv"}}' as properties,
            case when number % 40 = 0
                then '{{"email": "user' || number || '@example.com", "country": "DE"}}' end as traits,
            cast(null as varchar) as context,
            cast(null as varchar) as rest,
            'bench.jsonl' as file,
            cast(number as bigint) as line
        from range({first}, {last}) as numbers (number)
    """


def land_days(folder: Path, people: int, events: int) -> list[LoadFiles]:
    """Write one load a day."""
    connection = duckdb.connect()
    connection.execute("set preserve_insertion_order = false")
    loads = []
    per_day = events // DAYS
    for day in range(DAYS):
        path = folder / f"load{day:03}" / "events-1.parquet"
        path.parent.mkdir(parents=True)
        sql = rows_of_day(day * per_day, (day + 1) * per_day, day, people)
        connection.execute(f"copy (select {', '.join(EVENTS)} from ({sql})) to '{path}' (compression zstd)")
        at = START + timedelta(days=day)
        loads.append(LoadFiles(f"load{day:03}", day + 1, "app", False, at, per_day, 0, at, at, (path,)))
    return loads


def best(run: Callable[[], object], times: int = 3) -> float:
    """Seconds of the fastest of `times` runs."""
    seconds = []
    for _ in range(times):
        started = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def compare(warehouse: Path, as_of: datetime) -> None:
    """Time twenty questions over a wide feature table and over events, and print the ratio; both must agree."""
    connection = duckdb.connect()
    connection.execute(f"attach '{warehouse}' as warehouse (read_only)")
    connection.execute("attach ':memory:' as side")
    now = f"timestamp '{as_of:%Y-%m-%d %H:%M:%S}'"
    windows = sorted({days for days, _ in QUESTIONS})
    columns = ", ".join(
        f"sum(case when event_on > cast({now} as date) - {days} then n_usage_events else 0 end) as n_{days}d"
        for days in windows
    )
    started = time.perf_counter()
    connection.execute(
        f"create table side.features as select person_id, {columns} from warehouse.core.fct_person_days"
        f" where event_on <= cast({now} as date) group by person_id"
    )
    made = time.perf_counter() - started
    usage = "type = 'track' and event in ('logged_in', 'project_created', 'report_exported', 'teammate_invited',"
    usage += " 'integration_connected')"
    over_features = [f"select person_id from side.features where n_{days}d >= {least}" for days, least in QUESTIONS]
    over_events = [
        f"select person_id from warehouse.core.fct_events where {usage} and event_on > cast({now} as date) - {days}"
        f" and event_on <= cast({now} as date) group by person_id having count(*) >= {least}"
        for days, least in QUESTIONS
    ]

    def run(questions: list[str]) -> list[int]:
        for number, sql in enumerate(questions):
            connection.execute(f"create or replace table side.seg_{number} as {sql}")
        return [connection.execute(f"select count(*) from side.seg_{n}").fetchone()[0] for n in range(len(questions))]

    if run(over_features) != run(over_events):
        sys.exit("the two sides do not agree")
    fast, slow = best(lambda: run(over_features)), best(lambda: run(over_events))
    print(f"rollup to features        {made:7.2f} s")
    print(f"20 segments, features     {fast:7.2f} s")
    print(f"20 segments, raw events   {slow:7.2f} s")
    print(f"ratio                     {fast / slow:7.3f}   (wanted: at most 0.08)")


def main() -> None:
    """Build on invented events, then time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=1_000_000)
    parser.add_argument("--events", type=int, default=20_000_000)
    parser.add_argument("--build", action="store_true", help="also time a day's increment and a quiet build")
    parser.add_argument("--memory-limit", default="4GB")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="bench-segments-"))
    try:
        project = Path(__file__).parents[2] / "dbt_project"
        settings = Settings(data_dir=folder / "data", project_dir=project, memory_limit=arguments.memory_limit)
        loads = land_days(folder / "landing", arguments.people, arguments.events)
        as_of = START + timedelta(days=DAYS - 1)
        first = build(settings, as_of, loads[:-1])
        print(f"first build               {first.seconds:7.2f} s   {arguments.events:,} events, {len(loads)} loads")
        if arguments.build:
            later = as_of + timedelta(days=1)
            day = build(settings, later, loads)
            quiet = build(settings, later + timedelta(hours=1), loads)
            print(f"build with a day's load   {day.seconds:7.2f} s   {day.seconds / first.seconds:.3f} of the first")
            print(f"build with nothing new    {quiet.seconds:7.2f} s")
            print(f"warehouse                 {settings.warehouse.stat().st_size / 1e6:7.0f} MB")
        compare(settings.warehouse, as_of)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
