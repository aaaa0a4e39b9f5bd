"""What is a plan made from? Every room's word, translated into the one request that planning takes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from tailrace import ids
from tailrace.campaigns.analysis import analyse
from tailrace.campaigns.definition import Campaign, Message
from tailrace.campaigns.policy import Policy
from tailrace.campaigns.shelf import load_campaigns
from tailrace.checks.health import NOTHING_MARKED, Marked, read_marked
from tailrace.checks.syncs import cannot_plan
from tailrace.destinations.connections import Connections, load_connections
from tailrace.errors import DefinitionError
from tailrace.journal.records import Release, Resync
from tailrace.landing.contract import Owner, attribute_owners, load_contract
from tailrace.landing.erased import waiting_keys
from tailrace.landing.loads import Load, own_event_files
from tailrace.landing.packs import pack_file, packed
from tailrace.landing.taxonomy import active_events
from tailrace.planning import arbitration
from tailrace.planning.corrections import Chosen
from tailrace.planning.guards import Limits
from tailrace.planning.plan import Request
from tailrace.planning.run import CampaignSpec, MessageSpec
from tailrace.planning.store import Plan
from tailrace.planning.syncs import LetGo, SyncSpec
from tailrace.settings import Settings
from tailrace.warehouse.build import Generation
from tailrace.warehouse.catalog import Catalog, SyncModel
from tailrace.warehouse.landed import LoadFiles


class Word(Protocol):
    """What a plan is told of effects so far: a Journal, or what one knew at an instant of the past (`hindsight`)."""

    def last_outcome(self) -> int:
        """See `Journal.last_outcome`."""

    def acknowledged_rows(self, since_seq: int) -> pa.Table:
        """See `Journal.acknowledged_rows`."""

    def message_outcomes(self, since_seq: int) -> pa.Table:
        """See `Journal.message_outcomes`."""

    def responses(self, since_seq: int) -> pa.Table:
        """See `Journal.responses`."""

    def releases(self) -> list[Release]:
        """See `Journal.releases`."""

    def chosen(self) -> pa.Table:
        """See `Journal.chosen`."""

    def resyncs(self) -> list[Resync]:
        """See `Journal.resyncs`."""


@dataclass(frozen=True)
class Definitions:
    """What people wrote beside the dbt models: campaigns with their messages, policy, connections, who owns what.

    `late` is how old an event may be when it lands and still trigger, of the events whose contracts say so.
    """

    campaigns: Mapping[str, Campaign]
    policy: Policy
    connections: Connections
    owners: Mapping[str, Owner] = field(default_factory=dict)
    late: Mapping[str, timedelta] = field(default_factory=dict)

    @property
    def sources_by_attribute(self) -> dict[str, str]:
        """Return the source that owns each attribute, as the warehouse takes it."""
        return {attribute: owner.source for attribute, owner in self.owners.items()}

    @property
    def fingerprint(self) -> str:
        """Return a hash that changes when a campaign, a message, a guard, a connection, an owner or a `late` does."""
        facts = {
            "campaigns": {
                slug: [
                    campaign.version,
                    campaign.status,
                    campaign.sending,
                    campaign.priority,
                    campaign.on_edit,
                    campaign.on_pause,
                    campaign.on_end,
                    sorted(message.message_key for message in campaign.messages.values()),
                ]
                for slug, campaign in self.campaigns.items()
            },
            "guards": [asdict(self.policy.guards), {name: asdict(own) for name, own in self.policy.overrides.items()}],
            "rules": asdict(rules(self.policy)),
            "connections": self.connections.fingerprint,
        }
        if self.owners:
            facts["owners"] = self.sources_by_attribute
        told_apart = {
            name: each.is_idempotent
            for name, each in sorted(self.connections.by_name.items())
            if each.is_idempotent != each.capabilities.is_idempotent
        }
        if told_apart:
            # What an append may say again depends on it.
            facts["is_idempotent"] = told_apart
        if self.late:
            facts["late"] = {event: limit.total_seconds() for event, limit in self.late.items()}
        return ids.digest(json.dumps(facts, sort_keys=True, default=str))


def load_definitions(settings: Settings) -> Definitions:
    """Return what people wrote; raises DefinitionError with everything that is wrong in any of the files."""
    shelf = load_campaigns(settings.project_dir, strict=False)
    problems = list(shelf.problems)
    connections, owners, late = None, None, None
    try:
        connections = load_connections(settings)
    except DefinitionError as error:
        problems += error.problems
    try:
        owners = attribute_owners(settings)
    except DefinitionError as error:
        problems += error.problems
    try:
        contracts = active_events(settings, "late").items()
        late = {event: contract.late for event, contract in contracts if contract.late is not None}
    except DefinitionError as error:
        problems += error.problems
    if problems or connections is None or owners is None or late is None or shelf.policy is None:
        raise DefinitionError(list(set(problems)))
    return Definitions(shelf.campaigns, shelf.policy, connections, owners, late)


def load_files(settings: Settings, landed: Sequence[Load]) -> list[LoadFiles]:
    """Return the loads as the warehouse takes them."""
    together = packed(settings)
    packs = [together.get(load.load_id) for load in landed]
    beside = {pack.pack_id: frozenset(pack.loads) for pack in packs if pack}
    return [
        LoadFiles(
            load_id=load.load_id,
            load_seq=load.load_seq,
            source=load.source,
            is_history=load.is_history,
            landed_at=load.landed_at,
            rows=load.landed,
            quarantined=load.quarantined,
            first_event_at=load.first_event_at,
            last_event_at=load.last_event_at,
            parquet=tuple([pack_file(settings, pack)] if pack else own_event_files(settings, load)),
            beside=beside[pack.pack_id] if pack else frozenset(),
        )
        for load, pack in zip(landed, packs, strict=True)
    ]


def loads_fingerprint(landed: Sequence[Load]) -> str:
    """Return the hash of a set of loads, as the warehouse's generation has it."""
    return ids.digest(*sorted(load.load_id for load in landed))


def heard(journal: Word, since_seq: int) -> tuple[pa.Table, pa.Table, int]:
    """Return what destinations said of rows, what became of messages, and the last outcome of those: all up to it.

    A sender may be at work beside: what it records between the two readings is left to the next plan.
    """
    last = journal.last_outcome()
    both = [
        table.filter(pc.less_equal(table.column("seq"), last))
        for table in (journal.acknowledged_rows(since_seq), journal.message_outcomes(since_seq))
    ]
    return both[0], both[1], max(since_seq, *(pc.max(table.column("seq")).as_py() or 0 for table in both))


def gather(
    settings: Settings,
    *,
    as_of: datetime,
    cause: str,
    parent_id: str | None,
    parent: Plan | None,
    landed: Sequence[Load],
    definitions: Definitions,
    generation: Generation,
    catalog: Catalog,
    journal: Word,
) -> Request:
    """Return the request for the next plan."""
    answers, outcomes, heard_until = heard(journal, parent.inputs.journal_seq if parent else 0)
    policy = definitions.policy
    limits = {f"segment:{name}": guard_limits(policy, name) for name in catalog.segments}
    limits |= {f"sync:{name}": guard_limits(policy, name) for name in catalog.syncs}
    marked = read_marked(settings, definitions.campaigns.values())
    return Request(
        as_of=as_of,
        cause=cause,
        parent=parent_id,
        loads=[(load.load_id, load.load_seq, load.is_history) for load in landed],
        loads_fingerprint=generation.loads_fingerprint,
        project_fingerprint=generation.project_fingerprint,
        definitions_fingerprint=definitions.fingerprint,
        segments=[catalog.segments[name] for name in sorted(catalog.segments)],
        fingerprints=catalog.fingerprints,
        campaigns=[
            campaign_spec(definitions.campaigns[slug], definitions.late, marked)
            for slug in sorted(definitions.campaigns)
        ],
        syncs=[sync_spec(catalog.syncs[name], definitions.connections, marked) for name in sorted(catalog.syncs)],
        failed=generation.failed,
        limits=limits,
        source_hours=source_hours(settings, policy, landed),
        releases=journal.releases(),
        answers=answers,
        journal_seq=heard_until,
        people_left_share=policy.guards.people_left_share,
        minimum_members=policy.guards.minimum_members,
        rules=rules(policy),
        outcomes=outcomes,
        responses=journal.responses(0),
        let_go=LetGo(*(waiting_keys(settings) or ())),
        # A backfill's own plan says nothing to anybody.
        chosen=Chosen(journal.chosen()) if cause == "scheduled" else Chosen(),
        resyncs=[(each.seq, each.sync) for each in journal.resyncs()],
    )


def rules(policy: Policy) -> arbitration.Rules:
    """Return what policy.yml says about messages, as planning takes it."""
    said = policy.rules
    quiet, sunset = said.quiet_hours, said.sunset
    return arbitration.Rules(
        timezone=said.timezone,
        holdout_bp=said.holdout_bp,
        topics={name: topic.default for name, topic in said.topics.items()},
        limits=tuple(
            arbitration.Limit(limit.klass, limit.channel, limit.most, int(limit.per.total_seconds()))
            for limit in said.limits
        ),
        quiet_hours=None if quiet is None else arbitration.Hours(tuple(quiet.days), quiet.start, quiet.end),
        exclusive=tuple(tuple(group) for group in said.exclusive),
        sunset=None if sunset is None else arbitration.Sunset(sunset.sends, sunset.days),
    )


def source_hours(settings: Settings, policy: Policy, landed: Sequence[Load]) -> dict[str, float]:
    """Return the hours that each source may be silent.

    What policy.yml says of the source goes first, then its contract's `expect_every`, then policy.yml's default. A
    source of which nobody says anything is not watched: a file imported once is silent for ever.
    """
    hours: dict[str, float] = {}
    for source in sorted({load.source for load in landed}):
        every = load_contract(settings, source).expect_every or policy.guards.source_stale_after
        if source in policy.overrides:
            every = policy.overrides[source].source_stale_after or every
        if every is not None:
            hours[source] = every / timedelta(hours=1)
    return hours


def guard_limits(policy: Policy, name: str) -> Limits:
    """Return what policy.yml allows one segment or sync."""
    guards = policy.guards_for(name)
    return Limits(
        segment_left_share=guards.segment_left_share,
        segment_entered_share=guards.segment_entered_share,
        segment_minimum=guards.segment_minimum,
        minimum_members=guards.minimum_members,
        sync_deletions_share=guards.sync_deletions_share,
    )


def campaign_spec(
    campaign: Campaign, late: Mapping[str, timedelta] = MappingProxyType({}), marked: Marked = NOTHING_MARKED
) -> CampaignSpec:
    """Return a campaign as planning takes it, with the `late` of its event's contract; the version has none of that."""
    return CampaignSpec(
        slug=campaign.slug,
        version=campaign.version,
        definition=_with_late(campaign.definition(), late),
        status=campaign.status,
        sending=campaign.sending,
        priority=campaign.priority,
        messages={name: _message(message) for name, message in campaign.messages.items()},
        on_edit=campaign.on_edit,
        on_pause=campaign.on_pause,
        on_end=campaign.on_end,
        health=marked.messages.get(campaign.slug, frozenset()),
    )


def _with_late(definition: dict[str, Any], late: Mapping[str, timedelta]) -> dict[str, Any]:
    """Return the definition with the stricter `late` of two: the trigger's own, and that of the event's contract."""
    trigger = definition["trigger"]
    limit = late.get(trigger.get("event"))
    if limit is None:
        return definition
    seconds = int(limit.total_seconds())
    own = trigger.get("late")
    return {**definition, "trigger": {**trigger, "late": seconds if own is None else min(own, seconds)}}


def _message(message: Message) -> MessageSpec:
    found = analyse(message)
    return MessageSpec(
        message_key=message.message_key,
        channel=message.channel,
        kind=message.kind,
        source=json.dumps(message.source(), sort_keys=True, ensure_ascii=False),
        required=found.required,
        optional=found.optional,
        needs=found.needs,
    )


def sync_spec(model: SyncModel, connections: Connections, marked: Marked = NOTHING_MARKED) -> SyncSpec:
    """Return a sync as planning takes it."""
    found = connections.by_name.get(model.destination)
    return SyncSpec(
        model,
        connections.batch_rows(model.destination),
        model.segments,
        is_idempotent=found is not None and found.is_idempotent,
        rules="" if found is None else found.rules,
        problem=cannot_plan(model, connections),
        is_health=model.name in marked.syncs,
    )
