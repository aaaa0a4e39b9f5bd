"""Whom does a plan mean by a number? A few person ids for each, the same ones every time."""

from __future__ import annotations

import duckdb

from tailrace.engine import statement
from tailrace.planning import relations
from tailrace.planning.store import Plan, Store

Sample = dict[tuple[str, str, str, str], list[int]]


def sample(connection: duckdb.DuckDBPyConnection, store: Store, plan: Plan, size: int) -> Sample:
    """Return at most `size` person ids per (campaign, step, verdict, reason), in the order of a hash of the id.

    Who enters is there as (campaign, `(entry)`, `enter`, '').
    """
    query = statement("tailrace.planning", "sampled")
    for name, empty in (("verdicts", relations.VERDICTS), ("transitions", relations.TRANSITIONS)):
        query = query.replace(f"{{{name}}}", store.source(plan, name, empty))
    found: Sample = {}
    for *key, person_id in connection.execute(query, {"size": size}).fetchall():
        campaign, step, verdict, reason = key
        found.setdefault((campaign, step, verdict, reason), []).append(person_id)
    return found
