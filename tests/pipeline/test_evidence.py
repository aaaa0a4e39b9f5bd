"""What is still known of one person as a plan saw them."""

from __future__ import annotations

import duckdb

from tailrace import engine, ids


def test_a_persons_events_are_those_of_all_their_user_ids_and_of_the_devices_of_these() -> None:
    """`old` was given up for `ann`; `bob` had the tablet after `old`."""
    landed = [
        ("1", "track", "ann", None),
        ("2", "track", "old", None),
        ("3", "page", None, "phone"),
        ("4", "identify", "old", "phone"),
        ("5", "page", None, "tablet"),
        ("6", "identify", "old", "tablet"),
        ("7", "page", None, "tablet"),
        ("8", "identify", "bob", "tablet"),
        ("9", "page", None, "watch"),
    ]
    connection = duckdb.connect()
    connection.execute(
        "create table landed (event_id varchar, type varchar, user_id varchar, anonymous_id varchar,"
        " previous_id varchar, source varchar, load_id varchar, event_at timestamp)"
    )
    connection.executemany(
        "insert into landed select $1, $2, $3, $4, null, 'app', 'load', '2026-01-01'::timestamp + to_hours($1::bigint)",
        landed,
    )
    connection.execute("create table merged (person_id bigint, into_person_id bigint)")
    connection.execute("insert into merged values (?, ?)", [ids.person_id("old"), ids.person_id("ann")])

    def events_of(user: str) -> list[str]:
        query = engine.statement("tailrace.pipeline", "person_events")
        for name, sql in (
            ("landed", "landed"),
            ("loads", "select 'load'"),
            ("merges", "merged"),
            ("person", str(ids.person_id(user))),
            ("columns", "event_id"),
        ):
            query = query.replace(f"{{{name}}}", sql)
        return sorted(event_id for (event_id,) in connection.execute(query).fetchall())

    assert events_of("ann") == ["1", "2", "3", "4", "5", "6"]
    assert events_of("bob") == ["7", "8"]
