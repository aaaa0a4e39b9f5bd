"""When is that, as a destination writes it? Times of a row come as text, ISO 8601 as the warehouse writes them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

_ISO = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d(?::?\d\d)?)?)?")

_DATE = len("2026-03-01")


def moment(value: object) -> datetime | None:
    """Return the moment that a text names, in UTC; a text without a zone is UTC, a date is its midnight.

    None for what is not wholly such a text: `20260301` and `12 March` stay what they are.
    """
    if not isinstance(value, str) or not _ISO.fullmatch(value):
        return None
    try:
        told = datetime.fromisoformat(value)
        return told.replace(tzinfo=UTC) if told.tzinfo is None else told.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def instant(value: object) -> datetime | None:
    """Return the moment that a text with a time of day names; None for a date too, which many write as it is."""
    return moment(value) if isinstance(value, str) and len(value) > _DATE else None


def unix(value: object) -> Any:
    """Return a moment as seconds since 1970, whole; anything else as it is."""
    told = moment(value)
    return value if told is None else int(told.timestamp() // 1)


def millis(value: object) -> Any:
    """Return a moment as milliseconds since 1970; anything else as it is."""
    told = moment(value)
    return value if told is None else round(told.timestamp() * 1000)


def iso(value: object) -> Any:
    """Return a moment as `2026-03-01T06:00:00.000Z`; anything else as it is, and so a date."""
    told = instant(value)
    return value if told is None else told.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def unix_within(value: Any) -> Any:
    """Return the value with every moment in it, however deep, as seconds since 1970."""
    if isinstance(value, dict):
        return {key: unix_within(one) for key, one in value.items()}
    if isinstance(value, list):
        return [unix_within(one) for one in value]
    return unix(value)
