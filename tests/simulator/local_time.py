"""When is it in a person's own time? Plain zoneinfo, independent of DuckDB's ICU."""

from __future__ import annotations

import calendar
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

MINUTE = timedelta(minutes=1)
_ZONES = available_timezones()


def zone(person: Mapping[str, Any], countries: Mapping[str, str], project: str) -> ZoneInfo:
    """Return the person's zone: its own when it is one, else its country's first, else the project's."""
    own = person.get("timezone")
    if own in _ZONES:
        return ZoneInfo(own)
    return ZoneInfo(countries.get(person.get("country") or "", project))


def moment(on: date, minutes: int, where: ZoneInfo) -> datetime:
    """Return the instant of a local time: after a gap the instant at which it ends, of two the first."""
    wall = datetime.combine(on, time(minutes // 60, minutes % 60))
    first = wall.replace(tzinfo=where, fold=0)
    if _exists(first):
        return first.astimezone(UTC)
    # In a gap: the first local minute after it that exists.
    step = wall
    while not _exists(step.replace(tzinfo=where)):
        step += MINUTE
    return step.replace(tzinfo=where, fold=0).astimezone(UTC)


def _exists(local: datetime) -> bool:
    back = local.astimezone(UTC).astimezone(local.tzinfo)
    return back.replace(tzinfo=None) == local.replace(tzinfo=None)


def anniversary(born: date, year: int, month: int | None = None) -> date:
    """Return the day of that year (or of that month of it), the month's last where it has no such day."""
    month = month or born.month
    return date(year, month, min(born.day, calendar.monthrange(year, month)[1]))


def is_open(at: datetime, days: frozenset[int], start: int, end: int, where: ZoneInfo) -> bool:
    """Return whether the instant lies in the daily span [start, end), which began on one of the days (Monday is 1).

    A span whose end is not after its start goes over midnight and belongs to the day on which it began.
    """
    local = at.astimezone(where)
    for back in (0, 1):
        day = local.date() - timedelta(days=back)
        opens = moment(day, start, where)
        closes = moment(day + timedelta(days=1 if end <= start else 0), end % 1440, where)
        if end == 1440:
            closes = moment(day + timedelta(days=1), 0, where)
        if day.isoweekday() in days and opens <= at < closes:
            return True
    return False
