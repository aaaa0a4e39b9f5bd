"""Which loads' events stand together in one file? The records of packs, which many small loads become in time.

landing/packs/<pack_id>/pack.json        the record; its presence makes the pack real (the folder is renamed in whole)
landing/packs/<pack_id>/events.parquet   the events of its loads, as they stood in the loads' own files, in their order

A pack is of one source. Packs are disjoint, or one holds all that the other does and takes its place; what a pack took
the place of may stand for a while, and is not read.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from tailrace.landing import records
from tailrace.settings import Settings

_Count = Annotated[int, Field(ge=0)]


class Pack(BaseModel):
    """One pack, with the ids of its loads in landing order."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pack_id: str
    source: str
    loads: tuple[str, ...]
    rows: _Count
    bytes: _Count
    sha256: str
    file: str = "events.parquet"


def packs_dir(settings: Settings) -> Path:
    """Return the folder whose sub-folders are the packs."""
    return settings.landing / "packs"


def pack_file(settings: Settings, pack: Pack) -> Path:
    """Return the file with the pack's events."""
    return packs_dir(settings) / pack.pack_id / pack.file


def packs(settings: Settings) -> list[Pack]:
    """Return all packs, those with the fewest loads first. Raises DataError when a record cannot be read."""
    files = packs_dir(settings).glob("[0-9a-f]*/pack.json")
    found = [records.read(Pack, file, "the record of this pack", "tailrace gc") for file in files]
    return sorted(found, key=lambda pack: (len(pack.loads), pack.pack_id))


def packed(settings: Settings) -> dict[str, Pack]:
    """Return the pack that each packed load is read from, by load id."""
    return {load_id: pack for pack in packs(settings) for load_id in pack.loads}
