"""A webhook as its receiver sees it: verified by the reference library, and never led to a private address."""

from __future__ import annotations

import base64
import socket
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import standardwebhooks.webhooks as reference
from far_end import AT, FarEnd, batch_of, row
from messenger import mail

from tailrace.destinations import webhook
from tailrace.destinations.base import Failure, HttpReply, HttpRequest, Outcome, Secrets
from tailrace.destinations.transport import HttpSession, is_public
from tailrace.errors import DestinationError

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
OLD = "whsec_" + base64.b64encode(bytes(range(40))).decode()
SETTINGS = webhook.Settings(url="https://hook.test/in", secret_env="S")


@pytest.fixture
def at(monkeypatch):
    """The library's clock, which stands still: `at[0]`."""
    told = [AT]

    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            return told[0].astimezone(tz)

    monkeypatch.setattr(reference, "datetime", Clock)
    return told


def request(item, secret=SECRET):
    return webhook.build_request(SETTINGS, Secrets({"secret_env": secret}), item)


BATCH = batch_of([row("add", {"id": "1"}, name="Zoë")], "people")


@pytest.mark.parametrize("item", [mail(), BATCH], ids=["message", "batch"])
def test_the_reference_library_verifies_what_is_sent(at, item):
    call = request(item)
    told = reference.Webhook(SECRET).verify(call.body, dict(call.headers))
    assert told["id"] == call.headers["webhook-id"]
    assert "." not in told["id"]
    assert told["type"] in ("message.send", "sync.batch")


def test_what_was_changed_is_old_or_has_another_key_is_not_verified(at):
    call = request(mail())
    for secret, body, moved in ((SECRET, call.body + b" ", 0), (OLD, call.body, 0), (SECRET, call.body, 6)):
        at[0] = AT + timedelta(minutes=moved)
        with pytest.raises(reference.WebhookVerificationError):
            reference.Webhook(secret).verify(body, dict(call.headers))


def test_while_keys_change_either_verifies(at):
    call = request(mail(), f"{SECRET} {OLD}")
    assert call.headers["webhook-signature"].count("v1,") == 2
    for secret in (SECRET, OLD):
        reference.Webhook(secret).verify(call.body, dict(call.headers))


def test_a_secret_without_its_padding_is_the_same_secret(at):
    call = request(mail(), SECRET.rstrip("="))
    reference.Webhook(SECRET).verify(call.body, dict(call.headers))


@pytest.mark.parametrize("secret", ["whsec_", "whsec_canary!", "whsk_canary", f"{SECRET} whsec_"])
def test_a_secret_that_cannot_sign_is_told_as_the_connection_opens_and_not_shown(secret):
    with pytest.raises(DestinationError) as caught:
        webhook.connect(SETTINGS, Secrets({"secret_env": secret}), Path())
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0"),
        *("224.0.0.1", "240.0.0.1", "::1", "::", "fe80::1%eth0", "fd00::1", "ff02::1", "::ffff:127.0.0.1"),
        *("::ffff:169.254.169.254", "2002:7f00:1::", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "::127.0.0.1"),
    ],
)
def test_an_address_that_is_not_the_internets_is_not_public(address):
    assert not is_public(address)


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:4700::1111", "::ffff:93.184.216.34", "64:ff9b::5db8:d822"])
def test_an_address_of_the_internet_is_public(address):
    assert is_public(address)


def test_a_name_that_leads_here_when_it_is_called_is_refused_before_a_byte(monkeypatch):
    """What a name led to before does not count: the address that was really connected to does."""
    heard = []
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]

        def listen():
            peer, _ = listener.accept()
            with peer:
                peer.settimeout(5)
                heard.append(peer.recv(1))

        thread = threading.Thread(target=listen)
        thread.start()
        resolve = socket.getaddrinfo

        def rebound(host, *rest, **named):
            return resolve("127.0.0.1" if host == "rebind.test" else host, *rest, **named)

        monkeypatch.setattr(socket, "getaddrinfo", rebound)
        session = HttpSession(timeout=5, private_network=False)
        done = session.perform(HttpRequest("POST", f"https://rebind.test:{port}/", {}, b"canary"))
        session.close()
        thread.join()
    assert done == Failure(False, "connect:refused")
    assert heard == [b""]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_a_failure_and_is_not_followed(status):
    end = FarEnd(lambda call: (status, {"Location": "/elsewhere"}, b""))
    session = HttpSession(timeout=5, private_network=True)
    reply = session.perform(HttpRequest("POST", f"{end.url}/in", {}, b"{}"))
    session.close()
    end.close()
    assert [call.path for call in end.calls] == ["/in"]
    assert isinstance(reply, HttpReply)
    done = webhook.read_response(SETTINGS, mail(), reply)
    assert (done.outcome, done.is_systemic) == (Outcome.BLOCKED, True)


def test_the_timestamp_is_of_this_attempt_and_the_id_of_the_message():
    first, second = request(mail()), request(mail())
    assert first.headers == second.headers
    assert first.headers["webhook-timestamp"] == str(int(datetime(2026, 3, 1, 6, tzinfo=UTC).timestamp()))
