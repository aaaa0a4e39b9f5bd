"""How do we get enough events to measure with? By one SQL statement per file: no lives, only their shape in numbers."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from tailrace.engine import connect, literal, statement
from tailrace.errors import TailraceError
from tailrace.settings import Settings

_FORMATS = {"jsonl": "jsonl.gz", "parquet": "parquet"}


def generate_large(
    settings: Settings,
    target: Path,
    *,
    people: int,
    events: int,
    start: date,
    days: int = 365,
    seed: int = 7,
    after: int = 0,
    files: int = 12,
    file_format: str = "parquet",
) -> tuple[Path, ...]:
    """Write `events` calls of `people` people into `files` files in `target`, in order of time; return their paths.

    Each person identifies once, in the first files; all other calls are tracks, most of them by a few. Good lines
    only, no duplicates. Every file covers an equal part of `days`; within it the rows are in no order of time. `after`
    is how many events of these people an earlier call has written: these are others, and nobody identifies again.
    `parquet` has the spec's names as columns (properties and traits as JSON text), `jsonl` one call a line, gz. Same
    arguments, same rows; memory does not grow with `events`. Raises TailraceError when the numbers make no sense.
    """
    if not (0 < people <= after + events and days > 0 and 0 < files <= events and file_format in _FORMATS):
        raise TailraceError(
            f"people={people}, events={events}, days={days}, files={files}, file_format={file_format}: expected at"
            " least one of each, no fewer events than people or files, and the format jsonl or parquet"
        )
    target.mkdir(parents=True, exist_ok=True)
    opens = datetime(start.year, start.month, start.day, tzinfo=UTC)
    span = timedelta(days=days) / files
    copy = "format parquet, compression zstd" if file_format == "parquet" else "format json, compression gzip"
    paths = []
    with connect(settings) as connection:
        connection.execute(f"set variable people = {people}")
        connection.execute(f"set variable seed = {seed}")
        connection.execute(f"set variable span_ms = {span // timedelta(milliseconds=1)}")
        for number in range(files):
            connection.execute(f"set variable first_row = {after + events * number // files}")
            connection.execute(f"set variable last_row = {after + events * (number + 1) // files}")
            moment = (opens + number * span).replace(tzinfo=None).isoformat(sep=" ")
            connection.execute(f"set variable opens = {literal(moment)}")
            path = target / f"part-{number + 1:04d}.{_FORMATS[file_format]}"
            query = statement("tailrace.samples", "large")
            connection.execute(f"copy ({query}) to {literal(str(path))} ({copy})")
            paths.append(path)
    return tuple(paths)
