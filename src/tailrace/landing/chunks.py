"""How does a file of any size become pieces of whole lines, and what is its SHA-256?"""

from __future__ import annotations

import gzip
import hashlib
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa
from isal import igzip, isal_zlib

from tailrace.errors import DataError

CHUNK = 1 << 20
MAX_LINE = 8 << 20
BLANK = re.compile(rb"\A(?:[ \t\r\f\v]*\n)+")
"""The blank lines that a text begins with."""
_LF = 10
BLANK = re.compile(rb"\A(?:[ \t\r\f\v]*\n)+")
"""The blank lines that a text begins with."""
_BOM = b"\xef\xbb\xbf"
_GZ = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
# A frame of zstd that holds no content; some writers begin with one.
_SKIPPABLE = re.compile(rb"[\x50-\x5f]\x2a\x4d\x18")
_OTHERS = {"bzip2": b"BZh91AY&SY", "xz": b"\xfd7zXZ\x00", "zip": b"PK\x03\x04", "lz4": b"\x04\x22\x4d\x18"}


@dataclass(frozen=True)
class Chunk:
    """Whole lines, without the last line end; `first` is the number of the first one, from 1."""

    first: int
    body: bytes
    is_too_long: bool = False


@dataclass
class Reader:
    """One file, read once; `sha256` is known when `chunks` has ended. Gz and zstd are told by content."""

    path: Path
    sha256: str = ""
    _hash: hashlib._Hash = field(default_factory=hashlib.sha256)

    def chunks(self) -> Iterator[Chunk]:
        """Yield the lines of the file in order. A line beyond MAX_LINE comes alone, cut to MAX_LINE.

        Raises DataError when a compressed file is damaged or cut short.
        """
        with self.path.open("rb") as raw:
            yield from self._lines(_Hashing(raw, self._hash))
        self.sha256 = self._hash.hexdigest()

    def _lines(self, raw: _Hashing) -> Iterator[Chunk]:
        first, rest, number, dropping = True, b"", 1, False
        for piece in _plain(raw, self.path):
            block = piece.removeprefix(_BOM) if first else piece
            first = False
            if dropping:
                end = block.find(b"\n")
                if end < 0:
                    continue
                block, dropping = block[end + 1 :], False
            end = block.rfind(b"\n")
            if end < 0:
                rest += block
                if len(rest) > MAX_LINE:
                    yield Chunk(number, rest[:MAX_LINE], is_too_long=True)
                    number, rest, dropping = number + 1, b"", True
                continue
            if len(rest) + (first_end := block.find(b"\n")) > MAX_LINE:
                yield Chunk(number, (rest + block[:first_end])[:MAX_LINE], is_too_long=True)
                number, rest, block = number + 1, b"", block[first_end + 1 :]
                if (end := block.rfind(b"\n")) < 0:
                    rest = block
                    continue
            # One copy and not two.
            body, rest = b"".join((rest, memoryview(block)[:end])), block[end + 1 :]
            # One byte is looked for many times faster than two.
            if b"\r" in body:
                body = body.replace(b"\r\n", b"\n").removesuffix(b"\r")
            yield Chunk(number, body)
            # Python's own `count` takes three times as long.
            number += int(np.count_nonzero(np.frombuffer(body, np.uint8) == _LF)) + 1
        if rest.strip(b"\r"):
            yield Chunk(number, rest.removesuffix(b"\r"))


class _Hashing:
    """A file whose bytes are hashed as they are read."""

    def __init__(self, file: IO[bytes], total: hashlib._Hash) -> None:
        self._file, self._total = file, total

    def read(self, size: int) -> bytes:
        block = self._file.read(size)
        self._total.update(block)
        return block


class _Again(io.RawIOBase):
    """A file whose first bytes were read and come once more."""

    def __init__(self, first: bytes, rest: _Hashing) -> None:
        self._first, self._rest = first, rest

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill the buffer, or some of it; 0 is the end."""
        block, self._first = self._first[: len(buffer)], self._first[len(buffer) :]
        block = block or self._rest.read(len(buffer))
        buffer[: len(block)] = block
        return len(block)


def _plain(raw: _Hashing, path: Path) -> Iterator[bytes]:
    """Yield the content, decompressed when it is gz or zstd."""
    block = raw.read(CHUNK)
    if block.startswith(_GZ):
        yield from _gunzipped(_Again(block, raw), path)
    elif block.startswith(_ZSTD) or _SKIPPABLE.match(block):
        yield from _zstd(_Again(block, raw), path)
    else:
        for name, start in _OTHERS.items():
            if block.startswith(start):
                raise DataError(
                    f"{path}: the file is compressed by {name}; expected it plain, or compressed by gz or zstd:"
                    " compress it otherwise. Nothing of this call was landed."
                )
        while block:
            yield block
            block = raw.read(CHUNK)


def _gunzipped(raw: _Again, path: Path) -> Iterator[bytes]:
    """Yield what all parts hold, however large each is; a part says itself whether it is whole."""
    try:
        with igzip.open(raw) as stream:
            while block := stream.read(CHUNK):
                yield block
    except (gzip.BadGzipFile, EOFError, isal_zlib.error) as error:  # type: ignore[misc] # its stub has no class here
        raise _damaged(path, "gz") from error


def _zstd(raw: _Again, path: Path) -> Iterator[bytes]:
    """Yield what all frames hold; Arrow reads on from frame to frame, and says when the last one is not whole."""
    try:
        with pa.CompressedInputStream(pa.PythonFile(raw, mode="r"), "zstd") as stream:
            while block := stream.read(CHUNK):
                yield block
    except OSError as error:
        if "too much memory" in str(error):
            raise DataError(
                f"{path}: the zstd file needs a window beyond 128 MB; expected one that bounded memory can read:"
                " compress it again without `--long` or `--ultra`. Nothing of this call was landed."
            ) from error
        raise _damaged(path, "zstd") from error


def _damaged(path: Path, kind: str) -> DataError:
    return DataError(
        f"{path}: the {kind} file is damaged or cut short; expected a whole one: copy it again, then land it again."
        " Nothing of this call was landed."
    )


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, as 64 hex digits."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def first_line(path: Path) -> bytes:
    """Return the first line that is not blank, without end or BOM, compression undone; empty when there is none."""
    line, bom = b"", _BOM
    with path.open("rb") as raw:
        for block in _plain(_Hashing(raw, hashlib.sha256()), path):
            line, bom = BLANK.sub(b"", line + block.removeprefix(bom)), b""
            if b"\n" in line or len(line) > MAX_LINE:
                break
    return line.partition(b"\n")[0][:MAX_LINE].rstrip(b"\r\n")
