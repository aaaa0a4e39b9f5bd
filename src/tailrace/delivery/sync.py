"""What goes out in one call of a sync? The rows of a batch, as the plan has them."""

from __future__ import annotations

from datetime import datetime

import orjson

from tailrace.delivery.messages import PlanReader
from tailrace.destinations.base import Batch, BatchRow, Outcome, Result
from tailrace.errors import DataError
from tailrace.journal import Due, RowOutcome


def make_batch(store: PlanReader, item: Due, at: datetime) -> Batch:
    """Return the batch for a due item; raises DataError when the plan store does not have the rows it should."""
    rows = store.sync_ops(item.plan_id, item.sync, item.batch_no).to_pylist()
    if [row["position"] for row in rows] != list(range(item.n_rows)):
        raise DataError(
            f"plan {item.plan_id}: batch {item.batch_no} of {item.sync} has {len(rows)} rows, the journal says"
            f" {item.n_rows}; expected the plan store as it was applied: restore it from a backup"
        )
    return Batch(
        batch_id=item.item_id,
        plan_id=item.plan_id,
        sync=item.sync,
        target=item.target,
        batch_no=item.batch_no,
        rows=tuple(
            BatchRow(
                row["position"],
                row["op"],
                orjson.loads(row["key"]),
                None if row["data"] is None else orjson.loads(row["data"]),
            )
            for row in rows
        ),
        at=at,
        mode=store.sync_mode(item.plan_id, item.sync),
    )


def row_outcomes(result: Result) -> tuple[RowOutcome, ...]:
    """Return the rows whose outcome differs from their batch's, as the journal takes them."""
    return tuple(RowOutcome(row.position, row.outcome.value, row.code) for row in result.rows)


def rows_by_outcome(item: Due, result: Result) -> list[tuple[Outcome, str, int]]:
    """Return (outcome, code, how many rows) that add up to the batch."""
    own = [(row.outcome, row.code, 1) for row in result.rows]
    return [(result.outcome, result.code, item.n_rows - len(own)), *own]
