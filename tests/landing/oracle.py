"""What does the manual say becomes of one line of Segment JSONL? A second opinion, without landing's code."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

SPEC = {
    "messageId", "type", "event", "name", "userId", "anonymousId", "previousId", "groupId", "timestamp",
    "originalTimestamp", "sentAt", "receivedAt", "properties", "traits", "context",
}  # fmt: skip
IDS = ("messageId", "type", "event", "name", "userId", "anonymousId", "previousId", "groupId")
TIMES = ("timestamp", "originalTimestamp", "sentAt", "receivedAt")
BODIES = ("properties", "traits", "context")
TIME = re.compile(r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d):(\d\d):(\d\d)(\.\d{1,9})?(Z|([-+])(\d\d):?(\d\d))?)?", re.ASCII)


class Refused(ValueError):
    """The line, or the call, belongs in quarantine."""


@dataclass(frozen=True)
class Number:
    """A number as it is written; equal to another of the same value."""

    value: Decimal

    @classmethod
    def of(cls, text: str) -> Number:
        return cls(Decimal(text))


def parse(text: str) -> Any:
    """Return strict JSON as Python values, numbers exact; Refused for anything else."""

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({key for key, _ in found}) != len(found):
            raise Refused("a key twice")
        return dict(found)

    def constant(name: str) -> Any:
        raise Refused(name)

    try:
        return json.loads(text, object_pairs_hook=pairs, parse_constant=constant, parse_float=Fraction, parse_int=Whole)
    except (json.JSONDecodeError, RecursionError) as error:
        raise Refused(str(error)) from error


class Whole(str):
    """The text of a number without fraction or exponent."""


class Fraction(str):
    """The text of any other number."""


def meaning(value: Any) -> Any:
    """Return a value that is equal to another exactly when both say the same: `1` is `1.0`, but not `true` or `"1"`."""
    if isinstance(value, dict):
        return ("object", frozenset((key, meaning(inner)) for key, inner in value.items()))
    if isinstance(value, list):
        return ("list", tuple(meaning(inner) for inner in value))
    if isinstance(value, Whole | Fraction):
        return ("number", Decimal(value))
    return (type(value).__name__, value)


def sound(value: Any, depth: int = 1) -> None:
    """Refuse what cannot be kept: depth, NUL, half a surrogate pair, fractions that a double changes."""
    if depth > 64 and isinstance(value, dict | list):
        raise Refused("depth")
    if isinstance(value, Fraction):
        double = float(value)
        if abs(double) != float("inf") and Decimal(repr(double)) != Decimal(value):
            raise Refused("inexact")
    elif isinstance(value, str) and not isinstance(value, Whole):
        if "\x00" in value or any("\ud800" <= each <= "\udfff" for each in value):
            raise Refused("text")
    elif isinstance(value, dict):
        for key, inner in value.items():
            sound(key, depth + 1)
            sound(inner, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            sound(inner, depth + 1)


def ids(call: dict[str, Any]) -> None:
    """Refuse an id that is no text and no number with one spelling."""
    for key in IDS:
        value = call.get(key)
        if isinstance(value, bool | list | dict) or (isinstance(value, Whole) and value == "-0"):
            raise Refused(key)
        if isinstance(value, Fraction) and repr(float(value)) != value:
            raise Refused(key)


def moment(value: Any) -> datetime | None:
    """Return an ISO time to the microsecond; None for null."""
    if value is None:
        return None
    match = TIME.fullmatch(value) if isinstance(value, str) and not isinstance(value, Whole | Fraction) else None
    if match is None:
        raise Refused("time")
    day, hour, minute, second, part, zone, sign, hours, minutes = match.groups()
    try:
        at = datetime.fromisoformat(day).replace(tzinfo=UTC)
        if hour is not None:
            at = at.replace(hour=int(hour), minute=int(minute), second=int(second))
            at += timedelta(microseconds=int((part or ".0")[1:7].ljust(6, "0")))
        if zone not in (None, "Z"):
            if int(hours) > 23 or int(minutes) > 59:
                raise Refused("offset")
            away = timedelta(hours=int(hours), minutes=int(minutes))
            at = at - away if sign == "+" else at + away
    except (ValueError, OverflowError) as error:
        raise Refused("time") from error
    return at


Row = tuple[Any, ...]


def row(call: Any) -> Row:
    """Return what is kept of a call: message id, type, event, ids, time, bodies and rest; Refused if it cannot land."""
    if not isinstance(call, dict):
        raise Refused("no object")
    ids(call)
    text = {key: (call[key] or None) if call.get(key) is not None else None for key in IDS}
    kind = text["type"]
    if kind not in ("identify", "track", "page", "screen", "group", "alias"):
        raise Refused("type")
    event = text["event"] if kind == "track" else text["name"] if kind in ("page", "screen") else None
    if (
        (text["userId"] is None and text["anonymousId"] is None)
        or (kind == "track" and event is None)
        or (kind == "group" and text["groupId"] is None)
        or (kind == "alias" and (text["previousId"] is None or text["userId"] is None))
    ):
        raise Refused("incomplete")
    stamped, original, sent, received = (moment(call.get(key)) for key in TIMES)
    at = received - (sent - original) if received and sent and original else stamped or original or received
    if at is None or not datetime(1950, 1, 1, tzinfo=UTC) <= at < datetime(2100, 1, 1, tzinfo=UTC):
        raise Refused("time")
    bodies = [call.get(key) for key in BODIES]
    if any(body is not None and not isinstance(body, dict) for body in bodies):
        raise Refused("body")
    rest = {key: value for key, value in call.items() if key not in SPEC} or None
    return (
        *(each if each is None else str(each) for each in (text["messageId"], kind, event)),
        *(text[key] and str(text[key]) for key in ("userId", "anonymousId", "previousId", "groupId")),
        at.replace(tzinfo=None),
        *(meaning(body) for body in (*bodies, rest)),
    )


def rows(line: bytes) -> list[Row | None]:
    """Return what becomes of a line: nothing for a blank one, else per call what is kept, None for quarantine."""
    if not line.strip(b" \t\r"):
        return []
    try:
        document = parse(line.decode("utf-8"))
        sound(document)
        if not isinstance(document, dict):
            raise Refused("no object")
        ids(document)
        calls = [document]
        if isinstance(document.get("batch"), list):
            shared = {
                key: document[key] for key in ("sentAt", "receivedAt", "context", "integrations") if key in document
            }
            calls = [{**shared, **call} if isinstance(call, dict) else call for call in document["batch"]]
            if not calls:
                raise Refused("empty batch")
    except (Refused, UnicodeDecodeError):
        return [None]
    found: list[Row | None] = []
    for call in calls:
        try:
            found.append(row(call))
        except Refused:
            found.append(None)
    return found
