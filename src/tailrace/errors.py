"""What went wrong, typed by what must be done next.

    TailraceError              exit 1
    ├─ DefinitionError         a file you own is wrong: every problem, with its line      exit 2
    ├─ DataError               what came in, or what stands on disk, cannot be used       exit 1
    │  └─ SourceUnread         a table cannot be read now; a run goes on without it       exit 3 of that run
    ├─ BuildError              dbt failed                                                 exit 1
    ├─ GuardStop               the plan looks wrong; what was guarded is parked           exit 3
    ├─ Busy                    another process holds what this one needs                  exit 1
    │  └─ SenderBusy           another process delivers; a run goes on without it         exit 0 or 3 of that run
    ├─ StalePlan               HEAD or an input moved since the plan was made             exit 1
    ├─ JournalError            the memory of what was sent is locked, behind or damaged   exit 1
    └─ DestinationError        a destination cannot be used as configured                 exit 1

Every message says what is wrong, where, what was expected and what to do, in that order. None
carries an address, a name or a body: ids only.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


class TailraceError(Exception):
    """Anything tailrace stops for. `exit_code` is what the command line returns."""

    exit_code = 1


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong in a file that a person owns."""

    path: str
    line: int | None
    message: str

    def __str__(self) -> str:
        """Return `path:line: message`."""
        place = self.path if self.line is None else f"{self.path}:{self.line}"
        return f"{place}: {self.message}"

    @property
    def place(self) -> tuple[str, int, str]:
        """Return what problems are sorted by: file, line, words."""
        return self.path, self.line or 0, self.message


class DefinitionError(TailraceError):
    """Files that a person owns are wrong; carries all problems found, not only the first."""

    exit_code = 2

    def __init__(self, problems: Sequence[Problem] | Problem) -> None:
        self.problems = (
            [problems] if isinstance(problems, Problem) else sorted(problems, key=lambda problem: problem.place)
        )
        super().__init__("\n".join(str(problem) for problem in self.problems))


class DataError(TailraceError):
    """What came in, or what stands on disk, cannot be used."""


class SourceUnread(DataError):
    """A table that is a source cannot be read now; nothing of it is lost, for it is read when it can be."""


class BuildError(TailraceError):
    """dbt failed in a way that leaves nothing to plan on."""


class GuardStop(TailraceError):
    """A guard tripped; what it guards is parked, the rest went on."""

    exit_code = 3


class Busy(TailraceError):
    """Another process holds what this one needs; the message says who."""


class SenderBusy(Busy):
    """Another process delivers by this journal; only one does at a time."""


class StalePlan(TailraceError):
    """HEAD is no longer the plan's parent, or an input moved since the plan was made."""


class JournalError(TailraceError):
    """The journal is locked, behind its copy, or contradicts itself: nothing is sent."""


class DestinationError(TailraceError):
    """A destination cannot be used as it is configured."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ` Did you mean `x`?` for the known name closest to `name`, or an empty string."""
    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" Did you mean `{matches[0]}`?" if matches else ""
