"""What a backfill came too late for is what an installation that heard of it in time has done otherwise."""

from __future__ import annotations

import csv
import json
import signal
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tailrace import clock, durable, engine
from tailrace.errors import DataError
from tailrace.ids import person_id
from tailrace.journal.journal import Journal
from tailrace.pipeline import spine
from tailrace.pipeline.backfills import backfills
from tailrace.pipeline.collecting import collect_garbage
from tailrace.pipeline.corrections import Corrections, corrections
from tailrace.planning.store import Store
from tests.conftest import Company
from tests.installation import Installation, call
from tests.pipeline import late
from tests.pipeline.late import Both

DEE = person_id("dee")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def both(company: Company, tmp_path_factory: pytest.TempPathFactory) -> Both:
    return late.play(company, tmp_path_factory.mktemp("corrections"))


@pytest.fixture(scope="module")
def seen(both: Both) -> tuple[Corrections, list[tuple[int, int]], bool]:
    """The report, what it told of its progress, and whether it left HEAD and the journal as they were."""
    before, told = _traces(both.late), list[tuple[int, int]]()
    report = corrections(
        both.late.settings,
        both.result.steps["backfill"]["load"],
        progress=lambda done, all_, _: told.append((done, all_)),
    )
    return report, told, _traces(both.late) == before


def _traces(installation: Installation) -> list[Any]:
    with Journal.open(installation.settings) as journal:
        said = [journal.mirror(table, 0).to_pylist() for table in ("intents", "outcomes", "acts")]
    return [Store(installation.settings).head(), said, sorted(_files(installation))]


def _files(installation: Installation) -> set[str]:
    root = installation.data_dir
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file() and path.suffix != ".lock"}


def _applied(installation: Installation, both: Both) -> dict[str, Any]:
    """Return when each message was applied in the days that were played, by its id."""
    with Journal.open(installation.settings) as journal:
        rows = journal.mirror("intents", 0).to_pylist()
    return {row["intent_id"]: row["applied_at"] for row in rows if row["applied_at"] >= clock.naive(both.days[0])}


@pytest.mark.torture
def test_it_names_exactly_what_an_installation_that_heard_in_time_sent_otherwise(
    both: Both, seen: tuple[Corrections, list[tuple[int, int]], bool]
) -> None:
    one, other = _applied(both.late, both), _applied(both.punctual, both)
    rows = seen[0].rows.to_pylist()
    assert {row["missed_intent_id"]: row["should_have_gone_at"] for row in rows if row["missed_intent_id"]} == {
        intent: at for intent, at in other.items() if one.get(intent) != at
    }
    assert {row["went_intent_id"]: row["went_at"] for row in rows if row["went_intent_id"]} == {
        intent: at for intent, at in one.items() if other.get(intent) != at
    }


@pytest.mark.torture
def test_each_kind_is_told_with_person_campaign_and_step(
    both: Both, seen: tuple[Corrections, list[tuple[int, int]], bool]
) -> None:
    rows = seen[0].rows.to_pylist()
    mine = {
        (row["kind"], row["campaign"], row["step"], row["person_id"], row["standing"])
        for row in rows
        if row["campaign"] in late.STEPS
    }
    assert mine == {
        ("missed", "reminded", "note", person_id("dee"), None),
        ("missed", "urged", "note", person_id("dee"), None),
        ("unwanted", "reminded", "note", person_id("ada"), "accepted"),
        ("another_time", "urged", "note", person_id("bob"), "accepted"),
    }
    counted = {one.campaign: (one.missed, one.unwanted, one.another_time) for one in seen[0].campaigns}
    assert (counted["reminded"], counted["urged"]) == ((1, 1, 0), (1, 0, 1))
    assert (seen[0].runs, seen[0].first, seen[0].last) == (2, both.days[0], both.days[1])


@pytest.mark.torture
def test_it_sends_nothing_and_leaves_everything_as_it_was(
    seen: tuple[Corrections, list[tuple[int, int]], bool],
) -> None:
    assert seen[2]
    assert seen[1] == [(0, 2), (1, 2), (2, 2)]


@pytest.mark.torture
def test_after_an_edit_only_what_the_history_does_shows(both: Both, tmp_path: Path) -> None:
    changed = late.project(tmp_path / "project")
    (changed / "campaigns" / "reminded" / "campaign.yml").write_text(
        late.CAMPAIGN.format(exit=late.STEPS["reminded"][0], steps="  - wait: 10h\n  - send: other\n")
    )
    (changed / "campaigns" / "reminded" / "other.email.md").write_text("---\nsubject: Other\n---\nOther.\n")
    (changed / "campaigns" / "reminded" / "note.email.md").unlink()
    installation = both.late.copy(tmp_path / "data", changed)

    report = corrections(installation.settings, both.result.steps["backfill"]["load"])

    assert any("have changed since" in line for line in report.assumed)
    rows = {
        (row["kind"], row["step"], row["person_id"]) for row in report.rows.to_pylist() if row["campaign"] == "reminded"
    }
    # cy's message has another step now; that is the edit's doing, and ada's was never sent.
    assert rows == {("missed", "other", person_id("dee"))}


@pytest.mark.torture
def test_of_the_plans_that_are_left_the_oldest_is_what_the_others_stand_on(both: Both, tmp_path: Path) -> None:
    project = late.project(tmp_path / "project")
    policy = project / "policy.yml"
    policy.write_text(policy.read_text() + "\nretention: {plans: 1d}\n")
    installation = both.late.copy(tmp_path / "data", project)
    assert len(collect_garbage(installation.settings, both.days[1]).plans.plans) == 1

    report = corrections(installation.settings, both.result.steps["backfill"]["load"])

    assert (report.runs, report.first) == (1, both.days[1])
    assert any(f"Plans of before {clock.iso(both.days[1])} are gone" in line for line in report.assumed)


MESSAGE = "(intent_id varchar, person_id bigint, campaign varchar, step varchar, message varchar, channel varchar,"


def test_what_waits_or_may_have_gone_is_unwanted_as_much_as_what_went() -> None:
    with duckdb.connect() as connection:
        for name in ("told", "otherwise"):
            connection.execute(f"create table {name} {MESSAGE} class varchar, as_of timestamp)")
        connection.execute("create table was_intents (intent_id varchar)")
        connection.execute("create table was_outcomes (intent_id varchar, outcome varchar, seq bigint)")
        outcomes = ["accepted", "unknown", None, "retry_later", "blocked", "cancelled", "failed", "expired"]
        for person, outcome in enumerate(outcomes):
            name = outcome or "pending"
            row = [name, person, "urged", "note", "note", "email", "marketing"]
            connection.execute("insert into otherwise values (?, ?, ?, ?, ?, ?, ?, '2026-01-01')", row)
            connection.execute("insert into was_intents values (?)", [name])
            if outcome:
                # What was said last counts.
                connection.execute("insert into was_outcomes values (?, 'failed', 1), (?, ?, 2)", [name, name, outcome])
        rows = connection.sql(engine.statement("tailrace.pipeline", "corrections")).to_arrow_table().to_pylist()
    assert {(row["kind"], row["went_intent_id"], row["standing"]) for row in rows} == {
        ("unwanted", "accepted", "accepted"),
        ("unwanted", "unknown", "unknown"),
        *(("unwanted", name, "waiting") for name in ("pending", "retry_later", "blocked")),
    }


@pytest.mark.torture
def test_the_rows_are_listed_to_a_file_and_that_is_kept(both: Both, tmp_path: Path) -> None:
    installation = both.late.copy(tmp_path / "data")
    load = both.result.steps["backfill"]["load"]
    target = tmp_path / "rows.csv"

    done = call(installation, "backfills", "corrections", load[:8], "--list", str(target), "--json")

    assert done.code == 0, done.err
    with target.open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert [row["person_id"] for row in rows] == [str(row["person_id"]) for row in done.json["rows"]]
    assert len(rows) >= 4
    assert "@" not in target.read_text()
    assert target.stat().st_mode & 0o077 == 0
    (kept,) = call(installation, "backfills", "show", load, "--json").json["remedies"]
    assert (kept["remedy"], kept["reason"]) == ("listed", f"{len(rows)} rows to rows.csv")


@pytest.mark.torture
def test_that_nothing_is_to_be_done_is_kept_with_who_and_why(both: Both, tmp_path: Path) -> None:
    installation = both.late.copy(tmp_path / "data")
    load = both.result.steps["backfill"]["load"]

    assert call(installation, "backfills", "ignore", load, "--reason", "too old by now").code == 0
    assert call(installation, "backfills", "ignore", load, "--reason", " ").code == 1

    (kept,) = call(installation, "backfills", "show", load, "--json").json["remedies"]
    assert (kept["remedy"], kept["reason"], kept["who"] != "") == ("ignored", "too old by now", True)
    assert f"ignored by {kept['who']}" in call(installation, "backfills", "show", load).out


@pytest.mark.torture
def test_what_is_chosen_to_be_sent_now_goes_once_by_the_next_run_also_when_that_is_killed(
    both: Both, tmp_path: Path
) -> None:
    installation = both.late.copy(tmp_path / "data")
    load = both.result.steps["backfill"]["load"]
    words = ["backfills", "send", load, "--reason", "they asked", "--campaign", "reminded", "--json"]
    before = _traces(installation)

    tried = call(installation, *words, "--dry-run")
    assert (tried.code, tried.json["chosen"], _traces(installation)) == (0, 1, before)
    done = call(installation, *words).json
    assert (done["messages"], done["chosen"], done["waiting"]) == ([["reminded", "note", 1]], 1, 0)
    with Journal.open(installation.settings) as journal:
        (waits,) = journal.chosen().to_pylist()
    began, due = both.days[0] - timedelta(hours=7), both.days[0] + timedelta(hours=20)
    assert (waits["person_id"], waits["entered_at"], waits["due_at"]) == (DEE, clock.naive(began), clock.naive(due))
    assert (waits["source"], waits["event_id"], waits["occurrence"]) == ("app", "signed_up-dee", "")
    (kept,) = call(installation, "backfills", "show", load, "--json").json["remedies"]
    assert (kept["remedy"], kept["reason"], kept["passes"], kept["plan"]) == ("send_now", "they asked", 1, None)
    assert "no plan has considered them yet" in call(installation, "backfills", "show", load).out

    # At HEAD's own instant a choice is something new, and a killed run is finished by the next.
    as_of = ("run", "--as-of", clock.iso(both.days[1]))
    killed = installation.cli(*as_of, TAILRACE_CRASH_AT="apply.moved")
    assert killed.code == -signal.SIGKILL, killed.err
    assert installation.cli(*as_of).code in (0, 3)
    assert call(installation, "run", "--as-of", clock.iso(both.days[1] + timedelta(hours=1))).code in (0, 3)

    rows = [row for row in _intents(installation) if row["campaign"] == "reminded" and row["person_id"] == DEE]
    (missed,) = [row for row in _intents(both.punctual) if row["campaign"] == "reminded" and row["person_id"] == DEE]
    assert [row["intent_id"] for row in rows] == [missed["intent_id"]]
    with Journal.open(installation.settings) as journal:
        assert [one.plan_id for one in journal.choices(load)] == [rows[0]["plan_id"]]
        assert journal.chosen().num_rows == 0
    story = call(installation, "plan", rows[0]["plan_id"], "--campaign", "reminded").out
    assert "`send now` was chosen" in story

    refused = call(installation, *words)
    assert refused.code == 1
    assert "there is no such message that would have gone and did not" in refused.err
    assert ("urged 1" in refused.err, "reminded" in refused.err) == (True, False)


@pytest.mark.torture
def test_who_ignores_a_backfill_takes_back_what_was_to_be_sent_now_because_of_it(both: Both, tmp_path: Path) -> None:
    installation = both.late.copy(tmp_path / "data")
    load = both.result.steps["backfill"]["load"]
    words = ["backfills", "send", load, "--reason", "they asked", "--campaign", "reminded", "--json"]
    assert call(installation, *words).json["chosen"] == 1
    plan = call(installation, "plan", "--as-of", clock.iso(both.days[1]), "--json").json
    assert plan["campaigns"]["reminded"]["messages"]["note"]["send"] == 1

    with durable.exclusive(installation.settings.run_lock, "a run"):
        busy = call(installation, "backfills", "ignore", load, "--reason", "they called")
    assert (busy.code, "a run" in busy.err) == (1, True)
    ignored = call(installation, "backfills", "ignore", load, "--reason", "they called", "--json").json
    assert (ignored["remedy"], ignored["taken_back"], ignored["considered"]) == ("ignored", 1, 0)
    chosen, _ = call(installation, "backfills", "show", load, "--json").json["remedies"]
    assert (chosen["remedy"], chosen["passes"], chosen["plan"], chosen["is_taken_back"]) == ("send_now", 1, None, True)
    assert "1 passes, taken back" in call(installation, "backfills", "show", load).out

    stale = call(installation, "apply", plan["plan_id"])
    assert stale.code == 1
    assert "what was chosen to be sent now changed since plan" in stale.err
    assert call(installation, "run", "--as-of", clock.iso(both.days[1])).code in (0, 3)
    assert not [row for row in _intents(installation) if row["campaign"] == "reminded" and row["person_id"] == DEE]

    # Somebody may choose it again, and what a plan has considered is not taken back.
    assert call(installation, *words).json["chosen"] == 1
    assert call(installation, "run", "--as-of", clock.iso(both.days[1] + timedelta(hours=1))).code in (0, 3)
    late_word = call(installation, "backfills", "ignore", load, "--reason", "too late", "--json").json
    assert (late_word["taken_back"], late_word["considered"]) == (0, 1)


def _intents(installation: Installation) -> list[dict[str, Any]]:
    with Journal.open(installation.settings) as journal:
        return list(journal.mirror("intents", 0).to_pylist())


@pytest.mark.torture
def test_of_events_that_no_run_has_come_after_there_is_nothing_to_correct(both: Both, tmp_path: Path) -> None:
    installation = both.late.copy(tmp_path / "data")
    after = both.days[1].replace(hour=23, minute=30)
    path = late.write(tmp_path / "new.jsonl", late.called("eve", "signed_up", after))
    load = spine.backfill(installation.settings, [path], "app", "found").steps["land"]["loads"][0]

    report = corrections(installation.settings, load)

    assert (report.runs, report.rows.num_rows, report.campaigns) == (0, 0, ())
    assert "there is nothing" in report.assumed[0]


@pytest.mark.torture
def test_a_backfill_that_is_not_there_is_named_with_the_nearest(both: Both) -> None:
    known = backfills(both.late.settings)[0].id
    with pytest.raises(DataError, match=f"there is none; .* Did you mean `{known}`"):
        corrections(both.late.settings, known[:-1] + ("0" if known[-1] != "0" else "1"))
    assert json.loads(call(both.late, "backfills", "list", "--json").out)[0]["id"] == known
