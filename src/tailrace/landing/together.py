"""Which small files are read into the stage at once? What is asked of each portion takes longer than they do."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

CHUNKS = pa.schema([("first", pa.int64()), ("body", pa.string())])
"""Whole lines of a file: the number of the first of them, and their text."""
SMALL = 256 << 10
"""Bytes of text up to which a file waits for others."""
# As much is read at once: DuckDB holds the text of so many files several times over.
_ENOUGH = 16 << 20
_LINES = 200


class Together:
    """The text of small files that are not in the stage yet."""

    def __init__(self) -> None:
        self._batches: list[pa.RecordBatch] = []
        self._lines: list[str] = []
        self._size = 0

    @property
    def is_empty(self) -> bool:
        """Say whether nothing waits."""
        return not self._batches

    @property
    def is_full(self) -> bool:
        """Say whether it is time to read what waits."""
        return self._size >= _ENOUGH

    def put(self, file_no: int, batches: Sequence[pa.RecordBatch], lines: Sequence[str]) -> None:
        """Have a file wait: its text (`CHUNKS`), and some lines of it."""
        for batch in batches:
            self._batches.append(batch.add_column(0, "file_no", pa.array([file_no] * batch.num_rows, pa.int32())))
            self._size += batch.nbytes
        self._lines.extend(lines)

    def take(self) -> tuple[pa.Table, list[str]]:
        """Return all that waits (`CHUNKS` with `file_no`), and some lines from all over it; nothing waits any more."""
        rows = pa.Table.from_batches(self._batches).combine_chunks()
        lines = self._lines[:: max(1, len(self._lines) // _LINES)]
        self._batches, self._lines, self._size = [], [], 0
        return rows, lines
