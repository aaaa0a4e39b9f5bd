"""What does the text of a select say? What it shows, and whether all that it reads stands there by its name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlglot import exp
from sqlglot.optimizer.scope import Scope

_FROM_TEXT = ("query", "query_table")
"""Functions of DuckDB that read the relation of which a text tells."""


@dataclass(frozen=True)
class Star:
    """`* exclude (…) replace (…) rename (…)`; names in lower case. `of` is the one relation that it is of."""

    of: str | None
    excluded: frozenset[str]
    replaced: Mapping[str, exp.Expr]
    renamed: Mapping[str, str]

    def shows(self, column: str) -> str | None:
        """Return the name under which it shows a column as it is; None: under none."""
        is_other = column in self.excluded or column in self.replaced
        return None if is_other else self.renamed.get(column, column)

    def others(self, column: str) -> list[str]:
        """Return the names under which it shows other columns than those of these names, this column apart."""
        return [name for was, name in self.renamed.items() if was != column]


def without_unused(expression: exp.Expr) -> exp.Expr:
    """Return the text without the CTEs that nothing outside of themselves names: nothing of what they read is in it."""
    while True:
        named = [table for table in expression.find_all(exp.Table) if not table.db]
        unused = [
            cte
            for cte in expression.find_all(exp.CTE)
            if not any(table.name.lower() == cte.alias.lower() and not _is_within(table, cte) for table in named)
        ]
        if not unused:
            return expression
        for cte in unused:
            ctes = cte.parent
            cte.pop()
            if ctes is not None and not ctes.expressions:
                ctes.pop()


def _is_within(node: exp.Expr, other: exp.Expr) -> bool:
    parent = node.parent
    while parent is not None and parent is not other:
        parent = parent.parent
    return parent is other


def projections(scope: Scope) -> list[exp.Expr]:
    """Return what stands between `select` and `from`; nothing where a scope is no plain select."""
    return list(scope.expression.selects) if isinstance(scope.expression, exp.Select) else []


def star(projection: exp.Expr) -> Star | None:
    """Return the star that a projection is; None when it is one column."""
    if not projection.is_star:
        return None
    inner = projection if isinstance(projection, exp.Star) else projection.this
    return Star(
        of=projection.args["table"].name.lower() if projection.args.get("table") else None,
        excluded=frozenset(each.name.lower() for each in inner.args.get("except_") or ()),
        replaced={each.alias.lower(): each.this for each in inner.args.get("replace") or ()},
        renamed={each.this.name.lower(): each.alias.lower() for each in inner.args.get("rename") or ()},
    )


def is_any(projection: exp.Expr) -> bool:
    """Return whether a projection stands for columns whose names it does not say, as `columns('…')` does."""
    return any(
        isinstance(part, exp.Columns) for part in projection.walk(prune=lambda each: isinstance(each, exp.Query))
    )


def aggregates(projection: exp.Expr) -> bool:
    """Return whether a projection counts rows: an aggregate that is no window's."""
    return any(
        isinstance(part, exp.AggFunc) and not isinstance(part.parent, exp.Window)
        for part in projection.walk(prune=lambda each: isinstance(each, exp.Query))
    )


def deciding(select: exp.Select) -> list[exp.Expr]:
    """Return what decides which rows a select has, besides its `from`: conditions, groups, and the order of a part."""
    shown, distinct, order = list(select.selects), select.args.get("distinct"), select.args.get("order")
    clauses = (select.args.get(clause) for clause in ("where", "group", "having", "qualify"))
    found = [clause for clause in clauses if isinstance(clause, exp.Expr)]
    if distinct is not None:
        found += [distinct] if distinct.args.get("on") else shown
    is_part = is_cut(select) or (distinct is not None and distinct.args.get("on"))
    if order is not None and is_part:
        found.append(order)
    return found + [
        part for clause in found if isinstance(clause, exp.Group | exp.Order) for part in _meant(clause, shown)
    ]


def _meant(clause: exp.Expr, shown: list[exp.Expr]) -> list[exp.Expr]:
    """Return what `all` stands for in a `group by` or `order by`, and what numbers there do."""
    if clause.args.get("all"):
        return [each for each in shown if not aggregates(each)]
    if any(each.name.lower() == "all" for each in clause.find_all(exp.Var)):
        return shown
    places = {int(each.this) for each in clause.find_all(exp.Literal) if each.is_int}
    if places and any(each.is_star or is_any(each) for each in shown):
        return shown
    return [shown[place - 1] for place in sorted(places) if 1 <= place <= len(shown)]


def is_cut(query: exp.Expr) -> bool:
    """Return whether some of a query's rows are left out by their number."""
    return any(query.args.get(clause) is not None for clause in ("limit", "offset"))


def compares(union: exp.SetOperation) -> bool:
    """Return whether a union, or the like, looks into rows to say which there are: all but a plain `union all` does."""
    return not isinstance(union, exp.Union) or bool(union.args.get("distinct")) or is_cut(union)


def is_by_name(scope: Scope) -> bool:
    """Return whether the sides of a union go by the names of their columns, and not by their places."""
    return bool(scope.expression.args.get("by_name"))


def is_untold(expression: exp.Expr) -> bool:
    """Return whether columns or relations are read that have no name in the text: a pivot, `t(a, b)`, `query('…')`."""
    functions = {part.name.lower() for part in expression.find_all(exp.Anonymous)}
    is_renamed = any(table.alias_column_names for table in expression.find_all(exp.Table))
    return expression.find(exp.Pivot) is not None or is_renamed or not functions.isdisjoint(_FROM_TEXT)
