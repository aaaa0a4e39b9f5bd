from __future__ import annotations

import pytest

from tailrace.destinations.connections import CHANNELS, load_connections
from tailrace.errors import DefinitionError, TailraceError
from tailrace.settings import Settings


@pytest.fixture
def load(tmp_path):
    def load(text):
        (tmp_path / "destinations.yml").write_text(text)
        return load_connections(Settings(tmp_path / "data", tmp_path))

    return load


def problems(load, text):
    with pytest.raises(DefinitionError) as caught:
        load(text)
    return [str(problem) for problem in caught.value.problems]


def test_without_a_file_everything_goes_to_the_outbox(tmp_path):
    connections = load_connections(Settings(tmp_path, tmp_path))
    assert connections.of_channel("email").type == "outbox"
    assert {connections.of_channel(channel).type for channel in CHANNELS} == {"outbox"}


def test_the_projects_own_file_is_right_and_reaches_nobody():
    connections = load_connections(Settings.load())
    assert connections.of_channel("email").type == "outbox"
    assert not connections.by_name["crm_webhook"].capabilities.needs_live


def test_every_mistake_is_told_with_its_line_and_the_nearest_name(load):
    found = problems(
        load,
        """conections: {}
connections:
  relay:
    type: smpt
  mail:
    type: smtp
    hots: smtp.example.com
    port: many
  hook:
    type: webhook
    url: http://example.com
channels:
  email: hoook
  emial: hook
""",
    )
    assert any(one.startswith("destinations.yml:1:") and "Did you mean `connections`?" in one for one in found)
    assert any(one.startswith("destinations.yml:4:") and "Did you mean `smtp`?" in one for one in found)
    assert any(one.startswith("destinations.yml:7:") and "Did you mean `host`?" in one for one in found)
    assert any(one.startswith("destinations.yml:8:") and "`port`" in one for one in found)
    assert any(one.startswith("destinations.yml:5:") and "`host` is missing" in one for one in found)
    assert any(one.startswith("destinations.yml:9:") and "https://" in one for one in found)
    assert any(one.startswith("destinations.yml:13:") and "Did you mean `hook`?" in one for one in found)
    assert any(one.startswith("destinations.yml:14:") and "Did you mean `email`?" in one for one in found)
    assert len(found) == 8


@pytest.mark.parametrize("kind", ["{}", "[smtp]", "7"])
def test_a_type_that_is_no_name_is_an_error_with_its_line(load, kind):
    (one,) = problems(load, f"connections:\n  relay:\n    type: {kind}\n")
    assert one.startswith("destinations.yml:3: connection `relay`: there is no destination")


def test_a_key_given_twice_is_an_error_with_its_line(load):
    (one,) = problems(load, "channels: {}\nchannels: {}\n")
    assert one.startswith("destinations.yml:2:")


def test_a_password_in_the_file_is_refused(load):
    (one,) = problems(load, "connections:\n  relay: {type: smtp, host: a.test, password: hunter2}\n")
    assert "`password` is not a setting" in one
    assert "Did you mean `password_env`?" in one
    assert "hunter2" not in one


def test_an_unset_secret_is_named_when_the_connection_is_opened(load, tmp_path, monkeypatch):
    monkeypatch.delenv("NO_SUCH_PASSWORD", raising=False)
    connections = load(
        "connections:\n  relay: {type: smtp, host: a.test, username: u, password_env: NO_SUCH_PASSWORD}\n"
    )
    with pytest.raises(TailraceError, match="NO_SUCH_PASSWORD"):
        connections.by_name["relay"].open(Settings(tmp_path, tmp_path))


def test_a_channel_that_the_destination_cannot_carry_is_an_error(load):
    (one,) = problems(load, "connections:\n  relay: {type: smtp, host: a.test}\nchannels:\n  sms: relay\n")
    assert one.startswith("destinations.yml:4:")


def test_a_sender_that_is_none_is_an_error(load):
    text = 'connections:\n  relay:\n    type: smtp\n    host: a.test\n    from: "A <a@x.test>, <b@x.test>"\n'
    (one,) = problems(load, text)
    assert one.startswith("destinations.yml:5:")
    assert "b@x.test" not in one


def test_the_fingerprint_changes_with_the_size_of_a_batch_and_not_with_a_host(load):
    def one(host, rows):
        url = f'"https://{host}/"'
        return load(f"connections:\n  hook: {{type: webhook, url: {url}, batch_rows: {rows}}}\n")

    assert one("a.test", 10).fingerprint == one("b.test", 10).fingerprint != one("a.test", 20).fingerprint
    assert one("a.test", 10).batch_rows("hook") == 10
    assert one("a.test", 10).names == {"hook", "outbox"}


@pytest.mark.parametrize("kind", ["sendgrid", "customerio_messages", "smtp"])
def test_how_many_rows_a_batch_has_is_no_setting_of_a_destination_that_carries_messages_only(load, kind):
    with pytest.raises(DefinitionError) as caught:
        load(f"connections:\n  mail:\n    type: {kind}\n    batch_rows: 500\n")
    (problem,) = caught.value.problems
    assert problem.line == 4
    assert f"`batch_rows` is not a setting of {kind}, which carries messages and no syncs" in problem.message


@pytest.mark.parametrize(
    ("target", "mode", "keys", "code"),
    [
        ("nowhere", "upsert", ["user_id"], "target:not_known"),
        ("people", "mirror", ["user_id"], "amplitude:people_are_not_removed"),
        ("people", "upsert", ["user_id"], None),
        # It is a row's fault, and nobody's here.
        ("people", "upsert", ["shoe_size"], None),
    ],
)
def test_what_is_refused_for_a_syncs_target_or_mode_is_told_from_what_is_a_rows_fault(load, target, mode, keys, code):
    found = load("connections:\n  events:\n    type: amplitude\n    api_key_env: KEY\n")
    assert found.by_name["events"].refuses(target, mode, keys) == code
