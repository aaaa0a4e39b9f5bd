"""Does a condition hold for one person, part by part: what was seen, and what would have to be otherwise?

`Evidence` is one person's world as a plan saw it: the engine's own tables with the rows of that person only, so that a
part is judged by the SQL that planning judges everybody with (`condition.truth`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import duckdb

from tailrace import engine
from tailrace.engine import literal
from tailrace.planning import people
from tailrace.planning.condition import same, truth
from tailrace.planning.memberships import Bit

UNKNOWN = "not known any more"


@dataclass(frozen=True)
class Evidence:
    """What is still known of a person as of a plan; times are zone-less UTC.

    `connection` has `current`, `responses`, and a database `wh` with core.fct_events, dim_people and
    dim_person_features, in which stands what `knows_events` and `knows_people` say is known.
    """

    connection: duckdb.DuckDBPyConnection
    person_id: int
    as_of: datetime
    bits: Mapping[str, Bit]
    knows_events: bool
    knows_people: bool

    def row(self, table: str) -> dict[str, Any]:
        """Return the person's row of a table of `wh.core`, or {}."""
        rows = engine.rows(
            self.connection, f"select * from wh.core.{table} where person_id = $person", {"person": self.person_id}
        )
        return rows[0] if rows else {}


@dataclass(frozen=True)
class Pass:
    """The pass that a condition is about; None before anybody entered. `until`: the last instant that counts.

    `event` are the properties (JSON text) of the event that started it, or that named who has not entered; None when
    none did, or, before the entry, when it is not known.
    """

    enrollment_id: str | None = None
    entered_at: datetime | None = None
    until: datetime | None = None
    event: str | None = None


@dataclass(frozen=True)
class Weighed:
    """A part of a condition. `holds` is None when what it asks is not known any more.

    `to_hold` and `to_fail` are the changes, all of which would make it true or false.
    """

    text: str
    holds: bool | None
    seen: str
    to_hold: tuple[str, ...]
    to_fail: tuple[str, ...]
    parts: tuple[Weighed, ...] = field(default=())


def weigh(evidence: Evidence, condition: Mapping[str, Any], about: Pass) -> Weighed:  # noqa: PLR0911 (one per kind)
    """Return the condition weighed, with its parts."""
    match condition:
        case {"all": inner}:
            return _all(evidence, inner, about)
        case {"any": inner}:
            return _any(evidence, inner, about)
        case {"not": inner}:
            part = weigh(evidence, inner, about)
            holds = None if part.holds is None else not part.holds
            return Weighed(f"not ({part.text})", holds, part.seen, part.to_fail, part.to_hold, part.parts)
        case {"in": segment}:
            return _member(evidence, segment, condition, about)
        case {"event": event}:
            return _happened(evidence, event, condition, about)
        case {"response": step}:
            return _answered(evidence, step, condition, about)
        case _:
            return _attributes(evidence, condition, about)


def _all(evidence: Evidence, inner: Sequence[Mapping[str, Any]], about: Pass) -> Weighed:
    parts = tuple(weigh(evidence, each, about) for each in inner)
    holds = False if any(part.holds is False for part in parts) else _sure(parts)
    to_hold = tuple(change for part in parts if not part.holds for change in part.to_hold)
    return Weighed("all of", holds, "", to_hold, _least([part.to_fail for part in parts]), parts)


def _any(evidence: Evidence, inner: Sequence[Mapping[str, Any]], about: Pass) -> Weighed:
    parts = tuple(weigh(evidence, each, about) for each in inner)
    holds = True if any(part.holds for part in parts) else (False if _sure(parts) else None)
    to_fail = tuple(change for part in parts if part.holds is not False for change in part.to_fail)
    return Weighed("any of", holds, "", _least([part.to_hold for part in parts]), to_fail, parts)


def _sure(parts: Sequence[Weighed]) -> bool | None:
    return None if any(part.holds is None for part in parts) else True


def _least(changes: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """Return the way with the fewest changes; of equals the first."""
    return min(changes, key=len, default=())


def _holds(evidence: Evidence, condition: Mapping[str, Any], about: Pass) -> bool:
    """Return what planning would say."""
    sql = truth(
        condition,
        person="asked.person_id",
        bits=evidence.bits,
        entered_at="asked.entered_at",
        until="asked.until" if about.until else None,
        enrollment="asked.enrollment_id",
        trigger="asked.event",
    )
    until = _moment(about.until)
    asked = (
        f"(select {evidence.person_id}::bigint as person_id, {_moment(about.entered_at)} as entered_at,"
        f" {until} as until, {literal(about.enrollment_id or '')} as enrollment_id, {_text(about.event)} as event)"
        " as asked"
    )
    values = {"as_of": evidence.as_of} if "$as_of" in sql else {}
    return bool(evidence.connection.execute(f"select {sql} from {asked}", values).fetchall()[0][0])


def _moment(value: datetime | None) -> str:
    return "null::timestamp" if value is None else f"timestamp '{value}'"


def _text(value: str | None) -> str:
    return "null::varchar" if value is None else literal(value)


def _member(evidence: Evidence, segment: str, condition: Mapping[str, Any], about: Pass) -> Weighed:
    holds = _holds(evidence, condition, about)
    seen = "is in it" if holds else "is not in it" if segment in evidence.bits else "there is no such segment"
    return Weighed(f"in {segment}", holds, seen, (f"to be in {segment}",), (f"not to be in {segment}",))


def _happened(evidence: Evidence, event: str, condition: Mapping[str, Any], about: Pass) -> Weighed:
    since = condition["since"]
    span = "since the entry" if since == "entry" else f"within {spoken(timedelta(seconds=since))}"
    names = condition.get("same", ())
    named = f"`{event}`" + (f" where {condition['where']}" if condition.get("where") else "")
    named += f" with the same {' and '.join(names)}" if names else ""
    text = f"event {named} {span}"
    to_hold, to_fail = (f"an event {named} {span}",), (f"no event {named} {span}",)
    if not evidence.knows_events:
        return Weighed(text, None, UNKNOWN, to_hold, to_fail)
    if names and about.event is None and about.enrollment_id is None:
        return Weighed(text, None, f"the event to compare with is {UNKNOWN}", to_hold, to_fail)
    alike = same(names, "happened.properties", _text(about.event)) or "true"
    last = evidence.connection.execute(
        "select max(event_at) from wh.core.fct_events as happened where person_id = $person and event = $event"
        f" and type = 'track' and event_at <= $as_of and ({condition.get('where_sql') or 'true'}) and {alike}",
        {"person": evidence.person_id, "event": event, "as_of": evidence.as_of},
    ).fetchall()[0][0]
    seen = "never" if last is None else f"last on {last:%Y-%m-%d %H:%M:%S}"
    seen += "".join(f"; {name} was {_property(about.event, name)}" for name in names)
    return Weighed(text, _holds(evidence, condition, about), seen, to_hold, to_fail)


def _property(event: str | None, name: str) -> str:
    """Return a property of the event that started the pass, as it is to be read."""
    return _value(json.loads(event or "{}").get(name))


def _answered(evidence: Evidence, step: str, condition: Mapping[str, Any], about: Pass) -> Weighed:
    wanted = condition.get("status") or "an answer"
    asked = f" where {condition['where']}" if condition.get("where") else ""
    text = f"the answer to {step} is {wanted}{asked}"
    rows = evidence.connection.execute(
        "select status_code from responses where enrollment_id = $enrollment and step = $step",
        {"enrollment": about.enrollment_id or "", "step": step},
    ).fetchall()
    seen = "no answer so far" if not rows else f"it was {rows[0][0] or 'none'}"
    change = f"another answer to {step}"
    return Weighed(text, _holds(evidence, condition, about), seen, (change,), (change,))


def _attributes(evidence: Evidence, condition: Mapping[str, Any], about: Pass) -> Weighed:
    written = condition.get("where") or ", ".join(condition["columns"])
    to_hold, to_fail = (f"`{written}` to be true",), (f"`{written}` not to be true",)
    if not evidence.knows_people:
        return Weighed(f"where {written}", None, UNKNOWN, to_hold, to_fail)
    people.describe(evidence.connection, condition["columns"], str(evidence.person_id))
    row = evidence.row("dim_person_features") | evidence.row("dim_people")
    seen = ", ".join(f"{name} is {_value(row.get(name))}" for name in sorted(condition["columns"]))
    return Weighed(f"where {written}", _holds(evidence, condition, about), seen, to_hold, to_fail)


def _value(value: Any) -> str:
    return "not known" if value is None else str(value)


def spoken(span: timedelta) -> str:
    """Return a span of time as people write it: `2d`, `3h`, `1d 4h`, `20m`; at least a minute."""
    minutes = max(1, -(-int(span.total_seconds()) // 60))
    days, rest = divmod(minutes, 1440)
    parts = [f"{days}d"] if days else []
    if rest // 60:
        parts.append(f"{rest // 60}h")
    if rest % 60 and not days:
        parts.append(f"{rest % 60}m")
    return " ".join(parts)
