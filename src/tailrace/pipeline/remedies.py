"""What did people decide about the messages that a backfill came too late for?

landing/backfills/<load_id>/<n>.json         a decision each, from 1 on; never changed
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Literal

import orjson
from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from tailrace import durable
from tailrace.errors import DataError
from tailrace.pipeline.backfills import find
from tailrace.pipeline.corrections import Corrections, write_list
from tailrace.settings import Settings


class Remedy(BaseModel):
    """One decision: `ignored`, or `listed` (its rows were written to a file, for people to act on)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    backfill: str
    remedy: Literal["ignored", "listed"]
    who: str
    reason: str
    at: AwareDatetime


def ignore(settings: Settings, backfill: str, *, who: str, reason: str, at: datetime) -> Remedy:
    """Keep that nothing is to be done. Raises DataError when there is no such backfill, or no reason."""
    if not reason.strip():
        raise DataError("there is no reason; expected one: say with `--reason` why nothing is to be done")
    return _keep(
        settings, Remedy(backfill=find(settings, backfill).load_id, remedy="ignored", who=who, reason=reason, at=at)
    )


def list_rows(settings: Settings, seen: Corrections, path: Path, *, who: str, at: datetime) -> Remedy:
    """Write the rows to `path`, and keep that this was done. Raises DataError when the file is there already."""
    count = write_list(seen, path)
    said = f"{count} rows to {path.name}"
    return _keep(settings, Remedy(backfill=seen.backfill, remedy="listed", who=who, reason=said, at=at))


def remedies(settings: Settings, load_id: str) -> list[Remedy]:
    """Return the decisions about a backfill, the first one first. Raises DataError when one cannot be read."""
    found = []
    for path in sorted(_folder(settings, load_id).glob("*.json"), key=lambda path: int(path.stem)):
        try:
            found.append(Remedy.model_validate(orjson.loads(path.read_bytes())))
        except (ValidationError, orjson.JSONDecodeError) as error:
            raise DataError(
                f"{path}: this decision cannot be read ({type(error).__name__}); expected what"
                " `tailrace backfills` wrote: restore the folder from a backup"
            ) from error
    return found


def _keep(settings: Settings, remedy: Remedy) -> Remedy:
    folder = _folder(settings, remedy.backfill)
    with durable.exclusive(settings.data_dir / "backfills.lock", "keeping a decision"):
        number = len(list(folder.glob("*.json"))) + 1
        durable.write(folder / f"{number}.json", remedy.model_dump_json(indent=1).encode())
    return remedy


def _folder(settings: Settings, load_id: str) -> Path:
    return settings.landing / "backfills" / load_id
