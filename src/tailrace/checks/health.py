"""Does health data go to a destination that may not have it?

A campaign is health data when what starts it, what it asks, or what its messages say depends on what is marked so; a
sync is when its rows are. Such a one may only go where `baa: true` stands, or where nothing leaves. What such a
campaign did is health data in its turn, and others may be because of it. People who are on an earlier version of a
campaign still get what that one says.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from tailrace.campaigns.analysis import analyse
from tailrace.campaigns.definition import Campaign, Message
from tailrace.campaigns.flight import Flight
from tailrace.campaigns.mentions import Mention, mentioned
from tailrace.campaigns.steps import AddTo, RemoveFrom, Step, Update, every_step, steps_from
from tailrace.checks.flights import flights
from tailrace.checks.ownership import PEOPLE
from tailrace.destinations.connections import Connection, Connections
from tailrace.errors import DefinitionError, Problem
from tailrace.landing.taxonomy import active_events
from tailrace.planning.migration import is_movable
from tailrace.planning.payloads import ADDRESS_COLUMNS
from tailrace.settings import Settings
from tailrace.warehouse import preview, runner
from tailrace.warehouse.catalog import Node, config_line, read_nodes
from tailrace.warehouse.health import NOTHING_DONE, Doings, Health, is_any_marked, read_health

OBJECTS = ("dim_objects", "fct_object_people")
"""What templates read of objects: of each its attributes, and what is said of a person and it."""

_PERSON: Mention = ("column", "person_id")
"""Whoever gets a message is a person first, and known to be one."""


@dataclass(frozen=True)
class Marked:
    """What of a project is health data: messages, by campaign, and syncs."""

    messages: Mapping[str, frozenset[str]] = field(default_factory=dict)
    syncs: frozenset[str] = frozenset()


NOTHING_MARKED = Marked()


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
    found = _Project.read(settings, campaigns)
    if found is None:
        return []
    asked = [each for each in campaigns if with_drafts or each.status != "draft"]
    problems = [problem for campaign in asked for problem in _of_campaign(campaign, connections, found)]
    for node, way in _syncs(settings, found.health):
        connection = connections.by_name.get(str(node.meta.get("destination", "")))
        if connection is not None and not connection.may_have_health_data:
            leads = _Way(node.path, config_line(node.code), (f"sync {way[0]}", *way[1:]))
            problems.append(_problem(f"sync `{node.name}`", leads, connection))
    return problems


def read_marked(settings: Settings, campaigns: Collection[Campaign]) -> Marked:
    """Return what of the project is health data, wherever it goes. The manifest is taken to be up to date."""
    found = _Project.read(settings, campaigns)
    if found is None:
        return NOTHING_MARKED
    messages = {campaign.slug: frozenset(_messages(campaign, found)) for campaign in campaigns}
    return Marked(
        {slug: names for slug, names in messages.items() if names},
        frozenset(node.name for node, _ in _syncs(settings, found.health)),
    )


def _syncs(settings: Settings, health: Health) -> Iterator[tuple[Node, list[str]]]:
    """Yield the syncs whose rows are health data, each with the way to it."""
    for node in read_nodes(settings).values():
        way = health.way(node.name) if node.kind == "model" and node.folder == "syncs" else None
        if way is not None:
            yield node, way


@dataclass(frozen=True)
class _Project:
    """What is marked in a project, and who is on the way in it."""

    health: Health
    events: Mapping[str, str]
    flights: Mapping[str, Flight]

    @classmethod
    def read(cls, settings: Settings, campaigns: Collection[Campaign]) -> _Project | None:
        """Return it; None when nothing is marked."""
        events = marked_events(settings)
        if not events and not is_any_marked(settings):
            return None
        known = flights(settings, {campaign.slug: campaign.version for campaign in campaigns})
        return cls(_read_health(settings, campaigns, events, known), events, known)


def _read_health(
    settings: Settings, campaigns: Collection[Campaign], events: Mapping[str, str], known: Mapping[str, Flight]
) -> Health:
    """Return what is health data when what the campaigns did is that, too, of those that are health data.

    What they did is what they say today, and what each version of them said that somebody was ever on.
    """
    said = [(campaign.slug, _mentions(campaign), campaign.all_steps) for campaign in campaigns]
    for slug, flight in known.items():
        for facts in flight.definitions.values():
            said.append((slug, [_PERSON, *mentioned(facts)], tuple(every_step(steps_from(facts["steps"])))))
    doings = NOTHING_DONE
    while True:
        health = read_health(settings, events, doings)
        marked = [(slug, steps) for slug, mentions, steps in said if next(_asked(mentions, health, events), None)]
        found = Doings(
            campaigns=frozenset(slug for slug, _ in marked),
            names=frozenset(name for _, steps in marked for name in _changes(steps)),
        )
        # What is marked once stays so with more of them: there is an end.
        if found == doings:
            return health
        doings = found


def _changes(steps: Iterable[Step]) -> Iterator[str]:
    """Yield the attributes and manual segments that steps change."""
    for step in steps:
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


def _of_campaign(campaign: Campaign, connections: Connections, project: _Project) -> Iterator[Problem]:
    exposed: dict[str, list[_Way]] = {}
    for name, ways in _messages(campaign, project).items():
        connection = connections.of_channel(campaign.messages[name].channel)
        if connection is not None and not connection.may_have_health_data:
            exposed.setdefault(connection.name, []).extend(ways)
    for name, ways in exposed.items():
        first = min(ways, key=lambda way: (way.line, len(way.steps), way.steps))
        yield _problem(f"campaign `{campaign.slug}`", first, connections.by_name[name])


def _messages(campaign: Campaign, project: _Project) -> dict[str, list[_Way]]:
    """Return the ways to what is marked of each message that is health data, today's or of who is on its way."""
    found: dict[str, list[_Way]] = {}
    for version, start in ((campaign, f"campaign {campaign.slug}"), *_earlier(campaign, project.flights)):
        common = [
            _Way(campaign.path, line, (start, *way))
            for line, mention in _mentioned_at(version)
            for way in _asked([mention], project.health, project.events)
        ]
        for name in sorted(version.used_messages & campaign.messages.keys()):
            ways = common or list(_of_message(start, campaign.messages[name], project.health))
            if ways:
                found.setdefault(name, []).extend(ways)
    return found


def _earlier(campaign: Campaign, known: Mapping[str, Flight]) -> Iterator[tuple[Campaign, str]]:
    """Yield the versions of a campaign that people stay on beside today's, each with who that is."""
    flight, today = known.get(campaign.slug, Flight()), campaign.definition()
    for version, resting in sorted(flight.resting.items()):
        before = flight.definitions.get(version)
        if before is None or version == campaign.version or campaign.on_edit == "exit":
            continue
        moves = campaign.on_edit == "move"
        people = sum(n for step, n in resting.items() if not (moves and is_movable(before, today, step)))
        if people:
            who = f"campaign {campaign.slug} (version {version}, with {people} in flight: `on_edit: exit` ends that)"
            yield campaign.restored(before), who


def _mentions(campaign: Campaign) -> list[Mention]:
    return [_PERSON, *((reference.what, reference.name) for reference in campaign.references)]


def _mentioned_at(campaign: Campaign) -> list[tuple[int, Mention]]:
    """Return what a campaign names, and on which line of campaign.yml; what an earlier version does, at its trigger."""
    lines = [campaign.trigger_line, *(each.line or campaign.trigger_line for each in campaign.references)]
    return list(zip(lines, _mentions(campaign), strict=True))


def _asked(mentions: Iterable[Mention], health: Health, events: Mapping[str, str]) -> Iterator[list[str]]:
    """Yield the ways from what starts a campaign and what it asks. Whoever gets its messages has done that."""
    for what, name in mentions:
        if what in ("segment", "object_segment") and (way := health.way(name)):
            yield [f"segment {way[0]}", *way[1:]]
        elif what == "object":
            yield from (way for model in OBJECTS if (way := health.way(model, "object_id")) is not None)
        elif what == "event" and name in events:
            yield [f"event {name} ({events[name]})"]
        elif what == "column":
            yield from _columns(name, health)


def _of_message(start: str, message: Message, health: Health) -> Iterator[_Way]:
    found = analyse(message)
    for root, name in sorted(found.required | found.optional):
        for way in _field(root, name, health):
            path, line = found.places[(root, name)]
            yield _Way(path, line, (start, f"message {message.name}", *way))
    for column in () if message.to else ADDRESS_COLUMNS.get(message.channel, ()):
        for way in _columns(column, health):
            yield _Way(message.path, 1, (start, f"message {message.name}", *way))


def _field(root: str, name: str, health: Health) -> list[list[str]]:
    if root == "customer":
        return _columns(name, health)
    models = OBJECTS if root in ("object", "objects") else ()
    return [way for model in models if (way := health.way(model, "attributes")) is not None]


def _columns(column: str, health: Health) -> list[list[str]]:
    # Every model of people has their key: who asks for it asks who there is.
    models = PEOPLE[:1] if column == _PERSON[1] else PEOPLE
    return [way for model in models if (way := health.way(model, column, is_there=False)) is not None]


def _problem(what: str, way: _Way, connection: Connection) -> Problem:
    return Problem(
        way.path,
        way.line,
        f"{what} is health data and goes to `{connection.name}`, which has no `baa: true`: {' → '.join(way.steps)};"
        " expected a destination that may have it: `baa: true` in destinations.yml when there is a contract for it,"
        " or `declassify` with a reason in the meta of a model on that way",
    )
