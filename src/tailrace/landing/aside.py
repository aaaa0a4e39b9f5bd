"""Where do rows wait that cannot go into DuckDB while it is reading? In memory up to a few megabytes, then on disk."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

FLUSH = 1 << 20


class Aside:
    """Rows of one schema, in the order in which they were put here. The file has no name: it ends with the process."""

    def __init__(self, schema: pa.Schema, folder: Path) -> None:
        self.schema, self._folder = schema, folder
        self._rows: list[tuple[Any, ...]] = []
        self._bytes = 0
        self._file: IO[bytes] | None = None
        self._writer: pa.RecordBatchWriter | None = None

    @property
    def is_empty(self) -> bool:
        """Say whether no row was put here."""
        return self._writer is None and not self._rows

    def put(self, row: tuple[Any, ...]) -> None:
        """Add a row."""
        self._rows.append(row)
        self._bytes += 100 + sum(len(value) for value in row if isinstance(value, bytes | str))
        if self._bytes > FLUSH:
            self._flush()

    def reader(self) -> pa.RecordBatchReader:
        """Return all rows, to be read once; nothing can be added afterwards."""
        if self._writer is None or self._file is None:
            return pa.RecordBatchReader.from_batches(self.schema, [self._batch()])
        self._flush()
        self._writer.close()
        self._file.seek(0)
        return pa.ipc.open_stream(self._file)

    def _batch(self) -> pa.RecordBatch:
        columns = zip(*self._rows, strict=True) if self._rows else [()] * len(self.schema)
        arrays = [pa.array(column, field.type) for column, field in zip(columns, self.schema, strict=True)]
        return pa.record_batch(arrays, schema=self.schema)

    def _flush(self) -> None:
        if self._writer is None:
            # Not a context manager: it lives as long as its rows are needed, and closes with them.
            self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115
            self._writer = pa.ipc.new_stream(self._file, self.schema)
        self._writer.write_batch(self._batch())
        self._rows, self._bytes = [], 0

    def close(self) -> None:
        """Let go of the rows."""
        if self._file is not None:
            self._file.close()
