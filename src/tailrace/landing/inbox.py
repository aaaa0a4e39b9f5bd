"""What waits to be landed when a run begins: files in the inbox, and what is new in tables?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tailrace.errors import SourceUnread
from tailrace.landing.contract import load_contract, sources
from tailrace.landing.land import Landed, land
from tailrace.settings import Settings


@dataclass(frozen=True)
class Arrived:
    """What came of all that waited: a load per source at most, and why tables could not be read, by source."""

    landed: list[Landed]
    unread: dict[str, str]


def land_inbox(settings: Settings, as_of: datetime) -> Arrived:
    """Land what waits in `inbox/<source>/`, where the files stay, and what is new in tables: one load per source.

    A table that cannot be read stops nothing: it is read the next time, from where it was read to.
    """
    waiting: dict[str, list[Path | str]] = {
        source: [] for source in sources(settings) if load_contract(settings, source).origin is not None
    }
    if settings.inbox.is_dir():
        folders = (path for path in settings.inbox.iterdir() if path.is_dir() and not path.name.startswith("."))
        waiting |= {path.name: [path] for path in folders}
    landed: list[Landed] = []
    unread: dict[str, str] = {}
    for source, paths in sorted(waiting.items()):
        try:
            landed.append(land(settings, paths, source, as_of=as_of))
        except SourceUnread as error:
            unread[source] = str(error)
    return Arrived(landed, unread)
