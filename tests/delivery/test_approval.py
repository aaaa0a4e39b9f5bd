"""What waits for a person's word is not sent without it."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from delivery_world import World

from tailrace.errors import JournalError
from tailrace.journal import Journal

PEOPLE = [f"person{n}@people.test" for n in range(4)]


def test_a_draft_is_not_sent_until_it_is_approved_and_then_once(world, post):
    world.smtp(post.port)
    world.apply(PEOPLE, is_draft=True)
    world.go_live()
    done = world.deliver()
    assert (done.messages.claimed, done.drafts_now) == (0, 4)
    world.approve(*PEOPLE[:3])
    done = world.deliver()
    assert (done.messages.accepted, done.drafts_now) == (3, 1)
    world.approve(*PEOPLE[:3])
    assert world.deliver().messages.claimed == 0
    assert post.inbox.taken == dict.fromkeys(PEOPLE[:3], 1)
    assert world.states() == dict.fromkeys(PEOPLE[:3], "accepted") | {PEOPLE[3]: "draft"}


def test_a_rejected_draft_is_cancelled_and_never_sent(world, post):
    world.smtp(post.port)
    world.apply(PEOPLE[:1], is_draft=True)
    world.go_live()
    world.reject(PEOPLE[0])
    assert world.deliver().messages.claimed == 0
    assert world.codes(PEOPLE[0]) == ["cancelled:rejected"]
    with pytest.raises(JournalError, match="is cancelled, and was rejected"):
        world.approve(PEOPLE[0])


def test_a_draft_past_its_time_expires_by_the_sweep_and_cannot_be_approved_any_more(world, post):
    world.smtp(post.port)
    world.apply(PEOPLE[:2], is_draft=True, expires=timedelta(hours=24))
    world.go_live()
    world.later(hours=24)
    world.approve(PEOPLE[0])
    world.later(seconds=1)
    with pytest.raises(JournalError, match="has expired"):
        world.approve(PEOPLE[1])
    done = world.deliver()
    assert (done.messages.expired, done.messages.claimed, done.drafts_now) == (2, 0, 0)
    assert world.codes(PEOPLE[1]) == ["expired:too_late"]
    with pytest.raises(JournalError, match="is expired"):
        world.approve(PEOPLE[1])
    assert not post.inbox.taken


def test_what_is_approved_early_waits_for_its_window(world, post):
    world.smtp(post.port)
    world.apply(PEOPLE[:1], is_draft=True, wait=timedelta(hours=3))
    world.go_live()
    world.approve(PEOPLE[0])
    world.later(hours=2)
    assert world.deliver().messages.claimed == 0
    world.later(hours=1)
    assert world.deliver().messages.accepted == 1


def test_approving_rejecting_and_sending_at_once_ends_in_one_of_them(tmp_path, post):
    world = World(tmp_path)
    world.smtp(post.port, ", slots: 1")
    people = [f"racer{n}@people.test" for n in range(40)]
    world.apply(people, is_draft=True)
    world.go_live()
    words: list[tuple[str, str]] = []
    gate = threading.Barrier(3)

    def decide(how: str) -> None:
        with Journal.open(world.settings) as journal:
            gate.wait()
            for address in people if how == "approve" else reversed(people):
                try:
                    decided = getattr(journal, how)([world.intent_of[address]], how, "race", world.now)
                except JournalError:
                    continue
                if decided.changed:
                    words.append((address, how))

    racers = [threading.Thread(target=decide, args=(how,)) for how in ("approve", "reject")]
    for racer in racers:
        racer.start()
    gate.wait()
    for _ in range(5):
        world.deliver()
    for racer in racers:
        racer.join()
    world.deliver()
    states = world.states()
    assert set(states.values()) <= {"accepted", "cancelled"}
    assert post.inbox.taken == {address: 1 for address, state in states.items() if state == "accepted"}
    assert {address for address, how in words if how == "reject"} == {
        address for address, state in states.items() if state == "cancelled"
    }
