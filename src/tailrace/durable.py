"""How does a file become true at once and stay so? Write aside, fsync, rename, fsync the folder."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tailrace.errors import Busy


def fsync_dir(path: Path) -> None:
    """Make the names in the folder `path` durable."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def fsync_file(path: Path) -> None:
    """Make the content of `path` durable; DuckDB's COPY does not."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write(path: Path, content: bytes) -> None:
    """Put `content` at `path`: afterwards the file holds all of it, or what it held before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with aside.open("wb") as handle:
        handle.write(content)
        handle.flush()
        os.fsync(handle.fileno())
    aside.rename(path)
    fsync_dir(path.parent)


def move_in(aside: Path, final: Path) -> None:
    """Rename the finished file or folder `aside` to `final` on the same file system, durably.

    Files inside a folder are fsynced first.
    """
    inside = [path for path in aside.rglob("*") if path.is_file()] if aside.is_dir() else [aside]
    for path in inside:
        fsync_file(path)
    if aside.is_dir():
        fsync_dir(aside)
    final.parent.mkdir(parents=True, exist_ok=True)
    aside.rename(final)
    fsync_dir(final.parent)


def remove(path: Path) -> None:
    """Remove a file or folder of ours, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def exclusive(path: Path, what: str) -> Iterator[None]:
    """Hold the lock file `path` for the block; the kernel releases it however the process ends.

    Raises Busy, naming the holder's pid, when another process holds it. `what` names the work in that message.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            handle.seek(0)
            holder = handle.read().strip() or "unknown"
            raise Busy(
                f"{what} is already under way in process {holder} (it holds {path.name}); expected to be the only"
                " one: wait for it to end, then run again. Nothing was changed."
            ) from error
        handle.seek(0)
        handle.truncate()
        handle.write(f"{os.getpid()}\n")
        handle.flush()
        yield
