from __future__ import annotations

import random
import signal

import pytest
from delivery_world import start_applying, start_sender

from tailrace import durable
from tailrace.errors import JournalError
from tailrace.journal import Journal, SyncBatch

PEOPLE = [f"person{n:02d}@people.test" for n in range(30)]
SLOTS = 4
POINTS = [
    f"{point}:{nth}"
    for point in ("deliver.claimed", "deliver.copied", "deliver.handed_over", "deliver.recorded")
    for nth in (1, 3)
]


def finish(world):
    """Deliver until nothing is pending."""
    for _ in range(10):
        world.later(hours=1)
        world.deliver()
        if "pending" not in world.states().values() and "claimed" not in world.states().values():
            return
    raise AssertionError("something stays pending")


def check(world, post, kills):
    """Nobody got it twice; who did not get it once is listed as unknown; and those are at most a claim per kill."""
    states = world.states()
    assert max(post.inbox.taken.values()) == 1
    for address in PEOPLE:
        if states[address] == "accepted":
            assert post.inbox.taken[address] == 1
        else:
            assert states[address] == "unknown"
    assert list(states.values()).count("unknown") <= SLOTS * kills
    assert sum(post.inbox.taken.values()) >= len(PEOPLE) - SLOTS * kills


@pytest.mark.parametrize("point", POINTS)
def test_killed_at_a_crash_point_everyone_gets_it_once_or_is_listed_as_unknown(world, post, tmp_path, point):
    world.smtp(post.port)
    world.apply(PEOPLE)
    world.go_live()
    process = start_sender(tmp_path, world.now, point)
    process.join(30)
    assert process.exitcode == -signal.SIGKILL
    finish(world)
    check(world, post, kills=1)


@pytest.mark.torture
def test_killed_at_random_instants_again_and_again_everyone_gets_it_once_or_is_listed(world, post, tmp_path):
    world.smtp(post.port)
    world.apply(PEOPLE)
    world.go_live()
    chance = random.Random(20260321)
    kills = 0
    for _ in range(12):
        post.inbox.some_taken.clear()
        process = start_sender(tmp_path, world.now)
        while process.is_alive() and not post.inbox.some_taken.wait(0.02):
            pass
        process.join(chance.uniform(0, 0.02))
        if process.is_alive():
            process.kill()
            kills += 1
        process.join(30)
        world.later(minutes=10)
        if "pending" not in world.states().values():
            break
    assert kills
    finish(world)
    check(world, post, kills)


@pytest.mark.torture
@pytest.mark.parametrize("point", ["deliver.claimed", "deliver.handed_over:7", "deliver.recorded"])
def test_killed_while_writing_to_the_outbox_nothing_is_unknown(world, tmp_path, point):
    world.destinations("connections:\n  files: {type: outbox, slots: 10}\nchannels: {email: files}\n")
    world.apply(PEOPLE)
    process = start_sender(tmp_path, world.now, point)
    process.join(30)
    assert process.exitcode == -signal.SIGKILL
    finish(world)
    assert set(world.states().values()) == {"accepted"}
    files = sorted((world.settings.outbox / "email").glob("*.eml"))
    assert sorted(path.stem for path in files) == sorted(world.intent_of.values())


def test_the_names_of_outbox_files_are_on_the_disk_before_the_journal_says_that_they_are_there(world, monkeypatch):
    world.destinations("channels: {email: outbox}\n")
    world.apply(PEOPLE[:3])
    done = []
    synced, recorded = durable.fsync_dir, Journal.record
    monkeypatch.setattr(durable, "fsync_dir", lambda path: (done.append(path.name), synced(path)))
    monkeypatch.setattr(Journal, "record", lambda *said: (done.append("recorded"), recorded(*said)))
    assert world.deliver().messages.accepted == 3
    assert "email" in done[: done.index("recorded")]


def test_killed_while_applying_a_plan_the_next_one_finds_all_of_it(world, tmp_path):
    process = start_applying(tmp_path, PEOPLE, "journal.applied")
    process.join(30)
    assert process.exitcode == -signal.SIGKILL
    with Journal.open(world.settings) as journal:
        assert journal.is_applied("plan1")
        assert journal.counts().messages == {"pending": 30}


def test_a_plan_that_cannot_be_written_whole_is_not_written_at_all(world):
    world.apply(PEOPLE[:2])
    with Journal.open(world.settings) as journal:
        twice = [SyncBatch("s", 0, 1, "hook"), SyncBatch("s", 0, 1, "hook")]
        table = journal.mirror("intents", 0).drop_columns(["seq", "plan_id", "applied_at"])
        with pytest.raises(JournalError, match="contradicts itself"):
            journal.apply_plan("plan2", "plan1", world.now, world.now, table, twice)
        assert not journal.is_applied("plan2")
