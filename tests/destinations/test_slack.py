from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tailrace.destinations import slack
from tailrace.destinations.base import HttpReply, Message, Outcome, RefusedError, Rendered, Secrets
from tailrace.errors import DestinationError

AT = datetime(2026, 3, 1, 6, tzinfo=UTC)
SECRETS = Secrets({"url_env": "https://hooks.slack.test/services/T0/B0/canary"})


def said(text, to="#success"):
    return Message("abc", 7, "slack", "churn", "tell_cs", to, Rendered("", None, text), AT)


def test_a_message_is_one_post_of_its_text():
    request = slack.build_request(slack.Settings(url_env="U", channel="#success"), SECRETS, said(" *Kim* is at risk\n"))
    assert json.loads(request.body) == {"text": "*Kim* is at risk"}
    assert (request.method, request.url) == ("POST", "https://hooks.slack.test/services/T0/B0/canary")


def test_nobodys_name_calls_everybody():
    request = slack.build_request(
        slack.Settings(url_env="U"), SECRETS, said("<!channel> <https://a.test|look> <!here>")
    )
    assert json.loads(request.body)["text"] == "&lt;!channel> <https://a.test|look> &lt;!here>"


@pytest.mark.parametrize(
    ("item", "code"),
    [
        (said("hello", "#general"), "slack:other_channel"),
        (said(" "), "slack:no_text"),
        (said("a" * 12_001), "slack:too_long"),
        (said("\ud800"), "message:not_json"),
    ],
)
def test_what_slack_cannot_take_is_refused_before_a_byte_leaves(item, code):
    with pytest.raises(RefusedError) as caught:
        slack.build_request(slack.Settings(url_env="U", channel="#success"), SECRETS, item)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("status", "body", "outcome", "code", "is_systemic"),
    [
        (200, b"ok", Outcome.ACCEPTED, "ok", False),
        (200, b"<html>Sign in</html>", Outcome.UNKNOWN, "http_200_unreadable", False),
        (400, b"invalid_payload", Outcome.REJECTED, "invalid_payload", False),
        (400, b"something new", Outcome.REJECTED, "http_400", False),
        (403, b"action_prohibited", Outcome.BLOCKED, "action_prohibited", True),
        (404, b"no_service", Outcome.BLOCKED, "no_service", True),
        (410, b"channel_is_archived", Outcome.BLOCKED, "channel_is_archived", True),
        (429, b"", Outcome.RETRY_LATER, "http_429", True),
        (500, b"rollup_error", Outcome.RETRY_LATER, "http_500", True),
        (502, b"", Outcome.UNKNOWN, "http_502", False),
        (302, b"", Outcome.BLOCKED, "http_302", True),
    ],
)
def test_each_answer_has_its_outcome(status, body, outcome, code, is_systemic):
    result = slack.read_response(slack.Settings(url_env="U"), said("x"), HttpReply(status, {"retry-after": "7"}, body))
    assert (result.outcome, result.code, result.is_systemic) == (outcome, code, is_systemic)
    assert result.retry_after == (7 if outcome is Outcome.RETRY_LATER else None)


def test_a_secret_that_is_no_address_is_named_and_not_shown():
    with pytest.raises(DestinationError, match="`SLACK_URL` does not hold") as caught:
        slack.connect(slack.Settings(url_env="SLACK_URL"), Secrets({"url_env": "http://canary"}), Path())
    assert "canary" not in str(caught.value)
