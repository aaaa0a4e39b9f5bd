from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.landing import doubles
from tests.landing.conftest import World, call, compact

NUMBERS = st.integers(0, 5) | st.integers(0, 2**64 - 1) | st.integers(2**64 - 3, 2**64 - 1)


@pytest.mark.torture
@given(st.lists(st.lists(NUMBERS, max_size=8), max_size=12), st.integers(1, 9))
def test_numbers_that_come_twice_are_told_whatever_memory_holds(batches: list[list[int]], run: int) -> None:
    with pytest.MonkeyPatch.context() as patch, TemporaryDirectory() as folder:
        patch.setattr(doubles, "_RUN", run)
        total, told = doubles.told_twice((np.array(batch, np.uint64) for batch in batches), Path(folder))
    counted = Counter(number for batch in batches for number in batch)
    assert total == sum(counted.elements())
    assert told.tolist() == sorted(number for number, times in counted.items() if times > 1)


def test_a_landing_of_many_runs_lands_each_event_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doubles, "_RUN", 50)
    monkeypatch.setattr(doubles, "_BATCH", 20)
    calls = [call(messageId=f"m{n % 400}", properties={"n": n % 400}) for n in range(500)]
    done = world.lines(*map(compact, calls), compact(call(messageId="m300", properties={"n": "another"})))
    assert (done.landed, done.duplicate, done.n_conflicting) == (400, 101, 1)
    assert not list(world.settings.scratch.iterdir())


def test_the_load_id_is_that_of_what_landed_and_not_of_what_was_said_twice(make_world: Callable[[str], World]) -> None:
    once, twice = make_world("once"), make_world("twice")
    lines = [compact(call(messageId=f"m{n}")) for n in range(20)]
    loads = {once.lines(*lines).load_id, twice.lines(*lines, *lines[:7]).load_id}
    assert len(loads) == 1
