"""Campaigns that say the same are asked together, and each of them comes to what it would come to alone."""

from pathlib import Path
from typing import Any

import pytest

from tailrace import engine, ids
from tailrace.planning import store
from tests.planning.world import DAY, START, World, campaign, goal

STEPS: list[dict[str, Any]] = [
    {"id": "hello", "send": "hello"},
    {"id": "rest", "wait": 2 * 86_400},
    {"id": "bye", "send": "bye"},
]


@pytest.fixture
def both(world: World) -> World:
    """Ada enters seg_trial, Ben seg_vip, and Cem both, after the first plan; a campaign is on each, of equal steps."""
    for user in ("ada", "ben", "cem"):
        world.person(user)
    for segment in ("seg_trial", "seg_vip"):
        world.segment(segment)
    world.begin()
    world.segment("seg_trial", "ada", "cem")
    world.segment("seg_vip", "ben", "cem")
    return world


def on(segment: str, slug: str, **changes: Any) -> Any:
    return campaign(
        slug, **{"steps": STEPS, "trigger": {"kind": "segment", "segment": segment, "on": "entered"}} | changes
    )


def said(world: World, plan: Any) -> list[tuple[Any, ...]]:
    names = {ids.person_id(user): user for user in world.people}
    rows = world.rows(plan, "payloads", "campaign", "step", "message_key", "person_id")
    return sorted((slug, step, key, names[person]) for slug, step, key, person in rows)


@pytest.mark.torture
def test_campaigns_of_equal_steps_keep_their_people_and_their_messages_apart(both: World) -> None:
    both.campaigns = [on("seg_trial", "first"), on("seg_vip", "second")]

    assert said(both, both.plan(START + DAY)) == [
        ("first", "hello", "first-hello", "ada"),
        ("first", "hello", "first-hello", "cem"),
        ("second", "hello", "second-hello", "ben"),
        ("second", "hello", "second-hello", "cem"),
    ]
    assert said(both, both.plan(START + 3 * DAY)) == [
        ("first", "bye", "first-bye", "ada"),
        ("first", "bye", "first-bye", "cem"),
        ("second", "bye", "second-bye", "ben"),
        ("second", "bye", "second-bye", "cem"),
    ]


@pytest.mark.torture
def test_of_campaigns_of_equal_steps_only_those_who_are_due_move(both: World) -> None:
    both.campaigns = [on("seg_trial", "first")]
    both.plan(START + DAY)
    both.campaigns = [on("seg_trial", "first"), on("seg_vip", "second", existing="enroll")]
    both.plan(START + 2 * DAY)

    assert [row[:2] for row in said(both, both.plan(START + 3 * DAY))] == [("first", "bye")] * 2
    assert [row[:2] for row in said(both, both.plan(START + 4 * DAY))] == [("second", "bye")] * 2


@pytest.mark.torture
@pytest.mark.usefixtures("asked")
def test_goals_of_one_event_are_reached_within_each_campaigns_own_time(both: World) -> None:
    both.campaigns = [
        on("seg_trial", "first", goal=goal(event="paid", within=86_400)),
        on("seg_vip", "second", goal=goal(event="paid", within=10 * 86_400)),
        on("seg_vip", "third", goal=goal(event="paid", within=10 * 86_400, exit=False)),
        on("seg_vip", "fourth", goal=goal(event="booked", within=10 * 86_400)),
    ]
    both.plan(START + DAY)
    both.event("cem", "paid", START + 2 * DAY + DAY / 2, load=2)

    plan = both.plan(START + 3 * DAY)

    ended = {
        spec.slug: [status for (status,) in both.rows(plan, f"enrollments:{spec.slug}", "status")]
        for spec in both.campaigns
    }
    assert ended == {
        "first": ["completed", "completed"],
        "second": ["completed", "converted"],
        "third": ["completed", "completed"],
        "fourth": ["completed", "completed"],
    }
    assert {spec.slug: plan.campaigns[spec.slug]["goals"] for spec in both.campaigns} == {
        "first": 0,
        "second": 1,
        "third": 1,
        "fourth": 0,
    }


@pytest.mark.usefixtures("asked")
def test_an_exit_that_one_campaign_has_ends_nobody_in_another(both: World) -> None:
    both.segment("seg_gone")
    both.campaigns = [
        on("seg_trial", "first", exit=[{"in": "seg_gone"}]),
        on("seg_vip", "second", exit=[{"in": "seg_gone"}]),
        on("seg_vip", "third"),
    ]
    both.plan(START + DAY)
    both.segment("seg_gone", "cem")

    plan = both.plan(START + 2 * DAY)

    left = {
        spec.slug: [status for (status,) in both.rows(plan, f"enrollments:{spec.slug}", "status")]
        for spec in both.campaigns
    }
    assert left == {"first": ["active", "exited"], "second": ["active", "exited"], "third": ["active", "active"]}


@pytest.mark.torture
def test_equal_splits_draw_by_their_campaign(tmp_path: Path) -> None:
    arms = [{"name": name, "weight": 1, "steps": []} for name in ("a", "b")]
    specs = [on("seg_trial", slug, steps=[{"id": "half", "split": arms}, *STEPS]) for slug in ("first", "second")]
    drawn = []
    for number, campaigns in enumerate(([specs[0]], [specs[1]], specs)):
        world = World(tmp_path / str(number))
        for user in (f"u{number}" for number in range(40)):
            world.person(user)
        world.segment("seg_trial")
        world.plan(START)
        world.segment("seg_trial", *world.people)
        world.campaigns = campaigns
        plan = world.plan(START + DAY)
        drawn.append(
            {spec.slug: world.rows(plan, f"assignments:{spec.slug}", "person_id", "name") for spec in campaigns}
        )

    assert drawn[2] == drawn[0] | drawn[1]
    assert drawn[2]["first"] != drawn[2]["second"]


def test_pieces_written_at_once_are_those_that_each_would_be_alone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "ROW_GROUP", 2048)
    values = "select (number // 5000)::varchar as slug, number::varchar as text, number from range(12000) as n(number)"
    with engine.connect(world.settings) as connection:
        once = world.store.put_each(connection, f"{values} order by slug, number", {}, "slug")
        alone = {
            slug: world.store.put(connection, f"select * from ({values}) where slug = '{slug}' order by number")
            for slug in ("0", "1", "2")
        }

    assert once == alone
    assert [piece.rows for piece in once.values()] == [5000, 5000, 2000]
