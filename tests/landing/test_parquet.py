from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pytest

from tailrace.errors import DataError
from tailrace.landing.parquet import ParquetStage
from tailrace.landing.quarantine import list_quarantine, show
from tailrace.landing.retry import retry
from tests.landing.conftest import AS_OF, World

MAPPING = "mapping: {type: track, event: {const: e}, user_id: u, timestamp: t, properties: all}\n"
STRICT = "timestamps: {from: 2020-01-01}\n"

EVERYTHING = """
    select
        n as u,
        (timestamp '2001-01-01 08:00:00' + to_days(n::integer))::{time} as t,
        12345678901234567890.10::decimal(38, 2) as amount,
        9007199254740993::bigint as big,
        18446744073709551615::ubigint as bigger,
        0.1::float as narrow,
        case n when 1 then 'nan' when 2 then '-infinity' else '1e22' end::double as wide,
        [1.10::decimal(4, 2), null] as prices,
        ['nan'::double, 1.5, null] as measured,
        {{'price': 1.10::decimal(4, 2), 'rate': 'infinity'::double, 'who "else"': ['x'], 'none': null::integer}} as s,
        map {{'a': 9007199254740993.5::decimal(18, 1), 'b': null}} as m,
        [{{'deep': [[0.25::double, 'nan'::double]]}}] as nested,
        case when n > 1 then timestamp '2024-02-29 23:59:59.123456' end as at,
        timestamptz '2024-02-29 23:59:59.123456+02' as there,
        date '1582-10-04' as day,
        time '23:59:59.5' as clock,
        '\\xFF\\x00a'::blob as bytes,
        [{{'inside': '\\xFE'::blob}}] as inside,
        '{{"a": 1.0, "a": 2}}'::json as doc,
        uuid '6ccd780c-baba-1026-9564-5b8c656024db' as uid,
        interval 3 days as lasts,
        n = 1 as yes,
        '' as empty,
        'a "b" \\ é ' || chr(10) as words,
        null::bigint as nothing
    from range(1, 4) as r (n)
"""


def write(path: Path, query: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect() as connection:
        ((rows,),) = connection.execute(f"select count(*) from ({query})").fetchall()
        assert rows
        connection.sql(query).write_parquet(str(path))
    return path


def said(world: World) -> list[tuple[object, ...]]:
    return world.events("event_id, event, user_id, event_at::varchar, properties, file, line")


@pytest.mark.parametrize("time", ["timestamp", "timestamptz", "timestamp_ns", "timestamp_s", "date", "varchar"])
def test_a_row_that_is_tried_again_becomes_what_it_would_have_become(make_world: object, time: str) -> None:
    """Whatever the types of its file's columns, which JSON does not have."""
    at_once, later = make_world("at_once"), make_world("later")  # type: ignore[operator]
    for world, strict in ((at_once, ""), (later, STRICT)):
        world.contract("shop", f"format: parquet\n{MAPPING}{strict}")
        done = world.land(write(world.folder / "in.parquet", EVERYTHING.format(time=time)), source="shop")
        assert (done.landed, done.quarantined) == ((0, 3) if strict else (3, 0))
    later.contract("shop", f"format: parquet\n{MAPPING}")
    done = retry(later.settings, as_of=AS_OF)
    assert (done.lines, done.landed) == (3, 3)
    assert said(later) == said(at_once)


def test_numbers_deep_in_a_row_are_exact_and_what_is_no_number_is_null(world: World) -> None:
    world.contract("shop", f"format: parquet\n{MAPPING}")
    world.land(write(world.folder / "in.parquet", EVERYTHING.format(time="timestamp")), source="shop")
    first = json.loads(world.events("properties")[0][0])
    assert first["amount"] == "12345678901234567890.10"
    assert first["prices"] == ["1.10", None]
    assert first["measured"] == [None, 1.5, None]
    assert first["s"]["price"] == "1.10"
    assert first["m"]["a"] == "9007199254740993.5"
    assert first["nested"] == [{"deep": [[0.25, None]]}]
    assert (first["big"], first["bigger"]) == (9007199254740993, 18446744073709551615)
    assert "wide" not in first
    assert "nothing" not in first


def test_a_row_in_quarantine_shows_what_was_no_number(world: World) -> None:
    world.contract("shop", f"format: parquet\n{MAPPING}{STRICT}")
    world.land(write(world.folder / "in.parquet", EVERYTHING.format(time="timestamp")), source="shop")
    raw = [json.loads(show(world.settings, each.id).raw) for each in list_quarantine(world.settings)]
    assert sorted(row["wide"] if isinstance(row["wide"], str) else str(row["wide"]) for row in raw) == [
        "-inf",
        "1e+22",
        "nan",
    ]
    assert raw[0]["nested"] == [{"deep": [[0.25, "nan"]]}]


@pytest.mark.parametrize(
    "name",
    ["a[1].parquet", "a*.parquet", "a?.parquet", "[!a].parquet", "{x,y}.parquet", "a'b.parquet", "a\\b.parquet"],
)
def test_a_file_is_the_one_that_has_the_name_though_it_looks_like_a_pattern(world: World, name: str) -> None:
    world.contract("shop", f"format: parquet\n{MAPPING}")
    for number, each in enumerate((name, "a1.parquet", "ab.parquet", "x.parquet", "a.parquet"), 1):
        write(world.folder / "in" / each, f"select {number} as u, timestamp '2026-01-01' as t")
    done = world.land(world.folder / "in", source="shop")
    assert (done.landed, done.duplicate) == (5, 0)
    assert [row for row in world.events("file, user_id") if row[0] == name] == [(name, "1")]


def test_what_the_names_of_folders_say_is_no_column(world: World) -> None:
    world.contract("shop", f"format: parquet\n{MAPPING}")
    query = "select 1 as u, timestamp '2026-01-01' as t, 'of the file' as day"
    world.land(write(world.folder / "day=2026-02-02" / "part=7" / "in.parquet", query), source="shop")
    assert world.events("properties") == [('{"day":"of the file"}',)]


def test_columns_may_have_names_that_we_use_ourselves(world: World) -> None:
    world.contract("shop", f"format: parquet\n{MAPPING}")
    names = ("file_no", "line", "part", "raw", "event", "c0", "c1", "l", "s", "type", "unread", "filename")
    columns = ", ".join(f"'{name}!' as {name}" for name in names)
    write(world.folder / "in.parquet", f'select {columns}, 1 as u, timestamp \'2026-01-01\' as t, 2 as "a ""b"""')
    world.land(world.folder / "in.parquet", source="shop")
    ((properties, line, user),) = world.events("properties, line, user_id")
    assert json.loads(properties) == {**{name: f"{name}!" for name in names}, 'a "b"': 2}
    assert (line, user) == (1, "1")


def test_a_column_by_which_rows_are_counted_is_refused_by_its_name(world: World) -> None:
    world.contract("shop", f"format: parquet\n{MAPPING}")
    file = write(world.folder / "in.parquet", "select 1 as u, timestamp '2026-01-01' as t, 7 as File_Row_Number")
    with pytest.raises(DataError, match=r"`File_Row_Number`.*rename the column"):
        world.land(file, source="shop")


def test_rows_of_before_their_types_were_kept_are_tried_as_lines_of_json(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.contract("shop", f"format: parquet\n{MAPPING}{STRICT}")
    file = write(world.folder / "in.parquet", "select 7 as u, timestamp '2001-01-01' as t, 'x' as n")
    with monkeypatch.context() as then:
        then.setattr(ParquetStage, "header", lambda self, path: json.dumps({"file": path.name}))
        world.land(file, source="shop")
    world.contract("shop", f"format: parquet\n{MAPPING}")
    assert retry(world.settings, as_of=AS_OF).landed == 1
    assert world.events("user_id, event_at::varchar, properties") == [("7", "2001-01-01 00:00:00", '{"n":"x"}')]
