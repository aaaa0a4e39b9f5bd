"""How do the journal's rows come into landing, each once? By the highest `seq` that is there already."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tailrace import crash, durable
from tailrace.errors import DataError
from tailrace.settings import Settings

_NAME = re.compile(r"(?P<table>[a-z_]+)-(?P<first>[0-9]+)-(?P<last>[0-9]+)\.parquet", re.ASCII)


def journal_dir(settings: Settings) -> Path:
    """Return the folder that holds the journal's mirror."""
    return settings.landing / "journal"


def mirrored(settings: Settings, table: str) -> list[Path]:
    """Return the files that hold `table`, in order of `seq`."""
    return [
        path
        for path in sorted(journal_dir(settings).glob("*.parquet"), key=_first)
        if (match := _NAME.fullmatch(path.name)) and match["table"] == table
    ]


def _first(path: Path) -> int:
    match = _NAME.fullmatch(path.name)
    return int(match["first"]) if match else 0


def watermark(settings: Settings, table: str) -> int:
    """Return the highest `seq` of `table` that is mirrored; 0 when none is.

    Raises DataError when the files overlap: then a row would count twice.
    """
    spans = sorted(
        (int(match["first"]), int(match["last"]))
        for path in journal_dir(settings).glob("*.parquet")
        if (match := _NAME.fullmatch(path.name)) and match["table"] == table
    )
    last = 0
    for first, end in spans:
        if first <= last or end < first:
            raise DataError(
                f"{journal_dir(settings)}: two files of `{table}` both hold row {first}; expected each row once:"
                " remove the"
                " folder, it is made again from the journal"
            )
        last = end
    return last


def mirror(settings: Settings, tables: Mapping[str, Callable[[int], pa.Table]]) -> dict[str, int]:
    """Write the rows of each journal table that landing does not have yet, and return how many those were.

    `tables` gives, per table, the rows with `seq` above a number, ascending. Doing it again writes nothing.
    """
    folder = journal_dir(settings)
    folder.mkdir(parents=True, exist_ok=True)
    written = {}
    with durable.exclusive(settings.data_dir / "mirror.lock", "a mirror of the journal"):
        for left in folder.glob(".*.tmp"):
            durable.remove(left)
        for table, rows_after in sorted(tables.items()):
            mark = watermark(settings, table)
            rows = rows_after(mark)
            written[table] = rows.num_rows
            if not rows.num_rows:
                continue
            span = pc.min_max(rows["seq"])
            first, last = span["min"].as_py(), span["max"].as_py()
            if first <= mark or pc.count_distinct(rows["seq"]).as_py() != rows.num_rows:
                raise DataError(
                    f"the journal gave rows of `{table}` that are mirrored, or one row twice (from {first},"
                    " mirrored up to"
                    f" {mark}); expected new rows, each once. Nothing of this table was written."
                )
            aside = folder / f".{table}.{os.getpid()}.tmp"
            pq.write_table(rows, aside, compression="zstd")
            crash.here("mirror.written")
            aside.chmod(0o444)
            durable.move_in(aside, folder / f"{table}-{first}-{last}.parquet")
            crash.here("mirror.moved")
    return written
