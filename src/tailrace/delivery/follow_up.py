"""Is what was accepted still true? Destinations that work on a batch for hours are asked what they made of it.

What they refused afterwards is not believed any more. Where they never say, it is believed.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timedelta

from tailrace.delivery.messages import PlanReader
from tailrace.delivery.pace import Budget
from tailrace.delivery.tally import Delivered
from tailrace.destinations.base import Outcome, Result
from tailrace.destinations.connections import Connection, Connections, Line
from tailrace.destinations.following import Following
from tailrace.errors import DataError, TailraceError
from tailrace.journal import Journal
from tailrace.journal.follow_ups import Accepted, FollowUps
from tailrace.settings import Settings

FIRST_ASKED = timedelta(minutes=30)
LAST_ASKED = timedelta(days=3)
"""How long after a batch was accepted its destination is asked about it."""
MOST_ASKED = 100
"""So many batches of a connection are asked about in one delivery."""


def follow_up(
    settings: Settings,
    journal: Journal,
    store: PlanReader,
    connections: Connections,
    done: Delivered,
    budget: Budget,
    now: Callable[[], datetime],
) -> None:
    """Ask about what was accepted before, and record what is not believed any more. Counted as unknown rows."""
    follow_ups = FollowUps(journal)
    for connection in connections.by_name.values():
        if not isinstance(connection.module, Following):
            continue
        at = now()
        waiting = follow_ups.to_ask(connection.name, at - LAST_ASKED, at - FIRST_ASKED, MOST_ASKED)
        if waiting and (journal.live_show().held or not connection.capabilities.needs_live):
            _ask(settings, follow_ups, store, connection, waiting, done, budget, now)


def _ask(
    settings: Settings,
    follow_ups: FollowUps,
    store: PlanReader,
    connection: Connection,
    waiting: list[Accepted],
    done: Delivered,
    budget: Budget,
    now: Callable[[], datetime],
) -> None:
    try:
        line = connection.open(settings)
    except TailraceError as error:
        done.problems.append(f"connection `{connection.name}`: {error}")
        return
    with closing(line):
        for what in waiting:
            if budget.is_spent(now()):
                return
            said = _last_word(line, what.provider_id)
            if said.outcome not in (Outcome.ACCEPTED, Outcome.UNKNOWN):
                if said.is_systemic:
                    return
                continue
            # Rows of a plan that is not kept any more can be said of by nobody: the next plan could not read them.
            is_believed = said.outcome is Outcome.ACCEPTED or not _is_kept(store, what)
            follow_ups.record(done.epoch, now(), what, said.code, is_believed=is_believed)
            if not is_believed:
                done.rows.claimed += what.n_rows
                done.rows.add(Outcome.UNKNOWN, said.code, what.n_rows)


def _last_word(line: Line, provider_ids: str) -> Result:
    """Return what became of the calls that a batch went out in: the first answer that is not `accepted`."""
    for provider_id in provider_ids.split():
        said = line.follow_up(provider_id)
        if said.outcome is not Outcome.ACCEPTED:
            break
    return said


def _is_kept(store: PlanReader, what: Accepted) -> bool:
    try:
        return len(store.sync_ops(what.plan_id, what.sync, what.batch_no)) > 0
    except DataError:
        return False
