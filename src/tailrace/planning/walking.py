"""What do those who can go on do in this run, in every campaign at once?

Works on the plan's connection, after `exits` has ended whom it ends: makes `flight` and `entering` for all campaigns,
has them walk (`journey`), and makes of what they do the rows of `moves`, `assigned`, `candidates` and `acts`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import duckdb
import pyarrow as pa

from tailrace import clock
from tailrace.engine import statement
from tailrace.planning import journey, relations
from tailrace.planning.run import CampaignSpec, Run
from tailrace.planning.steps import Step, steps_of
from tailrace.planning.verdict import Reason

_PACKAGE = "tailrace.planning"

_DEEDS = pa.schema(
    [
        ("campaign", pa.string()),
        ("version", pa.string()),
        ("step", pa.string()),
        ("class", pa.string()),
        ("channel", pa.string()),
        ("priority", pa.int32()),
        ("expires", pa.int64()),
        ("refused", pa.string()),
        ("trigger_segment", pa.string()),
        ("object", pa.string()),
    ]
)
_CHANGES = pa.schema(
    [
        ("campaign", pa.string()),
        ("version", pa.string()),
        ("step", pa.string()),
        ("kind", pa.string()),
        ("name", pa.string()),
        ("value", pa.string()),
    ]
)


class _Version(NamedTuple):
    """A version on which somebody can go on."""

    campaign: CampaignSpec
    version: str
    definition: Mapping[str, Any]
    steps: tuple[Step, ...]


def walk(
    connection: duckdb.DuckDBPyConnection,
    run: Run,
    campaigns: Sequence[CampaignSpec],
    versions: Mapping[str, Mapping[str, Mapping[str, Any]]],
) -> None:
    """Walk everybody who can go on, and add what they do to the tables of `enrollment.TABLES`.

    `versions` are each campaign's definitions by version. Only today's version is entered.
    """
    now = {"as_of": clock.naive(run.as_of)}
    connection.execute(f"create or replace temp table flight as {statement(_PACKAGE, 'flight')}", now)
    connection.execute(f"create or replace temp table entering as {statement(_PACKAGE, 'entering')}")
    walked = list(_walked(connection, campaigns, versions))
    if not walked:
        return
    journey.walk(
        connection,
        [journey.Version(each.campaign.slug, each.version, each.steps, each.definition["expires"]) for each in walked],
        run.bits,
        run.as_of,
        lambda slug: run.store.source(run.parent, f"assignments:{slug}", relations.ASSIGNMENTS),
    )
    connection.execute(
        "insert into moves select enrollment_id, campaign, version, person_id, position, from_step, to_step, why"
        " from walked where kind = 'move'"
    )
    connection.execute(
        "insert into assigned select campaign, enrollment_id, position, person_id, to_step, name"
        " from walked where kind = 'assign'"
    )
    _table(connection, "deeds", [row for version in walked for row in _deeds(version)], _DEEDS)
    _table(connection, "changes_of", [row for version in walked for row in _changes(version)], _CHANGES)
    for table in ("candidates", "acts"):
        connection.execute(f"insert into {table} by name {statement(_PACKAGE, table)}")


def _walked(
    connection: duckdb.DuckDBPyConnection,
    campaigns: Sequence[CampaignSpec],
    versions: Mapping[str, Mapping[str, Mapping[str, Any]]],
) -> Iterator[_Version]:
    walking = {campaign.slug: campaign for campaign in campaigns if campaign.walks}
    rows = connection.execute(
        "select campaign, version from flight union select campaign, version from entering order by all"
    ).fetchall()
    for slug, version in rows:
        if slug in walking:
            definition = versions[slug][version]
            yield _Version(walking[slug], version, definition, steps_of(definition["steps"]))


def _deeds(version: _Version) -> list[dict[str, Any]]:
    """Return of each step that does something what its candidates are: class, channel (None: no message), and so on."""
    campaign, definition = version.campaign, version.definition
    classes = {"send": definition["class"], "notify": "staff"}
    trigger = definition["trigger"]
    shared = {
        "campaign": campaign.slug,
        "version": version.version,
        "priority": campaign.priority,
        "expires": definition["expires"],
        "refused": str(Reason.PAUSED) if campaign.status == "paused" else None,
        "trigger_segment": trigger.get("segment") if trigger["kind"] in ("segment", "broadcast") else None,
        "object": trigger.get("object"),
    }
    rows = []
    for step in version.steps:
        spec = campaign.messages.get(step.facts[step.kind]) if step.kind in ("send", "notify", "webhook") else None
        rows.append(
            shared
            | {
                "step": step.id,
                "class": classes.get(step.kind, "action"),
                "channel": spec.channel if spec else "email" if step.kind == "send" else None,
            }
        )
    return rows


def _changes(version: _Version) -> list[dict[str, Any]]:
    """Return what each step changes of a person."""
    rows = []
    for step in version.steps:
        mine = {"campaign": version.campaign.slug, "version": version.version, "step": step.id}
        if step.kind == "update":
            rows += [
                mine | {"kind": "update", "name": name, "value": json.dumps(value, ensure_ascii=False)}
                for name, value in sorted(step.facts["update"].items())
            ]
        elif step.kind in ("add_to", "remove_from"):
            kind = "add" if step.kind == "add_to" else "remove"
            rows.append(mine | {"kind": kind, "name": step.facts[step.kind], "value": None})
    return rows


def _table(connection: duckdb.DuckDBPyConnection, name: str, rows: list[dict[str, Any]], schema: pa.Schema) -> None:
    connection.register("given", pa.Table.from_pylist(rows, schema=schema))
    connection.execute(f"create or replace temp table {name} as select * from given")
    connection.unregister("given")
