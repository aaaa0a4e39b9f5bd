"""Does a condition hold for somebody? Each one becomes one SQL expression that is true or false, never null.

The expression reads the plan's tables by `in` and `exists`: `current` (who is in which segment), `customers`
(person_id, customer), `responses` (enrollment_id, step, status_code, body), the warehouse `wh`, and the parameter
`$as_of`. Which conditions there are, and when each is true, is in docs/engine.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tailrace.engine import literal
from tailrace.planning.memberships import Bit

NOW = "$as_of::timestamp"


@dataclass(frozen=True)
class Needs:
    """What conditions read: columns of the person, segments, names of events, and webhook steps.

    `same` are properties of the event that started the person.
    """

    columns: frozenset[str] = frozenset()
    segments: frozenset[str] = frozenset()
    events: frozenset[str] = frozenset()
    responses: frozenset[str] = frozenset()
    same: frozenset[str] = frozenset()

    def __or__(self, other: Needs) -> Needs:
        """Return what both need."""
        return Needs(
            self.columns | other.columns,
            self.segments | other.segments,
            self.events | other.events,
            self.responses | other.responses,
            self.same | other.same,
        )


def needs(conditions: Iterable[Mapping[str, Any]]) -> Needs:
    """Return what the conditions read, nested ones included."""
    found = Needs()
    for condition in conditions:
        match condition:
            case {"all": inner} | {"any": inner}:
                found |= needs(inner)
            case {"not": inner}:
                found |= needs([inner])
            case {"in": segment}:
                found |= Needs(segments=frozenset({segment}))
            case {"event": event}:
                found |= Needs(events=frozenset({event}), same=frozenset(condition.get("same", ())))
            case {"response": step}:
                found |= Needs(responses=frozenset({step}))
            case {"columns": columns}:
                found |= Needs(columns=frozenset(columns))
    return found


@dataclass(frozen=True)
class _Row:
    """The row that a condition is about, as SQL expressions of the outer query."""

    person: str
    entered_at: str | None
    until: str | None
    enrollment: str | None
    trigger: str | None


def truth(
    condition: Mapping[str, Any],
    *,
    person: str,
    bits: Mapping[str, Bit],
    entered_at: str | None = None,
    until: str | None = None,
    enrollment: str | None = None,
    trigger: str | None = None,
) -> str:
    """Return SQL that is true when the condition holds at `$as_of`, else false.

    `person`, `entered_at`, `until`, `enrollment` and `trigger` are qualified SQL expressions of the outer row. `until`
    is the last instant at which an event counts, if it is before `$as_of`; `trigger` the properties (JSON text) of the
    event that started the person. Raises ValueError for an event since entry without `entered_at`, for a response
    without `enrollment`, for `same` without `trigger`, and for a condition of no known kind.
    """
    return _truth(condition, _Row(person, entered_at, until, enrollment, trigger), bits)


def people(condition: Mapping[str, Any], bits: Mapping[str, Bit]) -> str | None:
    """Return SQL for people of whom alone the condition can hold, or None when they cost as much as to ask it."""
    match condition:
        case {"in": segment}:
            bit = bits.get(segment)
            return None if bit is None else f"select person_id from current where {_has(bit)}"
        case {"all": inner}:
            return next((found for each in inner if (found := people(each, bits)) is not None), None)
        case {"any": inner}:
            several = [people(each, bits) for each in inner]
            return " union all ".join(each for each in several if each) if several and None not in several else None
        case _:
            return None


def same(names: Sequence[str], one: str, other: str) -> str:
    """Return SQL for two events, given by their properties, that have the same value in each of the properties.

    It is null when one of them lacks a property, or has a list or an object there. Values are compared as text, as
    `occurrence` tells them apart; but a number is the same however it is written.
    """
    return " and ".join(f"{_value(one, name)} = {_value(other, name)}" for name in names)


def _value(properties: str, name: str) -> str:
    path = literal(f'$."{name}"')
    place = f"{properties}, {path}"
    return (
        f"case json_type({place}) when 'OBJECT' then null when 'ARRAY' then null"
        rf" when 'DOUBLE' then regexp_replace(json_extract_string({place}), '\.0$', '')"
        f" else json_extract_string({place}) end"
    )


def _truth(condition: Mapping[str, Any], row: _Row, bits: Mapping[str, Bit]) -> str:
    match condition:
        case {"all": inner}:
            sql = "(" + (" and ".join(_truth(each, row, bits) for each in inner) or "true") + ")"
        case {"any": inner}:
            sql = "(" + (" or ".join(_truth(each, row, bits) for each in inner) or "false") + ")"
        case {"not": inner}:
            sql = f"(not {_truth(inner, row, bits)})"
        case {"in": segment}:
            sql = _is_member(bits.get(segment), row)
        case {"event": event}:
            sql = _happened(event, condition, row)
        case {"response": step}:
            sql = _answered(step, condition, row)
        case {"where_sql": where}:
            sql = _among(row.person, "select person_id from customers", where)
        case _:
            raise ValueError(f"no condition has the keys {sorted(condition)}")
    return sql


def _among(who: str, select: str, *filters: str | None) -> str:
    """Return SQL for being in a set that does not depend on the row: found once, not for each row."""
    return f"({who} in ({select} where {' and '.join(f'({each})' for each in filters if each)}))"


def _exists(relation: str, *filters: str | None) -> str:
    conditions = " and ".join(f"({each})" for each in filters if each)
    return f"exists (select 1 from {relation} where {conditions})"


def _is_member(bit: Bit | None, row: _Row) -> str:
    if bit is None:  # a segment that the plan does not have has no members
        return "false"
    return _among(row.person, "select person_id from current", _has(bit))


def _has(bit: Bit) -> str:
    return f"(w{bit.word} & {bit.mask}::ubigint) <> 0"


def _happened(event: str, condition: Mapping[str, Any], row: _Row) -> str:
    now = NOW if row.until is None else f"least({NOW}, {row.until})"
    since = condition["since"]
    if since == "entry" and row.entered_at is None:
        raise ValueError(f"an event since entry ({event!r}) is asked of a row that has not entered")
    begins = f">= {row.entered_at}" if since == "entry" else f"> {now} - to_seconds({int(since)})"
    names = condition.get("same", ())
    if names and row.trigger is None:
        raise ValueError(f"an event ({event!r}) is to be the same as the trigger's, of a row that has none")
    matching = (
        f"happened.event = {literal(event)} and happened.type = 'track'",
        f"happened.event_at <= {now} and happened.event_at {begins}",
        condition.get("where_sql"),
    )
    events = "wh.core.fct_events as happened"
    if names and row.trigger is not None:
        alike = same(names, "happened.properties", row.trigger)
        return _exists(events, f"happened.person_id = {row.person}", alike, *matching)
    if since == "entry" or row.until is not None:
        return _exists(events, f"happened.person_id = {row.person}", *matching)
    return _among(row.person, f"select person_id from {events}", "happened.person_id is not null", *matching)


def _answered(step: str, condition: Mapping[str, Any], row: _Row) -> str:
    if row.enrollment is None:
        raise ValueError(f"the response of step {step!r} is asked of a row that has no enrollment")
    status = condition.get("status")
    if status is None:  # an outcome without a status code is no answer: nobody was reached
        said = "responses.status_code is not null"
    elif str(status).endswith("xx"):
        said = f"responses.status_code // 100 = {int(str(status)[:-2])}"
    else:
        said = f"responses.status_code = {int(status)}"
    return _among(
        row.enrollment,
        "select enrollment_id from responses",
        f"responses.step = {literal(step)}",
        said,
        condition.get("where_sql"),
    )
