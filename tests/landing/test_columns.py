"""A Parquet file gets other columns, and whoever reads it cannot tell that its rows were not written again."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import polars
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tailrace.landing.columns import Columns, Constant
from tailrace.landing.pieces import WRITTEN
from tailrace.landing.thrift import Unread, read, written

ROWS = (
    "select i, 'n' || i as name, case when i % 3 = 0 then 'few' end as kind, null::varchar as gone, i % 2 = 0 as odd,"
    " timestamp '2026-01-01' + to_seconds(i) as moment from range(300000) as t(i)"
)
LANDED = datetime(2026, 11, 21, 7, tzinfo=UTC).timestamp()
WANTED: list[str | Constant] = [
    Constant("load", "name", "0123456789abcdef"),
    "moment",
    Constant("yes", "odd", True),
    "name",
    Constant("no", "odd", False),
    Constant("seq", "i", -7),
    "kind",
    Constant("at", "moment", int(LANDED) * 1_000_000),
    Constant("file", "name", "Müller/東京 'x'.gz"),
    "i",
]


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute("set preserve_insertion_order = false")
        yield connection


@pytest.fixture
def path(tmp_path: Path, connection: duckdb.DuckDBPyConnection) -> Path:
    path = tmp_path / "rows.parquet"
    connection.execute(f"copy ({ROWS}) to '{path}' {WRITTEN}")
    return path


def footer(path: Path) -> bytes:
    body = path.read_bytes()
    (length,) = struct.unpack("<I", body[-8:-4])
    return body[-8 - length : -8]


@pytest.mark.torture
def test_a_file_gets_the_columns_that_it_is_to_have(path: Path, connection: duckdb.DuckDBPyConnection) -> None:
    Columns(path).become(WANTED)
    expected = (
        "select '0123456789abcdef' as load, moment, true as yes, name, false as no, (-7)::bigint as seq, kind,"
        f" timestamp '2026-11-21 07:00:00' as at, $$Müller/東京 'x'.gz$$ as file, i from ({ROWS})"
    )
    assert (
        connection.execute(f"describe from '{path}'").fetchall()
        == connection.execute(f"describe {expected}").fetchall()
    )
    for one, two in ((f"from '{path}'", expected), (expected, f"from '{path}'")):
        assert connection.execute(f"select count(*) from ({one} except all {two})").fetchall() == [(0,)]


@pytest.mark.parametrize("where", ["load = '0123456789abcdef' and yes and not no and seq < 0", "load > '1'", "no"])
def test_a_condition_finds_the_rows_of_a_constant_or_none(
    path: Path, connection: duckdb.DuckDBPyConnection, where: str
) -> None:
    Columns(path).become(WANTED)
    found = connection.execute(f"select count(*) from '{path}' where {where}").fetchall()
    assert found == [(300_000 if "load =" in where else 0,)]


def test_other_readers_read_the_same(path: Path, connection: duckdb.DuckDBPyConnection) -> None:
    Columns(path).become(WANTED)
    said = connection.sql(f"from '{path}' order by i").to_arrow_table()
    assert pq.read_table(path).sort_by("i").equals(said)
    assert polars.read_parquet(path).sort("i").equals(polars.DataFrame(said))


@pytest.mark.torture
def test_what_is_left_out_and_what_comes_again_changes_nothing_else(
    path: Path, connection: duckdb.DuckDBPyConnection
) -> None:
    before = connection.execute(f"select i, name, moment from '{path}' order by i").fetchall()
    for _ in range(2):
        Columns(path).become(["name", Constant("n", "i", 3), "moment", "i"])
    assert connection.execute(f"select i, name, moment from '{path}' order by i").fetchall() == before
    assert connection.execute(f"select distinct n from '{path}'").fetchall() == [(3,)]


def test_bytes_beside_are_those_of_the_other_columns(path: Path, connection: duckdb.DuckDBPyConnection) -> None:
    query = f"select sum(total_compressed_size) from parquet_metadata('{path}') where path_in_schema in ('i', 'gone')"
    assert [(Columns(path).bytes_beside(["name", "kind", "odd", "moment"]),)] == connection.execute(query).fetchall()


@pytest.mark.parametrize("writer", ["duckdb", "arrow", "polars"])
def test_a_footer_that_was_read_is_written_as_it_was(
    tmp_path: Path, connection: duckdb.DuckDBPyConnection, writer: str
) -> None:
    path = tmp_path / "any.parquet"
    table = pa.table({f"c{n}": [n, None] for n in range(20)} | {"l": [[1], []], "s": [{"x": 0.5}, None]})
    if writer == "duckdb":
        connection.register("arrow_table", table)
        connection.execute(f"copy (select * from arrow_table) to '{path}' (format parquet, kv_metadata {{x: 'y'}})")
    elif writer == "arrow":
        pq.write_table(table, path, write_page_index=True)
    else:
        polars.DataFrame(table).write_parquet(path)
    assert written(read(footer(path))) == footer(path)


def test_what_is_no_footer_is_refused(path: Path, tmp_path: Path) -> None:
    whole = footer(path)
    with pytest.raises(Unread):
        read(whole[: len(whole) // 2])
    other = tmp_path / "other"
    bodies: list[Any] = [b"", b"PAR1", b"no Parquet at all", struct.pack("<4sI4s", b"PAR1", 9999, b"PAR1")]
    for body in bodies:
        other.write_bytes(body)
        with pytest.raises(ValueError, match=r"footer|short"):
            Columns(other)


def test_a_column_that_lacks_no_value_may_be_required(tmp_path: Path) -> None:
    path = tmp_path / "required.parquet"
    schema = pa.schema([pa.field("a", pa.int64(), nullable=False), pa.field("b", pa.string(), nullable=False)])
    pq.write_table(pa.table([[1, 2], ["x", "y"]], schema=schema), path)
    Columns(path).become([Constant("load", "b", "0123"), "a", Constant("seq", "a", 7)])
    expected = [("0123", 1, 7), ("0123", 2, 7)]
    assert duckdb.execute(f"from '{path}' order by a").fetchall() == expected
    assert [tuple(row.values()) for row in pq.read_table(path).to_pylist()] == expected
    assert polars.read_parquet(path).rows() == expected


@pytest.mark.parametrize("column", [pa.array([{"x": 1}]), pa.array([[1]])], ids=["struct", "list"])
def test_columns_that_have_columns_are_refused(tmp_path: Path, column: pa.Array) -> None:
    path = tmp_path / "other.parquet"
    pq.write_table(pa.table({"a": column}), path)
    with pytest.raises(ValueError, match="has columns"):
        Columns(path)
