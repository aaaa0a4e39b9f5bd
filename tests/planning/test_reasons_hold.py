"""A thousand people through four plans: nobody considered is dropped, and every stored reason is true, asked again.

The reasons are asked again in plain Python over what the test put into the world, one person at a time, in the order
of docs/engine.md; nothing here is the engine's SQL. The same people are then explained: the first shut gate is the
reason's.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest

from tailrace import clock, engine, ids
from tailrace.planning.arbitration import Limit, Rules, Sunset
from tailrace.planning.memberships import Bit, Cause
from tailrace.planning.reasoning import Reasons, read_case, reasons
from tailrace.planning.store import Plan
from tailrace.planning.verdict import ENTRY
from tailrace.planning.weighing import Evidence
from tests.planning.world import DAY, HOUR, START, Segment, World, campaign, event_trigger, goal, message

N = 1000
WEEK = 7 * 86_400
TOPICS = {"tips": "subscribed", "offers": "not_subscribed"}
SUNSET = Sunset(10, None)
CAP = Limit("marketing", "email", 2, WEEK)
PLAN_SQL = "coalesce(json_extract_string(customer, '$.plan') = 'pro', false)"
NAMED = {("customer", "plan")}

ENTRIES = {
    "draft": "status",
    "paused": "status",
    "ended": "status",
    "baseline": "cause",
    "held_definition": "cause",
    "late": "late",
    "already_enrolled": "repeat",
    "in_flight": "repeat",
    "too_soon": "repeat",
    "filtered": "filter",
}
MESSAGES = {
    "paused": "status",
    "suppressed": "consent",
    "unsubscribed": "consent",
    "unsubscribed_topic": "consent",
    "not_subscribed": "consent",
    "sunset": "consent",
    "global_holdout": "holdout",
    "holdout": "holdout",
    "no_address": "address",
    "missing_field": "data",
    "expired": "expiry",
    "duplicate_inbox": "inbox",
    "exclusive": "exclusive",
    "frequency_cap": "cap",
}


@dataclass
class Played:
    """One plan with what the world was like when it was made."""

    plan: Plan
    plan_id: str
    parent: Plan | None
    campaigns: dict[str, Any]
    rows: list[dict[str, Any]]
    before: dict[str, list[dict[str, Any]]]
    after: dict[str, list[dict[str, Any]]]
    members: dict[str, set[int]]
    edited: set[str]
    n_events: int


@dataclass
class Lives:
    """The world, its people by id, and what was said to them in each plan."""

    world: World
    people: dict[int, dict[str, Any]] = field(default_factory=dict)
    played: list[Played] = field(default_factory=list)


def campaigns(turn: int) -> list[Any]:
    steps: list[dict[str, Any]] = [
        {"id": "first", "send": "first"},
        {"id": "rest", "wait": 86_400},
        {"id": "second", "send": "second"},
    ]
    one: list[dict[str, Any]] = [{"id": "only", "send": "only"}]
    picky = {"only": message(*NAMED, key="picky")}
    return [
        campaign("welcome", steps=steps, holdout_bp=1000, priority=60, exit=[{"in": "seg_vip"}]),
        campaign(
            "orders",
            trigger=event_trigger("ordered"),
            steps=steps,
            repeat={"kind": "after_exit", "seconds": None},
            filter={"where_sql": PLAN_SQL, "columns": ["plan"], "where": "plan = 'pro'"},
            goal=goal(event="paid", exit=False),
        ),
        campaign(
            "again",
            trigger=event_trigger("ordered"),
            steps=one,
            topic="offers",
            repeat={"kind": "every", "seconds": 2 * 86_400},
            priority=70,
        ),
        campaign(
            "receipt",
            trigger=event_trigger("paid"),
            steps=one,
            class_="transactional",
            topic=None,
            messages=picky,
            repeat={"kind": "each_occurrence", "seconds": None},
        ),
        campaign(
            "gifts",
            trigger=event_trigger("visited"),
            steps=one,
            class_="transactional",
            topic=None,
            repeat={"kind": "each_occurrence", "seconds": None},
            filter={"not": {"event": "ordered", "where_sql": None, "same": ["shop"], "since": WEEK}},
        ),
        campaign("short", steps=one, window={"days": [1, 2, 3, 4, 5, 6, 7], "from": 540, "to": 600}, expires=3600),
        campaign("drafts", steps=one, sending="draft", priority=10, trigger=event_trigger("visited")),
        campaign(
            "off",
            steps=one,
            trigger=event_trigger("visited"),
            status="paused" if turn == 2 else "live",
            on_pause="expire",
            priority=5,
            expires=10 * 86_400,
            repeat={"kind": "each_occurrence", "seconds": None},
        ),
    ]


@pytest.fixture(scope="module")
def lives(tmp_path_factory: pytest.TempPathFactory) -> Lives:
    lot = random.Random(20260101)
    world = World(tmp_path_factory.mktemp("lives"))
    world.rules = Rules(
        holdout_bp=500, topics=TOPICS, limits=[CAP], exclusive=[["welcome", "orders", "again"]], sunset=SUNSET
    )
    found = Lives(world)
    users = [f"u{number}" for number in range(N)]
    for number, user in enumerate(users):
        shared = lot.random() < 0.05
        email = None if lot.random() < 0.05 else f"Desk{number % 20}@example.com" if shared else f"{user}@example.com"
        plan = lot.choice([None, "free", "pro", "pro"])
        found.people[world.person(user, email=email, plan=plan)] = {"email": email, "plan": plan, "user": user}
        _consent(world, lot, ids.person_id(user))
    world.engagement[0]["engaged_at"] = START.replace(tzinfo=None)
    for name in ("seg_trial", "seg_vip"):
        world.segment(name, *lot.sample(users, 30))
    for turn in range(4):
        as_of = START + turn * DAY
        if turn:
            _live(world, lot, users, turn, as_of)
        if turn == 3:
            world.segments = [Segment(s.name, "2" if s.name == "seg_trial" else s.fingerprint) for s in world.segments]
        world.campaigns = campaigns(turn)
        _play(found, as_of, {"seg_trial"} if turn == 3 else set())
    return found


def _consent(world: World, lot: random.Random, person: int) -> None:
    chance = lot.random()
    if chance < 0.03:
        world.suppressions.append({"person_id": person, "channel": "email", "reason": "bounce"})
    elif chance < 0.2:
        topic = lot.choice(["", "tips", "offers"])
        world.consents.append({"person_id": person, "channel": "", "topic": topic, "state": "unsubscribed"})
    elif chance < 0.7:
        world.consents.append({"person_id": person, "channel": "email", "topic": "offers", "state": "subscribed"})
    unanswered = 12 if lot.random() < 0.03 else 1
    world.engagement.append(
        {"person_id": person, "channel": "email", "n_unanswered": unanswered, "unanswered_since": None,
         "engaged_at": None}
    )  # fmt: skip


def _live(world: World, lot: random.Random, users: list[str], turn: int, as_of: datetime) -> None:
    for user in lot.sample(users, 700):
        name = lot.choice(["ordered", "ordered", "paid", "visited"])
        at = as_of - HOUR * lot.randint(1, 20)
        late = lot.random() < 0.1
        shop = len(world.events) % 3
        world.event(user, name, at - 5 * DAY if late else at, load=turn, landed=as_of, shop=shop)
    world.segment("seg_trial", *(set(lot.sample(users, 300)) | (world.members["seg_trial"] if turn < 3 else set())))
    world.segment("seg_vip", *lot.sample(users, 40))


def _play(lives: Lives, as_of: datetime, edited: set[str]) -> None:
    world = lives.world
    parent = world.store.read("HEAD") if world.store.head() else None
    plan_id = world.plan_id(as_of)
    plan = world.store.read(plan_id)
    slugs = [spec.slug for spec in world.campaigns]
    lives.played.append(
        Played(
            plan=plan,
            plan_id=plan_id,
            parent=parent,
            campaigns={spec.slug: spec for spec in world.campaigns},
            rows=_rows(world, plan, "verdicts"),
            before={slug: _rows(world, parent, f"enrollments:{slug}") if parent else [] for slug in slugs},
            after={slug: _rows(world, plan, f"enrollments:{slug}") for slug in slugs},
            members={name: {ids.person_id(user) for user in users} for name, users in world.members.items()},
            edited=edited,
            n_events=len(world.events),
        )
    )


def _rows(world: World, plan: Plan, relation: str) -> list[dict[str, Any]]:
    table = world.store.table(plan, relation)
    return [] if table is None else table.to_pylist()


# -- the reasons, asked again ----------------------------------------------------------------------------------------


class Asked:
    """One plan's verdicts, asked again."""

    def __init__(self, lives: Lives, played: Played, number: int) -> None:
        self.lives, self.played, self.number = lives, played, number
        self.world, self.people = lives.world, lives.people
        self.as_of = played.plan.as_of.replace(tzinfo=None)
        self.messages = [row for row in played.rows if row["step"] != ENTRY]
        self.judged = {row["enrollment_id"] for row in self.messages}
        self.events: dict[tuple[int, str, datetime], list[dict[str, Any]]] = {}
        for event in self.world.events[: played.n_events]:
            key = (ids.person_id(event["user_id"]), event["event"], event["event_at"])
            self.events.setdefault(key, []).append(event)
        self.said_to: dict[int, list[dict[str, Any]]] = {}
        for row in [row for earlier in lives.played[:number] for row in earlier.rows] + self.messages:
            if row["verdict"] == "send" and row["class"] == "marketing":
                self.said_to.setdefault(row["person_id"], []).append(row)
        self.now = {row["intent_id"] for row in self.messages}
        self.engaged = {each["person_id"]: each["n_unanswered"] for each in self.world.engagement}
        self.consents = _by_person(self.world.consents)
        self.suppressed = {each["person_id"] for each in self.world.suppressions}
        self.before = {slug: _by_person(rows) for slug, rows in played.before.items()}
        self.after = {slug: _by_person(rows) for slug, rows in played.after.items()}
        alone = [row for row in self.messages if not any(self._alone(row))]
        self.winners: dict[tuple[Any, ...], int] = {}
        for row in sorted(alone, key=lambda row: hashlib.md5(str(row["person_id"]).encode()).hexdigest()):
            self.winners.setdefault(self._inbox(row), row["person_id"])

    def _inbox(self, row: Mapping[str, Any]) -> tuple[Any, ...]:
        return row["campaign"], row["step"], self.people[row["person_id"]]["email"].lower()

    def entry(self, row: Mapping[str, Any]) -> str | None:
        """Return the first reason that refuses the entry, or None."""
        return next(self._entry(row), None)

    def _entry(self, row: Mapping[str, Any]) -> Iterator[str]:
        spec = self.played.campaigns[row["campaign"]]
        definition, person = spec.definition, row["person_id"]
        if spec.status != "live":
            yield spec.status
        trigger = definition["trigger"]
        if trigger["kind"] == "segment":
            if self.played.parent is None:
                yield "baseline"
            if trigger["segment"] in self.played.edited:
                yield "held_definition"
        elif self._landed_late(person, trigger["event"], row["due_at"]):
            yield "late"
        passes = self.before[row["campaign"]].get(person, [])
        kind = definition["repeat"]["kind"]
        if any(each["enrollment_id"] == row["enrollment_id"] for each in passes) or (kind == "never" and passes):
            yield "already_enrolled"
        if kind in ("after_exit", "every") and any(each["status"] == "active" for each in passes):
            yield "in_flight"
        if kind == "every" and passes:
            free = max(each["entered_at"] for each in passes) + timedelta(seconds=definition["repeat"]["seconds"])
            if row["due_at"] < free:
                assert row["next_at"] == free
                yield "too_soon"
        if row["campaign"] == "orders" and self.people[person]["plan"] != "pro":
            yield "filtered"
        if row["campaign"] == "gifts" and self._ordered_in_the_same_shop(person, row["due_at"]):
            yield "filtered"

    def _ordered_in_the_same_shop(self, person: int, visited_at: datetime) -> bool:
        (visit,) = self.events[person, "visited", visited_at]
        since = self.as_of - timedelta(seconds=WEEK)
        return any(
            since < at <= self.as_of and event["properties"] == visit["properties"]
            for (whose, name, at), events in self.events.items()
            if (whose, name) == (person, "ordered")
            for event in events
        )

    def _landed_late(self, person: int, name: str, at: datetime) -> bool:
        events = self.events[person, name, at]
        return all(event["landed_at"] - event["event_at"] > timedelta(days=3) for event in events)

    def said(self, row: Mapping[str, Any]) -> str | None:
        """Return the first reason against the message, or None."""
        alone = next(self._alone(row), None)
        if alone is not None:
            return alone
        if self.winners[self._inbox(row)] != row["person_id"]:
            return "duplicate_inbox"
        if row["class"] != "marketing":
            return None
        return "exclusive" if self._rival(row) else "frequency_cap" if self._full(row) else None

    def _alone(self, row: Mapping[str, Any]) -> Iterator[str]:
        """Yield what stands against the message whoever else gets what."""
        spec = self.played.campaigns[row["campaign"]]
        definition, person = spec.definition, self.people[row["person_id"]]
        marketing, topic = row["class"] == "marketing", definition["topic"]
        mine = self.consents.get(row["person_id"], [])
        if spec.status == "paused" and self.as_of <= row["expires_at"]:
            yield "paused"
        if row["person_id"] in self.suppressed:
            yield "suppressed"
        if marketing:
            withdrawn = {each["topic"] for each in mine if each["state"] == "unsubscribed"}
            yield from ["unsubscribed"] if "" in withdrawn else ["unsubscribed_topic"] if topic in withdrawn else []
            if TOPICS[topic] != "subscribed" and not any(each["state"] == "subscribed" for each in mine):
                yield "not_subscribed"
            if self.engaged[row["person_id"]] >= 10:
                yield "sunset"
            if ids.bucket(row["person_id"], "holdout:*") < 500:
                yield "global_holdout"
        if ids.bucket(row["person_id"], f"holdout:{row['campaign']}") < definition["holdout_bp"]:
            yield "holdout"
        if person["email"] is None:
            yield "no_address"
        if row["campaign"] == "receipt" and person["plan"] is None:
            yield "missing_field:customer.plan"
        if self.as_of > row["expires_at"] or (row["campaign"] == "short" and self._nine() > row["expires_at"]):
            yield "expired"

    def _nine(self) -> datetime:
        return self.as_of.replace(hour=9)  # runs are at six

    def _rival(self, row: Mapping[str, Any]) -> bool:
        group = ["again", "welcome", "orders"]  # by priority
        rivals = group[: group.index(row["campaign"])] if row["campaign"] in group else []
        return any(self._stands(rival, row["person_id"]) for rival in rivals)

    def _stands(self, slug: str, person: int) -> bool:
        treated = [each for each in self.after[slug].get(person, []) if each["arm"] == "treated"]
        return any(each["status"] == "active" or each["enrollment_id"] in self.judged for each in treated)

    def _full(self, row: Mapping[str, Any]) -> bool:
        since, rank = self.as_of - timedelta(seconds=CAP.seconds), _rank(row)
        heard = [
            each["deliver_after"]
            for each in self.said_to.get(row["person_id"], [])
            if (_rank(each) < rank if each["intent_id"] in self.now else each["deliver_after"] > since)
        ]
        if len(heard) < CAP.most:
            return False
        free = sorted(heard)[-CAP.most] + timedelta(seconds=CAP.seconds)
        assert row["next_at"] == free, "the message is eligible when the oldest of the newest leaves the span"
        return True


def _by_person(rows: list[dict[str, Any]]) -> dict[int, list[dict[str, Any]]]:
    found: dict[int, list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(row["person_id"], []).append(row)
    return found


def _rank(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return -row["priority"], row["expires_at"], row["intent_id"]


def _asked(lives: Lives) -> Iterator[tuple[Asked, dict[str, Any]]]:
    for number, played in enumerate(lives.played):
        asked = Asked(lives, played, number)
        for row in played.rows:
            yield asked, row


def test_everybody_considered_is_sent_to_deferred_or_skipped(lives: Lives) -> None:
    for played in lives.played:
        counts = played.plan.counts
        kinds = [row["verdict"] for row in played.rows]
        assert counts["considered"] == counts["send"] + counts["defer"] + counts["skip"] == len(kinds)
        assert [kinds.count(kind) for kind in ("send", "defer", "skip")] == [
            counts["send"], counts["defer"], counts["skip"]
        ]  # fmt: skip
        told = played.plan.campaigns.values()
        shown = sum(sum(entry["not_entered"].values()) for entry in told)
        for entry in told:
            for said in entry["messages"].values():
                shown += said["send"] + sum(said["defer"].values()) + sum(said["skip"].values())
        assert shown == counts["considered"]


def test_every_stored_reason_is_the_first_that_is_true_when_it_is_asked_again(lives: Lives) -> None:
    for asked, row in _asked(lives):
        again = asked.entry(row) if row["step"] == ENTRY else asked.said(row)
        stored = None if row["verdict"] == "send" else row["reason"]
        assert again == stored, (asked.number, row)
        is_draft = row["verdict"] == "send" and row["campaign"] == "drafts"
        assert (row["reason"] == "awaiting_approval") == is_draft


def test_the_world_of_this_test_knows_the_reasons(lives: Lives) -> None:
    found = {(row["step"] == ENTRY, (row["reason"] or "").partition(":")[0]) for _, row in _asked(lives)}

    assert {reason for is_entry, reason in found if is_entry} >= set(ENTRIES) - {"draft", "ended"}
    assert {reason for is_entry, reason in found if not is_entry} >= {*MESSAGES, "", "awaiting_approval"}
    gifts = {row["reason"] for _, row in _asked(lives) if row["campaign"] == "gifts"}
    assert gifts >= {"filtered", None}


def test_whom_no_rule_refuses_has_entered(lives: Lives) -> None:
    for number, played in enumerate(lives.played[1:], start=1):
        asked = Asked(lives, played, number)
        for slug, rows in played.after.items():
            known = {row["enrollment_id"] for row in played.before[slug]}
            for row in (row for row in rows if row["enrollment_id"] not in known):
                entry = row | {"due_at": row["entered_at"], "campaign": slug, "next_at": None}
                assert asked.entry(entry) is None


# -- the same people, explained --------------------------------------------------------------------------------------


def explained(lives: Lives, played: Played, slug: str, person: int, connection: Any) -> Reasons:
    known = Evidence(
        connection=connection,
        person_id=person,
        as_of=clock.naive(played.plan.as_of),
        bits={name: Bit(name, entry["bit"], Cause.BEHAVIOUR, None) for name, entry in played.plan.segments.items()},
        knows_events=True,
        knows_people=True,
    )
    store = lives.world.store
    specs = played.campaigns
    return reasons(read_case(known, store, played.plan_id, played.plan, slug, rules=lives.world.rules, specs=specs))


def test_the_first_shut_gate_is_the_stored_reasons_and_something_would_open_it(lives: Lives) -> None:
    lot = random.Random(7)
    for played in lives.played:
        last = {(row["campaign"], row["person_id"]): row for row in sorted(played.rows, key=_step)}
        by_reason: dict[tuple[bool, str], list[Any]] = {}
        for key, row in last.items():
            by_reason.setdefault((row["step"] == ENTRY, row["reason"] or ""), []).append((key, row))
        with engine.connect(lives.world.settings) as connection:
            engine.attach(connection, lives.world.settings.warehouse, "wh")
            source = lives.world.store.source(played.plan, "memberships", "")
            connection.execute(f"create temp table current as select * from {source}")
            connection.execute(
                "create temp table responses (enrollment_id varchar, step varchar, status_code integer, body varchar)"
            )
            for rows in by_reason.values():
                for (slug, person), row in lot.sample(rows, min(3, len(rows))):
                    _compare(row, explained(lives, played, slug, person, connection))


def _step(row: Mapping[str, Any]) -> tuple[bool, str]:
    return row["step"] != ENTRY, row["step"]


def _compare(row: Mapping[str, Any], found: Reasons) -> None:
    reason = (row["reason"] or "").partition(":")[0]
    if row["verdict"] == "send":
        assert (found.shut, found.change, found.verdict, found.step) == (None, None, "send", row["step"])
    elif row["step"] == ENTRY and found.step is not None:
        assert reason in ("in_flight", "already_enrolled", "late", "too_soon", "paused")  # a pass is under way
    else:
        wanted = ENTRIES[reason] if row["step"] == ENTRY else MESSAGES[reason]
        assert found.shut == wanted, (row, json.dumps([gate.name for gate in found.gates]))
        assert found.change
