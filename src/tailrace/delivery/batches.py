"""What became of each row of a batch? Cut to what one call takes, halved where a call is refused, until it is known.

A call that its destination refuses as a whole says nothing of its rows where `names_rows` is False: it is halved until
the row that was at fault stands alone, and the neighbours go out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tailrace import ids
from tailrace.destinations.base import (
    Batch,
    BatchRow,
    FileWrite,
    HttpRequest,
    Outcome,
    Request,
    Result,
    RowResult,
    RowsRefused,
)
from tailrace.destinations.connections import Line

TOO_LARGE = "row:too_large"
ALL_REFUSED = "refused_one_after_another"
MOST_REFUSED = 20
"""So many rows of a refused call refused one by one, none taken in between: then it is not the rows."""

Said = tuple[Outcome, str]
"""What became of one row: outcome and code."""

_FINAL = frozenset({Outcome.ACCEPTED, Outcome.REJECTED})
_OPEN = (Outcome.RETRY_LATER, Outcome.BLOCKED)


@dataclass
class Rows:
    """What became of the rows of one attempt, by position.

    `provider_id` has the ids of all calls, parted by spaces.
    `last` is the answer that says how it goes on: the one that stopped it, else the last one. `is_lost` when the answer
    of a whole call was lost, so that its rows are unknown.
    """

    said: dict[int, Said] = field(default_factory=dict)
    last: Result = field(default_factory=lambda: Result(Outcome.ACCEPTED, "done_before"))
    is_lost: bool = False
    provider_id: str | None = None


def drive(
    line: Line,
    batch: Batch,
    rows: Sequence[BatchRow],
    call: Callable[[Batch, Request], Result],
    why_not: Callable[[], Result | None],
) -> Rows:
    """Hand over `rows` of the batch in as many calls as it takes, and return what became of every one of them.

    `why_not` is asked before each call and stops what is left; so does an answer that says that the destination
    cannot take anything now.
    """
    drive = _Drive(line, batch, call, deque(_cuts(rows, line.connection.call_rows)))
    while drive.waiting:
        cut = drive.waiting.popleft()
        request = drive.prepare(cut)
        if request is None:
            continue
        stop = why_not()
        if stop is not None:
            drive.waiting.appendleft(cut)
        else:
            stop = drive.hand_over(cut, request)
        if stop is not None:
            for left in drive.waiting:
                _note(drive.done, left, replace(stop, rows=()))
            drive.done.last = stop
            break
    return drive.done


@dataclass
class _Drive:
    """What is left to be handed over, cut into calls, and what was said so far."""

    line: Line
    batch: Batch
    call: Callable[[Batch, Request], Result]
    waiting: deque[Sequence[BatchRow]]
    done: Rows = field(default_factory=Rows)
    n_refused: int = 0

    def prepare(self, cut: Sequence[BatchRow]) -> Request | None:
        """Return the call for the rows; None when they were refused, or wait again in smaller cuts."""
        try:
            request = self.line.prepare(part(self.batch, cut))
        except RowsRefused as refused:
            self.waiting.extendleft(_without(self.done, cut, refused.rows))
            return None
        if isinstance(request, Result):
            _note(self.done, cut, request)
            return None
        if not _is_too_large(request, self.line.connection.call_bytes):
            return request
        if len(cut) == 1:
            _note(self.done, cut, Result(Outcome.REJECTED, TOO_LARGE))
        else:
            self._halve(cut)
        return None

    def hand_over(self, cut: Sequence[BatchRow], request: Request) -> Result | None:
        """Make the call; return why the rest is not tried, if the answer says so."""
        result = self.call(part(self.batch, cut), request)
        names_none = not self.line.connection.capabilities.names_rows and not result.rows
        is_refusal = result.outcome is Outcome.REJECTED and not result.is_systemic and names_none
        if is_refusal and len(cut) > 1:
            self._halve(cut)
            return None
        _note(self.done, cut, result)
        self.n_refused = self.n_refused + 1 if is_refusal and self.line.connection.call_rows != 1 else 0
        if self.n_refused >= MOST_REFUSED and self.waiting:
            return Result(Outcome.RETRY_LATER, ALL_REFUSED)
        cannot = result.outcome is Outcome.RETRY_LATER and result.is_systemic
        return result if cannot or result.outcome is Outcome.BLOCKED else None

    def _halve(self, cut: Sequence[BatchRow]) -> None:
        middle = len(cut) // 2
        self.waiting.extendleft((cut[middle:], cut[:middle]))


def part(batch: Batch, rows: Sequence[BatchRow]) -> Batch:
    """Return the batch with these rows only. Its id tells it from other parts, and is the same at every attempt."""
    if len(rows) == len(batch.rows):
        return batch
    positions = ids.digest("part", *(str(row.position) for row in rows))[:12]
    return replace(batch, batch_id=f"{batch.batch_id}/{positions}", rows=tuple(rows))


def sum_up(done: Rows, before: Mapping[int, Said], *, may_repeat: bool) -> Result:
    """Return what became of the batch: its outcome, and the rows whose own differs. `before`: said in attempts before.

    What is open decides: as long as rows of it wait, the batch waits. An answer that was lost leaves it `unknown`.
    """
    said = {**before, **done.said}
    kinds = set(said.values())
    outcomes = {outcome for outcome, _ in kinds}
    outcome = next((one for one in _OPEN if one in outcomes), None)
    if outcome is None and done.is_lost and may_repeat:
        outcome = Outcome.UNKNOWN
    if outcome is None:
        outcome = next(one for one in (Outcome.ACCEPTED, Outcome.REJECTED, Outcome.UNKNOWN) if one in outcomes)
    is_last = done.last.outcome is outcome
    code = done.last.code if is_last else next(code for one, code in said.values() if one is outcome)
    own = {(one, its) for one, its in kinds if one is not outcome or (its != code and one is not Outcome.ACCEPTED)}
    differing = sorted((position, *kind) for position, kind in said.items() if kind in own) if own else ()
    rows = tuple(RowResult(*row) for row in differing)
    return replace(done.last, outcome=outcome, code=code, rows=rows, provider_id=done.provider_id)


def is_done(said: Said, *, may_repeat: bool) -> bool:
    """Return whether a row of which this was said goes out no more: it is final, or unknown and not to be repeated."""
    return said[0] in _FINAL or (said[0] is Outcome.UNKNOWN and not may_repeat)


def _note(done: Rows, cut: Sequence[BatchRow], result: Result) -> None:
    done.said |= dict.fromkeys([row.position for row in cut], (result.outcome, result.code))
    if result.rows:
        asked = {row.position for row in cut}
        done.said |= {row.position: (row.outcome, row.code) for row in result.rows if row.position in asked}
    done.is_lost = done.is_lost or result.outcome is Outcome.UNKNOWN
    ids_of_calls = (done.provider_id, result.provider_id)
    done.provider_id = " ".join(one for one in ids_of_calls if one) or None
    done.last = result


def _without(done: Rows, cut: Sequence[BatchRow], refused: Mapping[int, str]) -> list[Sequence[BatchRow]]:
    """Note the rows that were refused before the call, and return the others as a cut, if there are any."""
    bad = [row for row in cut if row.position in refused]
    if not bad:
        # A module that names rows it was not asked for would be asked for ever.
        _note(done, cut, Result(Outcome.REJECTED, "rows_refused"))
        return []
    done.said |= {row.position: (Outcome.REJECTED, refused[row.position]) for row in bad}
    done.last = Result(Outcome.REJECTED, "rows_refused")
    good = [row for row in cut if row.position not in refused]
    return [good] if good else []


def _cuts(rows: Sequence[BatchRow], size: int | None) -> Iterator[Sequence[BatchRow]]:
    step = size or max(1, len(rows))
    for start in range(0, len(rows), step):
        yield rows[start : start + step]


def _is_too_large(request: Request, most: int | None) -> bool:
    if most is None:
        return False
    match request:
        case HttpRequest():
            return len(request.body) > most
        case FileWrite():
            return len(request.content) > most
    return False
