"""Accounts from `group` calls, through real dbt: who belongs to them, what is known of them, which a segment has."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tailrace.warehouse.build import build
from tailrace.warehouse.catalog import read_catalog
from tests.warehouse.cast import call, land, track
from tests.warehouse.conftest import AS_OF, Built

SEGMENT = "seg_accounts_ready_for_sales"


def joined(user: str, account: str, at: str = "2026-01-10T09:00:00Z", **traits: object) -> dict[str, object]:
    return call("group", at, user, groupId=account, traits=traits or {"name": account})


def at_work(*users: str, on: str = "2026-02-25") -> list[dict[str, object]]:
    return [track(user, "logged_in", f"{on}T09:00:00Z") for user in users]


def of_segment(built: Built) -> dict[str, int]:
    return dict(built.ask(f"select object_id, n_active_people from object_segments.{SEGMENT}"))


@pytest.mark.torture
def test_accounts_and_their_people_grow_with_each_load(started: Built, tmp_path: Path) -> None:
    first = land(
        tmp_path / "landing",
        [
            *(joined(user, "acct_a", name="Mill", seats=3) for user in ("ann", "bob", "cat")),
            *(joined(user, "acct_b") for user in ("dan", "eve", "fay")),
            joined("ann", "acct_b", at="2026-01-11T09:00:00Z"),
            *at_work("ann", "bob", "cat", "dan", "eve"),
            *at_work("fay", on="2026-01-25"),
            track("ann", "payment_failed", "2026-02-26T09:00:00Z", account_id="acct_a", attempt=1),
            call("group", "2026-02-26T09:00:00Z", groupId="acct_c", traits={"name": "Nobody's yet"}),
            call("group", "2026-02-26T09:00:00Z", groupId="acct_c", anonymousId="somebody", traits={}),
        ],
        seq=3,
        landed_at="2026-03-01T05:30:00Z",
    )
    build(started.settings, AS_OF, (*started.loads, first))
    # A call about an account alone lacks nobody; one with an anonymous id has a person that nobody knows.
    assert started.ask(
        "select n_orphans, n_anonymous_ids, n_object_calls from reports.rpt_orphans where type = 'group'"
    ) == [(1, 1, 1)]
    assert started.ask("select anonymous_id, n_events from reports.rpt_orphan_ids where n_tracks + n_pages = 0") == [
        ("somebody", 1)
    ]
    assert started.ask("select sum(n_orphans) from reports.rpt_orphans") == started.ask(
        "select sum(n_orphans) from reports.rpt_events_daily"
    )
    people = set(
        started.ask(
            "select object, object_id, user_id from core.fct_object_people join core.dim_people using (person_id)"
        )
    )
    assert people == {
        *(("account", "acct_a", user) for user in ("ann", "bob", "cat")),
        *(("account", "acct_b", user) for user in ("ann", "dan", "eve", "fay")),
    }
    # ann, who belongs to both, was active for both
    assert of_segment(started) == {"acct_a": 3, "acct_b": 3}
    assert started.ask("select group_id from core.fct_events where event = 'payment_failed' and user_id = 'ann'") == [
        ("acct_a",)
    ]

    second = land(
        tmp_path / "landing",
        [
            joined("eve", "acct_b", at="2026-02-27T09:00:00Z", is_member=False),
            joined("gil", "acct_a", at="2026-02-27T09:00:00Z", seats=4),
            track("bob", "subscription_started", "2026-02-27T10:00:00Z", plan="business", mrr=299),
        ],
        seq=4,
        landed_at="2026-03-01T05:45:00Z",
    )
    build(started.settings, AS_OF, (*started.loads, first, second))
    assert of_segment(started) == {}
    assert started.ask("select count(*) from core.fct_object_people where object_id = 'acct_b'") == [(3,)]
    known = started.ask(
        "select object, object_id, attributes from core.dim_objects where object_id in ('acct_a', 'acct_b')"
    )
    assert {(what, key): json.loads(text) for what, key, text in known} == {
        ("account", "acct_a"): {"name": "Mill", "seats": 4},
        ("account", "acct_b"): {"name": "acct_b"},
    }
    # a load that the landing does not show any more takes its calls with it
    build(started.settings, AS_OF, (*started.loads, first))
    assert of_segment(started) == {"acct_a": 3, "acct_b": 3}


@pytest.mark.torture
def test_of_an_object_that_was_deleted_nothing_is_left_until_it_is_spoken_of_again(
    started: Built, tmp_path: Path
) -> None:
    """An event of the app that has the name deletes nothing; people belong again only when somebody says so."""

    def of_accounts() -> tuple[dict[str, dict[str, object]], set[tuple[str, str]]]:
        known = started.ask("select object_id, attributes from core.dim_objects where object_id like 'gone_%'")
        belong = started.ask(
            "select object_id, user_id from core.fct_object_people join core.dim_people using (person_id)"
            " where object_id like 'gone_%'"
        )
        return {key: json.loads(text) for key, text in known}, set(belong)

    deletion = {"event": "Object Deleted", "properties": {"object": "account"}}
    first = land(
        tmp_path / "landing",
        [
            *(joined(user, account, name="Mill") for user in ("ann", "bob") for account in ("gone_a", "gone_b")),
            *at_work("ann", "bob"),
            track("ann", "Object Deleted", "2026-02-20T09:00:00Z", account_id="gone_b"),
        ],
        seq=3,
        landed_at="2026-03-01T05:30:00Z",
    )
    second = land(
        tmp_path / "landing",
        [call("track", "2026-02-26T09:00:00Z", groupId=account, **deletion) for account in ("gone_a", "gone_b")],
        seq=4,
        landed_at="2026-03-01T05:45:00Z",
    )
    third = land(
        tmp_path / "landing",
        [joined("bob", "gone_a", at="2026-02-27T09:00:00Z", seats=1)],
        seq=5,
        landed_at="2026-03-01T05:50:00Z",
    )
    build(started.settings, AS_OF, (*started.loads, first))
    before = of_accounts()
    build(started.settings, AS_OF, (*started.loads, first, second))
    after = of_accounts()
    orphans = started.ask("select n_orphans, n_object_calls from reports.rpt_orphans where type = 'track'")
    build(started.settings, AS_OF, (*started.loads, first, second, third))
    again = of_accounts()
    build(started.settings, AS_OF, (*started.loads, first))

    assert set(before[0]) == {"gone_a", "gone_b"}
    assert before[1] == {(account, user) for user in ("ann", "bob") for account in ("gone_a", "gone_b")}
    assert after == ({}, set())
    assert sum(n_calls for _, n_calls in orphans) == 2
    assert again[0]["gone_a"]["seats"] == 1
    assert "Mill" not in str(again[0])
    assert again[1] == {("gone_a", "bob")}
    assert of_accounts() == before


@pytest.mark.torture
def test_a_segment_can_ask_what_is_said_of_a_person_and_their_account(
    started: Built, project: Callable[[dict[str, str]], Path], tmp_path: Path
) -> None:
    calls = [
        joined("ann", "acct_a", name="Mill", relationship={"role": "admin", "seat": 1}),
        joined("bob", "acct_a", relationship={"role": "member"}),
        joined("bob", "acct_a", at="2026-01-11T09:00:00Z", relationship={"seat": 2}),
        joined("cat", "acct_a", relationshipAttributes={"role": "admin"}),
        joined("cat", "acct_a", at="2026-01-12T09:00:00Z", is_member=False),
        joined("ann", "red", object="team", relationship={"role": "guest"}),
    ]
    segment = """-- One row per person who runs an account.
        {{ config(meta={'owner': 'sales@example.com', 'summary': 'Admins'}) }}
        select distinct person_id
        from {{ ref('fct_object_people') }}
        where object = 'account' and {{ json_text('attributes', 'role') }} = 'admin'"""
    load = land(tmp_path / "landing", calls, seq=3, landed_at="2026-03-01T05:30:00Z")
    own = replace(started.settings, project_dir=project({"models/segments/seg_account_admins.sql": segment}))
    built = build(own, AS_OF, (*started.loads, load))

    assert built.failed == {}
    who = "select user_id from segments.seg_account_admins inner join core.dim_people using (person_id)"
    assert replace(started, settings=own).ask(who) == [("ann",)]
    known = "select attributes from core.dim_objects where object_id = 'acct_a'"
    assert replace(started, settings=own).ask(known) == [('{"name":"Mill"}',)]
    said = "select attributes from core.fct_object_people inner join core.dim_people using (person_id)"
    assert replace(started, settings=own).ask(f"{said} where user_id = 'bob'") == [('{"role":"member","seat":2}',)]


@pytest.mark.torture
def test_an_object_segment_of_another_shape_keeps_its_table_and_stops_nothing(
    started: Built, project: Callable[[dict[str, str]], Path]
) -> None:
    folder = "models/object_segments"
    good = "{{ config(meta={'object': 'account'}) }}\nselect 'a' as object_id"
    own = replace(
        started.settings,
        project_dir=project(
            {
                f"{folder}/seg_good.sql": f"-- One row per account.\n{good}",
                f"{folder}/seg_twice.sql": f"-- One row per account.\n{good}\nunion all select 'a' as object_id",
                f"{folder}/seg_shapeless.sql": f"-- One row per account.\n{good.replace('object_id', 'account_id')}",
                f"{folder}/seg_of_nothing.sql": "-- One row per account.\nselect 'a' as object_id",
            }
        ),
    )
    built = build(own, AS_OF, started.loads)
    assert {name: reason.split("; ")[-1] for name, reason in built.failed.items()} == {
        "seg_twice": "expected one row each",
        "seg_shapeless": "expected `object_id`: an object segment has one row per object",
        "seg_of_nothing": "expected `meta={'object': 'account', …}` in its config",
    }
    assert replace(started, settings=own).ask("from object_segments.seg_good") == [("a",)]


def test_the_catalog_knows_object_segments_and_keeps_them_out_of_the_segments(cast: Built) -> None:
    catalog = read_catalog(cast.settings)
    found = catalog.object_segments[SEGMENT]
    assert (found.relation, found.object, found.owner) == (f"object_segments.{SEGMENT}", "account", "sales@example.com")
    assert SEGMENT not in catalog.segments
    assert found.fingerprint
    assert {"fct_object_people", "fct_group_calls", "fct_events"} <= catalog.ancestors(SEGMENT)
