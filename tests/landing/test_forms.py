from __future__ import annotations

import json
import re
from collections.abc import Callable
from random import Random
from typing import Any

import duckdb
import pytest

from tailrace.landing.forms import fits
from tests.landing import oracle
from tests.landing.conftest import World, call, compact

BODY = {
    "o": {"p": {"n": 1}, "b": 2},
    "b": 3,
    "first_name": "A",
    "last_name": "B",
    "list": [{"x": 1}, {"x": 2}],
    "e": {},
}


def fitting(learned: list[Any], bodies: list[str]) -> list[bool]:
    sql = fits([{"properties": body} for body in learned], "properties")
    connection = duckdb.connect()
    connection.execute("create table t (n integer, properties varchar)")
    connection.executemany("insert into t values (?, ?)", list(enumerate(bodies)))
    found = connection.execute(f"select {sql} from t order by n").fetchall()
    connection.close()
    return [row[0] for row in found]


def written(body: Any) -> str:
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False)


def test_bodies_with_the_keys_and_objects_of_one_seen_before_fit() -> None:
    others = [
        {**BODY, "b": "text, with [some] signs: 'x'", "o": {"p": {"n": None}, "b": True}},
        {**BODY, "b": [1, "two", None], "list": [{"x": "東京"}, {"x": -1.5e300}]},
    ]
    assert fitting([BODY], [written(BODY), *map(written, others)]) == [True] * 3


@pytest.mark.parametrize(
    ("part", "changed"),
    [
        ('"n":1}', '"n":1},"b":{}'),
        ('"n":1},"b":2}', '"n":1}},"b":{}'),
        ('"b":3', '"b":3,"b":4'),
        ('"b":3', '"b":[{"k":1,"k":2}]'),
        ('"b":3', '"b":{"k":1}'),
        ('"b":3', '"b":NaN'),
        ('"b":3', '"b":-Infinity'),
        ('"b":3', '"b":-nAn'),
        ('"b":3', '"b":inf'),
        ('"b":3', '"b":[-iNf]'),
        ('"b":3', '"b":[1,nan]'),
        ('"b":3', '"b":[[1]]'),
        ('"b":3', '"b":[1,[2]]'),
        ('"b":3', '"b":"\\u0000"'),
        ('"b":3', '"b":"\\",\\"b\\":"'),
        ('"last_name"', '"first_name"'),
        ('"first_name"', '"last_name"'),
        ('"first_name":"A","last_name":', '"list":["","firstA"],"xname":"A","last_name":'),
        ('{"x":2}', '{"x":2},{"x":3,"x":4}'),
        ('{"x":2}', '{"x":2,"x":2}'),
        ('"e":{}', '"e":{"b":1,"b":2}'),
        ('"e":{}', '"e":{},"e":{}'),
    ],
)
def test_a_body_with_anything_else_in_it_does_not(part: str, changed: str) -> None:
    body = written(BODY)
    assert part in body
    assert fitting([BODY], [body, body.replace(part, changed, 1)]) == [True, False]


@pytest.mark.parametrize(
    "body",
    [
        *({"a": [1, {"b": 1}]}, {"": 1}, {"a:b": 1}, {",a": 1}, {"_a": 1}, {"a%": 1}, {'a"': 1}),
        {"a": {"x_1": 1}, "b": {"x_1": 2}},
    ],
)
def test_a_body_from_which_nothing_would_follow_teaches_nothing(body: Any) -> None:
    assert fitting([body], [written(body)]) == [False]


class Imitator:
    """Bodies made of the text of another: keys renamed, members put in, braces and values moved. Many of them lie."""

    KEYS = ("a", "b", "k", "a_b", "a_c", ":a")
    VALUES = (
        "1",
        '"t"',
        '"}"',
        '"{"',
        '":"',
        "{}",
        "[]",
        '["a_b","b"]',
        "NaN",
        "-iNf",
        "[nAn]",
        "[[1]]",
        "null",
        '{"b":1}',
    )
    BRACES = ("{", "}", "},", "]", "[", '},"b":{', ",")

    def __init__(self, random: Random, body: str) -> None:
        self.random, self.body = random, body

    def next(self) -> str:
        text = self.body
        for _ in range(self.random.randrange(1, 4)):
            text = self.random.choice((self._renamed, self._longer, self._other, self._moved))(text)
        return text

    def _put(self, text: str, found: str, new: str) -> str:
        places = list(re.finditer(found, text))
        place = self.random.choice(places) if places else None
        return text[: place.start()] + new + text[place.end() :] if place else text

    def _renamed(self, text: str) -> str:
        return self._put(text, '"[a-z_]+":', f'"{self.random.choice(self.KEYS)}":')

    def _longer(self, text: str) -> str:
        return self._put(
            text, '(?<=[{,])(?=")', f'"{self.random.choice(self.KEYS)}":{self.random.choice(self.VALUES)},'
        )

    def _other(self, text: str) -> str:
        return self._put(text, '(?<=:)(1|2|"t"|{})', self.random.choice(self.VALUES))

    def _moved(self, text: str) -> str:
        return self._put(self._put(text, "[{}]", ""), "(?<=[0-9}{,])", self.random.choice(self.BRACES))


def is_json(text: str, read: Callable[[str], Any]) -> bool:
    try:
        read(text)
    except (oracle.Refused, ValueError):
        return False
    return True


@pytest.mark.torture
def test_no_imitation_that_is_json_but_not_strict_fits() -> None:
    learned = {"k": {"a_b": 1, "b": 2}, "b": [{"k": 1}, {"k": 2}], "a_c": "t", "a": {"b": {}}}
    imitator = Imitator(Random(11), written(learned))
    bodies = [text for text in (imitator.next() for _ in range(10_000)) if is_json(text, json.loads)]
    honest = [is_json(text, oracle.parse) for text in bodies]
    found = fitting([learned], bodies)
    assert min(sum(found), honest.count(False)) > 300
    assert [text for text, fit, is_honest in zip(bodies, found, honest, strict=True) if fit and not is_honest] == []


def test_lines_that_imitate_the_first_ones_are_judged(world: World) -> None:
    some = [compact(call(messageId=f"m{n}", properties=BODY)) for n in range(3)]
    moved = compact(call(messageId="moved", properties=BODY)).replace(b'"n":1},"b":2}', b'"n":1}},"b":{}')
    twice = compact(call(messageId="twice", properties=BODY)).replace(b'"last_name"', b'"first_name"')
    done = world.lines(*some, moved, twice)
    assert (done.landed, done.reasons) == (3, {"duplicate_key": 2})
