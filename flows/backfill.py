"""Land files as history, planned at HEAD's own as_of: no message, no removal.

python -m flows.backfill PATH… --source SOURCE --reason WHY [--from 2026-05-01 --to 2026-06-01]
"""

from __future__ import annotations

import argparse
from typing import Any

from prefect import flow

from flows import steps
from tailrace.settings import Settings


@flow(name="tailrace backfill", persist_result=False)
def backfill(
    paths: list[str],
    source: str,
    reason: str,
    since: str | None = None,
    until: str | None = None,
    data_dir: str | None = None,
    project_dir: str | None = None,
) -> dict[str, Any]:
    """Land the files as history and return the counts; `reason` is kept with the load.

    What happened before `since`, or from `until` on, is quarantined. A flow run that died is run again as it was.
    """
    settings = Settings.load(data_dir, project_dir)
    done = steps.backfill(settings, paths, source, reason, since, until)
    if done["steps"]["backfill"]["load"] is not None:
        steps.show_backfill(settings, done["steps"]["backfill"]["load"])
    return done


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Land files as history.")
    parser.add_argument("paths", nargs="*")
    parser.add_argument("--source", required=True)
    parser.add_argument("--reason", required=True)
    parser.add_argument("--from", dest="since")
    parser.add_argument("--to", dest="until")
    parser.add_argument("--data-dir")
    parser.add_argument("--project-dir")
    arguments = parser.parse_args()
    backfill(
        arguments.paths,
        arguments.source,
        arguments.reason,
        arguments.since,
        arguments.until,
        arguments.data_dir,
        arguments.project_dir,
    )
