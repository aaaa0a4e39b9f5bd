"""Delivery with a journal in a PostgreSQL database: what it promises with a file holds there."""

from __future__ import annotations

import os
import signal
from collections import Counter
from dataclasses import replace

import psycopg
import pytest
from delivery_world import _CONTEXT, World
from tests.landing import postgres

from tailrace.errors import Busy, JournalError
from tailrace.journal import Journal
from tailrace.journal.postgres import PostgresDatabase

PEOPLE = [f"person{n:02d}@people.test" for n in range(30)]
SLOTS = 4
POINTS = [("deliver.claimed:3", 1), ("deliver.copied:1", 3), ("deliver.handed_over:7", 3), ("deliver.recorded:1", 1)]


@pytest.fixture(scope="module")
def server():
    with postgres.serving() as found:
        yield found


@pytest.fixture
def world(tmp_path, server, post):
    made = World(tmp_path)
    made.settings = replace(made.settings, journal_url=server.schema())
    made.smtp(post.port)
    made.apply(PEOPLE)
    made.go_live()
    return made


def deliver_and_die(root, url, now, crash_at, workers):
    os.environ["TAILRACE_CRASH_AT"] = crash_at
    world = World(root)
    world.settings = replace(world.settings, journal_url=url)
    world.now = now
    world.deliver(workers=workers)


def finish(world):
    for _ in range(10):
        world.later(hours=1)
        world.deliver()
        if not {"pending", "claimed"} & set(world.states().values()):
            return
    raise AssertionError("something stays pending")


@pytest.mark.torture
@pytest.mark.parametrize(("point", "workers"), POINTS)
def test_killed_at_a_crash_point_everyone_gets_it_once_or_is_listed_as_unknown(world, post, tmp_path, point, workers):
    arguments = (tmp_path, world.settings.journal_url, world.now, point, workers)
    process = _CONTEXT.Process(target=deliver_and_die, args=arguments)
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    finish(world)
    states = world.states()
    assert max(post.inbox.taken.values()) == 1
    assert {address for address, state in states.items() if state == "accepted"} <= set(post.inbox.taken)
    assert set(states.values()) <= {"accepted", "unknown"}
    assert Counter(states.values())["unknown"] <= SLOTS * workers


def test_workers_side_by_side_reach_everybody_once(world, post):
    done = world.deliver(workers=4)
    assert (done.messages.claimed, done.messages.accepted) == (30, 30)
    assert post.inbox.taken == dict.fromkeys(PEOPLE, 1)
    with Journal.open(world.settings) as journal:
        assert journal.copy_problem() is None
        assert journal.message_outcomes(0).num_rows == 30


@pytest.mark.torture
def test_a_server_that_ends_every_connection_between_claim_and_outcome_costs_nobody_a_message(
    world, post, server, monkeypatch
):
    fence = Journal.fence
    ended = []

    def ends(self, epoch):
        # It is asked before each message leaves, when no transaction is open.
        if not self._db._is_writing:
            ended.append(epoch)
            with psycopg.connect(server.url, autocommit=True) as connection:
                connection.execute(
                    "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
                    " where application_name = 'tailrace' and pid <> pg_backend_pid()"
                )
        fence(self, epoch)

    monkeypatch.setattr(Journal, "fence", ends)
    assert world.deliver().messages.accepted == 30
    assert len(ended) == 30
    assert post.inbox.taken == dict.fromkeys(PEOPLE, 1)


def test_a_sender_elsewhere_with_the_same_journal_is_told_to_wait(world, post, tmp_path):
    elsewhere = World(tmp_path / "elsewhere")
    elsewhere.smtp(post.port)
    elsewhere.settings = replace(elsewhere.settings, journal_url=world.settings.journal_url)
    with Journal.open(world.settings) as journal, journal.sender(world.now), pytest.raises(Busy, match="this journal"):
        elsewhere.deliver()
    assert not post.inbox.taken


def test_a_server_that_is_gone_sends_nothing_and_says_so(world, post, monkeypatch):
    waits = []
    monkeypatch.setattr("tailrace.clock.sleep", waits.append)
    with Journal.open(world.settings) as journal:
        database = journal._db
        assert isinstance(database, PostgresDatabase)
        database._asked = database._asked | {"host": "/nowhere"}
        database._connection.close()
        with pytest.raises(JournalError, match=r"cannot be reached \(nobody listens there"):
            journal.start_epoch(world.now)
    assert waits == [0.0, 0.5, 1.0, 2.0, 4.0]
    assert not post.inbox.taken
