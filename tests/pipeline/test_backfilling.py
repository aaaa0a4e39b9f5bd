"""A backfill may be killed anywhere; what it did is kept and can be read afterwards, and nothing of it is said."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tailrace.clock import iso
from tailrace.journal.journal import Journal
from tailrace.landing.loads import loads
from tailrace.pipeline import spine
from tailrace.pipeline.backfills import backfill, backfills, kept_out
from tailrace.planning import relations
from tailrace.planning.store import Store
from tests.conftest import Company
from tests.installation import PROJECT, Installation, at, call

pytestmark = [pytest.mark.slow, pytest.mark.torture]

EVERYBODY = """-- One row per person.
{{ config(meta={'owner': 'growth@example.com', 'summary': 'Everybody'}) }}

select people.person_id
from {{ ref('dim_people') }} as people
"""
GREETING = """purpose: Greet everybody
owner: growth@example.com
status: live
class: transactional
trigger: {segment: seg_everybody}
repeat: never
sending: automatic
steps:
  - send: hello
"""


@pytest.fixture(scope="module")
def behind(company: Company, tmp_path_factory: pytest.TempPathFactory) -> Company:
    """The company after the run of a day that it has heard nothing of; a campaign greets whoever becomes a person."""
    root = tmp_path_factory.mktemp("behind")
    shutil.copytree(PROJECT, root / "project", ignore=shutil.ignore_patterns("target", "logs"))
    (root / "project" / "models" / "segments" / "seg_everybody.sql").write_text(EVERYBODY)
    folder = root / "project" / "campaigns" / "greeting"
    folder.mkdir()
    (folder / "campaign.yml").write_text(GREETING)
    (folder / "hello.email.md").write_text("---\nsubject: Hello\n---\nHello.\n")
    installation = company.copy(root / "data", root / "project")
    spine.run(installation.settings, at(company.sample.daily[0].last_on, 23))
    return Company(installation, company.sample)


@pytest.fixture(scope="module")
def done(behind: Company, tmp_path_factory: pytest.TempPathFactory) -> tuple[Installation, dict[str, Any]]:
    """The company after a backfill of that day, and what the command said."""
    installation = behind.copy(tmp_path_factory.mktemp("backfilled") / "data")
    return installation, _backfill(installation, behind.sample.daily[0].path).json


def _backfill(installation: Installation, path: Path, *more: str) -> Any:
    ended = call(installation, "backfill", str(path), "--source", "app", "--reason", "lost", "--json", *more)
    assert ended.code == 0, ended.err
    return ended


def _state(installation: Installation) -> dict[str, Any]:
    """Return what a backfill leaves: HEAD, the events by load, and what was ever to be said."""
    with Journal.open(installation.settings) as journal:
        said = journal.mirror("intents", 0).to_pylist()
    landed = [(load.load_id, load.landed, load.is_history) for load in loads(installation.settings)]
    return {"head": Store(installation.settings).head(), "landed": landed, "said": said}


@pytest.mark.parametrize("point", ["land.recorded", "land.moved", "apply.moved", "publish.copied"])
def test_killed_at_any_point_the_same_command_does_the_rest_and_says_what_it_found(
    behind: Company, done: tuple[Installation, dict[str, Any]], tmp_path: Path, point: str
) -> None:
    installation = behind.copy(tmp_path / "data")
    path = behind.sample.daily[0].path

    killed = installation.forked("backfill", str(path), "--source", "app", "--reason", "lost", TAILRACE_CRASH_AT=point)
    assert killed.code == -signal.SIGKILL, killed.err
    again = _backfill(installation, path).json

    assert _state(installation) == _state(done[0])
    landed, planned = point != "land.recorded", point in ("apply.moved", "publish.copied")
    load = done[1]["steps"]["backfill"]["load"]
    assert again["steps"]["backfill"] == {"load": load, "landed_before": landed, "planned_before": planned}
    assert Store(installation.settings).head() == again["plan_id"]


def test_killed_and_left_alone_the_next_run_takes_it_for_history(behind: Company, tmp_path: Path) -> None:
    installation = behind.copy(tmp_path / "data")
    first, second = behind.sample.daily[:2]
    words = ("backfill", str(first.path), "--source", "app", "--reason", "lost")
    killed = installation.forked(*words, TAILRACE_CRASH_AT="plan.saved")
    assert killed.code == -signal.SIGKILL, killed.err

    spine.run(installation.settings, at(second.last_on, 23))

    store = Store(installation.settings)
    plans = [plan for _, plan in store.chain(store.head())]
    assert [plan.cause for plan in plans] == ["scheduled", "backfill", "scheduled", "scheduled"]
    verdicts = store.table(plans[0], "verdicts")
    steps = set() if verdicts is None else set(verdicts.column("step").to_pylist())
    assert "welcome" not in steps, "who signed up on the backfilled day is history"
    (record,) = backfills(installation.settings)
    assert (record.plan_before, record.plan_after) == (plans[2].plan_id, plans[1].plan_id)


def test_it_is_a_plan_of_its_own_that_says_nothing_to_anybody(
    behind: Company, done: tuple[Installation, dict[str, Any]]
) -> None:
    installation, said = done
    assert said["steps"]["land"]["lines"] == behind.sample.daily[0].lines
    assert said["steps"]["plan"]["send"] == said["steps"]["plan"]["sync_ops"] == 0
    assert Store(installation.settings).read("HEAD").cause == "backfill"


def test_the_record_is_what_landing_and_the_plans_say(
    behind: Company, done: tuple[Installation, dict[str, Any]]
) -> None:
    installation, said = done
    day = behind.sample.daily[0]
    store = Store(installation.settings)
    after = store.read(said["plan_id"])

    (record,) = backfills(installation.settings)

    assert backfill(installation.settings, record.id[:6]) == record
    assert (record.id, record.source, record.reason) == (said["steps"]["backfill"]["load"], "app", "lost")
    assert record.at is not None
    assert record.who
    assert (record.files, record.landed, record.as_of) == ((day.path.name,), day.events, at(day.last_on, 23))
    assert record.lines == record.landed + record.duplicate + record.quarantined
    assert (record.plan_before, record.plan_after) == (after.parent, after.plan_id)
    changes = store.table(after, "changes")
    assert changes is not None
    moved = [(row["segment"], row["change"]) for row in changes.to_pylist()]
    assert sum(one.entered for one in record.segments) == sum(change == "entered" for _, change in moved)
    assert {one.segment for one in record.segments if not one.parked} == {segment for segment, _ in moved}
    for one in record.segments:
        assert one.after - one.before == one.entered - one.left
        assert one.parked or one.cause == "history"
    assert record.segments, "a day of the company moves people"
    assert record.together == ()


def test_whom_a_campaign_named_and_kept_out_as_history_is_counted_and_listed(
    done: tuple[Installation, dict[str, Any]],
) -> None:
    installation, said = done
    store = Store(installation.settings)
    with duckdb.connect() as connection:
        source = store.source(store.read(said["plan_id"]), "verdicts", relations.VERDICTS)
        rows = connection.execute(f"select campaign, person_id from {source} where reason = 'history'").fetchall()

    (record,) = backfills(installation.settings)

    assert {row[0] for row in rows} >= {"greeting"}
    assert record.refused == {slug: sum(row[0] == slug for row in rows) for slug in sorted({row[0] for row in rows})}
    listed = kept_out(installation.settings, said["plan_id"]).to_pylist()
    assert sorted((row["campaign"], row["person_id"]) for row in listed) == sorted(rows)


def test_it_is_shown_to_people(behind: Company, done: tuple[Installation, dict[str, Any]]) -> None:
    installation, said = done
    load = said["steps"]["backfill"]["load"]

    listed = call(installation, "backfills", "list")
    shown = call(installation, "backfills", "show", load[:6])
    again = call(installation, "backfill", str(behind.sample.daily[0].path), "--source", "app", "--reason", "lost")

    assert (load in listed.out, "lost" in listed.out) == (True, True)
    for words in (
        f"backfill {load} of app: lost",
        f"plan {said['plan_id']} on top of",
        "Segments that moved",
        "history",
    ):
        assert words in shown.out
    assert f"this backfill was done before: nothing was changed; `tailrace backfills show {load}`" in again.err


def test_a_range_is_asked_for_by_instants_and_shown(company: Company, tmp_path: Path) -> None:
    installation = company.copy(tmp_path / "data")
    day = company.sample.daily[0]
    noon = iso(at(day.last_on, 12))

    said = _backfill(installation, day.path, "--to", noon).json

    counts = said["steps"]["land"]
    assert counts["landed"] > 0
    assert counts["quarantined"] > 0
    assert counts["landed"] + counts["quarantined"] == counts["lines"]
    (record,) = backfills(installation.settings)
    assert (record.since, record.until) == (None, at(day.last_on, 12))
    assert record.last_event_at is not None
    assert record.last_event_at < at(day.last_on, 12)
    assert record.reasons["outside_range"] > 10
    assert f"asked for – to {noon[:10]}" in call(installation, "backfills", "show", record.id).out
    # What the range left out is there for who asks; it hides no line that somebody has to mend.
    left_out = record.reasons["outside_range"]
    listed = call(installation, "quarantine", "list", "--limit", "100000")
    assert "outside_range" not in listed.out
    assert f"{left_out:,} lines that the range of a backfill left out" in listed.err
    asked = call(installation, "quarantine", "list", "--reason", "outside_range", "--limit", "100000", "--json").json
    assert {line["reason"] for line in asked} == {"outside_range"}
    assert len(asked) == left_out
    held = len(listed.out.splitlines()) - 1
    assert f"{held:,} lines are in quarantine (" in call(installation, "doctor").out


def test_a_backfill_of_one_day_writes_the_rows_of_no_other_day_again(company: Company, tmp_path: Path) -> None:
    installation = company.copy(tmp_path / "data")
    day = company.sample.daily[2]
    with duckdb.connect(str(installation.settings.warehouse)) as warehouse:
        before = dict(warehouse.execute("select event_on, count(*) from core.fct_person_days group by 1").fetchall())
        # Nothing else that a build does moves this: it is put into what stands, and goes with the row that has it.
        warehouse.execute("update core.fct_person_days set n_pages = n_pages + 1000")

    _backfill(installation, day.path)

    with duckdb.connect(str(installation.settings.warehouse), read_only=True) as warehouse:
        new = "load_seq = (select max(load_seq) from core.fct_events)"
        query = f"select distinct event_on from core.fct_events where {new}"
        days = {row[0] for row in warehouse.execute(query).fetchall()}
        query = "select event_on, count(*) from core.fct_person_days where n_pages {} 1000 group by 1"
        kept = dict(warehouse.execute(query.format(">=")).fetchall())
        written = dict(warehouse.execute(query.format("<")).fetchall())
    assert written.keys() == days
    assert kept == {day: count for day, count in before.items() if day not in days}
    assert len(kept) > 100
