"""What is a batch of a sync? The rows of it, as the plan has them."""

from __future__ import annotations

from datetime import datetime

from tailrace.delivery.messages import PlanReader
from tailrace.destinations.base import Batch
from tailrace.destinations.said import WrittenRow
from tailrace.errors import DataError
from tailrace.journal import Due


def make_batch(store: PlanReader, item: Due, at: datetime) -> Batch:
    """Return the batch for a due item; raises DataError when the plan store does not have the rows it should."""
    rows = store.sync_ops(item.plan_id, item.sync, item.batch_no)
    positions = rows.column("position").to_pylist()
    if positions != list(range(item.n_rows)):
        raise DataError(
            f"plan {item.plan_id}: batch {item.batch_no} of {item.sync} has {len(positions)} rows, the journal says"
            f" {item.n_rows}; expected the plan store as it was applied: restore it from a backup"
        )
    return Batch(
        batch_id=item.item_id,
        plan_id=item.plan_id,
        sync=item.sync,
        target=item.target,
        batch_no=item.batch_no,
        rows=tuple(map(WrittenRow, positions, *(rows.column(name).to_pylist() for name in ("op", "key", "data")))),
        at=at,
        mode=store.sync_mode(item.plan_id, item.sync),
    )
