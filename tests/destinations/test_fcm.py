"""FCM against a far end that gives tokens for a service account's word, and takes messages for them."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from far_end import listening
from messenger import Messenger, note

from tailrace import clock
from tailrace.destinations import fcm
from tailrace.destinations.base import Outcome, RefusedError, Secrets
from tailrace.errors import DestinationError

NOW = datetime(2026, 3, 1, 6, tzinfo=UTC)
SHEET = {"title": "Hi Zoë", "body": "3 new", "link": "https://acme.test/n", "data": {"n": 3, "who": "Zoë", "on": True}}


@pytest.fixture(scope="module")
def key():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def account(key, url):
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    told = {"type": "service_account", "project_id": "acme-app", "private_key_id": "k1", "private_key": private}
    return json.dumps(told | {"client_email": "bot@acme.iam.test", "token_uri": f"{url}/token"})


class Google:
    """Gives token-1, token-2, …; takes messages that carry the last one."""

    def __init__(self):
        self.key = None
        self.given = 0
        self.revoked = False
        self.no_token = None
        self.sick = None

    def __call__(self, call):
        if call.path == "/token":
            if self.no_token is not None:
                return self.no_token
            assert call.form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
            self.claims = self.verified(call.form["assertion"])
            self.given += 1
            self.revoked = False
            return 200, {}, {"access_token": f"token-{self.given}", "expires_in": 3600, "token_type": "Bearer"}
        if self.revoked or call.headers["authorization"] != f"Bearer token-{self.given}":
            return 401, {}, {"error": {"code": 401, "status": "UNAUTHENTICATED"}}
        if self.sick is not None:
            return self.sick
        assert (call.method, call.path) == ("POST", "/v1/projects/acme-app/messages:send")
        return 200, {}, {"name": "projects/acme-app/messages/0:1500415314455276%31bd1c9631bd1c96"}

    def verified(self, assertion):
        head, claims, signature = assertion.split(".")
        raw = [base64.urlsafe_b64decode(part + "==") for part in (claims, signature)]
        self.key.public_key().verify(raw[1], f"{head}.{claims}".encode(), padding.PKCS1v15(), hashes.SHA256())
        return json.loads(raw[0])


@pytest.fixture
def google(key):
    told = Google()
    told.key = key
    return told


@pytest.fixture
def now(monkeypatch):
    """The clock, which stands still: `now[0]`."""
    told = [NOW]
    monkeypatch.setattr(clock, "now", lambda: told[0])
    return told


@pytest.fixture
def sender(google, key, now):
    with listening(google) as end:
        messenger = Messenger(fcm, end, {"key_env": account(key, end.url)})
        messenger.end = end
        yield messenger
        messenger.close()


def push(sheet=None, to="device-token"):
    return note("push", json.dumps(SHEET if sheet is None else sheet), to)


def calls(sender, path="/v1/projects/acme-app/messages:send"):
    return [call for call in sender.end.calls if call.path == path]


def test_a_push_message_goes_to_one_installation_with_its_data_as_text(sender, google):
    done = sender.say(push())
    assert (done.outcome, done.code, done.provider_id) == (Outcome.ACCEPTED, "http_200", "0:1500415314455276")
    (call,) = calls(sender)
    assert call.said == {
        "message": {
            "token": "device-token",
            "notification": {"title": "Hi Zoë", "body": "3 new"},
            "data": {"n": "3", "who": "Zoë", "on": "true", "link": "https://acme.test/n", "intent_id": "0a1b2c"},
        }
    }
    assert google.claims["scope"] == "https://www.googleapis.com/auth/firebase.messaging"
    assert (google.claims["iss"], google.claims["aud"]) == ("bot@acme.iam.test", f"{sender.end.url}/token")


def test_one_token_serves_many_messages_until_it_ends(sender, google, now):
    for _ in range(3):
        assert sender.say(push()).outcome is Outcome.ACCEPTED
    assert google.given == 1
    now[0] += timedelta(minutes=59)
    assert sender.say(push()).outcome is Outcome.ACCEPTED
    assert google.given == 2


def test_a_token_that_is_taken_back_blocks_once_and_is_asked_for_again(sender, google):
    sender.say(push())
    google.revoked = True
    done = sender.say(push())
    assert (done.outcome, done.code, done.is_systemic) == (Outcome.BLOCKED, "UNAUTHENTICATED", True)
    assert sender.say(push()).outcome is Outcome.ACCEPTED
    assert google.given == 2


@pytest.mark.parametrize(
    ("no_token", "outcome", "code"),
    [
        ((400, {}, {"error": "invalid_grant"}), Outcome.BLOCKED, "token:invalid_grant"),
        ((503, {}, b""), Outcome.RETRY_LATER, "token:http_503"),
        ((502, {}, b""), Outcome.RETRY_LATER, "token:http_502"),
        ((200, {}, b"<html>"), Outcome.RETRY_LATER, "token:http_200"),
        ((200, {}, {"access_token": 7}), Outcome.RETRY_LATER, "token:http_200"),
    ],
)
def test_without_a_token_no_message_leaves(sender, google, no_token, outcome, code):
    google.no_token = no_token
    done = sender.say(push())
    assert (done.outcome, done.code, done.is_systemic) == (outcome, code, True)
    assert calls(sender) == []


def test_a_token_server_that_is_not_there_leaves_the_message_for_later(google, key, now):
    with listening(google) as end:
        messenger = Messenger(fcm, end, {"key_env": account(key, "http://127.0.0.1:1")})
        done = messenger.say(push())
        messenger.close()
        assert (done.outcome, done.code) == (Outcome.RETRY_LATER, "token:connect:refused")
        assert end.calls == []


def error(status, google_status, own=None, **detail):
    details = [{"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": own}] if own else []
    if detail:
        details.append({"@type": "type.googleapis.com/google.rpc.BadRequest", **detail})
    return status, {}, {"error": {"code": status, "message": "canary", "status": google_status, "details": details}}


FIELD = {"fieldViolations": [{"field": "message.data", "description": "canary"}]}


@pytest.mark.parametrize(
    ("sick", "outcome", "code", "is_systemic"),
    [
        (error(404, "NOT_FOUND", "UNREGISTERED"), Outcome.REJECTED, "UNREGISTERED", False),
        (error(403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH"), Outcome.REJECTED, "SENDER_ID_MISMATCH", False),
        (error(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT"), Outcome.REJECTED, "INVALID_ARGUMENT:address", False),
        (error(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", **FIELD), Outcome.REJECTED, "INVALID_ARGUMENT", False),
        (error(400, "INVALID_ARGUMENT"), Outcome.REJECTED, "INVALID_ARGUMENT", False),
        (error(429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED"), Outcome.RETRY_LATER, "QUOTA_EXCEEDED", True),
        (error(503, "UNAVAILABLE", "UNAVAILABLE"), Outcome.RETRY_LATER, "UNAVAILABLE", True),
        (error(500, "INTERNAL", "INTERNAL"), Outcome.RETRY_LATER, "INTERNAL", True),
        (error(401, "UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR"), Outcome.BLOCKED, "THIRD_PARTY_AUTH_ERROR", True),
        (error(403, "PERMISSION_DENIED"), Outcome.BLOCKED, "PERMISSION_DENIED", True),
        (error(404, "NOT_FOUND"), Outcome.BLOCKED, "NOT_FOUND", True),
        (error(777, "NEW", "NEW_CODE"), Outcome.UNKNOWN, "http_777", False),
        ((200, {}, {"name": 1}), Outcome.UNKNOWN, "http_200_unreadable", False),
        ((200, {}, b"<html>"), Outcome.UNKNOWN, "http_200_unreadable", False),
        ((400, {}, {"error": {"details": [None, 7]}}), Outcome.REJECTED, "http_400", False),
        ((400, {}, {"error": {"details": 7}}), Outcome.REJECTED, "http_400", False),
        ((502, {}, b""), Outcome.UNKNOWN, "http_502", False),
    ],
)
def test_each_answer_has_its_outcome(sender, google, sick, outcome, code, is_systemic):
    google.sick = sick
    done = sender.say(push())
    assert (done.outcome, done.code, done.is_systemic) == (outcome, code, is_systemic)
    assert "canary" not in repr(done)


def test_retry_after_is_heeded(sender, google):
    status, _, body = error(429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED")
    google.sick = (status, {"Retry-After": "60"}, body)
    assert sender.say(push()).retry_after == 60


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (push(to=""), "address:missing"),
        (note("push", "not a sheet", "t"), "push:not_a_message"),
        (push({"title": "a", "body": "b", "data": [1]}), "push:not_a_message"),
        (push({"title": "a", "body": "b", "data": {"google.x": "1"}}), "push:reserved_name"),
        (push({"title": "a", "body": "b", "data": {"from": "1"}}), "push:reserved_name"),
        (push({"title": "a", "body": "x" * 4096}), "push:too_large"),
    ],
)
def test_what_fcm_cannot_take_is_refused_before_a_byte_leaves(sender, message, code):
    done = sender.say(message)
    assert (done.outcome, done.code) == (Outcome.REJECTED, code)
    assert sender.end.calls == []


def test_the_probe_has_a_message_looked_at_and_not_sent(sender, google):
    session = fcm.connect(sender.settings, sender.secrets, None)
    reply = session.perform(fcm.build_probe(sender.settings, sender.secrets))
    session.close()
    assert fcm.read_probe(sender.settings, reply).outcome is Outcome.ACCEPTED
    assert calls(sender)[0].said["validate_only"] is True
    google.no_token = (400, {}, {"error": "invalid_grant"})
    assert (sender.probe().outcome, sender.probe().code) == (Outcome.BLOCKED, "token:invalid_grant")


@pytest.mark.parametrize(
    "told", ["canary", "[]", '{"client_email": "a@b.test"}', '{"client_email": "a@b.test", "private_key": "canary"}']
)
def test_a_key_that_is_none_is_told_as_the_connection_opens_and_not_shown(told):
    settings = fcm.Settings(key_env="FCM_KEY")
    with pytest.raises(DestinationError, match="`FCM_KEY`") as caught:
        fcm.connect(settings, Secrets({"key_env": told}), None)
    assert "canary" not in str(caught.value)


def test_installation_ids_and_another_project_are_settings(key):
    settings = fcm.Settings(key_env="K", project="other", addressed_by="fid")
    secrets = Secrets({"key_env": account(key, "https://google.test")})
    request = fcm.build_request(settings, secrets, push())
    assert request.url == "https://fcm.googleapis.com/v1/projects/other/messages:send"
    assert json.loads(request.body)["message"]["fid"] == "device-token"
    assert "authorization" not in request.headers


def test_a_key_without_a_project_is_refused(key):
    secrets = Secrets({"key_env": '{"client_email": "a"}'})
    with pytest.raises(RefusedError, match="connection:no_project"):
        fcm.build_request(fcm.Settings(key_env="K"), secrets, push())
