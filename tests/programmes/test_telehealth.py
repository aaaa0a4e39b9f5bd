"""The telehealth programme on its own cast: who is in which segment and state, and dbt's unit tests of its models."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tailrace.campaigns.analysis import analyse
from tailrace.campaigns.shelf import load_campaigns
from tailrace.settings import Settings
from tailrace.warehouse import runner
from tailrace.warehouse.build import build
from tests.installation import PROJECT
from tests.warehouse.cast import land
from tests.warehouse.conftest import AS_OF, Built

SEGMENTS = {
    "seg_intake_not_completed": {"ines-intake"},
    "seg_intake_not_paid": {"piet-unpaid"},
    "seg_awaiting_review": {"rosa-review"},
    "seg_refill_due_7d": {"remo-refill", "pia-paced"},
    "seg_renewal_failed_active": {"fia-failed"},
    "seg_reactivation_eligible": {"lars-lapsed"},
}

CAMPAIGNS = {
    *("care_lead", "care_intake", "care_unpaid", "care_review", "care_visit_before", "care_visit_after"),
    *("care_payment", "care_refill", "care_return"),
}

STATES = {
    "lea-lead": "lead",
    "ines-intake": "intake",
    "jo-just-begun": "intake",
    "ada-again": "active",
    "piet-unpaid": "awaiting_payment",
    "rosa-review": "in_review",
    "remo-refill": "refill_due",
    "pia-paced": "refill_due",
    "stan-stopped": "active",
    "fia-failed": "active",
    "max-mended": "active",
    "lars-lapsed": "lapsed",
    "olaf-old": "lapsed",
    "emil-ended": "ended",
}

HISTORY = {
    "ada-again": [
        *("intake 2026-02-20 10:00:00", "awaiting_payment 2026-02-24 10:30:00", "in_review 2026-02-24 10:31:00"),
        "active 2026-02-25 10:00:00",
    ],
    "remo-refill": ["active 2026-02-04 10:00:00", "refill_due 2026-02-28 10:00:00"],
    "lars-lapsed": ["active 2025-09-01 10:00:00", "lapsed 2025-11-30 10:00:00"],
}


def telehealth_project(target: Path) -> Path:
    """Return a copy of the project in which telehealth alone is on."""
    shutil.copytree(PROJECT, target, ignore=shutil.ignore_patterns("target", "logs"))
    path = target / "dbt_project.yml"
    text, found = re.subn(r"(?m)^  programmes: .*$", "  programmes: [telehealth]", path.read_text(encoding="utf-8"))
    assert found == 1
    path.write_text(text, encoding="utf-8")
    return target


def personas() -> dict[str, list[dict[str, Any]]]:
    """Return the calls of everybody in the programme's cast, by user id."""
    yaml = YAML(typ="safe")
    found = [yaml.load(path) for path in sorted((PROJECT / "personas" / "telehealth").glob("*.yml"))]
    return {entry["name"]: entry["events"] for entry in found}


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    """The cast in a warehouse with the programme on. Only to be looked at."""
    folder = tmp_path_factory.mktemp("clinic")
    project = telehealth_project(folder / "project")
    settings = Settings(data_dir=folder / "data", project_dir=project)
    loads = (land(folder / "landing", [call for calls in personas().values() for call in calls]),)
    yield Built(settings, build(settings, AS_OF, loads), loads)
    shutil.rmtree(folder)


def test_everything_of_the_programme_is_built_and_nothing_of_the_others(clinic: Built) -> None:
    assert clinic.generation.failed == {}
    made = {name for (name,) in clinic.ask("select table_name from duckdb_tables()")}
    assert SEGMENTS.keys() <= made
    assert not {"fct_saas_states", "fct_commerce_states", "seg_trial_ending"} & made


@pytest.mark.parametrize("segment", SEGMENTS)
def test_each_segment_holds_the_personas_it_is_meant_for(clinic: Built, segment: str) -> None:
    assert clinic.members(segment) == SEGMENTS[segment]


def test_everybody_in_the_programme_is_in_one_state(clinic: Built) -> None:
    rows = clinic.ask(
        "select user_id, state from states.fct_telehealth_states join core.dim_people using (person_id)"
        " where ended_at is null"
    )
    assert len(rows) == len(STATES)
    assert dict(rows) == STATES


@pytest.mark.parametrize("user_id", HISTORY)
def test_a_persona_goes_through_states_at_the_seconds_expected(clinic: Built, user_id: str) -> None:
    rows = clinic.ask(
        "select state || ' ' || cast(started_at as varchar) from states.fct_telehealth_states"
        " join core.dim_people using (person_id) where user_id = ? order by started_at",
        user_id,
    )
    assert [text for (text,) in rows] == HISTORY[user_id]


def test_a_supply_of_which_nobody_said_how_long_it_lasts_lasts_as_the_earlier_ones_did(clinic: Built) -> None:
    rows = clinic.ask(
        "select supply_days, days_from from states.fct_fills join core.dim_people using (person_id)"
        " where user_id = 'pia-paced' and next_filled_at is null"
    )
    assert rows == [(21, "inferred")]


def test_a_visit_tomorrow_is_one_that_is_still_booked(clinic: Built) -> None:
    assert clinic.ask("select object_id from object_segments.seg_visits_tomorrow") == [("v-vera-1",)]


@pytest.mark.torture
def test_dbts_unit_tests_of_the_programme_pass(clinic: Built, tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, project_dir=clinic.settings.project_dir)
    shutil.copy(clinic.settings.warehouse, settings.warehouse)
    runner.write_profile(settings, [path for load in clinic.loads for path in load.parquet])
    selection = [f"path:models/{folder}/telehealth,test_type:unit" for folder in ("states", "segments")]
    code, said = runner._run(settings, ["test", "--select", *selection], AS_OF)
    assert code == 0, said
    results = json.loads((runner.directory(settings) / "target" / "run_results.json").read_bytes())["results"]
    assert len(results) == 9
    assert {result["status"] for result in results} == {"pass"}


def test_mail_carries_nothing_about_a_persons_health() -> None:
    """Mail is no channel for it: of a person's data a message may print a first name, and when something falls due."""
    shelf = load_campaigns(PROJECT)
    everything = {**shelf.campaigns, **shelf.off}
    campaigns = [campaign for campaign in everything.values() if campaign.programme == "telehealth"]
    assert {campaign.slug for campaign in campaigns} == CAMPAIGNS
    printed = set()
    for campaign in campaigns:
        for message in campaign.messages.values():
            found = analyse(message)
            printed |= found.required | found.optional
    assert printed == {
        # The key stands in the link that unsubscribes.
        ("customer", "person_id"),
        ("customer", "first_name"),
        ("segment", "has_failed_payment"),
        ("segment", "failed_at"),
        ("segment", "runs_out_at"),
        ("object", "visit_on"),
    }


def test_what_asks_is_marketing_and_what_tells_is_transactional() -> None:
    shelf = load_campaigns(PROJECT)
    everything = {**shelf.campaigns, **shelf.off}
    marketing = {slug for slug in CAMPAIGNS if everything[slug].klass == "marketing"}
    assert marketing == {"care_lead", "care_intake", "care_unpaid", "care_return"}
    for slug in CAMPAIGNS:
        layouts = {message.layout for message in everything[slug].messages.values()}
        assert layouts == {"care" if slug in marketing else "care_notice"}
