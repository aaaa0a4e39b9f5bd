"""Whose word is taken for an attribute of a person? Through real dbt: two sources, one owner, then another."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from tailrace import clock
from tailrace.settings import Settings
from tailrace.warehouse.build import build
from tailrace.warehouse.catalog import read_nodes
from tests.installation import read_before
from tests.warehouse.cast import PROJECT, call, land, track
from tests.warehouse.conftest import AS_OF, Built

LATER = clock.parse("2026-03-02T06:00:00Z")

APP = [
    call(
        "identify", "2026-01-01T00:00:00Z", "ann", traits={"email": "ann@app.example", "plan": "pro", "company": "Mill"}
    ),
    call("identify", "2026-01-01T00:00:00Z", "bob", traits={"email": "bob@app.example"}),
    track("ann", "subscription_started", "2026-01-02T00:00:00Z", plan="pro", mrr="10"),
    track("ann", "subscription_cancelled", "2026-01-20T00:00:00Z", ends_at="2026-01-25T00:00:00Z"),
]
CRM = [
    call("identify", "2026-02-01T00:00:00Z", "ann", traits={"email": "ann@crm.example", "company": "Weir"}),
    call("identify", "2026-02-02T00:00:00Z", "bob", traits={"email": "bob@crm.example", "first_name": "Bob"}),
    # Said about the inbox that the crm alone knows.
    call(
        "track",
        "2026-02-03T00:00:00Z",
        event="email_bounced",
        properties={"address": "bob@app.example", "kind": "hard"},
    ),
    track("ann", "subscription_cancelled", "2026-02-01T00:00:00Z", ends_at="2026-06-01T00:00:00Z"),
]


@pytest.fixture(scope="module")
def told(cast: Built, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """What two sources said of two people, built while nobody owns anything. Copy it before building on it."""
    root = tmp_path_factory.mktemp("told")
    settings = read_before(Settings(data_dir=root / "data", project_dir=PROJECT), cast.settings)
    loads = (land(root / "a", APP), land(root / "b", CRM, seq=2, source="crm"))
    return Built(settings, build(settings, AS_OF, loads), loads)


OWNERS = {"email": "app", "plan": "app", "ends_at": "app"}


@pytest.fixture(scope="module")
def owned(told: Built, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The same at the same instant, when nothing landed since and only the owners are new. Copy it too."""
    copy = told.copy(tmp_path_factory.mktemp("owned") / "data")
    return replace(copy, generation=build(copy.settings, AS_OF, copy.loads, owners=OWNERS))


def when(day: str) -> datetime:
    """Return midnight of a day as the warehouse has it."""
    return clock.naive(clock.parse(day))


def people(built: Built) -> dict[str, tuple[str | None, ...]]:
    rows = built.ask("select user_id, email, company, first_name from core.dim_people")
    return {user: tuple(values) for user, *values in rows}


def violations(built: Built) -> list[tuple[str, str, str, int, datetime]]:
    return built.ask("select * from reports.rpt_ownership_violations order by attribute, source")  # type: ignore[return-value]


def test_an_attribute_is_taken_from_its_owner_alone_and_other_words_for_it_are_counted(
    told: Built, owned: Built
) -> None:
    assert people(told) == {
        "ann": ("ann@crm.example", "Weir", None),
        "bob": ("bob@crm.example", None, "Bob"),
    }
    assert violations(told) == []

    assert owned.generation.generation_id != told.generation.generation_id
    assert people(owned) == {
        "ann": ("ann@app.example", "Weir", None),
        "bob": ("bob@app.example", None, "Bob"),
    }
    assert violations(owned) == [
        ("crm", "email", "app", 2, when("2026-02-02")),
        ("crm", "ends_at", "app", 1, when("2026-02-01")),
    ]


@pytest.mark.torture
def test_another_owner_counts_for_what_landed_long_before_him_and_without_one_all_is_as_it_was(
    told: Built, owned: Built, tmp_path: Path
) -> None:
    """A source that never spoke owns all the same."""
    settings, loads = owned.copy(tmp_path / "data").settings, owned.loads
    other = Built(settings, build(settings, LATER, loads, owners={"email": "crm", "company": "erp"}), loads)
    assert people(other) == {
        "ann": ("ann@crm.example", None, None),
        "bob": ("bob@crm.example", None, "Bob"),
    }
    assert [row[:4] for row in violations(other)] == [
        ("app", "company", "erp", 1),
        ("crm", "company", "erp", 1),
        ("app", "email", "crm", 2),
    ]
    none = Built(settings, build(settings, LATER, loads), loads)
    assert people(none) == people(told)
    assert violations(none) == []


@pytest.mark.torture
def test_a_build_with_the_same_owners_is_a_quiet_one(owned: Built, tmp_path: Path) -> None:
    again = build(owned.copy(tmp_path / "data").settings, LATER, owned.loads, owners=OWNERS)
    assert again.n_models < owned.generation.n_models


def test_a_dead_address_is_dead_for_whom_its_owner_gives_it_to(told: Built, owned: Built) -> None:
    ask = "select user_id from core.dim_suppressions join core.dim_people using (person_id)"
    assert told.ask(ask) == []
    assert owned.ask(ask) == [("bob",)]


def test_the_end_of_a_subscription_is_the_owners_word(told: Built, owned: Built) -> None:
    ask = "select subscription_status, subscription_ends_at from core.dim_people where user_id = 'ann'"
    ends = when("2026-06-01")
    assert told.ask(ask) == [("ending", ends)]
    assert owned.ask(ask) != [("ending", ends)]


def test_everything_that_a_source_may_own_is_a_column_that_is_read_from_its_owner(cast: Built) -> None:
    """The list in the meta of fct_person_facts is the one of the report; each of its names is read as owned."""
    by_name = {node.name: node for node in read_nodes(cast.settings).values()}
    attributes = by_name["fct_person_facts"].meta["attributes"]
    columns = {
        name for (name,) in cast.ask("select column_name from duckdb_columns() where table_name = 'fct_person_facts'")
    }
    assert columns - set(attributes) == {
        *("event_id", "source", "load_id", "person_id", "event_at", "fact", "consent", "consent_about"),
        *("attributed_in", "cleared"),
    }
    macros = (PROJECT / "macros/person_profiles.sql").read_text(encoding="utf-8")
    read = macros.split("macro profile_attributes")[1].split("return([")[1].split("]")[0]
    assert [name.strip(" '\n") for name in read.split(",") if name.strip()] == attributes
