from __future__ import annotations

import hashlib

import pytest

from tailrace import ids
from tests.warehouse.cast import personas
from tests.warehouse.conftest import Built

SEGMENTS = {
    "seg_new_signups_not_activated": {"nora-no-email", "canary-7f3a"},
    "seg_activated": {"tess-auckland"},
    "seg_power_users": {"paula-power"},
    "seg_usage_dropped": {"dora-dropper"},
    "seg_at_risk": {"gina-quiet"},
    "seg_dormant_30d": {"fred-future", "leo-late"},
    "seg_churned_winback_eligible": {"carl-churned", "sid-shared"},
    "seg_renewal_due_7d": {"rene-renewal"},
    "seg_trial_ending": {"tess-auckland"},
    "seg_reports_exported_often": {"paula-power"},
    "seg_beta_testers": {"ada-active", "paula-power"},
    "seg_low_usage_14d": {"gina-quiet", "rene-renewal"},
    # Stories of accounts are told in tests/programmes/test_saas.py.
    "seg_sales_assisted": set(),
    "seg_high_value_accounts": set(),
}

STATES = {
    "ada-active": ["new 2025-11-03", "activated 2025-11-03", "active 2025-11-10"],
    "canary-7f3a": ["new 2026-02-22"],
    "carl-churned": [
        "new 2025-08-01",
        "activated 2025-08-01",
        "active 2025-08-08",
        "at_risk 2025-12-31",
        "churned 2026-01-05",
    ],
    "fred-future": [
        "new 2025-12-01",
        "activated 2025-12-01",
        "active 2025-12-08",
        "at_risk 2026-02-03",
        "dormant 2026-02-19",
    ],
    "rita-returner": [
        *("new 2025-12-01", "activated 2025-12-01", "active 2025-12-08"),
        *("at_risk 2026-01-03", "dormant 2026-01-19", "returned 2026-02-23"),
    ],
    "sid-shared": [
        "new 2025-08-02",
        "activated 2025-08-03",
        "active 2025-08-10",
        "at_risk 2025-12-31",
        "churned 2026-01-03",
    ],
    "tess-auckland": ["new 2026-02-18", "activated 2026-02-25"],
}


@pytest.mark.parametrize("segment", SEGMENTS)
def test_each_segment_holds_the_personas_it_is_meant_for(cast: Built, segment: str) -> None:
    assert cast.members(segment) == SEGMENTS[segment]


def test_every_segment_of_the_project_has_its_personas(cast: Built) -> None:
    rows = cast.ask("select table_name from duckdb_tables() where schema_name = 'segments'")
    assert {name for (name,) in rows} == SEGMENTS.keys()


@pytest.mark.parametrize("user_id", STATES)
def test_a_persona_goes_through_states_on_the_days_expected(cast: Built, user_id: str) -> None:
    rows = cast.ask(
        "select state || ' ' || cast(started_at as date) from states.fct_saas_states"
        " join core.dim_people using (person_id) where user_id = ? order by started_at",
        user_id,
    )
    assert [text for (text,) in rows] == STATES[user_id]


def test_the_current_state_is_open_and_earlier_ones_end_where_the_next_begins(cast: Built) -> None:
    rows = cast.ask(
        "select person_id, started_at, ended_at, lead(started_at) over (partition by person_id order by started_at)"
        " from states.fct_saas_states"
    )
    assert rows
    assert all(ended_at == next_started_at for _, _, ended_at, next_started_at in rows)


def test_everybody_with_a_user_id_is_a_person_and_an_orphan_is_nobody(cast: Built) -> None:
    assert {user for (user,) in cast.ask("select user_id from core.dim_people")} == personas().keys() - {"olga-orphan"}
    assert cast.ask("select sum(n_orphans), sum(n_anonymous_ids) from reports.rpt_orphans") == [(3, 2)]
    assert cast.ask("select count(*) from core.fct_events where person_id is null") == [(3,)]


def test_a_persons_key_is_the_one_that_python_computes(cast: Built) -> None:
    for person_id, user_id in cast.ask("select person_id, user_id from core.dim_people"):
        assert person_id == ids.person_id(user_id) == int(hashlib.md5(user_id.encode()).hexdigest()[:15], 16)


def test_an_event_from_the_future_freshens_nobody(cast: Built) -> None:
    assert cast.ask("select max(event_at) > timestamp '2030-01-01' from core.fct_events") == [(True,)]
    ((seen, used, days),) = cast.ask(
        "select last_seen_at, last_usage_at, days_since_last_usage from core.dim_person_features join core.dim_people"
        " using (person_id) where user_id = 'fred-future'"
    )
    assert seen == used
    assert str(seen) == "2026-01-20 10:00:00"
    assert days == 40


def test_local_times_with_an_offset_are_instants(cast: Built) -> None:
    (row,) = cast.ask(
        "select cast(created_at as varchar), cast(trial_ends_at as varchar), timezone from core.dim_people"
        " where user_id = 'tess-auckland'"
    )
    assert row == ("2026-02-18 20:00:00", "2026-03-03 20:05:00", "Pacific/Auckland")


def test_subscriptions_stand_where_the_last_event_left_them(cast: Built) -> None:
    rows = cast.ask("select user_id, subscription_status, mrr from core.dim_people")
    status = {user: (status, mrr) for user, status, mrr in rows}
    assert status["tim-upgrader"] == ("active", 49)
    assert status["tess-auckland"] == ("trial", None)
    assert status["carl-churned"] == ("cancelled", None)
    assert status["nora-no-email"] == ("none", None)


def test_who_unsubscribed_is_marked_and_nobody_else(cast: Built) -> None:
    assert cast.ask("select user_id from core.dim_people where is_unsubscribed") == [("uma-unsubscribed",)]


def test_the_sync_has_its_key_first_then_fields(cast: Built) -> None:
    assert cast.ask("select user_id, email, n_usage_days_30d from syncs.sync_webhook__power_users") == [
        ("paula-power", "paula@example.com", 15)
    ]


def test_state_flows_count_every_move_once(cast: Built) -> None:
    assert cast.ask("select sum(n_people) from reports.rpt_state_flows") == cast.ask(
        "select count(*) from states.fct_saas_states"
    )
    assert cast.ask("select sum(n_people) from reports.rpt_people_by_state") == cast.ask(
        "select count(*) from core.dim_people"
    )


def test_no_feature_has_the_name_of_a_persons_attribute(cast: Built) -> None:
    rows = cast.ask(
        "select column_name from duckdb_columns() where table_name in ('dim_people', 'dim_person_features')"
        " group by column_name having count(*) > 1"
    )
    assert rows == [("person_id",)]
