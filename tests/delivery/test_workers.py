"""Several workers at once: everything once, nobody in the way of another, and nothing lost when one of them dies."""

from __future__ import annotations

from collections import Counter

import pytest
from receiver import answer

from tailrace.delivery.send import deliver_share
from tailrace.delivery.worker import Share
from tailrace.destinations import webhook
from tailrace.errors import JournalError
from tailrace.journal import Journal

PEOPLE = [f"person{n:02d}@people.test" for n in range(40)]
WORKERS = 4


def test_everybody_gets_it_once_and_each_worker_has_a_line_of_its_own(world, post):
    world.smtp(post.port)
    world.apply(PEOPLE)
    world.go_live()
    done = world.deliver(workers=WORKERS)
    assert (done.messages.claimed, done.messages.accepted) == (40, 40)
    assert post.inbox.taken == dict.fromkeys(PEOPLE, 1)
    assert post.inbox.connections == WORKERS
    assert world.deliver(workers=WORKERS).messages.claimed == 0


def test_every_batch_goes_out_once_and_every_row_is_acknowledged(world, receiver):
    world.webhook(receiver.port)
    world.apply([], sync_rows=39, batch_size=3)
    world.go_live()
    assert world.deliver(workers=WORKERS).rows.accepted == 39
    assert Counter(call.said["id"] for call in receiver.calls) == {f"plan1/s/{n}": 1 for n in range(13)}
    with Journal.open(world.settings) as journal:
        said = journal.acknowledged_rows(0)
    assert said.num_rows == 39
    assert set(said["outcome"].to_pylist()) == {"accepted"}


def test_the_shares_of_what_is_due_have_nothing_in_common_and_leave_nothing_out(world):
    world.apply(PEOPLE, sync_rows=9)
    with Journal.open(world.settings) as journal:
        shares = [
            [due.item_id for due in (*messages.items, *batches.items)]
            for number in range(WORKERS)
            for messages in [journal.due_messages("email", world.now, 99, share=(number, WORKERS))]
            for batches in [journal.due_batches("hook", "plan1", world.now, 99, share=(number, WORKERS))]
        ]
    assert Counter(item for share in shares for item in share).most_common(1)[0][1] == 1
    assert sum(map(len, shares)) == 45
    assert max(map(len, shares)) - min(map(len, shares)) <= 2


def test_what_one_worker_learns_of_a_destination_stops_them_all(world, receiver):
    receiver.otherwise = answer(401)
    world.webhook(receiver.port, ", slots: 1")
    world.apply(PEOPLE)
    world.go_live()
    done = world.deliver(workers=WORKERS)
    assert done.stopped == {"hook": "http_401"}
    assert 1 <= done.messages.blocked <= WORKERS
    assert len(receiver.calls) <= WORKERS


def test_a_limit_holds_for_all_workers_together(world, receiver):
    world.webhook(receiver.port, ", calls_per_second: 10")
    world.apply(PEOPLE)
    world.go_live()
    begun = world.now
    assert world.deliver(workers=WORKERS).messages.accepted == 40
    # Each sleeps on the one clock of this world, so that it goes no slower than the calls are apart.
    assert (world.now - begun).total_seconds() >= 39 / 10 - WORKERS * 0.25


def test_a_worker_that_dies_leaves_one_unknown_and_the_others_finish_theirs(world, receiver, monkeypatch):
    def read(settings, item, reply):
        if item.address == PEOPLE[17]:
            raise MemoryError
        return answered(settings, item, reply)

    answered = webhook.read_response
    monkeypatch.setattr(webhook, "read_response", read)
    world.webhook(receiver.port)
    world.apply(PEOPLE)
    world.go_live()
    with pytest.raises(MemoryError):
        world.deliver(workers=WORKERS)
    monkeypatch.undo()
    done = world.deliver(workers=WORKERS)
    states = world.states()
    assert states[PEOPLE[17]] == "unknown"
    assert Counter(states.values())["accepted"] >= 40 - 4
    assert done.found_unknown <= 4
    assert set(receiver.seen.values()) == {1}


def test_what_was_handed_over_is_known_although_the_next_message_cannot_be_made(world, post):
    class Fails(type(world.renderer)):
        n = 0

        def render(self, *said, **more):
            self.n += 1
            if self.n == 7:
                raise MemoryError
            return super().render(*said, **more)

    world.renderer = Fails()
    world.smtp(post.port)
    world.apply(PEOPLE)
    world.go_live()
    with pytest.raises(MemoryError):
        world.deliver()
    assert Counter(world.states().values()) == {"accepted": 4, "pending": 36}


def test_shares_may_be_done_elsewhere_and_what_they_did_is_summed_up(world, post):
    def elsewhere(shares):
        parts = []
        for share in shares:
            with Journal.open(world.settings) as journal:
                done = deliver_share(
                    world.settings, journal, world.plans, share, now=lambda: world.now, renderer=world.renderer
                )
            parts.append(done)
        return parts

    world.smtp(post.port)
    world.apply(PEOPLE)
    world.go_live()
    done = world.deliver(workers=3, fan_out=elsewhere)
    assert (done.messages.claimed, done.messages.accepted) == (40, 40)
    assert post.inbox.taken == dict.fromkeys(PEOPLE, 1)


def test_a_share_of_a_delivery_that_was_replaced_hands_nothing_over(world, post):
    world.smtp(post.port)
    world.apply(PEOPLE)
    world.go_live()
    with Journal.open(world.settings) as journal:
        old = journal.start_epoch(world.now)
        journal.start_epoch(world.now)
        with pytest.raises(JournalError, match="replaced by a later one"):
            deliver_share(
                world.settings, journal, world.plans, Share(old), now=lambda: world.now, renderer=world.renderer
            )
    assert not post.inbox.taken
