"""How does what is due reach its destination once? Claim, hand over, record: batch by batch, until done or out of time.

A claim is on the disk, and in the journal's copy, before any byte of its batch leaves; its outcome is recorded after.
A crash between the two leaves at most one batch per worker whose fate is not known, and nothing that is unknown goes
out again unless its destination recognises repeats.

One coordinator begins the epoch, settles what is old and hands out shares; workers, here in threads, do them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from tailrace import clock
from tailrace.delivery import pace
from tailrace.delivery.consent import NewestWord
from tailrace.delivery.follow_up import follow_up
from tailrace.delivery.messages import PlanReader, Renderer
from tailrace.delivery.tally import Delivered
from tailrace.delivery.worker import Ground, Share, Worker
from tailrace.destinations.base import Outcome
from tailrace.destinations.connections import Connections, load_connections
from tailrace.journal import Journal
from tailrace.settings import Settings

FanOut = Callable[[Sequence[Share]], Sequence[Delivered]]
"""Has the shares done, wherever that may be, and returns what was done."""


def deliver(
    settings: Settings,
    journal: Journal,
    store: PlanReader,
    *,
    now: Callable[[], datetime],
    renderer: Renderer,
    budget_seconds: float | None = None,
    workers: int = 1,
    fan_out: FanOut | None = None,
    moment: Callable[[], datetime] | None = None,
    sleep: Callable[[float], None] = clock.sleep,
) -> Delivered:
    """Hand over everything that is due, and return the counts; each item is looked at once.

    First what a dead sender left is settled, and what is too late is closed. `workers` do it side by side, in threads
    or as `fan_out` says; `moment` is `now` with fractions of seconds. Raises Busy when another process sends,
    JournalError when the journal is behind its copy, DefinitionError when destinations.yml is wrong.
    """
    connections = load_connections(settings)
    with journal.sender(now()) as epoch:
        budget = pace.Budget(now(), budget_seconds)
        done = Delivered(epoch)
        _clean_up(journal, store, connections, done, now())
        ground = _ground(settings, store, renderer, connections, budget, now, moment, sleep)
        follow_up(settings, journal, store, connections, done, budget, now)
        shares = [Share(epoch, number, workers) for number in range(workers)]
        work = fan_out or partial(_in_threads, ground, journal)
        for part in work(shares):
            done.take(part)
        if done.left_behind:
            # What they waited for was tried by now.
            for part in work([replace(share, syncs=frozenset(done.left_behind)) for share in shares]):
                done.take(part)
        _expire(journal, done, now())
        done.messages.check("messages")
        done.rows.check("sync rows")
        done.unknown_now, done.drafts_now = journal.n_unknown(), journal.n_drafts()
        return done


def deliver_share(
    settings: Settings,
    journal: Journal,
    store: PlanReader,
    share: Share,
    *,
    now: Callable[[], datetime],
    renderer: Renderer,
    budget_seconds: float | None = None,
    moment: Callable[[], datetime] | None = None,
    sleep: Callable[[float], None] = clock.sleep,
) -> Delivered:
    """Hand over one share, in a process of its own, while a coordinator holds the epoch; return what was done."""
    budget = pace.Budget(now(), budget_seconds)
    ground = _ground(settings, store, renderer, load_connections(settings), budget, now, moment, sleep)
    return Worker(ground, journal, share).work()


def _in_threads(ground: Ground, journal: Journal, shares: Sequence[Share]) -> list[Delivered]:
    if len(shares) == 1:
        return [Worker(ground, journal, shares[0]).work()]

    def work(share: Share) -> Delivered:
        with Journal.open(ground.settings) as own:
            return Worker(ground, own, share).work()

    with ThreadPoolExecutor(len(shares), thread_name_prefix="deliver") as pool:
        return list(pool.map(work, shares))


def _ground(
    settings: Settings,
    store: PlanReader,
    renderer: Renderer,
    connections: Connections,
    budget: pace.Budget,
    now: Callable[[], datetime],
    moment: Callable[[], datetime] | None,
    sleep: Callable[[float], None],
) -> Ground:
    word, fine = NewestWord(store), moment or _fine(now())
    return Ground(settings, store, renderer, connections, now, fine, sleep, budget, store.head(), word)


def _fine(begins: datetime) -> Callable[[], datetime]:
    """Return a clock that shows `begins` now and goes on from there."""
    started = clock.monotonic()
    return lambda: begins + timedelta(seconds=clock.monotonic() - started)


def _clean_up(journal: Journal, store: PlanReader, connections: Connections, done: Delivered, now: datetime) -> None:
    """Settle what dead senders left, close what is too late, and cancel the batches that a newer plan replaced."""
    swept = journal.sweep(done.epoch, now)
    done.found_unknown, done.sent_again = swept.unknown, swept.again
    for channel, name in connections.channels.items():
        known = connections.by_name[name]
        done.found_unknown += journal.strand(done.epoch, now, channel, name, is_idempotent=known.is_idempotent)
    _expire(journal, done, now)
    n_rows = journal.cancel_batches(done.epoch, now, store.head())
    if n_rows:
        done.rows.add(Outcome.CANCELLED, "newer_plan", n_rows)


def _expire(journal: Journal, done: Delivered, now: datetime) -> None:
    n = journal.expire(done.epoch, now)
    if n:
        done.messages.add(Outcome.EXPIRED, "too_late", n)
