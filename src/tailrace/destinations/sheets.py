"""How do the rows of a batch become one file: CSV, JSON lines or Parquet?

The name is made of plan, sync, batch and the rows that are in it, so a repeat has the name of what it repeats. The
columns are the sync's, whichever rows a batch has, as text unless `types` says otherwise: a type that was guessed from
values would change from batch to batch.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any, Literal

import orjson
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from pydantic import Field

from tailrace import ids
from tailrace.destinations.base import Batch, ConnectionSettings, FileWrite, RefusedError, RowsRefused

OP = "_op"
AT = "_at"
FOLDERS = {"changes": "add and update", "removals": "remove", "events": "append"}

_UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")
_FORMULA = frozenset("=+-@\t\r")

Kind = Literal["boolean", "date", "integer", "number", "timestamp"]


class SheetSettings(ConnectionSettings):
    """What files look like; `delimiter` is CSV's.

    `guard_formulas`: text in CSV that a spreadsheet would calculate gets a `'` in front. `types`: of columns in Parquet
    that are not text.
    """

    format: Literal["csv", "jsonl", "parquet"] = "csv"
    delimiter: Literal[",", ";", "|", ":", "\t"] = ","
    guard_formulas: bool = False
    types: dict[str, Kind] = Field(default_factory=dict)
    batch_rows: int = Field(default=50_000, ge=1, le=1_000_000)
    slots: int = Field(default=1, ge=1, le=50)


def build_file(settings: SheetSettings, batch: Batch) -> FileWrite:
    """Return the file of a batch: below a folder of its target, by what becomes of the rows in it.

    Raises RowsRefused for rows that have a value which its column's type does not have.
    """
    if not batch.rows:
        raise RefusedError("batch:empty")
    if any(not isinstance(row.key, dict) for row in batch.rows):
        raise RowsRefused({row.position: "key:missing" for row in batch.rows if not isinstance(row.key, dict)})
    events = batch.mode == "append"
    folder = "events" if events else "removals" if batch.rows[0].op == "remove" else "changes"
    rows = [row.key | (row.data or {}) for row in batch.rows]
    columns = tuple(dict.fromkeys(name for row in rows for name in row))
    if not events:
        if OP in columns or AT in columns:
            raise RefusedError("column:reserved")
        at = batch.at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        rows = [{OP: row.op, AT: at} | values for row, values in zip(batch.rows, rows, strict=True)]
        columns = (OP, AT, *columns)
    positions = [row.position for row in batch.rows]
    name = f"{_safe(batch.plan_id)}.{_safe(batch.sync)}.{batch.batch_no:05d}.{_span(positions)}"
    place = "/".join((*filter(None, map(_safe, (batch.target or batch.sync).split("/"))), folder))
    return FileWrite(place, f"{name}.{settings.format}", _WRITERS[settings.format](settings, columns, rows, positions))


Rows = list[dict[str, Any]]


def _jsonl(settings: SheetSettings, columns: tuple[str, ...], rows: Rows, positions: list[int]) -> bytes:
    return b"".join(orjson.dumps({name: row.get(name) for name in columns}) + b"\n" for row in rows)


def _csv(settings: SheetSettings, columns: tuple[str, ...], rows: Rows, positions: list[int]) -> bytes:
    as_text = _guarded if settings.guard_formulas else _text
    named = [as_text(name) or "" for name in columns]
    made = [pa.array([as_text(row.get(name)) for row in rows], pa.string()) for name in columns]
    sink = io.BytesIO()
    # Text stands in quotes, so that empty text can be told from no value.
    pa_csv.write_csv(pa.table(made, names=named), sink, pa_csv.WriteOptions(delimiter=settings.delimiter))
    return sink.getvalue()


def _parquet(settings: SheetSettings, columns: tuple[str, ...], rows: Rows, positions: list[int]) -> bytes:
    refused: dict[int, str] = {}
    made = []
    for name in columns:
        kind = settings.types.get(name)
        if kind is None:
            made.append(pa.array([_text(row.get(name)) for row in rows], pa.string()))
            continue
        arrow, read = _TYPES[kind]
        values = []
        for position, row in zip(positions, rows, strict=True):
            value = row.get(name)
            try:
                values.append(None if value is None else read(value))
            except (ValueError, TypeError):
                refused[position] = f"column:no_{kind}"
        if not refused:
            made.append(pa.array(values, arrow))
    if refused:
        raise RowsRefused(refused)
    sink = io.BytesIO()
    pq.write_table(pa.table(made, names=list(columns)), sink, compression="zstd")
    return sink.getvalue()


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else orjson.dumps(value).decode()


def _guarded(value: Any) -> str | None:
    text = _text(value)
    return f"'{text}" if isinstance(value, str) and value[:1] in _FORMULA else text


def _integer(value: Any) -> int:
    if isinstance(value, bool | float):
        raise ValueError
    number = int(value)
    if not -(2**63) <= number < 2**63:
        raise ValueError
    return number


def _number(value: Any) -> float:
    if isinstance(value, bool):
        raise ValueError
    return float(value)


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


def _timestamp(value: Any) -> datetime:
    moment = datetime.fromisoformat(value)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


_TYPES: dict[Kind, tuple[pa.DataType, Callable[[Any], Any]]] = {
    "boolean": (pa.bool_(), _boolean),
    "date": (pa.date32(), date.fromisoformat),
    "integer": (pa.int64(), _integer),
    "number": (pa.float64(), _number),
    "timestamp": (pa.timestamp("us", "UTC"), _timestamp),
}

_WRITERS = {"csv": _csv, "jsonl": _jsonl, "parquet": _parquet}


def _span(positions: list[int]) -> str:
    """Return which rows of the batch these are: no two choices of rows have the same."""
    first, last = positions[0], positions[-1]
    has_gaps = positions != list(range(first, last + 1))
    return f"{first:06d}-{last:06d}" + (f"-{ids.digest(*map(str, positions))[:8]}" if has_gaps else "")


def _safe(name: str) -> str:
    return _UNSAFE.sub("-", name)
