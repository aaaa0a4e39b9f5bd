"""An installation with one sync of an audience, as a run treats it between the warehouse and the far end."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from tailrace import engine
from tailrace.campaigns.render import Renderer
from tailrace.delivery.send import deliver
from tailrace.delivery.tally import Delivered
from tailrace.journal import Journal, SyncBatch
from tailrace.planning import relations, syncs
from tailrace.planning.reader import PlanReader
from tailrace.planning.store import Store
from tailrace.planning.syncs import SyncSpec
from tailrace.settings import Settings
from tests.planning import world as worlds

NAME = "sync_hook__audience"
COLUMNS = ("user_id", "email", "segment", "plan", "score")
HOUR = timedelta(hours=1)
_TIMES = ("deliver_after", "expires_at")
_TEXTS = ("intent_id", "campaign", "version", "step", "enrollment_id", "channel", "message", "class")


def made(table: str, rows: int) -> list[str]:
    """Return the SQL that fills the table with an audience."""
    plan, score = "(list_value('free', 'pro', 'team'))[1 + (hash(i) % 3)::int]", "(hash(i) % 1000)::varchar"
    values = f"'usr_' || lpad(i::varchar, 10, '0'), 'user' || i || '@example.com', 'trial_ending', {plan}, {score}"
    return [f"insert into {table} select {values} from range({rows}) as numbers (i)"]


def changed(table: str, rows: int) -> list[str]:
    """Return the SQL that changes a hundredth of it: half is another row, a quarter goes, a quarter is new."""
    k = max(4, rows // 100)
    usr = "'usr_' || lpad((i * {step} + {first})::varchar, 10, '0')"
    other, gone = usr.format(step=200, first=1), usr.format(step=400, first=3)
    new = "'new_' || i, 'new' || i || '@example.com', 'trial_ending', 'pro', '1'"
    return [
        f"update {table} set score = score || '1' where user_id in (select {other} from range({k // 2}) t(i))",
        f"delete from {table} where user_id in (select {gone} from range({k // 4}) t(i))",
        f"insert into {table} select {new} from range({k // 4}) t(i)",
    ]


class Ours:
    """An installation below `root` whose one sync goes to the far end at `port`."""

    table = f"syncs.{NAME}"

    def __init__(self, root: Path, port: int, batch_size: int = 1000) -> None:
        self.world = worlds.World(root)
        self.world.person("ada")
        sync = worlds.Sync(NAME, columns=COLUMNS, destination="hook")
        self.world.syncs = [SyncSpec(sync, batch_size=batch_size, segments=())]
        self.world._write_warehouse()
        self.settings = self.world.settings
        self.settings.project_dir.mkdir(parents=True, exist_ok=True)
        (self.settings.project_dir / "destinations.yml").write_text(
            f'connections:\n  hook: {{type: webhook, url: "http://127.0.0.1:{port}/in", private_network: true}}\n'
        )
        self.at = worlds.START
        with Journal.open(self.settings) as journal:
            journal.live_acquire("bench", "bench", self.at)

    def write(self, *statements: str) -> None:
        with duckdb.connect(str(self.settings.warehouse)) as connection:
            for statement in statements:
                connection.execute(statement)

    def once(self) -> dict[str, float]:
        """Do what a run does of the sync; return seconds by part, and how many rows were accepted."""
        began = time.perf_counter()
        self.decide()
        decided = time.perf_counter()
        done = send(self.settings, self.at)
        assert done.rows.claimed == done.rows.accepted, done.rows.codes
        return {"plan": decided - began, "deliver": time.perf_counter() - decided, "rows": done.rows.accepted}

    def decide(self) -> None:
        """Make the next plan, an hour later, and apply it."""
        self.at += HOUR
        with Journal.open(self.settings) as journal:
            self._apply(journal, self._plan(journal))

    def _plan(self, journal: Journal) -> str:
        head = self.world.store.head()
        folded = self.world.store.read(head).inputs.journal_seq if head else 0
        answers = journal.acknowledged_rows(folded)
        newest = max(folded, pc.max(answers["seq"]).as_py() or 0)
        make = worlds.make_plan
        worlds.make_plan = lambda settings, store, request: make(
            settings, store, replace(request, answers=answers, journal_seq=newest)
        )
        try:
            return self.world.plan_id(self.at)
        finally:
            worlds.make_plan = make

    def _apply(self, journal: Journal, plan_id: str) -> None:
        store = self.world.store
        plan = store.read(plan_id)
        with engine.connect(self.settings) as connection:
            source = store.source(plan, f"sync_ops:{NAME}", relations.SYNC_OPS)
            found = syncs.batches(connection, source)
            batches = [SyncBatch(NAME, number, n, "hook", "all", removes) for number, n, removes in found]
        columns = {name: pa.array([], pa.string()) for name in _TEXTS}
        columns |= {name: pa.array([], pa.timestamp("us")) for name in _TIMES}
        columns |= {"person_id": pa.array([], pa.int64()), "priority": pa.array([], pa.int32())}
        journal.apply_plan(plan_id, plan.parent, self.at, self.at, pa.table(columns), batches)


def send(settings: Settings, at: datetime, workers: int = 1) -> Delivered:
    """Deliver what is due at the moment."""
    with Journal.open(settings) as journal:
        reader = PlanReader(Store(settings))
        return deliver(settings, journal, reader, now=lambda: at, renderer=Renderer(), workers=workers)


if __name__ == "__main__":
    # A sender of its own, to be killed: folder, moment, workers.
    folder = Path(sys.argv[1])
    os.chdir(folder)
    send(Settings(data_dir=folder, project_dir=folder), datetime.fromisoformat(sys.argv[2]), int(sys.argv[3]))
