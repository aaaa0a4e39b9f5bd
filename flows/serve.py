"""The timetable: run every hour, deliver between runs, backfill by hand.

python -m flows.serve
"""

from __future__ import annotations

from prefect import serve

from flows.backfill import backfill
from flows.deliver import deliver
from flows.run import run


def main() -> None:
    """Serve the flows until stopped. One run of each at a time: a second one would only find the lock taken."""
    serve(
        run.to_deployment(name="hourly", cron="0 * * * *", concurrency_limit=1),
        deliver.to_deployment(name="between-runs", cron="20,40 * * * *", concurrency_limit=1),
        backfill.to_deployment(name="by-hand", concurrency_limit=1),
    )


if __name__ == "__main__":
    main()
