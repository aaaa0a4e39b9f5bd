from __future__ import annotations

import pytest

from tailrace.landing import chunks, exact, stage
from tailrace.landing.learned import Learned, some_lines
from tests.landing.conftest import World, call, compact

JUDGE = exact.judge


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The lines that the exact judge was asked about, from files that are read in portions of some kilobytes."""
    lines: list[bytes] = []

    def noting(raw: bytes, **keys: bool) -> exact.Verdict:
        lines.append(raw)
        return JUDGE(raw, **keys)

    monkeypatch.setattr(exact, "judge", noting)
    monkeypatch.setattr(chunks, "CHUNK", 1 << 12)
    monkeypatch.setattr(stage, "_PORTION", 1 << 14)
    return lines


@pytest.mark.torture
def test_what_begins_where_the_first_lines_end_is_learned_on_the_way(world: World, judged: list[bytes]) -> None:
    people = [
        compact(call(messageId=f"i{n}", type="identify", event=..., traits={"email": f"{n}"})) for n in range(300)
    ]
    payments = [compact(call(messageId=f"t{n}", properties={"o": {"n": n}, "p": [{"q": n}]})) for n in range(3000)]
    twice = compact(call(messageId="twice", properties={"o": {"n": 1, "n_": 1}})).replace(b'"n_"', b'"n"')
    done = world.lines(*people, *payments, twice)
    assert (done.landed, done.reasons) == (3300, {"duplicate_key": 1})
    assert len(judged) == 1


def test_what_is_learned_counts_for_lines_that_were_read_before_it_too(world: World, judged: list[bytes]) -> None:
    flat = [compact(call(messageId=f"f{n}", properties={"a": n})) for n in range(40)]
    deep = [compact(call(messageId=f"d{n}", properties={"o": {"n": n}})) + b" " for n in range(40)]
    twice = deep[0].replace(b'"n":0', b'"n":0,"n":1')
    done = world.lines(*flat, *deep, twice)
    assert (done.landed, done.reasons) == (80, {"duplicate_key": 1})
    assert len(judged) == 1


@pytest.mark.parametrize("form", ["segment", "jsonl", "customerio_track"])
def test_a_line_that_says_a_key_twice_is_found_among_many_of_a_shape_that_was_learned_late(
    world: World, judged: list[bytes], form: str
) -> None:
    mapping = "mapping: {type: track, event: event, user_id: userId, timestamp: timestamp, properties: all}\n"
    world.contract("app", f"format: {form}\n" + (mapping if form == "jsonl" else ""))

    def line(number: int, told: dict[str, object]) -> bytes:
        if form == "customerio_track":
            who = {"id": f"u{number}"}
            return compact(
                {
                    "type": "person",
                    "action": "event",
                    "identifiers": who,
                    "name": "paid",
                    "attributes": told,
                    "timestamp": 1790000000,
                }
            )
        return compact(call(messageId=f"m{number}", properties=told))

    flat = [line(n, {"a": n}) for n in range(100)]
    deep = [line(n, {"o": {"n": n, "m": 1}, "p": {"q": 2}}) for n in range(100, 400)]
    twice = line(400, {"o": {"n": 400, "m": 1}, "p": {"q": 2}}).replace(b'"m":1', b'"n":1')
    done = world.lines(*flat, *deep, twice, b"[1]")
    assert (done.landed, done.reasons) == (400, {"duplicate_key": 1, "not_an_object": 1})
    assert len(judged) == 2


def test_a_file_in_which_no_line_is_ordinary_is_learned_from_once_more_and_then_no_more() -> None:
    learned = Learned()
    learned.learn([])
    told = [learned.has_strangers(share) for share in (0.0, 0.04, 1.0)]
    assert told == [False, False, True]
    learned.learn([])
    assert [learned.has_strangers(share) for share in (1.0, 1.0, 0.97, 1.0)] == [False] * 4


def test_strangers_are_learned_from_again_when_there_are_more_of_them_than_have_stayed() -> None:
    learned = Learned()
    learned.learn([])
    learned.learn([])
    assert [learned.has_strangers(share) for share in (0.3, 0.1, 0.14, 0.16)] == [False, False, False, True]


@pytest.mark.parametrize(
    ("body", "count", "lines"),
    [
        (b"a", 5, ["a"]),
        (b"a\nb", 5, ["a", "b"]),
        (b"one\ntwo\nthree\nfour", 2, ["one", "four"]),
        (b"\n".join([b"x" * 50_000] * 3), 3, ["x" * 50_000]),
        (b"x" * 70_000, 3, []),
    ],
)
def test_some_lines_are_whole_ones_from_all_over_and_not_too_long(body: bytes, count: int, lines: list[str]) -> None:
    assert list(some_lines(body, count)) == lines
