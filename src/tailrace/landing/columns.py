"""How does a Parquet file come to have other columns, without its rows being written again? By another footer.

The footer says where the values of each column stand, for each group of rows. A column that it does not name is not
there; one that has the same value in every row takes a few bytes a group, which stand behind those of the others.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tailrace.landing.thrift import BINARY, I32, I64, LIST, STRUCT, Struct, read, varint, written

_MAGIC = b"PAR1"
_BOOLEAN = 0
_OPTIONAL, _REPEATED = 1, 2
_PLAIN, _RLE, _RLE_DICTIONARY = 0, 3, 8
_DATA_PAGE, _DICTIONARY_PAGE = 0, 2


@dataclass(frozen=True)
class Constant:
    """A column with one value in every row, of the type that the file's column `like` has."""

    name: str
    like: str
    value: str | int | bool

    def plain(self) -> bytes:
        """Return the value as Parquet writes one that stands alone."""
        if isinstance(self.value, bool):
            return bytes([self.value])
        if isinstance(self.value, int):
            return struct.pack("<q", self.value)
        return self.value.encode()


class Columns:
    """A Parquet file of flat columns, as its footer has them.

    Raises ValueError when it is none.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with path.open("rb") as handle:
            if path.stat().st_size < 12:
                raise ValueError("the file is too short for one of Parquet")
            self._end = handle.seek(-8, 2)
            length, magic = struct.unpack("<I4s", handle.read(8))
            self._end -= length
            if magic != _MAGIC or self._end < len(_MAGIC):
                raise ValueError("the file has no footer of Parquet at its end")
            handle.seek(self._end)
            self._footer = read(handle.read(length))
        try:
            (self._root, *columns) = self._footer[2][1][1]
            self._schema: dict[str, Struct] = {each[4][1].decode(): each for each in columns}
            self._groups: list[Struct] = self._footer[4][1][1]
        except (KeyError, TypeError) as error:
            raise ValueError("the footer is not one of Parquet") from error
        if any(5 in each or each[3][1] == _REPEATED for each in columns) or len(self._schema) != len(columns):
            raise ValueError("a column has columns, repeats, or stands there twice")

    @property
    def rows(self) -> int:
        """Return how many rows the file has."""
        return int(self._footer[3][1])

    def bytes_beside(self, names: Sequence[str]) -> int:
        """Return how many bytes the values of all columns but these take."""
        return sum(
            chunk[3][1][7][1]
            for group in self._groups
            for name, chunk in self._chunks(group).items()
            if name not in names
        )

    def become(self, wanted: Sequence[str | Constant]) -> None:
        """Give the file these columns, in this order: its own by their names, and constant ones. Not durably."""
        pages = bytearray()
        for group in self._groups:
            chunks, rows = self._chunks(group), group[3][1]
            some = []
            for each in wanted:
                if isinstance(each, str):
                    some.append(chunks[each])
                else:
                    some.append(_chunk(each, self._schema[each.like], rows, pages, self._end))
            group[1] = (LIST, (STRUCT, some))
            group[2] = (I64, sum(chunk[3][1][6][1] for chunk in some))
            if 6 in group:
                group[6] = (I64, sum(chunk[3][1][7][1] for chunk in some))
            # How the rows are sorted is told by places of columns.
            group.pop(4, None)
        schema = [self._element(each) for each in wanted]
        self._footer[2] = (LIST, (STRUCT, [{**self._root, 5: (I32, len(schema))}, *schema]))
        if 7 in self._footer:
            # Each column is ordered as its type is: an empty struct in the first place.
            order = self._footer[7][1][1][0]
            self._footer[7] = (LIST, (STRUCT, [order] * len(schema)))
        footer = written(self._footer)
        with self._path.open("r+b") as handle:
            handle.seek(self._end)
            handle.write(pages + footer + struct.pack("<I4s", len(footer), _MAGIC))
            handle.truncate()

    def _element(self, column: str | Constant) -> Struct:
        if isinstance(column, str):
            return self._schema[column]
        # In our pages a value may be absent, also where DuckDB 2.0 knows that none of `like` is.
        return {**self._schema[column.like], 3: (I32, _OPTIONAL), 4: (BINARY, column.name.encode())}

    @staticmethod
    def _chunks(group: Struct) -> dict[str, Struct]:
        return {chunk[3][1][3][1][1][0].decode(): chunk for chunk in group[1][1][1]}


def _chunk(constant: Constant, like: Struct, rows: int, pages: bytearray, end: int) -> Struct:
    """Put the pages of a constant column, which stand from `end` on, behind `pages`; return what the footer says."""
    kind, start = like[1][1], end + len(pages)
    # Every value is there (the level 1), and each is the only one there is (the place 0).
    levels = _sized(_run(rows, 1))
    dictionary = None
    if kind == _BOOLEAN:
        encoding, body = _RLE, levels + _sized(_run(rows, int(constant.value)))
    else:
        encoding, body = _RLE_DICTIONARY, levels + b"\x01" + _run(rows, 0)
        value = constant.plain() if isinstance(constant.value, int) else _sized(constant.plain())
        dictionary = start
        pages += _page(_DICTIONARY_PAGE, 7, {1: (I32, 1), 2: (I32, _PLAIN)}, value)
    data = end + len(pages)
    about = {1: (I32, rows), 2: (I32, encoding), 3: (I32, _RLE), 4: (I32, _RLE)}
    pages += _page(_DATA_PAGE, 5, about, body)
    size = end + len(pages) - start
    plain = (BINARY, constant.plain())
    meta: dict[int, tuple[int, Any]] = {
        1: (I32, kind),
        2: (LIST, (I32, [_PLAIN, _RLE, _RLE_DICTIONARY] if dictionary is not None else [_RLE])),
        3: (LIST, (BINARY, [constant.name.encode()])),
        4: (I32, 0),
        5: (I64, rows),
        6: (I64, size),
        7: (I64, size),
        9: (I64, data),
        12: (STRUCT, {3: (I64, 0), 5: plain, 6: plain}),
    }
    if dictionary is not None:
        meta[11] = (I64, dictionary)
    return {2: (I64, start), 3: (STRUCT, meta)}


def _page(kind: int, field: int, about: Struct, body: bytes) -> bytes:
    head = {1: (I32, kind), 2: (I32, len(body)), 3: (I32, len(body)), field: (STRUCT, about)}
    return written(head) + body


def _run(count: int, value: int) -> bytes:
    """Return `count` times a value of one bit."""
    return varint(count << 1) + bytes([value])


def _sized(body: bytes) -> bytes:
    return struct.pack("<I", len(body)) + body
