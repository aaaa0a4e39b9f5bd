"""How is one claim handed over? The claim is on the disk before a byte leaves, the outcome before the next claim."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import Self

from tailrace import crash
from tailrace.delivery import batches, pace
from tailrace.delivery.consent import Consents
from tailrace.delivery.tally import Delivered, Tally
from tailrace.delivery.turns import Turns
from tailrace.destinations.base import Batch, Exchange, HttpRequest, Item, Message, Outcome, Request, Result
from tailrace.destinations.calls import host_of
from tailrace.destinations.connections import Line
from tailrace.errors import JournalError
from tailrace.journal import Due, Journal, Record, RowOutcome
from tailrace.journal.records import Claim
from tailrace.journal.sending import Claimed

NOT_TRIED = "not_tried"

_OPEN = frozenset({Outcome.RETRY_LATER, Outcome.BLOCKED})


@dataclass
class HandOver:
    """One open line to a destination, and what it takes to hand over there; `done` counts what became of it.

    What became of messages is written with the next claim, in one transaction, or by `settle`; at the end of the block
    all of it is.
    """

    journal: Journal
    epoch: int
    line: Line
    now: Callable[[], datetime]
    budget: pace.Budget
    consents: Consents
    breaker: Callable[[str], pace.Breaker]
    turns: Turns
    done: Delivered
    _unwritten: list[Record] = field(default_factory=list)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write what is not written yet; that this failed is said beside another error, not over it."""
        try:
            self.settle()
        except JournalError as unwritten:
            if error is None:
                raise
            error.add_note(f"What became of the last claim was not written either, and is unknown: {unwritten}")

    def come(self) -> Result | None:
        """Wait for the connection's turn, and return None; or why it comes too late in this run.

        Nothing that is known waits through a sleep.
        """
        return self.turns.come(self.settle)

    def settle(self) -> None:
        """Write what became of the last claim, where no other claim has written it."""
        if self._unwritten:
            written, self._unwritten = self._unwritten, []
            self.journal.record(self.epoch, self.now(), written)
            self._count(written)

    def messages(self, items: Sequence[tuple[Due, Message | Result]]) -> None:
        """Claim messages and hand over those that were claimed; what became of them is written with what comes next."""
        ready: dict[str, tuple[Due, Item | None, Request | Result]] = {}
        for due, item in items:
            made = None if isinstance(item, Result) else item
            ready[due.item_id] = (due, made, item if isinstance(item, Result) else self.line.prepare(item))
        dues = [due for due, _ in items]
        claimed = self._claim(dues, self.done.messages, is_idempotent=self.line.connection.is_idempotent)
        results = [(claim, ready[claim.item_id][0], self._one(*ready[claim.item_id][1:])) for claim in claimed.claims]
        self.line.flush()
        at = self.now()
        self._unwritten = [self._record(claim, due, result, at) for claim, due, result in results]

    def batch(self, due: Due, batch: Batch) -> None:
        """Claim the batch, hand over the rows of it that are still to go, record what became of each of them.

        A row that an earlier attempt settled does not go out again, and neither does one whose fate is not known, when
        each row is said once (`append`) and the destination does not recognise repeats.
        """
        may_repeat = batch.mode != "append" or self.line.connection.is_idempotent
        before = self._said_before(due, may_repeat=may_repeat)
        claimed = self._claim([due], self.done.rows, is_idempotent=may_repeat)
        for claim in claimed.claims:
            rows = tuple(row for row in batch.rows if row.position not in before) if before else batch.rows
            done = batches.drive(self.line, batch, rows, self._call, self._why_not)
            self.line.flush()
            result = batches.sum_up(done, before, may_repeat=may_repeat)
            at = self.now()
            record = self._record(claim, due, result, at, is_final=not may_repeat)
            self.journal.record(self.epoch, at, [record])
            own = Counter((row.outcome, row.code) for row in record.rows if row.position not in before)
            own[record.outcome, record.code] += len(rows) - own.total()
            self.done.rows.claimed += len(rows)
            for (outcome, code), n in (+own).items():
                self.done.rows.add(Outcome(outcome), code, n)

    def _said_before(self, due: Due, *, may_repeat: bool) -> dict[int, batches.Said]:
        if due.attempt == 0:
            return {}
        known = {place: (Outcome(one), code) for place, (one, code) in self.journal.rows_said(due.item_id).items()}
        return {place: said for place, said in known.items() if batches.is_done(said, may_repeat=may_repeat)}

    def _claim(self, dues: Sequence[Due], tally: Tally, *, is_idempotent: bool) -> Claimed:
        """Claim what is due, and write what became of the claim before."""
        unwritten, self._unwritten = self._unwritten, []
        try:
            claimed = self.journal.claim(
                self.epoch,
                self.now(),
                dues,
                destination=self.line.connection.name,
                is_idempotent=is_idempotent,
                withdrawn=self.consents.withdrawn(dues),
                done=unwritten,
            )
        except JournalError:
            # Then nothing of it was: what is known may still be written alone.
            self._unwritten = unwritten
            raise
        self._count(unwritten)
        for code, n in claimed.cancelled.items():
            tally.add(Outcome.CANCELLED, code, n)
        return claimed

    def _count(self, written: Sequence[Record]) -> None:
        for record in written:
            self.done.messages.claimed += 1
            self.done.messages.add(Outcome(record.outcome), record.code)

    def _one(self, item: Item | None, request: Request | Result) -> Result:
        if item is None or isinstance(request, Result):
            assert isinstance(request, Result)
            return request
        return self._why_not_to(_host(item, request)) or self._call(item, request)

    def _why_not(self) -> Result | None:
        """Return why the next call of a batch is not made, or None when its turn has come."""
        if self.budget.is_spent(self.now()):
            self.done.is_complete = False
            return Result(Outcome.RETRY_LATER, pace.OUT_OF_TIME, is_systemic=True)
        return self._why_not_to("")

    def _why_not_to(self, host: str) -> Result | None:
        """Return why no call may go to the host, or None when its turn has come."""
        if self.breaker(host).why is not None:
            return Result(Outcome.BLOCKED, NOT_TRIED, is_systemic=True)
        return self.turns.take(host)

    def _call(self, item: Item, request: Request) -> Result:
        """Make one call. This is where bytes leave."""
        # A predecessor that was paused since its claim finds out here, before its bytes leave.
        self.journal.fence(self.epoch)
        spaced = self.turns.spaced(request) if isinstance(request, Exchange) else request
        result = self.line.hand_over(item, spaced)
        crash.here("deliver.handed_over")
        host = _host(item, request)
        self.breaker(host).saw(result)
        self.turns.heard(host, result)
        return result

    def _record(self, claim: Claim, due: Due, result: Result, at: datetime, *, is_final: bool = False) -> Record:
        """Return what the journal is told: what may be repeated is, up to the number of tries."""
        outcome, code = result.outcome, result.code
        rows = [RowOutcome(row.position, row.outcome.value, row.code) for row in result.rows]
        is_message = due.n_rows == 0
        may_have_arrived = outcome is Outcome.UNKNOWN and self.line.connection.is_idempotent and is_message
        is_last_try = not result.is_systemic and due.tries + 1 >= pace.MAX_TRIES
        next_at = pace.next_at(result, due.item_id, claim.attempt, due.tries, at)
        has_answer = result.status_code is not None
        if has_answer and due.expires_at is not None and next_at > due.expires_at:
            is_last_try = True
        if may_have_arrived and not is_last_try:
            outcome = Outcome.RETRY_LATER
        elif is_last_try and (outcome is Outcome.RETRY_LATER or (may_have_arrived and has_answer)):
            # The last answer to a webhook step is the one that its campaign branches on.
            outcome, code = Outcome.REJECTED, f"gave_up:{code}"
            rows = [_given_up(row) for row in rows]
        return Record(
            claim=claim,
            outcome=outcome.value,
            code=code,
            provider_id=result.provider_id,
            next_at=next_at,
            counts_as_try=not result.is_systemic,
            may_have_arrived=may_have_arrived,
            is_final=is_final,
            rows=tuple(rows),
            status_code=result.status_code,
            body=result.body,
        )


def _given_up(row: RowOutcome) -> RowOutcome:
    is_open = Outcome(row.outcome) in _OPEN
    return RowOutcome(row.position, Outcome.REJECTED.value, f"gave_up:{row.code}") if is_open else row


def _host(item: Item, request: Request) -> str:
    """Return the host that a webhook step calls; an empty text for everything else."""
    is_step = isinstance(item, Message) and item.channel == "webhook"
    return host_of(request.url) if is_step and isinstance(request, HttpRequest) else ""
