"""When does each condition hold?"""

import json
from datetime import timedelta

import pytest

from tailrace.engine import literal
from tailrace.planning.condition import Needs, needs, truth
from tests.planning.ground import BITS, DAY, HOUR, NOW, SECOND, Ground, event


@pytest.fixture
def ground() -> Ground:
    return Ground()


def test_a_member_is_in_and_one_whom_no_segment_has_is_not(ground: Ground) -> None:
    ground.member(1, "seg_a")
    ground.member(2, "seg_b", "seg_c")

    assert ground.holds({"in": "seg_a"}, 1, 2, 3) == [1]
    assert ground.holds({"in": "seg_b"}, 1, 2, 3) == [2]
    assert ground.holds({"in": "seg_c"}, 1, 2, 3) == [2]
    assert ground.holds({"not": {"in": "seg_a"}}, 1, 2, 3) == [2, 3]


def test_a_segment_that_is_gone_has_no_members(ground: Ground) -> None:
    assert ground.holds({"in": "seg_gone"}, 1) == []


def test_an_event_since_entry_counts_from_the_second_of_entry_to_the_second_of_the_run(ground: Ground) -> None:
    entered = NOW - DAY
    for person, at in enumerate((entered - SECOND, entered, NOW, NOW + SECOND), start=1):
        ground.event(person, "paid", at)

    assert ground.holds(event("paid"), 1, 2, 3, 4, 5) == [2, 3]


def test_an_event_within_a_duration_excludes_its_first_instant(ground: Ground) -> None:
    for person, at in enumerate((NOW - HOUR, NOW - HOUR + SECOND, NOW), start=1):
        ground.event(person, "paid", at)

    assert ground.holds(event("paid", since=3600), 1, 2, 3) == [2, 3]


def test_an_event_counts_up_to_the_deadline_and_a_duration_is_measured_back_from_it(ground: Ground) -> None:
    deadline = NOW - 3 * HOUR
    for person, at in enumerate((deadline - HOUR, deadline - HOUR + SECOND, deadline, deadline + SECOND), start=1):
        ground.event(person, "paid", at)
    sql = f"timestamp '{deadline}'"

    assert ground.holds(event("paid"), 1, 2, 3, 4, until=sql) == [1, 2, 3]
    assert ground.holds(event("paid", since=3600), 1, 2, 3, 4, until=sql) == [2, 3]
    assert ground.holds(event("paid", since=3600), 1, 2, 3, 4, until=f"timestamp '{NOW + DAY}'") == []


def test_an_event_of_another_name_type_or_person_does_not_count(ground: Ground) -> None:
    ground.event(1, "opened", NOW)
    ground.event(2, "paid", NOW, kind="page")
    ground.event(None, "paid", NOW)

    assert ground.holds(event("paid"), 1, 2, 3) == []


def test_an_event_must_satisfy_the_expression(ground: Ground) -> None:
    ground.event(1, "paid", NOW, plan="pro")
    ground.event(2, "paid", NOW, plan="free")
    ground.event(2, "paid", NOW - HOUR, plan="team")
    where = "coalesce(json_extract_string(properties, '$.plan') = 'pro', false) or properties like '%team%'"

    assert ground.holds(event("paid", where=where), 1, 2, 3) == [1, 2]
    assert ground.holds(event("paid", since=60, where=where), 1, 2, 3) == [1]


CART = event("paid") | {"same": ["cart"]}


@pytest.mark.parametrize(
    ("started", "paid", "is_same"),
    [
        ("k1", "k1", True),
        ("k1", "K1", False),
        ("k1", "k1 ", False),
        ("", "", True),
        (7, 7, True),
        (7, "7", True),
        (7, 7.0, True),
        (7.5, 7.5, True),
        ("7", "7.0", False),
        ("7", "07", False),
        (9007199254740993, 9007199254740992, False),
        (True, "true", True),
        (None, None, False),
        (None, "null", False),
        ("k1", None, False),
        (["k1"], ["k1"], False),
        ({"id": "k1"}, {"id": "k1"}, False),
    ],
)
@pytest.mark.parametrize("since", ["entry", 3 * 86_400])
@pytest.mark.parametrize("until", [None, f"timestamp '{NOW}'"])
def test_an_event_is_the_same_by_the_value_of_a_property(
    ground: Ground, since: str | int, until: str | None, started: object, paid: object, is_same: bool
) -> None:
    ground.event(1, "paid", NOW, cart=paid)
    of_trigger = literal(json.dumps({"cart": started}))
    deadline = {} if until is None else {"until": until}

    assert ground.holds(CART | {"since": since}, 1, 2, trigger=of_trigger, **deadline) == [1] * is_same
    assert ground.holds({"not": CART | {"since": since}}, 1, trigger=of_trigger, **deadline) == [1] * (not is_same)


@pytest.mark.parametrize("started", ["'{}'", "null::varchar"])
def test_what_is_not_there_is_the_same_as_nothing(ground: Ground, started: str) -> None:
    ground.event(1, "paid", NOW)
    ground.event(2, "paid", NOW, cart="k1")

    assert ground.holds(CART, 1, 2, trigger=started) == []


def test_several_properties_are_the_same_in_one_event(ground: Ground) -> None:
    for person, shop in enumerate((("k1", "x"), ("k1", "y"), ("k2", "x")), start=1):
        ground.event(person, "paid", NOW, cart=shop[0], site=shop[1])
    ground.event(4, "paid", NOW, cart="k1", site="y")
    ground.event(4, "paid", NOW, cart="k2", site="x")
    started = literal(json.dumps({"cart": "k1", "site": "x"}))

    assert ground.holds(CART | {"same": ["cart", "site"]}, 1, 2, 3, 4, trigger=started) == [1]
    where = "coalesce(json_extract_string(properties, '$.site') = 'y', false)"
    assert ground.holds(CART | {"where_sql": where}, 1, 2, 3, 4, trigger=started) == [2, 4]


def test_an_expression_over_the_persons_columns_is_false_for_whom_nothing_is_known(ground: Ground) -> None:
    ground.put("customers", (1, '{"plan": "pro"}'), (2, '{"plan": "free"}'), (3, "{}"))
    condition = {"where_sql": "json_extract_string(customer, '$.plan') = 'pro'", "columns": ["plan"]}

    assert ground.holds(condition, 1, 2, 3, 4) == [1]
    assert ground.holds({"not": condition}, 1, 2, 3, 4) == [2, 3, 4]


def test_a_response_is_judged_by_class_code_and_body(ground: Ground) -> None:
    ground.put("responses", ("e1", "crm", 204, '{"ok": 1}'), ("e2", "crm", 404, None), ("e3", "crm", None, None))
    ground.put("responses", ("e4", "other", 200, '{"ok": 1}'), ("e5", "crm", 299, "{}"), ("e6", "crm", 300, "{}"))
    people = (1, 2, 3, 4, 5, 6)

    def answered(status: str | None, where: str | None = None) -> list[int]:
        return ground.holds({"response": "crm", "status": status, "where_sql": where}, *people)

    assert answered("2xx") == [1, 5]
    assert answered("404") == [2]
    assert answered(None) == [1, 2, 5, 6]
    assert answered("2xx", "coalesce(json_extract(body, '$.ok')::integer = 1, false)") == [1]


def test_all_any_and_not_are_what_they_say_and_nest(ground: Ground) -> None:
    ground.member(1, "seg_a", "seg_b")
    ground.member(2, "seg_a")
    ground.member(3, "seg_b")
    a, b = {"in": "seg_a"}, {"in": "seg_b"}

    assert ground.holds({"all": [a, b]}, 1, 2, 3, 4) == [1]
    assert ground.holds({"any": [a, b]}, 1, 2, 3, 4) == [1, 2, 3]
    assert ground.holds({"not": {"any": [a, b]}}, 1, 2, 3, 4) == [4]
    assert ground.holds({"all": [{"any": [a, b]}, {"not": {"all": [a, b]}}]}, 1, 2, 3, 4) == [2, 3]
    assert ground.holds({"any": [{"all": [a, {"not": b}]}, {"not": a}]}, 1, 2, 3, 4) == [2, 3, 4]


def test_an_empty_all_is_true_and_an_empty_any_is_false(ground: Ground) -> None:
    assert ground.holds({"all": []}, 1) == [1]
    assert ground.holds({"any": []}, 1) == []


def test_a_name_with_a_quote_is_a_name(ground: Ground) -> None:
    ground.event(1, "it's", NOW)
    ground.put("responses", ("e1", "o'step", 200, None))

    assert ground.holds(event("it's"), 1) == [1]
    assert ground.holds({"response": "o'step", "status": None, "where_sql": None}, 1) == [1]


def test_what_conditions_read_is_found_however_deep() -> None:
    where = {"where_sql": "true", "columns": ["plan", "mrr"]}
    nested = {"all": [{"not": {"any": [{"in": "seg_a"}, event("paid") | {"same": ["cart"]}]}}, where]}

    assert needs([nested, {"response": "crm", "status": "2xx", "where_sql": None}, {"in": "seg_b"}]) == Needs(
        columns=frozenset({"plan", "mrr"}),
        segments=frozenset({"seg_a", "seg_b"}),
        events=frozenset({"paid"}),
        responses=frozenset({"crm"}),
        same=frozenset({"cart"}),
    )


def test_what_the_row_does_not_have_cannot_be_asked() -> None:
    with pytest.raises(ValueError, match="has not entered"):
        truth(event("paid"), person="p", bits=BITS)
    with pytest.raises(ValueError, match="no enrollment"):
        truth({"response": "crm", "status": None}, person="p", bits=BITS)
    with pytest.raises(ValueError, match="of a row that has none"):
        truth(CART, person="p", entered_at="e", bits=BITS)
    with pytest.raises(ValueError, match="weather"):
        truth({"weather": "fine"}, person="p", bits=BITS)


def test_a_duration_longer_than_the_calendar_is_no_limit(ground: Ground) -> None:
    ground.event(1, "paid", NOW - timedelta(days=4_000))

    assert ground.holds(event("paid", since=5_000 * 86_400), 1) == [1]
