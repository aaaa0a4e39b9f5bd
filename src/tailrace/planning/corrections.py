"""Whom does a person's `send now` bring into a campaign, at which message, and why not the others?

A choice names passes that would have begun, had a backfill's events come in time, each with the message at which it is
to go on. Such a pass begins in this plan at that message, as if it had rested there since the message was due; all that
follows is as for any pass: goal, exits, the walk, arbitration. What began it is read from the warehouse again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import duckdb
import pyarrow as pa

from tailrace import clock
from tailrace.engine import statement
from tailrace.planning import relations
from tailrace.planning.admission import BY_STATUS, holdouts
from tailrace.planning.passes import show_enrolled
from tailrace.planning.run import CampaignSpec, Run
from tailrace.planning.steps import steps_of
from tailrace.planning.verdict import CORRECTION, Why

_PACKAGE = "tailrace.planning"

_MESSAGES = ("send", "notify", "webhook")

_STEPS = pa.schema([("step", pa.string()), ("position", pa.int32())])

CHOSEN = pa.schema(
    [
        ("choice", pa.int64()),
        ("enrollment_id", pa.string()),
        ("campaign", pa.string()),
        ("step", pa.string()),
        ("person_id", pa.int64()),
        ("occurrence", pa.string()),
        ("entered_at", pa.timestamp("us")),
        ("due_at", pa.timestamp("us")),
        ("object_id", pa.string()),
        ("source", pa.string()),
        ("event_id", pa.string()),
    ]
)
"""A pass of a choice; `choice` is the choice's number, (source, event_id) the event that began it, if one did."""


@dataclass(frozen=True)
class Chosen:
    """What people chose to send now and no plan has considered: `rows` are of `CHOSEN`."""

    rows: pa.Table = field(default_factory=CHOSEN.empty_table)

    @property
    def numbers(self) -> tuple[int, ...]:
        """The choices that are considered."""
        return tuple(sorted(set(self.rows.column("choice").to_pylist())))

    @property
    def slugs(self) -> frozenset[str]:
        """The campaigns that they are about."""
        return frozenset(self.rows.column("campaign").to_pylist())


def show(connection: duckdb.DuckDBPyConnection, chosen: Chosen) -> None:
    """Make `chosen`, the passes of the choices, and `corrections_at`, empty: the places at which they begin."""
    connection.register("given", chosen.rows)
    connection.execute("create or replace temp table chosen as select * from given")
    connection.unregister("given")
    connection.execute(
        "create or replace temp table corrections_at (campaign varchar, enrollment_id varchar, position integer)"
    )


def take_up(connection: duckdb.DuckDBPyConnection, run: Run, campaign: CampaignSpec) -> None:
    """Add the passes of `chosen` that begin to `passes`, and those that do not to `candidates`, each with its reason.

    Comes after the trigger: whom it names in the same plan has a pass already.
    """
    definition = campaign.definition
    steps = [
        {"step": step.id, "position": step.position} for step in steps_of(definition["steps"]) if step.kind in _MESSAGES
    ]
    connection.register("given", pa.Table.from_pylist(steps, schema=_STEPS))
    connection.execute("create or replace temp table chosen_steps as select * from given")
    connection.unregister("given")
    show_enrolled(connection, run, campaign.slug)
    query = statement(_PACKAGE, "corrections").replace("{forever}", relations.FOREVER)
    for name, sql in holdouts(campaign).items():
        query = query.replace(f"{{{name}}}", sql)
    repeat = definition["repeat"]
    values: dict[str, Any] = {
        "campaign": campaign.slug,
        "status_refusal": BY_STATUS.get(campaign.status),
        "repeat": repeat["kind"],
        "every": repeat["seconds"] or 0,
        "is_each": repeat["kind"] == "each_occurrence" and _has_own_occurrences(definition["trigger"]),
        "is_marketing": definition["class"] == "marketing",
        "global_holdout_bp": run.rules.holdout_bp,
        "holdout_bp": definition["holdout_bp"],
    }
    connection.execute(f"create or replace temp table corrections as {query}", values)
    facts = {"campaign": campaign.slug, "version": campaign.version}
    connection.execute(
        f"insert into passes by name {statement(_PACKAGE, 'corrected')}", facts | {"as_of": clock.naive(run.as_of)}
    )
    connection.execute(
        "insert into corrections_at select $campaign, enrollment_id, position from corrections where refused is null",
        {"campaign": campaign.slug},
    )
    of_all = {"step": CORRECTION, "class": definition["class"], "priority": campaign.priority}
    connection.execute(f"insert into candidates by name {statement(_PACKAGE, 'uncorrected')}", facts | of_all)


def note_moves(connection: duckdb.DuckDBPyConnection) -> None:
    """Add to `moves` that the passes begin at their message; those that a goal or an exit ended have moved out."""
    connection.execute(
        "insert into moves select passes.enrollment_id, passes.campaign, passes.version, passes.person_id,"
        " corrections_at.position, null, passes.step, $why from passes"
        " inner join corrections_at on corrections_at.campaign = passes.campaign"
        " and corrections_at.enrollment_id = passes.enrollment_id where passes.is_new and passes.over is null",
        {"why": str(Why.CORRECTED)},
    )


def _has_own_occurrences(trigger: Any) -> bool:
    """Return whether an occurrence says what happened, and not in which run it was seen."""
    match trigger["kind"]:
        case "event" | "form" | "date" | "broadcast":
            return True
        case "object":
            return trigger["segment"] is None
        case _:
            return False
