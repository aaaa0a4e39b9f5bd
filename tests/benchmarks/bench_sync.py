"""How long does an audience take to be said, to be said again, and to be said after a hundredth of it changed?

Run as `python -m tests.benchmarks.bench_sync [rows]`, with DRT (the executable of drt-core 1.2.1, in an environment of
its own) and PERF (the folder of peers_drt.py and ref_sync.py) to have them do the same in the same run. Ours is what a
run does of a sync between the warehouse and the far end: fold the answers, find what differs, store the plan, apply it
and deliver, with one worker and the journal on the disk. Of the hundredth half is changed, a quarter goes, a quarter is
new.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa

from tailrace import engine
from tailrace.campaigns.render import Renderer
from tailrace.delivery.send import deliver
from tailrace.journal import Journal, SyncBatch
from tailrace.planning import relations, syncs
from tailrace.planning.reader import PlanReader
from tailrace.planning.syncs import SyncSpec
from tests.benchmarks.bench_delivery import far_end
from tests.planning import world as worlds

NAME = "sync_hook__audience"
COLUMNS = ("user_id", "email", "segment", "plan", "score")
HOUR = timedelta(hours=1)
_TIMES = ("deliver_after", "expires_at")
_TEXTS = ("intent_id", "campaign", "version", "step", "enrollment_id", "channel", "message", "class")


class Ours:
    """An installation with one sync of an audience."""

    def __init__(self, root: Path, port: int, rows: int) -> None:
        self.world = worlds.World(root)
        self.world.person("ada")
        self.world.syncs = [
            SyncSpec(worlds.Sync(NAME, columns=COLUMNS, destination="hook"), batch_size=1000, segments=())
        ]
        self.world._write_warehouse()
        self.settings = self.world.settings
        self.settings.project_dir.mkdir(parents=True, exist_ok=True)
        (self.settings.project_dir / "destinations.yml").write_text(
            f'connections:\n  hook: {{type: webhook, url: "http://127.0.0.1:{port}/in", private_network: true}}\n'
        )
        self.at = worlds.START
        self.write(
            f"insert into syncs.{NAME} select 'usr_' || lpad(i::varchar, 10, '0'), 'user' || i || '@example.com',"
            " 'trial_ending', (list_value('free', 'pro', 'team'))[1 + (hash(i) % 3)::int], hash(i) % 1000"
            f" from range({rows}) as numbers (i)"
        )
        with Journal.open(self.settings) as journal:
            journal.live_acquire("bench", "bench", self.at)

    def write(self, *statements: str) -> None:
        with duckdb.connect(str(self.settings.warehouse)) as connection:
            for statement in statements:
                connection.execute(statement)

    def churn(self, rows: int) -> None:
        k = max(4, rows // 100)
        usr = "'usr_' || lpad((i * {step} + {first})::varchar, 10, '0')"
        changed, gone = usr.format(step=200, first=1), usr.format(step=400, first=3)
        self.write(
            f"update syncs.{NAME} set score = score || '1' where user_id in"
            f" (select {changed} from range({k // 2}) t(i))",
            f"delete from syncs.{NAME} where user_id in (select {gone} from range({k // 4}) t(i))",
            f"insert into syncs.{NAME} select 'new_' || i, 'new' || i || '@example.com', 'trial_ending', 'pro', 1"
            f" from range({k // 4}) t(i)",
        )

    def once(self) -> dict[str, float]:
        """Do what a run does of the sync; return seconds by part, and how many rows were accepted."""
        self.at += HOUR
        began = time.perf_counter()
        with Journal.open(self.settings) as journal:
            plan_id = self._plan(journal)
            planned = time.perf_counter()
            self._apply(journal, plan_id)
            applied = time.perf_counter()
            started = self.at
            done = deliver(
                self.settings, journal, PlanReader(self.world.store), now=lambda: started, renderer=Renderer()
            )
        assert done.rows.claimed == done.rows.accepted, done.rows.codes
        ended = time.perf_counter()
        parts = {"plan": planned - began, "apply": applied - planned, "deliver": ended - applied}
        return parts | {"all": ended - began, "rows": done.rows.accepted}

    def _plan(self, journal: Journal) -> str:
        head = self.world.store.head()
        folded = self.world.store.read(head).inputs.journal_seq if head else 0
        answers = journal.acknowledged_rows(folded)
        newest = int(max(answers["seq"].to_pylist()[-1:], default=folded))
        made = worlds.make_plan
        worlds.make_plan = lambda settings, store, request: made(
            settings, store, replace(request, answers=answers, journal_seq=newest)
        )
        try:
            return self.world.plan_id(self.at)
        finally:
            worlds.make_plan = made

    def _apply(self, journal: Journal, plan_id: str) -> None:
        store = self.world.store
        plan = store.read(plan_id)
        with engine.connect(self.settings) as connection:
            source = store.source(plan, f"sync_ops:{NAME}", relations.SYNC_OPS)
            batches = [SyncBatch(NAME, number, n, "hook", "all") for number, n in syncs.batches(connection, source)]
        columns = {name: pa.array([], pa.string()) for name in _TEXTS}
        columns |= {name: pa.array([], pa.timestamp("us")) for name in _TIMES}
        columns |= {"person_id": pa.array([], pa.int64()), "priority": pa.array([], pa.int32())}
        journal.apply_plan(plan_id, plan.parent, self.at, self.at, pa.table(columns), batches)


def peer(mode: str, rows: int, folder: str) -> list[tuple[float, str]]:
    """Return the seconds of the three runs of `ref` or of drt (`batch`: all rows again), and what it said of each."""
    environment = os.environ | {"PERF_DIR": folder}
    command = [sys.executable, str(Path(os.environ["PERF"]) / "peers_drt.py"), mode, str(rows)]
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, cwd=folder).stdout
    lines = [line for line in said.splitlines() if line.startswith(f"| {mode} ")]
    return [(float(re.split(r"\s*\|\s*", line)[2]), line) for line in lines]


def main(rows: int) -> None:
    began = datetime.now().astimezone()
    print(f"{rows:,} rows, {began:%H:%M}, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as name, far_end("calls") as port:
        ours = Ours(Path(name), port, rows)
        runs = [ours.once(), ours.once()]
        ours.churn(rows)
        runs.append(ours.once())
    names = ("first", "unchanged", "1 %")
    for label, run in zip(names, runs, strict=True):
        print(f"ours {label:10}" + "".join(f"  {part} {value:,.2f}" for part, value in run.items()))
    if "PERF" not in os.environ:
        return
    for mode in ("ref", "batch"):
        with tempfile.TemporaryDirectory() as folder:
            for label, mine, (seconds, line) in zip(names, runs, peer(mode, rows, folder), strict=True):
                print(f"{mode} {label}: {seconds:.2f} s; ours is {mine['all'] / seconds:.3f} of it   {line}")
    print(f"load at the end {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main(int((sys.argv[1:] or ["1000000"])[0]))
