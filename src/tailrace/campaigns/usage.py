"""Which fields does a template need, and may it be run at all? Read from its syntax tree, by an allow-list.

The tree may hold fields, our filters, `if`, one level of `for`, comparisons and arithmetic: no calls, no attribute
walk, no imports, no assignment. What runs is bounded by that, by the length of lists and by the size of the output.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from jinja2 import TemplateSyntaxError, nodes

from tailrace.campaigns import filters, sandbox
from tailrace.campaigns.dates import pattern_problem
from tailrace.campaigns.definition import ROOTS
from tailrace.errors import nearest

STANDING = ("unsubscribe_url", "postal_address", "from_name")
"""Names that every message may print, from policy.yml."""
LAYOUT_NAMES = ("body", "subject", "preheader")
"""Names that only a layout may print."""
SNIPPETS = "snippets"
"""The root of the shared texts; `snippets.footer` is a standing name."""
LONGEST_SOURCE = 200_000
# Names go into JSON paths of the plan's SQL, where these characters mean something else.
_FIELD = re.compile(r"[^\x00-\x1f\x7f\"\\]{1,100}")

Field = tuple[str, str]
Path = tuple[str, ...]
Guard = tuple[Path, str]
"""A path, and the test that it passed: `true`, or the name of a test of templates; `filled` is not `blank`."""
Need = tuple[Path, tuple[Guard, ...]]
"""A path below a field without whose value the message cannot be made, and what is true of whom it is needed."""


@dataclass
class Usage:
    """What a template uses: fields it needs, fields it can do without, standing names, and what is wrong with it.

    `needs` are what must stand below a field, such as ("event", "cart", "total"); what a loop prints of an element is
    not among them. `paths` has how far it looks into each field; `*` is an element that a loop goes over. `kinds` says
    of a path that a `number`, a `date`, a `zone` or a `list` stands there, where its use tells.
    """

    required: set[Field] = field(default_factory=set)
    optional: set[Field] = field(default_factory=set)
    names: set[str] = field(default_factory=set)
    problems: list[tuple[int, str]] = field(default_factory=list)
    lines: dict[Field, int] = field(default_factory=dict)
    needs: set[Need] = field(default_factory=set)
    paths: set[Path] = field(default_factory=set)
    kinds: dict[Path, str] = field(default_factory=dict)

    def add(self, other: Usage, *, line: int = 1) -> None:
        """Take over what another template uses; its first line is `line` of the same file."""
        self.required |= other.required
        self.optional = (self.optional | other.optional) - self.required
        self.names |= other.names
        self.problems += [(at + line - 1, message) for at, message in other.problems]
        self.needs |= other.needs
        self.paths |= other.paths
        self.kinds |= other.kinds
        for used, at in other.lines.items():
            self.lines.setdefault(used, at + line - 1)


def usage(source: str, names: Iterable[str] = STANDING, *, is_compiled: bool = False) -> Usage:
    """Return what the template `source` uses; `names` are the standing names that it may print.

    A compiled one may use the filter that `markup` puts around links. The answer is for all who ask: read it only.
    """
    return _usage(source, tuple(names), is_compiled)


# A layout stands around every message, and a process may load the project for many runs.
@lru_cache(maxsize=2048)
def _usage(source: str, names: tuple[str, ...], is_compiled: bool) -> Usage:
    found = Usage()
    if len(source) > LONGEST_SOURCE:
        found.problems.append((1, f"the file has {len(source)} characters; expected at most {LONGEST_SOURCE}"))
        return found
    try:
        tree = sandbox.environment(autoescape=True).parse(source)
        _Reader(found, names, is_compiled=is_compiled).body(tree.body, frozenset(), ())
    except TemplateSyntaxError as error:
        found.problems.append((error.lineno, f"the template cannot be read: {error.message}"))
    except RecursionError:
        found.problems.append((1, "the template is nested too deeply"))
    found.optional -= found.required
    return found


_Guards = frozenset[Guard]
_NONE: _Guards = frozenset()


class _Reader:
    """Walks a tree by an allow-list. `guarded` are paths known to be there, `loops` names of loop variables."""

    def __init__(self, found: Usage, names: tuple[str, ...], *, is_compiled: bool) -> None:
        self.found, self.names = found, names
        self.looped: Path = ()
        self.filters = (*filters.FILTERS, *sandbox.OURS) if is_compiled else tuple(filters.FILTERS)

    def wrong(self, node: nodes.Node, message: str) -> None:
        self.found.problems.append((node.lineno or 1, message))

    def body(self, body: Iterable[nodes.Node], guarded: _Guards, loops: tuple[str, ...]) -> None:
        for node in body:
            if isinstance(node, nodes.Output):
                for part in node.nodes:
                    self._printed(part, guarded, loops)
            elif isinstance(node, nodes.If):
                self._if(node, guarded, loops)
            elif isinstance(node, nodes.For):
                self._for(node, guarded, loops)
            else:
                word = type(node).__name__.lower()
                self.wrong(node, f"`{{% {word} %}}` cannot be used in a message; expected `if` or `for`")

    def _printed(self, node: nodes.Node, guarded: _Guards, loops: tuple[str, ...]) -> None:
        if isinstance(node, nodes.Name) and node.name in self.names:
            self.found.names.add(node.name)
        elif isinstance(node, nodes.Getattr) and isinstance(node.node, nodes.Name) and node.node.name == SNIPPETS:
            name = f"{SNIPPETS}.{node.attr}"
            if name in self.names:
                self.found.names.add(name)
            else:
                known = [known for known in self.names if known.startswith(f"{SNIPPETS}.")]
                what = "expected a file in `campaigns/_snippets/`" if known else "this cannot print a snippet"
                self.wrong(node, f"there is no snippet `{node.attr}` here; {what}.{nearest(name, known)}")
        else:
            self.value(node, guarded, loops)

    def _if(self, node: nodes.If, guarded: _Guards, loops: tuple[str, ...]) -> None:
        when, otherwise = self.truth(node.test, guarded, loops)
        self.body(node.body, guarded | when, loops)
        for branch in node.elif_:
            self._if(branch, guarded | otherwise, loops)
        self.body(node.else_, guarded | otherwise, loops)

    def _for(self, node: nodes.For, guarded: _Guards, loops: tuple[str, ...]) -> None:
        if loops:
            self.wrong(node, "a loop inside a loop is not supported; make one list in the model")
            return
        if not isinstance(node.target, nodes.Name) or node.target.name in (*ROOTS, *self.names, "loop"):
            self.wrong(node, "a loop needs one new name: `{% for item in event.items %}`")
            return
        over = node.iter
        while isinstance(over, nodes.Filter) and over.name in filters.OF_LISTS and over.node is not None:
            over = over.node
        path = self._path(over, loops)
        if path:
            self.found.kinds[path] = "list"
            self.looped = path
        if node.recursive or path is None:
            self.wrong(node, "a loop goes over a list of the data: `{% for item in event.items %}`")
            return
        self.value(node.iter, guarded, loops)
        inside = (node.target.name, "loop")
        if node.test is not None:
            when, _ = self.truth(node.test, guarded, inside)
            guarded |= when
        self.body(node.body, guarded, inside)
        self.body(node.else_, guarded, loops)

    def truth(  # noqa: PLR0911 (one return for each kind of node)
        self, node: nodes.Node, guarded: _Guards, loops: tuple[str, ...]
    ) -> tuple[_Guards, _Guards]:
        """Visit a test; return the paths that are there when it is true, and when it is false."""
        path = self._path(node, loops)
        if path:
            self._use(node, path, guarded, optional=True)
            return frozenset({(path, "true")}), _NONE
        if isinstance(node, nodes.Not):
            when, otherwise = self.truth(node.node, guarded, loops)
            return otherwise, when
        if isinstance(node, nodes.And):
            left, _ = self.truth(node.left, guarded, loops)
            right, _ = self.truth(node.right, guarded | left, loops)
            return left | right, _NONE
        if isinstance(node, nodes.Or):
            _, left = self.truth(node.left, guarded, loops)
            _, right = self.truth(node.right, guarded | left, loops)
            return _NONE, left | right
        if isinstance(node, nodes.Test) and node.name in ("defined", "truthy"):
            when, otherwise = self.truth(node.node, guarded, loops)
            return _tested(when, node.name), otherwise
        if isinstance(node, nodes.Test) and node.name == "blank":
            when, otherwise = self.truth(node.node, guarded, loops)
            return otherwise, _tested(when, "filled")
        self.value(node, guarded, loops)
        return _NONE, _NONE

    def value(  # noqa: PLR0912 (one branch for each kind of node)
        self, node: nodes.Node, guarded: _Guards, loops: tuple[str, ...]
    ) -> None:
        """Visit an expression whose value is used."""
        path = self._path(node, loops)
        if path is not None:
            if path:
                self._use(node, path, guarded, optional=False)
        elif isinstance(node, nodes.Name):
            self._name(node, loops)
        elif isinstance(node, nodes.Filter):
            self._filter(node, guarded, loops)
        elif isinstance(node, nodes.Test):
            self._test(node, guarded, loops)
        elif isinstance(node, nodes.CondExpr):
            when, otherwise = self.truth(node.test, guarded, loops)
            self.value(node.expr1, guarded | when, loops)
            if node.expr2 is None:
                self.wrong(node, "`… if …` needs an `else`: nothing would be printed otherwise")
            else:
                self.value(node.expr2, guarded | otherwise, loops)
        elif isinstance(node, nodes.Or):
            _, otherwise = self.truth(node.left, guarded, loops)
            self.value(node.right, guarded | otherwise, loops)
        elif isinstance(node, nodes.Not):
            self.truth(node.node, guarded, loops)
        elif isinstance(node, _TRANSPARENT):
            self._note_numbers(node, loops)
            for child in node.iter_child_nodes():
                self.value(child, guarded, loops)
        elif not isinstance(node, nodes.TemplateData | nodes.Const):
            word = "a call" if isinstance(node, nodes.Call) else f"`{type(node).__name__.lower()}`"
            self.wrong(node, f"{word} cannot be used in a message; expected a field, a filter or a comparison")

    def _note_numbers(self, node: nodes.Node, loops: tuple[str, ...]) -> None:
        """Note that a field is a number when it is calculated with, or compared with one."""
        compared: list[nodes.Node] = []
        if isinstance(node, nodes.Compare):
            compared = [node.expr, *(operand.expr for operand in node.ops)]
        elif isinstance(node, nodes.Test):
            compared = [node.node, *node.args]
        if any(isinstance(side, nodes.Const) and type(side.value) in (int, float) for side in compared):
            numbers = compared
        else:
            numbers = [node.left, node.right] if isinstance(node, _CALCULATIONS) else []
        for side in numbers:
            self._note(side, loops, "number")

    def _filter(self, node: nodes.Filter, guarded: _Guards, loops: tuple[str, ...]) -> None:
        if node.name not in self.filters or node.node is None or node.dyn_args or node.dyn_kwargs:
            known = filters.FILTERS
            self.wrong(
                node, f"unknown filter `{node.name}`; expected one of {', '.join(known)}.{nearest(node.name, known)}"
            )
            return
        first = node.args[0] if node.args else None
        if node.name == "date" and isinstance(first, nodes.Const):
            wrong = pattern_problem(str(first.value))
            if wrong:
                self.wrong(node, wrong)
        if node.name in ("date", "timezone") and isinstance(node.node, nodes.Const):
            self.wrong(node, "a message has no clock; expected a field that holds the moment")
        path = self._path(node.node, loops)
        if node.name in filters.KINDS:
            self._note(node.node, loops, filters.KINDS[node.name])
        zones = node.args[1:2] if node.name == "date" else node.args[:1] if node.name == "timezone" else []
        for zone in zones:
            self._note(zone, loops, "zone")
        if node.name == "default" and path:
            self._use(node.node, path, guarded, optional=True)
        elif not (node.name == "default" and path is not None):
            self.value(node.node, guarded, loops)
        for argument in (*node.args, *(pair.value for pair in node.kwargs)):
            self.value(argument, guarded, loops)

    def _test(self, node: nodes.Test, guarded: _Guards, loops: tuple[str, ...]) -> None:
        if node.name not in sandbox.TESTS:
            self.wrong(node, f"unknown test `{node.name}`; expected one of {', '.join(sandbox.TESTS)}")
        elif node.name in ("defined", "truthy", "blank"):
            self.truth(node.node, guarded, loops)
        else:
            self._note_numbers(node, loops)
            for value in (node.node, *node.args):
                self.value(value, guarded, loops)

    def _name(self, node: nodes.Name, loops: tuple[str, ...]) -> None:
        if node.name in loops:
            return
        if node.name in ROOTS:
            self.wrong(node, f"`{node.name}` is a whole record; expected a field of it, such as `{node.name}.name`")
        elif node.name in self.names:
            self.wrong(node, f"`{node.name}` can only be printed as it is: `{{{{ {node.name} }}}}`")
        else:
            hint = nearest(node.name, ROOTS)
            self.wrong(node, f"`{node.name}` is not known here; expected a field such as `customer.{node.name}`.{hint}")

    def _path(self, node: nodes.Node, loops: tuple[str, ...]) -> Path | None:
        """Return a path from a root, () of one from a loop variable or a wrong one, None of anything else."""
        steps = _steps(node)
        if steps is None:
            return None
        start, parts = steps
        if any(part.startswith("_") for part in parts):
            self.wrong(node, f"`{parts[0]}` starts with an underscore; fields do not")
            return ()
        if any(part == "*" or not _FIELD.fullmatch(part) for part in parts):
            self.wrong(node, "a field's name is empty, too long, `*`, or has quotes, backslashes or control characters")
            return ()
        if start not in loops and start not in ROOTS:
            hint = nearest(start, ROOTS)
            self.wrong(node, f"`{start}` is not known here; expected one of {', '.join(ROOTS)}.{hint}")
            return ()
        whole = self._whole(start, parts, loops)
        if whole:
            self.found.paths.add(whole)
        return () if start in loops else whole

    def _whole(self, start: str, parts: Path, loops: tuple[str, ...]) -> Path:
        """Return the path from its root, through the list that the loop goes over; () for what a loop counts."""
        if start not in loops:
            return (start, *parts)
        return () if start == "loop" else (*self.looped, "*", *parts)

    def _note(self, node: nodes.Node, loops: tuple[str, ...], kind: str) -> None:
        """Note what stands at a path; anything else is no path and says nothing."""
        start, parts = _steps(node) or (node.name if isinstance(node, nodes.Name) else "", ())
        whole = self._whole(start, parts, loops) if start in loops or (parts and start in ROOTS) else ()
        if whole:
            self.found.kinds[whole] = kind

    def _use(self, node: nodes.Node, path: Path, guarded: _Guards, *, optional: bool) -> None:
        used = (path[0], path[1])
        self.found.lines.setdefault(used, node.lineno)
        given = tuple(sorted(guard for guard in guarded if guard[0][:2] == used))
        (self.found.optional if optional or given else self.found.required).add(used)
        is_there = any(known[: len(path)] == path for known, _ in given)
        if path != used and not optional and not is_there:
            self.found.needs.add((path, given))


def _tested(guards: _Guards, test: str) -> _Guards:
    return frozenset((path, test) for path, _ in guards)


def has(guard: Guard, data: Mapping[str, Any]) -> bool:
    """Return whether the data passes the test that the guard names."""
    path, test = guard
    value = reached(path, data)
    if value is None or test == "defined":
        return value is not None
    if test == "truthy":
        return value is not False
    return bool(value) or (test == "filled" and value is not False and not isinstance(value, list | dict))


def reached(path: Path, data: Mapping[str, Any]) -> Any:
    """Return what stands at the path, as a template finds it; None of what is absent or blank."""
    value: Any = data
    for step in path:
        if isinstance(value, list):
            places = {"first": 0, "last": -1, "size": None}
            at = int(step) if step.isdigit() else places.get(step, len(value))
            value = len(value) if at is None else value[at] if -len(value) <= at < len(value) else None
        elif isinstance(value, str) and step == "size":
            value = len(value)
        else:
            value = value.get(step) if isinstance(value, Mapping) else None
    return None if isinstance(value, str) and not value.strip() else value


def dotted(path: Path) -> str:
    """Return a path as authors write it: `event.items[0].name`."""
    return "".join(f"[{step}]" if step.isdigit() else f".{step}" for step in path).removeprefix(".")


def _steps(node: nodes.Node) -> tuple[str, Path] | None:
    """Return the name that a path starts with and its steps, one at least; None of what is no path."""
    parts: list[str] = []
    at: nodes.Node = node
    while isinstance(at, _SUBSCRIPTS):
        if isinstance(at, nodes.Getattr):
            parts.append(at.attr)
        elif isinstance(at.arg, nodes.Const) and isinstance(at.arg.value, str):
            parts.append(at.arg.value)
        elif isinstance(at.arg, nodes.Const) and type(at.arg.value) is int and isinstance(at.node, _SUBSCRIPTS):
            parts.append(str(at.arg.value))
        else:
            return None
        at = at.node
    return (at.name, tuple(reversed(parts))) if parts and isinstance(at, nodes.Name) else None


_SUBSCRIPTS = (nodes.Getattr, nodes.Getitem)
_CALCULATIONS = (nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod)
_TRANSPARENT = (
    *(nodes.Compare, nodes.Operand, nodes.And, nodes.Concat, nodes.List, nodes.Tuple, nodes.Neg, nodes.Pos),
    *_CALCULATIONS,
)
