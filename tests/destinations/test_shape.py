"""The contract of every destination; the list is what discovery finds."""

from __future__ import annotations

import ast
import inspect
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tailrace.destinations import smtp, webhook
from tailrace.destinations.base import (
    Batch,
    BatchRow,
    Capabilities,
    HttpReply,
    Message,
    Outcome,
    RefusedError,
    Rendered,
    Result,
    Secrets,
    SmtpReply,
    Written,
    discover,
)
from tailrace.destinations.stores import StoreAnswer
from tailrace.destinations.tables import TableAnswer

AT = datetime(2026, 3, 1, 6, tzinfo=UTC)
SETTINGS = {
    "amplitude": {"api_key_env": "K"},
    "braze": {"api_key_env": "K"},
    "iterable": {"api_key_env": "K"},
    "mixpanel": {"token_env": "T"},
    "segment": {"write_key_env": "K"},
    "customerio_broadcast": {"token_env": "T"},
    "customerio_messages": {"token_env": "T", "from": "hello@acme.test"},
    "fcm": {"key_env": "K"},
    "postmark": {"token_env": "T", "from": "hello@acme.test"},
    "sendgrid": {"token_env": "T", "from": "hello@acme.test"},
    "ses": {"access_key_id_env": "I", "secret_access_key_env": "S", "from": "hello@acme.test"},
    "slack_bot": {"token_env": "T"},
    "twilio": {"account_sid": "AC1", "token_env": "T", "from": "+14155550100"},
    "customerio": {"site_id_env": "SITE", "api_key_env": "KEY"},
    "files": {"folder": "/exports"},
    "google_data_manager": {"credentials_env": "GOOGLE", "account": "1234567890"},
    "hubspot": {"token_env": "T"},
    "meta_ads": {"token_env": "T"},
    "outbox": {},
    "postgres_table": {"url_env": "TABLE_URL"},
    "salesforce": {"client_id_env": "I", "client_secret_env": "S"},
    "sftp": {"host": "h", "username": "u", "folder": "/in", "known_hosts": "/dev/null", "password_env": "P"},
    "slack": {"url_env": "SLACK_URL"},
    "smtp": {"host": "relay.test", "from": "Acme <hello@acme.test>"},
    "webhook": {"url": "https://hook.test/"},
}
SECRETS = Secrets(
    dict.fromkeys(("site_id_env", "api_key_env", "write_key_env", "token_env", "username_env", "secret_env"), "canary")
    | {"key_env": '{"project_id": "p", "private_key": "canary"}'}
    | {"url_env": "https://hooks.slack.test/services/T0/B0/canary", "client_id_env": "canary"}
    | {"client_secret_env": "canary", "credentials_env": '{"type": "authorized_user", "refresh_token": "canary"}'}
)
REPLIES = {
    "amplitude": HttpReply(200, {}, b"success"),
    "braze": HttpReply(201, {}, b'{"message": "success", "attributes_processed": 3}'),
    "iterable": HttpReply(200, {}, b'{"successCount": 3, "failCount": 0}'),
    "mixpanel": HttpReply(200, {}, b'{"status": 1, "error": null}'),
    "segment": HttpReply(200, {}, b'{"success": true}'),
    "customerio_broadcast": HttpReply(200, {}, b'{"id": 7}'),
    "customerio_messages": HttpReply(200, {}, b'{"delivery_id": "d1", "queued_at": 1700000000}'),
    "fcm": HttpReply(200, {}, b'{"name": "projects/p/messages/0:1"}'),
    "postmark": HttpReply(200, {}, b'{"ErrorCode": 0, "MessageID": "m1"}'),
    "sendgrid": HttpReply(202, {}, b""),
    "ses": HttpReply(200, {}, b'{"MessageId": "m1"}'),
    "slack_bot": HttpReply(200, {}, b'{"ok": true, "ts": "1503435956.000247"}'),
    "twilio": HttpReply(201, {}, b'{"sid": "SM1"}'),
    "files": StoreAnswer("stored"),
    "sftp": StoreAnswer("stored"),
    "customerio": HttpReply(200, {}, b"{}"),
    "google_data_manager": HttpReply(200, {}, b'{"requestId": "r1"}'),
    "hubspot": HttpReply(200, {}, b'{"status": "COMPLETE", "results": [{}, {}, {}]}'),
    "meta_ads": HttpReply(200, {}, b'{"audience_id": "123", "num_received": 3, "num_invalid_entries": 0}'),
    "outbox": Written(),
    "postgres_table": TableAnswer("00000"),
    "salesforce": HttpReply(200, {}, b'[{"success": true}, {"success": true}, {"success": true}]'),
    "slack": HttpReply(200, {}, b"ok"),
    "smtp": SmtpReply("end", 250),
    "webhook": HttpReply(204, {}, b""),
}
STRANGE = {
    **dict.fromkeys(("amplitude", "braze", "iterable", "mixpanel", "segment"), HttpReply(777, {}, b"{}")),
    **dict.fromkeys(
        ("customerio_broadcast", "customerio_messages", "fcm", "postmark", "sendgrid", "ses", "slack_bot", "twilio"),
        HttpReply(777, {}, b'{"error": "huh"}'),
    ),
    "files": StoreAnswer("huh"),
    "sftp": StoreAnswer("huh"),
    "customerio": HttpReply(777, {}, b"{}"),
    "google_data_manager": HttpReply(777, {}, b"{}"),
    "hubspot": HttpReply(777, {}, b"{}"),
    "meta_ads": HttpReply(777, {}, b'{"error": {"code": 777}}'),
    "postgres_table": TableAnswer("ZZ999"),
    "salesforce": HttpReply(777, {}, b"{}"),
    "slack": HttpReply(777, {}, b"huh"),
    "smtp": SmtpReply("end", 777),
    "webhook": HttpReply(777, {}, b""),
}
MESSAGE = Message("abc", 7, "email", "welcome", "hello", "kim@people.test", Rendered("Hi", None, "Hi"), AT)
MESSAGES = {
    "fcm": replace(MESSAGE, channel="push", rendered=Rendered("Hi", None, '{"title": "Hi", "body": "Hi"}')),
    "slack_bot": replace(MESSAGE, channel="slack"),
    "twilio": replace(MESSAGE, channel="sms", address="+14155550123"),
}
"""What is said on a channel that is not e-mail."""
KEYS: dict[str, str] = {
    "amplitude": "user_id",
    "braze": "external_id",
    "iterable": "user_id",
    "mixpanel": "distinct_id",
    "segment": "user_id",
    "google_data_manager": "user_id",
    "meta_ads": "extern_id",
    "salesforce": "Ext__c",
}
"""The column that is the key of a person, where that is not `id`."""
TARGETS = {
    "google_data_manager": "123",
    "hubspot": "contacts",
    "meta_ads": "123",
    "salesforce": "Contact",
    "customerio_broadcast": "4",
}
"""The target, where that is not `people`."""
COLUMNS = {"google_data_manager": "email_address", "meta_ads": "email"}
"""The column with an address, where that is not `of`."""


def batch_for(name):
    key = KEYS.get(name, "id")
    of = COLUMNS.get(name, "of")
    rows = tuple(BatchRow(n, "add", {key: str(n)}, {key: str(n), of: "kim@people.test"}) for n in range(3))
    return Batch("p/s/0", "p", "s", TARGETS.get(name, "people"), 0, rows, AT, mode="upsert")


destinations = pytest.mark.parametrize("name", sorted(discover()))


def test_a_module_in_the_folder_is_a_destination():
    assert sorted(discover()) == sorted(SETTINGS)


@destinations
def test_it_has_the_shape(name):
    module = discover()[name]
    assert module.__doc__
    assert name == module.NAME
    assert isinstance(module.CAPABILITIES, Capabilities)
    assert all(meaning.words and isinstance(meaning.outcome, Outcome) for meaning in module.CODES.values())
    settings = module.Settings(**SETTINGS[name])
    assert settings.slots == module.CAPABILITIES.slots, "the default bound is the one that is promised"
    module.connect(settings, Secrets({}), Path("unused")).close()


@destinations
def test_it_answers_for_each_item_it_can_express_and_says_unknown_to_an_unknown_code(name):
    module = discover()[name]
    settings = module.Settings(**SETTINGS[name])
    for item in (MESSAGES.get(name, MESSAGE), batch_for(name)):
        takes = module.CAPABILITIES.takes_batches if isinstance(item, Batch) else module.CAPABILITIES.channels
        if not takes:
            with pytest.raises(RefusedError):
                module.build_request(settings, SECRETS, item)
            continue
        assert module.build_request(settings, SECRETS, item) == module.build_request(settings, SECRETS, item)
        assert module.read_response(settings, item, REPLIES[name]).outcome is Outcome.ACCEPTED
        if name in STRANGE:
            assert module.read_response(settings, item, STRANGE[name]).outcome is Outcome.UNKNOWN


@destinations
def test_no_repr_shows_a_person(name):
    module = discover()[name]
    people = batch_for(name)
    item = MESSAGES.get(name, MESSAGE) if module.CAPABILITIES.channels else people
    request = module.build_request(module.Settings(**SETTINGS[name]), SECRETS, item)
    said = repr(MESSAGE) + repr(people) + repr(request)
    assert "kim@people.test" not in said
    assert "4155550123" not in said
    assert "canary" not in repr(request) + repr(SECRETS)
    assert "kim" not in repr(Result(Outcome.ACCEPTED, "http_200", status_code=200, body='"kim@people.test"'))


@destinations
def test_it_has_no_loop_over_time_no_clock_no_socket_and_no_environment(name):
    tree = ast.parse(inspect.getsource(discover()[name]))
    imported = {
        part
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for part in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names])
    }
    assert not imported & {"time", "os", "socket", "smtplib", "requests", "logging", "tailrace.clock", "random"}
    assert not any(isinstance(node, ast.While) for node in ast.walk(tree))


def test_standard_webhooks_published_vector():
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    signed = webhook.sign(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", b'{"test": 2432232314}')
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize(
    ("stage", "code", "outcome"),
    [
        ("connect", 554, Outcome.BLOCKED),
        ("login", 535, Outcome.BLOCKED),
        ("login", 454, Outcome.RETRY_LATER),
        ("mail", 550, Outcome.BLOCKED),
        ("mail", 451, Outcome.RETRY_LATER),
        ("rcpt", 450, Outcome.RETRY_LATER),
        ("rcpt", 550, Outcome.REJECTED),
        ("rcpt", 499, Outcome.RETRY_LATER),
        ("rcpt", 599, Outcome.REJECTED),
        ("data", 554, Outcome.REJECTED),
        ("end", 250, Outcome.ACCEPTED),
        ("end", 552, Outcome.REJECTED),
        ("end", 451, Outcome.RETRY_LATER),
        ("end", 200, Outcome.UNKNOWN),
        ("end", -1, Outcome.UNKNOWN),
        ("data", 250, Outcome.RETRY_LATER),
        ("mail", -1, Outcome.RETRY_LATER),
    ],
)
def test_smtp_answers_by_stage(stage, code, outcome):
    settings = smtp.Settings(**SETTINGS["smtp"])
    assert smtp.read_response(settings, MESSAGE, SmtpReply(stage, code)).outcome is outcome


@pytest.mark.parametrize(
    ("stage", "code", "is_systemic"),
    [
        ("connect", 554, True),
        ("login", 535, True),
        ("mail", 451, True),
        ("data", 250, True),
        *[("rcpt", code, True) for code in (421, 454, 530, 534, 535, 538)],
        *[("rcpt", code, False) for code in (450, 451, 452, 550, 552, 554)],
        ("end", 250, False),
    ],
)
def test_smtp_answers_that_blame_the_relay_are_told_from_those_that_blame_the_message(stage, code, is_systemic):
    settings = smtp.Settings(**SETTINGS["smtp"])
    assert smtp.read_response(settings, MESSAGE, SmtpReply(stage, code)).is_systemic is is_systemic
