"""What did people decide about the messages that a backfill came too late for?

landing/backfills/<load_id>/<n>.json         a decision each, from 1 on; never changed

What was chosen to be sent now stands in the journal, because a plan considers it, once.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

import pyarrow as pa
from pydantic import AwareDatetime, BaseModel, ConfigDict

from tailrace import durable, engine
from tailrace.errors import DataError
from tailrace.journal.choices import CHOSEN
from tailrace.journal.journal import Journal
from tailrace.journal.records import Choice
from tailrace.landing import records
from tailrace.pipeline.applying import heal
from tailrace.pipeline.backfills import find
from tailrace.pipeline.corrections import Corrections, Progress, with_passes, write_list
from tailrace.pipeline.request import load_definitions
from tailrace.planning.steps import steps_of
from tailrace.settings import Settings

_PLACES = pa.schema([("campaign", pa.string()), ("step", pa.string()), ("position", pa.int32())])


class Remedy(BaseModel):
    """One decision: `ignored`, `listed` (its rows were written to a file, for people to act on), or `send_now`.

    Of the last, `passes` is how many were chosen, `plan` the one that considered them; None while none has, and for
    ever when it `is_taken_back`: somebody said `ignored` first.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    backfill: str
    remedy: Literal["ignored", "listed", "send_now"]
    who: str
    reason: str
    at: AwareDatetime
    passes: int | None = None
    plan: str | None = None
    is_taken_back: bool = False


@dataclass(frozen=True)
class Ignoring:
    """What saying `ignored` did: `taken_back` passes that were chosen wait no more; `considered` are a plan's already.

    Of the last, what that plan decided stands.
    """

    kept: Remedy
    taken_back: int
    considered: int


@dataclass(frozen=True)
class Sending:
    """What was chosen to be sent now: how many passes go on at which message, by campaign and step.

    `chosen` are those that the next plan considers because of it; the others (`waiting`) wait for it already.
    """

    backfill: str
    messages: tuple[tuple[str, str, int], ...]
    chosen: int
    waiting: int
    is_dry: bool


def send_now(
    settings: Settings,
    backfill: str,
    *,
    campaign: str | None,
    step: str | None,
    who: str,
    reason: str,
    at: datetime,
    is_dry: bool,
    progress: Progress = lambda done, all_, as_of: None,
) -> Sending:
    """Have the next plan consider the messages that this backfill came too late for, of one campaign or step or of all.

    What was decided before is not undone, and choosing the same again changes nothing. Raises what `corrections`
    raises, DataError when there is no reason or no such message.
    """
    if not reason.strip():
        raise DataError("there is no reason; expected one: say with `--reason` why these are to be sent now")
    seen, passes = with_passes(settings, backfill, progress=progress)
    found = _missed(settings, seen, passes, campaign, step)
    if not found.num_rows:
        missed = sorted({(one.campaign, one.missed) for one in seen.campaigns if one.missed})
        there = ", ".join(f"{slug} {count:,}" for slug, count in missed) or "none"
        raise DataError(
            f"backfill {seen.backfill}: there is no such message that would have gone and did not (there are: {there});"
            " expected some: `tailrace backfills corrections` shows them. Nothing was chosen"
        )
    counts = Counter(zip(found.column("campaign").to_pylist(), found.column("step").to_pylist(), strict=True))
    with Journal.open(settings) as journal:
        waiting = set(journal.chosen().column("enrollment_id").to_pylist())
        known = sum(enrollment in waiting for enrollment in found.column("enrollment_id").to_pylist())
        chosen = found.num_rows - known if is_dry else journal.choose(seen.backfill, found, who, reason, at)
    return Sending(
        backfill=seen.backfill,
        messages=tuple((slug, name, counts[slug, name]) for slug, name in sorted(counts)),
        chosen=chosen,
        waiting=found.num_rows - chosen,
        is_dry=is_dry,
    )


def _missed(
    settings: Settings, seen: Corrections, passes: pa.Table | None, campaign: str | None, step: str | None
) -> pa.Table:
    """Return the passes of the messages that were missed, each with the first of them."""
    if passes is None:
        return CHOSEN.empty_table()
    places = [
        {"campaign": slug, "step": each.id, "position": each.position}
        for slug, found in load_definitions(settings).campaigns.items()
        for each in steps_of(found.definition()["steps"])
    ]
    with engine.connect(settings) as connection:
        connection.register("missed", seen.rows)
        connection.register("told_passes", passes)
        connection.register("places", pa.Table.from_pylist(places, schema=_PLACES))
        query = engine.statement("tailrace.pipeline", "missed_passes")
        return connection.sql(query, params={"campaign": campaign, "step": step}).to_arrow_table()


def ignore(settings: Settings, backfill: str, *, who: str, reason: str, at: datetime) -> Ignoring:
    """Keep that nothing is to be done, and take back what was chosen to be sent now and no applied plan has considered.

    Raises DataError when there is no such backfill, or no reason; Busy when something is to be taken back while a run
    may be considering it.
    """
    if not reason.strip():
        raise DataError("there is no reason; expected one: say with `--reason` why nothing is to be done")
    load_id = find(settings, backfill).load_id
    taken_back = _take_back(settings, load_id)
    kept = _keep(settings, Remedy(backfill=load_id, remedy="ignored", who=who, reason=reason, at=at))
    considered = sum(one.passes or 0 for one in remedies(settings, load_id) if one.plan is not None)
    return Ignoring(kept, taken_back, considered)


def _take_back(settings: Settings, load_id: str) -> int:
    with Journal.open(settings) as journal:
        if not any(_waits(choice) for choice in journal.choices(load_id)):
            return 0
    with durable.exclusive(settings.run_lock, "a run"), Journal.open(settings) as journal:
        heal(settings, journal)
        return journal.take_back(load_id)


def _waits(choice: Choice) -> bool:
    return choice.plan_id is None and not choice.is_taken_back


def list_rows(settings: Settings, seen: Corrections, path: Path, *, who: str, at: datetime) -> Remedy:
    """Write the rows to `path`, and keep that this was done. Raises DataError when the file is there already."""
    count = write_list(seen, path)
    said = f"{count} rows to {path.name}"
    return _keep(settings, Remedy(backfill=seen.backfill, remedy="listed", who=who, reason=said, at=at))


def remedies(settings: Settings, load_id: str) -> list[Remedy]:
    """Return the decisions about a backfill, the first one first. Raises DataError when one cannot be read."""
    with Journal.open(settings) as journal:
        found = [
            Remedy(
                backfill=load_id,
                remedy="send_now",
                who=choice.who,
                reason=choice.reason,
                at=choice.at,
                passes=choice.passes,
                plan=choice.plan_id,
                is_taken_back=choice.is_taken_back,
            )
            for choice in journal.choices(load_id)
        ]
    for path in sorted(_folder(settings, load_id).glob("*.json"), key=lambda path: int(path.stem)):
        found.append(records.read(Remedy, path, "this decision", "tailrace backfills"))
    return sorted(found, key=lambda remedy: remedy.at)


def _keep(settings: Settings, remedy: Remedy) -> Remedy:
    folder = _folder(settings, remedy.backfill)
    with durable.exclusive(settings.data_dir / "backfills.lock", "keeping a decision"):
        number = len(list(folder.glob("*.json"))) + 1
        durable.write(folder / f"{number}.json", remedy.model_dump_json(indent=1).encode())
    return remedy


def _folder(settings: Settings, load_id: str) -> Path:
    return settings.landing / "backfills" / load_id
