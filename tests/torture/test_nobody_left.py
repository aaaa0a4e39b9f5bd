"""A model that loses its join, or data that empties a segment: nobody hears it, nobody is removed, mending is quiet."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb
import pytest

from tests.conftest import Company
from tests.installation import Done, Installation, at, call
from tests.torture import ground

pytestmark = [pytest.mark.torture, pytest.mark.slow, pytest.mark.timeout(900)]

NEWCOMERS = 6
CHURNED = "seg_churned_winback_eligible"
POWER = "seg_power_users"
DONE = (0, 3)


def mails(installation: Installation) -> set[str]:
    return {path.stem for path in (installation.settings.outbox / "email").glob("*.eml")}


def removed(installation: Installation) -> list[str]:
    """Return the keys that a destination was told to remove."""
    rows = [
        row
        for path in installation.settings.outbox.glob("sync_*/*.json")
        for row in json.loads(path.read_text())["rows"]
    ]
    return [row["key"]["user_id"] for row in rows if row["op"] == "remove"]


def held(installation: Installation) -> set[str]:
    """Return the keys that the destination has been given and not told to remove."""
    now: dict[str, str] = {}
    for path in sorted(installation.settings.outbox.glob("sync_*/*.json"), key=lambda path: path.stat().st_mtime_ns):
        now |= {row["key"]["user_id"]: row["op"] for row in json.loads(path.read_text())["rows"]}
    return {key for key, op in now.items() if op != "remove"}


def run(installation: Installation, day: date) -> Done:
    return call(installation, "run", "--as-of", at(day, 23).isoformat(), "--json")


def members(installation: Installation, segment: str) -> list[str]:
    with duckdb.connect(installation.settings.published, read_only=True) as connection:
        query = f"select user_id from segments.{segment} inner join core.dim_people using (person_id) order by 1"
        return [row[0] for row in connection.execute(query).fetchall()]


@dataclass(frozen=True)
class Ground:
    """An installation after a day, with its own project, and its twin's mails and removals on the two days to come."""

    before: Installation
    days: tuple[date, date]
    files: tuple[tuple[Path, ...], tuple[Path, ...]]
    mails: tuple[set[str], set[str]]
    removed: list[str]
    held: set[str]

    def copy(self, target: Path) -> Installation:
        shutil.copytree(self.before.project_dir, target / "project")
        return self.before.copy(target / "data", target / "project")


@pytest.fixture(scope="module")
def twin(company: Company, day: Installation, tmp_path_factory: pytest.TempPathFactory) -> Ground:
    root = tmp_path_factory.mktemp("nobody-left")
    before = day.copy(root / "before", ground.project(root / "project"))
    first, second = company.sample.daily[1:3]
    assert held(before)

    newcomers = ground.signups(root / "files", "newcomer", at(first.last_on, 12), NEWCOMERS)
    control = before.copy(root / "control")
    files = ((first.path, newcomers), (second.path,))
    heard = []
    for day, waiting in zip((first, second), files, strict=True):
        for path in waiting:
            control.drop(path)
        assert run(control, day.last_on).code in DONE
        heard.append(mails(control))
    days = (first.last_on, second.last_on)
    return Ground(before, days, files, (heard[0], heard[1]), removed(control), held(control))


@pytest.mark.parametrize(
    ("model", "old", "new", "everybody_waits"),
    [
        ("dim_people", "left join profiles on people.person_id", "inner join profiles on -people.person_id", True),
        ("dim_person_features", "from known", "from known where person_id < 0", True),
        ("sync_webhook__power_users", "on segment.person_id", "on -segment.person_id", False),
    ],
)
def test_an_edited_model_that_matches_nobody_messages_nobody_and_removes_nobody_nor_does_mending_it(
    twin: Ground, tmp_path: Path, model: str, old: str, new: str, everybody_waits: bool
) -> None:
    tried = twin.copy(tmp_path)
    first, second = twin.days
    heard_before, held_before = mails(tried), held(tried)
    for path in twin.files[0]:
        tried.drop(path)
    head_before = ground.head(tried.settings).plan_id
    (path,) = (tried.project_dir / "models").rglob(f"{model}.sql")
    text = path.read_text()
    assert old in text

    path.write_text(text.replace(old, new))
    broken = run(tried, first)

    assert broken.code == 3, broken.err
    assert removed(tried) == []
    assert held(tried) >= held_before
    if everybody_waits:
        assert mails(tried) == heard_before
        assert ground.head(tried.settings).plan_id == head_before
        assert f"core.{model} holds 0 people" in broken.err
    else:
        assert mails(tried) <= twin.mails[0]
        assert any(reading["subject"] == "sync:sync_webhook__power_users" for reading in broken.json["tripped"])

    path.write_text(text)
    for waiting in twin.files[1]:
        tried.drop(waiting)
    assert run(tried, second).code in DONE

    assert mails(tried) <= twin.mails[1]
    assert removed(tried) == twin.removed
    assert held(tried) == twin.held
    if everybody_waits:
        assert len(mails(tried) - heard_before) >= NEWCOMERS // 2, "who signed up meanwhile is welcomed a day late"


def test_data_that_empties_segments_moves_nobody_and_setting_it_right_messages_nobody(
    twin: Ground, tmp_path: Path
) -> None:
    tried = twin.copy(tmp_path)
    first, second = twin.days
    affected = {*members(tried, CHURNED), *members(tried, POWER)}
    assert len(members(tried, CHURNED)) >= 5

    def say(word: str, day: date) -> Path:
        path = tmp_path / f"{word}.jsonl"
        moment = at(day, 10).isoformat()
        lines = [{"type": "track", "event": word, "userId": who, "timestamp": moment} for who in sorted(affected)]
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return path

    for path in (*twin.files[0], say("unsubscribed", first)):
        tried.drop(path)
    broken = run(tried, first)

    assert broken.code == 3, broken.err
    tripped = {reading["subject"] for reading in broken.json["tripped"]}
    assert {f"segment:{CHURNED}", "sync:sync_webhook__power_users"} <= tripped
    assert removed(tried) == []
    segments = ground.head(tried.settings).segments
    assert segments[CHURNED]["status"] == "parked"
    assert segments[CHURNED]["left"] == 0

    for path in (*twin.files[1], say("subscribed", second)):
        tried.drop(path)
    assert run(tried, second).code in DONE

    assert mails(tried) <= twin.mails[1]
    assert removed(tried) == twin.removed
    assert held(tried) == twin.held
