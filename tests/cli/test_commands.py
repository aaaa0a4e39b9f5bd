"""What holds for every command: help, one JSON value, an exit code, results on stdout and notes on stderr."""

from __future__ import annotations

import json

import click
import pytest
import typer

from tailrace.cli.app import app
from tailrace.warehouse import warm
from tests.cli.conftest import people
from tests.installation import Installation, call, invoke


def leaves(command: click.Command, name: str = "") -> dict[str, click.Command]:
    """Return every command that does something, by its words."""
    if not hasattr(command, "commands"):
        return {name: command}
    found: dict[str, click.Command] = {}
    for part, inner in command.commands.items():
        found |= leaves(inner, f"{name} {part}".strip())
    return found


COMMANDS = leaves(typer.main.get_command(app))

READING = {
    "check": (),
    "explain": ("{person}",),
    "segment list": (),
    "segment preview": ("seg_power_users",),
    "segment diff": ("seg_power_users",),
    "sync list": (),
    "sync plan": ("--all",),
    "sync show": ("sync_webhook__power_users",),
    "campaign list": (),
    "campaign show": ("onboarding",),
    "campaign preview": ("onboarding",),
    "campaign report": ("onboarding",),
    "backfills list": (),
    "drafts list": (),
    "events": (),
    "orphans": (),
    "erasures list": (),
    "contracts infer": ("signed_up",),
    "quarantine list": (),
    "quarantine show": ("{line}",),
    "guard list": (),
    "unknown list": (),
    "live show": (),
    "report": (),
    "doctor": (),
    "destination list": (),
    "destination check": (),
}
CHANGING = {
    *("land", "plan", "apply", "run", "deliver", "backfill", "demo", "gc", "quarantine retry", "guard release"),
    "sync resync",
    "exposures",
    *("unknown settle", "live acquire", "live release", "journal move"),
    *("backfills show", "backfills corrections", "backfills ignore", "backfills send"),
    *("erase", "erasures show", "erasures finish"),
    *("destination test", "drafts show", "drafts approve", "drafts reject", "broadcast", "campaign backtest"),
}
"""Tried in other files, on copies."""


def test_every_command_is_tried() -> None:
    assert set(COMMANDS) == set(READING) | CHANGING


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_says_what_it_does(name: str, day: Installation) -> None:
    done = call(day, *name.split(), "--help")

    assert (done.code, done.err) == (0, "")
    command = COMMANDS[name]
    assert command.help
    assert command.help.splitlines()[0].endswith((".", "ids only)."))
    for parameter in command.params:
        assert getattr(parameter, "help", "there"), f"{name} {parameter.name} has no help"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_takes_the_shared_options(name: str) -> None:
    options = {option for parameter in COMMANDS[name].params for option in parameter.opts}
    assert {"--json", "--data-dir", "--project-dir"} <= options


@pytest.mark.parametrize("name", READING)
def test_reading_gives_one_json_value_and_changes_no_plan(name: str, day: Installation) -> None:
    line = call(day, "quarantine", "list", "--json").json[0]["id"]
    words = {"person": str(people(day, "send")[0]), "line": line}
    head = (day.settings.plans / "HEAD").read_text()

    done = call(day, *name.split(), *(word.format(**words) for word in READING[name]), "--json")

    assert done.code == 0, done.err
    json.loads(done.out)
    assert (day.settings.plans / "HEAD").read_text() == head


def test_a_group_without_a_command_shows_its_help(day: Installation) -> None:
    done = call(day, "segment")

    assert done.code == 2
    assert "preview" in done.out + done.err


def test_the_version_is_printed(day: Installation) -> None:
    assert call(day, "--version").out == "0.1.0\n"


def test_the_command_line_starts_as_a_process_of_its_own(day: Installation) -> None:
    good, bad = day.cli("live", "show"), day.cli("campaign", "show", "onbording")

    assert (good.code, good.out, good.err) == (0, "not live: it was never acquired\n", "")
    assert (bad.code, bad.out) == (2, "")
    assert "Did you mean `onboarding`?" in bad.err


def test_nothing_is_wrapped_or_cut_when_it_goes_to_a_pipe(day: Installation) -> None:
    done = day.cli("run", "--as-of", "2099-01-01", COLUMNS="40")

    assert done.err.count("\n") == 1
    assert done.out == ""


@pytest.mark.parametrize(("command", "builds"), [("run", True), ("demo", True), ("explain", False)])
def test_dbt_is_imported_beside_our_own_modules_where_a_command_builds(
    command: str, builds: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[object] = []
    monkeypatch.setattr(warm, "start", started.append)
    assert invoke([command, "--help"]).code == 0
    assert bool(started) is builds
