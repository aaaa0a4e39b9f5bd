"""When is it tried again, and when is a destination left alone? The one place for waits, tries and breakers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

from tailrace import ids
from tailrace.destinations.base import Outcome, Result

MAX_TRIES = 8
"""An item that was put off this often through its own fault is given up."""
FIRST_WAIT = timedelta(minutes=1)
LONGEST_WAIT = timedelta(hours=6)
DESTINATION_WAIT = timedelta(minutes=5)
"""How long an item waits when its destination, not the item, was at fault."""
LONGEST_ASKED = timedelta(hours=24)
FAILURES_TO_STOP = 3
"""So many failures of the destination in a row, and it is left alone for the rest of the run."""
OUT_OF_TIME = "out_of_time"
"""The code of rows that the time budget did not reach."""


def next_at(result: Result, item_id: str, attempt: int, tries: int, now: datetime) -> datetime:
    """Return when an item that was put off is tried again: twice as long each time, or as long as was asked for.

    Jitter is a hash of item and attempt, between three quarters of the wait and all of it. What only our own time did
    not reach waits for nothing.
    """
    if result.code == OUT_OF_TIME:
        return now
    wait = DESTINATION_WAIT if result.is_systemic else min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(tries, 16))
    share = int(ids.digest("jitter", item_id, str(attempt))[:8], 16) / 0xFFFFFFFF
    wait = wait * (0.75 + 0.25 * share)
    asked = timedelta(seconds=result.retry_after or 0)
    return now + max(wait, min(asked, LONGEST_ASKED))


@dataclass
class Breaker:
    """Whether a destination is still worth trying in this run; `why` it is not, else None."""

    why: str | None = None
    _failures: int = 0

    def saw(self, result: Result) -> None:
        """Take in one answer: blocked stops at once, failures of the destination when they come in a row."""
        if result.outcome is Outcome.BLOCKED:
            self.why = result.code
        elif result.is_systemic:
            self._failures += 1
            if self._failures >= FAILURES_TO_STOP:
                self.why = result.code
        else:
            self._failures = 0


@dataclass
class Budget:
    """A time budget; `seconds` None is without end."""

    started: datetime
    seconds: float | None

    def left(self, now: datetime) -> float:
        """Return how many seconds are left."""
        return math.inf if self.seconds is None else self.seconds - (now - self.started).total_seconds()

    def is_spent(self, now: datetime) -> bool:
        """Return whether the time is over."""
        return self.seconds is not None and (now - self.started).total_seconds() >= self.seconds
