"""Where are the shares of a delivery done? In threads of the flow, or on Dask, as TAILRACE_TASK_RUNNER says."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from tailrace.errors import DefinitionError, Problem
from tailrace.settings import task_runner


def chosen() -> TaskRunner[Any]:
    """Return the task runner of the environment. Raises DefinitionError that names the extra that it needs."""
    wanted = task_runner()
    if wanted == "threads":
        return ThreadPoolTaskRunner()
    try:
        dask = import_module("prefect_dask")
    except ImportError as error:
        raise DefinitionError(
            Problem("TAILRACE_TASK_RUNNER", None, "Dask is not installed; `pip install 'tailrace[dask]'`")
        ) from error
    runner: TaskRunner[Any] = dask.DaskTaskRunner(address=None if wanted == "dask" else wanted)
    return runner
