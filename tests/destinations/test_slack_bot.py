"""A Slack bot against a far end that says no with a 200."""

from __future__ import annotations

import pytest
from far_end import listening
from messenger import Messenger, note

from tailrace.destinations import slack_bot
from tailrace.destinations.base import Outcome


class Workspace:
    def __init__(self):
        self.sick = None

    def __call__(self, call):
        if call.headers["authorization"] != "Bearer xoxb-canary":
            return 200, {}, {"ok": False, "error": "invalid_auth"}
        if self.sick is not None:
            return self.sick
        if call.path == "/auth.test":
            return 200, {}, {"ok": True, "team": "Acme"}
        assert (call.method, call.path) == ("POST", "/chat.postMessage")
        assert call.headers["content-type"] == "application/json; charset=utf-8"
        return 200, {}, {"ok": True, "channel": "C1", "ts": "1503435956.000247"}


@pytest.fixture
def workspace():
    return Workspace()


@pytest.fixture
def bot(workspace):
    with listening(workspace) as end:
        messenger = Messenger(slack_bot, end, {"token_env": "xoxb-canary"}, channel="#alerts")
        messenger.end = end
        yield messenger
        messenger.close()


def test_a_message_goes_to_the_channel_that_it_names_else_to_the_connections(bot):
    done = bot.say(note("slack", " *Kim* is at risk\n", "#success"))
    assert (done.outcome, done.provider_id) == (Outcome.ACCEPTED, "1503435956.000247")
    bot.say(note("slack", "<!channel> look", ""))
    assert [call.said for call in bot.end.calls] == [
        {"channel": "#success", "text": "*Kim* is at risk"},
        {"channel": "#alerts", "text": "&lt;!channel> look"},
    ]


def test_without_any_channel_it_is_refused_before_a_byte_leaves():
    with listening(Workspace()) as end:
        bot = Messenger(slack_bot, end, {"token_env": "xoxb-canary"})
        assert bot.say(note("slack", "hello", "")).code == "slack:no_channel"
        assert end.calls == []
        bot.close()


def no(word, status=200, **headers):
    return status, headers, {"ok": False, "error": word}


@pytest.mark.parametrize(
    ("sick", "outcome", "code", "is_systemic"),
    [
        (no("channel_not_found"), Outcome.REJECTED, "channel_not_found", False),
        (no("not_in_channel"), Outcome.REJECTED, "not_in_channel", False),
        (no("is_archived"), Outcome.REJECTED, "is_archived", False),
        (no("msg_too_long"), Outcome.REJECTED, "msg_too_long", False),
        (no("invalid_auth"), Outcome.BLOCKED, "invalid_auth", True),
        (no("token_revoked"), Outcome.BLOCKED, "token_revoked", True),
        (no("missing_scope"), Outcome.BLOCKED, "missing_scope", True),
        (no("service_unavailable"), Outcome.RETRY_LATER, "service_unavailable", True),
        (no("internal_error"), Outcome.UNKNOWN, "internal_error", False),
        (no("fatal_error", 500), Outcome.UNKNOWN, "fatal_error", False),
        (no("something_new"), Outcome.UNKNOWN, "something_new", False),
        (no("kim@people.test is not here, canary"), Outcome.UNKNOWN, "unnamed", False),
        (no("200"), Outcome.UNKNOWN, "http_200_unreadable", False),
        ((200, {}, {"ok": "yes"}), Outcome.UNKNOWN, "http_200_unreadable", False),
        ((200, {}, b"<html>Sign in</html>"), Outcome.UNKNOWN, "http_200_unreadable", False),
        ((404, {}, b""), Outcome.BLOCKED, "http_404", True),
        ((503, {}, b""), Outcome.RETRY_LATER, "http_503", True),
    ],
)
def test_a_200_is_no_yes(bot, workspace, sick, outcome, code, is_systemic):
    workspace.sick = sick
    done = bot.say(note("slack", "hello", "#success"))
    assert (done.outcome, done.code, done.is_systemic) == (outcome, code, is_systemic)


def test_a_throttle_says_how_long(bot, workspace):
    workspace.sick = (429, {"Retry-After": "30"}, {"ok": False, "error": "ratelimited"})
    done = bot.say(note("slack", "hello", "#success"))
    assert (done.outcome, done.code, done.retry_after) == (Outcome.RETRY_LATER, "ratelimited", 30)


def test_the_probe_posts_nothing(bot, workspace):
    assert bot.probe().outcome is Outcome.ACCEPTED
    workspace.sick = no("account_inactive")
    assert (bot.probe().outcome, bot.probe().code) == (Outcome.BLOCKED, "account_inactive")
    assert {call.path for call in bot.end.calls} == {"/auth.test"}
