"""What ends a pass, what an edit does to it, and what a deferred message takes back."""

from datetime import timedelta
from typing import Any

import pytest

from tailrace import ids
from tailrace.planning.arbitration import Limit, Rules
from tailrace.planning.store import COMPACT_AT
from tests.planning.world import DAY, HOUR, START, World, campaign, event_trigger, goal, message

STEPS: list[dict[str, Any]] = [
    {"id": "hello", "send": "hello"},
    {"id": "rest", "wait": 2 * 86_400},
    {"id": "bye", "send": "bye"},
]


@pytest.fixture
def trial(world: World) -> World:
    """Ada and Ben entered seg_trial after the first plan."""
    for user in ("ada", "ben"):
        world.person(user)
    for segment in ("seg_trial", "seg_vip"):
        world.segment(segment)
    world.begin()
    world.segment("seg_trial", "ada", "ben")
    return world


def where(world: World, plan: Any) -> list[tuple[Any, ...]]:
    return world.rows(plan, "enrollments:welcome", "status", "step")


NO_PLAN = {"where_sql": "coalesce(json_extract_string(customer, '$.plan') = 'none', false)", "columns": ["plan"]}


@pytest.mark.torture
@pytest.mark.usefixtures("asked_both_ways")
@pytest.mark.parametrize(
    "condition",
    [
        "left_trigger",
        {"in": "seg_vip"},
        {"all": [NO_PLAN, {"any": [{"in": "seg_vip"}, {"in": "seg_trial"}]}]},
        {"event": "cancelled", "where_sql": None, "since": "entry"},
        NO_PLAN,
    ],
)
def test_who_meets_an_exit_condition_gets_nothing_more(trial: World, condition: Any) -> None:
    trial.campaigns = [campaign(steps=STEPS, exit=[{"in": "seg_nowhere"}, condition])]
    trial.plan(START + DAY)
    trial.segment("seg_trial", "ben")
    trial.segment("seg_vip", "ada")
    trial.person("ada", plan="none")
    trial.event("ada", "cancelled", START + 2 * DAY, load=2)

    plan = trial.plan(START + 3 * DAY)

    assert trial.verdicts(plan) == [("ben", "bye", "send", None)]
    assert where(trial, plan) == [("completed", None), ("exited", None)]


@pytest.mark.usefixtures("asked")
def test_who_enters_and_meets_an_exit_condition_leaves_before_the_first_message(trial: World) -> None:
    trial.segment("seg_vip", "ada")
    trial.campaigns = [campaign(steps=STEPS, exit=[{"in": "seg_vip"}])]

    plan = trial.plan(START + DAY)

    assert trial.verdicts(plan) == [("ben", "hello", "send", None)]
    assert where(trial, plan) == [("active", "rest"), ("exited", None)]


@pytest.mark.usefixtures("asked")
def test_the_goal_goes_before_the_exit(trial: World) -> None:
    trial.campaigns = [campaign(steps=STEPS, goal=goal(event="paid"), exit=[{"in": "seg_vip"}])]
    trial.plan(START + DAY)
    trial.segment("seg_vip", "ada", "ben")
    trial.event("ada", "paid", START + 2 * DAY, load=2)

    assert where(trial, trial.plan(START + 3 * DAY)) == [("converted", None), ("exited", None)]


@pytest.mark.torture
@pytest.mark.usefixtures("asked_both_ways")
def test_a_goal_by_segment_is_reached_by_entering_it_in_time(trial: World) -> None:
    trial.campaigns = [campaign(steps=STEPS, goal=goal(segment="seg_vip", within=3 * 86_400))]
    trial.plan(START + DAY)
    trial.segment("seg_vip", "ada")
    first = trial.plan(START + 2 * DAY)
    trial.segment("seg_vip", "ada", "ben")
    late = trial.plan(START + 5 * DAY)

    assert where(trial, first) == [("active", "rest"), ("converted", None)]
    assert trial.rows(first, "enrollments:welcome", "goal_at") == sorted(
        [(None,), ((START + 2 * DAY).replace(tzinfo=None),)], key=repr
    )
    assert where(trial, late) == [("completed", None), ("converted", None)]


@pytest.mark.torture
@pytest.mark.usefixtures("asked")
def test_a_goal_by_segment_is_reached_up_to_the_last_second_of_its_window(trial: World) -> None:
    trial.campaigns = [campaign(steps=STEPS[:2], goal=goal(segment="seg_vip", within=86_400))]
    trial.plan(START + DAY)
    trial.segment("seg_vip", "ada")
    in_time = trial.plan(START + 2 * DAY)
    trial.segment("seg_vip", "ada", "ben")
    late = trial.plan(START + 2 * DAY + timedelta(seconds=1))

    assert where(trial, in_time) == [("active", "rest"), ("converted", None)]
    assert where(trial, late) == [("active", "rest"), ("converted", None)]


@pytest.mark.torture
@pytest.mark.usefixtures("asked")
def test_an_edit_of_a_goals_segment_reaches_nothing_though_the_same_person_reaches_another_goal(trial: World) -> None:
    trial.campaigns = [
        campaign(steps=STEPS, goal=goal(segment="seg_vip")),
        campaign("other", steps=STEPS, goal=goal(segment="seg_buyer")),
    ]
    trial.segment("seg_buyer")
    trial.plan(START + DAY)
    trial.segment("seg_buyer", "ada")
    trial.segment("seg_vip", "ada")
    trial.edit("seg_vip", "2")

    plan = trial.plan(START + DAY + HOUR)

    assert trial.rows(plan, "enrollments:other", "status") == [("active",), ("converted",)]
    assert trial.rows(plan, "enrollments:welcome", "status", "goal_at") == [("active", None)] * 2


@pytest.mark.torture
@pytest.mark.usefixtures("asked")
def test_a_goal_by_segment_is_not_reached_by_an_edit_of_the_segment_nor_by_a_backfill(trial: World) -> None:
    trial.campaigns = [campaign(steps=STEPS, goal=goal(segment="seg_vip"))]
    trial.plan(START + DAY)
    trial.segment("seg_vip", "ada")
    trial.edit("seg_vip", "2")
    edited = trial.plan(START + DAY + HOUR)
    trial.segment("seg_vip", "ada", "ben")
    backfilled = trial.plan(START + DAY + HOUR, cause="backfill")

    assert trial.rows(backfilled, "changes", "segment", "cause") == [("seg_vip", "history")]
    for plan in (edited, backfilled):
        assert trial.rows(plan, "enrollments:welcome", "status", "goal_at") == [("active", None)] * 2


@pytest.mark.usefixtures("asked")
def test_a_goal_counts_after_the_last_step_and_only_with_its_condition(trial: World) -> None:
    big = "coalesce(try_cast(json_extract_string(properties, '$.amount') as double) > 10, false)"
    trial.campaigns = [campaign(goal=goal(event="paid", where_sql=big))]
    done = trial.plan(START + DAY)
    trial.event("ada", "paid", START + 2 * DAY, load=2, amount=99)
    trial.event("ben", "paid", START + 2 * DAY, load=2, amount=5)

    plan = trial.plan(START + 3 * DAY)

    assert where(trial, done) == [("completed", None), ("completed", None)]
    assert where(trial, plan) == [("completed", None), ("completed", None)]
    reached = [row for row in trial.rows(plan, "enrollments:welcome", "goal_at") if row != (None,)]
    assert reached == [((START + 2 * DAY).replace(tzinfo=None),)]


@pytest.mark.torture
@pytest.mark.usefixtures("asked_both_ways")
def test_an_event_reaches_the_goal_after_the_entry_and_up_to_the_last_second_of_its_window(world: World) -> None:
    entry, second = START + DAY, timedelta(seconds=1)
    moments = {"at_entry": entry, "first": entry + second, "last": entry + DAY, "late": entry + DAY + second}
    for user in moments:
        world.person(user)
    world.segment("seg_trial")
    world.campaigns = [campaign(steps=STEPS, goal=goal(event="paid", within=86_400, exit=False))]
    world.plan(START)
    world.segment("seg_trial", *moments)
    world.plan(entry)
    for user, moment in moments.items():
        world.event(user, "paid", moment, load=2)

    plan = world.plan(START + 5 * DAY)

    reached = world.rows(plan, "enrollments:welcome", "person_id", "goal_at")
    assert {person: moment for person, moment in reached if moment is not None} == {
        ids.person_id(user): moments[user].replace(tzinfo=None) for user in ("first", "last")
    }


MESSAGES = {name: message(key=name) for name in ("hello", "bye", "more")}

EDITED = [
    {"id": "hello", "send": "hello"},
    {"id": "rest", "wait": 4 * 86_400},
    {"id": "more", "send": "more"},
]


@pytest.mark.torture
@pytest.mark.parametrize(
    ("on_edit", "said"),
    [
        ("keep", [[("ada", "bye", "send", None), ("ben", "bye", "send", None)], []]),
        ("move", [[], [("ada", "more", "send", None), ("ben", "more", "send", None)]]),
        ("exit", [[], []]),
    ],
)
def test_an_edit_does_with_people_in_flight_as_its_author_chose(trial: World, on_edit: str, said: Any) -> None:
    trial.campaigns = [campaign(steps=STEPS)]
    before = trial.plan(START + DAY)
    trial.campaigns = [campaign(steps=EDITED, on_edit=on_edit, messages=MESSAGES)]

    plan = trial.plan(START + 3 * DAY)

    assert [trial.verdicts(plan), trial.verdicts(trial.plan(START + 5 * DAY))] == said
    assert plan.campaigns["welcome"]["migration"] == [
        {
            "version": before.campaigns["welcome"]["version"],
            "step": "rest",
            "people": 2,
            "keep": ["bye"],
            "move": ["more"],
            "exit": [],
        }
    ]
    assert trial.store.read("HEAD").campaigns["welcome"]["migration"] == []
    if on_edit == "exit":
        assert where(trial, plan) == [("edited", None), ("edited", None)]


@pytest.mark.usefixtures("asked")
@pytest.mark.parametrize("hope", [goal(event="paid"), goal(segment="seg_vip")], ids=["event", "segment"])
def test_whom_an_edit_takes_out_reaches_no_goal_in_the_same_run(trial: World, hope: dict[str, Any]) -> None:
    trial.campaigns = [campaign(steps=STEPS, goal=hope)]
    trial.plan(START + DAY)
    trial.campaigns = [campaign(steps=EDITED, goal=hope, on_edit="exit", messages=MESSAGES)]
    trial.event("ada", "paid", START + 2 * DAY, load=2)
    trial.segment("seg_vip", "ada")

    plan = trial.plan(START + 3 * DAY)

    assert trial.rows(plan, "enrollments:welcome", "status", "goal_at") == [("edited", None)] * 2


@pytest.mark.parametrize("instead", [{"id": "pause", "wait": 86_400}, {"id": "rest", "send": "more"}])
def test_who_rests_at_a_step_that_is_gone_or_of_another_kind_stays_on_the_version(
    trial: World, instead: dict[str, Any]
) -> None:
    trial.campaigns = [campaign(steps=STEPS)]
    trial.plan(START + DAY)
    edited = [EDITED[0], instead, {"id": "last", "send": "more"}]
    trial.campaigns = [campaign(steps=edited, on_edit="move", messages=MESSAGES)]

    plan = trial.plan(START + 3 * DAY)

    assert trial.verdicts(plan) == [("ada", "bye", "send", None), ("ben", "bye", "send", None)]
    assert plan.campaigns["welcome"]["migration"][0]["move"] is None


@pytest.mark.torture
def test_a_step_added_at_the_end_reaches_people_in_flight_by_the_authors_choice(trial: World) -> None:
    trial.campaigns = [campaign(steps=STEPS)]
    trial.plan(START + DAY)
    trial.campaigns = [campaign(steps=[*STEPS, {"id": "one_more", "wait": 3600}, EDITED[2]], on_edit="move")]
    trial.plan(START + 3 * DAY)

    said = trial.verdicts(trial.plan(START + 4 * DAY))

    assert said == [("ada", "more", "send", None), ("ben", "more", "send", None)]


@pytest.mark.torture
@pytest.mark.parametrize("on_edit", ["keep", "move"])
def test_an_edited_filter_neither_empties_nor_floods_a_campaign(trial: World, on_edit: str) -> None:
    nobody = {"where_sql": "coalesce(json_extract_string(customer, '$.plan') = 'none', false)", "columns": ["plan"]}
    trial.person("cleo")
    trial.campaigns = [campaign(steps=STEPS, filter={"not": nobody})]
    trial.plan(START + DAY)
    trial.campaigns = [campaign(steps=STEPS, filter=nobody, on_edit=on_edit)]
    narrowed = trial.plan(START + 2 * DAY)
    trial.campaigns = [campaign(steps=STEPS, filter=None, on_edit=on_edit)]
    trial.segment("seg_trial", "ada", "ben", "cleo")
    widened = trial.plan(START + 3 * DAY)

    assert where(trial, narrowed) == [("active", "rest"), ("active", "rest")]
    assert trial.verdicts(narrowed) == []
    assert trial.verdicts(widened) == [
        ("ada", "bye", "send", None),
        ("ben", "bye", "send", None),
        ("cleo", "hello", "send", None),
    ]


@pytest.mark.torture
def test_ten_missed_runs_take_each_person_past_one_message_and_name_what_expired(trial: World) -> None:
    days = [{"id": f"w{n}", "wait": 86_400} for n in range(4)]
    sends = [{"id": f"m{n}", "send": f"m{n}"} for n in range(5)]
    steps = [sends[0]] + [step for n in range(4) for step in (days[n], sends[n + 1])]
    trial.campaigns = [campaign(steps=steps)]
    trial.plan(START + DAY)

    said = [trial.verdicts(trial.plan(START + day * DAY)) for day in (12, 13)]

    assert said == [
        [("ada", "m1", "skip", "expired"), ("ben", "m1", "skip", "expired")],
        [("ada", "m2", "send", None), ("ben", "m2", "send", None)],
    ]


def test_two_messages_in_a_row_are_considered_in_two_runs(trial: World) -> None:
    trial.campaigns = [campaign(steps=[{"id": "one", "send": "one"}, {"id": "two", "send": "two"}])]

    plans = [trial.plan(START + day * DAY) for day in (1, 2)]

    assert [{row[1] for row in trial.verdicts(plan)} for plan in plans] == [{"one"}, {"two"}]
    assert where(trial, plans[1]) == [("completed", None), ("completed", None)]


@pytest.mark.torture
@pytest.mark.parametrize(
    ("holdout_bp", "said"),
    [
        (0, [("ada", "hi", "defer", "exclusive")]),
        (10_000, [("ada", "hi", "send", None)]),
    ],
    ids=["treated", "held out"],
)
def test_who_rests_in_an_exclusive_campaign_waits_unless_it_writes_to_them_never(
    trial: World, holdout_bp: int, said: list[tuple[Any, ...]]
) -> None:
    trial.rules = Rules(exclusive=[["welcome", "first"]])
    second = campaign(trigger=event_trigger("signed_up"), steps=[{"id": "hi", "send": "hi"}], expires=9 * 86_400)
    trial.campaigns = [campaign("first", priority=90, steps=STEPS[:2], holdout_bp=holdout_bp), second]
    trial.plan(START + DAY)
    trial.event("ada", "signed_up", START + DAY + HOUR, load=2)

    resting = trial.plan(START + DAY + 2 * HOUR)
    gone = trial.plan(START + 3 * DAY)

    assert trial.verdicts(resting) == said
    assert trial.verdicts(gone) == ([("ada", "hi", "send", None)] if holdout_bp == 0 else [])


@pytest.mark.torture
def test_what_stands_beyond_a_capped_message_is_taken_back_and_done_once_it_is_sent(trial: World) -> None:
    trial.rules = Rules(limits=(Limit("marketing", None, 1, 2 * 86_400),))
    steps = [
        {"id": "tip", "send": "tip"},
        {"id": "mark", "update": {"stage": "told"}},
        {"id": "arms", "split": [{"name": "only", "weight": 1, "steps": [{"id": "tell", "notify": "tell"}]}]},
    ]
    first = campaign("first", priority=90)
    trial.campaigns = [first, campaign(steps=steps, expires=9 * 86_400)]
    trial.segment("seg_trial", "ada")

    held = trial.plan(START + DAY)
    freed = trial.plan(START + 4 * DAY)

    assert trial.verdicts(held) == [("ada", "hello", "send", None), ("ada", "tip", "defer", "frequency_cap")]
    assert where(trial, held) == [("active", "tip")]
    assert trial.rows(held, "acts", "name") == []
    assert trial.rows(held, "assignments:welcome", "name") == []
    assert trial.verdicts(freed) == [("ada", "tell", "send", None), ("ada", "tip", "send", None)]
    assert trial.rows(freed, "acts", "kind", "name", "value") == [("update", "stage", '"told"')]
    assert trial.rows(freed, "assignments:welcome", "step", "name") == [("arms", "only")]
    assert where(trial, freed) == [("completed", None)]


def test_what_a_holdout_would_have_had_done_to_it_is_skipped_and_says_so(trial: World) -> None:
    steps = [{"id": "mark", "update": {"stage": "told"}}, {"id": "in", "add_to": "seg_list"}]
    trial.campaigns = [campaign(steps=steps, holdout_bp=10_000)]
    trial.segment("seg_trial", "ada")

    plan = trial.plan(START + DAY)

    assert trial.verdicts(plan) == [("ada", "in", "skip", "holdout"), ("ada", "mark", "skip", "holdout")]
    assert trial.rows(plan, "acts", "name") == []


def test_the_same_request_is_the_same_plan_whatever_the_thread_count(world: World) -> None:
    users = [f"u{number}" for number in range(400)]
    for user in users:
        world.person(user)
    world.segment("seg_trial")
    arms = [{"name": "a", "weight": 1, "steps": []}, {"name": "b", "weight": 2, "steps": [STEPS[2]]}]
    world.campaigns = [campaign(steps=[*STEPS[:2], {"id": "arms", "split": arms}]), campaign("other")]
    world.plan(START)
    world.segment("seg_trial", *users)
    world.plan(START + DAY)

    found = set()
    for world.threads in (1, 2, 4):
        found.add(world.plan_id(START + 3 * DAY, apply=False))

    assert len(found) == 1


@pytest.mark.torture
def test_a_run_that_moves_few_writes_few_and_reads_back_all(world: World) -> None:
    users = [f"u{number}" for number in range(100)]
    for user in users:
        world.person(user)
    trigger = event_trigger("joined")
    world.campaigns = [campaign(trigger=trigger, steps=STEPS)]
    world.plan(START)
    for user in users:
        world.event(user, "joined", START + HOUR)
    base = world.plan(START + DAY)
    pieces = []
    for number in range(15):
        world.person(f"late{number}")
        world.event(f"late{number}", "joined", START + DAY + (number + 1) * HOUR, load=2 + number)
        plan = world.plan(START + DAY + (number + 1) * HOUR)
        pieces.append(plan.relations["enrollments:welcome"])

    assert base.relations["enrollments:welcome"][0] == pieces[0][0]
    assert pieces[0][1].rows == 1
    assert all(sum(piece.rows for piece in each[1:]) * COMPACT_AT <= each[0].rows for each in pieces)
    assert all(len(each) <= 6 for each in pieces)
    assert plan.counts["enrollments"] == 115
    assert len(world.rows(plan, "enrollments:welcome", "enrollment_id")) == 115
    everybody = world.plan(START + 10 * DAY)
    assert {row[:2] for row in where(world, everybody)} == {("completed", None)}


WAITING: list[dict[str, Any]] = [
    {
        "id": "connected",
        "wait_until": {"event": "connected", "where_sql": None, "since": "entry"},
        "timeout": 5 * 86_400,
        "then": [{"id": "well_done", "send": "well_done"}],
        "else": [],
    },
    {"id": "one", "send": "one"},
    {"id": "two", "send": "two"},
]


@pytest.mark.torture
@pytest.mark.parametrize("target", [None, goal(event="connected", exit=False)])
def test_a_backfill_moves_nobody_on_and_the_next_run_does(trial: World, target: dict[str, Any] | None) -> None:
    trial.campaigns = [campaign(steps=WAITING, goal=target)]
    trial.plan(START + DAY)
    trial.history.add(2)
    trial.event("ada", "connected", START + DAY + HOUR, load=2, landed=START + 2 * DAY)
    trial.plan(START + 2 * DAY, cause="backfill")
    backfilled = trial.store.read(trial.store.head() or "")
    trial.segment("seg_vip", "ada")
    after = trial.plan(START + 2 * DAY + HOUR)

    assert trial.verdicts(backfilled) == []
    assert where(trial, backfilled) == [("active", "connected"), ("active", "connected")]
    assert backfilled.counts["transitions"] == 0
    reached = [moment for (moment,) in trial.rows(backfilled, "enrollments:welcome", "goal_at") if moment is not None]
    assert reached == ([(START + DAY + HOUR).replace(tzinfo=None)] if target else [])
    assert trial.verdicts(after) == [("ada", "well_done", "send", None)]


@pytest.mark.torture
def test_a_message_that_waits_for_the_next_run_does_not_go_out_with_a_backfill(trial: World) -> None:
    trial.campaigns = [campaign(steps=WAITING[1:])]
    trial.plan(START + DAY)

    assert trial.verdicts(trial.plan(START + DAY, cause="backfill")) == []
    assert [step for _, step, *_ in trial.verdicts(trial.plan(START + DAY + HOUR))] == ["two", "two"]


def test_a_campaign_that_goes_live_before_a_backfill_enrolls_in_the_run_after_it(trial: World) -> None:
    trial.campaigns = [campaign(steps=STEPS, existing="enroll", status="draft")]
    trial.plan(START + DAY)
    trial.campaigns = [campaign(steps=STEPS, existing="enroll")]
    backfilled = trial.plan(START + DAY, cause="backfill")

    assert trial.verdicts(backfilled) == []
    assert trial.verdicts(trial.plan(START + 2 * DAY)) == [
        ("ada", "hello", "send", None),
        ("ben", "hello", "send", None),
    ]
