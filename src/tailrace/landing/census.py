"""Which events have landed, how often and from whom, and how often did they break their contracts?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from tailrace import engine
from tailrace.landing.breaches import REASON
from tailrace.landing.loads import Load, event_files, loads, quarantine_files
from tailrace.landing.quarantine import resolved_sql
from tailrace.settings import Settings

_PACKAGE = "tailrace.landing"


@dataclass(frozen=True)
class Seen:
    """One event of one source: how many have landed, and when the first and the last of them happened."""

    event: str
    source: str
    events: int
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True)
class Breaches:
    """How many events of one source broke a rule about a property: those that landed, and those that were kept out.

    `last_landed_at` is when the newest load came that had one.
    """

    event: str
    property: str
    words: str
    source: str
    warned: int
    quarantined: int
    last_landed_at: datetime


def seen(settings: Settings, load: Load | None = None) -> list[Seen]:
    """Return what people did that has landed (calls of `track`), by event and source; of one load when it is given."""
    some = loads(settings) if load is None else [load]
    files = event_files(settings, some)
    if not files:
        return []
    listed = ", ".join(engine.literal(str(path)) for path in files)
    query = engine.statement(_PACKAGE, "census").replace("{files}", listed)
    with engine.connect(settings) as connection:
        rows = connection.execute(query, {"load": load.load_id if load else None}).fetchall()
    return [Seen(*row[:3], *(moment.replace(tzinfo=UTC) for moment in row[3:])) for row in rows]


def breaches(some: Iterable[Load]) -> list[Breaches]:
    """Return what these loads broke, by event, property, rule and source; most often first."""
    counts: Counter[tuple[str, str, str, str, bool]] = Counter()
    newest: dict[tuple[str, str, str, str], datetime] = {}
    for load in some:
        for each in load.breaches:
            key = (each.event, each.property, each.words, load.source)
            counts[*key, each.landed] += each.events
            newest[key] = max(load.landed_at, newest.get(key, load.landed_at))
    found = [Breaches(*key, counts[*key, True], counts[*key, False], at) for key, at in newest.items()]
    return sorted(
        found, key=lambda row: (-row.warned - row.quarantined, row.event, row.property, row.words, row.source)
    )


def warned(some: Iterable[Load]) -> Counter[str]:
    """Return how many events, by name, landed although they break their contract, whatever number of its rules."""
    found: Counter[str] = Counter()
    for load in some:
        found.update(load.warned or _at_least(load))
    return found


def _at_least(load: Load) -> dict[str, int]:
    """Return what a record that was written before it said `warned` is sure of: the rule that was broken most often."""
    most: dict[str, int] = {}
    for each in load.breaches:
        if each.landed:
            most[each.event] = max(each.events, most.get(each.event, 0))
    return most


def kept_out(settings: Settings) -> Counter[str]:
    """Return how many lines, by event, its contract keeps in quarantine still: neither retried nor erased since."""
    files = [str(path) for path in quarantine_files(settings, loads(settings))]
    if not files:
        return Counter()
    query = engine.statement(_PACKAGE, "kept_out").replace("{resolved}", resolved_sql(settings))
    with engine.connect(settings) as connection:
        return Counter(dict(connection.execute(query, {"files": files, "reason": REASON}).fetchall()))
