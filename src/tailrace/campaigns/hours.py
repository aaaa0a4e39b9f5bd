"""Which hours of which days? `{days: mon-fri, from: "09:00", to: "18:00"}`, local time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tailrace.campaigns import amounts
from tailrace.campaigns.document import Node

KEYS = ("days", "from", "to")
WHOLE_WEEK = (1, 2, 3, 4, 5, 6, 7)
_WEEK = 7 * 1440


@dataclass(frozen=True)
class Hours:
    """A span of local time on some days (Monday is 1), in minutes of the day.

    One that ends before it starts goes on after midnight and belongs to the day on which it began.
    """

    days: tuple[int, ...]
    start: int
    end: int

    def facts(self) -> dict[str, Any]:
        """Return the hours as a definition has them."""
        return {"days": list(self.days), "from": self.start, "to": self.end}

    def minutes(self) -> frozenset[int]:
        """Return the minutes of the week that are in it; 0 is Monday's first."""
        length = (self.end - self.start) % 1440 or 1440
        starts = [(day - 1) * 1440 + self.start for day in self.days]
        return frozenset((start + minute) % _WEEK for start in starts for minute in range(length))


def read_hours(node: Node) -> Hours | None:
    """Return the hours that `node` says, or None having reported what is wrong with it.

    Without `days` they are of all days; `from` is then the start and `to` the end of the day.
    """
    table = node.table(KEYS)
    if table is None:
        return None
    days, start, end = (table.get(name) for name in KEYS)
    if not table.nodes:
        if not table.written:
            node.wrong(f'`{node.name}` says nothing; expected something like `{{days: mon-fri, from: "09:00"}}`')
        return None
    which = _days(days) if days else WHOLE_WEEK
    opens = start.convert(amounts.minutes) if start else 0
    closes = end.convert(amounts.minutes) if end else 1440
    if opens is None or closes is None or which is None:
        return None
    if opens % 1440 == closes:
        node.wrong(f"`{node.name}` ends when it begins; expected two different times: leave both out for whole days")
        return None
    if opens == 1440:
        node.wrong("`from` is `24:00`; expected `00:00` or another start")
        return None
    return Hours(which, opens, closes)


def _days(node: Node) -> tuple[int, ...] | None:
    if node.scalar() is not None:
        return node.convert(amounts.days)
    found: set[int] = set()
    for row in node.rows() or []:
        found.update(row.convert(amounts.days) or ())
    return tuple(sorted(found)) or None
