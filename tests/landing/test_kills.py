from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tailrace.landing.loads import loads, loads_dir
from tailrace.landing.mirror import journal_dir
from tests.landing.conftest import World, call, compact

LAND = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from tailrace.landing.land import land
from tailrace.settings import Settings
print("go", flush=True)
settings = Settings(Path(sys.argv[1]), Path(sys.argv[2]), threads=2)
for name in sys.argv[3:]:
    land(settings, [Path(name)], "app", as_of=datetime(2026, 11, 21, tzinfo=UTC))
"""
MIRROR = """
import sys
from pathlib import Path
import pyarrow as pa
from tailrace.landing.mirror import mirror
from tailrace.settings import Settings
def rows(after):
    seqs = range(after + 1, min(after + 50, 1000) + 1)
    return pa.table({"seq": pa.array(seqs, pa.int64()), "what": [f"row {seq}" for seq in seqs]})
print("go", flush=True)
settings = Settings(Path(sys.argv[1]), Path(sys.argv[2]))
while any(mirror(settings, {"intents": rows, "outcomes": rows}).values()):
    pass
"""


def run(program: str, world: World, *names: Path, kill_after: float | None = None, at: str = "") -> int:
    process = subprocess.Popen(
        [sys.executable, "-c", program, *map(str, (world.settings.data_dir, world.settings.project_dir, *names))],
        stdout=subprocess.PIPE,
        env={**os.environ, "TAILRACE_CRASH_AT": at},
    )
    assert process.stdout is not None
    with process.stdout:
        process.stdout.readline()
        try:
            process.wait(kill_after)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
    return process.wait()


def store(folder: Path) -> dict[str, str]:
    """Return every file's content, but for what a load's record says about its input's times."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "load.json"
    }


def records(world: World) -> list[object]:
    files = {"files": {"__all__": {"mtime_ns"}}, "parquet": {"__all__": {"sha256", "bytes"}}}
    return [load.model_dump(exclude=files) for load in loads(world.settings)]


@pytest.mark.torture
def test_killed_at_random_instants_the_store_ends_as_if_nothing_happened(make_world: Callable[[str], World]) -> None:
    chance = random.Random(20261121)
    worlds = {name: make_world(name) for name in ("calm", "killed")}
    names = []
    for n in range(3):
        lines = [compact(call(messageId=f"m{i}", userId=f"u{i % 7}")) for i in range(n * 2000, n * 2000 + 3000)]
        names = [
            [*seen, world.file(f"{n}.jsonl", *lines, b"bad", b"caf\xe9")]
            for seen, world in zip(names or [[], []], worlds.values(), strict=True)
        ]
    assert run(LAND, worlds["calm"], *names[0]) == 0
    ends = [run(LAND, worlds["killed"], *names[1], kill_after=chance.uniform(0, 0.7)) for _ in range(8)]
    assert -signal.SIGKILL in ends
    assert run(LAND, worlds["killed"], *names[1]) == 0
    assert records(worlds["killed"]) == records(worlds["calm"])
    assert sorted(worlds["killed"].events()) == sorted(worlds["calm"].events())
    folders = {path.name for path in loads_dir(worlds["killed"].settings).iterdir()}
    assert folders == {load.load_id for load in loads(worlds["calm"].settings)}
    assert [path for path in worlds["killed"].settings.scratch.iterdir() if path.name != "duckdb"] == []


@pytest.mark.parametrize("points", [("mirror.written", "mirror.moved", "mirror.moved:3"), ()])
def test_the_mirror_killed_and_run_again_holds_each_row_once(
    make_world: Callable[[str], World], points: tuple[str, ...]
) -> None:
    chance = random.Random(20261122)
    calm, killed = make_world("calm"), make_world("killed")
    assert run(MIRROR, calm) == 0
    if points:
        assert [run(MIRROR, killed, at=point) for point in points] == [-signal.SIGKILL] * len(points)
    else:
        assert -signal.SIGKILL in [run(MIRROR, killed, kill_after=chance.uniform(0, 0.15)) for _ in range(8)]
    assert run(MIRROR, killed) == 0
    assert store(journal_dir(killed.settings)) == store(journal_dir(calm.settings))


def test_what_landed_cannot_be_written_by_accident(world: World) -> None:
    world.lines(compact(call()), b"bad")
    (load,) = loads_dir(world.settings).iterdir()
    assert {path.name: path.stat().st_mode & 0o777 for path in load.iterdir()} == {
        "load.json": 0o444, "events-1.parquet": 0o444, "quarantine.parquet": 0o444,
    }  # fmt: skip


def test_a_load_is_durable_before_it_is_true(world: World, made_durable: list[tuple[str, str]]) -> None:
    load_id = world.lines(compact(call()), b"bad").load_id
    at = made_durable.index(("rename", load_id))
    aside = next(name for what, name in made_durable if what == "fsync" and name.startswith(".aside-"))
    for name in ("load.json", "events-1.parquet", "quarantine.parquet", aside):
        assert ("fsync", name) in made_durable[:at]
    assert ("fsync", "loads") in made_durable[at:]


def test_a_sum_that_does_not_add_up_lands_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from tailrace.errors import DataError
    from tailrace.landing.land import Draft

    counted = Draft._per_file
    monkeypatch.setattr(Draft, "_per_file", lambda draft: {n: lines + 1 for n, lines in counted(draft).items()})
    with pytest.raises(DataError, match="expected the same number"):
        world.lines(compact(call()), b"bad")
    assert loads(world.settings) == []
