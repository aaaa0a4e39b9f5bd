from __future__ import annotations

import json
from typing import Any

import duckdb
import pytest

from tailrace.landing.learned import BODIES, SPEC, TEXT_KEYS
from tailrace.landing.verbatim import is_verbatim
from tests.landing.conftest import World, call, compact

BODY = {"a": {"b": [1, {"c": None}]}, "é": "東京", "n": 0.1}
GOOD = call(properties=BODY, context={"ip": "::1"}, sentAt="2026-10-01T08:00:01Z")


def known(lines: list[bytes], learned: list[dict[str, Any]]) -> list[bool]:
    sql = is_verbatim(learned, TEXT_KEYS, BODIES)
    connection = duckdb.connect()
    connection.execute("create table t (n integer, l varchar)")
    connection.executemany("insert into t values (?, ?)", [(n, line.decode()) for n, line in enumerate(lines)])
    read = f"select n, l, try(from_json(l, {SPEC['spec']})) as s from t"
    found = connection.execute(f"select s is not null and {sql} from ({read}) order by n").fetchall()
    connection.close()
    return [row[0] for row in found]


def test_ordinary_lines_whose_keys_come_and_go_are_known() -> None:
    rows = [
        GOOD,
        call(type="identify", event=..., traits={"email": "x"}),
        call(anonymousId=None),
        call(anonymousId="a"),
        dict(reversed(GOOD.items())),
    ]
    assert known([compact(row) for row in rows[:2]], rows[:2]) == [True] * 2
    assert known([compact(rows[2]), compact(rows[3])], rows[2:4]) == [True] * 2
    assert known([compact(rows[0]), compact(rows[4])], [rows[0], rows[4]]) == [True] * 2


@pytest.mark.parametrize(
    ("part", "changed"),
    [
        (b'"n":0.1', b'"n":0.10'),
        (b'"n":0.1', b'"n":0.1000000000000000055'),
        (b'"n":0.1', b'"n":12345678901234567.5'),
        (b'"n":0.1', b'"n":1e3'),
        (b'"n":0.1', b'"n":0.1,'),
        (b'"n":0.1', b'"n": 0.1'),
        (b'"u1"', b"1"),
        (b'"u1"', b"true"),
        (b'"u1"', b"null"),
        (b'"u1"', b'"\\u00751"'),
        (b'"u1"', b'"u\\u00001"'),
        (b'"u1"', b'"u1","userId":"u1"'),
        (b'"u1"', b'"u1","other":1'),
        (b'"u1"', b'"u1","UserId":"u1"'),
        (b'"ip":"::1"}', b'"ip":"::1"},"context":{"ip":"::1"}'),
        (b'"sentAt"', b'"sent\\u0041t"'),
        (b"{", b" {"),
        (b"Z\"}", b"Z\",}"),
    ],
)  # fmt: skip
def test_a_line_that_says_anything_in_another_way_is_not(part: bytes, changed: bytes) -> None:
    line = compact(GOOD)
    other = line.replace(part, changed, 1)
    assert other != line
    assert known([line, other], [GOOD]) == [True, False]


@pytest.mark.parametrize(
    ("body", "reasons"),
    [
        (b'{"a":{"b":1,"b":1}}', {"duplicate_key": 1}),
        (b'{"a":[{"b":1},{"b":1,"b":2}]}', {"duplicate_key": 1}),
        (b'{"a":nAn}', {"not_json": 1}),
        (b'{"a":NaN}', {"not_a_number": 1}),
        (b'{"a":[1,-inf]}', {"not_json": 1}),
        (b'{"a":[1,-Infinity]}', {"not_a_number": 1}),
        (b'{"a":"\\u0000"}', {"nul_character": 1}),
        (b'{"a":' + b'{"a":' * 70 + b"1" + b"}" * 71, {"too_deep": 1}),
        (b'{"a":' + b"[" * 70 + b"]" * 70 + b"}", {"too_deep": 1}),
        (b"[1]", {"body_not_an_object": 1}),
    ],
)
@pytest.mark.parametrize("where", BODIES)
def test_a_body_that_stands_there_word_for_word_is_still_looked_through(
    world: World, where: str, body: bytes, reasons: dict[str, int]
) -> None:
    some = [compact(call(messageId=f"m{n}", **{where: {"a": {"b": n}}})) for n in range(3)]
    bad = compact(call(messageId="bad"))[:-1] + f',"{where}":'.encode() + body + b"}"
    assert world.lines(*some, bad).reasons == reasons


@pytest.mark.parametrize("where", BODIES)
def test_one_object_more_than_the_shape_of_a_body_has_is_still_looked_through(world: World, where: str) -> None:
    eight = [{"b": n} for n in range(8)]
    some = [compact(call(messageId=f"m{n}", **{where: {"a": eight}})) for n in range(3)]
    bad = compact(call(messageId="bad", **{where: {"a": [*eight, {"b": 8, "c": 9}]}})).replace(b'"c"', b'"b"')
    assert world.lines(*some, bad).reasons == {"duplicate_key": 1}


def test_texts_that_end_like_an_object_begins_are_no_objects_and_land(world: World) -> None:
    some = [compact(call(messageId=f"m{n}", userId=userid)) for n, userid in enumerate(["u", "u{", "{", '{"', "u"])]
    assert world.lines(*some).landed == len(some)


def test_a_row_without_keys_or_with_other_keys_teaches_nothing() -> None:
    assert is_verbatim([{}, {"other": 1}], TEXT_KEYS, BODIES) == "false"
    assert is_verbatim([json.loads('{"type":null}')], TEXT_KEYS, BODIES) == "false"
