from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from tailrace.errors import BuildError
from tailrace.settings import Settings
from tailrace.warehouse.publish import publish
from tests.warehouse.conftest import Built

FINE_GRAIN = {
    f"core.fct_{name}"
    for name in ("events", "person_facts", "receipts", "consent_statements", "sends", "group_calls", "commerce_events")
} | {"core.fct_person_days", "core.fct_person_profiles", "states.fct_saas_lifecycles"}


@pytest.fixture
def copied(cast: Built, tmp_path: Path) -> Settings:
    settings = replace(cast.settings, data_dir=tmp_path)
    shutil.copy(cast.settings.warehouse, settings.warehouse)
    return settings


def tables(path: Path) -> set[str]:
    with duckdb.connect(str(path), read_only=True) as connection:
        rows = connection.execute(
            "select schema_name || '.' || table_name from duckdb_tables() union all"
            " select schema_name || '.' || view_name from duckdb_views() where not internal"
        ).fetchall()
    return {name for (name,) in rows}


def test_readers_get_every_table_but_those_at_the_grain_of_events_or_days(copied: Settings) -> None:
    path = publish(copied)
    assert path == copied.published
    # What stands between the landing and core is nobody's but the build's: dbt puts it into `main`.
    expected = {name for name in tables(copied.warehouse) if not name.startswith(("landing.", "main.", "staging."))}
    assert tables(path) == expected - FINE_GRAIN
    with duckdb.connect(str(path), read_only=True) as connection:
        assert connection.execute("select count(*) from core.dim_people").fetchall() == [(15,)]
        assert connection.execute("select count(*) from tailrace.generation").fetchall() == [(1,)]
    assert [entry.name for entry in copied.data_dir.iterdir() if "tmp" in entry.name] == []


def test_a_reader_keeps_the_copy_it_has_open_and_the_next_one_sees_the_new(copied: Settings) -> None:
    publish(copied)
    with duckdb.connect(str(copied.published), read_only=True) as reader:
        with duckdb.connect(str(copied.warehouse)) as writer:
            writer.execute("delete from segments.seg_power_users")
        publish(copied)
        assert reader.execute("select count(*) from segments.seg_power_users").fetchall() == [(1,)]
    with duckdb.connect(str(copied.published), read_only=True) as reader:
        assert reader.execute("select count(*) from segments.seg_power_users").fetchall() == [(0,)]


def test_a_warehouse_without_a_stamp_is_not_published(copied: Settings) -> None:
    with duckdb.connect(str(copied.warehouse)) as writer:
        writer.execute("delete from tailrace.generation")
    with pytest.raises(BuildError, match="no complete generation"):
        publish(copied)
    assert not copied.published.exists()
