"""What time is it? The only module that asks; everything else is told."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime

from tailrace.errors import TailraceError


def now() -> datetime:
    """Return the present instant, in UTC, to the second (plans carry whole seconds)."""
    return datetime.now(UTC).replace(microsecond=0)


def monotonic() -> float:
    """Return seconds on a clock that never goes back, for measuring durations and time budgets."""
    return time.monotonic()


def sleep(seconds: float) -> None:
    """Wait; the only place that does."""
    time.sleep(seconds)


def parse(text: str) -> datetime:
    """Return the instant that `text` names: an ISO 8601 date or time; without a zone it is UTC.

    Raises TailraceError when it is neither.
    """
    try:
        moment = datetime.fromisoformat(text)
        # At the ends of the calendar a zone may put the instant outside of the years 1 to 9999: OverflowError.
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise TailraceError(
            f"`{text}` is not a time; expected ISO 8601 such as `2026-01-31` or `2026-01-31T06:00:00Z`"
        ) from error


def iso(moment: datetime) -> str:
    """Return `moment` as text, always UTC and always the same for the same instant: `2026-01-31T06:00:00Z`."""
    return moment.astimezone(UTC).isoformat(timespec="auto").replace("+00:00", "Z")


def naive(moment: datetime) -> datetime:
    """Return `moment` as the zone-less UTC value that warehouse timestamps hold."""
    return moment.astimezone(UTC).replace(tzinfo=None)


def day(moment: datetime) -> date:
    """Return the UTC date of `moment`."""
    return moment.astimezone(UTC).date()
