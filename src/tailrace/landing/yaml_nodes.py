"""How is a contract read so that every mistake has a line? YAML 1.2, node by node, nothing guessed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode

from tailrace.errors import Problem, nearest

_TAG = "tag:yaml.org,2002:"
_ODD = re.compile("[\0\ud800-\udfff]")
_AGE = re.compile(r"([1-9][0-9]{0,4})([mhd])", re.ASCII)


class Node:
    """One value: where it stands and what it says."""

    def __init__(self, path: str, raw: Any, problems: list[Problem], name: str, key: Any = None) -> None:
        self.path, self.raw, self.problems, self.name = path, raw, problems, name
        # A value that is not there starts, for YAML, where the next thing does.
        self._start = key if key is not None and isinstance(raw, ScalarNode) and not raw.value else raw

    @property
    def line(self) -> int:
        """The line of the file on which the value starts, from 1; its key's when there is nothing."""
        return int(self._start.start_mark.line) + 1

    def wrong(self, message: str) -> None:
        """Add a problem at this value."""
        self.problems.append(Problem(self.path, self.line, message))

    def kind(self) -> str:
        """Return what the value is, in words for an error."""
        if isinstance(self.raw, ScalarNode):
            return f"`{self.raw.value}`" if self.raw.value else "nothing"
        empty = "" if self.raw.value else "n empty"
        return f"a{empty} mapping" if isinstance(self.raw, MappingNode) else f"a{empty} list"

    def scalar(self) -> str | None:
        """Return the text of a scalar as it is written, else None."""
        return str(self.raw.value) if isinstance(self.raw, ScalarNode) else None

    def text(self, expected: str = "text") -> str | None:
        """Return non-empty text; a problem, and None, for anything else."""
        value = self.scalar()
        if value is None or str(self.raw.tag) != _TAG + "str" or not value.strip():
            self.wrong(f"`{self.name}` is {self.kind()}; expected {expected}")
            return None
        return value

    def choice(self, options: Iterable[str]) -> str | None:
        """Return one of `options`; a problem with the nearest one, and None, for anything else."""
        value, known = self.scalar(), list(options)
        if value in known:
            return value
        self.wrong(
            f"`{self.name}` is {self.kind()}; expected one of"
            f" {', '.join(known)}.{nearest(value, known) if value else ''}"
        )
        return None

    def constant(self) -> str | int | float | bool | None:
        """Return a text, a number, or true or false; a problem, and None, for anything else."""
        value, tag = self.scalar(), str(self.raw.tag)
        try:
            if value is not None and tag == _TAG + "int":
                return int(value)
            if value is not None and tag == _TAG + "float":
                return float(value)
        except ValueError:
            pass
        if value is not None and tag == _TAG + "bool":
            return value.lower() == "true"
        if value is not None and tag == _TAG + "timestamp":
            return value
        return self.text("a text, a number, or true or false")

    def duration(self) -> timedelta | None:
        """Return a duration; a problem, and None, for anything else."""
        match = _AGE.fullmatch(self.scalar() or "")
        if match is None:
            self.wrong(f"`{self.name}` is {self.kind()}; expected a duration such as `24h`, `30m` or `7d`")
            return None
        return int(match[1]) * {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}[match[2]]

    @property
    def is_number(self) -> bool:
        """Say whether this is a number as YAML tells it; one in quotes is a text."""
        return str(self.raw.tag) in (_TAG + "int", _TAG + "float")

    def table(self, known: Iterable[str]) -> Table | None:
        """Return the mapping, having reported keys that are not `known`."""
        if not isinstance(self.raw, MappingNode):
            self.wrong(f"`{self.name}` is {self.kind()}; expected a mapping with {', '.join(known)}")
            return None
        return Table(self, list(known))

    def free(self, expected: str = "a mapping") -> dict[str, Node]:
        """Return a mapping whose keys are the author's own; empty, with a problem, when it is none or empty."""
        if not isinstance(self.raw, MappingNode) or not self.raw.value:
            self.wrong(f"`{self.name}` is {self.kind()}; expected {expected}")
            return {}
        return Table(self, None).nodes


class Table:
    """A mapping whose keys have been checked."""

    def __init__(self, node: Node, known: list[str] | None) -> None:
        self.nodes: dict[str, Node] = {}
        for key, value in node.raw.value:
            at = Node(node.path, key, node.problems, node.name)
            name = at.scalar()
            if name is None:
                at.wrong(f"a key of `{node.name}` is {at.kind()}; expected a word")
            elif name in self.nodes:
                at.wrong(f"`{name}` stands here twice; expected it once: remove one")
            elif known is not None and name not in known:
                at.wrong(f"unknown key `{name}`; expected one of {', '.join(known)}.{nearest(name, known)}")
            else:
                self.nodes[name] = Node(node.path, value, node.problems, name, key)

    def get(self, name: str) -> Node | None:
        """Return the value of `name`, or None when it is absent."""
        return self.nodes.get(name)


def document(path: str, text: str, problems: list[Problem], needed: str = "a mapping with `format`") -> Node | None:
    """Return the root of the YAML `text`, or None when it cannot be read (then there is a problem).

    `needed` says what an empty file should have in it.
    """
    try:
        root = YAML(typ="rt", pure=True).compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problems.append(
            Problem(path, mark.line + 1 if mark else None, f"this is not YAML ({error.problem}); expected YAML 1.2")
        )
        return None
    except YAMLError as error:
        problems.append(Problem(path, None, f"this is not YAML ({str(error).splitlines()[0]}); expected YAML 1.2"))
        return None
    if root is None:
        problems.append(Problem(path, 1, f"the file is empty; expected {needed}"))
        return None
    if (kept := _aliased(root, set())) is not None:
        problems.append(Problem(path, kept, "anchors and aliases are not allowed; write the value out"))
        return None
    if (odd := _odd(root)) is not None:
        message = "a text has a NUL or half of a surrogate pair, such as `\\uD83D`; expected the character itself"
        problems.append(Problem(path, odd, message))
        return None
    return Node(path, root, problems, "the file")


def _aliased(raw: Any, seen: set[int]) -> int | None:
    if raw.anchor is not None or id(raw) in seen:
        return int(raw.start_mark.line) + 1
    seen.add(id(raw))
    if isinstance(raw, ScalarNode):
        return None
    return next((line for part in _parts(raw) if (line := _aliased(part, seen)) is not None), None)


def _odd(raw: Any) -> int | None:
    """Return the line of the first text that neither SQL nor UTF-8 can have in it: YAML's escapes write anything."""
    if isinstance(raw, ScalarNode):
        return int(raw.start_mark.line) + 1 if _ODD.search(raw.value) else None
    return next((line for part in _parts(raw) if (line := _odd(part)) is not None), None)


def _parts(raw: Any) -> list[Any]:
    return [part for pair in raw.value for part in pair] if isinstance(raw, MappingNode) else list(raw.value)
