"""What does an event's contract ask of its properties? The key `properties` of `contracts/events/<event>.yml`."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import cache

import duckdb
from ruamel.yaml.nodes import SequenceNode

from tailrace.landing.yaml_nodes import Node, Table

TYPES = ("string", "integer", "number", "boolean", "timestamp", "date", "array", "object")
_KEYS = ("type", "required", "enum", "pattern", "min", "max", "description")
_FOR = {
    "enum": ("string", "integer", "number"),
    "pattern": ("string",),
    "min": ("integer", "number"),
    "max": ("integer", "number"),
}
"""Which types a rule goes with."""


@dataclass(frozen=True)
class Property:
    """What is asked of one property. A value of null is none; `enum` has texts, or numbers as they are written."""

    name: str
    type: str
    required: bool = False
    enum: tuple[str, ...] = ()
    pattern: str | None = None
    minimum: Decimal | None = None
    maximum: Decimal | None = None


def read_properties(node: Node) -> tuple[Property, ...]:
    """Return what is asked, in the order of the file; problems are noted where they stand."""
    rows = node.free("a mapping of names to what is asked, such as `plan: {type: string}`")
    found = (_property(name, inner) for name, inner in rows.items())
    return tuple(each for each in found if each is not None)


def _property(name: str, node: Node) -> Property | None:
    table = node.table(_KEYS)
    if table is None:
        return None
    kind = table.get("type")
    if kind is None:
        node.wrong(f"`{name}` has no `type`; expected one of {', '.join(TYPES)}")
        return None
    chosen = kind.choice(TYPES)
    if chosen is None:
        return None
    for key, types in _FOR.items():
        if (rule := table.get(key)) is not None and chosen not in types:
            rule.wrong(f"`{key}` does not go with `type: {chosen}`; expected it with {' or '.join(types)}: remove it")
            return None
    if (described := table.get("description")) is not None:
        described.text()
    least, most = _number(table, "min", chosen), _number(table, "max", chosen)
    if least is not None and most is not None and least > most:
        node.wrong(f"`min` of `{name}` is more than its `max`; expected the least value and the greatest")
    enum, pattern = table.get("enum"), table.get("pattern")
    return Property(
        name=name,
        type=chosen,
        required=_truth(table),
        enum=_enum(enum, chosen) if enum else (),
        pattern=_pattern(pattern) if pattern else None,
        minimum=least,
        maximum=most,
    )


def _truth(table: Table) -> bool:
    node = table.get("required")
    return node is not None and node.choice(("true", "false")) == "true"


def _number(table: Table, key: str, kind: str) -> Decimal | None:
    node = table.get(key)
    return None if node is None else _decimal(node, kind)


def _decimal(node: Node, kind: str) -> Decimal | None:
    try:
        number = Decimal(node.scalar() or "")
    except InvalidOperation:
        number = Decimal("NaN")
    is_quoted = not node.is_number
    if is_quoted or not number.is_finite() or (kind == "integer" and number != number.to_integral_value()):
        expected = "a whole number" if kind == "integer" else "a number"
        node.wrong(f"`{node.name}` is {node.kind()}{' in quotes' if is_quoted else ''}; expected {expected}")
        return None
    return number


def _enum(node: Node, kind: str) -> tuple[str, ...]:
    if not isinstance(node.raw, SequenceNode) or not node.raw.value:
        node.wrong(f"`enum` is {node.kind()}; expected a list of values such as `[free, pro]`")
        return ()
    found: dict[str, None] = {}
    for raw in node.raw.value:
        row = Node(node.path, raw, node.problems, "a value of `enum`")
        value: str | None
        if kind == "string":
            value = row.text("text, in quotes where it looks like something else, for `type: string`")
        else:
            number = _decimal(row, kind)
            value = None if number is None else _plain(number)
        if value is not None and value in found:
            row.wrong(f"`{value}` stands here twice; expected it once: remove one")
        elif value is not None:
            found[value] = None
    return tuple(found)


def _plain(number: Decimal) -> str:
    """Return a number in its shortest spelling, all digits of it: `normalize` keeps 28 of them."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _pattern(node: Node) -> str | None:
    text = node.text("a regular expression (RE2) that fits the whole value, such as `[A-Z]{2}`")
    if text is None:
        return None
    refusal = _refusal(text)
    if refusal is not None:
        node.wrong(f"`pattern` is no regular expression that DuckDB knows ({refusal}); expected one of RE2's")
    return text


@cache
def _refusal(pattern: str) -> str | None:
    """Return why DuckDB does not take the pattern; None when it does."""
    with duckdb.connect() as connection:
        try:
            connection.execute("select regexp_full_match('', ?)", [pattern]).fetchall()
        except duckdb.Error as error:
            return str(error).splitlines()[0].removeprefix("Invalid Input Error: ")
    return None
