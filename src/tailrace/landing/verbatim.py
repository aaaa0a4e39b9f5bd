"""How does SQL write an ordinary line again from its parsed parts, so that being equal proves that nothing is lost?

A line that is equal to its parts, put together in the order in which the source writes its keys, has these keys and no
others, each once; its texts have no escapes, and its bodies are as DuckDB writes them: no number was changed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tailrace import engine

_MAX_ORDERS = 3


def is_verbatim(rows: Iterable[dict[str, Any]], texts: tuple[str, ...], bodies: tuple[str, ...]) -> str:
    """Return SQL that is true only for a line `l` that is its parts `s`, learned from some of the source's `rows`.

    It knows a few orders of keys; true for none when no row has only `texts` and `bodies`.
    """
    known = {*texts, *bodies}
    left = [row for row in rows if row and known.issuperset(row)]
    whens: list[str] = []
    while left and len(whens) < _MAX_ORDERS:
        order = _order(left)
        fitting = [row for row in left if list(row) == [key for key in order if key in row]]
        left = [row for row in left if list(row) != [key for key in order if key in row]]
        written = _written(order, fitting, bodies)
        if written:
            whens.append(f"when l = {written} then true")
    return f"case {' '.join(whens)} else false end" if whens else "false"


def _order(rows: list[dict[str, Any]]) -> list[str]:
    """Return the keys of the rows in an order that the first row, at least, has."""
    order: list[str] = []
    for row in rows:
        after = 0
        for key in row:
            if key not in order:
                order.insert(after, key)
            after = order.index(key) + 1
    return order


def _written(order: list[str], rows: list[dict[str, Any]], bodies: tuple[str, ...]) -> str | None:
    """Return the SQL that writes the line; None when no key is in every row, for then no comma is sure."""
    sure = [key for key in order if all(row.get(key) is not None for row in rows)]
    if not sure:
        return None
    pieces: list[tuple[str, bool]] = [("{", True)]
    before = True
    for key in order:
        quote = "" if key in bodies else '"'
        opening, closing = f'"{key}":{quote}', quote
        if key == sure[0]:
            before = False
        elif before:
            closing += ","
        else:
            opening = "," + opening
        value = f"s.{engine.identifier(key)}" + ("::varchar" if key in bodies else "")
        if key in sure:
            pieces += [(opening, True), (value, False), (closing, True)]
            continue
        nulls, gaps = sum(key in row and row[key] is None for row in rows), sum(key not in row for row in rows)
        if nulls > gaps:
            written = f"'{quote}' || {value} || '{quote}'" if quote else value
            pieces += [(opening.removesuffix(quote), True), (f"coalesce({written}, 'null')", False)]
            pieces.append((closing.removeprefix(quote), True))
            continue
        pieces.append((f"case when {value} is not null then {engine.literal(opening)} end", False))
        pieces.append((value, False))
        if closing:
            pieces.append((f"case when {value} is not null then {engine.literal(closing)} end", False))
    return f"concat({', '.join(_joined([*pieces, ('}', True)]))})"


def _joined(pieces: list[tuple[str, bool]]) -> list[str]:
    """Return the pieces as SQL, neighbouring constants as one."""
    joined: list[str] = []
    constant = ""
    for text, is_constant in pieces:
        if is_constant:
            constant += text
            continue
        if constant:
            joined.append(engine.literal(constant))
            constant = ""
        joined.append(text)
    return [*joined, engine.literal(constant)]
