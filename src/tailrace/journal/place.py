"""Which host, and which very journal, is this? A copied data directory is another place."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
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
    machine = _MACHINE_ID.read_text(encoding="ascii").strip() if _MACHINE_ID.is_file() else ""
    return ids.digest("host", machine or platform.node())[:32]


def place_of(path: Path) -> Place:
    """Return where the file at `path` is, links resolved."""
    status = path.stat()
    return Place(host_id(), os.path.realpath(path), status.st_dev, status.st_ino)
