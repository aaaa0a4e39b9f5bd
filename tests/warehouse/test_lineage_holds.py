"""What really changes when a column changes, or when the rows of an event are gone, is said to depend on it.

DuckDB itself is asked: each select runs on small tables, and on the same tables with one column changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tailrace.warehouse.lineage import trace
from tailrace.warehouse.relation import ALL, Known

PEOPLE, NOTES, EVENTS = "core.people", "core.notes", "core.events"
ROWS: dict[str, dict[str, list[Any]]] = {
    PEOPLE: {"id": [1, 2, 3, 4], "dx": ["a", "b", "c", "d"], "age": [10, 20, 30, 40]},
    NOTES: {"id": [4, 3, 2, 1], "dx": ["w", "x", "y", "z"], "event": ["visit", "other", "visit", "b"]},
    EVENTS: {
        "id": [1, 2, 3, 4],
        "event": ["visit", "other", "visit", "other"],
        "type": ["track", "track", "page", "identify"],
        "note": ["other", "visit", "p", "q"],
    },
}
RELATIONS = {name: Known(dict.fromkeys(columns, frozenset())) for name, columns in ROWS.items()}
RELATIONS[EVENTS] = Known(
    RELATIONS[EVENTS].columns, events=frozenset({"visit"}), event_column="event", type_column="type"
)
LINES = Path(__file__).with_name("selects.sql").read_text(encoding="utf-8").splitlines()[1:]


@pytest.fixture(scope="module")
def tables() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute("create schema core")
        for name, columns in ROWS.items():
            connection.execute(table(name, columns))
        yield connection


def table(name: str, columns: dict[str, list[Any]]) -> str:
    made = ", ".join(f"unnest({values!r}) as {column}" for column, values in columns.items()).replace("None", "null")
    return f"create or replace table {name} as select {made}"


def run(tables: duckdb.DuckDBPyConnection, select: str, *changes: str) -> list[tuple[str, frozenset[str]]] | None:
    """Return which values each column has after some changes, which are undone; None when DuckDB refuses the select."""
    tables.execute("begin")
    try:
        for change in changes:
            tables.execute(change)
        found = tables.execute(select)
        names = [each[0].lower() for each in found.description or ()]
        rows = found.fetchall()
    except duckdb.Error:
        return None
    finally:
        tables.execute("rollback")
    return [(name, frozenset(repr(row[n]) for row in rows)) for n, name in enumerate(names)]


@pytest.mark.parametrize("select", LINES)
def test_what_changes_with_a_column_depends_on_it(tables: duckdb.DuckDBPyConnection, select: str) -> None:
    before, known = run(tables, select), trace(select, RELATIONS)
    assert before is not None
    for relation, column in ((name, column) for name in ROWS if name in select for column in ROWS[name]):
        values = ROWS[relation][column]
        for others in ([*values[1:], values[0]], values[::-1], [values[1]] * 4, [None, None, *values[2:]]):
            after = run(tables, select, table(relation, {**ROWS[relation], column: others}))
            if after is None or after == before or known is None:
                continue
            meant = {(relation, column), (relation, ALL)}
            assert meant & known.reads, f"{relation}.{column}"
            if len(after) != len(before) or known.columns is None:
                continue
            for (name, old), (_, new) in zip(before, after, strict=True):
                refs = known.columns.get(name)
                assert old == new or refs is None or meant & refs, f"{name} of {relation}.{column}"


@pytest.mark.parametrize("select", [line for line in LINES if EVENTS in line])
def test_what_changes_without_the_rows_of_an_event_has_its_rows(tables: duckdb.DuckDBPyConnection, select: str) -> None:
    all_tracked = f"update {EVENTS} set type = 'track'"
    before = run(tables, select, all_tracked)
    after = run(tables, select, all_tracked, f"delete from {EVENTS} where event = 'visit'")
    known = trace(select, RELATIONS)
    assert before is not None
    assert before == after or known is None or known.events == {"visit"}


@pytest.mark.parametrize("select", [line for line in LINES if EVENTS in line])
def test_what_changes_with_rows_that_are_told_apart_depends_on_them_and_not_on_the_rest_alone(
    tables: duckdb.DuckDBPyConnection, select: str
) -> None:
    told = Known(RELATIONS[EVENTS].columns, told=frozenset({"visit"}), told_by="event")
    before, known = run(tables, select), trace(select, {**RELATIONS, EVENTS: told})
    for column in ("note", "id"):
        after = run(tables, select, f"update {EVENTS} set {column} = {column} || '7' where event = 'visit'")
        if before is None or after is None or known is None or known.columns is None or len(before) != len(after):
            continue
        for (name, old), (_, new) in zip(before, after, strict=True):
            refs = known.columns.get(name)
            assert old == new or refs is None or {(EVENTS, column), (EVENTS, ALL)} & refs, f"{name} of {column}"
