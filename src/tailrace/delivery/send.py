"""How does what is due reach its destination once? Claim, hand over, record: batch by batch, until done or out of time.

A claim is on the disk, and in the journal's copy, before any byte of its batch leaves; its outcome is recorded after.
A crash between the two leaves at most one batch whose fate is not known, and nothing that is unknown goes out again
unless its destination recognises repeats.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime

from tailrace import crash
from tailrace.delivery import pace
from tailrace.delivery.consent import Consents
from tailrace.delivery.messages import Messages, PlanReader, Renderer
from tailrace.delivery.sync import make_batch, row_outcomes, rows_by_outcome
from tailrace.delivery.tally import Delivered, Tally
from tailrace.destinations.base import HttpRequest, Item, Message, Outcome, Request, Result
from tailrace.destinations.calls import host_of
from tailrace.destinations.connections import Connection, Connections, Line, load_connections
from tailrace.errors import TailraceError
from tailrace.journal import Due, Journal, Record
from tailrace.journal.records import Claim
from tailrace.journal.sending import Page
from tailrace.settings import Settings

PAGE = 500
"""How many due intents are looked at together; their payloads are held in memory."""

NO_LEASE = "no_live_lease"
OUTSIDE_HOURS = "outside_hours"
NO_CONNECTION = "no_connection"
CANNOT_OPEN = "cannot_open"
NOT_TRIED = "not_tried"
"""Codes of `blocked` that are ours."""


def deliver(
    settings: Settings,
    journal: Journal,
    store: PlanReader,
    *,
    now: Callable[[], datetime],
    renderer: Renderer,
    budget_seconds: float | None = None,
) -> Delivered:
    """Hand over everything that is due, and return the counts; each item is looked at once.

    First what a dead sender left is settled, and what is too late is closed. Raises Busy when another process sends,
    JournalError when the journal is behind its copy, DefinitionError when destinations.yml is wrong.
    """
    connections = load_connections(settings)
    with journal.sender(now()) as epoch:
        run = _Run(settings, journal, store, now, epoch, pace.Budget(now(), budget_seconds), Delivered(epoch))
        run.clean_up(connections)
        for channel in journal.channels():
            run.send_channel(channel, connections.of_channel(channel), renderer)
        if run.head is not None:
            for name in journal.batch_destinations(run.head):
                run.send_batches(name, connections.by_name.get(name), run.head)
        run.expire()
        return run.finish()


@dataclass
class _Run:
    """One delivery: what it works with, and what it has done so far."""

    settings: Settings
    journal: Journal
    store: PlanReader
    now: Callable[[], datetime]
    epoch: int
    budget: pace.Budget
    done: Delivered
    head: str | None = None
    consents: Consents = field(default_factory=Consents)
    breakers: dict[tuple[str, str], pace.Breaker] = field(default_factory=dict)

    def clean_up(self, connections: Connections) -> None:
        swept = self.journal.sweep(self.epoch, self.now())
        self.done.found_unknown, self.done.sent_again = swept.unknown, swept.again
        for channel, name in connections.channels.items():
            known = connections.by_name[name]
            self.done.found_unknown += self.journal.strand(
                self.epoch, self.now(), channel, name, is_idempotent=known.is_idempotent
            )
        self.expire()
        self.head = self.store.head()
        if self.head is not None:
            self.consents = Consents(self.store.consents(self.head))
        n_rows = self.journal.cancel_batches(self.epoch, self.now(), self.head)
        if n_rows:
            self.done.rows.add(Outcome.CANCELLED, "newer_plan", n_rows)

    def expire(self) -> None:
        n = self.journal.expire(self.epoch, self.now())
        if n:
            self.done.messages.add(Outcome.EXPIRED, "too_late", n)

    def finish(self) -> Delivered:
        self.done.messages.check("messages")
        self.done.rows.check("sync rows")
        self.done.unknown_now, self.done.drafts_now = self.journal.n_unknown(), self.journal.n_drafts()
        stopped = sorted((name, breaker.why) for (name, _), breaker in self.breakers.items() if breaker.why is not None)
        self.done.stopped = dict(stopped)
        return self.done

    def send_channel(self, channel: str, connection: Connection | None, renderer: Renderer) -> None:
        """Send what is due on a channel."""
        pages = self._pages(lambda after: self.journal.due_messages(channel, self.now(), PAGE, *after))
        line = None if connection is None else self._open(connection)
        if connection is None or line is None:
            for page in pages:
                code = NO_CONNECTION if connection is None else CANNOT_OPEN
                self._hold_back(page, connection.name if connection else "", code, self.done.messages)
            return
        words = Messages(self.store, renderer, channel)
        with closing(line):
            for page in pages:
                words.load(page)
                for batch in _chunks(page, connection.slots):
                    if self._must_stop(connection):
                        return
                    at = self.now()
                    awake = [due for due in batch if words.may_leave(due, at)]
                    self._hold_back(
                        [due for due in batch if due not in awake], connection.name, OUTSIDE_HOURS, self.done.messages
                    )
                    if not awake:
                        continue
                    allowed = self._within_the_interlock(connection, awake, words.address)
                    self._hand_over(line, [(due, words.make(due, at)) for due in allowed], self.done.messages)

    def send_batches(self, name: str, connection: Connection | None, plan_id: str) -> None:
        """Send the plan's batches for one destination, in order, one at a time."""
        pages = self._pages(lambda after: self.journal.due_batches(name, plan_id, self.now(), PAGE, *after))
        fits = connection is not None and connection.capabilities.takes_batches
        line = self._open(connection) if connection is not None and fits else None
        if connection is None or line is None:
            for page in pages:
                self._hold_back(page, name, CANNOT_OPEN if fits else NO_CONNECTION, self.done.rows)
            return
        with closing(line):
            for page in pages:
                for due in page:
                    if self._must_stop(connection):
                        return
                    for allowed in self._within_the_interlock(connection, [due], lambda _: None):
                        batch = make_batch(self.store, allowed, self.now())
                        self._hand_over(line, [(allowed, batch)], self.done.rows)

    def _open(self, connection: Connection) -> Line | None:
        """Return an open line, or None when it is not configured so that it can be: others go on without it."""
        try:
            return connection.open(self.settings)
        except TailraceError as error:
            problem = f"connection `{connection.name}`: {error}"
            if problem not in self.done.problems:
                self.done.problems.append(problem)
            self._breaker(connection).why = CANNOT_OPEN
            return None

    def _pages(self, read: Callable[[tuple[tuple[int, int], ...]], Page]) -> Iterator[list[Due]]:
        """Yield page after page, so that each item comes up once, whatever becomes of it."""
        after: tuple[tuple[int, int], ...] = ()
        while True:
            page = read(after)
            if page.items:
                yield page.items
            if page.after is None:
                return
            after = (page.after,)

    def _must_stop(self, connection: Connection) -> bool:
        if self.budget.is_spent(self.now()):
            self.done.is_complete = False
            return True
        return self._breaker(connection).why is not None

    def _breaker(self, connection: Connection, host: str = "") -> pace.Breaker:
        """Return the breaker of a connection; webhook steps have one per host, for they name addresses of their own."""
        return self.breakers.setdefault((connection.name, host), pace.Breaker())

    def _within_the_interlock(
        self, connection: Connection, items: Sequence[Due], address: Callable[[Due], str | None]
    ) -> list[Due]:
        """Return the items that may go there now; the rest stay pending, and the journal says why."""
        if not connection.capabilities.needs_live or self.journal.live_show().held:
            return list(items)
        allowed = [item for item in items if (address(item) or "").lower() in self.settings.allow_list]
        names = {item.item_id for item in allowed}
        held = [item for item in items if item.item_id not in names]
        self._hold_back(held, connection.name, NO_LEASE, self.done.rows if items[0].sync else self.done.messages)
        return allowed

    def _hold_back(self, items: Sequence[Due], destination: str, code: str, tally: Tally) -> None:
        if items:
            self.journal.hold_back(self.epoch, self.now(), items, destination, code)
        for item in items:
            tally.claimed += item.n_rows or 1
            tally.add(Outcome.BLOCKED, code, item.n_rows or 1)

    def _hand_over(self, line: Line, items: Sequence[tuple[Due, Item | Result]], tally: Tally) -> None:
        """Claim the items, hand over those that were claimed, record what became of each."""
        connection = line.connection
        ready: dict[str, tuple[Due, Item | None, Request | Result]] = {}
        for due, item in items:
            if isinstance(item, Result):
                ready[due.item_id] = (due, None, item)
            else:
                ready[due.item_id] = (due, item, line.prepare(item))
        claimed = self.journal.claim(
            self.epoch,
            self.now(),
            [due for due, _ in items],
            destination=connection.name,
            is_idempotent=connection.is_idempotent,
            withdrawn=self.consents.withdrawn([due for due, _ in items]),
        )
        for code, n in claimed.cancelled.items():
            tally.add(Outcome.CANCELLED, code, n)
        results = [(claim, ready[claim.item_id][0], self._one(line, ready[claim.item_id])) for claim in claimed.claims]
        line.flush()
        at = self.now()
        records = [self._record(connection, claim, due, result, at) for claim, due, result in results]
        self.journal.record(self.epoch, at, records)
        for record, (_, due, result) in zip(records, results, strict=True):
            _count(tally, due, result, record)

    def _one(self, line: Line, ready: tuple[Due, Item | None, Request | Result]) -> Result:
        _, item, request = ready
        if item is None or isinstance(request, Result):
            assert isinstance(request, Result)
            return request
        breaker = self._breaker(line.connection, _host(item, request))
        if breaker.why is not None:
            return Result(Outcome.BLOCKED, NOT_TRIED, is_systemic=True)
        # A predecessor that was paused since its claim finds out here, before its bytes leave.
        self.journal.fence(self.epoch)
        result = line.hand_over(item, request)
        crash.here("deliver.handed_over")
        breaker.saw(result)
        return result

    def _record(self, connection: Connection, claim: Claim, due: Due, result: Result, at: datetime) -> Record:
        """Return what the journal is told: what may be repeated is, up to the number of tries."""
        outcome, code = result.outcome, result.code
        may_have_arrived = outcome is Outcome.UNKNOWN and connection.is_idempotent and due.n_rows == 0
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
        return Record(
            claim=claim,
            outcome=outcome.value,
            code=code,
            provider_id=result.provider_id,
            next_at=next_at,
            counts_as_try=not result.is_systemic,
            may_have_arrived=may_have_arrived,
            rows=row_outcomes(result),
            status_code=result.status_code,
            body=result.body,
        )


def _host(item: Item, request: Request) -> str:
    """Return the host that a webhook step calls; an empty text for everything else."""
    is_step = isinstance(item, Message) and item.channel == "webhook"
    return host_of(request.url) if is_step and isinstance(request, HttpRequest) else ""


def _count(tally: Tally, due: Due, result: Result, record: Record) -> None:
    tally.claimed += due.n_rows or 1
    if due.n_rows == 0:
        tally.add(Outcome(record.outcome), record.code)
        return
    told = Result(Outcome(record.outcome), record.code, rows=result.rows)
    for outcome, code, n in rows_by_outcome(due, told):
        if n:
            tally.add(outcome, code, n)


def _chunks(items: Sequence[Due], size: int) -> Iterator[Sequence[Due]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
