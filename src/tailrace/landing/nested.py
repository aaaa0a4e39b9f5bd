"""How is an object read that a column of a row holds: as JSON, as typed fields, or as text?"""

from __future__ import annotations

import duckdb
from duckdb.func import FunctionNullHandling
from duckdb.sqltypes import VARCHAR

from tailrace import engine
from tailrace.landing import exact


def prepare(connection: duckdb.DuckDBPyConnection) -> None:
    """Give the connection what nested.sql has, and the exact judge behind it for the texts that a screen doubts."""
    connection.create_function("judged_object", _judged, [VARCHAR], VARCHAR, null_handling=FunctionNullHandling.SPECIAL)
    connection.execute(engine.statement("tailrace.landing", "nested"))


def _judged(text: str | None) -> str | None:
    if text is None:
        return None
    reason = exact.judge(text.encode(), ids=(), batches=False).reason
    return "body_not_an_object" if reason == "not_an_object" else reason
