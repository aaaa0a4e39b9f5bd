"""What a backtest says about days that were really run is what was decided on them; and it leaves no trace."""

from __future__ import annotations

import hashlib
import json
import shutil
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from tailrace.engine import statement
from tailrace.errors import DataError
from tailrace.journal.journal import Journal
from tailrace.pipeline import spine
from tailrace.pipeline.backtest import Backtest, backtest, instants
from tailrace.pipeline.branch import branch
from tailrace.pipeline.request import load_definitions
from tailrace.planning import relations
from tailrace.planning.store import Plan, Store
from tests.conftest import Company
from tests.installation import PROJECT, Installation, at

pytestmark = pytest.mark.slow

EXPORTS = """purpose: Say something about each export
owner: growth@example.com
status: {status}
class: marketing
topic: product_tips
priority: 70
trigger: {{event: report_exported}}
repeat: each_occurrence
goal: {{event: logged_in, within: 1d}}
holdout: 10%
sending: automatic
expires: 12h
steps:
  - split:
      - {{name: short, weight: 50, steps: [{{send: short_note}}]}}
      - {{name: long, weight: 50, steps: [{{wait: 20h}}, {{send: long_note}}]}}
    id: length
"""

HEARD = """-- One row per person who got a note about an export lately.
{{ config(meta={'owner': 'growth@example.com', 'summary': 'Got a note about an export in the last three days'}) }}

select people.person_id
from {{ ref('dim_people') }} as people
where {{ received(campaign='exports', within='3 days') }}
"""


def _campaign(project: Path, slug: str, status: str) -> None:
    folder = project / "campaigns" / slug
    folder.mkdir()
    (folder / "campaign.yml").write_text(EXPORTS.format(status=status))
    for name in ("short_note", "long_note"):
        (folder / f"{name}.email.md").write_text("---\nsubject: Your export\n---\nIt is done.\n")


@pytest.fixture(scope="module")
def days(company: Company) -> list[datetime]:
    return [at(file.last_on, 23) for file in company.sample.daily[:3]]


@pytest.fixture(scope="module")
def really_run(company: Company, days: list[datetime], tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """The company after three days with caps that bite, mail that expired, and history that came late."""
    root = tmp_path_factory.mktemp("really-run")
    project = root / "project"
    shutil.copytree(PROJECT, project, ignore=shutil.ignore_patterns("target", "logs"))
    _campaign(project, "exports", "live")
    _campaign(project, "exports_again", "draft")
    (project / "models" / "segments" / "seg_heard_lately.sql").write_text(HEARD)
    policy = project / "policy.yml"
    policy.write_text(policy.read_text().replace("most: 4, per: 7d", "most: 1, per: 3d"))
    installation = company.copy(root / "data", project)
    for number, (day, file) in enumerate(zip(days, company.sample.daily, strict=False)):
        installation.drop(file.path)
        # What the second day has to say stays where it is, and is too old on the third.
        spine.run(installation.settings, day, budget_seconds=0 if number == 1 else None)
        if number == 1:
            spine.backfill(installation.settings, [_history(root, day)], "app", "found again")
    return installation


def _history(root: Path, day: datetime) -> Path:
    path = root / "found.jsonl"
    calls = [
        {
            "type": "track",
            "event": event,
            "userId": f"found-{number}",
            "messageId": f"found-{event}-{number}",
            "timestamp": (day - timedelta(days=40 + number)).isoformat(),
        }
        for number in range(3)
        for event in ("signed_up", "report_exported")
    ]
    path.write_text("".join(f"{json.dumps(call)}\n" for call in calls))
    return path


def _applied(installation: Installation) -> dict[datetime, Plan]:
    """Return the plan that each instant's run applied, without those of backfills."""
    store = Store(installation.settings)
    return {plan.as_of: plan for _, plan in store.chain(store.head()) if plan.cause == "scheduled"}


@pytest.mark.torture
@pytest.mark.parametrize("replayed_from", [1, 0], ids=["the last two", "all"])
def test_over_days_that_were_run_its_decisions_are_those_that_were_applied_row_for_row(
    really_run: Installation, days: list[datetime], replayed_from: int
) -> None:
    settings = really_run.settings
    applied = _applied(really_run)
    real = Store(settings)

    instants = days[replayed_from:]

    with branch(settings, load_definitions(settings), instants) as replayed:
        compared = 0
        for _, plan in replayed.plans():
            theirs = applied[plan.as_of]
            names = {name for name in plan.relations.keys() | theirs.relations.keys() if "sync" not in name}
            assert {"verdicts", "transitions", "enrollments:exports", "memberships"} <= names
            for name in sorted(names):
                ours = replayed.store.table(plan, name)
                assert ours is not None, name
                assert ours.equals(real.table(theirs, name)), (plan.as_of, name)
            assert plan.segments == theirs.segments
            assert plan.campaigns == theirs.campaigns
            compared += 1

    assert compared == len(instants)
    # The days had in them what a backtest could get wrong.
    assert sum(plan.counts["defer"] for plan in applied.values()) > 0
    with Journal.open(settings) as journal:
        words = set(journal.mirror("outcomes", 0).column("outcome").to_pylist())
    assert {"accepted", "expired"} <= words
    assert applied[days[-1]].segments["seg_heard_lately"]["size"] > 0
    store = Store(settings)
    assert [plan.cause for _, plan in store.chain(store.head())].count("backfill") == 1


@pytest.fixture(scope="module")
def of_a_draft(really_run: Installation, days: list[datetime]) -> tuple[Backtest, list[tuple[int, int]], bool]:
    """A backtest of a draft over two days, what it told of its progress, and whether it left things as they were."""
    before = _traces(really_run)
    told: list[tuple[int, int]] = []
    seen = backtest(
        really_run.settings, "exports_again", days[1:3], progress=lambda done, whole, _: told.append((done, whole))
    )
    return seen, told, _traces(really_run) == before


def _traces(installation: Installation) -> list[tuple[str, str]]:
    root = installation.data_dir
    files = [path for path in sorted(root.rglob("*")) if path.is_file() and path.suffix not in (".lock",)]
    with Journal.open(installation.settings) as journal:
        said = [("journal", str(journal.mirror(table, 0).to_pylist())) for table in ("intents", "outcomes", "acts")]
    kept = [path for path in files if not path.name.startswith("journal.sqlite")]
    return said + [(str(path.relative_to(root)), hashlib.sha256(path.read_bytes()).hexdigest()) for path in kept]


@pytest.mark.torture
def test_neither_head_nor_the_journal_nor_any_other_file_is_touched(
    of_a_draft: tuple[Backtest, list[tuple[int, int]], bool],
) -> None:
    assert of_a_draft[2]


@pytest.mark.torture
def test_a_draft_is_replayed_as_if_it_were_live_and_the_report_says_so(
    of_a_draft: tuple[Backtest, list[tuple[int, int]], bool], days: list[datetime]
) -> None:
    seen, told, _ = of_a_draft
    assert told == [(0, 2), (1, 2), (2, 2)]
    assert (seen.status, [instant.as_of for instant in seen.instants]) == ("draft", days[1:3])
    assert seen.assumed[0] == "The campaign is taken for live from the first instant on; it is draft."
    assert seen.stands_on is not None
    assert seen.in_flight == 0
    assert seen.entered == sum(instant.entered for instant in seen.instants) == sum(seen.arms.values()) > 0
    assert seen.really_sent == 0


@pytest.mark.torture
def test_its_counts_are_those_of_its_rows(of_a_draft: tuple[Backtest, list[tuple[int, int]], bool]) -> None:
    seen, _, _ = of_a_draft
    rows = seen.rows.to_pylist()
    assert len(seen.passes) == seen.entered
    for step in seen.messages:
        mine = [row for row in rows if row["step"] == step.step]
        sent = {row["intent_id"] for row in mine if row["verdict"] == "send"}
        held = {row["intent_id"] for row in mine if row["verdict"] == "defer"}
        skipped = {row["intent_id"] for row in mine if row["verdict"] == "skip"}
        assert (step.sent, step.held_back, step.sent_later, step.skipped) == (
            len(sent),
            len(held),
            len(held & sent),
            len(skipped),
        )
    assert sum(step.because.get("defer frequency_cap", 0) for step in seen.messages) > 0, "the other one's mail counts"


@pytest.mark.torture
def test_the_base_rate_counts_only_whose_time_was_over(
    of_a_draft: tuple[Backtest, list[tuple[int, int]], bool], days: list[datetime]
) -> None:
    seen, _, _ = of_a_draft
    rate = seen.base_rate
    assert rate is not None
    over = [
        one
        for one in seen.passes.to_pylist()
        if one["entered_at"] <= (days[2] - timedelta(days=1)).replace(tzinfo=None)
    ]
    assert rate.passes == len(over) > 0
    assert rate.reached == sum(one["goal_at"] is not None for one in over)
    assert rate.still_open == seen.entered - len(over)
    assert rate.share is not None
    assert rate.low is not None
    assert rate.low <= rate.share


def test_who_reaches_the_goal_as_they_enter_is_in_the_base_rate() -> None:
    with duckdb.connect() as connection:
        connection.execute(f"create table kept as {relations.ENROLLMENTS} limit 0")
        columns = f"select timestamp '2026-01-01' as as_of, * from ({relations.TRANSITIONS}) limit 0"
        connection.execute(f"create temp table moves as {columns}")
        for name, goal_at, to_step, why in (("at_once", "2026-01-01", None, "converted"), ("on", None, "s", "entered")):
            connection.execute("insert into kept by name select $1 as enrollment_id, $2 as goal_at", [name, goal_at])
            row = [name, to_step, why]
            connection.execute("insert into moves by name select $1 as enrollment_id, $2 as to_step, $3 as why", row)
        query = statement("tailrace.pipeline", "backtest_passes").format(enrollments="kept")

        connection.execute(query)

        found = connection.execute("select enrollment_id, goal_at is not null from entered_passes order by all")
        assert found.fetchall() == [("at_once", True), ("on", False)]


@pytest.mark.torture
def test_before_anything_had_landed_there_is_nothing_to_replay(really_run: Installation, days: list[datetime]) -> None:
    with pytest.raises(DataError, match=r"nothing had landed by .*; expected a later start"):
        backtest(really_run.settings, "exports", [days[0] - timedelta(days=300)])


@pytest.mark.torture
def test_instants_go_from_the_first_to_the_last(days: list[datetime]) -> None:
    assert instants(days[0], days[2], timedelta(days=1)) == days[:3]
    assert instants(days[0], days[2] - timedelta(minutes=1), timedelta(days=1)) == days[:2]
    with pytest.raises(DataError, match="is before --from"):
        instants(days[1], days[0], timedelta(days=1))
