"""What is a batch of a sync? The rows of it, as the plan has them."""

from __future__ import annotations

from datetime import datetime

import orjson

from tailrace.delivery.messages import PlanReader
from tailrace.destinations.base import Batch, BatchRow
from tailrace.errors import DataError
from tailrace.journal import Due


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
