"""Postmark against a far end that answers with `ErrorCode`, whatever the status."""

from __future__ import annotations

import pytest
from far_end import listening
from messenger import PAGE, UNSUBSCRIBE, Messenger, mail

from tailrace.destinations import postmark
from tailrace.destinations.base import Outcome
from tailrace.destinations.connections import load_connections
from tailrace.errors import DefinitionError
from tailrace.settings import Settings


def error(number, status=422):
    return status, {}, {"ErrorCode": number, "Message": "canary: kim@people.test"}


class Api:
    def __init__(self):
        self.sick = None

    def __call__(self, call):
        if call.headers["x-postmark-server-token"] != "canary-token":
            return error(10, 401)
        if self.sick is not None:
            return self.sick
        if call.path == "/server":
            return 200, {}, {"ID": 1, "Name": "acme"}
        assert (call.method, call.path) == ("POST", "/email")
        return 200, {}, {"ErrorCode": 0, "Message": "OK", "MessageID": "b7bc2f4a-e38e-4336-af7d-e6c392c2f817"}


@pytest.fixture
def api():
    return Api()


@pytest.fixture
def sender(api):
    with listening(api) as end:
        messenger = Messenger(postmark, end, {"token_env": "canary-token"})
        messenger.end = end
        yield messenger
        messenger.close()


def test_a_message_is_one_call_on_its_stream(sender):
    done = sender.say(mail())
    assert (done.outcome, done.code) == (Outcome.ACCEPTED, "postmark_0")
    assert done.provider_id == "b7bc2f4a-e38e-4336-af7d-e6c392c2f817"
    (call,) = sender.end.calls
    assert call.said == {
        "From": '"Acme, Ltd" <hello@acme.test>',
        "To": "kim@people.test",
        "Subject": "Zoë, hello",
        "TextBody": "Hi Zoë\n",
        "HtmlBody": PAGE,
        "MessageStream": "broadcast",
        "Tag": "welcome",
        "Metadata": {"intent_id": "0a1b2c"},
        "Headers": [
            {"Name": "List-Unsubscribe", "Value": UNSUBSCRIBE},
            {"Name": "List-Unsubscribe-Post", "Value": "List-Unsubscribe=One-Click"},
        ],
    }


@pytest.mark.parametrize(
    ("sick", "outcome", "code", "is_systemic"),
    [
        (error(300), Outcome.REJECTED, "postmark_300", False),
        (error(406), Outcome.REJECTED, "postmark_406", False),
        (error(406, 200), Outcome.REJECTED, "postmark_406", False),
        (error(300, 200), Outcome.REJECTED, "postmark_300", False),
        (error(100, 200), Outcome.RETRY_LATER, "postmark_100", True),
        (error(10, 401), Outcome.BLOCKED, "postmark_10", True),
        (error(400), Outcome.BLOCKED, "postmark_400", True),
        (error(401), Outcome.BLOCKED, "postmark_401", True),
        (error(405), Outcome.BLOCKED, "postmark_405", True),
        (error(412), Outcome.BLOCKED, "postmark_412", True),
        (error(413), Outcome.BLOCKED, "postmark_413", True),
        (error(9999), Outcome.REJECTED, "postmark_9999", False),
        (error(9999, 777), Outcome.UNKNOWN, "postmark_9999", False),
        ((200, {}, {"ErrorCode": "0"}), Outcome.UNKNOWN, "http_200_unreadable", False),
        ((200, {}, {"ErrorCode": False}), Outcome.UNKNOWN, "http_200_unreadable", False),
        ((200, {}, b"<html>Sign in</html>"), Outcome.UNKNOWN, "http_200_unreadable", False),
        ((429, {}, b""), Outcome.RETRY_LATER, "http_429", True),
        ((500, {}, b""), Outcome.RETRY_LATER, "http_500", True),
        ((503, {}, b""), Outcome.RETRY_LATER, "http_503", True),
        ((504, {}, b""), Outcome.UNKNOWN, "http_504", False),
    ],
)
def test_the_error_code_counts_before_the_status(sender, api, sick, outcome, code, is_systemic):
    api.sick = sick
    done = sender.say(mail())
    assert (done.outcome, done.code, done.is_systemic) == (outcome, code, is_systemic)
    assert "canary" not in repr(done)


def test_an_error_code_that_is_not_known_never_makes_an_acceptance(sender, api):
    api.sick = error(9999, 200)
    assert sender.say(mail()).outcome is Outcome.UNKNOWN


def test_the_probe_knows_a_servers_token(sender, api):
    assert sender.probe().outcome is Outcome.ACCEPTED
    api.sick = error(10, 401)
    assert sender.probe().outcome is Outcome.BLOCKED


def test_a_region_that_postmark_does_not_have_is_refused_with_its_line(tmp_path):
    (tmp_path / "destinations.yml").write_text(
        "connections:\n  mail:\n    type: postmark\n    token_env: T\n    region: eu\n"
    )
    with pytest.raises(DefinitionError, match=r"^destinations.yml:5: connection `mail`: `region`"):
        load_connections(Settings(tmp_path / "data", tmp_path))
