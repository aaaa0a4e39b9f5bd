"""Which host, and which very journal, is this? A copied data directory is another place."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from tailrace import ids

_MACHINE_ID = Path("/etc/machine-id")


@dataclass(frozen=True)
class Place:
    """A journal on a host: hashed host name or machine id, real path, device and inode of the file.

    Of a journal in a PostgreSQL database the path is the data directory's, with the database's address; device is the
    server's own number, and inode stands for its timeline, the database and the table.
    """

    host: str
    path: str
    device: int
    inode: int


def host_id() -> str:
    """Return this host's id: a hash of its machine id, or of its name where there is none."""
    try:
        status = _MACHINE_ID.stat()
    except OSError:
        return _host_id("", platform.node())
    return _host_id(f"{status.st_dev} {status.st_ino} {status.st_mtime_ns}", "")


def place_of(path: Path) -> Place:
    """Return where the file at `path` is, links resolved."""
    status = path.stat()
    return Place(host_id(), _real(str(path), status.st_dev, status.st_ino), status.st_dev, status.st_ino)


# A sender asks before every claim whether it is still where it was.
@lru_cache(maxsize=4)
def _host_id(version: str, name: str) -> str:
    machine = _MACHINE_ID.read_text(encoding="ascii").strip() if version else ""
    return ids.digest("host", machine or name or platform.node())[:32]


@lru_cache(maxsize=64)
def _real(path: str, device: int, inode: int) -> str:
    """Return the path without links. The same file, found by the same name."""
    return os.path.realpath(path)
