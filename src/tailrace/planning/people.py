"""What are the people like of whom a condition speaks?"""

from __future__ import annotations

from collections.abc import Collection

import duckdb

from tailrace import engine
from tailrace.engine import identifier, literal


def describe(connection: duckdb.DuckDBPyConnection, columns: Collection[str], whom: str) -> None:
    """Make `customers` (person_id, customer: JSON text of these columns) for the people of the select `whom`.

    A column that neither dim_people nor dim_person_features has is null. Without columns it has no rows.
    """
    connection.execute("create or replace temp table customers (person_id bigint, customer varchar)")
    if not columns:
        return
    people, features = (
        set(engine.columns(connection, f"wh.core.{table}")) for table in ("dim_people", "dim_person_features")
    )
    pairs = []
    for name in sorted(columns):
        alias = "people" if name in people else "features" if name in features else None
        pairs.append(f"{literal(name)}, {f'{alias}.{identifier(name)}' if alias else 'null'}")
    connection.execute(
        f"insert into customers select people.person_id, json_object({', '.join(pairs)})::varchar"
        " from wh.core.dim_people as people left join wh.core.dim_person_features as features using (person_id)"
        f" where people.person_id in ({whom})"
    )
