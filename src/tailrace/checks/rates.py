"""Does an event come as often as it usually does? Its last days beside the weeks before them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from math import sqrt
from typing import Literal

from tailrace import clock

RECENT, USUAL = timedelta(days=7), timedelta(days=28)
_DAY = timedelta(days=1)
_ENOUGH = 3.0
"""So many expected in the last days, and none coming is no chance."""
_FAR = 4.0
"""Standard deviations from what is usual (Poisson) that are no chance."""

Status = Literal["ok", "warning", "failed"]


@dataclass(frozen=True)
class Rate:
    """How often an event came: `recent` in the last days before as_of, `usual` in the weeks before those."""

    recent: int
    usual: int
    first_at: datetime | None
    last_at: datetime | None

    def expected(self, as_of: datetime) -> float | None:
        """Return how many would have come in the last days at the usual rate; None when it is too new to have one."""
        if self.first_at is None:
            return None
        since = max(self.first_at, as_of - RECENT - USUAL)
        known = (as_of - RECENT - since) / _DAY
        return None if known < 1 else self.usual / known * (RECENT / _DAY)


def judge(rate: Rate, as_of: datetime, *, starts: bool) -> tuple[Status, str]:
    """Return whether the rate is plausible, in words; `starts` is whether the campaign can start nobody without it."""
    if rate.last_at is None:
        return ("failed" if starts else "warning"), "has never come"
    expected = rate.expected(as_of)
    days = f"{RECENT // _DAY} days"
    usual = "" if expected is None else f", usually {expected:,.0f}" if expected >= 1 else f", usually {expected:.1f}"
    if rate.recent == 0:
        text = f"did not come in {days}{usual}; the last one was on {clock.iso(rate.last_at)[:10]}"
        return ("failed" if starts and (expected or 0.0) >= _ENOUGH else "warning"), text
    text = f"{rate.recent:,} in {days}{usual}"
    if expected is None:
        return "ok", f"{text}: new since {clock.iso(rate.first_at or rate.last_at)[:10]}"
    is_far = abs(rate.recent - expected) > _FAR * sqrt(expected + 1)
    if is_far and not expected / 2 <= rate.recent <= expected * 2:
        return "warning", f"{text}: {'fewer' if rate.recent < expected else 'more'} than chance explains"
    return "ok", text
