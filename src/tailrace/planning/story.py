"""What do the plans tell of one person? Segments in and out, steps, and every verdict with its reason."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import duckdb

from tailrace import clock, engine
from tailrace.engine import literal, statement
from tailrace.planning import relations
from tailrace.planning.memberships import WORD
from tailrace.planning.store import Store


@dataclass(frozen=True)
class Story:
    """One person in the plans, oldest first. Each row has `plan_id` and `as_of` and the columns of its relation.

    `segments` are those the person is in now; `n_plans` how many plans were read; `missing` says that older ones, which
    would have been read, are gone.
    """

    person_id: int
    n_plans: int
    segments: list[str]
    changes: list[dict[str, Any]]
    transitions: list[dict[str, Any]]
    verdicts: list[dict[str, Any]]
    enrollments: list[dict[str, Any]]
    missing: str | None


def tell(
    connection: duckdb.DuckDBPyConnection,
    store: Store,
    person_id: int,
    *,
    also: Collection[int] = (),
    head: str,
    limit: int,
    campaign: str | None = None,
) -> Story:
    """Return the person's story over the plan `head` and its ancestors, at most `limit` plans.

    `also` are the keys of other user ids of theirs: what was decided of these is told too. With `campaign`, only what
    that one did.
    """
    known = [person_id, *also]
    lineage = list(store.chain(head, limit))
    read: dict[str, list[dict[str, Any]]] = {}
    for relation in ("changes", "transitions", "verdicts"):
        places = [
            (plan_id, clock.naive(plan.as_of), place, str(store.path(piece)))
            for place, (plan_id, plan) in enumerate(lineage)
            for piece in plan.relations.get(relation, ())
            if piece.rows
        ]
        rows = _rows(connection, places, known)
        read[relation] = [row for row in rows if campaign in (None, row.get("campaign", campaign))]
    plan = lineage[0][1]
    return Story(
        person_id=person_id,
        n_plans=len(lineage),
        segments=_segments(connection, store, plan, known),
        changes=read["changes"],
        transitions=read["transitions"],
        verdicts=read["verdicts"],
        enrollments=[
            row for row in _enrollments(connection, store, plan, known) if campaign in (None, row["campaign"])
        ],
        missing=store.before(lineage[-1][1]) if len(lineage) < limit else None,
    )


def _rows(
    connection: duckdb.DuckDBPyConnection, places: list[tuple[str, Any, int, str]], known: list[int]
) -> list[dict[str, Any]]:
    if not places:
        return []
    connection.execute(
        "create or replace temp table lineage (plan_id varchar, as_of timestamp, place integer, path varchar)"
    )
    connection.executemany("insert into lineage values (?, ?, ?, ?)", places)
    paths = ", ".join(literal(path) for path in dict.fromkeys(path for *_, path in places))
    connection.execute(f"create or replace temp view rows as select * from read_parquet([{paths}], filename = true)")
    return engine.rows(connection, statement("tailrace.planning", "story"), {"known": known})


def _segments(connection: duckdb.DuckDBPyConnection, store: Store, plan: Any, known: list[int]) -> list[str]:
    source = store.source(plan, "memberships", "select 0::bigint as person_id, 0::ubigint as w0")
    rows = connection.execute(
        f"select * from {source} where list_contains($known, person_id)", {"known": known}
    ).fetchall()
    return sorted(
        name
        for name, entry in plan.segments.items()
        if entry["status"] != "removed"
        and any(row[1 + entry["bit"] // WORD] >> (entry["bit"] % WORD) & 1 for row in rows)
    )


def _enrollments(
    connection: duckdb.DuckDBPyConnection, store: Store, plan: Any, known: list[int]
) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for name in sorted(plan.relations):
        if name.startswith("enrollments:"):
            found += engine.rows(
                connection,
                "select enrollment_id, campaign, version, occurrence, entered_at, arm, step, arrived_at, status,"
                f" goal_at from {store.source(plan, name, relations.ENROLLMENTS)} as kept"
                " where list_contains($known, person_id) order by entered_at, enrollment_id",
                {"known": known},
            )
    return found
