"""How do the lines of many files become typed rows, each with what is wrong with it? In DuckDB, piece by piece."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from tailrace import clock, engine
from tailrace.landing import chunks, exact
from tailrace.landing.aside import Aside
from tailrace.landing.breaches import Breaches
from tailrace.landing.contract import Contract, Timestamps
from tailrace.landing.learned import BODIES, SPEC, TEXT_KEYS, Learned, first_lines, is_name, some_lines
from tailrace.landing.pieces import Pieces
from tailrace.landing.together import CHUNKS, SMALL, Together
from tailrace.settings import Settings

_PACKAGE = "tailrace.landing"
# In bytes. Rows wait on the disk: with more nothing is faster, and others have less.
_ENOUGH = 2_000_000_000
# In bytes, and twice what a thread holds of long lines: DuckDB ends a statement that finds no memory, it does not wait.
_OF_A_THREAD = 250_000_000
_BLANK, _BATCH = "(blank)", "(batch)"
CALLS = pa.schema([("f", pa.int32()), ("l", pa.int64()), ("p", pa.int32()), ("t", pa.string())])
REFUSED = pa.schema([("l", pa.int64()), ("w", pa.string()), ("d", pa.string()), ("r", pa.binary())])
VERDICTS = pa.schema([("r", pa.int64()), ("w", pa.string()), ("d", pa.string())])
# A file is read in portions: after each of them there may be something to learn for the next. They are large, for a
# line costs a third more in a file that is read in three of them than in one that is read in one.
_PORTION, _SAMPLED = 256 << 20, 200
SPLIT = (
    "select {file_no} as file_no, first + generate_subscripts(x, 1) - 1 as line, 0 as part, unnest(x) as l"
    " from (select * exclude (body), string_split(body, chr(10)) as x from chunks)"
)


class Stage:
    """The rows of one landing. After `judge`, a row's reason is its verdict's, else its `why`, else it can land."""

    reading = "segment"
    """The statement that reads lines as calls."""

    def __init__(self, settings: Settings, contract: Contract) -> None:
        self.contract = contract
        self.scratch = settings.scratch
        self.connection = engine.connect(settings)
        self._bound()
        self.connection.execute("set preserve_insertion_order = false; set enable_progress_bar = false")
        # Pieces are read from the page cache: a copy of them in DuckDB's memory would be one too many.
        self.connection.execute("set enable_external_file_cache = false")
        self.connection.execute(engine.statement(_PACKAGE, "tables"))
        self.connection.execute(_local_moment(contract.timestamps))
        self.connection.execute(engine.statement(_PACKAGE, "macros"))
        self.connection.execute(_moment(contract.timestamps))
        self.learned = Learned()
        self.seen: dict[str, dict[str, str]] = {}
        self.breaches = Breaches(settings, self.connection)
        self.pieces = Pieces(self.connection, self.scratch)
        self._together = Together()

    def _bound(self) -> None:
        """Take no more memory than is of use, and no more threads than it is enough for."""
        limit, threads = engine.row(
            self.connection, "select parse_formatted_bytes(current_setting('memory_limit')), current_setting('threads')"
        )
        if limit > _ENOUGH:
            self.connection.execute(f"set memory_limit = '{_ENOUGH} bytes'")
        enough = max(1, min(limit, _ENOUGH) // _OF_A_THREAD)
        if threads > enough:
            self.connection.execute(f"set threads = {enough}")

    def close(self) -> None:
        """Let go of everything; what is not written is gone."""
        self.connection.close()
        self.pieces.close()

    @property
    def may_lack_person(self) -> str:
        """Return the SQL that says of which rows nobody need be named."""
        return "false"

    @property
    def told_apart_by(self) -> str:
        """Return the SQL of what is content of a line beside what its call says, each with a comma."""
        return ""

    def header(self, path: Path) -> str | None:
        """Return what must be known to read a single line of the file again, if anything."""
        return None

    def read(self, file_no: int, path: Path) -> str:
        """Put every line of the file into the stage, or have it wait for `read_held`; return the file's SHA-256."""
        return self._stream(file_no, Source(chunks.Reader(path), self.scratch))

    def read_held(self) -> None:
        """Put into the stage what waits of small files."""
        if self._together.is_empty:
            return
        rows, lines = self._together.take()
        self._meet(lines)
        self.connection.register("chunks", rows)
        self._insert(SPLIT.replace("{file_no}", "file_no"))
        self.connection.unregister("chunks")
        self._look_back(lines)

    def _meet(self, lines: list[str]) -> None:
        """Learn from some lines before they, and those like them, are read."""
        if not self.learned.parameters:
            self.learned.learn(lines)
        self._learn_ahead(lines)

    def _learn_ahead(self, lines: list[str]) -> None:
        """Get to know the shapes of some lines, so that lines like them need not be kept to be judged."""
        self._append("calls", [(0, 0, 0, line) for line in lines], CALLS)
        # A table, for what `learn` asks of a query would be asked of each line over and over within it.
        self.connection.execute(f"create table ahead as {self._found('select file_no, line, part, l from calls')}")
        self.learn("select * from ahead")
        self.connection.execute("drop table ahead; delete from calls")

    def learn(self, seen: str) -> None:
        """Get to know the shapes of the lines that the statement `seen` gives."""
        self.connection.execute(self._filled("learn", seen=seen))

    def again(self, lines: str) -> None:
        """Put lines into the stage that stand in the relation `lines`: file_no, line, part, l."""
        self.learned.parameters = self.learned.parameters or {**SPEC, "paths": "['$']"}
        self._insert(lines)
        self.learn("select * from stage")

    def _stream(self, file_no: int, source: Source) -> str:
        head = list(source.portion(min(SMALL, _PORTION)))
        if source.is_over:
            self._together.put(file_no, head, source.sample)
            if self._together.is_full:
                self.read_held()
        else:
            self.read_held()
            self._meet(list(first_lines(source.reader.path)))
            self._portions(file_no, source, head)
        if not source.refused.is_empty:
            self.put(source.refused, f"insert into refused select {file_no}, l, 0, w, d, r from put_aside")
        return source.reader.sha256

    def _portions(self, file_no: int, source: Source, head: list[pa.RecordBatch]) -> None:
        while not source.is_over:
            portion = chain(head, source.portion(_PORTION))
            self.connection.register("chunks", pa.RecordBatchReader.from_batches(CHUNKS, portion))
            try:
                self._insert(SPLIT.replace("{file_no}", str(file_no)))
            except duckdb.Error:
                if source.failure is not None:
                    raise source.failure from None
                raise
            finally:
                self.connection.unregister("chunks")
            head = []
            self._look_back(source.sample)

    def _look_back(self, sample: list[str]) -> None:
        """Learn from the rows of the last piece, and from a sample of the lines when many of them were new."""
        self.learn(f"select * from {self.pieces.last}")
        share = self._one(f"select avg((n_found >= 0)::integer) from {self.pieces.last}")
        if self.learned.has_strangers(share or 0.0):
            self.learned.learn(sample)
            self._learn_ahead(sample)

    def _filled(self, name: str, **extra: str) -> str:
        text = engine.statement(_PACKAGE, name)
        for key, value in {**self.learned.parameters, **extra}.items():
            text = text.replace("{" + key + "}", value)
        return text

    def _insert(self, lines: str) -> None:
        self.stage(self._found(lines))

    def _found(self, lines: str) -> str:
        # A literal and not a join: behind a join every wide column would be copied once more.
        shapes = self.connection.execute(
            "select shape, n_objects, is_plain from shapes order by shape limit 64"
        ).fetchall()
        whens = " ".join(f"when {shape} then {n_objects}" for shape, n_objects, _ in shapes)
        plain = ", ".join(str(shape) for shape, _, is_plain in shapes if is_plain)
        return self._filled(
            self.reading,
            lines=lines,
            n_known=f"case shape {whens} end" if shapes else "null::bigint",
            is_plain=f"shape in ({plain})" if plain else "false",
        )

    def stage(self, found: str) -> None:
        """Put into the stage what the statement `found` (columns as in segment.sql) gives."""
        window = self.contract.timestamps
        self.pieces.add(
            self._filled(
                "stage",
                found=found,
                may_lack_person=self.may_lack_person,
                told_apart_by=self.told_apart_by,
                since=_literal(window.since),
                until=_literal(window.until),
                may_refuse=self.breaches.may_refuse,
            )
        )

    @property
    def needed(self) -> dict[str, list[str]] | None:
        """Return the columns, by mapping, of which it is said when they are gone; None when it is said of all."""
        return {}

    def columns(self) -> dict[str, dict[str, str]]:
        """Return the columns that the files have, by mapping: of calls the keys that the spec does not name."""
        return {"": dict.fromkeys(sorted(self._keys() - {*TEXT_KEYS, *BODIES, "batch"}), "")}

    def _keys(self) -> set[str]:
        """Return the keys that stand at the top of some line that could be read."""
        found = self.connection.execute(engine.statement(_PACKAGE, "keys")).fetchall()
        return {row[0] for row in found if is_name(row[0])}

    def put(self, rows: Aside, statement: str) -> None:
        """Run a statement that reads the rows put aside from the relation `put_aside`."""
        self.connection.register("put_aside", rows.reader())
        self.connection.execute(statement)
        self.connection.unregister("put_aside")
        rows.close()

    def judge(self) -> None:
        """Give a verdict to every odd row, and stage the calls of batches (which were judged with their batch)."""
        self._look_again()
        with closing(self._judge(0, batches=True)) as calls:
            if not calls.is_empty:
                first = self.pieces.next_row
                self.connection.register("put_aside", calls.reader())
                self._insert("select f as file_no, l as line, p as part, t as l from put_aside")
                self.connection.unregister("put_aside")
                self.learn("select * from stage")
                self._judge(first, batches=False).close()

    def _look_again(self) -> None:
        """Clear the rows that were odd only for their shape, where that is known by now: one by one would take long."""
        uncovered = engine.statement(_PACKAGE, "uncovered")
        if not self._one(f"select exists ({uncovered})"):
            return
        found = engine.statement(_PACKAGE, "again").replace("{found}", self._found(uncovered))
        again = self.pieces.beside(found)
        self.learn(f"select * from {again}")
        self.connection.execute(engine.statement(_PACKAGE, "cleared").replace("{again}", again))

    def _judge(self, first: int, *, batches: bool) -> Aside:
        """Write the verdicts on the rows from `first` on, and return the calls of the batches among them."""
        odd = self.connection.cursor()
        odd.execute(engine.statement(_PACKAGE, "odd"), {"first": first})
        verdicts, calls = Aside(VERDICTS, self.scratch), Aside(CALLS, self.scratch)
        # A few at a time, for each may have megabytes.
        while rows := odd.fetchmany(16):
            for row, file_no, line, raw in rows:
                if not raw.strip(" \t\r"):
                    verdicts.put((row, _BLANK, None))
                    continue
                verdict = self._verdict(file_no, raw.encode(), batches)
                if verdict.calls:
                    verdicts.put((row, _BATCH, None))
                    for part, call in enumerate(verdict.calls, 1):
                        calls.put((file_no, line, part, call))
                else:
                    verdicts.put((row, verdict.reason or "", verdict.detail))
        self.put(verdicts, "insert into verdicts select * from put_aside")
        return calls

    def _verdict(self, file_no: int, raw: bytes, batches: bool) -> exact.Verdict:
        return exact.judge(raw, batches=batches)

    def _append(self, table: str, rows: Sequence[tuple[Any, ...]], schema: pa.Schema) -> None:
        if rows:
            columns = [
                pa.array(column, field.type) for column, field in zip(zip(*rows, strict=True), schema, strict=True)
            ]
            self.connection.register("appended", pa.table(columns, schema=schema))
            self.connection.execute(f"insert into {table} select * from appended")
            self.connection.unregister("appended")

    def _one(self, query: str) -> Any:
        return engine.row(self.connection, query)[0]


class Source:
    """The pieces of one file as Arrow batches; lines that are no text are kept aside as they are."""

    def __init__(self, reader: chunks.Reader, scratch: Path) -> None:
        self.reader, self.scratch = reader, scratch
        self.refused = Aside(REFUSED, scratch)
        self.failure: Exception | None = None
        self.is_over = False
        self.sample: list[str] = []
        self._left = self.batches()
        self._n_sampled = 0

    def portion(self, size: int) -> Iterator[pa.RecordBatch]:
        """Yield the pieces up to about `size` bytes; `sample` is made of lines from all over them."""
        self.sample, self._n_sampled = [], max(1, _SAMPLED * chunks.CHUNK // size)
        while size > 0:
            batch = next(self._left, None)
            if batch is None:
                self.is_over = True
                return
            yield batch
            size -= batch.nbytes

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the pieces; what they raise is kept in `failure`."""
        try:
            for chunk in self.reader.chunks():
                if chunk.is_too_long:
                    detail = f"longer than {chunks.MAX_LINE} bytes; the start is kept"
                    self.refused.put((chunk.first, "too_long", detail, chunk.body[: 1 << 20]))
                    continue
                batch = self.batch(chunk.first, chunk.body)
                if _is_text(batch):
                    self.sample.extend(some_lines(chunk.body, self._n_sampled))
                    yield batch
                else:
                    yield self.batch(chunk.first, self._sifted(chunk))
        except Exception as error:
            # DuckDB turns what is raised in here into text; the caller raises the real one.
            self.failure = error
            raise

    @staticmethod
    def batch(first: int, body: bytes) -> pa.RecordBatch:
        """Return the lines `body`, numbered from `first`, without copying them."""
        offsets = pa.array([0, len(body)], pa.int32()).buffers()[1]
        text = pa.Array.from_buffers(pa.string(), 1, [None, offsets, pa.py_buffer(body)])
        return pa.record_batch([pa.array([first], pa.int64()), text], schema=CHUNKS)

    def _sifted(self, chunk: chunks.Chunk) -> bytes:
        lines = chunk.body.split(b"\n")
        for number, line in enumerate(lines):
            if not _is_utf8(line):
                verdict = exact.judge(line)
                self.refused.put((chunk.first + number, verdict.reason or "not_utf8", verdict.detail or "", line))
                lines[number] = b""
        return b"\n".join(lines)


def _is_text(batch: pa.RecordBatch) -> bool:
    """Say whether the batch is UTF-8; Arrow looks many times faster than Python decodes."""
    try:
        batch.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _is_utf8(body: bytes) -> bool:
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _literal(moment: datetime) -> str:
    return f"timestamp '{clock.naive(moment).isoformat(sep=' ')}'"


def _local_moment(times: Timestamps) -> str:
    """Return the macro for a time without a zone: null for one that the zone's clocks skipped."""
    if times.zone == "UTC":
        return "create or replace macro local_moment(x) as x"
    zone = engine.literal(times.zone)
    return (
        "create or replace macro local_moment(x) as"
        f" case when timezone({zone}, timezone({zone}, x)) = x then timezone({zone}, x)::timestamp end"
    )


def _moment(times: Timestamps) -> str:
    """Return the macro that reads a time as the source declares it; for ISO the one in macros.sql stands."""
    whole = {"epoch_ms": ("-?[0-9]{1,14}", 1000), "epoch_us": ("-?[0-9]{1,17}", 1)}
    if times.format == "epoch_s":
        return (
            "create or replace macro moment(x) as case when regexp_full_match(x, '-?[0-9]{1,12}([.][0-9]{1,6})?')"
            " then make_timestamp((x::decimal(38, 6) * 1000000)::bigint) end"
        )
    if times.format in whole:
        pattern, factor = whole[times.format]
        return (
            f"create or replace macro moment(x) as case when regexp_full_match(x, '{pattern}')"
            f" then make_timestamp(x::bigint * {factor}) end"
        )
    return "select 1"
