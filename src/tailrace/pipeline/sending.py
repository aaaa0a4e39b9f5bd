"""How is what is pending handed over in a run? With the newest plan's payloads, by a clock that begins at `as_of`.

Nothing is while health data would go where it may not: destinations, marks and campaigns may be others than when the
plan was applied.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from tailrace import clock
from tailrace.campaigns.render import Renderer
from tailrace.checks.health import is_to_be_asked, require_baa
from tailrace.delivery import send
from tailrace.delivery.tally import Delivered
from tailrace.delivery.worker import Share
from tailrace.destinations.connections import load_connections
from tailrace.journal.journal import Journal
from tailrace.pipeline.request import load_definitions
from tailrace.planning.reader import PlanReader
from tailrace.planning.store import Store
from tailrace.settings import Settings, secret

_LONG_SILENCE = timedelta(hours=1)
"""After which a delivery elsewhere is taken for one that is stuck."""


def clock_from(as_of: datetime) -> Callable[[], datetime]:
    """Return a clock that shows `as_of` now and goes on from there, in whole seconds."""
    started = clock.monotonic()
    return lambda: as_of + timedelta(seconds=int(clock.monotonic() - started))


def hand_over(
    settings: Settings,
    journal: Journal,
    now: Callable[[], datetime],
    budget_seconds: float | None,
    workers: int,
    fan_out: send.FanOut | None,
) -> Delivered:
    """Hand over everything that is due and return the counts (`delivery.send`).

    Raises SenderBusy when another process delivers, DefinitionError, having handed nothing over, when a campaign or
    sync of the project is health data and goes to a destination without `baa: true`.
    """
    if is_to_be_asked(settings, load_connections(settings)):
        definitions = load_definitions(settings)
        require_baa(settings, definitions.campaigns.values(), definitions.connections)
    return send.deliver(
        settings,
        journal,
        PlanReader(Store(settings)),
        now=now,
        renderer=Renderer(secret),
        budget_seconds=budget_seconds,
        workers=workers,
        fan_out=fan_out,
    )


def elsewhere(journal: Journal, now: datetime) -> tuple[str, bool]:
    """Return in words that another process delivers, and whether nothing has been heard of it for long."""
    sign = journal.last_sign()
    if sign is None or now - sign <= _LONG_SILENCE:
        return "a delivery is under way in another process: what is pending waits for it, or for the next one", False
    words = (
        f"the delivery that is under way in another process has noted nothing since {clock.iso(sign)}; expected it to"
        " live: look (deliver.lock has its pid) and end it if it does not. What is pending waits."
    )
    return words, True


def deliver_share(settings: Settings, as_of: datetime, share: Share, budget_seconds: float | None = None) -> Delivered:
    """Hand over one share in this process while a coordinator, here or elsewhere, holds its epoch."""
    with Journal.open(settings) as journal:
        return send.deliver_share(
            settings,
            journal,
            PlanReader(Store(settings)),
            share,
            now=clock_from(as_of),
            renderer=Renderer(secret),
            budget_seconds=budget_seconds,
        )
