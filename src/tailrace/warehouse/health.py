"""Which models hold health data, and on which way did it come there?

A model, one of its columns or an event is marked (`sensitivity: health`); all that depends on it is health data, too,
until a model says why it is not (`declassify`). Who is in a segment is such data as much as any value in it, and so is
what a campaign that is health data did: whom it wrote to, and what it changed of people.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from tailrace import durable, ids
from tailrace.errors import Problem
from tailrace.settings import Settings
from tailrace.warehouse import runner
from tailrace.warehouse.catalog import config_line, read_manifest
from tailrace.warehouse.graph import Graph, Model, column_meta, read_graph
from tailrace.warehouse.relation import ALL, ROWS, SIFTED, Ref
from tailrace.warehouse.rendering import REFERABLE

HEALTH = "health"

Way = list[str]
"""From a model to what was marked, each step in words."""

Ways = dict[str, dict[str, Way]]
"""By relation, and by its column or `*`, which is all of it."""

_FORM = "7"
_ANY = "*"

_SENT = {
    "landing.intents": ("campaign", "step", "message", "version"),
    "landing.outcomes": ("campaign", "step"),
    "landing.responses": ("campaign", "step"),
}
"""What tells of a message which one it was. That there was one, and what became of it, shows nothing."""
_CHANGED = {"landing.acts": ("name", "kind", "value", "campaign", "step")}


@dataclass(frozen=True)
class Doings:
    """The campaigns that are health data, and the attributes and segments of people that they change."""

    campaigns: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()

    def told(self) -> dict[str, tuple[str, frozenset[str]]]:
        """Return by which column of the landing's tables, and which values of it, what they did is told apart."""
        by_campaign = {relation: ("campaign", self.campaigns) for relation in _SENT if self.campaigns}
        return by_campaign | {relation: ("name", self.names) for relation in _CHANGED if self.names}

    def ways(self) -> Ways:
        """Return the ways to the columns of the landing's tables that show what they did."""
        sent = f"what campaigns that are health data sent ({', '.join(sorted(self.campaigns))})"
        changed = f"what campaigns that are health data changed ({', '.join(sorted(self.names))})"
        of_sent = {relation: {name: [sent] for name in names} for relation, names in _SENT.items() if self.campaigns}
        return of_sent | {
            relation: {name: [changed] for name in names} for relation, names in _CHANGED.items() if self.names
        }


NOTHING_DONE = Doings()


@dataclass(frozen=True)
class Health:
    """The way to health data of each model that holds some: of all of it (`*`), or of single columns of it.

    A model is found by its name and by its alias. `columns` are those of these models, None where that cannot be told.
    """

    ways: Mapping[str, Mapping[str, Way]] = field(default_factory=dict)
    columns: Mapping[str, Collection[str] | None] = field(default_factory=dict)

    def way(self, model: str, column: str | None = None, *, is_there: bool = True) -> Way | None:
        """Return the way from a model, or one of its columns, to health data; None when there is none in it.

        Unless it `is_there`, a column that the model is known not to have leads nowhere.
        """
        found = self.ways.get(model, {})
        if column is not None:
            known = None if is_there else self.columns.get(model)
            is_lacking = known is not None and column.lower() not in known
            return None if is_lacking else found.get(_ANY) or found.get(column.lower())
        return found.get(_ANY) or next((found[name] for name in sorted(found)), None)


def read_health(settings: Settings, events: Mapping[str, str], doings: Doings = NOTHING_DONE) -> Health:
    """Return what dbt's manifest says; `events` are those whose contracts mark them, each with the contract's place.

    Kept beside the manifest, so that it is worked out once for a project and what is asked.
    """
    kept, project = runner.directory(settings) / "health.json", _project(settings)
    asked = ids.digest(json.dumps([sorted(events.items()), sorted(doings.campaigns), sorted(doings.names)]))
    known = json.loads(kept.read_bytes()) if kept.is_file() else {}
    answers = known.get("answers", {}) if known.get("of") == project else {}
    if asked not in answers:
        answers[asked] = asdict(_read(settings, events, doings))
        durable.write(kept, json.dumps({"of": project, "answers": answers}).encode())
    return Health(**answers[asked])


def _project(settings: Settings) -> str:
    files = (runner.manifest_path(settings), settings.project_dir / "dbt_project.yml")
    return ids.digest(_FORM, *(hashlib.sha256(path.read_bytes()).hexdigest() for path in files))


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


def _read(settings: Settings, events: Mapping[str, str], doings: Doings) -> Health:
    if not events and not is_any_marked(settings):
        return Health()
    graph = read_graph(settings, events, doings.told())
    sources = _sources(read_manifest(settings))
    ways = _marked(graph, sources, None)
    if doings != NOTHING_DONE:
        # Whoever keeps out what these campaigns did depends on a relation as it is without them.
        done = doings.ways()
        given = {name: {**sources.get(name, {}), **done.get(name, {})} for name in (*sources, *done)}
        ways = _marked(graph, given, ways)
    _follow_events(graph, events, ways)
    found: dict[str, dict[str, Way]] = {}
    columns: dict[str, list[str] | None] = {}
    for relation, model in graph.models.items():
        # Who is written to stands in core.dim_people, whatever the name of the model whose alias that is.
        for name in {model.name, relation.rpartition(".")[2]} if ways[relation] else ():
            # Of two versions of a model, what is in one may be what is asked for.
            columns[name] = None if name in found else sorted(model.known.columns or ()) or None
            found.setdefault(name, {}).update(ways[relation])
    return Health(found, columns)


def is_any_marked(settings: Settings) -> bool:
    """Return whether a model, seed, snapshot or source of the manifest is marked, or a column of one."""
    return any(meta.get("sensitivity") == HEALTH for _, meta in _metas(read_manifest(settings)))


def _metas(manifest: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Yield each model, seed, snapshot and source with its meta, and with that of each of its columns."""
    nodes = (entry for entry in manifest["nodes"].values() if entry["resource_type"] in REFERABLE)
    for entry in (*nodes, *manifest["sources"].values()):
        # The meta of a source stands in one of two places, as that of a column does.
        yield entry, column_meta(entry)
        for column in (entry.get("columns") or {}).values():
            yield entry, column_meta(column)


def _sources(manifest: Mapping[str, Any]) -> Ways:
    """Return the ways to what the meta of sources and of their columns marks."""
    ways: Ways = {}
    for entry in manifest["sources"].values():
        name = f"{entry['source_name']}.{entry['name']}"
        found = {
            column.lower(): [f"source {name}.{column} (marked in {entry['original_file_path']})"]
            for column, said in (entry.get("columns") or {}).items()
            if column_meta(said).get("sensitivity") == HEALTH
        }
        if column_meta(entry).get("sensitivity") == HEALTH:
            found = {_ANY: [f"source {name} (marked in {entry['original_file_path']})"]}
        for relation in (name, SIFTED + name) if found else ():
            ways[relation.lower()] = found
    return ways


def _marked(graph: Graph, given: Ways, sifted: Ways | None) -> Ways:
    """Return the ways to what the meta of models and columns marks, column by column where that can be told.

    `given` are ways of relations that no model makes, `sifted` those of relations without what was told apart: the same
    ones when None.
    """
    ways: Ways = dict(given)
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
                    found[column] = [f"{model.name}.{column} (marked in {model.described})"]
        ways[relation] = found
        ways[SIFTED + relation] = found if sifted is None else sifted[relation]
    return ways


def _nearest(ways: Ways, refs: Collection[Ref]) -> Way | None:
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


def _follow_events(graph: Graph, events: Mapping[str, str], ways: Ways) -> None:
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
