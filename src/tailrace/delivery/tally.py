"""What did a delivery do? Counts that must balance."""

from __future__ import annotations

from dataclasses import dataclass, field

from tailrace.destinations.base import Outcome
from tailrace.errors import JournalError

_OF_A_CLAIM = (Outcome.ACCEPTED, Outcome.REJECTED, Outcome.RETRY_LATER, Outcome.UNKNOWN, Outcome.BLOCKED)


@dataclass
class Tally:
    """Counts of messages, or of sync rows.

    `claimed` is what was taken up in this run; it is the sum of the five outcomes from `accepted` to `blocked`.
    `expired` and `cancelled` were closed without being taken up. `codes` counts `outcome:code`.
    """

    claimed: int = 0
    accepted: int = 0
    rejected: int = 0
    retry_later: int = 0
    unknown: int = 0
    blocked: int = 0
    expired: int = 0
    cancelled: int = 0
    codes: dict[str, int] = field(default_factory=dict)

    def add(self, outcome: Outcome, code: str, n: int = 1) -> None:
        """Count `n` items with this outcome."""
        setattr(self, outcome.value, getattr(self, outcome.value) + n)
        name = f"{outcome.value}:{code}"
        self.codes[name] = self.codes.get(name, 0) + n

    def take(self, other: Tally) -> None:
        """Add what another counted."""
        for name, n in other.counts().items():
            setattr(self, name, getattr(self, name) + n)
        for name, n in other.codes.items():
            self.codes[name] = self.codes.get(name, 0) + n

    def check(self, what: str) -> None:
        """Raise JournalError when the counts do not balance."""
        total = sum(self.parts().values())
        if total != self.claimed:
            raise JournalError(
                f"delivery of {what} does not balance: {self.claimed} claimed, {total} with an outcome; expected the"
                " same: run `tailrace unknown list` and report this as a defect"
            )

    def parts(self) -> dict[str, int]:
        """Return what `claimed` is the sum of."""
        return {outcome.value: getattr(self, outcome.value) for outcome in _OF_A_CLAIM}

    def counts(self) -> dict[str, int]:
        """Return the eight counts by name."""
        names = ("claimed", *(outcome.value for outcome in Outcome))
        return {name: getattr(self, name) for name in names}


@dataclass
class Delivered:
    """What one delivery did.

    `found_unknown`: messages that an earlier sender left without an outcome, or that are now routed elsewhere, and
    are listed as unknown, and batches of events that it left so. `sent_again`: items that it left, and that go out
    again because repeating is harmless.
    `unknown_now`: all messages whose fate is not known, those of earlier runs included. `drafts_now`: all that wait for
    a person's approval. `stopped`: connections that were left alone after failing, and the code that they failed
    with. `problems`: connections that could not be opened, in words. `is_complete` is false when the time budget
    ended it. `left_behind`: syncs of which batches waited until other workers had removed.
    """

    epoch: int
    messages: Tally = field(default_factory=Tally)
    rows: Tally = field(default_factory=Tally)
    found_unknown: int = 0
    sent_again: int = 0
    unknown_now: int = 0
    drafts_now: int = 0
    stopped: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    is_complete: bool = True
    left_behind: list[str] = field(default_factory=list)

    def take(self, part: Delivered) -> None:
        """Add what one worker did."""
        self.messages.take(part.messages)
        self.rows.take(part.rows)
        self.stopped = dict(sorted((self.stopped | part.stopped).items()))
        self.problems += [problem for problem in part.problems if problem not in self.problems]
        self.is_complete = self.is_complete and part.is_complete
        self.left_behind = sorted({*self.left_behind, *part.left_behind})

    def balances(self) -> list[tuple[str, int, dict[str, int]]]:
        """Return what must add up: (what, how many were claimed, the outcomes that they are the sum of)."""
        return [
            ("messages claimed", self.messages.claimed, self.messages.parts()),
            ("sync rows claimed", self.rows.claimed, self.rows.parts()),
        ]
