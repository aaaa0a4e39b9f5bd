from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tailrace.campaigns.shelf import load_campaigns
from tailrace.checks.programme_names import programme_notices
from tailrace.landing.taxonomy import load_events
from tests.installation import PROJECT, Installation, call


@pytest.fixture
def own(tmp_path: Path) -> Installation:
    """An installation without data, whose project may be changed."""
    shutil.copytree(PROJECT, tmp_path / "project", ignore=shutil.ignore_patterns("target", "logs"))
    return Installation(tmp_path / "data", tmp_path / "project")


def noticed(own: Installation) -> list[str]:
    shelf = load_campaigns(own.project_dir, strict=False)
    return [str(each) for each in programme_notices(own.project_dir, shelf, load_events(own.settings))]


@pytest.mark.parametrize(
    ("path", "before", "after"),
    [
        ("contracts/events/signed_up.yml", "programme: saas", "programme: sass"),
        ("campaigns/onboarding/campaign.yml", "programme: saas", "programme: sass"),
        ("dbt_project.yml", "programmes: [saas]", "programmes: [sass]"),
    ],
)
def test_a_programme_that_is_nearly_called_as_one_of_the_models_is_noticed(
    path: str, before: str, after: str, own: Installation
) -> None:
    assert noticed(own) == []
    file = own.project_dir / path
    text = file.read_text()
    assert before in text
    file.write_text(text.replace(before, after, 1))
    line = 1 + text[: text.index(before)].count("\n")
    assert noticed(own) == [f"{path}:{line}: no model is of the programme `sass`. Did you mean `saas`?"]


def test_a_programme_of_ones_own_needs_no_model(own: Installation) -> None:
    (own.project_dir / "contracts" / "events" / "mine.yml").write_text("summary: x\nprogramme: academy\n")
    assert noticed(own) == []


@pytest.mark.torture
def test_check_says_so(own: Installation) -> None:
    (own.project_dir / "contracts" / "events" / "mine.yml").write_text("summary: x\nprogramme: Telehealth\n")
    done = call(own, "check")
    assert done.code == 0
    assert "mine.yml:2: no model is of the programme `Telehealth`. Did you mean `telehealth`?" in done.err + done.out
