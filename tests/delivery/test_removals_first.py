"""What a sync removes is settled before it adds anybody, whoever of several workers has it in hand."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from delivery_world import World
from receiver import answer
from tests.landing import postgres

from tailrace.journal import Journal


@pytest.fixture(scope="module")
def server():
    with postgres.serving() as found:
        yield found


@pytest.fixture(params=["sqlite", "postgres"])
def world(tmp_path, request):
    made = World(tmp_path)
    if request.param == "postgres":
        made.settings = replace(made.settings, journal_url=request.getfixturevalue("server").schema())
    return made


def ops(receiver):
    return ["".join(sorted({row["op"] for row in call.said["data"]["rows"]})) for call in receiver.calls]


@pytest.mark.torture
@pytest.mark.parametrize("workers", [1, 2])
def test_every_removal_is_handed_over_before_any_addition(world, receiver, workers):
    world.webhook(receiver.port)
    world.apply([], sync_rows=12, removes=5, batch_size=1)
    world.go_live()
    done = world.deliver(workers=workers)
    assert (done.rows.claimed, done.rows.accepted) == (12, 12)
    assert ops(receiver) == ["remove"] * 5 + ["add"] * 7
    assert set(Counter(call.said["id"] for call in receiver.calls).values()) == {1}


@pytest.mark.torture
@pytest.mark.parametrize("workers", [1, 2])
def test_additions_wait_for_removals_that_are_put_off_and_are_counted(world, receiver, workers):
    receiver.otherwise = lambda call: answer(408 if call.said["data"]["rows"][0]["key"]["id"] == "5" else 204)
    world.webhook(receiver.port)
    world.apply([], sync_rows=6, removes=2, batch_size=1)
    world.go_live()
    done = world.deliver(workers=workers)
    assert done.rows.codes == {"accepted:http_204": 1, "retry_later:http_408": 1, "blocked:removals_first": 4}
    assert done.rows.claimed == 6
    receiver.otherwise = answer(204)
    world.later(hours=1)
    assert world.deliver(workers=workers).rows.accepted == 5
    assert ops(receiver)[-5:] == ["remove"] + ["add"] * 4


def test_a_removal_that_is_refused_for_good_holds_nobody_up(world, receiver):
    receiver.otherwise = lambda call: answer(400 if call.said["data"]["rows"][0]["op"] == "remove" else 204)
    world.webhook(receiver.port)
    world.apply([], sync_rows=4, removes=2, batch_size=1)
    world.go_live()
    done = world.deliver(workers=2)
    assert (done.rows.rejected, done.rows.accepted) == (2, 2)
    with Journal.open(world.settings) as journal:
        assert journal.counts().batches == {"accepted": 2, "rejected": 2}
