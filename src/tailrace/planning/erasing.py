"""How do people who are erased go from the plans? Objects with their values are written anew without them.

What has values of a person goes: payloads, acts, what a trigger watched, the event that started a pass, the rows of
syncs. A pass of theirs is over. HEAD's memberships forget them, so that the next plan does not say that they left. What
is ids and words only (verdicts, transitions, changes, memberships of older plans) stays with the plan that it is of.

In this order, each step durable before the next: plans that nobody applied go; what is left of each object is written;
the record (`erased.json`) lets it be read in place of the other; then the other goes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from pathlib import Path

from tailrace import crash, durable, engine
from tailrace.engine import literal
from tailrace.planning import collected, erased, relations
from tailrace.planning.collected import Collected
from tailrace.planning.erased import Correction
from tailrace.planning.passes import ORDER
from tailrace.planning.store import Piece, Plan, Store
from tailrace.planning.verdict import Why
from tailrace.settings import Settings

HEADS = ("memberships",)


@dataclass(frozen=True)
class Whose:
    """Whose rows go: the people, and by sync the salted hashes of their keys, of which `held` ones stay for now.

    `people` is how many of them the warehouse had.
    """

    erasure_id: str
    persons: tuple[int, ...]
    people: int
    salt: str = field(repr=False)
    keys: Mapping[str, Collection[str]]
    held: Collection[str] = ()


@dataclass(frozen=True)
class Forgotten:
    """What went from the plans, or would: rows by relation, passes that are over, plans that nobody had applied."""

    rows: Mapping[str, int]
    passes: int
    plans: int


def erase(settings: Settings, whose: Whose, applied: Collection[str], on: datetime, *, is_dry: bool) -> Forgotten:
    """Let the plans forget them. Nobody may make, apply or deliver a plan meanwhile; doing it again changes nothing.

    `applied` are the plans that ever were. Raises DataError when a plan of the store is damaged.
    """
    store = Store(settings)
    there = {path.parent.name: store.read(path.parent.name) for path in settings.plans.glob("*/plan.json")}
    lineage = {name for name, _ in store.chain(store.head())}
    stray = {name for name in there if name not in applied and name not in lineage}
    if not is_dry:
        _remove_plans(settings, store, there, stray, on)
    kept = {name: plan for name, plan in there.items() if name not in stray}
    rows: dict[str, int] = {}
    objects: dict[str, str] = {}
    passes = 0
    with engine.connect(settings) as connection:
        connection.execute(
            f"create temp macro salted(kind, said) as sha256(concat_ws(chr(31), {literal(whose.salt)}, kind, said))"
        )
        correction = _correction(connection, store, kept.get(store.head() or ""), whose)
        for change in _changes(store, kept, whose):
            hits = change.hits(connection)
            if not hits:
                continue
            rows[change.kind] = rows.get(change.kind, 0) + sum(hits.values())
            if change.kind == "enrollments":
                passes += change.active(connection, hits)
            if not is_dry:
                objects |= change.rewrite(connection, store, hits)
    if not is_dry:
        _record(settings, store, whose, objects, correction)
        _remove_objects(settings, kept)
    return Forgotten(dict(sorted(rows.items())), passes, len(stray))


@dataclass(frozen=True)
class _Change:
    """What happens to the objects of a relation: the rows that `where` is true of go, or become what `becomes` says."""

    kind: str
    paths: Mapping[str, Path]
    where: str
    becomes: Callable[[Collection[str]], str] | None = None
    order: str | None = None

    def hits(self, connection: engine.Connection) -> dict[str, int]:
        """Return, by the hash that plans name the object by, how many of its rows are meant."""
        if not self.paths:
            return {}
        found = dict(
            connection.execute(
                f"select filename, count(*) from read_parquet([{_listed(self.paths.values())}], filename = true,"
                f" union_by_name = true) where {self.where} group by filename"
            ).fetchall()
        )
        return {sha: found[str(path)] for sha, path in sorted(self.paths.items()) if str(path) in found}

    def active(self, connection: engine.Connection, hits: Mapping[str, int]) -> int:
        """Return how many passes among the rows are still on their way, each once."""
        paths = [self.paths[sha] for sha in hits]
        query = (
            f"select count(distinct enrollment_id) from read_parquet([{_listed(paths)}], union_by_name = true)"
            f" where {self.where} and status = 'active'"
        )
        return int(engine.row(connection, query)[0])

    def rewrite(self, connection: engine.Connection, store: Store, hits: Mapping[str, int]) -> dict[str, str]:
        """Store what is left of the objects, and return which is read in place of which."""
        made = {}
        for sha in hits:
            source = f"read_parquet({literal(str(self.paths[sha]))})"
            if self.becomes is None:
                query = f"select * from {source} where not coalesce({self.where}, false)"
            else:
                names = engine.columns(connection, source)
                query = f"select * replace ({self.becomes(names)}) from {source}"
                if self.order is not None and "wake_at" in names:
                    query += f" order by {self.order}"
            made[sha] = store.put(connection, query).sha256
            crash.here("erase.object_written")
        return made


def _changes(store: Store, there: Mapping[str, Plan], whose: Whose) -> Iterator[_Change]:
    persons = ", ".join(str(int(person)) for person in whose.persons) or "null"
    theirs = f"coalesce(person_id in ({persons}), false)"
    keys = ", ".join(f"'{person}'" for person in whose.persons) or "null"
    head = store.head()
    yield _Change("payloads", _objects(store, there, "payloads"), theirs)
    yield _Change("acts", _objects(store, there, "acts"), theirs)
    yield _Change("watched", _objects(store, there, "watched"), f"key in ({keys})")
    newest = {head: there[head]} if head is not None and head in there else {}
    yield _Change("memberships", _objects(store, newest, "memberships"), theirs)
    # An alias of theirs is gone from the landing: the next plan is not to take that for two people who part.
    either = f"({theirs} or coalesce(into_person_id in ({persons}), false))"
    yield _Change("merges", _objects(store, newest, "merges"), either)
    yield _Change(
        "enrollments",
        _objects(store, there, "enrollments"),
        f"{theirs} and (status = 'active' or event is not null or occurrence not in ('', {literal(Why.ERASED)}))",
        partial(_over, theirs),
        ORDER,
    )
    for sync, hashes in sorted(whose.keys.items()):
        mine = f"salted('key', key) in ({', '.join(literal(each) for each in sorted(hashes)) or 'null'})"
        ops, known = (_objects(store, there, kind, sync) for kind in ("sync_ops", "acknowledged"))
        if sync in whose.held:
            yield _Change("sync_ops", ops, f"{mine} and data is not null", partial(_mute, mine, "key"))
        else:
            yield _Change("sync_ops", ops, mine, partial(_mute, mine, "'{\"erased\":true}'"))
            yield _Change("acknowledged", known, mine)


def _over(theirs: str, names: Collection[str]) -> str:
    """Return how a pass of theirs reads: it is over, and nothing says what began it."""
    said = {
        "status": f"case when status = 'active' then {literal(Why.ERASED)} else status end",
        "step": "case when status = 'active' then null else step end",
        "event": "null",
        "occurrence": f"case when occurrence = '' then '' else {literal(Why.ERASED)} end",
        "object_id": "null",
        "wake_at": relations.FOREVER,
    }
    return ", ".join(
        f"case when {theirs} then {sql} else {name} end as {name}" for name, sql in said.items() if name in names
    )


def _mute(mine: str, key: str, _: Collection[str]) -> str:
    """Return how an operation on theirs reads: by this key, and without a word of what it was."""
    hidden = "null" if key != "key" else "row_hash"
    return (
        f"case when {mine} then {key} else key end as key, case when {mine} then {hidden} else row_hash end as"
        f" row_hash, case when {mine} then null else data end as data"
    )


def _objects(store: Store, there: Mapping[str, Plan], kind: str, of: str | None = None) -> dict[str, Path]:
    """Return where the objects of a relation (of one sync, or all that are of the kind) are read, by their name."""
    pieces: dict[str, Piece] = {}
    for plan in there.values():
        for name, each in plan.relations.items():
            head, _, rest = name.partition(":")
            if head == kind and of in (None, rest):
                pieces |= {piece.sha256: piece for piece in each if piece.rows}
    return {sha: path for sha, piece in sorted(pieces.items()) if (path := store.path(piece)).exists()}


def _correction(connection: engine.Connection, store: Store, head: Plan | None, whose: Whose) -> Correction | None:
    """Return what HEAD counted of them, as its memberships still say."""
    if head is None:
        return None
    source = store.source(head, "memberships", "select 0::bigint as person_id, 0::ubigint as w0")
    words = set(engine.columns(connection, source))
    persons = ", ".join(str(int(person)) for person in whose.persons) or "null"
    counts = {}
    for name, facts in head.segments.items():
        word, mask = f"w{facts['bit'] // 64}", 1 << (facts["bit"] % 64)
        if word in words and facts["status"] != "removed":
            theirs = f"person_id in ({persons}) and ({word} & {mask}::ubigint) <> 0"
            query = f"select count(*) from {source} as kept where {theirs}"
            counts[name] = int(engine.row(connection, query)[0])
    return Correction(whose.people, {name: n for name, n in counts.items() if n})


def _record(
    settings: Settings, store: Store, whose: Whose, objects: Mapping[str, str], correction: Correction | None
) -> None:
    before = erased.read(settings.plans)
    # An object that was written anew before may be so again: readers go one step only.
    after = replace(before, objects={old: objects.get(old, new) for old, new in before.objects.items()} | dict(objects))
    head = store.head()
    if head is not None and correction is not None and whose.erasure_id not in before.plans.get(head, {}):
        known = before.plans.get(head, {})
        after = replace(after, plans={**before.plans, head: {**known, whose.erasure_id: correction}})
    if after != before:
        erased.write(settings.plans, after)
    crash.here("erase.objects_recorded")


def _remove_objects(settings: Settings, there: Mapping[str, Plan]) -> None:
    """Remove the objects that no plan reads: those that others took the place of, and what killed runs left."""
    store = Store(settings)
    needed = {store.path(piece) for plan in there.values() for pieces in plan.relations.values() for piece in pieces}
    folder = settings.plans / "objects"
    gone = [path for path in sorted(folder.glob("*.parquet")) if path not in needed]
    for path in gone:
        path.unlink()
        crash.here("erase.object_removed")
    if gone:
        durable.fsync_dir(folder)


def _remove_plans(
    settings: Settings, store: Store, there: Mapping[str, Plan], stray: Collection[str], on: datetime
) -> None:
    """Remove plans that were never applied: who applied one would bring them back."""
    if not stray:
        return
    entries = {name: Collected(there[name].as_of, on, "", whole=True) for name in sorted(stray)}
    collected.write(settings.plans, {**store.collected(), **entries})
    for name in sorted(stray):
        (settings.plans / name / "plan.json").unlink()
        durable.remove(settings.plans / name)
        crash.here("erase.plan_removed")
    durable.fsync_dir(settings.plans)


def _listed(paths: Collection[Path]) -> str:
    return ", ".join(literal(str(path)) for path in dict.fromkeys(paths))
