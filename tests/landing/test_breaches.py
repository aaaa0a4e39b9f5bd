from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tailrace.errors import DefinitionError
from tailrace.landing.census import kept_out
from tailrace.landing.land import land
from tailrace.landing.loads import loads
from tailrace.landing.quarantine import list_quarantine, show
from tailrace.landing.retry import retry
from tests.examples import examples
from tests.landing.conftest import AS_OF, World, call, compact

CANARY = "canary@example.com"


def contract(world: World, event: str, text: str) -> None:
    folder = world.settings.project_dir / "contracts" / "events"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{event}.yml").write_text(text, encoding="utf-8")


def paid(number: int, properties: Any = ..., **keys: Any) -> bytes:
    return compact(call(messageId=f"m{number}", properties=properties, **keys))


def details(world: World) -> dict[int, str | None]:
    return {row.line: row.detail for row in list_quarantine(world.settings) if row.reason == "contract_broken"}


def broken(world: World, rule: str, *values: Any) -> list[str | None]:
    """Return what is wrong with each value of the property `x` by the rule; None for those that land."""
    contract(world, "Paid", f"on_breach: quarantine\nproperties:\n  x: {{{rule}}}\n")
    world.lines(*(paid(n, {"x": value} if value is not ... else {}) for n, value in enumerate(values)))
    found = details(world)
    return [text.removeprefix("Paid: `x` ") if (text := found.get(n)) else None for n, _ in enumerate(values, 1)]


@pytest.mark.parametrize(
    ("rule", "good", "bad"),
    [
        ("type: string", ["", "12", "true", 'a "quoted" \\ one', "é 😀", None, ...], [12, True, ["a"], {"a": 1}, 1.5]),
        ("type: integer", [0, -3, 12345678901234567890123, None], ["12", 1.5, True, [1], {}, 1.0, 1e300]),
        ("type: number", [0, -3, 1.5, 1e-7, None], ["1.5", False, [1], {}]),
        ("type: boolean", [True, False, None], ["true", 0, 1, [True]]),
        ("type: array", [[], [1, [2]], None], [{}, "[]", 0]),
        ("type: object", [{}, {"a": [1]}, None], [[], "{}", 0]),
        (
            "type: timestamp",
            ["2026-01-31T09:00:00Z", "2026-01-31 09:00:00.123+02:00", "2026-01-31T09:00", None],
            ["2026-02-30T09:00:00Z", "2026-01-31", 1767225600, "soon", "2026-01-31T24:00:00Z", True],
        ),
        ("type: date", ["2026-01-31", None], ["2026-02-30", "2026-01-31T09:00:00Z", "31.01.2026", 20260131]),
    ],
)
def test_a_type_is_judged_as_json_has_it(world: World, rule: str, good: list[Any], bad: list[Any]) -> None:
    found = broken(world, rule, *good, *bad)
    assert found[: len(good)] == [None] * len(good)
    words = set(found[len(good) :])
    assert len(words) == 1
    assert (words.pop() or "").startswith("is not ")


def test_a_required_property_is_there_and_not_null(world: World) -> None:
    found = broken(world, "type: string, required: true", "a", "", None, ..., 5)
    assert found == [None, None, "is missing", "is missing", "is not a string"]


def test_required_also_holds_for_an_event_without_properties(world: World) -> None:
    contract(world, "Paid", "on_breach: quarantine\nproperties:\n  x: {type: string, required: true}\n")
    assert world.lines(paid(1), paid(2, {"x": "a"})).quarantined == 1


def test_one_of_a_list_in_the_letters_of_the_list(world: World) -> None:
    words = "is none of free, pro, it's"
    found = broken(world, "type: string, enum: [free, pro, it's]", "free", "it's", "Free", "", "free ", None)
    assert found == [None, None, words, words, words, None]


def test_a_number_of_a_list_is_the_same_number_however_it_is_written(world: World) -> None:
    found = broken(world, "type: number, enum: [1, 2.5]", 1, 1.0, 2.5, 2, "1")
    assert found == [None, None, None, "is none of 1, 2.5", "is not a number"]


def test_a_number_of_a_list_has_all_its_digits(world: World) -> None:
    number = 12345678901234567890123456789012345678
    found = broken(world, f"type: integer, enum: [{number}, 1.0, 1e3]", number, number + 1, 1, 1000)
    assert found == [None, f"is none of {number}, 1, 1000", None, None]


def test_a_pattern_fits_the_whole_value(world: World) -> None:
    found = broken(world, 'type: string, pattern: "[A-Z]{2}|\\\\d+\\"?"', "DE", "77", '7"', "DEU", "de", "aDE", "é")
    assert [text is None for text in found] == [True, True, True, False, False, False, False]


def test_a_range_holds_to_the_last_digit(world: World) -> None:
    exact = "type: integer, min: -1, max: 9007199254740992"
    found = broken(world, exact, -1, 0, 9007199254740992, 9007199254740993, -2, 10**30)
    more = "is more than 9007199254740992"
    assert found == [None, None, None, more, "is less than -1", more]


def test_a_range_of_numbers_takes_fractions(world: World) -> None:
    found = broken(world, "type: number, min: 0.5, max: 10", 0.5, 10, 10.0, 0.4999, 10.001, 0)
    assert [text is None for text in found] == [True, True, True, False, False, False]


@pytest.mark.parametrize("name", ["a b", "a.b", "a/b~c", "0", "*", "plan's", 'say "so"', "Plan"])
def test_a_property_may_have_any_name(world: World, name: str) -> None:
    contract(world, "Paid", f"on_breach: quarantine\nproperties:\n  {json.dumps(name)}: {{type: integer}}\n")
    done = world.lines(paid(1, {name: 5}), paid(2, {name: "5"}), paid(3, {"plan": "5", "a": {"b": "5"}}))
    assert (done.landed, done.quarantined) == (2, 1)
    assert details(world) == {2: f"Paid: `{name}` is not a whole number"}


@pytest.mark.parametrize("word", ["{facts}", "{codes}", "{values}", "{events}"])
def test_a_contract_may_have_words_in_braces_anywhere(world: World, word: str) -> None:
    asked = f"{{type: string, enum: ['{word}', ok]}}"
    properties = f"  '{word}': {asked}\n  link: {{type: string, pattern: '(a{word}|b)?'}}\n"
    contract(world, word, f"on_breach: quarantine\nproperties:\n{properties}")
    done = world.lines(*(paid(n, {word: value, "link": "b"}, event=word) for n, value in enumerate(["ok", word, "no"])))
    assert (done.landed, done.quarantined) == (2, 1)
    assert details(world) == {3: f"{word}: `{word}` is none of {word}, ok"}


def test_all_that_is_broken_is_named_and_no_value_is(world: World) -> None:
    contract(
        world,
        "Paid",
        "on_breach: quarantine\nproperties:\n"
        "  plan: {type: string, enum: [free, pro]}\n  seats: {type: integer, min: 1}\n"
        "  at: {type: date, required: true}\n",
    )
    world.lines(paid(1, {"plan": CANARY, "seats": 0}))
    (row,) = list_quarantine(world.settings)
    assert row.reason == "contract_broken"
    assert row.detail == "Paid: `plan` is none of free, pro; `seats` is less than 1; `at` is missing"
    (load,) = loads(world.settings)
    assert CANARY not in load.model_dump_json()
    assert CANARY in show(world.settings, row.id).raw


def test_what_only_warns_lands_and_is_counted_with_the_load(world: World) -> None:
    contract(world, "Paid", "properties:\n  plan: {type: string, required: true}\n  seats: {type: integer}\n")
    done = world.lines(
        paid(1, {"plan": 5, "seats": "5"}),
        paid(2, {"seats": "6"}),
        paid(3, {"plan": "pro"}),
        paid(3, {"plan": "pro"}),
        paid(4, {"seats": []}, event="Other"),
        paid(2, {"seats": "7"}),
    )
    assert (done.landed, done.duplicate, done.quarantined) == (4, 2, 0)
    (load,) = loads(world.settings)
    assert load.breaches == done.breaches
    assert {(each.property, each.words): (each.events, each.landed) for each in load.breaches} == {
        ("plan", "is missing"): (1, True),
        ("plan", "is not a string"): (1, True),
        ("seats", "is not a whole number"): (2, True),
    }


def test_landing_again_counts_nothing_again(world: World) -> None:
    contract(world, "Paid", "on_breach: warn\nproperties: {x: {type: integer}}\n")
    contract(world, "Lost", "on_breach: quarantine\nproperties: {x: {type: integer}}\n")
    lines = (paid(1, {"x": "1"}), paid(2, {"x": "1"}, event="Lost"))
    assert [(each.event, each.landed, each.events) for each in world.lines(*lines).breaches] == [
        ("Lost", False, 1),
        ("Paid", True, 1),
    ]
    same = world.lines(*lines, name="again.jsonl")
    assert (same.load_id, same.breaches) == (None, ())
    more = world.lines(lines[0], paid(3, {"x": 1}), name="more.jsonl")
    assert (more.landed, more.duplicate, more.breaches) == (1, 1, ())


def test_only_what_people_do_has_a_contract(world: World) -> None:
    contract(world, "Home", "on_breach: quarantine\nproperties: {x: {type: integer, required: true}}\n")
    page = paid(1, {"x": "5"}, type="page", event=..., name="Home")
    done = world.lines(page, paid(2, {"x": "5"}, event="home"), paid(3, {"x": 5}, event="Home"))
    assert (done.landed, done.quarantined) == (3, 0)


def test_a_contract_goes_on_and_off_with_its_programme(world: World) -> None:
    contract(world, "Paid", "programme: shop\non_breach: quarantine\nproperties: {x: {type: integer}}\n")
    project = world.settings.project_dir / "dbt_project.yml"
    assert world.lines(paid(1, {"x": "1"}), name="a.jsonl").quarantined == 0
    project.write_text("vars: {programmes: [saas]}\n")
    assert world.lines(paid(2, {"x": "1"}), name="b.jsonl").quarantined == 0
    project.write_text("vars: {programmes: [saas, shop]}\n")
    assert world.lines(paid(3, {"x": "1"}), name="c.jsonl").quarantined == 1


def test_a_wrong_contract_lands_nothing(world: World) -> None:
    contract(world, "Paid", "properties: {x: {type: text}}\n")
    with pytest.raises(DefinitionError, match="expected one of string, integer"):
        world.lines(paid(1, {"x": "1"}))
    assert loads(world.settings) == []
    assert world.lines(paid(1, {"x": "1"}, event="Other")).landed == 1


def test_the_calls_of_a_batch_are_judged_one_by_one(world: World) -> None:
    contract(world, "Paid", "on_breach: quarantine\nproperties: {x: {type: integer}}\n")
    batch = {"batch": [json.loads(paid(1, {"x": 1})), json.loads(paid(2, {"x": "1"})), json.loads(paid(3, {"x": 2}))]}
    done = world.lines(compact(batch), paid(4, {"x": "1"}))
    assert (done.lines, done.landed, done.quarantined) == (4, 2, 2)
    assert done.reasons == {"contract_broken": 2}
    assert [each.events for each in done.breaches] == [2]


def test_lines_that_need_the_exact_judge_are_judged_by_the_contract_too(world: World) -> None:
    contract(world, "Paid", "on_breach: quarantine\nproperties: {x: {type: integer}}\n")
    lines = [
        paid(1, {"x": 12345678901234567890}),
        compact(call(messageId="m2", properties={"x": "1", "deep": [[1], [2]]})),
        paid(3, {"x": "\\u0041"}).replace(b"\\\\u", b"\\u"),
        paid(4, {"x": 1}).replace(b'"x":1', b'"x":1,"x":"1"'),
        paid(5, {"x": 1}).replace(b'"x":1', b'"x":NaN'),
        paid(6, {"x": 1}).replace(b'"x":1', b'"x" : 00'),
        paid(7, {"x": 1}).replace(b'{"x":1}', b"[1]"),
    ]
    done = world.lines(*lines)
    assert done.reasons == {
        "contract_broken": 2,
        "duplicate_key": 1,
        "not_a_number": 1,
        "not_json": 1,
        "body_not_an_object": 1,
    }
    assert sorted(details(world)) == [2, 3]


def test_rows_of_csv_are_texts_and_rows_of_parquet_have_types(world: World) -> None:
    contract(world, "e", "on_breach: quarantine\nproperties: {n: {type: integer}}\n")
    mapping = "mapping: {type: track, event: e, user_id: u, timestamp: t, properties: all}\n"
    world.contract("bank", "format: csv\n" + mapping)
    world.contract("shop", "format: parquet\n" + mapping)
    assert world.lines(b"t,u,e,n", b"2020-01-01,7,e,5", name="in.csv", source="bank").quarantined == 1
    path = world.folder / "in.parquet"
    with duckdb.connect() as connection:
        connection.execute(
            "copy (select timestamp '2020-01-01' as t, 7 as u, 'e' as e, unnest([5, null]) as n)"
            f" to '{path}' (format parquet)"
        )
    assert world.land(path, source="shop").landed == 2
    assert details(world) == {2: "e: `n` is not a whole number"}


def test_a_retry_lands_what_a_mended_contract_takes_and_says_so(world: World) -> None:
    contract(world, "Paid", "on_breach: quarantine\nproperties: {x: {type: integer, max: 10}}\n")
    world.lines(paid(1, {"x": "1"}), paid(2, {"x": 11}), paid(3, {"x": 5}), b"no json")
    same = retry(world.settings, as_of=AS_OF)
    assert (same.lines, same.landed, same.quarantined, same.load_id, same.breaches) == (3, 0, 3, None, ())
    assert same.reasons == {"contract_broken": 2, "not_json": 1}

    contract(world, "Paid", "on_breach: quarantine\nproperties: {x: {type: integer, max: 20}}\n")
    done = retry(world.settings, as_of=AS_OF)
    assert (done.lines, done.landed, done.quarantined, done.breaches) == (3, 1, 2, ())
    contract(world, "Paid", "on_breach: warn\nproperties: {x: {type: integer, max: 20}}\n")
    last = retry(world.settings, as_of=AS_OF)
    assert (last.landed, [(each.words, each.landed, each.events) for each in last.breaches]) == (
        1,
        [("is not a whole number", True, 1)],
    )
    assert [load.warned for load in loads(world.settings)] == [{}, {}, {"Paid": 1}]
    assert sorted(world.events("event_id")) == [("m1",), ("m2",), ("m3",)]


def test_only_lines_that_a_contract_keeps_in_quarantine_are_counted_for_its_event(world: World) -> None:
    world.contract("app", "format: segment\ntimestamps: {from: 2020-01-01}\n")
    contract(world, "Paid", "on_breach: quarantine\nproperties: {x: {type: integer}}\n")
    world.lines(paid(1, {"x": "1"}), paid(2, {"x": 1}, timestamp="2001-01-01T00:00:00Z"))
    assert kept_out(world.settings) == {"Paid": 1}
    world.contract("app", "format: segment\n")
    contract(world, "Paid", "summary: nothing is asked\n")
    assert retry(world.settings, as_of=AS_OF).landed == 2
    assert kept_out(world.settings) == {}


def test_the_same_lines_make_the_same_load_whether_contracts_ask_or_not(make_world: Any) -> None:
    lines = [paid(n, {"x": n}) for n in range(5)]
    plain, asked = make_world("plain"), make_world("asked")
    contract(asked, "Paid", "on_breach: quarantine\nproperties: {x: {type: integer}}\n")
    assert plain.lines(*lines).load_id == asked.lines(*lines).load_id


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**25), 10**25)
    | st.floats(-1e6, 1e6).map(lambda x: round(x, 3))
    | st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=6)
    | st.sampled_from(["", "5", "a\\b", "2026-01-31"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=3,
)
RULES = st.sampled_from(
    [
        {"type": "string"},
        {"type": "string", "required": True},
        {"type": "string", "enum": ["5", "a\\b"]},
        {"type": "string", "pattern": "[0-9]*"},
        {"type": "integer"},
        {"type": "integer", "min": -5, "max": 10**20},
        {"type": "number", "min": -0.5},
        {"type": "number", "enum": [0, 1]},
        {"type": "boolean"},
        {"type": "array"},
        {"type": "object", "required": True},
    ]
)


def second_opinion(rule: dict[str, Any], value: Any) -> bool:
    """Say whether a value (`...` for none) is what the rule asks: in Python, one at a time."""
    if value is ... or value is None:
        return not rule.get("required")
    number = isinstance(value, int | float) and not isinstance(value, bool)
    is_type = {
        "string": isinstance(value, str),
        "integer": number and isinstance(value, int),
        "number": number,
        "boolean": isinstance(value, bool),
        "array": isinstance(value, list),
        "object": isinstance(value, dict),
    }[rule["type"]]
    return (
        is_type
        and ("enum" not in rule or value in rule["enum"])
        and ("pattern" not in rule or re.fullmatch(rule["pattern"], value) is not None)
        and ("min" not in rule or value >= rule["min"])
        and ("max" not in rule or value <= rule["max"])
    )


@hypothesis_settings(
    max_examples=examples(15), suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    asked=st.lists(RULES, min_size=1, max_size=3),
    rows=st.lists(st.lists(VALUES | st.just(...), min_size=3, max_size=3), min_size=1, max_size=12),
)
def test_what_is_kept_out_is_what_a_second_opinion_keeps_out(
    tmp_path_factory: pytest.TempPathFactory, asked: list[dict[str, Any]], rows: list[list[Any]]
) -> None:
    world = World(tmp_path_factory.mktemp("drawn"))
    asks = {f"p{n}": rule for n, rule in enumerate(asked)}
    contract(world, "Paid", json.dumps({"on_breach": "quarantine", "properties": asks}))
    contract(world, "Warned", json.dumps({"on_breach": "warn", "properties": asks}))
    bodies = [{f"p{n}": value for n, value in enumerate(row) if value is not ...} for row in rows]
    lines = [paid(n, body) for n, body in enumerate(bodies)]
    lines += [paid(100 + n, body, event="Warned") for n, body in enumerate(bodies)]
    wrong = [{name for name, rule in asks.items() if not second_opinion(rule, body.get(name, ...))} for body in bodies]
    done = world.lines(*lines)
    assert sorted(details(world)) == [n for n, names in enumerate(wrong, 1) if names]
    for landed in (True, False):
        counted: dict[str, int] = {}
        for each in done.breaches:
            if each.landed == landed:
                counted[each.property] = counted.get(each.property, 0) + each.events
        assert counted == {name: n for name in asks if (n := sum(name in names for names in wrong))}


def test_names_never_meet_sql(world: World, tmp_path: Path) -> None:
    event = "x'); drop table stage; --"
    contract(
        world,
        event,
        "on_breach: quarantine\nproperties:\n"
        '  "y\') or true --": {type: string, enum: ["\'; drop table rules"], pattern: "\'+.*"}\n',
    )
    good, bad = {"y') or true --": "'; drop table rules"}, {"y') or true --": "no"}
    done = land(
        world.settings,
        [world.file("in.jsonl", paid(1, good, event=event), paid(2, bad, event=event))],
        "app",
        as_of=AS_OF,
    )
    assert (done.landed, done.quarantined) == (1, 1)
