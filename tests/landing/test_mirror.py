from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tailrace.errors import DataError
from tailrace.landing.mirror import journal_dir, mirror, watermark
from tests.landing.conftest import World


class Journal:
    def __init__(self) -> None:
        self.n = 3

    def rows(self, after: int) -> pa.Table:
        seqs = list(range(after + 1, self.n + 1))
        return pa.table({"seq": pa.array(seqs, pa.int64()), "what": [f"row {seq}" for seq in seqs]})


def test_each_row_of_the_journal_is_mirrored_once(world: World) -> None:
    journal = Journal()
    assert mirror(world.settings, {"intents": journal.rows}) == {"intents": 3}
    assert mirror(world.settings, {"intents": journal.rows}) == {"intents": 0}
    journal.n = 5
    assert mirror(world.settings, {"intents": journal.rows, "outcomes": Journal().rows}) == {
        "intents": 2,
        "outcomes": 3,
    }
    names = sorted(path.name for path in journal_dir(world.settings).iterdir())
    assert names == ["intents-1-3.parquet", "intents-4-5.parquet", "outcomes-1-3.parquet"]
    assert pq.read_table(journal_dir(world.settings) / "intents-4-5.parquet")["seq"].to_pylist() == [4, 5]
    assert watermark(world.settings, "intents") == 5


def test_rows_that_are_mirrored_already_are_refused(world: World) -> None:
    mirror(world.settings, {"intents": Journal().rows})
    with pytest.raises(DataError, match="mirrored"):
        mirror(world.settings, {"intents": lambda _after: Journal().rows(0)})
    assert watermark(world.settings, "intents") == 3
