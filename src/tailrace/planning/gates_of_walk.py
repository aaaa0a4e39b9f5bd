"""What stands between a person on the way and the next message: goal, exits, the step they rest at, what follows?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from tailrace import ids
from tailrace.planning.gates import Case, Gate, condition_gate
from tailrace.planning.steps import Step, steps_of
from tailrace.planning.verdict import WHY_IN_WORDS, Why
from tailrace.planning.weighing import Pass, spoken


@dataclass(frozen=True)
class Ahead:
    """The gates up to the next message on the person's way, and its step (None: no message comes)."""

    gates: list[Gate]
    step: Step | None


def standing_gates(case: Case, standing: Mapping[str, Any], definition: Mapping[str, Any]) -> Iterator[Gate]:
    """Yield the pass itself, its goal and each of its exits; an open gate lets the pass go on."""
    seen = f"entered {standing['entered_at']:%Y-%m-%d %H:%M}, arm {standing['arm']}"
    if standing["status"] == "active":
        yield Gate("pass", True, seen)
    else:
        over = WHY_IN_WORDS.get(standing["status"], standing["status"])
        yield Gate("pass", False, f"{seen}; over: {over}", "another pass")
    goal = definition["goal"]
    if goal is not None:
        at = standing["goal_at"]
        reached = "not reached" if at is None else f"reached on {at:%Y-%m-%d %H:%M}"
        yield Gate("goal", at is None or not goal["exit"], reached, "the goal not to be reached" if at else "")
    for condition in definition["exit"]:
        yield _exit(case, condition, standing, definition)


def _exit(case: Case, condition: Any, standing: Mapping[str, Any], definition: Mapping[str, Any]) -> Gate:
    about = _about(standing)
    if condition == "left_trigger":
        trigger = definition["trigger"]
        inside = {"in": trigger.get("segment") or ""}
        left = inside if trigger.get("on") == "left" else {"not": inside}
        return condition_gate("exit", case, left, about, wanted=False)
    return condition_gate("exit", case, condition, about, wanted=False)


def way_ahead(case: Case, standing: Mapping[str, Any], definition: Mapping[str, Any]) -> Ahead:
    """Return the gates between where the person rests and the next message."""
    known = steps_of(definition["steps"])
    here = next((step for step in known if step.id == standing["step"]), None)
    if here is None:
        gate = Gate("step", False, f"rests at {standing['step']}, which the version does not have", "an edit")
        return Ahead([gate], None)
    if here.kind == "send":
        return Ahead([Gate("step", True, f"rests at {here.id}; considered again next run")], here)
    gates, step = [_resting(case, here, standing, known)], here
    while True:
        if _is_unsure(case, step, standing):
            return Ahead(gates, None)
        position = _next(case, step, standing)
        if position is None:
            break
        step = known[position]
        if step.kind == "send":
            return Ahead(gates, step)
        gates.append(_passing(case, step, standing))
    gates.append(Gate("way", False, "no message follows on this person's way", _turn(gates)))
    return Ahead(gates, None)


def _turn(gates: list[Gate]) -> str:
    """Return what would turn the way at its last condition."""
    return next((gate.change for gate in reversed(gates) if gate.change), "a step that sends")


def _about(standing: Mapping[str, Any], until: Any = None) -> Pass:
    return Pass(standing["enrollment_id"], standing["entered_at"], until, standing["event"])


def _resting(case: Case, step: Step, standing: Mapping[str, Any], known: Sequence[Step]) -> Gate:
    """Return the gate of the step that the person rests at."""
    as_of = case.evidence.as_of
    if step.kind == "wait":
        ends = standing["arrived_at"] + timedelta(seconds=step.facts["wait"])
        return _clock(case, step.id, ends, "the wait ends")
    if step.kind == "wait_until":
        ends = standing["arrived_at"] + timedelta(seconds=step.facts["timeout"])
        gate = condition_gate(step.id, case, step.facts["wait_until"], _about(standing, ends))
        ways = {way.name: way.to for way in step.ways}
        changes = [
            change
            for way, change in (
                (Why.HAPPENED, gate.change),
                (Why.TIMED_OUT, _clock(case, step.id, ends, "it gives up").change),
            )
            if change and _leads_to_a_message(known, ways[way])
        ]
        return replace(gate, holds=gate.holds or ends <= as_of, change="; or ".join(changes))
    rows = case.evidence.connection.execute(
        "select status_code from responses where enrollment_id = $enrollment and step = $step",
        {"enrollment": standing["enrollment_id"], "step": step.id},
    ).fetchall()
    return Gate(step.id, bool(rows), "answered" if rows else "the webhook has not been answered", "an answer")


def _leads_to_a_message(known: Sequence[Step], position: int | None) -> bool:
    """Return whether some way on from the step at `position` comes to a message."""
    if position is None:
        return False
    step = known[position]
    return step.kind == "send" or any(_leads_to_a_message(known, following) for following in step.successors)


def _clock(case: Case, name: str, ends: Any, what: str) -> Gate:
    left = ends - case.evidence.as_of
    if left <= timedelta():
        return Gate(name, True, f"{what} at {ends:%Y-%m-%d %H:%M}")
    moment = f"{ends:%H:%M}" if ends.date() == case.evidence.as_of.date() else f"{ends:%Y-%m-%d %H:%M}"
    return Gate(name, False, f"{what} at {ends:%Y-%m-%d %H:%M}", f"{spoken(left)} more: {what} at {moment}")


def _is_unsure(case: Case, step: Step, standing: Mapping[str, Any]) -> bool:
    """Return whether nobody can say any more which way the person would go."""
    if step.kind not in ("if", "wait_until"):
        return False
    return condition_gate(step.id, case, step.facts[step.kind], _about(standing)).holds is None


def _passing(case: Case, step: Step, standing: Mapping[str, Any]) -> Gate:
    """Return what is to be said of a step between here and the message, as things are now."""
    if step.kind == "wait":
        return Gate(step.id, None, f"then a wait of {spoken(timedelta(seconds=step.facts['wait']))}")
    if step.kind == "if":
        gate = condition_gate(step.id, case, step.facts["if"], _about(standing))
        turn = condition_gate(step.id, case, step.facts["if"], _about(standing), wanted=False)
        way = "then" if gate.holds else "else" if gate.holds is False else "unknown"
        change = gate.change if gate.holds is False else turn.change
        return replace(gate, holds=None if gate.holds is None else True, seen=f"{gate.seen} → {way}", change=change)
    if step.kind == "wait_until":
        gate = condition_gate(step.id, case, step.facts["wait_until"], _about(standing))
        return replace(gate, holds=None, seen=f"then a wait for: {gate.seen}")
    if step.kind == "split":
        return Gate(step.id, True, f"arm {_arm(case, step)}")
    return Gate(step.id, None, f"then {step.kind}")


def _arm(case: Case, step: Step) -> str:
    """Return the arm that the person has or gets: docs/engine.md, `split`."""
    names = [way.name for way in step.ways]
    if case.arms.get(step.id) in names:
        return case.arms[step.id]
    place = ids.bucket(case.evidence.person_id, f"split:{case.slug}:{step.id}")
    weights = [int(arm["weight"]) for arm in step.facts["split"]]
    return next(name for number, name in enumerate(names) if place * sum(weights) < sum(weights[: number + 1]) * 10_000)


def _next(case: Case, step: Step, standing: Mapping[str, Any]) -> int | None:
    """Return the place of the step that comes next for the person, as things are now."""
    ways = {way.name: way.to for way in step.ways}
    if step.kind == "split":
        return ways[_arm(case, step)]
    if step.kind == "if":
        holds = condition_gate(step.id, case, step.facts["if"], _about(standing)).holds
        return ways[Why.YES if holds else Why.NO]
    if step.kind == "wait_until":
        holds = condition_gate(step.id, case, step.facts["wait_until"], _about(standing)).holds
        return ways[Why.HAPPENED if holds else Why.TIMED_OUT]
    return next(iter(ways.values()))
