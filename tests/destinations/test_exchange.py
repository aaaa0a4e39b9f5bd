"""Several calls that make one hand-over: in order, with pauses, and true about what may have been acted on."""

from __future__ import annotations

import pytest
from far_end import listening

from tailrace import clock
from tailrace.destinations.base import Exchange, Failure, HttpReply, HttpRequest, Pause
from tailrace.destinations.transport import HttpSession


@pytest.fixture
def slept(monkeypatch):
    waits = []
    monkeypatch.setattr(clock, "sleep", waits.append)
    return waits


@pytest.fixture
def session():
    session = HttpSession(timeout=0.3, private_network=True)
    yield session
    session.close()


@pytest.fixture
def end():
    def mind(call):
        if call.path == "/nothing":
            # Less than the length that is said: the answer never comes whole.
            return 200, {"content-encoding": "gzip"}, b"no gzip"
        return 200, {"x-path": call.path}, call.body

    with listening(mind) as far:
        yield far


def call(url, body=b"", *, acts=True):
    return HttpRequest("POST", url, {}, body, acts)


def test_calls_go_in_their_order_each_is_told_the_answer_of_the_one_before_and_the_last_word_is_the_steps(end, session):
    def steps():
        first = yield call(f"{end.url}/token", b"t1", acts=False)
        second = yield call(f"{end.url}/job", first.body + b"+", acts=True)
        return HttpReply(second.status, {"from": first.headers["x-path"]}, second.body)

    reply = session.perform(Exchange(steps))
    assert [one.path for one in end.calls] == ["/token", "/job"]
    assert (reply.status, reply.headers, reply.body) == (200, {"from": "/token"}, b"t1+")


def test_a_pause_waits_by_the_clock_and_is_told_nothing(end, session, slept):
    told = []

    def steps():
        told.append((yield Pause(2.0)))
        reply = yield call(f"{end.url}/poll", acts=False)
        told.append((yield Pause(30)))
        return reply

    assert session.perform(Exchange(steps)).status == 200
    assert (slept, told) == ([2.0, 30], [None, None])


def test_an_exchange_may_end_without_a_call(session):
    def steps():
        return HttpReply(204, {}, b"")
        yield

    assert session.perform(Exchange(steps)) == HttpReply(204, {}, b"")


@pytest.mark.parametrize(
    ("before", "failing", "handed_over"),
    [
        ((), False, False),
        ((False, False), False, False),
        ((), True, True),
        ((True,), False, True),
        ((True, False), False, True),
        ((False, True), False, True),
    ],
)
def test_what_fails_was_handed_over_only_if_a_call_that_acts_had_left(end, session, before, failing, handed_over):
    closed = []

    def steps():
        try:
            for acts in before:
                yield call(f"{end.url}/before", acts=acts)
            yield call(f"{end.url}/nothing", acts=failing)
        finally:
            closed.append(True)

    reply = session.perform(Exchange(steps))
    assert reply == Failure(handed_over, reply.code)
    assert reply.code.startswith("answer:")
    assert closed, "the steps are told that it is over"
    assert len(end.calls) == len(before) + 1


def test_a_call_that_never_connected_was_not_handed_over_even_if_it_would_act(end, session):
    with listening(lambda call: (200, {}, b"")) as gone:
        closed_url = gone.url

    def steps(first):
        yield call(f"{end.url}/token", acts=first)
        yield call(f"{closed_url}/job", acts=True)

    assert session.perform(Exchange(lambda: steps(False))) == Failure(False, "connect:refused")
    assert session.perform(Exchange(lambda: steps(True))) == Failure(True, "connect:refused")


def test_a_refusal_is_an_answer_like_any_other_and_the_steps_decide(session):
    with listening(lambda call: (503, {}, b"")) as far:

        def steps():
            reply = yield call(f"{far.url}/token", acts=False)
            return reply

        assert session.perform(Exchange(steps)).status == 503


def test_a_lone_call_that_changes_nothing_was_never_handed_over(end, session):
    assert session.perform(call(f"{end.url}/nothing", acts=False)).handed_over is False
    assert session.perform(call(f"{end.url}/nothing", acts=True)).handed_over is True
