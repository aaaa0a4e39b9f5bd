"""How does a plan come into effect? HEAD moves to it, then the journal is told what it wants to leave.

A crash between the two is healed by whoever comes next.
"""

from __future__ import annotations

from datetime import datetime

import pyarrow as pa

from tailrace import crash, engine
from tailrace.journal.journal import Journal
from tailrace.journal.records import SyncBatch
from tailrace.planning import relations, syncs
from tailrace.planning.store import Store
from tailrace.settings import Settings

_NO_ACTS = pa.table({"intent_id": pa.array([], pa.string())})


def move_head(settings: Settings, journal: Journal, plan_id: str, at: datetime) -> int:
    """Move HEAD to the plan, write its intents, acts and batches, and return how many intents are new."""
    store = Store(settings)
    store.advance(plan_id)
    crash.here("apply.moved")
    return write_intents(settings, journal, store, plan_id, at)


def heal(settings: Settings, journal: Journal) -> None:
    """Write the intents of an applied plan that a crash kept out of the journal."""
    store = Store(settings)
    head = store.head()
    if head is not None and not journal.is_applied(head):
        write_intents(settings, journal, store, head, store.read(head).as_of)


def write_intents(settings: Settings, journal: Journal, store: Store, plan_id: str, at: datetime) -> int:
    """Write what the plan wants to leave into the journal, in one transaction, and return how many intents are new."""
    found = store.read(plan_id)
    inputs = found.inputs
    acts = store.table(found, "acts")
    with engine.connect(settings) as connection:
        source = store.source(found, "verdicts", relations.VERDICTS)
        connection.register("acts", acts if acts is not None else _NO_ACTS)
        query = engine.statement("tailrace.pipeline", "intents").format(verdicts=source)
        intents = connection.sql(query).to_arrow_table()
        batches = [
            SyncBatch(
                sync=sync,
                batch_no=batch_no,
                n_rows=n_rows,
                destination=facts["destination"],
                target=facts["target"],
                removes=removes,
                is_once=facts["mode"] == "append",
            )
            for sync, facts in sorted(found.syncs.items())
            for batch_no, n_rows, removes in syncs.batches(
                connection, store.source(found, f"sync_ops:{sync}", relations.SYNC_OPS)
            )
        ]
    return journal.apply_plan(
        plan_id,
        found.parent,
        found.as_of,
        at,
        intents,
        batches,
        list(inputs.releases),
        acts,
        inputs.choices,
        inputs.resyncs,
        store.table(found, "merged_messages"),
        heard_until=inputs.journal_seq,
    )
