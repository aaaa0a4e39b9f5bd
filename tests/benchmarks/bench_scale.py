"""What do a million people and fifty million events cost? Landing, the first build, a day's increment, the plan.

    python -m tests.benchmarks.bench_scale [people] [events]

A large year of the demo generator as gzipped JSONL, a file a month, and a day more with 0.3 % of the events. The year
is landed and run once, then the day, then an hour without events; all by the command line, in processes of their own.
Prints the seconds of each step, landing against DuckDB's own typed read of the same files to Parquet (zstd), the day's
build against the first one, and the most memory that all processes of a step had at one time.

Goals: the day's build at most 0.03 of the first, landing at least half of the typed read, no step over 6 GB.
"""

from __future__ import annotations

import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path

import duckdb

from tailrace import clock
from tailrace.samples.large import generate_large
from tests.benchmarks.bench_landing import COLUMNS
from tests.installation import Installation, at

START, DAYS, SHARE = date(2025, 1, 1), 365, 0.003


class Memory:
    """The most resident memory that this project's processes had together, looked at five times a second, in bytes."""

    def __init__(self) -> None:
        self.most = 0
        self._over = threading.Event()

    def watch(self) -> None:
        while not self._over.wait(0.2):
            self.most = max(self.most, sum(_resident()))

    def stop(self) -> None:
        self._over.set()


def _resident() -> Iterator[int]:
    for status in Path("/proc").glob("[0-9]*/statm"):
        try:
            command = status.with_name("cmdline").read_bytes()
            if b"tailrace" in command and b"bench_scale" not in command:
                # Shared pages count for each process: what is printed is the most that it can be.
                yield int(status.read_text().split()[1]) * 4096
        except (OSError, IndexError):
            continue


@contextmanager
def watched(name: str) -> Iterator[None]:
    memory = Memory()
    watcher = threading.Thread(target=memory.watch)
    watcher.start()
    started = clock.monotonic()
    try:
        yield
    finally:
        memory.stop()
        watcher.join()
        print(f"{name}: {clock.monotonic() - started:.1f} s, at most {memory.most / 1e9:.2f} GB", flush=True)


def typed(files: Sequence[Path], target: Path) -> float:
    """Return the seconds in which DuckDB reads the files with given types and writes them as Parquet."""
    started = clock.monotonic()
    with duckdb.connect() as connection:
        connection.execute("set preserve_insertion_order = false")
        rows = f"from read_json({[str(file) for file in files]}, {COLUMNS})"
        connection.execute(f"copy ({rows}) to '{target}' (format parquet, compression zstd)")
    target.unlink()
    return clock.monotonic() - started


def main() -> None:
    people = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    events = int(sys.argv[2]) if len(sys.argv) > 2 else 50_000_000
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        installation = Installation(root / "data")
        make = partial(generate_large, installation.settings, people=people, file_format="jsonl")
        with watched(f"made {events:,} events of {people:,} people"):
            history = make(root / "year", events=events, start=START, days=DAYS)
            (day,) = make(
                root / "day",
                events=int(events * SHARE),
                after=events,
                start=START + timedelta(days=DAYS),
                days=1,
                files=1,
            )
        read = typed(history, root / "typed.parquet")
        inbox = installation.data_dir / "inbox" / "app"
        inbox.mkdir(parents=True)
        for file in history:
            file.rename(inbox / file.name)
        end = at(START + timedelta(days=DAYS))
        first = _run(installation, "first run", end)
        day.rename(inbox / f"day-{day.name}")
        second = _run(installation, "the day", end + timedelta(days=1))
        quiet = _run(installation, "a quiet hour", end + timedelta(days=1, hours=1))
    print(f"landing against the typed read ({read:.1f} s): {read / first['land']:.2f} of its speed (goal 0.5)")
    print(f"the day's build against the first: {second['build'] / first['build']:.3f} (goal 0.03)")
    print(f"a quiet hour's build against the first: {quiet['build'] / first['build']:.3f}")


def _run(installation: Installation, name: str, as_of: datetime) -> dict[str, float]:
    with watched(name):
        done = installation.cli("run", "--as-of", clock.iso(as_of), "--json")
    assert done.code == 0, done.err
    seconds: dict[str, float] = done.json["seconds"]
    print("  " + ", ".join(f"{step} {value:.1f}" for step, value in seconds.items()), flush=True)
    return seconds


if __name__ == "__main__":
    main()
