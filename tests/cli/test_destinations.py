from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller

from tailrace import clock
from tailrace.campaigns.policy import load_policy
from tailrace.destinations.base import Secrets
from tailrace.destinations.connections import load_connections
from tailrace.errors import BuildError
from tailrace.journal.journal import Journal
from tailrace.journal.trials import Trials
from tailrace.pipeline.destinations import _message
from tailrace.settings import Settings
from tailrace.warehouse import preview as compiling
from tests.installation import ROOT, Done, Installation, call, invoke

ADDRESS = "canary.kim@people.test"
RELAY = """connections:
  relay: {{type: smtp, host: 127.0.0.1, port: {port}, security: none}}
channels: {{email: relay}}
"""
POLICY = """from: {email: hello@acme.example.com, name: Acme}
postal_address: 1 Street
unsubscribe_url: "https://acme.example.com/u?p={person_id}"
"""


class House:
    """A data directory, and a project with no more than destinations.yml and policy.yml."""

    def __init__(self, root: Path) -> None:
        self.settings = Settings(root / "data", root / "project")
        self.settings.project_dir.mkdir()
        (self.settings.project_dir / "dbt_project.yml").write_text("name: nothing\n")
        (self.settings.project_dir / "policy.yml").write_text(POLICY)

    def says(self, text: str) -> None:
        (self.settings.project_dir / "destinations.yml").write_text(text)

    def run(self, *words: str, **environment: str) -> Done:
        where = {"TAILRACE_DATA": str(self.settings.data_dir), "TAILRACE_PROJECT": str(self.settings.project_dir)}
        return invoke(["destination", *words], **where, **environment)

    def go_live(self) -> None:
        with Journal.open(self.settings) as journal:
            journal.live_acquire("ops", "tests", clock.now())

    def trials(self) -> dict[str, tuple[str, str | None, str | None]]:
        with Journal.open(self.settings) as journal:
            assert journal.counts().messages == {}, "a test is no message of a campaign"
            return {name: (each.who, each.outcome, each.code) for name, each in Trials(journal).last().items()}


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    def broken(settings: Settings) -> None:
        raise BuildError("the models are broken")

    monkeypatch.setattr(compiling, "refresh", broken)
    return House(tmp_path)


class Inbox:
    def __init__(self) -> None:
        self.taken: list[tuple[str, bytes]] = []
        self.answer = "250 OK"

    async def handle_DATA(self, server: object, session: object, envelope: object) -> str:  # noqa: N802
        self.taken.append((envelope.rcpt_tos[0], envelope.original_content))  # type: ignore[attr-defined]
        return self.answer


@pytest.fixture
def relay(house: House) -> Iterator[Inbox]:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    inbox = Inbox()
    controller = Controller(inbox, hostname="127.0.0.1", port=port)
    controller.start()
    house.says(RELAY.format(port=port))
    yield inbox
    controller.stop()


def test_a_list_says_where_things_go_and_which_secrets_are_set_and_never_what_they_hold(house: House) -> None:
    house.says(
        "connections:\n  hook:\n    type: webhook\n    secret_env: HOOK_SECRET\n"
        "    url: 'https://user:canary-1@crm.example.com/in?key=canary-2'\n"
        "  table: {type: postgres_table, url_env: NO_SUCH_URL}\n"
        "channels: {email: outbox, webhook: hook}\n"
    )
    done = house.run("list", "--json", HOOK_SECRET="canary-3")

    by_name = {row["name"]: row for row in done.json}
    assert done.code == 0
    assert by_name["hook"]["place"] == "crm.example.com"
    assert by_name["hook"]["secrets"] == {"HOOK_SECRET": True}
    assert by_name["hook"]["channels"] == ["webhook"]
    assert by_name["table"]["secrets"] == {"NO_SUCH_URL": False}
    assert by_name["outbox"]["channels"] == ["email"]
    assert "canary" not in done.out + done.err
    assert "canary" not in house.run("list", HOOK_SECRET="canary-3").out


def test_syncs_that_cannot_be_read_are_not_shown_as_none(house: House) -> None:
    done = house.run("list", "--json")

    assert done.json[0]["syncs"] is None
    assert "the models are broken" in done.err


def test_a_list_names_the_syncs_that_use_a_connection(day: Installation) -> None:
    done = call(day, "destination", "list", "--json")

    (used,) = [row["syncs"] for row in done.json if row["name"] == "crm_webhook"]
    assert used
    assert all(name.startswith("sync_") for name in used)


def test_a_check_names_every_secret_that_is_not_set_with_its_line(house: House) -> None:
    house.says(
        "connections:\n"
        "  s:\n    type: sftp\n    host: h\n    username: u\n    folder: /in\n    known_hosts: /k\n"
        "    key_env: NO_KEY\n    passphrase_env: NO_PHRASE\n"
    )
    done = house.run("check", "--json")

    by_name = {row["name"]: row for row in done.json}
    assert done.code == 1
    assert [line.split("`")[3] for line in by_name["s"]["problems"]] == ["NO_KEY", "NO_PHRASE"]
    assert all(line.startswith("destinations.yml:2: ") for line in by_name["s"]["problems"])
    assert by_name["outbox"]["status"] == "ok"


def test_a_check_asks_the_destination_itself(house: House, tmp_path: Path) -> None:
    house.says(f"connections:\n  out: {{type: files, folder: {tmp_path}/exports}}\n")

    refused = house.run("check", "out")
    (tmp_path / "exports").mkdir()
    let_in = house.run("check", "out", "--json")

    assert (refused.code, let_in.code) == (1, 0)
    assert "no_folder (the folder is not there" in " ".join(refused.out.split())
    assert let_in.json == [
        {"name": "out", "type": "files", "status": "ok", "problems": [], "note": "it lets us in"},
    ]


def test_a_check_names_the_extra_that_is_not_installed(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    house.says("connections:\n  out: {type: files, folder: s3://b}\n")

    done = house.run("check", "out")

    assert done.code == 1
    assert "tailrace[s3]" in done.out


@pytest.mark.parametrize("command", [("check", "realy"), ("test", "realy", "--to", ADDRESS)])
def test_a_connection_that_is_not_there_is_an_error_of_a_file(house: House, command: tuple[str, ...]) -> None:
    house.says("connections:\n  relay: {type: smtp, host: h}\n")

    done = house.run(*command)

    assert done.code == 2
    assert "Did you mean `relay`?" in done.err


def test_a_file_that_is_wrong_is_told_whole(house: House) -> None:
    house.says("connections:\n  a: {type: smtp}\n  b: {type: smpt}\n")

    done = house.run("check")

    assert done.code == 2
    assert "destinations.yml:2:" in done.err
    assert "destinations.yml:3:" in done.err


def test_without_the_lease_nobody_is_reached_and_nothing_is_written_down(house: House, relay: Inbox) -> None:
    done = house.run("test", "relay", "--to", ADDRESS)

    assert done.code == 1
    assert "is not live" in done.err
    assert ADDRESS not in done.err
    assert relay.taken == []
    assert house.trials() == {}


@pytest.mark.parametrize("way", ["lease", "allow-list"])
def test_a_test_arrives_once_and_is_journalled_as_a_persons_act(house: House, relay: Inbox, way: str) -> None:
    environment = {} if way == "lease" else {"TAILRACE_ALLOW_LIST": ADDRESS.upper()}
    if way == "lease":
        house.go_live()
    done = house.run("test", "relay", "--to", ADDRESS, "--json", **environment)

    ((recipient, content),) = relay.taken
    assert (done.code, done.json["outcome"]) == (0, "accepted")
    assert recipient == ADDRESS
    assert f"<{done.json['id']}@".encode() in content
    assert done.json["id"].startswith("test-")
    ((who, outcome, code),) = house.trials().values()
    assert (bool(who), outcome, code) == (True, "accepted", "smtp_250_end")
    assert ADDRESS.encode() not in house.settings.journal.read_bytes()
    assert ADDRESS not in done.out + done.err
    assert house.run("list", "--json").json[-1]["last_test"]["outcome"] == "accepted"


def test_two_tests_are_two_messages_with_ids_of_their_own(house: House, relay: Inbox) -> None:
    house.go_live()
    first, second = (house.run("test", "relay", "--to", ADDRESS, "--json").json["id"] for _ in range(2))

    assert first != second
    assert len(relay.taken) == 2


def test_a_test_that_is_refused_ends_with_1_and_says_what_was_answered(house: House, relay: Inbox) -> None:
    house.go_live()
    relay.answer = f"554 no, said about {ADDRESS}"

    done = house.run("test", "relay", "--to", ADDRESS)

    assert (done.code, done.err) == (1, "")
    assert "rejected smtp_554_end" in done.out
    assert ADDRESS not in done.out


@pytest.mark.torture
def test_a_test_that_died_on_the_way_is_unknown_and_no_delivery_sends_it(house: House, relay: Inbox) -> None:
    house.go_live()
    words = [sys.executable, "-m", "tailrace", "destination", "test", "relay", "--to", ADDRESS]
    environment = os.environ | {
        "TAILRACE_DATA": str(house.settings.data_dir),
        "TAILRACE_PROJECT": str(house.settings.project_dir),
        "TAILRACE_CRASH_AT": "trial.begun",
    }
    assert subprocess.run(words, env=environment, cwd=ROOT, check=False).returncode == -signal.SIGKILL

    assert house.trials()["relay"][1:] == (None, None)
    assert "unknown" in house.run("list").out
    assert relay.taken == []


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("hook",), "name it with --channel"),
        (("hook", "--channel", "slack"), "carries"),
        (("table",), "carries no messages"),
        (("files",), "carries no messages"),
    ],
)
def test_what_cannot_be_tried_is_said(house: House, words: tuple[str, ...], expected: str) -> None:
    house.says(
        "connections:\n  hook: {type: webhook, url: 'https://h.test/'}\n  table: {type: postgres_table, url_env: U}\n"
        "  files: {type: files, folder: /x}\n"
    )
    done = house.run("test", *words, "--to", ADDRESS)

    assert done.code == 1
    assert expected in done.err


@pytest.mark.parametrize(
    ("channel", "connection", "address"),
    [
        ("push", "type: fcm, key_env: SECRET", "device-token"),
        (
            "whatsapp",
            "type: twilio, account_sid: AC1, token_env: SECRET, whatsapp_from: '+14155550100'",
            "+14155550123",
        ),
        ("sms", "type: twilio, account_sid: AC1, token_env: SECRET, from: Acme", "+14155550123"),
        ("slack", "type: slack_bot, token_env: SECRET", "#alerts"),
        ("email", "type: postmark, token_env: SECRET", "kim@people.test"),
    ],
)
def test_what_a_test_says_is_a_message_of_its_channel(
    house: House, channel: str, connection: str, address: str
) -> None:
    house.says(f"connections:\n  it: {{{connection}}}\n")
    policy = load_policy(house.settings.project_dir)
    found = load_connections(house.settings).by_name["it"]
    message = _message(policy, found, "test-1", channel, address, clock.now())
    secrets = Secrets(dict.fromkeys(("key_env", "token_env"), '{"project_id": "p"}'))
    assert found.module.build_request(found.settings, secrets, message).method == "POST"


def test_the_outbox_takes_a_test_of_every_channel_it_carries(house: House) -> None:
    for channel in ("email", "sms", "whatsapp", "push", "webhook", "slack"):
        done = house.run("test", "outbox", "--to", ADDRESS, "--channel", channel, "--json")
        assert done.code == 0, done.err
    assert len(list(house.settings.outbox.rglob("test-*"))) == 6
    json.loads(done.out)
