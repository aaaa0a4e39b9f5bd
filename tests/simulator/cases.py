"""Which worlds do engine and simulator have to agree on? Campaigns of all kinds, people, events, edits, schedules.

Everything is drawn by hypothesis from small pools, so that paths cross: few people, few events, few hours.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any

from hypothesis import strategies as st

from tailrace import ids
from tailrace.campaigns.conditions import compile_where
from tests.simulator.facts import Campaign, Limit, Policy

START = datetime(2026, 2, 27, 6, tzinfo=UTC)
PEOPLE = tuple(f"p{number}" for number in range(30))
SEGMENTS = ("seg_a", "seg_b", "seg_c")
EVENTS = ("opened_app", "bought", "broadcast_requested")
OBJECTS = ("acme", "globex")
ZONES = ("UTC", "Pacific/Auckland", "America/Los_Angeles", "Europe/Berlin", "Asia/Kathmandu", "Nowhere/Land", None)
HOUR, DAY = 3600, 86_400

Truth = Callable[[Mapping[str, Any]], bool]


def _number(row: Mapping[str, Any], name: str) -> float | None:
    value = row.get(name)
    return None if value is None else float(value)


_OF_EVENTS: dict[str, Truth] = {
    "amount > 10": lambda row: (_number(row, "amount") or 0) > 10,
    "kind = 'gift'": lambda row: row.get("kind") == "gift",
    "not (kind = 'gift')": lambda row: row.get("kind") is not None and row["kind"] != "gift",
    "kind is null": lambda row: row.get("kind") is None,
}
_OF_PEOPLE: dict[str, Truth] = {
    "plan = 'pro'": lambda row: row.get("plan") == "pro",
    "score >= 5": lambda row: row.get("score") is not None and row["score"] >= 5,
    "plan in ('free', 'pro') and score < 8": lambda row: (
        row.get("plan") in ("free", "pro") and row.get("score") is not None and row["score"] < 8
    ),
}
_OF_ANSWERS: dict[str, Truth] = {"risk > 3": lambda row: (_number(row, "risk") or 0) > 3}

_SQL = (
    {text: compile_where(text, source="properties").sql for text in _OF_EVENTS}
    | {text: compile_where(text, source="customer").sql for text in _OF_PEOPLE}
    | {text: compile_where(text, source="body").sql for text in _OF_ANSWERS}
)
TRUTHS: dict[str, Truth] = {_SQL[text]: truth for text, truth in (_OF_EVENTS | _OF_PEOPLE | _OF_ANSWERS).items()}
_COLUMNS = {
    "plan = 'pro'": ["plan"],
    "score >= 5": ["score"],
    "plan in ('free', 'pro') and score < 8": ["plan", "score"],
}


@dataclass(frozen=True)
class Happens:
    """An event that lands with this run: `minutes` after the case's start is when it happened."""

    person: str | None
    name: str
    minutes: int
    properties: Mapping[str, Any]
    object_id: str | None = None
    is_history: bool = False


@dataclass(frozen=True)
class Turn:
    """What is so at one run: everything but what earlier turns left."""

    minutes: int
    people: Mapping[str, Mapping[str, Any]]
    members: Mapping[str, frozenset[str]]
    objects: Mapping[str, frozenset[str]]
    object_members: frozenset[str]
    events: tuple[Happens, ...]
    campaigns: tuple[Campaign, ...]
    refused: frozenset[str]
    answers: Mapping[str, tuple[int, Mapping[str, Any]]]
    fails: int
    is_backfill: bool = False

    @property
    def as_of(self) -> datetime:
        return START + timedelta(minutes=self.minutes)


@dataclass(frozen=True)
class Case:
    """A policy and the runs under it, oldest first.

    `few` is the share of all people up to which goals and exits are asked of people first (planning.exits.FEW): it
    decides where passes are looked for, and nothing else.
    """

    policy: Policy
    turns: tuple[Turn, ...] = field(default_factory=tuple)
    few: float = 0.0


def _where(pool: Mapping[str, Truth]) -> st.SearchStrategy[dict[str, Any]]:
    def facts(text: str) -> dict[str, Any]:
        return {"where": text, "where_sql": _SQL[text]} | ({"columns": _COLUMNS[text]} if text in _COLUMNS else {})

    return st.sampled_from(sorted(pool)).map(facts)


def _maybe_where(pool: Mapping[str, Truth]) -> st.SearchStrategy[dict[str, Any]]:
    return st.just({"where": None, "where_sql": None}) | _where(pool)


def _one_in(number: int) -> st.SearchStrategy[bool]:
    return st.sampled_from([False] * (number - 1) + [True])


@st.composite
def conditions(
    draw: st.DrawFn,
    *,
    compares: bool,
    webhooks: tuple[str, ...] = (),
    since_entry: bool = True,
    depth: int = 2,
) -> dict[str, Any]:
    """Draw a condition; `webhooks` are the steps whose answers it may ask for.

    One that `compares` may ask for events that are the same as the one that started the pass.
    """
    kinds = (
        ["in", "event", "where"]
        + ["event"] * 2 * compares
        + (["response"] if webhooks else [])
        + (["all", "any", "not"] if depth else [])
    )
    kind = draw(st.sampled_from(kinds))
    inner = conditions(compares=compares, webhooks=webhooks, since_entry=since_entry, depth=depth - 1)
    if kind in ("all", "any"):
        return {kind: draw(st.lists(inner, min_size=1, max_size=3))}
    if kind == "not":
        return {"not": draw(inner)}
    if kind == "in":
        return {"in": draw(st.sampled_from(SEGMENTS))}
    if kind == "where":
        return draw(_where(_OF_PEOPLE))
    if kind == "response":
        status = draw(st.sampled_from(["2xx", "404", None]))
        return {"response": draw(st.sampled_from(webhooks)), "status": status, **draw(_maybe_where(_OF_ANSWERS))}
    spans = st.sampled_from([HOUR, 6 * HOUR, 2 * DAY])
    since = draw(st.just("entry") | spans) if since_entry else draw(spans)
    asked = {"event": draw(st.sampled_from(EVENTS[:2])), "since": since, **draw(_maybe_where(_OF_EVENTS))}
    return asked | draw(_maybe_same(compares))


def _maybe_same(compares: bool) -> st.SearchStrategy[dict[str, Any]]:
    alike = st.sampled_from([["cart"], ["cart"], ["kind"], ["cart", "kind"]]).map(lambda names: {"same": names})
    return st.just({}) | alike | alike if compares else st.just({})


def has_event(trigger: Mapping[str, Any]) -> bool:
    """Return whether an event starts each pass."""
    if trigger["kind"] in ("broadcast", "object"):
        return trigger["segment"] is None
    return trigger["kind"] == "event"


@st.composite
def steps(
    draw: st.DrawFn, *, compares: bool, prefix: str = "s", webhooks: tuple[str, ...] = (), depth: int = 2
) -> list[dict[str, Any]]:
    """Draw a list of steps with ids of their own."""
    made: list[dict[str, Any]] = []
    kinds = ["send"] * 5 + ["wait"] * 3 + ["webhook", "update", "notify", "add_to", "remove_from"]
    kinds += ["wait_until", "if", "split"] * 2 if depth else []
    for number in range(draw(st.integers(2, 5))):
        own = f"{prefix}{number}"
        kind = draw(st.sampled_from(kinds))
        inner = steps(compares=compares, prefix=f"{own}_t", webhooks=webhooks, depth=depth - 1)
        other: st.SearchStrategy[list[dict[str, Any]]] = st.just([]) | steps(
            compares=compares, prefix=f"{own}_e", webhooks=webhooks, depth=depth - 1
        )
        if kind == "wait":
            made.append({"id": own, "wait": draw(st.sampled_from([HOUR, 12 * HOUR, 2 * DAY]))})
        elif kind == "wait_until":
            condition = draw(conditions(compares=compares, webhooks=webhooks))
            timeout = draw(st.sampled_from([HOUR, DAY, 3 * DAY]))
            made.append(
                {"id": own, "wait_until": condition, "timeout": timeout, "then": draw(other), "else": draw(inner)}
            )
        elif kind == "if":
            made.append(
                {
                    "id": own,
                    "if": draw(conditions(compares=compares, webhooks=webhooks)),
                    "then": draw(inner),
                    "else": draw(other),
                }
            )
        elif kind == "split":
            weights = [draw(st.integers(0, 3)), draw(st.integers(1, 3))]
            arms = [draw(inner), draw(other)]
            made.append(
                {
                    "id": own,
                    "split": [
                        {"name": name, "weight": weight, "steps": arm}
                        for name, weight, arm in zip(("left", "right"), weights, arms, strict=True)
                    ],
                }
            )
        elif kind == "webhook":
            made.append({"id": own, "webhook": f"m_{own}"})
            webhooks = (*webhooks, own)
        elif kind == "update":
            made.append({"id": own, "update": {"stage": draw(st.sampled_from(["one", "two"]))}})
        elif kind in ("add_to", "remove_from"):
            made.append({"id": own, kind: "seg_manual"})
        else:
            made.append({"id": own, kind: f"m_{own}"})
    if draw(st.integers(0, 9)) == 0:
        made.append({"id": f"{prefix}_exit", "exit": True})
    return made


@st.composite
def triggers(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a trigger of any kind."""
    kind = draw(st.sampled_from(["segment"] * 4 + ["event"] * 4 + ["attribute", "date", "broadcast", "object"]))
    side = draw(st.sampled_from(["entered", "entered", "left"]))
    late = draw(st.sampled_from([None, 2 * HOUR]))
    where = draw(_maybe_where(_OF_EVENTS))
    if kind == "segment":
        return {"kind": kind, "segment": draw(st.sampled_from(SEGMENTS)), "on": side}
    if kind == "event":
        occurrence = draw(st.sampled_from([None, "cart"]))
        return {
            "kind": kind,
            "event": draw(st.sampled_from(EVENTS[:2])),
            "occurrence": occurrence,
            "late": late,
            **where,
        }
    if kind == "attribute":
        values = st.sampled_from([None, "free", "pro"])
        return {"kind": kind, "attribute": "plan", "from": draw(values), "to": draw(values)}
    if kind == "date":
        return {
            "kind": kind,
            "attribute": "born_on",
            "offset_days": draw(st.sampled_from([-2, 0, 1])),
            "at": draw(st.sampled_from([0, 9 * 60, 23 * 60 + 59])),
            "every": draw(st.sampled_from(["year", "month", "once"])),
        }
    if kind == "broadcast":
        at = (START + timedelta(hours=draw(st.integers(1, 60)))).strftime("%Y-%m-%dT%H:%M:%SZ")
        by_command = draw(st.booleans())
        return {
            "kind": kind,
            "segment": None if by_command else draw(st.sampled_from(SEGMENTS)),
            "at": None if by_command else at,
        }
    if draw(st.booleans()):
        return {
            "kind": kind,
            "object": "account",
            "event": "bought",
            "segment": None,
            "on": "entered",
            "late": late,
            **where,
        }
    nothing = {"event": None, "where": None, "where_sql": None, "late": None}
    return {"kind": kind, "object": "account", "segment": "seg_accounts", "on": side, **nothing}


@st.composite
def windows(draw: st.DrawFn) -> dict[str, Any] | None:
    """Draw a window, or none."""
    if not draw(_one_in(4)):
        return None
    days = sorted(draw(st.sets(st.integers(1, 7), min_size=1)))
    return {"days": days, "from": draw(st.sampled_from([0, 540, 1320])), "to": draw(st.sampled_from([60, 1080, 1440]))}


@st.composite
def campaigns(draw: st.DrawFn, slug: str) -> Campaign:
    """Draw a campaign."""
    trigger = draw(triggers())
    repeat = draw(st.sampled_from(["never", "after_exit", "every", "each_occurrence"]))
    if trigger.get("occurrence"):
        repeat = "each_occurrence"
    is_message = draw(st.sampled_from(["marketing", "marketing", "transactional"]))
    compares = has_event(trigger)
    leaves: list[Any] = [draw(conditions(compares=compares, depth=1))] if draw(_one_in(2 if compares else 4)) else []
    if trigger["kind"] == "segment" and draw(_one_in(4)):
        leaves.append("left_trigger")
    goal = None
    if draw(st.booleans()):
        by_event = compares or draw(st.booleans())
        goal = {
            "event": draw(st.sampled_from(EVENTS[:2])) if by_event else None,
            "segment": None if by_event else draw(st.sampled_from(SEGMENTS)),
            **(draw(_maybe_where(_OF_EVENTS)) if by_event else {"where": None, "where_sql": None}),
            "within": draw(st.sampled_from([6 * HOUR, 3 * DAY])),
            "exit": draw(st.booleans()),
            **draw(_maybe_same(compares and by_event)),
        }
    restarts = repeat == "after_exit" and trigger["kind"] in ("event", "form") and draw(st.booleans())
    enrolls = trigger["kind"] == "segment" and trigger["on"] == "entered" and not draw(_one_in(3))
    definition = {
        "slug": slug,
        "class": is_message,
        "topic": "tips" if is_message == "marketing" else None,
        "trigger": trigger,
        "existing": "enroll" if enrolls else "skip",
        "repeat": {"kind": repeat, "seconds": 2 * DAY if repeat == "every" else None},
        "in_flight": "restart" if restarts else "ignore",
        "filter": draw(conditions(compares=compares, since_entry=False, depth=1)) if draw(_one_in(4)) else None,
        "exit": leaves,
        "goal": goal,
        "holdout_bp": draw(st.sampled_from([0, 0, 0, 3000])),
        "expires": draw(st.sampled_from([6 * HOUR, 2 * DAY])),
        "window": draw(windows()),
        "steps": draw(steps(compares=compares)),
    }
    needs = draw(st.sampled_from([frozenset()] * 3 + [frozenset({("customer", "first_name")})]))
    return _campaign(slug, definition, needs, draw)


def _campaign(slug: str, definition: dict[str, Any], needs: frozenset[tuple[str, str]], draw: st.DrawFn) -> Campaign:
    names = [
        node[word] for node in every_step(definition["steps"]) for word in ("send", "notify", "webhook") if word in node
    ]
    return Campaign(
        slug=slug,
        version=version_of(definition),
        definition=definition,
        status=draw(st.sampled_from(["live"] * 12 + ["paused", "ended", "draft"])),
        sending=draw(st.sampled_from(["automatic", "automatic", "draft"])),
        priority=draw(st.sampled_from([10, 50, 90])),
        on_edit=draw(st.sampled_from(["keep", "move", "exit"])),
        on_pause=draw(st.sampled_from(["hold", "expire"])),
        on_end=draw(st.sampled_from(["exit", "drain"])),
        required=dict.fromkeys(names, needs),
    )


def version_of(definition: Mapping[str, Any]) -> str:
    """Return the version of a definition."""
    return ids.digest(json.dumps(definition, sort_keys=True))[:16]


def every_step(tree: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the steps of a tree, nested ones included."""
    found = []
    for step in tree:
        found.append(step)
        for inner in ("then", "else"):
            found += every_step(step.get(inner) or [])
        for arm in step.get("split") or []:
            found += every_step(arm["steps"])
    return found


# People and what they do come from a seed that hypothesis draws: thirty people with twenty events a run would be too
# many draws, and it is campaigns and schedules that a failing case has to be small in.


def people(lot: Random) -> dict[str, dict[str, Any]]:
    """Return everybody's columns."""
    return {
        name: {
            "email": lot.choice([f"{name}@example.com"] * 8 + ["shared@example.com", None]),
            "first_name": lot.choice([name.title(), name.title(), name.title(), None, " "]),
            "plan": lot.choice(["free", "pro", None]),
            "score": lot.choice([1, 5, 9, None]),
            "timezone": lot.choice(ZONES),
            "country": lot.choice(["NZ", "DE", None]),
            "born_on": lot.choice(
                [date(2000, 2, 29), date(1990, 3, 1), date(1985, 1, 31), date(2026, 2, 28), date(1970, 3, 2), None]
            ),
        }
        for name in PEOPLE
    }


def _some(lot: Random) -> frozenset[str]:
    density = lot.choice([0.1, 0.3, 0.6])
    return frozenset(name for name in PEOPLE if lot.random() < density)


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    """Draw what policy.yml says."""
    limit = st.builds(Limit, st.integers(1, 2), st.sampled_from([2 * DAY, 20 * DAY]), st.sampled_from([None, "email"]))
    quiet = st.tuples(st.just(frozenset(range(1, 8))), st.just(21 * 60), st.just(8 * 60))
    return Policy(
        holdout_bp=draw(st.sampled_from([0, 0, 2000])),
        timezone=draw(st.sampled_from(["UTC", "Pacific/Kiritimati"])),
        limits=tuple(draw(st.lists(limit, min_size=1, max_size=2))) if draw(st.booleans()) else (),
        quiet=draw(st.none() | quiet),
        exclusive=draw(st.sampled_from([(), (("c0", "c1"),), (("c1", "c2"), ("c0", "c2"))])),
    )


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Draw a case: three campaigns, edited now and then, over a handful of runs."""
    policy = draw(policies())
    now = [draw(campaigns(f"c{number}")) for number in range(3)]
    lot = Random(draw(st.integers(0, 2**32)))
    crowd = people(lot)
    turns: list[Turn] = []
    minutes = 0
    for _ in range(draw(st.integers(4, 7))):
        before = minutes
        is_backfill = bool(turns) and draw(_one_in(6))
        if not is_backfill:
            minutes += draw(st.sampled_from([60, 60, 60, 720, 720, 1440, 3000, 14_400]))
        if turns:
            crowd = {name: dict(row) for name, row in crowd.items()}
            for name in lot.sample(PEOPLE, lot.randint(0, 9)):
                crowd[name]["plan"] = lot.choice(["free", "pro", None])
                crowd[name]["score"] = lot.choice([1, 5, 9, None])
            now = [_edited(draw, each, f"n{len(turns)}_") for each in now]
        turns.append(
            Turn(
                minutes=minutes,
                people=crowd,
                members={segment: _some(lot) for segment in SEGMENTS},
                objects={each: _some(lot) for each in OBJECTS},
                object_members=draw(st.sets(st.sampled_from(OBJECTS)).map(frozenset)),
                events=tuple(_happens(lot, before, minutes, is_backfill) for _ in range(lot.randint(5, 25))),
                campaigns=tuple(now),
                refused=frozenset(lot.sample(PEOPLE, lot.randint(0, 3))),
                answers={},
                fails=draw(st.integers(0, 3)),
                is_backfill=is_backfill,
            )
        )
    return Case(policy, tuple(turns), draw(st.sampled_from((0.0, 1.0))))


def _happens(lot: Random, before: int, until: int, is_history: bool) -> Happens:
    name = lot.choice([*EVENTS[:2], *EVENTS])
    properties: dict[str, Any] = {"amount": lot.choice([5, 20]), "cart": lot.choice(["k1", "k2", "7", 7, 7.0, None])}
    kind = lot.choice(["gift", "own", None])
    if kind:
        properties["kind"] = kind
    if name == "broadcast_requested":
        properties |= {"campaign": lot.choice(["c0", "c1", "c2"]), "key": lot.choice(["one", "two"])}
    return Happens(
        person=lot.choice([*PEOPLE[:6], *PEOPLE[:6], *PEOPLE, None]),
        name=name,
        minutes=lot.choice([lot.randint(before, until), lot.randint(max(0, before - 6000), until + 300)]),
        properties=properties,
        object_id=lot.choice([*OBJECTS, None]),
        is_history=is_history or lot.random() < 0.05,
    )


def _edited(draw: st.DrawFn, campaign: Campaign, prefix: str) -> Campaign:
    what = draw(st.sampled_from([""] * 8 + ["status", "filter", "steps", "steps", "weights", "sending"]))
    definition = dict(campaign.definition)
    compares = has_event(definition["trigger"])
    if what == "status":
        return replace(campaign, status=draw(st.sampled_from(["live", "live", "paused", "ended"])))
    if what == "sending":
        return replace(campaign, sending="automatic" if campaign.sending == "draft" else "draft")
    if what == "filter":
        definition["filter"] = draw(st.none() | conditions(compares=compares, since_entry=False, depth=1))
    elif what == "steps":
        more = draw(steps(compares=compares, prefix=prefix, depth=1))
        definition["steps"] = [*definition["steps"][draw(st.integers(0, 1)) :], *more]
        webhooks = {step["id"] for step in every_step(definition["steps"]) if "webhook" in step}
        if not _responses(definition["steps"]) <= webhooks:
            return campaign
    elif what == "weights":
        definition = json.loads(json.dumps(definition))
        for step in every_step(definition["steps"]):
            for arm in step.get("split") or []:
                arm["weight"] = draw(st.integers(1, 3))
    names = [
        node[word] for node in every_step(definition["steps"]) for word in ("send", "notify", "webhook") if word in node
    ]
    needs = next(iter(campaign.required.values()), frozenset())
    required = {**campaign.required, **dict.fromkeys(names, needs)}
    return replace(campaign, version=version_of(definition), definition=definition, required=required)


def _responses(tree: list[dict[str, Any]]) -> set[str]:
    text = json.dumps(tree)
    return {step["id"] for step in every_step(tree)} & set(_asked(json.loads(text)))


def _asked(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["response"]] if "response" in value else []
        return own + [each for inner in value.values() for each in _asked(inner)]
    return [each for inner in value for each in _asked(inner)] if isinstance(value, list) else []
