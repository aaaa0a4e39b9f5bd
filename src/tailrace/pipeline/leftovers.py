"""What else in the data directory says something of people who are erased? Files that were written, and what dbt left.

The inbox, the outbox, dbt's folder, scratch, the warehouse and its copy for readers. Everything here can be done again.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from tailrace import crash, durable, engine, ids
from tailrace.errors import DataError
from tailrace.landing import chunks, erased
from tailrace.landing.erased import Listed
from tailrace.landing.loads import loads
from tailrace.settings import Settings

_PARQUET = b"PAR1"


@dataclass(frozen=True)
class Files:
    """Files that go, or would: landed ones that the inbox still has, and what the outbox wrote; rows of its batches.

    `waiting` stand in the inbox, name them, and have not landed: they stay, and landing will leave their lines out. So
    will those that are `unread`: damaged, not written to their end yet, or compressed in a way that no landing reads.
    """

    inbox: int
    waiting: int
    unread: int
    outbox: int
    rows: int


def remove(settings: Settings, who: Listed, intents: Collection[str], *, is_dry: bool) -> Files:
    """Remove their lines' files from the inbox and the outbox; nobody may land or deliver meanwhile."""
    landed, waiting, unread = _inbox(settings, who)
    mails, n_rows = _outbox(settings, who, intents, is_dry=is_dry)
    if not is_dry:
        for path in (*landed, *mails):
            path.unlink()
            crash.here("erase.file_removed")
    return Files(len(landed), len(waiting), len(unread), len(mails), n_rows)


def remove_rebuildable(settings: Settings) -> None:
    """Remove what the next build makes anew: the warehouse and its copy, what dbt compiled and said, scratch."""
    for database in (settings.warehouse, settings.published):
        # The log first: alone, it would be taken for the next file's.
        durable.remove(database.with_name(database.name + ".wal"))
        durable.remove(database)
        crash.here("erase.database_removed")
    dbt = settings.data_dir / "dbt"
    for place in (dbt / "logs", dbt / "results.json", dbt / "target" / "run", dbt / "target" / "compiled"):
        durable.remove(place)
    durable.remove(dbt / "target" / "run_results.json")
    for entry in settings.scratch.iterdir() if settings.scratch.is_dir() else ():
        durable.remove(entry)
    for left in settings.data_dir.glob(".*.duckdb.*.tmp*"):
        durable.remove(left)
    crash.here("erase.leftovers_removed")


def _inbox(settings: Settings, who: Listed) -> tuple[list[Path], list[Path], list[Path]]:
    """Return the files of the inbox that name them, those that have landed, byte for byte, and the others; and those
    that cannot be read.
    """
    if not settings.inbox.is_dir():
        return [], [], []
    known = {(load.source, file.sha256) for load in loads(settings) for file in load.files}
    landed: list[Path] = []
    waiting: list[Path] = []
    unread: list[Path] = []
    with engine.connect(settings) as connection:
        erased.show(connection, who)
        for source in sorted(path for path in settings.inbox.iterdir() if path.is_dir()):
            for path in sorted(path for path in source.rglob("*") if path.is_file()):
                try:
                    if _names(connection, path):
                        (landed if (source.name, chunks.sha256(path)) in known else waiting).append(path)
                except (DataError, duckdb.Error):
                    unread.append(path)
    return landed, waiting, unread


def _names(connection: engine.Connection, path: Path) -> bool:
    """Return whether the file has one of their ids or addresses as a word.

    Raises DataError or duckdb.Error when it cannot be read to its end, before one was found.
    """
    query = (
        "select 1 from (select distinct unnest(erased_words(line)) as word from {lines})"
        " where erased_hash('user', word) in (select hash from erased_users)"
        " or erased_hash('anonymous', word) in (select hash from erased_devices)"
        " or erased_hash('address', lower(trim(word))) in (select hash from erased_addresses) limit 1"
    )
    with path.open("rb") as handle:
        is_parquet = handle.read(4) == _PARQUET
    if is_parquet:
        lines = f"(select to_json(file)::varchar as line from read_parquet({engine.literal(str(path))}) as file)"
        return bool(connection.execute(query.format(lines=lines)).fetchall())
    lines = "(select unnest(string_split($text::varchar, chr(10))) as line)"
    for chunk in chunks.Reader(path).chunks():
        values = {"text": chunk.body.decode("utf-8", "replace")}
        if connection.execute(query.format(lines=lines), values).fetchall():
            return True
    return False


def _outbox(settings: Settings, who: Listed, intents: Collection[str], *, is_dry: bool) -> tuple[list[Path], int]:
    """Return the files of messages to them, and how many rows of theirs sync batches have; these go unless `is_dry`."""
    files = [path for path in sorted(settings.outbox.rglob("*.*")) if path.is_file()]
    mails = [path for path in files if path.stem in intents]
    mails += _trials(settings, who, [path for path in files if path.name.startswith("test-")])
    n_rows = 0
    for sync, hashes in who.keys.items():
        for path in sorted((settings.outbox / sync).glob("*.json")):
            document = json.loads(path.read_bytes())
            kept = [row for row in document["rows"] if _key(who.salt, row) not in hashes]
            n_rows += len(document["rows"]) - len(kept)
            if not is_dry and len(kept) < len(document["rows"]):
                durable.write(path, _json({**document, "rows": kept}))
                crash.here("erase.batch_rewritten")
    return mails, n_rows


def _trials(settings: Settings, who: Listed, files: Collection[Path]) -> list[Path]:
    """Return those of the messages that were sent by hand which name them: no plan knows to whom they were."""
    if not files:
        return []
    with engine.connect(settings) as connection:
        erased.show(connection, who)
        return [path for path in files if _names(connection, path)]


def _key(salt: str, row: dict[str, Any]) -> str:
    text = json.dumps(row["key"], ensure_ascii=False, separators=(",", ":"))
    return ids.salted(salt, "key", text)


def _json(document: object) -> bytes:
    return json.dumps(document, ensure_ascii=False, indent=1, sort_keys=True).encode() + b"\n"
