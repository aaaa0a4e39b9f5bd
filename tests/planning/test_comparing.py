"""What a plan's screen says: the funnel of a run, samples, and what one plan decides otherwise than another."""

from __future__ import annotations

from typing import Any

import pytest

from tailrace import engine, ids
from tailrace.errors import DataError
from tailrace.planning.comparing import Comparison, Decision, Shift, compare
from tailrace.planning.sampling import sample
from tests.planning.world import DAY, HOUR, START, World, campaign, event_trigger, goal

PEOPLE = ("ada", "ben", "cleo", "dan", "eve")


@pytest.fixture
def trial(world: World) -> World:
    """Five people entered seg_trial after the first plan; eve has no address."""
    for user in PEOPLE:
        world.person(user)
    world.person("eve", email=None)
    for segment in ("seg_trial", "seg_vip"):
        world.segment(segment)
    world.begin()
    world.segment("seg_trial", *PEOPLE)
    return world


def difference(world: World, one: str, other: str, **options: Any) -> Comparison:
    with engine.connect(world.settings) as connection:
        return compare(connection, world.store, one, other, **options)


@pytest.mark.torture
def test_a_plan_counts_drafts_goals_acts_and_places_of_steps(trial: World) -> None:
    steps = [{"id": "zero", "send": "hello"}, {"id": "act", "update": {"stage": 1}}, {"id": "last", "send": "bye"}]
    trial.campaigns = [campaign(steps=steps, sending="draft", goal=goal(event="bought", exit=False))]

    first = trial.plan(START + DAY).campaigns["welcome"]
    trial.event("ada", "bought", START + DAY + HOUR)
    second = trial.plan(START + 2 * DAY).campaigns["welcome"]

    assert first["messages"]["zero"]["drafts"] == first["messages"]["zero"]["send"] == 4
    assert [first["messages"][step]["position"] for step in ("zero", "last")] == [0, 2]
    assert first["acts"] == {"act": {"kind": "update", "people": 5}}
    assert (first["goals"], second["goals"]) == (0, 1)
    assert trial.plan(START + 3 * DAY).campaigns["welcome"]["goals"] == 0


@pytest.mark.torture
def test_who_reaches_the_goal_as_they_enter_has_entered_in_the_funnel_the_sample_and_the_difference(
    trial: World,
) -> None:
    begun = event_trigger("signed_up")
    trial.campaigns = [campaign(trigger=begun, goal=goal(event="bought"), exit=[{"in": "seg_vip"}])]
    trial.plan(START + DAY)
    trial.segment("seg_vip", "cleo")
    for user in ("ada", "ben", "cleo"):
        trial.event(user, "signed_up", START + DAY + HOUR, load=2)
    trial.event("ada", "bought", START + DAY + 2 * HOUR, load=2)

    plan_id = trial.plan_id(START + 2 * DAY)
    plan = trial.store.read(plan_id)
    with engine.connect(trial.settings) as connection:
        drawn = sample(connection, trial.store, plan, 9)
    shifts = difference(trial, plan_id, "HEAD~1").campaigns[0].shifts

    assert plan.campaigns["welcome"]["moves"] == {"completed": 1, "converted": 1, "entered": 3, "exited": 1}
    named = {ids.person_id(user) for user in ("ada", "ben", "cleo")}
    assert set(drawn["welcome", "(entry)", "enter", ""]) == named
    assert Shift("(entry)", None, Decision("enter", ""), 3, []) in shifts


def test_a_sample_names_the_same_people_every_time_and_no_more_than_asked(trial: World) -> None:
    trial.campaigns = [campaign()]
    plan = trial.plan(START + DAY)
    with engine.connect(trial.settings) as connection:
        drawn = [sample(connection, trial.store, plan, size) for size in (2, 2, 9)]

    assert drawn[0] == drawn[1]
    key = ("welcome", "hello", "send", "")
    assert len(drawn[0][key]) == 2
    assert drawn[2][key][:2] == drawn[0][key]
    assert set(drawn[2][key]) == {ids.person_id(user) for user in PEOPLE[:4]}
    assert drawn[2]["welcome", "hello", "skip", "no_address"] == [ids.person_id("eve")]
    assert len(drawn[2]["welcome", "(entry)", "enter", ""]) == 5


def test_a_what_if_of_an_edited_definition_says_who_would_get_what_otherwise(trial: World) -> None:
    trial.campaigns = [campaign()]
    trial.segment("seg_vip", "ada", "ben")
    as_is = trial.plan_id(START + DAY, apply=False)
    trial.campaigns = [campaign(filter={"in": "seg_vip"})]
    what_if = trial.plan_id(START + DAY, apply=False)

    found = difference(trial, what_if, as_is, size=9)

    (only,) = found.campaigns
    others = {ids.person_id(user) for user in ("cleo", "dan")}
    assert found.kin.startswith("both on top of")
    assert found.inputs == []
    assert only.edits[0].startswith("definition edited")
    assert [(shift.step, shift.before, shift.now, shift.people) for shift in only.shifts[:1]] == [
        ("(entry)", Decision("enter", ""), Decision("skip", "filtered"), 3)
    ]
    lost = next(shift for shift in only.shifts if shift.before == Decision("send", ""))
    assert (lost.step, lost.now, set(lost.sample)) == ("hello", None, others)
    assert only.same == 2 + 2 + 2  # ada's and ben's entry, message and end
    assert found.segments == []


def test_a_changed_priority_or_status_is_named(trial: World) -> None:
    trial.campaigns = [campaign()]
    live = trial.plan_id(START + DAY, apply=False)
    trial.campaigns = [campaign(status="paused")]
    paused = trial.plan_id(START + DAY, apply=False)

    (only,) = difference(trial, paused, live).campaigns

    assert only.edits == ["status: paused, not live"]
    assert Shift("(entry)", Decision("enter", ""), Decision("skip", "paused"), 5, []) in only.shifts


@pytest.mark.torture
def test_a_parked_campaign_says_which_of_the_two_plans_parked_it(trial: World) -> None:
    trial.campaigns = [campaign()]
    free = trial.plan_id(START + DAY, apply=False)
    trial.failed = {"seg_trial": "it does not run"}
    parked = trial.plan_id(START + DAY, apply=False)

    (here,) = difference(trial, parked, free).campaigns
    (there,) = difference(trial, free, parked).campaigns

    assert here.edits == ["parked, unlike in the other plan: segment_failed"]
    assert there.edits == ["parked in the other plan only: segment_failed"]


def test_successive_plans_show_what_only_one_decided_and_who_moved(trial: World) -> None:
    trial.campaigns = [campaign()]
    first = trial.plan_id(START + DAY)
    trial.segment("seg_trial", "ada", "ben", "cleo")
    second = trial.plan_id(START + 2 * DAY)

    found = difference(trial, second, first, size=9)

    assert found.kin == "1 plan after it"
    assert "as_of" in found.inputs
    assert {shift.now for shift in found.campaigns[0].shifts} == {None}
    (moved,) = found.segments
    assert (moved.segment, moved.before, moved.now, moved.entered, moved.left) == ("seg_trial", 5, 3, 0, 2)
    assert set(moved.left_sample) == {ids.person_id(user) for user in ("dan", "eve")}
    assert moved.why == "data or time"
    assert difference(trial, first, second).kin == "1 plan before it"
    assert difference(trial, first, first).campaigns == []


def test_an_edited_and_a_new_segment_say_so(trial: World) -> None:
    before = trial.plan_id(START + DAY, apply=False)
    trial.edit("seg_trial", "2")
    trial.segment("seg_new", "ada")
    after = trial.plan_id(START + DAY, apply=False)

    found = {row.segment: row for row in difference(trial, after, before).segments}

    assert found["seg_trial"].why == "its SQL was edited"
    assert (found["seg_new"].why, found["seg_new"].before, found["seg_new"].entered) == (
        "not in the other plan",
        None,
        1,
    )


def test_a_plan_before_head_is_found_by_counting_back(trial: World) -> None:
    made = [trial.plan_id(START + DAY), trial.plan_id(START + 2 * DAY)]

    assert [trial.store.resolve(name) for name in ("HEAD", "HEAD~1", f"{made[1]}~1")] == [made[1], made[0], made[0]]
    for name in ("HEAD~9", "HEAD~x"):
        with pytest.raises(DataError, match="HEAD"):
            trial.store.resolve(name)
