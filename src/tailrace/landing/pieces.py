"""Where do the rows of a landing stand while they are judged, and which of them land where they stand?

In Parquet files beside the data, a piece for each portion of a file that was read: a question reads the columns that it
needs, and memory holds none of them. A large piece of which every row lands is not written again: it becomes a file of
the load, with the columns of one (`columns.py`).
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tailrace import engine
from tailrace.landing.columns import Columns, Constant

PREFIX = "land-"
"""How the folders in the scratch begin that are a landing's, and go when it has died."""
WRITTEN = (
    "(format parquet, compression zstd, compression_level 1,"
    # Ids and bodies are nearly all different: a dictionary of them would be built in vain.
    " row_group_size_bytes 16777216, dictionary_size_limit 1000)"
)
LARGE = 8 << 20
"""A piece of so many bytes may become a file of a load; readers are slower with many small files than with one."""
# One part of so many.
_LITTLE = 20
_MANY = 32
BITS = 40
"""A row's number is the piece's, and in so many bits its place in the piece."""


@dataclass(frozen=True)
class Piece:
    """Rows that stand in one file."""

    path: Path
    rows: int


class Pieces:
    """All rows of one landing, which the view `stage` has with their `row_no`."""

    def __init__(self, connection: engine.Connection, scratch: Path) -> None:
        self._connection = connection
        self._folder = TemporaryDirectory(dir=scratch, prefix=PREFIX)
        self._pieces: dict[int, Piece] = {}
        self._columns: dict[int, Columns] = {}
        self._made = 0
        self._show()

    def close(self) -> None:
        """Remove what stands aside."""
        self._folder.cleanup()

    @property
    def next_row(self) -> int:
        """Return the number that the first row of the next piece has."""
        return self._made << BITS

    @property
    def last(self) -> str:
        """Return the relation of the rows of the last piece, without their numbers."""
        return _relation([self._pieces[self._made - 1].path])

    def add(self, rows: str) -> None:
        """Keep the rows that the statement `rows` gives."""
        self._write(rows)
        self._show()

    def beside(self, rows: str) -> str:
        """Keep rows that are no part of the stage until the next ones, and return the relation of them."""
        path = Path(self._folder.name) / "beside.parquet"
        self._copy(rows, path)
        return _relation([path])

    def join(self) -> None:
        """Put small pieces together when they are many, which changes the numbers of rows."""
        small = {number: piece for number, piece in self._pieces.items() if piece.path.stat().st_size < LARGE}
        if len(small) < _MANY:
            return
        self._write(f"select * from {_relation(piece.path for piece in small.values())}")
        for number, piece in small.items():
            del self._pieces[number]
            piece.path.unlink()
        self._show()

    def whole(self, landing: Mapping[int, int], kept: Sequence[str]) -> dict[int, int]:
        """Return which pieces can become files of a load, with the number of the input file that each is of.

        They are large, of one input file, have little beside the columns `kept`, and every row of theirs is `landing`:
        that says how many are, by piece.
        """
        whole = {}
        for number, piece in self._pieces.items():
            if landing.get(number) != piece.rows or piece.path.stat().st_size < LARGE:
                continue
            query = f"select min(file_no), max(file_no) from {_relation([piece.path])}"
            first, last = engine.row(self._connection, query)
            if first == last and self._bytes_beside(number, kept) * _LITTLE < piece.path.stat().st_size:
                whole[number] = int(first)
        return whole

    def rows_of(self, numbers: Iterable[int]) -> int:
        """Return how many rows these pieces have."""
        return sum(self._pieces[number].rows for number in numbers)

    def leave_out(self, numbers: Iterable[int]) -> None:
        """Show the stage without these pieces; the numbers of the other rows stay."""
        self._show(frozenset(numbers))

    def become(self, number: int, target: Path, wanted: Sequence[str | Constant]) -> None:
        """Make a piece, which the stage is shown without, the file `target` with these columns."""
        path = self._pieces[number].path
        self._columns[number].become(wanted)
        shutil.move(path, target)

    def _write(self, rows: str) -> None:
        path = Path(self._folder.name) / f"{self._made}.parquet"
        self._pieces[self._made] = Piece(path, self._copy(rows, path))
        self._made += 1

    def _copy(self, rows: str, path: Path) -> int:
        # Else DuckDB gathers long lines to vectors of thousands, and memory is to hold several copies of each.
        self._connection.execute("set enable_caching_operators = false")
        copied = engine.row(self._connection, f"copy ({rows}) to {engine.literal(str(path))} {WRITTEN}")
        self._connection.execute("reset enable_caching_operators")
        return int(copied[0])

    def _bytes_beside(self, number: int, kept: Sequence[str]) -> int:
        """Return how many bytes of a piece other columns take: all, when its footer is not understood."""
        path = self._pieces[number].path
        try:
            self._columns[number] = Columns(path)
        except ValueError:
            return path.stat().st_size
        return self._columns[number].bytes_beside(kept)

    def _show(self, without: frozenset[int] = frozenset()) -> None:
        shown = [piece.path for number, piece in self._pieces.items() if number not in without]
        number = f"(parse_filename(filename, true)::bigint << {BITS}) + file_row_number"
        rows = f"{number} as row_no, * from {_relation(shown)}" if shown else "0::bigint as row_no, * from no_rows"
        self._connection.execute(f"create or replace view stage as select {rows}")


def _relation(paths: Iterable[Path]) -> str:
    named = ", ".join(engine.literal(str(path)) for path in paths)
    return f"read_parquet([{named}], hive_partitioning = false)"
