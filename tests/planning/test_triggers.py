"""Whom each kind of trigger names, when that was due, and by which occurrence."""

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from tailrace import ids
from tailrace.errors import DefinitionError
from tests.planning.world import DAY, HOUR, START, World, campaign, event_trigger, message

EACH = {"kind": "each_occurrence", "seconds": None}


@pytest.fixture
def people(world: World) -> World:
    """Ada and Ben; the first plan has been made."""
    for user in ("ada", "ben"):
        world.person(user)
    world.begin()
    return world


def entered(world: World, plan: Any, slug: str = "welcome") -> list[tuple[Any, ...]]:
    """Return (user, occurrence, entered_at) of each pass, sorted."""
    names = {ids.person_id(user): user for user in world.people}
    rows = world.rows(plan, f"enrollments:{slug}", "person_id", "occurrence", "entered_at")
    return sorted((names[person], occurrence, at) for person, occurrence, at in rows)


def naive(moment: datetime) -> datetime:
    return moment.replace(tzinfo=None)


def test_leaving_a_segment_triggers_when_the_campaign_says_left(people: World) -> None:
    people.segment("seg_trial", "ada")
    people.campaigns = [campaign(trigger={"kind": "segment", "segment": "seg_trial", "on": "left"})]
    first = people.plan(START + DAY)
    people.segment("seg_trial", "ben")

    assert people.verdicts(first) == []
    assert people.verdicts(people.plan(START + 2 * DAY)) == [("ada", "hello", "send", None)]


def test_each_occurrence_of_an_event_is_a_pass_and_the_same_one_is_not(people: World) -> None:
    trigger = event_trigger("cart_left", occurrence="cart_id")
    people.campaigns = [campaign(trigger=trigger, repeat=EACH)]
    for hour, cart in ((1, "c1"), (2, "c2"), (3, "c1")):
        people.event("ada", "cart_left", START + hour * HOUR, cart_id=cart)
    first = people.plan(START + DAY)
    people.event("ada", "cart_left", START + 30 * HOUR, load=2, cart_id="c2")

    assert entered(people, first) == [
        ("ada", "c1", naive(START + HOUR)),
        ("ada", "c2", naive(START + 2 * HOUR)),
    ]
    assert people.verdicts(people.plan(START + 2 * DAY)) == [("ada", "(entry)", "skip", "already_enrolled")]


def test_an_event_without_the_property_is_an_occurrence_of_its_own(people: World) -> None:
    people.campaigns = [campaign(trigger=event_trigger("cart_left", occurrence="cart_id"), repeat=EACH)]
    people.event("ada", "cart_left", START + HOUR)

    assert entered(people, people.plan(START + DAY)) == [("ada", "app:e0", naive(START + HOUR))]


def test_a_form_names_who_submitted_it(people: World) -> None:
    where = "coalesce(json_extract_string(properties, '$.form') = 'demo', false)"
    people.campaigns = [campaign(trigger=event_trigger("form_submitted", where_sql=where) | {"kind": "form"})]
    people.event("ada", "form_submitted", START + HOUR, form="demo")
    people.event("ben", "form_submitted", START + HOUR, form="other")

    assert people.verdicts(people.plan(START + DAY)) == [("ada", "hello", "send", None)]


def attribute(**changes: Any) -> dict[str, Any]:
    return {"kind": "attribute", "attribute": "plan", "from": None, "to": None} | changes


def test_a_changed_attribute_names_its_person_and_the_first_sight_names_nobody(people: World) -> None:
    people.person("ada", plan="free")
    people.person("ben", plan="free")
    people.campaigns = [campaign(trigger=attribute())]
    first = people.plan(START + DAY)
    people.person("ada", plan="pro")
    people.person("cleo", plan="free")
    second = people.plan(START + 2 * DAY)
    again = people.plan(START + 3 * DAY)

    assert people.verdicts(first) == []
    assert people.verdicts(second) == [("ada", "hello", "send", None), ("cleo", "hello", "send", None)]
    assert people.verdicts(again) == []


@pytest.mark.torture
def test_an_attribute_that_is_gone_has_changed_to_nothing_and_back(people: World) -> None:
    people.person("ada", plan="free")
    people.campaigns = [campaign(trigger=attribute(to="free"), repeat={"kind": "after_exit", "seconds": None})]
    people.plan(START + DAY)
    people.person("ada", plan=None)
    gone = people.plan(START + 2 * DAY)
    people.person("ada", plan="free")

    assert people.verdicts(gone) == []
    assert people.verdicts(people.plan(START + 3 * DAY)) == [("ada", "hello", "send", None)]


def test_from_and_to_of_an_attribute_are_both_held(people: World) -> None:
    people.person("ada", plan="free")
    people.person("ben", plan="trial")
    people.campaigns = [campaign(trigger=attribute(**{"from": "trial", "to": "pro"}))]
    people.plan(START + DAY)
    people.person("ada", plan="pro")
    people.person("ben", plan="pro")

    assert people.verdicts(people.plan(START + 2 * DAY)) == [("ben", "hello", "send", None)]


def test_another_attribute_is_a_new_baseline(people: World) -> None:
    people.person("ada", plan="free")
    people.campaigns = [campaign(trigger=attribute())]
    people.plan(START + DAY)
    people.campaigns = [campaign(trigger=attribute(attribute="country"))]
    people.person("ada", plan="free", country="DE")

    assert people.verdicts(people.plan(START + 2 * DAY)) == []


def test_a_backfill_refuses_a_changed_attribute_with_history(people: World) -> None:
    people.person("ada", plan="free")
    people.campaigns = [campaign(trigger=attribute())]
    people.plan(START + DAY)
    people.person("ada", plan="pro")

    assert people.verdicts(people.plan(START + DAY, cause="backfill")) == [("ada", "(entry)", "skip", "history")]


@pytest.mark.torture
def test_an_edited_model_changes_an_attribute_and_its_people_are_held(people: World) -> None:
    people.people["ada"]["plan"] = "free"
    people.people["ben"]["plan"] = "free"
    people.campaigns = [campaign(trigger=attribute())]
    people.fingerprints = {"core.dim_people": "as it was", "core.dim_person_features": "as it was"}
    people.plan(START + DAY)
    people.people["ada"]["plan"] = "Free"
    people.fingerprints |= {"core.dim_people": "as it is"}
    edited = people.plan(START + 2 * DAY)
    people.people["ben"]["plan"] = "pro"
    people.fingerprints |= {"core.dim_person_features": "as it is"}

    assert people.verdicts(edited) == [("ada", "(entry)", "skip", "held_definition")]
    assert people.verdicts(people.plan(START + 3 * DAY)) == [("ben", "hello", "send", None)]


def test_an_attribute_that_nobody_has_is_named(people: World) -> None:
    people.campaigns = [campaign(trigger=attribute(attribute="plann"))]

    with pytest.raises(DefinitionError, match=r"campaigns/welcome/campaign\.yml: .*`plann` is in neither dim_people"):
        people.plan(START + DAY)


def dated(**changes: Any) -> dict[str, Any]:
    return {"kind": "date", "attribute": "born_on", "offset_days": 0, "at": 540, "every": "year"} | changes


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.torture
def test_a_birthday_campaign_goes_on_after_the_birthday(world: World) -> None:
    world.person("ada", born_on=date(1990, 3, 10))
    steps = [{"id": "happy", "send": "happy"}, {"id": "later", "wait": 86_400}, {"id": "gift", "send": "gift"}]
    world.campaigns = [campaign(trigger=dated(), repeat=EACH, steps=steps, exit=[])]
    world.plan(at("2026-03-10T06:00"))

    said = [world.verdicts(world.plan(at(f"2026-03-{day}T10:00"))) for day in (10, 11, 12)]
    said.append(world.verdicts(world.plan(at("2027-03-10T10:00"))))

    assert said == [
        [("ada", "happy", "send", None)],
        [("ada", "gift", "send", None)],
        [],
        [("ada", "happy", "send", None)],
    ]
    assert entered(world, world.store.read("HEAD")) == [
        ("ada", "2026-03-10", naive(at("2026-03-10T09:00"))),
        ("ada", "2027-03-10", naive(at("2027-03-10T09:00"))),
    ]


@pytest.mark.parametrize(
    ("born", "every", "runs", "occurrence"),
    [
        (date(2024, 2, 29), "year", ("2026-02-27T12:00", "2026-02-28T12:00"), "2026-02-28"),
        (date(2024, 2, 29), "year", ("2028-02-28T12:00", "2028-02-29T12:00"), "2028-02-29"),
        (date(2025, 1, 31), "month", ("2026-04-29T12:00", "2026-04-30T12:00"), "2026-04-30"),
        (date(2025, 1, 30), "month", ("2026-02-27T12:00", "2026-02-28T12:00"), "2026-02-28"),
        (date(2026, 4, 30), "once", ("2026-04-29T12:00", "2026-04-30T12:00"), "2026-04-30"),
    ],
)
def test_a_day_that_a_month_lacks_is_its_last(
    world: World, born: date, every: str, runs: tuple[str, str], occurrence: str
) -> None:
    world.person("ada", born_on=born)
    world.campaigns = [campaign(trigger=dated(every=every), repeat=EACH)]
    world.plan(at(runs[0]))

    assert [row[1] for row in entered(world, world.plan(at(runs[1])))] == [occurrence]


def test_the_28th_is_not_the_29th_in_a_leap_year(world: World) -> None:
    world.person("ada", born_on=date(2024, 2, 29))
    world.campaigns = [campaign(trigger=dated(), repeat=EACH)]
    world.plan(at("2028-02-27T12:00"))

    assert entered(world, world.plan(at("2028-02-28T12:00"))) == []


def test_an_offset_counts_days_and_the_hour_is_the_persons(world: World) -> None:
    world.person("ada", born_on=date(2026, 6, 10), timezone="Pacific/Kiritimati")
    world.person("ben", born_on=date(2026, 6, 10), timezone="Etc/GMT+12")
    world.campaigns = [campaign(trigger=dated(every="once", offset_days=-7))]
    world.plan(at("2026-06-01T00:00"))

    plan = world.plan(at("2026-06-05T00:00"))

    assert [(user, moment) for user, _, moment in entered(world, plan)] == [
        ("ada", naive(at("2026-06-02T19:00"))),
        ("ben", naive(at("2026-06-03T21:00"))),
    ]


def test_a_moment_belongs_to_the_plan_that_is_made_at_it_and_to_no_other(world: World) -> None:
    world.person("ada", born_on=date(1990, 3, 10))
    world.campaigns = [campaign(trigger=dated(), repeat=EACH)]
    world.plan(at("2026-03-10T08:00"))

    said = [world.verdicts(world.plan(at(f"2026-03-10T{hour}:00"))) for hour in ("09", "10")]

    assert said == [[("ada", "hello", "send", None)], []]


def test_nothing_is_celebrated_before_the_day_itself(world: World) -> None:
    world.person("ada", born_on=date(2027, 3, 10))
    world.campaigns = [campaign(trigger=dated(), repeat=EACH)]
    world.plan(at("2026-03-09T12:00"))

    assert entered(world, world.plan(at("2026-03-11T12:00"))) == []


@pytest.mark.torture
def test_a_broadcast_reaches_the_segment_once_in_the_first_plan_after_its_time(people: World) -> None:
    people.segment("seg_trial", "ada")
    trigger = {"kind": "broadcast", "segment": "seg_trial", "at": "2026-01-02T12:00:00Z"}
    people.campaigns = [campaign(trigger=trigger)]
    before = people.plan(START + DAY)
    sent = people.plan(START + 2 * DAY)
    people.segment("seg_trial", "ada", "ben")

    assert people.verdicts(before) == []
    assert people.verdicts(sent) == [("ada", "hello", "send", None)]
    assert people.verdicts(people.plan(START + 3 * DAY)) == []


def test_a_broadcast_by_command_reaches_whom_it_names_once_a_key(people: World) -> None:
    trigger = {"kind": "broadcast", "segment": None, "at": None}
    spec = message(("trigger", "coupon"))
    people.campaigns = [campaign(trigger=trigger, repeat=EACH, messages={"hello": spec})]
    for load, key in enumerate(("spring", "spring", "summer"), start=2):
        people.event(
            "ada", "broadcast_requested", START + load * HOUR, load=load, campaign="welcome", key=key, coupon=key
        )
    people.event("ben", "broadcast_requested", START + HOUR, campaign="other", key="spring", coupon="x")

    plan = people.plan(START + DAY)

    assert [row[:2] for row in entered(people, plan)] == [("ada", "spring"), ("ada", "summer")]
    assert [data for (data,) in people.rows(plan, "payloads", "data")] == [
        '{"customer":{},"event":{},"trigger":{"coupon":"spring"},"segment":{},"object":{}}',
        '{"customer":{},"event":{},"trigger":{"coupon":"summer"},"segment":{},"object":{}}',
    ]


BIG = "object_segments.seg_big"


def of_object(**changes: Any) -> dict[str, Any]:
    facts = {"kind": "object", "object": "account", "event": None, "where_sql": None, "segment": None}
    return facts | {"on": "entered", "late": None} | changes


def test_an_accounts_event_reaches_all_of_its_people_with_its_attributes(people: World) -> None:
    people.belongs = [("account", "acme", "ada"), ("account", "acme", "ben"), ("team", "acme", "cleo")]
    people.objects = [("account", "acme", {"name": "Acme Ltd"})]
    people.person("cleo")
    spec = message(("object", "name"), ("event", "amount"))
    people.campaigns = [campaign(trigger=of_object(event="invoice_failed"), messages={"hello": spec})]
    people.event(None, "invoice_failed", START + HOUR, group="acme", amount=9)

    plan = people.plan(START + DAY)

    assert people.verdicts(plan) == [("ada", "hello", "send", None), ("ben", "hello", "send", None)]
    assert people.rows(plan, "payloads", "data")[0] == (
        '{"customer":{},"event":{"amount":9},"trigger":{},"segment":{},"object":{"name":"Acme Ltd"}}',
    )


def test_a_message_knows_all_that_a_person_belongs_to_and_what_is_said_of_the_two(people: World) -> None:
    people.belongs = [
        ("account", "zebra", "ada"),
        ("account", "acme", "ada"),
        ("account", "acme", "ben"),
        ("team", "red", "ada"),
    ]
    people.objects = [("account", "acme", {"name": "Acme Ltd", "id": "their own"}), ("account", "zebra", {"seats": 3})]
    people.relationships = {("account", "acme", "ada"): {"role": "admin", "since": None}}
    spec = message(("objects", "account"), ("object", "relationship"), ("object", "id"))
    people.campaigns = [campaign(trigger=of_object(event="invoice_failed"), messages={"hello": spec})]
    people.event(None, "invoice_failed", START + HOUR, group="acme", amount=9)

    plan = people.plan(START + DAY)

    assert people.verdicts(plan) == [
        ("ada", "hello", "send", None),
        ("ben", "hello", "skip", "missing_field:object.relationship"),
    ]
    ((said,),) = people.rows(plan, "payloads", "data")
    data = json.loads(said)
    assert data["object"] == {"id": "acme", "relationship": {"role": "admin", "since": None}}
    # in the order in which she came to belong, and only of the kind that is asked for
    assert data["objects"] == {
        "account": [
            {"seats": 3, "id": "zebra", "relationship": {}},
            {"name": "Acme Ltd", "id": "acme", "relationship": {"role": "admin"}},
        ]
    }


def test_who_belongs_to_nothing_lacks_it_and_who_belongs_to_very_much_gets_the_first_200(people: World) -> None:
    people.belongs = [("account", f"acct_{number:04}", "ada") for number in range(1_000)]
    spec = message(("objects", "account"))
    people.campaigns = [campaign(trigger=event_trigger("signed_up"), messages={"hello": spec})]
    for name in ("ada", "ben"):
        people.event(name, "signed_up", START + HOUR)

    plan = people.plan(START + DAY)

    assert people.verdicts(plan) == [
        ("ada", "hello", "send", None),
        ("ben", "hello", "skip", "missing_field:objects.account"),
    ]
    held = json.loads(people.rows(plan, "payloads", "data")[0][0])["objects"]["account"]
    assert [each["id"] for each in held] == [f"acct_{number:04}" for number in range(200)]


def test_ten_thousand_people_of_one_account_are_all_reached_and_each_knows_it(people: World) -> None:
    names = [f"p{number}" for number in range(10_000)]
    for name in names:
        people.person(name)
    people.belongs = [("account", "acme", name) for name in names]
    people.objects = [("account", "acme", {"name": "Acme Ltd"})]
    spec = message(("objects", "account"))
    people.campaigns = [campaign(trigger=of_object(event="invoice_failed"), messages={"hello": spec})]
    people.event(None, "invoice_failed", START + HOUR, group="acme")

    plan = people.plan(START + DAY)

    assert [verdict for _, _, verdict, _ in people.verdicts(plan)] == ["send"] * 10_000
    said = {data for (data,) in people.rows(plan, "payloads", "data")}
    assert [json.loads(each)["objects"]["account"][0]["name"] for each in said] == ["Acme Ltd"]


@pytest.mark.torture
def test_an_account_that_enters_an_object_segment_reaches_its_people(people: World) -> None:
    people.person("cleo")
    people.belongs = [("account", "acme", "ada"), ("account", "old", "ben"), ("team", "acme", "cleo")]
    people.object_members = {"seg_big": {"old"}}
    people.campaigns = [campaign(trigger=of_object(segment="seg_big"), repeat=EACH)]
    first = people.plan(START + DAY)
    people.object_members = {"seg_big": {"old", "acme"}}

    second = people.plan(START + 2 * DAY)

    assert people.verdicts(first) == []
    assert [row[:2] for row in entered(people, second)] == [("ada", "acme:2026-01-03T06:00:00Z")]
    assert people.verdicts(people.plan(START + 3 * DAY)) == []


@pytest.mark.parametrize(("on", "before", "after"), [("entered", set(), {"acme"}), ("left", {"acme"}, set())])
def test_a_backfill_refuses_the_people_of_a_moved_object_with_history(
    people: World, on: str, before: set[str], after: set[str]
) -> None:
    people.belongs = [("account", "acme", "ada")]
    people.object_members = {"seg_big": before}
    people.campaigns = [campaign(trigger=of_object(segment="seg_big", on=on))]
    people.plan(START + DAY)
    people.object_members = {"seg_big": after}

    assert people.verdicts(people.plan(START + DAY, cause="backfill")) == [("ada", "(entry)", "skip", "history")]
    assert people.verdicts(people.plan(START + 2 * DAY)) == []


def test_an_account_that_leaves_reaches_its_people_when_the_campaign_says_left(people: World) -> None:
    people.belongs = [("account", "acme", "ada")]
    people.object_members = {"seg_big": {"acme"}}
    people.campaigns = [campaign(trigger=of_object(segment="seg_big", on="left"))]
    people.plan(START + DAY)
    people.object_members = {"seg_big": set()}

    assert people.verdicts(people.plan(START + 2 * DAY)) == [("ada", "hello", "send", None)]


@pytest.mark.torture
def test_an_object_segment_that_did_not_build_names_nobody_and_is_not_forgotten(people: World) -> None:
    people.belongs = [("account", "acme", "ada"), ("account", "new", "ben")]
    people.object_members = {"seg_big": {"acme"}}
    people.campaigns = [campaign(trigger=of_object(segment="seg_big"))]
    people.plan(START + DAY)
    people.failed = {"seg_big": "broken"}
    people.object_members = {"seg_big": set()}
    broken = people.plan(START + 2 * DAY)
    people.failed = {}
    people.object_members = {"seg_big": {"acme", "new"}}

    assert people.verdicts(broken) == []
    assert people.verdicts(people.plan(START + 3 * DAY)) == [("ben", "hello", "send", None)]


@pytest.mark.torture
@pytest.mark.parametrize(("on", "before", "after"), [("entered", set(), {"acme"}), ("left", {"acme"}, set())])
def test_an_edited_object_segment_moves_accounts_and_their_people_are_held(
    people: World, on: str, before: set[str], after: set[str]
) -> None:
    people.belongs = [("account", "acme", "ada"), ("account", "later", "ben")]
    people.campaigns = [campaign(trigger=of_object(segment="seg_big", on=on))]
    people.object_members, people.fingerprints = {"seg_big": before | {"x"}}, {BIG: "as it was"}
    people.plan(START + DAY)
    people.object_members, people.fingerprints = {"seg_big": after | {"x"}}, {BIG: "as it is"}
    edited = people.plan(START + 2 * DAY)
    people.object_members = {"seg_big": (after | {"x"}) ^ {"later"}}

    assert people.verdicts(edited) == [("ada", "(entry)", "skip", "held_definition")]
    by_behaviour = [("ben", "hello", "send", None)] if on == "entered" else []
    assert people.verdicts(people.plan(START + 3 * DAY)) == by_behaviour


def test_an_object_segment_edited_while_it_did_not_build_is_held_when_it_builds_again(people: World) -> None:
    people.belongs = [("account", "acme", "ada")]
    people.campaigns = [campaign(trigger=of_object(segment="seg_big"))]
    people.object_members, people.fingerprints = {"seg_big": {"x"}}, {BIG: "as it was"}
    people.plan(START + DAY)
    people.failed, people.fingerprints = {"seg_big": "broken"}, {BIG: "as it is"}
    people.plan(START + 2 * DAY)
    people.failed, people.object_members = {}, {"seg_big": {"x", "acme"}}

    assert people.verdicts(people.plan(START + 3 * DAY)) == [("ada", "(entry)", "skip", "held_definition")]


def test_an_object_trigger_without_its_model_says_what_is_missing(people: World) -> None:
    people.campaigns = [campaign(trigger=of_object(event="invoice_failed"))]

    with pytest.raises(DefinitionError, match=r"stands on core\.fct_object_people, which the warehouse does not have"):
        people.plan(START + DAY)


def test_of_several_occurrences_the_earliest_counts_unless_each_enters(people: World) -> None:
    after_exit = {"kind": "after_exit", "seconds": None}
    people.campaigns = [campaign(trigger=event_trigger("bought"), repeat=after_exit)]
    for hour in (5, 3, 4):
        people.event("ada", "bought", START + hour * HOUR)

    plan = people.plan(START + DAY)

    assert entered(people, plan) == [("ada", "app:e1", naive(START + 3 * HOUR))]
    assert people.verdicts(people.plan(START + DAY + timedelta(hours=1))) == []
