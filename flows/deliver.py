"""Deliver what applied plans left pending, on a timetable of its own.

python -m flows.deliver
"""

from __future__ import annotations

import argparse
from typing import Any

from prefect import flow

from flows import steps
from tailrace import clock
from tailrace.settings import Settings


@flow(name="tailrace deliver", persist_result=False)
def deliver(
    data_dir: str | None = None, project_dir: str | None = None, budget_seconds: float | None = None
) -> dict[str, Any]:
    """Deliver until it is done or the time budget is spent, and return the counts."""
    return steps.deliver(Settings.load(data_dir, project_dir), clock.iso(clock.now()), budget_seconds)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Deliver what is pending.")
    parser.add_argument("--data-dir")
    parser.add_argument("--project-dir")
    parser.add_argument("--budget", type=float)
    arguments = parser.parse_args()
    deliver(arguments.data_dir, arguments.project_dir, arguments.budget)
