"""The tables that a walk reads, set by a test: a campaign version is walked over them, without a plan around it."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb

from tailrace.planning import journey
from tailrace.planning.condition import truth
from tailrace.planning.memberships import Bit, Cause
from tailrace.planning.steps import steps_of

NOW = datetime.fromisoformat("2026-03-10 06:00")
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
SECOND = timedelta(seconds=1)

BITS = {name: Bit(name, number, Cause.BEHAVIOUR, None) for name, number in (("seg_a", 0), ("seg_b", 63), ("seg_c", 64))}

PASS = "campaign varchar, version varchar, enrollment_id varchar, person_id bigint, arm varchar, entered_at timestamp"
TABLES = {
    "flight": f"{PASS}, step varchar, arrived_at timestamp",
    "entering": f"{PASS}, due_at timestamp",
    "passes": "campaign varchar, enrollment_id varchar, event varchar",
    "kept": "person_id bigint, step varchar, name varchar",
    "customers": "person_id bigint, customer varchar",
    "responses": "enrollment_id varchar, step varchar, status_code integer, body varchar",
    "current": "person_id bigint, w0 ubigint, w1 ubigint",
    "postponed": "campaign varchar, enrollment_id varchar, step varchar",
}


class Counted:
    """A connection that counts what it executes."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self.statements = 0

    def execute(self, *given: Any) -> duckdb.DuckDBPyConnection:
        self.statements += 1
        return self._connection.execute(*given)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


class Ground:
    """An enrollment of person 7 is `e7`. All columns of moves and deeds come back as dictionaries, in order."""

    def __init__(self) -> None:
        self.connection = duckdb.connect(config={"threads": 1})
        self.connection.execute("attach ':memory:' as wh; create schema wh.core")
        self.connection.execute(
            "create table wh.core.fct_events (person_id bigint, event varchar, type varchar, event_at timestamp,"
            " properties varchar)"
        )
        for name, columns in TABLES.items():
            self.connection.execute(f"create temp table {name} ({columns})")

    def put(self, table: str, *rows: Sequence[Any]) -> None:
        if rows:
            places = ", ".join(f"({', '.join('?' * len(row))})" for row in rows)
            self.connection.execute(f"insert into {table} values {places}", [value for row in rows for value in row])

    def clear(self) -> None:
        for table in (*TABLES, "wh.core.fct_events"):
            self.connection.execute(f"truncate {table}")

    def enter(self, *people: int, arm: str = "treated", at: datetime = NOW) -> None:
        self.put("entering", *[("welcome", "v1", f"e{person}", person, arm, at, at) for person in people])

    def rest(
        self, person: int, step: str, arrived: datetime, *, arm: str = "treated", entered: datetime | None = None
    ) -> None:
        self.put("flight", ("welcome", "v1", f"e{person}", person, arm, entered or arrived, step, arrived))

    def event(self, person: int | None, event: str, at: datetime, *, kind: str = "track", **properties: Any) -> None:
        self.put("wh.core.fct_events", (person, event, kind, at, json.dumps(properties)))

    def member(self, person: int, *segments: str) -> None:
        self.put("current", (person, *words(segments)))

    def walk(
        self, steps: Sequence[dict[str, Any]], *, as_of: datetime = NOW, expires: int = 86_400
    ) -> list[dict[str, Any]]:
        """Return the rows of everybody by enrollment, place, and a move before what the step does."""
        version = journey.Version("welcome", "v1", steps_of(steps), expires)
        journey.walk(self.connection, [version], BITS, as_of.replace(tzinfo=UTC), lambda _: "kept")
        found = self.connection.execute("select * exclude (campaign, version) from walked")
        columns = [column[0] for column in found.description]
        rows = [dict(zip(columns, row, strict=True)) for row in found.fetchall()]
        return sorted(rows, key=lambda row: (row["enrollment_id"], row["position"], row["kind"] != "move"))

    def story(self, steps: Sequence[dict[str, Any]], **settings: Any) -> dict[str, list[str]]:
        """Return, per enrollment, what happened in words: `to why`, `step!` for a deed, `over why` at the end."""
        told: dict[str, list[str]] = {}
        for row in self.walk(steps, **settings):
            words = f"{row['to_step'] or 'over'} {row['why']}" if row["kind"] == "move" else f"{row['to_step']}!"
            told.setdefault(row["enrollment_id"], []).append(words)
        return told

    def holds(self, condition: dict[str, Any], *people: int, as_of: datetime = NOW, **row: str) -> list[int]:
        """Return for whom of the people the condition holds; fails when it is null for somebody."""
        given = ", ".join(f"({person}, 'e{person}', timestamp '{NOW - DAY}')" for person in people)
        sql = truth(
            condition, person="o.person_id", bits=BITS, **{"entered_at": "o.entered_at", "enrollment": "o.pass"} | row
        )
        found = self.connection.execute(
            f"select person_id, {sql}, $as_of from (values {given}) as o(person_id, pass, entered_at) order by all",
            {"as_of": as_of},
        ).fetchall()
        assert all(isinstance(truth, bool) for _, truth, _ in found)
        assert len(found) == len(people)
        return [person for person, truth, _ in found if truth]


def words(segments: Collection[str]) -> tuple[int, int]:
    first, second = (sum(BITS[name].mask for name in segments if BITS[name].word == word) for word in (0, 1))
    return first, second


def send(name: str) -> dict[str, Any]:
    return {"id": name, "send": f"{name}_copy"}


def wait(name: str, duration: timedelta) -> dict[str, Any]:
    return {"id": name, "wait": int(duration.total_seconds())}


def event(name: str, since: str | int = "entry", where: str | None = None) -> dict[str, Any]:
    return {"event": name, "where": where, "where_sql": where, "since": since}


def choose(name: str, condition: dict[str, Any], then: list[Any], other: list[Any]) -> dict[str, Any]:
    return {"id": name, "if": condition, "then": then, "else": other}


def until(
    name: str, condition: dict[str, Any], timeout: timedelta, then: list[Any], other: list[Any]
) -> dict[str, Any]:
    seconds = int(timeout.total_seconds())
    return {"id": name, "wait_until": condition, "timeout": seconds, "then": then, "else": other}


def split(name: str, **arms: tuple[int, list[Any]]) -> dict[str, Any]:
    return {
        "id": name,
        "split": [{"name": arm, "weight": weight, "steps": steps} for arm, (weight, steps) in arms.items()],
    }
