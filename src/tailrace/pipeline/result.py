"""What came of a run? One object, with the counts of each step and every balance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from tailrace import clock
from tailrace.errors import TailraceError


@dataclass(frozen=True)
class Balance:
    """An equation that must hold: `total` is the sum of `parts`."""

    name: str
    total: int
    parts: dict[str, int]

    @property
    def holds(self) -> bool:
        """Whether it does."""
        return self.total == sum(self.parts.values())


def quiet(step: str) -> None:
    """Say nothing of a step that begins."""


@dataclass
class Result:
    """What a run, or a part of one, did. `steps` are counts by step; `seconds` how long each took.

    `ignored` are the writes of attributes by sources that do not own them, as the warehouse counts them.
    `broken` are the rules of events' contracts that loads new to the plan broke, by property and source.
    `unread` says, by source, why a table could not be read. `elsewhere` says that another process delivers, which is
    `is_silent` when nothing was heard of it for long. `tell` hears the name of each step as it begins.
    """

    as_of: datetime
    plan_id: str | None = None
    parent: str | None = None
    is_new: bool = False
    steps: dict[str, dict[str, Any]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    balances: list[Balance] = field(default_factory=list)
    tripped: list[dict[str, Any]] = field(default_factory=list)
    ignored: list[dict[str, Any]] = field(default_factory=list)
    broken: list[dict[str, Any]] = field(default_factory=list)
    unread: dict[str, str] = field(default_factory=dict)
    elsewhere: str | None = None
    is_silent: bool = False
    tell: Callable[[str], None] = field(default=quiet, repr=False, compare=False)

    @property
    def exit_code(self) -> int:
        """Return 3 when a guard parked something, a source could not be read or a delivery is stuck, else 0."""
        return 3 if self.tripped or self.unread or self.is_silent else 0

    def add(self, balance: Balance) -> None:
        """Note the balance.

        Raises TailraceError when it does not hold: a count is missing, so nothing may go on from here.
        """
        self.balances.append(balance)
        if not balance.holds:
            parts = " + ".join(f"{count} {name}" for name, count in balance.parts.items())
            raise TailraceError(
                f"the counts of `{balance.name}` do not balance: {balance.total} is not {parts}; expected the same, so"
                " nothing goes on from here: report this as a defect"
            )

    def document(self) -> dict[str, Any]:
        """Return the result as JSON-able facts."""
        return {
            "as_of": clock.iso(self.as_of),
            "plan_id": self.plan_id,
            "parent": self.parent,
            "is_new": self.is_new,
            "steps": self.steps,
            "seconds": {step: round(seconds, 3) for step, seconds in self.seconds.items()},
            "balances": [asdict(balance) | {"holds": balance.holds} for balance in self.balances],
            "tripped": self.tripped,
            "ownership_violations": self.ignored,
            "contract_breaches": self.broken,
            "unread_sources": self.unread,
            "delivery_elsewhere": self.elsewhere,
            "exit_code": self.exit_code,
        }
