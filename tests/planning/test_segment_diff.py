"""Who moved, and why: the rules of the diff."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tailrace import ids
from tests.examples import examples
from tests.planning.world import DAY, HOUR, OPEN, START, World, campaign


@pytest.fixture
def trial(world: World) -> World:
    """Ada is in seg_trial, Ben is not; a live campaign greets who enters; the baseline has been planned."""
    for user in ("ada", "ben"):
        world.person(user)
    world.segment("seg_trial", "ada")
    world.campaigns = [campaign()]
    world.begin()
    return world


def test_a_first_appearance_is_a_baseline_that_sends_nothing(world: World) -> None:
    for user in ("ada", "ben"):
        world.person(user)
    world.segment("seg_trial", "ada", "ben")
    world.campaigns = [campaign()]

    plan = world.plan(START)

    assert world.rows(plan, "changes", "change", "cause") == [("entered", "baseline")] * 2
    assert world.verdicts(plan) == [("ada", "(entry)", "skip", "baseline"), ("ben", "(entry)", "skip", "baseline")]
    assert plan.counts["send"] == 0


@pytest.mark.torture
def test_who_enters_by_behaviour_gets_the_message_once(trial: World) -> None:
    trial.segment("seg_trial", "ada", "ben")

    second = trial.plan(START + DAY)
    third = trial.plan(START + 2 * DAY)

    assert trial.verdicts(second) == [("ben", "hello", "send", None)]
    assert trial.verdicts(third) == []
    assert trial.rows(third, "enrollments:welcome", "status", "step") == [("completed", None)]


def test_an_edited_segment_moves_people_with_cause_definition_and_sends_nothing(trial: World) -> None:
    trial.segment("seg_trial", "ben")
    trial.edit("seg_trial", "2")

    plan = trial.plan(START + DAY)

    assert trial.rows(plan, "changes", "change", "cause") == [("entered", "definition"), ("left", "definition")]
    assert trial.verdicts(plan) == [("ben", "(entry)", "skip", "held_definition")]


def test_a_segment_that_failed_to_build_keeps_its_baseline(trial: World) -> None:
    trial.segment("seg_trial")
    trial.failed = {"seg_trial": "Conversion Error"}

    failed = trial.plan(START + DAY)
    trial.failed = {}
    trial.segment("seg_trial", "ada", "ben")
    mended = trial.plan(START + 2 * DAY)

    assert failed.segments["seg_trial"]["parked"] == "segment_failed"
    assert failed.segments["seg_trial"]["size"] == 1
    assert trial.rows(failed, "changes", "segment") == []
    assert trial.verdicts(mended) == [("ben", "hello", "send", None)]


def test_a_segment_that_failed_and_was_edited_is_held_when_it_builds_again(trial: World) -> None:
    trial.edit("seg_trial", "2")
    trial.failed = {"seg_trial": "Conversion Error"}
    trial.plan(START + DAY)
    trial.failed = {}
    trial.segment("seg_trial", "ada", "ben")

    assert trial.verdicts(trial.plan(START + 2 * DAY)) == [("ben", "(entry)", "skip", "held_definition")]


@pytest.mark.torture
def test_everyone_leaving_parks_the_segment_until_it_is_released(trial: World) -> None:
    for number in range(20):
        trial.person(f"p{number}")
    trial.segment("seg_trial", *(f"p{number}" for number in range(20)))
    trial.limits["segment:seg_trial"] = replace(OPEN, segment_left_share=0.3)
    trial.campaigns = [campaign("bye", trigger={"kind": "segment", "segment": "seg_trial", "on": "left"})]
    trial.plan(START + DAY)
    trial.segment("seg_trial")

    parked = trial.plan(START + 2 * DAY)
    trial.releases = [_Release(1, "segment_left_share", "segment:seg_trial", 1.0)]
    released = trial.plan(START + 3 * DAY)

    assert parked.segments["seg_trial"]["parked"] == "guard"
    assert parked.segments["seg_trial"]["size"] == 20
    assert trial.rows(parked, "changes", "segment") == []
    assert parked.counts["considered"] == 0
    assert released.counts["send"] == 20
    assert released.inputs.releases == (1,)


def test_a_release_does_not_cover_more_than_the_person_saw(trial: World) -> None:
    for number in range(20):
        trial.person(f"p{number}")
    everyone = [f"p{number}" for number in range(20)]
    trial.segment("seg_trial", *everyone)
    trial.limits["segment:seg_trial"] = replace(OPEN, segment_left_share=0.3)
    trial.plan(START + DAY)
    trial.releases = [_Release(1, "segment_left_share", "segment:seg_trial", 0.5)]
    trial.segment("seg_trial")

    assert trial.plan(START + 2 * DAY).segments["seg_trial"]["parked"] == "guard"


@pytest.mark.torture
def test_more_people_entering_than_the_guard_allows_park_the_segment_and_as_many_do_not(trial: World) -> None:
    everyone = [f"p{number}" for number in range(20)]
    for user in everyone:
        trial.person(user)
    trial.limits["segment:seg_trial"] = replace(OPEN, segment_entered_share=0.5)
    trial.segment("seg_trial", *everyone[:10])
    trial.plan(START + DAY)
    trial.segment("seg_trial", *everyone[:15])
    allowed = trial.plan(START + 2 * DAY)
    trial.segment("seg_trial", *everyone[5:15])
    allowed_out = trial.plan(START + 2 * DAY + HOUR)
    trial.segment("seg_trial", *everyone)

    parked = trial.plan(START + 3 * DAY)

    assert [plan.segments["seg_trial"]["parked"] for plan in (allowed, allowed_out, parked)] == [None, None, "guard"]
    assert [(read["guard"], read["measured"], read["tripped"]) for read in parked.guards] == [
        ("segment_entered_share", 1.0, True)
    ]
    assert parked.segments["seg_trial"]["size"] == 10


def test_a_segment_that_is_smaller_than_its_minimum_is_parked_however_few_left(trial: World) -> None:
    trial.limits["segment:seg_trial"] = replace(OPEN, segment_minimum=2)
    trial.segment("seg_trial", "ada", "ben")
    trial.plan(START + DAY)
    trial.segment("seg_trial", "ada")

    parked = trial.plan(START + 2 * DAY)
    trial.segment("seg_trial", "ada", "ben")
    again = trial.plan(START + 3 * DAY)

    assert [plan.segments["seg_trial"]["parked"] for plan in (parked, again)] == ["guard", None]
    assert [(read["guard"], read["measured"], read["tripped"]) for read in parked.guards] == [
        ("segment_minimum", 1, True)
    ]
    assert trial.rows(parked, "changes", "segment") == []
    assert trial.rows(again, "changes", "segment") == []


def test_a_silent_source_parks_every_segment(trial: World) -> None:
    trial.event("ada", "logged_in", START)
    trial.source_hours = {"app": 48}
    trial.segment("seg_trial")

    plan = trial.plan(START + 3 * DAY)

    assert plan.segments["seg_trial"]["parked"] == "source:app is stale"
    assert plan.segments["seg_trial"]["size"] == 1
    assert [(g["guard"], g["tripped"]) for g in plan.guards] == [("source_stale_after", True)]


def test_a_removed_segment_gives_its_bit_to_nobody(trial: World) -> None:
    trial.segment("seg_other", "ada", "ben")
    trial.plan(START + DAY)
    trial.segments = [segment for segment in trial.segments if segment.name != "seg_trial"]
    trial.segment("seg_new", "ben")

    plan = trial.plan(START + 2 * DAY)

    bits = {name: entry["bit"] for name, entry in plan.segments.items()}
    assert bits == {"seg_trial": 0, "seg_other": 1, "seg_new": 2}
    assert plan.segments["seg_trial"]["status"] == "removed"
    assert trial.rows(plan, "changes", "segment", "cause") == [("seg_new", "baseline")]


def test_a_segment_that_comes_back_is_a_baseline_again(trial: World) -> None:
    kept = trial.segments
    trial.segments = []
    trial.plan(START + DAY)
    trial.segments = kept
    trial.segment("seg_trial", "ada", "ben")

    plan = trial.plan(START + 2 * DAY)

    assert trial.rows(plan, "changes", "change", "cause") == [("entered", "baseline")] * 2
    assert plan.counts["send"] == 0


@pytest.mark.torture
def test_more_segments_than_a_word_holds_are_told_apart(world: World) -> None:
    for user in ("ada", "ben"):
        world.person(user)
    for number in range(130):
        world.segment(f"seg_{number:03}", "ada")
    world.plan(START)
    world.segment("seg_064", "ben")
    world.segment("seg_129", "ada", "ben")

    plan = world.plan(START + DAY)

    assert world.rows(plan, "changes", "segment", "person_id", "change") == sorted(
        [
            ("seg_064", ids.person_id("ada"), "left"),
            ("seg_064", ids.person_id("ben"), "entered"),
            ("seg_129", ids.person_id("ben"), "entered"),
        ],
        key=repr,
    )


USERS = ["ada", "ben", "cem", "dia"]
SNAPSHOTS = st.lists(
    st.fixed_dictionaries({name: st.sets(st.sampled_from(USERS)) for name in ("seg_a", "seg_b", "seg_c")}),
    min_size=2,
    max_size=4,
)


@pytest.mark.torture
@settings(max_examples=examples(15), suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(SNAPSHOTS)
def test_the_changes_are_what_set_arithmetic_says(tmp_path_factory, snapshots) -> None:  # type: ignore[no-untyped-def]
    world = World(tmp_path_factory.mktemp("world"))
    for user in USERS:
        world.person(user)
    before: dict[str, set[str]] = {}
    for number, snapshot in enumerate(snapshots):
        for name, members in snapshot.items():
            world.segment(name, *members)
        plan = world.plan(START + number * DAY)
        expected = [
            (name, ids.person_id(user), change)
            for name, members in snapshot.items()
            for change, users in (
                ("entered", members - before.get(name, set())),
                ("left", before.get(name, set()) - members),
            )
            for user in users
        ]
        assert world.rows(plan, "changes", "segment", "person_id", "change") == sorted(expected, key=repr)
        assert plan.counts["memberships"] == sum(len(members) for members in snapshot.values())
        before = snapshot


class _Release:
    def __init__(self, seq: int, guard: str, subject: str, measured: float) -> None:
        self.seq, self.guard, self.subject, self.measured = seq, guard, subject, measured
