"""What does a column of a model depend on? Told by sqlglot from the model's SQL, through its CTEs and subqueries.

A column depends on the columns that its value is made of, and on all that decides which rows there are: conditions,
joins, groups. A relation joined on the left decides no rows, so only what is taken from it depends on it, unless rows
are counted afterwards. What cannot be resolved depends on everything that could be meant.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.scope import Scope, build_scope

from tailrace.warehouse.filtering import excludes

Ref = tuple[str, str]
"""A relation (`schema.name`) and a column of it, in lower case."""

ROWS = ""
"""Stands for the column when it is about which rows the relation has."""
ALL = "*"
"""Stands for the column when it may be any of the relation's."""
SIFTED = "~"
"""Stands before the relation when none of the rows that it was asked to tell apart is read."""

Refs = frozenset[Ref]
_NONE: Refs = frozenset()


@dataclass(frozen=True)
class Known:
    """What is known of a relation. `columns` None: not which columns it has.

    Each column has all that it depends on, `rows` what decides which rows there are, `reads` all of both.

    `events` are the event names asked about of which it may hold rows, or what was made of rows. Its columns
    `event_column` and `type_column` say which event a row is, where it has such columns.

    `told` are the values of the column `told_by` whose rows are to be told apart: whoever surely reads none of these
    rows depends on the relation SIFTED. None: no column tells any more.
    """

    columns: Mapping[str, Refs] | None = None
    rows: Refs = _NONE
    reads: Refs = _NONE
    events: frozenset[str] = frozenset()
    event_column: str | None = None
    type_column: str | None = None
    told: frozenset[str] = frozenset()
    told_by: str | None = None


def trace(sql: str, relations: Mapping[str, Known]) -> Known | None:
    """Return what is known of what `sql` selects, given what is known of the relations it reads; None: nothing."""
    try:
        scope = build_scope(sqlglot.parse_one(sql, dialect="duckdb"))
        if scope is None:
            return None
        tracer = _Tracer(relations)
        columns = tracer.outputs(scope)
        event_column, type_column = tracer.event_columns(scope)
        told, told_by = tracer.told(scope)
        return Known(
            columns=None if ALL in columns else columns,
            rows=tracer.control(scope),
            reads=tracer.whole(scope),
            events=tracer.events(scope),
            event_column=event_column,
            type_column=type_column,
            told=told,
            told_by=told_by,
        )
    except (SqlglotError, RecursionError):
        return None


@dataclass(frozen=True)
class _Source:
    """One relation in the `from` of a select: a table, or what another select makes."""

    alias: str
    table: str | None
    scope: Scope | None
    is_optional: bool
    on: exp.Expr | None


class _Tracer:
    def __init__(self, relations: Mapping[str, Known]) -> None:
        self._relations = relations
        self._outputs: dict[int, dict[str, Refs]] = {}
        self._controls: dict[int, Refs] = {}
        self._sources: dict[int, list[_Source]] = {}
        self._subqueries: dict[int, dict[int, Scope]] = {}
        self._wholes: dict[int, Refs] = {}
        self._sides: dict[tuple[int, str], Refs] = {}
        self._carried: dict[int, frozenset[str]] = {}
        self._telling_events: dict[int, tuple[str | None, str | None]] = {}
        self._told: dict[int, tuple[frozenset[str], str | None]] = {}
        self._open: set[tuple[str, int]] = set()

    def outputs(self, scope: Scope) -> dict[str, Refs]:
        """Return the output columns of a select, each with all that it depends on; ALL among them is any other."""
        key = id(scope)
        if key not in self._outputs:
            if ("outputs", key) in self._open:
                return {}  # a recursive CTE: what it begins with is traced where it begins
            self._open.add(("outputs", key))
            self._outputs[key] = self._made(scope)
            self._open.discard(("outputs", key))
        return self._outputs[key]

    def whole(self, scope: Scope) -> Refs:
        """Return all that a select depends on."""
        if id(scope) not in self._wholes:
            optional = [self._side(scope, source) for source in self.sources(scope) if source.is_optional]
            self._wholes[id(scope)] = self.control(scope).union(*self.outputs(scope).values(), *optional)
        return self._wholes[id(scope)]

    def control(self, scope: Scope) -> Refs:
        """Return what decides which rows a select has."""
        key = id(scope)
        if key not in self._controls:
            if ("control", key) in self._open:
                return _NONE
            self._open.add(("control", key))
            self._controls[key] = self._decided(scope)
            self._open.discard(("control", key))
        return self._controls[key]

    def events(self, scope: Scope) -> frozenset[str]:
        """Return the events, of those asked about, whose rows reach what the select makes."""
        key = id(scope)
        if key not in self._carried:
            if ("events", key) in self._open:
                return frozenset()
            self._open.add(("events", key))
            self._carried[key] = self._passed(scope)
            self._open.discard(("events", key))
        return self._carried[key]

    def _passed(self, scope: Scope) -> frozenset[str]:
        if isinstance(scope.expression, exp.SetOperation):
            return frozenset().union(*(self.events(side) for side in scope.set_operation_scopes))
        found = {
            event
            for source in self.sources(scope)
            for event in self._known(source).events
            if self._lets(scope, source, event)
        }
        return frozenset(found).union(*(self.events(inner) for inner in scope.subquery_scopes))

    def _lets(self, scope: Scope, source: _Source, event: str) -> bool:
        """Return whether rows of the event may pass from a source through a select."""
        where, known = scope.expression.args.get("where"), self._known(source)
        facts = {known.event_column: event, known.type_column: "track"}

        def value(column: exp.Column) -> str | None:
            return facts.get(column.name.lower()) if self._is_of(column, source, scope) else None

        return where is None or not excludes(where.this, value)

    def event_columns(self, scope: Scope) -> tuple[str | None, str | None]:
        """Return which output columns still say of each row which event it is, and of which type."""
        if id(scope) not in self._telling_events:
            self._telling_events[id(scope)] = (None, None)  # of a recursive CTE
            self._telling_events[id(scope)] = self._telling(scope)
        return self._telling_events[id(scope)]

    def _telling(self, scope: Scope) -> tuple[str | None, str | None]:
        if isinstance(scope.expression, exp.SetOperation):
            sides = [self.event_columns(side) for side in scope.set_operation_scopes]
            return sides[0] if len(set(sides)) == 1 else (None, None)
        sources = [source for source in self.sources(scope) if self._known(source).events]
        if len(sources) != 1 or not isinstance(scope.expression, exp.Select):
            return None, None
        known = self._known(sources[0])
        return (
            self._kept_as(scope, sources[0], known.event_column),
            self._kept_as(scope, sources[0], known.type_column),
        )

    def _kept_as(self, scope: Scope, source: _Source, column: str | None) -> str | None:
        """Return the name under which a select shows a column of a source as it is; None: under none."""
        selects = _projections(scope)
        if any(projection.is_star for projection in selects):
            return column
        names = {
            shown.name.lower(): projection.alias_or_name.lower()
            for projection in selects
            if isinstance(shown := projection.unalias(), exp.Column) and self._is_of(shown, source, scope)
        }
        return names.get(column or "")

    def told(self, scope: Scope) -> tuple[frozenset[str], str | None]:
        """Return by which output column rows can still be told apart, and which values are to be."""
        if id(scope) not in self._told:
            self._told[id(scope)] = (frozenset(), None)  # of a recursive CTE
            self._told[id(scope)] = self._tells(scope)
        return self._told[id(scope)]

    def _tells(self, scope: Scope) -> tuple[frozenset[str], str | None]:
        if isinstance(scope.expression, exp.SetOperation):
            sides = [self.told(side) for side in scope.set_operation_scopes]
            return sides[0] if len(set(sides)) == 1 else (frozenset(), None)
        sources = [source for source in self.sources(scope) if self._known(source).told]
        if len(sources) != 1 or not isinstance(scope.expression, exp.Select):
            return frozenset(), None
        known = self._known(sources[0])
        kept = self._kept_as(scope, sources[0], known.told_by)
        if kept is None or self._mixes(scope, sources[0], known.told_by):
            return frozenset(), None
        return known.told, kept

    def _mixes(self, scope: Scope, source: _Source, column: str | None) -> bool:
        """Return whether a window puts something of other rows into a row."""
        return any(
            not any(
                isinstance(part, exp.Column) and part.name.lower() == column and self._is_of(part, source, scope)
                for part in window.args.get("partition_by") or ()
            )
            for window in scope.find_all(exp.Window)
        )

    def _keeps_out(self, scope: Scope, source: _Source) -> bool:
        """Return whether a select surely reads no row of a source that is to be told apart."""
        known = self._known(source)
        where, joined = scope.expression.args.get("where"), source.on
        conditions = [where.this] if where is not None else []
        if joined is not None and joined.args.get("on") and joined.args.get("side") not in ("RIGHT", "FULL"):
            conditions.append(joined.args["on"])

        def is_out(condition: exp.Expr, told: str) -> bool:
            def value(column: exp.Column) -> str | None:
                is_it = column.name.lower() == known.told_by and self._is_of(column, source, scope)
                return told if is_it else None

            return excludes(condition, value)

        return known.told_by is not None and all(
            any(is_out(condition, told) for condition in conditions) for told in known.told
        )

    def _origin(self, source: _Source) -> str | None:
        """Return the table that a source is, or is nothing but a part of."""
        if source.scope is None:
            return source.table
        inner = self.sources(source.scope)
        is_plain = len(inner) == 1 and isinstance(source.scope.expression, exp.Select)
        return self._origin(inner[0]) if is_plain and not source.scope.subquery_scopes else None

    def _sifted(self, scope: Scope, source: _Source, refs: Refs) -> Refs:
        if not self._known(source).told or not self._keeps_out(scope, source):
            return refs
        origin = self._origin(source)
        return frozenset((SIFTED + table if table == origin else table, column) for table, column in refs)

    def sources(self, scope: Scope) -> list[_Source]:
        """Return what stands in the `from` of a select."""
        key = id(scope)
        if key not in self._sources:
            joins = {join.alias_or_name: join for join in scope.expression.args.get("joins") or ()}
            self._sources[key] = [
                _Source(
                    alias=alias.lower(),
                    table=f"{source.db}.{source.name}".lower() if isinstance(source, exp.Table) else None,
                    scope=source if isinstance(source, Scope) else None,
                    is_optional=alias in joins and joins[alias].side == "LEFT",
                    on=joins.get(alias),
                )
                for alias, (_, source) in scope.selected_sources.items()
            ]
        return self._sources[key]

    def _known(self, source: _Source) -> Known:
        if source.table is not None:
            return self._relations.get(source.table, Known())
        assert source.scope is not None
        return Known(
            None, _NONE, _NONE, self.events(source.scope), *self.event_columns(source.scope), *self.told(source.scope)
        )

    def _made(self, scope: Scope) -> dict[str, Refs]:
        expression = scope.expression
        if isinstance(expression, exp.SetOperation):
            sides = [self.outputs(side) for side in scope.set_operation_scopes]
            if any(ALL in side for side in sides) or len({len(side) for side in sides}) != 1:
                return {ALL: frozenset().union(*(refs for side in sides for refs in side.values()))}
            return {
                name: frozenset().union(*(list(side.values())[nth] for side in sides))
                for nth, name in enumerate(sides[0])
            }
        if not isinstance(expression, exp.Select):
            return {ALL: self._read(scope, expression)}
        control = self.control(scope)
        made: dict[str, Refs] = {}
        for projection in expression.selects:
            if projection.is_star:
                for name, refs in self._starred(scope, projection).items():
                    made[name] = refs | control
            else:
                made[projection.alias_or_name.lower()] = self._read(scope, projection) | control
        return made

    def _starred(self, scope: Scope, projection: exp.Expr) -> dict[str, Refs]:
        of = projection.args["table"].name.lower() if projection.args.get("table") else None
        sources = [source for source in self.sources(scope) if of in (None, source.alias)]
        made: dict[str, Refs] = {}
        # `* replace (…)` makes columns of others: any of them may be meant.
        written = frozenset[Ref]().union(
            *(self._resolved(column, scope) for column in projection.find_all(exp.Column) if not column.is_star)
        )
        for source in sources:
            names = self._names(source)
            for name in (ALL,) if names is None else names:
                made[name] = made.get(name, _NONE) | self._of(scope, source, name) | self._side(scope, source) | written
        return made

    def _decided(self, scope: Scope) -> Refs:
        expression = scope.expression
        if isinstance(expression, exp.SetOperation):
            return frozenset().union(*(self.control(side) for side in scope.set_operation_scopes))
        if not isinstance(expression, exp.Select):
            return _NONE
        found = _NONE
        clauses = ["where", "group", "having", "qualify", "distinct"]
        if expression.args.get("limit"):
            clauses.append("order")
        for clause in clauses:
            if isinstance(node := expression.args.get(clause), exp.Expr):
                found |= self._read(scope, node)
        counts = expression.args.get("group") is not None or any(_aggregates(part) for part in expression.selects)
        for source in self.sources(scope):
            if counts or not source.is_optional:
                found |= self._side(scope, source, is_deciding=True)
        return found

    def _side(self, scope: Scope, source: _Source, *, is_deciding: bool = False) -> Refs:
        """Return what decides which rows of a source there are; nothing for one whose rows decide the select's own."""
        if not (source.is_optional or is_deciding):
            return _NONE
        key = (id(scope), source.alias)
        if key not in self._sides:
            self._sides[key] = _NONE  # what it is joined on names its own columns
            self._sides[key] = self._joined(scope, source)
        return self._sides[key]

    def _joined(self, scope: Scope, source: _Source) -> Refs:
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
        return frozenset(found)

    def _inner(self, scope: Scope) -> dict[int, Scope]:
        if id(scope) not in self._subqueries:
            self._subqueries[id(scope)] = {id(inner.expression): inner for inner in scope.subquery_scopes}
        return self._subqueries[id(scope)]

    def _resolved(self, column: exp.Column, scope: Scope) -> Refs:
        name, table = column.name.lower(), column.table.lower()
        sources = self.sources(scope)
        if table:
            meant = [source for source in sources if source.alias == table]
        else:
            meant = [source for source in sources if name in (self._names(source) or ())]
            meant = meant or [source for source in sources if self._names(source) is None]
        if meant:
            return frozenset().union(*(self._of(scope, source, name) | self._side(scope, source) for source in meant))
        aliased = [each for each in _projections(scope) if each.alias_or_name.lower() == name and not table]
        if aliased and ("alias", id(aliased[0])) not in self._open:
            self._open.add(("alias", id(aliased[0])))
            found = self._read(scope, aliased[0])
            self._open.discard(("alias", id(aliased[0])))
            return found
        return self._resolved(column, scope.parent) if scope.parent is not None else self._everything(scope)

    def _is_of(self, column: exp.Column, source: _Source, scope: Scope) -> bool:
        """Return whether a column is surely one of this source."""
        if column.table:
            return column.table.lower() == source.alias
        others = [each for each in self.sources(scope) if each is not source]
        return all(column.name.lower() not in (self._names(each) or (column.name.lower(),)) for each in others)

    def _names(self, source: _Source) -> tuple[str, ...] | None:
        if source.scope is not None:
            names = self.outputs(source.scope)
            return None if ALL in names else tuple(names)
        columns = self._relations.get(source.table or "", Known()).columns
        return None if columns is None else tuple(columns)

    def _of(self, scope: Scope, source: _Source, name: str) -> Refs:
        if source.table is not None:
            return self._sifted(scope, source, frozenset({(source.table, name)}))
        assert source.scope is not None
        outputs = self.outputs(source.scope)
        return self._sifted(scope, source, outputs[name] if name in outputs else self.whole(source.scope))

    def _everything(self, scope: Scope) -> Refs:
        found = _NONE
        at: Scope | None = scope
        while at is not None:
            for source in self.sources(at):
                found |= (
                    frozenset({(source.table, ALL)})
                    if source.table
                    else self.whole(source.scope)
                    if source.scope
                    else _NONE
                )
            at = at.parent
        return found


def _projections(scope: Scope) -> list[exp.Expr]:
    return list(scope.expression.selects) if isinstance(scope.expression, exp.Select) else []


def _aggregates(projection: exp.Expr) -> bool:
    return any(
        isinstance(part, exp.AggFunc) and not isinstance(part.parent, exp.Window)
        for part in projection.walk(prune=lambda each: isinstance(each, exp.Query))
    )
