"""Objects that a column holds: as JSON, as typed fields or as text, looked into by `path`, taken whole as a body."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest

from tailrace import engine
from tailrace.errors import DataError, DefinitionError
from tailrace.landing.contract import load_contract
from tailrace.landing.quarantine import list_quarantine
from tailrace.landing.retry import retry
from tests.landing import postgres
from tests.landing.conftest import AS_OF, World, compact

MAPPING = """
mapping:
  type: track
  event: {path: [payload, name]}
  user_id: {path: [payload, user, id]}
  timestamp: {path: [payload, at]}
  properties: {path: [payload, props]}
"""
PAYLOAD = {
    "name": "paid",
    "user": {"id": "7"},
    "at": "2026-10-01T08:00:00Z",
    "props": {"amount": 1.5, "kind": "card", "lines": [1, 2]},
}
EVENT = ("track", "paid", "7", "2026-10-01 08:00:00", '{"amount":1.5,"kind":"card","lines":[1,2]}')
COLUMNS = "type, event, user_id, event_at::varchar, properties"


def as_csv(world: World, *payloads: str) -> Path:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([["n", "payload"], *([n, p] for n, p in enumerate(payloads))])
    return world.file("in.csv", text.getvalue().encode())


def as_objects(world: World, *payloads: str) -> Path:
    return world.file("in.jsonl", *(f'{{"n":{n},"payload":{p}}}'.encode() for n, p in enumerate(payloads)))


def as_texts(world: World, *payloads: str) -> Path:
    return world.file("in.jsonl", *(compact({"n": n, "payload": p}) for n, p in enumerate(payloads)))


def as_parquet(world: World, select: str) -> Path:
    path = world.folder / "in.parquet"
    with duckdb.connect() as connection:
        connection.execute(f"copy ({select}) to '{path}' (format parquet)")
    return path


def as_text_column(world: World, *payloads: str) -> Path:
    rows = (f"select {n} as n, {engine.literal(payload)} as payload" for n, payload in enumerate(payloads))
    return as_parquet(world, " union all ".join(rows))


STRUCT = {
    "name": "VARCHAR",
    "user": {"id": "BIGINT"},
    "at": "TIMESTAMP",
    "props": {"amount": "DOUBLE", "kind": "VARCHAR", "lines": ["INTEGER"], "never": "VARCHAR"},
}


def as_struct(world: World, *payloads: str) -> Path:
    rows = (f"select {n} as n, from_json('{p}', '{json.dumps(STRUCT)}') as payload" for n, p in enumerate(payloads))
    return as_parquet(world, " union all ".join(rows))


def as_json_column(world: World, *payloads: str) -> Path:
    rows = (f"select {n} as n, {engine.literal(payload)}::json as payload" for n, payload in enumerate(payloads))
    return as_parquet(world, " union all ".join(rows))


WRITERS = {
    "csv": (as_csv, "csv"),
    "objects": (as_objects, "jsonl"),
    "texts": (as_texts, "jsonl"),
    "text column": (as_text_column, "parquet"),
    "json column": (as_json_column, "parquet"),
    "struct": (as_struct, "parquet"),
}
Writer = tuple[Callable[..., Path], str]


@pytest.fixture(params=WRITERS.values(), ids=WRITERS.keys())
def writer(request: pytest.FixtureRequest) -> Writer:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(params=[WRITERS[name] for name in ("csv", "texts", "text column")], ids=["csv", "texts", "text column"])
def text_writer(request: pytest.FixtureRequest) -> Writer:
    return request.param  # type: ignore[no-any-return]


def test_a_call_is_the_same_whatever_holds_its_object(world: World, writer: Writer) -> None:
    write, form = writer
    world.contract("vendor", f"format: {form}{MAPPING}")
    done = world.land(write(world, json.dumps(PAYLOAD, separators=(",", ":"))), source="vendor")
    assert (done.landed, done.reasons) == (1, {})
    assert world.events(COLUMNS) == [EVENT]


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ('{"name":"paid","name":"paid"', "cut_short"),
        ('{"name":"paid","user":{"id":"7","id":"8"}}', "duplicate_key"),
        ('{"name":"paid","name":"won","at":"2026-10-01"}', "duplicate_key"),
        ('{"name":"paid","user":{"id":"7"},"amount":NaN}', "not_a_number"),
        ('{"name":"paid","amount":0.12345678901234567890}', "number_not_exact"),
        ('{"name":"a\\u0000b"}', "nul_character"),
        ('{"name":"a\\ud800b"}', "lone_surrogate"),
        ('{"name":"paid",}', "not_json"),
        ("{'name':'paid'}", "not_json"),
        ('{"name":"paid"} {}', "several_values"),
        ("[1]", "body_not_an_object"),
        ('"paid"', "body_not_an_object"),
        ("17", "body_not_an_object"),
        ("paid", "not_json"),
        ('{"name":"paid","user":{"id":1.50},"at":"2026-10-01"}', "id_not_exact"),
        ('{"name":"paid","user":{"id":true},"at":"2026-10-01"}', "id_not_text"),
        ('{"name":"paid","user":{"id":["7"]},"at":"2026-10-01"}', "id_not_text"),
        ('{"name":"paid","user":"7","at":"2026-10-01"}', "id_missing"),
        ('{"name":"paid","user":{"id":"7"},"at":"soon"}', "time_invalid"),
        ('{"name":"paid","user":{"id":"7"},"at":"2026-10-01","props":[1]}', "body_not_an_object"),
        ('{"name":"paid","user":{"id":"7"},"at":"2026-10-01","props":"x"}', "not_json"),
        ("null", "type_missing"),
        ("", "type_missing"),
    ],
)
def test_a_text_that_is_no_exact_object_is_quarantined_and_its_neighbours_land(
    world: World, text_writer: Writer, payload: str, reason: str
) -> None:
    write, form = text_writer
    world.contract("vendor", f"format: {form}{MAPPING.replace('type: track', 'type: {path: [payload, type]}')}")
    good = json.dumps({**PAYLOAD, "type": "track"})
    payload = payload.replace('{"name', '{"type":"track","name', 1)
    done = world.land(write(world, good, payload, good.replace('"7"', '"8"')), source="vendor")
    assert (done.landed, done.reasons) == (2, {reason: 1})
    assert [user for (user,) in world.events("user_id")] == ["7", "8"]


def test_a_column_of_json_is_judged_as_its_text(world: World) -> None:
    """By its type it is valid JSON, which may have a key twice."""
    world.contract("vendor", f"format: parquet{MAPPING}")
    twice = json.dumps(PAYLOAD).replace('"id"', '"id": "8", "id"')
    done = world.land(as_json_column(world, twice, json.dumps(PAYLOAD)), source="vendor")
    assert (done.landed, done.reasons) == (1, {"duplicate_key": 1})


@pytest.mark.parametrize("held", ["[1]", "17", "true"])
def test_what_is_no_object_is_not_looked_into(world: World, held: str) -> None:
    world.contract("vendor", f"format: jsonl{MAPPING}")
    done = world.land(as_objects(world, held, json.dumps(PAYLOAD)), source="vendor")
    assert (done.landed, done.reasons) == (1, {"body_not_an_object": 1})


def test_a_whole_number_is_an_id_digit_by_digit(world: World, writer: Writer) -> None:
    write, form = writer
    world.contract("vendor", f"format: {form}{MAPPING}")
    world.land(write(world, json.dumps({**PAYLOAD, "user": {"id": 9007199254740993}})), source="vendor")
    assert world.events("user_id") == [("9007199254740993",)]


@pytest.mark.parametrize("key", ["a.b", "a/b", "a~1b", "$insert_id", "0", "mañana", 'a"b', "a'b"])
def test_a_key_is_what_it_says(world: World, text_writer: Writer, key: str) -> None:
    write, form = text_writer
    path = json.dumps(["payload", key])
    world.contract(
        "vendor",
        f"format: {form}\nmapping: {{type: identify, user_id: {{path: {path}}}, timestamp: {{const: 2026-10-01}}}}",
    )
    other = {"a": {"b": "wrong"}, "insert_id": "wrong"}
    world.land(write(world, json.dumps({**other, key: "u1"}, ensure_ascii=False)), source="vendor")
    assert world.events("user_id") == [("u1",)]


def test_all_columns_are_those_that_are_not_used_up(world: World, text_writer: Writer) -> None:
    write, form = text_writer
    world.contract("vendor", f"format: {form}{MAPPING.replace('{path: [payload, props]}', 'all')}")
    world.land(write(world, json.dumps(PAYLOAD, separators=(",", ":"))), source="vendor")
    ((properties,),) = world.events("properties")
    assert set(json.loads(properties)) == {"n", "payload"}


def test_a_line_lands_when_the_path_was_mended(world: World, writer: Writer) -> None:
    write, form = writer
    wrong = MAPPING.replace("[payload, at]", "[payload, name]")
    world.contract("vendor", f"format: {form}{wrong}")
    done = world.land(write(world, json.dumps(PAYLOAD, separators=(",", ":"))), source="vendor")
    assert done.reasons == {"time_invalid": 1}
    world.contract("vendor", f"format: {form}{MAPPING}")
    assert retry(world.settings, as_of=AS_OF).landed == 1
    assert world.events(COLUMNS) == [EVENT]
    assert [each for each in list_quarantine(world.settings) if each.is_open] == []


def test_fields_of_a_struct_are_read_by_their_types(world: World) -> None:
    world.contract(
        "vendor",
        "format: parquet\ntimestamps: {zone: Europe/Berlin}\nmapping: {type: identify, user_id: {path: [who, id]},"
        " anonymous_id: {path: [who, tags, device]}, timestamp: {path: [who, at]}, traits: who}",
    )
    rows = (
        "select {'id': 7::bigint, 'at': timestamptz '2026-10-01 08:00:00+02', 'tags': map {'device': 'd1'},"
        " 'paid': 1.50::decimal(9, 2), 'plan': null::varchar} as who"
    )
    done = world.land(as_parquet(world, rows), source="vendor")
    assert done.reasons == {}
    ((user, device, at, traits),) = world.events("user_id, anonymous_id, event_at::varchar, traits")
    assert (user, device, at) == ("7", "d1", "2026-10-01 06:00:00")
    found = json.loads(traits)
    assert (found["paid"], found["tags"], "plan" in found) == ("1.50", {"device": "d1"}, False)


def test_a_time_without_a_zone_in_a_struct_is_in_the_zone_of_the_contract(world: World) -> None:
    world.contract(
        "vendor",
        "format: parquet\ntimestamps: {zone: Europe/Berlin}\n"
        "mapping: {type: identify, user_id: id, timestamp: {path: [who, at]}}",
    )
    world.land(as_parquet(world, "select 'u1' as id, {'at': timestamp '2026-10-01 08:00:00'} as who"), source="vendor")
    assert world.events("event_at::varchar") == [("2026-10-01 06:00:00",)]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("{'ident': 7}", "column `who` has no field `id`; expected it, as the mapping at"),
        ("{'id': 7.0::double}", "column `who.id` is DOUBLE"),
    ],
)
def test_a_struct_that_cannot_be_read_so_refuses_the_file(world: World, row: str, expected: str) -> None:
    world.contract(
        "vendor",
        "format: parquet\nmapping: {type: identify, user_id: {path: [who, id]}, timestamp: {const: 2026-10-01}}",
    )
    with pytest.raises(DataError, match=re.escape(expected)):
        world.land(as_parquet(world, f"select {row} as who"), source="vendor")
    assert world.events() == []


def test_an_object_of_a_table_can_be_the_properties(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.contract(
        "vendor",
        "format: postgres\nconnection: {url_env: VENDOR_URL}\ntable: events\nkey: id\n"
        "mapping: {type: track, event: name, user_id: {path: [props, who]}, timestamp: at, properties: props}",
    )
    with postgres.serving() as server:
        url = server.database()
        monkeypatch.setenv("VENDOR_URL", url)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("create table events (id int primary key, name text, at timestamptz, props jsonb)")
            connection.execute(
                """insert into events values (1, 'paid', '2026-10-01', '{"who": 7, "n": [1, null]}'),"""
                """ (2, 'paid', '2026-10-01', '[7]'), (3, 'paid', '2026-10-01', null)"""
            )
        done = world.land(source="vendor")
    assert (done.landed, done.reasons) == (1, {"body_not_an_object": 1, "id_missing": 1})
    assert world.events("user_id, properties::json::varchar") == [("7", '{"n":[1,null],"who":7}')]


@pytest.mark.parametrize(
    ("mapping", "expected"),
    [
        ("user_id: {path: [payload]}", "`path` is a list; expected a column and the keys below it"),
        ("user_id: {path: payload.id}", "`path` is `payload.id`; expected a column and the keys below it"),
        ("user_id: {path: [payload, [id]]}", "`key of path` is a list; expected a column and the keys below it"),
        ("user_id: {path: [payload, 7]}", "`key of path` is `7`; expected a column and the keys below it"),
        ("user_id: {path: [a, b], const: x}", "none or several of `const`, `format` and `path`"),
        ("user_id: id, properties: []", "`properties` is an empty list; expected a mapping of names to columns, `all`"),
        ("user_id: id, properties: {}", "`properties` is an empty mapping; expected a mapping of names"),
        ("user_id: id, properties: 7", "`properties` is `7`; expected a mapping of names to columns, `all`"),
    ],
)
def test_a_path_that_cannot_be_is_named(world: World, mapping: str, expected: str) -> None:
    world.contract("vendor", f"format: jsonl\nmapping: {{type: identify, timestamp: at, {mapping}}}")
    with pytest.raises(DefinitionError, match=re.escape(expected)):
        load_contract(world.settings, "vendor")


def test_a_property_may_be_called_path(world: World) -> None:
    world.contract(
        "vendor",
        "format: jsonl\nmapping: {type: track, event: name, user_id: id, timestamp: at, properties: {path: url}}",
    )
    line = {"name": "seen", "id": "u1", "at": "2026-10-01", "url": "/a"}
    world.land(world.file("in.jsonl", compact(line)), source="vendor")
    assert world.events("properties") == [('{"path":"/a"}',)]


def test_a_null_of_a_line_is_said_and_what_it_does_not_name_is_not(world: World) -> None:
    world.contract(
        "vendor",
        "format: jsonl\nmapping: {type: identify, user_id: id, timestamp: {const: 2026-10-01},"
        ' traits: {email: mail, "né": b, deep: {path: [o, x]}, made: {format: "{b}!"}, always: {const: 1.50}}}',
    )
    lines = [
        {"id": "1", "mail": None, "o": {"x": None}},
        {"id": "2", "b": [1, {"c": None}], "o": None},
        {"id": "3", "mail": "a@b.test", "o": {"y": 1}},
    ]
    world.land(world.file("in.jsonl", *map(compact, lines)), source="vendor")
    assert [traits for (traits,) in world.events("traits")] == [
        '{"email":null,"deep":null,"always":1.5}',
        '{"né":[1,{"c":null}],"made":"[1,{\\"c\\":null}]!","always":1.5}',
        '{"email":"a@b.test","always":1.5}',
    ]


EXPORTS: dict[str, tuple[dict[str, Any], tuple[Any, ...]]] = {
    "amplitude": (
        {
            "user_id": "u1",
            "device_id": "d1",
            "event_type": "paid",
            "event_time": "2026-10-01 08:00:00.250000",
            "$insert_id": "i1",
            "event_properties": {"amount": 3},
            "user_properties": {"plan": "pro"},
        },
        ("i1", "paid", "u1", "d1", "2026-10-01 08:00:00.25", '{"amount":3}', '{"plan":"pro"}'),
    ),
    "mixpanel": (
        {"event": "paid", "properties": {"time": 1790841600, "distinct_id": "u1", "$insert_id": "i1", "amount": 3}},
        (
            *("i1", "paid", "u1", None, "2026-10-01 08:00:00"),
            '{"time":1790841600,"distinct_id":"u1","$insert_id":"i1","amount":3}',
            None,
        ),
    ),
}


@pytest.mark.parametrize("vendor", EXPORTS)
def test_exports_of_vendors_land_by_the_mappings_of_the_documentation(world: World, vendor: str) -> None:
    page = (Path(__file__).parents[2] / "docs" / "landing.md").read_text()
    found = re.search(rf"```yaml\n# contracts/sources/{vendor}\.yml\n(.*?)```", page, re.DOTALL)
    assert found is not None
    world.contract(vendor, found[1])
    line, expected = EXPORTS[vendor]
    assert world.land(world.file("in.jsonl", compact(line)), source=vendor).reasons == {}
    columns = "event_id, event, user_id, anonymous_id, event_at::varchar, properties, traits"
    assert world.events(columns) == [expected]
