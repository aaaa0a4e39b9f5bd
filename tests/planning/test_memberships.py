"""The words of bits: what a snapshot holds, and what stays the same whatever the tables look like."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.planning import memberships
from tailrace.planning.memberships import Bit, Cause
from tailrace.planning.store import Store
from tailrace.settings import Settings
from tests.examples import examples

Words = dict[int, tuple[int, ...]]


def bits_of(numbers: Iterable[int], kept: Iterable[int] = ()) -> list[Bit]:
    kept = set(kept)
    return [
        Bit(f"seg_{number:03}", number, Cause.BEHAVIOUR, None if number in kept else f"seg_{number:03}")
        for number in numbers
    ]


def segment(connection: duckdb.DuckDBPyConnection, number: int, members: Iterable[int | None]) -> None:
    connection.execute(f"create or replace table seg_{number:03} (person_id bigint)")
    connection.execute(f"insert into seg_{number:03} select unnest($ids::bigint[])", {"ids": list(members)})


def parent_of(connection: duckdb.DuckDBPyConnection, words: Mapping[int, tuple[int, ...]], width: int) -> str:
    connection.execute(
        "create or replace table parents (person_id bigint"
        + "".join(f", w{word} ubigint" for word in range(width))
        + ")"
    )
    for person, values in words.items():
        connection.execute(f"insert into parents values ({', '.join(map(str, (person, *values)))})")
    return "parents"


def held(connection: duckdb.DuckDBPyConnection) -> list[tuple[int, ...]]:
    return connection.execute(memberships.memberships(connection)).fetchall()


def expected_words(members: Mapping[int, set[int]]) -> Words:
    width = max(members, default=0) // 64 + 1
    people = set().union(*members.values())
    return {
        person: tuple(
            sum(1 << (number % 64) for number, who in members.items() if number // 64 == word and person in who)
            for word in range(width)
        )
        for person in sorted(people)
    }


PEOPLE = st.sets(st.sampled_from([-(1 << 62), -7, 0, 1, 2, 3, 5, 1 << 59, (1 << 60) - 1]))
NUMBERS = [0, 1, 62, 63, 64, 127, 128]
MEMBERS = st.fixed_dictionaries(dict.fromkeys(NUMBERS, PEOPLE))


@settings(max_examples=examples(30))
@given(before=MEMBERS, after=MEMBERS, kept=st.sets(st.sampled_from(NUMBERS)), guarded=st.sets(st.sampled_from(NUMBERS)))
def test_words_and_changes_are_what_set_arithmetic_says(
    before: dict[int, set[int]], after: dict[int, set[int]], kept: set[int], guarded: set[int]
) -> None:
    guarded -= kept
    with duckdb.connect() as connection:
        bits = bits_of(NUMBERS, kept)
        parent = parent_of(connection, expected_words(before), 3)
        for number in NUMBERS:
            # Descending, and one of them twice: a table has no order that could be relied on.
            members = sorted(after[number], reverse=True)
            segment(connection, number, members + members[:1])

        memberships.snapshot(connection, bits, parent)
        memberships.keep(connection, [bit for bit in bits if bit.number in guarded])

        stays = kept | guarded
        now = {number: before[number] if number in stays else after[number] for number in NUMBERS}
        assert held(connection) == [(person, *words) for person, words in expected_words(now).items()]
        assert connection.execute(memberships.changes(bits)).fetchall() == [
            (f"seg_{number:03}", person, "entered" if person in now[number] else "left", "behaviour")
            for number in NUMBERS
            for person in sorted(now[number] ^ before[number])
        ]
        sizes = {f"seg_{number:03}": len(before[number]) for number in NUMBERS}
        assert {
            name: (moved.after, moved.entered, moved.left)
            for name, moved in memberships.moves(connection, bits, sizes).items()
        } == {
            f"seg_{number:03}": (len(now[number]), len(now[number] - before[number]), len(before[number] - now[number]))
            for number in NUMBERS
        }


def test_a_person_id_that_is_null_is_nobody() -> None:
    with duckdb.connect() as connection:
        segment(connection, 0, [2, None, 1])
        memberships.snapshot(connection, bits_of([0]), parent_of(connection, {}, 1))

        assert held(connection) == [(1, 1), (2, 1)]


def test_a_parent_of_fewer_words_had_none_of_the_new_ones() -> None:
    with duckdb.connect() as connection:
        segment(connection, 0, [1])
        segment(connection, 64, [1, 2])
        memberships.snapshot(connection, bits_of([0, 64]), parent_of(connection, {1: (1,)}, 1))

        assert held(connection) == [(1, 1, 1), (2, 0, 1)]
        assert [row[:2] for row in connection.execute(memberships.changes(bits_of([0, 64]))).fetchall()] == [
            ("seg_064", 1),
            ("seg_064", 2),
        ]


def test_no_segments_at_all_leave_nobody() -> None:
    with duckdb.connect() as connection:
        memberships.snapshot(connection, [], parent_of(connection, {1: (1,)}, 1))

        assert held(connection) == []


@pytest.mark.torture
@pytest.mark.parametrize("order", ["person_id", "person_id desc", "hash(person_id)"])
def test_the_objects_are_the_same_bytes_whatever_the_threads_and_the_order_of_rows(tmp_path: Path, order: str) -> None:
    """Several row groups, several of DuckDB's batches, and more strangers than one batch holds."""

    def objects(root: Path, threads: int, order: str) -> tuple[str, str]:
        with duckdb.connect(config={"threads": threads}) as connection:
            connection.execute(
                "create table people as select (hash(i) >> 4)::bigint as person_id, i from range(600000) t(i)"
            )
            for number in range(3):
                connection.execute(
                    f"create table seg_{number:03} as select person_id from people"
                    f" where hash(i * 8 + {number}) % 2 = 0 order by {order}"
                )
            connection.execute(
                "create table parents as select person_id, 1::ubigint as w0 from people where i < 300000"
            )
            bits = bits_of(range(3))
            memberships.snapshot(connection, bits, "parents")
            store = Store(Settings(data_dir=root, project_dir=root))
            return (
                store.put(connection, memberships.memberships(connection)).sha256,
                store.put(connection, memberships.changes(bits)).sha256,
            )

    assert objects(tmp_path / "a", 4, order) == objects(tmp_path / "b", 1, "i")
