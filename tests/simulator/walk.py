"""Which steps does one pass take in a run?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tests.simulator.arbitration import Candidate
from tests.simulator.facts import Campaign, Facts
from tests.simulator.passes import Act, Move, Pass, Way, bucket, key
from tests.simulator.scope import Scope
from tests.simulator.steps import Node, Tree

THE_END = 10_000


@dataclass
class _State:
    """Where a pass is on its way: when what comes next is due, and whether it was considered for a message."""

    due: datetime
    said: bool = False
    resting: bool = False


class _Rests(Exception):
    """The pass rests at this step."""


class Walk:
    """Walks the passes of one campaign in one run."""

    def __init__(
        self,
        facts: Facts,
        campaign: Campaign,
        versions: Mapping[str, Mapping[str, Any]],
        assignments: Mapping[tuple[str, int, str], str],
        deferred: frozenset[tuple[str, str]],
    ) -> None:
        self._facts, self._campaign, self._versions, self._assignments = facts, campaign, versions, assignments
        self._deferred = deferred

    def way(self, each: Pass, *, is_new: bool) -> Way:
        """Return what the pass does from where it rests, or from the first step."""
        way = Way(rests=each.step)
        tree = Tree(self._versions[each.version]["steps"])
        node = tree.first if is_new else tree.nodes.get(each.step or "")
        if node is None:
            return way
        came, state = None, _State(each.entered_at if is_new else each.arrived_at, resting=not is_new)
        while node is not None:
            if not state.resting:
                way.moves.append((node.place, Move(each.id, came, node.id)))
            try:
                follows = self._step(each, node, state, way)
            except _Rests:
                way.rests = node.id
                return way
            if node.kind == "exit":
                way.moves.append((node.place, Move(each.id, node.id, None)))
                way.over = "exited"
                return way
            came, node, state.resting = node.id, follows, False
        way.moves.append((THE_END, Move(each.id, came, None)))
        way.over = "completed"
        return way

    def _step(self, each: Pass, node: Node, state: _State, way: Way) -> Node | None:
        """Do the step and return the next one (None: the end). Raises _Rests."""
        scope = Scope(self._facts, each.person, each.event, each.entered_at, each.id)
        if node.kind == "send":
            if state.said:
                raise _Rests
            way.candidates.append((node.place, self._candidate(each, node, "send", state.due)))
            state.said = True
        elif node.kind == "wait":
            self._wait(each, node, state)
        elif node.kind == "wait_until":
            return self._wait_until(each, node, state, scope)
        elif node.kind == "if":
            return node.branches["then" if scope.holds(node.facts["if"]) else "else"]
        elif node.kind == "split":
            return node.branches[self._arm(each, node, way)]
        elif node.kind == "webhook":
            self._webhook(each, node, state, way)
        elif node.kind == "notify":
            way.candidates.append((node.place, self._candidate(each, node, "notify", state.due, "staff")))
        elif node.kind in ("update", "add_to", "remove_from") and each.arm != "treated":
            way.candidates.append((node.place, self._candidate(each, node, node.kind, state.due, "act")))
        elif node.kind == "update":
            for name, value in node.facts["update"].items():
                way.acts.append((node.place, Act(each.id, node.id, "update", name, value)))
        elif node.kind in ("add_to", "remove_from"):
            kind = "add" if node.kind == "add_to" else "remove"
            way.acts.append((node.place, Act(each.id, node.id, kind, node.facts[node.kind], None)))
        return node.follows

    def _wait(self, each: Pass, node: Node, state: _State) -> None:
        ends = each.arrived_at + timedelta(seconds=node.facts["wait"])
        if not state.resting or ends > self._facts.as_of:
            raise _Rests
        state.due = ends

    def _wait_until(self, each: Pass, node: Node, state: _State, scope: Scope) -> Node | None:
        as_of = self._facts.as_of
        ends = (each.arrived_at if state.resting else as_of) + timedelta(seconds=node.facts["timeout"])
        if scope.holds(node.facts["wait_until"], until=ends):
            state.due = as_of
            return node.branches["then"]
        if ends > as_of:
            raise _Rests
        state.due = ends
        return node.branches["else"]

    def _webhook(self, each: Pass, node: Node, state: _State, way: Way) -> None:
        if not state.resting or (each.id, node.id) in self._deferred:
            way.candidates.append((node.place, self._candidate(each, node, "webhook", state.due, "action")))
            if each.arm == "treated":
                raise _Rests
            return
        expires = timedelta(seconds=self._versions[each.version]["expires"])
        if (each.id, node.id) not in self._facts.answers and each.arrived_at + expires > self._facts.as_of:
            raise _Rests
        state.due = self._facts.as_of

    def _arm(self, each: Pass, node: Node, way: Way) -> str:
        known = self._assignments.get((each.slug, each.person, node.id))
        if known is not None and known in node.branches:
            return known
        arms = node.facts["split"]
        place = bucket(each.person, f"split:{each.slug}:{node.id}") * sum(arm["weight"] for arm in arms)
        reached, name = 0, ""
        for arm in arms:
            name = str(arm["name"])
            reached += arm["weight"] * 10_000
            if place < reached:
                break
        way.assigned.append((node.place, node.id, name))
        return name

    def _candidate(self, each: Pass, node: Node, word: str, due: datetime, klass: str | None = None) -> Candidate:
        definition = self._versions[each.version]
        return Candidate(
            intent=key(each.slug, node.id, each.id),
            enrollment=each.id,
            campaign=self._campaign,
            step=node.id,
            message=str(node.facts[word]),
            person=each.person,
            klass=klass or definition["class"],
            topic=definition["topic"],
            arm=each.arm,
            due=due,
            expires=due + timedelta(seconds=definition["expires"]),
            window=definition["window"],
            event=each.event,
        )
