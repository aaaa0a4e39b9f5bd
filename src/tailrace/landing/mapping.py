"""How does one row become one call? The keys `mapping` and `tables` of a source's contract."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from ruamel.yaml.nodes import SequenceNode

from tailrace.landing.yaml_nodes import Node

TYPES = ("identify", "track", "page", "screen", "group", "alias")
IDS = ("user_id", "anonymous_id", "previous_id", "group_id", "message_id")
TEXTS = ("event", *IDS)
_BODIES = ("properties", "traits")
_KEYS = ("type", *TEXTS, "timestamp", *_BODIES)
_HOLE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_PATH = "a column and the keys below it, such as `[payload, user, id]`"
_BODY = "a mapping of names to columns, `all`, a column that holds an object, or the `path` to one"


@dataclass(frozen=True)
class Column:
    """The value of a column of the file; with `keys`, the one that they lead to in the object that it holds."""

    name: str
    keys: tuple[str, ...] = ()

    @property
    def pointer(self) -> str:
        """Return the keys as a JSON pointer (RFC 6901)."""
        return "".join(f"/{key.replace('~', '~0').replace('/', '~1')}" for key in self.keys)


@dataclass(frozen=True)
class Const:
    """The same value for every row."""

    value: str | int | float | bool


@dataclass(frozen=True)
class Template:
    """Text with columns in it; null when one of them is null."""

    parts: tuple[str | Column, ...]


Value = Column | Const | Template
Body = tuple[tuple[str, Value], ...] | Column | Literal["all"] | None
"""Its properties by name, the object that a column holds, `all` other columns, or nothing."""


@dataclass(frozen=True)
class Mapping:
    """How one row becomes one call."""

    line: int
    type: Value
    timestamp: Value
    texts: tuple[tuple[str, Value], ...]
    properties: Body = None
    traits: Body = None

    def columns(self) -> list[str]:
        """Return the names of all columns that the mapping reads, each once, in order."""
        return list(dict.fromkeys(column.name for column in self.read()))

    def used(self) -> list[str]:
        """Return the names of the columns of which nothing is left for a body of `all` others."""
        return list(dict.fromkeys(column.name for column in self.read() if not column.keys))

    def nested(self) -> list[Column]:
        """Return the columns into which the mapping looks, with the keys: each once, in order."""
        return list(dict.fromkeys(column for column in self.read() if column.keys))

    def whole(self) -> list[Column]:
        """Return the columns that are a body as they stand, each once."""
        return list(dict.fromkeys(body for body in (self.properties, self.traits) if isinstance(body, Column)))

    def ids(self) -> list[Column]:
        """Return the columns of which ids are made, each once, in order."""
        values = [value for name, value in self.texts if name in IDS]
        return list(dict.fromkeys(column for value in values for column in columns_of(value)))

    def read(self) -> Iterator[Column]:
        """Yield the columns that the mapping reads, one for each time that it does."""
        for value in (self.type, self.timestamp, *(value for _, value in self.texts)):
            yield from columns_of(value)
        for body in (self.properties, self.traits):
            if isinstance(body, Column):
                yield body
            elif isinstance(body, tuple):
                for _, value in body:
                    yield from columns_of(value)


def columns_of(value: Value) -> Iterator[Column]:
    """Yield the columns that a value is made of."""
    parts = value.parts if isinstance(value, Template) else (value,)
    yield from (part for part in parts if isinstance(part, Column))


def read_mapping(node: Node) -> Mapping | None:
    """Return the mapping that a contract has at `node`; problems are noted where they stand."""
    table = node.table(_KEYS)
    if table is None:
        return None
    values = {name: _value(inner) for name in ("type", "timestamp", *TEXTS) if (inner := table.get(name)) is not None}
    kind, at = values.pop("type", None), values.pop("timestamp", None)
    written = table.get("type")
    if written is not None and isinstance(kind, Column) and not kind.keys and kind.name in TYPES:
        kind = Const(kind.name)
    for name, value in (("type", table.get("type")), ("timestamp", table.get("timestamp"))):
        if value is None:
            node.wrong(f"`{name}` is missing; expected a column, or a `const`")
    if "user_id" not in values and "anonymous_id" not in values:
        node.wrong("`user_id` and `anonymous_id` are both missing; expected at least one of them")
    if isinstance(kind, Const) and kind.value == "track" and table.get("event") is None:
        node.wrong("`event` is missing; expected it with `type: track`")
    if isinstance(kind, Const) and kind.value not in TYPES and written is not None:
        written.wrong(f"`type` is {kind.value!r}; expected one of {', '.join(TYPES)}")
    properties, traits = (_body(table.get(name)) for name in _BODIES)
    if kind is None or at is None:
        return None
    texts = tuple((name, value) for name, value in values.items() if value is not None)
    return Mapping(node.line, kind, at, texts, properties, traits)


def _body(node: Node | None) -> Body:
    if node is None:
        return None
    if node.scalar() == "all":
        return "all"
    if node.scalar() is not None:
        name = node.text(_BODY)
        return Column(name) if name is not None else None
    rows = node.free(_BODY)
    # A property may be called `path` as well: its column is no list.
    if list(rows) == ["path"] and isinstance(rows["path"].raw, SequenceNode):
        return _path(rows["path"])
    found = ((name, _value(inner)) for name, inner in rows.items())
    return tuple((name, value) for name, value in found if value is not None)


def _value(node: Node) -> Value | None:
    if node.scalar() is not None:
        name = node.text("the name of a column")
        return Column(name) if name is not None else None
    table = node.table(("const", "format", "path"))
    if table is None:
        return None
    if len(table.nodes) != 1:
        node.wrong(f"`{node.name}` has none or several of `const`, `format` and `path`; expected one of them")
        return None
    ((kind, inner),) = table.nodes.items()
    if kind == "path":
        return _path(inner)
    if kind == "const":
        value: Any = inner.constant()
        return Const(value) if value is not None else None
    return _template(inner)


def _path(node: Node) -> Column | None:
    if not isinstance(node.raw, SequenceNode) or len(node.raw.value) < 2:
        node.wrong(f"`path` is {node.kind()}; expected {_PATH}")
        return None
    keys = [Node(node.path, raw, node.problems, "key of path").text(_PATH) for raw in node.raw.value]
    found = tuple(key for key in keys if key is not None)
    return Column(found[0], found[1:]) if len(found) == len(keys) else None


def _template(node: Node) -> Template | None:
    text = node.text("text with columns in it such as `{account_id}@example.test`")
    if text is None:
        return None
    parts: list[str | Column] = []
    at = 0
    for hole in _HOLE.finditer(text):
        parts.append(text[at : hole.start()])
        at = hole.end()
        if hole[0] in ("{{", "}}"):
            parts.append(hole[0][0])
        elif hole[1]:
            parts.append(Column(hole[1]))
        else:
            node.wrong("`format` has a brace that names no column; expected `{column}`, or `{{` for a brace")
            return None
    parts.append(text[at:])
    return Template(tuple(part for part in parts if part != ""))
