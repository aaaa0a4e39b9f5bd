"""Where a message goes: to the person on its channel, or to whom its file names."""

from __future__ import annotations

import json
from collections.abc import Iterator

import duckdb
import pytest

from tailrace.planning.payloads import prepare
from tailrace.planning.run import MessageSpec


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as found:
        found.execute("attach ':memory:' as wh")
        found.execute("create schema wh.core")
        found.execute(
            "create table wh.core.dim_people as select * from (values"
            " (1, 'ann', ' ann@example.com ', '+49 30 1'), (2, 'bo', 'none', ' '), (3, 'cy', null, null))"
            " as people(person_id, user_id, email, phone)"
        )
        found.execute("create table wh.core.dim_person_features as select person_id from wh.core.dim_people")
        found.execute(
            "create temp table candidates as select 'i' || person_id as intent_id, person_id, 'c' as campaign,"
            " 'm' as message, null::varchar as trigger_segment, null::varchar as object,"
            " null::varchar as object_id, '{}' as event from wh.core.dim_people"
        )
        yield found


@pytest.mark.parametrize(
    ("channel", "source", "addresses"),
    [
        ("email", {}, ["ann@example.com", None, None]),
        ("email", {"to": "cs@example.com"}, ["cs@example.com"] * 3),
        ("slack", {}, [""] * 3),
        ("slack", {"to": "#success"}, ["#success"] * 3),
        ("sms", {}, ["+49 30 1", None, None]),
        ("whatsapp", {}, ["+49 30 1", None, None]),
        ("push", {}, ["ann", "bo", "cy"]),
    ],
)
def test_a_message_goes_where_its_channel_or_its_file_says(
    connection: duckdb.DuckDBPyConnection, channel: str, source: dict[str, str], addresses: list[str | None]
) -> None:
    spec = MessageSpec("k", channel, channel, json.dumps(source), frozenset(), frozenset())
    prepare(connection, {("c", "m"): spec}, {})
    rows = connection.execute("select address from prepared order by intent_id").fetchall()
    assert [address for (address,) in rows] == addresses


def test_a_push_message_goes_to_the_installation_where_people_have_one(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("alter table wh.core.dim_people add column push_token varchar")
    connection.execute("update wh.core.dim_people set push_token = 'token-1' where person_id = 1")
    prepare(connection, {("c", "m"): MessageSpec("k", "push", "push", "{}", frozenset(), frozenset())}, {})
    rows = connection.execute("select address from prepared order by intent_id").fetchall()
    assert rows == [("token-1",), (None,), (None,)], "whoever has none is not reached by their user id"


def test_without_a_column_for_phones_nobody_has_an_address_for_texts(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("alter table wh.core.dim_people drop column phone")
    spec = MessageSpec("k", "sms", "sms", "{}", frozenset(), frozenset())
    prepare(connection, {("c", "m"): spec}, {})
    assert connection.execute("select distinct address from prepared").fetchall() == [(None,)]
