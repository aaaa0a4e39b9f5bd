"""Which model's column is made of which others', through the whole project?

Told from dbt's manifest and the SQL of the models, without dbt and without a warehouse. A model whose SQL cannot be
told or traced depends on all of everything that it refers to.
"""

from __future__ import annotations

import csv
import re
from collections import deque
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from tailrace.settings import Settings
from tailrace.warehouse.catalog import config_line, read_manifest, read_vars
from tailrace.warehouse.landed import SHOWN
from tailrace.warehouse.lineage import trace
from tailrace.warehouse.relation import ALL, ROWS, SIFTED, Known, Ref, Refs
from tailrace.warehouse.rendering import REFERABLE, Renderer, relation_of

EVENTS = "landing.events"
_ONLY_THEN = re.compile(r"\b(is_incremental|execute|should_full_refresh|FULL_REFRESH)\b")
_WORD = re.compile(r"[\w.]+")
_ADDED = ("dbt_scd_id", "dbt_updated_at", "dbt_valid_from", "dbt_valid_to", "dbt_is_deleted")
_NOTHING_TOLD: Mapping[str, tuple[str, frozenset[str]]] = MappingProxyType({})


@dataclass(frozen=True)
class Model:
    """One model, seed or snapshot: where it stands, what its meta says of it and its columns, what is known of its SQL.

    `described` is the file that says something of its columns, '' when there is none.
    """

    name: str
    relation: str
    path: str
    line: int
    described: str
    parents: tuple[str, ...]
    meta: Mapping[str, Any]
    columns: Mapping[str, Mapping[str, Any]]
    known: Known

    @property
    def is_declassified(self) -> bool:
        """Whether its meta says that nothing of what it reads shows in it, and why."""
        return bool(self.meta.get("declassify"))


@dataclass(frozen=True)
class Graph:
    """Every model, seed and snapshot by its relation, those first that others stand on."""

    models: Mapping[str, Model]

    def named(self, name: str) -> Model | None:
        """Return the model of this name."""
        return next((model for model in self.models.values() if model.name == name), None)

    def attributes(self, name: str, column: str | None = None) -> dict[str, str]:
        """Return each attribute of people that a model (or a column of it) depends on, with the way from it in words.

        Attributes are what the meta of a model (`fct_person_facts`) names under `attributes`.
        """
        start = self.named(name)
        if start is None:
            return {}
        column = None if column is None else column.lower()
        found: dict[str, str] = {}
        before: dict[Ref, Ref | None] = dict.fromkeys(sorted(_refs_of(start, column)))
        waiting = deque(before)
        while waiting:
            ref = waiting.popleft()
            model = self.models.get(ref[0])
            if model is None:
                continue
            if attributes := model.meta.get("attributes"):
                way = [name if column is None else f"{name}.{column}", *self._way(ref, before)]
                for attribute in attributes if ref[1] == ALL else {ref[1]} & set(attributes):
                    found.setdefault(attribute, " → ".join([*way, f"attribute {attribute}"]))
                continue
            for further in sorted(_refs_of(model, ref[1])):
                if further not in before:
                    before[further] = ref
                    waiting.append(further)
        return found

    def _way(self, ref: Ref, before: Mapping[Ref, Ref | None]) -> list[str]:
        way: list[str] = []
        at: Ref | None = ref
        while at is not None:
            name = self.models[at[0]].name
            way.append(name if at[1] in (ROWS, ALL) else f"{name}.{at[1]}")
            at = before[at]
        return way[::-1]


def _refs_of(model: Model, column: str | None) -> Refs:
    """Return what a column of a model depends on; None or a column that is not known: all that the model does."""
    if column == ROWS and model.known.columns is not None:
        return model.known.rows
    return (model.known.columns or {}).get(column or ALL, model.known.reads)


def read_graph(
    settings: Settings, events: Collection[str] = (), told: Mapping[str, tuple[str, frozenset[str]]] = _NOTHING_TOLD
) -> Graph:
    """Return the graph of dbt's manifest, which `runner.parse` keeps up to date; `events` are those to be followed.

    `told` names tables of the landing of which rows are to be told apart: by which column, and by which values of it.

    Raises BuildError when dbt has not read the project yet.
    """
    manifest = read_manifest(settings)
    renderer = Renderer(manifest, read_vars(settings))
    relations = {f"landing.{table}": Known(dict.fromkeys(columns, frozenset())) for table, columns in SHOWN.items()}
    relations[EVENTS] = replace(relations[EVENTS], events=frozenset(events), event_column="event", type_column="type")
    for relation, (column, values) in told.items():
        relations[relation] = replace(relations[relation], told=values, told_by=column)
    models: dict[str, Model] = {}
    for entry in _in_order(manifest):
        relation = relation_of(entry).lower()
        parents = _parents(manifest, entry)
        if entry["resource_type"] == "seed":
            known = _seed(settings, entry)
        else:
            sql = renderer.sql(entry["raw_code"], relation_of(entry))
            known = (None if sql is None else trace(sql, relations)) or _untold(parents, relations)
        if entry["resource_type"] == "snapshot":
            known = _kept(known)
        known = _also(known, {*_later(entry, parents, known), *_hooked(entry, renderer, relations)}, relations)
        model = _model(entry, relation, parents, known)
        models[relation] = model
        relations[relation] = (
            replace(known, events=frozenset(), told=frozenset(), told_by=None) if model.is_declassified else known
        )
    return Graph(models)


def _untold(parents: Collection[str], relations: Mapping[str, Known]) -> Known:
    """Return what is known of a model whose SQL nobody understands: all may be in it."""
    everything = frozenset((parent, ALL) for parent in parents)
    events = frozenset[str]().union(*(relations[parent].events for parent in parents if parent in relations))
    return Known(None, everything, everything, events)


def _later(entry: Mapping[str, Any], parents: Collection[str], known: Known) -> set[str]:
    """Return what a model refers to and reads only when it runs or once it stands: its text is as dbt parses it."""
    reads = {relation.removeprefix(SIFTED) for relation, _ in known.reads}
    return set(parents) - reads if _ONLY_THEN.search(entry.get("raw_code") or "") else set()


def _hooked(entry: Mapping[str, Any], renderer: Renderer, relations: Collection[str]) -> set[str]:
    """Return the relations that the hooks of a model name, which may write anything of them into it."""
    found: set[str] = set()
    for hook in (*(entry["config"].get("pre-hook") or ()), *(entry["config"].get("post-hook") or ())):
        text = renderer.sql(hook["sql"], relation_of(entry))
        words = set(_WORD.findall((hook["sql"] if text is None else text).lower().replace('"', "")))
        found |= {name for name in relations if name in words or (text is None and name.partition(".")[2] in words)}
    return found - {relation_of(entry).lower()}


def _also(known: Known, named: Collection[str], relations: Mapping[str, Known]) -> Known:
    """Return what is known of a model that depends on all of these relations, too, nobody knows how."""
    if not named:
        return known
    more = _untold(named, relations)
    return replace(
        known,
        columns=known.columns and {name: refs | more.reads for name, refs in known.columns.items()},
        rows=known.rows | more.reads,
        reads=known.reads | more.reads,
        events=known.events | more.events,
        event_column=None if more.events else known.event_column,
    )


def _kept(known: Known) -> Known:
    """Return what is known of a snapshot of something: the columns that dbt adds say when anything of it changed."""
    columns = known.columns and {**known.columns, **dict.fromkeys(_ADDED, known.reads)}
    return replace(known, columns=columns)


def _model(entry: Mapping[str, Any], relation: str, parents: tuple[str, ...], known: Known) -> Model:
    columns = {name.lower(): column_meta(column) for name, column in (entry.get("columns") or {}).items()}
    return Model(
        name=entry["name"],
        relation=relation,
        path=entry["original_file_path"],
        line=config_line(entry.get("raw_code") or ""),
        described=(entry.get("patch_path") or "").partition("://")[2],
        parents=parents,
        meta=entry["config"].get("meta") or {},
        columns=columns,
        known=known,
    )


def column_meta(column: Mapping[str, Any]) -> dict[str, Any]:
    """Return the meta of a column of the manifest, which dbt keeps in one of two places."""
    return {**(column.get("meta") or {}), **((column.get("config") or {}).get("meta") or {})}


def _seed(settings: Settings, entry: Mapping[str, Any]) -> Known:
    path = settings.project_dir / entry["original_file_path"]
    with path.open(encoding="utf-8-sig", newline="") as file:
        names = next(csv.reader(file), [])
    return Known({name.strip().lower(): frozenset() for name in names})


def _parents(manifest: Mapping[str, Any], entry: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the relations that a node refers to, the landing's tables among them."""
    found = []
    for unique_id in (entry.get("depends_on") or {}).get("nodes", ()):
        if unique_id in manifest["nodes"]:
            found.append(relation_of(manifest["nodes"][unique_id]).lower())
        elif unique_id in manifest["sources"]:
            source = manifest["sources"][unique_id]
            found.append(f"{source['source_name']}.{source['name']}".lower())
    return tuple(found)


def _in_order(manifest: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the models, seeds and snapshots, each after those that it refers to."""
    waiting = {
        unique_id: entry
        for unique_id, entry in sorted(manifest["nodes"].items())
        if entry["resource_type"] in REFERABLE
    }
    done: set[str] = set()
    stack = list(waiting)[::-1]
    while stack:
        unique_id = stack[-1]
        entry = waiting[unique_id]
        needed = [up for up in (entry.get("depends_on") or {}).get("nodes", ()) if up in waiting and up not in done]
        if unique_id in done or not needed:
            stack.pop()
            if unique_id not in done:
                done.add(unique_id)
                yield entry
        else:
            stack += needed
