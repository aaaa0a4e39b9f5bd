"""How does dbt show where data goes? One exposure for each campaign and each sync, in a file of the project.

dbt and whoever reads its lineage use the file; nothing of ours does. The same project gives the same bytes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tailrace import durable
from tailrace.campaigns.analysis import analyse
from tailrace.campaigns.definition import Campaign
from tailrace.campaigns.shelf import load_campaigns
from tailrace.checks.health import OBJECTS
from tailrace.checks.ownership import PEOPLE
from tailrace.destinations.connections import Connections, load_connections
from tailrace.errors import DefinitionError
from tailrace.settings import Settings
from tailrace.warehouse import preview
from tailrace.warehouse.catalog import Catalog, Node, config_line, read_catalog, read_nodes

FILE = "models/exposures/tailrace.yml"

_HEAD = """\
# Written by `tailrace exposures`: what tailrace sends, for dbt's own lineage. Do not edit it: write it again.
# dbt refuses a project in which this names a model that is gone: `tailrace exposures` mends that; so does removing it.
version: 2

exposures:
"""


@dataclass(frozen=True)
class Written:
    """The file, how many exposures of each kind it has, and whether it is another one than before."""

    path: Path
    campaigns: int
    syncs: int
    is_new: bool


@dataclass(frozen=True)
class _Exposure:
    name: str
    label: str
    description: str
    owner: str
    models: tuple[str, ...]
    meta: Mapping[str, Any]
    enabled: str | None


def write(settings: Settings) -> Written:
    """Write the exposures of the project as it is now. Writing them again changes nothing.

    Raises DefinitionError when dbt cannot read the project, or campaigns or connections are not right.
    """
    path = settings.project_dir / FILE
    before = path.read_text(encoding="utf-8") if path.is_file() else None
    _refresh(settings, path)
    found = _exposures(settings)
    text = _text(found)
    if text != before:
        durable.write(path, text.encode())
    syncs = sum(each.name.startswith("sync_") for each in found)
    return Written(path, len(found) - syncs, syncs, text != before)


def is_stale(settings: Settings) -> bool:
    """Return whether the file is there and does not say what the project does; the manifest is up to date."""
    path = settings.project_dir / FILE
    return path.is_file() and path.read_text(encoding="utf-8") != _text(_exposures(settings))


def _refresh(settings: Settings, path: Path) -> None:
    """Have dbt read the project, without the file when that names what is gone; it stays when that is not why."""
    try:
        preview.refresh(settings)
    except DefinitionError:
        if not path.is_file():
            raise
        text = path.read_bytes()
        path.unlink()
        try:
            preview.refresh(settings)
        except BaseException:
            durable.write(path, text)
            raise


def _exposures(settings: Settings) -> list[_Exposure]:
    shelf = load_campaigns(settings.project_dir)
    catalog, connections = read_catalog(settings), load_connections(settings)
    nodes = {node.name: node for node in read_nodes(settings).values() if node.kind != "test"}
    found = [*_campaigns(shelf.campaigns, catalog, nodes, connections), *_syncs(catalog, nodes, connections)]
    return sorted(found, key=lambda each: each.name)


def _campaigns(
    campaigns: Mapping[str, Campaign], catalog: Catalog, nodes: Mapping[str, Node], connections: Connections
) -> Iterator[_Exposure]:
    for slug, campaign in campaigns.items():
        channels = sorted(
            {campaign.messages[name].channel for name in campaign.used_messages & campaign.messages.keys()}
        )
        to = {channel: connections.channels.get(channel) for channel in channels}
        yield _Exposure(
            name=f"campaign_{slug}",
            label=f"Campaign {slug}",
            description=campaign.purpose,
            owner=campaign.owner,
            models=tuple(sorted(_read(campaign, catalog) & nodes.keys())),
            meta={"campaign": slug, "status": campaign.status, "destinations": to},
            enabled=f"'{campaign.programme}' in var('programmes')" if campaign.programme else None,
        )


def _read(campaign: Campaign, catalog: Catalog) -> set[str]:
    """Return the models that a campaign reads: for what starts it, what it asks, and what its messages say."""
    models, columns = {"dim_people"}, set()
    for reference in campaign.references:
        if reference.what in ("segment", "object_segment"):
            models.add(reference.name)
        elif reference.what == "event":
            models.add("fct_events")
        elif reference.what == "object":
            models.update(OBJECTS)
        elif reference.what == "column":
            columns.add(reference.name)
    for name in campaign.used_messages & campaign.messages.keys():
        usage = analyse(campaign.messages[name])
        for root, field in usage.required | usage.optional:
            if root == "customer":
                columns.add(field)
            elif root in ("object", "objects"):
                models.update(OBJECTS)
    models.update(model for model in PEOPLE if columns & set(catalog.columns(model)))
    return models


def _syncs(catalog: Catalog, nodes: Mapping[str, Node], connections: Connections) -> Iterator[_Exposure]:
    for name, model in catalog.syncs.items():
        known = connections.by_name.get(model.destination)
        said = {"destination": model.destination, "type": known.type if known else None}
        yield _Exposure(
            name=name,
            label=f"Sync {name.removeprefix('sync_')}",
            description=f"Rows of {name} to {model.destination}, {model.target or 'no target'}",
            owner=model.owner,
            models=(name,),
            meta=said | {"target": model.target, "mode": model.mode, "keys": list(model.keys)},
            enabled=_enabled(nodes[name].code),
        )


def _enabled(code: str) -> str | None:
    """Return the expression that the config of a model gives for `enabled`, or None without one."""
    lines = code.splitlines()[config_line(code) - 1 :]
    _, found, rest = "\n".join(lines).partition("enabled=")
    depth = 0
    for place, letter in enumerate(rest if found else ""):
        depth += (letter in "([{") - (letter in ")]}")
        if depth < 0 or (depth == 0 and letter == ","):
            return " ".join(rest[:place].split())
    return None


def _text(exposures: list[_Exposure]) -> str:
    if not exposures:
        return _HEAD.replace("exposures:\n", "exposures: []\n")
    return _HEAD + "\n".join("\n".join(_lines(each)) + "\n" for each in exposures)


def _lines(each: _Exposure) -> Iterator[str]:
    yield f"  - name: {each.name}"
    yield f"    label: {_quoted(each.label)}"
    yield "    type: application"
    yield f"    description: {_quoted(_plain(each.description))}"
    yield f"    owner: {{{'email' if '@' in each.owner else 'name'}: {_quoted(each.owner or 'nobody')}}}"
    yield "    depends_on:"
    yield from (f"      - ref('{model}')" for model in each.models)
    yield "    config:"
    if each.enabled:
        yield f"      enabled: {_quoted(f'{{{{ {each.enabled} }}}}')}"
    yield "      meta:"
    yield from (f"        {key}: {_quoted(value)}" for key, value in each.meta.items() if value not in (None, "", {}))


def _quoted(value: Any) -> str:
    """Return the value as JSON, which YAML is."""
    return json.dumps(value, ensure_ascii=False)


def _plain(text: str) -> str:
    """Return text in which dbt finds nothing to run."""
    return re.sub(r"\{(?=[{%#])", "{ ", text)
