from __future__ import annotations

import json

import pytest
from receiver import answer

PEOPLE = [f"person{n}@people.test" for n in range(5)]


def test_a_message_is_one_post_with_its_id_in_every_header_that_can_hold_it(world, receiver):
    world.webhook(receiver.port)
    world.apply(PEOPLE[:1])
    world.go_live()
    assert world.deliver().messages.accepted == 1
    (received,) = receiver.calls
    headers, call = received.headers, received.said
    intent = world.intent_of[PEOPLE[0]]
    assert headers["idempotency-key"] == headers["webhook-id"] == call["id"] == intent
    assert headers["webhook-timestamp"] == str(int(world.now.timestamp()))
    assert call["data"]["address"] == PEOPLE[0]
    assert call["data"]["subject"] == "Hello Kim"
    assert "webhook-signature" not in headers


def test_a_named_secret_signs_the_very_bytes_and_stands_in_no_repr(world, receiver, monkeypatch):
    from tailrace.destinations.connections import load_connections
    from tailrace.destinations.webhook import sign

    monkeypatch.setenv("HOOK_SECRET", "canary-of-a-secret")
    world.webhook(receiver.port, ", secret_env: HOOK_SECRET, token_env: HOOK_SECRET")
    world.apply(PEOPLE[:1])
    world.go_live()
    world.deliver()
    headers, body = receiver.calls[0].headers, receiver.calls[0].body
    expected = sign("canary-of-a-secret", headers["webhook-id"], headers["webhook-timestamp"], body)
    assert headers["webhook-signature"] == expected
    connection = load_connections(world.settings).by_name["hook"]
    line = connection.open(world.settings)
    assert "canary-of-a-secret" not in repr([connection, connection.settings, vars(line)])
    line.close()


@pytest.mark.parametrize(
    ("told", "outcome", "code"),
    [
        (answer(204), "accepted", "http_204"),
        (answer(200, b"ok"), "accepted", "http_200"),
        (answer(200, b'{"id": "m-1"}'), "accepted", "http_200"),
        (answer(200, b"<html>Sign in</html>"), "unknown", "http_200_unreadable"),
        (answer(200, b'{"ok": tr'), "unknown", "http_200_unreadable"),
        (answer(200, b'"sure"'), "unknown", "http_200_unreadable"),
        (answer(200, b'{"status": "error"}'), "rejected", "http_200_says_no"),
        (answer(302, location="http://127.0.0.1:1/"), "blocked", "http_302"),
        (answer(400), "rejected", "http_400"),
        (answer(418), "rejected", "http_418"),
        (answer(401), "blocked", "http_401"),
        (answer(404), "blocked", "http_404"),
        (answer(429), "retry_later", "http_429"),
        (answer(503), "retry_later", "http_503"),
        (answer(502), "unknown", "http_502"),
        (answer(599), "unknown", "http_599"),
        ("hang", "unknown", "answer:timeout"),
        ("reset", "unknown", "answer:reset"),
        ("trickle", "unknown", "answer:too_slow_or_long"),
    ],
)
def test_each_answer_has_its_outcome_and_the_neighbours_are_unaffected(world, receiver, told, outcome, code):
    receiver.answers[1] = told
    world.webhook(receiver.port, ", timeout_seconds: 0.3")
    world.apply(PEOPLE)
    world.go_live()
    done = world.deliver()
    assert f"{outcome}:{code}" in done.messages.codes
    third = world.codes(PEOPLE[0])
    assert third[-1].startswith("accepted")
    n_others = done.messages.accepted + done.messages.blocked
    assert n_others >= 4


def test_retry_after_is_heeded_as_seconds_and_as_a_date(world, receiver):
    receiver.answers[0] = answer(429, retry_after="7200")
    receiver.answers[1] = answer(503, retry_after="Sun, 01 Mar 2026 09:00:00 GMT")
    world.webhook(receiver.port)
    world.apply(PEOPLE[:1])
    world.go_live()
    assert world.deliver().messages.retry_later == 1
    world.later(minutes=119)
    assert world.deliver().messages.claimed == 0
    world.later(minutes=2)
    assert world.deliver().messages.retry_later == 1
    world.later(minutes=58)
    assert world.deliver().messages.claimed == 0
    world.later(minutes=2)
    assert world.deliver().messages.accepted == 1


def test_an_unknown_is_sent_again_with_the_same_id_only_where_the_receiver_drops_repeats(world, receiver):
    receiver.answers[0] = "reset"
    world.webhook(receiver.port, ", is_idempotent: true")
    world.apply(PEOPLE[:1])
    world.go_live()
    assert world.deliver().messages.retry_later == 1
    world.later(minutes=6)
    assert world.deliver().messages.accepted == 1
    assert receiver.seen == {world.intent_of[PEOPLE[0]]: 2}


def test_what_a_receiver_may_have_is_not_sent_elsewhere_when_the_channel_is_rerouted(world, receiver, post):
    receiver.answers[0] = "reset"
    world.webhook(receiver.port, ", is_idempotent: true")
    world.apply(PEOPLE[:2])
    world.go_live()
    world.deliver()
    world.smtp(post.port)
    world.later(minutes=6)
    done = world.deliver()
    assert done.found_unknown == 1
    assert world.states() == {PEOPLE[0]: "unknown", PEOPLE[1]: "accepted"}
    assert not post.inbox.taken


def test_a_server_on_a_private_address_is_refused_before_any_byte(world, receiver):
    world.destinations(
        f'connections:\n  hook: {{type: webhook, url: "https://127.0.0.1:{receiver.port}/"}}\n'
        "channels: {email: hook}\n"
    )
    world.apply(PEOPLE[:1])
    world.go_live()
    done = world.deliver()
    assert done.messages.codes == {"retry_later:connect:refused": 1}
    assert not receiver.calls


def answers_of(world):
    from tailrace.journal import Journal

    with Journal.open(world.settings) as journal:
        table = journal.acknowledged_rows(0).sort_by([("seq", "ascending"), ("position", "ascending")])
    return [(row["batch_no"], row["position"], row["outcome"], row["code"]) for row in table.to_pylist()]


def test_a_batch_is_one_post_with_ops_and_every_row_is_acknowledged(world, receiver):
    world.webhook(receiver.port)
    world.apply([], sync_rows=3)
    world.go_live()
    done = world.deliver()
    assert (done.rows.claimed, done.rows.accepted) == (3, 3)
    assert [len(call.said["data"]["rows"]) for call in receiver.calls] == [2, 1]
    first = receiver.calls[0].said["data"]
    assert first["rows"][1] == {
        "op": "add",
        "key": {"id": "1"},
        "data": {"id": "1", "plan": "pro"},
    }
    assert first["target"] == "people"
    assert answers_of(world) == [
        (0, 0, "accepted", "http_200"),
        (0, 1, "accepted", "http_200"),
        (1, 0, "accepted", "http_200"),
    ]


def test_rows_are_accepted_and_refused_one_by_one_and_an_unmentioned_row_is_unknown(world, receiver):
    def told(call):
        keys = [row["key"] for row in call.said["data"]["rows"]]
        results = [
            {"key": keys[0], "status": "ok"},
            {"key": keys[1], "status": "error", "code": "bad_plan"},
            {"key": keys[2], "status": "error", "code": "Canary Person <canary@people.test>"},
        ]
        return answer(200, json.dumps({"results": results}).encode())

    receiver.otherwise = told
    world.webhook(receiver.port)
    world.apply([], sync_rows=4, batch_size=4)
    world.go_live()
    done = world.deliver()
    assert (done.rows.accepted, done.rows.rejected, done.rows.unknown) == (1, 2, 1)
    assert answers_of(world) == [
        (0, 0, "accepted", "http_200"),
        (0, 1, "rejected", "bad_plan"),
        (0, 2, "rejected", "error"),
        (0, 3, "unknown", "not_mentioned"),
    ]


def test_a_batch_without_an_answer_is_driven_again_by_the_next_delivery(world, receiver):
    receiver.answers[0] = "reset"
    world.webhook(receiver.port)
    world.apply([], sync_rows=4)
    world.go_live()
    done = world.deliver()
    assert (done.rows.unknown, done.rows.accepted) == (2, 2)
    world.later(minutes=6)
    assert world.deliver().rows.accepted == 2
    assert [call.said["id"] for call in receiver.calls] == ["plan1/s/0", "plan1/s/1", "plan1/s/0"]
    assert [line[2] for line in answers_of(world)] == ["unknown"] * 2 + ["accepted"] * 4


def test_a_batch_of_a_plan_that_is_no_longer_head_is_cancelled(world, receiver):
    world.webhook(receiver.port)
    receiver.otherwise = answer(503)
    world.apply([], sync_rows=2)
    world.go_live()
    assert world.deliver().rows.retry_later == 2
    receiver.otherwise = answer(204)
    (world.settings.plans / "HEAD").write_text("plan2")
    world.later(hours=1)
    done = world.deliver()
    assert done.rows.codes == {"cancelled:newer_plan": 2}
    assert len(receiver.calls) == 1


def test_a_newer_plan_cancels_the_older_plans_batches_when_it_is_applied(world, receiver):
    world.webhook(receiver.port)
    world.apply([], sync_rows=2)
    world.apply([], "plan2", sync_rows=3)
    world.go_live()
    assert world.deliver().rows.accepted == 3
    assert {call.said["data"]["plan_id"] for call in receiver.calls} == {"plan2"}
