"""Which table of which database is a source? The part of a contract with `format: postgres`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ruamel.yaml.nodes import SequenceNode

from tailrace.landing.yaml_nodes import Node, Table

NEEDED = ("connection", "table", "key")
KEYS = (*NEEDED, "cursor")
_PART = re.compile(r'"((?:[^"]|"")+)"|([^".]+)')
_NAME = re.compile(rf"(?:{_PART.pattern})(?:\.(?:{_PART.pattern}))?")
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*", re.ASCII)


@dataclass(frozen=True)
class Origin:
    """A table, the variable of the environment that holds the database's URL, and what tells two rows apart.

    `cursor` is the column that rises with every writing, so that an index on it finds what is new; None: there is none.
    """

    url_env: str
    table: tuple[str, ...]
    key: tuple[str, ...]
    cursor: str | None = None

    @property
    def name(self) -> str:
        """Return the name by which the table goes in a load."""
        return f"postgres:{'.'.join(self.table)}"


def read_origin(root: Node, table: Table, chosen: str | None) -> Origin | None:
    """Return what a contract says of its table; None for other formats, and where something is missing or wrong."""
    if chosen != "postgres":
        for key in KEYS:
            if (extra := table.get(key)) is not None and chosen is not None:
                extra.wrong(f"`{key}` goes with `format: postgres` only; remove it")
        return None
    for key in NEEDED:
        if table.get(key) is None:
            root.wrong(f"`{key}` is missing; expected it with `format: postgres`")
    connection, name, key_node, cursor_node = (table.get(key) for key in KEYS)
    url_env = _url_env(connection) if connection else None
    parts = _parts(name) if name else None
    key_names = _key(key_node) if key_node else None
    cursor = cursor_node.text("a column that rises with every writing, such as `updated_at`") if cursor_node else None
    return Origin(url_env, parts, key_names, cursor) if url_env and parts and key_names else None


def _url_env(node: Node) -> str | None:
    table = node.table(("url_env",))
    inner = table.get("url_env") if table else None
    if table is not None and inner is None:
        node.wrong("`url_env` is missing; expected the variable of the environment that holds the database's URL")
    name = inner.text("the name of a variable") if inner else None
    if name is not None and inner is not None and _VARIABLE.fullmatch(name) is None:
        # It may be the URL itself: it is not said again.
        inner.wrong(
            "`url_env` is no name of a variable; expected one such as `SHOP_DATABASE_URL`, never the URL itself"
        )
        return None
    return name


def _parts(node: Node) -> tuple[str, ...] | None:
    written = node.text("the name of a table") or ""
    # As PostgreSQL writes names: in quotes one may have a full stop in it.
    parts = tuple(quoted.replace('""', '"') or plain for quoted, plain in _PART.findall(written))
    if not 1 <= len(parts) <= 2 or _NAME.fullmatch(written) is None:
        node.wrong("`table` is no name of a table; expected one such as `orders` or `public.orders`")
        return None
    return parts


def _key(node: Node) -> tuple[str, ...] | None:
    if not isinstance(node.raw, SequenceNode):
        name = node.text("the column, or a list of the columns, that tell two rows apart")
        return (name,) if name else None
    rows = [Node(node.path, raw, node.problems, "a column of `key`") for raw in node.raw.value]
    names = [row.text("the name of a column") for row in rows]
    if not names:
        node.wrong("`key` is empty; expected the column, or a list of the columns, that tell two rows apart")
    return tuple(name for name in names if name) or None
