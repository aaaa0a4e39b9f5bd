"""Rows in a table, in files on disk, in a bucket and over SSH: killed on the way, nothing is there twice or missing."""

from __future__ import annotations

import signal

import psycopg
import pytest
from far_stores import opened
from tests.landing import postgres

from tailrace import clock

N = 9


@pytest.fixture(scope="module")
def server():
    with postgres.serving() as found:
        yield found


@pytest.fixture
def place(request, tmp_path, server, monkeypatch):
    with opened(request.param, tmp_path, server) as place:
        for name, value in place.environment.items():
            monkeypatch.setenv(name, value)
        yield place


def prepared(world, place, mode):
    """Make the world deliver three batches to the place."""
    world.destinations(f"connections:\n  far: {{{place.settings}}}\nchannels: {{}}\n")
    world.plans.mode = mode
    world.apply([], sync_rows=N, batch_size=3, destination="far")
    world.go_live()


def deliver_all(world):
    for _ in range(4):
        world.later(hours=7)
        world.deliver()


TABLE = [
    ("table", "append", "deliver.claimed:2"),
    ("table", "append", "table.written:2"),
    ("table", "append", "deliver.handed_over:2"),
    ("table", "mirror", "deliver.handed_over:2"),
]
FILES = [
    ("disk", "append", "store.put:2"),
    ("bucket", "append", "store.put:2"),
    ("sftp", "append", "store.aside:2"),
    ("sftp", "append", "store.put:2"),
    ("disk", "mirror", "deliver.recorded:2"),
]


@pytest.mark.torture
@pytest.mark.parametrize(("place", "mode", "point"), TABLE + FILES, indirect=["place"])
def test_killed_on_the_way_every_row_is_there_once(world, tmp_path, place, mode, point):
    prepared(world, place, mode)
    if mode == "mirror" and hasattr(place, "is_keyed"):
        place.is_keyed()
    process = place.start_sender(tmp_path, world.now, point, mode)
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    there = place.ids()
    assert len(there) < N

    deliver_all(world)

    assert sorted(place.ids()) == [str(n) for n in range(N)]


@pytest.mark.torture
@pytest.mark.parametrize("place", ["table"], indirect=True)
def test_killed_while_the_server_works_every_row_is_there_once(world, tmp_path, place):
    prepared(world, place, "append")
    with psycopg.connect(place.url) as other:
        other.execute("lock table people")
        process = place.start_sender(tmp_path, world.now, "", "append")
        waiting = "select count(*) from pg_stat_activity where wait_event_type = 'Lock'"
        deadline = clock.monotonic() + 60
        while place.db.execute(waiting).fetchall() == [(0,)]:
            assert clock.monotonic() < deadline
            clock.sleep(0.02)
        process.kill()
        process.join(60)

    deliver_all(world)

    assert sorted(place.ids()) == [str(n) for n in range(N)]


@pytest.mark.parametrize("place", ["table"], indirect=True)
@pytest.mark.parametrize("mode", ["append", "mirror"])
def test_a_row_that_a_table_refuses_does_not_take_its_neighbours(world, place, mode):
    prepared(world, place, mode)
    place.is_keyed()
    place.db.execute("alter table people add check (id <> '4')")

    done = world.deliver()

    assert sorted(place.ids()) == [str(n) for n in range(N) if n != 4]
    assert (done.rows.accepted, done.rows.rejected) == (N - 1, 1)
    assert done.rows.codes["rejected:sqlstate_23514"] == 1
    deliver_all(world)
    assert len(place.ids()) == N - 1


@pytest.mark.parametrize("place", ["table"], indirect=True)
def test_a_table_that_is_not_there_holds_its_rows_back_until_it_is(world, place):
    prepared(world, place, "mirror")
    place.db.execute("alter table people rename to persons")

    blocked = world.deliver()
    place.db.execute("alter table persons rename to people")
    place.is_keyed()
    deliver_all(world)

    assert (blocked.rows.accepted, blocked.stopped) == (0, {"far": "sqlstate_42P01"})
    assert sorted(place.ids()) == [str(n) for n in range(N)]
