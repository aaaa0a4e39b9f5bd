from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import duckdb
import pytest

from tailrace import clock
from tailrace import settings as settings_module
from tailrace.errors import BuildError, Busy, DataError, DefinitionError
from tailrace.settings import Settings
from tailrace.warehouse import runner
from tailrace.warehouse.build import Generation, build, read_generation
from tests import forks
from tests.installation import read_before
from tests.warehouse.cast import PROJECT, call, land, track
from tests.warehouse.conftest import AS_OF, Built, land_late, late, on_time

LATER = clock.parse("2026-03-02T06:00:00Z")
RELATIONS = (
    ("core", "fct_events"),
    ("core", "fct_person_facts"),
    ("core", "fct_person_days"),
    ("core", "fct_person_totals"),
    ("core", "fct_person_profiles"),
    ("core", "dim_people"),
    ("core", "dim_person_features"),
    ("states", "fct_saas_lifecycles"),
    ("states", "fct_saas_states"),
    ("segments", "seg_dormant_30d"),
    ("segments", "seg_power_users"),
    ("reports", "rpt_events_daily"),
    ("reports", "rpt_orphans"),
)


def rows(settings: Settings, schema: str, table: str) -> list[tuple[object, ...]]:
    connection = duckdb.connect(str(settings.warehouse), read_only=True)
    try:
        # Which build wrote a row is no part of what it says.
        said = f"select columns(lambda name: name <> 'written_in') from {schema}.{table}"
        return sorted(connection.execute(said).fetchall(), key=repr)
    finally:
        connection.close()


def everything(settings: Settings) -> dict[str, list[tuple[object, ...]]]:
    return {f"{schema}.{table}": rows(settings, schema, table) for schema, table in RELATIONS}


def elsewhere(settings: Settings, name: str) -> Settings:
    """Return an installation without a warehouse whose dbt has read the project as that of `settings` has."""
    return read_before(replace(settings, data_dir=settings.data_dir.with_name(name)), settings)


def test_a_build_is_stamped_with_what_it_was_built_from(cast: Built) -> None:
    generation = cast.generation
    assert generation.failed == {}
    assert generation.n_models > 20
    assert generation.n_tests > 5
    assert read_generation(cast.settings) == replace(generation, seconds=0.0)
    assert cast.ask("select generation_id, as_of from tailrace.generation") == [
        (generation.generation_id, clock.naive(AS_OF))
    ]


def test_building_again_by_increments_equals_building_from_nothing(parsed: Settings, tmp_path: Path) -> None:
    events = on_time()
    half = len(events) // 2
    newer = land(tmp_path / "landing", events[half:], seq=3)
    history = land(tmp_path / "landing", events[:half], seq=1, is_history=True)
    delayed = land_late(tmp_path / "landing", seq=2)

    build(parsed, AS_OF, [newer])
    generation = build(parsed, LATER, [newer, history, delayed])

    assert len(rows(parsed, "core", "fct_events")) == len(events) + len(late())
    whole = elsewhere(parsed, "whole")
    assert build(whole, LATER, [delayed, history, newer]).generation_id == generation.generation_id
    assert everything(parsed) == everything(whole)


@pytest.mark.torture
def test_a_late_event_counts_on_its_own_day(started: Built, tmp_path: Path) -> None:
    assert "leo-late" in started.members("seg_dormant_30d")
    loads = [*started.loads, land_late(tmp_path / "landing")]
    generation = build(started.settings, LATER, loads)
    built = Built(started.settings, generation, tuple(loads))
    assert "leo-late" not in built.members("seg_dormant_30d")
    assert built.ask(
        "select event_on from core.fct_person_days join core.dim_people using (person_id) where user_id = 'leo-late'"
        " and event_on > date '2026-02-01' order by 1"
    ) == [(date(2026, 2, 18),), (date(2026, 2, 19),), (date(2026, 2, 20),)]


@pytest.mark.torture
def test_a_build_with_nothing_new_leaves_event_models_alone_and_moves_with_as_of(
    started: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, first, loads = started.settings, started.generation, started.loads
    asked: list[str | None] = []
    real = runner.build

    def watch(*arguments: object, exclude: str | None, full_refresh: bool) -> list[runner.NodeResult]:
        asked.append(exclude)
        assert not full_refresh
        return real(*arguments, exclude=exclude, full_refresh=full_refresh)  # type: ignore[arg-type]

    monkeypatch.setattr(runner, "build", watch)
    again = build(settings, clock.parse("2026-03-10T06:00:00Z"), loads)
    assert asked == ["tag:by_load"]
    assert again.n_models < first.n_models
    built = Built(settings, again, ())
    assert built.members("seg_renewal_due_7d") == {"dora-dropper", "ada-active"}
    assert "nora-no-email" in {user for (user,) in built.ask("select user_id from core.dim_people")}
    # Back in time: nobody who was first seen later exists, and the sums of the cut day are those of then.
    earlier = build(settings, clock.parse("2026-02-20T08:00:30Z"), loads)
    built = Built(settings, earlier, ())
    people = {user for (user,) in built.ask("select user_id from core.dim_people")}
    assert "canary-7f3a" not in people
    assert built.ask(
        "select n_events_ever, n_logins_7d from core.dim_person_features join core.dim_people using (person_id)"
        " where user_id = 'nora-no-email'"
    ) == [(2, 0)]


@pytest.mark.torture
def test_a_rollup_that_was_left_behind_is_healed(started: Built) -> None:
    settings = started.settings
    before = everything(settings)
    connection = duckdb.connect(str(settings.warehouse))
    connection.execute("delete from core.fct_person_days where event_on >= date '2026-02-01'")
    connection.execute("update core.fct_person_days set n_events = n_events + 1 where event_on = date '2026-01-20'")
    connection.execute(
        "update core.fct_person_days set load_seq_sum = 0, n_logins = 9 where event_on = date '2026-01-22'"
    )
    connection.execute(
        "update core.fct_person_totals set n_events = 1000, last_event_at = null where person_id % 3 = 0;"
        " delete from core.fct_person_totals where person_id % 3 = 1;"
        " insert into core.fct_person_totals select * replace (7 as person_id) from core.fct_person_totals limit 1;"
        " update core.fct_person_profiles set load_seq_sum = 0, email = 'old@example.com' where person_id % 4 = 0;"
        " delete from core.fct_person_profiles where person_id % 4 = 1;"
        " update states.fct_saas_lifecycles set load_seq_sum = 0, state = 'new' where person_id % 5 = 0;"
        " delete from states.fct_saas_lifecycles where person_id % 5 = 1"
    )
    connection.execute("update tailrace.by_load set loads_fingerprint = null")
    connection.close()
    build(settings, AS_OF, started.loads)
    assert everything(settings) == before


@pytest.mark.parametrize(
    "moment", ["2026-02-20T08:00:30Z", pytest.param("2026-01-20T10:30:00Z", marks=pytest.mark.torture)]
)
def test_what_is_so_by_a_moment_is_the_same_whatever_is_known_of_later_ones(
    started: Built, tmp_path: Path, moment: str
) -> None:
    as_of = clock.parse(moment)
    by_then = [event for event in on_time() if clock.parse(event["timestamp"]) <= as_of]
    assert 0 < len(by_then) < len(on_time())

    build(started.settings, as_of, started.loads)
    then = elsewhere(started.settings, "then")
    build(then, as_of, [land(tmp_path / "landing", by_then)])

    for schema, table in RELATIONS:
        if table.startswith(("dim_", "seg_")) or table == "fct_saas_states":
            assert rows(started.settings, schema, table) == rows(then, schema, table), table


@pytest.mark.torture
def test_event_models_start_anew_when_their_definition_changes_and_only_then(
    started: Built, project: Callable[[dict[str, str]], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    loads = started.loads
    own = replace(started.settings, project_dir=project({}))
    asked: list[bool] = []
    real = runner.build

    def watch(*arguments: object, exclude: str | None, full_refresh: bool) -> list[runner.NodeResult]:
        asked.append(full_refresh)
        return real(*arguments, exclude=exclude, full_refresh=full_refresh)  # type: ignore[arg-type]

    monkeypatch.setattr(runner, "build", watch)
    segment = own.project_dir / "models/segments/seg_activated.sql"
    segment.write_text(segment.read_text() + "    and features.n_usage_days_ever > 0\n")
    build(own, AS_OF, loads)
    main = own.project_dir / "dbt_project.yml"
    main.write_text(main.read_text().replace("[logged_in, project_created,", "["))
    build(own, AS_OF, loads)
    assert asked == [False, True]
    whole = elsewhere(own, "whole")
    build(whole, AS_OF, loads)
    assert everything(own) == everything(whole)


CHILD = """
import sys
from pathlib import Path
from tailrace import clock
from tailrace.settings import Settings
from tailrace.warehouse.build import build
sys.path.insert(0, {root!r})
from tests.warehouse.conftest import AS_OF, on_time
from tests.warehouse.cast import PROJECT, land
settings = Settings(data_dir=Path({data!r}), project_dir=PROJECT)
print(build(settings, AS_OF, [land(Path({landing!r}), on_time())]).generation_id, flush=True)
"""


def start_child(settings: Settings, landing: Path, crash_at: str = "") -> forks.Process:
    code = CHILD.format(root=str(PROJECT.parent), data=str(settings.data_dir), landing=str(landing))
    environment = settings_module.child_environment(TAILRACE_CRASH_AT=crash_at)
    return forks.start([], environment, program=code)


@pytest.mark.parametrize(
    "point",
    ["build.started", *(pytest.param(point, marks=pytest.mark.torture) for point in ("build.built", "build.stamped"))],
)
def test_a_build_killed_at_any_point_is_green_and_complete_when_run_again(
    parsed: Settings, tmp_path: Path, cast: Built, point: str
) -> None:
    child = start_child(parsed, tmp_path / "landing", point)
    child.communicate()
    assert child.returncode == -signal.SIGKILL
    assert (read_generation(parsed) is not None) == (point == "build.stamped")
    if point == "build.started":
        return
    generation = build(parsed, AS_OF, [land(tmp_path / "landing", on_time())])
    assert replace(generation, seconds=0.0, n_models=0, n_tests=0) == replace(
        cast.generation, seconds=0.0, n_models=0, n_tests=0
    )
    assert everything(parsed) == everything(cast.settings)


def test_a_build_that_does_not_end_leaves_no_stamp_of_the_one_before(
    started: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert read_generation(started.settings) is not None

    def fails(*_: object, **__: object) -> list[runner.NodeResult]:
        raise BuildError("dbt was killed")

    monkeypatch.setattr(runner, "build", fails)
    with pytest.raises(BuildError, match="dbt was killed"):
        build(started.settings, LATER, started.loads)
    assert read_generation(started.settings) is None


@pytest.mark.torture
@pytest.mark.parametrize("table", ["fct_events", "dim_people"])
def test_a_build_killed_while_dbt_works_is_green_and_complete_when_run_again(
    parsed: Settings, tmp_path: Path, cast: Built, table: str
) -> None:
    child = start_child(parsed, tmp_path / "landing")
    kill_once_dbt_makes(table, child, parsed)
    assert read_generation(parsed) is None
    build(parsed, AS_OF, [land(tmp_path / "landing", on_time())])
    assert everything(parsed) == everything(cast.settings)


def kill_once_dbt_makes(table: str, child: forks.Process, settings: Settings) -> None:
    """Kill our process, not dbt's, once dbt has written down the statement that makes `table`."""
    while child.poll() is None and not list((runner.directory(settings) / "target" / "run").rglob(f"{table}.sql")):
        clock.sleep(0.01)
    os.kill(child.pid, signal.SIGKILL)
    child.communicate()
    assert child.returncode == -signal.SIGKILL


def test_a_warehouse_that_another_process_holds_is_left_alone_and_the_holder_is_named(
    cast: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tailrace.warehouse.build._LOCK_PATIENCE", 0.0)
    settings = replace(cast.settings, data_dir=tmp_path / "data")
    settings.data_dir.mkdir()
    shutil.copy(cast.settings.warehouse, settings.warehouse)
    opening = f"import duckdb; c = duckdb.connect({str(settings.warehouse)!r}, read_only=True)"
    holder = subprocess.Popen(
        [sys.executable, "-c", f"{opening}; print('open', flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        with pytest.raises(Busy, match=rf"pid {holder.pid}\).*Nothing was changed"):
            build(settings, LATER, cast.loads)
        assert not runner.directory(settings).exists()
    finally:
        holder.communicate("\n", timeout=10)
    assert read_generation(settings) == replace(cast.generation, seconds=0.0)


def test_a_lock_taken_while_dbt_starts_is_told_the_same_way(settings: Settings) -> None:
    said = (
        'Runtime Error\n  IO Error: Could not set lock on file "/w.duckdb": Conflicting lock is held in\n'
        "  /usr/bin/python3 (PID 4711). See also https://duckdb.org/docs/stable/connect/concurrency"
    )
    runner.write_profile(settings, ())

    def run(*_: object) -> tuple[int, str]:
        return 2, said

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "_run", run)
        with pytest.raises(Busy, match="pid 4711"):
            runner.build(settings, AS_OF, exclude=None, full_refresh=False)


def test_too_little_room_stops_before_anything_is_touched(cast: Built, monkeypatch: pytest.MonkeyPatch) -> None:
    size = cast.settings.warehouse.stat().st_size
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 3 * size - 1))  # type: ignore[attr-defined]
    with pytest.raises(DataError, match="expected three times the warehouse"):
        build(cast.settings, LATER, cast.loads)
    assert read_generation(cast.settings) is not None


def test_a_parquet_file_that_is_gone_stops_the_build(settings: Settings, tmp_path: Path) -> None:
    load = land(tmp_path / "landing", on_time())
    load.parquet[0].unlink()
    with pytest.raises(DataError, match=r"events-1\.parquet: the file is gone"):
        build(settings, AS_OF, [load])


@pytest.mark.torture
def test_no_loads_at_all_build_an_empty_warehouse(parsed: Settings) -> None:
    generation = build(parsed, AS_OF, [])
    assert generation.failed == {}
    assert rows(parsed, "core", "dim_people") == []


@pytest.mark.torture
def test_a_broken_segment_keeps_its_table_and_only_what_needs_it_goes_without(
    started: Built, project: Callable[[dict[str, str]], Path]
) -> None:
    power = (PROJECT / "models/segments/seg_power_users.sql").read_text()
    broken = {
        "models/segments/seg_power_users.sql": power.replace(
            "features.n_usage_events_28d >= 40", "features.no_such >= 1"
        ),
        "models/segments/seg_twice.sql": (
            "-- One row per person, twice.\n{{ config(meta={'owner': 'a', 'summary': 'b'}) }}\n\n"
            "select person_id from {{ ref('dim_people') }}\nunion all\nselect person_id from {{ ref('dim_people') }}"
        ),
        "models/segments/seg_shapeless.sql": (
            "-- One row per person, under another name.\nselect user_id, person_id from {{ ref('dim_people') }}"
        ),
        "models/segments/seg_names_an_address.sql": (
            "-- One row per person whose address is a number.\n"
            "select person_id from {{ ref('dim_people') }} where cast(email as integer) > 0"
        ),
    }
    before = started.ask("from segments.seg_power_users")
    later = replace(started.settings, project_dir=project(broken))
    generation = build(later, AS_OF, started.loads)
    assert generation.failed.keys() == {
        *("seg_power_users", "sync_webhook__power_users", "seg_twice", "seg_shapeless", "seg_names_an_address")
    }
    assert "no_such" in generation.failed["seg_power_users"]
    assert generation.failed["sync_webhook__power_users"] == "not built: it needs `seg_power_users`"
    assert "15 values of (person_id) are null or occur more than once" in generation.failed["seg_twice"]
    assert "expected `person_id`" in generation.failed["seg_shapeless"]
    assert "@" not in generation.failed["seg_names_an_address"]
    assert rows(later, "segments", "seg_power_users") == sorted(before, key=repr)
    assert rows(later, "segments", "seg_dormant_30d")
    found = read_generation(later)
    assert isinstance(found, Generation)
    assert found.failed == generation.failed


@pytest.mark.torture
def test_a_key_that_two_users_share_stops_the_build(
    parsed: Settings, tmp_path: Path, project: Callable[[dict[str, str]], Path]
) -> None:
    same_key = "{% macro person_key(user_id) -%}\n    cast(length({{ user_id }}) * 0 as bigint)\n{%- endmacro %}\n"
    blind = replace(parsed, project_dir=project({"macros/dialect/person_key.sql": same_key}))
    with pytest.raises(BuildError, match=r"`dim_people`.*test holds_dim_people"):
        build(blind, AS_OF, [land(tmp_path / "landing", on_time())])
    assert read_generation(blind) is None


@pytest.mark.torture
def test_a_person_who_is_two_users_stops_the_build(started: Built) -> None:
    connection = duckdb.connect(str(started.settings.warehouse))
    connection.execute(
        "update core.fct_person_totals set greatest_user_id = 'of-the-same-key' where least_user_id = 'ada-active'"
    )
    connection.close()
    with pytest.raises(BuildError, match=r"`dim_people`.*test holds_dim_people"):
        build(started.settings, LATER, started.loads)
    assert read_generation(started.settings) is None


@pytest.mark.torture
def test_an_event_id_that_is_landed_twice_or_a_landing_that_does_not_add_up_stops_the_build(
    parsed: Settings, tmp_path: Path
) -> None:
    event = {**track("ann", "logged_in", "2026-02-01T00:00:00Z"), "messageId": "m-1"}
    other = call("identify", "2026-02-02T00:00:00Z", "ann", traits={})
    loads = [land(tmp_path / "a", [event]), land(tmp_path / "b", [event, other], seq=2)]
    loads[1] = replace(loads[1], rows=loads[1].rows + 1)
    with pytest.raises(BuildError, match=r"(?s)events_are_held_once.*events_balance_with_loads"):
        build(parsed, AS_OF, loads)


@pytest.mark.torture
def test_a_project_that_dbt_cannot_read_names_the_file(
    parsed: Settings, project: Callable[[dict[str, str]], Path]
) -> None:
    text = "-- One row per person.\nselect person_id from {{ ref('no_such_model') }}"
    broken = replace(parsed, project_dir=project({"models/segments/seg_lost.sql": text}))
    with pytest.raises(DefinitionError, match=r"seg_lost\.sql.*no_such_model"):
        build(broken, AS_OF, [])
    assert read_generation(broken) is None


@pytest.mark.torture
def test_a_load_of_which_a_model_makes_nothing_has_been_read_all_the_same(started: Built, tmp_path: Path) -> None:
    silent = land(tmp_path / "landing", [track("leo-late", "logged_in", "2026-02-27T08:00:00Z")], seq=9)

    built = replace(started, generation=build(started.settings, AS_OF, (*started.loads, silent)))

    assert built.ask("select count(*) from core.fct_receipts where load_id = ?", silent.load_id) == [(0,)]
    read = "select model from tailrace.loads_read where load_id = ? order by model"
    assert built.ask(read, silent.load_id) == [
        ("core.fct_consent_statements",),
        ("core.fct_event_days",),
        ("core.fct_events",),
        ("core.fct_group_calls",),
        ("core.fct_identity_links",),
        ("core.fct_person_days",),
        ("core.fct_person_facts",),
        ("core.fct_person_totals",),
        ("core.fct_receipts",),
    ]


@pytest.mark.torture
def test_of_a_day_that_is_written_again_only_the_people_who_differ_are(started: Built, tmp_path: Path) -> None:
    days = "select count(distinct person_id) from core.fct_person_days where event_on = date '2026-02-20'"
    assert started.ask(days)[0][0] > 1, "others were there on that day"
    connection = duckdb.connect(str(started.settings.warehouse))
    connection.execute("update core.fct_person_totals set written_in = 0")
    connection.close()
    more = land(tmp_path / "landing", [track("leo-late", "logged_in", "2026-02-20T21:00:00Z")], seq=9)

    built = replace(started, generation=build(started.settings, AS_OF, (*started.loads, more)))

    again = "select user_id from core.fct_person_totals join core.dim_people using (person_id) where written_in > 0"
    assert built.ask(again) == [("leo-late",)]
