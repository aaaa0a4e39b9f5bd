"""How do the lines of those who were erased go from the landing? Files are written anew without them.

A new file stands beside the old one until the record (load.json, pack.json) names it, which is one rename; then the old
one goes. Killed anywhere, the same again finishes: what a record says is counted from what its files hold.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tailrace import clock, crash, durable, engine, ids
from tailrace.landing import chunks
from tailrace.landing.erased import Listed, said_of_them, show, theirs
from tailrace.landing.loads import Load, ParquetFile, event_files, loads, loads_dir, quarantine_files
from tailrace.landing.mirror import mirrored
from tailrace.landing.packs import Pack, pack_file, packed, packs, packs_dir
from tailrace.landing.quarantine import resolved_sql
from tailrace.settings import Settings

_EVENTS = " (format parquet, compression zstd, compression_level 1, row_group_size 65536, dictionary_size_limit 1000)"


@dataclass(frozen=True)
class Gone:
    """What went from the landing, or would: events, quarantined lines, rows of the journal's mirror, of so many loads.

    `mentions` are events of others whose text has one of the addresses; they stay.
    """

    events: int
    lines: int
    acts: int
    loads: int


def erase(settings: Settings, who: Listed, *, is_dry: bool) -> Gone:
    """Remove every line of theirs that has landed or is in quarantine; nobody may land or read meanwhile."""
    landed = loads(settings)
    with engine.connect(settings) as connection:
        show(connection, who)
        hits = _event_hits(settings, connection, landed)
        current = {str(path) for path in event_files(settings, landed)}
        events = sum(n for (path, _), n in hits.items() if path in current)
        lines = _line_hits(settings, connection, landed)
        acts = _act_hits(settings, connection, who)
        touched = {load_id for _, load_id in hits} | lines.keys()
        if not is_dry:
            _rewrite(settings, connection, landed, hits, touched)
            for path in acts:
                _rewrite_acts(connection, path, who)
                crash.here("erase.mirror_rewritten")
    if not is_dry:
        _clear(settings)
    return Gone(events, sum(lines.values()), sum(acts.values()), len(touched))


def forget_resolved(settings: Settings) -> None:
    """Remove the quarantined lines that a retry found to be of somebody who was erased; nobody may land meanwhile."""
    landed = loads(settings)
    files = quarantine_files(settings, landed)
    with engine.connect(settings) as connection:
        rows = connection.execute(
            f"select distinct q.load_id from {_relation(files)} as q where {_resolved(settings)}"
        ).fetchall()
        for load in landed:
            if (load.load_id,) in rows:
                _rewrite_load(settings, connection, load, _resolved(settings), None)
    _clear(settings)


def _relation(paths: Iterable[Path | str], extra: str = "") -> str:
    named = ", ".join(engine.literal(str(path)) for path in paths)
    return f"read_parquet([{named}], hive_partitioning = false{extra})"


def _event_hits(
    settings: Settings, connection: engine.Connection, landed: Sequence[Load]
) -> dict[tuple[str, str], int]:
    """Return by file and load how many events of theirs there are, in files that others took the place of too."""
    places = [loads_dir(settings) / load.load_id for load in landed]
    places += [packs_dir(settings) / pack.pack_id for pack in packs(settings)]
    files = [path for place in places for path in sorted(place.glob("events*.parquet"))]
    if not files:
        return {}
    relation = _relation(files, ", filename = true")
    condition = theirs(connection, relation)
    rows = connection.execute(
        f"select e.filename, e.load_id, count(*) from {relation} as e where {condition} group by all order by all"
    ).fetchall()
    return {(path, load_id): n for path, load_id, n in rows}


def _theirs_in_quarantine(settings: Settings) -> str:
    """Return the condition on a quarantined line `q`; one that a retry found to be theirs is theirs."""
    return f"({_resolved(settings)} or {said_of_them('q.raw')})"


def _resolved(settings: Settings) -> str:
    return f"q.quarantine_id in (select quarantine_id from {resolved_sql(settings)} where outcome = 'erased')"


def _line_hits(settings: Settings, connection: engine.Connection, landed: Sequence[Load]) -> dict[str, int]:
    files = [path for path in quarantine_files(settings, list(landed)) if path.exists()]
    if not files:
        return {}
    return dict(
        connection.execute(
            f"select q.load_id, count(*) from {_relation(files)} as q where {_theirs_in_quarantine(settings)}"
            " group by all order by all"
        ).fetchall()
    )


def _rewrite(
    settings: Settings,
    connection: engine.Connection,
    landed: Sequence[Load],
    hits: dict[tuple[str, str], int],
    touched: set[str],
) -> None:
    together = packed(settings)
    by_id = {load.load_id: load for load in landed}
    condition = _theirs_in_quarantine(settings)
    for load_id in sorted(touched):
        _rewrite_load(settings, connection, by_id[load_id], condition, together)
        crash.here("erase.load_rewritten")
    # The loads' records say less already; their pack follows.
    used = {pack.pack_id: pack for pack in together.values()}
    for pack_id in sorted({Path(path).parent.name for path, _ in hits} & used.keys()):
        _rewrite_pack(settings, connection, used[pack_id])
        crash.here("erase.pack_rewritten")
    # What others took the place of goes whole.
    for path in sorted({Path(path) for path, _ in hits}):
        if path.parent.parent == packs_dir(settings) and path.parent.name not in used and path.parent.exists():
            durable.remove(path.parent.rename(packs_dir(settings) / f".aside-{path.parent.name}"))
        elif path.parent.name in together and path.exists():
            path.unlink()


def _rewrite_load(
    settings: Settings,
    connection: engine.Connection,
    load: Load,
    lines: str,
    together: Mapping[str, Pack] | None,
) -> None:
    """Write the load's own files without what is theirs, and then its record; without `together`, events stay."""
    pack = together.get(load.load_id) if together is not None else None
    folder = loads_dir(settings) / load.load_id
    parts: list[ParquetFile] = []
    facts: dict[str, Any] = {}
    rewritten = together is not None and pack is None
    for part in load.parquet:
        path = folder / part.name
        if part.name.startswith("quarantine"):
            kept = _written(connection, path, "q", lines)
            facts |= _quarantine_facts(connection, folder, kept)
            parts += [kept] if kept else []
        elif part.name.startswith("events-") and rewritten:
            condition = theirs(connection, _relation([path]))
            kept = _written(connection, path, "e", condition)
            parts += [kept] if kept else []
        else:
            parts.append(part)
    if rewritten and any(part.name.startswith("events-") for part in load.parquet):
        files = [folder / part.name for part in parts if part.name.startswith("events-")]
        facts |= _event_facts(connection, files, "true")
    if pack is not None:
        file = _relation([pack_file(settings, pack)])
        condition = theirs(connection, file)
        mine = f"load_id = {engine.literal(load.load_id)}"
        facts |= _event_facts(connection, [pack_file(settings, pack)], f"{mine} and not {condition}")
        if not facts["landed"]:
            parts = [part for part in parts if not part.name.startswith("events-")]
    said = load.model_copy(update={**facts, "parquet": tuple(parts)})
    n_erased = said.lines - said.landed - said.duplicate - said.quarantined
    said = said.model_copy(update={"erased": n_erased})
    record = folder / "load.json"
    crash.here("erase.load_written")
    durable.write(record, said.model_dump_json(indent=1).encode())
    record.chmod(0o444)


def _event_facts(connection: engine.Connection, files: Sequence[Path], where: str) -> dict[str, Any]:
    if not files:
        return {"landed": 0, "first_event_at": None, "last_event_at": None}
    row = engine.row(
        connection, f"select count(*), min(e.event_at), max(e.event_at) from {_relation(files)} as e where {where}"
    )
    first, last = (moment and clock.parse(moment.isoformat()) for moment in row[1:])
    return {"landed": row[0], "first_event_at": first, "last_event_at": last}


def _quarantine_facts(connection: engine.Connection, folder: Path, kept: ParquetFile | None) -> dict[str, Any]:
    if kept is None:
        return {"quarantined": 0, "reasons": {}}
    reasons = dict(
        connection.execute(
            f"select reason, count(*) from {_relation([folder / kept.name])} group by reason order by reason"
        ).fetchall()
    )
    return {"quarantined": sum(reasons.values()), "reasons": reasons}


def _written(connection: engine.Connection, old: Path, alias: str, theirs: str) -> ParquetFile | None:
    """Write the file's rows but those, in their order, beside it; None when none is left.

    The name is of the content, so that doing it again writes the same.
    """
    query = (
        f"select * exclude (file_row_number) from {_relation([old], ', file_row_number = true')} as {alias}"
        f" where not {theirs} order by file_row_number"
    )
    aside = old.with_name(f".{old.name}.{os.getpid()}.tmp")
    durable.remove(aside)
    copied = connection.execute(f"copy ({query}) to {engine.literal(str(aside))}{_EVENTS}").fetchall()
    rows = int(copied[0][0])
    if not rows:
        aside.unlink()
        return None
    digest = chunks.sha256(aside)
    new = old.with_name(f"{_stem(old)}-{ids.digest(digest)[:8]}.parquet")
    part = ParquetFile(name=new.name, rows=rows, bytes=aside.stat().st_size, sha256=digest)
    aside.chmod(0o444)
    durable.move_in(aside, new)
    return part


def _stem(path: Path) -> str:
    """Return `events-1` of `events-1.parquet` and of what was written in its place."""
    kind, _, rest = path.stem.partition("-")
    number = rest.partition("-")[0]
    return f"{kind}-{number}" if number.isdigit() and len(number) < 8 else kind


def _rewrite_pack(settings: Settings, connection: engine.Connection, pack: Pack) -> None:
    path = pack_file(settings, pack)
    condition = theirs(connection, _relation([path]))
    kept = _written(connection, path, "e", condition)
    folder = packs_dir(settings) / pack.pack_id
    if kept is None:
        durable.remove(folder.rename(packs_dir(settings) / f".aside-{pack.pack_id}"))
        return
    with_rows = {
        row[0]
        for row in connection.execute(f"select distinct load_id from {_relation([folder / kept.name])}").fetchall()
    }
    said = pack.model_copy(
        update={
            # A load that has no event left is in no pack: it has no file.
            "loads": tuple(load_id for load_id in pack.loads if load_id in with_rows),
            "rows": kept.rows,
            "bytes": kept.bytes,
            "sha256": kept.sha256,
            "file": kept.name,
        }
    )
    durable.write(folder / "pack.json", said.model_dump_json(indent=1).encode())
    (folder / "pack.json").chmod(0o444)


def _act_hits(settings: Settings, connection: engine.Connection, who: Listed) -> dict[Path, int]:
    """Return the files of the journal's mirror that say what campaigns set of them, with how many rows do."""
    found = {}
    for path in mirrored(settings, "acts"):
        query = f"select count(*) from {_relation([path])} where value is not null and {_persons(who)}"
        if n := engine.row(connection, query)[0]:
            found[path] = int(n)
    return found


def _rewrite_acts(connection: engine.Connection, path: Path, who: Listed) -> None:
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    durable.remove(aside)
    connection.execute(
        f"copy (select * replace (case when not {_persons(who)} then value end as value) from {_relation([path])})"
        f" to {engine.literal(str(aside))} (format parquet, compression zstd)"
    )
    aside.chmod(0o444)
    durable.move_in(aside, path)


def _persons(who: Listed) -> str:
    return f"coalesce(person_id in ({', '.join(str(int(person)) for person in who.persons) or 'null'}), false)"


def _clear(settings: Settings) -> None:
    """Remove from the folders of loads and packs what their records do not name."""
    for load in loads(settings):
        _keep_only(loads_dir(settings) / load.load_id, {part.name for part in load.parquet})
    for pack in packs(settings):
        _keep_only(packs_dir(settings) / pack.pack_id, {pack.file})
    crash.here("erase.landing_cleared")


def _keep_only(folder: Path, names: Collection[str]) -> None:
    gone = [path for path in folder.iterdir() if path.name.endswith((".parquet", ".tmp")) and path.name not in names]
    for path in gone:
        path.unlink()
    if gone:
        durable.fsync_dir(folder)
