"""Which passes does this run look at, and what is kept of them afterwards?

Nobody reads whole what the parent plan kept. What a run looks at is copied to `passes`, a table that all campaigns
share: the columns of `relations.ENROLLMENTS`, and is_new, is_changed, over (why the pass ends before it walks). Pieces
are ordered by `wake_at`, so that whose clock does not allow them to go on is not even read.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import duckdb

from tailrace import clock, engine
from tailrace.engine import statement
from tailrace.planning import relations
from tailrace.planning.run import CampaignSpec, Run
from tailrace.planning.store import Piece

_PACKAGE = "tailrace.planning"

ORDER = "wake_at, enrollment_id"


def make_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the empty tables `passes` and `clocks` (the seconds that a version's waits rest)."""
    connection.execute(
        f"create or replace temp table passes as select *, false as is_new, false as is_changed, ''::varchar as over"
        f" from ({relations.ENROLLMENTS}) limit 0"
    )
    connection.execute(
        "create or replace temp table clocks (campaign varchar, version varchar, step varchar, seconds bigint)"
    )


def kept(run: Run, slugs: Iterable[str]) -> str:
    """Return SQL that reads the campaigns' passes as the parent plan left them."""
    return _reading(run, slugs, relations.KEYS["enrollments"])


def every_row(run: Run, slugs: Iterable[str]) -> str:
    """Return SQL that reads the campaigns' passes, and the rows that later ones replaced too.

    It is cheaper to read, and good for finding whom to look at: those who are found in vain are looked at in `passes`,
    as they are.
    """
    return _reading(run, slugs, ())


def show_enrolled(connection: duckdb.DuckDBPyConnection, run: Run, slug: str) -> None:
    """Make the view `enrolled`: the campaign's passes as the parent plan left them."""
    connection.execute(f"create or replace temp view enrolled as select * from {kept(run, [slug])} as kept")


def _reading(run: Run, slugs: Iterable[str], key: Collection[str]) -> str:
    """Return SQL that reads the campaigns at once: a file costs more to ask for alone than for what it holds."""
    alike: dict[tuple[str, ...], list[tuple[Piece, ...]]] = {}
    for pieces in (_pieces(run, slug) for slug in slugs):
        if any(piece.rows for piece in pieces):
            alike.setdefault(_lacking(run, pieces), []).append(pieces)
    arms = [
        f"select {', '.join(['*', *lacking])} from {run.store.together(several, '', tuple(key))} as kept"
        for lacking, several in sorted(alike.items())
    ]
    return f"({' union all by name '.join(arms)})" if arms else f"({relations.ENROLLMENTS} limit 0)"


def _pieces(run: Run, slug: str) -> tuple[Piece, ...]:
    return run.parent.relations.get(f"enrollments:{slug}", ()) if run.parent else ()


def _lacking(run: Run, pieces: tuple[Piece, ...]) -> tuple[str, ...]:
    """Return the columns that the passes lack, as SQL.

    A plan of an earlier release has neither; there every active pass is looked at.
    """
    held = _columns(run, pieces)
    wake_at = f"case when status = 'active' then arrived_at else {relations.FOREVER} end as wake_at"
    return tuple(sql for name, sql in (("object_id", "null as object_id"), ("wake_at", wake_at)) if name not in held)


def _columns(run: Run, pieces: tuple[Piece, ...]) -> Collection[str]:
    """Return which columns the passes have: those of the base, which has all that later pieces have."""
    base = next((piece for piece in pieces if piece.rows), None)
    return {"object_id", "wake_at"} if base is None else run.store.columns(base)


def begin(connection: duckdb.DuckDBPyConnection, run: Run, slugs: Iterable[str]) -> None:
    """Copy the passes of the campaigns that can go on to `passes`, which has none of theirs yet."""
    due = f"wake_at <= timestamp '{clock.naive(run.as_of)}'"
    connection.execute(f"insert into passes by name {_stirred(run, slugs, due)}")


def stir(connection: duckdb.DuckDBPyConnection, run: Run, slugs: Iterable[str], which: str) -> set[str]:
    """Copy the passes of the campaigns for which `which` holds, an expression over `kept`, unless they are there.

    Return the campaigns that have such passes.
    """
    connection.execute(f"create or replace temp table stirred as {_stirred(run, slugs, which)}")
    connection.execute(
        "insert into passes by name select * from stirred where not exists (select 1 from passes"
        " where passes.campaign = stirred.campaign and passes.enrollment_id = stirred.enrollment_id)"
    )
    found = {slug for (slug,) in connection.execute("select distinct campaign from stirred").fetchall()}
    connection.execute("drop table stirred")
    return found


def _stirred(run: Run, slugs: Iterable[str], which: str) -> str:
    return statement(_PACKAGE, "stirred").replace("{kept}", kept(run, slugs)).replace("{which}", f"({which})")


def store(
    connection: duckdb.DuckDBPyConnection, run: Run, campaigns: Iterable[CampaignSpec], entered: Mapping[str, int]
) -> dict[str, int]:
    """Store the passes as their moves left them, of each campaign so many new ones; return how many it has in all.

    Adds `enrollments:<slug>` to `run.relations`.
    """
    query = statement(_PACKAGE, "passes_after").replace("{forever}", relations.FOREVER)
    now = {"as_of": clock.naive(run.as_of)}
    written = run.store.put_each(connection, f"select * from ({query}) order by campaign, {ORDER}", now, "campaign")
    return {
        campaign.slug: entered.get(campaign.slug, 0)
        + _store(connection, run, campaign.slug, written.get(campaign.slug))
        for campaign in campaigns
    }


def _store(connection: duckdb.DuckDBPyConnection, run: Run, slug: str, written: Piece | None) -> int:
    """Lay what was written of the campaign over its pieces; return how many passes it had before."""
    name, pieces = f"enrollments:{slug}", _pieces(run, slug)
    if "wake_at" not in _columns(run, pieces):
        pieces = (run.store.put(connection, f"select * from {kept(run, [slug])} as kept order by {ORDER}"),)
    held = tuple(piece for piece in pieces if piece.rows)
    if written is None and not held:
        written = run.store.put(connection, f"{relations.ENROLLMENTS} limit 0")
    if written is None:
        run.relations[name] = held
    else:
        key = relations.KEYS["enrollments"]
        run.relations[name] = run.store.lay(connection, held, written, key=key, order=ORDER)
    before = run.before(slug).get("enrolled")
    if before is None:
        source = run.store.source(run.parent, name, relations.ENROLLMENTS)
        before = engine.row(connection, f"select count(*) from {source} as kept")[0]
    return int(before)
