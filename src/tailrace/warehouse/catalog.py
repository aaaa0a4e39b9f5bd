"""Which segments, object segments and syncs does the project have, and what decides who is in them?

Read from dbt's manifest. A fingerprint changes when the SQL that decides membership changes: the model's, its
ancestors', the macros, vars and seeds they use. Comments, white space, `config()`, `as_of` and the way a model is built
(whole or incremental) are not in it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import sqlglot
from ruamel.yaml import YAML
from sqlglot.errors import SqlglotError

from tailrace import ids
from tailrace.errors import BuildError, TailraceError
from tailrace.settings import Settings
from tailrace.warehouse import runner

_DECIDES = ("models", "macros", "seeds", "tests")
_DECIDING_SUFFIXES = {".sql", ".yml", ".yaml", ".csv"}
# String literals and quoted names are kept as they are; comments and white space between words are one space, around
# brackets and commas none.
_GAP = r"(?:\{#.*?#\}|--[^\n]*|/\*.*?\*/|\s)+"
_TOKENS = re.compile(
    rf"(?P<kept>'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\")|(?:{_GAP})?(?P<mark>[(),])(?:{_GAP})?|{_GAP}", re.DOTALL
)
# A hook in it is a string with braces of its own.
_CONFIG = re.compile(r"\{\{-?\s*config\((?:'[^']*'|\"[^\"]*\"|[^'\"])*?\)\s*-?\}\}")
_VAR = re.compile(r"\bvar\(\s*['\"](\w+)['\"]")
_REF = re.compile(r"\{\{-?\s*ref\(\s*['\"](\w+)['\"]\s*\)\s*-?\}\}")


@dataclass(frozen=True)
class Node:
    """One model, seed or data test of the project. `folder` is the first folder under models/, or `seeds`, `tests`."""

    unique_id: str
    name: str
    kind: str
    folder: str
    relation: str
    path: str
    parents: tuple[str, ...]
    macros: tuple[str, ...]
    tags: frozenset[str]
    meta: Mapping[str, Any]
    code: str
    checksum: str
    is_incremental: bool


@dataclass(frozen=True)
class SegmentModel:
    """One segment. `relation` is `schema.name`; `guard` is what its meta says under `guard`."""

    name: str
    relation: str
    fingerprint: str
    summary: str
    owner: str
    guard: Mapping[str, Any]
    line: int
    path: Path


@dataclass(frozen=True)
class ObjectSegmentModel:
    """One segment of objects of the kind `object`. Campaigns watch it; no person is a member, plans keep no bit."""

    name: str
    relation: str
    fingerprint: str
    object: str
    summary: str
    owner: str
    line: int
    path: Path


@dataclass(frozen=True)
class SyncModel:
    """One sync. `segments` are the segments upstream of it; `columns` its output columns, keys first."""

    name: str
    relation: str
    fingerprint: str
    destination: str
    target: str
    mode: str
    keys: tuple[str, ...]
    owner: str
    guard: Mapping[str, Any]
    columns: tuple[str, ...]
    segments: tuple[str, ...]
    line: int
    path: Path


@dataclass(frozen=True)
class Catalog:
    """The segments and syncs of the project, by name, and what stands on what.

    `off` are the names of the models that are disabled, such as those of a programme that is off. `fingerprints` has,
    by relation (`core.dim_people`), the one of each model whose rows the trigger of a campaign may watch.
    """

    segments: Mapping[str, SegmentModel]
    object_segments: Mapping[str, ObjectSegmentModel]
    syncs: Mapping[str, SyncModel]
    _nodes: Mapping[str, Node] = field(repr=False)
    off: frozenset[str] = frozenset()
    fingerprints: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def _ids(self) -> dict[str, str]:
        return {node.name: unique_id for unique_id, node in self._nodes.items() if node.kind != "test"}

    def ancestors(self, name: str) -> frozenset[str]:
        """Return the names of all models and seeds that the model `name` stands on, near and far.

        Raises TailraceError when the project has no such model.
        """
        if name not in self._ids:
            raise TailraceError(f"the project has no model `{name}`")
        return frozenset(self._nodes[up].name for up in ancestor_ids(self._nodes, self._ids[name]))

    def columns(self, name: str) -> tuple[str, ...]:
        """Return the output columns that the SQL of the model `name` spells out; empty when it cannot be told."""
        return _columns(self._nodes[self._ids[name]].code) if name in self._ids else ()


def read_catalog(settings: Settings) -> Catalog:
    """Return the catalog as of dbt's last build or parse; call `runner.parse` first when files may have changed since.

    Raises BuildError when there was none.
    """
    manifest = read_manifest(settings)
    nodes = _nodes(manifest)
    prints = _Fingerprints(nodes, _project_macros(manifest), read_vars(settings))

    def said(node: Node) -> dict[str, Any]:
        """Return what the catalog says of every kind of model."""
        return {
            "name": node.name,
            "relation": node.relation,
            "fingerprint": prints.of(node.unique_id),
            "owner": str(node.meta.get("owner", "")),
            "line": config_line(node.code),
            "path": settings.project_dir / node.path,
        }

    segments = {
        node.name: SegmentModel(
            **said(node),
            summary=str(node.meta.get("summary", "")),
            guard=dict(node.meta.get("guard") or {}),
        )
        for node in _models(nodes, "segments")
    }
    object_segments = {
        node.name: ObjectSegmentModel(
            **said(node),
            object=str(node.meta.get("object", "")),
            summary=str(node.meta.get("summary", "")),
        )
        for node in _models(nodes, "object_segments")
    }
    syncs = {
        node.name: SyncModel(
            **said(node),
            destination=str(node.meta.get("destination", "")),
            target=str(node.meta.get("target", "")),
            mode=str(node.meta.get("mode", "")),
            keys=tuple(str(key) for key in node.meta.get("keys") or ()),
            guard=dict(node.meta.get("guard") or {}),
            columns=_columns(node.code),
            segments=tuple(
                sorted(nodes[up].name for up in ancestor_ids(nodes, node.unique_id) if nodes[up].folder == "segments")
            ),
        )
        for node in _models(nodes, "syncs")
    }
    watched = [*_models(nodes, "core"), *_models(nodes, "object_segments")]
    fingerprints = {node.relation: prints.of(node.unique_id) for node in watched}
    return Catalog(segments, object_segments, syncs, nodes, _disabled(manifest), fingerprints)


def read_nodes(settings: Settings) -> dict[str, Node]:
    """Return every model, seed and data test of the manifest, by dbt's unique id."""
    return _nodes(read_manifest(settings))


def ancestor_ids(nodes: Mapping[str, Node], unique_id: str) -> set[str]:
    """Return the ids of the models and seeds that a node stands on, near and far."""
    found: set[str] = set()
    waiting = list(nodes[unique_id].parents)
    while waiting:
        parent = waiting.pop()
        if parent in nodes and parent not in found:
            found.add(parent)
            waiting += nodes[parent].parents
    return found


def by_load_models(settings: Settings) -> frozenset[str]:
    """Return the names of what changes only when a load or the project does."""
    return frozenset(
        node.name for node in read_nodes(settings).values() if "by_load" in node.tags and node.kind != "test"
    )


def by_load_definition(settings: Settings) -> str:
    """Return the fingerprint of all that decides what incremental models hold: when it changes, they start anew."""
    manifest = read_manifest(settings)
    nodes = _nodes(manifest)
    prints = _Fingerprints(nodes, _project_macros(manifest), read_vars(settings))
    incremental = sorted(node.unique_id for node in nodes.values() if node.is_incremental)
    return ids.digest(*(prints.of(unique_id) for unique_id in incremental))


def project_fingerprint(settings: Settings) -> str:
    """Return the digest of the project's files that decide what is built, by path and content."""
    return ids.digest(
        *(
            part
            for path in _deciding_files(settings.project_dir)
            for part in (path.relative_to(settings.project_dir).as_posix(), path.read_text(encoding="utf-8"))
        )
    )


def _deciding_files(project: Path) -> Iterator[Path]:
    main = project / "dbt_project.yml"
    if not main.is_file():
        raise TailraceError(
            f"{main}: there is no dbt project here; expected `--project-dir` or TAILRACE_PROJECT to name one"
        )
    yield main
    for folder in _DECIDES:
        for path in sorted((project / folder).rglob("*")):
            if path.is_file() and path.suffix in _DECIDING_SUFFIXES:
                yield path


class _Fingerprints:
    """Fingerprints of nodes, each worked out once."""

    def __init__(self, nodes: Mapping[str, Node], macros: Mapping[str, Any], variables: Mapping[str, Any]) -> None:
        self._nodes = nodes
        self._macros = macros
        self._vars = variables
        self._known: dict[str, str] = {}

    def of(self, unique_id: str) -> str:
        if unique_id not in self._known:
            node = self._nodes[unique_id]
            texts = [normalise(_CONFIG.sub("", node.code)) if node.kind == "model" else node.checksum]
            texts += [normalise(self._macros[macro]["macro_sql"]) for macro in sorted(self._macros_of(node))]
            names = sorted({name for text in texts for name in _VAR.findall(text)})
            values = [f"{name}={json.dumps(self._vars.get(name), sort_keys=True, default=str)}" for name in names]
            # A source has no definition of its own; its name stands in the code that reads it.
            parents = [self.of(parent) for parent in sorted(node.parents) if parent in self._nodes]
            self._known[unique_id] = ids.digest(*texts, *values, *parents)
        return self._known[unique_id]

    def _macros_of(self, node: Node) -> set[str]:
        found: set[str] = set()
        waiting = [macro for macro in node.macros if macro in self._macros]
        while waiting:
            macro = waiting.pop()
            if macro in found:
                continue
            found.add(macro)
            name = self._macros[macro]["name"]
            # dbt does not always list the dialects of a dispatched macro: take all that carry its name.
            waiting += [other for other, entry in self._macros.items() if entry["name"].endswith(f"__{name}")]
            waiting += [used for used in self._macros[macro]["depends_on"]["macros"] if used in self._macros]
        return found


@lru_cache(maxsize=4_096)
def normalise(code: str) -> str:
    """Return SQL (with Jinja in it) without comments and with white space reduced to what separates words."""
    return _TOKENS.sub(lambda match: match.group("kept") or match.group("mark") or " ", code).strip()


def read_manifest(settings: Settings) -> dict[str, Any]:
    """Return dbt's manifest as of its last build or parse. Raises BuildError when there was none."""
    path = runner.manifest_path(settings)
    if not path.is_file():
        raise BuildError(f"{path}: dbt has not read the project yet; expected a build or `tailrace check` before this")
    manifest: dict[str, Any] = json.loads(path.read_bytes())
    return manifest


def _nodes(manifest: Mapping[str, Any]) -> dict[str, Node]:
    project = manifest["metadata"]["project_name"]
    return {
        unique_id: _node(entry)
        for unique_id, entry in manifest["nodes"].items()
        if entry["package_name"] == project and entry["resource_type"] in ("model", "seed", "test")
    }


def _disabled(manifest: Mapping[str, Any]) -> frozenset[str]:
    entries = (entry for entries in manifest["disabled"].values() for entry in entries)
    return frozenset(entry["name"] for entry in entries if entry["resource_type"] == "model")


def _node(entry: Mapping[str, Any]) -> Node:
    kind = entry["resource_type"]
    depends = entry.get("depends_on", {})
    return Node(
        unique_id=entry["unique_id"],
        name=entry["name"],
        kind=kind,
        folder=entry["fqn"][1] if kind == "model" and len(entry["fqn"]) > 2 else f"{kind}s",
        relation=f"{entry['schema']}.{entry['alias']}",
        path=entry["original_file_path"],
        parents=tuple(depends.get("nodes", ())),
        macros=tuple(depends.get("macros", ())),
        tags=frozenset(entry["tags"]),
        meta=entry["config"].get("meta") or {},
        code=entry.get("raw_code") or "",
        checksum=entry["checksum"]["checksum"],
        is_incremental=entry["config"].get("materialized") == "incremental",
    )


def _models(nodes: Mapping[str, Node], folder: str) -> list[Node]:
    return sorted(
        (node for node in nodes.values() if node.kind == "model" and node.folder == folder), key=lambda node: node.name
    )


def _project_macros(manifest: Mapping[str, Any]) -> dict[str, Any]:
    project = manifest["metadata"]["project_name"]
    return {name: entry for name, entry in manifest["macros"].items() if entry["package_name"] == project}


def read_vars(settings: Settings) -> Mapping[str, Any]:
    """Return the vars of dbt_project.yml."""
    project = YAML(typ="safe").load((settings.project_dir / "dbt_project.yml").read_text(encoding="utf-8"))
    variables: Mapping[str, Any] = project.get("vars") or {}
    return variables


def config_line(code: str) -> int:
    """Return the line of a model's `config(…)`, where its meta stands; 1 without one."""
    found = _CONFIG.search(code)
    return code.count("\n", 0, found.start()) + 1 if found else 1


def _columns(code: str) -> tuple[str, ...]:
    """Return the output columns that the model's last select spells out."""
    text = _REF.sub(r"\1", _CONFIG.sub("", re.sub(r"\{#.*?#\}", "", code, flags=re.DOTALL)))
    text = re.sub(r"\{%.*?%\}", " ", text, flags=re.DOTALL)
    text = re.sub(r"\{\{.*?\}\}", "jinja_expression", text, flags=re.DOTALL)
    try:
        query = sqlglot.parse_one(text, dialect="duckdb")
    except SqlglotError:
        return ()
    return tuple(query.named_selects) if isinstance(query, sqlglot.exp.Query) else ()
