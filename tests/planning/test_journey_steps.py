"""What each kind of step does to those who arrive and those who rest there."""

import json
import re
from datetime import UTC
from itertools import count
from typing import Any

import pytest

from tailrace import ids
from tailrace.planning import journey
from tailrace.planning.steps import KINDS, conditions_of, steps_of
from tailrace.planning.verdict import WHY_IN_WORDS, Why
from tests.planning.ground import (
    BITS,
    DAY,
    HOUR,
    MINUTE,
    NOW,
    SECOND,
    Counted,
    Ground,
    choose,
    event,
    send,
    split,
    until,
    wait,
)

WEBHOOK = {"id": "crm", "webhook": "crm_task"}
EXIT = {"id": "out", "exit": True}
IN_A = {"in": "seg_a"}


@pytest.fixture
def ground() -> Ground:
    return Ground()


def test_a_message_is_a_candidate_on_arrival_and_the_person_goes_on(ground: Ground) -> None:
    ground.enter(1, at=NOW - HOUR)

    move, candidate, over = ground.walk([send("a")])

    assert move == {
        "enrollment_id": "e1",
        "person_id": 1,
        "position": 0,
        "kind": "move",
        "from_step": None,
        "to_step": "a",
        "why": "entered",
        "message": None,
        "name": None,
        "due_at": NOW - HOUR,
    }
    assert candidate == move | {"kind": "candidate", "why": None, "message": "a_copy"}
    assert over == move | {"position": 1, "from_step": "a", "to_step": None, "why": "completed"}


def test_one_message_is_considered_in_a_run_and_the_next_one_in_the_next(ground: Ground) -> None:
    ground.enter(1)
    ground.rest(2, "b", NOW - DAY)

    rows = ground.walk([send("a"), send("b"), send("c")])

    assert [(r["enrollment_id"], r["to_step"], r["kind"]) for r in rows] == [
        ("e1", "a", "move"),
        ("e1", "a", "candidate"),
        ("e1", "b", "move"),
        ("e2", "b", "candidate"),
        ("e2", "c", "move"),
    ]
    assert rows[3]["due_at"] == NOW - DAY


def test_a_message_considered_before_a_branch_counts_behind_it_too(ground: Ground) -> None:
    ground.enter(1, 2)
    ground.member(1, "seg_a")
    steps = [choose("q", IN_A, [send("a")], []), {"id": "u", "update": {"x": 1}}, send("b")]

    assert ground.story(steps) == {
        "e1": ["q entered", "a yes", "a!", "u passed", "u!", "b passed"],
        "e2": ["q entered", "u no", "u!", "b passed", "b!", "over completed"],
    }


def test_a_wait_is_over_at_its_second_and_what_follows_is_due_then(ground: Ground) -> None:
    ground.rest(1, "w", NOW - DAY)
    ground.rest(2, "w", NOW - DAY + SECOND)
    ground.rest(3, "w", NOW - 5 * DAY)
    ground.enter(4, at=NOW - 9 * DAY)

    rows = ground.walk([wait("w", DAY), send("a")])

    moves = [(r["enrollment_id"], r["to_step"], r["why"], r["due_at"]) for r in rows if r["kind"] == "move"]
    assert moves == [
        ("e1", "a", "waited", NOW),
        ("e1", None, "completed", NOW),
        ("e3", "a", "waited", NOW - 4 * DAY),
        ("e3", None, "completed", NOW - 4 * DAY),
        ("e4", "w", "entered", NOW - 9 * DAY),
    ]


def test_a_wait_until_goes_on_at_once_rests_or_times_out_at_its_second(ground: Ground) -> None:
    ground.member(1, "seg_a")
    ground.member(3, "seg_a")
    ground.enter(1, 2, at=NOW - HOUR)
    ground.rest(3, "u", NOW - HOUR)
    ground.rest(4, "u", NOW - DAY + SECOND)
    ground.rest(5, "u", NOW - DAY)
    ground.rest(6, "u", NOW - 3 * DAY)

    rows = ground.walk([until("u", IN_A, DAY, [wait("yes", DAY)], [wait("no", DAY)])])

    moves = [(r["enrollment_id"], r["to_step"], r["why"], r["due_at"]) for r in rows]
    assert moves == [
        ("e1", "u", "entered", NOW - HOUR),
        ("e1", "yes", "happened", NOW),
        ("e2", "u", "entered", NOW - HOUR),
        ("e3", "yes", "happened", NOW),
        ("e5", "no", "timed_out", NOW),
        ("e6", "no", "timed_out", NOW - 2 * DAY),
    ]


def test_a_late_run_decides_on_an_event_as_a_punctual_one_would_have(ground: Ground) -> None:
    arrived = NOW - 3 * DAY
    for person, at in ((1, arrived + DAY), (2, arrived + DAY + SECOND), (3, arrived - HOUR), (4, arrived - HOUR)):
        ground.event(person, "paid", at)
        ground.rest(person, "u", arrived, entered=arrived - HOUR if person == 3 else arrived)

    assert ground.story([until("u", event("paid"), DAY, [], [wait("late", DAY)])]) == {
        "e1": ["over completed"],
        "e2": ["late timed_out"],
        "e3": ["over completed"],
        "e4": ["late timed_out"],
    }


def test_an_if_is_decided_on_arrival_and_its_branches_join_again(ground: Ground) -> None:
    ground.enter(1, 2)
    ground.member(1, "seg_a")
    steps = [choose("q", IN_A, [{"id": "u", "update": {"x": 1}}], [{"id": "t", "add_to": "vip"}]), wait("w", DAY)]

    assert ground.story(steps) == {
        "e1": ["q entered", "u yes", "u!", "w passed"],
        "e2": ["q entered", "t no", "t!", "w passed"],
    }


def test_branches_join_behind_every_container_that_they_end(ground: Ground) -> None:
    ground.enter(1, 2, 3)
    ground.member(1, "seg_a", "seg_b")
    ground.member(2, "seg_a")
    inner = choose("inner", {"in": "seg_b"}, [], [{"id": "u", "update": {"x": 1}}])
    steps = [choose("outer", IN_A, [inner], []), wait("w", DAY)]

    assert ground.story(steps) == {
        "e1": ["outer entered", "inner yes", "w yes"],
        "e2": ["outer entered", "inner yes", "u no", "u!", "w passed"],
        "e3": ["outer entered", "w no"],
    }


def test_who_rests_within_a_branch_goes_on_behind_it(ground: Ground) -> None:
    ground.rest(1, "in_then", NOW - DAY)
    ground.rest(2, "in_arm", NOW - DAY)
    inner = split("s", x=(1, [wait("in_arm", DAY)]), y=(1, []))
    steps = [choose("q", IN_A, [inner, wait("in_then", DAY)], [EXIT]), send("z")]

    assert ground.story(steps) == {
        "e1": ["z waited", "z!", "over completed"],
        "e2": ["in_then waited"],
    }


@pytest.mark.torture
def test_a_split_follows_the_bucket_and_assigns_each_person_once(ground: Ground) -> None:
    edges = [next(n for n in count() if ids.bucket(n, "split:welcome:s") == place) for place in (7_499, 7_500)]
    people = {*range(400), *edges}
    ground.enter(*people)
    steps = [split("s", x=(3, [wait("wx", DAY)]), y=(0, [wait("wy", DAY)]), z=(1, []))]

    rows = ground.walk(steps)

    assigned = {row["person_id"]: row["name"] for row in rows if row["kind"] == "assign"}
    expected = {person: "x" if ids.bucket(person, "split:welcome:s") < 7_500 else "z" for person in people}
    assert assigned == expected
    moved = {row["person_id"]: row["to_step"] for row in rows if row["why"] in ("arm", "completed")}
    assert moved == {person: "wx" if arm == "x" else None for person, arm in expected.items()}
    assert {row["to_step"] for row in rows if row["kind"] == "assign"} == {"s"}


def test_new_weights_reshuffle_nobody_who_is_assigned(ground: Ground) -> None:
    ground.enter(*range(100))
    ground.put("kept", *[(person, "s", "x" if person % 2 else "y") for person in range(90)])
    ground.put("kept", *[(person, "other", "y") for person in range(100)])

    rows = ground.walk([split("s", x=(1, [wait("wx", DAY)]), y=(99, [wait("wy", DAY)]))])

    arms = {row["person_id"]: row["to_step"] for row in rows if row["why"] == "arm"}
    assert all(arms[person] == ("wx" if person % 2 else "wy") for person in range(90))
    assert {row["person_id"] for row in rows if row["kind"] == "assign"} == set(range(90, 100))


def test_who_has_an_arm_that_is_gone_is_assigned_by_the_bucket(ground: Ground) -> None:
    ground.enter(1)
    ground.put("kept", (1, "s", "gone"))

    rows = ground.walk([split("s", x=(1, []))])

    assert [(row["kind"], row["name"]) for row in rows] == [("move", None), ("assign", "x"), ("move", None)]


def test_a_webhook_rests_until_it_is_answered_or_expires_at_its_second(ground: Ground) -> None:
    ground.enter(1)
    ground.rest(2, "crm", NOW - HOUR)
    ground.rest(3, "crm", NOW - HOUR)
    ground.rest(4, "crm", NOW - 2 * HOUR)
    ground.rest(5, "crm", NOW - 2 * HOUR + SECOND)
    ground.rest(6, "crm", NOW - 9 * HOUR)
    ground.put("responses", ("e3", "crm", 500, None), ("e6", "crm", None, None), ("e2", "other", 200, None))

    rows = ground.walk([WEBHOOK, wait("w", DAY)], expires=7_200)

    assert [(r["enrollment_id"], r["kind"], r["to_step"], r["why"], r["message"], r["due_at"]) for r in rows] == [
        ("e1", "move", "crm", "entered", None, NOW),
        ("e1", "candidate", "crm", None, "crm_task", NOW),
        ("e3", "move", "w", "answered", None, NOW),
        ("e4", "move", "w", "unanswered", None, NOW),
        ("e6", "move", "w", "answered", None, NOW),
    ]


def test_a_webhook_that_was_deferred_is_planned_again(ground: Ground) -> None:
    ground.rest(1, "crm", NOW - HOUR)
    ground.rest(2, "crm", NOW - HOUR)
    ground.rest(3, "crm", NOW - DAY)
    ground.put("postponed", ("welcome", "e1", "crm"), ("welcome", "e2", "other"), ("welcome", "e3", "crm"))

    assert ground.story([WEBHOOK]) == {"e1": ["crm!"], "e3": ["crm!"]}
    ground.connection.execute("truncate postponed")
    assert ground.story([WEBHOOK]) == {"e3": ["over completed"]}


def test_the_answer_of_a_webhook_decides_a_later_branch(ground: Ground) -> None:
    for person in (1, 2, 3):
        ground.rest(person, "crm", NOW - DAY)
    ground.put("responses", ("e1", "crm", 201, '{"ok": true}'), ("e2", "crm", 500, None))
    ok = choose("ok", {"response": "crm", "status": "2xx", "where_sql": None}, [], [{"id": "alert", "notify": "alert"}])

    assert ground.story([WEBHOOK, ok]) == {
        "e1": ["ok answered", "over completed"],
        "e2": ["ok answered", "alert no", "alert!", "over completed"],
        "e3": ["ok unanswered", "alert no", "alert!", "over completed"],
    }


def test_actions_are_planned_and_passed_at_once_and_no_message_counts_for_them(ground: Ground) -> None:
    ground.enter(1)
    steps: list[dict[str, Any]] = [
        {"id": "u", "update": {"stage": "nudged", "n": 1, "quote": "it's"}},
        {"id": "n", "notify": "alert"},
        {"id": "p", "add_to": "vip"},
        {"id": "m", "remove_from": "vip"},
        send("a"),
    ]

    deeds = [row for row in ground.walk(steps) if row["kind"] != "move"]

    assert [(row["kind"], row["to_step"], row["message"]) for row in deeds] == [
        ("act", "u", None),
        ("candidate", "n", "alert"),
        ("act", "p", None),
        ("act", "m", None),
        ("candidate", "a", "a_copy"),
    ]


def test_an_exit_ends_the_pass_whatever_stands_behind_it(ground: Ground) -> None:
    ground.enter(1, 2)
    ground.member(1, "seg_a")

    rows = ground.walk([choose("q", IN_A, [EXIT], []), wait("w", DAY)])

    assert [(row["to_step"], row["why"]) for row in rows] == [
        ("q", "entered"),
        ("out", "yes"),
        (None, "exited"),
        ("q", "entered"),
        ("w", "no"),
    ]


@pytest.mark.parametrize("arm", ["holdout", "global_holdout"])
def test_a_holdout_walks_the_same_steps_and_passes_a_webhook_at_once(ground: Ground, arm: str) -> None:
    steps = [WEBHOOK, {"id": "u", "update": {"x": 1}}, send("a"), wait("w", DAY), send("b")]
    ground.enter(1, arm=arm, at=NOW - HOUR)
    ground.rest(2, "w", NOW - DAY, arm=arm)
    ground.rest(3, "crm", NOW - HOUR, arm=arm)

    rows = ground.walk(steps)
    words = ground.story(steps)

    assert words == {
        "e1": ["crm entered", "crm!", "u passed", "u!", "a passed", "a!", "w passed"],
        "e2": ["b waited", "b!", "over completed"],
        "e3": ["u passed", "u!", "a passed", "a!", "w passed"],
    }
    assert {row["due_at"] for row in rows if row["enrollment_id"] == "e1"} == {NOW - HOUR}


def test_each_pass_of_one_person_goes_its_own_way(ground: Ground) -> None:
    ground.put("flight", ("welcome", "v1", "p1", 1, "treated", NOW - 2 * DAY, "w", NOW - DAY))
    ground.put(
        "entering",
        ("welcome", "v1", "p2", 1, "treated", NOW, NOW),
        ("welcome", "v1", "p3", 1, "holdout", NOW - HOUR, NOW - HOUR),
    )
    ground.event(1, "paid", NOW - 30 * MINUTE)
    steps = [choose("q", event("paid"), [wait("w", DAY)], []), split("s", x=(1, [])), until("u", IN_A, DAY, [], [])]

    assert ground.story(steps) == {
        "p1": ["s waited", "s!", "u arm"],
        "p2": ["q entered", "s no", "s!", "u arm"],
        "p3": ["q entered", "w yes"],
    }


def test_who_rests_on_a_step_that_this_version_does_not_have_stays_there(ground: Ground) -> None:
    ground.rest(1, "gone", NOW - 9 * DAY)
    ground.rest(2, "w", NOW - 9 * DAY)

    assert ground.story([wait("w", DAY)]) == {"e2": ["over completed"]}


def test_who_rests_where_nobody_rests_is_taken_as_arriving(ground: Ground) -> None:
    """A deferred notify leaves people there; whatever else did, they go on."""
    ground.rest(1, "n", NOW - DAY)
    ground.rest(2, "q", NOW - DAY)

    assert ground.story([{"id": "n", "notify": "alert"}, choose("q", IN_A, [EXIT], []), wait("w", DAY)]) == {
        "e1": ["n!", "q passed", "w no"],
        "e2": ["w no"],
    }


def test_a_version_of_wait_untils_only_runs(ground: Ground) -> None:
    ground.rest(1, "u", NOW - DAY)

    assert ground.story([until("u", IN_A, DAY, [], [])]) == {"e1": ["over completed"]}


@pytest.mark.torture
def test_a_hundred_steps_and_eight_nested_branches_do_not_explode(ground: Ground) -> None:
    def nested(depth: int) -> list[dict[str, Any]]:
        if depth == 0:
            return [{"id": "deep", "update": {"x": 1}}]
        return [choose(f"q{depth}", IN_A, nested(depth - 1), nested(depth - 1) if depth < 3 else [])]

    def renamed(steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
        text, numbers = json.dumps(steps), iter(range(10_000))
        return json.loads(re.sub(r'"id": "\w+"', lambda _: f'"id": "s{next(numbers)}"', text))

    steps = [wait("w", DAY), *renamed(nested(8))]
    steps += [{"id": f"u{number}", "update": {"x": 1}} for number in range(100 - len(steps_of(steps)))]
    ground.rest(1, "w", NOW - DAY)
    ground.member(1, "seg_a")

    words = ground.story(steps)["e1"]

    assert len(steps_of(steps)) == 100
    assert words[:2] == ["s0 waited", "s1 yes"]
    assert words[-1] == "over completed"
    assert words.count("u60 passed") == 1


def test_campaigns_of_steps_of_their_own_are_walked_by_as_many_statements_as_one(ground: Ground) -> None:
    def own(slug: str) -> journey.Version:
        steps = [send(f"{slug}_a"), choose(f"{slug}_q", IN_A, [wait(f"{slug}_w", DAY)], []), send(f"{slug}_b")]
        return journey.Version(slug, "v1", steps_of(steps), 60)

    def walked(*slugs: str) -> int:
        ground.clear()
        ground.put("entering", *[(slug, "v1", f"e_{slug}", 1, "treated", NOW, NOW) for slug in slugs])
        counted = Counted(ground.connection)
        journey.walk(counted, [own(slug) for slug in slugs], BITS, NOW.replace(tzinfo=UTC), lambda _: "kept")
        return counted.statements

    one, many = walked("c1"), walked(*[f"c{number}" for number in range(10)])

    rows = ground.connection.execute("select campaign, from_step, to_step from walked order by all").fetchall()
    assert [(to, was) for campaign, was, to in rows if campaign == "c7" and was] == [
        ("c7_q", "c7_a"),
        ("c7_b", "c7_q"),
    ]
    assert len(rows) == 10 * len([row for row in rows if row[0] == "c7"])
    assert many == one


def test_the_flat_view_has_every_step_in_order_with_where_it_leads() -> None:
    steps = [
        choose("q", IN_A, [send("a"), until("u", event("paid"), DAY, [EXIT], [])], []),
        split("s", x=(1, []), y=(1, [WEBHOOK])),
    ]

    assert [(step.position, step.id, step.kind, step.successors) for step in steps_of(steps)] == [
        (0, "q", "if", (1, 4)),
        (1, "a", "send", (2,)),
        (2, "u", "wait_until", (3, 4)),
        (3, "out", "exit", (None,)),
        (4, "s", "split", (None, 5)),
        (5, "crm", "webhook", (None,)),
    ]
    assert list(conditions_of(steps)) == [IN_A, event("paid")]


def test_a_step_of_no_known_kind_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'x' has none of the keys send.*dance"):
        steps_of([{"id": "x", "dance": True}])


def test_every_kind_is_walked_and_every_why_has_words(ground: Ground) -> None:
    for kind in KINDS:
        facts: dict[str, Any] = {
            "if": IN_A,
            "wait_until": IN_A,
            "split": [{"name": "x", "weight": 1, "steps": []}],
            "wait": 60,
        }
        step = {"id": "x", kind: facts.get(kind, "name"), "timeout": 60, "then": [], "else": []}
        ground.clear()
        ground.enter(1)
        assert ground.story([step])["e1"][0] == "x entered"
    assert set(WHY_IN_WORDS) == set(Why)
