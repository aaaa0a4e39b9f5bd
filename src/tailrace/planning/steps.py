"""How do a campaign's steps hang together? The tree of a definition as a flat list with every way that leads on.

The order is the definition's own, read from top to bottom (a step, then what stands in its branches, then the step
after it), so every way leads to a later step. The keys of a step are in docs/engine.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tailrace.planning.verdict import Why

KINDS = (
    "send",
    "wait",
    "wait_until",
    "if",
    "split",
    "webhook",
    "update",
    "notify",
    "add_to",
    "remove_from",
    "exit",
)
"""The key that says what a step does."""


@dataclass(frozen=True)
class Way:
    """One way that leads on from a step: its name, why one goes it, and the position it leads to (None: it ends)."""

    name: str
    why: Why
    to: int | None


@dataclass(frozen=True)
class Step:
    """A step in its place. `position` counts from 0; `facts` are the definition's, branches and all."""

    position: int
    id: str
    kind: str
    facts: Mapping[str, Any]
    ways: tuple[Way, ...]

    @property
    def successors(self) -> tuple[int | None, ...]:
        """The positions that the step leads to, each once; None is the end of the pass."""
        return tuple(dict.fromkeys(way.to for way in self.ways))


def kind_of(facts: Mapping[str, Any]) -> str:
    """Return what the step does; raises ValueError for one that this version of tailrace does not know."""
    for kind in KINDS:
        if kind in facts:
            return kind
    raise ValueError(f"step {facts.get('id')!r} has none of the keys {', '.join(KINDS)}; keys: {sorted(facts)}")


def steps_of(steps: Sequence[Mapping[str, Any]]) -> tuple[Step, ...]:
    """Return every step of the tree, branches included, in the order in which they are written."""
    return tuple(_laid_out(steps, 0, None))


def conditions_of(steps: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Yield the condition of every `if` and `wait_until` of the tree."""
    for step in steps_of(steps):
        if step.kind in ("if", "wait_until"):
            yield step.facts[step.kind]


def _branches(facts: Mapping[str, Any]) -> list[Sequence[Mapping[str, Any]]]:
    if kind_of(facts) == "split":
        return [arm["steps"] for arm in facts["split"]]
    return [facts["then"], facts["else"]] if kind_of(facts) in ("if", "wait_until") else []


def _size(steps: Sequence[Mapping[str, Any]]) -> int:
    return sum(1 + sum(_size(branch) for branch in _branches(facts)) for facts in steps)


def _laid_out(steps: Sequence[Mapping[str, Any]], first: int, after: int | None) -> Iterator[Step]:
    """Yield the steps from position `first` on; what comes after the last of them stands at `after`."""
    position = first
    for number, facts in enumerate(steps):
        branches = _branches(facts)
        following = position + 1 + sum(_size(branch) for branch in branches)
        joins = after if number == len(steps) - 1 else following
        starts: list[int | None] = []
        nested: list[Step] = []
        place = position + 1
        for branch in branches:
            starts.append(place if branch else joins)
            nested += _laid_out(branch, place, joins)
            place += _size(branch)
        yield Step(position, facts["id"], kind_of(facts), facts, _ways(facts, starts, joins))
        yield from nested
        position = following


def _ways(facts: Mapping[str, Any], starts: Sequence[int | None], joins: int | None) -> tuple[Way, ...]:
    kind = kind_of(facts)
    if kind == "split":
        return tuple(Way(arm["name"], Why.ARM, start) for arm, start in zip(facts["split"], starts, strict=True))
    if starts:
        return tuple(Way(str(why), why, start) for why, start in zip(_BRANCHES[kind], starts, strict=True))
    if kind == "exit":
        return (Way(str(Why.EXITED), Why.EXITED, None),)
    return tuple(Way(str(why), why, joins) for why in _REASONS.get(kind, (Why.PASSED,)))


_BRANCHES = {"if": (Why.YES, Why.NO), "wait_until": (Why.HAPPENED, Why.TIMED_OUT)}
_REASONS = {"wait": (Why.WAITED,), "webhook": (Why.ANSWERED, Why.UNANSWERED, Why.PASSED)}
