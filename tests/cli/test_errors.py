"""Every error says what is wrong, where, what was expected and what to do; the exit code says whose it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tailrace.landing.loads import loads
from tests.installation import Installation, call, invoke

Edit = Callable[[str, str, str], Path]

MISTAKES = {
    "a mistyped segment": ("segment preview seg_power_user", 2, "Did you mean `seg_power_users`?"),
    "a mistyped segment in a diff": ("segment diff seg_power_user", 2, "Did you mean `seg_power_users`?"),
    "a mistyped campaign": ("campaign show onbording", 2, "Did you mean `onboarding`?"),
    "a mistyped step": ("campaign preview onboarding --step welcom", 2, "Did you mean `welcome`?"),
    "nobody's name": ("campaign preview onboarding --as nobody", 1, "expected one of"),
    "an unknown plan": ("apply 0000", 1, "there is no such plan"),
    "an unknown plan to show": ("plan 0000", 1, "there is no such plan"),
    "an unknown source": ("land pyproject.toml --source ap", 2, "Did you mean `app`?"),
    "a missing file": ("land nowhere.jsonl --source app", 1, "Nothing was landed"),
    "an unknown person": ("explain nobody", 1, "nobody has that user id"),
    "the future": ("run --as-of 2099-01-01", 1, "has not come yet"),
    "the past": ("run --as-of 2001-01-01", 1, "time only goes forward"),
    "no time at all": ("plan --as-of tomorrow", 1, "expected ISO 8601"),
    "before the calendar": ("plan --as-of 0001-01-01T00:00:00+14:00", 1, "expected ISO 8601"),
    "after the calendar": (
        "backfill nowhere.jsonl --source app --reason r --to 9999-12-31T23:59:59-10:00",
        1,
        "expected ISO 8601",
    ),
    "a plan and an instant": ("plan HEAD --as-of 2025-01-01", 2, "one or the other"),
    "a missing project": ("doctor --project-dir tests", 1, "there is no dbt_project.yml"),
    "a guard that is none": ("guard release left segment:x --reason r", 1, "has not tripped"),
    "an intent that is none": ("unknown settle 00 --outcome accepted --reason r", 1, "`tailrace unknown list`"),
    "an outcome that is none": ("unknown settle 00 --outcome sent --reason r", 2, "retry_later"),
    "a line that is none": ("quarantine show 00", 1, "`quarantine list`"),
    "a reason that is none": ("quarantine list --reason not_jsn", 1, "Did you mean `not_json`?"),
    "a source of no contract": ("quarantine list --source ap", 2, "Did you mean `app`?"),
    "no reason": ("live acquire", 2, "--reason"),
    "an empty reason": ("live acquire --reason=", 1, "reason"),
    "no command": ("sgment list", 2, "No such command"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told_on_stderr(name: str, day: Installation) -> None:
    line, code, said = MISTAKES[name]

    done = call(day, *line.split())

    assert said in done.err
    assert (done.code, done.out) == (code, "")
    assert "Traceback" not in done.err


def test_before_the_first_run_every_command_says_what_is_missing(tmp_path: Path) -> None:
    empty = Installation(tmp_path / "data")

    for line in ("explain u1", "report", "plan HEAD", "backfill pyproject.toml --source app --reason r"):
        done = call(empty, *line.split())
        assert (done.code, done.out) == (1, ""), line
        assert "`tailrace run`" in done.err
    for line in ("guard list", "unknown list", "live show", "campaign list", "quarantine list", "doctor"):
        assert call(empty, *line.split()).code == 0, line


def test_a_broken_campaign_is_named_with_its_line_wherever_campaigns_are_read(day: Installation, project: Edit) -> None:
    broken = Installation(day.data_dir, project("campaigns/win_back/campaign.yml", "status: live", "status: alive"))
    text = (broken.project_dir / "campaigns/win_back/campaign.yml").read_text(encoding="utf-8").splitlines()
    line = next(number for number, found in enumerate(text, 1) if found.startswith("status"))

    for command in ("check", "campaign list", "campaign show onboarding"):
        done = call(broken, *command.split())
        assert done.code == 2, command
        told = done.out + done.err
        assert f"campaigns/win_back/campaign.yml:{line}: " in told
        assert "alive" in told


def test_check_lists_every_mistake_of_every_file(day: Installation, project: Edit) -> None:
    project("campaigns/win_back/campaign.yml", "status: live", "status: alive")
    project("contracts/sources/app.yml", "format: segment", "format: segmnt")
    project("destinations.yml", "email: outbox", "email: outbux")
    models = (
        "models/segments/seg_power_users.sql",
        "models/segments/saas/seg_low_usage_14d.sql",
        "models/object_segments/saas/seg_accounts_ready_for_sales.sql",
    )
    for model in models:
        copy = project(model, "'owner'", "'ownr'")

    done = call(Installation(day.data_dir, copy), "check", "--json")

    assert done.code == 2
    paths = {problem["path"] for problem in done.json["problems"]}
    wanted = ("win_back/campaign.yml", "sources/app.yml", "destinations.yml", *models)
    assert [name for name in wanted if not any(path.endswith(name) for path in paths)] == []


def test_an_error_nobody_foresaw_keeps_its_text_back(day: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise KeyError("ada@people.test")

    monkeypatch.setattr("tailrace.pipeline.operations.lease", fail)

    done = call(day, "live", "show")

    assert done.code == 1
    assert "KeyError" in done.err
    assert "ada@people.test" not in done.err


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("TAILRACE_THREADS", "0", "1 to 1024"),
        ("TAILRACE_THREADS", "-2", "1 to 1024"),
        ("TAILRACE_THREADS", "\N{SUPERSCRIPT TWO}", "1 to 1024"),
        ("TAILRACE_THREADS", "100000", "1 to 1024"),
        ("TAILRACE_MEMORY_LIMIT", "4", "such as 4GB"),
        ("TAILRACE_MEMORY_LIMIT", "0GB", "such as 4GB"),
        ("TAILRACE_MEMORY_LIMIT", "0.00 MB", "such as 4GB"),
        ("TAILRACE_MEMORY_LIMIT", "-1", "such as 4GB"),
        ("TAILRACE_MEMORY_LIMIT", "50%", "such as 4GB"),
        ("TAILRACE_MEMORY_LIMIT", "much", "such as 4GB"),
        ("TAILRACE_JOURNAL_COPY", "/dev/null", "/dev/null: this is no folder"),
        ("TAILRACE_DATA", "/dev/null", "/dev/null: this is no folder"),
        ("TAILRACE_DATA", "/dev/null/below/it", "/dev/null: this is no folder"),
    ],
)
def test_a_setting_that_is_none_is_named_by_its_variable(tmp_path: Path, name: str, value: str, words: str) -> None:
    empty = Installation(tmp_path / "data")
    places = {"TAILRACE_DATA": str(empty.data_dir), "TAILRACE_PROJECT": str(empty.project_dir)}

    done = invoke(["doctor"], **places | {name: value})

    assert (done.code, done.out) == (1, "")
    assert f"{name} is " in done.err
    assert words in done.err
    assert not empty.data_dir.exists()


@pytest.mark.parametrize(("name", "value"), [("MEMORY_LIMIT", "1.5 gib"), ("MEMORY_LIMIT", "2G"), ("THREADS", "")])
def test_a_setting_is_read_as_duckdb_would_and_empty_is_not_set(day: Installation, name: str, value: str) -> None:
    places = {"TAILRACE_DATA": str(day.data_dir), "TAILRACE_PROJECT": str(day.project_dir)}

    done = invoke(["events"], **places | {f"TAILRACE_{name}": value})

    assert done.code == 0, done.err


def test_without_enough_memory_a_landing_says_so_and_lands_nothing(tmp_path: Path) -> None:
    empty = Installation(tmp_path / "data")
    path = tmp_path / "in.jsonl"
    text = "what a person did, in many words. " * 500
    path.write_text("".join(f'{{"messageId": "m{n}", "properties": {{"text": "{text}"}}}}\n' for n in range(1000)))
    places = {"TAILRACE_DATA": str(empty.data_dir), "TAILRACE_PROJECT": str(empty.project_dir)}

    done = invoke(["land", str(path), "--source", "app"], TAILRACE_MEMORY_LIMIT="5MB", **places)

    assert (done.code, done.out) == (1, "")
    assert "TAILRACE_MEMORY_LIMIT allows" in done.err
    assert loads(empty.settings) == []
