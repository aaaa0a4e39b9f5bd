"""Which loads are there? The records that make landed files real, and nothing that is still being written."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from tailrace.errors import DataError
from tailrace.landing import records
from tailrace.landing.packs import pack_file, packed
from tailrace.settings import Settings

_Count = Annotated[int, Field(ge=0)]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)


class LandedFile(_Record):
    """One input file of a load; `lines` are the calls, rows or lines that were read from it, `etag` is an object's."""

    name: str
    bytes: _Count
    mtime_ns: int
    sha256: str
    lines: _Count
    etag: str | None = None


class ParquetFile(_Record):
    """One Parquet file of a load."""

    name: str
    rows: _Count
    bytes: _Count
    sha256: str


class Breach(_Record):
    """A rule of an event's contract that events broke, in words; they `landed` all the same, or are in quarantine."""

    event: str
    property: str
    words: str
    landed: bool
    events: _Count


class Load(_Record):
    """What one call of `land` made: lines = landed + duplicate + quarantined + erased.

    `warned` are the events that landed although they break their contract, by name. Older records have `kept_out` and
    `mended`, which nobody asks for: what is in quarantine is told by the lines themselves.
    `columns` are the source's, as they are with this load (landing/schema.py).
    """

    load_id: str
    load_seq: Annotated[int, Field(ge=1)]
    source: str
    is_history: bool
    reason: str | None
    landed_at: AwareDatetime
    files: tuple[LandedFile, ...]
    lines: _Count
    landed: _Count
    duplicate: _Count
    quarantined: _Count
    n_conflicting: _Count
    reasons: dict[str, int]
    parquet: tuple[ParquetFile, ...]
    first_event_at: AwareDatetime | None
    last_event_at: AwareDatetime | None
    breaches: tuple[Breach, ...] = ()
    warned: dict[str, int] = {}
    kept_out: dict[str, int] = Field(default={}, exclude=True)
    mended: dict[str, int] = Field(default={}, exclude=True)
    columns: dict[str, dict[str, str]] = {}
    erased: _Count = 0


def loads_dir(settings: Settings) -> Path:
    """Return the folder whose sub-folders are the loads."""
    return settings.landing / "loads"


def loads(settings: Settings) -> list[Load]:
    """Return all loads in landing order.

    Raises DataError when a record cannot be read or two loads claim one place in the order.
    """
    found: list[Load] = []
    for record in sorted(loads_dir(settings).glob("[0-9a-f]*/load.json")):
        load = records.read(Load, record, "the record of this load", "land")
        if load.load_id != record.parent.name:
            raise DataError(
                f"{record}: the record is of load {load.load_id}; expected {record.parent.name}: restore the folder"
                " from a backup"
            )
        found.append(load)
    found.sort(key=lambda load: load.load_seq)
    if [load.load_seq for load in found] != list(range(1, len(found) + 1)):
        raise DataError(
            f"{loads_dir(settings)}: the loads are not numbered 1 to {len(found)}; expected every load that was ever"
            " landed: restore the missing folders from a backup"
        )
    return found


def event_files(settings: Settings, some: list[Load]) -> list[Path]:
    """Return the Parquet files with the events of these loads, each once.

    A pack among them may have events of other loads of the same source: `load_id` tells.
    """
    together = packed(settings)
    files: dict[Path, None] = {}
    for load in some:
        pack = together.get(load.load_id)
        files |= dict.fromkeys([pack_file(settings, pack)] if pack else own_event_files(settings, load))
    return list(files)


def own_event_files(settings: Settings, load: Load) -> list[Path]:
    """Return the Parquet files that the load was written with; a pack takes their place, and then they go."""
    folder = loads_dir(settings) / load.load_id
    return [folder / part.name for part in load.parquet if part.name.startswith("events-")]


def quarantine_files(settings: Settings, some: list[Load]) -> list[Path]:
    """Return the Parquet files with the quarantined lines of these loads."""
    return [
        loads_dir(settings) / load.load_id / part.name
        for load in some
        for part in load.parquet
        if part.name.startswith("quarantine")
    ]
