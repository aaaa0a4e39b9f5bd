"""How fast a destination is called, by all senders together, and that it is left alone when it asks for it."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import pytest
from delivery_world import T0, CallRenderer
from receiver import answer

from tailrace.delivery.pace import Budget
from tailrace.delivery.turns import LONGEST_SLEEP, WINDOW, Turns
from tailrace.destinations import webhook
from tailrace.destinations.base import Exchange, Outcome, Pause, Result
from tailrace.journal import Journal
from tailrace.settings import Settings

PEOPLE = [f"person{n:02d}@people.test" for n in range(12)]
THROTTLED = Result(Outcome.RETRY_LATER, "http_429", retry_after=30.0, is_systemic=True)


class Time:
    """A clock that moves when somebody sleeps."""

    def __init__(self) -> None:
        self.at = T0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at += timedelta(seconds=seconds)


@pytest.fixture
def journal(tmp_path):
    with Journal.open(Settings(tmp_path / "data", tmp_path / "project")) as opened:
        yield opened


@pytest.fixture
def time():
    return Time()


@pytest.fixture
def turns(journal, time):
    """Return a function that makes the turns of one worker, each with the pauses of a process of its own."""

    def make(per_second=None, budget=None):
        return Turns(journal, "hook", per_second, lambda: time.at, time.sleep, Budget(T0, budget), {})

    return make


def taken(time, workers, n):
    """Let the workers take turns in turn, and return when each was taken, in seconds."""
    found = []
    for place in range(n):
        assert workers[place % len(workers)].take("") is None
        found.append((time.at - T0).total_seconds())
    return found


@pytest.mark.parametrize("n_workers", [1, 3])
@pytest.mark.parametrize("per_second", [0.5, 4, 100])
def test_all_workers_together_call_no_faster_than_is_allowed(turns, time, n_workers, per_second):
    times = taken(time, [turns(per_second) for _ in range(n_workers)], 60)
    length = 10 / per_second
    for begin in times:
        within = [one for one in times if begin <= one < begin + length]
        assert len(within) <= 10 + per_second * WINDOW + 1
    assert times[-1] >= 59 / per_second - WINDOW * n_workers - 1e-6


def test_a_worker_at_full_speed_commits_for_many_calls_at_once(turns, time, journal, monkeypatch):
    reserved = []
    reserve = journal.reserve
    monkeypatch.setattr(journal, "reserve", lambda *said: (reserved.append(said), reserve(*said))[1])
    taken(time, [turns(100)], 100)
    assert len(reserved) == 4


def test_where_there_is_no_limit_nothing_is_reserved_and_nobody_sleeps(turns, time, journal):
    taken(time, [turns(None)], 100)
    assert time.slept == []
    assert journal._db.value("select count(*) from rates") == 0


def test_a_worker_that_was_away_begins_with_a_turn_and_not_with_those_that_it_missed(turns, time):
    one = turns(4)
    taken(time, [one], 3)
    time.sleep(20)
    times = taken(time, [one], 8)
    assert all(later - before >= 0.25 - 1e-6 for before, later in pairwise(times))


def test_what_a_clock_that_went_wrong_reserved_holds_nobody_up(turns, time, journal):
    journal.reserve("hook", T0 + timedelta(days=300), timedelta(seconds=1))
    journal.pause("hook", T0 + timedelta(days=300))
    taken(time, [turns(4)], 1)
    assert time.slept == []


def test_a_pause_that_one_was_asked_for_is_slept_through_by_all(turns, time):
    asked, other = turns(), turns()
    asked.heard("", THROTTLED)
    assert other.come() is None
    assert time.slept == [30.0]
    assert asked.take("") is None
    assert time.slept == [30.0]


@pytest.mark.parametrize(("seconds", "budget"), [(LONGEST_SLEEP + 1, None), (30.0, 10.0)])
def test_a_pause_that_is_too_long_is_not_slept_through(turns, time, seconds, budget):
    one = turns(budget=budget)
    one.heard("", Result(Outcome.RETRY_LATER, "http_429", retry_after=seconds, is_systemic=True))
    stop = one.come()
    assert (stop.outcome, stop.code, stop.retry_after) == (Outcome.BLOCKED, "paused", seconds)
    assert time.slept == []


def test_a_shorter_pause_does_not_end_a_longer_one(turns, time, journal):
    turns().heard("", THROTTLED)
    turns().heard("", Result(Outcome.RETRY_LATER, "http_503", retry_after=5.0, is_systemic=True))
    assert journal.paused_until("hook", T0) == T0 + timedelta(seconds=30)


def test_what_concerns_one_item_pauses_nobody(turns, time):
    one = turns()
    one.heard("", Result(Outcome.RETRY_LATER, "http_425", retry_after=30.0))
    assert one.come() is None
    assert time.slept == []


def test_the_pause_of_one_host_that_steps_call_is_not_that_of_another(turns, time):
    one = turns()
    one.heard("a.test", THROTTLED)
    assert one.take("b.test") is None
    assert one.come() is None
    assert time.slept == []
    assert turns().take("a.test") is None
    assert time.slept == [30.0]


def test_each_call_of_a_hand_over_that_takes_several_counts(world, receiver, monkeypatch):
    def build_request(settings, secrets, item):
        def steps():
            yield request
            yield Pause(0)
            yield request
            return (yield request)

        request = built(settings, secrets, item)
        return Exchange(steps)

    built = webhook.build_request
    monkeypatch.setattr(webhook, "build_request", build_request)
    world.webhook(receiver.port, ", calls_per_second: 4")
    world.apply(PEOPLE[:3])
    world.go_live()
    begun = world.now
    assert world.deliver().messages.accepted == 3
    assert len(receiver.calls) == 9
    assert (world.now - begun).total_seconds() == pytest.approx(8 / 4)


def test_what_is_known_of_messages_is_written_before_anybody_sleeps(world, receiver, monkeypatch):
    def sleep(seconds):
        counts = world.states()
        assert "claimed" not in counts.values()
        assert list(counts.values()).count("accepted") == len(receiver.calls)
        looked.append(seconds)
        world.later(seconds=seconds)

    looked = []
    monkeypatch.setattr(world, "sleep", sleep)
    world.webhook(receiver.port, ", calls_per_second: 4, slots: 1")
    world.apply(PEOPLE[:4])
    world.go_live()
    assert world.deliver().messages.accepted == 4
    assert len(looked) == 3


def test_a_destination_that_throttles_for_a_short_time_gets_everything_in_this_delivery_but_what_it_refused(
    world, receiver
):
    receiver.answers[2] = answer(429, retry_after="20")
    world.webhook(receiver.port)
    world.apply(PEOPLE)
    world.go_live()
    done = world.deliver()
    assert (done.messages.accepted, done.messages.retry_later) == (11, 1)
    assert world.slept == [20.0]
    world.later(minutes=6)
    assert world.deliver().messages.accepted == 1
    assert set(receiver.seen.values()) == {1, 2}


def test_a_destination_that_wants_a_long_rest_is_not_called_again_until_it_is_over(world, receiver):
    receiver.answers[2] = answer(429, retry_after="3600")
    world.webhook(receiver.port)
    world.apply(PEOPLE)
    world.go_live()
    done = world.deliver()
    assert done.stopped == {"hook": "paused"}
    assert (done.messages.accepted, done.messages.retry_later, done.messages.blocked) == (2, 1, 1)
    world.later(minutes=50)
    assert world.deliver().messages.claimed == 0
    assert len(receiver.calls) == 3
    world.later(minutes=11)
    assert world.deliver().messages.accepted == 10


def test_a_limit_in_the_settings_spaces_the_calls(world, receiver):
    times = []
    receiver.otherwise = lambda _: (times.append(world.now), answer(204))[1]
    world.webhook(receiver.port, ", calls_per_second: 2")
    world.apply(PEOPLE)
    world.go_live()
    assert world.deliver().messages.accepted == 12
    assert all(later - before >= timedelta(seconds=0.499) for before, later in pairwise(times))


def test_a_step_that_one_host_put_off_holds_back_no_call_to_another(world, receiver):
    slow = f"http://localhost:{receiver.port}/"
    receiver.otherwise = lambda call: (
        answer(429, retry_after="600") if "localhost" in call.headers["host"] else answer()
    )
    world.destinations("connections:\n  hook: {type: webhook, private_network: true}\nchannels: {webhook: hook}\n")
    world.renderer = CallRenderer(f"http://127.0.0.1:{receiver.port}/", {"Slow": slow})
    world.apply(PEOPLE, channel="webhook", klass="action", names=["Slow", "Kim"] * 6)
    world.go_live()
    done = world.deliver()
    assert (done.messages.accepted, done.messages.retry_later, done.messages.blocked) == (6, 1, 5)
