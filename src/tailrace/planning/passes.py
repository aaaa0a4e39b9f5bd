"""Which passes of a campaign does this run look at, and what is kept of them afterwards?

`enrolled` is a view of what the parent plan kept; nobody reads it whole. What a run looks at is copied to `passes`, a
table that all campaigns share: the columns of `relations.ENROLLMENTS`, and is_new, is_changed, over (why the pass ends
before it walks). Pieces are ordered by `wake_at`, so that whose clock does not allow them to go on is not even read.
"""

from __future__ import annotations

import duckdb
import pyarrow.parquet as pq

from tailrace import clock, engine
from tailrace.engine import literal, statement
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


def show_enrolled(connection: duckdb.DuckDBPyConnection, run: Run, slug: str) -> None:
    """Make the view `enrolled`: the campaign's passes as the parent plan left them.

    The view `every_row` has the rows that later ones replaced too. It is cheaper to read, and good for finding whom to
    look at: those who are found in vain are looked at in `passes`, as they are.
    """
    pieces: tuple[Piece, ...] = run.parent.relations.get(f"enrollments:{slug}", ()) if run.parent else ()
    source = run.store.source(run.parent, f"enrollments:{slug}", relations.ENROLLMENTS)
    held = _columns(run, pieces)
    # A plan of an earlier release has neither column: there every active pass is looked at.
    wake_at = f"case when status = 'active' then arrived_at else {relations.FOREVER} end as wake_at"
    lacking = [sql for name, sql in (("object_id", "null as object_id"), ("wake_at", wake_at)) if name not in held]
    columns = ", ".join(["*", *lacking])
    connection.execute(f"create or replace temp view enrolled as select {columns} from {source} as kept")
    every = run.store.pieces(pieces, relations.ENROLLMENTS)
    connection.execute(f"create or replace temp view every_row as select {columns} from {every} as kept")


def _columns(run: Run, pieces: tuple[Piece, ...]) -> set[str]:
    """Return which columns the passes have: those of the base, which has all that later pieces have."""
    base = next((piece for piece in pieces if piece.rows), None)
    return {"object_id", "wake_at"} if base is None else set(pq.read_schema(run.store.path(base)).names)


def begin(connection: duckdb.DuckDBPyConnection, which: str) -> None:
    """Copy the passes of `enrolled` for which `which` holds to `passes`, which has none of the campaign yet."""
    query = statement(_PACKAGE, "stirred").replace("{which}", f"({which})")
    connection.execute(f"insert into passes by name {query}")


def stir(connection: duckdb.DuckDBPyConnection, slug: str, which: str) -> None:
    """Copy the passes for which `which` holds to `passes`, unless they are there."""
    query = statement(_PACKAGE, "stirred").replace("{which}", f"({which})")
    connection.execute(
        f"insert into passes by name select * from ({query}) as stirred where not exists (select 1 from passes"
        f" where passes.campaign = {literal(slug)} and passes.enrollment_id = stirred.enrollment_id)"
    )


def store(connection: duckdb.DuckDBPyConnection, run: Run, campaign: CampaignSpec, entered: int) -> int:
    """Store the campaign's passes as its moves left them, `entered` new ones; return how many there are in all.

    Adds `enrollments:<slug>` to `run.relations`.
    """
    slug, name = campaign.slug, f"enrollments:{campaign.slug}"
    pieces: tuple[Piece, ...] = run.parent.relations.get(name, ()) if run.parent else ()
    if "wake_at" not in _columns(run, pieces):
        show_enrolled(connection, run, slug)
        pieces = (run.store.put(connection, f"select * from enrolled order by {ORDER}"),)
    run.relations[name] = run.store.overlay(
        connection,
        pieces,
        statement(_PACKAGE, "passes_after").replace("{forever}", relations.FOREVER),
        key=relations.KEYS["enrollments"],
        order=ORDER,
        values={"campaign": slug, "as_of": clock.naive(run.as_of)},
    )
    before = run.before(slug).get("enrolled")
    if before is None:
        source = run.store.source(run.parent, name, relations.ENROLLMENTS)
        before = engine.row(connection, f"select count(*) from {source} as kept")[0]
    return int(before) + entered
