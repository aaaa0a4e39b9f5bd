"""How does SQL know, without reading it once more, that no object of a body has a key twice? It has a form seen before.

A form is a body of the source's first lines with `%` for every value that holds no object. A body fits when it is like
the form, has as many `":` and as many `{` as the form, and no backslash. It follows that it has the form's keys in the
form's objects: a quote before the first letter of a key can only open a text, so what the form spells out up to there
is no text, and these are all the keys and braces that there are. `like` takes any character for `_`, and finds places
many times faster without it: `%` stands for it as well, and the keys that have one are looked for one by one.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from tailrace import engine

_MAX_FORMS = 8
_MAX_LENGTH = 4000
_MAX_DEPTH = 20
# What is written after a text is one of `,:}]`; a key begins with none of them, and has nothing to escape.
_KEY = re.compile(r"[^\W_][\w $@./-]*")

_NO_NUMBER = "-?(?i:nan|inf)"


class _Formless(ValueError):
    pass


def fits(rows: Iterable[dict[str, Any]], column: str) -> str:
    """Return SQL that is true only for a body `column`, as `json` writes it, that holds nothing to be judged.

    That is: no key twice, no NaN or Infinity, no NUL and no list in a list. Learned from some of the source's `rows`.
    """
    bodies = [row[column] for row in rows if isinstance(row.get(column), dict)]
    forms = Counter(form for body in bodies for form in _forms(body))
    chosen = sorted(forms, key=lambda form: (-forms[form], form))[:_MAX_FORMS]
    whens = [f"when {column} like {engine.literal(_wild(form))} then {_exactly(form, column)}" for form in chosen]
    # DuckDB takes NaN and Infinity for numbers, in any case, and keeps them as they are written. There is one pattern
    # for each first character, which is looked for many times faster than a class of them.
    in_lists = " or ".join(
        [f"contains({column}, '{part}')" for part in ("[[", ",[")]
        + [rf"regexp_matches({column}, '{first}{_NO_NUMBER}')" for first in (",", r"\[")]
    )
    return (
        f"case when {column} is null then true when contains({column}, '\\') then false"
        f" when regexp_matches({column}, ':{_NO_NUMBER}') then false"
        f" when case when contains({column}, '[') then {in_lists} else false end then false"
        f" {' '.join(whens)} else false end"
    )


def _forms(body: dict[str, Any]) -> Iterator[str]:
    try:
        form = _form(body, 1)
    except _Formless:
        return
    with_gaps = [key for key in _keys(form) if "_" in key]
    if len(form) <= _MAX_LENGTH and len(set(with_gaps)) == len(with_gaps):
        yield form


def _form(value: Any, depth: int) -> str:
    if depth > _MAX_DEPTH:
        raise _Formless
    if isinstance(value, dict):
        if not all(_KEY.fullmatch(key) for key in value):
            raise _Formless
        return "{" + ",".join(f'"{key}":{_form(inner, depth + 1)}' for key, inner in value.items()) + "}"
    if isinstance(value, list) and any(isinstance(inner, dict | list) for inner in value):
        if not all(isinstance(inner, dict) for inner in value):
            raise _Formless
        return "[" + ",".join(_form(inner, depth + 1) for inner in value) + "]"
    return "%"


def _keys(form: str) -> list[str]:
    return re.findall(r'"([^"]*)":', form)


def _wild(form: str) -> str:
    return form.replace("_", "%")


def _exactly(form: str, column: str) -> str:
    """Return SQL that is true for a body like the form that has nothing of what forms are made of besides."""
    parts = [f"{column} not like {engine.literal('%' + (part + '%') * (form.count(part) + 1))}" for part in ('":', "{")]
    names = [f'"{key}":' for key in _keys(form) if "_" in key]
    return " and ".join([*parts, *(f"contains({column}, {engine.literal(name)})" for name in names)])
