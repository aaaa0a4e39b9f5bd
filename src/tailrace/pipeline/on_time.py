"""How would a load look, had its events come when they happened?

As several loads that no backfill knows of: the events that happened between two runs are one, and land with the later
of them. So an event is as late as everything else that a run finds in its inbox.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pyarrow as pa

from tailrace import clock, engine
from tailrace.landing.loads import Load, event_files
from tailrace.settings import Settings
from tailrace.warehouse.landed import LoadFiles


@dataclass(frozen=True)
class Piece:
    """A part of a load that lands by itself: its record, and where its events stand."""

    load: Load
    files: LoadFiles


def in_parts(
    settings: Settings,
    load: Load,
    start: datetime | None,
    instants: Sequence[datetime],
    seq: int,
    folder: Path,
) -> list[Piece]:
    """Write the load's events into `folder`, a file per instant that would have seen them first, and return the pieces.

    What had happened by `start` is history to all of them; what happens after the last instant is left out. They are
    numbered from `seq` on.
    """
    files = ", ".join(engine.literal(str(path)) for path in event_files(settings, [load]))
    if not files:
        return []
    seen_at = {0: start} if start is not None else {}
    seen_at |= dict(enumerate(instants, start=1))
    runs = [{"piece": piece, "seen_at": clock.naive(at)} for piece, at in seen_at.items()]
    folder.mkdir(parents=True)
    with engine.connect(settings) as connection:
        schema = pa.schema([("piece", pa.int64()), ("seen_at", pa.timestamp("us"))])
        connection.register("runs", pa.Table.from_pylist(runs, schema=schema))
        query = engine.statement("tailrace.pipeline", "on_time").format(events=f"read_parquet([{files}])")
        values = {"load_id": load.load_id, "seq": seq}
        connection.execute(f"create temp table parted as {query}", values)
        target = engine.literal(str(folder))
        connection.execute(f"copy parted to {target} (format parquet, compression zstd, partition_by (piece))")
        counted = connection.execute(
            "select piece, count(*), min(event_at), max(event_at) from parted group by piece order by piece"
        ).fetchall()
    return [
        _piece(load, number, rows, (first, last), seen_at[number], seq, folder) for number, rows, first, last in counted
    ]


def _piece(
    load: Load, number: int, rows: int, span: tuple[datetime, datetime], at: datetime, seq: int, folder: Path
) -> Piece:
    first, last = (clock.parse(moment.isoformat()) for moment in span)
    changed = {
        "load_id": f"{load.load_id}-{number}",
        "load_seq": seq + number,
        "is_history": number == 0,
        "landed_at": at,
        "landed": rows,
        "first_event_at": first,
        "last_event_at": last,
    }
    part = load.model_copy(update=changed)
    files = LoadFiles(
        load_id=part.load_id,
        load_seq=part.load_seq,
        source=part.source,
        is_history=part.is_history,
        landed_at=part.landed_at,
        rows=rows,
        quarantined=0,
        first_event_at=first,
        last_event_at=last,
        parquet=tuple(sorted((folder / f"piece={number}").glob("*.parquet"))),
    )
    return Piece(part, files)
