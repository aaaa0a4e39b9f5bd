"""What webhook steps may ask for, and what is kept of the answer."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime

import pytest
import requests
from hypothesis import example, given
from hypothesis import strategies as st
from urllib3.util import parse_url

from tailrace.destinations import webhook
from tailrace.destinations.base import HttpReply, Message, Outcome, RefusedError, Rendered, Secrets
from tailrace.destinations.calls import LONGEST_KEPT, host_of, kept, parse_call, read_answer

AT = datetime(2026, 3, 1, 6, tzinfo=UTC)
HTTPS = frozenset({"https"})


def call(**parts):
    return json.dumps({"method": "POST", "url": "https://crm.test/tasks", "headers": {}, "body": ""} | parts)


def step(text):
    return Message("abc", 7, "webhook", "welcome", "crm", "", Rendered("", None, text), AT)


def test_a_call_is_taken_as_it_was_written():
    told = parse_call(call(method="PUT", headers={"X-Team": "cs", "X-N": 3}, body='{"a": 1}'), HTTPS, None)
    assert (told.method, told.url) == ("PUT", "https://crm.test/tasks")
    assert told.headers == {"x-team": "cs", "x-n": "3"}
    assert told.body == b'{"a": 1}'
    assert parse_call(call(body={"a": [1, None]}), HTTPS, None).body == b'{"a":[1,null]}'
    assert parse_call(call(body={}), HTTPS, None).headers == {"content-type": "application/json"}
    assert parse_call(call(method="GET", body=None), HTTPS, {"crm.test"}).body == b""


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("not json", "call:not_json"),
        ("[]", "call:not_a_call"),
        (call(verify=False), "call:not_a_call"),
        (call(method="TRACE"), "call:method"),
        (call(method=["GET"]), "call:method"),
        (call(url="http://crm.test/"), "call:url"),
        (call(url="file:///etc/passwd"), "call:url"),
        (call(url="https:///nowhere"), "call:url"),
        (call(url="https://user:secret@crm.test/"), "call:url"),
        (call(url="https://crm.test@evil.test/"), "call:url"),
        (call(url="https://crm.test\\@evil.test/"), "call:url"),
        (call(url="https://crm.test/a b"), "call:url"),
        (call(url="https://crm.test/\r\nhost: evil"), "call:url"),
        (call(url="https://crm.test:99999999/"), "call:url"),
        (call(url="https://[::1/"), "call:url"),
        (call(url=None), "call:url"),
        (call(url="https://evil.test/"), "call:host"),
        (call(headers={"x-a": "b\r\nx-evil: 1"}), "call:headers"),
        (call(headers={"x a": "b"}), "call:headers"),
        (call(headers={"x-a": "b\u2028"}), "call:headers"),
        (call(headers={"x-a": None}), "call:headers"),
        (call(headers=["x"]), "call:headers"),
        (call(headers={"Authorization": "Bearer x"}), "call:reserved_header"),
        (call(headers={"Host": "evil.test"}), "call:reserved_header"),
        (call(headers={"Webhook-Id": "forged"}), "call:reserved_header"),
        (call(headers={"X-A": "1", "x-a": "2"}), "call:reserved_header"),
    ],
)
def test_what_cannot_be_called_is_refused_before_a_byte_leaves_without_repeating_any_of_it(text, code):
    with pytest.raises(RefusedError) as caught:
        parse_call(text, HTTPS, {"crm.test"})
    assert caught.value.code == code
    assert "evil" not in str(caught.value)


def test_a_call_is_signed_and_carries_its_id_and_the_token_goes_to_its_own_host_only():
    secrets = Secrets({"secret_env": "canary", "token_env": "token-canary"})
    settings = webhook.Settings(url="https://crm.test/in", secret_env="S", token_env="T")
    request = webhook.build_request(settings, secrets, step(call(url="https://CRM.test/tasks", body="x")))
    assert (request.method, request.url, request.body) == ("POST", "https://CRM.test/tasks", b"x")
    assert request.headers["webhook-id"] == request.headers["idempotency-key"] == "abc"
    stamp = request.headers["webhook-timestamp"]
    assert request.headers["webhook-signature"] == webhook.sign("canary", "abc", stamp, b"x")
    assert request.headers["authorization"] == "Bearer token-canary"
    for other in ("https://crm.test:8443/", "https://evil.test/", "https://crm.test.evil.test/"):
        request = webhook.build_request(settings, secrets, step(call(url=other)))
        assert "authorization" not in request.headers
        assert "webhook-signature" in request.headers


def test_a_connection_without_an_address_of_its_own_carries_steps_only():
    settings = webhook.Settings()
    assert webhook.build_request(settings, Secrets({}), step(call())).url == "https://crm.test/tasks"
    mail = Message("abc", 7, "email", "welcome", "hello", "kim@people.test", Rendered("Hi", None, "Hi"), AT)
    with pytest.raises(RefusedError) as caught:
        webhook.build_request(settings, Secrets({}), mail)
    assert caught.value.code == "connection:no_url"
    with pytest.raises(ValueError, match="`token_env` needs `url`"):
        webhook.Settings(token_env="T")


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        *((status, Outcome.ACCEPTED) for status in (200, 204, 301, 302, 400, 401, 403, 404, 409, 410, 422, 499)),
        *((status, Outcome.RETRY_LATER) for status in (408, 425, 429, 500, 503)),
        *((status, Outcome.UNKNOWN) for status in (502, 504, 520, 599, 100, 777)),
    ],
)
def test_an_answer_is_an_answer_and_says_its_status(status, outcome):
    result = read_answer(HttpReply(status, {"content-type": "application/json"}, b'{"no": true}'), AT)
    assert (result.outcome, result.code, result.is_systemic) == (outcome, f"http:{status}", False)
    assert result.status_code == (status if 200 <= status < 600 else None)


def test_retry_after_of_a_step_is_heeded():
    assert read_answer(HttpReply(429, {"retry-after": "90"}, b""), AT).retry_after == 90


@pytest.mark.parametrize(
    ("kind", "body", "expected"),
    [
        ("application/json", b'{"id": 1}', '{"id": 1}'),
        ("application/problem+json; charset=utf-8", b"[1]", "[1]"),
        ("", b'{"id": 1}', '{"id": 1}'),
        ("text/plain", b"no such task", '"no such task"'),
        ("text/html", b"<p>\x01</p>", '"<p>\\u0001</p>"'),
        ("application/json", b'{"id": ', '"{\\"id\\": "'),
        ("application/json", b'{"a": "\\ud800"}', '"{\\"a\\": \\"\\\\ud800\\"}"'),
        ("application/json", b"\xff", None),
        ("text/plain", b" ", None),
        ("image/png", b"{}", None),
        ("application/octet-stream", b"{}", None),
        ("application/json", b'"' + b"a" * LONGEST_KEPT + b'"', None),
    ],
)
def test_of_a_body_only_json_and_text_is_kept_and_always_as_json(kind, body, expected):
    assert kept(HttpReply(200, {"content-type": kind}, body)) == expected


HOSTS = ("crm.test", "CRM.test", "evil.test", "127.0.0.1", "0x7f.1", "::1", "user", "\u3002")
MARKS = (":", "/", "//", "\\", "@", "#", "?", ".", "%2f", "%40", ":443", ":8443", "[", "]", ";", "&", "\t", "\n", " ")
TRICKS = st.lists(st.sampled_from(HOSTS + MARKS), max_size=8)


@given(TRICKS)
@example(["evil.test", "#@crm.test"])
@example(["crm.test", "?@evil.test"])
@example(["crm.test", ":443", "\\@evil.test"])
def test_the_host_that_is_checked_is_the_host_that_is_called(parts):
    url = "https://" + "".join(parts)
    try:
        told = parse_call(call(url=url), HTTPS, {"crm.test"})
    except RefusedError:
        return
    called = parse_url(requests.Request("POST", told.url).prepare().url)
    assert (called.scheme, called.host, called.auth) == ("https", "crm.test", None)
    port = f":{called.port}" if called.port else ""
    assert host_of(told.url) in {f"https://crm.test{port}", "https://crm.test:"}


@given(
    st.recursive(
        st.none() | st.booleans() | st.text(max_size=9) | st.integers(), lambda inner: st.lists(inner, max_size=3)
    )
)
def test_whatever_a_template_makes_of_a_call_is_a_call_or_refused(value):
    for part in ("method", "url", "headers", "body"):
        for text in (call(**{part: value}), json.dumps(value)):
            with contextlib.suppress(RefusedError):
                parse_call(text, HTTPS, None)


@given(st.binary(max_size=200), st.sampled_from(["application/json", "text/plain", ""]))
def test_whatever_is_answered_what_is_kept_is_json(body, kind):
    text = kept(HttpReply(200, {"content-type": kind}, body))
    if text is not None:
        json.loads(text)
