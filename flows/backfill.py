"""Land files as history, planned at HEAD's own as_of: no message, no removal.

python -m flows.backfill PATH… --source SOURCE --reason WHY
"""

from __future__ import annotations

import argparse
from typing import Any

from prefect import flow

from flows import steps
from tailrace.settings import Settings


@flow(name="tailrace backfill", persist_result=False)
def backfill(
    paths: list[str], source: str, reason: str, data_dir: str | None = None, project_dir: str | None = None
) -> dict[str, Any]:
    """Land the files as history and return the counts; `reason` is kept with the load."""
    return steps.backfill(Settings.load(data_dir, project_dir), paths, source, reason)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Land files as history.")
    parser.add_argument("paths", nargs="+")
    parser.add_argument("--source", required=True)
    parser.add_argument("--reason", required=True)
    parser.add_argument("--data-dir")
    parser.add_argument("--project-dir")
    arguments = parser.parse_args()
    backfill(arguments.paths, arguments.source, arguments.reason, arguments.data_dir, arguments.project_dir)
