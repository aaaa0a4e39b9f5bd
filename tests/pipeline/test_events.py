"""What `land`, `events`, `contracts infer` and `check` say of the names of events, in a project of its own."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from tailrace import clock
from tailrace.campaigns.shelf import load_campaigns
from tailrace.checks.event_names import campaign_notices, in_words, known_names, late_notices, unknown_names
from tailrace.landing.taxonomy import active_events
from tailrace.pipeline import spine
from tailrace.pipeline.reporting import write
from tailrace.pipeline.request import campaign_spec, load_definitions
from tests.conftest import Company
from tests.installation import PROJECT, Installation, call, first_run_at
from tests.landing.conftest import call as event
from tests.landing.conftest import compact

SAAS = ("signed_up", "trial_started", "project_created", "report_exported", "subscription_started", "unsubscribed")


@pytest.fixture
def own(tmp_path: Path) -> Installation:
    """An installation without data, whose project may be changed."""
    shutil.copytree(PROJECT, tmp_path / "project", ignore=shutil.ignore_patterns("target", "logs"))
    return Installation(tmp_path / "data", tmp_path / "project")


def contract(own: Installation, name: str, text: str) -> None:
    path = own.project_dir / "contracts" / "events" / f"{name}.yml"
    path.write_text(text, encoding="utf-8")


def file(own: Installation, *names: str, name: str = "in.jsonl") -> Path:
    path = own.data_dir.parent / name
    lines = [compact(event(messageId=f"{name}-{n}", event=each)) for n, each in enumerate(names)]
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


def test_known_is_what_has_a_contract_and_what_campaigns_models_and_vars_name(own: Installation) -> None:
    folder = own.project_dir / "contracts" / "events"
    shutil.rmtree(folder)
    folder.mkdir()
    contract(own, "mine", "summary: x\n")
    (own.project_dir / "models" / "segments" / "seg_own.sql").write_text(
        "select 1 where {{ performed('by_macro') }} and event = 'by_model' or e.event not in ('one', 'tw''o')\n"
    )
    known = known_names(own.settings)
    assert {"mine", *SAAS} <= known
    assert {"by_macro", "by_model", "one", "tw'o", "teammate_invited", "form_submitted"} <= known
    assert not {"solo", "pro", "track", ""} & known


def test_without_a_contract_nothing_is_unknown(own: Installation) -> None:
    shutil.rmtree(own.project_dir / "contracts" / "events")
    assert known_names(own.settings) == frozenset()
    assert unknown_names(["whatever"], known_names(own.settings)) == {}
    landed = call(own, "land", str(file(own, "Whatever")), "--source", "app")
    assert (landed.code, landed.err) == (0, "")


def test_contracts_of_a_programme_that_is_off_make_nothing_unknown(own: Installation) -> None:
    for path in (own.project_dir / "contracts" / "events").glob("*.yml"):
        if "programme: saas" in path.read_text():
            path.unlink()
    assert known_names(own.settings) == frozenset()


def test_the_nearest_name_is_the_same_word_first_and_a_similar_one_else() -> None:
    known = {"trial_started", "trial_start", "signed_up"}
    assert unknown_names(["Trial_Started", "trial-started", "signedup", "signed_in", "zzz", "signed_up"], known) == {
        "Trial_Started": "trial_started",
        "trial-started": "trial_started",
        "signedup": "signed_up",
        "signed_in": "signed_up",
        "zzz": None,
    }
    assert in_words("Trial_Started", "trial_started") == (
        "`Trial_Started`: did you mean `trial_started`? Names are case-sensitive"
    )
    assert unknown_names(["Opened `home` pag"], ["Opened `home` page"]) == {"Opened `home` pag": "Opened `home` page"}
    assert in_words("signedup", "signed_up") == "`signedup`: did you mean `signed_up`?"


@pytest.mark.torture
def test_land_lands_an_unknown_event_and_says_which_name_was_meant(own: Installation) -> None:
    done = call(own, "land", str(file(own, "Trial_Started", "trial_started", "trial_started")), "--source", "app")
    assert done.out.startswith("3 lines read = 3 landed")
    assert "`Trial_Started`: did you mean `trial_started`? Names are case-sensitive" in done.err
    again = call(own, "land", str(file(own, "signed_up", name="b.jsonl")), "--source", "app", "--json")
    assert again.json["unknown_events"] == []


@pytest.mark.torture
def test_events_lists_what_landed_what_is_promised_and_what_is_unknown(own: Installation) -> None:
    contract(own, "paid", "on_breach: quarantine\nproperties: {x: {type: integer, required: true}}\n")
    path = file(own, "paid", "Trial_Started", "trial_started")
    landed = call(own, "land", str(path), "--source", "app", "--json").json
    assert (landed["landed"], landed["quarantined"], landed["reasons"]) == (2, 1, {"contract_broken": 1})
    found = call(own, "events", "--json").json
    rows = {row["event"]: row for row in found["events"]}
    assert rows["paid"]["quarantined"] == 1
    assert rows["paid"]["events"] == 0
    assert rows["trial_started"]["sources"] == {"app": 1}
    assert rows["trial_started"]["contract"] == "contracts/events/trial_started.yml"
    assert rows["trial_started"]["warned"] == 1, "one event, though it breaks two rules"
    assert rows["trial_started"]["unknown"] is None
    assert rows["trial_started"]["first_at"] == "2026-10-01T08:00:00Z"
    assert "did you mean `trial_started`" in rows["Trial_Started"]["unknown"]
    assert rows["signed_up"]["last_at"] is None
    assert [(row["event"], row["property"], row["source"]) for row in found["breaches"]] == [
        ("paid", "x", "app"),
        ("trial_started", "plan", "app"),
        ("trial_started", "trial_ends_at", "app"),
    ]
    shown = call(own, "events").out
    assert "Contracts broken" in shown


@pytest.mark.torture
def test_infer_shows_drafts_and_writes_them_when_it_is_told_to(own: Installation) -> None:
    call(own, "land", str(file(own, "paid", "trial_started")), "--source", "app")
    path = own.project_dir / "contracts" / "events" / "paid.yml"
    shown = call(own, "contracts", "infer")
    assert shown.out.startswith("# contracts/events/paid.yml\n# A draft, from 1 events of app")
    assert not path.exists()
    written = call(own, "contracts", "infer", "--write")
    assert written.out == "contracts/events/paid.yml: written\n"
    assert call(own, "contracts", "infer", "--write").out == "No event without a contract has landed.\n"
    assert call(own, "contracts", "infer", "paid", "--write").out.endswith("is there, and was left as it is\n")
    assert "# A draft" in call(own, "contracts", "infer", "paid").out
    assert call(own, "contracts", "infer", "piad").code == 1


def test_a_campaign_that_asks_for_a_name_nearly_that_of_a_contract_is_noticed(own: Installation) -> None:
    path = own.project_dir / "campaigns" / "onboarding" / "campaign.yml"
    path.write_text(path.read_text().replace("event: signed_up", "event: Signed_Up", 1))
    shelf = load_campaigns(own.project_dir, strict=False)
    (notice,) = campaign_notices(shelf, active_events(own.settings))
    assert notice.path == "campaigns/onboarding/campaign.yml"
    assert notice.line is not None
    assert "the event has no contract. `Signed_Up`: did you mean `signed_up`? Names are case-sensitive" in str(notice)


# -- late ------------------------------------------------------------------------------------------------------------


def limit(own: Installation, slug: str) -> int | None:
    definitions = load_definitions(own.settings)
    late: int | None = campaign_spec(definitions.campaigns[slug], definitions.late).definition["trigger"]["late"]
    return late


def test_of_two_limits_of_lateness_the_stricter_counts(own: Installation) -> None:
    path = own.project_dir / "campaigns" / "onboarding" / "campaign.yml"
    before = load_definitions(own.settings)
    assert limit(own, "onboarding") == 3 * 86_400
    contract(own, "signed_up", "summary: x\nlate: 6h\n")
    assert limit(own, "onboarding") == 6 * 3_600
    after = load_definitions(own.settings)
    assert after.fingerprint != before.fingerprint
    assert after.campaigns["onboarding"].version == before.campaigns["onboarding"].version
    (notice,) = late_notices(load_campaigns(own.project_dir, strict=False), active_events(own.settings))
    assert "longer than that of `signed_up`" in str(notice)

    contract(own, "signed_up", "summary: x\nlate: 9d\n")
    assert limit(own, "onboarding") == 3 * 86_400
    assert late_notices(load_campaigns(own.project_dir, strict=False), active_events(own.settings)) == []
    path.write_text(path.read_text().replace("late: 3d", "# late: 3d"))
    assert limit(own, "onboarding") == 9 * 86_400
    contract(own, "signed_up", "summary: x\n")
    assert limit(own, "onboarding") is None


def test_a_contract_without_a_limit_changes_no_plan(own: Installation) -> None:
    before = load_definitions(own.settings)
    contract(own, "signed_up", "summary: another\non_breach: quarantine\nproperties: {x: {type: string}}\n")
    after = load_definitions(own.settings)
    assert after.fingerprint == before.fingerprint
    assert after.late == {} == before.late
    contract(own, "signed_up", "summary: x\nlate: 1h\nprogramme: commerce\n")
    assert load_definitions(own.settings).late == {}
    contract(own, "signed_up", "summary: x\nlate: 1h\nprogramme: saas\n")
    assert load_definitions(own.settings).late == {"signed_up": timedelta(hours=1)}


@pytest.mark.torture
def test_what_new_loads_broke_is_said_by_plan_run_and_report_and_no_more_afterwards(
    company: Company, tmp_path: Path
) -> None:
    installation = company.copy(tmp_path / "data")
    moment = first_run_at(company.sample) + timedelta(hours=2)
    before = clock.iso(moment - timedelta(hours=1))
    body = {"plan": "canary@example.com", "trial_ends_at": 5}
    lines = [event(messageId=f"new-{n}", event="trial_started", timestamp=before, properties=body) for n in range(3)]
    path = tmp_path / "broken.jsonl"
    path.write_bytes(b"\n".join(map(compact, lines)) + b"\n")
    installation.drop(path)

    made = call(installation, "plan", "--as-of", clock.iso(moment))
    assert made.code == 0, made.err
    said = "contracts broken in new loads: 3 times by events that landed, 0 by events kept out"
    words = "trial_started.trial_ends_at is not a time such as 2026-01-31T09:00:00Z: 3 from app"
    assert f"{said} ({words})" in made.out
    ran = spine.run(installation.settings, moment)
    counted = {"event": "trial_started", "property": "trial_ends_at", "source": "app", "warned": 3, "quarantined": 0}
    assert [{key: row[key] for key in counted} for row in ran.document()["contract_breaches"]] == [counted]
    again = call(installation, "run", "--as-of", clock.iso(moment))
    assert "contracts broken" not in again.out

    html = write(installation.settings).read_text(encoding="utf-8")
    rows = html.partition("Events that broke their contract")[2].partition("</table>")[0]
    assert "<td>trial_ends_at</td><td>is not a time such as 2026-01-31T09:00:00Z</td><td>app</td>" in rows
    assert "canary" not in made.out + made.err + again.out + again.err + html
