"""Which messages would have gone, had a backfill's events come in time, and which went that would not have?

The runs that were made since the earliest of the events are made again on a branch, with the history seen as if it had
come when it happened, and compared with what the journal says went. Where campaigns, policy or models have changed
since, the same runs are made again without it too, so that only what the history does shows. Nothing is sent.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pyarrow as pa

from tailrace import clock, durable, engine
from tailrace.errors import DataError
from tailrace.journal.journal import Journal
from tailrace.landing.loads import Load
from tailrace.pipeline.backfills import find
from tailrace.pipeline.branch import Branch, branch
from tailrace.pipeline.remembered import remember
from tailrace.pipeline.request import Definitions, load_definitions
from tailrace.planning import relations
from tailrace.planning.store import Plan, Store
from tailrace.planning.trigger import BROADCAST_EVENT
from tailrace.settings import Settings
from tailrace.warehouse.catalog import project_fingerprint

KINDS = {
    "missed": "would have gone, and did not",
    "unwanted": "went, and would not have",
    "another_time": "went, and would have in another run",
}
"""What may be wrong with a message, in words."""

Progress = Callable[[int, int, datetime], None]

_ASKED = pa.schema([("campaign", pa.string()), ("event", pa.string())])


@dataclass(frozen=True)
class CampaignCorrections:
    """How many messages of one campaign are of which kind."""

    campaign: str
    missed: int
    unwanted: int
    another_time: int


@dataclass(frozen=True)
class Corrections:
    """What a backfill's history would have changed in the runs from `first` to `last`; None: there was no run.

    `rows` has one row per person and message; people are keys. `assumed` says in words what was taken for granted.
    """

    backfill: str
    runs: int
    first: datetime | None
    last: datetime | None
    assumed: tuple[str, ...]
    campaigns: tuple[CampaignCorrections, ...]
    rows: pa.Table


def corrections(
    settings: Settings, backfill: str, *, progress: Progress = lambda done, all_, as_of: None
) -> Corrections:
    """Return what came out otherwise because this backfill's events came late. HEAD and the journal are not touched.

    Raises DataError when there is no such backfill, Busy when a backtest or another report of this kind is under way.
    """
    return with_passes(settings, backfill, progress=progress)[0]


def with_passes(
    settings: Settings, backfill: str, *, progress: Progress = lambda done, all_, as_of: None
) -> tuple[Corrections, pa.Table | None]:
    """Return the corrections, and of each message that goes with the history in time the pass that it belongs to.

    The latter has the columns of `told_passes.sql`; None when no run was made again.
    """
    load = find(settings, backfill)
    definitions = load_definitions(settings)
    runs, is_cut = _runs(settings, load)
    at = sorted({plan.as_of for plan in runs})
    assumed = list(_assumed(is_cut, at))
    again = at if _has_changed(settings, runs, definitions) else []
    total = len(at) + len(again)
    told = _replay(settings, definitions, at, load, lambda done, as_of: progress(done, total, as_of))
    otherwise = None
    if again:
        assumed.append(
            "Campaigns, policy, destinations or models have changed since; what is told here is of those of today, once"
            " with the history in time and once as it came."
        )
        otherwise = _replay(
            settings, definitions, again, None, lambda done, as_of: progress(len(at) + done, total, as_of)
        )
    rows = _compared(settings, told and told.said, otherwise and otherwise.said, at)
    report = Corrections(
        backfill=load.load_id,
        runs=len(at),
        first=at[0] if at else None,
        last=at[-1] if at else None,
        assumed=tuple(assumed),
        campaigns=tuple(_counted(rows)),
        rows=rows,
    )
    return report, told and told.passes


def write_list(seen: Corrections, path: Path) -> int:
    """Write the rows as CSV to `path` and return how many there are. Raises DataError when the file is there."""
    if path.exists():
        raise DataError(f"{path}: there is such a file already; expected a new name. Nothing was written.")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(seen.rows.column_names)
    for row in seen.rows.to_pylist():
        writer.writerow(f"{value.isoformat()}Z" if isinstance(value, datetime) else value for value in row.values())
    durable.write(path, text.getvalue().encode())
    return int(seen.rows.num_rows)


def _runs(settings: Settings, load: Load) -> tuple[list[Plan], bool]:
    """Return the plans that runs applied since the earliest event, and whether older ones are gone from the store."""
    store = Store(settings)
    found: list[Plan] = []
    if load.first_event_at is None:
        return found, False
    for _, plan in store.chain(store.head()):
        if plan.as_of < load.first_event_at:
            return found, False
        if plan.cause == "scheduled":
            found.append(plan)
    if found and found[-1].parent is not None:
        # The oldest that is left is what the others stand on.
        return found[:-1], True
    return found, False


def _has_changed(settings: Settings, runs: list[Plan], definitions: Definitions) -> bool:
    now = (definitions.fingerprint, project_fingerprint(settings))
    return any((plan.inputs.definitions, plan.inputs.project) != now for plan in runs)


@dataclass(frozen=True)
class _Told:
    """What runs that were made again say, and the passes of what they say."""

    said: pa.Table
    passes: pa.Table


def _replay(
    settings: Settings,
    definitions: Definitions,
    at: list[datetime],
    load: Load | None,
    progress: Callable[[int, datetime], None],
) -> _Told | None:
    """Return what the runs at these instants say, with the load in time if one is given; None of no instants."""
    if not at:
        return None
    progress(0, at[0])
    with branch(settings, definitions, at, on_time=[load.load_id] if load else []) as replayed:
        plans = []
        for done, (_, plan) in enumerate(replayed.plans(), start=1):
            plans.append(plan)
            progress(done, at[min(done, len(at) - 1)])
        return _Told(replayed.hindsight.said(), _passes(settings, definitions, replayed, plans[-1]))


def _passes(settings: Settings, definitions: Definitions, replayed: Branch, last: Plan) -> pa.Table:
    """Return the pass of each message that the branch has sent, as its last plan knows it."""
    store = replayed.store
    triggers = {slug: campaign.definition()["trigger"] for slug, campaign in definitions.campaigns.items()}
    asked = [
        {"campaign": slug, "event": trigger.get("event") or (BROADCAST_EVENT if trigger["kind"] == "broadcast" else "")}
        for slug, trigger in triggers.items()
    ]
    with engine.connect(settings) as connection:
        replayed.attach(connection)
        connection.register("said", replayed.hindsight.said())
        connection.register("asked", pa.Table.from_pylist(asked, schema=_ASKED))
        for name, kind, empty in (
            ("kept", "enrollments", relations.ENROLLMENTS),
            ("versions", "versions", relations.VERSIONS),
        ):
            sources = [store.source(last, each, empty) for each in last.relations if each.startswith(f"{kind}:")]
            rows = " union all by name ".join(f"select * from {source} as rows" for source in sources)
            connection.execute(f"create temp table {name} as {rows or f'{empty} limit 0'}")
        connection.execute("delete from kept where enrollment_id not in (select enrollment_id from said)")
        connection.execute(
            "create temp view expiries as select campaign, version,"
            " json_extract(source, '$.expires')::bigint as expires from versions"
        )
        return connection.sql(engine.statement("tailrace.pipeline", "told_passes")).to_arrow_table()


def _compared(settings: Settings, told: pa.Table | None, otherwise: pa.Table | None, at: list[datetime]) -> pa.Table:
    with engine.connect(settings) as connection:
        with Journal.open(settings) as journal:
            for table in ("intents", "outcomes"):
                remember(connection, settings, journal, table, f"was_{table}")
        # Of no runs nothing is told, whatever the journal has.
        within = {"first": at[0] if at else None, "last": at[-1] if at else None}
        applied = "select * from was_intents where applied_at between $first::timestamp and $last::timestamp"
        values = {name: moment and clock.naive(moment) for name, moment in within.items()}
        connection.execute(f"create temp table really_told as {applied}", values)
        for name, given in (("told", told), ("otherwise", otherwise)):
            if given is not None:
                connection.register("given", given)
            rows = "really_told" if given is None else "given"
            connection.execute(
                f"create temp table {name} as select intent_id, person_id, campaign, step, message, channel, class,"
                f" applied_at as as_of from {rows}"
            )
        return connection.sql(engine.statement("tailrace.pipeline", "corrections")).to_arrow_table()


def _counted(rows: pa.Table) -> Iterator[CampaignCorrections]:
    counts: dict[str, dict[str, int]] = {}
    for row in rows.group_by(["campaign", "kind"]).aggregate([([], "count_all")]).to_pylist():
        counts.setdefault(row["campaign"], dict.fromkeys(KINDS, 0))[row["kind"]] = row["count_all"]
    for campaign in sorted(counts):
        yield CampaignCorrections(campaign, **counts[campaign])


def _assumed(is_cut: bool, at: list[datetime]) -> Iterator[str]:
    """Yield what the reader must know to read the rows right."""
    if not at:
        yield "No run was made since the earliest of the events: there is nothing that would have come out otherwise."
        return
    yield (
        "Each event is seen by the first run after it happened, as if it had waited in the inbox. A message that was"
        " not sent then is taken for accepted, a draft for approved, a webhook for answered with 200 and no body."
    )
    if is_cut:
        yield f"Plans of before {clock.iso(at[0])} are gone: what happened before then is history to these runs."
