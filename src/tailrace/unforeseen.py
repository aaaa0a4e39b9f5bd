"""What may be said of an error that nobody foresaw? Kind and place: its text may hold personal data."""

from __future__ import annotations

import errno
import os
import traceback
from pathlib import Path

import duckdb

_REFUSALS = {
    errno.ENOSPC: "make room",
    errno.EDQUOT: "make room",
    errno.EROFS: "mount it so that it can be written to",
    errno.EACCES: "give this user the right to",
    errno.EPERM: "give this user the right to",
    errno.EIO: "look after the disk",
}
"""What a system may answer to any read or write, and what a person does then."""


def refusal_of_the_system(error: Exception) -> str | None:
    """Return what to say when the system did not let a file be written or read, or None when it is another error.

    DuckDB's errors say it in their text; of that only the system's own words are repeated.
    """
    if isinstance(error, MemoryError | duckdb.OutOfMemoryException):
        return (
            "the memory was not enough; expected as much as TAILRACE_MEMORY_LIMIT allows, and that to be enough: raise"
            " it, or set TAILRACE_THREADS to fewer, then run again. What was complete before stands, and the next run"
            " goes on from there."
        )
    number = error.errno if isinstance(error, OSError) else None
    if number is None and isinstance(error, duckdb.IOException):
        number = next((known for known in _REFUSALS if os.strerror(known) in str(error)), None)
    if number not in _REFUSALS:
        return None
    place = error.filename if isinstance(error, OSError) and error.filename else "the data directory"
    return (
        f"{place}: {os.strerror(number)}; expected to read and write there, and room: {_REFUSALS[number]}, then run"
        " again. What was complete before stands, and the next run goes on from there."
    )


def kind_and_place(error: Exception) -> str:
    """Return of any other error its type and where in the code it was raised, and nothing of its text."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    return (
        f"an error that tailrace did not foresee: {type(error).__name__} at {Path(place.filename).name}:"
        f"{place.lineno}; its text is kept back because it may hold personal data: set TAILRACE_DEBUG=1 to see it"
    )
