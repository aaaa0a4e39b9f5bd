"""The whole run, on a timetable: plan, apply, deliver, publish.

python -m flows.run [--as-of 2026-01-31T06:00:00Z]
"""

from __future__ import annotations

import argparse
from typing import Any

from prefect import flow

from flows import steps
from tailrace import clock
from tailrace.errors import GuardStop, SourceUnread
from tailrace.settings import Settings


@flow(name="tailrace run", persist_result=False)
def run(
    as_of: str | None = None,
    data_dir: str | None = None,
    project_dir: str | None = None,
    budget_seconds: float | None = None,
) -> dict[str, Any]:
    """Do everything once for `as_of` (now, unless told) and return the counts of each step.

    Raises, after all the rest was done, SourceUnread when a table could not be read, GuardStop when a guard parked
    something, SenderBusy when the delivery of another process is stuck.
    """
    settings = Settings.load(data_dir, project_dir)
    instant = as_of or clock.iso(clock.now())
    planned = steps.plan(settings, instant)
    steps.show(settings, planned["plan_id"])
    applied = steps.apply(settings, planned["plan_id"])
    delivered = steps.deliver(settings, instant, budget_seconds)
    steps.publish(settings)
    if planned["unread_sources"]:
        raise SourceUnread(" ".join(f"source {name}: {why}" for name, why in planned["unread_sources"].items()))
    if planned["tripped"]:
        parked = ", ".join(f"{reading['guard']} on {reading['subject']}" for reading in planned["tripped"])
        raise GuardStop(f"parked: {parked}; the rest was done. Look with `tailrace guard list`.")
    steps.require_sign(delivered)
    return {
        "plan_id": planned["plan_id"],
        "steps": planned["steps"] | applied["steps"] | delivered["steps"],
        "balances": planned["balances"] + delivered["balances"],
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Do everything once.")
    parser.add_argument("--as-of")
    parser.add_argument("--data-dir")
    parser.add_argument("--project-dir")
    arguments = parser.parse_args()
    run(arguments.as_of, arguments.data_dir, arguments.project_dir)
