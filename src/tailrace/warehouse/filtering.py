"""Does a condition surely keep a row out, when some of its columns are known? Three-valued, and in doubt: no."""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

Value = Callable[[exp.Column], str | None]


def excludes(condition: exp.Expr, value: Value) -> bool:
    """Return whether no row passes in which each column has the text that `value` gives; None is any value."""
    return _truth(condition, value) is False


def _truth(node: exp.Expr, value: Value) -> bool | None:  # noqa: PLR0911 (one return for each kind of node)
    if isinstance(node, exp.Paren):
        return _truth(node.this, value)
    if isinstance(node, exp.Not):
        inner = _truth(node.this, value)
        return None if inner is None else not inner
    if isinstance(node, exp.And):
        sides = {_truth(side, value) for side in node.flatten()}
        return False if False in sides else None if None in sides else True
    if isinstance(node, exp.Or):
        sides = {_truth(side, value) for side in node.flatten()}
        return True if True in sides else None if None in sides else False
    if isinstance(node, exp.EQ | exp.NEQ):
        left, right = _text(node.this, value), _text(node.expression, value)
        return None if left is None or right is None else (left == right) is isinstance(node, exp.EQ)
    if isinstance(node, exp.In) and node.expressions and not (node.args.get("query") or node.args.get("unnest")):
        asked, options = _text(node.this, value), [_text(option, value) for option in node.expressions]
        if asked is None:
            return None
        return True if asked in options else None if None in options else False
    if isinstance(node, exp.Boolean):
        return bool(node.this)
    return None


def _text(node: exp.Expr, value: Value) -> str | None:
    if isinstance(node, exp.Paren):
        return _text(node.this, value)
    if isinstance(node, exp.Column):
        return value(node)
    return str(node.this) if isinstance(node, exp.Literal) and node.is_string else None
