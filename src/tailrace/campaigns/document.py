"""How is a YAML file of ours read so that every mistake has a line? Strictly, node by node, nothing guessed.

YAML 1.2 (`on` and `no` are words), no anchors, no tags, no duplicate keys. A reader reports to a list of problems
and goes on, so that one pass finds all of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode

from tailrace.campaigns import amounts
from tailrace.errors import Problem, nearest

LARGEST_FILE = 200_000
_STR = "tag:yaml.org,2002:str"
_INT = re.compile(r"-?(0|[1-9][0-9]{0,8})", re.ASCII)
_NUMBER = re.compile(r"(0|[1-9][0-9]{0,8})(\.[0-9]{1,9})?", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\x80-\x9f\u2028\u2029]")
_T = TypeVar("_T")


class Node:
    """One value of a document: where it stands and what it says."""

    def __init__(self, path: str, raw: Any, problems: list[Problem], name: str, first_line: int) -> None:
        self.path, self.raw, self.problems, self.name, self._first_line = path, raw, problems, name, first_line

    @property
    def line(self) -> int:
        """The line of the file on which the value starts, from 1."""
        return int(self.raw.start_mark.line) + self._first_line

    @property
    def text_line(self) -> int:
        """The line on which the text itself starts: one further than `line` for a `|` or `>` block."""
        return self.line + (1 if getattr(self.raw, "style", None) in ("|", ">") else 0)

    def wrong(self, message: str) -> None:
        """Add a problem at this value."""
        self.problems.append(Problem(self.path, self.line, message))

    def kind(self) -> str:
        """Return what the value is, in words for an error."""
        if isinstance(self.raw, MappingNode):
            return "a mapping"
        if isinstance(self.raw, SequenceNode):
            return "a list"
        return f"`{self.raw.value}`" if self.raw.value else "nothing"

    def scalar(self) -> str | None:
        """Return the text of a scalar exactly as it is written, whatever type YAML would give it, else None."""
        return str(self.raw.value) if isinstance(self.raw, ScalarNode) else None

    def text(self, expected: str = "text") -> str | None:
        """Return non-empty text; None, and a problem, for anything else. Numbers must be quoted to be text."""
        value = self.scalar()
        if value is None or self.raw.tag != _STR or not value.strip():
            self.wrong(f"`{self.name}` is {self.kind()}; expected {expected}")
            return None
        if _CONTROL.search(value):
            self.wrong(f"`{self.name}` has a control character in it; expected {expected}: remove it")
            return None
        return value.strip()

    def convert(self, convert: Callable[[str], _T]) -> _T | None:
        """Return what `convert` makes of the scalar; its ValueError becomes a problem."""
        value = self.scalar()
        try:
            return convert(value if value is not None else self.kind())
        except ValueError as error:
            self.wrong(f"`{self.name}`: {error}")
            return None

    def choice(self, options: Iterable[str], later: Iterable[str] = ()) -> str | None:
        """Return one of `options`; None, and a problem with the nearest one, for anything else."""
        value, known = self.scalar(), list(options)
        if value in known:
            return value
        if value in set(later):
            self.wrong(f"`{self.name}: {value}` is not supported yet; expected {_listed(known)}")
            return None
        hint = nearest(value, known) if value else ""
        self.wrong(f"`{self.name}` is {self.kind()}; expected {_listed(known)}.{hint}")
        return None

    def whole(self, low: int, high: int) -> int | None:
        """Return a whole number in [low, high]."""
        value = self.scalar()
        if value is not None and self.raw.tag != _STR and _INT.fullmatch(value) and low <= int(value) <= high:
            return int(value)
        self.wrong(f"`{self.name}` is {self.kind()}; expected a whole number from {low} to {high}")
        return None

    def number(self, low: float, high: float) -> float | None:
        """Return a number in [low, high]."""
        value = self.scalar()
        if value is not None and self.raw.tag != _STR and _NUMBER.fullmatch(value) and low <= float(value) <= high:
            return float(value)
        self.wrong(f"`{self.name}` is {self.kind()}; expected a number from {low:g} to {high:g}")
        return None

    def flag(self) -> bool | None:
        """Return true or false."""
        value = self.scalar()
        if value in ("true", "false") and self.raw.tag != _STR:
            return value == "true"
        self.wrong(f"`{self.name}` is {self.kind()}; expected `true` or `false`")
        return None

    def plain(self) -> str | int | float | bool | None:
        """Return a scalar as the JSON value it is written as; None for nothing, and for what is reported as wrong."""
        value, tag = self.scalar(), str(self.raw.tag).removeprefix("tag:yaml.org,2002:")
        if value is None or tag in ("str", "timestamp"):
            return self.text("text, a number, `true`, `false` or `null`") if tag != "timestamp" else value
        if tag in ("bool", "null"):
            return value == "true" if tag == "bool" else None
        if not _NUMBER.fullmatch(value.removeprefix("-")):
            self.wrong(f"`{self.name}` is {self.kind()}; expected a number in plain digits")
            return None
        return int(value) if tag == "int" else float(value)

    def duration(self) -> timedelta | None:
        """Return a duration such as `48h`."""
        return self.convert(amounts.duration)

    def rows(self) -> list[Node] | None:
        """Return the elements of a list that is not empty."""
        if not isinstance(self.raw, SequenceNode) or not self.raw.value:
            self.wrong(f"`{self.name}` is {self.kind()}; expected a list with at least one element")
            return None
        return [Node(self.path, raw, self.problems, self.name, self._first_line) for raw in self.raw.value]

    def table(self, known: Iterable[str], later: Iterable[str] = ()) -> Table | None:
        """Return the mapping, having reported keys that are not `known`: `later` ones as not supported yet."""
        if not isinstance(self.raw, MappingNode):
            self.wrong(f"`{self.name}` is {self.kind()}; expected a mapping with {_listed(known)}")
            return None
        return Table(self, known, later, self._first_line)


class Table:
    """A mapping whose keys have been checked: `nodes` by name; `written` are all keys, the refused ones too."""

    def __init__(self, node: Node, known: Iterable[str] | None, later: Iterable[str], first_line: int) -> None:
        self.node = node
        self.nodes: dict[str, Node] = {}
        self.written: set[str] = set()
        names = None if known is None else list(known)
        for key, value in node.raw.value:
            at = Node(node.path, key, node.problems, node.name, first_line)
            name = at.scalar()
            self.written.add(name or "")
            if name is None:
                at.wrong(f"a key of `{node.name}` is {at.kind()}; expected a word")
            elif name in self.nodes:
                at.wrong(f"`{name}` stands here twice; expected it once: remove one")
            elif names is None or name in names:
                self.nodes[name] = Node(node.path, value, node.problems, name, first_line)
            elif name in set(later):
                at.wrong(f"`{name}` is not supported yet; remove it for now")
            else:
                at.wrong(f"unknown key `{name}`; expected one of {_listed(names)}.{nearest(name, names)}")

    def get(self, name: str) -> Node | None:
        """Return the value of `name`, or None when it is absent."""
        return self.nodes.get(name)

    def need(self, name: str, expected: str) -> Node | None:
        """Return the value of `name`; a problem when it is absent."""
        node = self.nodes.get(name)
        if node is None:
            self.node.wrong(f"`{name}` is missing; expected {expected}")
        return node


def document(
    path: str, text: str, problems: list[Problem], *, first_line: int = 1, name: str = "the file"
) -> Node | None:
    """Return the root of the YAML `text`, or None when it cannot be read (then there is a problem).

    `first_line` is the line of the file on which `text` starts (front matter starts on the second).
    """
    try:
        root = _composed(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = first_line + mark.line if mark is not None else None
        what = " ".join(str(part) for part in (error.context, error.problem) if part)
        problems.append(Problem(path, line, f"this is not YAML ({what}); expected YAML 1.2: mend this line"))
        return None
    except (YAMLError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error).splitlines()[0]
        problems.append(Problem(path, None, f"this is not YAML ({reason}); expected YAML 1.2"))
        return None
    if root is None:
        problems.append(Problem(path, first_line, f"{name} is empty; expected a mapping"))
        return None
    before = len(problems)
    if text.startswith("%"):
        problems.append(Problem(path, first_line, "YAML directives are not allowed; remove the line"))
    _plain(Node(path, root, problems, name, first_line), first_line, set())
    return Node(path, root, problems, name, first_line) if len(problems) == before else None


# A process may load the project for many runs. Nobody changes the nodes.
@lru_cache(maxsize=1024)
def _composed(text: str) -> Any:
    return YAML(typ="safe", pure=True).compose(text)


_TAGS = frozenset(
    f"tag:yaml.org,2002:{tag}" for tag in ("str", "int", "float", "bool", "null", "timestamp", "map", "seq")
)


def _plain(node: Node, first_line: int, seen: set[int]) -> None:
    """Report anchors, aliases, tags and merges anywhere below `node`: what stands there is what is meant."""
    if id(node.raw) in seen:
        return
    seen.add(id(node.raw))
    if node.raw.anchor is not None:
        node.wrong(f"the anchor `&{node.raw.anchor}` is not allowed; write the value out")
    if str(node.raw.tag) not in _TAGS:
        node.wrong(f"the tag `{node.raw.tag}` is not allowed; write the value plainly")
    children: list[Any] = []
    if isinstance(node.raw, MappingNode):
        children = [part for pair in node.raw.value for part in pair]
    elif isinstance(node.raw, SequenceNode):
        children = list(node.raw.value)
    for child in children:
        _plain(Node(node.path, child, node.problems, node.name, first_line), first_line, seen)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def free_table(node: Node) -> Mapping[str, Node] | None:
    """Return a mapping whose keys are the author's own names, or None when it is no mapping."""
    if not isinstance(node.raw, MappingNode):
        node.wrong(f"`{node.name}` is {node.kind()}; expected a mapping")
        return None
    return Table(node, None, (), node._first_line).nodes


def read_text(file: Path, path: str, problems: list[Problem]) -> str | None:
    """Return the UTF-8 text of `file`, or None with a problem at `path`. A byte order mark is dropped."""
    try:
        raw = file.read_bytes()
    except OSError as error:
        problems.append(Problem(path, None, f"the file cannot be read ({error.strerror}); expected it to be there"))
        return None
    if len(raw) > LARGEST_FILE:
        problems.append(Problem(path, None, f"the file has {len(raw)} bytes; expected at most {LARGEST_FILE}"))
        return None
    try:
        return raw.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        problems.append(Problem(path, line, "the file is not UTF-8; save it as UTF-8"))
        return None
