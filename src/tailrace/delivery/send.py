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

from tailrace.delivery import pace
from tailrace.delivery.consent import Consents
from tailrace.delivery.handover import HandOver
from tailrace.delivery.messages import Messages, PlanReader, Renderer
from tailrace.delivery.sync import make_batch
from tailrace.delivery.tally import Delivered, Tally
from tailrace.destinations.base import Outcome
from tailrace.destinations.connections import Connection, Connections, Line, load_connections
from tailrace.errors import TailraceError
from tailrace.journal import Due, Journal
from tailrace.journal.sending import Page
from tailrace.settings import Settings

PAGE = 500
"""How many due intents are looked at together; their payloads are held in memory."""

NO_LEASE = "no_live_lease"
OUTSIDE_HOURS = "outside_hours"
NO_CONNECTION = "no_connection"
CANNOT_OPEN = "cannot_open"
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
            desk = self._desk(line)
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
                    desk.messages([(due, words.make(due, at)) for due in allowed])

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
            desk = self._desk(line)
            for page in pages:
                for due in page:
                    if self._must_stop(connection):
                        return
                    for allowed in self._within_the_interlock(connection, [due], lambda _: None):
                        desk.batch(allowed, make_batch(self.store, allowed, self.now()))

    def _desk(self, line: Line) -> HandOver:
        return HandOver(
            journal=self.journal,
            epoch=self.epoch,
            line=line,
            now=self.now,
            budget=self.budget,
            consents=self.consents,
            breaker=lambda host: self._breaker(line.connection, host),
            done=self.done,
        )

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


def _chunks(items: Sequence[Due], size: int) -> Iterator[Sequence[Due]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
