"""How long does an audience take to be said, to be said again, and to be said after a hundredth of it changed?

Run as `python -m tests.benchmarks.bench_sync [rows]`. Beside ours, drt-core 1.2.1 (in an environment of its own, made
when it is not there; DRT names another executable) and the reference ../shared/reference/perf/ref_sync.py (PERF names
another folder) do the same in the same run, with the same far end. Who cannot be had is left out, in words.

Ours is what a run does of a sync between the warehouse and the far end: fold the answers, find what differs, store the
plan, apply it and deliver, with one worker and the journal on the disk. What it takes to start our process is printed
beside it: the others' seconds have theirs in them. Of the hundredth half is changed, a quarter goes, a quarter is new.

Then the far end fails half-way, and a sender is killed half-way: what came of it is counted there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import duckdb

from tests.benchmarks.audience import Ours, changed, made
from tests.benchmarks.far_audience import Far, far_audience
from tests.benchmarks.half_way import fails, killed

LABELS = ("first", "unchanged", "unchanged again", "1 %")
AIMS = {"first": 0.35, "1 %": 0.05}
"""Of what drt takes."""
MOST_OF_THE_FAULTS = 100_000
DRT = "drt-core[duckdb]==1.2.1"

Timed = tuple[str, float, float, dict[str, int]]
"""Label, seconds, cpu seconds, and what the far end saw."""


def seconds(work: Callable[[], object]) -> tuple[float, float]:
    """Return the seconds and the cpu seconds of this process and of those that it waited for."""
    wall, before = time.perf_counter(), os.times()
    work()
    after = os.times()
    return time.perf_counter() - wall, sum(after[:4]) - sum(before[:4])


def ours(rows: int, far: Far) -> list[Timed]:
    with tempfile.TemporaryDirectory() as name:
        world = Ours(Path(name), far.port)
        world.write(*made(world.table, rows))
        found: list[Timed] = []
        for label in LABELS:
            if label == "1 %":
                world.write(*changed(world.table, rows))
            far.ask("/reset")
            parts: dict[str, float] = {}
            wall, cpu = seconds(lambda into=parts: into.update(world.once()))
            found.append((label, wall, cpu, far.ask()))
            said = "".join(f"  {part} {value:,.2f}" for part, value in parts.items())
            print(f"ours {label:16} {wall:6.2f} s, cpu {cpu:6.2f} {said}", flush=True)
    return found


def other(command: Callable[[Path, Path], Sequence[str]], rows: int, far: Far, folder: Path) -> list[Timed]:
    """Return what each run of another program took, on an audience of its own in `warehouse.duckdb`."""
    warehouse = folder / "warehouse.duckdb"
    found: list[Timed] = []
    for label in LABELS:
        with duckdb.connect(str(warehouse)) as connection:
            for statement in _changes(label, rows):
                connection.execute(statement)
        far.ask("/reset")
        run = command(warehouse, folder)
        environment = os.environ | {"HOME": str(folder), "DO_NOT_TRACK": "1"}
        wall, cpu = seconds(partial(_run, run, folder, environment))
        found.append((label, wall, cpu, far.ask()))
    return found


def _run(command: Sequence[str], folder: Path, environment: dict[str, str]) -> None:
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-2000:]


def _changes(label: str, rows: int) -> list[str]:
    if label == "1 %":
        return changed("audience", rows)
    columns = "user_id varchar, email varchar, segment varchar, plan varchar, score varchar"
    return [f"create table audience ({columns})", *made("audience", rows)] if label == "first" else []


def drt(port: int) -> Callable[[Path, Path], Sequence[str]] | None:
    """Return the command that has drt say the audience, a thousand rows a call and as fast as it can; None without it.

    It says all that is there at every run, and who has gone to nobody.
    """
    executable = os.environ.get("DRT") or _installed()

    def command(warehouse: Path, folder: Path) -> Sequence[str]:
        (folder / ".drt").mkdir(exist_ok=True)
        (folder / "syncs").mkdir(exist_ok=True)
        (folder / ".drt" / "profiles.yml").write_text(f"default:\n  type: duckdb\n  database: {warehouse}\n")
        (folder / "drt_project.yml").write_text("name: p\nprofile: default\n")
        (folder / "syncs" / "audience.yml").write_text(
            "name: audience\nmodel: select user_id, email, segment, plan, score from audience\n"
            f'destination:\n  type: rest_api\n  url: "http://127.0.0.1:{port}/in"\n  method: POST\n'
            "  headers: {Content-Type: application/json}\n  body_mode: batch\n"
            "  batch_template: '{{ rows | tojson_safe }}'\n"
            "sync:\n  mode: full\n  batch_size: 1000\n  rate_limit: {requests_per_second: 1000000}\n"
            "  retry: {max_attempts: 2, initial_backoff: 0.1}\n  on_error: fail\n"
        )
        return [str(executable), "run", "--output", "json"]

    return command if executable else None


def _installed() -> Path | None:
    """Return drt of an environment that is made when it is not there; None, in words, when it cannot be had."""
    folder = Path(tempfile.gettempdir()) / "tailrace_bench_drt_1.2.1"
    executable = folder / "bin" / "drt"
    if not executable.exists():
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True)
        pip = [str(folder / "bin" / "pip"), "install", "--quiet", DRT, "duckdb==2.0.0"]
        done = subprocess.run(pip, capture_output=True, text=True, check=False)
        if not executable.exists():
            print(f"drt is left out: {DRT} cannot be installed: {(done.stderr.splitlines() or ['no word of why'])[-1]}")
            return None
    return executable


def reference(port: int) -> Callable[[Path, Path], Sequence[str]] | None:
    """Return the command of the reference, or None, in words, when it is not there."""
    here = Path(__file__).resolve().parents[3] / "shared" / "reference" / "perf"
    script = Path(os.environ.get("PERF", here)) / "ref_sync.py"
    if not script.exists():
        print(f"the reference is left out: there is no {script}; PERF names its folder")
        return None
    url = f"http://127.0.0.1:{port}/in"
    return lambda warehouse, folder: [sys.executable, str(script), str(warehouse), url, str(folder / "state")]


def compare(name: str, mine: list[Timed], theirs: list[Timed], start: float) -> None:
    """Print what each of theirs took, and ours as a share of it, with and without what it takes to start."""
    for (label, wall, cpu, _), (_, their_wall, their_cpu, seen) in zip(mine, theirs, strict=True):
        aim = f"; aim {AIMS[label]}" if name == "drt" and label in AIMS else ""
        print(
            f"{name:4} {label:16} {their_wall:6.2f} s, cpu {their_cpu:6.2f}, {seen['rows']:,} rows in {seen['calls']:,}"
            f" calls | ours {wall / their_wall:.3f} of it ({(wall + start) / their_wall:.3f} with our start;"
            f" cpu {cpu / their_cpu:.3f}){aim}",
            flush=True,
        )


def main(rows: int) -> None:
    print(f"{rows:,} rows, {time.strftime('%H:%M')}, load {os.getloadavg()[0]:.1f}", flush=True)
    start, _ = seconds(lambda: subprocess.run([sys.executable, "-c", "import tests.benchmarks.audience"], check=True))
    print(f"our process starts in {start:.2f} s")
    with far_audience() as far:
        mine = ours(rows, far)
        for name, command in (("ref", reference(far.port)), ("drt", drt(far.port))):
            if command is not None:
                with tempfile.TemporaryDirectory() as folder:
                    compare(name, mine, other(command, rows, far, Path(folder)), start)
    n = min(rows, MOST_OF_THE_FAULTS)
    for what, fault in (("500s half-way", fails), ("kill -9 half-way", killed)):
        with tempfile.TemporaryDirectory() as name, far_audience() as far:
            seen = fault(Path(name), far, n, 1000 if n >= MOST_OF_THE_FAULTS else max(1, n // 20))
        print(f"{what}, {n:,} rows: {', '.join(f'{what} {count:,}' for what, count in seen.items())}", flush=True)
    print(f"load at the end {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main(int((sys.argv[1:] or ["1000000"])[0]))
