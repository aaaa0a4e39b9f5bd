"""Of all that campaigns would say in this run, what gets out, what waits and what is dropped, and why?

Works on the plan's connection: on `merges` (merging), `candidates` (enrollment.TABLES), `prepared` (payloads) and
`passing` (campaign, person_id: treated passes that stand after the walk, at least of the campaigns in
`Rules.exclusive`). The order of the reasons is docs/engine.md, "Arbitration". Every statement is set-based; none
depends on an order of campaigns or rows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

import duckdb
import pyarrow as pa

from tailrace import clock, engine
from tailrace.engine import statement
from tailrace.planning import relations
from tailrace.planning.enrollment import CampaignSpec
from tailrace.planning.store import Piece, Plan, Store
from tailrace.planning.zones import define_time, openings, zones

_PACKAGE = "tailrace.planning"

MARKETING = "marketing"

# Outcomes after which a message was not said after all.
_TAKEN_BACK = ("rejected", "expired", "cancelled", "blocked")

_CAMPAIGN_RULES = pa.schema(
    [
        ("campaign", pa.string()),
        ("version", pa.string()),
        ("topic", pa.string()),
        ("is_draft", pa.bool_()),
        ("days", pa.list_(pa.int32())),
        ("from_minute", pa.int32()),
        ("to_minute", pa.int32()),
    ]
)
_LIMITS = pa.schema([("limit_no", pa.int32()), ("channel", pa.string()), ("most", pa.int32()), ("seconds", pa.int64())])
_WAITING = (
    "intent_id varchar, zone varchar, days integer[], from_minute integer, to_minute integer, quiet_days integer[],"
    " quiet_from integer, quiet_to integer, hours_id varchar"
)
_PAIRS = pa.schema([("campaign", pa.string()), ("rival", pa.string())])


class Limit(NamedTuple):
    """At most `most` messages of a class, on a channel (None: on any), to one person within so many seconds."""

    klass: str
    channel: str | None
    most: int
    seconds: int


class Hours(NamedTuple):
    """A span of local time on some days (Monday is 1), in minutes of the day; it may end after midnight."""

    days: tuple[int, ...]
    from_minute: int
    to_minute: int


class Sunset(NamedTuple):
    """After how many unanswered messages, or days of them, marketing ends; None: this one does not count."""

    sends: int | None
    days: int | None


@dataclass(frozen=True)
class Rules:
    """What policy.yml says about everybody's messages. `topics` maps a topic to its default, `subscribed` or not.

    `holdout_bp` is for whoever gives the arms, at entry; here an arm is only a reason. `exclusive`: groups of slugs.
    """

    timezone: str = "UTC"
    holdout_bp: int = 0
    topics: Mapping[str, str] = field(default_factory=dict)
    limits: Sequence[Limit] = ()
    quiet_hours: Hours | None = None
    exclusive: Sequence[Sequence[str]] = ()
    sunset: Sunset | None = None

    @property
    def caps(self) -> list[Limit]:
        """Return the limits that bind: those of marketing, because nothing else is ever capped."""
        return sorted(
            (limit for limit in self.limits if limit.klass == MARKETING),
            key=lambda limit: (limit.channel or "", limit.most, limit.seconds),
        )


def judge(
    connection: duckdb.DuckDBPyConnection,
    store: Store,
    parent: Plan | None,
    rules: Rules,
    campaigns: Sequence[CampaignSpec],
    as_of: datetime,
    outcomes: pa.Table,
) -> dict[str, tuple[Piece, ...]]:
    """Make `verdicts`, a row per candidate, and return the relations `said` and `consents`.

    `outcomes` (intent_id, outcome) are the journal's about messages since the parent plan. `zoneless` gets the people
    whose local time mattered and whose zone nobody knows.
    """
    now = {"as_of": clock.naive(as_of)}
    _note_rules(connection, store, parent, rules, campaigns)
    _make(connection, "consents", "consents", {})
    connection.execute(f"insert into consents by name {statement(_PACKAGE, 'consents_of_merged')}")
    sunset = rules.sunset or Sunset(None, None)
    _make(connection, "sunsets", "sunsets", {**now, "sends": sunset.sends, "days": sunset.days})
    _find_openings(connection, rules, clock.naive(as_of))
    _make(
        connection,
        "judged",
        "judged",
        {**now, "off": [name for name, state in rules.topics.items() if state != "subscribed"]},
    )
    _carry(connection, store, parent, rules, outcomes, now)
    if rules.caps:
        _make(connection, "capped", "capped", now)
    else:
        connection.execute("create or replace temp table capped (intent_id varchar, fits boolean, next_at timestamp)")
    query = statement(_PACKAGE, "verdicts").replace(
        "{next_at}",
        "candidates.next_at" if "next_at" in engine.columns(connection, "candidates") else "null::timestamp",
    )
    connection.execute(f"create or replace temp table verdicts as {query}")
    said = store.put(connection, statement(_PACKAGE, "said"))
    consents = store.put(connection, "select * from consents order by person_id, channel, topic, class, reason")
    return {"said": (said,), "consents": (consents,)}


def _note_rules(
    connection: duckdb.DuckDBPyConnection,
    store: Store,
    parent: Plan | None,
    rules: Rules,
    campaigns: Sequence[CampaignSpec],
) -> None:
    """Make the small tables that say what holds: campaign_rules, limits, rivals."""
    caps = rules.caps
    limits = [
        {"limit_no": number, "channel": cap.channel, "most": cap.most, "seconds": cap.seconds}
        for number, cap in enumerate(caps, start=1)
    ]
    for name, rows, schema in (
        ("campaign_rules", list(_campaign_rules(connection, store, parent, campaigns)), _CAMPAIGN_RULES),
        ("limits", limits, _LIMITS),
        ("rivals", _rivals(rules, campaigns), _PAIRS),
    ):
        connection.register("given", pa.Table.from_pylist(rows, schema=schema))
        connection.execute(f"create or replace temp table {name} as select * from given")
        connection.unregister("given")


def _campaign_rules(
    connection: duckdb.DuckDBPyConnection, store: Store, parent: Plan | None, campaigns: Sequence[CampaignSpec]
) -> Iterator[dict[str, Any]]:
    """Yield what each version that is considered says of topic and window: its own, not today's."""
    considered = connection.execute("select distinct campaign, version from candidates order by all").fetchall()
    today = {campaign.slug: campaign for campaign in campaigns}
    for slug, version in considered:
        spec = today[slug]
        definition = spec.definition if version == spec.version else _earlier(connection, store, parent, slug, version)
        window = definition.get("window") or {"days": None, "from": None, "to": None}
        yield {
            "campaign": slug,
            "version": version,
            "topic": definition.get("topic"),
            "is_draft": spec.sending == "draft",
            "days": window["days"],
            "from_minute": window["from"],
            "to_minute": window["to"],
        }


def _earlier(
    connection: duckdb.DuckDBPyConnection, store: Store, parent: Plan | None, slug: str, version: str
) -> Mapping[str, Any]:
    source = store.source(parent, f"versions:{slug}", relations.VERSIONS)
    row = engine.first(connection, f"select source from {source} where version = $version", {"version": version})
    assert row is not None, "a pass is on a version that the parent plan keeps, or on today's"
    definition: Mapping[str, Any] = json.loads(row[0])
    return definition


def _rivals(rules: Rules, campaigns: Sequence[CampaignSpec]) -> list[dict[str, str]]:
    """Return each campaign with those that stand before it in one of its groups: by priority, then slug."""
    ranks = {campaign.slug: (-campaign.priority, campaign.slug) for campaign in campaigns}
    pairs = {
        (slug, rival)
        for group in rules.exclusive
        for slug in group
        for rival in group
        if slug in ranks and rival in ranks and ranks[rival] < ranks[slug]
    }
    return [{"campaign": slug, "rival": rival} for slug, rival in sorted(pairs)]


def _find_openings(connection: duckdb.DuckDBPyConnection, rules: Rules, as_of: datetime) -> None:
    """Make `opened` (intent_id, opens_at) and `waiting` for the messages that a window or quiet hours concern."""
    quiet = rules.quiet_hours
    define_time(connection)
    connection.execute(
        f"create or replace temp table timed as {statement(_PACKAGE, 'timed')}", {"quiet": quiet is not None}
    )
    if not engine.row(connection, "select count(*) from timed")[0]:
        connection.execute("create or replace temp table opened (intent_id varchar, opens_at timestamp)")
        connection.execute(f"create or replace temp table waiting ({_WAITING})")
        return
    connection.execute("create or replace temp table asked as select distinct person_id from timed")
    zones(connection, rules.timezone)
    spans = {
        "quiet_days": list(quiet.days) if quiet else None,
        "quiet_from": quiet.from_minute if quiet else None,
        "quiet_to": quiet.to_minute if quiet else None,
    }
    _make(connection, "waiting", "waiting", spans)
    _make(connection, "hours", "hours", {})
    openings(connection, as_of)
    _make(connection, "opened", "opened", {})


def _carry(
    connection: duckdb.DuckDBPyConnection,
    store: Store,
    parent: Plan | None,
    rules: Rules,
    outcomes: pa.Table,
    now: Mapping[str, Any],
) -> None:
    """Make `said_before`: what the parent had said and nobody took back, as far as any limit looks."""
    connection.register("outcomes_since", outcomes.select(["intent_id", "outcome"]))
    query = statement(_PACKAGE, "said_before").replace("{said}", store.source(parent, "said", relations.SAID))
    longest = max((cap.seconds for cap in rules.caps), default=None)
    values = {**now, "longest": longest, "taken_back": list(_TAKEN_BACK)}
    connection.execute(f"create or replace temp table said_before as {query}", values)
    connection.unregister("outcomes_since")


def _make(connection: duckdb.DuckDBPyConnection, table: str, name: str, values: Mapping[str, Any]) -> None:
    connection.execute(f"create or replace temp table {table} as {statement(_PACKAGE, name)}", dict(values))
