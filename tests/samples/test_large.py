from __future__ import annotations

from datetime import date
from pathlib import Path

import duckdb
import pytest

from tailrace.errors import TailraceError
from tailrace.samples.large import generate_large
from tailrace.settings import Settings


def make(tmp_path: Path, name: str, threads: int, file_format: str) -> tuple[Path, ...]:
    settings = Settings(tmp_path / "data", tmp_path, threads=threads)
    return generate_large(
        settings,
        tmp_path / name,
        people=1_000,
        events=20_000,
        start=date(2025, 1, 1),
        days=360,
        files=3,
        file_format=file_format,
    )


@pytest.mark.parametrize("file_format", ["parquet", "jsonl"])
def test_the_rows_are_as_many_as_asked_in_order_of_time_and_distinct(tmp_path: Path, file_format: str) -> None:
    paths = make(tmp_path, "out", 2, file_format)
    read = "read_parquet" if file_format == "parquet" else "read_json"
    rows = [
        duckdb.sql(
            'select count(*), count(distinct "messageId"), count(distinct "userId"), min(timestamp), max(timestamp),'
            f" count(*) filter (where type = 'identify') from {read}('{path}')"
        ).fetchall()[0]
        for path in paths
    ]
    assert [row[:2] for row in rows if row] == [(6666, 6666), (6667, 6667), (6667, 6667)]
    assert [row[5] for row in rows if row] == [1000, 0, 0]
    assert rows[0] is not None
    assert rows[0][2] == 1000
    bounds = ["2025-01-01", "2025-05-01", "2025-08-29", "2025-12-27"]
    for row, low, high in zip(rows, bounds, bounds[1:], strict=False):
        assert row is not None
        assert low <= str(row[3])[:10] <= str(row[4])[:10] <= high


@pytest.mark.torture
def test_the_same_arguments_make_the_same_rows_on_any_thread_count(tmp_path: Path) -> None:
    one, two = make(tmp_path, "one", 1, "jsonl"), make(tmp_path, "two", 2, "jsonl")
    for left, right in zip(one, two, strict=True):
        assert duckdb.sql(f"select * from read_json('{left}')").fetchall() == (
            duckdb.sql(f"select * from read_json('{right}')").fetchall()
        )


def test_fewer_events_than_people_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TailraceError, match="no fewer events than people"):
        generate_large(Settings(tmp_path, tmp_path), tmp_path / "x", people=2, events=1, start=date(2025, 1, 1))
