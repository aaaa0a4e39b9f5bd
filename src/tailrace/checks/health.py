"""Does health data go to a destination that may not have it?

A campaign is health data when what starts it, what it asks, or what its messages say depends on what is marked so; a
sync is when its rows are. Such a one may only go where `baa: true` stands, or where nothing leaves. What such a
campaign did is health data in its turn, and others may be because of it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from tailrace.campaigns.analysis import analyse
from tailrace.campaigns.definition import Campaign
from tailrace.campaigns.steps import AddTo, RemoveFrom, Update
from tailrace.checks.ownership import PEOPLE
from tailrace.destinations.connections import Connection, Connections
from tailrace.errors import DefinitionError, Problem
from tailrace.landing.taxonomy import active_events
from tailrace.settings import Settings
from tailrace.warehouse import preview, runner
from tailrace.warehouse.catalog import config_line, read_nodes
from tailrace.warehouse.health import NOTHING_DONE, Doings, Health, is_any_marked, read_health

OBJECTS = ("dim_objects", "fct_object_people")
"""What templates read of objects: of each its attributes, and what is said of a person and it."""


@dataclass(frozen=True)
class _Way:
    """How a campaign or sync leads to what is marked, in words, and where it says so."""

    path: str
    line: int
    steps: tuple[str, ...]


def is_to_be_asked(settings: Settings, connections: Connections) -> bool:
    """Return whether there is health data, as dbt last read the project, and a destination that may not have it."""
    if all(connection.may_have_health_data for connection in connections.by_name.values()):
        return False
    if not runner.manifest_path(settings).is_file():
        preview.refresh(settings)
    return bool(marked_events(settings)) or is_any_marked(settings)


def require_baa(settings: Settings, campaigns: Collection[Campaign], connections: Connections) -> None:
    """Let pass only what may go where it goes. Costs nothing while every destination may have health data.

    Raises DefinitionError naming each campaign that is not a draft, and each sync, whose health data would go to a
    destination without `baa: true`, with the way to it.
    """
    if all(connection.may_have_health_data for connection in connections.by_name.values()):
        return
    preview.refresh(settings)
    problems = health_problems(settings, campaigns, connections, with_drafts=False)
    if problems:
        raise DefinitionError(problems)


def health_problems(
    settings: Settings, campaigns: Collection[Campaign], connections: Connections, *, with_drafts: bool = True
) -> list[Problem]:
    """Return what of the campaigns and syncs goes where it may not. The manifest is taken to be up to date.

    `campaigns` are all of the project: what a draft sent when it was none counts, too.

    Raises DefinitionError when a contract of an event is wrong.
    """
    events = marked_events(settings)
    health = _read_health(settings, campaigns, events)
    if not events and not health.ways:
        return []
    asked = [each for each in campaigns if with_drafts or each.status != "draft"]
    problems = [problem for campaign in asked for problem in _of_campaign(campaign, connections, health, events)]
    for node in read_nodes(settings).values():
        connection = connections.by_name.get(str(node.meta.get("destination", "")))
        way = health.way(node.name) if node.kind == "model" and node.folder == "syncs" else None
        if way is not None and connection is not None and not connection.may_have_health_data:
            found = _Way(node.path, config_line(node.code), (f"sync {way[0]}", *way[1:]))
            problems.append(_problem(f"sync `{node.name}`", found, connection))
    return problems


def _read_health(settings: Settings, campaigns: Collection[Campaign], events: Mapping[str, str]) -> Health:
    """Return what is health data when what the campaigns did is that, too, of those that are health data."""
    doings = NOTHING_DONE
    while True:
        health = read_health(settings, events, doings)
        marked = [campaign for campaign in campaigns if next(_ways(campaign, health, events), None)]
        found = Doings(
            campaigns=frozenset(campaign.slug for campaign in marked),
            names=frozenset(name for campaign in marked for name in _changes(campaign)),
        )
        # What is marked once stays so with more of them: there is an end.
        if found == doings:
            return health
        doings = found


def _changes(campaign: Campaign) -> Iterator[str]:
    """Yield the attributes and manual segments that a campaign changes."""
    for step in campaign.all_steps:
        if isinstance(step, Update):
            yield from step.values
        elif isinstance(step, AddTo | RemoveFrom):
            yield step.segment


def marked_events(settings: Settings) -> dict[str, str]:
    """Return the events whose contracts mark them, of the programmes that are on, each with its contract's path."""
    return {
        name: contract.path
        for name, contract in active_events(settings, "sensitivity").items()
        if contract.sensitivity == "health"
    }


def _of_campaign(
    campaign: Campaign, connections: Connections, health: Health, events: Mapping[str, str]
) -> Iterator[Problem]:
    exposed: dict[str, list[str]] = {}
    for name in sorted(campaign.used_messages & campaign.messages.keys()):
        connection = connections.of_channel(campaign.messages[name].channel)
        if connection is not None and not connection.may_have_health_data:
            exposed.setdefault(connection.name, []).append(name)
    if not exposed:
        return
    common = list(_ways(campaign, health, events))
    for name, messages in exposed.items():
        ways = common or [way for message in messages for way in _of_message(campaign, message, health)]
        if ways:
            first = min(ways, key=lambda way: (way.line, len(way.steps), way.steps))
            yield _problem(f"campaign `{campaign.slug}`", first, connections.by_name[name])


def _ways(campaign: Campaign, health: Health, events: Mapping[str, str]) -> Iterator[_Way]:
    """Yield the ways from what starts a campaign and what it asks. Whoever gets its messages has done that."""
    for reference in campaign.references:
        start = f"campaign {campaign.slug}"
        if reference.what in ("segment", "object_segment") and (way := health.way(reference.name)):
            yield _Way(campaign.path, reference.line, (start, f"segment {way[0]}", *way[1:]))
        elif reference.what == "event" and reference.name in events:
            yield _Way(campaign.path, reference.line, (start, f"event {reference.name} ({events[reference.name]})"))
        elif reference.what == "column":
            for way in _columns(reference.name, health):
                yield _Way(campaign.path, reference.line, (start, *way))


def _of_message(campaign: Campaign, name: str, health: Health) -> Iterator[_Way]:
    found = analyse(campaign.messages[name])
    for root, field in sorted(found.required | found.optional):
        for way in _field(root, field, health):
            path, line = found.places[(root, field)]
            yield _Way(path, line, (f"campaign {campaign.slug}", f"message {name}", *way))


def _field(root: str, field: str, health: Health) -> list[list[str]]:
    if root == "customer":
        return _columns(field, health)
    models = OBJECTS if root in ("object", "objects") else ()
    return [way for model in models if (way := health.way(model, "attributes")) is not None]


def _columns(column: str, health: Health) -> list[list[str]]:
    return [way for model in PEOPLE if (way := health.way(model, column)) is not None]


def _problem(what: str, way: _Way, connection: Connection) -> Problem:
    return Problem(
        way.path,
        way.line,
        f"{what} is health data and goes to `{connection.name}`, which has no `baa: true`: {' → '.join(way.steps)};"
        " expected a destination that may have it: `baa: true` in destinations.yml when there is a contract for it,"
        " or `declassify` with a reason in the meta of a model on that way",
    )
