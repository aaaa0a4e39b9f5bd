"""By which keys does each sync know a person? From the rows that stand for it now, and those that plans have kept.

A row is a person's if its key has one of their ids or addresses, or if it names them in a column that says so (NAMES).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from tailrace import engine, ids
from tailrace.engine import identifier, literal
from tailrace.planning.store import Store
from tailrace.settings import Settings
from tailrace.warehouse.catalog import read_catalog

NAMES = ("person_id", "user_id", "userId", "customer_id", "external_id")


def keys(
    settings: Settings,
    connection: engine.Connection,
    salt: str,
    persons: Collection[int],
    users: Collection[str],
    addresses: Collection[str],
) -> dict[str, tuple[str, ...]]:
    """Return by sync the salted hashes of the keys of these people; `warehouse` is attached."""
    named = [*(str(person) for person in persons), *users]
    said = [*named, *addresses, *_network_hashes(addresses)]
    connection.execute(
        "create or replace temp table their_names as select unnest($said::varchar[]) as said", {"said": named}
    )
    connection.execute(
        "create or replace temp table their_words as select unnest($said::varchar[]) as said", {"said": said}
    )
    found: dict[str, set[str]] = {}
    for sync, source in _sources(settings, connection):
        in_data = " or ".join(f"(data ->> '$.{name}') in (select said from their_names)" for name in NAMES)
        rows = connection.execute(
            f"select distinct key from {source} where {in_data} or list_has_any("
            "list_transform(json_extract_string(key, '$.*'), lambda x: lower(trim(x))),"
            " (select list(lower(trim(said))) from their_words))"
        ).fetchall()
        found.setdefault(sync, set()).update(ids.salted(salt, "key", key) for (key,) in rows)
    return {sync: tuple(sorted(hashes)) for sync, hashes in sorted(found.items()) if hashes}


def _network_hashes(addresses: Collection[str]) -> Iterator[str]:
    """Yield the hashes by which advertising networks take an address."""
    for address in addresses:
        yield ids.digest(address)


def _sources(settings: Settings, connection: engine.Connection) -> Iterator[tuple[str, str]]:
    """Yield each sync with a relation (key, data: JSON text) that it had or has."""
    for name, model in sorted(read_catalog(settings).syncs.items()):
        relation = f"warehouse.{model.relation}"
        if engine.rows(connection, _EXISTS, {"schema": model.relation.split(".")[0], "name": name}):
            pairs = ", ".join(f"{identifier(key)} := {identifier(key)}::varchar" for key in model.keys)
            said = f"to_json(struct_pack({pairs}))::varchar as key, to_json(t)::varchar as data"
            yield name, f"(select {said} from {relation} as t)"
    store = Store(settings)
    for kind, columns in (("sync_ops", "key, data"), ("acknowledged", "key, null::varchar as data")):
        for sync, paths in sorted(_objects(store, settings, kind).items()):
            listed = ", ".join(literal(path) for path in paths)
            yield sync, f"(select {columns} from read_parquet([{listed}], union_by_name = true))"


_EXISTS = (
    "select 1 from duckdb_tables() where database_name = 'warehouse' and schema_name = $schema and table_name = $name"
)


def _objects(store: Store, settings: Settings, kind: str) -> Mapping[str, list[str]]:
    found: dict[str, set[str]] = {}
    for path in settings.plans.glob("*/plan.json"):
        for name, pieces in store.read(path.parent.name).relations.items():
            head, _, sync = name.partition(":")
            if head == kind:
                found.setdefault(sync, set()).update(str(store.path(piece)) for piece in pieces if piece.rows)
    return {sync: sorted(path for path in paths) for sync, paths in found.items() if paths}
