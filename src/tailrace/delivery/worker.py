"""What does one worker hand over? Its share of what is due: channel by channel, then the batches of syncs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from tailrace.delivery import pace
from tailrace.delivery.consent import Consents, NewestWord
from tailrace.delivery.handover import HandOver
from tailrace.delivery.messages import Messages, PlanReader, Renderer
from tailrace.delivery.sync import make_batch
from tailrace.delivery.tally import Delivered, Tally
from tailrace.delivery.turns import Turns
from tailrace.destinations.base import Outcome
from tailrace.destinations.connections import Connection, Connections, Line
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
REMOVALS_FIRST = "removals_first"
NO_BAA = "no_baa"
"""Codes of `blocked` that are ours."""


@dataclass(frozen=True)
class Share:
    """Which part of what is due: every `of`-th item, from number `number` on, under the coordinator's epoch.

    Of `syncs`, when there are any, what waited for their removals, and nothing else.
    """

    epoch: int
    number: int = 0
    of: int = 1
    syncs: frozenset[str] = frozenset()


@dataclass
class Ground:
    """What the workers of a delivery have in common. `moment` is `now` with fractions of seconds.

    Breakers and pauses are those of this process: what one worker learns of a destination, the others know.
    """

    settings: Settings
    store: PlanReader
    renderer: Renderer
    connections: Connections
    now: Callable[[], datetime]
    moment: Callable[[], datetime]
    sleep: Callable[[float], None]
    budget: pace.Budget
    head: str | None
    consents: NewestWord
    breakers: dict[tuple[str, str], pace.Breaker] = field(default_factory=dict)
    pauses: dict[str, datetime] = field(default_factory=dict)

    def breaker(self, name: str, host: str = "") -> pace.Breaker:
        """Return the breaker of a connection; webhook steps have one per host, for they name addresses of their own."""
        return self.breakers.setdefault((name, host), pace.Breaker())


@dataclass
class Worker:
    """One worker with a journal of its own and a line of its own to each destination; `done` is what it has done."""

    ground: Ground
    journal: Journal
    share: Share
    done: Delivered = field(init=False)

    def __post_init__(self) -> None:
        """Begin with nothing done."""
        self.done = Delivered(self.share.epoch)

    def work(self) -> Delivered:
        """Hand over the share, and return what was done."""
        connections = self.ground.connections
        for channel in () if self.share.syncs else self.journal.channels():
            self._send_channel(channel, connections.of_channel(channel))
        if self.ground.head is not None:
            for name in self.journal.batch_destinations(self.ground.head):
                self._send_batches(name, connections.by_name.get(name), self.ground.head)
        why = ((name, breaker.why) for (name, _), breaker in list(self.ground.breakers.items()))
        self.done.stopped = {name: code for name, code in sorted(why, key=str) if code is not None}
        return self.done

    def _send_channel(self, channel: str, connection: Connection | None) -> None:
        """Send what is due on a channel."""
        part = (self.share.number, self.share.of)
        pages = _pages(partial(self.journal.due_messages, channel, self.ground.now(), PAGE, share=part))
        line = None if connection is None else self._open(connection)
        if connection is None or line is None:
            for page in pages:
                code = NO_CONNECTION if connection is None else CANNOT_OPEN
                self._hold_back(page, connection.name if connection else "", code, self.done.messages)
            return
        words = Messages(self.ground.store, self.ground.renderer, channel)
        with closing(line), self._desk(line) as desk:
            for page in pages:
                words.load(page)
                desk.consents.load(page)
                for batch in _chunks(page, connection.slots):
                    if self._must_stop(connection):
                        return
                    at = self.ground.now()
                    awake = [due for due in batch if words.may_leave(due, at)]
                    asleep = [due for due in batch if due not in awake]
                    self._hold_back(asleep, connection.name, OUTSIDE_HOURS, self.done.messages)
                    allowed = self._within_the_interlock(connection, awake, words.address)
                    if not allowed:
                        continue
                    if self._must_wait(desk):
                        return
                    desk.messages([(due, words.make(due, at)) for due in allowed])
                # Reading the next page takes a while.
                desk.settle()

    def _send_batches(self, name: str, connection: Connection | None, plan_id: str) -> None:
        """Send the plan's batches for one destination, in order, one at a time.

        What waits for removals that another worker has in hand is left for later.
        """
        part = (self.share.number, self.share.of)
        read = partial(self.journal.due_batches, name, plan_id, self.ground.now(), PAGE, share=part)
        pages = (
            [due for due in page if not self.share.syncs or (due.sync in self.share.syncs and not due.removes)]
            for page in _pages(read)
        )
        fits = connection is not None and connection.capabilities.takes_batches
        line = self._open(connection) if connection is not None and fits else None
        if connection is None or line is None:
            for page in pages:
                self._hold_back(page, name, CANNOT_OPEN if fits else NO_CONNECTION, self.done.rows)
            return
        with closing(line), self._desk(line) as desk:
            for page in pages:
                for due in page:
                    if self._must_stop(connection):
                        return
                    if due.is_behind and self.journal.is_behind(due):
                        self._leave_behind(due, name)
                        continue
                    for allowed in self._within_the_interlock(connection, [due], lambda _: None):
                        if self._must_wait(desk):
                            return
                        desk.batch(allowed, make_batch(self.ground.store, allowed, self.ground.now()))

    def _leave_behind(self, due: Due, destination: str) -> None:
        """Leave a batch for the workers that come when all removals were tried; for these, hold it back."""
        if self.share.syncs:
            self._hold_back([due], destination, REMOVALS_FIRST, self.done.rows)
        else:
            self.done.left_behind = sorted({*self.done.left_behind, due.sync})

    def _desk(self, line: Line) -> HandOver:
        ground, connection = self.ground, line.connection
        turns = Turns(
            self.journal,
            connection.name,
            connection.calls_per_second,
            ground.moment,
            ground.sleep,
            ground.budget,
            ground.pauses,
        )
        return HandOver(
            journal=self.journal,
            epoch=self.share.epoch,
            line=line,
            now=ground.now,
            budget=ground.budget,
            # A page of its own for each line.
            consents=Consents(ground.consents),
            breaker=partial(ground.breaker, connection.name),
            turns=turns,
            done=self.done,
        )

    def _open(self, connection: Connection) -> Line | None:
        """Return an open line, or None when it is not configured so that it can be: others go on without it."""
        try:
            return connection.open(self.ground.settings)
        except TailraceError as error:
            problem = f"connection `{connection.name}`: {error}"
            if problem not in self.done.problems:
                self.done.problems.append(problem)
            self.ground.breaker(connection.name).why = CANNOT_OPEN
            return None

    def _must_stop(self, connection: Connection) -> bool:
        if self.ground.budget.is_spent(self.ground.now()):
            self.done.is_complete = False
            return True
        return self.ground.breaker(connection.name).why is not None

    def _must_wait(self, desk: HandOver) -> bool:
        """Wait for the connection's turn; return whether it comes too late for this run."""
        why_not = desk.come()
        if why_not is not None:
            self.ground.breaker(desk.line.connection.name).why = why_not.code
        return why_not is not None

    def _within_the_interlock(
        self, connection: Connection, items: Sequence[Due], address: Callable[[Due], str | None]
    ) -> list[Due]:
        """Return the items that may go there now; the rest stay pending, and the journal says why."""
        if not items or not connection.capabilities.needs_live:
            return list(items)
        tally = self.done.rows if items[0].sync else self.done.messages
        if not connection.may_have_health_data:
            marked = [item for item in items if self._was_health_data(item)]
            self._hold_back(marked, connection.name, NO_BAA, tally)
            items = [item for item in items if item not in marked]
        if self.journal.live_show().held:
            return list(items)
        allowed = [item for item in items if (address(item) or "").lower() in self.ground.settings.allow_list]
        names = {item.item_id for item in allowed}
        self._hold_back([item for item in items if item.item_id not in names], connection.name, NO_LEASE, tally)
        return allowed

    def _was_health_data(self, item: Due) -> bool:
        """Return whether the plan that the item is of says so: what the project says now may know nothing of it."""
        return (item.campaign, item.sync or item.message) in self.ground.store.health(item.plan_id)

    def _hold_back(self, items: Sequence[Due], destination: str, code: str, tally: Tally) -> None:
        if items:
            self.journal.hold_back(self.share.epoch, self.ground.now(), items, destination, code)
        for item in items:
            tally.claimed += item.n_rows or 1
            tally.add(Outcome.BLOCKED, code, item.n_rows or 1)


def _pages(read: Callable[..., Page]) -> Iterator[list[Due]]:
    """Yield page after page, so that each item comes up once, whatever becomes of it."""
    page = read()
    while page.items:
        yield page.items
        if page.after is None:
            return
        page = read(after=page.after)


def _chunks(items: Sequence[Due], size: int) -> Iterator[Sequence[Due]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
