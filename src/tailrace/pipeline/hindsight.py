"""What was known at an instant of the past, on a branch where runs decide anew?

Of what the journal holds, a branch knows at an instant what had been recorded before it, and only of messages that the
branch sent too (or that were sent before it began). What the branch sends and the journal did not see leave is taken
for accepted, at the moment it was to leave; an assumed webhook answers 200 without a body.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tailrace import clock, engine
from tailrace.journal.journal import Journal
from tailrace.journal.readings import MIRRORS
from tailrace.journal.records import Release, Resync
from tailrace.pipeline.remembered import remember
from tailrace.planning import relations
from tailrace.planning.store import Plan, Store
from tailrace.settings import Settings

_PACKAGE = "tailrace.pipeline"
_NO_ANSWERS = pa.table({"seq": pa.array([], pa.int64())})


class Hindsight:
    """The journal's word, and its mirror for dbt, as they were at one instant after the other (`settle`).

    Reads the journal once and never writes to it; the mirror's files stand in `folder`.
    """

    def __init__(self, settings: Settings, journal: Journal, start: datetime, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, list[Path]] = {table: [] for table in MIRRORS}
        self._releases: list[Release] = []
        self._ever_chosen = journal.ever_chosen()
        self._choices: list[int] = []
        self._times = 0
        self._connection = engine.connect(settings)
        for table in ("intents", "outcomes", "acts"):
            remember(self._connection, settings, journal, table, f"was_{table}")
        self._connection.register("given", journal.responses(0))
        self._connection.execute("create table was_answered as select * from given")
        self._connection.unregister("given")
        # `settled` is the number of the instant at which a row was first known; null: it is not known yet.
        for name in ("intents", "acts", "outcomes", "answered", "responses"):
            self._connection.execute(
                engine.statement(_PACKAGE, f"hindsight_make_{name}"),
                {"start": clock.naive(start)} if name in ("intents", "acts") else {},
            )

    def close(self) -> None:
        """Let go of what was read."""
        self._connection.close()

    def settle(self, until: datetime, releases: Sequence[Release] = (), choices: Sequence[int] = ()) -> None:
        """Go on to the instant `until`: know what was recorded before it.

        `releases` and `choices` (of `send now`) are those to count from now.
        """
        self._releases, self._choices = list(releases), list(choices)
        now = {"until": clock.naive(until)}
        run = self._connection.execute
        run(engine.statement(_PACKAGE, "hindsight_real"), now)
        run(engine.statement(_PACKAGE, "hindsight_outcomes"), now | {"is_first": self._times == 0})
        run(engine.statement(_PACKAGE, "hindsight_answered"))
        run(engine.statement(_PACKAGE, "hindsight_responses"))
        for table, columns in MIRRORS.items():
            self._write(table, columns)
        self._times += 1

    def note(self, store: Store, plan_id: str, plan: Plan) -> None:
        """Take a plan of the branch for applied at its own `as_of`: its messages are said, its acts are done."""
        run = self._connection.execute
        run(f"create or replace temp view planned_acts as select * from {store.source(plan, 'acts', relations.ACTS)}")
        verdicts = store.source(plan, "verdicts", relations.VERDICTS)
        values = {"plan_id": plan_id, "as_of": clock.naive(plan.as_of)}
        run(engine.statement(_PACKAGE, "hindsight_intents").format(verdicts=verdicts), values)
        run(engine.statement(_PACKAGE, "hindsight_acts"), values)

    def mirror(self) -> dict[str, list[Path]]:
        """Return the files of the mirror as it was at the instant, per table."""
        return {table: list(files) for table, files in self._files.items()}

    def said(self) -> pa.Table:
        """Return the messages and calls that the branch has sent: as the mirror has them, without numbers."""
        query = "select * exclude (seq, plan_id, is_real, is_past, settled) from intents where not is_past order by seq"
        return self._connection.sql(query).to_arrow_table()

    def really_sent(self, campaign: str) -> int:
        """Return how many messages of the campaign the branch has sent that the journal has as well, whenever."""
        query = "select count(*) from intents where not is_past and campaign = $campaign and intent_id in"
        query += " (select intent_id from was_intents)"
        return int(engine.row(self._connection, query, {"campaign": campaign})[0])

    def last_outcome(self) -> int:
        """Return what `Journal.last_outcome` would have at the instant."""
        return int(engine.row(self._connection, "select coalesce(max(seq), 0) from outcomes")[0])

    def acknowledged_rows(self, since_seq: int) -> pa.Table:
        """Return nothing: a branch does not plan syncs."""
        return _NO_ANSWERS

    def message_outcomes(self, since_seq: int) -> pa.Table:
        """Return what `Journal.message_outcomes` would have at the instant."""
        query = "select seq, intent_id, outcome, recorded_at from outcomes where seq > $since order by seq"
        return self._connection.sql(query, params={"since": since_seq}).to_arrow_table()

    def responses(self, since_seq: int) -> pa.Table:
        """Return what `Journal.responses` would have at the instant."""
        query = "select * from answered where seq > $since order by seq"
        return self._connection.sql(query, params={"since": since_seq}).to_arrow_table()

    def releases(self) -> list[Release]:
        """Return the guard releases that `settle` was given."""
        return self._releases

    def chosen(self) -> pa.Table:
        """Return the passes of the choices that `settle` was given."""
        numbers = pa.array(self._choices, pa.int64())
        return self._ever_chosen.filter(pc.is_in(self._ever_chosen.column("choice"), numbers))

    def resyncs(self) -> list[Resync]:
        """Return nothing: a branch does not plan syncs."""
        return []

    def _write(self, table: str, schema: pa.Schema) -> None:
        """Write the table's rows that are new at this instant as one more file of the mirror."""
        names = ", ".join(engine.identifier(name) for name in schema.names)
        query = f"select {names} from {table} where settled is null order by seq"
        rows = self._connection.sql(query).to_arrow_table().cast(schema)
        if rows.num_rows:
            self._folder.mkdir(parents=True, exist_ok=True)
            path = self._folder / f"{table}-{self._times}.parquet"
            pq.write_table(rows, path, compression="zstd")
            self._files[table].append(path)
        self._connection.execute(f"update {table} set settled = $now where settled is null", {"now": self._times})
