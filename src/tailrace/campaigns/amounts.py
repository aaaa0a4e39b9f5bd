"""How are durations, shares, hours, days and moments written? Strictly, with one spelling for each."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_DURATION = re.compile(r"([1-9][0-9]{0,5})([mhdw])", re.ASCII)
_PERCENT = re.compile(r"(100|[0-9]{1,2})(?:\.([0-9]{1,2}))?%", re.ASCII)
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_LONGEST = timedelta(days=3_660)
_CLOCK = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])|24:00", re.ASCII)
_OFFSET = re.compile(r"(-?)(0|[1-9][0-9]{0,3})d", re.ASCII)
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def duration(text: str) -> timedelta:
    """Return the duration that `30m`, `48h`, `7d` or `2w` names: more than zero, at most ten years.

    Raises ValueError, with words for the author, on anything else.
    """
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(
            f"`{text}` is not a duration; expected a whole number above 0 and a unit: `30m`, `48h`, `7d`, `2w`"
        )
    length = int(match.group(1)) * _UNITS[match.group(2)]
    if length > _LONGEST:
        raise ValueError(f"`{text}` is longer than ten years; expected at most `3660d`")
    return length


def basis_points(text: str) -> int:
    """Return the share that `10%` or `2.5%` names, in basis points (10 % is 1,000).

    Raises ValueError, with words for the author, on anything else.
    """
    match = _PERCENT.fullmatch(text)
    points = None if match is None else int(match.group(1)) * 100 + int((match.group(2) or "0").ljust(2, "0"))
    if points is None or points > 10_000:
        raise ValueError(f"`{text}` is not a share; expected a percentage from `0%` to `100%`, such as `10%` or `2.5%`")
    return points


def minutes(text: str) -> int:
    """Return the minute of the day that `09:00` names; `24:00`, the end of the day, is 1440.

    Raises ValueError, with words for the author, on anything else.
    """
    match = _CLOCK.fullmatch(text)
    if match is None:
        raise ValueError(f"`{text}` is not a time of day; expected hours and minutes such as `09:00` or `18:30`")
    return 1440 if match.group(1) is None else int(match.group(1)) * 60 + int(match.group(2))


def days(text: str) -> tuple[int, ...]:
    """Return the days that `mon-fri` or `mon, wed, sat-sun` names, sorted; Monday is 1.

    Raises ValueError, with words for the author, on anything else.
    """
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        if first not in DAYS or (last or first) not in DAYS:
            raise ValueError(f"`{text}` names no days; expected something like `mon-fri` or `mon, wed, sat-sun`")
        start, end = DAYS.index(first), DAYS.index(last or first)
        found.update((start + step) % 7 + 1 for step in range((end - start) % 7 + 1))
    return tuple(sorted(found))


def offset(text: str) -> int:
    """Return the whole days that `-3d`, `0d` or `7d` names, at most ten years.

    Raises ValueError, with words for the author, on anything else.
    """
    match = _OFFSET.fullmatch(text)
    if match is None or int(match.group(2)) > _LONGEST.days:
        raise ValueError(f"`{text}` is not an offset; expected whole days such as `-3d`, `0d` or `7d`")
    return int(match.group(1) + match.group(2))


def moment(text: str) -> datetime:
    """Return the instant, in UTC, that an ISO 8601 time with a zone names.

    Raises ValueError, with words for the author, on anything else.
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise ValueError(
            f"`{text}` is not a moment; expected ISO 8601 with a zone, such as `2026-12-01T09:00Z` or `…+01:00`"
        )
    return found.astimezone(UTC)
