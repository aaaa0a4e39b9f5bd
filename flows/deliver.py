"""Deliver what applied plans left pending, on a timetable of its own.

python -m flows.deliver [--workers 8]

Workers are tasks of the runner that TAILRACE_TASK_RUNNER names: threads, or Dask, where every worker needs the same
data directory and project, and the journal is PostgreSQL as soon as they are on several machines.
"""

from __future__ import annotations

import argparse
from typing import Any

from prefect import flow

from flows import runners, steps
from tailrace import clock
from tailrace.settings import Settings


@flow(name="tailrace deliver", persist_result=False, task_runner=runners.chosen())
def deliver(
    data_dir: str | None = None,
    project_dir: str | None = None,
    budget_seconds: float | None = None,
    workers: int = 1,
) -> dict[str, Any]:
    """Deliver until it is done or the time budget is spent, and return the counts.

    With several workers the flow itself is the coordinator, and each share a task. While another process delivers there
    is nothing to do; raises SenderBusy when that one is stuck.
    """
    settings, instant = Settings.load(data_dir, project_dir), clock.iso(clock.now())
    if workers == 1:
        delivered = steps.deliver(settings, instant, budget_seconds)
    else:
        delivered = steps.deliver_shared(settings, instant, budget_seconds, workers)
    steps.require_sign(delivered)
    return delivered


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Deliver what is pending.")
    parser.add_argument("--data-dir")
    parser.add_argument("--project-dir")
    parser.add_argument("--budget", type=float)
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    deliver(arguments.data_dir, arguments.project_dir, arguments.budget, arguments.workers)
