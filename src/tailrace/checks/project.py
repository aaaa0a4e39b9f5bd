"""Is everything that people write right? Every problem of every file, with its line, before anything runs."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from tailrace.campaigns.check import check_campaigns
from tailrace.campaigns.flight import Flight
from tailrace.campaigns.shelf import Shelf, load_campaigns
from tailrace.campaigns.signature import SIGNATURE
from tailrace.checks.event_names import campaign_notices, in_words, known_names, late_notices, unknown_names
from tailrace.checks.health import health_problems
from tailrace.checks.ownership import ownership_notices, ownership_problems
from tailrace.checks.programme_names import programme_notices
from tailrace.checks.syncs import sync_problems
from tailrace.destinations.connections import Connections, load_connections
from tailrace.errors import DefinitionError, Problem
from tailrace.landing.contract import Owner, attribute_owners, sources
from tailrace.landing.taxonomy import active_events, load_events
from tailrace.settings import Settings
from tailrace.warehouse import preview
from tailrace.warehouse.catalog import Catalog, ObjectSegmentModel, SegmentModel, read_catalog, read_nodes, read_vars
from tailrace.warehouse.graph import read_graph
from tailrace.warehouse.health import mark_problems


@dataclass(frozen=True)
class Findings:
    """What `check` found. `notices` stop nothing; `counts` is how many of each kind were read."""

    problems: list[Problem] = field(default_factory=list)
    notices: list[Problem] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)


def check_project(
    settings: Settings,
    customer_columns: Collection[str],
    segment_columns: Mapping[str, Collection[str]],
    flights: Mapping[str, Flight] = MappingProxyType({}),
    landed: Sequence[str] = (),
) -> Findings:
    """Return everything that is wrong with what people write.

    `customer_columns` and `segment_columns` are what the last build made; where it made nothing yet, the columns
    that the models' SQL spells out stand in. `flights` is what HEAD knows of each campaign, `landed` the names of the
    events that have landed, most often first.
    """
    shelf = load_campaigns(settings.project_dir, strict=False)
    problems: list[Problem] = []
    notices = [*shelf.notices, *unsigned_links(shelf)]
    connections = _connections(settings, problems)
    n_sources = len(sources(settings))
    owners = _owners(settings, problems)
    notices += _event_notices(settings, shelf, landed, problems)
    catalog = _catalog(settings, problems)
    if catalog is not None:
        names = set(catalog.segments)
        columns = {name: set(segment_columns.get(name) or catalog.columns(name)) for name in names}
        known = set(customer_columns) or set(catalog.columns("dim_people") + catalog.columns("dim_person_features"))
        problems += check_campaigns(
            shelf,
            names,
            known,
            columns,
            object_segments=set(catalog.object_segments),
            objects=_kinds(settings, catalog),
            off=catalog.off,
            lists=_lists(catalog),
            flights=flights,
        )
        problems += _segment_problems(catalog, settings.project_dir)
        problems += mark_problems(settings)
        if connections is not None:
            meta = {node.name: node.meta for node in read_nodes(settings).values() if node.folder == "syncs"}
            problems += sync_problems(settings.project_dir, catalog.syncs.values(), connections, meta)
            problems += _health(settings, shelf, connections)
        if owners:
            graph = read_graph(settings)
            problems += ownership_problems(settings.project_dir, shelf, catalog, graph, owners)
            notices += ownership_notices(settings.project_dir, graph, owners)
    else:
        problems += shelf.problems
    return Findings(
        problems=sorted(set(problems), key=lambda problem: problem.place),
        notices=notices,
        counts={
            "campaigns": len(shelf.campaigns),
            "messages": sum(len(campaign.messages) for campaign in shelf.campaigns.values()),
            "segments": len(catalog.segments) if catalog else 0,
            "syncs": len(catalog.syncs) if catalog else 0,
            "sources": n_sources,
        },
    )


def unsigned_links(shelf: Shelf) -> list[Problem]:
    """Return the notice that anybody can unsubscribe anybody, if so."""
    policy = shelf.policy
    if policy is None or policy.unsubscribe_secret_env is not None:
        return []
    said = (
        "`unsubscribe_url` is not signed: whoever guesses a person's key takes others off; expected"
        f" `{SIGNATURE}` in it and `unsubscribe_secret_env` (docs/channels.md, Signed links)"
    )
    return [Problem("policy.yml", policy.unsubscribe_line, said)]


def _kinds(settings: Settings, catalog: Catalog) -> set[str]:
    """Return the kinds of objects that the project knows: those of `vars: objects`, and those that segments are of."""
    return {*(read_vars(settings).get("objects") or ()), *(each.object for each in catalog.object_segments.values())}


def _lists(catalog: Catalog) -> set[str]:
    """Return the segments that are kept by hand: those whose SQL asks for the members of the list of their name."""
    asked = re.compile(r"\bmanual_members\(\s*['\"](\w+)['\"]")
    return {
        name
        for name, model in catalog.segments.items()
        if name.removeprefix("seg_") in asked.findall(model.path.read_text(encoding="utf-8"))
    }


def _segment_problems(catalog: Catalog, project: Path) -> list[Problem]:
    problems = []
    models: list[SegmentModel | ObjectSegmentModel] = [*catalog.segments.values(), *catalog.object_segments.values()]
    for model in models:
        missing = [name for name, value in (("owner", model.owner), ("summary", model.summary)) if not value]
        if missing:
            problems.append(
                Problem(
                    model.path.relative_to(project).as_posix(),
                    model.line,
                    f"there is no {' and no '.join(missing)}; expected `config(meta={{'owner': …, 'summary': …}})`",
                )
            )
    return problems


def _connections(settings: Settings, problems: list[Problem]) -> Connections | None:
    try:
        return load_connections(settings)
    except DefinitionError as error:
        problems += error.problems
        return None


def _owners(settings: Settings, problems: list[Problem]) -> Mapping[str, Owner]:
    """Return who owns what, having read the contract of every source."""
    try:
        return attribute_owners(settings)
    except DefinitionError as error:
        problems += error.problems
        return {}


def _event_notices(settings: Settings, shelf: Shelf, landed: Sequence[str], problems: list[Problem]) -> list[Problem]:
    """Return what is odd about the names of events and programmes, having read the contract of every event."""
    try:
        odd = programme_notices(settings.project_dir, shelf, load_events(settings))
        contracts = active_events(settings)
    except DefinitionError as error:
        problems += error.problems
        return []
    unknown = unknown_names(landed, known_names(settings, contracts, shelf))
    return [
        *odd,
        *campaign_notices(shelf, contracts),
        *late_notices(shelf, contracts),
        *(Problem("contracts/events", None, f"landed: {in_words(name, meant)}") for name, meant in unknown.items()),
    ]


def _health(settings: Settings, shelf: Shelf, connections: Connections) -> list[Problem]:
    try:
        return health_problems(settings, shelf.campaigns.values(), connections)
    except DefinitionError as error:
        return error.problems


def _catalog(settings: Settings, problems: list[Problem]) -> Catalog | None:
    try:
        preview.refresh(settings)
        return read_catalog(settings)
    except DefinitionError as error:
        problems += error.problems
        return None
