from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tailrace.settings import Settings
from tailrace.warehouse import runner
from tailrace.warehouse.build import build
from tests.warehouse.cast import land
from tests.warehouse.conftest import AS_OF, Built, on_time

HEAD = "-- One row per person.\n{{ config(meta={'owner': 'a', 'summary': 'b'}) }}\n\n"
PEOPLE = "select person_id from {{ ref('dim_people') }}"


def test_authored_sql_reaches_no_file_and_no_setting(
    parsed: Settings, tmp_path: Path, project: Callable[[dict[str, str]], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMTP_PASSWORD", "s3cret-of-ours")
    target = tmp_path / "stolen.csv"
    other = tmp_path / "other.duckdb"
    hostile = {
        "reads": f"{PEOPLE} where exists (select 1 from read_text('/etc/passwd'))",
        "reads_neighbour": f"{PEOPLE} where exists (select 1 from read_parquet('{tmp_path}/landing/*/*.parquet'))",
        "writes": f"{PEOPLE}); copy core.dim_people to '{target}'; create table segments.more as ({PEOPLE}",
        "attaches": f"{PEOPLE}); attach '{other}' as other; create table segments.more as ({PEOPLE}",
        "unlocks": f"{PEOPLE}); set enable_external_access = true; create table segments.more as ({PEOPLE}",
        "installs": f"{PEOPLE}); install httpfs; create table segments.more as ({PEOPLE}",
        "exports": f"{PEOPLE}); export database '{tmp_path / 'export'}'; create table segments.more as ({PEOPLE}",
        "hooks": "{{ config(pre_hook=\"copy (select 1) to '" + str(target) + "'\") }}\n" + PEOPLE,
    }
    files = {f"models/segments/seg_{name}.sql": HEAD + sql for name, sql in hostile.items()}
    files["models/segments/seg_looks_around.sql"] = HEAD + (
        "select person_id, '{{ env_var('SMTP_PASSWORD', 'nothing') }}' as found from {{ ref('dim_people') }}"
    )
    later = replace(parsed, project_dir=project(files))
    load = land(tmp_path / "landing", on_time())
    before = load.parquet[0].read_bytes()

    generation = build(later, AS_OF, [load])

    assert generation.failed.keys() == {f"seg_{name}" for name in hostile}
    for name in hostile.keys() - {"unlocks"}:
        assert "file system operations are disabled" in generation.failed[f"seg_{name}"], name
    assert "locked" in generation.failed["seg_unlocks"]
    assert not target.exists()
    assert not other.exists()
    assert load.parquet[0].read_bytes() == before
    built = Built(later, generation, ())
    assert built.ask("select distinct found from segments.seg_looks_around") == [("nothing",)]
    assert built.ask("select count(*) from duckdb_tables() where schema_name = 'segments' and table_name = 'more'") == [
        (0,)
    ]


def test_a_secret_of_ours_is_not_in_dbts_environment(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMTP_PASSWORD", "s3cret-of-ours")
    seen: list[dict[str, str]] = []

    def run(_arguments: list[str], environment: dict[str, str], *_: object, **_more: object) -> tuple[int, str]:
        seen.append(environment)
        raise KeyboardInterrupt

    monkeypatch.setattr(runner.warm, "run", run)
    with pytest.raises(KeyboardInterrupt):
        runner.build(settings, AS_OF, exclude=None, full_refresh=False)
    (environment,) = seen
    assert "s3cret-of-ours" not in environment.values()
    assert environment["TAILRACE_AS_OF"] == "2026-03-01 06:00:00"
    assert environment["DO_NOT_TRACK"] == "1"


def test_the_canary_is_in_the_warehouse_and_in_nothing_else_that_a_build_leaves(cast: Built) -> None:
    marks = ("canary-7f3a@canary.example", "Zwitscher-7f3a")
    assert cast.ask("select count(*) from core.dim_people where email = ? and last_name = ?", *marks) == [(1,)]
    left = [path for path in cast.settings.data_dir.rglob("*") if path.is_file() and path != cast.settings.warehouse]
    assert any(path.name == "results.json" for path in left)
    for path in left:
        content = path.read_bytes()
        assert not [mark for mark in marks if mark.encode() in content], path
