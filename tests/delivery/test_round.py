"""The whole round of a webhook step: planned, applied, called, answered, branched on, and acted upon."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from delivery_world import CallRenderer
from receiver import Receiver, answer
from tests.planning.world import DAY, HOUR, START, World, campaign, event_trigger

from tailrace.delivery.send import deliver
from tailrace.journal import Journal
from tailrace.pipeline import applying
from tailrace.planning.enrollment import MessageSpec
from tailrace.planning.reader import PlanReader

TASK = {"id": "crm", "webhook": "crm_task"}
GOOD = {"id": "good", "update": {"onboarding_stage": "in_crm"}}
BAD = {"id": "bad", "add_to": "seg_by_hand"}
BRANCH = {
    "id": "crm_ok",
    "if": {
        "response": "crm",
        "status": "2xx",
        "where": "task > 5",
        "where_sql": "coalesce((body ->> 'task')::bigint > 5, false)",
    },
    "then": [GOOD],
    "else": [BAD],
}
JSON = "application/json"
ANSWERS = {
    "Ada": answer(201, b'{"task": 7}', content_type=JSON),
    "Bob": answer(200, b'{"task": 3}', content_type=JSON),
    "Cyd": answer(404, b'"gone"', content_type=JSON),
    "Dee": "reset",
}


@pytest.fixture
def receiver(receiver: Receiver) -> Receiver:
    receiver.otherwise = lambda call: ANSWERS[call.said["name"]]
    return receiver


def run(world: World, as_of, renderer: CallRenderer) -> None:
    """Plan, apply and deliver as a run does, with what the journal has to tell."""
    settings = world.settings
    with Journal.open(settings) as journal:
        world.responses = [
            {name: row[name] for name in ("enrollment_id", "step", "status_code", "body")}
            for row in journal.responses(0).to_pylist()
        ]
        plan_id = world.plan_id(as_of)
        applying.write_intents(settings, journal, world.store, plan_id, as_of)
        deliver(settings, journal, PlanReader(world.store), now=lambda: as_of, renderer=renderer)


@pytest.mark.torture
def test_what_a_receiver_answers_decides_where_each_person_goes(tmp_path: Path, receiver: Receiver) -> None:
    world = World(tmp_path)
    people = {name: world.person(name.lower(), first_name=name) for name in (*ANSWERS, "Eve")}
    base = campaign("crm_sync", trigger=event_trigger("signed_up"), steps=[TASK, BRANCH], expires=3 * 3_600)
    fields = frozenset({("customer", "first_name")})
    spec = MessageSpec("k", "webhook", "webhook", json.dumps({"kind": "webhook"}), fields, frozenset())
    world.campaigns = [replace(base, messages={"crm_task": spec})]
    (tmp_path / "destinations.yml").write_text(
        "connections:\n  hook: {type: webhook, private_network: true}\nchannels: {webhook: hook}\n"
    )
    with Journal.open(world.settings) as journal:
        journal.live_acquire("ops", "tests", START)
    renderer = CallRenderer(f"http://127.0.0.1:{receiver.port}/tasks")
    run(world, START, renderer)
    for name in ANSWERS:
        world.event(name.lower(), "signed_up", START + HOUR / 2, load=2)
    run(world, START + HOUR, renderer)
    assert len(receiver.calls) == 4
    for hours in (2, 3, 4, 5):
        run(world, START + hours * HOUR, renderer)

    with Journal.open(world.settings) as journal:
        acts = {
            row["person_id"]: (row["kind"], row["name"], row["value"]) for row in journal.mirror("acts", 0).to_pylist()
        }
        statuses = sorted(journal.mirror("responses", 0).column("status_code").to_pylist())
        unknown = [one.person_id for one in journal.unknown()]
    assert acts == {
        people["Ada"]: ("update", "onboarding_stage", '"in_crm"'),
        people["Bob"]: ("add", "seg_by_hand", None),
        people["Cyd"]: ("add", "seg_by_hand", None),
        # Nobody knows whether Dee's call arrived: when its time was over, the pass went on without an answer.
        people["Dee"]: ("add", "seg_by_hand", None),
    }
    assert statuses == [200, 201, 404]
    assert unknown == [people["Dee"]]
    assert len(receiver.calls) == 4
    run(world, START + 2 * DAY, renderer)
    assert len(receiver.calls) == 4
