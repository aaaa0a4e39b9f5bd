"""What is known of a relation: on what each of its columns and its rows depend, and which rows it may hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Ref = tuple[str, str]
"""A relation (`schema.name`) and a column of it, in lower case."""

ROWS = ""
"""Stands for the column when it is about which rows the relation has."""
ALL = "*"
"""Stands for the column when it may be any of the relation's."""
SIFTED = "~"
"""Stands before the relation when none of the rows that it was asked to tell apart is read."""

Refs = frozenset[Ref]


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
    rows: Refs = frozenset()
    reads: Refs = frozenset()
    events: frozenset[str] = frozenset()
    event_column: str | None = None
    type_column: str | None = None
    told: frozenset[str] = frozenset()
    told_by: str | None = None
