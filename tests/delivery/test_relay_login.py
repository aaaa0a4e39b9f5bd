from __future__ import annotations

import ssl
import subprocess

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from delivery_world import Inbox, free_port

from tailrace.destinations.connections import load_connections
from tailrace.destinations.probing import probe

PEOPLE = [f"person{n}@people.test" for n in range(5)]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificate")
    subprocess.run(
        [
            *["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"],
            *("-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", folder / "key.pem", "-out", folder / "cert.pem"),
        ],
        check=True,
        capture_output=True,
    )
    return folder


@pytest.fixture
def relay(certificate):
    """A relay that wants STARTTLS and the password `open sesame`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")

    def authenticate(server, session, envelope, mechanism, data):
        return AuthResult(success=(data.login, data.password) == (b"tailrace", b"open sesame"), handled=False)

    inbox, port = Inbox(), free_port()
    controller = Controller(
        inbox,
        hostname="127.0.0.1",
        port=port,
        tls_context=context,
        require_starttls=True,
        authenticator=authenticate,
        auth_required=True,
    )
    controller.start()
    yield inbox, port
    controller.stop()


def settings(port, certificate, security="starttls", trusted=True):
    trust = f", ca_file: {certificate}/cert.pem" if trusted else ""
    return (
        f"connections:\n  relay: {{type: smtp, host: 127.0.0.1, port: {port}, security: {security}, username: tailrace,"
        f" timeout_seconds: 5, password_env: RELAY_PASSWORD{trust}}}\nchannels: {{email: relay}}\n"
    )


def test_it_encrypts_checks_the_certificate_and_logs_in(world, relay, certificate, monkeypatch):
    inbox, port = relay
    monkeypatch.setenv("RELAY_PASSWORD", "open sesame")
    world.destinations(settings(port, certificate))
    world.apply(PEOPLE)
    world.go_live()
    assert world.deliver().messages.accepted == 5
    assert inbox.taken == dict.fromkeys(PEOPLE, 1)


def test_a_refused_login_blocks_the_relay_and_nobody_loses_a_message(world, relay, certificate, monkeypatch):
    _, port = relay
    monkeypatch.setenv("RELAY_PASSWORD", "open says me")
    world.destinations(settings(port, certificate))
    world.apply(PEOPLE)
    world.go_live()
    done = world.deliver()
    assert done.messages.codes == {"blocked:smtp_535_login": 1, "blocked:not_tried": 3}
    assert done.stopped == {"relay": "smtp_535_login"}
    monkeypatch.setenv("RELAY_PASSWORD", "open sesame")
    world.later(minutes=6)
    assert world.deliver().messages.accepted == 5


@pytest.mark.parametrize(
    ("password", "trusted", "outcome", "code"),
    [
        ("open sesame", True, "accepted", "smtp_250_end"),
        ("open says me", True, "blocked", "smtp_535_login"),
        ("open sesame", False, "retry_later", "connect:tls"),
    ],
)
def test_a_relay_says_whether_it_lets_us_in_and_gets_no_mail(
    world, relay, certificate, monkeypatch, password, trusted, outcome, code
):
    inbox, port = relay
    monkeypatch.setenv("RELAY_PASSWORD", password)
    world.destinations(settings(port, certificate, trusted=trusted))
    found = probe(load_connections(world.settings).by_name["relay"], world.settings)
    assert (found.outcome.value, found.code) == (outcome, code)
    assert not inbox.taken


def test_a_certificate_that_is_not_trusted_is_not_sent_to(world, relay, certificate, monkeypatch):
    inbox, port = relay
    monkeypatch.setenv("RELAY_PASSWORD", "open sesame")
    world.destinations(settings(port, certificate, trusted=False))
    world.apply(PEOPLE)
    world.go_live()
    assert world.deliver().stopped == {"relay": "connect:tls"}
    assert not inbox.taken


def test_a_relay_without_encryption_is_never_spoken_to_in_clear(world, post, certificate, monkeypatch):
    monkeypatch.setenv("RELAY_PASSWORD", "open sesame")
    world.destinations(settings(post.port, certificate))
    world.apply(PEOPLE)
    world.go_live()
    done = world.deliver()
    assert done.messages.accepted == 0
    assert done.stopped == {"relay": "connect:not_supported"}
    assert not post.inbox.taken
