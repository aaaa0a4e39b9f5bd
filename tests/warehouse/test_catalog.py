from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tailrace.errors import BuildError, TailraceError
from tailrace.settings import Settings
from tailrace.warehouse import runner
from tailrace.warehouse.catalog import Catalog, normalise, project_fingerprint, read_catalog
from tests.warehouse.cast import PROJECT
from tests.warehouse.conftest import Built

Edit = Callable[[dict[str, Any], Path], None]


@pytest.fixture
def after(cast: Built, tmp_path: Path) -> Callable[[Edit], Catalog]:
    """Return the catalog as it is once `edit` has changed the manifest or a copy of the project."""

    def read(edit: Edit) -> Catalog:
        settings = Settings(data_dir=tmp_path / "data", project_dir=tmp_path / "project")
        shutil.copytree(PROJECT, settings.project_dir)
        manifest = json.loads(runner.manifest_path(cast.settings).read_bytes())
        edit(manifest, settings.project_dir)
        runner.manifest_path(settings).parent.mkdir(parents=True)
        runner.manifest_path(settings).write_text(json.dumps(manifest))
        return read_catalog(settings)

    return read


def model(name: str, old: str, new: str) -> Edit:
    def edit(manifest: dict[str, Any], _: Path) -> None:
        node = manifest["nodes"][f"model.tailrace.{name}"]
        assert old in node["raw_code"]
        node["raw_code"] = node["raw_code"].replace(old, new)

    return edit


def macro(name: str, old: str, new: str) -> Edit:
    def edit(manifest: dict[str, Any], _: Path) -> None:
        entry = manifest["macros"][f"macro.tailrace.{name}"]
        assert old in entry["macro_sql"]
        entry["macro_sql"] = entry["macro_sql"].replace(old, new)

    return edit


def variable(old: str, new: str) -> Edit:
    def edit(_: dict[str, Any], project: Path) -> None:
        path = project / "dbt_project.yml"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    return edit


def moved(cast: Built, after: Catalog) -> set[str]:
    before = read_catalog(cast.settings)
    return {
        name
        for kind in ("segments", "object_segments", "syncs")
        for name, entry in getattr(after, kind).items()
        if entry.fingerprint != getattr(before, kind)[name].fingerprint
    }


ALL = {
    *("seg_activated", "seg_at_risk", "seg_beta_testers", "seg_churned_winback_eligible", "seg_dormant_30d"),
    *("seg_new_signups_not_activated", "seg_power_users", "seg_renewal_due_7d", "seg_reports_exported_often"),
    *("seg_trial_ending", "seg_usage_dropped", "sync_webhook__power_users"),
    *("seg_low_usage_14d", "seg_sales_assisted", "seg_high_value_accounts", "seg_accounts_ready_for_sales"),
}


@pytest.mark.parametrize(
    "edit",
    [
        model("seg_power_users", "-- One row", "-- Exactly one row"),
        model("seg_power_users", "where ", "{# it's enough #} where /* who's there */ "),
        model("seg_power_users", "    and ", "\n\n\t and   "),
        model("seg_power_users", "Used on 12 of 30 days", "Often here"),
        model("dim_people", "-- Latest value", "-- The latest value"),
        model("fct_consent_statements", """() }}")""", """() }}", meta={'owner': 'x'})"""),
        macro("duckdb__json_text", "    json", "  json"),
        variable("  # Whole days without use", "  # Days without use"),
        variable("vars:", "vars:\n  unused: 3"),
    ],
    ids=[
        "comment",
        "inner comment",
        "white space",
        "summary",
        "ancestor's comment",
        "config after a hook",
        "macro's space",
        "yaml",
        "unused var",
    ],
)
def test_what_decides_nothing_moves_no_fingerprint(cast: Built, after: Callable[[Edit], Catalog], edit: Edit) -> None:
    assert moved(cast, after(edit)) == set()


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (model("seg_power_users", ">= 40", ">= 41"), {"seg_power_users", "sync_webhook__power_users"}),
        (
            variable("saas_dormant_days: 30", "saas_dormant_days: 31"),
            {"seg_at_risk", "seg_dormant_30d", "seg_churned_winback_eligible"},
        ),
        (
            variable("saas_activation_event: project_created", "saas_activation_event: x"),
            ALL - {"seg_sales_assisted"},
        ),
        (macro("_performed", "event_at <=", "event_at <"), {"seg_reports_exported_often", "seg_trial_ending"}),
        (
            macro("duckdb__parse_time", "'____-%'", "'____%'"),
            ALL - {"seg_activated", "seg_power_users", "seg_sales_assisted"},
        ),
        (
            macro("ago", "second|minute", "minute"),
            {"seg_new_signups_not_activated", "seg_activated", "seg_churned_winback_eligible"}
            | {"seg_reports_exported_often", "seg_trial_ending"},
        ),
        (model("stg_landing__events", "nullif(user_id, '')", "user_id"), ALL),
        (model("seg_trial_ending", "'trial'", "'tr  ial'"), {"seg_trial_ending"}),
        (model("seg_trial_ending", "'trial'", "'tr--ial'"), {"seg_trial_ending"}),
    ],
    ids=[
        "own SQL",
        "var",
        "var far up",
        "macro",
        "dialect macro",
        "macro in a macro",
        "ancestor",
        "in a string",
        "no comment",
    ],
)
def test_what_decides_membership_moves_the_fingerprints_below_it(
    cast: Built, after: Callable[[Edit], Catalog], edit: Edit, expected: set[str]
) -> None:
    assert moved(cast, after(edit)) == expected


def test_a_seed_that_changes_moves_the_segments_that_read_it(cast: Built, after: Callable[[Edit], Catalog]) -> None:
    def edit(manifest: dict[str, Any], _: Path) -> None:
        manifest["nodes"]["seed.tailrace.beta_testers"]["checksum"]["checksum"] = "other"

    assert moved(cast, after(edit)) == {"seg_beta_testers"}


def test_the_catalog_knows_segments_and_syncs_with_their_meta(cast: Built) -> None:
    catalog = read_catalog(cast.settings)
    assert catalog.segments.keys() | catalog.object_segments.keys() | catalog.syncs.keys() == ALL
    segment = catalog.segments["seg_usage_dropped"]
    assert segment.relation == "segments.seg_usage_dropped"
    assert segment.owner == "success@example.com"
    assert segment.summary == "Last 7 days below 40 % of their own usual week"
    assert segment.path == PROJECT / "models/segments/seg_usage_dropped.sql"
    assert segment.line == 3
    sync = catalog.syncs["sync_webhook__power_users"]
    assert (sync.destination, sync.target, sync.mode, sync.keys) == (
        "crm_webhook",
        "power_users",
        "mirror",
        ("user_id",),
    )
    assert sync.columns == ("user_id", "email", "first_name", "last_name", "plan", "n_usage_days_30d")
    assert sync.segments == ("seg_power_users",)
    assert {"dim_person_features", "fct_person_days", "fct_events", "stg_landing__events"} <= catalog.ancestors(
        "seg_power_users"
    )
    assert "dim_people" not in catalog.ancestors("seg_power_users")
    with pytest.raises(TailraceError, match="no model `seg_none`"):
        catalog.ancestors("seg_none")


def test_a_catalog_needs_dbt_to_have_read_the_project(settings: Settings) -> None:
    with pytest.raises(BuildError, match="dbt has not read the project yet"):
        read_catalog(settings)


def test_the_projects_fingerprint_moves_with_what_is_built_and_with_nothing_else(
    settings: Settings, project: Callable[[dict[str, str]], Path]
) -> None:
    own = replace(settings, project_dir=project({}))
    before = project_fingerprint(own)
    assert before == project_fingerprint(settings)
    for ignored in ("campaigns/hello/campaign.yml", "personas/new.yml", "policy.yml", "models/notes.txt"):
        path = own.project_dir / ignored
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("a: 1")
        assert project_fingerprint(own) == before
    for deciding in (
        "models/segments/seg_new.sql",
        "seeds/more.csv",
        "macros/more.sql",
        "tests/more.sql",
        "dbt_project.yml",
    ):
        path = own.project_dir / deciding
        path.write_text(path.read_text() + "\n" if path.exists() else "a")
        changed = project_fingerprint(own)
        assert changed != before
        before = changed


def test_normalising_keeps_strings_and_drops_the_rest() -> None:
    code = "select  a, -- it's\n 'b  -- c' /* x */ as \"d  e\" {# f #} from t where ( x = 'it''s' )"
    assert normalise(code) == "select a,'b  -- c' as \"d  e\" from t where(x = 'it''s')"
