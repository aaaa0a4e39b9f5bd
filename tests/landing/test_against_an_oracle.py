from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tailrace.landing import chunks, stage
from tailrace.landing.loads import loads, quarantine_files
from tests.examples import examples
from tests.landing import oracle
from tests.landing.conftest import World
from tests.landing.hostile import Enemy

KEPT = (
    "event_id, type, event, user_id, anonymous_id, previous_id, group_id, event_at, properties, traits, context, rest"
)


def compare(lines: list[bytes], folder: Path) -> None:
    world = World(folder)
    done = world.lines(*lines)
    expected: list[tuple[int, Any]] = []
    for number, line in enumerate(lines, 1):
        expected += [(number, row) for row in oracle.rows(line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line)]
    landed = Counter((number, row) for number, row in expected if row is not None)
    refused = Counter(number for number, row in expected if row is None)
    found = Counter(
        (line, (None if event_id.startswith("sha:") else event_id, *texts, *(body and told(body) for body in bodies)))
        for line, event_id, *texts, properties, traits, context, rest in world.events(f"line, {KEPT}")
        for bodies in [(properties, traits, context, rest)]
    )
    landed = Counter(
        (n, (*row[:-4], *(None if body == ("NoneType", None) else body for body in row[-4:])))
        for n, row in landed.elements()
    )
    for number in sorted({n for n, _ in (landed - found) + (found - landed)}):
        raise AssertionError(
            f"{lines[number - 1]!r}\nmanual: {[row for n, row in landed.elements() if n == number]}"
            f"\nlanded: {[row for n, row in found.elements() if n == number]}"
        )
    files = [str(path) for path in quarantine_files(world.settings, loads(world.settings))]
    connection = duckdb.connect()
    kept = connection.execute("select line, raw from read_parquet(?)", [files]).fetchall() if files else []
    connection.close()
    quarantined = Counter(line for line, _ in kept)
    for number in sorted((quarantined - refused) + (refused - quarantined)):
        raise AssertionError(f"{lines[number - 1]!r}: {refused[number]} to quarantine, {quarantined[number]} there")
    assert (done.landed, done.quarantined, done.duplicate) == (landed.total(), refused.total(), 0), done
    for number, raw in kept:
        line = lines[number - 1]
        assert raw == line or b'"batch"' in line, f"{line!r} is kept as {raw!r}"


def told(body: str) -> Any:
    try:
        return oracle.meaning(oracle.parse(body))
    except oracle.Refused:
        return ("no JSON", body)


@settings(max_examples=examples(12))
@given(
    seed=st.integers(0, 2**32),
    daring=st.sampled_from([0.0, 0.02, 0.1, 0.3]),
    count=st.integers(1, 300),
    portion=st.sampled_from([1 << 14, 1 << 22]),
)
@example(seed=11380, daring=0.3, count=55, portion=1 << 22)  # `-nAn` in a line of a known form
def test_every_hostile_line_becomes_what_the_manual_says(seed: int, daring: float, count: int, portion: int) -> None:
    enemy = Enemy(Random(seed), daring)
    folder = Path(tempfile.mkdtemp())
    try:
        # After each portion there is something to learn for the next one.
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(chunks, "CHUNK", portion >> 2)
            patch.setattr(stage, "_PORTION", portion)
            compare([enemy.line() for _ in range(count)], folder)
    finally:
        shutil.rmtree(folder)
