"""What of the world outside does a definition name? Read from its facts, as plans keep those of earlier versions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

What = Literal["segment", "object_segment", "object", "event", "column", "topic", "owned_attribute"]
Mention = tuple[What, str]
"""What is named, and its name."""

_OF_STEPS: Mapping[str, What] = {"add_to": "segment", "remove_from": "segment"}


def mentioned(definition: Mapping[str, Any]) -> tuple[Mention, ...]:
    """Return all that `Campaign.definition()` names: what reading the same campaign.yml notes as its references."""
    found = [*_of_trigger(definition["trigger"])]
    found += [("topic", definition["topic"])] if definition["topic"] else []
    for condition in (definition["filter"], *definition["exit"]):
        if isinstance(condition, Mapping):
            found += _of_condition(condition)
    found += _of_goal(definition["goal"] or {})
    found += _of_steps(definition["steps"])
    return tuple(dict.fromkeys(found))


def _of_trigger(trigger: Mapping[str, Any]) -> Iterator[Mention]:
    is_of_objects = trigger["kind"] == "object"
    if is_of_objects:
        yield "object", trigger["object"]
    if trigger.get("segment"):
        yield "object_segment" if is_of_objects else "segment", trigger["segment"]
    if trigger.get("event"):
        yield "event", trigger["event"]
    if trigger.get("attribute"):
        yield "column", trigger["attribute"]


def _of_goal(goal: Mapping[str, Any]) -> Iterator[Mention]:
    if goal.get("event"):
        yield "event", goal["event"]
    if goal.get("segment"):
        yield "segment", goal["segment"]


def _of_condition(condition: Mapping[str, Any]) -> Iterator[Mention]:
    for inner in (*condition.get("all", ()), *condition.get("any", ())):
        yield from _of_condition(inner)
    if "not" in condition:
        yield from _of_condition(condition["not"])
    if "in" in condition:
        yield "segment", condition["in"]
    if "event" in condition:
        yield "event", condition["event"]
    for column in condition.get("columns", ()):
        yield "column", column


def _of_steps(steps: Sequence[Mapping[str, Any]]) -> Iterator[Mention]:
    for step in steps:
        for kind in ("if", "wait_until"):
            yield from _of_condition(step.get(kind, {}))
        for kind, what in _OF_STEPS.items():
            if kind in step:
                yield what, step[kind]
        for name in step.get("update", ()):
            yield "owned_attribute", name
        for inner in (step.get("then", ()), step.get("else", ()), *(arm["steps"] for arm in step.get("split", ()))):
            yield from _of_steps(inner)
