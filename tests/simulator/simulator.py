"""What happens to each person in a run? docs/engine.md, one person and one step at a time.

Nothing of the engine is used here but the names of its words. The state is what the parent plan kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from tests.simulator import arbitration
from tests.simulator.arbitration import Said, Verdict
from tests.simulator.facts import Campaign, Facts
from tests.simulator.naming import Naming
from tests.simulator.passes import Move, Pass, Ran, Trigger, Way, bucket, key
from tests.simulator.scope import Scope, same, true
from tests.simulator.steps import Tree
from tests.simulator.walk import Walk

ENTRY = "(entry)"


@dataclass
class _Memory:
    """What plan.json keeps of a campaign."""

    status: str | None = None
    paused_at: datetime | None = None


class Simulator:
    """Keeps what plans keep, and makes the next of them."""

    def __init__(self, countries: Mapping[str, str] | None = None) -> None:
        self.passes: dict[str, dict[str, Pass]] = {}
        self.versions: dict[str, dict[str, Mapping[str, Any]]] = {}
        self.assignments: dict[tuple[str, int, str], str] = {}
        self.said: list[Said] = []
        self._memory: dict[str, _Memory] = {}
        self._deferred: frozenset[tuple[str, str]] = frozenset()
        self._countries = countries or {}
        self._naming = Naming(self._countries)

    def run(self, facts: Facts) -> Ran:
        """Make and apply the plan of this run."""
        ran = Ran()
        ways: list[tuple[Campaign, Pass, Way]] = []
        for campaign in sorted(facts.campaigns, key=lambda each: each.slug):
            ways += self._campaign(facts, campaign, ran)
        self.said = [each for each in self.said if each.intent not in facts.lost]
        verdicts, self.said = arbitration.judge(
            facts,
            [candidate for _, _, way in ways for _, candidate in way.candidates],
            self.said,
            self._standing(facts, ways),
            self._countries,
        )
        deferred = frozenset((each.enrollment, each.step) for each in verdicts if each.verdict == "defer")
        self._deferred = deferred
        decided = {each.intent: each for each in verdicts}
        for campaign, entered, way in ways:
            kept = _taken_back(way, deferred)
            ran.verdicts += [decided[candidate.intent] for _, candidate in kept.candidates]
            self._settle(facts, campaign, entered, kept, ran)
        return ran

    # -- one campaign ----------------------------------------------------------------------------------------------

    def _campaign(self, facts: Facts, campaign: Campaign, ran: Ran) -> list[tuple[Campaign, Pass, Way]]:
        slug, memory = campaign.slug, self._memory.setdefault(campaign.slug, _Memory())
        passes = self.passes.setdefault(slug, {})
        self.versions.setdefault(slug, {})[campaign.version] = campaign.definition
        self._resume(facts, campaign, memory, passes)
        if campaign.status != "draft":
            self._edit(campaign, passes, ran, facts.as_of)
        entering = self._enter(facts, campaign, memory, passes, ran)
        if facts.cause != "backfill":
            memory.status = campaign.status
        if campaign.status == "draft":
            return []
        active = [each for each in passes.values() if each.status == "active"]
        walk = Walk(facts, campaign, self.versions[slug], self.assignments, self._deferred)
        is_held = facts.cause == "backfill" or (campaign.status == "paused" and campaign.on_pause == "hold")
        ways = []
        for each in entering:
            passes[each.id] = each
        for each in [*passes.values()]:
            is_new = each.id in {new.id for new in entering}
            passes[each.id] = self._goal(facts, each, is_new=is_new)
        for each in [*active, *entering]:
            way = self._exit(facts, campaign, passes[each.id])
            if way is None:
                way = Way(rests=each.step) if is_held else walk.way(passes[each.id], is_new=each not in active)
            ways.append((campaign, passes[each.id], way))
        return ways

    def _resume(self, facts: Facts, campaign: Campaign, memory: _Memory, passes: dict[str, Pass]) -> None:
        if campaign.status == "paused":
            memory.paused_at = memory.paused_at or facts.as_of
        elif memory.paused_at is not None:
            if campaign.on_pause == "hold":
                shift = facts.as_of - memory.paused_at
                for each in passes.values():
                    if each.status == "active":
                        passes[each.id] = replace(each, arrived_at=each.arrived_at + shift)
            memory.paused_at = None

    def _edit(self, campaign: Campaign, passes: dict[str, Pass], ran: Ran, as_of: datetime) -> None:
        if campaign.on_edit == "keep":
            return
        today = Tree(campaign.definition["steps"])
        for each in [*passes.values()]:
            if each.status != "active" or each.version == campaign.version:
                continue
            if campaign.on_edit == "exit":
                ran.moves.append(Move(each.id, each.step, None))
                passes[each.id] = replace(each, status="edited", step=None, arrived_at=as_of)
                continue
            before = Tree(self.versions[campaign.slug][each.version]["steps"]).nodes[each.step or ""]
            now = today.nodes.get(before.id)
            if now is not None and now.kind == before.kind:
                passes[each.id] = replace(each, version=campaign.version)

    # -- who enters ------------------------------------------------------------------------------------------------

    def _enter(
        self, facts: Facts, campaign: Campaign, memory: _Memory, passes: dict[str, Pass], ran: Ran
    ) -> list[Pass]:
        named = self._naming.named(facts, campaign, was_live=memory.status == "live")
        each_one = campaign.definition["repeat"]["kind"] == "each_occurrence"
        first: dict[tuple[int, str], Trigger] = {}
        for each in sorted(named, key=lambda each: (each.due, each.occurrence, each.tie)):
            first.setdefault((each.person, each.occurrence if each_one else ""), each)
        named = list(first.values())
        entering: list[Pass] = []
        for each in named:
            made, reason, next_at = self._admit(facts, campaign, each, passes, ran)
            if reason is None:
                entering.append(made)
            else:
                ran.verdicts.append(
                    Verdict(
                        key(campaign.slug, ENTRY, made.id),
                        made.id,
                        campaign.slug,
                        ENTRY,
                        "skip",
                        reason,
                        next_at=next_at,
                    )
                )
        return entering

    def _admit(
        self, facts: Facts, campaign: Campaign, trigger: Trigger, passes: dict[str, Pass], ran: Ran
    ) -> tuple[Pass, str | None, datetime | None]:
        definition = campaign.definition
        repeat = definition["repeat"]
        occurrence = "" if repeat["kind"] == "never" else trigger.occurrence
        made = Pass(
            id=key(campaign.slug, str(trigger.person), occurrence),
            slug=campaign.slug,
            version=campaign.version,
            person=trigger.person,
            occurrence=occurrence,
            entered_at=trigger.due,
            arm=_arm(facts, campaign, trigger.person),
            step=None,
            arrived_at=facts.as_of,
            event=trigger.event,
        )
        if campaign.status != "live":
            return made, campaign.status, None
        if trigger.refused is not None:
            return made, trigger.refused, None
        mine = [each for each in passes.values() if each.person == trigger.person]
        running = [each for each in mine if each.status == "active"]
        reason, next_at = None, None
        if made.id in passes:
            reason = "already_enrolled"
        elif repeat["kind"] in ("after_exit", "every") and running:
            reason = None if definition["in_flight"] == "restart" else "in_flight"
        elif repeat["kind"] == "every" and mine:
            again = max(each.entered_at for each in mine) + timedelta(seconds=repeat["seconds"])
            if trigger.due < again:
                reason, next_at = "too_soon", again
        if reason is None and definition["filter"] is not None:
            scope = Scope(facts, trigger.person, trigger.event)
            reason = None if scope.holds(definition["filter"]) else "filtered"
        if reason is None:
            for each in running if definition["in_flight"] == "restart" else []:
                ran.moves.append(Move(each.id, each.step, None))
                passes[each.id] = replace(each, status="restarted", step=None, arrived_at=facts.as_of)
        return made, reason, next_at

    # -- goals and exits -------------------------------------------------------------------------------------------

    def _goal(self, facts: Facts, each: Pass, *, is_new: bool) -> Pass:
        goal = self.versions[each.slug][each.version]["goal"]
        if goal is None or each.goal_at is not None or each.status in ("ended", "edited", "exited", "restarted"):
            return each
        until = each.entered_at + timedelta(seconds=goal["within"])
        if goal["event"] is not None:
            hits = [
                event.at
                for event in facts.events
                if event.person == each.person
                and event.name == goal["event"]
                and each.entered_at < event.at <= min(until, facts.as_of)
                and true(facts, goal, event.properties)
                and same(goal, event.properties, each.event)
            ]
            return replace(each, goal_at=min(hits)) if hits else each
        change = facts.changes.get(goal["segment"], {}).get(each.person)
        reached = change is not None and (change.change, change.cause) == ("entered", "behaviour")
        return replace(each, goal_at=facts.as_of) if reached and not is_new and facts.as_of <= until else each

    def _exit(self, facts: Facts, campaign: Campaign, each: Pass) -> Way | None:
        definition = self.versions[each.slug][each.version]
        over = None
        if each.goal_at is not None and definition["goal"] is not None and definition["goal"]["exit"]:
            over = "converted"
        else:
            scope = Scope(facts, each.person, each.event, each.entered_at, each.id)
            for condition in definition["exit"]:
                left = condition == "left_trigger" and _left(facts, definition["trigger"], each.person)
                if left or (condition != "left_trigger" and scope.holds(condition)):
                    over = "exited"
                    break
            else:
                if campaign.status == "ended" and campaign.on_end == "exit":
                    over = "ended"
        if over is None:
            return None
        return Way(moves=[(-1, Move(each.id, each.step, None))], over=over)

    # -- what stays ------------------------------------------------------------------------------------------------

    def _standing(self, facts: Facts, ways: list[tuple[Campaign, Pass, Way]]) -> dict[int, set[str]]:
        """Return, by person, the campaigns in which an active treated pass stands after this run's walk."""
        standing: dict[int, set[str]] = {}
        for campaign, each, way in ways:
            considered = bool(way.candidates)
            if each.arm == "treated" and (way.over is None or considered):
                standing.setdefault(each.person, set()).add(campaign.slug)
        return standing

    def _settle(self, facts: Facts, campaign: Campaign, before: Pass, way: Way, ran: Ran) -> None:
        ran.moves += [move for _, move in way.moves]
        ran.acts += [act for _, act in way.acts]
        for _, step, name in way.assigned:
            self.assignments[campaign.slug, before.person, step] = name
        after = self.passes[campaign.slug][before.id]
        if way.over is not None:
            after = replace(after, status=way.over, step=None, arrived_at=facts.as_of)
        elif way.moves:
            after = replace(after, step=way.rests, arrived_at=facts.as_of)
        self.passes[campaign.slug][before.id] = after


def _taken_back(way: Way, deferred: frozenset[tuple[str, str]]) -> Way:
    """Return the way up to its deferred message, at which the person rests."""
    held = [(place, each) for place, each in way.candidates if (each.enrollment, each.step) in deferred]
    if not held:
        return way
    place, candidate = held[0]
    return Way(
        moves=[each for each in way.moves if each[0] <= place and each[1].to_step is not None],
        candidates=[each for each in way.candidates if each[0] <= place],
        acts=[each for each in way.acts if each[0] <= place],
        assigned=[each for each in way.assigned if each[0] <= place],
        rests=candidate.step,
    )


def _left(facts: Facts, trigger: Mapping[str, Any], person: int) -> bool:
    inside = person in facts.members[trigger["segment"]]
    return inside if trigger["on"] == "left" else not inside


def _arm(facts: Facts, campaign: Campaign, person: int) -> str:
    is_marketing = campaign.definition["class"] == "marketing"
    if is_marketing and bucket(person, "holdout:*") < facts.policy.holdout_bp:
        return "global_holdout"
    return "holdout" if bucket(person, f"holdout:{campaign.slug}") < campaign.definition["holdout_bp"] else "treated"
