"""Who of those whom the trigger names enters, in which arm, and why do the others not?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import duckdb

from tailrace import clock, engine
from tailrace.engine import literal, statement
from tailrace.planning import people, relations
from tailrace.planning.condition import needs, truth
from tailrace.planning.passes import show_enrolled, stir
from tailrace.planning.run import CampaignSpec, Run
from tailrace.planning.verdict import ENTRY, Reason

_PACKAGE = "tailrace.planning"

EVERYWHERE = "*"
"""What the global holdout is drawn for, as if it were a campaign's slug."""

BY_STATUS = {"draft": Reason.DRAFT, "paused": Reason.PAUSED, "ended": Reason.ENDED}
"""Why nobody enters a campaign that has this status."""


def admit(connection: duckdb.DuckDBPyConnection, run: Run, campaign: CampaignSpec) -> None:
    """Make `entries` from `triggers`: who enters, and who is refused; add those to `passes`, these to `candidates`.

    With `in_flight: restart` the passes that theirs replace are over (`restarted`).
    """
    if not engine.row(connection, "select exists (select 1 from triggers)")[0]:
        return
    show_enrolled(connection, run, campaign.slug)
    definition = campaign.definition
    repeat, restarts = definition["repeat"], definition["in_flight"] == "restart"
    condition = definition["filter"]
    people.describe(connection, needs([condition] if condition else []).columns, "select person_id from triggers")
    query = statement(_PACKAGE, "entries")
    for name, text in (
        ("forever", relations.FOREVER),
        ("filter", _filter(run, condition) if condition else "true"),
        *holdouts(campaign).items(),
    ):
        query = query.replace(f"{{{name}}}", text)
    values: dict[str, Any] = {
        "campaign": campaign.slug,
        "repeat": repeat["kind"],
        "every": repeat["seconds"] or 0,
        "restarts": restarts,
        "status_refusal": BY_STATUS.get(campaign.status),
        "is_marketing": definition["class"] == "marketing",
        "global_holdout_bp": run.rules.holdout_bp,
        "holdout_bp": definition["holdout_bp"],
    }
    now = {"as_of": clock.naive(run.as_of)}
    _execute(connection, f"create or replace temp table entries as {query}", values | now)
    if restarts:
        _restart(connection, run, campaign)
    entered = statement(_PACKAGE, "entered")
    _execute(
        connection,
        f"insert into passes by name {entered}",
        {"campaign": campaign.slug, "version": campaign.version} | now,
    )
    _note_refused(connection, campaign)


def _filter(run: Run, condition: Mapping[str, Any]) -> str:
    return truth(condition, person="judged.person_id", bits=run.bits, trigger="judged.event")


def _note_refused(connection: duckdb.DuckDBPyConnection, campaign: CampaignSpec) -> None:
    """Add those who were refused to `candidates`."""
    connection.execute(
        f"insert into candidates by name {statement(_PACKAGE, 'refused_entries')}",
        {
            "campaign": campaign.slug,
            "version": campaign.version,
            "step": ENTRY,
            "class": campaign.definition["class"],
            "priority": campaign.priority,
        },
    )


def _restart(connection: duckdb.DuckDBPyConnection, run: Run, campaign: CampaignSpec) -> None:
    again = "person_id in (select person_id from entries where refused is null)"
    stir(connection, run, [campaign.slug], f"wake_at < {relations.FOREVER} and {again}")
    connection.execute(
        "update passes set over = 'restarted', is_changed = true"
        f" where campaign = $campaign and status = 'active' and over is null and {again}",
        {"campaign": campaign.slug},
    )


def holdouts(campaign: CampaignSpec) -> dict[str, str]:
    """Return SQL for the places that decide who is held out: of everything, and of the campaign."""
    return {"everywhere": _bucket(f"holdout:{EVERYWHERE}"), "here": _bucket(f"holdout:{campaign.slug}")}


def _bucket(experiment: str) -> str:
    """Return SQL for the place of `person_id` in [0, 10000) for the experiment: `ids.bucket`."""
    meaning = f"md5(concat_ws(chr(31), {literal(experiment)}, person_id::varchar, ''))"
    return f"('0x' || substr({meaning}, 1, 8))::bigint % 10000"


def _execute(connection: duckdb.DuckDBPyConnection, query: str, values: Mapping[str, Any]) -> None:
    """Run the statement with those of the values that it names: conditions may speak of `$as_of` or not."""
    connection.execute(query, {name: value for name, value in values.items() if f"${name}" in query})
