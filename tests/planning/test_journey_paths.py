"""Over any tree of steps, everybody takes one path, which a walk through the tree by hand takes too."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace import ids
from tests.examples import examples
from tests.planning.ground import DAY, NOW, Ground, choose, event, send, split, until, wait, words

SEGMENTS = ("seg_a", "seg_b", "seg_c")
EXPIRES = 43_200
RESTS = ("send", "wait", "wait_until", "webhook")

Steps = list[dict[str, Any]]


def _conditions() -> st.SearchStrategy[dict[str, Any]]:
    leaves = st.one_of(
        st.sampled_from([{"in": name} for name in SEGMENTS]),
        st.builds(event, st.sampled_from(["paid", "opened"]), st.sampled_from(["entry", 43_200, 86_400])),
        st.builds(
            lambda code: {"response": "hook", "status": code, "where_sql": None}, st.sampled_from(["2xx", "500"])
        ),
    )
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.builds(lambda found: {"all": found}, st.lists(inner, max_size=2)),
            st.builds(lambda found: {"any": found}, st.lists(inner, max_size=2)),
            st.builds(lambda found: {"not": found}, inner),
        ),
        max_leaves=3,
    )


def _step(inner: st.SearchStrategy[Steps]) -> st.SearchStrategy[dict[str, Any]]:
    hours = st.sampled_from([12, 24, 48]).map(lambda n: timedelta(hours=n))
    return st.one_of(
        st.builds(choose, st.just("?"), _conditions(), inner, inner),
        st.builds(until, st.just("?"), _conditions(), hours, inner, inner),
        st.builds(
            lambda a, b, x, y: split("?", x=(a, x), y=(b, y)), st.integers(0, 3), st.integers(1, 3), inner, inner
        ),
    )


_LEAVES = st.one_of(
    st.just(send("?")),
    st.sampled_from([12, 24, 48]).map(lambda n: wait("?", timedelta(hours=n))),
    st.sampled_from(
        [
            {"id": "?", "webhook": "hook"},
            {"id": "?", "update": {"stage": 1}},
            {"id": "?", "notify": "alert"},
            {"id": "?", "add_to": "vip"},
            {"id": "?", "remove_from": "vip"},
            {"id": "?", "exit": True},
        ]
    ),
)

TREES = st.lists(
    st.recursive(_LEAVES, lambda inner: _step(st.lists(inner, max_size=3)), max_leaves=10), min_size=1, max_size=5
)


def _named(steps: Steps, numbers: Iterator[int]) -> Steps:
    """Give each step an id of its own; the first webhook is called `hook`."""
    named: Steps = []
    for step in steps:
        own = {**step, "id": f"s{next(numbers)}"}
        for branch in ("then", "else"):
            if branch in step:
                own[branch] = _named(step[branch], numbers)
        if "split" in step:
            own["split"] = [{**arm, "steps": _named(arm["steps"], numbers)} for arm in step["split"]]
        named.append(own)
    return named


def _every(steps: Steps) -> Iterator[dict[str, Any]]:
    for step in steps:
        yield step
        for branch in (step.get("then", []), step.get("else", []), *(arm["steps"] for arm in step.get("split", []))):
            yield from _every(branch)


@dataclass
class Person:
    """Somebody on the ground: a pass that begins (`rests` is None) or rests."""

    number: int
    rests: str | None
    arrived: datetime
    entered: datetime
    arm: str
    segments: set[str]
    events: list[tuple[str, datetime]]
    answers: dict[str, int | None]
    assigned: dict[str, str]
    is_deferred: bool


class Rested(Exception):
    """The person stays at this step."""


class Over(Exception):
    """The pass is over."""


class Path:
    """The path of one person, taken step by step through the nested lists."""

    def __init__(self, person: Person) -> None:
        self.person, self.rows, self.came, self.said = person, [], None, False
        self.due = person.entered if person.rests is None else person.arrived
        self.looking_for = person.rests
        self.why = "entered"

    def taken(self, steps: Steps) -> list[tuple[Any, ...]]:
        """Return (kind, from_step, to_step, why, name, due_at) of each row, in order."""
        try:
            self._through(steps)
            if self.looking_for is None:
                self._over("completed")
        except (Rested, Over):
            pass
        return self.rows

    def _over(self, why: str) -> None:
        self.rows.append(("move", self.came, None, why, None, self.due))

    def _deed(self, kind: str, step: dict[str, Any], name: str | None = None) -> None:
        self.rows.append((kind, None, step["id"], None, name, self.due))

    def _through(self, steps: Steps) -> None:
        for step in steps:
            if self.looking_for is None:
                self.rows.append(("move", self.came, step["id"], self.why, None, self.due))
                self._at(step, arrived=NOW, is_new=True)
            elif self.looking_for == step["id"]:
                self.looking_for = None
                self._at(step, arrived=self.person.arrived, is_new=False)
            else:
                for branch in (step.get("then"), step.get("else"), *(arm["steps"] for arm in step.get("split", []))):
                    if self.looking_for is not None and branch:
                        self._through(branch)

    def _on(self, step: dict[str, Any], why: str, due: datetime | None = None) -> None:
        self.came, self.why, self.due = step["id"], why, due or self.due

    def _at(self, step: dict[str, Any], *, arrived: datetime, is_new: bool) -> None:
        if "send" in step:
            if self.said:
                raise Rested
            self.said = True
            self._deed("candidate", step)
            self._on(step, "passed")
        elif "wait" in step:
            ends = arrived + timedelta(seconds=step["wait"])
            if ends > NOW:
                raise Rested
            self._on(step, "waited", ends)
        elif "wait_until" in step:
            ends = arrived + timedelta(seconds=step["timeout"])
            if self._holds(step["wait_until"], min(NOW, ends)):
                self._on(step, "happened", NOW)
                self._through(step["then"])
            elif ends <= NOW:
                self._on(step, "timed_out", ends)
                self._through(step["else"])
            else:
                raise Rested
        elif "if" in step:
            is_true = self._holds(step["if"], NOW)
            self._on(step, "yes" if is_true else "no")
            self._through(step["then" if is_true else "else"])
        elif "split" in step:
            arm = self._arm(step)
            self._on(step, "arm")
            self._through(arm["steps"])
        elif "webhook" in step:
            self._ask(step, arrived, is_new=is_new)
        elif "exit" in step:
            self.came = step["id"]
            self._over("exited")
            raise Over
        else:
            self._deed("candidate" if "notify" in step else "act", step)
            self._on(step, "passed")

    def _ask(self, step: dict[str, Any], arrived: datetime, *, is_new: bool) -> None:
        is_planned = is_new or self.person.is_deferred
        if is_planned:
            self._deed("candidate", step)
        if self.person.arm != "treated":
            self._on(step, "passed")
        elif is_planned:
            raise Rested
        elif step["id"] in self.person.answers:
            self._on(step, "answered", NOW)
        elif arrived + timedelta(seconds=EXPIRES) <= NOW:
            self._on(step, "unanswered", NOW)
        else:
            raise Rested

    def _arm(self, step: dict[str, Any]) -> dict[str, Any]:
        arms = {arm["name"]: arm for arm in step["split"]}
        if self.person.assigned.get(step["id"]) in arms:
            return arms[self.person.assigned[step["id"]]]
        total = sum(arm["weight"] for arm in arms.values())
        place = ids.bucket(self.person.number, f"split:welcome:{step['id']}") / 10_000 * total
        reached = itertools.accumulate(arm["weight"] for arm in arms.values())
        arm = next(arm for arm, most in zip(arms.values(), reached, strict=True) if place < most)
        self._deed("assign", step, arm["name"])
        return arm

    def _holds(self, condition: dict[str, Any], now: datetime) -> bool:
        person = self.person
        if "in" in condition:
            return condition["in"] in person.segments
        if "not" in condition:
            return not self._holds(condition["not"], now)
        if "all" in condition:
            return all(self._holds(each, now) for each in condition["all"])
        if "any" in condition:
            return any(self._holds(each, now) for each in condition["any"])
        if "response" in condition:
            code = person.answers.get(condition["response"])
            return code is not None and str(code).startswith(condition["status"].rstrip("x"))
        times = [at for name, at in person.events if name == condition["event"] and at <= now]
        if condition["since"] == "entry":
            return any(at >= person.entered for at in times)
        return any(at > now - timedelta(seconds=condition["since"]) for at in times)


def _crowd(steps: Steps, dice: random.Random) -> list[Person]:
    """People who begin, and people who rest at each step where one may, with times on and beside the deadlines."""
    moments = [NOW - timedelta(hours=hours) for hours in (6, 12, 24, 36, 48, 72)]
    moments += [at + timedelta(seconds=s) for at in moments[:5] for s in (-1, 1)]
    places = [None, None, None, "gone"] + [s["id"] for s in _every(steps) if any(kind in s for kind in RESTS)] * 3
    splits = [step["id"] for step in _every(steps) if "split" in step]
    hooks = [step["id"] for step in _every(steps) if "webhook" in step]
    people = []
    for number, place in enumerate(places):
        arrived = dice.choice(moments)
        people.append(
            Person(
                number=number,
                rests=place,
                arrived=arrived,
                entered=arrived - dice.choice([timedelta(), DAY]),
                arm=dice.choice(["treated", "treated", "holdout"]),
                segments={name for name in SEGMENTS if dice.random() < 0.5},
                events=[(dice.choice(["paid", "opened"]), dice.choice(moments)) for _ in range(dice.randrange(3))],
                answers={hook: dice.choice([200, 500, None]) for hook in [*hooks, "hook"] if dice.random() < 0.5},
                assigned={name: dice.choice(["x", "y", "z"]) for name in splits if dice.random() < 0.5},
                is_deferred=place is not None and dice.random() < 0.3,
            )
        )
    return people


def _settle(ground: Ground, people: Sequence[Person]) -> None:
    ground.clear()
    passes = [(p, "welcome", "v1", f"e{p.number}", p.number, p.arm, p.entered) for p in people]
    ground.put("entering", *[(*facts, p.entered) for p, *facts in passes if p.rests is None])
    ground.put("flight", *[(*facts, p.rests, p.arrived) for p, *facts in passes if p.rests is not None])
    ground.put("current", *[(p.number, *words(p.segments)) for p in people])
    ground.put("wh.core.fct_events", *[(p.number, name, "track", at, "{}") for p in people for name, at in p.events])
    ground.put("responses", *[(f"e{p.number}", step, code, None) for p in people for step, code in p.answers.items()])
    ground.put("postponed", *[("welcome", f"e{p.number}", p.rests) for p in people if p.is_deferred])
    ground.put("kept", *[(p.number, step, arm) for p in people for step, arm in p.assigned.items()])


@pytest.fixture(scope="module")
def ground() -> Ground:
    return Ground()


@settings(max_examples=examples(25))
@given(tree=TREES, seed=st.integers(0, 2**32))
def test_everybody_takes_the_one_path_that_a_walk_by_hand_takes(ground: Ground, tree: Steps, seed: int) -> None:
    steps = _named(tree, itertools.count())
    dice = random.Random(seed)
    people = _crowd(steps, dice)

    _settle(ground, people)
    rows = ground.walk(steps, expires=EXPIRES)

    found: dict[int, list[Any]] = {person.number: [] for person in people}
    for row in rows:
        found[row["person_id"]].append(
            tuple(row[key] for key in ("kind", "from_step", "to_step", "why", "name", "due_at"))
        )
    assert found == {person.number: Path(person).taken(steps) for person in people}
    for person in people:
        _assert_one_chain(steps, person, [row for row in rows if row["person_id"] == person.number])

    dice.shuffle(people)
    _settle(ground, people)
    assert ground.walk(steps, expires=EXPIRES) == rows


def _assert_one_chain(steps: Steps, person: Person, rows: Sequence[dict[str, Any]]) -> None:
    """Moves chain from where the person was to one place where one may rest, or to the end."""
    kinds = {step["id"]: next(iter(step.keys() - {"id", "timeout", "then", "else"})) for step in _every(steps)}
    moves = [row for row in rows if row["kind"] == "move"]
    here = person.rests
    for move in moves:
        assert move["from_step"] == here
        here = move["to_step"]
    assert len({(row["position"], row["kind"]) for row in rows}) == len(rows)
    assert here in (None, "gone") or kinds[here] in RESTS
    assert person.rests is not None or moves
    assert sum(row["kind"] == "candidate" and kinds[row["to_step"]] == "send" for row in rows) <= 1
    assert {row["person_id"] for row in rows} <= {person.number}
