"""How a batch is cut into calls, and that every row of it ends as its destination said."""

from __future__ import annotations

import json
import signal
from dataclasses import replace

import pytest
from delivery_world import start_sender
from receiver import answer

from tailrace.destinations import webhook
from tailrace.destinations.base import RowsRefused
from tailrace.journal import Journal


@pytest.fixture
def hook(world, receiver, monkeypatch):
    """Return a function that makes the world's webhook a destination that can what it says, with one sync of rows."""

    def make(n_rows, settings="", mode="mirror", batch_size=None, **can):
        monkeypatch.setattr(webhook, "CAPABILITIES", replace(webhook.CAPABILITIES, **can))
        world.webhook(receiver.port, settings)
        world.plans.mode = mode
        world.apply([], sync_rows=n_rows, batch_size=batch_size or n_rows)
        world.go_live()

    return make


def keys(call):
    return [row["key"]["id"] for row in call.said["data"]["rows"]]


def calls(receiver):
    return [keys(call) for call in receiver.calls]


def rows_of(world):
    """Return the last word on each row of the first batch, by position: its outcome, and why if it was not taken."""
    with Journal.open(world.settings) as journal:
        said = journal.acknowledged_rows(0).sort_by("seq").to_pylist()
    return {row["position"]: (row["outcome"], row["code"] if row["outcome"] == "rejected" else "") for row in said}


def outcomes(world):
    return [outcome for _, (outcome, _) in sorted(rows_of(world).items())]


def refusing(*bad, status=400):
    """Return an answer that refuses every call which holds one of the rows, and names none."""
    return lambda call: answer(status if set(keys(call)) & set(bad) else 204)


def test_a_batch_is_cut_to_what_a_call_takes_and_each_call_has_an_id_of_its_own(world, receiver, hook):
    hook(7, call_rows=3)
    done = world.deliver()
    assert (done.rows.claimed, done.rows.accepted) == (7, 7)
    assert calls(receiver) == [["0", "1", "2"], ["3", "4", "5"], ["6"]]
    names = [call.headers["idempotency-key"] for call in receiver.calls]
    assert len(set(names)) == 3
    assert all(name.startswith("plan1/s/0/") for name in names)


def test_a_call_that_is_too_long_is_halved_until_it_fits_and_a_row_that_never_fits_is_rejected(world, receiver, hook):
    hook(4, call_bytes=260)
    world.plans.long = "2"
    done = world.deliver()
    assert rows_of(world)[2] == ("rejected", "row:too_large")
    assert (done.rows.accepted, done.rows.rejected) == (3, 1)
    assert sorted(key for call in calls(receiver) for key in call) == ["0", "1", "3"]
    assert all(len(call.body) <= 260 for call in receiver.calls)


@pytest.mark.parametrize("bad", [("0",), ("7",), ("2", "3"), ("1", "4", "6")])
def test_a_refused_call_is_halved_until_the_bad_rows_are_known_and_the_neighbours_go(world, receiver, hook, bad):
    hook(8, names_rows=False)
    receiver.otherwise = refusing(*bad)
    done = world.deliver()
    expected = ["rejected" if str(place) in bad else "accepted" for place in range(8)]
    assert outcomes(world) == expected
    assert (done.rows.claimed, done.rows.rejected) == (8, len(bad))
    taken = [key for call in receiver.calls if not set(keys(call)) & set(bad) for key in keys(call)]
    assert sorted(taken) == sorted({str(place) for place in range(8)} - set(bad)), "each neighbour once"


def test_a_refused_call_of_a_destination_that_names_rows_is_its_last_word(world, receiver, hook):
    hook(4)
    receiver.otherwise = answer(400)
    assert world.deliver().rows.rejected == 4
    assert len(receiver.calls) == 1


def test_a_destination_that_refuses_row_after_row_is_asked_no_further(world, receiver, hook):
    hook(64, names_rows=False)
    receiver.otherwise = answer(400)
    done = world.deliver()
    assert (done.rows.rejected, done.rows.retry_later) == (20, 44)
    assert done.rows.codes["retry_later:refused_one_after_another"] == 44
    n_calls = len(receiver.calls)
    assert n_calls < 64
    receiver.otherwise = answer(204)
    world.later(hours=1)
    assert world.deliver().rows.accepted == 44
    assert outcomes(world) == ["rejected"] * 20 + ["accepted"] * 44


@pytest.mark.parametrize(("status", "outcome"), [(503, "retry_later"), (401, "blocked")])
def test_a_destination_that_fails_half_way_hears_the_rest_later_and_nothing_again(
    world, receiver, hook, status, outcome
):
    hook(6, call_rows=2)
    receiver.answers[1] = answer(status)
    done = world.deliver()
    assert (done.rows.claimed, done.rows.accepted, getattr(done.rows, outcome)) == (6, 2, 4)
    assert rows_of(world) == {0: ("accepted", ""), 1: ("accepted", "")}
    world.later(hours=1)
    done = world.deliver()
    assert (done.rows.claimed, done.rows.accepted) == (4, 4)
    assert outcomes(world) == ["accepted"] * 6
    assert calls(receiver) == [["0", "1"], ["2", "3"], ["2", "3"], ["4", "5"]]


def test_an_answer_that_is_lost_leaves_its_rows_unknown_and_they_alone_are_said_again(world, receiver, hook):
    hook(6, call_rows=2)
    receiver.answers[1] = "reset"
    done = world.deliver()
    assert (done.rows.accepted, done.rows.unknown) == (4, 2)
    assert outcomes(world) == ["accepted", "accepted", "unknown", "unknown", "accepted", "accepted"]
    world.later(hours=1)
    assert world.deliver().rows.claimed == 2
    assert outcomes(world) == ["accepted"] * 6
    assert calls(receiver)[-1] == ["2", "3"]
    first, again = (receiver.calls[place].headers["idempotency-key"] for place in (1, 3))
    assert first == again


def test_a_row_that_was_refused_in_an_earlier_attempt_stays_refused(world, receiver, hook):
    hook(4, call_rows=1)
    receiver.answers |= {0: answer(400), 2: answer(503)}
    world.deliver()
    world.later(hours=1)
    world.deliver()
    assert outcomes(world) == ["rejected", "accepted", "accepted", "accepted"]
    assert calls(receiver) == [["0"], ["1"], ["2"], ["2"], ["3"]]


@pytest.mark.parametrize("settings", ["", ", is_idempotent: true"])
def test_an_event_whose_fate_is_unknown_is_repeated_only_where_repeats_are_recognised(world, receiver, hook, settings):
    hook(4, settings, mode="append", call_rows=2)
    receiver.answers[0] = "reset"
    assert world.deliver().rows.unknown == 2
    world.later(hours=1)
    again = world.deliver()
    if settings:
        assert again.rows.accepted == 2
        assert calls(receiver) == [["0", "1"], ["2", "3"], ["0", "1"]]
    else:
        assert again.rows.claimed == 0
        assert outcomes(world) == ["unknown", "unknown", "accepted", "accepted"]
        assert calls(receiver) == [["0", "1"], ["2", "3"]]


def test_what_waits_of_a_batch_of_events_goes_out_without_those_whose_fate_is_unknown(world, receiver, hook):
    hook(6, mode="append", call_rows=2)
    receiver.answers |= {0: "reset", 1: answer(503)}
    world.deliver()
    world.later(hours=1)
    world.deliver()
    assert outcomes(world) == ["unknown", "unknown"] + ["accepted"] * 4
    assert calls(receiver) == [["0", "1"], ["2", "3"], ["2", "3"], ["4", "5"]]


@pytest.mark.torture
@pytest.mark.parametrize(("mode", "repeats"), [("append", 1), ("mirror", 2)])
def test_a_sender_that_dies_leaves_a_batch_of_events_unknown_and_any_other_is_said_again(
    world, receiver, hook, tmp_path, mode, repeats
):
    hook(2, mode=mode)
    process = start_sender(tmp_path, world.now, "deliver.handed_over", mode=mode)
    process.join(30)
    assert process.exitcode == -signal.SIGKILL
    world.later(hours=1)
    done = world.deliver()
    assert len(receiver.calls) == repeats
    assert outcomes(world) == (["unknown"] * 2 if mode == "append" else ["accepted"] * 2)
    assert (done.found_unknown, done.sent_again) == ((1, 0) if mode == "append" else (0, 1))


def test_rows_that_a_module_refuses_are_rejected_with_their_code_and_the_others_go(world, receiver, hook, monkeypatch):
    def build(settings, secrets, item):
        bad = {row.position: "key:missing" for row in item.rows if row.position in (1, 3)}
        if bad:
            raise RowsRefused(bad)
        return made(settings, secrets, item)

    made = webhook.build_request
    monkeypatch.setattr(webhook, "build_request", build)
    hook(4)
    done = world.deliver()
    assert (done.rows.accepted, done.rows.rejected) == (2, 2)
    assert rows_of(world)[3] == ("rejected", "key:missing")
    assert calls(receiver) == [["0", "2"]]


def test_a_module_that_refuses_rows_it_was_not_asked_for_is_not_asked_for_ever(world, receiver, hook, monkeypatch):
    def build(settings, secrets, item):
        raise RowsRefused({99: "key:missing"})

    monkeypatch.setattr(webhook, "build_request", build)
    hook(2)
    assert world.deliver().rows.codes == {"rejected:rows_refused": 2}


def test_the_time_budget_is_asked_between_calls_and_the_rest_waits_for_the_next_delivery(world, receiver, hook):
    def told(call):
        world.later(seconds=20)
        return answer(204)

    hook(6, call_rows=2)
    receiver.otherwise = told
    done = world.deliver(budget_seconds=30)
    assert not done.is_complete
    assert (done.rows.accepted, done.rows.codes["retry_later:out_of_time"]) == (4, 2)
    assert world.deliver().rows.accepted == 2
    assert calls(receiver) == [["0", "1"], ["2", "3"], ["4", "5"]]


def test_a_batch_that_is_put_off_for_its_own_sake_is_given_up_row_by_row(world, receiver, hook):
    hook(2, call_rows=1)
    receiver.otherwise = lambda call: answer(408 if keys(call) == ["1"] else 204)
    for _ in range(8):
        world.deliver()
        world.later(hours=7)
    assert outcomes(world) == ["accepted", "rejected"]
    assert len(receiver.calls) == 9


def test_what_rows_were_said_is_journalled_as_the_destination_said_it(world, receiver, hook):
    def told(call):
        said = [{"key": row["key"], "status": "error", "code": "bad"} for row in call.said["data"]["rows"][:1]]
        said += [{"key": row["key"], "status": "ok"} for row in call.said["data"]["rows"][1:]]
        return answer(200, json.dumps({"results": said}).encode())

    hook(4, call_rows=2)
    receiver.otherwise = told
    done = world.deliver()
    assert rows_of(world) == {0: ("rejected", "bad"), 1: ("accepted", ""), 2: ("rejected", "bad"), 3: ("accepted", "")}
    assert (done.rows.accepted, done.rows.rejected) == (2, 2)
