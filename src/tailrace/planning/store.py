"""Where do plans live? A content-addressed store, like git: plan.json, objects named by their hash, and HEAD.

plans/<plan_id>/plan.json        one plan; its id is the hash of this file's content
plans/objects/<sha256>.parquet   one relation's rows; a relation that did not change costs nothing
plans/HEAD                       the id of the plan applied last
plans/collected.json             which plans are gone, or bare of what was personal in them, by `tailrace gc`
plans/erased.json                which objects are read in place of those that had rows of people who were erased
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tailrace import clock, crash, durable
from tailrace.engine import literal
from tailrace.errors import DataError, StalePlan
from tailrace.planning import collected, erased, relations
from tailrace.planning.collected import Collected
from tailrace.planning.erased import Correction, Erased
from tailrace.planning.inputs import Inputs, parse_inputs
from tailrace.settings import Settings

ROW_GROUP = 131_072

COMPACT_AT = 4
"""Pieces over a base are merged with it when they hold more than one part in so many of its rows."""


@dataclass(frozen=True)
class Piece:
    """One object of a relation: the hash of its bytes, and its rows."""

    sha256: str
    rows: int


@dataclass(frozen=True)
class Plan:
    """One plan, as plan.json holds it. `cause` is `scheduled` or `backfill`.

    `relations` maps the names that `relations.py` lists (for `enrollments`, `sync_ops` and `acknowledged` followed
    by `:` and a campaign or sync, and for a place where that goes no more by `@` and the place) to their pieces. The
    dictionaries hold what people read: counts by definition.
    """

    parent: str | None
    as_of: datetime
    cause: str
    inputs: Inputs
    relations: dict[str, tuple[Piece, ...]]
    segments: dict[str, dict[str, Any]] = field(default_factory=dict)
    campaigns: dict[str, dict[str, Any]] = field(default_factory=dict)
    syncs: dict[str, dict[str, Any]] = field(default_factory=dict)
    guards: list[dict[str, Any]] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def document(self) -> bytes:
        """Return plan.json: canonical, so that equal plans are equal bytes."""
        content = asdict(self) | {"inputs": self.inputs.document(), "format": 1, "as_of": clock.iso(self.as_of)}
        return json.dumps(content, sort_keys=True, ensure_ascii=False, indent=1).encode() + b"\n"

    @property
    def plan_id(self) -> str:
        """Return the plan's id: 16 hex digits of the SHA-256 of its document."""
        return _plan_id(self.document())


def _plan_id(document: bytes) -> str:
    return hashlib.sha256(document).hexdigest()[:16]


def _parse(content: bytes) -> Plan:
    document = json.loads(content)
    document.pop("format")
    document["as_of"] = clock.parse(document["as_of"])
    document["inputs"] = parse_inputs(document["inputs"])
    document["relations"] = {
        name: tuple(Piece(**piece) for piece in pieces) for name, pieces in document["relations"].items()
    }
    return Plan(**document)


class Store:
    """The plans of one data directory."""

    def __init__(self, settings: Settings) -> None:
        self._root = settings.plans
        self._scratch = settings.scratch
        self._columns: dict[str, frozenset[str]] = {}
        self._erased: Erased | None = None

    def head(self) -> str | None:
        """Return the id of the plan applied last, or None before the first. Raises DataError when HEAD is damaged."""
        path = self._root / "HEAD"
        try:
            return path.read_text(encoding="ascii").strip() or None
        except FileNotFoundError:
            return None
        except UnicodeDecodeError as error:
            raise DataError(
                f"{path}: this is no plan id; expected the file as it was written: restore the plan store from a backup"
            ) from error

    def read(self, plan_id: str) -> Plan:
        """Return the plan whose id starts with `plan_id`.

        Raises DataError when there is none, when several match, or when its content does not hash to its id.
        """
        return _read(self._root, self.resolve(plan_id))

    def resolve(self, prefix: str) -> str:
        """Return the one full id that starts with `prefix` (`HEAD` is the plan applied last, `HEAD~2` two before it).

        Raises DataError when there is none, or several.
        """
        prefix, tilde, back = prefix.partition("~")
        if tilde:
            if not back.isdecimal():
                raise DataError(f"plan `{prefix}~{back}`: expected a number after the `~`, such as `HEAD~1`")
            chain = list(self.chain(self.resolve(prefix), int(back) + 1))
            if len(chain) <= int(back):
                cut = self.cut(chain[-1][1])
                rest = f" left; those before {clock.iso(chain[-1][1].as_of)} were {cut.in_words()}" if cut else ""
                raise DataError(
                    f"plan `{prefix}~{back}`: there are only {len(chain) - 1} plans before `{prefix}`{rest}"
                )
            return chain[-1][0]
        if prefix == "HEAD":
            head = self.head()
            if head is None:
                raise DataError("there is no HEAD yet: no plan has been applied; expected one: `tailrace run` makes it")
            return head
        found = sorted(path.parent.name for path in self._root.glob(f"{prefix}*/plan.json")) if prefix.isalnum() else []
        if not found and (gone := [name for name in self.collected() if prefix and name.startswith(prefix)]):
            entry = self.collected()[gone[0]]
            raise DataError(
                f"plan `{prefix}`, as of {clock.iso(entry.as_of)}: it was {entry.in_words()}; expected a plan that is"
                " kept: a longer `retention` in policy.yml keeps more of those to come"
            )
        if len(found) != 1:
            many = "several plans start so: " + ", ".join(found[:3]) if found else "there is no such plan"
            raise DataError(f"plan `{prefix}`: {many}; expected the id of one plan in {self._root}")
        return found[0]

    def chain(self, plan_id: str | None, limit: int | None = None) -> Iterator[tuple[str, Plan]]:
        """Yield the plan and its ancestors, newest first, at most `limit` of them.

        Ends early where an ancestor was collected: whoever counts over them says so (`cut`).
        """
        count = 0
        while plan_id is not None and (limit is None or count < limit):
            if count and self._is_gone(plan_id):
                return
            plan = self.read(plan_id)
            yield plan_id, plan
            plan_id = plan.parent
            count += 1

    def collected(self) -> dict[str, Collected]:
        """Return what `tailrace gc` has collected, or was about to when it died, by plan id."""
        return collected.read(self._root)

    def known(self) -> set[str]:
        """Return the ids of the plans that are there, and of those that were collected."""
        return {path.parent.name for path in self._root.glob("*/plan.json")} | self.collected().keys()

    def cut(self, plan: Plan) -> Collected | None:
        """Return how the parent of `plan` was collected, or None when it was not: there is none, or it stands."""
        return self.collected().get(plan.parent) if plan.parent and self._is_gone(plan.parent) else None

    def before(self, oldest: Plan) -> str | None:
        """Return a sentence for who counted back to `oldest`, when what came before it was collected; else None."""
        cut = self.cut(oldest)
        since = f"{oldest.as_of:%Y-%m-%d %H:%M}"
        return f"Plans before {since} were {cut.in_words()}: what they decided is not in it." if cut else None

    def _is_gone(self, plan_id: str) -> bool:
        return not (self._root / plan_id / "plan.json").exists() and plan_id in self.collected()

    def bare(self, plan_id: str, plan: Plan) -> Collected | None:
        """Return how what was personal in the plan was collected, or None when all of it is there."""
        return self.collected().get(plan_id) if any(self._missing(plan, name) for name in plan.relations) else None

    def _missing(self, plan: Plan, relation: str) -> bool:
        return collected.is_personal(relation) and any(
            piece.rows and not self.path(piece).exists() for piece in plan.relations.get(relation, ())
        )

    def _require(self, plan: Plan, relation: str) -> None:
        """Raise DataError when the relation, which holds personal data, is gone: collected or lost."""
        if not self._missing(plan, relation):
            return
        entry = self.collected().get(plan.plan_id)
        why = f"were {entry.in_words()}" if entry else "are lost: restore the plan store from a backup"
        raise DataError(
            f"plan {plan.plan_id}: its `{relation}` {why}; expected them only of plans that still have something to"
            " deliver. The rest of the plan can be read"
        )

    def put(self, connection: duckdb.DuckDBPyConnection, query: str, values: Mapping[str, Any] | None = None) -> Piece:
        """Store the rows of `query`, which must have a total order, and return the piece that names them.

        The bytes depend on the rows only: one writer, fixed row groups, whatever the thread count.
        """
        reader = connection.sql(query, params=dict(values or {})).to_arrow_reader(ROW_GROUP)
        return self._write(reader.schema, _regrouped(pa.Table.from_batches([batch]) for batch in reader))

    def put_each(
        self, connection: duckdb.DuckDBPyConnection, query: str, values: Mapping[str, Any], by: str
    ) -> dict[str, Piece]:
        """Store the rows of `query`, which must have a total order, first by the column `by`: a piece per value of it.

        Each piece is the one that `put` makes of its rows.
        """
        reader = connection.sql(query, params=dict(values)).to_arrow_reader(ROW_GROUP)
        runs = (run for batch in reader for run in _runs(pa.Table.from_batches([batch]), by))
        return {
            value: self._write(reader.schema, _regrouped(rows for _, rows in same))
            for value, same in groupby(runs, key=itemgetter(0))
        }

    def _write(self, schema: pa.Schema, groups: Iterable[pa.Table]) -> Piece:
        """Store the row groups, and return the piece that names them."""
        self._scratch.mkdir(parents=True, exist_ok=True)
        aside = self._scratch / f"object-{os.getpid()}.parquet"
        rows = 0
        # Integers here are ids in order and words of bits: a dictionary of them costs half of the writing and saves
        # nothing, their differences take a quarter less time and room.
        repetitive = [field.name for field in schema if pa.types.is_string(field.type)]
        deltas = {field.name: "DELTA_BINARY_PACKED" for field in schema if pa.types.is_integer(field.type)}
        with pq.ParquetWriter(
            aside, schema, compression="zstd", use_dictionary=repetitive, column_encoding=deltas or None
        ) as writer:
            for group in groups:
                writer.write_table(group, row_group_size=ROW_GROUP)
                rows += group.num_rows
        piece = Piece(_sha256(aside), rows)
        final = self._object(piece.sha256)
        if final.exists():
            aside.unlink()
        else:
            durable.move_in(aside, final)
        return piece

    def save(self, plan: Plan) -> str:
        """Store the plan, whose pieces are stored already, and return its id. Saving it again changes nothing."""
        document = plan.document()
        plan_id = _plan_id(document)
        path = self._root / plan_id / "plan.json"
        if not path.exists():
            durable.write(path, document)
        crash.here("plan.saved")
        return plan_id

    def advance(self, plan_id: str) -> None:
        """Move HEAD from the plan's parent to the plan, by compare-and-swap; doing it again changes nothing.

        Raises StalePlan when HEAD is neither the plan's parent nor the plan itself.
        """
        plan = self.read(plan_id)
        with durable.exclusive(self._root / "HEAD.lock", "moving HEAD"):
            head = self.head()
            if head == plan_id:
                return
            if head != plan.parent:
                raise StalePlan(
                    f"plan {plan_id} was made on top of {plan.parent or 'nothing'}, but HEAD is {head or 'nothing'};"
                    " expected HEAD to be its parent: make the plan again with `tailrace plan`"
                )
            durable.write(self._root / "HEAD", f"{plan_id}\n".encode())

    def source(self, plan: Plan | None, relation: str, empty: str) -> str:
        """Return SQL that reads the relation of `plan`, or the typed empty select `empty` when it has no rows."""
        key = relations.KEYS.get(relation.partition(":")[0], ())
        if plan:
            self._require(plan, relation)
        return self.pieces(plan.relations.get(relation, ()) if plan else (), empty, key)

    def pieces(self, pieces: Iterable[Piece], empty: str, key: Sequence[str] = ()) -> str:
        """Return SQL that reads the pieces, or the typed empty select `empty` when they have no rows.

        With a `key`, a row of a later piece stands for those of earlier ones that have its key.
        """
        return self.together([pieces], empty, key)

    def together(self, several: Iterable[Iterable[Piece]], empty: str, key: Sequence[str] = ()) -> str:
        """Return SQL that reads several relations of the same columns as one; each of them as `pieces` reads it.

        No two of them may have a `key` in common. One statement over all of them costs a fraction of one over each.
        """
        layers: list[list[str]] = []
        for pieces in several:
            for place, piece in enumerate(piece for piece in pieces if piece.rows):
                if place == len(layers):
                    layers.append([])
                layers[place].append(literal(str(self.path(piece))))
        if not layers:
            return f"({empty} limit 0)"
        if not key or len(layers) == 1:
            return f"read_parquet([{', '.join(path for layer in layers for path in layer)}])"
        names = ", ".join(key)
        files = [f"read_parquet([{', '.join(layer)}])" for layer in layers]
        rows = [f"select *, {place} as piece from {source}" for place, source in enumerate(files)]
        later = [f"select {names}, {place} as piece from {source}" for place, source in enumerate(files)][1:]
        same = " and ".join(f"later.{name} = earlier.{name}" for name in key)
        return (
            f"(select earlier.* exclude (piece) from ({' union all by name '.join(rows)}) as earlier where not exists"
            f" (select 1 from ({' union all '.join(later)}) as later where {same} and later.piece > earlier.piece))"
        )

    def overlay(
        self,
        connection: duckdb.DuckDBPyConnection,
        pieces: Sequence[Piece],
        query: str,
        *,
        key: Sequence[str],
        order: str,
        values: Mapping[str, Any] | None = None,
    ) -> tuple[Piece, ...]:
        """Store the rows of `query` (in the total order `order`) over `pieces`, which they replace by `key`.

        Returns the pieces of the result: see `lay`.
        """
        written = self.put(connection, f"select * from ({query}) order by {order}", values)
        return self.lay(connection, pieces, written, key=key, order=order)

    def lay(
        self,
        connection: duckdb.DuckDBPyConnection,
        pieces: Sequence[Piece],
        written: Piece,
        *,
        key: Sequence[str],
        order: str,
    ) -> tuple[Piece, ...]:
        """Lay `written` over `pieces`, whose rows it replaces by `key`; return the base, then ever smaller pieces.

        What is small is merged with what came before it, and all of it with the base once it is a quarter of that; so
        a run writes about what it changes.
        """
        kept = [piece for piece in pieces if piece.rows] + [written]
        if written.rows == 0 and len(kept) > 1:
            return tuple(kept[:-1])
        if sum(piece.rows for piece in kept[1:]) * COMPACT_AT > kept[0].rows:
            return (self._merged(connection, kept, key, order),) if len(kept) > 1 else (written,)
        while len(kept) > 2 and kept[-1].rows * 2 > kept[-2].rows:
            kept[-2:] = [self._merged(connection, kept[-2:], key, order)]
        return tuple(kept)

    def _merged(
        self, connection: duckdb.DuckDBPyConnection, pieces: Sequence[Piece], key: Sequence[str], order: str
    ) -> Piece:
        return self.put(connection, f"select * from {self.pieces(pieces, '', key)} order by {order}")

    def table(self, plan: Plan, relation: str) -> pa.Table | None:
        """Return the rows of a relation, or None when the plan does not have it."""
        pieces = plan.relations.get(relation)
        if pieces is None:
            return None
        self._require(plan, relation)
        if len(pieces) > 1 and relation.partition(":")[0] in relations.KEYS:
            with duckdb.connect() as connection:
                return connection.sql(f"select * from {self.source(plan, relation, '')}").to_arrow_table()
        return pa.concat_tables(pq.read_table(self.path(piece)) for piece in pieces)

    def paths(self, plan: Plan, relation: str) -> list[Path]:
        """Return where the pieces of a relation stand, in their order; none when the plan does not have it."""
        self._require(plan, relation)
        return [self.path(piece) for piece in plan.relations.get(relation, ()) if piece.rows]

    def columns(self, piece: Piece) -> frozenset[str]:
        """Return the names of the piece's columns; they are read once, as an object never changes."""
        if piece.sha256 not in self._columns:
            self._columns[piece.sha256] = frozenset(pq.read_schema(self.path(piece)).names)
        return self._columns[piece.sha256]

    def path(self, piece: Piece) -> Path:
        """Return where the object of `piece` stands, or what is left of it after an erasure."""
        return self._object(self._without().objects.get(piece.sha256, piece.sha256))

    def erased_of(self, plan_id: str) -> Correction | None:
        """Return what the plan's numbers have too much, for people were erased while it was HEAD; None when nothing."""
        return self._without().correction(plan_id)

    def _without(self) -> Erased:
        if self._erased is None:
            self._erased = erased.read(self._root)
        return self._erased

    def _object(self, sha256: str) -> Path:
        return self._root / "objects" / f"{sha256}.parquet"


def _read(root: Path, plan_id: str) -> Plan:
    content = (root / plan_id / "plan.json").read_bytes()
    if hashlib.sha256(content).hexdigest()[:16] != plan_id:
        raise DataError(
            f"{root / plan_id / 'plan.json'}: its content does not hash to its id; expected it as it was"
            " written: restore the plan store from a backup"
        )
    return _parse(content)


def _runs(rows: pa.Table, by: str) -> Iterator[tuple[str, pa.Table]]:
    """Yield the rows in runs of one value of the column."""
    start = 0
    ends = pc.run_end_encode(rows[by].combine_chunks())
    for value, end in zip(ends.values.to_pylist(), ends.run_ends.to_pylist(), strict=True):
        yield value, rows.slice(start, end - start)
        start = end


def _regrouped(parts: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Yield the rows in whole row groups, each in one chunk, however many rows DuckDB handed on at a time.

    DuckDB 1.5 fills each batch that it is asked for; 2.0 ends one where a thread's share of the rows ends.
    """
    held: list[pa.Table] = []
    for part in parts:
        held.append(part)
        while sum(each.num_rows for each in held) >= ROW_GROUP:
            rows = pa.concat_tables(held)
            yield rows.slice(0, ROW_GROUP).combine_chunks()
            held = [rows.slice(ROW_GROUP)]
    if any(part.num_rows for part in held):
        yield pa.concat_tables(held).combine_chunks()


def _sha256(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
