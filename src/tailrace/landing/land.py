"""How do files become a load? Read once, judged, deduplicated, written aside, renamed: all of it or nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

from tailrace import clock, crash, durable, engine, ids
from tailrace.errors import DataError
from tailrace.landing import backfills, database, doubles, erased, inputs, schema
from tailrace.landing.backfills import Asked
from tailrace.landing.contract import Contract, load_contract
from tailrace.landing.formats import stage_for
from tailrace.landing.inputs import Input
from tailrace.landing.loads import Breach, LandedFile, Load, event_files, loads, loads_dir
from tailrace.landing.parts import Parts
from tailrace.landing.pieces import BITS, PREFIX
from tailrace.landing.stage import Stage
from tailrace.settings import Settings

_PACKAGE = "tailrace.landing"
RETRY = "retry of quarantined lines"
_NO_LINE = "('(blank)', '(batch)')"


@dataclass(frozen=True)
class Landed:
    """What a landing did: lines = landed + duplicate + quarantined + erased. `load_id` is None when nothing was new.

    `known_files` were landed before, byte for byte, and were not read again: their lines are not counted. `known_load`
    is the load that the same backfill has made before; nothing was read again then. `skipped` are files that were found
    and passed over: hidden or unfinished ones. `changed` are objects of a store that landed before, with other content.
    `notices` say what is new about the columns.
    """

    source: str
    load_id: str | None
    lines: int
    landed: int
    duplicate: int
    quarantined: int
    n_conflicting: int
    files: tuple[str, ...]
    known_files: tuple[str, ...]
    reasons: dict[str, int] = field(default_factory=dict)
    history: bool = False
    known_load: str | None = None
    skipped: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    breaches: tuple[Breach, ...] = ()
    erased: int = 0


def land(
    settings: Settings,
    paths: Sequence[Path | str],
    source: str,
    *,
    as_of: datetime,
    history: bool = False,
    reason: str | None = None,
    asked: Asked | None = None,
) -> Landed:
    """Land the files that `paths` mean (`inputs.find`), or what is new in the source's table, as one load or as none.

    Afterwards every line is landed, a duplicate or in quarantine. Files that are landed already change nothing.
    `history` marks a load that never triggers anything, and needs a `reason`. `asked` is kept with it; with a range,
    what happened outside of it is quarantined.

    Raises DefinitionError for a wrong contract, DataError for a file that cannot be read (then nothing was landed) and
    for an empty range, Busy when another landing is under way.
    """
    if history and not reason:
        raise DataError("a history load has no reason; expected one: say why with `--reason`")
    contract = load_contract(settings, source)
    narrow = backfills.narrowed(contract, asked)
    with landing(settings), _scratch(settings) as folder:
        before = loads(settings)
        found, pulled = _found(settings, contract, paths, before, folder, whole=history)
        request, done = _requested(settings, source, found.inputs, before, asked)
        # Of a file whose lines a range kept out there is more to land.
        whole = [load for load in before if load.source == source and backfills.OUTSIDE not in load.reasons]
        fresh, known = inputs.fresh(found.inputs, whole)
        notices = pulled.changes if pulled else ()
        if done is not None or not fresh:
            names = tuple(each.name for each in (found.inputs if done else known))
            return Landed(source, None, 0, 0, 0, 0, 0, (), names, {}, history, done, found.skipped, notices=notices)
        with stage_for(settings, narrow) as stage:
            read = []
            for number, each in enumerate(fresh, 1):
                read.append(_read(stage, number, each, folder))
                stage.pieces.join()
            stage.read_held()
            stage.judge()
            if narrow is not contract:
                backfills.tell_apart(stage, contract.timestamps)
            # Of a range there is more to read: the table is not read up to here.
            mark = pulled.mark if pulled and narrow is contract else None
            columns, known_columns = stage.columns(), schema.last(before, source)
            notices += schema.changes(known_columns, columns, stage.needed)
            draft = Draft(settings, contract, stage, before, as_of, history, reason, asked, request, mark, columns)
            landed = draft.finish(read, tuple(each.name for each in known))
            return replace(landed, skipped=found.skipped, changed=inputs.changed(fresh, whole), notices=notices)


@contextmanager
def _scratch(settings: Settings) -> Iterator[Path]:
    settings.scratch.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=settings.scratch, prefix=PREFIX) as folder:
        yield Path(folder)


def _found(
    settings: Settings,
    contract: Contract,
    paths: Sequence[Path | str],
    before: list[Load],
    folder: Path,
    *,
    whole: bool,
) -> tuple[inputs.Found, database.Pulled | None]:
    """Return what is to be landed: files, or of a table the rows that may be new, or the `whole` of it, as a file."""
    if contract.origin is None:
        if not paths:
            raise DataError(f"no PATH is named; expected files to land, for source {contract.source} is no table")
        return inputs.find(paths), None
    if paths:
        raise DataError(
            f"source {contract.source} is a table ({contract.origin.name}), and a PATH is named; expected none: what is"
            " new in the table is read. Nothing was landed."
        )
    pulled = database.pull(contract, before, settings, folder, whole=whole)
    return inputs.Found((Input(pulled.path, contract.origin.name),), ()), pulled


def _requested(
    settings: Settings, source: str, found: Sequence[Input], before: Sequence[Load], asked: Asked | None
) -> tuple[str, str | None]:
    """Return the hash of the request, and the load that it has made before if it has."""
    if asked is None:
        return "", None
    request = backfills.request_of(source, asked, [each.token() for each in found])
    done = backfills.find(settings, request, before)
    return request, done.load_id if done else None


@contextmanager
def landing(settings: Settings) -> Iterator[None]:
    """Be the only one who lands, and remove what a landing that died left aside."""
    with durable.exclusive(settings.data_dir / "landing.lock", "a landing"):
        for left in (*loads_dir(settings).glob(".aside-*"), *settings.scratch.glob(f"{PREFIX}*")):
            durable.remove(left)
        yield


def _read(stage: Stage, number: int, each: Input, folder: Path) -> LandedFile:
    with each.here(folder) as path:
        try:
            return _read_here(stage, number, each, path)
        except DataError as error:
            if each.remote is None:
                raise
            raise DataError(str(error).replace(str(path), each.name)) from error


def _read_here(stage: Stage, number: int, each: Input, path: Path) -> LandedFile:
    about = path.stat()
    header = stage.header(path)
    stage.connection.execute("insert into files values (?, ?, ?)", [number, each.name, header])
    digest = stage.read(number, path)
    after = path.stat()
    if (about.st_size, about.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise DataError(
            f"{path}: the file changed while it was read; expected a finished file: land it again when its writer"
            " is done. Nothing of this call was landed."
        )
    mtime_ns, etag = (each.remote.mtime_ns, each.remote.etag) if each.remote else (about.st_mtime_ns, None)
    return LandedFile(name=each.name, bytes=about.st_size, mtime_ns=mtime_ns, sha256=digest, lines=0, etag=etag)


@dataclass
class Draft:
    """A load in the making, from a judged stage."""

    settings: Settings
    contract: Contract
    stage: Stage
    before: list[Load]
    as_of: datetime
    history: bool
    reason: str | None
    asked: Asked | None = None
    request: str = ""
    mark: database.Mark | None = None
    columns: schema.Columns = field(default_factory=dict)
    _n_erased: int = field(default=0, init=False)
    _sum_of_ids: int = field(default=0, init=False)

    def finish(self, read: list[LandedFile], known: tuple[str, ...]) -> Landed:
        """Write and rename the load, unless nothing in it is new."""
        self._sort()
        lines = self._per_file()
        n_lines = sum(lines.values())
        n_landed, n_duplicate = self._n_landed(), self._one("select count(*) from losers")
        n_bad = self._one("select count(*) from quarantined")
        reasons = dict(
            self.stage.connection.execute(
                "select reason, count(*) from quarantined group by reason order by reason"
            ).fetchall()
        )
        if n_lines != n_landed + n_duplicate + n_bad + self._n_erased:
            raise DataError(
                f"source {self.contract.source}: {n_lines} lines were read, but {n_landed} landed + {n_duplicate}"
                " duplicate"
                f" + {n_bad} quarantined + {self._n_erased} erased were counted; expected the same number. Nothing was"
                " landed: this is a fault in tailrace, please report it."
            )
        n_conflicting = self._one("select count(*) from losers where is_conflicting")
        load_id = None
        if n_landed or n_bad:
            files = tuple(file.model_copy(update={"lines": lines.get(n, 0)}) for n, file in enumerate(read, 1))
            load_id = self._write(files, n_lines, n_landed, n_duplicate, n_bad, n_conflicting, reasons)
        names = tuple(file.name for file in read)
        counts = (n_lines, n_landed, n_duplicate, n_bad, n_conflicting)
        done = Landed(self.contract.source, load_id, *counts, names, known, reasons, self.history)
        return replace(done, breaches=self._breaches, erased=self._n_erased)

    def finish_retry(self) -> Landed:
        """Write and rename the load of lines that came from the table `taken`, unless none of them can land now."""
        self._sort()
        n_taken, n_duplicate = self._one("select count(*) from taken"), self._one("select count(*) from losers")
        n_ready = self._n_landed() + n_duplicate
        source, load_id = self.contract.source, None
        n_erased = self._n_erased
        if n_ready or n_erased:
            self.stage.connection.execute(
                "create table resolved as select t.quarantine_id, case when l.row_no is null then 'landed' else"
                " 'duplicate'"
                " end as outcome from ready as r inner join taken as t"
                " on t.file_no = r.file_no and t.line = r.line and t.part = r.part"
                " left join losers as l on r.row_no = l.row_no order by t.quarantine_id"
            )
            erased.resolve(self.stage.connection)
            n_conflicting = self._one("select count(*) from losers where is_conflicting")
            n_done = n_ready + n_erased
            load_id = self._write((), n_done, n_ready - n_duplicate, n_duplicate, 0, n_conflicting, {})
        named = self.stage.connection.execute("select distinct name from files order by 1").fetchall()
        names = tuple(row[0] for row in named)
        reasons = dict(
            self.stage.connection.execute(
                "select reason, count(*) from quarantined group by reason order by reason"
            ).fetchall()
        )
        return Landed(
            source,
            load_id,
            n_taken,
            n_ready - n_duplicate,
            n_duplicate,
            n_taken - n_ready - n_erased,
            0,
            names,
            (),
            reasons,
            self.history,
            breaches=self._breaches,
            erased=n_erased,
        )

    def _sort(self) -> None:
        connection = self.stage.connection
        self.stage.breaches.judge()
        connection.execute(engine.statement(_PACKAGE, "ready"))
        self._n_erased = erased.leave_out(self.settings, connection)
        connection.execute("create view ready as select * from sorted where reason is null")
        # A table, so that lines are read of its rows only: those of batches may be long, and are no lines.
        connection.execute(
            f"create table unlandable as select row_no, reason, detail from sorted where reason not in {_NO_LINE}"
        )
        connection.execute(
            "create view quarantined as select s.file_no, s.line, s.part, u.reason, u.detail, encode(s.raw) as raw"
            " from stage as s inner join unlandable as u on s.row_no = u.row_no union all select * from refused"
        )
        earlier = event_files(self.settings, [load for load in self.before if load.source == self.contract.source])
        # By the ids alone first: all that an event says is read only of the files that have one of them.
        files = [str(path) for path in earlier]
        if files:
            query = (
                "select distinct filename from read_parquet($files, filename = true)"
                " where event_id in (select event_id from ready)"
            )
            files = [name for (name,) in connection.execute(query, {"files": files}).fetchall()]
        if files:
            connection.execute(
                "insert into landed_before select event_id, hash(type, event, user_id, anonymous_id,"
                " previous_id, group_id, properties, traits, context, rest) from read_parquet($files)"
                " where event_id in (select event_id from ready)",
                {"files": files},
            )
        self._sum_of_ids = doubles.find(connection, self.settings.scratch)
        connection.execute(engine.statement(_PACKAGE, "tally").replace("{bits}", str(BITS)))

    def _n_landed(self) -> int:
        return self._one("select coalesce(sum(n_rows), 0) from tally")

    def _per_file(self) -> dict[int, int]:
        """Return the lines read of each file, counted apart from what became of them."""
        return dict(
            self.stage.connection.execute(
                "select file_no, count(*) from (select s.file_no from stage as s where s.row_no not in"
                f" (select row_no from verdicts where reason in {_NO_LINE})"
                " union all select file_no from refused union all select file_no from erased_refused) group by file_no"
            ).fetchall()
        )

    @cached_property
    def _breaches(self) -> tuple[Breach, ...]:
        """Return which contracts were broken how often; what stays in quarantine after a retry was counted before."""
        counted = self.stage.breaches.counts()
        return tuple(
            Breach(
                event=rule.event,
                property=rule.property,
                words=rule.words,
                landed=not rule.refuses,
                events=n_events,
            )
            for rule, n_events in counted
            if self.reason != RETRY or not rule.refuses
        )

    def _one(self, query: str) -> int:
        return int(engine.row(self.stage.connection, query)[0])

    def _fingerprint(self) -> str:
        """Return a text that is the same for the same rows in whatever order they came, in any version of DuckDB."""
        n_rows, moments = engine.row(
            self.stage.connection, "select coalesce(sum(n_rows), 0), coalesce(sum(moments), 0) from tally"
        )
        (kept_out,) = engine.row(
            self.stage.connection,
            "select count(*) || ' ' || coalesce(sum(id_number(reason || md5(raw))::hugeint), 0) from quarantined"
            f" where {str(self.reason != RETRY).lower()}",
        )
        taken = "select quarantine_id from resolved order by 1" if self.reason == RETRY else "select '' where false"
        ids_taken = [row[0] for row in self.stage.connection.execute(taken).fetchall()]
        return " ".join([f"{n_rows} {self._sum_of_ids} {moments}", str(kept_out), *ids_taken])

    def _load_id(self, n_landed: int) -> str:
        # Two ranges may keep out the same lines, and land nothing: they are two loads.
        ranged = [self.request] if self.asked is not None and self.asked.is_ranged else []
        said = [self.contract.source, self._fingerprint(), "history" if self.history else "", *ranged]
        load_id = ids.digest(*said)[:16]
        # So are two files with the same bad lines, of which nothing else is new.
        while not n_landed and any(load.load_id == load_id for load in self.before):
            load_id = ids.digest(*said, load_id)[:16]
        return load_id

    def _write(
        self,
        files: tuple[LandedFile, ...],
        n_lines: int,
        n_landed: int,
        n_duplicate: int,
        n_bad: int,
        n_conflicting: int,
        reasons: dict[str, int],
    ) -> str:
        source = self.contract.source
        load_id = self._load_id(n_landed)
        load_seq = max((load.load_seq for load in self.before), default=0) + 1
        final = loads_dir(self.settings) / load_id
        if final.exists():
            raise DataError(f"{final}: this load is there already, yet its rows are not; expected both or neither")
        aside = loads_dir(self.settings) / f".aside-{os.getpid()}"
        aside.mkdir(parents=True)
        span = engine.row(self.stage.connection, "select min(first_at), max(last_at) from tally")
        first, last = (moment and clock.parse(moment.isoformat()) for moment in span)
        # All that is asked of the rows is asked before some of them go from the stage.
        breaches, warned = self._breaches, self.stage.breaches.warned()
        written = Parts(
            self.stage,
            aside,
            source=source,
            load_id=load_id,
            load_seq=load_seq,
            is_history=self.history,
            landed_at=self.as_of,
        )
        parts = []
        if n_bad:
            parts.append(written.copied("refused", "quarantine"))
        if self._one("select count(*) from duckdb_tables() where table_name = 'resolved'"):
            parts.append(written.copied("resolved", "resolved"))
        if n_landed:
            parts[:0] = written.events(n_landed)
        crash.here("land.staged")
        load = Load(
            load_id=load_id,
            load_seq=load_seq,
            source=source,
            is_history=self.history,
            reason=self.reason,
            landed_at=self.as_of,
            files=files,
            lines=n_lines,
            landed=n_landed,
            duplicate=n_duplicate,
            quarantined=n_bad,
            erased=self._n_erased,
            n_conflicting=n_conflicting,
            reasons=reasons,
            parquet=tuple(parts),
            columns=schema.merged(
                schema.last(self.before, source), self.columns, is_open=self.stage.needed is not None
            ),
            first_event_at=first,
            last_event_at=last,
            breaches=breaches,
            warned=warned,
        )
        if self.asked is not None:
            backfills.write(aside, self.request, self.asked)
        if self.mark is not None:
            database.write(aside, self.mark)
        durable.write(aside / "load.json", load.model_dump_json(indent=1).encode())
        crash.here("land.recorded")
        for path in aside.iterdir():
            # Whoever opens it by accident, SQL of a dbt project for one, cannot write it.
            path.chmod(0o444)
        durable.move_in(aside, final)
        crash.here("land.moved")
        return load_id
