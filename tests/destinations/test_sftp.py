from __future__ import annotations

import logging
import socket
import threading
from datetime import UTC, datetime
from pathlib import Path

import asyncssh
import pytest
from pydantic import ValidationError
from ssh_server import PASSWORD, Host

from tailrace.destinations import sftp
from tailrace.destinations.base import Batch, BatchRow, Failure, Outcome, Secrets
from tailrace.errors import DestinationError

AT = datetime(2026, 3, 1, 6, tzinfo=UTC)
ROWS = tuple(BatchRow(n, "add", {"id": str(n)}, {"id": str(n), "plan": "pro"}) for n in range(3))
BATCH = Batch("p/s/0", "p", "s", "people", 0, ROWS, AT)
NAME = "people/changes/p.s.00000.000000-000002.csv"


@pytest.fixture
def host(tmp_path):
    (tmp_path / "served" / "in").mkdir(parents=True)
    running = Host(tmp_path / "served")
    yield running
    running.close()


@pytest.fixture
def line(host):
    opened = []

    def line(secret=None, **settings):
        told = {"host": "127.0.0.1", "port": host.port, "username": "tailrace", "folder": "/in", "timeout_seconds": 5.0}
        if secret is None:
            secret = {"password_env": PASSWORD}
        names = {name: name.upper() for name in secret if name not in settings}
        if "known_hosts" not in settings:
            told["host_keys"] = [host.public_key]
        made = sftp.Settings(**(told | names | settings))
        opened.append(sftp.connect(made, Secrets(secret), Path("unused")))
        return made, opened[-1]

    yield line
    for each in opened:
        each.close()


def send(line, batch=BATCH):
    settings, session = line
    reply = session.perform(sftp.build_request(settings, Secrets({}), batch))
    return reply if isinstance(reply, Failure) else sftp.read_response(settings, batch, reply)


def files(host):
    return sorted(str(path.relative_to(host.root / "in")) for path in host.root.rglob("*") if path.is_file())


def test_a_batch_is_a_file_whole_under_its_name_and_a_repeat_finds_it(host, line):
    to = line()

    assert (send(to).outcome, send(to).code) == (Outcome.ACCEPTED, "already_there")
    assert files(host) == [NAME]
    assert (host.root / "in" / NAME).read_bytes().count(b"\n") == 4


def test_a_file_of_this_name_that_is_not_whole_is_replaced(host, line):
    to = line()
    send(to)
    whole = (host.root / "in" / NAME).read_bytes()
    (host.root / "in" / NAME).write_bytes(whole[:10])

    assert send(to).code == "stored"
    assert (host.root / "in" / NAME).read_bytes() == whole


@pytest.mark.torture
@pytest.mark.parametrize("encrypted", [False, True])
def test_a_key_of_ours_logs_in(host, line, encrypted):
    words = "a phrase" if encrypted else None
    secret = {"key_env": host.client_key.export_private_key(passphrase=words).decode()}
    if words:
        secret["passphrase_env"] = words

    assert send(line(secret)).outcome is Outcome.ACCEPTED


def test_a_wrong_password_blocks(line):
    assert send(line({"password_env": "wrong"})).code == "login_refused"


def test_a_host_that_is_not_the_pinned_one_is_told_nothing(host, line, tmp_path):
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    asked: list[str] = []
    host.connections.clear()

    assert send(line(host_keys=[other])).code == "host_key_changed"
    (tmp_path / "known").write_text(f"elsewhere.example.com {other}")
    assert send(line(known_hosts=str(tmp_path / "known"))).code == "host_key_unknown"
    asked += [conn.get_extra_info("username") for conn in host.connections if conn.get_extra_info("username")]
    assert asked == []


def test_a_file_of_known_hosts_pins_too(host, line, tmp_path):
    (tmp_path / "known").write_text(f"[127.0.0.1]:{host.port} {host.public_key}\n")
    assert send(line(known_hosts=str(tmp_path / "known"))).outcome is Outcome.ACCEPTED


def test_settings_without_a_pinned_host_or_a_way_to_log_in_are_refused():
    told = {"host": "h", "username": "u", "folder": "/in"}
    with pytest.raises(ValidationError, match="must be pinned"):
        sftp.Settings(**told, password_env="P")
    with pytest.raises(ValidationError, match="nothing to log in with"):
        sftp.Settings(**told, known_hosts="k")


@pytest.mark.parametrize("host_key", ["", "ssh-ed25519", "ssh-ed25519 !!!!", "ssh-ed25519 AAAA", "rot13 AAAA"])
def test_what_is_no_public_key_is_said_before_anything_is_opened(line, host_key):
    with pytest.raises(DestinationError, match="no public key"):
        line(host_keys=[host_key])


def test_what_is_no_private_key_is_said_without_it(line):
    with pytest.raises(DestinationError, match="cannot be read") as caught:
        line({"key_env": "canary"})
    assert "canary" not in str(caught.value)


def test_a_folder_that_is_not_there_blocks_and_is_not_made(host, line):
    said = send(line(folder="/out"))
    assert (said.outcome, said.code) == (Outcome.BLOCKED, "no_folder")
    assert files(host) == []


def test_a_connection_that_was_closed_meanwhile_is_opened_anew(host, line):
    to = line()
    send(to)
    host.hang_up()

    later = Batch("p/s/1", "p", "s", "people", 1, ROWS, AT)
    assert send(to, later).outcome is Outcome.ACCEPTED
    assert len(files(host)) == 2


def test_a_server_that_is_not_there_has_been_handed_nothing(host, line):
    host.close()
    try:
        assert send(line()) == Failure(False, "connect:refused")
    finally:
        host.__init__(host.root)


@pytest.mark.parametrize("says", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"", b"SSH-2.0-x\r\n" + b"garbage" * 9, None])
def test_what_is_no_ssh_server_has_been_handed_nothing_and_nobody_talks_of_it(host, says, capfd, monkeypatch):
    # As in a process of its own, where what no handler takes goes to stderr.
    monkeypatch.setattr(logging.root, "handlers", [])
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]

        def serve():
            line, _ = other.accept()
            if says is None:
                asked.wait(20)
            else:
                line.sendall(says)
            line.close()

        asked = threading.Event()
        thread = threading.Thread(target=serve)
        thread.start()
        told = {"host": "127.0.0.1", "port": port, "username": "tailrace", "folder": "/in", "password_env": "P"}
        settings = sftp.Settings(**told, host_keys=[host.public_key], timeout_seconds=0.5)
        session = sftp.connect(settings, Secrets({"password_env": PASSWORD}), Path("unused"))
        reply = session.perform(sftp.build_probe(settings, Secrets({})))
        asked.set()
        thread.join()

    assert isinstance(reply, Failure)
    assert not reply.handed_over
    assert capfd.readouterr().err == ""


class Failing(asyncssh.SFTPServer):
    """A server that refuses, cuts short or hangs up, by the name of what it is asked."""

    what = ""
    said = 0

    def write(self, file_obj, offset, data):
        if self.what == "full":
            raise asyncssh.SFTPFailure("No space left for kim@people.test")
        if self.what == "short":
            return len(data)
        return super().write(file_obj, offset, data)

    def posix_rename(self, oldpath, newpath):
        if self.what == "denied":
            raise asyncssh.SFTPPermissionDenied("no")
        if self.what == "old":
            raise asyncssh.SFTPOpUnsupported("Unsupported")
        if self.what == "dies":
            super().posix_rename(oldpath, newpath)
            self.channel.get_connection().abort()
            raise asyncssh.SFTPConnectionLost("gone")
        return super().posix_rename(oldpath, newpath)


@pytest.mark.parametrize(
    ("what", "outcome", "code"),
    [
        ("full", Outcome.RETRY_LATER, "cut_short"),
        ("short", Outcome.RETRY_LATER, "cut_short"),
        ("denied", Outcome.BLOCKED, "not_allowed"),
    ],
)
def test_what_did_not_come_there_whole_is_not_taken_for_a_file(host, line, what, outcome, code):
    host.files = type("Files", (Failing,), {"what": what})
    to = line()

    said = send(to)

    assert (said.outcome, said.code, said.is_systemic) == (outcome, code, True)
    assert [name for name in files(host) if not name.endswith(".part")] == []
    assert "kim" not in repr(said)


def test_a_server_without_posix_rename_gets_the_protocols_own(host, line):
    host.files = type("Files", (Failing,), {"what": "old"})
    to = line()

    assert send(to).code == "stored"
    (host.root / "in" / NAME).write_bytes(b"not whole")
    assert send(to).code == "stored"
    assert files(host) == [NAME]


def test_a_connection_that_is_lost_while_renaming_is_unknown_and_the_repeat_finds_the_file(host, line):
    host.files = type("Files", (Failing,), {"what": "dies"})

    said = send(line())

    assert isinstance(said, Failure)
    assert said.handed_over
    host.files = asyncssh.SFTPServer
    assert send(line()).code == "already_there"
    assert files(host) == [NAME]


def test_a_probe_says_whether_the_folder_is_there(line):
    for folder, outcome in (("/in", Outcome.ACCEPTED), ("/out", Outcome.BLOCKED)):
        settings, session = line(folder=folder)
        reply = session.perform(sftp.build_probe(settings, Secrets({})))
        assert sftp.read_probe(settings, reply).outcome is outcome


def test_a_missing_extra_is_named(line, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "paramiko", None)
    with pytest.raises(DestinationError, match=r"tailrace\[sftp\]"):
        line()
