"""One event, from a line in a file to a mail, through the eight files that the README lists in order."""

from __future__ import annotations

import json
from email import message_from_bytes, policy
from pathlib import Path

import duckdb
import pytest

from tailrace import ids
from tailrace.journal.journal import Journal
from tailrace.landing.loads import event_files, loads
from tailrace.pipeline import spine
from tailrace.pipeline.result import Result
from tailrace.planning import relations
from tailrace.planning.store import Store
from tests.conftest import Company
from tests.installation import Installation, at

USER = "lena-life"
PERSON = ids.person_id(USER)


def _calls(day: str) -> list[dict[str, object]]:
    traits = {
        "email": "lena@example.com",
        "first_name": "Lena",
        "last_name": "Life",
        "company": "Nordwind",
        "country": "DE",
    }
    return [
        {"type": "identify", "messageId": "l1", "userId": USER, "timestamp": f"{day}T08:00:00Z", "traits": traits},
        {"type": "track", "messageId": "l2", "userId": USER, "timestamp": f"{day}T08:00:01Z", "event": "signed_up"},
    ]


@pytest.fixture(scope="module")
def life(company: Company, tmp_path_factory: pytest.TempPathFactory) -> tuple[Installation, Result]:
    """A company in which Lena signs up, on a day like any other, after the run of that day."""
    root = tmp_path_factory.mktemp("life")
    installation = company.copy(root / "data")
    day = company.sample.daily[0]
    line = root / "lena.jsonl"
    line.write_text("".join(json.dumps(call) + "\n" for call in _calls(str(day.last_on))), encoding="utf-8")
    installation.drop(day.path)
    installation.drop(line)
    return installation, spine.run(installation.settings, at(day.last_on, 12))


def _warehouse(installation: Installation, query: str) -> list[tuple[object, ...]]:
    with duckdb.connect(str(installation.settings.warehouse), read_only=True) as connection:
        return connection.execute(query).fetchall()


def test_the_line_becomes_a_landed_event(life: tuple[Installation, Result]) -> None:
    installation, _ = life
    files = [str(path) for path in event_files(installation.settings, loads(installation.settings))]

    rows = duckdb.execute(
        "select type, event, event_id, file, line from read_parquet($files) where user_id = $user order by line",
        {"files": files, "user": USER},
    ).fetchall()

    assert rows == [("identify", None, "l1", "lena.jsonl", 1), ("track", "signed_up", "l2", "lena.jsonl", 2)]


def test_the_event_belongs_to_a_person_with_a_state_and_a_segment(life: tuple[Installation, Result]) -> None:
    installation, _ = life

    assert _warehouse(installation, f"select count(*) from core.fct_events where person_id = {PERSON}") == [(2,)]
    assert _warehouse(installation, f"select user_id, first_name from core.dim_people where person_id = {PERSON}") == [
        (USER, "Lena")
    ]
    assert _warehouse(
        installation, f"select state, ended_at from states.fct_saas_states where person_id = {PERSON}"
    ) == [("new", None)]
    assert _warehouse(
        installation, f"select count(*) from segments.seg_new_signups_not_activated where person_id = {PERSON}"
    ) == [(1,)]


def test_the_plan_says_that_she_entered_and_is_to_be_written_to(life: tuple[Installation, Result]) -> None:
    installation, result = life
    store = Store(installation.settings)
    plan = store.read(str(result.plan_id))

    rows = duckdb.execute(
        f"select campaign, step, verdict, reason from {store.source(plan, 'verdicts', relations.VERDICTS)}"
        f" where person_id = {PERSON}"
    ).fetchall()

    assert rows == [("onboarding", "welcome", "send", None)]
    changes = duckdb.execute(
        f"select segment, change, cause from {store.source(plan, 'changes', relations.CHANGES)}"
        f" where person_id = {PERSON}"
    ).fetchall()
    assert ("seg_new_signups_not_activated", "entered", "behaviour") in changes


def test_the_journal_knows_what_became_of_it_and_the_mail_is_there(life: tuple[Installation, Result]) -> None:
    installation, _ = life
    intent = ids.intent_id("onboarding", "welcome", ids.enrollment_id("onboarding", PERSON))

    with Journal.open(installation.settings) as journal:
        kept = journal.intents_of(PERSON)
        words = [happened.what for happened in journal.history([intent])]

    assert [(each.intent_id, each.state) for each in kept] == [(intent, "accepted")]
    assert words == ["applied", "claimed", "accepted"]
    (mail,) = installation.settings.outbox.rglob(f"{intent}.eml")
    content = message_from_bytes(mail.read_bytes(), policy=policy.default)
    assert content["To"] == "lena@example.com"
    assert "Lena" in str(content["Subject"])
    assert intent in str(content["Message-ID"])


def test_the_readme_lists_the_files_of_the_journey(life: tuple[Installation, Result]) -> None:
    readme = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")

    for path in (
        "src/tailrace/pipeline/spine.py",
        "src/tailrace/landing/land.py",
        "dbt_project/models/staging/stg_landing__events.sql",
        "dbt_project/models/states/fct_saas_states.sql",
        "src/tailrace/planning/verdicts.sql",
        "src/tailrace/delivery/send.py",
        "src/tailrace/destinations/smtp.py",
    ):
        assert path in readme
