"""What is still known of one person as a plan saw them? From its own relations, the landing and the published copy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tailrace import clock, engine
from tailrace.engine import literal
from tailrace.journal.journal import Journal
from tailrace.landing.loads import event_files, loads
from tailrace.planning import relations
from tailrace.planning.memberships import Bit, Cause
from tailrace.planning.store import Plan, Store
from tailrace.planning.weighing import Evidence
from tailrace.settings import Settings

_TABLES = {
    "dim_people": "person_id bigint, email varchar",
    "dim_person_features": "person_id bigint",
    "dim_consents": "person_id bigint, channel varchar, topic varchar, state varchar",
    "dim_suppressions": "person_id bigint, channel varchar, reason varchar, source varchar, suppressed_at timestamp",
    "dim_engagement": "person_id bigint, channel varchar, engaged_at timestamp, n_unanswered integer,"
    " unanswered_since timestamp",
}


@contextmanager
def evidence(settings: Settings, store: Store, plan: Plan, person_id: int) -> Iterator[Evidence]:
    """Yield what is known of the person as of the plan.

    Events are those of the loads that the plan saw; attributes are known while the published copy is of the plan's
    instant and loads.
    """
    with engine.connect(settings) as connection:
        connection.execute("attach ':memory:' as wh")
        connection.execute("create schema wh.core")
        yield Evidence(
            connection=connection,
            person_id=person_id,
            as_of=clock.naive(plan.as_of),
            bits=_memberships(connection, store, plan, person_id),
            knows_events=_events(connection, settings, store, plan, person_id),
            knows_people=_people(connection, settings, plan, person_id),
        )


def _memberships(connection: engine.Connection, store: Store, plan: Plan, person_id: int) -> dict[str, Bit]:
    source = store.source(plan, "memberships", "select 0::bigint as person_id, 0::ubigint as w0")
    connection.execute(
        f"create temp table current as select * from {source} as kept where person_id = $person", {"person": person_id}
    )
    with_words = set(engine.columns(connection, "current"))
    bits = {
        name: Bit(name, entry["bit"], Cause.BEHAVIOUR, None)
        for name, entry in plan.segments.items()
        if entry["status"] != "removed"
    }
    return {name: bit for name, bit in bits.items() if f"w{bit.word}" in with_words}


def _events(connection: engine.Connection, settings: Settings, store: Store, plan: Plan, person_id: int) -> bool:
    """Make wh.core.fct_events with the person's events; return whether every load of the plan is still there."""
    of_the_plan = f"select load_id from {store.source(plan, 'loads', relations.LOADS)}"
    seen = connection.execute(of_the_plan).fetchall()
    landed = {load.load_id: load for load in loads(settings)}
    there = [landed[load_id] for (load_id,) in seen if load_id in landed]
    columns = (
        "event_id, source, load_seq, is_history, type, event, event_at, landed_at, properties,"
        f" {person_id}::bigint as person_id"
    )
    paths = ", ".join(literal(str(path)) for path in event_files(settings, there))
    nobody = (
        "(select ''::varchar as event_id, ''::varchar as source, 0::bigint as load_seq, false as is_history,"
        " ''::varchar as type, ''::varchar as event, ''::varchar as user_id, ''::varchar as anonymous_id,"
        " ''::varchar as previous_id, '2000-01-01'::timestamp as event_at, '2000-01-01'::timestamp as landed_at,"
        " ''::varchar as properties, ''::varchar as load_id limit 0)"
    )
    query = engine.statement("tailrace.pipeline", "person_events")
    for name, sql in (
        ("landed", f"read_parquet([{paths}], union_by_name = true)" if paths else nobody),
        ("loads", of_the_plan),  # a pack has events of loads that came later
        ("merges", store.source(plan, "merges", relations.MERGES)),
        ("person", str(int(person_id))),
        ("columns", columns),
    ):
        query = query.replace(f"{{{name}}}", sql)
    connection.execute(f"create table wh.core.fct_events as {query}")
    return len(there) == len(seen)


def _people(connection: engine.Connection, settings: Settings, plan: Plan, person_id: int) -> bool:
    """Make the tables of people in wh.core; return whether the published copy is what the plan was made from."""
    known = False
    tables: set[str] = set()
    if settings.published.is_file():
        engine.attach(connection, settings.published, "published")
        known = _is_of(connection, plan)
        found = connection.execute(
            "select table_name from duckdb_tables() where database_name = 'published' and schema_name = 'core'"
        ).fetchall()
        tables = {name for (name,) in found} if known else set()
    for name, columns in _TABLES.items():
        if name in tables:
            connection.execute(
                f"create table wh.core.{name} as select * from published.core.{name} where person_id = $person",
                {"person": person_id},
            )
        else:
            connection.execute(f"create table wh.core.{name} ({columns})")
    return known


def _is_of(connection: engine.Connection, plan: Plan) -> bool:
    there = connection.execute(
        "select 1 from duckdb_tables() where database_name = 'published' and schema_name = 'tailrace'"
        " and table_name = 'generation'"
    ).fetchall()
    if not there:
        return False
    rows = connection.execute("select as_of, loads_fingerprint from published.tailrace.generation").fetchall()
    return rows == [(clock.naive(plan.as_of), plan.inputs.loads)]


def answers(connection: engine.Connection, journal: Journal, plan: Plan) -> None:
    """Make `responses`: the answers to webhook steps that the plan knew."""
    connection.register("given", journal.responses(0))
    connection.execute(
        "create temp table responses as select enrollment_id, step, status_code, body from given where seq <= $seq",
        {"seq": plan.inputs.journal_seq},
    )
    connection.unregister("given")
