"""Customer.io's App API against a far end that queues messages and triggers broadcasts."""

from __future__ import annotations

import json

import pytest
from far_end import batch_of, listening, outcomes, row
from messenger import PAGE, UNSUBSCRIBE, Messenger, mail, note

from tailrace.destinations import customerio_broadcast, customerio_messages
from tailrace.destinations.base import Outcome, RowsRefused, Secrets
from tailrace.destinations.connections import load_connections
from tailrace.errors import DefinitionError
from tailrace.settings import Settings

LOGIN = {"token_env": "canary-key"}


class App:
    def __init__(self):
        self.sick = None

    def __call__(self, call):
        if call.headers["authorization"] != "Bearer canary-key":
            return 401, {}, {"meta": {"error": "Unauthorized request"}}
        if self.sick is not None:
            return self.sick
        if call.method == "GET":
            return 200, {}, {"messages": [], "broadcasts": []}
        if call.path.endswith("/triggers"):
            unknown = [one for one in call.said["per_user_data"] if one.get("id") == "nobody"]
            if unknown and not call.said["id_ignore_missing"]:
                return 422, {}, {"errors": [{"detail": "canary", "status": "422"}]}
            return 200, {}, {"id": 7}
        return 200, {}, {"delivery_id": "RPILAgUBcRhIBqSfeiIwdIYJKxTY", "queued_at": 1700000000}


@pytest.fixture
def app():
    return App()


@pytest.fixture
def open_line(app):
    opened = []
    with listening(app) as end:

        def open_line(module=customerio_messages, **settings):
            messenger = Messenger(module, end, LOGIN, **settings)
            messenger.end = end
            opened.append(messenger)
            return messenger

        yield open_line
        for messenger in opened:
            messenger.close()


def test_an_email_says_all_itself_and_goes_to_whoever_has_the_address(open_line):
    sender = open_line()
    done = sender.say(mail(Reply_To="help@acme.test"))
    assert (done.outcome, done.provider_id) == (Outcome.ACCEPTED, "RPILAgUBcRhIBqSfeiIwdIYJKxTY")
    (call,) = sender.end.calls
    assert (call.method, call.path) == ("POST", "/v1/send/email")
    said = call.said
    assert json.loads(said.pop("headers")) == [
        {"name": "List-Unsubscribe", "value": UNSUBSCRIBE},
        {"name": "List-Unsubscribe-Post", "value": "List-Unsubscribe=One-Click"},
    ]
    assert said == {
        "to": "kim@people.test",
        "identifiers": {"email": "kim@people.test"},
        "from": '"Acme, Ltd" <hello@acme.test>',
        "reply_to": "help@acme.test",
        "subject": "Zoë, hello",
        "body": PAGE,
        "body_plain": "Hi Zoë\n",
        "disable_css_preprocessing": True,
        "message_data": {"intent_id": "0a1b2c"},
        "send_to_unsubscribed": False,
    }


def test_a_text_message_needs_a_template_and_the_person(open_line):
    sender = open_line(sms_template="plain_text", people_by="person_id")
    assert sender.say(note("sms", "Hi\n", "+14155550123")).outcome is Outcome.ACCEPTED
    (call,) = sender.end.calls
    assert call.path == "/v1/send/sms"
    assert call.said == {
        "transactional_message_id": "plain_text",
        "to": "+14155550123",
        "identifiers": {"id": "7"},
        "message_data": {"intent_id": "0a1b2c", "text": "Hi"},
        "send_to_unsubscribed": False,
    }


def test_a_push_message_goes_to_the_person_with_the_id(open_line):
    sender = open_line(push_template=3)
    sheet = {"title": "Hi", "body": "3 new", "link": "https://acme.test/n", "data": {"n": 3}}
    assert sender.say(note("push", json.dumps(sheet), "u-1")).outcome is Outcome.ACCEPTED
    (call,) = sender.end.calls
    assert call.path == "/v1/send/push"
    assert call.said == {
        "transactional_message_id": 3, "identifiers": {"id": "u-1"}, "title": "Hi", "message": "3 new",
        "link": "https://acme.test/n", "message_data": {"intent_id": "0a1b2c"} | sheet, "send_to_unsubscribed": False,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (note("sms", "Hi", "+14155550123"), "connection:no_template"),
        (note("push", "{}", "u-1"), "connection:no_template"),
        (note("slack", "Hi", "#x"), "channel:not_carried"),
        (mail("kim@people.test, victim@evil.test"), "address:invalid"),
        (mail(subject="Hi\nBcc: victim@evil.test"), "header:control_character"),
    ],
)
def test_what_cannot_be_said_is_refused_before_a_byte_leaves(open_line, message, code):
    sender = open_line()
    assert (sender.say(message).code, sender.end.calls) == (code, [])


@pytest.mark.parametrize(
    ("sick", "outcome", "code", "is_systemic"),
    [
        ((400, {}, {"meta": {"error": "canary"}}), Outcome.REJECTED, "http_400", False),
        ((422, {}, {"errors": []}), Outcome.REJECTED, "http_422", False),
        ((403, {}, {}), Outcome.BLOCKED, "http_403", True),
        ((413, {}, {}), Outcome.REJECTED, "http_413", False),
        ((429, {}, b""), Outcome.RETRY_LATER, "http_429", True),
        ((500, {}, b""), Outcome.RETRY_LATER, "http_500", True),
        ((504, {}, b""), Outcome.UNKNOWN, "http_504", False),
        ((200, {}, {"delivery_id": None}), Outcome.UNKNOWN, "http_200_unreadable", False),
        ((200, {}, b"<html>"), Outcome.UNKNOWN, "http_200_unreadable", False),
    ],
)
def test_each_answer_has_its_outcome(open_line, app, sick, outcome, code, is_systemic):
    app.sick = sick
    done = open_line().say(mail())
    assert (done.outcome, done.code, done.is_systemic) == (outcome, code, is_systemic)


def test_the_probes_look_and_send_nothing(open_line, app):
    for module in (customerio_messages, customerio_broadcast):
        sender = open_line(module)
        assert sender.probe().outcome is Outcome.ACCEPTED
        app.sick = (401, {}, {})
        assert sender.probe().outcome is Outcome.BLOCKED
        app.sick = None
    assert {call.method for call in sender.end.calls} == {"GET"}


def test_a_broadcast_is_triggered_once_for_all_its_rows(open_line):
    sender = open_line(customerio_broadcast)
    rows = [row("add", {"id": "42"}, score=0.8), row("add", {"id": "43"}, score=None)]
    assert outcomes(sender.send(rows, "12", "append")) == [("accepted", "http_200")] * 2
    (call,) = sender.end.calls
    assert (call.method, call.path) == ("POST", "/v1/campaigns/12/triggers")
    assert call.said == {
        "per_user_data": [{"id": "42", "data": {"score": 0.8}}, {"id": "43", "data": {"score": None}}],
        "id_ignore_missing": True, "email_ignore_missing": True, "email_add_duplicates": False,
    }  # fmt: skip


def test_a_broadcast_that_is_refused_as_a_whole_is_halved_until_the_row_is_known(open_line):
    sender = open_line(customerio_broadcast, ignore_missing=False)
    rows = [row("add", {"id": name}) for name in ("a", "b", "nobody", "c")]
    done = outcomes(sender.send(rows, "12", "append"))
    assert [outcome for outcome, _ in done] == ["accepted", "accepted", "rejected", "accepted"]


def test_a_trigger_is_one_in_ten_seconds_and_never_repeated_blindly():
    capabilities = customerio_broadcast.CAPABILITIES
    assert (capabilities.calls_per_second, capabilities.is_idempotent, capabilities.modes) == (0.1, False, {"append"})


def test_a_row_of_nobody_is_refused_and_a_target_that_is_no_number_refuses_all(open_line):
    settings, secrets = customerio_broadcast.Settings(token_env="T"), Secrets(LOGIN)
    with pytest.raises(RowsRefused) as caught:
        customerio_broadcast.build_request(
            settings, secrets, batch_of([row("add", {"id": "1"}), row("add", {"id": ""})], "12", "append")
        )
    assert list(caught.value.rows) == [1]
    done = open_line(customerio_broadcast).send([row("add", {"id": "1"})], "spring", "append")
    assert outcomes(done) == [("rejected", "target:no_broadcast")]


def test_an_account_of_the_eu_is_called_in_the_eu():
    secrets = Secrets(LOGIN)
    for module in (customerio_messages, customerio_broadcast):
        url = module.build_probe(module.Settings(token_env="T", region="eu"), secrets).url
        assert url.startswith("https://api-eu.customer.io/v1/")


def test_text_messages_without_a_way_to_name_the_person_are_refused_with_their_line(tmp_path):
    (tmp_path / "destinations.yml").write_text(
        "connections:\n  cio: {type: customerio_messages, token_env: T, sms_template: plain}\n"
    )
    with pytest.raises(DefinitionError, match=r"^destinations.yml:2: .*needs `people_by: person_id`"):
        load_connections(Settings(tmp_path / "data", tmp_path))
