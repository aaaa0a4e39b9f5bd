"""May a message leave at this moment? Its campaign's window and the quiet hours, by the clock on the person's wall.

Planning finds the first moment and says it as `deliver_after`; a delivery that comes later asks again here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

_DAY = timedelta(days=1)


def is_open(hours: Mapping[str, Any], at: datetime) -> bool:
    """Return whether `at` lies in the window, if there is one, and outside the quiet hours, if there are any.

    `hours` is `hours` of a payload (`planning.relations.PAYLOADS`). A span that ends no later than it begins goes over
    midnight and belongs to the day on which it began (Monday is 1); an hour that the clocks repeat is in it twice.
    """
    local = at.astimezone(ZoneInfo(hours["zone"])).replace(tzinfo=None)
    in_window = hours["days"] is None or _within(local, hours["days"], hours["from"], hours["to"])
    is_quiet = hours["quiet_days"] is not None and _within(
        local, hours["quiet_days"], hours["quiet_from"], hours["quiet_to"]
    )
    return in_window and not is_quiet


def _within(local: datetime, days: Sequence[int], begins: int, ends: int) -> bool:
    minute = local.hour * 60 + local.minute
    if ends > begins:
        return local.isoweekday() in days and begins <= minute < ends
    before_midnight = local.isoweekday() in days and minute >= begins
    return before_midnight or ((local - _DAY).isoweekday() in days and minute < ends)
