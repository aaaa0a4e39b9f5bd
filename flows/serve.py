"""The timetable: run every hour, deliver between runs, backfill by hand.

python -m flows.serve
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from prefect import serve
from prefect.deployments.runner import RunnerDeployment

from flows.backfill import backfill
from flows.deliver import deliver
from flows.run import run


def main() -> None:
    """Serve the flows until stopped: three at a time, also of those that are late.

    What keeps two runs apart is our lock, which ends with its process. A limit of Prefect's server does not:
    when the machine dies with a run, its slot stays taken, and no run ever starts again (Prefect 3.8.8).
    """
    serve(
        _made(run.to_deployment(name="hourly", cron="0 * * * *")),
        _made(deliver.to_deployment(name="between-runs", cron="20,40 * * * *")),
        _made(backfill.to_deployment(name="by-hand")),
        limit=3,
    )


def _made(deployment: RunnerDeployment | Coroutine[Any, Any, RunnerDeployment]) -> RunnerDeployment:
    """Return the deployment: Prefect gives a coroutine in its place only where an event loop runs."""
    assert isinstance(deployment, RunnerDeployment)
    return deployment


if __name__ == "__main__":
    main()
