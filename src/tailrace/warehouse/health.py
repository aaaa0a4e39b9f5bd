"""Which models hold health data, and on which way did it come there?

A model, one of its columns or an event is marked (`sensitivity: health`); all that depends on it is health data, too,
until a model says why it is not (`declassify`). Who is in a segment is such data as much as any value in it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tailrace import durable, ids
from tailrace.errors import Problem
from tailrace.settings import Settings
from tailrace.warehouse import runner
from tailrace.warehouse.catalog import config_line, read_manifest
from tailrace.warehouse.graph import Graph, Model, column_meta, read_graph
from tailrace.warehouse.lineage import ALL, ROWS, Ref

HEALTH = "health"

Way = list[str]
"""From a model to what was marked, each step in words."""

_FORM = "1"
_ANY = "*"


@dataclass(frozen=True)
class Health:
    """The way to health data of each model that holds some: of all of it (`*`), or of single columns of it."""

    ways: Mapping[str, Mapping[str, Way]] = field(default_factory=dict)

    def way(self, model: str, column: str | None = None) -> Way | None:
        """Return the way from a model, or one of its columns, to health data; None when there is none in it."""
        found = self.ways.get(model, {})
        if column is not None:
            return found.get(_ANY) or found.get(column)
        return found.get(_ANY) or next((found[name] for name in sorted(found)), None)


def read_health(settings: Settings, events: Mapping[str, str]) -> Health:
    """Return what dbt's manifest says; `events` are those whose contracts mark them, each with the contract's place.

    Kept beside the manifest, so that it is worked out once for a project.
    """
    kept, of = runner.directory(settings) / "health.json", _inputs(settings, events)
    if kept.is_file():
        known = json.loads(kept.read_bytes())
        if known["of"] == of:
            return Health(known["ways"])
    found = _read(settings, events)
    durable.write(kept, json.dumps({"of": of, "ways": found.ways}).encode())
    return found


def _inputs(settings: Settings, events: Mapping[str, str]) -> str:
    files = (runner.manifest_path(settings), settings.project_dir / "dbt_project.yml")
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]
    return ids.digest(_FORM, *digests, json.dumps(sorted(events.items())))


def mark_problems(settings: Settings) -> list[Problem]:
    """Return each mark in the meta of a model that is none: another word, or a `declassify` that gives no reason."""
    problems = []
    for entry, meta in _metas(read_manifest(settings)):
        place = entry["original_file_path"], config_line(entry.get("raw_code") or "")
        if meta.get("sensitivity", HEALTH) != HEALTH:
            text = f"`sensitivity: {meta['sensitivity']}` is not known; expected `{HEALTH}`, or none"
            problems.append(Problem(*place, text))
        reason = meta.get("declassify", "-")
        if not isinstance(reason, str) or not reason.strip():
            text = "`declassify` gives no reason; expected why nothing of it shows here, in words"
            problems.append(Problem(*place, text))
    return problems


def _read(settings: Settings, events: Mapping[str, str]) -> Health:
    if not events and not _is_marked(read_manifest(settings)):
        return Health()
    graph = read_graph(settings, events)
    marked = _marked(graph)
    ways = {relation: dict(found) for relation, found in marked.items()}
    _follow_events(graph, events, ways)
    return Health({graph.models[relation].name: found for relation, found in ways.items() if found})


def _is_marked(manifest: Mapping[str, Any]) -> bool:
    return any(meta.get("sensitivity") == HEALTH for _, meta in _metas(manifest))


def _metas(manifest: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Yield each model and seed with its meta, and with that of each of its columns."""
    for entry in manifest["nodes"].values():
        if entry["resource_type"] in ("model", "seed"):
            yield entry, entry["config"].get("meta") or {}
            for column in (entry.get("columns") or {}).values():
                yield entry, column_meta(column)


def _marked(graph: Graph) -> dict[str, dict[str, Way]]:
    """Return the ways to what the meta of models and columns marks, column by column where that can be told."""
    ways: dict[str, dict[str, Way]] = {}
    for relation, model in graph.models.items():
        found: dict[str, Way] = {}
        if model.meta.get("sensitivity") == HEALTH:
            found[_ANY] = [f"{model.name} (marked in {model.path}:{model.line})"]
        elif not model.is_declassified:
            rows = _nearest(ways, model.known.rows)
            if rows is not None or (model.known.columns is None and (rows := _nearest(ways, model.known.reads))):
                found[_ANY] = [model.name, *rows]
            for column, refs in (model.known.columns or {}).items():
                if _ANY not in found and (way := _nearest(ways, refs)) is not None:
                    found[column] = [f"{model.name}.{column}", *way]
            for column, meta in model.columns.items():
                if meta.get("sensitivity") == HEALTH:
                    found[column] = [f"{model.name}.{column} (marked in {model.path}:{model.line})"]
        ways[relation] = found
    return ways


def _nearest(ways: Mapping[str, Mapping[str, Way]], refs: Collection[Ref]) -> Way | None:
    """Return the shortest way among those that the refs lead to."""
    found = [way for relation, column in sorted(refs) for way in _ways_of(ways.get(relation, {}), column)]
    return min(found, key=len, default=None)


def _ways_of(found: Mapping[str, Way], column: str) -> Iterator[Way]:
    if _ANY in found:
        yield found[_ANY]
    elif column == ALL:
        yield from found.values()
    elif column != ROWS and column in found:
        yield found[column]


def _follow_events(graph: Graph, events: Mapping[str, str], ways: dict[str, dict[str, Way]]) -> None:
    """Add the ways to rows of marked events. What a model makes of such rows is marked in whole."""
    for relation, model in graph.models.items():
        if not model.known.events or model.is_declassified or _ANY in ways[relation]:
            continue
        event = min(model.known.events)
        parents = [
            graph.models[up] for up in model.parents if up in graph.models and not _is_raw(graph.models[up], events)
        ]
        ways_on = [ways[up.relation][_ANY] for up in parents if event in up.known.events and not up.is_declassified]
        way = min(ways_on, key=len, default=[f"event {event} ({events[event]})"])
        ways[relation][_ANY] = [model.name, *way]


def _is_raw(model: Model, events: Mapping[str, str]) -> bool:
    """Return whether a model holds events as they came: a way through it says no more than the event's name."""
    tells = model.known.event_column is not None and model.known.type_column is not None
    return tells and len(model.known.events) == len(events)
