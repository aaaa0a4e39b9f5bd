"""How is a case played on the real engine, and told to the simulator?"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tailrace import ids
from tailrace.planning.arbitration import Hours, Limit, Rules
from tailrace.planning.run import CampaignSpec, MessageSpec
from tailrace.planning.store import Plan
from tests.planning.world import Segment, World
from tests.simulator.cases import OBJECTS, SEGMENTS, START, TRUTHS, Case, Turn
from tests.simulator.facts import Campaign, Change, Event, Facts
from tests.simulator.passes import Ran
from tests.simulator.simulator import Simulator

COUNTRIES = {"NZ": "Pacific/Auckland", "DE": "Europe/Berlin"}

Answer = tuple[int | None, Mapping[str, Any]]


@dataclass
class Player:
    """Plays turn after turn on both; keeps what the world has seen."""

    case: Case
    root: Path
    threads: int | None = None
    simulator: Simulator = field(default_factory=lambda: Simulator(COUNTRIES))
    _events: list[Event] = field(default_factory=list)
    _before: Mapping[str, frozenset[int]] | None = None
    _answers: dict[tuple[str, str], Answer] = field(default_factory=dict)
    _lost: set[str] = field(default_factory=set)
    _pending: list[tuple[str, str, str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Make the engine's world."""
        policy = self.case.policy
        self.world = World(self.root, threads=self.threads)
        self.world.segments = [Segment(name) for name in SEGMENTS]
        self.world.rules = Rules(
            timezone=policy.timezone,
            holdout_bp=policy.holdout_bp,
            topics={"tips": "subscribed"},
            limits=[Limit("marketing", limit.channel, limit.most, limit.seconds) for limit in policy.limits],
            quiet_hours=Hours(tuple(sorted(policy.quiet[0])), *policy.quiet[1:]) if policy.quiet else None,
            exclusive=policy.exclusive,
        )

    def play(self) -> Iterator[tuple[Plan, Ran]]:
        """Yield what the engine and the simulator made of each turn."""
        for number, turn in enumerate(self.case.turns):
            facts = self._facts(number, turn)
            ran = self.simulator.run(facts)
            self._set_world(turn)
            plan = self.world.plan(turn.as_of, cause="backfill" if turn.is_backfill else "scheduled")
            yield plan, ran
            self._reply(turn, ran)

    # -- to the simulator ------------------------------------------------------------------------------------------

    def _facts(self, number: int, turn: Turn) -> Facts:
        loads = set()
        for happens in turn.events:
            load = 2 * number + (2 if happens.is_history else 1)
            loads.add(load)
            self._events.append(
                Event(
                    event_id=f"e{len(self._events)}",
                    person=None if happens.person is None else ids.person_id(happens.person),
                    name=happens.name,
                    at=START + timedelta(minutes=happens.minutes),
                    landed_at=turn.as_of,
                    load=load,
                    properties=happens.properties,
                    object_id=happens.object_id,
                    is_history=happens.is_history,
                )
            )
            self._to_world(self._events[-1], happens.person)
        members = {name: _keys(people) for name, people in turn.members.items()}
        return Facts(
            as_of=turn.as_of,
            parent_as_of=self.case.turns[number - 1].as_of if number else None,
            people={ids.person_id(name): row for name, row in turn.people.items()},
            events=tuple(self._events),
            new_loads=frozenset(loads),
            members=members,
            changes=self._changes(members, "history" if turn.is_backfill else "behaviour"),
            cause="backfill" if turn.is_backfill else "scheduled",
            campaigns=turn.campaigns,
            policy=self.case.policy,
            objects={"account": {each: _keys(people) for each, people in turn.objects.items()}},
            object_members={"seg_accounts": turn.object_members},
            refused=_refused(turn),
            truths=TRUTHS,
            answers=dict(self._answers),
            lost=frozenset(self._lost),
        )

    def _changes(self, members: Mapping[str, frozenset[int]], cause: str) -> dict[str, dict[int, Change]]:
        before, self._before = self._before, members
        if before is None:
            return {name: dict.fromkeys(people, Change("entered", "baseline")) for name, people in members.items()}
        return {
            name: dict.fromkeys(people - before[name], Change("entered", cause))
            | dict.fromkeys(before[name] - people, Change("left", cause))
            for name, people in members.items()
        }

    def _reply(self, turn: Turn, ran: Ran) -> None:
        """Answer webhooks and lose messages, by what their ids are: both are told in the next turn."""
        for verdict in ran.verdicts:
            if verdict.verdict != "send":
                continue
            campaign = next(each for each in turn.campaigns if each.slug == verdict.campaign)
            lot = int(hashlib.md5(verdict.intent.encode()).hexdigest()[:4], 16)
            definitions = self.simulator.versions[campaign.slug].values()
            if any(_is_webhook(definition["steps"], verdict.step) for definition in definitions):
                if lot % 4:
                    code = (None, 200, 404, 500, 204)[lot % 5]
                    body = {"risk": lot % 7} if lot % 3 else {}
                    self._answers[verdict.enrollment, verdict.step] = (code, body)
                    self.world.responses.append(
                        {
                            "intent_id": verdict.intent,
                            "enrollment_id": verdict.enrollment,
                            "step": verdict.step,
                            "status_code": code,
                            "body": json.dumps(body),
                        }
                    )
            elif lot % 5 == turn.fails:
                self._lost.add(verdict.intent)
                self.world.outcomes.append({"intent_id": verdict.intent, "outcome": "rejected"})

    # -- to the engine ---------------------------------------------------------------------------------------------

    def _to_world(self, event: Event, user_id: str | None) -> None:
        if event.is_history:
            self.world.history.add(event.load)
        self.world.event(
            user_id,
            event.name,
            event.at,
            load=event.load,
            landed=event.landed_at,
            group=event.object_id,
            **event.properties,
        )

    def _set_world(self, turn: Turn) -> None:
        world = self.world
        world.people = {name: dict(row) for name, row in turn.people.items()}
        world.members = {name: set(people) for name, people in turn.members.items()}
        world.objects = [("account", each, {"name": each}) for each in OBJECTS]
        world.belongs = [("account", each, name) for each, people in turn.objects.items() for name in sorted(people)]
        world.object_members = {"seg_accounts": set(turn.object_members)}
        world.suppressions = [
            {"person_id": ids.person_id(name), "channel": "email", "reason": "bounced"} for name in sorted(turn.refused)
        ]
        world.campaigns = [_spec(each) for each in turn.campaigns]


def _spec(campaign: Campaign) -> CampaignSpec:
    return CampaignSpec(
        slug=campaign.slug,
        version=campaign.version,
        definition=campaign.definition,
        status=campaign.status,
        sending=campaign.sending,
        priority=campaign.priority,
        messages={
            name: MessageSpec(f"{campaign.slug}-{name}", "email", "md", "{}", fields, frozenset())
            for name, fields in campaign.required.items()
        },
        on_edit=campaign.on_edit,
        on_pause=campaign.on_pause,
        on_end=campaign.on_end,
    )


def _keys(people: frozenset[str]) -> frozenset[int]:
    return frozenset(ids.person_id(name) for name in people)


def _refused(turn: Turn) -> Any:
    dead = _keys(turn.refused)
    return lambda person, _channel, _class, _topic: "suppressed" if person in dead else None


def _is_webhook(steps: Any, step: str) -> bool:
    for each in steps:
        inner = [*(each.get("then") or []), *(each.get("else") or [])]
        inner += [nested for arm in each.get("split") or [] for nested in arm["steps"]]
        if (each["id"] == step and "webhook" in each) or _is_webhook(inner, step):
            return True
    return False


# -- what is compared ----------------------------------------------------------------------------------------------


def engine_passes(world: World, plan: Plan) -> dict[str, tuple[Any, ...]]:
    """Return the engine's enrollments by id."""
    columns = ("version", "person_id", "occurrence", "entered_at", "arm", "step", "arrived_at", "status", "goal_at")
    found: dict[str, tuple[Any, ...]] = {}
    for name in plan.relations:
        if name.startswith("enrollments:"):
            for row in world.rows(plan, name, "enrollment_id", *columns):
                assert row[0] not in found, "an enrollment stands twice"
                found[row[0]] = tuple(_aware(value) for value in row[1:])
    return found


def simulated_passes(simulator: Simulator) -> dict[str, tuple[Any, ...]]:
    """Return the simulator's enrollments by id."""
    return {
        each.id: (
            *(each.version, each.person, each.occurrence, each.entered_at, each.arm),
            *(each.step, each.arrived_at, each.status, each.goal_at),
        )
        for passes in simulator.passes.values()
        for each in passes.values()
    }


def engine_moves(world: World, plan: Plan) -> list[tuple[Any, ...]]:
    """Return the engine's transitions."""
    return world.rows(plan, "transitions", "enrollment_id", "from_step", "to_step")


def simulated_moves(ran: Ran) -> list[tuple[Any, ...]]:
    """Return the simulator's moves."""
    return sorted(((move.enrollment, move.from_step, move.to_step) for move in ran.moves), key=repr)


def engine_verdicts(world: World, plan: Plan) -> list[tuple[Any, ...]]:
    """Return the engine's verdicts on messages and entries."""
    columns = ("enrollment_id", "campaign", "step", "verdict", "reason", "deliver_after", "next_at")
    rows = world.rows(plan, "verdicts", *columns)
    return sorted((tuple(_aware(value) for value in row) for row in rows), key=repr)


def simulated_verdicts(ran: Ran) -> list[tuple[Any, ...]]:
    """Return the simulator's verdicts."""
    return sorted(
        (
            (each.enrollment, each.campaign, each.step, each.verdict, each.reason, each.deliver_after, each.next_at)
            for each in ran.verdicts
        ),
        key=repr,
    )


def engine_acts(world: World, plan: Plan) -> list[tuple[Any, ...]]:
    """Return the engine's acts."""
    return world.rows(plan, "acts", "intent_id", "kind", "name", "value")


def simulated_acts(ran: Ran, campaign_of: Mapping[str, str]) -> list[tuple[Any, ...]]:
    """Return the simulator's acts; `campaign_of` maps an enrollment to its campaign."""
    from tests.simulator.passes import key

    return sorted(
        (
            (
                key(campaign_of[act.enrollment], act.step, act.enrollment),
                act.kind,
                act.name,
                None if act.value is None else json.dumps(act.value),
            )
            for act in ran.acts
        ),
        key=repr,
    )


def _aware(value: Any) -> Any:
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) else value
