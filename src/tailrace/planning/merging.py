"""Which user ids became one person since the parent plan, and what would the parent plan hold had it known?

`follow` makes the tables `merges` (every id that is another's now), `merged_now` (the people who are made of other user
ids than in the parent plan: what moves them in this plan starts nothing), `merged_since` (these, and who became so as
a segment was parked: what moves them in it, once it is not, starts nothing either) and `repointed` (the passes
that changed hands), and returns the parent as it would read. The parent that is stored stays as it is, and so does what
HEAD names: only relations are others. Without a new merge it costs a look at two small tables.

The passes of a campaign that is not there (its folder is gone, its programme is off) wait for it as they are: which of
them end is decided where they change hands, by the first plan that has the campaign again.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import duckdb

from tailrace import clock, engine
from tailrace.engine import statement
from tailrace.planning import passes, relations
from tailrace.planning.memberships import WORD
from tailrace.planning.store import Piece, Plan, Store

_PACKAGE = "tailrace.planning"

_TABLES = {
    "merges": "person_id bigint, into_person_id bigint",
    "merges_undone": "person_id bigint, into_person_id bigint, now_person_id bigint",
    "merged_now": "person_id bigint",
    "merged_since": "person_id bigint",
    "repointed": "campaign varchar, enrollment_id varchar, step varchar, status varchar, was_person_id bigint,"
    " person_id bigint",
    "doubles": "campaign varchar, enrollment_id varchar, version varchar, step varchar, person_id bigint",
    "merged_messages": "intent_id varchar, other_intent_id varchar, is_once boolean",
}


def follow(
    connection: duckdb.DuckDBPyConnection, store: Store, parent: Plan | None, slugs: Collection[str]
) -> Plan | None:
    """Make the tables, and return `parent` with its rows about whom they are about now; `slugs` are the campaigns.

    A project without the model of merges has none.
    """
    for name, columns in _TABLES.items():
        connection.execute(f"create or replace temp table {name} ({columns})")
    if engine.first(connection, statement(_PACKAGE, "has_merges")):
        connection.execute("insert into merges select person_id, into_person_id from wh.core.fct_person_merges")
    before = store.source(parent, "merges", relations.MERGES)
    waiting = store.source(parent, "merged_waiting", relations.MERGED_WAITING)
    for name in ("merges_undone", "merged_now", "merged_since"):
        query = statement(_PACKAGE, name).replace("{before}", before).replace("{waiting}", waiting)
        connection.execute(f"insert into {name} {query}")
    if parent is None or not _is_any(connection, "merges", "merges_undone"):
        return parent
    held = dict(parent.relations)
    is_new = is_any(connection)
    for name, pieces in parent.relations.items():
        kind, _, slug = name.partition(":")
        if kind == "enrollments" and slug in slugs and (is_new or slug not in parent.campaigns):
            held[name] = _repoint(connection, store, slug, pieces)
        elif kind == "assignments" and is_new:
            held[name] = _reassign(connection, store, pieces)
        elif kind == "said" and is_new:
            held[name] = (_resay(connection, store, pieces),)
    if not is_new:
        return replace(parent, relations=held)
    memberships, segments = _fold(connection, store, parent)
    return replace(parent, relations=held | memberships, segments=segments)


def given_up(connection: duckdb.DuckDBPyConnection, store: Store, parent: Plan) -> int:
    """Return how many people of the parent plan are another's user id since. Reads all events; needs `new_loads`."""
    if not _is_any(connection, "merges"):
        return 0
    query = statement(_PACKAGE, "given_up").replace("{before}", store.source(parent, "merges", relations.MERGES))
    return int(engine.row(connection, query, {"as_of": clock.naive(parent.as_of)})[0])


def keep(
    connection: duckdb.DuckDBPyConnection, store: Store, parent: Plan | None, *, is_any_parked: bool
) -> dict[str, tuple[Piece, ...]]:
    """Return the relations that say who is whom, and what this plan made of it; none where nobody was ever merged."""
    kept: dict[str, tuple[Piece, ...]] = {}
    if _is_any(connection, "merges"):
        kept["merges"] = (store.put(connection, "select * from merges order by person_id"),)
    if _is_any(connection, "merged_now", "repointed"):
        query = statement(_PACKAGE, "merged").replace("{before}", store.source(parent, "merges", relations.MERGES))
        kept["merged"] = (store.put(connection, query),)
    if _is_any(connection, "merged_messages"):
        query = "select * from merged_messages order by intent_id, other_intent_id"
        kept["merged_messages"] = (store.put(connection, query),)
    if is_any_parked and _is_any(connection, "merged_since"):
        kept["merged_waiting"] = (store.put(connection, "select person_id from merged_since order by person_id"),)
    return {name: pieces for name, pieces in kept.items() if pieces[0].rows}


def seen(store: Store, plan: Plan) -> list[dict[str, Any]]:
    """Return what the plan found of merges that its parent had not: `relations.MERGED`, a dictionary a row."""
    rows = store.table(plan, "merged")
    return [] if rows is None else rows.to_pylist()


def is_any(connection: duckdb.DuckDBPyConnection) -> bool:
    """Return whether somebody is made of other user ids than in the parent plan."""
    return _is_any(connection, "merged_now")


def _is_any(connection: duckdb.DuckDBPyConnection, *tables: str) -> bool:
    looked = " or ".join(f"exists (select 1 from {table})" for table in tables)
    return bool(engine.row(connection, f"select {looked}")[0])


def _repoint(
    connection: duckdb.DuckDBPyConnection, store: Store, slug: str, pieces: Sequence[Piece]
) -> tuple[Piece, ...]:
    """Give a campaign's passes to whom they belong now, and note them in `repointed`."""
    key = relations.KEYS["enrollments"]
    query = statement(_PACKAGE, "repointed").replace("{kept}", store.pieces(pieces, relations.ENROLLMENTS, key))
    connection.execute(f"create or replace temp table changing as {query}", {"campaign": slug})
    connection.execute(
        "insert into repointed select $campaign, enrollment_id, step, status, was_person_id, person_id from changing",
        {"campaign": slug},
    )
    if not _is_any(connection, "changing"):
        return tuple(pieces)
    base = next(piece for piece in pieces if piece.rows)
    order = passes.ORDER if "wake_at" in store.columns(base) else "enrollment_id"
    return store.overlay(connection, pieces, "select * exclude (was_person_id) from changing", key=key, order=order)


def _reassign(connection: duckdb.DuckDBPyConnection, store: Store, pieces: Sequence[Piece]) -> tuple[Piece, ...]:
    """Give people the arms of splits that only their other user ids have."""
    key = relations.KEYS["assignments"]
    query = statement(_PACKAGE, "reassigned").replace("{kept}", store.pieces(pieces, relations.ASSIGNMENTS, key))
    return store.overlay(connection, pieces, query, key=key, order="person_id, step")


def _resay(connection: duckdb.DuckDBPyConnection, store: Store, pieces: Sequence[Piece]) -> Piece:
    """Count what was said to a user id for whose it is now."""
    said = store.pieces(pieces, relations.SAID)
    return store.put(
        connection,
        "select said.* replace (coalesce(merges.into_person_id, said.person_id) as person_id)"
        f" from {said} as said left join merges on merges.person_id = said.person_id order by said.intent_id",
    )


def _fold(
    connection: duckdb.DuckDBPyConnection, store: Store, parent: Plan
) -> tuple[dict[str, tuple[Piece, ...]], dict[str, dict[str, Any]]]:
    """Lay the memberships of a person's user ids together; return that relation and the segments with their sizes."""
    pieces = parent.relations.get("memberships", ())
    if not any(piece.rows for piece in pieces):
        return {}, parent.segments
    held = store.pieces(pieces, "")
    mine = statement(_PACKAGE, "of_the_merged").replace("{held}", held)
    connection.execute(f"create or replace temp table unfolded as {mine}")
    if not engine.row(
        connection, "select exists (select 1 from unfolded where person_id in (select person_id from merges))"
    )[0]:
        return {}, parent.segments
    words = [name for name in engine.columns(connection, "unfolded") if name != "person_id"]
    together = statement(_PACKAGE, "folded")
    together = together.replace("{words}", ", ".join(f"bit_or({word}) as {word}" for word in words))
    connection.execute(f"create or replace temp table folded as {together}")
    before, after = (_sizes(connection, table, parent) for table in ("unfolded", "folded"))
    segments = {
        name: entry | {"size": entry["size"] - before[name] + after[name]} for name, entry in parent.segments.items()
    }
    rows = (
        f"select person_id, {', '.join(words)} from {held} as held where person_id not in"
        " (select person_id from unfolded) union all by name select * from folded order by person_id"
    )
    return {"memberships": (store.put(connection, rows),)}, segments


def _sizes(connection: duckdb.DuckDBPyConnection, table: str, parent: Plan) -> dict[str, int]:
    """Return how many of the table's people each segment has."""
    words = set(engine.columns(connection, table))
    counts = {
        name: f"count(*) filter ((w{entry['bit'] // WORD} & {1 << entry['bit'] % WORD}::ubigint) <> 0)"
        for name, entry in parent.segments.items()
        if f"w{entry['bit'] // WORD}" in words
    }
    found = engine.row(connection, f"select {', '.join(['0', *counts.values()])} from {table}")[1:]
    return dict.fromkeys(parent.segments, 0) | dict(zip(counts, map(int, found), strict=True))
