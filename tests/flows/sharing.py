"""A flow that delivers what is due in a world, its shares done where TAILRACE_TASK_RUNNER says; prints who did them.

Run as `python -m tests.flows.sharing ROOT WORKERS`, with `tests/delivery` on the path. Of `cluster` the address is that
of a Dask scheduler of its own, with one process.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from dask.distributed import LocalCluster
from delivery_world import World
from prefect import flow, task
from prefect.futures import wait
from prefect.server.api.server import SubprocessASGIServer
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows import runners, steps
from tailrace.delivery.send import deliver_share
from tailrace.delivery.tally import Delivered
from tailrace.delivery.worker import Share
from tailrace.journal import Journal


@task(**steps.ONCE)
def do_share(root: str, share: Share) -> tuple[int, Delivered]:
    world = World(Path(root))
    with Journal.open(world.settings) as journal:
        done = deliver_share(
            world.settings, journal, world.plans, share, now=lambda: world.now, renderer=world.renderer
        )
    return os.getpid(), done


@flow(persist_result=False)
def go(root: str, workers: int) -> None:
    processes: set[int] = set()

    def fan_out(shares: Sequence[Share]) -> list[Delivered]:
        futures = [do_share.submit(root, share) for share in shares]
        wait(futures)
        results = [future.result() for future in futures]
        processes.update(process for process, _ in results)
        return [done for _, done in results]

    done = World(Path(root)).deliver(workers=workers, fan_out=fan_out)
    said = {"accepted": done.messages.accepted, "elsewhere": os.getpid() not in processes}
    print(json.dumps(said), flush=True)


def main(root: str, workers: int) -> None:
    # Without an address every worker would start a server of its own, all on one database.
    server = SubprocessASGIServer()
    server.start()
    os.environ["PREFECT_API_URL"] = server.api_url
    try:
        with temporary_settings({PREFECT_API_URL: server.api_url}), cluster(workers):
            go.with_options(task_runner=runners.chosen())(root, workers)
    finally:
        server.stop()


@contextmanager
def cluster(workers: int) -> Iterator[None]:
    """Have a Dask scheduler of one process for the block, if that is what is asked for."""
    if os.environ["TAILRACE_TASK_RUNNER"] != "cluster":
        yield
        return
    with LocalCluster(n_workers=1, threads_per_worker=workers, dashboard_address=None, host="127.0.0.1") as found:
        os.environ["TAILRACE_TASK_RUNNER"] = found.scheduler_address
        yield


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
