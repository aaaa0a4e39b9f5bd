"""Does anything depend on an attribute of people that no source owns, or write one that a source owns?

Asked once some source says what it owns: before that, an attribute is whoever's spoke last.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from tailrace.campaigns.analysis import analyse
from tailrace.campaigns.definition import Campaign
from tailrace.campaigns.shelf import Shelf
from tailrace.errors import Problem, nearest
from tailrace.landing.contract import Owner
from tailrace.planning.payloads import ADDRESS_COLUMNS
from tailrace.warehouse.catalog import Catalog
from tailrace.warehouse.graph import Graph

PEOPLE = ("dim_people", "dim_person_features")


def ownership_problems(
    project: Path, shelf: Shelf, catalog: Catalog, graph: Graph, owners: Mapping[str, Owner]
) -> list[Problem]:
    """Return each place that depends on an attribute without owner, or writes one of a source, with the way there."""
    owned = {*owners, *(shelf.policy.rules.owned_attributes if shelf.policy else ())}
    problems = list(_model_problems(project, catalog, graph, owned))
    for campaign in shelf.campaigns.values():
        problems += _campaign_problems(campaign, graph, owned)
        problems += _write_problems(project, campaign, owners)
    return problems


def ownership_notices(project: Path, graph: Graph, owners: Mapping[str, Owner]) -> list[Problem]:
    """Return what sources own that no model reads: a word that is spelled otherwise there, perhaps."""
    known = sorted({name for model in graph.models.values() for name in model.meta.get("attributes", ())})
    return [
        Problem(_place(project, owner), owner.line, f"`{name}` is owned, and no model reads it.{nearest(name, known)}")
        for name, owner in owners.items()
        if name not in known
    ]


def _model_problems(project: Path, catalog: Catalog, graph: Graph, owned: set[str]) -> Iterator[Problem]:
    for models in (catalog.segments, catalog.object_segments, catalog.syncs):
        for name, model in models.items():
            path = model.path.relative_to(project).as_posix()
            for attribute, way in sorted(graph.attributes(name).items()):
                if attribute not in owned:
                    yield Problem(path, model.line, _unowned(attribute, way))


def _campaign_problems(campaign: Campaign, graph: Graph, owned: set[str]) -> Iterator[Problem]:
    for path, line, column in sorted(set(_columns(campaign))):
        for model in PEOPLE:
            known = graph.named(model)
            if known is None or column.lower() not in (known.known.columns or {}):
                continue
            for attribute, way in sorted(graph.attributes(model, column).items()):
                if attribute not in owned:
                    yield Problem(path, line, _unowned(attribute, f"campaign {campaign.slug} → {way}"))


def _columns(campaign: Campaign) -> Iterator[tuple[str, int, str]]:
    """Yield each column of people that a campaign reads, and where it does."""
    for reference in campaign.references:
        if reference.what == "column":
            yield campaign.path, reference.line, reference.name
    for name in sorted(campaign.used_messages & campaign.messages.keys()):
        message = campaign.messages[name]
        found = analyse(message)
        for root, field in found.required | found.optional:
            if root == "customer":
                yield *found.places[(root, field)], field
        for column in () if message.to else ADDRESS_COLUMNS.get(message.channel, ()):
            yield message.path, 1, column


def _write_problems(project: Path, campaign: Campaign, owners: Mapping[str, Owner]) -> Iterator[Problem]:
    for reference in campaign.references:
        if reference.what == "owned_attribute" and reference.name in owners:
            owner = owners[reference.name]
            yield Problem(
                campaign.path,
                reference.line,
                f"`update` writes `{reference.name}`, which source `{owner.source}` owns"
                f" ({_place(project, owner)}:{owner.line}): campaign {campaign.slug} → update → attribute"
                f" {reference.name}; expected an attribute of ours: take another name",
            )


def _unowned(attribute: str, way: str) -> str:
    return (
        f"it depends on the attribute `{attribute}`, which no source owns: {way}; expected one source to name it"
        " under `owns.attributes` (contracts/sources/)"
    )


def _place(project: Path, owner: Owner) -> str:
    path = Path(owner.path)
    return path.relative_to(project).as_posix() if path.is_relative_to(project) else owner.path
