from __future__ import annotations

import os
import signal
import threading
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from tests.landing import postgres

from tailrace import clock
from tailrace.destinations import postgres_table, tables
from tailrace.destinations.base import Batch, BatchRow, Failure, Outcome, RefusedError, RowsRefused, Secrets
from tailrace.destinations.tables import TableAnswer, TableSession
from tailrace.errors import DestinationError

AT = datetime(2026, 3, 1, 6, tzinfo=UTC)


@pytest.fixture(scope="module")
def server():
    with postgres.serving() as found:
        yield found


class Table:
    """A table `people` of a database of its own, and a line of ours to it."""

    def __init__(self, url: str, **settings: object) -> None:
        self.url = url
        self.settings = postgres_table.Settings(url_env="TABLE_URL", **settings)
        self.db = psycopg.connect(url, autocommit=True)
        self.db.execute("create table people (id text primary key, plan text, mrr int, seen timestamptz, tags text[])")
        self.session = self.connect()

    def connect(self) -> TableSession:
        return postgres_table.connect(self.settings, Secrets({"url_env": self.url}), Path("unused"))

    def send(self, rows, *, mode="mirror", op="add", target="people", batch_id="p/s/0", session=None):
        """Hand rows (a key and data) over as one batch, and return what became of it."""
        made = tuple(
            BatchRow(n, op, {"id": key}, None if op == "remove" else {"id": key, **data})
            for n, (key, data) in enumerate(rows)
        )
        plan_id, sync, number = batch_id.split("/")[:3]
        batch = Batch(batch_id, plan_id, sync, target, int(number), made, AT, mode)
        request = postgres_table.build_request(self.settings, Secrets({}), batch)
        reply = (session or self.session).perform(request)
        return reply if isinstance(reply, Failure) else postgres_table.read_response(self.settings, batch, reply)

    def rows(self, what: str = "id, plan", relation: str = "people"):
        return self.db.execute(f"select {what} from {relation} order by 1").fetchall()


@pytest.fixture
def table(server):
    made = Table(server.database())
    yield made
    made.session.close()
    made.db.close()


@pytest.mark.torture
def test_a_row_that_was_there_says_what_it_should_and_one_that_was_not_is_added(table):
    table.db.execute("insert into people values ('a', 'old', 1), ('z', 'kept', 2)")

    said = table.send([("a", {"plan": "pro"}), ("b", {"plan": None})])

    assert (said.outcome, said.code) == (Outcome.ACCEPTED, "committed")
    assert table.rows("id, plan, mrr") == [("a", "pro", 1), ("b", None, None), ("z", "kept", 2)]


def test_what_is_removed_is_gone_and_removing_it_again_is_no_error(table):
    table.send([("a", {"plan": "pro"}), ("b", {"plan": "pro"})])

    assert table.send([("a", {})], op="remove").outcome is Outcome.ACCEPTED
    assert table.send([("a", {})], op="remove").outcome is Outcome.ACCEPTED
    assert table.rows() == [("b", "pro")]


@pytest.fixture
def marked(server):
    made = Table(server.database(), removed_at="gone")
    made.db.execute("alter table people add column gone timestamptz")
    yield made
    made.session.close()
    made.db.close()


def test_what_is_removed_is_marked_where_the_table_has_a_column_for_it_and_the_first_time_stays(marked):
    marked.send([("a", {"plan": "pro"}), ("b", {"plan": "pro"})])

    assert marked.send([("a", {}), ("z", {})], op="remove").outcome is Outcome.ACCEPTED
    assert marked.rows("id, plan, gone") == [("a", "pro", AT), ("b", "pro", None)]

    marked.db.execute("update people set gone = '2026-01-01Z' where id = 'a'")
    assert marked.send([("a", {})], op="remove").outcome is Outcome.ACCEPTED
    assert marked.rows("gone")[0] == (datetime(2026, 1, 1, tzinfo=UTC),)


@pytest.mark.parametrize("mode", ["mirror", "upsert"])
def test_who_is_wanted_again_is_marked_no_more(marked, mode):
    marked.send([("a", {"plan": "pro"})])
    marked.send([("a", {})], op="remove")

    assert marked.send([("a", {"plan": "pro"})], mode=mode).outcome is Outcome.ACCEPTED

    assert marked.rows("id, plan, gone") == [("a", "pro", None)]


def test_the_mark_is_no_column_of_the_sync_and_one_that_the_table_lacks_is_named(marked):
    with pytest.raises(RefusedError, match="removed_at:column_of_the_sync"):
        marked.send([("a", {"gone": None})])
    marked.db.execute("alter table people drop column gone")
    said = marked.send([("a", {})], op="remove")
    assert (said.outcome, said.code) == (Outcome.BLOCKED, "sqlstate_42703:gone")


def test_update_only_adds_nobody_and_names_those_who_are_not_there(table):
    table.send([("a", {"plan": "old"}), ("c", {"plan": "pro"})])

    said = table.send([("b", {"plan": "pro"}), ("a", {"plan": "pro"}), ("c", {"plan": "pro"})], mode="update_only")

    assert said.outcome is Outcome.ACCEPTED
    assert [(row.position, row.outcome, row.code) for row in said.rows] == [(0, Outcome.REJECTED, "not_found")]
    assert table.rows() == [("a", "pro"), ("c", "pro")]


def test_a_value_is_what_its_column_reads_in_it_and_a_time_without_a_zone_is_utc(table):
    table.db.execute(f"alter role postgres in database {table.db.info.dbname} set timezone = 'Asia/Tokyo'")
    table.send([("7", {"plan": 'it\'s "x"\n', "mrr": "12", "seen": "2026-03-01 06:00:00", "tags": ["a", "b,c"]})])

    ((mrr, seen, tags, plan),) = table.rows("mrr, seen, tags, plan")
    assert (mrr, seen, tags, plan) == (12, AT, ["a", "b,c"], 'it\'s "x"\n')


def test_what_is_as_it_should_be_is_not_written_again(table):
    table.send([("a", {"plan": "pro", "tags": ["x"]}), ("b", {"plan": "pro", "tags": None})])
    before = table.rows("id, xmin::text")

    table.send([("a", {"plan": "pro", "tags": ["x"]}), ("b", {"plan": "free", "tags": None})])

    after = table.rows("id, xmin::text")
    assert before[0] == after[0]
    assert before[1] != after[1]


def test_rows_of_columns_without_equality_and_of_keys_alone_are_kept(table):
    table.db.execute("create table papers (id text primary key, doc json)")

    for n in (1, 2, 2):
        assert table.send([("a", {"doc": {"n": n}})], target="papers").outcome is Outcome.ACCEPTED
    assert table.rows("id, doc", "papers") == [("a", {"n": 2})]
    for mode in ("upsert", "update_only"):
        assert table.send([("a", {})], target="papers", mode=mode).outcome is Outcome.ACCEPTED


def test_names_are_names_whatever_stands_in_them(table):
    table.db.execute('create schema "s"; create table s."Peo""ple; drop" ("id" text primary key, "a b%s{0}" text)')

    said = table.send([("a", {"a b%s{0}": "x"})], target='s.Peo"ple; drop')

    assert said.outcome is Outcome.ACCEPTED
    assert table.rows("*", 's."Peo""ple; drop"') == [("a", "x")]


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        ([("a", {"mrr": 1}), ("b", {"mrr": "many"})], "sqlstate_22P02"),
        ([("a", {"plan": "x"}), ("b", {"plan": "nul\0"})], "sqlstate_22P05"),
        ([("a", {"plan": "x"}), ("a", {"plan": "y"})], "sqlstate_21000"),
    ],
)
def test_a_bad_row_refuses_its_call_as_a_whole_so_that_it_can_be_halved(table, rows, code):
    said = table.send(rows)

    assert (said.outcome, said.code, said.is_systemic) == (Outcome.REJECTED, code, False)
    assert table.rows() == []
    assert not postgres_table.CAPABILITIES.names_rows
    assert table.send(rows[:1]).outcome is Outcome.ACCEPTED, "the session goes on after an error"


def test_a_deferred_constraint_that_speaks_at_the_commit_is_a_refusal_and_not_unknown(table):
    table.db.execute(
        "create table teams (id text primary key);"
        "alter table people add foreign key (plan) references teams deferrable initially deferred"
    )
    said = table.send([("a", {"plan": "nowhere"})])

    assert (said.outcome, said.code) == (Outcome.REJECTED, "sqlstate_23503")
    assert table.rows() == []


@pytest.mark.parametrize(
    ("target", "data", "code"),
    [
        ("persons", {}, "sqlstate_42P01"),
        ("nowhere.people", {}, "sqlstate_42P01"),
        ("people", {"plan": "x", "salary": 1}, "sqlstate_42703:salary"),
        ("people", {"their salary": 1}, "sqlstate_42703:a_column"),
        ("keyless", {}, "sqlstate_42P10"),
        ("pg_catalog.pg_class", {}, "sqlstate_42703:id"),
    ],
)
def test_a_table_that_is_not_as_the_sync_expects_it_blocks_the_destination(table, target, data, code):
    table.db.execute("create table keyless (id text)")

    said = table.send([("a", data)], target=target)

    assert (said.outcome, said.code, said.is_systemic) == (Outcome.BLOCKED, code, True)
    assert table.send([("a", {})]).outcome is Outcome.ACCEPTED, "the session goes on after an error"


def test_rows_without_a_key_are_refused_before_the_call_and_their_neighbours_are_not(table):
    rows = (BatchRow(4, "add", {"id": None}, {}), BatchRow(5, "add", {"id": "b"}, {}), BatchRow(6, "add", "x", {}))
    with pytest.raises(RowsRefused) as caught:
        postgres_table.build_request(table.settings, Secrets({}), Batch("p/s/0", "p", "s", "people", 0, rows, AT))
    assert caught.value.rows == {4: "key:missing", 6: "key:missing"}
    for target in ("", "a.b.c", "a."):
        with pytest.raises(RefusedError):
            postgres_table.build_request(table.settings, Secrets({}), Batch("p", "p", "s", target, 0, rows[1:2], AT))


def test_a_batch_that_is_repeated_is_appended_once_however_it_is_cut(table):
    rows = [("a", {}), ("b", {}), ("c", {})]
    table.db.execute("create table events (id text)")

    for cut, batch_id in ((rows[:2], "p/s/0/part"), (rows, "p/s/0"), (rows, "p/s/0")):
        said = table.send(cut, mode="append", target="events", batch_id=batch_id)
        assert said.outcome is Outcome.ACCEPTED
    table.send(rows[:1], mode="append", target="events", batch_id="p/s/1")

    assert table.rows("id", "events") == [("a",), ("a",), ("b",), ("c",)]


@pytest.mark.torture
def test_a_batch_as_long_as_it_may_be_and_one_full_of_gaps_are_remembered(table):
    table.db.execute("create table events (id text)")
    rows = [(str(n), {}) for n in range(50_000)]
    for batch_id in ("p/s/0", "p/s/0", "p/s/1"):
        assert table.send(rows, mode="append", target="events", batch_id=batch_id).outcome is Outcome.ACCEPTED
    assert table.rows("batch_id, first_position, last_position", "tailrace_batches") == [
        ("p/s/0", 0, 49_999),
        ("p/s/1", 0, 49_999),
    ]
    made = tuple(BatchRow(n, "add", {"id": str(n)}, {"id": str(n)}) for n in (0, 2, 3, 7))
    for _ in range(2):
        request = postgres_table.build_request(
            table.settings, Secrets({}), Batch("p/s/2", "p", "s", "events", 2, made, AT, "append")
        )
        assert table.session.perform(request) == TableAnswer("00000")
    assert table.rows("first_position, last_position", "tailrace_batches where batch_id = 'p/s/2'") == [
        (0, 0),
        (2, 3),
        (7, 7),
    ]
    assert table.rows("count(*)", "events") == [(100_004,)]
    assert table.rows("distinct written_at", "tailrace_batches") == [(AT,)]


def test_two_who_append_the_same_batch_at_once_append_it_once(table, monkeypatch):
    table.db.execute("create table events (id text)")
    table.send([("x", {})], mode="append", target="events", batch_id="p/s/1")
    rows = [("a", {}), ("b", {})]
    theirs, said = table.connect(), []
    other = threading.Thread(
        target=lambda: said.append(table.send(rows, mode="append", target="events", session=theirs))
    )

    def meet(_: str) -> None:
        """Let the other one begin before this one commits."""
        monkeypatch.undo()
        other.start()
        deadline = clock.monotonic() + 20
        while table.rows("count(*)", "pg_locks where not granted") == [(0,)]:
            assert clock.monotonic() < deadline

    monkeypatch.setattr(tables.crash, "here", meet)
    said.append(table.send(rows, mode="append", target="events"))
    other.join()
    theirs.close()

    assert [each.outcome for each in said] == [Outcome.ACCEPTED] * 2
    assert table.rows("id", "events") == [("a",), ("b",), ("x",)]


def test_who_may_not_make_the_table_of_batches_uses_one_that_is_there(table):
    table.db.execute("create table events (id text)")
    table.send([("a", {})], mode="append", target="events")
    name = f"writer_{table.db.info.dbname}"
    table.db.execute(f"create role {name} login password '{postgres.PASSWORD}'")
    table.db.execute(f"revoke create on schema public from public; grant insert on events to {name}")
    theirs = postgres_table.connect(
        table.settings, Secrets({"url_env": table.url.replace("//postgres:", f"//{name}:")}), Path()
    )
    try:
        said = table.send([("b", {})], mode="append", target="events", batch_id="p/s/7", session=theirs)
        assert (said.outcome, said.code) == (Outcome.BLOCKED, "sqlstate_42501")
        table.db.execute(f"grant select, insert on tailrace_batches to {name}")
        assert table.send([("b", {})], mode="append", target="events", batch_id="p/s/7", session=theirs).rows == ()
    finally:
        theirs.close()
    assert table.rows("id", "events") == [("a",), ("b",)]


def test_a_kept_connection_that_the_server_closed_is_opened_anew(table):
    table.send([("a", {})])
    table.db.execute("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'tailrace'")

    assert table.send([("b", {})]).outcome is Outcome.ACCEPTED
    assert table.rows("id") == [("a",), ("b",)]


def test_a_server_that_is_not_there_has_been_handed_nothing(server, tmp_path):
    settings = postgres_table.Settings(url_env="U", timeout_seconds=2)
    line = postgres_table.connect(settings, Secrets({"url_env": f"postgresql:///x?host={tmp_path}"}), tmp_path)

    assert line.perform(postgres_table.build_probe(settings, Secrets({}))) == Failure(False, "connect:refused")


@pytest.mark.parametrize(("old", "new"), [("canary-password", "wrong"), ("/d", "/nowhere"), ("//postgres", "//who")])
def test_a_wrong_password_user_or_database_blocks(table, old, new):
    url = table.url.replace(old, new, 1)
    line = postgres_table.connect(table.settings, Secrets({"url_env": url}), Path())
    reply = line.perform(postgres_table.build_probe(table.settings, Secrets({})))

    assert postgres_table.read_probe(table.settings, reply).outcome is Outcome.BLOCKED


def test_a_server_that_falls_silent_is_given_up_in_time(server):
    table = Table(server.database(), timeout_seconds=1)
    table.send([("a", {})])
    ((pid,),) = table.db.execute("select pid from pg_stat_activity where application_name = 'tailrace'").fetchall()
    os.kill(pid, signal.SIGSTOP)
    try:
        said = table.send([("b", {})])
    finally:
        os.kill(pid, signal.SIGCONT)

    assert said == Failure(False, "statement:timeout")
    table.session.close()
    table.db.close()


def test_a_lock_that_is_held_for_too_long_puts_the_batch_off(server):
    table = Table(server.database(), timeout_seconds=1)
    with psycopg.connect(table.url) as other:
        other.execute("lock table people")
        said = table.send([("a", {})])
    assert (said.outcome, said.code) == (Outcome.RETRY_LATER, "sqlstate_57014")
    table.session.close()
    table.db.close()


def test_an_answer_lost_at_the_commit_is_unknown(table, monkeypatch):
    ends: list[int] = []

    def commit(connection: psycopg.Connection) -> None:
        psycopg.Connection.execute(connection, "commit")
        os.close(os.dup(connection.fileno()))
        connection.pgconn.finish()
        ends.append(1)
        raise psycopg.OperationalError

    table.session.perform(postgres_table.build_probe(table.settings, Secrets({})))
    monkeypatch.setattr(type(table.session._open), "commit", commit)

    assert table.send([("a", {})]) == Failure(True, "commit:lost")
    assert ends == [1]


@pytest.mark.parametrize(
    ("state", "outcome", "is_systemic"),
    [
        ("40001", Outcome.RETRY_LATER, False),
        ("40P01", Outcome.RETRY_LATER, False),
        ("08006", Outcome.RETRY_LATER, True),
        ("57P01", Outcome.RETRY_LATER, True),
        ("53100", Outcome.RETRY_LATER, True),
        ("25006", Outcome.RETRY_LATER, True),
        ("22001", Outcome.REJECTED, False),
        ("23505", Outcome.REJECTED, False),
        ("P0001", Outcome.REJECTED, False),
        ("42501", Outcome.BLOCKED, True),
        ("42804", Outcome.BLOCKED, True),
        ("28P01", Outcome.BLOCKED, True),
        ("XX000", Outcome.UNKNOWN, False),
    ],
)
def test_a_sqlstate_means_what_its_class_means(state, outcome, is_systemic):
    settings = postgres_table.Settings(url_env="U")
    said = postgres_table.read_response(settings, Batch("p", "p", "s", "t", 0, (), AT), TableAnswer(state))
    assert (said.outcome, said.is_systemic) == (outcome, is_systemic)


def test_what_is_no_url_is_told_by_the_name_of_its_variable():
    with pytest.raises(DestinationError, match="`TABLE_URL`") as caught:
        postgres_table.connect(
            postgres_table.Settings(url_env="TABLE_URL"), Secrets({"url_env": "canary-secret"}), Path()
        )
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "settings", "mode"),
    [
        ("postgresql://h/d", {}, "require"),
        ("postgresql://h/d?sslmode=prefer", {}, "require"),
        ("postgresql://h/d?sslmode=disable", {}, "disable"),
        ("postgresql://h/d?sslmode=disable", {"sslmode": "verify-full"}, "verify-full"),
    ],
)
def test_a_connection_never_falls_back_to_clear_text_by_itself(url, settings, mode):
    made = postgres_table.Settings(url_env="U", **settings)
    assert postgres_table.connect(made, Secrets({"url_env": url}), Path())._options["sslmode"] == mode


def test_a_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "psycopg", None)
    with pytest.raises(DestinationError, match=r"tailrace\[postgres\]"):
        postgres_table.connect(postgres_table.Settings(url_env="U"), Secrets({}), Path())
