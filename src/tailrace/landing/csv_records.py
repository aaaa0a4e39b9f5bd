"""Where does a CSV record begin and end? Physical lines, joined where a quoted field spans several."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from tailrace.landing import chunks
from tailrace.landing.aside import Aside
from tailrace.landing.stage import Source

MAX_LINES = 1_000
RECORDS = pa.schema([("line", pa.int64()), ("l", pa.string())])


def fields(line: str, delimiter: str) -> list[str]:
    """Return the fields of one record; ValueError when its quotes do not match."""
    try:
        return next(iter(csv.reader([line], delimiter=delimiter, strict=True)), [])
    except csv.Error as error:
        raise ValueError(str(error)) from error


class CsvSource(Source):
    """The pieces of a CSV file below its header, which is the first line that is not blank.

    Pieces with records over several lines come as `records` instead.
    """

    def __init__(self, reader: chunks.Reader, scratch: Path) -> None:
        super().__init__(reader, scratch)
        self.records = Aside(RECORDS, scratch)
        self._open: list[bytes] = []
        self._opened_at = 0
        self._has_header = False

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield pieces whose every line is a record."""
        for batch in super().batches():
            first, body = batch.column(0)[0].as_py(), batch.column(1)[0].as_buffer().to_pybytes()
            if not self._has_header:
                blank = chunks.BLANK.match(body + b"\n")
                header, _, body = body[blank.end() if blank else 0 :].partition(b"\n")
                self._has_header = bool(header)
                first += (blank[0].count(b"\n") if blank else 0) + 1
                if not body:
                    continue
            if not self._open and b'"' not in body:
                yield self.batch(first, body)
                continue
            lines = body.split(b"\n")
            if not self._open and not any(line.count(b'"') & 1 for line in lines):
                yield self.batch(first, body)
                continue
            self._join(first, lines)
        self._give_up()

    def _join(self, first: int, lines: list[bytes]) -> None:
        for number, line in enumerate(lines, first):
            odd = bool(line.count(b'"') & 1)
            if not self._open and not odd:
                self.records.put((number, line.decode()))
                continue
            if not self._open:
                self._opened_at = number
            self._open.append(line)
            if odd and len(self._open) > 1:
                self.records.put((self._opened_at, b"\n".join(self._open).decode()))
                self._open = []
            elif len(self._open) > MAX_LINES:
                self._give_up()

    def _give_up(self) -> None:
        """Take the quote that was never closed as the fault of its own line; the lines after it stand alone."""
        while self._open:
            opened, rest = self._open[0], self._open[1:]
            self.refused.put((self._opened_at, "bad_quotes", "a quote is opened and never closed", opened))
            first, self._open = self._opened_at + 1, []
            for number, line in enumerate(rest, first):
                if line.count(b'"') & 1:
                    self._opened_at, self._open = number, rest[number - first :]
                    break
                self.records.put((number, line.decode()))
