"""Who is in which segment, and who moved since the parent plan?

One row per person with a bit per segment, 64 segments to a word (`w0`, `w1`, …). A segment's bit is kept in plan.json
and never given to another. Segments that failed to build or that a guard parked keep the parent's bits.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import duckdb

from tailrace import engine
from tailrace.engine import literal

if TYPE_CHECKING:
    import polars as pl

WORD = 64


class Cause(StrEnum):
    """Why somebody moved. Only `behaviour` triggers a campaign."""

    BEHAVIOUR = "behaviour"
    DEFINITION = "definition"
    HISTORY = "history"
    MERGE = "merge"
    BASELINE = "baseline"


@dataclass(frozen=True)
class Bit:
    """A segment's place in the words; `relation` is where its members stand now, None to keep the parent's bits."""

    segment: str
    number: int
    cause: Cause
    relation: str | None

    @property
    def word(self) -> int:
        """Return the index of the word that holds the bit."""
        return self.number // WORD

    @property
    def mask(self) -> int:
        """Return the bit's value in its word."""
        return 1 << (self.number % WORD)


@dataclass(frozen=True)
class Moves:
    """How one segment moved: its size before and after, and how many entered and left."""

    before: int
    after: int
    entered: int
    left: int


def assign(known: Mapping[str, int], names: Collection[str]) -> dict[str, int]:
    """Return the bit of every known and every new segment; new ones get the lowest numbers never used, by name."""
    following = max(known.values(), default=-1) + 1
    new = sorted(set(names) - set(known))
    return dict(known) | {name: following + offset for offset, name in enumerate(new)}


def snapshot(connection: duckdb.DuckDBPyConnection, bits: Collection[Bit], parent: str) -> None:
    """Make the relations `sides`, `current` and `moved`; a word is named after its number, from 0.

    sides    one row per person who was or is in something, ordered by person_id: person_id, before_<w>, after_<w>
    current  the people of `sides` who are in something, in that order: person_id, w<w>
    moved    the people of `sides` whose words differ

    `parent` is SQL that reads the parent plan's memberships; words it lacks are 0. Bits without a relation take the
    parent's value, and a person_id that is null is nobody.
    """
    words = _words(bits)
    _show(connection, _sides(connection, bits, _read_parent(connection, parent, words), words), words)


def keep(connection: duckdb.DuckDBPyConnection, bits: Collection[Bit]) -> None:
    """Give `bits` the parent's value again, in all three relations: what a guard does to what it parks."""
    words = _words_of(connection)
    columns = ", ".join(
        f"before_{word}, (after_{word} & ~{mask}::ubigint) | (before_{word} & {mask}::ubigint) as after_{word}"
        for word, mask in ((word, _mask(bits, word)) for word in range(words))
    )
    _show(connection, _frame(connection, f"select person_id, {columns} from sides"), words)


def moves(connection: duckdb.DuckDBPyConnection, bits: Collection[Bit], before: Mapping[str, int]) -> dict[str, Moves]:
    """Return, per segment, how `current` differs from `parent`, whose sizes are `before` (0 for a new segment)."""
    if not bits:
        return {}
    ordered = sorted(bits, key=lambda bit: bit.number)
    counts = ", ".join(
        f"count(*) filter (where (after_{bit.word} & ~before_{bit.word} & {bit.mask}::ubigint) <> 0),"
        f" count(*) filter (where (before_{bit.word} & ~after_{bit.word} & {bit.mask}::ubigint) <> 0)"
        for bit in ordered
    )
    row = engine.row(connection, f"select {counts} from moved")
    result = {}
    for place, bit in enumerate(ordered):
        size, entered, left = before.get(bit.segment, 0), row[2 * place], row[2 * place + 1]
        result[bit.segment] = Moves(size, size + entered - left, entered, left)
    return result


def changes(bits: Collection[Bit], *, merged: bool = False, waited: Collection[str] = ()) -> str:
    """Return SQL for the plan's `changes`: one row per segment and person that moved, in a total order.

    With `merged`, people of the table `merged_now` moved by a merge: nobody can tell what they did from what their
    other user ids had done. So did those of `merged_since` in the segments in `waited`, which the parent had parked.
    """
    if not bits:
        return "select ''::varchar as segment, 0::bigint as person_id, '' as change, '' as cause limit 0"
    now = "merged_now" if merged else None
    arms = [
        f"select {literal(bit.segment)} as segment, person_id,"
        f" case when (after_{bit.word} & {bit.mask}::ubigint) <> 0 then 'entered' else 'left' end as change,"
        f" {_cause(bit, 'merged_since' if bit.segment in waited else now)} as cause from moved"
        f" where (xor(after_{bit.word}, before_{bit.word}) & {bit.mask}::ubigint) <> 0"
        for bit in sorted(bits, key=lambda bit: bit.segment)
    ]
    return "\nunion all\n".join(arms)


def _cause(bit: Bit, merged: str | None) -> str:
    cause = literal(bit.cause)
    if merged is None or bit.cause is not Cause.BEHAVIOUR:
        return cause
    return f"case when person_id in (select person_id from {merged}) then {literal(Cause.MERGE)} else {cause} end"


def memberships(connection: duckdb.DuckDBPyConnection) -> str:
    """Return SQL for the plan's `memberships`: people who are in something, ordered by person_id.

    `sides` is in that order, and DuckDB hands the rows of a scan on in theirs: to sort them again costs as much as to
    store them.
    """
    words = ", ".join(f"w{word}" for word in range(_words_of(connection)))
    return f"select person_id, {words} from current"


def _sides(
    connection: duckdb.DuckDBPyConnection, bits: Collection[Bit], parent: pl.DataFrame, words: int
) -> pl.DataFrame:
    """Return `sides`: the people whom the parent holds, and the strangers who are in something now.

    Nearly everybody is in the parent, in order of person_id: merging a segment's members with it takes a fraction of
    the time in which a hash table groups the rows of all segments. Only strangers are brought together first.
    """
    import polars as pl  # noqa: PLC0415 (a tenth of a second to import, and most commands need none of it)

    threads = int(engine.row(connection, "select current_setting('threads')")[0])
    built = [bit for bit in bits if bit.relation is not None]
    kept = [bit for bit in bits if bit.relation is None]

    def members(bit: Bit) -> pl.Series:
        with connection.cursor() as cursor:
            query = f"select person_id::bigint as person_id from {bit.relation} where person_id is not null"
            return _frame(cursor, query)["person_id"].sort()

    held, strangers = _held(parent["person_id"], built, members, threads)
    new = pl.concat([parent["person_id"].clear(), *strangers.values()]).sort().unique(maintain_order=True)
    held_new, _ = _held(new, built, strangers.__getitem__, threads)

    before = [pl.col(f"w{word}").fill_null(0).alias(f"before_{word}") for word in range(words)]
    after = [
        pl.sum_horizontal(
            pl.col(f"w{word}").fill_null(0) & pl.lit(_mask(kept, word), dtype=pl.UInt64),
            *(
                pl.when(bit.segment).then(pl.lit(bit.mask, dtype=pl.UInt64)).otherwise(pl.lit(0, dtype=pl.UInt64))
                for bit in built
                if bit.word == word
            ),
        ).alias(f"after_{word}")
        for word in range(words)
    ]
    people = pl.concat([parent.with_columns(held), pl.DataFrame([new, *held_new])], how="diagonal")
    # The streaming engine keeps the order of rows, and holds the terms of the sum for a few thousand rows at a time.
    return people.lazy().select("person_id", *before, *after).collect(engine="streaming").sort("person_id")


def _held(
    people: pl.Series, bits: Collection[Bit], members: Callable[[Bit], pl.Series], threads: int
) -> tuple[list[pl.Series], dict[Bit, pl.Series]]:
    """Return per bit, named by its segment, who of `people` has it, and per bit the members whom `people` lacks.

    `people` and each segment's members are in ascending order. At most `threads` segments are worked on at a time.
    """
    import polars as pl  # noqa: PLC0415 (as above)

    places = pl.DataFrame([people]).with_row_index("place").set_sorted("person_id")

    def mark(bit: Bit) -> tuple[pl.Series, pl.Series]:
        ids = members(bit)
        place = ids.to_frame().join_asof(places, on="person_id", tolerance=0)["place"]
        nobody = pl.repeat(False, len(people), dtype=pl.Boolean, eager=True).alias(bit.segment)
        return nobody.scatter(place.drop_nulls(), True), ids.filter(place.is_null())

    with ThreadPoolExecutor(threads) as pool:
        marked = list(pool.map(mark, bits))
    return [held for held, _ in marked], {bit: strangers for bit, (_, strangers) in zip(bits, marked, strict=True)}


def _words(bits: Collection[Bit]) -> int:
    return max((bit.word for bit in bits), default=0) + 1


def _words_of(connection: duckdb.DuckDBPyConnection) -> int:
    return len(engine.columns(connection, "current")) - 1


def _mask(bits: Collection[Bit], word: int) -> int:
    return sum(bit.mask for bit in bits if bit.word == word)


def _read_parent(connection: duckdb.DuckDBPyConnection, parent: str, words: int) -> pl.DataFrame:
    held = set(engine.columns(connection, parent))
    columns = ", ".join(f"w{word}" if f"w{word}" in held else f"0::ubigint as w{word}" for word in range(words))
    return _frame(connection, f"select person_id, {columns} from {parent}").sort("person_id")


def _show(connection: duckdb.DuckDBPyConnection, sides: pl.DataFrame, words: int) -> None:
    differs = sides["person_id"].is_null()
    for word in range(words):
        differs |= sides[f"after_{word}"] != sides[f"before_{word}"]
    connection.register("sides", sides.to_arrow())
    columns = ", ".join(f"after_{word} as w{word}" for word in range(words))
    somewhere = " or ".join(f"after_{word} <> 0" for word in range(words))
    connection.execute(
        f"create or replace temp view current as select person_id, {columns} from sides where {somewhere}"
    )
    connection.register("differing", sides.filter(differs).to_arrow())
    connection.execute("create or replace temp table moved as select * from differing")
    connection.unregister("differing")


def _frame(connection: duckdb.DuckDBPyConnection, query: str) -> pl.DataFrame:
    """Return what the query finds; DuckDB 2.0 has no way of its own to polars."""
    import polars as pl  # noqa: PLC0415 (as above)

    return pl.DataFrame(connection.sql(query).to_arrow_table())
