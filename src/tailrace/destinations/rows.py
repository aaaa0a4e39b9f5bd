"""What does a row of a sync say, in the fields of a destination? Who it is about, and what is said of them.

The columns are the mapping. Key columns come as text in `key`, to remove a row too; `data` has all columns.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Sequence
from typing import Any

import orjson

from tailrace.destinations.base import Batch, BatchRow, RefusedError, RowsRefused, SyncRefused, token

TOO_LARGE = "row:too_large"
NO_KEY = "row:no_key"


def each(batch: Batch, make: Callable[[BatchRow], Any], largest: int | None = None) -> list[Any]:
    """Return what `make` makes of each row, in order.

    Raises RowsRefused for the rows for which `make` raised RefusedError, or whose JSON is longer than `largest` bytes.
    """
    made, refused = [], {}
    of_sync: str | None = None
    for row in batch.rows:
        try:
            one = make(row)
            if largest is not None and len(orjson.dumps(one)) > largest:
                raise RefusedError(TOO_LARGE)
            made.append(one)
        except RefusedError as error:
            refused[row.position] = error.code
            of_sync = error.code if isinstance(error, SyncRefused) else of_sync
        except (TypeError, ValueError):
            refused[row.position] = "row:not_json"
    if refused:
        raise RowsRefused(refused, of_sync)
    return made


def check_appended(batch: Batch) -> None:
    """Raise RefusedError unless the sync appends: what happened is said once, and is not taken back."""
    if batch.mode != "append":
        raise SyncRefused("mode:append_only")
    if batch.rows[0].op == "remove":
        raise SyncRefused("target:nothing_is_removed_here")


def columns(row: BatchRow) -> dict[str, Any]:
    """Return all that is known of the row: its data, and its key as text. Raises RefusedError for what is no object."""
    if not isinstance(row.key, dict) or not (row.data is None or isinstance(row.data, dict)):
        raise RefusedError("row:not_an_object")
    return {**(row.data or {}), **row.key}


def identity(row: BatchRow, names: Sequence[str]) -> tuple[str, str]:
    """Return the column that says who it is, and the value: the first of `names` that the key has, else the data.

    Raises RefusedError when there is none, or it is empty.
    """
    known = columns(row)
    for within in (row.key, known):
        for name in names:
            value = text(within.get(name))
            if value is not None:
                return name, value
    raise RefusedError(NO_KEY)


def text(value: object) -> str | None:
    """Return a key's value as text; None for what is empty or no key."""
    if isinstance(value, str):
        return value.strip() or None
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def rest(row: BatchRow, without: Collection[str]) -> dict[str, Any]:
    """Return the columns of the data but those."""
    return {name: value for name, value in (row.data or {}).items() if name not in without}


def own_id(batch: Batch, row: BatchRow) -> str:
    """Return an id of the row that is the same in every plan: 64 hexadecimal digits of its sync and key."""
    return hashlib.sha256(f"{batch.sync}\x1f{json.dumps(row.key, sort_keys=True)}".encode()).hexdigest()


def call_id(batch: Batch, row: BatchRow) -> str:
    """Return an id of this change of the row: the same at every attempt, another one in the next plan."""
    told = f"{batch.plan_id}\x1f{batch.sync}\x1f{batch.batch_no}\x1f{row.position}"
    return hashlib.sha256(told.encode()).hexdigest()[:32]


def short_id(batch: Batch, row: BatchRow, asked: str = "") -> str:
    """Return an id of 32 hexadecimal digits: of `asked`, or else of the row's sync and key."""
    return hashlib.sha256(asked.encode()).hexdigest()[:32] if asked else own_id(batch, row)[:32]


def field_code(field: object, kind: str) -> str:
    """Return the code of a row refused for a field: `time:invalid`; `row` for a name that is no short token."""
    return token(f"{token(field, 'row')}:{kind}", kind)
