"""What is known of each event: how often it came and from whom, whether it has a contract and keeps it?"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime

from tailrace.checks.event_names import in_words, known_names, unknown_names
from tailrace.landing import census
from tailrace.landing.loads import loads
from tailrace.landing.taxonomy import active_events
from tailrace.settings import Settings


@dataclass(frozen=True)
class Event:
    """One event. `warned` landed although they break the contract, `quarantined` are kept out still: events, not rules.

    `unknown` says what is odd about the name when nothing in the project has it.
    """

    event: str
    events: int
    first_at: datetime | None
    last_at: datetime | None
    sources: dict[str, int] = field(default_factory=dict)
    contract: str | None = None
    warned: int = 0
    quarantined: int = 0
    unknown: str | None = None


@dataclass(frozen=True)
class Events:
    """Every event that has landed or has a contract, and every rule that was broken so far."""

    events: list[Event]
    breaches: list[census.Breaches]


def list_events(settings: Settings) -> Events:
    """Return what is known of each event, by name. Raises DefinitionError when a contract is wrong."""
    contracts = active_events(settings)
    landed = loads(settings)
    by_name: dict[str, list[census.Seen]] = defaultdict(list)
    for each in census.seen(settings):
        by_name[each.event].append(each)
    counted = sorted(by_name, key=lambda name: (-sum(each.events for each in by_name[name]), name))
    unknown = unknown_names(counted, known_names(settings, contracts))
    broken, kept_out = census.breaches(landed), census.kept_out(settings)
    warned = census.warned(landed)
    found = []
    for name in sorted({*by_name, *contracts, *kept_out}):
        rows = by_name.get(name, [])
        found.append(
            Event(
                event=name,
                events=sum(row.events for row in rows),
                first_at=min((row.first_at for row in rows), default=None),
                last_at=max((row.last_at for row in rows), default=None),
                sources={row.source: row.events for row in rows},
                contract=contracts[name].path if name in contracts else None,
                warned=warned[name],
                quarantined=kept_out[name],
                unknown=in_words(name, unknown[name]) if name in unknown else None,
            )
        )
    return Events(found, broken)


def strangers(settings: Settings, load_id: str | None) -> list[str]:
    """Return what to say of each event of a load whose name nothing in the project has, most often first."""
    known = known_names(settings) if load_id is not None else frozenset()
    if not known:
        return []
    load = next(load for load in loads(settings) if load.load_id == load_id)
    rows = sorted(census.seen(settings, load), key=lambda row: (-row.events, row.event))
    return [in_words(name, meant) for name, meant in unknown_names((row.event for row in rows), known).items()]
