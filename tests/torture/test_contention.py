"""Two runs at once, and a stranger who holds the warehouse: a clear word with the pid, and nothing half done."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tailrace.pipeline.result import Result
from tests.conftest import Company
from tests.installation import Installation, at, call
from tests.torture import ground

pytestmark = [pytest.mark.torture, pytest.mark.slow, pytest.mark.timeout(300)]

HOLD = "import duckdb, sys; c = duckdb.connect(sys.argv[1], read_only=len(sys.argv) > 2); print(1, flush=True); input()"
LOCK = (
    "import fcntl, os, sys; f = open(sys.argv[1], 'a+'); fcntl.flock(f, fcntl.LOCK_EX); f.truncate(0);"
    " f.write(f'{os.getpid()}\\n'); f.flush(); print(1, flush=True); input()"
)


@contextmanager
def another_process(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run a process that has said it is ready, and end it after the block."""
    process = subprocess.Popen(
        [sys.executable, "-c", *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.stdout.readline()
    try:
        yield process
    finally:
        process.communicate("\n")


def test_of_two_runs_at_once_one_wins_and_the_other_says_who_and_changes_nothing(
    company: Company, first_day: tuple[Installation, Result], tmp_path: Path
) -> None:
    ours = company.copy(tmp_path / "data")
    control, alone = first_day
    file = company.sample.daily[0]
    as_of = at(file.last_on, 23).isoformat()
    ours.drop(file.path)

    runs = [ground.start(ours, "run", "--as-of", as_of, "--json") for _ in range(2)]
    said = {run.pid: run.communicate() for run in runs}

    winner, loser = sorted(runs, key=lambda run: run.returncode not in (0, 3))
    assert winner.returncode in (0, 3), said[winner.pid][1]
    assert loser.returncode == 1
    assert f"process {winner.pid} " in said[loser.pid][1]
    assert "Nothing was changed" in said[loser.pid][1]
    assert said[loser.pid][0] == ""
    assert alone.exit_code == winner.returncode
    ours_now, control_now = ground.memory(ours), ground.memory(control)
    assert ours_now["head"] == control_now["head"]
    assert len(ours_now["outbox"]) == len(control_now["outbox"])


@pytest.mark.parametrize(
    "command", [["run"], ["plan"], ["apply", "HEAD"], ["backfill", "--source", "app", "--reason", "r"]]
)
def test_while_a_run_is_under_way_nothing_else_that_plans_starts_and_nothing_changes(
    company: Company, tmp_path: Path, command: list[str]
) -> None:
    ours = company.copy(tmp_path / "data")
    file = company.sample.daily[0]
    ours.drop(file.path)
    if command[0] == "backfill":
        command = [*command, str(file.path)]
    before = ground.state(ours)

    with another_process(LOCK, str(ours.settings.run_lock)) as holder:
        done = call(ours, *command)

    assert done.code == 1
    assert f"process {holder.pid} " in done.err
    assert done.out == ""
    assert ground.state(ours) == before


@pytest.mark.parametrize("mode", ["writing", "reading"])
def test_while_another_process_holds_the_warehouse_a_run_says_its_pid_and_nothing_is_half_done(
    company: Company, day: Installation, tmp_path: Path, mode: str
) -> None:
    ours = company.copy(tmp_path / "data")
    file = company.sample.daily[0]
    as_of = at(file.last_on, 23).isoformat()
    ours.drop(file.path)
    before = ground.state(ours)

    with another_process(HOLD, str(ours.settings.warehouse), *(["r"] if mode == "reading" else [])) as holder:
        done = call(ours, "run", "--as-of", as_of)

    assert done.code == 1
    assert f"pid {holder.pid}" in done.err
    assert "published.duckdb" in done.err
    now = ground.state(ours)
    assert {name: now[name] for name in ("head", "journal", "outbox", "stamp")} == {
        name: before[name] for name in ("head", "journal", "outbox", "stamp")
    }

    assert call(ours, "run", "--as-of", as_of).code in (0, 3)
    assert ground.memory(ours)["head"] == ground.memory(day)["head"]


def test_a_reader_of_the_published_copy_stops_no_run(company: Company, tmp_path: Path) -> None:
    ours = company.copy(tmp_path / "data")
    file = company.sample.daily[0]
    ours.drop(file.path)
    with another_process(HOLD, str(ours.settings.published), "r"):
        done = call(ours, "run", "--as-of", at(file.last_on, 23).isoformat())
    assert done.code in (0, 3), done.err
