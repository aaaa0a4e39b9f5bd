"""In which order do a definition's steps stand, and where does each arrow go?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Node:
    """One step: its facts, its place in pre-order, what follows it (None: the end), and its branches by name."""

    facts: Mapping[str, Any]
    place: int
    follows: Node | None = None
    branches: dict[str, Node | None] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return str(self.facts["id"])

    @property
    def kind(self) -> str:
        words = ("send", "wait_until", "wait", "if", "split", "webhook", "update", "notify", "add_to", "remove_from")
        return next((word for word in words if word in self.facts), "exit")


class Tree:
    """The steps of one version."""

    def __init__(self, steps: Sequence[Mapping[str, Any]]) -> None:
        self.nodes: dict[str, Node] = {}
        self._count = 0
        self.first = self._link(self._read(steps), None)

    def _read(self, steps: Sequence[Mapping[str, Any]]) -> list[tuple[Node, list[tuple[str, Any]]]]:
        read = []
        for facts in steps:
            node = Node(facts, self._count)
            self._count += 1
            self.nodes[node.id] = node
            if "split" in facts:
                inner = [(arm["name"], self._read(arm["steps"])) for arm in facts["split"]]
            elif "if" in facts or "wait_until" in facts:
                inner = [(name, self._read(facts.get(name) or [])) for name in ("then", "else")]
            else:
                inner = []
            read.append((node, inner))
        return read

    def _link(self, read: list[tuple[Node, list[tuple[str, Any]]]], after: Node | None) -> Node | None:
        follows = after
        for node, inner in reversed(read):
            node.follows = follows
            for name, steps in inner:
                node.branches[name] = self._link(steps, follows)
            follows = node
        return follows
