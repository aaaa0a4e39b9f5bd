"""Who moves on, and what does each step do? Everybody who can go on takes one step a round, until all of them rest.

Campaigns, versions and steps are rows: a round is a few statements, however many there are of them. Only a condition is
SQL of its own, which is asked once of everybody who stands at a step that has it. Every way leads to a later step, so
there are no more rounds than steps.

A walk reads tables of the plan's connection, in which a pass is known by its campaign and enrollment_id:

- `flight`: passes that may go on (campaign, version, enrollment_id, person_id, arm, entered_at, step, arrived_at);
- `entering`: passes that begin in this plan (the same, without step and arrived_at, but with due_at);
- `passes`: of both `event`, the properties of the event that started them;
- `responses`: outcomes of webhooks (enrollment_id, step, status_code, body);
- `postponed`: what the plan before deferred (campaign, enrollment_id, step): a webhook that was is considered again;
- and what `condition` reads.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

import duckdb
import pyarrow as pa

from tailrace import clock
from tailrace.engine import statement
from tailrace.planning import people
from tailrace.planning.condition import needs, truth
from tailrace.planning.memberships import Bit
from tailrace.planning.steps import Step
from tailrace.planning.verdict import Why

_PACKAGE = "tailrace.planning"

_STRIDES = (
    "create or replace temp table strides (pass bigint, place integer, from_place integer, kind varchar, why varchar,"
    " name varchar, due_at timestamp)"
)
_DECISIONS = "create or replace temp table decisions (pass bigint, way varchar, does boolean)"
_ASSIGNMENTS = (
    "create or replace temp table assignments (campaign varchar, person_id bigint, step varchar, name varchar)"
)

_STEPS = pa.schema(
    [
        ("place", pa.int32()),
        ("campaign", pa.string()),
        ("version", pa.string()),
        ("position", pa.int32()),
        ("n_steps", pa.int32()),
        ("step", pa.string()),
        ("kind", pa.string()),
        ("seconds", pa.int64()),
        ("condition", pa.int32()),
        ("message", pa.string()),
        ("deed", pa.string()),
    ]
)
_WAYS = pa.schema([("place", pa.int32()), ("way", pa.string()), ("why", pa.string()), ("leads_to", pa.int32())])
_ARMS = pa.schema(
    [
        ("place", pa.int32()),
        ("name", pa.string()),
        ("begins", pa.int64()),
        ("ends", pa.int64()),
        ("total", pa.int64()),
    ]
)

_HERE = "here inner join steps on steps.place = here.place inner join walkers on walkers.rowid = here.pass"

_DEEDS = {
    "send": "candidate",
    "notify": "candidate",
    "webhook": "candidate",
    "split": "assign",
    "update": "act",
    "add_to": "act",
    "remove_from": "act",
}


@dataclass(frozen=True)
class Version:
    """A version that somebody walks. `expires` is in seconds: a webhook waits that long for its answer."""

    campaign: str
    version: str
    steps: tuple[Step, ...]
    expires: int


class _Conditions:
    """The different conditions of the steps, by number. One of a `wait_until` counts nothing after its timeout."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._asked: list[tuple[Mapping[str, Any], bool]] = []

    def number(self, step: Step) -> int | None:
        if step.kind not in ("if", "wait_until"):
            return None
        condition, ends = step.facts[step.kind], step.kind == "wait_until"
        says = json.dumps([condition, ends], sort_keys=True)
        if says not in self._numbers:
            self._numbers[says] = len(self._asked)
            self._asked.append((condition, ends))
        return self._numbers[says]

    def columns(self, numbers: Iterable[int]) -> Collection[str]:
        """Return which columns of the person these conditions look at."""
        return needs(self._asked[number][0] for number in numbers).columns

    def holding(self, number: int, bits: Mapping[str, Bit]) -> str:
        """Return a select of the passes of `here` for which the condition holds."""
        condition, ends = self._asked[number]
        compares = bool(needs([condition]).same)
        holds = truth(
            condition,
            person="walkers.person_id",
            bits=bits,
            entered_at="walkers.entered_at",
            until="here.arrived_at + to_seconds(steps.seconds)" if ends else None,
            enrollment="walkers.enrollment_id",
            trigger="passes.event" if compares else None,
        )
        event = (
            " inner join passes on passes.campaign = walkers.campaign and passes.enrollment_id = walkers.enrollment_id"
        )
        return f"select here.pass from {_HERE}{event if compares else ''} where steps.condition = {number} and {holds}"


def walk(
    connection: duckdb.DuckDBPyConnection,
    versions: Sequence[Version],
    bits: Mapping[str, Bit],
    as_of: datetime,
    assignments: Callable[[str], str],
) -> None:
    """Make the view `walked`: what everybody does in this run, a row each, in no order.

    `assignments` gives of a campaign the relation (person_id, step, name) of the arms that people have already.

    Kinds: `move` (to to_step, null when the pass is over; why), `candidate` (send, notify, webhook: message), `act`
    (update, add_to, remove_from), `assign` (the person gets the arm `name` of the split to_step). What a step does has
    the step's position and comes after the move to it; the end of a pass comes after every step. Who stays where they
    are has no row, and so has a pass that rests on a step which its version does not have.
    """
    conditions = _Conditions()
    _lay_out(connection, versions, conditions)
    connection.execute(_STRIDES)
    connection.execute(_DECISIONS)
    _make(connection, "walkers", "walk_begins", as_of)
    _make(connection, "here", "walk_stands", as_of)
    while _ask(connection, conditions, bits, as_of, assignments):
        _make(connection, "going", "walk_goes", as_of)
        connection.execute(f"insert into strides {statement(_PACKAGE, 'walk_says')}")
        _make(connection, "here", "walk_leads", as_of)
    connection.execute(f"create or replace temp view walked as {statement(_PACKAGE, 'walked')}")


def _make(connection: duckdb.DuckDBPyConnection, table: str, name: str, as_of: datetime) -> None:
    query = statement(_PACKAGE, name)
    now = {"as_of": clock.naive(as_of)} if "$as_of" in query else {}
    connection.execute(f"create or replace temp table {table} as {query}", now)


def _lay_out(connection: duckdb.DuckDBPyConnection, versions: Sequence[Version], conditions: _Conditions) -> None:
    """Make `steps`, `ways` and `arms`: the versions as rows, in which every step is known by its place among all."""
    steps: list[dict[str, Any]] = []
    ways: list[dict[str, Any]] = []
    arms: list[dict[str, Any]] = []
    for version in versions:
        first = len(steps)
        for step in version.steps:
            place = first + step.position
            steps.append({"place": place, "condition": conditions.number(step)} | _step(step, version))
            ways += [{"place": place} | way for way in _ways(step, first)]
            arms += [{"place": place} | arm for arm in _arms(step)]
    for table, rows, schema in (("steps", steps, _STEPS), ("ways", ways, _WAYS), ("arms", arms, _ARMS)):
        connection.register("given", pa.Table.from_pylist(rows, schema=schema))
        connection.execute(f"create or replace temp table {table} as select * from given")
        connection.unregister("given")


def _step(step: Step, version: Version) -> dict[str, Any]:
    seconds = {"wait": "wait", "wait_until": "timeout"}
    deed = _DEEDS.get(step.kind)
    return {
        "campaign": version.campaign,
        "version": version.version,
        "position": step.position,
        "n_steps": len(version.steps),
        "step": step.id,
        "kind": step.kind,
        "seconds": version.expires if step.kind == "webhook" else int(step.facts.get(seconds.get(step.kind, ""), 0)),
        "message": step.facts[step.kind] if deed == "candidate" else None,
        "deed": deed,
    }


def _ways(step: Step, first: int) -> Iterator[dict[str, Any]]:
    """Yield the ways that lead on from the step of a version whose first step has the place `first`."""
    for way in step.ways:
        why = way.why if way.to is not None or step.kind == "exit" else Why.COMPLETED
        yield {"way": way.name, "why": str(why), "leads_to": None if way.to is None else first + way.to}


def _arms(step: Step) -> Iterator[dict[str, Any]]:
    """Yield the arms of a split, each with its piece of the weights' sum, laid end to end."""
    if step.kind != "split":
        return
    arms = step.facts["split"]
    bounds = [sum(int(arm["weight"]) for arm in arms[:place]) for place in range(len(arms) + 1)]
    for arm, (begins, ends) in zip(arms, pairwise(bounds), strict=True):
        yield {"name": arm["name"], "begins": begins, "ends": ends, "total": bounds[-1]}


def _ask(
    connection: duckdb.DuckDBPyConnection,
    conditions: _Conditions,
    bits: Mapping[str, Bit],
    as_of: datetime,
    assignments: Callable[[str], str],
) -> bool:
    """Note in `decisions` what decides the ways of those in `here`; return whether anybody is there."""
    kinds, asked = connection.execute(
        "select list(distinct kind), list(distinct condition order by condition) filter (condition is not null)"
        " from steps where place in (select place from here)"
    ).fetchall()[0]
    if kinds is None:
        return False
    now = {"as_of": clock.naive(as_of)}
    connection.execute("truncate decisions")
    people.describe(
        connection, conditions.columns(asked or ()), f"select person_id from {_HERE} where condition is not null"
    )
    for number in asked or ():
        query = conditions.holding(number, bits)
        connection.execute(f"insert into decisions by name {query}", now if "$as_of" in query else {})
    if "split" in kinds:
        _recall(connection, assignments)
        connection.execute(f"insert into decisions by name {statement(_PACKAGE, 'walk_draws')}")
    if "webhook" in kinds:
        connection.execute(f"insert into decisions by name {statement(_PACKAGE, 'walk_hears')}", now)
    return True


def _recall(connection: duckdb.DuckDBPyConnection, assignments: Callable[[str], str]) -> None:
    """Make `assignments`, the arms that those at a split have already."""
    connection.execute(_ASSIGNMENTS)
    splitting = connection.execute(f"select distinct walkers.campaign from {_HERE} where kind = 'split' order by all")
    for (slug,) in splitting.fetchall():
        connection.execute(
            f"insert into assignments select $campaign, person_id, step, name from {assignments(slug)} as kept where"
            f" person_id in (select person_id from {_HERE} where kind = 'split' and walkers.campaign = $campaign)",
            {"campaign": slug},
        )
