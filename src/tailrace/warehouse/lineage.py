"""What do the columns and rows of a model depend on, and of which events may it have rows? sqlglot reads its SQL.

Rows that are to be told apart, those of an event or of a campaign, are so as long as a column says of each row which it
is, and no row shows anything of others. A condition on that column keeps them out.
"""

from __future__ import annotations

from collections.abc import Mapping

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.scope import Scope, build_scope

from tailrace.warehouse.dependence import Dependence, Source
from tailrace.warehouse.filtering import excludes
from tailrace.warehouse.relation import ALL, SIFTED, Known, Refs
from tailrace.warehouse.selects import is_any, is_by_name, is_cut, is_untold, projections, star, without_unused

_NONE: Refs = frozenset()


def trace(sql: str, relations: Mapping[str, Known]) -> Known | None:
    """Return what is known of what `sql` selects, given what is known of the relations it reads; None: nothing."""
    try:
        expression = sqlglot.parse_one(sql, dialect="duckdb")
        if is_untold(expression):
            return None
        for identifier in expression.find_all(exp.Identifier):
            # To DuckDB a name is the same in any case, quoted or not; to sqlglot it is not.
            identifier.set("this", identifier.name.lower())
        expression = without_unused(expression)
        scope = build_scope(expression)
        if scope is None:
            return None
        tracer = _Tracer(relations, scope)
        columns = tracer.outputs(scope)
        event_column, type_column = tracer.event_columns(scope)
        told, told_by = tracer.told(scope)
        reads = tracer.whole(scope)
        named = {f"{table.db}.{table.name}".lower() for table in expression.find_all(exp.Table)}
        # A relation that stands where no select looks for it is not understood.
        if not named & relations.keys() <= {relation.removeprefix(SIFTED) for relation, _ in reads}:
            return None
        return Known(
            columns=None if ALL in columns else columns,
            rows=tracer.control(scope),
            reads=reads,
            events=tracer.events(scope),
            event_column=event_column,
            type_column=type_column,
            told=told,
            told_by=told_by,
        )
    except (SqlglotError, RecursionError):
        return None


class _Tracer(Dependence):
    """Tells also of which events a select may have rows, and whether it has rows that are to be told apart."""

    def __init__(self, relations: Mapping[str, Known], root: Scope) -> None:
        super().__init__(relations, root)
        self._carried: dict[int, frozenset[str]] = {}
        self._telling_events: dict[int, tuple[str | None, str | None]] = {}
        self._told: dict[int, tuple[frozenset[str], str | None]] = {}

    def events(self, scope: Scope) -> frozenset[str]:
        """Return the events, of those asked about, whose rows reach what the select makes."""

        def most() -> frozenset[str]:
            return frozenset().union(*(self._relations.get(name, Known()).events for name in self._tables(scope)))

        return self._once(self._carried, scope, self._passed, most)

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

    def _lets(self, scope: Scope, source: Source, event: str) -> bool:
        """Return whether rows of the event may pass from a source through a select."""
        where, known = scope.expression.args.get("where"), self._known(source)
        facts = {known.event_column: event, known.type_column: "track"}

        def value(column: exp.Column) -> str | None:
            return facts.get(column.name.lower()) if self._is_of(column, source, scope) else None

        return where is None or not excludes(where.this, value)

    def event_columns(self, scope: Scope) -> tuple[str | None, str | None]:
        """Return which output columns still say of each row which event it is, and of which type."""
        return self._once(self._telling_events, scope, self._telling, lambda: (None, None))

    def _telling(self, scope: Scope) -> tuple[str | None, str | None]:
        if isinstance(scope.expression, exp.SetOperation):
            sides = [self.event_columns(side) for side in scope.set_operation_scopes]
            return sides[0] if len(set(sides)) == 1 and self._lines_up(scope, sides[0]) else (None, None)
        sources = [source for source in self.sources(scope) if self._known(source).events]
        if len(sources) != 1 or not isinstance(scope.expression, exp.Select) or scope.outer_columns:
            return None, None
        known = self._known(sources[0])
        event_column, type_column = (
            None if self._mixes(scope, sources[0], column) else self._kept_as(scope, sources[0], column)
            for column in (known.event_column, known.type_column)
        )
        return event_column, type_column

    def _lines_up(self, scope: Scope, names: tuple[str | None, ...]) -> bool:
        """Return whether each of these columns is at one place in all sides of a union, or these go by their names."""
        sides = [list(self.outputs(side)) for side in scope.set_operation_scopes]
        known = [name for name in names if name is not None]
        return is_by_name(scope) or all(
            all(name in side for side in sides) and len({side.index(name) for side in sides}) == 1 for name in known
        )

    def _kept_as(self, scope: Scope, source: Source, column: str | None) -> str | None:
        """Return the name under which a select shows a column of a source as it is, and only that; None: under none."""
        shown: list[tuple[str, bool]] = []
        for projection in projections(scope):
            part, found = projection.unalias(), star(projection)
            if is_any(projection):
                return None
            if found is None:
                is_it = (
                    isinstance(part, exp.Column) and part.name.lower() == column and self._is_of(part, source, scope)
                )
                shown.append((projection.alias_or_name.lower(), is_it))
                continue
            shown += [(name, False) for name in found.others(column or "")]
            for each in self.sources(scope):
                name = found.shows(column or "") if found.of in (None, each.alias) else None
                if name is not None and column in (self._names(each) or (column,)):
                    shown.append((name, each is source))
        names = [name for name, _ in shown]
        return next((name for name, is_it in shown if is_it and names.count(name) == 1), None)

    def told(self, scope: Scope) -> tuple[frozenset[str], str | None]:
        """Return by which output column rows can still be told apart, and which values are to be."""
        return self._once(self._told, scope, self._tells, lambda: (frozenset(), None))

    def _tells(self, scope: Scope) -> tuple[frozenset[str], str | None]:
        if isinstance(scope.expression, exp.SetOperation):
            sides = [self.told(side) for side in scope.set_operation_scopes]
            return sides[0] if len(set(sides)) == 1 and self._lines_up(scope, sides[0][1:]) else (frozenset(), None)
        sources = [source for source in self.sources(scope) if self._known(source).told]
        if len(sources) != 1 or not isinstance(scope.expression, exp.Select) or scope.outer_columns:
            return frozenset(), None
        known = self._known(sources[0])
        kept = self._kept_as(scope, sources[0], known.told_by)
        if kept is None or self._mixes(scope, sources[0], known.told_by):
            return frozenset(), None
        return known.told, kept

    def _mixes(self, scope: Scope, source: Source, column: str | None) -> bool:
        """Return whether a row may show something of others: by a window, by a subquery, by being left out or not."""
        distinct = scope.expression.args.get("distinct")
        if is_cut(scope.expression) or (distinct is not None and distinct.args.get("on")):
            return True
        if any(self.events(inner) for inner in scope.subquery_scopes):
            return True
        return any(
            not any(
                isinstance(part, exp.Column) and part.name.lower() == column and self._is_of(part, source, scope)
                for part in window.args.get("partition_by") or ()
            )
            for window in scope.find_all(exp.Window)
        )

    def _keeps_out(self, scope: Scope, source: Source) -> bool:
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

    def _origin(self, source: Source) -> str | None:
        """Return the table that a source is, or is nothing but a part of."""
        if source.scope is None:
            return source.table
        inner = self.sources(source.scope)
        is_plain = len(inner) == 1 and isinstance(source.scope.expression, exp.Select)
        return self._origin(inner[0]) if is_plain and not source.scope.subquery_scopes else None

    def _sifted(self, scope: Scope, source: Source, refs: Refs) -> Refs:
        if not self._known(source).told or not self._keeps_out(scope, source):
            return refs
        origin = self._origin(source)
        return frozenset((SIFTED + table if table == origin else table, column) for table, column in refs)

    def _known(self, source: Source) -> Known:
        if source.table is not None:
            return self._relations.get(source.table, Known())
        assert source.scope is not None
        return Known(
            None, _NONE, _NONE, self.events(source.scope), *self.event_columns(source.scope), *self.told(source.scope)
        )
