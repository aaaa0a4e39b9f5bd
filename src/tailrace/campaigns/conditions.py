"""What may a `where` say, and what SQL does it mean? Parsed and written anew, never pasted.

The author writes names of fields (an event's properties, a person's columns, what a webhook answered), constants,
comparisons and a few functions. What comes out is DuckDB SQL over one column of JSON text that is true or false and
never null. A field takes the type of what it is compared with; one that has another type, or is absent, makes the
comparison false. Times are UTC.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from tailrace import engine
from tailrace.errors import nearest

Kind = Literal["text", "number", "boolean", "time"]
Source = Literal["properties", "customer", "body"]
"""The column that a condition is over: an event's properties, a person's row, the JSON that a webhook answered."""

LONGEST = 2_000
"""More characters than this are refused: a condition that long is a model."""
_DEEPEST = 40
_FIELD: dict[Source, tuple[str, str]] = {
    "properties": ("the event", "property"),
    "customer": ("the person", "column"),
    "body": ("the answer", "field"),
}
_NUMBER = re.compile(r"[0-9]{1,15}(\.[0-9]{1,15})?", re.ASCII)
_NAME = re.compile(r"[^\x00-\x1f\x7f\"\\]{1,100}")

_COMPARE: dict[type[exp.Expr], str] = {
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.GT: ">",
    exp.GTE: ">=",
    exp.LT: "<",
    exp.LTE: "<=",
}
_ARITHMETIC: dict[type[exp.Expr], str] = {exp.Add: "+", exp.Sub: "-", exp.Mul: "*", exp.Div: "/", exp.Mod: "%"}
_FUNCTIONS: dict[type[exp.Expr], tuple[str, Kind, Kind]] = {
    exp.Lower: ("lower", "text", "text"),
    exp.Upper: ("upper", "text", "text"),
    exp.Trim: ("trim", "text", "text"),
    exp.Length: ("length", "text", "number"),
    exp.Abs: ("abs", "number", "number"),
}
FUNCTIONS = ("lower", "upper", "trim", "length", "abs", "coalesce")
_NO_CONDITION = (
    "this is not a condition; expected something like `plan = 'pro' and mrr >= 50`"
    " (text in single quotes, a name with spaces in double quotes)"
)


ODD_NAME = "is too long or has quotes, backslashes or control characters"
"""What is wrong with a name that `is_field_name` refuses."""


def is_field_name(name: str) -> bool:
    """Return whether a JSON path of ours can name the field: DuckDB reads the path `$."*"` as all fields."""
    return name != "*" and _NAME.fullmatch(name) is not None


class ConditionError(Exception):
    """The condition cannot be used; `line` counts from 1 within it."""

    def __init__(self, message: str, line: int = 1) -> None:
        self.line = line
        super().__init__(message)


@dataclass(frozen=True)
class Compiled:
    """A checked condition: the SQL it means, the fields it reads, sorted, and the line (from 1) of each one's first."""

    sql: str
    fields: tuple[str, ...]
    lines: Mapping[str, int]


def compile_where(text: str, known: Collection[str] | None = None, *, source: Source = "properties") -> Compiled:
    """Return what `text` means as DuckDB SQL over the column `source`.

    With `known`, names outside it are errors with the nearest known one.

    Raises ConditionError, in words for the author.
    """
    if len(text) > LONGEST:
        raise ConditionError(f"the condition has {len(text)} characters; expected at most {LONGEST}")
    try:
        tree = sqlglot.parse_one(text, read="duckdb")
    except SqlglotError as error:
        details = getattr(error, "errors", None) or [{}]
        line = int(details[0].get("line") or 1)
        raise ConditionError(_NO_CONDITION, line) from None
    except RecursionError:
        raise ConditionError("the condition is nested too deeply") from None
    # It is lenient about a sign that nothing follows.
    lacking = next((node for node in tree.walk() if node.error_messages()), None)
    if lacking is not None:
        raise ConditionError(_NO_CONDITION, _line(lacking))
    compiler = _Compiler(known, source)
    sql = compiler.truth(tree, 0)
    if not compiler.lines:
        owner, noun = _FIELD[source]
        raise ConditionError(f"the condition names no {noun} of {owner}; remove it, or name one")
    return Compiled(f"coalesce({sql}, false)", tuple(sorted(compiler.lines)), compiler.lines)


class _Compiler:
    def __init__(self, known: Collection[str] | None, source: Source) -> None:
        self.known, self.source = known, source
        self.owner, self.noun = _FIELD[source]
        self.lines: dict[str, int] = {}

    def truth(self, node: exp.Expr, depth: int) -> str:  # noqa: PLR0911 (one return for each kind of node)
        """Return SQL of a boolean."""
        if depth > _DEEPEST:
            raise ConditionError("the condition is nested too deeply", _line(node))
        if isinstance(node, exp.Paren):
            return self.truth(node.this, depth + 1)
        if isinstance(node, exp.And | exp.Or):
            word = "and" if isinstance(node, exp.And) else "or"
            parts = [self.truth(part, depth + 1) for part in node.flatten()]
            return "(" + f" {word} ".join(parts) + ")"
        if isinstance(node, exp.Not):
            return f"(not {self.truth(node.this, depth + 1)})"
        if isinstance(node, exp.Column):
            return self.value(node, "boolean", depth)
        if isinstance(node, exp.Is):
            return self._is(node, depth)
        if type(node) in _COMPARE:
            return self._compare(node, depth)
        if isinstance(node, exp.In) and node.expressions and not (node.args.get("query") or node.args.get("unnest")):
            kind = self._kind([node.this, *node.expressions], node)
            options = ", ".join(self.value(option, kind, depth + 1) for option in node.expressions)
            return f"({self.value(node.this, kind, depth + 1)} in ({options}))"
        if isinstance(node, exp.Between) and not node.args.get("symmetric"):
            bounds = [node.this, node.args["low"], node.args["high"]]
            kind = self._kind(bounds, node, ordered=True)
            value, low, high = (self.value(part, kind, depth + 1) for part in bounds)
            return f"({value} between {low} and {high})"
        if isinstance(node, exp.Like | exp.ILike):
            word = "ilike" if isinstance(node, exp.ILike) else "like"
            if not _is_text(node.expression):
                raise ConditionError(f"`{word}` expects a pattern in single quotes", _line(node))
            return f"({self.value(node.this, 'text', depth + 1)} {word} {engine.literal(node.expression.name)})"
        raise self._refused(node, "a comparison")

    def value(self, node: exp.Expr, kind: Kind, depth: int) -> str:
        """Return SQL of a value of `kind`."""
        if depth > _DEEPEST:
            raise ConditionError("the condition is nested too deeply", _line(node))
        if isinstance(node, exp.Paren):
            return self.value(node.this, kind, depth + 1)
        if isinstance(node, exp.Column):
            return _typed(self._field(node), kind)
        if isinstance(node, exp.Coalesce):
            parts = [node.this, *node.expressions]
            return "coalesce(" + ", ".join(self.value(part, kind, depth + 1) for part in parts) + ")"
        found = _own_kind(node)
        if found is None:
            raise self._refused(node, f"a {kind}")
        if found != kind:
            raise ConditionError(f"compares a {kind} with a {found}; expected two of one kind", _line(node))
        return self._made(node, depth)

    def _made(self, node: exp.Expr, depth: int) -> str:
        """Return SQL of a constant, a function or arithmetic."""
        if isinstance(node, exp.Literal):
            return engine.literal(node.name) if node.is_string else _number(node)
        if isinstance(node, exp.Boolean):
            return "true" if node.this else "false"
        if isinstance(node, exp.Cast):
            return f"timestamptz {engine.literal(_moment(node))}"
        if isinstance(node, exp.Neg):
            return f"(- {self.value(node.this, 'number', depth + 1)})"
        if type(node) in _ARITHMETIC:
            left = self.value(node.this, "number", depth + 1)
            right = self.value(node.expression, "number", depth + 1)
            sign = _ARITHMETIC[type(node)]
            return f"({left} {sign} nullif({right}, 0))" if sign in "/%" else f"({left} {sign} {right})"
        name, takes, _ = _FUNCTIONS[type(node)]
        if any(value for key, value in node.args.items() if key != "this" and not isinstance(value, bool)):
            raise ConditionError(f"`{name}` takes one value here", _line(node))
        return f"{name}({self.value(node.this, takes, depth + 1)})"

    def _is(self, node: exp.Is, depth: int) -> str:
        if isinstance(node.expression, exp.Null):
            return f"({self.value(node.this, _own_kind(node.this) or 'text', depth + 1)} is null)"
        if isinstance(node.expression, exp.Boolean):
            return f"({self.value(node.this, 'boolean', depth + 1)} is {'true' if node.expression.this else 'false'})"
        raise self._refused(node.expression, "`null`, `true` or `false` after `is`")

    def _compare(self, node: exp.Expr, depth: int) -> str:
        sides = [node.this, node.expression]
        kind = self._kind(sides, node, ordered=not isinstance(node, exp.EQ | exp.NEQ))
        left, right = (self.value(side, kind, depth + 1) for side in sides)
        return f"({left} {_COMPARE[type(node)]} {right})"

    def _kind(self, parts: list[exp.Expr], node: exp.Expr, *, ordered: bool = False) -> Kind:
        """Return the kind that the parts agree on; two properties are compared as text, ordered ones as numbers."""
        if not any(part.find(exp.Column) for part in parts):
            what = f"a {self.noun} of {self.owner}"
            raise ConditionError(f"compares two constants; expected {what} on one side", _line(node))
        kinds = [kind for kind in map(_own_kind, parts) if kind is not None]
        return kinds[0] if kinds else "number" if ordered else "text"

    def _field(self, node: exp.Column) -> str:
        parts = node.parts
        if not all(isinstance(part, exp.Identifier) for part in parts) or (len(parts) > 1 and self.source != "body"):
            raise ConditionError(f"names a table; expected the bare name of a {self.noun}", _line(node))
        if not all(is_field_name(part.name) for part in parts):
            raise ConditionError(f"a {self.noun}'s name {ODD_NAME}", _line(node))
        name = ".".join(part.name for part in parts)
        if self.known is not None and name not in self.known:
            hint = nearest(name, self.known)
            raise ConditionError(f"{self.owner} has no {self.noun} `{name}`.{hint}", _line(node))
        self.lines.setdefault(name, _line(node))
        path = "$" + "".join(f'."{part.name}"' for part in parts)
        return f"json_extract_string({self.source}, {engine.literal(path)})"

    def _refused(self, node: exp.Expr, expected: str) -> ConditionError:
        if isinstance(node, exp.Func) and not isinstance(node, exp.And | exp.Or):
            name = node.name if isinstance(node, exp.Anonymous) else node.sql_name().lower()
            allowed = ", ".join(f"`{function}`" for function in FUNCTIONS)
            return ConditionError(
                f"`{name}` cannot be used here; expected one of {allowed}.{nearest(name, FUNCTIONS)}", _line(node)
            )
        what = "a subquery" if node.find(exp.Query) else f"`{type(node).__name__.lower()}`"
        return ConditionError(f"{what} cannot be used here; expected {expected}", _line(node))


def _own_kind(node: exp.Expr) -> Kind | None:  # noqa: PLR0911 (one return for each kind of node)
    """Return the kind a node has of itself; None for a property, or for what is not allowed."""
    if isinstance(node, exp.Paren):
        return _own_kind(node.this)
    if isinstance(node, exp.Coalesce):
        return next((kind for kind in map(_own_kind, [node.this, *node.expressions]) if kind), None)
    if isinstance(node, exp.Literal):
        return "text" if node.is_string else "number"
    if isinstance(node, exp.Boolean):
        return "boolean"
    if isinstance(node, exp.Cast):
        is_time = node.to.this in (exp.DataType.Type.TIMESTAMP, exp.DataType.Type.DATE, exp.DataType.Type.TIMESTAMPNTZ)
        return "time" if is_time and _is_text(node.this) else None
    if isinstance(node, exp.Neg) or type(node) in _ARITHMETIC:
        return "number"
    function = _FUNCTIONS.get(type(node))
    return function[2] if function else None


def _typed(text: str, kind: Kind) -> str:
    typed: dict[Kind, Callable[[], str]] = {
        "text": lambda: text,
        # A text such as `nan` or `inf` casts to a double that is larger than every number.
        "number": lambda: f"(case when isfinite(try_cast({text} as double)) then try_cast({text} as double) end)",
        "boolean": lambda: f"(case {text} when 'true' then true when 'false' then false end)",
        # A cast to a zone-less timestamp would ignore `+02:00`.
        "time": lambda: f"try_cast({text} as timestamptz)",
    }
    return typed[kind]()


def _is_text(node: exp.Expr) -> bool:
    return isinstance(node, exp.Literal) and bool(node.is_string)


def _number(node: exp.Literal) -> str:
    if not _NUMBER.fullmatch(node.name):
        raise ConditionError(
            "a number is too long or not in plain digits; expected something like `49.90`", _line(node)
        )
    return f"{node.name}::double"


def _moment(node: exp.Cast) -> str:
    try:
        moment = datetime.fromisoformat(node.this.name)
    except ValueError:
        raise ConditionError(
            "a time is not ISO 8601; expected something like `date '2026-01-31'`", _line(node)
        ) from None
    aware = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return aware.isoformat(sep=" ")


def _line(node: exp.Expr) -> int:
    lines = [
        line for found in node.find_all(exp.Identifier, exp.Anonymous, exp.Literal) if (line := found.meta.get("line"))
    ]
    return int(min(lines)) if lines else 1
