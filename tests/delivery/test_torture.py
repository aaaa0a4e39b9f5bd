"""kill -9 while delivering and syncing, again and again, over several kinds of destination.

`TAILRACE_TEST_KILLS=100` kills as often; a few times is what every run of the tests can afford.
"""

from __future__ import annotations

import os
import random
import signal
from collections import Counter

import pytest
from delivery_world import Post, start_sender
from receiver import answer

from tailrace.journal import Journal

KILLS = int(os.environ.get("TAILRACE_TEST_KILLS", "12"))
PEOPLE = [f"person{n:03d}@people.test" for n in range(max(40, KILLS * 3))]
ROWS = len(PEOPLE)
SLOTS = 2
BATCH = 2
POINTS = ("deliver.claimed", "deliver.copied", "deliver.handed_over", "deliver.recorded")
KINDS = {
    "mail": ("smtp", ""),
    "calls": ("webhook", ""),
    "calls that are recognised": ("webhook", ", is_idempotent: true"),
    "mirror": ("sync", ""),
    "events": ("sync", ""),
    "events that are recognised": ("sync", ", is_idempotent: true"),
}


def killed(world, tmp_path, chance, mode, kills):
    """Start senders, with one worker or with two, and kill them at a point and a turn by chance; return how often."""
    n = 0
    for _ in range(kills):
        point = f"{chance.choice(POINTS)}:{chance.randint(1, 3)}"
        process = start_sender(tmp_path, world.now, point, mode=mode, workers=chance.choice((1, 2)))
        process.join(60)
        assert process.exitcode in (0, -signal.SIGKILL)
        n += process.exitcode == -signal.SIGKILL
        world.later(minutes=10)
    return n


def finish(world):
    for _ in range(12):
        world.later(hours=1)
        world.deliver()
        with Journal.open(world.settings) as journal:
            counts = journal.counts()
        if not {"pending", "claimed"} & {*counts.messages, *counts.batches}:
            return
    raise AssertionError("something stays pending")


@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", KINDS)
def test_however_often_a_sender_is_killed_nothing_comes_twice_and_nothing_is_missing(world, receiver, tmp_path, kind):
    how, settings = KINDS[kind]
    is_recognised = "is_idempotent" in settings
    mode = "append" if kind.startswith("events") else "mirror"
    world.plans.mode = mode
    chance = random.Random(f"{kind}-20251122")
    with Post() as post:
        if how == "smtp":
            world.smtp(post.port, f", slots: {SLOTS}")
        else:
            world.webhook(receiver.port, f", slots: {SLOTS}{settings}")
        receiver.otherwise = answer(204)
        if how == "sync":
            world.apply([], sync_rows=ROWS, batch_size=BATCH)
        else:
            world.apply(PEOPLE)
        world.go_live()
        kills = killed(world, tmp_path, chance, mode, max(2, KILLS // len(KINDS)))
        assert kills
        finish(world)

        # Two workers hold two claims.
        at_risk = kills * 2 * (BATCH if how == "sync" else SLOTS)
        if how == "sync":
            came = Counter(row["key"]["id"] for call in receiver.calls for row in call.said["data"]["rows"])
            with Journal.open(world.settings) as journal:
                said = journal.acknowledged_rows(0).to_pylist()
            last = {row["batch_no"] * BATCH + row["position"]: row["outcome"] for row in said}
            unknown = {str(row) for row, outcome in last.items() if outcome == "unknown"}
            everything = {str(row) for row in range(ROWS)}
        else:
            taken = (
                post.inbox.taken if how == "smtp" else Counter(call.said["data"]["address"] for call in receiver.calls)
            )
            came = Counter(taken)
            unknown = {address for address, state in world.states().items() if state == "unknown"}
            everything = set(PEOPLE)
        assert set(came) <= everything
        assert everything - set(came) <= unknown, "who did not hear of it is listed"
        assert len(unknown) <= at_risk
        repeated = {one for one, n in came.items() if n > 1}
        if mode == "mirror" and how == "sync":
            assert not unknown
            assert len(repeated) <= at_risk, "what is repeated was in flight"
        elif is_recognised:
            # The far end knows it by its id, and drops it.
            assert not unknown
            names = Counter((call.headers["idempotency-key"], call.body) for call in receiver.calls)
            assert len({name for name, _ in names}) == (-(-ROWS // BATCH) if how == "sync" else ROWS)
            assert len(repeated) <= at_risk
        else:
            assert not repeated, "nothing comes twice where it would be taken twice"
