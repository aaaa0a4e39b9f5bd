"""Who asked for which history, when, of which time? The record that stands in the folder of a backfill's load.

landing/loads/<load_id>/backfill.json        written with the load, so that it is there when the load is

What the backfill did is not in it: the load's own record and the plan that first saw the load say that.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict

from tailrace import clock, durable, ids
from tailrace.errors import DataError
from tailrace.landing import records
from tailrace.landing.contract import Contract, Timestamps
from tailrace.landing.loads import Load, loads_dir
from tailrace.landing.stage import Stage
from tailrace.settings import Settings

OUTSIDE = "outside_range"
"""The reason of a line whose event is plausible, and outside of the range that the backfill asked for."""


@dataclass(frozen=True)
class Asked:
    """Who asks for a backfill, and when; only events of [since, until) are meant, None is open."""

    who: str
    at: datetime
    since: datetime | None = None
    until: datetime | None = None

    @property
    def is_ranged(self) -> bool:
        """Return whether events outside of a range are to be left."""
        return self.since is not None or self.until is not None


class Record(BaseModel):
    """What backfill.json holds. `request` is the same for the same files of a source and the same range."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    request: str
    who: str
    at: AwareDatetime
    since: AwareDatetime | None
    until: AwareDatetime | None


def request_of(source: str, asked: Asked, hashes: Iterable[str]) -> str:
    """Return the hash that tells one request from another; the order of files and their names are no part of it."""
    bounds = ["" if bound is None else clock.iso(bound) for bound in (asked.since, asked.until)]
    return ids.digest(source, *bounds, *sorted(set(hashes)))


def narrowed(contract: Contract, asked: Asked | None) -> Contract:
    """Return the contract with the range for its window of plausible times.

    Raises DataError when the range is empty, or has no plausible time in it.
    """
    if asked is None or not asked.is_ranged:
        return contract
    if asked.since is not None and asked.until is not None and asked.since >= asked.until:
        raise DataError(
            f"the range from {clock.iso(asked.since)} to {clock.iso(asked.until)} is empty; expected `--from` before"
            " `--to`, which is not in the range itself. Nothing was landed."
        )
    window = contract.timestamps
    since = max(window.since, asked.since or window.since)
    until = min(window.until, asked.until or window.until)
    if since >= until:
        raise DataError(
            f"the range is outside of the times that `timestamps` of {contract.path} takes for plausible,"
            f" {clock.iso(window.since)} to {clock.iso(window.until)}; expected a part of these: correct the range, or"
            " the contract. Nothing was landed."
        )
    return replace(contract, timestamps=replace(window, since=since, until=until))


def tell_apart(stage: Stage, window: Timestamps) -> None:
    """Give the judged rows that only the range refused (`window` is the contract's own) the reason that says so."""
    narrow = stage.contract.timestamps
    refused = (
        "why = 'time_implausible' and event_at >= $since and event_at < $until"
        " and row_no not in (select row_no from verdicts where reason <> '')"
    )
    values = {"since": clock.naive(window.since), "until": clock.naive(window.until)}
    run = stage.connection.execute
    run(f"create temp table outside as select row_no, event_at from stage where {refused}", values)
    run("delete from verdicts where row_no in (select row_no from outside)")
    run(
        "insert into verdicts select row_no, $reason, concat('of ', strftime(event_at, '%Y-%m-%dT%H:%M:%SZ'),"
        " '; the backfill is from ', $since, ' to ', $until) from outside",
        {"reason": OUTSIDE, "since": clock.iso(narrow.since), "until": clock.iso(narrow.until)},
    )


def write(folder: Path, request: str, asked: Asked) -> None:
    """Put the record into the folder of a load that is being written."""
    record = Record(request=request, who=asked.who, at=asked.at, since=asked.since, until=asked.until)
    durable.write(_path(folder), record.model_dump_json(indent=1).encode())


def read(settings: Settings, load: Load) -> Record | None:
    """Return the record of the load; None when it has none: it is no backfill, or one of before there were records.

    Raises DataError when the record cannot be read.
    """
    path = _path(loads_dir(settings) / load.load_id)
    try:
        return records.read(Record, path, "the record of this backfill", "tailrace backfill")
    except FileNotFoundError:
        return None


def find(settings: Settings, request: str, some: Iterable[Load]) -> Load | None:
    """Return the load of `some` that this request has made, if one has."""
    for load in some:
        record = read(settings, load) if load.is_history else None
        if record is not None and record.request == request:
            return load
    return None


def _path(folder: Path) -> Path:
    return folder / "backfill.json"
