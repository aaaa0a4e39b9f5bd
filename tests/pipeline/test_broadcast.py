"""One key is one broadcast: nobody is asked for twice, whatever is killed, repeated or sent along."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tailrace import ids
from tailrace.errors import DataError, DefinitionError, JournalError
from tailrace.landing.loads import event_files, loads
from tailrace.pipeline.broadcast import Broadcast, broadcast
from tailrace.settings import Settings
from tests.installation import PROJECT, Installation

AT = datetime(2026, 3, 1, 6, tzinfo=UTC)
CAMPAIGN = """purpose: Say what is new
owner: growth@example.com
status: live
class: transactional
trigger: {broadcast: command}
sending: automatic
steps:
  - send: whats_new
"""


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    """An installation with a campaign `news` that is started by command."""
    project = tmp_path / "project"
    shutil.copytree(PROJECT, project, ignore=shutil.ignore_patterns("target", "logs"))
    folder = project / "campaigns" / "news"
    folder.mkdir()
    (folder / "campaign.yml").write_text(CAMPAIGN)
    (folder / "whats_new.email.md").write_text("---\nsubject: What is new\n---\nSee what is new.\n")
    return Installation(tmp_path / "data", project)


@pytest.fixture
def file(tmp_path: Path) -> Callable[[str, str], Path]:
    def write(text: str, name: str = "people.csv") -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


def ask(installation: Installation, path: Path, *, slug: str = "news", key: str = "march", **options: Any) -> Broadcast:
    return broadcast(installation.settings, slug, key, path, who="kim", at=options.get("at", AT))


def events(settings: Settings) -> list[dict[str, Any]]:
    files = [str(path) for path in event_files(settings, loads(settings))]
    if not files:
        return []
    found = duckdb.sql(f"from read_parquet({files}) order by user_id, event_at")
    return found.to_arrow_table().to_pylist()


TWO = "user_id,offer,n\nada,spring,1\nbob,,2\n"


def test_each_row_is_one_event_of_the_source_tailrace_with_its_fields(
    installation: Installation, file: Callable[..., Path]
) -> None:
    done = ask(installation, file(TWO))

    assert (done.rows, done.landed, done.is_new, done.unknown) == (2, 2, True, None)
    rows = events(installation.settings)
    assert [(row["source"], row["type"], row["event"], row["user_id"]) for row in rows] == [
        ("tailrace", "track", "broadcast_requested", "ada"),
        ("tailrace", "track", "broadcast_requested", "bob"),
    ]
    assert rows[0]["event_id"] == ids.digest("news", "march", "ada")
    assert rows[0]["event_at"] == rows[0]["landed_at"] == AT.replace(tzinfo=None)
    assert [json.loads(row["properties"]) for row in rows] == [
        {"campaign": "news", "key": "march", "offer": "spring", "n": "1"},
        {"campaign": "news", "key": "march", "offer": None, "n": "2"},
    ]
    assert list(installation.settings.scratch.glob("broadcast-*")) == []


def test_values_of_jsonl_keep_their_types(installation: Installation, file: Callable[..., Path]) -> None:
    text = '{"user_id": "ada", "n": 1.5, "tags": ["a"], "none": null}\n\n{"user_id": 42}\n'

    assert ask(installation, file(text, "people.jsonl")).landed == 2

    rows = events(installation.settings)
    assert [row["user_id"] for row in rows] == ["42", "ada"]
    told = {"campaign": "news", "key": "march", "n": 1.5, "tags": ["a"], "none": None}
    assert json.loads(rows[1]["properties"]) == told


def test_the_same_key_with_the_same_data_in_any_order_changes_nothing(
    installation: Installation, file: Callable[..., Path]
) -> None:
    ask(installation, file(TWO))
    before = events(installation.settings)

    again = ask(installation, file("user_id,offer,n\nbob,,2\nada,spring,1\n"), at=AT + timedelta(days=9))

    assert (again.is_new, again.landed, again.who, again.at, again.load_id) == (False, 0, "kim", AT, None)
    assert events(installation.settings) == before


@pytest.mark.parametrize("other", [TWO + "eve,x,3\n", "user_id,offer,n\nada,spring,1\n", TWO.replace("spring", "fall")])
def test_the_same_key_with_other_data_is_refused_and_another_key_is_another_broadcast(
    installation: Installation, file: Callable[..., Path], other: str
) -> None:
    ask(installation, file(TWO))

    with pytest.raises(JournalError, match="key `march` with other data"):
        ask(installation, file(other))

    assert len(events(installation.settings)) == 2
    assert ask(installation, file(other), key="april").landed == other.count("\n") - 1


@pytest.mark.parametrize(
    ("text", "name", "match"),
    [
        ("user_id,n\n", "a.csv", "names nobody"),
        ("", "a.csv", "expected a header with `user_id`"),
        ("id,n\nada,1\n", "a.csv", "expected a header with `user_id`"),
        ("user_id,n,n\nada,1,2\n", "a.csv", "each with a name of its own"),
        ("user_id,n\nada,1\nbob\n", "a.csv", r"a\.csv:3: the file cannot be read"),
        ('user_id,n\nada,"1\n', "a.csv", "the file cannot be read"),
        ("user_id,n\nada,1\n,2\n", "a.csv", r"row 2 .* has no `user_id`"),
        ("user_id,n\nada,1\nbob,2\nada,3\n", "a.csv", r"row 3 .* for the second time"),
        ("user_id,key\nada,1\n", "a.csv", r"row 1 .* has a field `campaign` or `key`"),
        ('{"user_id": "ada"}\n[1]\n', "a.jsonl", r"row 2 .* is not a JSON object"),
        ('{"user_id": "ada"}\n{"user_id": \n', "a.jsonl", "the file cannot be read"),
        ('{"user_id": true}\n', "a.jsonl", "has no `user_id`"),
        ('{"user_id": 1.5}\n', "a.jsonl", "has no `user_id`"),
        ("user_id\nada\n", "a.txt", "ends in .csv or .jsonl"),
    ],
)
def test_data_that_cannot_be_used_is_refused_whole_and_names_nobody(
    installation: Installation, file: Callable[..., Path], text: str, name: str, match: str
) -> None:
    with pytest.raises(DataError, match=match) as caught:
        ask(installation, file(text, name))

    assert "ada" not in str(caught.value)
    assert "Nothing was changed" in str(caught.value)
    assert events(installation.settings) == []
    assert not installation.settings.journal.exists()


def test_a_key_that_cannot_be_used_and_a_file_that_is_not_there_are_refused(
    installation: Installation, file: Callable[..., Path], tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="the key cannot be used"):
        ask(installation, file(TWO), key="a b")
    with pytest.raises(DataError, match="no such file"):
        ask(installation, tmp_path / "none.csv")


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ("status: live", "status: draft", "`status` is `draft`; expected `live`"),
        ("status: live", "status: paused", "`status` is `paused`"),
        ("{broadcast: command}", "{segment: seg_power_users}", "it is not started by command"),
        ("{broadcast: command}", '{broadcast: {segment: seg_power_users, at: "2026-04-01T09:00:00Z"}}', "by command"),
    ],
)
def test_only_a_live_campaign_that_is_started_by_command_is_broadcast(
    installation: Installation, file: Callable[..., Path], old: str, new: str, match: str
) -> None:
    path = installation.project_dir / "campaigns" / "news" / "campaign.yml"
    path.write_text(CAMPAIGN.replace(old, new))

    with pytest.raises(DefinitionError, match=match):
        ask(installation, file(TWO))

    assert events(installation.settings) == []


def test_whom_the_warehouse_does_not_know_is_counted(installation: Installation, file: Callable[..., Path]) -> None:
    installation.data_dir.mkdir()
    with duckdb.connect(str(installation.settings.published)) as published:
        published.execute("create schema core")
        published.execute("create table core.dim_people as select 'ada' as user_id")

    assert ask(installation, file(TWO)).unknown == 1


def test_a_user_id_that_was_given_up_is_known(installation: Installation, file: Callable[..., Path]) -> None:
    installation.data_dir.mkdir()
    with duckdb.connect(str(installation.settings.published)) as published:
        published.execute("create schema core")
        published.execute("create table core.dim_people as select 'ada' as user_id")
        published.execute("create table core.fct_person_merges as select 'ada-once' as user_id")

    assert ask(installation, file("user_id\nada-once\nnobody\n")).unknown == 1


@pytest.mark.torture
@pytest.mark.parametrize("point", ["broadcast.begun", "land.staged", "land.recorded", "land.moved"])
def test_killed_in_the_middle_and_run_again_everybody_is_asked_for_once(
    installation: Installation, file: Callable[..., Path], point: str
) -> None:
    path = file("user_id,n\n" + "".join(f"person{n},{n}\n" for n in range(500)))
    command = ("broadcast", "news", "--key", "march", "--data", str(path), "--as-of", "2026-03-01T06:00:00Z")

    killed = installation.forked(*command, TAILRACE_CRASH_AT=point)
    assert killed.code == -9
    with pytest.raises(JournalError, match="with other data"):
        ask(installation, file(TWO, "other.csv"))
    done = installation.forked(*command, "--json")

    assert done.code == 0, done.err
    rows = events(installation.settings)
    assert len(rows) == len({row["user_id"] for row in rows}) == 500
    assert done.json["landed"] == (0 if point == "land.moved" else 500)
    assert installation.forked(*command).out.startswith("this was done already, by ")
