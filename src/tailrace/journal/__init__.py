"""The memory of what was sent, and what a person decided about it."""

from tailrace.journal.journal import Journal
from tailrace.journal.records import (
    Claim,
    Counts,
    Due,
    Happened,
    Intent,
    Lease,
    Record,
    Release,
    RowOutcome,
    SyncBatch,
    Unknown,
)

__all__ = [
    "Claim",
    "Counts",
    "Due",
    "Happened",
    "Intent",
    "Journal",
    "Lease",
    "Record",
    "Release",
    "RowOutcome",
    "SyncBatch",
    "Unknown",
]
