"""What was recorded of files over SFTP says what went in and not what was written: it must come back from ours."""

from __future__ import annotations

import csv
import io
from typing import Any

import orjson
import pyarrow.parquet as pq
import pytest

from conformance.cases import recorded, segment
from conformance.harness import AT
from tailrace.destinations.base import Batch, BatchRow
from tailrace.destinations.sheets import SheetSettings, build_file

DELIMITERS = {"tab": "\t", ",": ",", "|": "|", ";": ";", ":": ":"}


def text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else orjson.dumps(value).decode()


def read(content: bytes, format_: str, delimiter: str) -> list[dict[str, Any]]:
    if format_ == "csv":
        return list(csv.DictReader(io.StringIO(content.decode(), newline=""), delimiter=delimiter))
    if format_ == "jsonl":
        return [orjson.loads(line) for line in content.splitlines()]
    return pq.read_table(io.BytesIO(content)).to_pylist()


@recorded
@pytest.mark.parametrize("format_", ["csv", "jsonl", "parquet"])
def test_what_was_put_into_files_comes_back_from_ours(format_: str) -> None:
    driven = without = 0
    for case in segment("sftp"):
        rows = [payload.get("columns") for payload in case.payloads]
        if not all(rows):
            without += 1
            continue
        names = dict.fromkeys(name for row in rows for name in row)
        delimiter = DELIMITERS[case.payloads[0].get("delimiter", ",")]
        made = tuple(BatchRow(n, "add", {"row": str(n)}, row) for n, row in enumerate(rows))
        file = build_file(
            SheetSettings(format=format_, delimiter=delimiter), Batch("p/s/0", "p", "s", "t", 0, made, AT, "append")
        )
        if format_ == "jsonl":
            expected = [{"row": str(n)} | {name: row.get(name) for name in names} for n, row in enumerate(rows)]
        else:
            nothing = "" if format_ == "csv" else None
            expected = [
                {"row": str(n)} | {name: nothing if row.get(name) is None else text(row[name]) for name in names}
                for n, row in enumerate(rows)
            ]
        assert read(file.content, format_, delimiter) == expected, case.label
        driven += 1
    print(f"sftp as {format_}: {driven} driven, {without} without columns")
    assert (driven, without) == (20, 1)
