"""`tailrace check` on attributes that nobody owns, in the shipped project and in a broken one."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from tailrace.checks import Findings, check_project
from tailrace.settings import Settings
from tailrace.warehouse.catalog import read_manifest
from tailrace.warehouse.graph import read_graph
from tests.installation import read_before
from tests.warehouse.cast import PROJECT
from tests.warehouse.conftest import Built

EVERYTHING = (
    *("email", "first_name", "last_name", "country", "timezone", "company", "created_at", "plan", "mrr", "billing"),
    *("renews_at", "trial_ends_at", "ends_at"),
)


ONBOARDING = "campaigns/onboarding/campaign.yml"


def own_project(cast: Built, root: Path) -> Settings:
    shutil.copytree(PROJECT, root / "project", ignore=shutil.ignore_patterns("target", "logs"))
    return read_before(Settings(data_dir=root / "data", project_dir=root / "project"), cast.settings)


@pytest.fixture
def own(cast: Built, tmp_path: Path) -> Settings:
    """A project of its own, which dbt has read before."""
    return own_project(cast, tmp_path)


@pytest.fixture(scope="module")
def found(cast: Built, tmp_path_factory: pytest.TempPathFactory) -> Findings:
    """What check finds when the application owns all but some attributes, and one that nobody has heard of.

    A campaign has a condition on the country, in the last line of its file.
    """
    settings = own_project(cast, tmp_path_factory.mktemp("lacking"))
    path = settings.project_dir / ONBOARDING
    text = path.read_text(encoding="utf-8")
    path.write_text(text + "filter: {where: \"plan = 'pro' and country = 'DE'\"}\n", encoding="utf-8")
    lacking = ("trial_ends_at", "last_name", "company", "email", "country")
    return owned(settings, *without(EVERYTHING, *lacking), "emial")


def owned(settings: Settings, *attributes: str) -> Findings:
    """Return what check finds when the application owns these attributes."""
    path = settings.project_dir / "contracts" / "sources" / "app.yml"
    path.write_text(f"format: segment\nowns:\n  attributes: [{', '.join(attributes)}]\n", encoding="utf-8")
    return check_project(settings, (), {})


def said(findings: Findings, about: str) -> list[str]:
    return [str(problem) for problem in findings.problems if about in str(problem)]


def without(attributes: Sequence[str], *gone: str) -> list[str]:
    return [name for name in attributes if name not in gone]


@pytest.mark.torture
def test_every_model_of_the_project_can_be_told_and_traced(cast: Built) -> None:
    """Else it would depend on everything, and the paths would say little."""
    graph = read_graph(cast.settings)
    names = {
        entry["name"] for entry in read_manifest(cast.settings)["nodes"].values() if entry["resource_type"] == "model"
    }
    assert names <= {model.name for model in graph.models.values()}
    assert [model.name for model in graph.models.values() if model.known.columns is None] == []


@pytest.mark.torture
def test_the_columns_that_are_traced_are_those_that_were_built(cast: Built) -> None:
    built = cast.ask(
        "select schema_name || '.' || table_name, list(column_name order by column_index) from duckdb_columns()"
        " where schema_name in ('core', 'segments', 'states', 'syncs', 'reports', 'staging') group by all"
    )
    graph = read_graph(cast.settings)
    assert len(built) > 30
    for relation, columns in built:
        assert list(graph.models[relation].known.columns or ()) == columns, relation


def way(name: str) -> str:
    """Return the way from the people to what they told."""
    kept = "int_person_profiles_as_of", "fct_person_facts"
    return " → ".join([*(f"{model}.{name}" for model in ("dim_people", *kept)), f"attribute {name}"])


@pytest.mark.torture
def test_while_no_source_owns_an_attribute_nothing_has_to_be_owned(own: Settings) -> None:
    assert check_project(own, (), {}).problems == []


@pytest.mark.torture
def test_with_an_owner_for_all_of_them_nothing_is_wrong(own: Settings) -> None:
    assert owned(own, *EVERYTHING).problems == []


def test_a_segment_and_a_sync_without_owner_are_named_with_file_line_and_way(found: Findings) -> None:
    (trial,) = said(found, "seg_trial_ending.sql")
    place, _, rest = trial.partition(": ")
    line = int(place.rpartition(":")[2])
    text = (PROJECT / "models/segments/seg_trial_ending.sql").read_text(encoding="utf-8")
    assert place.startswith("models/segments/seg_trial_ending.sql:")
    assert "config(" in text.splitlines()[line - 1]
    assert rest.startswith(
        "it depends on the attribute `trial_ends_at`, which no source owns: seg_trial_ending → dim_people."
    )
    assert " → fct_person_facts.trial_ends_at → attribute trial_ends_at; expected one source to name it" in rest
    (sync,) = [text for text in said(found, "sync_webhook__power_users.sql") if "`last_name`" in text]
    assert f"sync_webhook__power_users → {way('last_name')}" in sync
    # A segment that asks for neither is not among them.
    assert said(found, "seg_reports_exported_often.sql") == []


def test_a_templates_field_is_named_where_it_stands(found: Findings) -> None:
    (welcome,) = [text for text in said(found, "campaigns/onboarding/welcome.email.md") if "dim_people.company" in text]
    path, line, _ = welcome.split(":", 2)
    assert "customer.company" in (PROJECT / path).read_text(encoding="utf-8").splitlines()[int(line) - 1]
    assert f"campaign onboarding → {way('company')}" in welcome
    # Of what has an owner nobody is told.
    lacking = ("trial_ends_at", "last_name", "company", "email", "country")
    assert all(any(f"`{name}`" in str(problem) for name in lacking) for problem in found.problems)


def test_a_message_depends_on_the_address_that_it_goes_to(found: Findings) -> None:
    assert "dim_people.email" in said(found, "campaigns/onboarding/welcome.email.md:1:")[0]


@pytest.mark.torture
def test_a_text_message_depends_on_the_number_that_it_goes_to(own: Settings) -> None:
    people = own.project_dir / "models" / "core" / "dim_people.sql"
    text = people.read_text(encoding="utf-8")
    assert text.count("    profiles.company,\n") == 1
    people.write_text(text.replace("    profiles.company,\n", "    profiles.company as phone,\n"), encoding="utf-8")
    folder = own.project_dir / "campaigns" / "onboarding"
    (folder / "short.sms.txt").write_text("Welcome\n", encoding="utf-8")
    campaign = folder / "campaign.yml"
    campaign.write_text(campaign.read_text(encoding="utf-8") + "  - send: short\n", encoding="utf-8")
    found = owned(own, *without(EVERYTHING, "company"))
    (text_message,) = said(found, "campaigns/onboarding/short.sms.txt:1:")
    assert "campaign onboarding → dim_people.phone → " in text_message
    assert "`company`, which no source owns" in text_message


def test_a_condition_on_an_attribute_is_named_with_its_line(found: Findings) -> None:
    (condition,) = said(found, ONBOARDING)
    line = (PROJECT / ONBOARDING).read_text(encoding="utf-8").count("\n") + 1
    assert condition.startswith(f"{ONBOARDING}:{line}: ")
    assert f"campaign onboarding → {way('country')}" in condition


@pytest.mark.torture
def test_an_update_of_what_a_source_owns_is_refused_with_both_places(own: Settings) -> None:
    path = own.project_dir / "campaigns" / "onboarding" / "campaign.yml"
    text = path.read_text(encoding="utf-8")
    assert text.count("steps:\n") == 1
    path.write_text(
        text.replace("steps:\n", "steps:\n  - update: {onboarding_stage: nudged}\n    id: note\n"), encoding="utf-8"
    )
    assert owned(own, *EVERYTHING).problems == []
    found = owned(own, *EVERYTHING, "onboarding_stage")
    (wrong,) = said(found, "`update`")
    place = re.match(r"campaigns/onboarding/campaign.yml:(\d+): ", wrong)
    assert place is not None
    assert "update:" in path.read_text(encoding="utf-8").splitlines()[int(place[1]) - 1]
    assert "writes `onboarding_stage`, which source `app` owns (contracts/sources/app.yml:3)" in wrong
    assert "campaign onboarding → update → attribute onboarding_stage" in wrong


def test_an_owned_name_that_no_model_reads_is_noticed_with_the_nearest(found: Findings) -> None:
    assert said(found, "emial") == []
    assert [str(notice) for notice in found.notices if "emial" in str(notice)] == [
        "contracts/sources/app.yml:3: `emial` is owned, and no model reads it. Did you mean `email`?"
    ]


def test_two_owners_are_a_problem_of_check(own: Settings) -> None:
    crm = own.project_dir / "contracts" / "sources" / "crm.yml"
    crm.write_text("format: segment\nowns: {attributes: [email]}\n", encoding="utf-8")
    (wrong,) = owned(own, *EVERYTHING).problems
    assert wrong.path.endswith("crm.yml")
    assert wrong.line == 2
    assert "app.yml:3" in wrong.message


def test_what_is_said_is_json_able(found: Findings) -> None:
    assert json.dumps([str(problem) for problem in found.problems])
