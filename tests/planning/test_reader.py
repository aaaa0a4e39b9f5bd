"""What delivery reads of a plan is what the plan says, however its rows are stored."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tailrace.destinations.base import BatchRow
from tailrace.destinations.said import WrittenRow
from tailrace.errors import DataError
from tailrace.planning.reader import SaidRows

SIZES = (4, 4, 1, 4, 2)


def said(folder, groups):
    rows = [
        {
            "position": position,
            "op": "add",
            "key": json.dumps({"id": f"{number}-{position}"}),
            "data": None if position == 1 else "{}",
            "batch_no": number,
        }
        for number, size in enumerate(SIZES)
        for position in range(size)
    ]
    numbers = {"position": pa.int32(), "batch_no": pa.int32()}
    schema = pa.schema(
        [(name, numbers.get(name, pa.string())) for name in ("position", "op", "key", "data", "batch_no")]
    )
    pq.write_table(pa.Table.from_pylist(rows, schema), folder / "said.parquet", row_group_size=groups)
    return SaidRows([folder / "said.parquet"])


@pytest.mark.parametrize("groups", [1, 3, 5, 100])
def test_a_batch_has_its_rows_wherever_the_row_groups_end(tmp_path, groups):
    rows = said(tmp_path, groups)
    for number in (3, 0, 4, 2, 1, 3):
        found = rows.batch(number)
        keys = [json.loads(key)["id"] for key in found.column("key").to_pylist()]
        assert keys == [f"{number}-{position}" for position in range(SIZES[number])]
        assert found.column("position").to_pylist() == list(range(SIZES[number]))
        assert found.column("data").to_pylist() == [None if place == 1 else "{}" for place in range(SIZES[number])]


def test_a_batch_that_the_plan_lacks_has_no_rows(tmp_path):
    assert said(tmp_path, 3).batch(len(SIZES)).num_rows == 0
    assert SaidRows([]).batch(0).column("position").to_pylist() == []


def test_a_plan_whose_batches_are_torn_apart_is_refused_for_rows_would_be_left_out(tmp_path):
    numbers = pa.array([0, 1, 0], pa.int32())
    pq.write_table(pa.table({"batch_no": numbers}), tmp_path / "said.parquet")
    with pytest.raises(DataError, match="stand apart"):
        SaidRows([tmp_path / "said.parquet"])


def test_a_row_is_handed_on_as_it_is_written_and_reads_as_its_values():
    text = '{"id":"a","total":170141183460469231731687303715884105727,"rate":1.10}'
    row = WrittenRow(7, "update", '{"id":"a"}', text)
    assert (row.key_text, row.data_text) == ('{"id":"a"}', text)
    assert (row.position, row.op, row.key) == (7, "update", {"id": "a"})
    assert (row.data["id"], row.data["rate"]) == ("a", 1.1)
    gone = WrittenRow(0, "remove", '{"id":"a"}', None)
    assert (gone.data, gone.data_text) == (None, "null")
    assert "a@people.test" not in repr(BatchRow(0, "add", {"email": "a@people.test"}, None))
