"""The telehealth programme is health data: where it may go, and what says so before anything is applied."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tailrace.checks import check_project
from tailrace.pipeline import spine
from tailrace.planning.store import Store
from tailrace.settings import Settings
from tailrace.warehouse import runner
from tests.installation import PROJECT, Installation, at, call, read_before
from tests.programmes.test_telehealth import CAMPAIGNS

RELAY = "type: smtp, host: mail.example.com, port: 587, security: starttls, from: Acme <hello@example.com>"
SENT_BY = "stg_landing__intents.campaign → "


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A project with all programmes on, which dbt has read. Only to be copied."""
    root = tmp_path_factory.mktemp("all-on")
    shutil.copytree(PROJECT, root / "project", ignore=shutil.ignore_patterns("target", "logs"))
    path = root / "project" / "dbt_project.yml"
    programmes = "  programmes: [saas, commerce, telehealth]"
    text, found = re.subn(r"(?m)^  programmes: .*$", programmes, path.read_text(encoding="utf-8"))
    assert found == 1
    path.write_text(text, encoding="utf-8")
    settings = Settings(data_dir=root / "data", project_dir=root / "project")
    runner.parse(settings)
    return settings


@pytest.fixture
def clinic(read: Settings, tmp_path: Path) -> Installation:
    """All programmes on, everything goes to the outbox, nothing has landed."""
    shutil.copytree(read.project_dir, tmp_path / "project")
    installation = Installation(tmp_path / "data", tmp_path / "project")
    read_before(installation.settings, read)
    return installation


@pytest.fixture
def mails(clinic: Installation) -> Callable[[str], None]:
    """Send mail to a relay with these settings, syncs to a webhook."""

    def go(relay: str) -> None:
        text = (
            f"connections:\n  outbox: {{type: outbox}}\n  relay: {{{relay}}}\n"
            "  crm_webhook: {type: webhook, url: 'https://crm.example.com/hook', secret_env: NOT_SET}\n"
            "channels: {email: relay, webhook: crm_webhook, slack: outbox, sms: outbox, push: outbox}\n"
        )
        (clinic.project_dir / "destinations.yml").write_text(text, encoding="utf-8")

    return go


def problems(installation: Installation) -> list[str]:
    return [str(problem) for problem in check_project(installation.settings, (), {}).problems]


@pytest.mark.torture
def test_nothing_leaves_by_the_outbox_so_it_needs_no_contract(clinic: Installation) -> None:
    assert problems(clinic) == []


@pytest.mark.torture
def test_a_destination_with_a_contract_may_have_it(clinic: Installation, mails: Callable[[str], None]) -> None:
    mails(RELAY + ", baa: true")
    assert problems(clinic) == []


def test_without_one_each_campaign_of_the_programme_is_refused_with_the_way_and_no_other(
    clinic: Installation, mails: Callable[[str], None]
) -> None:
    mails(RELAY)
    found = problems(clinic)
    refused = {match[1] for text in found if (match := re.search(r"campaign `(\w+)` is health data", text))}
    assert refused == CAMPAIGNS
    assert len(found) == len(CAMPAIGNS)
    (refill,) = [text for text in found if "`care_refill`" in text]
    assert refill.startswith(
        "campaigns/care_refill/campaign.yml:7: campaign `care_refill` is health data and goes to `relay`"
    )
    way = "campaign care_refill → segment seg_refill_due_7d → fct_fills → fct_care_events (marked in models/core/"
    assert way in refill
    (after,) = [text for text in found if "`care_visit_after`" in text]
    assert "campaign care_visit_after → event visit_completed (contracts/events/visit_completed.yml)" in after
    (before,) = [text for text in found if "`care_visit_before`" in text]
    assert "campaign care_visit_before → segment seg_visits_tomorrow (marked in" in before


@pytest.mark.torture
def test_a_sync_of_it_and_a_message_that_prints_it_are_refused(
    clinic: Installation, mails: Callable[[str], None]
) -> None:
    mails(RELAY + ", baa: true")
    sync = clinic.project_dir / "models" / "syncs" / "sync_webhook__patients.sql"
    sync.write_text(
        "-- One row per person whose supply ends.\n{{ config(meta={'owner': 'a', 'destination': 'crm_webhook',"
        " 'target': 'x', 'mode': 'mirror', 'keys': ['user_id']}) }}\n\nselect people.user_id\nfrom"
        " {{ ref('dim_people') }} as people\ninner join {{ ref('seg_refill_due_7d') }} as due using (person_id)\n",
        encoding="utf-8",
    )
    core = clinic.project_dir / "models" / "core" / "_core.yml"
    text = core.read_text(encoding="utf-8")
    described = "    description: One row per person known at as_of.\n"
    assert text.count(described) == 1
    column = "    columns:\n      - name: company\n        meta: {sensitivity: health}\n"
    core.write_text(text.replace(described, described + column), encoding="utf-8")
    found = problems(clinic)
    assert [text for text in found if "dim_people.company" not in text] == [
        text for text in found if text.startswith("models/syncs/sync_webhook__patients.sql:2: sync")
    ]
    way = "sync sync_webhook__patients → seg_refill_due_7d → fct_fills → fct_care_events (marked in"
    assert any(way in text for text in found)

    # The relay's contract ends: whoever prints the marked column is named where it does, others go on.
    mails(RELAY)
    without = problems(clinic)
    welcome = [text for text in without if "campaign `onboarding`" in text]
    assert len(welcome) == 1
    assert (
        "campaign onboarding → message need_a_hand → dim_people.company (marked in models/core/_core.yml)" in welcome[0]
    )
    assert not [text for text in without if "campaign `renewal_reminder`" in text]


@pytest.mark.torture
def test_where_it_is_health_data_to_be_a_person_every_campaign_is_and_where_an_address_is_its_channel(
    clinic: Installation, mails: Callable[[str], None]
) -> None:
    mails(RELAY)
    core = clinic.project_dir / "models" / "core"
    others = {path.parent.name for path in (clinic.project_dir / "campaigns").glob("*/campaign.yml")} - CAMPAIGNS
    described = "    description: One row per person known at as_of.\n"
    kept = (core / "_core.yml").read_text(encoding="utf-8")
    column = "    columns:\n      - name: email\n        meta: {sensitivity: health}\n"
    (core / "_core.yml").write_text(kept.replace(described, described + column), encoding="utf-8")
    (onboarding,) = [text for text in problems(clinic) if "campaign `onboarding`" in text]
    assert "campaign onboarding → message first_project → dim_people.email (marked in models/core/_core" in onboarding

    (core / "_core.yml").write_text(kept, encoding="utf-8")
    features = core / "dim_person_features.sql"
    text, marked = features.read_text(encoding="utf-8"), "{{ config(meta={'sensitivity': 'health'}) }}\n"
    features.write_text(marked + text, encoding="utf-8")
    found = "\n".join(problems(clinic))
    assert "campaign `onboarding`" not in found, "it asks for nothing that people did"
    features.write_text(text, encoding="utf-8")
    people = core / "dim_people.sql"
    people.write_text(marked + people.read_text(encoding="utf-8"), encoding="utf-8")
    found = "\n".join(problems(clinic))
    for slug in sorted(others):
        assert f"campaign {slug} → " in found, slug
    assert "campaign onboarding → dim_people (marked in models/core/dim_people.sql:1)" in found


@pytest.mark.torture
def test_where_it_is_health_data_whose_object_is_whose_a_campaign_to_the_people_of_objects_is(
    clinic: Installation, mails: Callable[[str], None]
) -> None:
    mails(RELAY)
    campaign = clinic.project_dir / "campaigns" / "account_growth" / "campaign.yml"
    text, found = re.subn(
        r"(?m)^trigger: .*$", "trigger: {object: account, event: project_created}", campaign.read_text(encoding="utf-8")
    )
    assert found == 1
    campaign.write_text(text, encoding="utf-8")
    assert not [text for text in problems(clinic) if "campaign `account_growth`" in text]
    belongs = clinic.project_dir / "models" / "core" / "fct_object_people.sql"
    text = belongs.read_text(encoding="utf-8")
    belongs.write_text("{{ config(meta={'sensitivity': 'health'}) }}\n" + text, encoding="utf-8")
    (refused,) = [text for text in problems(clinic) if "campaign `account_growth`" in text]
    assert "campaign account_growth → fct_object_people (marked in models/core/fct_object_people.sql" in refused


@pytest.mark.torture
def test_what_a_campaign_of_the_programme_did_is_health_data_too(
    clinic: Installation, mails: Callable[[str], None]
) -> None:
    mails(RELAY + ", baa: true")
    config = (
        "{{ config(meta={'owner': 'a', 'destination': 'crm_webhook', 'target': 'x', 'mode': 'mirror',"
        " 'keys': ['person_id']}) }}\n\n"
    )
    people = "select person_id from {{ ref('dim_people') }} as people where "
    syncs = {
        "history": "select person_id, max(campaign) as last_campaign from {{ ref('fct_sends') }} group by person_id",
        "reminded": people + "{{ received(campaign='care_refill') }}",
        "read": people + "{{ opened(campaign='care_refill') }}",
        "won_back": people + "{{ received(campaign='winback') }}",
        "busy": "select person_id, n_sent from {{ ref('dim_engagement') }}",
        "staged": "select person_id, onboarding_stage from {{ ref('dim_people') }}",
    }
    for name, sql in syncs.items():
        path = clinic.project_dir / "models" / "syncs" / f"sync_webhook__{name}.sql"
        path.write_text("-- One row per person.\n" + config + sql + "\n", encoding="utf-8")

    def refused() -> dict[str, str]:
        found = [
            re.search(r"sync `sync_webhook__(\w+)` is health data.*?: (sync .*);", text) for text in problems(clinic)
        ]
        return {match[1]: match[2] for match in found if match}

    ways = refused()
    assert ways.keys() == {"history", "reminded", "read"}
    sent = f"what campaigns that are health data sent ({', '.join(sorted(CAMPAIGNS))})"
    assert ways["history"] == f"sync sync_webhook__history.last_campaign → fct_sends.campaign → {SENT_BY}{sent}"
    assert ways["read"] == f"sync sync_webhook__read → fct_receipts.campaign → {SENT_BY}{sent}"

    # Whoever is health data and changes an attribute of people makes it health data.
    path = clinic.project_dir / "campaigns" / "care_refill" / "campaign.yml"
    text = path.read_text(encoding="utf-8")
    assert text.count("\nsteps:\n") == 1
    path.write_text(text.replace("\nsteps:\n", "\nsteps:\n  - update: {onboarding_stage: refill}\n"), encoding="utf-8")
    ways = refused()
    assert ways.keys() == {"history", "reminded", "read", "staged"}
    assert ways["staged"].startswith("sync sync_webhook__staged.onboarding_stage → dim_people.onboarding_stage → ")
    assert ways["staged"].endswith("what campaigns that are health data changed (onboarding_stage)")


@pytest.mark.torture
def test_plan_and_run_refuse_before_anything_is_made(clinic: Installation, mails: Callable[[str], None]) -> None:
    mails(RELAY)
    for command in ("plan", "run"):
        done = call(clinic, command, "--as-of", "2026-03-01")
        assert done.code == 2
        assert "campaign care_refill → segment seg_refill_due_7d → fct_fills → fct_care_events" in done.err
    assert not clinic.settings.warehouse.exists()
    assert Store(clinic.settings).head() is None


@pytest.fixture
def drafts(clinic: Installation, mails: Callable[[str], None]) -> Installation:
    """Where each campaign of the programme would go to a relay without a contract, and is a draft."""
    mails(RELAY)
    for slug in CAMPAIGNS:
        path = clinic.project_dir / "campaigns" / slug / "campaign.yml"
        path.write_text(path.read_text(encoding="utf-8").replace("status: live", "status: draft"), encoding="utf-8")
    return clinic


@pytest.mark.torture
def test_check_speaks_of_a_draft_though_it_sends_nothing(drafts: Installation) -> None:
    assert len(problems(drafts)) == len(CAMPAIGNS)


@pytest.mark.torture
def test_a_draft_stops_no_plan(drafts: Installation) -> None:
    assert call(drafts, "plan", "--as-of", "2026-03-01").code == 0


@pytest.mark.torture
def test_a_plan_made_for_the_outbox_is_neither_applied_nor_delivered_for_a_relay(
    clinic: Installation, mails: Callable[[str], None]
) -> None:
    mails("type: outbox")
    made = spine.plan(clinic.settings, at("2026-03-01"))
    mails(RELAY)
    done = call(clinic, "apply", str(made.plan_id))
    assert done.code == 2
    assert "`care_refill` is health data" in done.err
    assert Store(clinic.settings).head() is None
    mails(RELAY + ", baa: true")
    assert call(clinic, "apply", str(made.plan_id)).code == 0
    # The contract ends while messages may wait.
    mails(RELAY)
    done = call(clinic, "deliver", "--as-of", "2026-03-01")
    assert done.code == 2
    assert "`care_refill` is health data and goes to `relay`" in done.err
    mails(RELAY + ", baa: true")
    assert call(clinic, "deliver", "--as-of", "2026-03-01").code == 0
