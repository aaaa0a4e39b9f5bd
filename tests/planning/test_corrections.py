"""What `send now` was chosen for goes the ordinary way: once, at its message, or is refused with a reason."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from tailrace import ids
from tailrace.planning.arbitration import Limit, Rules
from tailrace.planning.corrections import CHOSEN, Chosen
from tests.planning.world import DAY, HOUR, START, World, campaign, event_trigger, goal, message

STEPS = [
    {"id": "pause", "wait": 7200},
    {"id": "hello", "send": "hello"},
    {"id": "later", "wait": 86_400},
    {"id": "again", "send": "again"},
]
WEEK = 7 * 86_400
NEVER = {"kind": "never", "seconds": None}
AFTER_EXIT = {"kind": "after_exit", "seconds": None}
EACH = {"kind": "each_occurrence", "seconds": None}
DUE = START + 2 * HOUR
NOW = START + DAY


def chosen(user: str, **changes: Any) -> dict[str, Any]:
    """The pass of `user` that would have entered at START, with its message due two hours after."""
    slug, occurrence, person = changes.get("campaign", "welcome"), changes.get("occurrence", ""), ids.person_id(user)
    return {
        "choice": 1,
        "enrollment_id": ids.enrollment_id(slug, person, occurrence),
        "campaign": slug,
        "step": "hello",
        "person_id": person,
        "occurrence": occurrence,
        "entered_at": START.replace(tzinfo=None),
        "due_at": DUE.replace(tzinfo=None),
        "object_id": None,
        "source": None,
        "event_id": None,
    } | changes


def choose(world: World, *rows: dict[str, Any]) -> None:
    world.chosen = Chosen(pa.Table.from_pylist(list(rows), schema=CHOSEN))


def spec(**changes: Any) -> Any:
    return campaign(**{"trigger": event_trigger("bought"), "steps": STEPS, "expires": WEEK} | changes)


@pytest.fixture
def late(world: World) -> World:
    """Ada and Ben; what they bought is history to the plan at START, which names nobody."""
    world.history = {1}
    for user in ("ada", "ben"):
        world.person(user)
        world.event(user, "bought", START, load=1, item=user)
    world.campaigns = [spec()]
    world.plan(START)
    return world


def test_the_message_is_considered_in_the_next_plan_with_the_id_that_it_would_have_had(late: World) -> None:
    choose(late, chosen("ada"))

    plan = late.plan(NOW)

    enrollment = ids.enrollment_id("welcome", ids.person_id("ada"), "")
    assert late.verdicts(plan) == [("ada", "hello", "send", None)]
    assert late.rows(plan, "verdicts", "intent_id", "due_at", "expires_at") == [
        (
            ids.intent_id("welcome", "hello", enrollment),
            DUE.replace(tzinfo=None),
            (DUE + 7 * DAY).replace(tzinfo=None),
        )
    ]
    assert late.rows(plan, "transitions", "from_step", "to_step", "why") == [
        ("hello", "later", "passed"),
        (None, "hello", "corrected"),
    ]
    assert late.rows(plan, "enrollments:welcome", "enrollment_id", "step", "status", "entered_at") == [
        (enrollment, "later", "active", START.replace(tzinfo=None))
    ]
    assert plan.inputs.choices == (1,)
    assert plan.campaigns["welcome"]["enrolled"] == 1


@pytest.mark.torture
def test_the_rest_of_the_way_follows_from_there_and_nothing_is_said_twice(late: World) -> None:
    choose(late, chosen("ada"))
    late.plan(NOW)
    choose(late, chosen("ada", choice=2))
    again = late.plan(NOW + HOUR)
    choose(late)
    rest = late.plan(NOW + DAY)

    assert late.verdicts(again) == [("ada", "(correction)", "skip", "already_enrolled")]
    assert again.campaigns["welcome"]["messages"]["(correction)"]["skip"] == {"already_enrolled": 1}
    assert late.verdicts(rest) == [("ada", "again", "send", None)]
    assert rest.inputs.choices == ()


def test_a_pass_that_two_choices_name_begins_once(late: World) -> None:
    choose(late, chosen("ada"), chosen("ada", choice=2))
    assert late.verdicts(late.plan(NOW)) == [("ada", "hello", "send", None)]


def test_what_the_template_sees_of_the_event_is_what_began_the_pass(late: World) -> None:
    item = ("event", "item")
    late.campaigns = [spec(messages={"hello": message(item), "again": message(key="m2")})]
    choose(late, chosen("ada", source="app", event_id="e0"), chosen("ben", source="app", event_id="gone"))

    plan = late.plan(NOW)

    assert late.verdicts(plan) == [("ada", "hello", "send", None), ("ben", "(correction)", "skip", "not_known")]
    assert '"event":{"item":"ada"}' in late.rows(plan, "payloads", "data")[0][0]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"status": "paused"}, "paused"),
        ({"status": "paused", "on_pause": "expire"}, "paused"),
        ({"status": "ended"}, "ended"),
        ({"status": "ended", "on_end": "drain"}, "ended"),
        ({"status": "draft"}, "draft"),
        ({"steps": [{"id": "hello", "wait": 60}, {"id": "again", "send": "again"}]}, "step_gone"),
    ],
)
def test_a_campaign_that_would_not_send_it_today_refuses_it(late: World, changes: dict[str, Any], reason: str) -> None:
    late.campaigns = [spec(**changes)]
    choose(late, chosen("ada"))

    plan = late.plan(NOW)

    assert late.verdicts(plan) == [("ada", "(correction)", "skip", reason)]
    assert late.rows(plan, "enrollments:welcome", "enrollment_id") == []
    assert plan.inputs.choices == (1,)


@pytest.mark.torture
@pytest.mark.parametrize("repeat", [NEVER, AFTER_EXIT, {"kind": "every", "seconds": 86_400}])
def test_who_has_entered_since_it_would_have_begun_is_refused(late: World, repeat: dict[str, Any]) -> None:
    late.campaigns = [spec(repeat=repeat, steps=[{"id": "hello", "send": "hello"}])]
    late.event("ada", "bought", START + 3 * HOUR, load=2)
    late.plan(START + 4 * HOUR)
    choose(late, chosen("ada", occurrence="app:e0"), chosen("ben", occurrence="app:e1"))

    assert late.verdicts(late.plan(NOW)) == [
        ("ada", "(correction)", "skip", "already_enrolled"),
        ("ben", "hello", "send", None),
    ]


@pytest.mark.torture
def test_who_entered_before_and_is_still_there_is_refused_as_in_flight(late: World) -> None:
    late.campaigns = [spec(repeat=AFTER_EXIT)]
    late.event("ada", "bought", START + HOUR, load=2)
    late.plan(START + 4 * HOUR)
    after = (START + 2 * HOUR).replace(tzinfo=None)
    choose(late, chosen("ada", occurrence="app:e9", entered_at=after))

    assert ("ada", "(correction)", "skip", "in_flight") in late.verdicts(late.plan(NOW))


def test_whom_the_trigger_names_in_the_same_plan_enters_by_it_alone(late: World) -> None:
    late.event("ada", "bought", NOW - HOUR, load=2)
    choose(late, chosen("ada"))

    plan = late.plan(NOW)

    assert late.verdicts(plan) == [("ada", "(correction)", "skip", "already_enrolled")]
    assert late.rows(plan, "enrollments:welcome", "step") == [("pause",)]


@pytest.mark.torture
def test_each_occurrence_stands_for_itself_and_of_others_only_the_newest_begins(late: World) -> None:
    two = [chosen("ada", occurrence=f"order-{n}", entered_at=(START + n * HOUR).replace(tzinfo=None)) for n in (0, 1)]
    choose(late, *two)
    late.campaigns = [spec(repeat=EACH)]
    each = late.plan(NOW, apply=False)
    late.campaigns = [spec(repeat=AFTER_EXIT)]
    newest = late.plan(NOW, apply=False)
    late.campaigns = [spec(repeat=EACH)]
    choose(late, two[0])
    late.plan(NOW)
    choose(late, *two)
    again = late.plan(NOW + HOUR)

    assert late.rows(again, "verdicts", "step", "enrollment_id", "reason") == [
        ("(correction)", two[0]["enrollment_id"], "already_enrolled"),
        ("hello", two[1]["enrollment_id"], None),
    ]
    assert late.verdicts(each) == [("ada", "hello", "send", None)] * 2
    assert late.rows(newest, "verdicts", "step", "enrollment_id", "reason") == [
        ("(correction)", two[0]["enrollment_id"], "already_enrolled"),
        ("hello", two[1]["enrollment_id"], None),
    ]


@pytest.mark.torture
def test_consent_caps_holdout_and_expiry_are_asked_as_of_any_message(late: World) -> None:
    choose(late, chosen("ada"), chosen("ben"))
    late.rules = Rules(limits=(Limit("marketing", None, 1, WEEK),))
    late.suppressions = [{"person_id": ids.person_id("ada"), "channel": "", "reason": "bounced"}]
    said = late.plan(NOW, apply=False)
    late.campaigns = [spec(holdout_bp=10_000)]
    held = late.plan(NOW, apply=False)
    late.campaigns = [spec(expires=3600)]
    expired = late.plan(NOW, apply=False)
    late.campaigns = [spec(sending="draft")]
    drafts = late.plan(NOW, apply=False)
    late.campaigns, late.suppressions = [spec()], []
    late.rules = Rules(limits=(Limit("marketing", None, 0, WEEK),))
    capped = late.plan(NOW)
    choose(late)
    late.rules = Rules()
    freed = late.plan(NOW + HOUR)

    assert late.verdicts(said) == [("ada", "hello", "skip", "suppressed"), ("ben", "hello", "send", None)]
    assert [row[3] for row in late.verdicts(held)] == ["suppressed", "holdout"]
    assert [row[3] for row in late.verdicts(expired)] == ["suppressed", "expired"]
    assert late.verdicts(drafts)[1] == ("ben", "hello", "send", "awaiting_approval")
    assert [row[2:] for row in late.verdicts(capped)] == [("defer", "frequency_cap")] * 2
    assert late.rows(capped, "enrollments:welcome", "step", "status") == [("hello", "active")] * 2
    assert late.verdicts(freed) == [("ada", "hello", "send", None), ("ben", "hello", "send", None)]


def test_who_reached_the_goal_or_meets_an_exit_by_now_hears_nothing(late: World) -> None:
    late.campaigns = [spec(goal=goal(event="paid"), exit=[{"event": "left", "where_sql": None, "since": "entry"}])]
    late.event("ada", "paid", START + HOUR, load=2)
    late.event("ben", "left", START + HOUR, load=2)
    choose(late, chosen("ada"), chosen("ben"))

    plan = late.plan(NOW)

    assert late.verdicts(plan) == []
    assert late.rows(plan, "enrollments:welcome", "status", "step") == [("converted", None), ("exited", None)]
    assert late.rows(plan, "transitions", "why") == [("converted",), ("exited",)]


@pytest.mark.torture
def test_of_merged_people_the_one_who_is_left_gets_it_and_only_once(late: World) -> None:
    choose(late, chosen("ada"), chosen("ben", choice=2))
    late.merge("ada", "ben")

    plan = late.plan(NOW)

    assert [row[1:] for row in late.verdicts(plan)] == [
        ("(correction)", "skip", "already_enrolled"),
        ("hello", "send", None),
    ]
    assert set(late.rows(plan, "verdicts", "person_id")) == {(ids.person_id("ben"),)}


def test_who_is_no_longer_there_is_refused(late: World) -> None:
    choose(late, chosen("ada"), chosen("zoe"))
    late.person("zoe")
    del late.people["ada"]

    plan = late.plan(NOW)

    assert late.rows(plan, "verdicts", "person_id", "reason") == sorted(
        [(ids.person_id("ada"), "not_known"), (ids.person_id("zoe"), None)], key=repr
    )


def test_a_plan_without_a_choice_is_named_as_it_always_was(late: World) -> None:
    document = late.plan(NOW).document()
    assert b"choices" not in document
