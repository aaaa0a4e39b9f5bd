"""What is so of a journal in a PostgreSQL database only: many at once, connections that end, passwords."""

from __future__ import annotations

import signal
import sys
from collections import Counter
from dataclasses import replace

import psycopg
import pytest
from tests.journal import workers
from tests.journal.test_drafts import everything, states
from tests.landing.postgres import PASSWORD

from tailrace.errors import Busy, JournalError
from tailrace.journal import Journal, Record
from tailrace.journal.postgres import translated
from tailrace.pipeline import doctor

PEOPLE = 300
WORKERS = 4


@pytest.fixture
def kind():
    return "postgres"


@pytest.fixture
def other(settings):
    """Another connection to the same journal, which waits for nobody for long."""
    with Journal.open(settings) as opened:
        opened._db._connection.execute("set lock_timeout = '100ms'")
        yield opened


def lose_connection(server, journal):
    """End the journal's connection as a server that restarts does."""
    backend = journal._db._connection.info.backend_pid
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("select pg_terminate_backend(%s, 5000)", [backend])


def due(journal, at):
    return journal.due_messages("email", at, 99).items


def claim(journal, epoch, at, items):
    return journal.claim(epoch, at, items, destination="relay", is_idempotent=False).claims


def test_workers_that_claim_at_once_take_each_item_once_and_leave_none(journal, settings, intents, at, tmp_path):
    names = [f"i{number:03d}" for number in range(PEOPLE)]
    journal.apply_plan("p1", None, at, at, intents(*names), [])
    epoch = journal.start_epoch(at)
    start = workers.CONTEXT.Barrier(WORKERS)
    told = [tmp_path / f"worker-{number}" for number in range(WORKERS)]
    running = [workers.CONTEXT.Process(target=workers.work, args=(settings, epoch, at, start, path)) for path in told]
    for process in running:
        process.start()
    for process in running:
        process.join(60)

    assert [process.exitcode for process in running] == [0] * WORKERS
    left = [path.read_text().split() for path in told]
    assert Counter(name for some in left for name in some) == Counter(names), "none twice, none lost"
    assert sum(bool(some) for some in left) > 1, "or nothing was proved"
    assert set(states(journal).values()) == {"accepted"}
    assert sorted(journal.message_outcomes(0).column("intent_id").to_pylist()) == names
    assert journal.copy_problem() is None


def test_what_another_is_claiming_is_left_to_it_and_nobody_waits(journal, other, intents, at, monkeypatch):
    journal.apply_plan("p1", None, at, at, intents("a", "b", "c"), [])
    epoch = journal.start_epoch(at)
    items = due(journal, at)
    tops, beside = journal._tops, []

    def meanwhile():
        beside.extend(claim(other, epoch, at, items))
        return tops()

    monkeypatch.setattr(journal, "_tops", meanwhile)
    ours = claim(journal, epoch, at, items[:2])

    assert [one.item_id for one in ours] == ["a", "b"]
    assert [one.item_id for one in beside] == ["c"]
    assert claim(other, epoch, at, items) == []


def test_what_another_has_claimed_since_is_not_claimed_again(journal, other, intents, at, monkeypatch):
    """Its transaction has begun when the other one commits: it looks at each row as it is then."""
    journal.apply_plan("p1", None, at, at, intents("a"), [])
    epoch = journal.start_epoch(at)
    items = due(journal, at)
    fence = journal.fence

    def meanwhile(number):
        fence(number)
        assert len(claim(other, epoch, at, items)) == 1

    monkeypatch.setattr(journal, "fence", meanwhile)
    assert claim(journal, epoch, at, items) == []
    assert journal._db.value("select count(*) from attempts") == 1


def test_no_epoch_begins_and_nobody_reads_on_while_a_claim_or_an_outcome_is_half_way(
    journal, other, intents, at, monkeypatch
):
    journal.apply_plan("p1", None, at, at, intents("a", "b"), [])
    epoch = journal.start_epoch(at)
    first, second = claim(journal, epoch, at, due(journal, at))
    many, refused = journal._db.many, []

    def meanwhile(sql, rows):
        n = many(sql, rows)
        if "insert into outcomes" not in sql:
            return n
        # This one has the lower number and commits later: whoever reads now would never see it.
        for asked in (lambda: other.start_epoch(at), lambda: other.message_outcomes(0), lambda: other.sweep(9, at)):
            with pytest.raises(JournalError, match="LockNotAvailable"):
                asked()
            refused.append(1)
        monkeypatch.undo()
        other.record(epoch, at, [Record(second, "accepted", "later")])
        return n

    monkeypatch.setattr(journal._db, "many", meanwhile)
    journal.record(epoch, at, [Record(first, "accepted", "sooner")])

    assert len(refused) == 3
    assert other.message_outcomes(0).column("seq").to_pylist() == [1, 2]
    other.start_epoch(at)
    with pytest.raises(JournalError, match="replaced by a later one"):
        claim(journal, epoch, at, [])


@pytest.mark.parametrize(("point", "state"), [("claiming", "pending"), ("deliver.claimed", "unknown")])
def test_what_a_worker_held_that_was_killed_is_settled_by_the_next_sender(journal, settings, intents, at, point, state):
    journal.apply_plan("p1", None, at, at, intents("a", "b"), [])
    epoch = journal.start_epoch(at)
    process = workers.CONTEXT.Process(target=workers.claim_and_die, args=(settings, epoch, at, point))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    assert set(states(journal).values()) == {"pending" if point == "claiming" else "claimed"}

    swept = journal.sweep(journal.start_epoch(at), at)

    assert swept.unknown == (2 if state == "unknown" else 0)
    assert set(states(journal).values()) == {state}
    assert journal.copy_problem() is None


def test_a_connection_that_was_lost_between_transactions_is_opened_again(journal, server, intents, at):
    journal.apply_plan("p1", None, at, at, intents("a"), [])
    epoch = journal.start_epoch(at)
    lose_connection(server, journal)
    (one,) = claim(journal, epoch, at, due(journal, at))
    lose_connection(server, journal)
    journal.record(epoch, at, [Record(one, "accepted", "ok")])
    lose_connection(server, journal)
    assert states(journal) == {"a": "accepted"}
    assert journal._db.value("show synchronous_commit") == "on"


def test_a_transaction_that_loses_its_connection_is_an_error_and_leaves_nothing(
    journal, server, intents, at, monkeypatch
):
    journal.apply_plan("p1", None, at, at, intents("a"), [])
    epoch = journal.start_epoch(at)
    before = everything(journal)
    monkeypatch.setattr(journal, "_tops", lambda: lose_connection(server, journal))
    with pytest.raises(JournalError, match=r"could not be used .*\. Of the transaction .* nothing is half done"):
        claim(journal, epoch, at, due(journal, at))
    monkeypatch.undo()
    assert everything(journal) == before
    assert not journal._copy.newest(1)
    assert len(claim(journal, epoch, at, due(journal, at))) == 1


def test_one_sender_has_the_journal_whatever_the_data_directory_and_its_end_frees_it(journal, settings, server, at):
    elsewhere = replace(settings, data_dir=settings.data_dir.parent / "another")
    with Journal.open(elsewhere) as second:
        with journal.sender(at):
            with pytest.raises(Busy, match="delivery is already under way in another process that has this journal"):
                second.sender(at).__enter__()
            lose_connection(server, journal)
            with second.sender(at) as epoch, pytest.raises(JournalError, match="replaced by a later one"):
                claim(journal, epoch - 1, at, [])
        with journal.sender(at):
            pass


def test_processes_that_open_a_new_journal_at_once_agree_which_one_it_is(settings):
    start, told = workers.CONTEXT.Barrier(WORKERS), workers.CONTEXT.Queue()
    running = [workers.CONTEXT.Process(target=workers.open_it, args=(settings, start, told)) for _ in range(WORKERS)]
    for process in running:
        process.start()
    found = {told.get(timeout=60) for _ in running}
    for process in running:
        process.join(60)
    assert len(found) == 1


def test_every_commit_is_on_the_disk_whatever_the_database_was_set_to(settings):
    url = settings.journal_url.replace("-csearch_path", "-csynchronous_commit%3Doff%20-csearch_path")
    with Journal.open(replace(settings, journal_url=url)) as journal:
        assert journal._db.value("show synchronous_commit") == "on"
    kept = settings.journal_url.replace("-csearch_path", "-csynchronous_commit%3Dremote_apply%20-csearch_path")
    with Journal.open(replace(settings, journal_url=kept)) as journal:
        assert journal._db.value("show synchronous_commit") == "remote_apply", "more than on"


def test_a_server_that_would_forget_at_a_crash_is_said(settings):
    found = [look for look in doctor._journal(settings) if look[0] == "bad"]
    assert found == [], "there is no journal yet, and none is made"
    Journal.open(settings).close()
    found = list(doctor._journal(settings))
    assert any(level == "bad" and "`fsync` is off" in text for level, text in found)
    assert any(text.startswith("postgresql://postgres@/") for _, text in found)
    assert PASSWORD not in repr(found)


def test_tables_of_something_else_are_left_alone(settings):
    with psycopg.connect(settings.journal_url, autocommit=True) as connection:
        connection.execute("create table migrations (id text)")
        connection.execute("insert into migrations values ('theirs')")
        with pytest.raises(JournalError, match="holds tables of something else"):
            Journal.open(settings)
        assert connection.execute("select * from migrations").fetchall() == [("theirs",)]


def test_a_standby_is_refused(settings):
    url = settings.journal_url.replace("-csearch_path", "-cdefault_transaction_read_only%3Don%20-csearch_path")
    with pytest.raises(JournalError, match="is a standby, or read-only"):
        Journal.open(replace(settings, journal_url=url))


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (f"postgresql://u:{PASSWORD}@127.0.0.1:1/x", "cannot be reached (nobody listens there)"),
        (f"postgresql://u:se/{PASSWORD}@localhost/x", "which `@`, `/`"),
        (f"postgresql://u:se%zz{PASSWORD}@localhost/x", "which `@`, `/`"),
        (f"mysql://u:{PASSWORD}@localhost/x", "is no URL of a PostgreSQL database"),
        ("wrong", "role or password are wrong"),
    ],
)
def test_no_message_has_the_password_in_it(settings, url, words):
    url = settings.journal_url.replace(PASSWORD, f"not-{PASSWORD}") if url == "wrong" else url
    broken = replace(settings, journal_url=url)
    with pytest.raises(JournalError) as caught:
        Journal.open(broken)
    assert words in str(caught.value)
    told, error = [repr(broken)], caught.value
    while error is not None:
        told.append(f"{error} {error!r}")
        error = error.__cause__
    assert PASSWORD not in " ".join(told)


def test_without_the_extra_the_message_names_it(settings, monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    monkeypatch.delitem(sys.modules, "tailrace.journal.postgres")
    with pytest.raises(JournalError, match=r"pip install 'tailrace\[postgres\]'"):
        Journal.open(settings)


class TestTheLease:
    def test_it_is_held_by_one_data_directory_on_one_host(self, journal, settings, at):
        assert journal.live_acquire("kim", "go", at).held
        with Journal.open(settings) as again:
            assert again.live_show().held
        with Journal.open(replace(settings, data_dir=settings.data_dir.parent / "copied")) as copied:
            assert copied.live_show().why_not.startswith("it was acquired for another data directory")

    def test_a_restored_journal_does_not_hold_it(self, journal, settings, server, at):
        journal.live_acquire("kim", "go", at)
        dumped = server.dump(settings.journal_url)
        journal.close()
        server.restore(settings.journal_url, dumped)
        with Journal.open(settings) as restored:
            assert restored.live_show().why_not.startswith("the journal is not the one it was acquired for")
            assert restored.live_acquire("kim", "restored it", at).held

    def test_a_copy_in_another_schema_does_not_hold_it(self, journal, settings, server, at):
        journal.live_acquire("kim", "go", at)
        url = server.schema()
        with Journal.open(replace(settings, journal_url=url)) as copied:
            row = journal._db.tuples("select action, host, path, device, inode, who, reason, at from live_lease")[0]
            with copied._db.transaction():
                copied._db.many(
                    "insert into live_lease (action, host, path, device, inode, who, reason, at)"
                    " values (?, ?, ?, ?, ?, ?, ?, ?)",
                    [row],
                )
            assert not copied.live_show().held


def test_what_is_forgotten_leaves_no_byte_in_the_servers_tables(journal, server, intents, at):
    journal.apply_plan("p1", None, at, at, intents("b"), [])
    with journal._db.transaction():
        journal._db.many(
            "insert into responses (intent_id, enrollment_id, step, status_code, body, recorded_at)"
            " values (?, 'e', 's', 200, ?, 0)",
            [(f"gone-{number}", '"kanarie"' * 20) for number in range(200)],
        )
        journal._db.run("delete from responses where intent_id <> 'gone-7'")
        journal._db.run("update responses set intent_id = 'b'")
    assert journal.erase([1], at, is_dry=False)["answers"] == 1
    assert files_with(server, b"kanarie"), "or nothing was proved"

    journal.leave_no_trace()

    assert files_with(server, b"kanarie") == []


def files_with(server, text):
    """Return the server's files of tables that hold the text."""
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("checkpoint")
    tables = [path for path in (server.folder / "data" / "base").rglob("*") if path.is_file()]
    return [path.name for path in tables if text in path.read_bytes()]


def test_statements_are_written_as_this_database_takes_them():
    assert translated("select ? -- why?\nfrom x indexed by y where a = '50%$b?' and c % 2 = $c and d = $c") == (
        "select %s \nfrom x where a = '50%%$b?' and c %% 2 = %(c)s and d = %(c)s"
    )
