"""What readers see is of today: what a programme that is off has left behind is not shown."""

from __future__ import annotations

from pathlib import Path

import duckdb

from tailrace.pipeline.published import published, state_tables
from tailrace.settings import Settings


def test_the_states_of_a_programme_that_is_off_are_not_shown(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, project_dir=tmp_path)
    with duckdb.connect(str(settings.published)) as connection:
        connection.execute("create schema states")
        for name in ("fct_saas_states", "fct_commerce_states", "fct_carts"):
            connection.execute(f"create table states.{name} as select 1 as person_id")

    with published(settings) as connection:
        on, fewer = state_tables(connection), state_tables(connection, {"fct_commerce_states"})

    assert on == {"commerce": 'states."fct_commerce_states"', "saas": 'states."fct_saas_states"'}
    assert list(fewer) == ["saas"]
