"""Who is in a segment, and what would an edit of it change?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from tailrace import engine
from tailrace.errors import DataError, DefinitionError, Problem, nearest
from tailrace.planning.memberships import WORD
from tailrace.planning.store import Plan, Store
from tailrace.settings import Settings
from tailrace.warehouse import preview as compiling
from tailrace.warehouse.catalog import SegmentModel, read_catalog


@dataclass(frozen=True)
class SegmentRow:
    """One segment in the plan applied last; numbers are None when no plan has seen it."""

    name: str
    summary: str
    owner: str
    size: int | None
    entered: int | None
    left: int | None
    status: str


@dataclass(frozen=True)
class Preview:
    """Who the segment's SQL, as it is written now, selects. `share` is of `people`, None when there are none."""

    name: str
    as_of: datetime
    size: int
    people: int
    share: float | None
    sample: list[int]


@dataclass(frozen=True)
class Diff:
    """The SQL as it is written now against the members in the plan applied last; lists are samples."""

    name: str
    as_of: datetime
    before: int
    after: int
    n_entered: int
    n_left: int
    entered: list[int]
    left: list[int]
    is_edited: bool


def overview(settings: Settings) -> list[SegmentRow]:
    """Return every segment of the project and of the plan applied last."""
    plan = _head(settings)
    models = _models(settings)
    entries = plan.segments if plan else {}
    names = sorted(set(models) | {name for name, entry in entries.items() if entry["status"] != "removed"})
    rows = []
    for name in names:
        model, entry = models.get(name), entries.get(name, {})
        parked = f"parked: {entry['parked']}" if entry.get("parked") else str(entry.get("status", "not planned yet"))
        rows.append(
            SegmentRow(
                name=name,
                summary=model.summary if model else "",
                owner=model.owner if model else "",
                size=entry.get("size"),
                entered=entry.get("entered"),
                left=entry.get("left"),
                status=parked,
            )
        )
    return rows


def preview(settings: Settings, name: str, as_of: datetime | None, limit: int) -> Preview:
    """Run the segment's SQL as written now over the warehouse of the last build."""
    _require(settings, name)
    as_of = _as_of(settings, as_of)
    with compiling.members(settings, name, as_of) as connection:
        size = _one(connection, "select count(*) from members")
        people = _one(connection, "select count(*) from warehouse.core.dim_people")
        sample = connection.execute(
            "select person_id from members order by person_id limit $limit", {"limit": limit}
        ).fetchall()
    return Preview(name, as_of, size, people, size / people if people else None, [row[0] for row in sample])


def diff(settings: Settings, name: str, as_of: datetime | None, limit: int) -> Diff:
    """Compare the segment's SQL as written now with its members in the plan applied last."""
    _require(settings, name)
    plan = _head(settings)
    as_of = _as_of(settings, as_of)
    with compiling.members(settings, name, as_of) as connection:
        model = read_catalog(settings).segments[name]
        entry = plan.segments.get(name) if plan else None
        if plan is not None and entry is not None:
            table = Store(settings).table(plan, "memberships")
            connection.register("memberships", table)
            word, mask = f"w{entry['bit'] // WORD}", 1 << (entry["bit"] % WORD)
            before = f"select person_id from memberships where ({word} & {mask}::ubigint) <> 0"
        else:
            before = "select 0::bigint as person_id limit 0"
        connection.execute(f"create temp table held as {before}")
        moves = {
            "entered": "select person_id from members where not exists (select 1 from held where"
            " held.person_id = members.person_id)",
            "left": "select person_id from held where not exists (select 1 from members where"
            " members.person_id = held.person_id)",
        }
        counts = {move: _one(connection, f"select count(*) from ({query})") for move, query in moves.items()}
        samples = {
            move: [row[0] for row in connection.execute(f"{query} order by person_id limit {int(limit)}").fetchall()]
            for move, query in moves.items()
        }
        return Diff(
            name=name,
            as_of=as_of,
            before=_one(connection, "select count(*) from held"),
            after=_one(connection, "select count(*) from members"),
            n_entered=counts["entered"],
            n_left=counts["left"],
            entered=samples["entered"],
            left=samples["left"],
            is_edited=entry is not None and entry["fingerprint"] != model.fingerprint,
        )


def _one(connection: engine.Connection, query: str) -> int:
    return int(engine.row(connection, query)[0])


def _head(settings: Settings) -> Plan | None:
    store = Store(settings)
    head = store.head()
    return store.read(head) if head else None


def _as_of(settings: Settings, as_of: datetime | None) -> datetime:
    """Return `as_of`, else HEAD's: the warehouse stands there."""
    if as_of is not None:
        return as_of
    plan = _head(settings)
    if plan is None:
        raise DataError("no plan has been applied yet; expected one run before (`tailrace run`), or --as-of")
    return plan.as_of


def _models(settings: Settings) -> dict[str, SegmentModel]:
    compiling.refresh(settings)
    return dict(read_catalog(settings).segments)


def _require(settings: Settings, name: str) -> None:
    """Raise DefinitionError when no file of that name stands among the segments: told at once, before dbt starts."""
    known = {path.stem for path in (settings.project_dir / "models" / "segments").rglob("seg_*.sql")}
    if name not in known:
        raise DefinitionError(
            Problem(
                "models/segments",
                None,
                f"there is no segment `{name}`; expected a file {name}.sql there.{nearest(name, known)}",
            )
        )
