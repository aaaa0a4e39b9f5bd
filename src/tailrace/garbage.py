"""What of a process is never garbage? What it has imported: looking through that, again and again, finds nothing."""

from __future__ import annotations

import atexit
import gc
import sys

COUNTING = (2,)
"""DuckDB counts from this release on what is left of its own objects when the process ends, and complains of each."""


def keep() -> None:
    """Have whatever is in memory now passed over whenever garbage is looked for."""
    gc.freeze()
    atexit.register(_let_go)


def _let_go() -> None:
    """Let Python take everything apart at the end, which takes it a while, where DuckDB would complain otherwise."""
    duckdb = sys.modules.get("duckdb")
    if duckdb is not None and tuple(int(part) for part in duckdb.__version__.split(".")[:1]) >= COUNTING:
        gc.unfreeze()
