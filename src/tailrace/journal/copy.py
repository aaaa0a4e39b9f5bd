"""Does this journal know everything that was claimed? The append-only copy of its claims, on another path, says.

One line per claimed batch, written with one call and made durable after the claim's commit and before any byte of
it leaves. A journal that was restored, shortened or swapped lacks the claim of one of the last lines: of the last, but
that senders that work at the same time may write their lines in another order than they committed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tailrace import durable

_TAIL_BYTES = 65_536


class Copy:
    """The file `claims.log`. A torn last line (its batch never left) is fenced off and otherwise ignored."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle: int | None = None

    def append(self, line: dict[str, Any]) -> None:
        """Add one line; it is on the disk when this returns."""
        content = json.dumps(line, separators=(",", ":")).encode() + b"\n"
        handle = self._open()
        # One call: a line is never interleaved with another process's.
        written = os.write(handle, content)
        if written != len(content):
            raise OSError(f"{self.path}: only {written} of {len(content)} bytes were written; is the disk full?")
        os.fdatasync(handle)

    def newest(self, most: int) -> list[dict[str, Any]]:
        """Return the last whole lines, at most so many, the newest first."""
        if not self.path.exists():
            return []
        with self.path.open("rb") as handle:
            size = handle.seek(0, os.SEEK_END)
            reach = _TAIL_BYTES
            while True:
                start = max(0, size - reach)
                handle.seek(start)
                # When the window does not begin the file, its first line may be half a line.
                contents = handle.read(size - start).split(b"\n")[0 if start == 0 else 1 : -1]
                found = [line for line in map(_parse, reversed(contents[-2 * most :])) if line is not None][:most]
                if start == 0 or len(found) == most:
                    return found
                reach *= 8

    def lines(self) -> Iterator[dict[str, Any]]:
        """Yield every whole line, oldest first."""
        if not self.path.exists():
            return
        with self.path.open("rb") as handle:
            for content in handle:
                line = _parse(content.rstrip(b"\n")) if content.endswith(b"\n") else None
                if line is not None:
                    yield line

    def close(self) -> None:
        """Close the file."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def _open(self) -> int:
        if self._handle is None:
            is_new = not self.path.exists()
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._handle = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
            if is_new:
                durable.fsync_dir(self.path.parent)
                durable.fsync_dir(self.path.parent.parent)
            size = os.fstat(self._handle).st_size
            if size and os.pread(self._handle, 1, size - 1) != b"\n":
                os.write(self._handle, b"\n")
        return self._handle


def _parse(content: bytes) -> dict[str, Any] | None:
    try:
        line = json.loads(content)
    except ValueError:
        return None
    return line if isinstance(line, dict) and "journal" in line else None
