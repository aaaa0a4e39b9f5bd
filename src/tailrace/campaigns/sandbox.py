"""What can a running template reach? Fields of rows, our filters, arithmetic on numbers; nothing else exists for it.

`usage` refuses a template before it gets here; this is the second wall. Jinja's immutable sandbox is the third.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

from jinja2 import StrictUndefined, Undefined
from jinja2.runtime import LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace
from markupsafe import Markup

from tailrace.campaigns import filters, formats
from tailrace.campaigns.definition import RenderError

LINK = "_link"
"""The filter for a link that is wholly data; `markup` writes it, authors cannot."""
JSON = "_json"
"""The filter for a value that keeps its type; `callsheet` writes it, authors cannot."""
SLACK = "_slack"
"""The filter for a value in a Slack message; `markup` writes it, authors cannot."""
OURS = {LINK: filters.whole_link, JSON: filters.as_json, SLACK: filters.for_slack}
_LOOP = ("index", "index0", "first", "last", "length", "revindex", "revindex0")
OF_LISTS = ("first", "last", "size")
TESTS = ("defined", "even", "odd", "truthy", "blank", "same")
_ARITHMETIC = ("+", "-", "*", "/", "//", "%")


class Absent(StrictUndefined):
    """A field that the person lacks: false in an `if`, an error anywhere else but in `default`."""

    __slots__ = ()

    def __bool__(self) -> bool:  # type: ignore[override]
        """Return False: an absent field is false, not an error."""
        return False


class Row:
    """One root of the data: a name for errors, and its fields."""

    __slots__ = ("name", "values")

    def __init__(self, name: str, values: Mapping[str, Any]) -> None:
        self.name, self.values = name, values


def absent(name: str) -> Absent:
    """Return the value of a field that is absent, null or blank."""
    return Absent(name=name, exc=lambda _: RenderError("missing_field", name))  # type: ignore[arg-type]


class Sandbox(ImmutableSandboxedEnvironment):
    """Jinja that reads fields of rows and nothing else, whatever a template says."""

    intercepted_binops = frozenset((*_ARITHMETIC, "**"))
    intercepted_unops = frozenset(("-", "+"))

    def __init__(self, *, autoescape: bool) -> None:
        super().__init__(
            autoescape=autoescape,
            undefined=Absent,
            finalize=_printed,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
            cache_size=0,
        )
        self.filters = {**filters.FILTERS, **OURS}
        own = {"truthy": _is_truthy, "blank": _is_blank, "same": _is_same}
        self.tests = {name: own.get(name) or self.tests[name] for name in TESTS}
        self.globals = {}

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Return the field of a row or a mapping, absent when it is null or blank; attributes do not exist."""
        if isinstance(obj, Row):
            return _field(obj.values, attribute, f"{obj.name}.{attribute}")
        if isinstance(obj, dict):
            return _field(obj, attribute, attribute)
        if isinstance(obj, LoopContext) and attribute in _LOOP:
            return getattr(obj, attribute)
        if isinstance(obj, list) and attribute in OF_LISTS:
            return len(obj) if attribute == "size" else _element(obj, 0 if attribute == "first" else -1)
        if isinstance(obj, str) and attribute == "size":
            return len(obj)
        if isinstance(obj, Absent):
            # Nothing stands below it: a `default` behind the last name, or an `if`, is for all of the path.
            return obj
        raise RenderError("forbidden", str(attribute))

    def getitem(self, obj: Any, argument: Any) -> Any:
        """Return the same as `getattr`, for `event['Plan Name']`; or one element of a list."""
        if isinstance(obj, list) and isinstance(argument, int) and not isinstance(argument, bool):
            return _element(obj, argument)
        return self.getattr(obj, argument)

    def is_safe_callable(self, obj: Any) -> bool:
        """Return False: nothing is called."""
        return False

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Return arithmetic on two numbers, exactly as decimals; texts are not multiplied."""
        a, b = formats.number(left), formats.number(right)
        if operator in ("/", "//", "%") and b == 0:
            raise RenderError("wrong_type")
        if operator == "/":
            return float(a / b)
        whole = {"+": a + b, "-": a - b, "*": a * b}.get(operator)
        result = whole if whole is not None else (a // b if operator == "//" else a % b)
        return int(result) if result == result.to_integral_value() else float(result)

    def call_unop(self, context: Any, operator: str, arg: Any) -> Any:
        """Return the negated number."""
        value = formats.number(arg)
        return float(-value) if operator == "-" else float(value)


def _element(values: list[Any], at: int) -> Any:
    is_there = -len(values) <= at < len(values)
    return absent(f"[{at}]") if not is_there or values[at] is None else values[at]


def _is_truthy(value: Any) -> bool:
    """Return what Liquid takes for true: all but what is absent, and `false`."""
    return not isinstance(value, Undefined) and value is not None and value is not False


def _is_same(value: Any, other: Any) -> bool:
    """Return whether the two are equal as Liquid has it: `true` is not 1."""
    return isinstance(value, bool) == isinstance(other, bool) and bool(value == other)


def _is_blank(value: Any) -> bool:
    """Return whether there is nothing in it: absent, `false`, blank text, an empty list."""
    if isinstance(value, str):
        return not value.strip()
    return not _is_truthy(value) or (isinstance(value, list | dict) and not value)


def _field(values: Mapping[str, Any], attribute: str, name: str) -> Any:
    value = values.get(attribute)
    if value is None or (isinstance(value, str) and not value.strip()):
        return absent(name)
    if isinstance(value, list) and len(value) > filters.LONGEST_LIST:
        raise RenderError("too_long", name)
    return value


def _printed(value: Any) -> Any:
    return value if isinstance(value, Markup | Namespace) else formats.plain(value)


@cache
def environment(*, autoescape: bool) -> Sandbox:
    """Return the one environment for HTML (autoescape) or for text."""
    return Sandbox(autoescape=autoescape)


def compiled(source: str, *, autoescape: bool) -> Callable[[dict[str, Any]], Iterator[str]]:
    """Return a function from a context's variables to the pieces of the rendered `source`, compiled once."""
    template = environment(autoescape=autoescape).from_string(source)

    def pieces(variables: dict[str, Any]) -> Iterator[str]:
        return template.root_render_func(template.new_context(variables, shared=False))

    return pieces
