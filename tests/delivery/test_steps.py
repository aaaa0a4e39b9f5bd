"""Webhook steps: called once, answered, and the answer kept."""

from __future__ import annotations

import json
import signal
from datetime import timedelta

import pytest
from delivery_world import CallRenderer, start_sender
from receiver import answer

from tailrace.journal import Journal

PEOPLE = [f"person{n}@people.test" for n in range(6)]


def told(status, content, kind="application/json"):
    """Return an answer of a step's receiver, which would send a redirected caller elsewhere."""
    return answer(status, content, content_type=kind, location="http://127.0.0.1:1/elsewhere")


@pytest.fixture
def receiver(receiver):
    receiver.otherwise = told(200, b'{"task": 7}')
    return receiver


@pytest.fixture
def steps(world, receiver):
    """Return a function that applies webhook steps for some people and goes live."""

    def make(people=PEOPLE[:1], more="", **options):
        world.destinations(
            f"connections:\n  hook: {{type: webhook, private_network: true{more}}}\nchannels: {{webhook: hook}}\n"
        )
        world.renderer = CallRenderer(f"http://127.0.0.1:{receiver.port}/tasks")
        world.apply(list(people), channel="webhook", klass="action", **options)
        world.go_live()
        return world

    return make


def responses(world):
    with Journal.open(world.settings) as journal:
        rows = journal.responses(0).to_pylist()
    return {row["intent_id"]: (row["status_code"], row["body"]) for row in rows}


def test_a_step_is_one_call_of_its_own_address_and_its_answer_is_kept(steps, receiver):
    world = steps()
    done = world.deliver()
    intent = world.intent_of[PEOPLE[0]]
    assert done.messages.codes == {"accepted:http:200": 1}
    (call,) = receiver.calls
    headers = call.headers
    assert (call.method, call.path, call.said) == ("POST", "/tasks", {"name": "Kim"})
    assert headers["idempotency-key"] == headers["webhook-id"] == intent
    assert responses(world) == {intent: (200, '{"task": 7}')}
    with Journal.open(world.settings) as journal:
        (row,) = journal.responses(0).to_pylist()
        assert (row["step"], row["enrollment_id"]) == ("hello", intent)
        assert journal.mirror("responses", 0).column("status_code").to_pylist() == [200]


@pytest.mark.parametrize("status", [201, 302, 401, 404, 422])
def test_what_the_receiver_answers_is_the_campaigns_to_judge_and_redirects_are_not_followed(steps, receiver, status):
    receiver.otherwise = told(status, b"no such thing", "text/plain")
    world = steps(PEOPLE)
    done = world.deliver()
    assert done.messages.codes == {f"accepted:http:{status}": 6}
    assert len(receiver.calls) == 6
    assert set(responses(world).values()) == {(status, '"no such thing"')}


def test_an_overloaded_receiver_is_asked_again_and_the_last_answer_is_the_one_that_counts(steps, receiver):
    receiver.answers = dict(enumerate([told(503, b"{}"), told(429, b"{}"), told(200, b'{"task": 8}')]))
    world = steps(expires=timedelta(hours=24))
    for _ in range(2):
        assert world.deliver().messages.retry_later == 1
        assert responses(world) == {}
        world.later(minutes=10)
    assert world.deliver().messages.accepted == 1
    assert list(responses(world).values()) == [(200, '{"task": 8}')]
    assert receiver.seen == {world.intent_of[PEOPLE[0]]: 3}


def test_when_its_time_would_run_out_before_the_next_try_the_last_answer_stands(steps, receiver):
    receiver.otherwise = told(503, b'{"error": "busy"}')
    world = steps(expires=timedelta(minutes=30))
    for _ in range(40):
        world.deliver()
        world.later(minutes=1)
    assert world.states() == {PEOPLE[0]: "rejected"}
    assert world.codes(PEOPLE[0])[-1] == "rejected:gave_up:http:503"
    assert list(responses(world).values()) == [(503, '{"error": "busy"}')]


@pytest.mark.parametrize("said", ["reset", told(502, b"")])
def test_without_a_trusted_answer_it_is_unknown_and_not_called_again(steps, receiver, said):
    receiver.otherwise = said
    world = steps()
    assert world.deliver().messages.unknown == 1
    world.later(hours=1)
    assert world.deliver().messages.claimed == 0
    assert len(receiver.calls) == 1
    assert responses(world) == {}


def test_a_receiver_that_drops_repeats_is_asked_again_until_the_last_answer_stands(steps, receiver):
    receiver.answers[0] = "reset"
    receiver.otherwise = told(502, b"")
    world = steps(more=", is_idempotent: true", expires=timedelta(minutes=30))
    for _ in range(40):
        world.deliver()
        world.later(minutes=1)
    assert len(receiver.calls) > 2
    assert world.states() == {PEOPLE[0]: "rejected"}
    assert list(responses(world).values()) == [(502, None)]


def test_one_host_that_is_down_does_not_keep_steps_from_another(world, receiver):
    from delivery_world import free_port

    world.destinations("connections:\n  hook: {type: webhook, private_network: true}\nchannels: {webhook: hook}\n")
    dead = f"http://127.0.0.1:{free_port()}/"
    world.renderer = CallRenderer(f"http://127.0.0.1:{receiver.port}/", {"Down": dead})
    names = ["Down"] * 5 + ["Kim"]
    world.apply(PEOPLE, channel="webhook", klass="action", names=names)
    world.go_live()
    done = world.deliver()
    assert done.messages.accepted == 1
    assert done.messages.retry_later == 3
    assert done.messages.codes["blocked:not_tried"] == 2
    assert done.stopped == {"hook": "connect:refused"}
    assert "127.0.0.1" not in str(done.stopped)


def test_a_private_address_is_refused_before_any_byte_and_so_is_another_host(world, receiver):
    world.destinations("connections:\n  hook: {type: webhook, hosts: [127.0.0.1]}\nchannels: {webhook: hook}\n")
    world.renderer = CallRenderer(f"https://127.0.0.1:{receiver.port}/", {"Lee": "https://localhost/"})
    world.apply(PEOPLE[:2], channel="webhook", klass="action", names=["Kim", "Lee"])
    world.go_live()
    done = world.deliver()
    assert done.messages.codes == {"retry_later:connect:refused": 1, "rejected:call:host": 1}
    assert not receiver.calls


def test_without_the_lease_no_step_is_called(steps, receiver, world):
    steps()
    with Journal.open(world.settings) as journal:
        journal.live_release("ops", "pause", world.now)
    assert world.deliver().messages.codes == {"blocked:no_live_lease": 1}
    assert not receiver.calls


def test_in_the_outbox_a_step_is_a_file_and_has_no_answer(world):
    world.renderer = CallRenderer("https://crm.test/tasks")
    world.apply(PEOPLE[:1], channel="webhook", klass="action")
    assert world.deliver().messages.accepted == 1
    (path,) = (world.settings.outbox / "webhook").glob("*.json")
    assert json.loads(json.loads(path.read_text())["text"])["url"] == "https://crm.test/tasks"
    assert list(responses(world).values()) == [(None, None)]


def test_word_to_the_house_goes_to_slack_whatever_its_person_has_withdrawn(world, receiver, monkeypatch):
    from delivery_world import withdrawn

    monkeypatch.setenv("SLACK_URL", f"http://127.0.0.1:{receiver.port}/services/canary-of-a-secret")
    receiver.otherwise = told(200, b"ok", "text/plain")
    world.destinations(
        "connections:\n  chat: {type: slack, url_env: SLACK_URL, private_network: true}\nchannels: {slack: chat}\n"
    )
    said = (withdrawn(PEOPLE[0], klass="", reason="suppressed"), withdrawn(PEOPLE[0]))
    world.apply(PEOPLE[:1], channel="slack", klass="staff", consents=said)
    world.go_live()
    done = world.deliver()
    assert done.messages.codes == {"accepted:ok": 1}
    (call,) = receiver.calls
    assert (call.path, call.said["text"]) == ("/services/canary-of-a-secret", "Dear Kim, welcome.")
    assert responses(world) == {}
    for file in world.settings.data_dir.rglob("*"):
        assert not file.is_file() or b"canary-of-a-secret" not in file.read_bytes()


@pytest.mark.torture
@pytest.mark.parametrize("point", ["deliver.claimed", "deliver.copied", "deliver.handed_over:2", "deliver.recorded"])
def test_killed_at_a_crash_point_a_step_is_called_once_and_answered_or_listed_as_unknown(
    steps, receiver, tmp_path, point
):
    world = steps(PEOPLE)
    process = start_sender(tmp_path, world.now, point, f"http://127.0.0.1:{receiver.port}/tasks")
    process.join(30)
    assert process.exitcode == -signal.SIGKILL
    for _ in range(3):
        world.later(minutes=10)
        world.deliver()
    states = {world.intent_of[address]: state for address, state in world.states().items()}
    assert set(states.values()) <= {"accepted", "unknown"}
    assert max(receiver.seen.values()) == 1
    assert list(states.values()).count("unknown") <= 4
    assert responses(world).keys() == {intent for intent, state in states.items() if state == "accepted"}


def test_the_body_of_an_answer_stands_in_the_journal_and_nowhere_else(steps, receiver, world, caplog):
    receiver.otherwise = told(200, b'{"name": "canary-7f3a"}')
    done = steps().deliver()
    assert "canary-7f3a" not in repr(done) + caplog.text
    for path in world.settings.data_dir.rglob("*"):
        if path.is_file() and not path.name.startswith("journal.sqlite"):
            assert b"canary-7f3a" not in path.read_bytes(), path
