"""Which events were said before, in this landing or an earlier one? Those whose id was.

Ids are compared by their numbers, `id_number` in macros.sql. The numbers are sorted in runs that memory holds; those of
a larger landing wait in the scratch, and are compared part by part.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tailrace import engine
from tailrace.landing.pieces import PREFIX

_PACKAGE = "tailrace.landing"
_BATCH = 1 << 20
_RUN = 1 << 25
"""So many numbers are sorted at a time: 256 MB, and as much again while they are put together."""

Numbers: TypeAlias = npt.NDArray[np.uint64]


def find(connection: engine.Connection, scratch: Path) -> int:
    """Fill `losers` with the rows of `ready` whose event is there already, and return the sum of the others' numbers.

    Takes `landed_before` (event_id, content), which has what earlier loads say of these events.
    """
    # DuckDB works on no more than this ahead of the one who reads: by default so little that only one thread does.
    connection.execute("set streaming_buffer_size = '64MB'")
    reader = connection.sql("select id_number(event_id) as number from ready").to_arrow_reader(_BATCH)
    with TemporaryDirectory(dir=scratch, prefix=PREFIX) as folder:
        total, told = told_twice((batch.column(0).to_numpy() for batch in reader), Path(folder))
    connection.register("told_twice", pa.table({"number": told}))
    connection.execute(engine.statement(_PACKAGE, "dedupe"))
    connection.unregister("told_twice")
    lost = (
        "select coalesce(sum(id_number(event_id)::hugeint), 0) from ready where row_no in (select row_no from losers)"
    )
    return total - int(engine.row(connection, lost)[0])


def told_twice(batches: Iterable[Numbers], folder: Path) -> tuple[int, Numbers]:
    """Return the sum of all numbers, and those that come more than once, once each, in order."""
    total = 0
    held: list[Numbers] = []
    runs: list[Path] = []
    for batch in batches:
        # In two halves, for 64 bits do not hold the sum.
        total += (int((batch >> np.uint64(32)).sum()) << 32) + int((batch & np.uint64(0xFFFFFFFF)).sum())
        held.append(batch)
        if sum(map(len, held)) >= _RUN:
            runs.append(folder / f"{len(runs)}.npy")
            np.save(runs[-1], _taken(held))
    last = _taken(held)
    if not runs:
        return total, _repeated(last)
    return total, np.concatenate([_repeated(part) for part in _parts(runs, last)])


def _taken(held: list[Numbers]) -> Numbers:
    """Return all that is held, sorted, and hold it no more."""
    run: Numbers = np.concatenate([np.empty(0, np.uint64), *held])
    held.clear()
    run.sort()
    return run


def _parts(runs: list[Path], last: Numbers) -> Iterator[Numbers]:
    """Yield the numbers of all runs, each of which is sorted, in parts of about one run: lowest first, sorted."""
    count = len(runs) + 1
    for number in range(count):
        low, high = ((each << 64) // count for each in (number, number + 1))
        # Opened for each part: what is read of a run takes memory for as long as it is open.
        stored = (_between(np.load(run, mmap_mode="r"), low, high) for run in runs)
        part = np.concatenate([*stored, _between(last, low, high)])
        part.sort()
        yield part


def _between(run: Numbers, low: int, high: int) -> Numbers:
    start = np.searchsorted(run, np.uint64(low))
    end = len(run) if high >> 64 else np.searchsorted(run, np.uint64(high))
    return np.array(run[start:end])


def _repeated(ordered: Numbers) -> Numbers:
    return np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
