"""Who of those whom a trigger names enters, and why the others do not."""

from datetime import datetime
from typing import Any

import pytest

from tailrace import ids
from tailrace.planning.arbitration import Rules
from tests.planning.world import DAY, HOUR, START, World, campaign, event_trigger, goal

WAITS = [{"id": "hello", "send": "hello"}, {"id": "rest", "wait": 5 * 86_400}, {"id": "bye", "send": "bye"}]
AFTER_EXIT = {"kind": "after_exit", "seconds": None}


@pytest.fixture
def buyers(world: World) -> World:
    """Ada and Ben; the first plan has been made."""
    for user in ("ada", "ben"):
        world.person(user)
    world.segment("seg_vip")
    world.begin()
    return world


def buys(world: World, user: str, hours: float, **properties: Any) -> None:
    world.event(user, "bought", START + hours * HOUR, load=int(hours) + 2, **properties)


@pytest.mark.torture
def test_who_is_in_flight_is_refused_and_enters_again_after_the_exit(buyers: World) -> None:
    buyers.campaigns = [campaign(trigger=event_trigger("bought"), repeat=AFTER_EXIT, steps=WAITS)]
    said = []
    for day in (0, 1, 6, 7):
        buys(buyers, "ada", 24 * day + 1)
        said.append(buyers.verdicts(buyers.plan(START + (day + 1) * DAY)))

    assert said[0] == [("ada", "hello", "send", None)]
    assert said[1] == [("ada", "(entry)", "skip", "in_flight")]
    assert said[2] == [("ada", "(entry)", "skip", "in_flight"), ("ada", "bye", "send", None)]
    assert said[3] == [("ada", "hello", "send", None)]


@pytest.mark.torture
def test_a_second_event_restarts_the_pass_when_the_campaign_says_so(buyers: World) -> None:
    spec = campaign(trigger=event_trigger("bought"), repeat=AFTER_EXIT, in_flight="restart", steps=WAITS)
    buyers.campaigns = [spec]
    buys(buyers, "ada", 1)
    buyers.plan(START + DAY)
    buys(buyers, "ada", 25)

    plan = buyers.plan(START + 2 * DAY)
    last = [buyers.verdicts(buyers.plan(START + day * DAY)) for day in (6, 7)]

    assert buyers.verdicts(plan) == [("ada", "hello", "send", None)]
    assert buyers.rows(plan, "enrollments:welcome", "status", "step") == [("active", "rest"), ("restarted", None)]
    assert ("restarted",) in buyers.rows(plan, "transitions", "why")
    assert last == [[], [("ada", "bye", "send", None)]]


@pytest.mark.torture
def test_the_pass_that_a_second_event_restarts_reaches_no_goal_in_the_same_run(buyers: World) -> None:
    hope = goal(event="paid", exit=False)
    spec = campaign(trigger=event_trigger("bought"), repeat=AFTER_EXIT, in_flight="restart", steps=WAITS, goal=hope)
    buyers.campaigns = [spec]
    buys(buyers, "ada", 1)
    buyers.plan(START + DAY)
    buys(buyers, "ada", 25)
    paid = START + 26 * HOUR
    buyers.event("ada", "paid", paid, load=2)

    plan = buyers.plan(START + 2 * DAY)

    assert buyers.rows(plan, "enrollments:welcome", "status", "goal_at") == [
        ("active", paid.replace(tzinfo=None)),
        ("restarted", None),
    ]


@pytest.mark.torture
def test_who_was_there_a_short_time_ago_is_told_when_they_may_enter_again(buyers: World) -> None:
    weekly = {"kind": "every", "seconds": 7 * 86_400}
    buyers.campaigns = [campaign(trigger=event_trigger("bought"), repeat=weekly)]
    buys(buyers, "ada", 1)
    buyers.plan(START + DAY)
    buys(buyers, "ada", 73)
    early = buyers.plan(START + 4 * DAY)
    buys(buyers, "ada", 169)

    assert buyers.verdicts(early) == [("ada", "(entry)", "skip", "too_soon")]
    assert buyers.rows(early, "verdicts", "next_at") == [((START + HOUR + 7 * DAY).replace(tzinfo=None),)]
    assert buyers.verdicts(buyers.plan(START + 8 * DAY)) == [("ada", "hello", "send", None)]


def test_every_and_still_there_is_in_flight(buyers: World) -> None:
    hourly = {"kind": "every", "seconds": 3600}
    buyers.campaigns = [campaign(trigger=event_trigger("bought"), repeat=hourly, steps=WAITS)]
    buys(buyers, "ada", 1)
    buyers.plan(START + DAY)
    buys(buyers, "ada", 25)

    assert buyers.verdicts(buyers.plan(START + 2 * DAY)) == [("ada", "(entry)", "skip", "in_flight")]


def test_an_occurrence_that_the_person_had_never_enters_again(buyers: World) -> None:
    trigger = event_trigger("bought", occurrence="order")
    buyers.campaigns = [campaign(trigger=trigger, repeat=AFTER_EXIT)]
    buys(buyers, "ada", 1, order="o1")
    buyers.plan(START + DAY)
    buys(buyers, "ada", 25, order="o1")

    assert buyers.verdicts(buyers.plan(START + 2 * DAY)) == [("ada", "(entry)", "skip", "already_enrolled")]


def test_never_counts_passes_that_began_under_another_rule(buyers: World) -> None:
    buyers.campaigns = [campaign(trigger=event_trigger("bought"), repeat=AFTER_EXIT)]
    buys(buyers, "ada", 1)
    buyers.plan(START + DAY)
    buyers.campaigns = [campaign(trigger=event_trigger("bought"))]
    buys(buyers, "ada", 25)

    assert buyers.verdicts(buyers.plan(START + 2 * DAY)) == [("ada", "(entry)", "skip", "already_enrolled")]


@pytest.mark.parametrize(
    "condition",
    [
        {"in": "seg_vip"},
        {"where_sql": "coalesce(json_extract_string(customer, '$.plan') = 'pro', false)", "columns": ["plan"]},
        {"event": "visited", "where_sql": None, "since": 2 * 86_400},
        {"not": {"not": {"in": "seg_vip"}}},
    ],
)
def test_whom_the_filter_does_not_let_in_is_filtered(buyers: World, condition: dict[str, Any]) -> None:
    buyers.person("ada", plan="pro")
    buyers.segment("seg_vip", "ada")
    buyers.event("ada", "visited", START + HOUR, load=2)
    buyers.campaigns = [campaign(trigger=event_trigger("bought"), filter=condition)]
    buys(buyers, "ada", 2)
    buys(buyers, "ben", 3)

    assert buyers.verdicts(buyers.plan(START + DAY)) == [
        ("ada", "hello", "send", None),
        ("ben", "(entry)", "skip", "filtered"),
    ]


@pytest.mark.torture
def test_the_first_reason_of_the_order_is_the_one_that_stands(buyers: World) -> None:
    nobody = {"in": "seg_vip"}
    late = event_trigger("bought", late=60)
    spec: dict[str, Any] = {"trigger": late, "filter": nobody, "repeat": AFTER_EXIT, "steps": WAITS}

    def reason(hours: int, landed: datetime | None = None, **changes: Any) -> str:
        buyers.campaigns = [campaign(**(spec | changes))]
        buyers.event("ada", "bought", START + hours * HOUR, load=hours, landed=landed)
        (verdict,) = buyers.verdicts(buyers.plan(START + (hours + 1) * HOUR))
        return str(verdict[3] or verdict[2])

    lately = START + 30 * HOUR
    assert reason(2, filter=None) == "send"
    assert reason(4, lately, status="paused") == "paused"
    assert reason(6, lately) == "late"
    assert reason(8) == "in_flight"
    assert reason(10, repeat={"kind": "each_occurrence", "seconds": None}) == "filtered"


def test_a_global_holdout_is_drawn_first_and_from_marketing_only(world: World) -> None:
    users = [f"u{number}" for number in range(300)]
    for user in users:
        world.person(user)
    world.segment("seg_trial")
    world.rules = Rules(holdout_bp=2_000)
    world.campaigns = [campaign(holdout_bp=5_000), campaign("receipt", class_="transactional")]
    world.plan(START)
    world.segment("seg_trial", *users)

    plan = world.plan(START + DAY)

    arms = dict(world.rows(plan, "enrollments:welcome", "person_id", "arm"))
    everywhere = {ids.person_id(user) for user in users if ids.bucket(ids.person_id(user), "holdout:*") < 2_000}
    here = {ids.person_id(user) for user in users if ids.bucket(ids.person_id(user), "holdout:welcome") < 5_000}
    assert {person for person, arm in arms.items() if arm == "global_holdout"} == everywhere
    assert {person for person, arm in arms.items() if arm == "holdout"} == here - everywhere
    assert set(world.rows(plan, "enrollments:receipt", "arm")) == {("treated",)}
    assert plan.campaigns["welcome"]["messages"]["hello"]["skip"]["global_holdout"] == len(everywhere)
