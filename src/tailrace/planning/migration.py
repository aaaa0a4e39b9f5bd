"""What becomes of people who are in flight on an older version of a campaign, and what would each choice give them?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import duckdb
import pyarrow as pa

from tailrace.planning import relations
from tailrace.planning.passes import show_enrolled, stir
from tailrace.planning.run import CampaignSpec, Run
from tailrace.planning.steps import Step, steps_of

_MOVABLE = pa.schema([("version", pa.string()), ("step", pa.string()), ("seconds", pa.int64())])

Versions = Mapping[str, Mapping[str, Any]]


def migration(
    connection: duckdb.DuckDBPyConnection, run: Run, campaign: CampaignSpec, versions: Versions
) -> list[dict[str, Any]]:
    """Return where people rest on older versions, if the campaign is another one than in the parent plan.

    A row per version and step: version, step, people, and the messages that come next under `keep`, `move` (None:
    they would stay on their version) and `exit` (none, ever).
    """
    if run.before(campaign.slug).get("version") in (None, campaign.version):
        return []
    show_enrolled(connection, run, campaign.slug)
    resting = connection.execute(
        f"select version, step, count(*) from enrolled where wake_at < {relations.FOREVER} and version <> $version"
        " group by all order by all",
        {"version": campaign.version},
    ).fetchall()
    return [
        {
            "version": version,
            "step": step,
            "people": people,
            "keep": upcoming(versions[version]["steps"], step),
            "move": upcoming(campaign.definition["steps"], step)
            if is_movable(versions[version], campaign.definition, step)
            else None,
            "exit": [],
        }
        for version, step, people in resting
    ]


def migrate(connection: duckdb.DuckDBPyConnection, run: Run, campaign: CampaignSpec, versions: Versions) -> None:
    """Do as `on_edit` says with the active passes on older versions, in `passes`.

    `move` puts those on today's version whose resting step it has too, of the same kind; `exit` ends all (`edited`).
    """
    if not may_migrate(campaign, versions):
        return
    older = "passes.campaign = $campaign and passes.status = 'active' and passes.version <> $version"
    values = {"campaign": campaign.slug, "version": campaign.version}
    stir(connection, run, [campaign.slug], f"wake_at < {relations.FOREVER} and version <> '{campaign.version}'")
    if campaign.on_edit == "exit":
        connection.execute(f"update passes set over = 'edited', is_changed = true where {older}", values)
        return
    movable = [
        {"version": version, "step": step.id, "seconds": _seconds(campaign.definition, step.id)}
        for version, definition in sorted(versions.items())
        for step in steps_of(definition["steps"])
        if version != campaign.version and is_movable(definition, campaign.definition, step.id)
    ]
    connection.register("movable", pa.Table.from_pylist(movable, schema=_MOVABLE))
    connection.execute(
        "update passes set version = $version, wake_at = arrived_at + to_seconds(movable.seconds), is_changed = true"
        f" from movable where {older} and movable.version = passes.version and movable.step = passes.step",
        values,
    )
    connection.unregister("movable")


def may_migrate(campaign: CampaignSpec, versions: Versions) -> bool:
    """Return whether there is another version than today's that passes may leave."""
    return campaign.on_edit != "keep" and len(versions) > 1


def is_movable(before: Mapping[str, Any], after: Mapping[str, Any], step: str) -> bool:
    """Return whether who rests at the step on one version can rest there on the other."""
    kinds = [{each.id: each.kind for each in steps_of(definition["steps"])} for definition in (before, after)]
    return step in kinds[0] and kinds[0][step] == kinds[1].get(step)


def upcoming(steps: Sequence[Mapping[str, Any]], resting: str) -> list[str]:
    """Return the messages that one who rests at the step may get next: one per way that leads on, in order."""
    known = steps_of(steps)
    start = next((step for step in known if step.id == resting), None)
    found: dict[int, str] = {}
    todo: list[Step] = [start] if start else []
    seen: set[int] = set()
    while todo:
        step = todo.pop()
        if step.position in seen:
            continue
        seen.add(step.position)
        if step.kind == "send":
            found[step.position] = step.facts["send"]
        else:
            todo += [known[position] for position in step.successors if position is not None]
    return [found[position] for position in sorted(found)]


def _seconds(definition: Mapping[str, Any], step: str) -> int:
    return next((int(each.facts.get("wait", 0)) for each in steps_of(definition["steps"]) if each.id == step), 0)
