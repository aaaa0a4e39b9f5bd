from __future__ import annotations

import shutil
from datetime import timedelta

import pytest
from delivery_world import World

from tailrace.delivery.send import deliver
from tailrace.errors import Busy, JournalError
from tailrace.journal import Journal, place

PEOPLE = [f"person{n}@people.test" for n in range(5)]


def test_without_the_live_lease_nobody_is_reached_and_nothing_is_lost(world, post):
    world.smtp(post.port)
    world.apply(PEOPLE)
    for _ in range(2):
        done = world.deliver()
        assert done.messages.blocked == 5
        assert done.messages.codes == {"blocked:no_live_lease": 5}
    assert not post.inbox.taken
    assert set(world.states().values()) == {"pending"}
    assert world.codes(PEOPLE[0]) == ["blocked:no_live_lease"], "said once, not at every run"
    world.go_live()
    assert world.deliver().messages.accepted == 5


def test_what_waits_for_the_lease_expires_in_its_own_time(world, post):
    world.smtp(post.port)
    world.apply(PEOPLE, expires=timedelta(hours=1))
    world.deliver()
    world.later(hours=2)
    assert world.deliver().messages.expired == 5
    assert not post.inbox.taken


def test_without_the_lease_allow_listed_addresses_get_through(tmp_path, post):
    world = World(tmp_path, allow=frozenset({"person2@people.test"}))
    world.smtp(post.port)
    world.apply([*PEOPLE[:2], "Person2@people.test"])
    done = world.deliver()
    assert (done.messages.accepted, done.messages.blocked) == (1, 2)
    assert list(post.inbox.taken) == ["Person2@people.test"]


def test_without_the_lease_no_sync_goes_to_a_webhook(world):
    world.webhook(1)
    world.apply(PEOPLE[:1], sync_rows=3)
    done = world.deliver()
    assert done.rows.codes == {"blocked:no_live_lease": 3}


def test_what_was_health_data_when_it_was_planned_waits_for_a_contract(world, post):
    world.smtp(post.port)
    world.apply(PEOPLE)
    world.go_live()
    world.plans.marked = frozenset({("welcome", "hello")})
    for _ in range(2):
        assert world.deliver().messages.codes == {"blocked:no_baa": 5}
    assert not post.inbox.taken
    assert world.codes(PEOPLE[0]) == ["blocked:no_baa"]
    world.smtp(post.port, ", baa: true")
    assert world.deliver().messages.accepted == 5


def test_rows_that_were_health_data_when_they_were_planned_wait_for_a_contract(world):
    world.webhook(1)
    world.apply(PEOPLE[:1], sync_rows=3)
    world.go_live()
    world.plans.marked = frozenset({("", "s")})
    done = world.deliver()
    assert done.rows.codes == {"blocked:no_baa": 3}


def test_neighbours_of_health_data_go_out(world, post):
    world.smtp(post.port)
    world.apply(PEOPLE[:2])
    world.go_live()
    world.plans.marked = frozenset({("care", "hello"), ("welcome", "other"), ("", "hello")})
    assert world.deliver().messages.accepted == 2


def test_the_outbox_needs_no_lease(world):
    world.destinations("channels: {email: outbox}\n")
    world.apply(PEOPLE)
    assert world.deliver().messages.accepted == 5
    assert len(list((world.settings.outbox / "email").iterdir())) == 5


def test_a_copied_data_directory_does_not_hold_the_lease(tmp_path, post):
    world = World(tmp_path / "here")
    world.smtp(post.port)
    world.apply(PEOPLE)
    world.go_live()
    shutil.copytree(tmp_path / "here", tmp_path / "there")
    clone = World(tmp_path / "there")
    clone.intent_of = world.intent_of
    assert clone.deliver().messages.codes == {"blocked:no_live_lease": 5}
    assert not post.inbox.taken
    with Journal.open(clone.settings) as journal:
        assert not journal.live_show().held
        assert journal.live_show().why_not == "it was acquired for another data directory"


def test_a_disk_that_was_moved_to_another_host_does_not_hold_the_lease(world, post, tmp_path, monkeypatch):
    world.smtp(post.port)
    world.apply(PEOPLE)
    world.go_live()
    other = tmp_path / "machine-id-of-another-host"
    other.write_text("0" * 32 + "\n")
    monkeypatch.setattr(place, "_MACHINE_ID", other)

    assert world.deliver().messages.codes == {"blocked:no_live_lease": 5}
    assert not post.inbox.taken
    with Journal.open(world.settings) as journal:
        assert journal.live_show().why_not == "it was acquired on another host"


def test_a_journal_file_put_in_place_of_the_one_it_was_acquired_for_does_not_hold_the_lease(world):
    world.apply(PEOPLE)
    world.go_live()
    path = world.settings.journal
    shutil.copy(path, path.with_suffix(".bak"))
    path.with_suffix(".bak").rename(path)
    with Journal.open(world.settings) as journal:
        assert "not the one" in journal.live_show().why_not


def test_a_released_lease_is_not_held_and_its_history_is_kept(world):
    world.go_live()
    with Journal.open(world.settings) as journal:
        assert journal.live_show().held
        assert not journal.live_release("ops", "holiday", world.now).held
        kept = journal._db.all("select action, who, reason from live_lease order by seq")
        assert [row["action"] for row in kept] == ["acquire", "release"]
        assert (kept[1]["who"], kept[1]["reason"]) == ("ops", "holiday")
        with pytest.raises(JournalError, match="needs a reason"):
            journal.live_acquire("ops", " ", world.now)


def test_a_paused_predecessor_is_fenced_before_its_bytes_leave(world, post):
    world.smtp(post.port)
    world.apply(PEOPLE)
    world.go_live()

    class Pausing:
        """Renders, and lets a successor take over in the middle of the predecessor's first batch."""

        def __init__(self):
            from tailrace.campaigns.render import Renderer

            self.real = Renderer()
            self.done = False

        def render(self, source, data, *, message_key=None):
            if not self.done:
                self.done = True
                with Journal.open(world.settings) as successor:
                    successor.start_epoch(world.now)
            return self.real.render(source, data, message_key=message_key)

    with Journal.open(world.settings) as journal, pytest.raises(JournalError, match="replaced by a later one"):
        deliver(world.settings, journal, world.plans, now=lambda: world.now, renderer=Pausing())
    assert not post.inbox.taken
    assert world.deliver().messages.accepted == 5


def test_a_predecessor_paused_between_claim_and_bytes_hands_nothing_over(world, post, monkeypatch):
    world.smtp(post.port)
    world.apply(PEOPLE)
    world.go_live()
    from tailrace.journal.copy import Copy

    real = Copy.append

    def paused(self, line):
        real(self, line)
        with Journal.open(world.settings) as successor:
            successor.sweep(successor.start_epoch(world.now), world.now)

    monkeypatch.setattr(Copy, "append", paused)
    with pytest.raises(JournalError, match="replaced by a later one"):
        world.deliver()
    monkeypatch.undo()
    assert not post.inbox.taken
    assert list(world.states().values()).count("unknown") == 4


def test_two_senders_at_once_one_wins_and_the_other_says_why(world, post):
    world.smtp(post.port)
    world.apply(PEOPLE)
    world.go_live()
    with Journal.open(world.settings) as journal, journal.sender(world.now), pytest.raises(Busy, match="delivery"):
        world.deliver()
    assert not post.inbox.taken
    assert world.deliver().messages.accepted == 5
