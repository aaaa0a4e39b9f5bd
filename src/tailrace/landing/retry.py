"""What happens when quarantined lines are tried again? What lands now becomes a load; the rest stays where it is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from tailrace import engine
from tailrace.errors import DataError
from tailrace.landing import erasing
from tailrace.landing.backfills import OUTSIDE
from tailrace.landing.contract import load_contract
from tailrace.landing.formats import stage_for
from tailrace.landing.land import RETRY, Draft, Landed, landing
from tailrace.landing.loads import loads, quarantine_files
from tailrace.landing.quarantine import resolved_sql
from tailrace.settings import Settings


def kinds(settings: Settings, source: str | None = None) -> list[tuple[str, bool]]:
    """Return the kinds of lines that a retry would try, each for a load of its own: (source, is it history)."""
    files = [str(path) for path in quarantine_files(settings, loads(settings))]
    return _kinds(settings, files, source, None, None)


def retry(
    settings: Settings,
    *,
    as_of: datetime,
    source: str | None = None,
    ids: Sequence[str] | None = None,
    history: bool | None = None,
) -> Landed:
    """Land the open quarantined lines of `source` again (or those with `ids`), by the contract as it is now.

    With `history`, only those that are history, or only those that are not.

    Lines that land now, or turn out to be landed, are resolved by the new load; the others stay in quarantine.
    Doing it twice changes nothing more. History lines come back as history only with history lines. What a backfill's
    range kept out comes back by its id only: nobody meant it when all the others are tried.

    Raises DataError when lines of several sources, or of history and not, would have to be one load: choose a kind.
    """
    with landing(settings):
        before = loads(settings)
        files = quarantine_files(settings, before)
        found = _kinds(settings, [str(path) for path in files], source, ids, history)
        if not found:
            return Landed(source or "", None, 0, 0, 0, 0, 0, (), ())
        if len(found) > 1:
            listed = ", ".join(f"{name}{' (history)' if is_history else ''}" for name, is_history in found)
            raise DataError(f"the quarantined lines are of {listed}; expected one kind for one load: choose one")
        ((name, is_history),) = found
        contract = load_contract(settings, name)
        with stage_for(settings, contract) as stage:
            taken = engine.statement("tailrace.landing", "taken")
            stage.connection.execute(taken.replace("{open}", _open(settings, files, source, ids, history)))
            stage.connection.execute("insert into files select distinct file_no, file, header from taken")
            # Lines that are no text never can land: they are counted here, and stay.
            stage.connection.execute(
                "insert into refused select file_no, line, part, reason, detail, raw from taken"
                " where try(decode(raw)) is null"
            )
            stage.again("select file_no, line, part, decode(raw) as l from taken where try(decode(raw)) is not null")
            stage.judge()
            draft = Draft(settings, contract, stage, before, as_of, is_history, RETRY)
            done = draft.finish_retry()
        if done.erased:
            erasing.forget_resolved(settings)
        return done


def _kinds(
    settings: Settings, files: list[str], source: str | None, ids: Sequence[str] | None, history: bool | None
) -> list[tuple[str, bool]]:
    if not files:
        return []
    connection = engine.connect(settings)
    try:
        return connection.execute(
            f"select distinct source, is_history from ({_open(settings, files, source, ids, history)}) order by all"
        ).fetchall()
    finally:
        connection.close()


def _open(
    settings: Settings, files: Sequence[object], source: str | None, ids: Sequence[str] | None, history: bool | None
) -> str:
    """Return the statement for the open lines that are meant."""
    listed = ", ".join(engine.literal(str(path)) for path in files)
    where = [f"quarantine_id not in (select quarantine_id from {resolved_sql(settings)})"]
    if source is not None:
        where.append(f"source = {engine.literal(source)}")
    if history is not None:
        where.append(f"is_history = {str(history).lower()}")
    if ids is not None:
        where.append(f"quarantine_id in ({', '.join(engine.literal(each) for each in ids) or 'null'})")
    else:
        where.append(f"reason <> {engine.literal(OUTSIDE)}")
    return f"select * from read_parquet([{listed}]) where {' and '.join(where)}"
