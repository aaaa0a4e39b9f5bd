"""SES against moto's server, which takes mail from verified senders only, and a far end for what moto never says."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import sys
import urllib.request
from dataclasses import replace
from email import message_from_string
from email.policy import default

import boto3
import botocore.session
import pytest
from botocore.validate import ParamValidator
from far_end import listening
from messenger import Messenger, mail
from moto.server import ThreadedMotoServer

from tailrace.destinations import amazon, ses
from tailrace.destinations.base import Outcome, Secrets
from tailrace.destinations.connections import load_connections
from tailrace.errors import DefinitionError, DestinationError
from tailrace.settings import Settings

KEYS = {"access_key_id_env": "AKIDEXAMPLE", "secret_access_key_env": "canary-secret"}
REGION = {"region": "eu-west-1"}


@pytest.fixture(scope="module")
def moto():
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()

    class End:
        url = f"http://{host}:{port}"

    client = boto3.client(
        "sesv2", endpoint_url=End.url, region_name="eu-west-1", aws_access_key_id="a", aws_secret_access_key="b"
    )
    client.create_email_identity(EmailIdentity="hello@acme.test")
    client.close()
    yield End
    server.stop()


def test_a_verified_senders_mail_is_taken_as_the_bytes_that_we_made(moto):
    sender = Messenger(ses, moto, KEYS, **REGION)
    done = sender.say(mail())
    sender.close()
    assert done.outcome is Outcome.ACCEPTED
    assert done.provider_id
    with urllib.request.urlopen(f"{moto.url}/moto-api/data.json", timeout=5) as answer:
        kept = json.loads(answer.read())["ses"]["RawMessage"]
    raw = message_from_string(kept[-1]["raw_data"], policy=default)
    assert raw["subject"] == "Zoë, hello"
    assert raw["list-unsubscribe-post"] == "List-Unsubscribe=One-Click"
    assert [part.get_content_type() for part in raw.iter_parts()] == ["text/plain", "text/html"]
    assert set(kept[-1]["destinations"]) == {"kim@people.test"}


@pytest.mark.parametrize("settings", [{}, {"configuration_set": "news"}])
def test_what_is_said_is_what_the_services_model_describes(settings):
    own = ses.Settings(access_key_id_env="I", secret_access_key_env="S", **REGION, **settings)
    request = ses.build_request(own, Secrets({}), mail())
    sends = botocore.session.get_session().get_service_model("sesv2").operation_model("SendEmail")
    assert (request.method, request.url.removeprefix("https://email.eu-west-1.amazonaws.com")) == (
        sends.http["method"],
        sends.http["requestUri"],
    )
    said = json.loads(request.body)
    raw = said["Content"]["Raw"]
    raw["Data"] = base64.b64decode(raw["Data"], validate=True)
    assert ParamValidator().validate(said, sends.input_shape).generate_report() == ""
    said["Tags"] = said.pop("EmailTags")
    assert "Unknown parameter" in ParamValidator().validate(said, sends.input_shape).generate_report()


def test_mail_of_a_sender_that_is_not_verified_is_not_taken(moto):
    message = mail()
    stranger = replace(message, rendered=replace(message.rendered, sender=("Acme", "other@acme.test")))
    sender = Messenger(ses, moto, KEYS, **REGION)
    done = sender.say(stranger)
    sender.close()
    assert (done.outcome, done.code) == (Outcome.REJECTED, "MessageRejected")


class Api:
    def __init__(self):
        self.sick = (200, {}, {"MessageId": "0102-0001"})

    def __call__(self, call):
        return self.sick


@pytest.fixture
def api():
    return Api()


@pytest.fixture
def sender(api):
    with listening(api) as end:
        messenger = Messenger(
            ses, end, KEYS | {"session_token_env": "session"}, configuration_set="lifecycle", **REGION
        )
        messenger.end = end
        yield messenger
        messenger.close()


def signature_of(call, host):
    """Return what Amazon's documentation says that the signature is, worked out by hand."""
    given = call.headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0]
    names = given.split(";")
    assert {"host", "x-amz-date", "x-amz-security-token"} <= set(names)
    headers = "".join(f"{name}:{host if name == 'host' else call.headers[name]}\n" for name in names)
    body = hashlib.sha256(call.body).hexdigest()
    canonical = f"{call.method}\n{call.path}\n\n{headers}\n{given}\n{body}"
    stamp = call.headers["x-amz-date"]
    scope = f"{stamp[:8]}/eu-west-1/ses/aws4_request"
    to_sign = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = b"AWS4canary-secret"
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return scope, hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()


def test_a_call_is_signed_as_amazon_says(sender):
    assert sender.say(mail()).outcome is Outcome.ACCEPTED
    (call,) = sender.end.calls
    scope, signature = signature_of(call, sender.end.url.removeprefix("http://"))
    assert f"Credential=AKIDEXAMPLE/{scope}," in call.headers["authorization"]
    assert call.headers["authorization"].endswith(f"Signature={signature}")
    assert call.headers["x-amz-security-token"] == "session"
    assert (call.method, call.path) == ("POST", "/v2/email/outbound-emails")
    content = base64.b64decode(call.said["Content"]["Raw"]["Data"])
    assert {name: call.said[name] for name in call.said if name != "Content"} == {
        "FromEmailAddress": "hello@acme.test",
        "Destination": {"ToAddresses": ["kim@people.test"]},
        "EmailTags": [{"Name": "intent_id", "Value": "0a1b2c"}],
        "ConfigurationSetName": "lifecycle",
    }
    assert b"List-Unsubscribe: <https://acme.test/u?p=7>\r\n" in content


def error(name, words="", status=400):
    return status, {"x-amzn-ErrorType": f"{name}:http://internal.amazon.com/"}, {"message": f"{words} canary"}


@pytest.mark.parametrize(
    ("sick", "outcome", "code", "is_systemic"),
    [
        (error("MessageRejected"), Outcome.REJECTED, "MessageRejected", False),
        (
            error("MessageRejected", "Email address is not verified. The following identities failed the check"),
            Outcome.BLOCKED,
            "MessageRejected:not_verified",
            True,
        ),
        (error("BadRequestException"), Outcome.REJECTED, "BadRequestException", False),
        (error("AccountSuspendedException"), Outcome.BLOCKED, "AccountSuspendedException", True),
        (error("SendingPausedException"), Outcome.BLOCKED, "SendingPausedException", True),
        (error("NotFoundException", status=404), Outcome.BLOCKED, "NotFoundException", True),
        (error("TooManyRequestsException", status=429), Outcome.RETRY_LATER, "TooManyRequestsException", True),
        (
            error("ThrottlingException", "Maximum sending rate exceeded"),
            Outcome.RETRY_LATER,
            "ThrottlingException",
            True,
        ),
        (error("SignatureDoesNotMatch", status=403), Outcome.BLOCKED, "SignatureDoesNotMatch", True),
        ((403, {}, {"__type": "com.amazon#ExpiredTokenException"}), Outcome.BLOCKED, "ExpiredTokenException", True),
        (error("SomethingNew"), Outcome.REJECTED, "http_400", False),
        (error("SomethingNew", status=777), Outcome.UNKNOWN, "http_777", False),
        ((200, {}, b"<html>Sign in</html>"), Outcome.UNKNOWN, "http_200_unreadable", False),
        ((200, {}, {"MessageId": ""}), Outcome.UNKNOWN, "http_200_unreadable", False),
        ((200, {}, {}), Outcome.UNKNOWN, "http_200_unreadable", False),
        ((500, {}, b""), Outcome.RETRY_LATER, "http_500", True),
        ((502, {}, b""), Outcome.UNKNOWN, "http_502", False),
    ],
)
def test_each_error_has_its_outcome(sender, api, sick, outcome, code, is_systemic):
    api.sick = sick
    done = sender.say(mail())
    assert (done.outcome, done.code, done.is_systemic) == (outcome, code, is_systemic)
    assert "canary" not in repr(done)


def test_a_days_quota_is_waited_for_longer(sender, api):
    api.sick = error("ThrottlingException", "Daily message quota exceeded")
    assert sender.say(mail()).retry_after == 3600


def test_the_probe_asks_for_the_accounts_limits(sender, api):
    api.sick = (200, {}, {"SendQuota": {"MaxSendRate": 14.0}, "SendingEnabled": True})
    assert sender.probe().outcome is Outcome.ACCEPTED
    api.sick = (200, {}, {"SendQuota": {}, "SendingEnabled": False})
    assert sender.probe().outcome is Outcome.BLOCKED
    api.sick = error("AccessDeniedException", status=403)
    assert (sender.probe().outcome, sender.probe().code) == (Outcome.BLOCKED, "AccessDeniedException")
    assert {call.path for call in sender.end.calls} == {"/v2/email/account"}


def test_credentials_that_cannot_be_had_now_let_no_byte_leave(sender):
    from botocore.exceptions import CredentialRetrievalError

    class Role:
        def get_frozen_credentials(self):
            raise CredentialRetrievalError(provider="iam-role", error_msg="canary")

    sender.line._session._credentials = Role()
    done = sender.say(mail())
    assert (done.outcome, done.code, done.is_systemic) == (Outcome.RETRY_LATER, "credentials:not_available", True)
    assert sender.end.calls == []


def test_without_any_credentials_it_is_told_as_the_connection_opens(monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    with pytest.raises(DestinationError, match="no credentials of Amazon were found"):
        amazon.credentials(None, "ses")


def test_a_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "botocore.session", None)
    with pytest.raises(DestinationError, match=r"pip install 'tailrace\[ses\]'"):
        amazon.credentials(("a", "b", None), "ses")


@pytest.mark.parametrize(
    ("settings", "line", "words"),
    [
        ("region: Ireland", 3, "`region`"),
        ("access_key_id_env: A", 2, "go together"),
        ("access_key_id: AKID", 3, "Did you mean `access_key_id_env`?"),
        ("base_url: http://127.0.0.1:1", 2, "`base_url` must begin with https://"),
    ],
)
def test_a_setting_that_cannot_be_is_told_with_its_line(tmp_path, settings, line, words):
    (tmp_path / "destinations.yml").write_text(f"connections:\n  mail: {{type: ses,\n    {settings}}}\n")
    with pytest.raises(DefinitionError) as caught:
        load_connections(Settings(tmp_path / "data", tmp_path))
    assert str(caught.value).startswith(f"destinations.yml:{line}: connection `mail`: ")
    assert words in str(caught.value)
