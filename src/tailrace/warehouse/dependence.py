"""On what do the columns and the rows of a select depend? On columns and rows of what stands in its `from`, and so on.

A column depends on the columns that its value is made of, and on all that decides which rows there are: conditions,
joins, groups. A relation joined on the left decides no rows, so only what is taken from it depends on it, unless rows
are counted afterwards. What cannot be resolved depends on everything that could be meant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from sqlglot import exp
from sqlglot.optimizer.scope import Scope

from tailrace.warehouse.relation import ALL, ROWS, Known, Ref, Refs
from tailrace.warehouse.selects import Star, aggregates, compares, deciding, is_any, is_by_name, projections, star

_NONE: Refs = frozenset()
_T = TypeVar("_T")


@dataclass(frozen=True)
class Source:
    """One relation in the `from` of a select: a table, or what another select makes."""

    alias: str
    table: str | None
    scope: Scope | None
    is_optional: bool
    on: exp.Expr | None


class Dependence:
    """Of the selects of one text, over relations of which something is known; each is looked at once."""

    def __init__(self, relations: Mapping[str, Known], root: Scope) -> None:
        self._relations = relations
        self._scopes = {id(scope.expression): scope for scope in root.traverse()}
        self._outputs: dict[int, dict[str, Refs]] = {}
        self._controls: dict[int, Refs] = {}
        self._sources: dict[int, list[Source]] = {}
        self._subqueries: dict[int, dict[int, Scope]] = {}
        self._wholes: dict[int, Refs] = {}
        self._sides: dict[tuple[int, str], Refs] = {}
        self._open: set[tuple[int | str, int]] = set()

    def outputs(self, scope: Scope) -> dict[str, Refs]:
        """Return the output columns of a select, each with all that it depends on; ALL among them is any other."""
        return self._once(self._outputs, scope, self._named, lambda: {ALL: self._within(scope)})

    def whole(self, scope: Scope) -> Refs:
        """Return all that a select depends on."""
        return self._once(self._wholes, scope, self._united, lambda: self._within(scope))

    def control(self, scope: Scope) -> Refs:
        """Return what decides which rows a select has."""
        return self._once(self._controls, scope, self._decided, lambda: self._within(scope))

    def _once(self, answers: dict[int, _T], scope: Scope, answer: Callable[[Scope], _T], most: Callable[[], _T]) -> _T:
        """Return the answer for a select, worked out once; `most`, which it cannot be beyond, to who asks meanwhile.

        A recursive CTE does, and a select beside another that may name its columns.
        """
        key: tuple[int | str, int] = (id(answers), id(scope))
        if id(scope) not in answers:
            if key in self._open:
                return most()
            self._open.add(key)
            answers[id(scope)] = answer(scope)
            self._open.discard(key)
        return answers[id(scope)]

    def _within(self, scope: Scope) -> Refs:
        """Return every column of every relation that a select may name, or what stands in its `from`, and so on."""
        return frozenset((table, ALL) for table in self._tables(scope))

    def _tables(self, scope: Scope) -> set[str]:
        found, seen, left = set(), set(), list(_around(scope))
        while left:
            if id(at := left.pop()) in seen:
                continue
            seen.add(id(at))
            for each in (*at.set_operation_scopes, *at.subquery_scopes, *at.sources.values()):
                if isinstance(each, Scope):
                    left.append(self._real(each))
                else:
                    found.add(f"{each.db}.{each.name}".lower())
        return found

    def _real(self, scope: Scope) -> Scope:
        """Return the scope itself; the CTE's for the bare one that sqlglot makes of a CTE that reads itself."""
        real = self._scopes.get(id(scope.expression), scope)
        while real is not scope and real.parent is not None and isinstance(real.parent.expression, exp.SetOperation):
            real = real.parent
        return real

    def _united(self, scope: Scope) -> Refs:
        optional = [self._side(scope, source) for source in self.sources(scope) if source.is_optional]
        return self.control(scope).union(*self.outputs(scope).values(), *optional)

    def sources(self, scope: Scope) -> list[Source]:
        """Return what stands in the `from` of a select."""
        key = id(scope)
        if key not in self._sources:
            joins = {join.alias_or_name: join for join in scope.expression.args.get("joins") or ()}
            self._sources[key] = [
                Source(
                    alias=alias.lower(),
                    table=f"{source.db}.{source.name}".lower() if isinstance(source, exp.Table) else None,
                    scope=self._real(source) if isinstance(source, Scope) else None,
                    is_optional=alias in joins and joins[alias].side == "LEFT",
                    on=joins.get(alias),
                )
                for alias, (_, source) in scope.selected_sources.items()
            ]
        return self._sources[key]

    def _named(self, scope: Scope) -> dict[str, Refs]:
        """Return the output columns by the names that `as t (…)` gives them, if it does."""
        made, names = self._made(scope), [name.lower() for name in scope.outer_columns]
        if not names or ALL in made:
            return {ALL: frozenset().union(*made.values())} if names else made
        found: dict[str, Refs] = {}
        for name, refs in zip([*names, *list(made)[len(names) :]], made.values(), strict=True):
            found[name] = found.get(name, _NONE) | refs
        return found

    def _made(self, scope: Scope) -> dict[str, Refs]:
        expression = scope.expression
        if isinstance(expression, exp.SetOperation):
            sides, by_name = [self.outputs(side) for side in scope.set_operation_scopes], is_by_name(scope)
            if any(ALL in side for side in sides) or (not by_name and len({len(side) for side in sides}) != 1):
                return {ALL: frozenset().union(*(refs for side in sides for refs in side.values()))}
            if not by_name:
                sides = [dict(zip(sides[0], side.values(), strict=True)) for side in sides]
            names = [name for side in sides for name in side]
            return {name: frozenset().union(*(side.get(name, _NONE) for side in sides)) for name in names}
        if not isinstance(expression, exp.Select):
            return {ALL: self._read(scope, expression)}
        control = self.control(scope)
        made: dict[str, Refs] = {}
        for projection in expression.selects:
            if (found := star(projection)) is not None:
                for name, refs in self._starred(scope, found).items():
                    made[name] = refs | control
            else:
                name = ALL if is_any(projection) else projection.alias_or_name.lower()
                made[name] = made.get(name, _NONE) | self._read(scope, projection) | control
        return made

    def _starred(self, scope: Scope, found: Star) -> dict[str, Refs]:
        made: dict[str, Refs] = {}
        for source in self.sources(scope):
            if found.of not in (None, source.alias):
                continue
            names = self._names(source)
            for name in (ALL,) if names is None else names:
                if (shown := found.shows(name)) is not None:
                    made[shown] = made.get(shown, _NONE) | self._of(scope, source, name) | self._side(scope, source)
                elif name in found.replaced:
                    made[name] = self._read(scope, found.replaced[name])
        if ALL in made:
            made[ALL] = made[ALL].union(*(self._read(scope, part) for part in found.replaced.values()))
        return made

    def _decided(self, scope: Scope) -> Refs:
        expression = scope.expression
        if isinstance(expression, exp.SetOperation):
            asked = self.whole if compares(expression) else self.control
            return frozenset().union(*(asked(side) for side in scope.set_operation_scopes))
        if not isinstance(expression, exp.Select):
            return _NONE
        found = _NONE.union(*(self._read(scope, node) for node in deciding(expression)))
        counts = expression.args.get("group") is not None or any(aggregates(part) for part in expression.selects)
        for source in self.sources(scope):
            if counts or not source.is_optional:
                found |= self._side(scope, source, is_deciding=True)
        return found

    def _side(self, scope: Scope, source: Source, *, is_deciding: bool = False) -> Refs:
        """Return what decides which rows of a source there are; nothing for one whose rows decide the select's own."""
        if not (source.is_optional or is_deciding):
            return _NONE
        key = (id(scope), source.alias)
        if key not in self._sides:
            self._sides[key] = _NONE  # what it is joined on names its own columns
            self._sides[key] = self._joined(scope, source)
        return self._sides[key]

    def _joined(self, scope: Scope, source: Source) -> Refs:
        rows = (
            frozenset({(source.table, ROWS)}) if source.table else self.control(source.scope) if source.scope else _NONE
        )
        if source.on is None:
            return rows
        using = frozenset[Ref]().union(
            *(
                self._of(scope, each, name.name.lower())
                for name in source.on.args.get("using") or ()
                for each in self.sources(scope)
                if name.name.lower() in (self._names(each) or (name.name.lower(),))
            )
        )
        on = source.on.args.get("on")
        return rows | using | (self._read(scope, on) if on is not None else _NONE)

    def _read(self, scope: Scope, node: exp.Expr) -> Refs:
        """Return all that an expression reads, subqueries included."""
        found: set[Ref] = set()
        inner = self._inner(scope)
        for part in node.walk(prune=lambda each: isinstance(each, exp.Query) and each is not node):
            if isinstance(part, exp.Query) and part is not node:
                query = part.unnest()
                found |= self.whole(inner[id(query)]) if id(query) in inner else self._everything(scope)
            elif isinstance(part, exp.Column) and not part.is_star:
                found |= self._resolved(part, scope)
            elif isinstance(part, exp.Columns | exp.Star) and not isinstance(part.parent, exp.Count):
                found = found.union(*(self._of(scope, source, ALL) for source in self.sources(scope)))
            elif isinstance(part, exp.Window) and part.args.get("alias"):
                found = found.union(*(self._read(scope, named) for named in scope.expression.args.get("windows") or ()))
        return frozenset(found)

    def _inner(self, scope: Scope) -> dict[int, Scope]:
        if id(scope) not in self._subqueries:
            self._subqueries[id(scope)] = {id(inner.expression): inner for inner in scope.subquery_scopes}
        return self._subqueries[id(scope)]

    def _resolved(self, column: exp.Column, scope: Scope) -> Refs:
        for at in _around(scope):
            if (found := self._found(column, at, is_own=at is scope)) is not None:
                return found
        return self._everything(scope)

    def _found(self, column: exp.Column, scope: Scope, *, is_own: bool) -> Refs | None:
        """Return what a column depends on that a source of this select has; None when none has it.

        A source whose columns nobody knows may have it where the column stands in the select's own text.
        """
        name, table = column.name.lower(), column.table.lower()
        sources = self.sources(scope)
        if table:
            meant = [source for source in sources if source.alias == table]
        else:
            meant = [source for source in sources if name in (self._names(source) or ())]
            meant = meant or [source for source in sources if is_own and self._names(source) is None]
        if meant:
            return frozenset().union(*(self._of(scope, source, name) | self._side(scope, source) for source in meant))
        if not table and (rows := [source for source in sources if source.alias == name]):
            return self._of(scope, rows[0], ALL) | self._side(scope, rows[0])
        aliased = [each for each in projections(scope) if each.alias_or_name.lower() == name and not table]
        if not aliased or ("alias", id(aliased[0])) in self._open:
            return None
        self._open.add(("alias", id(aliased[0])))
        found = self._read(scope, aliased[0])
        self._open.discard(("alias", id(aliased[0])))
        return found

    def _is_of(self, column: exp.Column, source: Source, scope: Scope) -> bool:
        """Return whether a column is surely one of this source."""
        if column.table:
            return column.table.lower() == source.alias
        others = [each for each in self.sources(scope) if each is not source]
        return all(column.name.lower() not in (self._names(each) or (column.name.lower(),)) for each in others)

    def _names(self, source: Source) -> tuple[str, ...] | None:
        if source.scope is not None:
            names = self.outputs(source.scope)
            return None if ALL in names else tuple(names)
        columns = self._relations.get(source.table or "", Known()).columns
        return None if columns is None else tuple(columns)

    def _of(self, scope: Scope, source: Source, name: str) -> Refs:
        if source.table is not None:
            names = self._names(source)
            shown = name if names is None or name in names else ALL
            return self._sifted(scope, source, frozenset({(source.table, shown)}))
        assert source.scope is not None
        outputs = self.outputs(source.scope)
        is_one = name in outputs and name != ALL
        return self._sifted(scope, source, outputs[name] if is_one else self.whole(source.scope))

    def _everything(self, scope: Scope) -> Refs:
        return _NONE.union(*(self._of(at, source, ALL) for at in _around(scope) for source in self.sources(at)))

    def _sifted(self, scope: Scope, source: Source, refs: Refs) -> Refs:
        """Return what of a source is read, when not all of its rows are; whoever tells rows apart knows better."""
        return refs


def _around(scope: Scope) -> Iterator[Scope]:
    """Yield a select and those whose columns it may name: a CTE none of the one it stands before."""
    at: Scope | None = scope
    while at is not None:
        yield at
        at = at.parent.parent if at.is_cte and at.parent is not None else at.parent
