from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tailrace import engine
from tailrace.errors import DataError
from tailrace.journal.readings import MIRRORS
from tailrace.settings import Settings
from tailrace.warehouse.landed import EVENTS, MIRROR, show_landing
from tests.warehouse.cast import SCHEMA, land
from tests.warehouse.conftest import on_time


def shown(settings: Settings, table: str) -> list[tuple[str, str]]:
    with engine.connect(settings) as connection:
        connection.execute("attach ':memory:' as warehouse")
        connection.execute("create schema warehouse.landing")
        show_landing(connection, (), {})
        rows = connection.execute(f"describe warehouse.landing.{table}").fetchall()
    return [(row[0], row[1].lower()) for row in rows]


def test_an_empty_landing_has_the_columns_of_a_full_one(settings: Settings) -> None:
    assert shown(settings, "events") == list(EVENTS.items())
    assert list(EVENTS) == SCHEMA.names


@pytest.mark.parametrize("table", sorted(MIRRORS))
def test_an_empty_mirror_has_the_columns_that_the_journal_mirrors(
    settings: Settings, tmp_path: Path, table: str
) -> None:
    path = tmp_path / "rows.parquet"
    pq.write_table(MIRRORS[table].empty_table(), path)
    with engine.connect(settings) as connection:
        rows = connection.execute(f"describe from read_parquet('{path}')").fetchall()
    assert shown(settings, table) == [(row[0], row[1].lower()) for row in rows]
    assert MIRROR.keys() == MIRRORS.keys()


def test_one_load_given_twice_and_a_file_that_is_not_in_a_manifest_are_told_apart(
    settings: Settings, tmp_path: Path
) -> None:
    load = land(tmp_path, on_time()[:5])
    left_over = load.parquet[0].with_name("events-2.parquet")
    left_over.write_bytes(load.parquet[0].read_bytes())
    with engine.connect(settings) as connection:
        connection.execute("attach ':memory:' as warehouse")
        connection.execute("create schema warehouse.landing")
        show_landing(connection, [load], {})
        assert connection.execute("select count(*) from warehouse.landing.events").fetchall() == [(5,)]
        assert connection.execute("select load_id, rows from warehouse.landing.loads").fetchall() == [(load.load_id, 5)]
        with pytest.raises(DataError, match="was given twice"):
            show_landing(connection, [load, load], {})
        with pytest.raises(DataError, match="the file is gone"):
            show_landing(connection, [replace(load, parquet=(tmp_path / "none.parquet",))], {})
