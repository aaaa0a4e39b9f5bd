"""An audience whose far end fails in the middle, or whose sender dies there; `bench_sync` does it with many rows."""

import pytest
from tests.benchmarks import half_way
from tests.benchmarks.far_audience import far_audience

ROWS, BATCH = 40, 4


@pytest.fixture
def far():
    with far_audience() as end:
        yield end


def test_after_500s_half_way_nothing_is_lost_and_nothing_repeated(tmp_path, far):
    seen = half_way.fails(tmp_path, far, ROWS, BATCH)
    assert seen == {"lost": 0, "repeated": 0, "calls that failed": 3}


def test_after_kill_9_half_way_only_the_calls_on_their_way_are_repeated_under_their_ids(tmp_path, far):
    seen = half_way.killed(tmp_path, far, ROWS, BATCH)
    on_their_way = half_way.WORKERS
    assert seen == {
        "lost": 0,
        "repeated": on_their_way * BATCH,
        "of them under another id": 0,
        "calls on their way": on_their_way,
    }
