"""A call over TLS that breaks is handed over from the moment at which its connection stood."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tailrace.destinations import transport
from tailrace.destinations.base import Failure, HttpRequest
from tailrace.destinations.transport import HttpSession


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
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
def url(certificate: Path) -> Iterator[str]:
    """A server that reads a call over TLS and then hangs up without a word, not even that of TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listening.accept()
        try:
            with context.wrap_socket(connection, server_side=True) as secured:
                secured.recv(1 << 16)
        except ssl.SSLError:
            connection.close()

    thread = threading.Thread(target=serve)
    thread.start()
    yield f"https://127.0.0.1:{listening.getsockname()[1]}/hook"
    thread.join()
    listening.close()


def test_a_connection_that_breaks_after_it_stood_leaves_the_call_handed_over(
    url: str, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport.certifi, "where", lambda: str(certificate / "cert.pem"))
    said = _post(url)
    assert isinstance(said, Failure)
    assert said.handed_over
    assert said.code.startswith("answer:")


def test_a_server_whose_certificate_nobody_vouches_for_gets_nothing(url: str) -> None:
    assert _post(url) == Failure(False, "connect:tls")


def _post(url: str) -> object:
    session = HttpSession(timeout=5, private_network=True)
    try:
        return session.perform(HttpRequest("POST", url, {"content-type": "application/json"}, b"{}"))
    finally:
        session.close()
