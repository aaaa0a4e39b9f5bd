"""How do the rows that land, and those that do not, become the files of a load?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from tailrace import clock, engine
from tailrace.errors import DataError
from tailrace.landing import chunks
from tailrace.landing.columns import Constant
from tailrace.landing.loads import ParquetFile
from tailrace.landing.pieces import WRITTEN
from tailrace.landing.stage import Stage

_PACKAGE = "tailrace.landing"
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
_OF_A_ROW = (
    "event_id", "type", "event", "user_id", "anonymous_id", "previous_id", "group_id", "event_at",
    "properties", "traits", "context", "rest", "line",
)  # fmt: skip


class Parts:
    """The files of the load `load_id`, written into the folder `aside`, of a stage with `ready` and `losers`."""

    def __init__(
        self,
        stage: Stage,
        aside: Path,
        *,
        source: str,
        load_id: str,
        load_seq: int,
        is_history: bool,
        landed_at: datetime,
    ) -> None:
        self._stage, self._aside = stage, aside
        self._source, self._load_id, self._load_seq = source, load_id, load_seq
        self._is_history, self._landed_at = is_history, clock.naive(landed_at)

    def events(self, count: int) -> list[ParquetFile]:
        """Write the rows that land, `count` of them, which `tally` tells; whole pieces become files as they stand.

        Afterwards the stage lacks the rows of these. Raises DataError when the files do not hold as many.
        """
        run, pieces = self._stage.connection.execute, self._stage.pieces
        whole = pieces.whole(dict(run("select piece, n_rows from tally").fetchall()), _OF_A_ROW)
        pieces.leave_out(whole)
        names = dict(run("select file_no, name from files").fetchall())
        parts = []
        if pieces.rows_of(whole) < count:
            parts.append(self.copied("events", "events-1"))
        for number, file_no in whole.items():
            target = self._aside / f"events-{len(parts) + 1}.parquet"
            pieces.become(number, target, self._columns(names[file_no]))
            parts.append(_part(target, self._mine(target)))
        if sum(part.rows for part in parts) != count:
            raise DataError(
                f"source {self._source}: {count} events were to land, but {sum(part.rows for part in parts)} were"
                " written; expected the same number. Nothing was landed: this is a fault in tailrace, please report it."
            )
        return parts

    def copied(self, statement: str, name: str) -> ParquetFile:
        """Write the rows of a statement of this package as the file `name`."""
        text = engine.statement(_PACKAGE, statement)
        values = {
            "source": engine.literal(self._source),
            "load_id": engine.literal(self._load_id),
            "load_seq": str(self._load_seq),
            "is_history": str(self._is_history).lower(),
            "landed_at": f"timestamp '{self._landed_at.isoformat(sep=' ')}'",
        }
        for key, value in values.items():
            text = text.replace("{" + key + "}", value)
        target = self._aside / f"{name}.parquet"
        copied = engine.row(self._stage.connection, f"copy ({text}) to {engine.literal(str(target))} {WRITTEN}")
        return _part(target, copied[0])

    def _columns(self, file: str) -> list[str | Constant]:
        """Return the columns of events, as events.sql has them, of which the rows of one input file have some alike."""
        landed_at = (self._landed_at - clock.naive(_BEGINNING)) // timedelta(microseconds=1)
        return [
            "event_id",
            Constant("source", "event_id", self._source),
            Constant("load_id", "event_id", self._load_id),
            Constant("load_seq", "line", self._load_seq),
            Constant("is_history", "is_odd", self._is_history),
            *_OF_A_ROW[1:8],
            Constant("landed_at", "event_at", landed_at),
            *_OF_A_ROW[8:-1],
            Constant("file", "event_id", file),
            _OF_A_ROW[-1],
        ]

    def _mine(self, path: Path) -> int:
        """Return how many rows of a file say that they are of this load, read as everybody reads them."""
        query = "select count(*) from read_parquet($path) where load_id = $load_id and load_seq = $load_seq"
        values = {"path": str(path), "load_id": self._load_id, "load_seq": self._load_seq}
        return int(engine.row(self._stage.connection, query, values)[0])


def _part(path: Path, rows: int) -> ParquetFile:
    return ParquetFile(name=path.name, rows=rows, bytes=path.stat().st_size, sha256=chunks.sha256(path))
