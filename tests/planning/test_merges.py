"""What becomes of memberships, passes and what was said when two user ids turn out to be one person."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tailrace import ids
from tailrace.errors import GuardStop
from tailrace.planning.arbitration import Limit, Rules
from tailrace.planning.store import Plan
from tests.planning.world import DAY, HOUR, START, World, campaign, event_trigger

STEPS: list[dict[str, Any]] = [
    {"id": "hello", "send": "hello"},
    {"id": "rest", "wait": 2 * 86_400},
    {"id": "bye", "send": "bye"},
]
NEVER, EACH = ({"kind": kind, "seconds": None} for kind in ("never", "each_occurrence"))


@pytest.fixture
def trial(world: World) -> World:
    """Ola has two user ids, `old` and `new`; Ben is somebody else. The first plan had nobody in seg_trial."""
    for user in ("old", "new", "ben"):
        world.person(user)
    for segment in ("seg_trial", "seg_vip"):
        world.segment(segment)
    world.campaigns = [campaign(steps=STEPS)]
    world.begin()
    return world


def passes(world: World, plan: Plan, slug: str = "welcome") -> list[tuple[Any, ...]]:
    """Return whose each pass is, its status, and where it rests."""
    names = {ids.person_id(user): user for user in ("old", "new", "newest", "ben")}
    rows = world.rows(plan, f"enrollments:{slug}", "person_id", "status", "step")
    return sorted(((names[person], *rest) for person, *rest in rows), key=repr)


def sent(world: World, *plans: Plan) -> list[tuple[str, str]]:
    """Return who was sent what in the plans, in their order."""
    return [(user, step) for plan in plans for user, step, verdict, _ in world.verdicts(plan) if verdict == "send"]


def effects(world: World, plan: Plan) -> list[tuple[Any, ...]]:
    return [row[2:] for row in world.rows(plan, "merged", "person_id", "into_person_id", "campaign", "step", "effect")]


def test_nobody_enters_or_leaves_a_segment_because_two_ids_became_one(trial: World) -> None:
    trial.segment("seg_trial", "old", "ben")
    trial.segment("seg_vip", "old", "new")
    trial.plan(START + DAY)
    trial.merge("old", "new")

    plan = trial.plan(START + 2 * DAY)

    assert trial.rows(plan, "changes", "segment", "change") == []
    assert {name: entry["size"] for name, entry in plan.segments.items()} == {"seg_trial": 2, "seg_vip": 1}
    assert len(trial.rows(plan, "memberships", "person_id")) == 2


@pytest.mark.torture
def test_what_moves_a_merged_person_in_that_plan_starts_nothing_and_the_next_plan_is_as_ever(trial: World) -> None:
    """Together the two have done enough for one segment and too much for the other."""
    trial.campaigns = [
        campaign(steps=STEPS),
        campaign("farewell", trigger={"kind": "segment", "segment": "seg_vip", "on": "left"}),
    ]
    trial.segment("seg_vip", "old")
    trial.plan(START + DAY)
    trial.merge("old", "new")
    trial.segment("seg_trial", "new", "ben")
    trial.segment("seg_vip")

    plan = trial.plan(START + 2 * DAY)

    assert sorted(trial.rows(plan, "changes", "segment", "change", "cause")) == [
        ("seg_trial", "entered", "behaviour"),
        ("seg_trial", "entered", "merge"),
        ("seg_vip", "left", "merge"),
    ]
    assert trial.verdicts(plan) == [
        ("ben", "hello", "send", None),
        ("new", "(entry)", "skip", "merge"),
        ("new", "(entry)", "skip", "merge"),
    ]
    trial.segment("seg_trial", "ben")
    trial.plan(START + 3 * DAY)
    trial.segment("seg_trial", "new", "ben")
    assert sent(trial, trial.plan(START + 4 * DAY)) == [("ben", "bye"), ("new", "hello")]


@pytest.mark.torture
def test_what_a_merge_moves_in_a_segment_that_was_parked_starts_nothing_once_it_is_not(trial: World) -> None:
    """Together the two have done enough; the segment did not build in the plan that first saw it, nor in the next."""
    trial.person("newest")
    trial.merge("old", "new")
    trial.segment("seg_trial", "new", "ben")
    trial.failed = {"seg_trial": "did not build"}
    trial.plan(START + DAY)
    trial.merge("new", "newest")
    trial.plan(START + 2 * DAY)
    trial.failed = {}

    plan = trial.plan(START + 3 * DAY)

    assert sorted(trial.rows(plan, "changes", "segment", "change", "cause")) == [
        ("seg_trial", "entered", "behaviour"),
        ("seg_trial", "entered", "merge"),
    ]
    assert trial.verdicts(plan) == [("ben", "hello", "send", None), ("newest", "(entry)", "skip", "merge")]
    trial.segment("seg_trial", "ben")
    trial.plan(START + 4 * DAY)
    trial.segment("seg_trial", "newest", "ben")
    again = trial.plan(START + 5 * DAY)
    assert sent(trial, again) == [("ben", "bye"), ("newest", "hello")]
    assert "merged_waiting" not in again.relations


@pytest.mark.torture
def test_who_is_under_way_goes_on_as_the_person_they_are_now_and_enters_no_second_time(trial: World) -> None:
    trial.segment("seg_trial", "old")
    first = trial.plan(START + DAY)
    trial.merge("old", "new")
    trial.segment("seg_trial")
    second = trial.plan(START + 2 * DAY)
    trial.segment("seg_trial", "new")

    third = trial.plan(START + 3 * DAY)

    assert passes(trial, second) == [("new", "active", "rest")]
    assert effects(trial, second) == [("welcome", "rest", "goes_on"), (None, None, "merged")]
    assert second.campaigns["welcome"]["merged"] == {"passes": 1, "ended": []}
    assert trial.rows(first, "verdicts", "person_id", "step") == [(ids.person_id("old"), "hello")]
    assert trial.verdicts(third) == [("new", "(entry)", "skip", "already_enrolled"), ("new", "bye", "send", None)]
    assert passes(trial, third) == [("new", "completed", None)]


def test_of_two_who_are_under_way_the_one_who_is_further_goes_on_and_nothing_goes_twice(trial: World) -> None:
    trial.segment("seg_trial", "old")
    first = trial.plan(START + DAY)
    trial.segment("seg_trial", "old", "new")
    second = trial.plan(START + 2 * DAY)
    trial.merge("old", "new")

    third = trial.plan(START + 2 * DAY + HOUR)

    assert passes(trial, third) == [("new", "active", "rest"), ("new", "merged", None)]
    assert effects(trial, third) == [
        ("welcome", "rest", "ends"),
        ("welcome", "rest", "goes_on"),
        (None, None, "merged"),
    ]
    version = trial.campaigns[0].version
    assert third.campaigns["welcome"]["merged"] == {
        "passes": 1,
        "ended": [{"version": version, "step": "rest", "people": 1, "unsaid": ["bye"]}],
    }
    assert trial.rows(third, "transitions", "from_step", "to_step", "why") == [("rest", None, "merged")]
    # The pass that began first goes on, at its own time.
    plans = [trial.plan(START + day * DAY) for day in (3, 4, 5)]
    assert sent(trial, *plans) == [("new", "bye")]
    assert trial.rows(first, "verdicts", "step") == trial.rows(second, "verdicts", "step") == [("hello",)]


@pytest.mark.torture
def test_who_is_further_goes_on_also_when_they_entered_later(trial: World) -> None:
    connected = {"event": "connected", "where_sql": None, "since": "entry"}
    then = [{"id": "bye", "send": "bye"}, {"id": "later", "wait": 30 * 86_400}]
    wait = {"id": "connected", "wait_until": connected, "timeout": 10 * 86_400, "then": then, "else": []}
    trial.campaigns = [campaign(steps=[STEPS[0], wait])]
    trial.plan(START + HOUR)
    trial.segment("seg_trial", "old")
    trial.plan(START + DAY)
    trial.segment("seg_trial", "old", "new")
    trial.plan(START + 2 * DAY)
    trial.event("new", "connected", START + 2 * DAY + HOUR, load=2)
    assert sent(trial, trial.plan(START + 3 * DAY)) == [("new", "bye")]
    trial.merge("old", "new")

    plan = trial.plan(START + 4 * DAY)

    assert passes(trial, plan) == [("new", "active", "later"), ("new", "merged", None)]
    assert sent(trial, plan) == []


@pytest.mark.torture
def test_who_has_been_through_as_one_does_not_go_on_as_the_other_where_nobody_passes_twice(trial: World) -> None:
    trial.segment("seg_trial", "old")
    trial.plan(START + DAY)
    trial.segment("seg_trial", "old", "new")
    done = trial.plan(START + 3 * DAY)
    assert sent(trial, done) == [("new", "hello"), ("old", "bye")]
    trial.merge("old", "new")

    plans = [trial.plan(START + day * DAY) for day in (4, 5, 6)]

    assert passes(trial, plans[0]) == [("new", "completed", None), ("new", "merged", None)]
    assert sent(trial, *plans) == []


@pytest.mark.torture
def test_a_pass_that_an_earlier_merge_ended_ends_no_other(trial: World) -> None:
    """`newest` is further than the two who became one before: one of the three goes on, and says what is left."""
    steps = [*STEPS[:2], {"id": "more", "send": "more"}, {"id": "later", "wait": 86_400}, STEPS[2]]
    trial.campaigns = [campaign(steps=steps)]
    trial.person("newest")
    trial.segment("seg_trial", "newest")
    trial.plan(START + HOUR)
    trial.segment("seg_trial", "old", "new", "newest")
    trial.plan(START + 2 * HOUR)
    trial.merge("old", "new")
    trial.plan(START + 3 * HOUR)
    assert sent(trial, trial.plan(START + 2 * DAY + HOUR)) == [("newest", "more")]
    trial.merge("newest", "new")

    plan = trial.plan(START + 2 * DAY + 2 * HOUR)

    assert passes(trial, plan) == [("new", "active", "later"), ("new", "merged", None), ("new", "merged", None)]
    assert sent(trial, *[trial.plan(START + day * DAY) for day in (4, 5, 6)]) == [("new", "bye")]


@pytest.mark.torture
def test_passes_of_a_campaign_that_was_away_are_brought_together_when_it_is_back(trial: World) -> None:
    """Its folder was gone, or its programme off, in the plan that first saw the merge, and in the next one."""
    trial.segment("seg_trial", "old")
    trial.plan(START + HOUR)
    trial.segment("seg_trial", "old", "new")
    trial.plan(START + 2 * HOUR)
    there, trial.campaigns = trial.campaigns, []
    trial.merge("old", "new")
    assert effects(trial, trial.plan(START + 3 * HOUR)) == [(None, None, "merged")]
    away = trial.plan(START + 4 * HOUR)
    assert passes(trial, away) == [("new", "active", "rest"), ("old", "active", "rest")]
    trial.campaigns = there

    back = trial.plan(START + 5 * HOUR)

    assert passes(trial, back) == [("new", "active", "rest"), ("new", "merged", None)]
    assert effects(trial, back) == [("welcome", "rest", "ends"), ("welcome", "rest", "goes_on")]
    later = [trial.plan(START + day * DAY) for day in (3, 4)]
    assert sent(trial, *later) == [("new", "bye")]
    assert effects(trial, later[0]) == []


@pytest.mark.torture
def test_passes_of_several_occurrences_go_on_side_by_side_and_those_of_one_do_not(trial: World) -> None:
    trial.campaigns = [campaign(steps=STEPS, trigger=event_trigger("viewed", occurrence="cart"), repeat=EACH)]
    trial.plan(START + HOUR)
    for user, cart in (("old", "a"), ("old", "b"), ("new", "b"), ("new", "c")):
        trial.event(user, "viewed", START + 2 * HOUR, load=2, cart=cart)
    trial.plan(START + 3 * HOUR)
    trial.merge("old", "new")

    plan = trial.plan(START + 4 * HOUR)

    rows = sorted(trial.rows(plan, "enrollments:welcome", "occurrence", "status"))
    assert [row for row in rows if row[0] != "b"] == [("a", "active"), ("c", "active")]
    assert [status for cart, status in rows if cart == "b"] == ["active", "merged"]
    trial.event("new", "viewed", START + 5 * HOUR, load=3, cart="a")
    again = trial.plan(START + 6 * HOUR)
    assert ("new", "(entry)", "skip", "already_enrolled") in trial.verdicts(again)


def alike(world: World, plan: Plan, *earlier: Plan) -> set[tuple[str, str, str, bool]]:
    """Return which messages of earlier plans the plan finds to be the same: of whom, of whom, which step, is_once."""
    names = {ids.person_id(user): user for user in ("old", "new", "ben")}
    whose = {
        intent: (names[person], step)
        for one in earlier
        for intent, person, step in world.rows(one, "verdicts", "intent_id", "person_id", "step")
    }
    pairs = world.rows(plan, "merged_messages", "intent_id", "other_intent_id", "is_once")
    known = [(whose[one], whose[other], once) for one, other, once in pairs if one in whose and other in whose]
    assert all(one[1] == other[1] for one, other, _ in known)
    return {(one[0], other[0], one[1], once) for one, other, once in known}


@pytest.mark.torture
@pytest.mark.parametrize(("repeat", "is_once"), [(NEVER, True), ({"kind": "after_exit", "seconds": None}, False)])
def test_what_both_ids_were_to_be_told_is_told_to_be_the_same_also_of_passes_that_are_over(
    trial: World, repeat: dict[str, Any], is_once: bool
) -> None:
    trial.campaigns = [campaign(steps=[STEPS[0]], repeat=repeat)]
    trial.segment("seg_trial", "old", "new", "ben")
    first = trial.plan(START + DAY)
    assert {status for _, status, _ in passes(trial, first)} == {"completed"}
    trial.merge("old", "new")

    plan = trial.plan(START + 2 * DAY)

    assert alike(trial, plan, first) == {("old", "new", "hello", is_once), ("new", "old", "hello", is_once)}
    again = trial.plan(START + 3 * DAY)
    assert "merged_messages" in plan.relations
    assert "merged_messages" not in again.relations


@pytest.mark.torture
def test_occurrences_are_compared_each_with_its_own(trial: World) -> None:
    trial.campaigns = [campaign(trigger=event_trigger("viewed", occurrence="cart"), repeat=EACH, steps=[STEPS[0]])]
    trial.plan(START + HOUR)
    for user, cart in (("old", "a"), ("old", "b"), ("new", "b"), ("new", "c")):
        trial.event(user, "viewed", START + 2 * HOUR, load=2, cart=cart)
    first = trial.plan(START + 3 * HOUR)
    assert len(sent(trial, first)) == 4
    trial.merge("old", "new")

    plan = trial.plan(START + 4 * HOUR)

    assert alike(trial, plan, first) == {("old", "new", "hello", True), ("new", "old", "hello", True)}


@pytest.mark.torture
@pytest.mark.parametrize("is_held_out", [True, False])
def test_who_was_in_the_campaign_as_themself_keeps_their_arm(trial: World, is_held_out: bool) -> None:
    """The holdout is as large as it takes for one of the two ids to be in it."""
    places = {user: ids.bucket(str(ids.person_id(user)), "holdout:welcome") for user in ("old", "new")}
    held_out, treated = sorted(places, key=places.__getitem__)
    other, survivor = (treated, held_out) if is_held_out else (held_out, treated)
    trial.campaigns = [campaign(steps=STEPS, holdout_bp=places[held_out] + 1)]
    trial.segment("seg_trial", other)
    trial.plan(START + DAY)
    trial.segment("seg_trial", other, survivor)
    trial.plan(START + 2 * DAY)
    trial.merge(other, survivor)

    plan = trial.plan(START + 3 * DAY)

    verdict = ("bye", "skip", "holdout") if is_held_out else ("bye", "send", None)
    assert trial.verdicts(plan) == [(survivor, *verdict)]


@pytest.mark.torture
def test_a_holdout_whom_another_id_brings_along_stays_one(trial: World) -> None:
    trial.campaigns = [campaign(steps=STEPS, holdout_bp=10_000)]
    trial.segment("seg_trial", "old")
    trial.plan(START + DAY)
    trial.merge("old", "new")
    trial.campaigns = [campaign(steps=STEPS, holdout_bp=0)]

    assert trial.verdicts(trial.plan(START + 3 * DAY)) == [("new", "bye", "skip", "holdout")]


@pytest.mark.torture
def test_an_arm_of_a_split_is_kept_where_only_the_other_id_has_one(trial: World) -> None:
    arms = [{"name": name, "weight": 1, "steps": [{"id": name, "send": name}]} for name in ("short", "long")]
    steps = [{"id": "copy", "split": arms}]
    again = {"kind": "after_exit", "seconds": None}
    trial.campaigns = [campaign(steps=steps, trigger=event_trigger("viewed"), repeat=again)]
    trial.plan(START + HOUR)
    trial.event("old", "viewed", START + 2 * HOUR, load=2)
    before = trial.plan(START + 3 * HOUR)
    ((arm,),) = trial.rows(before, "assignments:welcome", "name")
    # Weights that would send everybody into the other arm.
    swung = [arms[0] | {"weight": int(arm == "long")}, arms[1] | {"weight": int(arm == "short")}]
    swung = [each for each in swung if each["weight"]] + [each | {"weight": 0} for each in swung if not each["weight"]]
    trial.campaigns = [campaign(steps=[{"id": "copy", "split": swung}], trigger=event_trigger("viewed"), repeat=again)]
    trial.merge("old", "new")
    trial.event("new", "viewed", START + 4 * HOUR, load=3)

    assert sent(trial, trial.plan(START + 5 * HOUR)) == [("new", arm)]


@pytest.mark.torture
def test_what_was_said_to_both_counts_for_the_caps_of_one(trial: World) -> None:
    trial.rules = Rules(limits=[Limit("marketing", None, 1, 7 * 86_400)])
    trial.campaigns = [
        campaign(),
        campaign("other", trigger={"kind": "segment", "segment": "seg_vip", "on": "entered"}, priority=10),
    ]
    trial.segment("seg_trial", "old")
    trial.plan(START + DAY)
    trial.merge("old", "new")
    trial.segment("seg_trial", "new")
    trial.plan(START + 2 * DAY)
    trial.segment("seg_vip", "new")

    assert trial.verdicts(trial.plan(START + 3 * DAY)) == [("new", "hello", "defer", "frequency_cap")]


@pytest.mark.torture
def test_what_waits_for_delivery_to_the_old_id_is_held_to_the_consent_of_the_new(trial: World) -> None:
    trial.segment("seg_trial", "old")
    trial.plan(START + DAY)
    trial.merge("old", "new")
    trial.consents = [{"person_id": ids.person_id("new"), "channel": "email", "topic": "tips", "state": "unsubscribed"}]

    plan = trial.plan(START + 2 * DAY)

    forbidden = trial.rows(plan, "consents", "person_id", "channel", "topic", "reason")
    assert {row[0] for row in forbidden} == {ids.person_id("old"), ids.person_id("new")}
    assert {row[1:] for row in forbidden} == {("email", "tips", "unsubscribed_topic")}


@pytest.mark.torture
def test_an_attribute_that_changes_by_a_merge_starts_nothing(trial: World) -> None:
    trigger = {"kind": "attribute", "attribute": "plan", "from": None, "to": "pro"}
    trial.campaigns = [campaign(trigger=trigger)]
    trial.person("old", plan="pro")
    trial.person("new", plan="free")
    trial.person("ben", plan="free")
    trial.plan(START + DAY)
    trial.merge("old", "new")
    trial.person("new", plan="pro")
    trial.person("ben", plan="pro")

    plan = trial.plan(START + 2 * DAY)

    assert trial.verdicts(plan) == [("ben", "hello", "send", None), ("new", "(entry)", "skip", "merge")]
    assert trial.plan(START + 3 * DAY).counts["considered"] == 0


@pytest.mark.torture
def test_a_merge_that_the_first_plan_sees_changes_nothing(trial: World, tmp_path: Path) -> None:
    world = replace(trial, root=tmp_path / "other")
    world.segment("seg_trial", "old", "ben")
    world.merge("old", "new")

    plan = world.plan(START)

    assert [row[2] for row in world.rows(plan, "changes", "segment", "change", "cause")] == ["baseline"] * 2
    world.segment("seg_trial")
    world.plan(START + DAY)
    world.segment("seg_trial", "new")
    assert sent(world, world.plan(START + 2 * DAY)) == [("new", "hello")]


@pytest.mark.torture
def test_a_person_who_becomes_another_and_then_a_third_takes_everything_along(trial: World) -> None:
    trial.person("newest")
    trial.segment("seg_trial", "old")
    trial.plan(START + DAY)
    trial.merge("old", "new")
    trial.plan(START + 2 * DAY)
    trial.merge("new", "newest")

    plan = trial.plan(START + 3 * DAY)

    assert passes(trial, plan) == [("newest", "completed", None)]
    assert sent(trial, plan) == [("newest", "bye")]
    assert trial.rows(plan, "changes", "segment") == []


@pytest.mark.torture
def test_a_merge_that_is_none_any_more_gives_back_what_began_under_the_old_id(trial: World) -> None:
    """The load with the alias went, or an earlier one came that counts instead."""
    trial.segment("seg_trial", "old", "new")
    trial.campaigns = [campaign(steps=STEPS, repeat={"kind": "after_exit", "seconds": None})]
    trial.plan(START + DAY)
    trial.merge("old", "new")
    trial.plan(START + 2 * DAY)
    trial.merges = {}
    trial.person("old")
    trial.segment("seg_trial", "old", "new")

    plan = trial.plan(START + 3 * DAY)

    assert {user for user, *_ in passes(trial, plan)} == {"old", "new"}
    assert [user for user, step, *_ in trial.verdicts(plan) if step == "(entry)"] == ["old"]
    assert [row[2] for row in trial.rows(plan, "changes", "segment", "change", "cause")] == ["merge"]
    assert [step for _, step in sent(trial, plan)] == ["bye"]


@pytest.mark.torture
def test_people_who_became_others_are_not_missing(trial: World) -> None:
    trial.event("old", "signed_up", START)
    trial.plan(START + HOUR)
    trial.people_left_share = 0.2
    trial.merge("old", "new")
    trial.plan(START + DAY)

    del trial.people["ben"]
    with pytest.raises(GuardStop, match="people_left_share"):
        trial.plan(START + 2 * DAY)


def test_ids_that_nobody_knew_before_they_were_given_up_hide_no_loss(trial: World) -> None:
    """Guests, each with an order and the alias in one load: they are no people who left."""
    trial.people_left_share = 0.2
    for guest in range(20):
        trial.event(f"guest{guest}", "bought", START + DAY, load=2)
        trial.merge(f"guest{guest}", "new")
    trial.plan(START + DAY)

    trial.event("guest", "bought", START + DAY, load=3)
    trial.merge("guest", "new")
    del trial.people["ben"]
    with pytest.raises(GuardStop, match="people_left_share"):
        trial.plan(START + 2 * DAY)


def test_the_same_merges_make_the_same_plan_in_any_order_of_rows(trial: World, tmp_path: Path) -> None:
    trial.person("newest")
    trial.segment("seg_trial", "old", "new", "newest")
    trial.plan(START + DAY)
    trial.merge("old", "newest")
    trial.merge("new", "newest")

    made = set()
    for merges, threads in itertools.product(itertools.permutations(trial.merges.items()), (1, 4)):
        trial.merges, trial.threads = dict(merges), threads
        made.add(trial.plan_id(START + 2 * DAY, apply=False))

    assert len(made) == 1
    plan = trial.store.read(made.pop())
    assert [status for _, status, _ in passes(trial, plan)] == ["active", "merged", "merged"]


@pytest.mark.torture
def test_where_nobody_was_merged_a_plan_says_nothing_of_it(trial: World) -> None:
    trial.segment("seg_trial", "old")
    plan = trial.plan(START + DAY)

    assert not [name for name in plan.relations if name.startswith("merge")]
    assert "merged" not in plan.campaigns["welcome"]
    trial.merge("old", "new")
    seen = trial.plan(START + 2 * DAY)
    later = trial.plan(START + 2 * DAY + HOUR)
    assert "merged" in seen.relations
    assert "merged" not in later.relations
    assert later.relations["merges"] == seen.relations["merges"]
