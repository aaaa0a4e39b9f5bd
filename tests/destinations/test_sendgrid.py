"""SendGrid against a far end that takes mail as the Mail Send API does, and refuses in its words."""

from __future__ import annotations

import pytest
from far_end import AT, listening
from messenger import PAGE, UNSUBSCRIBE, Messenger, mail

from tailrace.destinations import sendgrid
from tailrace.destinations.base import Outcome

LOGIN = {"token_env": "canary-key"}


class Api:
    def __init__(self):
        self.sick = None
        self.scopes = ["mail.send"]

    def __call__(self, call):
        if call.headers["authorization"] != "Bearer canary-key":
            return 401, {}, {"errors": [{"message": "authorization required", "field": None}]}
        if self.sick is not None:
            return self.sick
        if call.path == "/v3/scopes":
            return 200, {}, {"scopes": self.scopes}
        assert (call.method, call.path) == ("POST", "/v3/mail/send")
        return 202, {"X-Message-Id": "14c5d75ce93.dfd.64b469"}, b""


@pytest.fixture
def api():
    return Api()


@pytest.fixture
def sender(api):
    with listening(api) as end:
        messenger = Messenger(sendgrid, end, LOGIN)
        messenger.end = end
        yield messenger
        messenger.close()


def test_a_message_is_one_call_with_its_text_before_its_page_and_one_click(sender):
    done = sender.say(mail(Reply_To="help@acme.test"))
    assert (done.outcome, done.provider_id) == (Outcome.ACCEPTED, "14c5d75ce93.dfd.64b469")
    (call,) = sender.end.calls
    assert call.said == {
        "personalizations": [{"to": [{"email": "kim@people.test"}], "custom_args": {"intent_id": "0a1b2c"}}],
        "from": {"email": "hello@acme.test", "name": "Acme Ltd"},
        "reply_to": {"email": "help@acme.test"},
        "subject": "Zoë, hello",
        "content": [{"type": "text/plain", "value": "Hi Zoë\n"}, {"type": "text/html", "value": PAGE}],
        "headers": {"List-Unsubscribe": UNSUBSCRIBE, "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"},
    }


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (mail("kim@people.test, victim@evil.test"), "address:invalid"),
        (mail(subject="Hi\r\nBcc: victim@evil.test"), "header:control_character"),
        (mail(subject="=?utf-8?q?Hi=0D=0ABcc:_victim@evil.test?="), "header:control_character"),
        (mail(Bcc="victim@evil.test"), "header:not_allowed"),
        (mail(subject=" "), "message:no_subject"),
    ],
)
def test_what_would_be_injected_is_refused_before_a_byte_leaves(sender, message, code):
    done = sender.say(message)
    assert (done.outcome, done.code) == (Outcome.REJECTED, code)
    assert sender.end.calls == []


def refused(field):
    return 400, {}, {"errors": [{"message": "canary about kim@people.test", "field": field, "help": None}]}


@pytest.mark.parametrize(
    ("sick", "outcome", "code", "is_systemic"),
    [
        (refused("personalizations.0.to.0.email"), Outcome.REJECTED, "http_400:personalizations.0.to.0.email", False),
        (refused("from.email"), Outcome.BLOCKED, "http_400:from.email", True),
        (refused("asm.group_id"), Outcome.BLOCKED, "http_400:asm.group_id", True),
        (refused("kim@people.test says no"), Outcome.REJECTED, "http_400:unnamed", False),
        ((400, {}, b"<html>"), Outcome.REJECTED, "http_400:unnamed", False),
        ((401, {}, {}), Outcome.BLOCKED, "http_401", True),
        ((403, {}, {}), Outcome.BLOCKED, "http_403", True),
        ((413, {}, {}), Outcome.REJECTED, "http_413", False),
        ((500, {}, {}), Outcome.RETRY_LATER, "http_500", True),
        ((503, {}, {}), Outcome.RETRY_LATER, "http_503", True),
        ((502, {}, b"bad gateway"), Outcome.UNKNOWN, "http_502", False),
        ((200, {}, b"<html>Sign in</html>"), Outcome.UNKNOWN, "http_200", False),
        ((302, {"Location": "http://127.0.0.1:1/"}, b""), Outcome.BLOCKED, "http_302", True),
    ],
)
def test_each_answer_has_its_outcome(sender, api, sick, outcome, code, is_systemic):
    api.sick = sick
    done = sender.say(mail())
    assert (done.outcome, done.code, done.is_systemic) == (outcome, code, is_systemic)
    assert "canary" not in repr(done)


def test_the_moment_at_which_the_throttle_ends_is_heeded(sender, api):
    api.sick = (429, {"X-RateLimit-Reset": str(int(AT.timestamp()) + 90)}, {"errors": []})
    done = sender.say(mail())
    assert (done.outcome, done.retry_after, done.is_systemic) == (Outcome.RETRY_LATER, 90, True)


def test_the_probe_asks_whether_the_key_may_send(sender, api):
    assert sender.probe().outcome is Outcome.ACCEPTED
    api.scopes = ["alerts.read"]
    assert (sender.probe().outcome, sender.probe().code) == (Outcome.BLOCKED, "no_scope:mail.send")
    api.sick = (401, {}, {})
    assert sender.probe().outcome is Outcome.BLOCKED
    api.sick = (200, {}, b"<html>")
    assert sender.probe().outcome is Outcome.UNKNOWN
    assert {call.method for call in sender.end.calls} == {"GET"}


def test_a_subuser_of_the_eu_is_called_in_the_eu():
    settings = sendgrid.Settings(token_env="T", region="eu")
    assert sendgrid.build_probe(settings, LOGIN).url == "https://api.eu.sendgrid.com/v3/scopes"
