"""dbt's lineage runs to where data goes, and what is written for it breaks no run."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tailrace.errors import DefinitionError
from tailrace.pipeline import exposures
from tailrace.pipeline.checking import check
from tailrace.settings import Settings
from tailrace.warehouse import preview
from tailrace.warehouse.catalog import read_manifest
from tests.conftest import Company
from tests.installation import PROJECT, Installation

pytestmark = pytest.mark.slow

SYNC = "sync_webhook__power_users"


@pytest.fixture(scope="module")
def written(company: Company, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """An empty installation with a project of its own in which exposures were written, and dbt has read them."""
    root = tmp_path_factory.mktemp("exposed")
    shutil.copytree(PROJECT, root / "project", ignore=shutil.ignore_patterns("target", "logs"))
    made = Installation(company.empty(root / "data").data_dir, root / "project")
    exposures.write(made.settings)
    preview.refresh(made.settings)
    return made


@pytest.fixture
def own(written: Installation, tmp_path: Path) -> Settings:
    """A copy of it, to be edited."""
    shutil.copytree(written.project_dir, tmp_path / "project")
    return written.copy(tmp_path / "data", tmp_path / "project").settings


def edit(settings: Settings, path: str, old: str, new: str) -> None:
    file = settings.project_dir / path
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")


@pytest.mark.torture
def test_dbt_knows_an_exposure_for_each_campaign_and_sync_and_what_it_stands_on(written: Installation) -> None:
    known: dict[str, Any] = read_manifest(written.settings)["exposures"]
    onboarding = known["exposure.tailrace.campaign_onboarding"]
    sync = known[f"exposure.tailrace.{SYNC}"]
    growth = known["exposure.tailrace.campaign_account_growth"]

    files = {path.parent.name: path.read_text() for path in PROJECT.glob("campaigns/*/campaign.yml")}
    live = {slug for slug, text in files.items() if "programme: saas" in text}
    assert {name.rpartition("campaign_")[2] for name in known if "campaign_" in name} == live
    assert onboarding["owner"]["email"] == "growth@example.com"
    assert {"model.tailrace.dim_people", "model.tailrace.fct_events"} <= set(onboarding["depends_on"]["nodes"])
    assert "model.tailrace.seg_accounts_ready_for_sales" in growth["depends_on"]["nodes"]
    assert sync["depends_on"]["nodes"] == [f"model.tailrace.{SYNC}"]
    assert sync["config"]["meta"]["destination"] == "crm_webhook"
    assert (sync["type"], sync["url"]) == ("application", None)


@pytest.mark.torture
def test_the_same_project_gives_the_same_file_and_an_edit_makes_it_stale(own: Settings) -> None:
    path = own.project_dir / exposures.FILE
    before = path.read_bytes()
    again = exposures.write(own)
    fresh = [notice for notice in check(own).notices if notice.path == exposures.FILE]
    edit(own, "campaigns/onboarding/campaign.yml", "purpose: Bring", "purpose: Lead {{ them }} and bring")

    (notice,) = [notice for notice in check(own).notices if notice.path == exposures.FILE]

    assert (again.is_new, path.read_bytes(), fresh) == (False, before, [])
    assert "`tailrace exposures`" in notice.message
    assert exposures.write(own).is_new
    preview.refresh(own)
    said = read_manifest(own)["exposures"]["exposure.tailrace.campaign_onboarding"]["description"]
    assert said.startswith("Lead { { them }} and bring")


def test_without_the_file_nothing_is_stale(own: Settings) -> None:
    (own.project_dir / exposures.FILE).unlink()

    assert not exposures.is_stale(own)


@pytest.mark.torture
def test_a_programme_that_is_switched_off_takes_its_exposures_along(own: Settings) -> None:
    edit(own, "dbt_project.yml", "programmes: [saas]", "programmes: [commerce]")

    preview.refresh(own)

    assert read_manifest(own)["exposures"] == {}


@pytest.mark.torture
def test_a_model_that_goes_breaks_the_project_until_they_are_written_again(own: Settings) -> None:
    (own.project_dir / f"models/syncs/{SYNC}.sql").unlink()
    with pytest.raises(DefinitionError, match=r"models/exposures/tailrace\.yml"):
        preview.refresh(own)

    done = exposures.write(own)

    preview.refresh(own)
    named = {each["name"] for each in YAML(typ="safe").load(done.path.read_text(encoding="utf-8"))["exposures"]}
    assert (done.syncs, SYNC in named) == (0, False)


@pytest.mark.torture
def test_a_project_that_is_broken_elsewhere_keeps_the_file(own: Settings) -> None:
    path = own.project_dir / exposures.FILE
    before = path.read_bytes()
    (own.project_dir / "models/segments/seg_power_users.sql").write_text("{{ ref('nowhere') }}", encoding="utf-8")

    with pytest.raises(DefinitionError):
        exposures.write(own)

    assert path.read_bytes() == before
