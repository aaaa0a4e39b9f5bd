"""The memory of what was sent, and what a person decided about it."""

from tailrace.journal.journal import Journal
from tailrace.journal.records import (
    Begun,
    Claim,
    Counts,
    Decided,
    Draft,
    Due,
    Happened,
    Intent,
    Lease,
    Record,
    Release,
    RowOutcome,
    State,
    SyncBatch,
    Unknown,
)

__all__ = [
    "Begun",
    "Claim",
    "Counts",
    "Decided",
    "Draft",
    "Due",
    "Happened",
    "Intent",
    "Journal",
    "Lease",
    "Record",
    "Release",
    "RowOutcome",
    "State",
    "SyncBatch",
    "Unknown",
]
