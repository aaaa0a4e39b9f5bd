"""Twilio against a far end that takes forms, queues messages and refuses with its own codes."""

from __future__ import annotations

import base64
import json

import pytest
from far_end import listening
from messenger import Messenger, note

from tailrace.destinations import twilio
from tailrace.destinations.base import Outcome, Secrets
from tailrace.destinations.connections import load_connections
from tailrace.errors import DefinitionError
from tailrace.settings import Settings

KIM = "+14155550123"


def sms(text="Hi Zoë ✓\n", to=KIM):
    return note("sms", text, to)


def error(code, status=400):
    return status, {}, {"code": code, "message": f"canary {KIM}", "more_info": "https://t", "status": status}


class Api:
    def __init__(self):
        self.sick = None

    def __call__(self, call):
        if self.sick is not None:
            return self.sick
        assert call.path == "/2010-04-01/Accounts/AC1/Messages.json"
        if call.method == "GET":
            return 200, {}, {"messages": []}
        assert call.headers["content-type"] == "application/x-www-form-urlencoded"
        return 201, {}, {"sid": "SM0123", "status": "queued"}


@pytest.fixture
def api():
    return Api()


@pytest.fixture
def open_line(api):
    opened = []
    with listening(api) as end:

        def open_line(**settings):
            messenger = Messenger(twilio, end, {"token_env": "canary"}, account_sid="AC1", **settings)
            messenger.end = end
            opened.append(messenger)
            return messenger

        yield open_line
        for messenger in opened:
            messenger.close()


def test_a_text_message_is_a_form_with_who_writes_and_the_accounts_login(open_line):
    sender = open_line(**{"from": "+14155550100"})
    done = sender.say(sms())
    assert (done.outcome, done.code, done.provider_id) == (Outcome.ACCEPTED, "queued", "SM0123")
    (call,) = sender.end.calls
    assert call.form == {"To": KIM, "From": "+14155550100", "Body": "Hi Zoë ✓"}
    assert call.headers["authorization"] == "Basic " + base64.b64encode(b"AC1:canary").decode()


def test_a_messaging_service_a_key_and_what_else_is_set_are_in_the_call(open_line):
    sender = open_line(
        messaging_service="MG1",
        key_sid="SK1",
        status_callback="https://acme.test/t?k=1#f",
        validity_seconds=600,
        smart_encoded=True,
    )
    assert sender.say(sms("Hi")).outcome is Outcome.ACCEPTED
    (call,) = sender.end.calls
    assert call.form == {
        "To": KIM, "MessagingServiceSid": "MG1", "Body": "Hi", "SmartEncoded": "true",
        "StatusCallback": "https://acme.test/t?k=1&intent_id=0a1b2c#f", "ValidityPeriod": "600",
    }  # fmt: skip
    assert call.headers["authorization"] == "Basic " + base64.b64encode(b"SK1:canary").decode()


def test_a_number_is_written_as_twilio_wants_it(open_line):
    sender = open_line(country="GB", **{"from": "Acme"})
    for number in ("020 7946 0018", "+44 (20) 7946-0018", "0044 20 7946 0018"):
        assert sender.say(sms("Hi", number)).outcome is Outcome.ACCEPTED
    assert {call.form["To"] for call in sender.end.calls} == {"+442079460018"}


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (sms("Hi", "020 7946 0018"), "address:no_number"),
        (sms("Hi", "kim@people.test"), "address:no_number"),
        (sms("Hi", ""), "address:no_number"),
        (sms(" \n"), "message:no_text"),
        (sms("x" * 1601), "message:too_long"),
        (sms("\ud800"), "message:not_text"),
        (note("whatsapp", "{}", KIM), "connection:no_sender"),
    ],
)
def test_what_cannot_be_said_is_refused_before_a_byte_leaves(open_line, message, code):
    sender = open_line(**{"from": "+14155550100"})
    done = sender.say(message)
    assert (done.outcome, done.code) == (Outcome.REJECTED, code)
    assert sender.end.calls == []


def test_on_whatsapp_a_template_goes_with_its_variables_and_text_as_text(open_line):
    sender = open_line(whatsapp_from="+14155550199")
    sheet = {"template": "HX1", "variables": {"1": "Ada", "2": 3, "3": True}}
    assert sender.say(note("whatsapp", json.dumps(sheet), KIM)).outcome is Outcome.ACCEPTED
    assert sender.say(note("whatsapp", json.dumps({"body": "Yes?"}), KIM)).outcome is Outcome.ACCEPTED
    template, text = (call.form for call in sender.end.calls)
    assert json.loads(template.pop("ContentVariables")) == {"1": "Ada", "2": "3", "3": "true"}
    assert template == {"To": f"whatsapp:{KIM}", "From": "whatsapp:+14155550199", "ContentSid": "HX1"}
    assert text == {"To": f"whatsapp:{KIM}", "From": "whatsapp:+14155550199", "Body": "Yes?"}
    assert sender.say(note("whatsapp", "not a sheet", KIM)).code == "whatsapp:no_template"
    assert sender.say(sms("Hi")).code == "connection:no_sender"


@pytest.mark.parametrize(
    ("sick", "outcome", "code", "is_systemic"),
    [
        (error(21211), Outcome.REJECTED, "twilio_21211", False),
        (error(21610), Outcome.REJECTED, "twilio_21610", False),
        (error(30006), Outcome.REJECTED, "twilio_30006", False),
        (error(63016), Outcome.REJECTED, "twilio_63016", False),
        (error(20003, 401), Outcome.BLOCKED, "twilio_20003", True),
        (error(21606), Outcome.BLOCKED, "twilio_21606", True),
        (error(30034), Outcome.BLOCKED, "twilio_30034", True),
        (error(20429, 429), Outcome.RETRY_LATER, "twilio_20429", True),
        (error(29999), Outcome.REJECTED, "twilio_29999", False),
        (error(29999, 777), Outcome.UNKNOWN, "twilio_29999", False),
        (error(429, 777), Outcome.UNKNOWN, "http_777", False),
        ((429, {}, b""), Outcome.RETRY_LATER, "http_429", True),
        ((500, {}, b""), Outcome.RETRY_LATER, "http_500", True),
        ((502, {}, b""), Outcome.UNKNOWN, "http_502", False),
        ((201, {}, b"<html>"), Outcome.UNKNOWN, "http_201_unreadable", False),
        ((201, {}, {"sid": None}), Outcome.UNKNOWN, "http_201_unreadable", False),
        ((200, {}, {}), Outcome.UNKNOWN, "http_200_unreadable", False),
    ],
)
def test_each_answer_has_its_outcome(open_line, api, sick, outcome, code, is_systemic):
    api.sick = sick
    done = open_line(**{"from": "+14155550100"}).say(sms())
    assert (done.outcome, done.code, done.is_systemic) == (outcome, code, is_systemic)
    assert "canary" not in repr(done)


def test_the_probe_writes_to_nobody(open_line, api):
    sender = open_line(**{"from": "Acme"})
    assert sender.probe().outcome is Outcome.ACCEPTED
    api.sick = error(20003, 401)
    assert sender.probe().outcome is Outcome.BLOCKED
    assert {call.method for call in sender.end.calls} == {"GET"}


@pytest.mark.parametrize(
    ("settings", "host"),
    [
        ({}, "api.twilio.com"),
        ({"region": "ie1", "edge": "dublin"}, "api.dublin.ie1.twilio.com"),
        ({"region": "au1"}, "api.au1.twilio.com"),
        ({"edge": "dublin"}, "api.dublin.us1.twilio.com"),
    ],
)
def test_regions_have_their_hosts(settings, host):
    told = twilio.Settings(account_sid="AC1", token_env="T", **{"from": "Acme"}, **settings)
    assert twilio.build_probe(told, Secrets({"token_env": "t"})).url.startswith(f"https://{host}/2010-04-01/")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("{}", "nobody writes; expected `from`, `messaging_service` or `whatsapp_from`"),
        ("{from: '+14155550100', messaging_service: MG1}", "expected one of them"),
        ("{from: not+a+number}", "`from`"),
        ("{from: Acme, country: Atlantis}", "`country` is none; expected two letters such as GB"),
        ("{from: Acme, status_callback: 'http://acme.test/'}", "`status_callback`"),
        ("{from: Acme, validity_seconds: 0}", "`validity_seconds`"),
    ],
)
def test_a_setting_that_cannot_be_is_told_with_its_line(tmp_path, settings, words):
    told = f"type: twilio, account_sid: AC1, token_env: T, {settings.strip('{}')}"
    (tmp_path / "destinations.yml").write_text(f"connections:\n  text: {{{told}}}\n")
    with pytest.raises(DefinitionError) as caught:
        load_connections(Settings(tmp_path / "data", tmp_path))
    assert str(caught.value).startswith("destinations.yml:2: connection `text`: ")
    assert words in str(caught.value)
