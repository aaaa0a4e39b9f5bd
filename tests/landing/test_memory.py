from __future__ import annotations

import gzip
import json
import subprocess
import sys
from contextlib import closing
from dataclasses import replace

import pytest

from tailrace.landing.contract import load_contract
from tailrace.landing.stage import Stage
from tests.landing.conftest import World, call, compact

PROGRAM = """
import json, sys
from datetime import UTC, datetime
from pathlib import Path
from tailrace.landing.land import land
from tailrace.settings import Settings
settings = Settings(Path(sys.argv[1]), Path(sys.argv[2]), memory_limit=sys.argv[4], threads=int(sys.argv[5]))
done = land(settings, [Path(sys.argv[3])], "app", as_of=datetime(2026, 11, 21, tzinfo=UTC))
# Not ru_maxrss: that starts at the parent's.
peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps([done.lines, done.landed, done.quarantined, peak // 1024]))
"""
TEXT = "what a person did, in many words. " * 500
MEGABYTES = {"plain": 600, "latin-1": 200, "batch": 150, "long": 150, "own keys": 150}


def line(n: int, kind: str) -> bytes:
    good = compact(call(messageId=f"m{n}", userId=f"u{n % 1000}", properties={"n": n, "text": TEXT}))
    if kind == "long":
        return compact(call(messageId=f"m{n}", properties={"text": TEXT * 6}))
    if kind == "own keys":
        return compact(call(messageId=f"m{n}", properties={"text": TEXT[:1800], f"item-{n}": {"n": n}}))
    if kind == "latin-1":
        return good.replace(b"many words", b"many w\xf6rds", 1)
    if kind == "batch":
        return compact({"batch": [call(messageId=f"m{n}-{part}", properties={"text": TEXT[:8000]}) for part in "ab"]})
    return good


@pytest.mark.parametrize(
    ("limit", "taken", "threads"), [("64GB", 2_000_000_000, 8), ("600MB", 600_000_000, 2), ("200MB", 200_000_000, 1)]
)
def test_a_landing_takes_what_it_needs_of_the_memory_that_it_may_have_and_threads_for_which_that_is_enough(
    world: World, limit: str, taken: int, threads: int
) -> None:
    settings = replace(world.settings, memory_limit=limit, threads=32)
    with closing(Stage(settings, load_contract(settings, "app"))) as stage:
        asked = "select parse_formatted_bytes(current_setting('memory_limit')), current_setting('threads')"
        ((told, count),) = stage.connection.execute(asked).fetchall()
    assert told == pytest.approx(taken, rel=0.05)
    assert count == threads


@pytest.mark.slow
@pytest.mark.torture
@pytest.mark.parametrize(
    ("kind", "limit", "threads"), [*((kind, "300MB", 2) for kind in MEGABYTES), ("own keys", "600MB", 32)]
)
def test_memory_stays_bounded_when_a_file_is_several_times_as_large(
    world: World, kind: str, limit: str, threads: int
) -> None:
    path = world.folder / "in.jsonl.gz"
    count = MEGABYTES[kind] * 1_000_000 // len(line(0, kind))
    with gzip.open(path, "wb", compresslevel=1) as out:
        for start in range(0, count, 500):
            out.write(b"".join(line(n, kind) + b"\n" for n in range(start, min(start + 500, count))))
    arguments = [world.settings.data_dir, world.settings.project_dir, path, limit, threads]
    ended = subprocess.run([sys.executable, "-c", PROGRAM, *map(str, arguments)], capture_output=True, check=False)
    assert ended.returncode == 0, ended.stderr.decode()
    lines, landed, quarantined, peak = json.loads(ended.stdout)
    per_line = 2 if kind == "batch" else 1
    assert (lines, landed, quarantined) == (
        count * per_line,
        0 if kind == "latin-1" else count * per_line,
        count if kind == "latin-1" else 0,
    )
    # Beside the limit: Python, Arrow and DuckDB themselves, and DuckDB's vectors, which its limit does not count.
    assert peak < 1200, f"{peak} MiB"
