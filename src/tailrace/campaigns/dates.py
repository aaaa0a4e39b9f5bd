"""How is a moment written in a message? By our own words and the letters of strftime; English, in the zone given."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from tailrace.campaigns.definition import RenderError
from tailrace.campaigns.formats import number, plain

MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
STYLES = {
    "long": "%-d %B %Y",
    "short": "%-d %b %Y",
    "day": "%-d %B",
    "weekday": "%A, %-d %B",
    "month": "%B %Y",
    "iso": "%Y-%m-%d",
    "time": "%H:%M",
}
"""Our own words for a pattern."""
_ONLY_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_DIRECTIVE = re.compile(r"%([-0_^]?)(.)", re.DOTALL)
_LONGEST_PATTERN = 200


def _hour12(moment: datetime) -> int:
    return moment.hour % 12 or 12


_NUMBERS: dict[str, tuple[Callable[[datetime], int], int, str]] = {
    "d": (lambda moment: moment.day, 2, "0"),
    "e": (lambda moment: moment.day, 2, " "),
    "m": (lambda moment: moment.month, 2, "0"),
    "Y": (lambda moment: moment.year, 4, "0"),
    "y": (lambda moment: moment.year % 100, 2, "0"),
    "H": (lambda moment: moment.hour, 2, "0"),
    "k": (lambda moment: moment.hour, 2, " "),
    "I": (_hour12, 2, "0"),
    "l": (_hour12, 2, " "),
    "M": (lambda moment: moment.minute, 2, "0"),
    "S": (lambda moment: moment.second, 2, "0"),
    "j": (lambda moment: moment.timetuple().tm_yday, 3, "0"),
    "u": (lambda moment: moment.isoweekday(), 1, "0"),
    "w": (lambda moment: moment.isoweekday() % 7, 1, "0"),
    "s": (lambda moment: int(moment.timestamp()), 1, "0"),
}
"""Letters that give a number: how, its least width, and what fills it."""
_WORDS: dict[str, Callable[[datetime], str]] = {
    "B": lambda moment: MONTHS[moment.month - 1],
    "b": lambda moment: MONTHS[moment.month - 1][:3],
    "h": lambda moment: MONTHS[moment.month - 1][:3],
    "A": lambda moment: WEEKDAYS[moment.weekday()],
    "a": lambda moment: WEEKDAYS[moment.weekday()][:3],
    "p": lambda moment: "AM" if moment.hour < 12 else "PM",
    "P": lambda moment: "am" if moment.hour < 12 else "pm",
    "Z": lambda moment: str(moment.tzname()),
    "z": lambda moment: moment.strftime("%z"),
    "%": lambda moment: "%",
}
_WHOLE = {"F": "%Y-%m-%d", "D": "%m/%d/%y", "T": "%H:%M:%S", "R": "%H:%M", "r": "%I:%M:%S %p"}


def as_date(value: Any, style: str = "long", zone: str | None = None) -> str:
    """Return an ISO date or time, or seconds since 1970, as `style` says: a word of STYLES or a pattern of strftime.

    A moment is UTC unless it says otherwise; with `zone` it is written in that zone. A date alone is never moved.
    """
    moment, is_date = _moment(value)
    if zone is not None and not is_date:
        moment = moment.astimezone(_zone(zone))
    return _written(moment, STYLES.get(plain(style), plain(style)))


def in_zone(value: Any, zone: str) -> str:
    """Return the moment as ISO text in the zone, for `date` to write."""
    moment, is_date = _moment(value)
    return moment.date().isoformat() if is_date else moment.astimezone(_zone(zone)).isoformat()


def pattern_problem(style: str) -> str | None:
    """Return what is wrong with a style that an author wrote, or None."""
    if style in STYLES:
        return None
    if "%" not in style:
        return f"`date` knows no style `{style}`; expected one of {', '.join(STYLES)}, or a pattern such as `%B %d, %Y`"
    for _, letter in _DIRECTIVE.findall(style):
        if letter not in _NUMBERS and letter not in _WORDS and letter not in _WHOLE:
            letters = " ".join(f"%{known}" for known in (*_NUMBERS, *_WORDS, *_WHOLE))
            return f"`date` knows no `%{letter}`; expected {letters}"
    return None


def _moment(value: Any) -> tuple[datetime, bool]:
    """Return the moment, aware, and whether it is a date alone."""
    if isinstance(value, bool):
        raise RenderError("wrong_type")
    text = plain(value).strip()
    try:
        if isinstance(value, int | float) or text.isdecimal():
            return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=float(number(text))), False
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise RenderError("wrong_type") from None
    is_date = _ONLY_DATE.fullmatch(text) is not None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)), is_date


def _zone(name: Any) -> ZoneInfo:
    try:
        return ZoneInfo(plain(name).strip())
    except (ValueError, OSError, LookupError):
        # A zone that nobody knows: ZoneInfoNotFoundError is a KeyError, a path is a ValueError.
        raise RenderError("wrong_type") from None


def _written(moment: datetime, pattern: str) -> str:
    if len(pattern) > _LONGEST_PATTERN or "%" not in pattern:
        raise RenderError("wrong_type")

    def written(match: re.Match[str]) -> str:
        flag, letter = match.groups()
        if letter in _WHOLE:
            return _written(moment, _WHOLE[letter])
        if letter in _WORDS:
            return _WORDS[letter](moment).upper() if flag == "^" else _WORDS[letter](moment)
        if letter not in _NUMBERS:
            raise RenderError("wrong_type")
        read, width, fill = _NUMBERS[letter]
        fill = {"0": "0", "_": " "}.get(flag, fill)
        return str(read(moment)) if flag == "-" else str(read(moment)).rjust(width, fill)

    return _DIRECTIVE.sub(written, pattern)
