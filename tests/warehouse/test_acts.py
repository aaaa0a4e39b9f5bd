"""What campaigns set and list is in the warehouse, as of its instant; what tailrace lands makes nobody a person."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tailrace import clock, ids
from tailrace.journal.readings import MIRRORS
from tailrace.warehouse.build import build
from tests.installation import read_before
from tests.warehouse.cast import land, track
from tests.warehouse.conftest import AS_OF, Built, on_time

NOW = clock.naive(AS_OF)
BEFORE, AFTER = NOW - timedelta(days=1), NOW + timedelta(seconds=1)


def acts_file(folder: Path, *acts: tuple[str, str, str, str | None, datetime]) -> Path:
    rows = [
        {
            "seq": seq,
            "intent_id": f"i{seq}",
            "plan_id": "p1",
            "person_id": ids.person_id(user),
            "campaign": "onboarding",
            "step": "nudge",
            "kind": kind,
            "name": name,
            "value": value,
            "acted_at": at,
        }
        for seq, (user, kind, name, value, at) in enumerate(acts, 1)
    ]
    path = folder / f"acts-1-{len(rows)}.parquet"
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=MIRRORS["acts"]), path)
    return path


@pytest.fixture(scope="module")
def built(cast: Built, tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("acts")
    settings = read_before(replace(cast.settings, data_dir=folder / "data"), cast.settings)
    asked = [
        track(user, "broadcast_requested", "2026-02-28T12:00:00Z", campaign="news", key="march")
        for user in ("ada-active", "a-stranger", "tim-upgrader")
    ]
    loads = (
        land(folder / "landing", on_time()),
        land(folder / "landing", asked, seq=2, source="tailrace", landed_at="2026-02-28T12:00:00Z"),
    )
    path = acts_file(
        folder / "mirror",
        ("ada-active", "update", "onboarding_stage", '"invited"', BEFORE),
        ("ada-active", "update", "onboarding_stage", '"nudged"', NOW),
        ("tim-upgrader", "update", "onboarding_stage", '"nudged"', BEFORE),
        ("tim-upgrader", "update", "onboarding_stage", "null", NOW),
        ("carl-churned", "update", "onboarding_stage", '"later"', AFTER),
        ("dora-dropper", "update", "onboarding_stage", "3", BEFORE),
        ("dora-dropper", "update", "another", '"not this one"', NOW),
        ("paula-power", "remove", "seg_beta_testers", None, BEFORE),
        ("ada-active", "remove", "seg_beta_testers", None, BEFORE),
        ("ada-active", "add", "seg_beta_testers", None, NOW),
        ("tim-upgrader", "add", "seg_beta_testers", None, NOW),
        ("carl-churned", "add", "seg_beta_testers", None, AFTER),
        ("dora-dropper", "add", "seg_other_list", None, NOW),
        ("a-stranger", "add", "seg_beta_testers", None, NOW),
    )
    return Built(settings, build(settings, AS_OF, loads, {"acts": [path]}), loads)


def test_an_attribute_is_what_a_campaign_said_last_by_then(built: Built) -> None:
    assert built.generation.failed == {}
    stages = dict(built.ask("select user_id, onboarding_stage from core.dim_people where onboarding_stage is not null"))
    assert stages == {"ada-active": "nudged", "dora-dropper": "3"}


def test_a_list_is_its_file_with_whom_campaigns_added_and_without_whom_they_removed(built: Built) -> None:
    assert built.members("seg_beta_testers") == {"ada-active", "tim-upgrader"}


def test_without_acts_the_list_is_its_file_and_the_attribute_is_unknown(cast: Built) -> None:
    assert cast.members("seg_beta_testers") == {"paula-power", "ada-active"}
    assert cast.ask("select count(onboarding_stage) from core.dim_people") == [(0,)]


def test_a_broadcast_makes_nobody_a_person_and_is_nothing_that_anybody_did(built: Built, cast: Built) -> None:
    people = "select user_id, first_seen_at from core.dim_people order by user_id"
    assert built.ask(people) == cast.ask(people)
    features = "select * from core.dim_person_features order by person_id"
    assert built.ask(features) == cast.ask(features)
    assert built.ask("select count(*) from core.fct_events where event = 'broadcast_requested'") == [(3,)]
