"""What stands between one person and a message, gate by gate, and the least that would open the first shut one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from tailrace import clock, engine, ids
from tailrace.planning.arbitration import Limit, Rules, Sunset
from tailrace.planning.memberships import Bit, Cause
from tailrace.planning.reasoning import Reasons, read_case, reasons
from tailrace.planning.weighing import Evidence, Pass, weigh
from tests.planning.world import DAY, HOUR, START, World, campaign, event_trigger, goal, message

WAIT = 2 * 86_400
PRO = {
    "where_sql": "coalesce(json_extract_string(customer, '$.plan') = 'pro', false)",
    "columns": ["plan"],
    "where": "plan = 'pro'",
}
DEAD = "the address is dead or on the suppression list"
OFF_THE_LIST = "or its way off the suppression list"
LOGIN = {"event": "login", "where_sql": None, "since": WAIT}


@contextmanager
def evidence(world: World, plan: Any, user: str, *, knows: bool = True) -> Iterator[Evidence]:
    with engine.connect(world.settings) as connection:
        engine.attach(connection, world.settings.warehouse, "wh")
        source = world.store.source(plan, "memberships", "select 0::bigint as person_id, 0::ubigint as w0")
        connection.execute(f"create temp table current as select * from {source} as kept")
        columns = "enrollment_id varchar, step varchar, status_code integer, body varchar"
        connection.execute(f"create temp table responses ({columns})")
        for row in world.responses:
            values = [row["enrollment_id"], row["step"], row["status_code"], row["body"]]
            connection.execute("insert into responses values (?, ?, ?, ?)", values)
        bits = {name: Bit(name, entry["bit"], Cause.BEHAVIOUR, None) for name, entry in plan.segments.items()}
        yield Evidence(connection, ids.person_id(user), clock.naive(plan.as_of), bits, knows, knows)


def explain(world: World, user: str, slug: str = "welcome", *, knows: bool = True) -> Reasons:
    plan_id = world.store.resolve("HEAD")
    plan = world.store.read(plan_id)
    specs = {spec.slug: spec for spec in world.campaigns}
    rules = world.rules if knows else None
    with evidence(world, plan, user, knows=knows) as known:
        return reasons(read_case(known, world.store, plan_id, plan, slug, rules=rules, specs=specs if knows else None))


def gate(found: Reasons, name: str) -> Any:
    return next(each for each in found.gates if each.name == name)


@pytest.fixture
def trial(world: World) -> World:
    """Ada enters seg_trial after the first plan; Ben never does."""
    world.person("ada", plan="free")
    world.person("ben")
    for segment in ("seg_trial", "seg_vip"):
        world.segment(segment)
    world.begin()
    world.segment("seg_trial", "ada")
    return world


def walking(*steps: dict[str, Any], **changes: Any) -> Any:
    return campaign(steps=[*steps, {"id": "bye", "send": "bye"}], **changes)


def test_who_is_sent_a_message_has_every_gate_open(trial: World) -> None:
    trial.campaigns = [campaign()]
    trial.plan(START + DAY)

    found = explain(trial, "ada")

    assert (found.verdict, found.step, found.shut, found.change) == ("send", "hello", None, None)
    assert {each.holds for each in found.gates} == {True}


def test_who_got_no_message_is_told_why_also_when_staff_heard_of_them_in_the_same_run(trial: World) -> None:
    trial.person("ada", email=None)
    trial.campaigns = [campaign(steps=[{"id": "hello", "send": "hello"}, {"id": "tell", "notify": "tell"}])]
    trial.plan(START + DAY)

    found = explain(trial, "ada")

    assert (found.verdict, found.step, found.shut) == ("skip", "hello", "address")
    assert [(row.step, row.verdict, row.reason) for row in found.also] == [("tell", "send", None)]


def test_of_several_passes_the_one_without_a_message_is_not_hidden_by_the_other(trial: World) -> None:
    """Ada orders twice: the second pass is over its cap, and is named beside the message that the first one sent."""
    trial.rules = Rules(limits=(Limit("marketing", "email", 1, 7 * 86_400),))
    trial.campaigns = [
        campaign(trigger=event_trigger("ordered"), repeat={"kind": "each_occurrence", "seconds": None}),
    ]
    trial.plan(START + DAY)
    trial.event("ada", "ordered", START + DAY + HOUR, load=2)
    trial.event("ada", "ordered", START + DAY + 2 * HOUR, load=2)
    trial.plan(START + 2 * DAY)

    found = explain(trial, "ada")

    assert {(found.verdict, found.step), *((row.verdict, row.step) for row in found.also)} == {
        ("send", "hello"),
        ("defer", "hello"),
    }
    assert found.shut == "cap"


def test_a_wait_says_how_much_of_it_is_left(trial: World) -> None:
    trial.campaigns = [walking({"id": "rest", "wait": WAIT})]
    trial.plan(START + DAY)
    trial.plan(START + 3 * DAY - 3 * HOUR)

    found = explain(trial, "ada")

    assert (found.shut, found.step, found.verdict) == ("rest", "bye", None)
    assert found.change == "3h more: the wait ends at 06:00"


def test_a_wait_until_says_what_it_waits_for_and_when_it_gives_up(trial: World) -> None:
    trial.campaigns = [walking({"id": "see", "wait_until": LOGIN, "timeout": WAIT, "then": [], "else": []})]
    trial.plan(START + DAY)

    found = explain(trial, "ada")

    assert found.shut == "see"
    assert found.change == "an event `login` within 2d; or 2d more: it gives up at 2026-01-04 06:00"
    assert gate(found, "see").parts[0].seen == "never"


def test_what_leads_to_no_message_is_no_change_that_would_send_one(trial: World) -> None:
    see = {"id": "see", "wait_until": LOGIN, "timeout": WAIT, "then": [{"id": "end", "exit": True}], "else": []}
    trial.campaigns = [walking(see)]
    trial.plan(START + DAY)

    assert explain(trial, "ada").change == "2d more: it gives up at 2026-01-04 06:00"


def test_a_branch_shows_the_value_it_saw_and_the_way_it_leads(trial: World) -> None:
    fork = {"id": "fork", "if": PRO, "then": [{"id": "tip", "send": "tip"}], "else": [{"id": "end", "exit": True}]}
    trial.campaigns = [walking({"id": "rest", "wait": WAIT}, fork)]
    trial.plan(START + DAY)

    found = explain(trial, "ada")

    assert gate(found, "fork").seen == "where plan = 'pro': plan is free → else"
    assert (found.step, found.shut) == (None, "rest")
    assert gate(found, "way").change == "`plan = 'pro'` to be true"


def test_whom_nothing_named_is_told_what_would(trial: World) -> None:
    trial.event("ada", "ordered", START - DAY)
    trial.plan(START + HOUR)
    trial.campaigns = [
        campaign(),
        campaign("orders", trigger=event_trigger("ordered", where="total > 5", where_sql="true")),
    ]
    trial.plan(START + DAY)

    assert (explain(trial, "ben").shut, explain(trial, "ben").change) == ("trigger", "to enter seg_trial")
    order = explain(trial, "ada", "orders")
    assert order.change == "an event `ordered` where total > 5"
    assert gate(order, "trigger").seen.endswith("was on 2025-12-31 06:00:00, not new in this plan")
    assert gate(explain(trial, "ben", "orders"), "trigger").seen.startswith("never had")


def test_a_refused_entry_names_the_gate_and_those_before_it_are_open(trial: World) -> None:
    trial.campaigns = [campaign(filter={"all": [PRO, {"in": "seg_vip"}]})]
    trial.plan(START + DAY)

    found = explain(trial, "ada")

    assert [(each.name, each.holds) for each in found.gates] == [
        *((name, True) for name in ("trigger", "status", "cause", "late", "repeat")),
        ("filter", False),
    ]
    assert found.change == "`plan = 'pro'` to be true and to be in seg_vip"


def test_a_pass_that_is_over_says_how_and_what_another_takes(trial: World) -> None:
    trial.campaigns = [campaign()]
    trial.plan(START + DAY)
    trial.plan(START + 2 * DAY)

    found = explain(trial, "ada")

    assert (found.shut, gate(found, "pass").seen.rpartition("over: ")[2]) == ("pass", "there was no further step")
    assert "never" in gate(found, "repeat").change


def test_a_cap_says_when_there_is_room_again(trial: World) -> None:
    trial.rules = Rules(limits=[Limit("marketing", "email", 1, 7 * 86_400)])
    trial.campaigns = [campaign("first", priority=90), campaign()]
    trial.plan(START + DAY)

    found = explain(trial, "ada")

    assert (found.verdict, found.shut) == ("defer", "cap")
    assert found.change == "1 message fewer in 7d: free on 2026-01-09 06:00"
    assert "1 of 1 in 7d" in gate(found, "cap").seen


@pytest.mark.parametrize(
    ("facts", "shut", "change"),
    [
        ({"email": None}, "address", "an address"),
        ({"plan": None}, "data", "a value of customer.plan"),
    ],
)
def test_what_a_person_lacks_is_what_it_takes(trial: World, facts: dict[str, Any], shut: str, change: str) -> None:
    trial.person("ada", **({"plan": "pro"} | facts))
    trial.campaigns = [campaign(messages={"hello": message(("customer", "plan"))})]
    trial.plan(START + DAY)

    found = explain(trial, "ada")

    assert (found.verdict, found.shut, found.change) == ("skip", shut, change)


@pytest.mark.torture
@pytest.mark.parametrize(("cart", "seen"), [({}, "cart.total"), ({"total": 7}, None), (None, "cart")])
def test_what_lacks_below_a_field_is_a_gate_before_the_message_is_due_and_skips_when_it_is(
    trial: World, cart: dict[str, Any] | None, seen: str | None
) -> None:
    asks = replace(message(("event", "cart")), needs=frozenset({(("event", "cart", "total"), ())}))
    steps = [{"id": "rest", "wait": DAY.days * 86_400}, {"id": "bye", "send": "bye"}]
    trial.campaigns = [campaign(trigger=event_trigger("ordered"), steps=steps, messages={"bye": asks})]
    trial.plan(START + DAY)
    trial.event("ada", "ordered", START + DAY + HOUR, load=2, **({} if cart is None else {"cart": cart}))
    trial.plan(START + 2 * DAY)

    ahead = gate(explain(trial, "ada"), "data")
    trial.plan(START + 3 * DAY)
    due = explain(trial, "ada")

    assert ahead.holds is (seen is None)
    assert ahead.change == (f"a value of event.{seen}" if seen else "")
    assert (due.verdict, due.shut) == (("skip", "data") if seen else ("send", None))
    assert due.change == (f"a value of event.{seen}" if seen else None)


def test_consent_names_the_topic_to_opt_in_to(trial: World) -> None:
    trial.rules = Rules(topics={"tips": "not_subscribed"})
    trial.campaigns = [walking({"id": "rest", "wait": WAIT})]
    trial.plan(START + DAY)

    assert gate(explain(trial, "ada"), "consent").change == "to opt in to the topic tips"
    trial.plan(START + 3 * DAY)
    assert (explain(trial, "ada").shut, explain(trial, "ada").change) == ("consent", "to opt in to the topic tips")


@pytest.mark.torture
@pytest.mark.parametrize(
    ("since", "channel", "seen", "change"),
    [
        (START, "sms", "bounced since 2026-01-01 06:00 (tailrace)", "another number"),
        (START, "push", "bounced since 2026-01-01 06:00 (tailrace)", "another installation"),
        (datetime(1, 1, 1, tzinfo=UTC), "email", "bounced (tailrace)", "another address"),
    ],
)
def test_who_is_suppressed_is_told_why_since_when_and_by_whose_word(
    trial: World, since: datetime, channel: str, seen: str, change: str
) -> None:
    told = {"person_id": ids.person_id("ada"), "channel": channel, "reason": "bounced", "source": "tailrace"}
    trial.suppressions = [told | {"suppressed_at": since.replace(tzinfo=None)}]
    trial.campaigns = [walking({"id": "rest", "wait": WAIT}, messages={"bye": replace(message(), channel=channel)})]
    trial.plan(START + DAY)
    ahead = gate(explain(trial, "ada"), "consent")
    trial.plan(START + 3 * DAY)
    due = explain(trial, "ada")

    assert (ahead.holds, ahead.seen, ahead.change) == (False, f"{DEAD}: {seen}", f"{change}, {OFF_THE_LIST}")
    assert (due.shut, gate(due, "consent").seen, due.change) == ("consent", ahead.seen, ahead.change)


@pytest.mark.parametrize(("channel", "holds"), [("email", True), ("sms", False), ("push", True)])
def test_the_address_is_that_of_the_channel(trial: World, channel: str, holds: bool) -> None:
    """People have no numbers there; a push message goes to the user id where people have no tokens."""
    trial.campaigns = [walking({"id": "rest", "wait": WAIT}, messages={"bye": replace(message(), channel=channel)})]
    trial.plan(START + DAY)

    assert gate(explain(trial, "ada"), "address").holds is holds


def test_a_draft_is_sent_on_as_far_as_the_plan_goes_and_waits_for_a_word(trial: World) -> None:
    trial.campaigns = [campaign(sending="draft")]
    trial.plan(START + DAY)

    found = explain(trial, "ada")

    assert (found.verdict, found.shut) == ("send", None)
    assert "tailrace drafts list" in gate(found, "approval").seen


def test_a_sunset_that_comes_is_not_promised_away(trial: World) -> None:
    trial.rules = Rules(sunset=Sunset(3, None))
    silent = {"person_id": ids.person_id("ada"), "channel": "email", "n_unanswered": 3}
    trial.engagement = [silent | {"engaged_at": None, "unanswered_since": None}]
    trial.campaigns = [walking({"id": "rest", "wait": WAIT})]
    trial.plan(START + DAY)

    assert gate(explain(trial, "ada"), "consent").holds is None


def test_what_is_done_to_a_person_is_not_asked_for_consent(trial: World) -> None:
    steps = [{"id": "mark", "update": {"stage": 1}}, {"id": "rest", "wait": WAIT}]
    trial.campaigns = [campaign(steps=steps, holdout_bp=10_000)]
    trial.plan(START + DAY)

    found = explain(trial, "ada")

    assert (found.step, found.shut) == ("mark", "holdout")
    assert [each.name for each in found.gates] == ["pass", "status", "holdout", "data", "expiry"]


def test_an_exit_and_a_goal_are_gates_too(trial: World) -> None:
    trial.campaigns = [walking({"id": "rest", "wait": WAIT}, exit=["left_trigger", PRO], goal=goal(event="bought"))]
    trial.plan(START + DAY)

    found = explain(trial, "ada")

    exits = [(each.holds, each.seen) for each in found.gates if each.name == "exit"]
    assert [holds for holds, _ in exits] == [True, True]
    assert "plan is free" in exits[1][1]
    assert gate(found, "goal").seen == "not reached"


def test_what_is_not_known_any_more_is_said_and_never_guessed(trial: World) -> None:
    fork = {"id": "fork", "if": PRO, "then": [], "else": []}
    trial.campaigns = [
        campaign(steps=[{"id": "rest", "wait": WAIT}, fork, {"id": "bye", "send": "bye"}]),
        campaign("straight", steps=[{"id": "nap", "wait": WAIT}, {"id": "bye", "send": "bye"}]),
    ]
    trial.plan(START + DAY)

    forked, straight = (explain(trial, "ada", slug, knows=False) for slug in ("welcome", "straight"))

    assert (gate(forked, "fork").holds, forked.step, forked.shut) == (None, None, "rest")
    assert "not known any more" in gate(forked, "fork").seen
    unknown = [each.name for each in straight.gates if each.holds is None]
    assert set(unknown) >= {"consent", "address", "data", "exclusive", "cap"}


BOUGHT = {"event": "bought", "where_sql": None, "same": ["cart"], "since": WAIT}
CARTS = {"trigger": event_trigger("added", occurrence="cart"), "repeat": {"kind": "each_occurrence", "seconds": None}}


@pytest.fixture
def shop(trial: World) -> World:
    """Ada put cart a aside, and bought cart b."""
    trial.event("ada", "bought", START + 2 * HOUR, load=2, cart="b")
    trial.event("ada", "added", START + HOUR, load=2, cart="a")
    return trial


@pytest.mark.torture
def test_what_is_to_be_the_same_is_shown_with_the_value_that_it_is_compared_with(shop: World) -> None:
    see = {"id": "see", "wait_until": BOUGHT, "timeout": WAIT, "then": [], "else": []}
    shop.campaigns = [walking(see, exit=[BOUGHT | {"since": "entry"}], **CARTS)]
    shop.plan(START + 3 * HOUR)
    before = explain(shop, "ada")
    shop.event("ada", "bought", START + 4 * HOUR, load=3, cart="a")
    shop.plan(START + 5 * HOUR)
    after = explain(shop, "ada")

    text = "event `bought` with the same cart"
    assert gate(before, "see").seen == f"{text} within 2d: never; cart was a"
    assert gate(before, "exit").seen == f"{text} since the entry: never; cart was a"
    assert (gate(before, "exit").holds, before.shut) == (True, "see")
    assert before.change == f"an {text} within 2d; or 2d more: it gives up at 2026-01-03 09:00"
    assert gate(after, "exit").seen == f"{text} since the entry: last on 2026-01-01 10:00:00; cart was a"
    assert (gate(after, "exit").holds, gate(after, "pass").holds) == (False, False)


@pytest.mark.parametrize(("cart", "verdict"), [("a", "send"), ("b", "skip")])
def test_an_entry_that_was_filtered_is_weighed_by_the_event_that_named_the_person(
    shop: World, cart: str, verdict: str
) -> None:
    shop.events[-1]["properties"] = json.dumps({"cart": cart})
    shop.campaigns = [campaign(filter={"not": BOUGHT}, **CARTS)]
    plan = shop.plan(START + 3 * HOUR)

    found = explain(shop, "ada")
    untold = gate(explain(shop, "ben"), "filter")

    assert [row[2] for row in shop.verdicts(plan)] == [verdict]
    assert (found.verdict, found.shut) == (verdict, "filter" if verdict == "skip" else None)
    if verdict == "skip":
        (part,) = gate(found, "filter").parts
        assert (part.holds, part.seen) == (False, "last on 2026-01-01 08:00:00; cart was b")
        assert found.change == "no event `bought` with the same cart within 2d"
    assert (untold.holds, untold.seen.rpartition(": ")[2]) == (None, "the event to compare with is not known any more")


def test_of_two_events_that_may_have_named_a_person_none_is_picked(shop: World) -> None:
    shop.event("ada", "added", START + HOUR, load=2, cart="b")
    shop.campaigns = [campaign(filter={"not": {"any": [BOUGHT, PRO | {"where_sql": "true"}]}}, **CARTS)]
    shop.plan(START + 3 * HOUR)

    found = explain(shop, "ada")

    assert (found.verdict, found.shut) == ("skip", "filter")
    assert [part.holds for part in gate(found, "filter").parts] == [None, True]


def test_a_condition_is_weighed_as_planning_weighs_it_and_the_least_change_is_the_smaller_way(trial: World) -> None:
    trial.event("ada", "login", START + HOUR)
    plan = trial.plan(START + DAY)
    vip, member = {"in": "seg_vip"}, {"in": "seg_trial"}
    with evidence(trial, plan, "ada") as known:
        both = weigh(known, {"any": [{"all": [vip, PRO]}, vip]}, Pass())
        none = weigh(known, {"not": {"any": [member, LOGIN]}}, Pass())

    assert (both.holds, both.to_hold) == (False, ("to be in seg_vip",))
    assert none.holds is False
    assert none.to_hold == ("not to be in seg_trial", "no event `login` within 2d")
