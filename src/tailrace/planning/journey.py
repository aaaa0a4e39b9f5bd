"""Who moves on, and what does each step do? One campaign version compiles to one set-based statement.

The statement is a chain of common table expressions, one per step, in the order in which the steps are written; every
way leads forward, so whoever enters or goes on this run passes down the chain once. It reads

- `flight`: the version's active passes (enrollment_id, person_id, arm, entered_at, step, arrived_at);
- `entering`: passes that begin in this plan (enrollment_id, person_id, arm, entered_at, due_at);
- of both `event`, the properties of the event that started them, if a condition compares with it (`compares`);
- `assignments`: arms of splits that people have already (person_id, step, name);
- `responses`: outcomes of webhooks (enrollment_id, step, status_code, body); and what `condition` reads;
- the parameter `$as_of`.

It returns rows in no order: enrollment_id, person_id, position, kind, from_step, to_step, why, message, act, name,
due_at. Kinds: `move` (to to_step, null when the pass is over), `candidate` (send, notify, webhook: message), `act`
(update, add_to, remove_from: act is JSON text), `assign` (the person gets the arm `name` of the split to_step). What a
step does has the step's position and comes after the move to it; the end of a pass comes after every step. Who stays
where they are has no row, and so has a pass that rests on a step which this version does not have.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tailrace.engine import literal
from tailrace.planning.condition import NOW, needs, truth
from tailrace.planning.memberships import Bit
from tailrace.planning.steps import Step, Way, conditions_of, steps_of
from tailrace.planning.verdict import Why

_WHO = "enrollment_id, person_id, arm, entered_at"
_NOBODY = "(select null::varchar as enrollment_id, null::varchar as step limit 0)"


@dataclass(frozen=True)
class _Rule:
    """What a step kind says, as SQL over `here`: who is at the step because they arrived, or rested there.

    `way` is the name of the way that somebody goes, null to rest; `due_at` is when what follows is due; `does` is
    whether the step does its deed now. `due_at` and `does` may speak of `way`.
    """

    way: str
    due_at: str = "here.due_at"
    does: str = "false"


@dataclass(frozen=True)
class _Version:
    slug: str
    bits: Mapping[str, Bit]
    expires: int
    deferred: str
    compares: bool

    @property
    def who(self) -> str:
        """The columns of a pass that go down the chain with it. Properties are long: only where they are asked for."""
        return f"{_WHO}, event" if self.compares else _WHO


def compares(steps: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether a condition of the steps compares with the event that started the pass."""
    return bool(needs(conditions_of(steps)).same)


def compile_version(
    slug: str,
    steps: Sequence[Mapping[str, Any]],
    bits: Mapping[str, Bit],
    expires: int,
    deferred: str = _NOBODY,
    *,
    flight: str = "flight",
    entering: str | None = "entering",
    resting: Collection[str] | None = None,
) -> str:
    """Return the statement for the `steps` of a definition of the campaign `slug`.

    `expires` is the definition's, in seconds: a webhook waits that long for its answer. `deferred` is a relation
    (enrollment_id, step) of what the plan before deferred: a webhook that was is considered again. `flight` and
    `entering` are what to read for these two (None: nobody enters), `resting` the steps at which somebody in `flight`
    rests, None for any: steps that nobody comes to are left out, because to plan them is most of the statement's cost.
    """
    version = _Version(slug, bits, expires, deferred, compares(steps))
    known = steps_of(steps)
    into: dict[int | None, list[str]] = {step.position: [] for step in known} | {None: []}
    if entering is not None:
        into[0].append(_entering(version, entering))
    ctes, reached = [_looked_at(known, version, flight)], []
    for step in known:
        rests = resting is None or step.id in resting
        if not rests and not into[step.position]:
            continue
        reached.append(step)
        ctes.append(_at(step, version, into[step.position], flight if rests else None))
        for way in step.ways:
            into[way.to].append(_leaving(step, version, way))
    if not reached:
        return _NOTHING
    ctes += [_cte("walked", [_walked(step) for step in reached]), _cte("over", into[None])]
    return "with " + ",\n\n".join(ctes) + "\n\n" + _rows(len(known))


_NOTHING = (
    "select null::varchar as enrollment_id, null::bigint as person_id, 0 as position, null::varchar as kind,"
    " null::varchar as from_step, null::varchar as to_step, null::varchar as why, null::varchar as message,"
    " null::varchar as act, null::varchar as name, null::timestamp as due_at limit 0"
)


def _cte(name: str, arms: Sequence[str]) -> str:
    """Every CTE is materialized: one that is read twice and inlined would double the plan at each step."""
    return f"{name} as materialized (\n    " + "\n    union all\n    ".join(arms) + "\n)"


def _entering(version: _Version, entering: str) -> str:
    return (
        f"select {version.who}, false as is_considered, null::varchar as from_step, {literal(Why.ENTERED)} as why,"
        f" {NOW} as arrived_at, due_at from {entering}"
    )


def _leaving(step: Step, version: _Version, way: Way) -> str:
    """Who goes this way: as arrivals at the next step, or as those whose pass is over."""
    why = way.why if way.to is not None or step.kind == "exit" else Why.COMPLETED
    considered = "true" if step.kind == "send" else "is_considered"
    return (
        f"select {version.who}, {considered} as is_considered, {literal(step.id)} as from_step, {literal(why)} as why,"
        f" {NOW} as arrived_at, leaves_due_at as due_at from at_{step.position} where way = {literal(way.name)}"
    )


def _looked_at(known: Sequence[Step], version: _Version, flight: str) -> str:
    """Who may leave the step that they rest at, found in one pass over `flight` however many steps there are.

    Those who rest at a `wait_until` are left to their step: all of them have to be looked at.
    """
    clocks = [(step.id, int(step.facts.get("wait", 0))) for step in known if step.kind != "wait_until"]
    values = ", ".join(f"({literal(step)}, {seconds})" for step, seconds in clocks) or "(null::varchar, 0)"
    query = (
        f"select {version.who}, flight.arrived_at, flight.step\n"
        f"    from {flight} inner join (values {values}) as clocks(step, seconds) on clocks.step = flight.step\n"
        f"    where flight.arrived_at + to_seconds(clocks.seconds) <= {NOW}"
    )
    return _cte("resting", [query])


def _at(step: Step, version: _Version, arrivals: Sequence[str], flight: str | None) -> str:
    """Who arrives at the step in this run (`why` says why), or goes on from it, or has it done.

    `flight` is None when nobody rests there.
    """
    rule, here = _RULES[step.kind](step, version), list(arrivals)
    if flight is not None:
        here.append(
            f"select {version.who}, false as is_considered, null::varchar as from_step,"
            " null::varchar as why, arrived_at, arrived_at as due_at"
            f" from {flight if step.kind == 'wait_until' else 'resting'} where step = {literal(step.id)}"
        )
    together = "\n            union all\n            ".join(here)
    moving = "why is not null or way is not null or does"
    if step.kind in _PLAIN:
        query = (
            f"select here.*, {rule.way} as way, {rule.due_at} as leaves_due_at, {rule.does} as does\n"
            f"        from (\n            {together}\n        ) as here"
        ) + ("" if step.kind in _PASSING else f" where {moving}")
    else:
        going = f"(select here.*, {rule.way} as way from (\n            {together}\n        ) as here)"
        query = (
            "select * from (\n"
            f"        select here.*, {rule.due_at} as leaves_due_at, {rule.does} as does\n"
            f"        from {going} as here\n"
            f"    ) where {moving}"
        )
    return _cte(f"at_{step.position}", [query])


def _done(step: Step, version: _Version) -> _Rule:
    return _Rule("'passed'", does="true")


def _exit(step: Step, version: _Version) -> _Rule:
    return _Rule("'exited'")


def _send(step: Step, version: _Version) -> _Rule:
    return _Rule("case when not here.is_considered then 'passed' end", does="way is not null")


def _wait(step: Step, version: _Version) -> _Rule:
    ends = _after(step.facts["wait"])
    return _Rule(f"case when {ends} <= {NOW} then 'waited' end", ends)


def _wait_until(step: Step, version: _Version) -> _Rule:
    ends = _after(step.facts["timeout"])
    return _Rule(
        f"case when {_truth(step.facts['wait_until'], version, until=ends)} then 'happened'"
        f" when {ends} <= {NOW} then 'timed_out' end",
        f"case when way = 'timed_out' then {ends} else {NOW} end",
    )


def _if(step: Step, version: _Version) -> _Rule:
    return _Rule(f"case when {_truth(step.facts['if'], version)} then 'yes' else 'no' end")


def _truth(condition: Mapping[str, Any], version: _Version, until: str | None = None) -> str:
    return truth(
        condition,
        person="here.person_id",
        bits=version.bits,
        entered_at="here.entered_at",
        until=until,
        enrollment="here.enrollment_id",
        trigger="here.event" if version.compares else None,
    )


def _split(step: Step, version: _Version) -> _Rule:
    """Draw nobody anew: the arm that the person has, if this version has it too, else the one of their bucket."""
    names = ", ".join(literal(way.name) for way in step.ways)
    assigned = (
        "(select min(assignments.name) from assignments where assignments.person_id = here.person_id"
        f" and assignments.step = {literal(step.id)} and assignments.name in ({names}))"
    )
    weights = [int(arm["weight"]) for arm in step.facts["split"]]
    experiment = literal(f"split:{version.slug}:{step.id}")
    bucket = (
        f"('0x' || substr(md5(concat_ws(chr(31), {experiment}, here.person_id::varchar, '')), 1, 8))::bigint % 10000"
    )
    arms = " ".join(
        f"when {bucket} * {sum(weights)} < {sum(weights[: place + 1]) * 10_000} then {literal(way.name)}"
        for place, way in enumerate(step.ways)
    )
    return _Rule(f"coalesce({assigned}, case {arms} end)", does=f"{assigned} is null")


def _webhook(step: Step, version: _Version) -> _Rule:
    answered, deferred = (_listed(relation, step) for relation in ("responses", version.deferred))
    planned = f"(here.why is not null or {deferred})"
    return _Rule(
        f"case when here.arm <> 'treated' then 'passed' when {planned} then null"
        f" when {answered} then 'answered' when {_after(version.expires)} <= {NOW} then 'unanswered' end",
        f"case when way = 'passed' then here.due_at else {NOW} end",
        planned,
    )


def _listed(relation: str, step: Step) -> str:
    return (
        f"exists (select 1 from {relation} as listed where listed.enrollment_id = here.enrollment_id"
        f" and listed.step = {literal(step.id)})"
    )


def _after(seconds: int) -> str:
    return f"here.arrived_at + to_seconds({int(seconds)})"


_RULES: Mapping[str, Callable[[Step, _Version], _Rule]] = {
    "send": _send,
    "wait": _wait,
    "wait_until": _wait_until,
    "if": _if,
    "split": _split,
    "webhook": _webhook,
    "update": _done,
    "notify": _done,
    "add_to": _done,
    "remove_from": _done,
    "exit": _exit,
}


_PASSING = frozenset({"if", "split", "update", "notify", "add_to", "remove_from", "exit"})
"""The kinds at which nobody rests: whoever comes goes on."""

_PLAIN = _PASSING | {"send", "wait"}
"""The kinds whose way is asked once, or costs nothing to ask again: one select less to plan."""

_DEEDS = {"send": "candidate", "notify": "candidate", "webhook": "candidate", "split": "assign"}


def _walked(step: Step) -> str:
    """Everybody whom the step concerns in this run, with what the step is and does."""
    kind = _DEEDS.get(step.kind, "act")
    message = literal(step.facts[step.kind]) if kind == "candidate" else "null::varchar"
    act = "null::varchar"
    if kind == "act":
        act = literal(json.dumps({step.kind: step.facts[step.kind]}, sort_keys=True, ensure_ascii=False))
    name = "way" if kind == "assign" else "null::varchar"
    return (
        f"select enrollment_id, person_id, {step.position} as position, {literal(kind)} as deed, from_step,"
        f" {literal(step.id)} as step, why, {message} as message, {act} as act, {name} as name, due_at, does"
        f" from at_{step.position}"
    )


def _rows(last: int) -> str:
    return f"""select enrollment_id, person_id, position, 'move' as kind, from_step, step as to_step, why,
    null::varchar as message, null::varchar as act, null::varchar as name, due_at
from walked where why is not null
union all
select enrollment_id, person_id, position, deed as kind, null::varchar as from_step, step as to_step,
    null::varchar as why, message, act, name, due_at
from walked where does
union all
select enrollment_id, person_id, {last} as position, 'move' as kind, from_step, null::varchar as to_step, why,
    null::varchar as message, null::varchar as act, null::varchar as name, due_at
from over"""
