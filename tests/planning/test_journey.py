"""Who moves on, who is considered for which message, and why not."""

from datetime import timedelta

import pytest

from tailrace import ids
from tests.planning.world import DAY, HOUR, START, World, campaign, event_trigger, goal, message

TWO_STEPS = [
    {"id": "hello", "send": "hello"},
    {"id": "wait_2d", "wait": 2 * 86_400},
    {"id": "again", "send": "again"},
]


@pytest.fixture
def trial(world: World) -> World:
    """Nobody is in seg_trial yet; the first plan has been made."""
    for user in ("ada", "ben"):
        world.person(user)
    world.segment("seg_trial")
    world.begin()
    return world


@pytest.mark.torture
def test_a_wait_is_measured_from_arrival_and_passed_once(trial: World) -> None:
    trial.campaigns = [campaign(steps=TWO_STEPS)]
    trial.segment("seg_trial", "ada")

    seen = [trial.verdicts(trial.plan(START + day * DAY)) for day in range(1, 5)]

    assert seen == [[("ada", "hello", "send", None)], [], [("ada", "again", "send", None)], []]


@pytest.mark.torture
def test_a_step_reached_after_its_time_is_expired_not_sent_late(trial: World) -> None:
    trial.campaigns = [campaign(steps=TWO_STEPS)]
    trial.segment("seg_trial", "ada")
    trial.plan(START + DAY)

    plan = trial.plan(START + 5 * DAY)

    assert trial.verdicts(plan) == [("ada", "again", "skip", "expired")]
    assert trial.rows(plan, "enrollments:welcome", "status") == [("completed",)]


def test_an_event_triggers_once_in_the_plan_that_first_sees_it(trial: World) -> None:
    trial.campaigns = [campaign(trigger=event_trigger("signed_up"))]
    trial.event("ada", "signed_up", START + HOUR)
    trial.event("ada", "signed_up", START + 2 * HOUR)

    first, second = trial.plan(START + DAY), trial.plan(START + 2 * DAY)

    assert trial.verdicts(first) == [("ada", "hello", "send", None)]
    assert trial.verdicts(second) == []


def test_an_event_from_before_the_first_plan_triggers_nothing(world: World) -> None:
    world.person("ada")
    world.campaigns = [campaign(trigger=event_trigger("signed_up"))]
    world.event("ada", "signed_up", START - HOUR)

    assert world.verdicts(world.plan(START)) == []
    assert world.verdicts(world.plan(START + DAY)) == []


def test_an_event_that_had_landed_but_not_happened_triggers_when_its_time_comes(trial: World) -> None:
    trial.campaigns = [campaign(trigger=event_trigger("signed_up"))]
    trial.event("ada", "signed_up", START + 30 * HOUR, landed=START + HOUR)

    assert trial.verdicts(trial.plan(START + DAY)) == []
    assert trial.verdicts(trial.plan(START + 2 * DAY)) == [("ada", "hello", "send", None)]


def test_an_event_that_landed_late_is_considered_and_skipped(trial: World) -> None:
    trial.campaigns = [campaign(trigger=event_trigger("signed_up", late=3600))]
    trial.event("ada", "signed_up", START - DAY, load=2, landed=START + HOUR)
    trial.event("ben", "signed_up", START + HOUR, load=2, landed=START + 2 * HOUR)

    assert trial.verdicts(trial.plan(START + 3 * HOUR)) == [
        ("ada", "(entry)", "skip", "late"),
        ("ben", "hello", "send", None),
    ]


def test_a_history_event_triggers_nothing_ever(trial: World) -> None:
    trial.campaigns = [campaign(trigger=event_trigger("signed_up"))]
    trial.history = {2}
    trial.event("ada", "signed_up", START + HOUR, load=2)

    assert trial.verdicts(trial.plan(START + DAY)) == []
    assert trial.verdicts(trial.plan(START + 2 * DAY)) == []


def test_a_backfill_moves_people_with_cause_history_and_sends_nothing(trial: World) -> None:
    trial.campaigns = [campaign()]
    trial.segment("seg_trial", "ada")

    plan = trial.plan(START, cause="backfill")

    assert trial.rows(plan, "changes", "cause") == [("history",)]
    assert trial.verdicts(plan) == [("ada", "(entry)", "skip", "history")]
    assert trial.verdicts(trial.plan(START + DAY)) == []


def test_a_condition_on_the_event_decides(trial: World) -> None:
    where = "try_cast(json_extract_string(properties, '$.\"mrr\"') as double) >= 50"
    trigger = event_trigger("upgraded", where="mrr >= 50", where_sql=where)
    trial.campaigns = [campaign(trigger=trigger)]
    trial.event("ada", "upgraded", START + HOUR, mrr=99)
    trial.event("ben", "upgraded", START + HOUR, mrr=9)

    assert trial.verdicts(trial.plan(START + DAY)) == [("ada", "hello", "send", None)]


@pytest.mark.torture
def test_nobody_enters_twice(trial: World) -> None:
    trial.campaigns = [campaign()]
    trial.segment("seg_trial", "ada")
    trial.plan(START + DAY)
    trial.segment("seg_trial")
    trial.plan(START + 2 * DAY)
    trial.segment("seg_trial", "ada")

    assert trial.verdicts(trial.plan(START + 3 * DAY)) == [("ada", "(entry)", "skip", "already_enrolled")]


@pytest.mark.torture
def test_a_goal_with_exit_ends_the_journey_before_anything_is_sent(trial: World) -> None:
    target = goal(event="subscribed")
    trial.campaigns = [campaign(steps=TWO_STEPS, goal=target)]
    trial.segment("seg_trial", "ada", "ben")
    trial.plan(START + DAY)
    trial.event("ada", "subscribed", START + 2 * DAY)

    plan = trial.plan(START + 3 * DAY)

    assert trial.verdicts(plan) == [("ben", "again", "send", None)]
    assert trial.rows(plan, "enrollments:welcome", "status", "goal_at") == sorted(
        [("converted", (START + 2 * DAY).replace(tzinfo=None)), ("completed", None)], key=repr
    )
    assert ("converted",) in trial.rows(plan, "transitions", "why")


def test_a_goal_without_exit_is_recorded_and_the_journey_goes_on(trial: World) -> None:
    target = goal(event="subscribed", exit=False)
    trial.campaigns = [campaign(steps=TWO_STEPS, goal=target)]
    trial.segment("seg_trial", "ada")
    trial.plan(START + DAY)
    trial.event("ada", "subscribed", START + 2 * DAY)

    plan = trial.plan(START + 3 * DAY)

    assert trial.verdicts(plan) == [("ada", "again", "send", None)]
    assert trial.rows(plan, "enrollments:welcome", "goal_at") == [((START + 2 * DAY).replace(tzinfo=None),)]


def test_who_did_it_between_the_trigger_and_the_run_converts_at_once(trial: World) -> None:
    target = goal(event="project_created", within=86_400)
    trigger = event_trigger("signed_up")
    trial.campaigns = [campaign(trigger=trigger, goal=target)]
    trial.event("ada", "signed_up", START + HOUR)
    trial.event("ada", "project_created", START + 2 * HOUR)

    plan = trial.plan(START + DAY)

    assert trial.verdicts(plan) == []
    assert trial.rows(plan, "enrollments:welcome", "status") == [("converted",)]


def test_a_holdout_walks_the_steps_and_gets_nothing(trial: World) -> None:
    trial.campaigns = [campaign(steps=TWO_STEPS, holdout_bp=10_000)]
    trial.segment("seg_trial", "ada")

    plans = [trial.plan(START + day * DAY) for day in (1, 3)]

    assert [trial.verdicts(plan) for plan in plans] == [
        [("ada", "hello", "skip", "holdout")],
        [("ada", "again", "skip", "holdout")],
    ]
    assert trial.rows(plans[1], "enrollments:welcome", "arm", "status") == [("holdout", "completed")]


def test_the_holdout_is_the_share_it_says_and_the_same_as_the_python_bucket(world: World) -> None:
    users = [f"u{number}" for number in range(1000)]
    for user in users:
        world.person(user)
    world.segment("seg_trial")
    world.campaigns = [campaign(holdout_bp=2_000)]
    world.plan(START)
    world.segment("seg_trial", *users)

    plan = world.plan(START + DAY)

    arms = dict(world.rows(plan, "enrollments:welcome", "person_id", "arm"))
    expected = {ids.person_id(user) for user in users if ids.bucket(ids.person_id(user), "holdout:welcome") < 2_000}
    assert {person for person, arm in arms.items() if arm == "holdout"} == expected
    assert 150 < len(expected) < 250


def test_each_reason_stands_for_its_person(trial: World) -> None:
    trial.person("nora", email=None)
    trial.person("odd", email="not an address")
    trial.person("una", is_unsubscribed=True)
    trial.person("nameless", first_name=None)
    trial.person("blank", first_name="  ")
    trial.person("twin_a", email="Shared@example.com")
    trial.person("twin_b", email="shared@example.com ")
    spec = message(("customer", "first_name"))
    trial.campaigns = [campaign(messages={"hello": spec})]
    trial.segment("seg_trial", "ada", "nora", "odd", "una", "nameless", "blank", "twin_a", "twin_b")

    verdicts = trial.verdicts(trial.plan(START + DAY))

    twins = {verdict[2:] for verdict in verdicts if verdict[0].startswith("twin")}
    assert twins == {("send", None), ("skip", "duplicate_inbox")}
    assert [verdict for verdict in verdicts if not verdict[0].startswith("twin")] == [
        ("ada", "hello", "send", None),
        ("blank", "hello", "skip", "missing_field:customer.first_name"),
        ("nameless", "hello", "skip", "missing_field:customer.first_name"),
        ("nora", "hello", "skip", "no_address"),
        ("odd", "hello", "skip", "no_address"),
        ("una", "hello", "skip", "unsubscribed"),
    ]


def test_a_transactional_message_reaches_who_unsubscribed_from_marketing(trial: World) -> None:
    trial.person("una", is_unsubscribed=True)
    trial.campaigns = [campaign(class_="transactional")]
    trial.segment("seg_trial", "una")

    assert trial.verdicts(trial.plan(START + DAY)) == [("una", "hello", "send", None)]


def test_a_draft_says_who_would_enter_and_enrols_nobody(trial: World) -> None:
    trial.campaigns = [campaign(status="draft")]
    trial.segment("seg_trial", "ada")

    plan = trial.plan(START + DAY)

    assert trial.verdicts(plan) == [("ada", "(entry)", "skip", "draft")]
    assert trial.rows(plan, "enrollments:welcome", "status") == []


@pytest.mark.torture
def test_a_pause_that_expires_defers_and_sends_when_it_is_live_again(trial: World) -> None:
    trial.campaigns = [campaign(steps=TWO_STEPS)]
    trial.segment("seg_trial", "ada")
    trial.plan(START + DAY)
    trial.campaigns = [campaign(steps=TWO_STEPS, status="paused", on_pause="expire")]
    trial.segment("seg_trial", "ada", "ben")

    paused = trial.plan(START + 3 * DAY)
    again_paused = trial.plan(START + 3 * DAY + HOUR)
    trial.campaigns = [campaign(steps=TWO_STEPS)]
    live = trial.plan(START + 3 * DAY + 2 * HOUR)

    assert trial.verdicts(paused) == [("ada", "again", "defer", "paused"), ("ben", "(entry)", "skip", "paused")]
    assert trial.verdicts(again_paused) == [("ada", "again", "defer", "paused")]
    assert trial.verdicts(live) == [("ada", "again", "send", None)]


@pytest.mark.torture
def test_a_message_that_a_pause_held_past_its_time_is_expired_and_the_person_moves_on(trial: World) -> None:
    trial.campaigns = [campaign(steps=TWO_STEPS)]
    trial.segment("seg_trial", "ada")
    trial.plan(START + DAY)
    trial.campaigns = [campaign(steps=TWO_STEPS, status="paused", on_pause="expire")]
    trial.plan(START + 3 * DAY)

    late = trial.plan(START + 5 * DAY)

    assert trial.verdicts(late) == [("ada", "again", "skip", "expired")]
    assert trial.rows(late, "enrollments:welcome", "status") == [("completed",)]


@pytest.mark.torture
def test_a_pause_holds_the_clocks_and_shifts_them_by_its_length(trial: World) -> None:
    trial.campaigns = [campaign(steps=TWO_STEPS)]
    trial.segment("seg_trial", "ada")
    trial.plan(START + DAY)
    trial.campaigns = [campaign(steps=TWO_STEPS, status="paused")]
    held = [trial.plan(START + day * DAY) for day in (2, 6)]
    trial.campaigns = [campaign(steps=TWO_STEPS)]

    after = [trial.verdicts(trial.plan(START + day * DAY)) for day in (7, 8)]

    assert [trial.verdicts(plan) for plan in held] == [[], []]
    assert [trial.rows(plan, "enrollments:welcome", "step") for plan in held] == [[("wait_2d",)], [("wait_2d",)]]
    assert after == [[], [("ada", "again", "send", None)]]


@pytest.mark.torture
def test_a_wait_goes_on_through_a_pause_that_expires(trial: World) -> None:
    trial.campaigns = [campaign(steps=TWO_STEPS, on_pause="expire")]
    trial.segment("seg_trial", "ada")
    trial.plan(START + DAY)
    trial.campaigns = [campaign(steps=TWO_STEPS, on_pause="expire", status="paused")]
    trial.plan(START + 2 * DAY)
    trial.campaigns = [campaign(steps=TWO_STEPS, on_pause="expire")]
    trial.plan(START + 2 * DAY + HOUR)

    assert trial.verdicts(trial.plan(START + 3 * DAY)) == [("ada", "again", "send", None)]


def test_a_goal_is_reached_while_the_campaign_is_paused(trial: World) -> None:
    spec = {"steps": TWO_STEPS, "goal": goal(event="subscribed")}
    trial.campaigns = [campaign(**spec)]
    trial.segment("seg_trial", "ada")
    trial.plan(START + DAY)
    trial.campaigns = [campaign(**spec, status="paused")]
    trial.event("ada", "subscribed", START + 2 * DAY)

    assert trial.rows(trial.plan(START + 3 * DAY), "enrollments:welcome", "status") == [("converted",)]


def test_a_draft_waits_for_approval_and_the_person_goes_on(trial: World) -> None:
    trial.campaigns = [campaign(steps=TWO_STEPS, sending="draft", expires=30 * 86_400)]
    trial.segment("seg_trial", "ada")

    plan = trial.plan(START + DAY)

    assert trial.verdicts(plan) == [("ada", "hello", "send", "awaiting_approval")]
    assert trial.rows(plan, "enrollments:welcome", "step") == [("wait_2d",)]


def test_an_ended_campaign_lets_nobody_in_and_everybody_out(trial: World) -> None:
    trial.campaigns = [campaign(steps=TWO_STEPS)]
    trial.segment("seg_trial", "ada")
    trial.plan(START + DAY)
    trial.campaigns = [campaign(steps=TWO_STEPS, status="ended")]
    trial.segment("seg_trial", "ada", "ben")

    plan = trial.plan(START + 3 * DAY)

    assert trial.verdicts(plan) == [("ben", "(entry)", "skip", "ended")]
    assert trial.rows(plan, "enrollments:welcome", "status", "step") == [("ended", None)]


def test_an_ended_campaign_that_drains_lets_people_walk_to_the_end(trial: World) -> None:
    trial.campaigns = [campaign(steps=TWO_STEPS)]
    trial.segment("seg_trial", "ada")
    trial.plan(START + DAY)
    trial.campaigns = [campaign(steps=TWO_STEPS, status="ended", on_end="drain")]
    trial.segment("seg_trial", "ada", "ben")

    plan = trial.plan(START + 3 * DAY)

    assert trial.verdicts(plan) == [("ada", "again", "send", None), ("ben", "(entry)", "skip", "ended")]
    assert trial.rows(plan, "enrollments:welcome", "status", "step") == [("completed", None)]


def test_people_in_flight_stay_on_their_version(trial: World) -> None:
    trial.campaigns = [campaign(steps=TWO_STEPS)]
    trial.segment("seg_trial", "ada")
    trial.plan(START + DAY)
    edited = [{"id": "hello", "send": "hello"}, {"id": "wait_9d", "wait": 9 * 86_400}, {"id": "again", "send": "again"}]
    trial.campaigns = [campaign(steps=edited)]
    trial.segment("seg_trial", "ada", "ben")

    plan = trial.plan(START + 3 * DAY)

    assert trial.verdicts(plan) == [("ada", "again", "send", None), ("ben", "hello", "send", None)]


@pytest.mark.torture
def test_a_campaign_whose_folder_is_gone_forgets_nobody(trial: World) -> None:
    spec = campaign(steps=TWO_STEPS, expires=30 * 86_400)
    trial.campaigns = [spec]
    trial.segment("seg_trial", "ada")
    trial.plan(START + DAY)
    trial.campaigns = []
    trial.plan(START + 2 * DAY)
    trial.campaigns = [spec]

    assert trial.verdicts(trial.plan(START + 4 * DAY)) == [("ada", "again", "send", None)]


@pytest.mark.torture
def test_existing_members_enrol_when_the_campaign_says_so_and_only_once(trial: World) -> None:
    trial.segment("seg_trial", "ada")
    trial.plan(START + DAY)
    trial.campaigns = [campaign(existing="enroll", steps=TWO_STEPS)]

    assert trial.verdicts(trial.plan(START + 2 * DAY)) == [("ada", "hello", "send", None)]
    assert trial.verdicts(trial.plan(START + 3 * DAY)) == []


def test_every_considered_person_has_exactly_one_verdict(trial: World) -> None:
    users = [f"u{number}" for number in range(60)]
    for number, user in enumerate(users):
        trial.person(user, email=None if number % 3 == 0 else f"{user}@example.com", is_unsubscribed=number % 5 == 0)
    trial.campaigns = [campaign(steps=TWO_STEPS, holdout_bp=3_000), campaign("second", priority=10)]
    trial.segment("seg_trial", *users)

    plan = trial.plan(START + DAY)

    counts = plan.counts
    assert counts["considered"] == counts["send"] + counts["defer"] + counts["skip"] == 120
    assert len(set(trial.rows(plan, "verdicts", "intent_id"))) == 120


def test_intent_ids_are_what_python_says(trial: World) -> None:
    trial.campaigns = [campaign()]
    trial.segment("seg_trial", "ada")

    plan = trial.plan(START + timedelta(hours=1))

    enrollment = ids.enrollment_id("welcome", ids.person_id("ada"))
    assert trial.rows(plan, "verdicts", "intent_id", "enrollment_id") == [
        (ids.intent_id("welcome", "hello", enrollment), enrollment)
    ]
