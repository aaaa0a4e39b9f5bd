"""How are durations and shares written? `48h` and `10%`, strictly, with one spelling for each."""

from __future__ import annotations

import re
from datetime import timedelta

_DURATION = re.compile(r"([1-9][0-9]{0,5})([mhdw])", re.ASCII)
_PERCENT = re.compile(r"(100|[0-9]{1,2})(?:\.([0-9]{1,2}))?%", re.ASCII)
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_LONGEST = timedelta(days=3_660)


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
