"""Lines with escapes: DuckDB writes them otherwise, and yet an ordinary one needs no second look."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace import engine
from tailrace.landing import exact
from tests.examples import examples
from tests.landing.conftest import World, call, compact

LONG = "1.1000000000000000055"


@pytest.fixture(scope="module")
def connection() -> Any:
    connection = duckdb.connect()
    connection.execute("create macro local_moment(x) as x")
    connection.execute(engine.statement("tailrace.landing", "macros"))
    yield connection
    connection.close()


def escaped(n: int, **more: Any) -> bytes:
    """Return an ordinary line whose texts are written in ASCII."""
    body = {"title": "東京 5, 6: 7 [8", "at": Random(n).random() * 100, "of": [{"x": {"y": n}} for _ in range(6)]}
    return json.dumps(call(messageId=f"m{n}", properties=body, **more), separators=(",", ":")).encode()


def test_ordinary_lines_with_escapes_and_long_fractions_never_reach_python(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged: list[bytes] = []
    judge = exact.judge

    def noted(raw: bytes, **more: Any) -> exact.Verdict:
        judged.append(raw)
        return judge(raw, **more)

    monkeypatch.setattr(exact, "judge", noted)
    lines = [escaped(n, context={"a": {"b": {"c": {"d": {}}}}}, integrations={"All": True}) for n in range(400)]
    assert world.lines(*lines).landed == 400
    assert judged == []
    (kept,) = world.events("properties")[7]
    assert json.loads(kept)["title"] == "東京 5, 6: 7 [8"


@pytest.mark.parametrize(
    "body",
    [
        f'{{"a":"\\u003a{LONG}","b":{LONG}}}',
        f'{{"b":{LONG},"a":"\\u003a{LONG}"}}',
        f'{{"b":{LONG},"a":"\\u003a1.1"}}',
        f'{{"a":":1.1\\u0030","b":{LONG}}}',
        f'{{"a":" {LONG}","b":[1, {LONG}],"c":"\\u0020{LONG}"}}',
        f'{{"a\\u003a{LONG}":1.1,"b":{LONG}}}',
    ],
)
def test_texts_that_look_like_numbers_do_not_hide_one_that_would_change(world: World, body: str) -> None:
    some = [escaped(n) for n in range(3)]
    bad = compact(call(messageId="bad"))[:-1] + f',"properties":{body}}}'.encode()
    assert world.lines(*some, bad).reasons == {"number_not_exact": 1}


@pytest.mark.parametrize(
    ("line", "written", "expected"),
    [
        ('{"a":"\\u6771\\ud83d\\ude00\\u00E9","b":1.1}', '{"a":"東😀é","b":1.1}', True),
        ('{"a":"\\u6771","b":1.10}', '{"a":"東","b":1.1}', False),
        ('{"a":"\\u6771", "b":1.1}', '{"a":"東","b":1.1}', False),
        ('{"a":"\\u6771","b":[1,]}', '{"a":"東","b":[1]}', False),
        ('{"a":"\\u0031\\u6771","b":1}', '{"a":"1東","b":1}', False),
        ('{"a":"\\\\u6771","b":1}', '{"a":"\\\\u6771","b":1}', False),
        ('{"a":"x","b":1}', '{"a":"x","b":1}', False),
    ],
)
def test_only_characters_beyond_ascii_may_be_escaped_to_be_known_at_a_glance(
    connection: Any, line: str, written: str, expected: bool
) -> None:
    asked = "select is_only_escaped(l, json(l)::varchar), json(l)::varchar from (select ?::varchar as l)"
    assert connection.execute(asked, [line]).fetchone() == (expected, written)


PIECE = st.sampled_from(
    [":", ",", "[", " ", "1", "1.1", "-", "e5", "\\u003a", "\\u002c", "\\u0020", "\\u0031", "\\n", "\\\\", '\\"', "\\/",
     "0.30000000000000004", LONG, "x", "é", "\\u00e9"]
)  # fmt: skip
NUMBER = st.sampled_from(
    ["1", "1.1", "1.10", LONG, "0.30000000000000004", "0.3000000000000000444", "-0", "-0.0", "1e5", "1E-7", "1e400",
     "12345678901234567890123", "1234567890123456.5", "12345678901234567.5", "24.066300012702502", "5e-324",
     "0.1000000000000000055e1"]
)  # fmt: skip
TEXT = st.lists(PIECE, max_size=5).map(lambda pieces: '"' + "".join(pieces) + '"')
SPACE = st.sampled_from(["", "", " ", "\t"])
VALUE = st.recursive(
    TEXT | NUMBER,
    lambda inner: st.lists(st.tuples(SPACE, inner).map("".join), max_size=4).map(",".join).map("[{}]".format),
)


@pytest.mark.torture
@settings(max_examples=examples(400))
@given(values=st.lists(st.tuples(SPACE, VALUE, SPACE).map("".join), min_size=1, max_size=5))
def test_a_line_that_the_screen_lets_pass_has_no_number_that_would_change(connection: Any, values: list[str]) -> None:
    line = "{" + ",".join(f'"k{n}":{value}' for n, value in enumerate(values)) + "}"
    (is_changed,) = connection.execute(
        "select maybe_changed(l, json(l)::varchar) from (select ?::varchar as l)", [line]
    ).fetchone()
    if exact.judge(line.encode()).reason is not None:
        assert is_changed, line
