"""Who is in which segment, and who moved since the parent plan?

One row per person with a bit per segment, 64 segments to a word (`w0`, `w1`, …). A segment's bit is kept in plan.json
and never given to another. Segments that failed to build or that a guard parked keep the parent's bits.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

import duckdb

from tailrace import engine
from tailrace.engine import literal, statement

WORD = 64

LARGEST_ID = (1 << 60) - 1
"""The largest person_id there can be (see `ids.person_id`)."""

SLICE = 2_500_000
MOST_SLICES = 64
"""How many memberships are grouped together, and into how many slices at most."""


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
    """Make the tables `parent` and `current` (person_id, a word per 64 segments) and `moved` (people who differ).

    `parent` is SQL that reads the parent plan's memberships; words it lacks are 0. Bits without a relation take the
    parent's value.
    """
    words = range(_words(bits))
    _read_parent(connection, parent, len(words))
    arms = [
        "select person_id, "
        + ", ".join(f"{bit.mask if bit.word == word else 0}::ubigint as w{word}" for word in words)
        + f" from {bit.relation} where person_id between $low and $high"
        for bit in bits
        if bit.relation is not None
    ]
    arms.append(_kept(bits, len(words)))
    rows = "\n    union all\n    ".join(arms)
    sums = ", ".join(f"bit_or(w{word}) as w{word}" for word in words)
    columns = ", ".join(f"w{word} ubigint" for word in words)
    connection.execute(f"create or replace temp table current (person_id bigint, {columns})")
    for low, high in _slices(connection, bits):
        connection.execute(
            f"insert into current select person_id, {sums} from (\n    {rows}\n) group by person_id",
            {"low": low, "high": high},
        )
    _compare(connection, len(words))


def _slices(connection: duckdb.DuckDBPyConnection, bits: Collection[Bit]) -> list[tuple[int, int]]:
    """Return ranges of person_id (inclusive) that cover all of them, each small enough to group within the caches.

    Ids are hashes, so equal ranges hold equally many people. Grouping slice by slice takes half of the time and a
    third of the memory of grouping all at once; tables that are ordered by person_id are read once, not once a slice.
    """
    relations = [bit.relation for bit in bits if bit.relation is not None]
    if not relations:
        return [(-LARGEST_ID, LARGEST_ID)]
    counts = " union all ".join(f"select count(*) as n from {relation}" for relation in relations)
    members = engine.row(connection, f"select sum(n) from ({counts})")[0]
    parts = max(1, min(MOST_SLICES, int(members) // SLICE))
    edges = [LARGEST_ID * part // parts for part in range(parts)]
    return [
        (-LARGEST_ID if low == 0 else low + 1, high) for low, high in zip(edges, [*edges[1:], LARGEST_ID], strict=True)
    ]


def keep(connection: duckdb.DuckDBPyConnection, bits: Collection[Bit]) -> None:
    """Give `bits` the parent's value in `current` again and compare anew: what a guard does to what it parks."""
    words = _words_of(connection)
    masks = [_mask(bits, word) for word in range(words)]
    columns = ", ".join(
        f"(coalesce(current.w{word}, 0) & ~{mask}::ubigint)"
        f" | (coalesce(parent.w{word}, 0) & {mask}::ubigint) as w{word}"
        for word, mask in enumerate(masks)
    )
    connection.execute(
        "create or replace temp table current as select coalesce(current.person_id, parent.person_id) as person_id,"
        f" {columns} from current full outer join parent on parent.person_id = current.person_id"
    )
    _compare(connection, words)


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


def changes(bits: Collection[Bit]) -> str:
    """Return SQL for the plan's `changes`: one row per segment and person that moved, in a total order."""
    if not bits:
        return "select ''::varchar as segment, 0::bigint as person_id, '' as change, '' as cause limit 0"
    arms = [
        f"select {literal(bit.segment)} as segment, person_id,"
        f" case when (after_{bit.word} & {bit.mask}::ubigint) <> 0 then 'entered' else 'left' end as change,"
        f" {literal(bit.cause)} as cause from moved"
        f" where (xor(after_{bit.word}, before_{bit.word}) & {bit.mask}::ubigint) <> 0"
        for bit in bits
    ]
    return "\nunion all\n".join(arms) + "\norder by segment, person_id"


def memberships(connection: duckdb.DuckDBPyConnection) -> str:
    """Return SQL for the plan's `memberships`: people who are in something, ordered by person_id."""
    words = range(_words_of(connection))
    columns = ", ".join(f"w{word}" for word in words)
    somewhere = " or ".join(f"w{word} <> 0" for word in words)
    return f"select person_id, {columns} from current where {somewhere} order by person_id"


def _words(bits: Collection[Bit]) -> int:
    return max((bit.word for bit in bits), default=0) + 1


def _words_of(connection: duckdb.DuckDBPyConnection) -> int:
    return len(connection.execute("select * from current limit 0").description) - 1


def _mask(bits: Collection[Bit], word: int) -> int:
    return sum(bit.mask for bit in bits if bit.word == word)


def _read_parent(connection: duckdb.DuckDBPyConnection, parent: str, words: int) -> None:
    held = {column[0] for column in connection.execute(f"select * from {parent} limit 0").description}
    columns = ", ".join(
        f"w{word}" if f"w{word}" in held else f"0::ubigint as w{word}" for word in range(max(words, len(held) - 1))
    )
    connection.execute(f"create or replace temp table parent as select person_id, {columns} from {parent}")


def _kept(bits: Collection[Bit], words: int) -> str:
    masks = [_mask([bit for bit in bits if bit.relation is None], word) for word in range(words)]
    columns = ", ".join(f"w{word} & {mask}::ubigint as w{word}" for word, mask in enumerate(masks))
    some = " or ".join(f"(w{word} & {mask}::ubigint) <> 0" for word, mask in enumerate(masks))
    return f"select person_id, {columns} from parent where person_id between $low and $high and ({some})"


def _compare(connection: duckdb.DuckDBPyConnection, words: int) -> None:
    columns = ",\n    ".join(
        f"coalesce(parent.w{word}, 0) as before_{word},\n    coalesce(current.w{word}, 0) as after_{word}"
        for word in range(words)
    )
    differs = " or ".join(f"coalesce(current.w{word}, 0) <> coalesce(parent.w{word}, 0)" for word in range(words))
    query = statement("tailrace.planning", "memberships").format(words=columns, differs=differs)
    connection.execute(f"create or replace temp table moved as\n{query}")
