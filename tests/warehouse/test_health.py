"""Which models hold health data, by what a manifest marks? On small ones, so that each rule stands alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tailrace.settings import Settings
from tailrace.warehouse import runner
from tailrace.warehouse.graph import read_graph
from tailrace.warehouse.health import NOTHING_DONE, Doings, Health, mark_problems, read_health

EVENTS = {"visit": "contracts/events/visit.yml", "refill": "contracts/events/refill.yml"}

SOURCES = {
    f"source.p.landing.{table}": {"source_name": "landing", "name": table, "original_file_path": "models/_landing.yml"}
    for table in ("events", "intents", "acts")
}

RAW = "select user_id as person_id, type, event, event_at from {{ source('landing', 'events') }}"
CARE = "select person_id, event from {{ ref('fct_events') }} where event in ('visit', 'refill')"


class Project:
    """A manifest as dbt writes it, of models that are one line each."""

    def __init__(self, root: Path) -> None:
        self.settings = Settings(data_dir=root / "data", project_dir=root / "project")
        self.settings.project_dir.mkdir(parents=True)
        (self.settings.project_dir / "dbt_project.yml").write_text("vars: {days: 7}\n", encoding="utf-8")
        self.nodes: dict[str, Any] = {}
        self.sources: dict[str, Any] = {name: dict(entry) for name, entry in SOURCES.items()}

    def model(self, name: str, sql: str, folder: str = "core", columns: Any = None, **meta: Any) -> None:
        """Add a model, or replace the one of this name."""
        named = [word for word in self.nodes if f"'{word.rpartition('.')[2]}'" in sql]
        parents = [*named, *(source for source in SOURCES if f"'{source.rpartition('.')[2]}')" in sql)]
        self.nodes[f"model.p.{name}"] = {
            "unique_id": f"model.p.{name}",
            "resource_type": "model",
            "package_name": "p",
            "name": name,
            "alias": name,
            "schema": folder,
            "raw_code": sql,
            "config": {"materialized": "table", "meta": meta},
            "columns": {column: {"meta": {}, "config": {"meta": said}} for column, said in (columns or {}).items()},
            "depends_on": {"nodes": parents},
            "original_file_path": f"models/{folder}/{name}.sql",
            "patch_path": f"p://models/{folder}/_{folder}.yml" if columns else None,
        }

    def snapshot(self, name: str, sql: str, **meta: Any) -> None:
        self.model(name, sql, "snapshots", **meta)
        node = self.nodes.pop(f"model.p.{name}") | {"unique_id": f"snapshot.p.{name}", "resource_type": "snapshot"}
        self.nodes[f"snapshot.p.{name}"] = node

    def health(self, doings: Doings = NOTHING_DONE, **events: str) -> Health:
        manifest = {"metadata": {"project_name": "p"}, "nodes": self.nodes, "sources": self.sources, "macros": {}}
        path = runner.manifest_path(self.settings)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(manifest), encoding="utf-8")
        return read_health(self.settings, events, doings)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(tmp_path)
    made.model("fct_events", RAW)
    made.model("fct_care", CARE)
    made.model(
        "dim_people", "select distinct person_id, person_id as email from {{ ref('fct_events') }} where event = 'x'"
    )
    made.model("seg_due", "select person_id from {{ ref('fct_care') }} where event = 'refill'", "segments")
    made.model("seg_all", "select person_id from {{ ref('dim_people') }}", "segments")
    return made


def test_a_snapshot_is_what_it_is_taken_of(project: Project) -> None:
    people = "select distinct person_id, event as reason, event_at as seen_at from {{ ref('fct_events') }}"
    project.model("dim_people", people, columns={"reason": {"sensitivity": "health"}})
    project.snapshot("snap_people", "select * from {{ ref('dim_people') }}")
    project.model("seg_reason", "select person_id from {{ ref('snap_people') }} where reason = 'x'", "segments")
    project.model("seg_when", "select person_id, dbt_valid_from from {{ ref('snap_people') }}", "segments")
    project.model("seg_seen", "select person_id, seen_at from {{ ref('snap_people') }}", "segments")
    health = project.health()
    marked = "dim_people.reason (marked in models/core/_core.yml)"
    assert health.way("seg_reason") == ["seg_reason", "snap_people.reason", marked]
    assert health.way("seg_when") == ["seg_when.dbt_valid_from", "snap_people.dbt_valid_from", marked]
    assert health.way("seg_seen") is None
    # Rows of a marked event are so in a snapshot of them, too; and a snapshot can be marked itself.
    project.snapshot("snap_care", "select * from {{ ref('fct_care') }}")
    project.model("seg_care", "select person_id from {{ ref('snap_care') }}", "segments")
    assert project.health(**EVENTS).way("seg_care") is not None
    project.snapshot("snap_plain", "select * from {{ ref('fct_events') }}", sensitivity="health")
    project.model("seg_plain", "select person_id from {{ ref('snap_plain') }}", "segments")
    assert project.health().way("seg_plain") is not None


@pytest.mark.parametrize(
    "hook",
    [
        "insert into {{ this }} select person_id from {{ ref('fct_care') }}",
        'insert into {{ this }} select person_id from core."fct_care"',
        "insert into {{ this }} select person_id from {{ ref('fct_care') }} where {{ what_only_dbt_knows() }}",
    ],
)
@pytest.mark.parametrize("when", ["pre-hook", "post-hook"])
def test_what_a_hook_names_may_be_in_the_model(project: Project, hook: str, when: str) -> None:
    project.model("fct_care", CARE, sensitivity="health")
    project.model("fct_list", "select person_id from {{ ref('dim_people') }}")
    project.model("seg_list", "select person_id from {{ ref('fct_list') }}", "segments")
    hooks = project.nodes["model.p.fct_list"]["config"]
    hooks[when] = [{"sql": "analyze {{ this }}"}, {"sql": "{{ what_only_dbt_knows() }}"}]
    assert project.health().way("seg_list") is None
    hooks[when] = [{"sql": hook}]
    # dbt notes what a hook refers to, so that it comes after it.
    project.nodes["model.p.fct_list"]["depends_on"]["nodes"] += ["model.p.fct_care"]
    assert project.health().way("seg_list") is not None


@pytest.mark.parametrize("condition", ["is_incremental()", "execute", "not should_full_refresh()"])
def test_what_a_model_reads_only_when_it_runs_is_depended_on(project: Project, condition: str) -> None:
    project.model("fct_care", CARE, sensitivity="health")
    later = f"{{% if {condition} %}} where person_id in (select person_id from {{{{ ref('fct_care') }}}}) {{% endif %}}"
    project.model("fct_list", "select person_id from {{ ref('dim_people') }} " + later)
    project.model("seg_list", "select person_id from {{ ref('fct_list') }}", "segments")
    assert project.health().way("seg_list") is not None
    project.model("fct_list", "select person_id from {{ ref('dim_people') }} -- depends_on: {{ ref('fct_care') }}")
    assert project.health().way("seg_list") is None


def test_of_versions_of_a_model_the_one_that_is_meant_is_depended_on(project: Project) -> None:
    project.model("fct_care", CARE, sensitivity="health")
    project.model("v1", "select person_id from {{ ref('fct_care') }}")
    project.model("v2", "select person_id from {{ ref('dim_people') }}")
    for version in ("v1", "v2"):
        project.nodes[f"model.p.{version}"] |= {"name": "fct_list", "alias": f"fct_list_{version}"}
    project.model("seg_one", "select person_id from {{ ref('fct_list', v=1) }}", "segments")
    project.nodes["model.p.seg_one"]["depends_on"]["nodes"] = ["model.p.v1"]
    project.model("seg_two", "select person_id from {{ ref('fct_list', v=2) }}", "segments")
    project.nodes["model.p.seg_two"]["depends_on"]["nodes"] = ["model.p.v2"]
    health = project.health()
    assert health.way("seg_one") is not None
    assert health.way("seg_two") is None
    assert health.way("fct_list") is not None


def test_a_snapshot_that_cannot_be_told_is_all_that_it_refers_to(project: Project) -> None:
    project.model("fct_care", CARE, sensitivity="health")
    project.snapshot("snap_care", "select * from {{ ref('fct_care') }} where {{ what_only_dbt_knows() }}")
    project.model("seg_care", "select person_id from {{ ref('snap_care') }}", "segments")
    assert project.health().way("seg_care") is not None


@pytest.mark.parametrize("where", ["meta", "config"])
def test_a_source_can_be_marked_in_whole_or_a_column_of_it(project: Project, where: str) -> None:
    mark = {"sensitivity": "health"}
    said = {"meta": mark} if where == "meta" else {"config": {"meta": mark}}
    sent = "select person_id, campaign from {{ source('landing', 'intents') }}"
    project.model("fct_sends", sent)
    project.model("seg_sent", "select person_id from {{ ref('fct_sends') }}", "segments")
    project.model("seg_x", "select person_id from {{ ref('fct_sends') }} where campaign = 'x'", "segments")
    project.sources["source.p.landing.intents"]["columns"] = {"Campaign": said}
    health = project.health()
    way = "source landing.intents.Campaign (marked in models/_landing.yml)"
    assert health.way("seg_x") == ["seg_x", "fct_sends.campaign", way]
    assert health.way("seg_sent") is None
    # It stays so where some of its rows are told apart.
    doings = Doings(frozenset({"care"}), frozenset())
    assert project.health(doings).way("seg_x") == ["seg_x", "fct_sends.campaign", way]

    project.sources["source.p.landing.intents"] |= said
    assert project.health().way("seg_sent") is not None
    assert mark_problems(project.settings) == []
    mark["sensitivity"] = "helth"
    project.health()
    assert [problem.path for problem in mark_problems(project.settings)] == ["models/_landing.yml"] * 2


def test_a_column_that_a_marked_model_lacks_leads_nowhere_for_who_asks_of_it(project: Project) -> None:
    project.model("fct_care", CARE, sensitivity="health")
    project.model("seg_star", "select * from elsewhere.care", "segments", sensitivity="health")
    health = project.health()
    assert health.way("fct_care", "Event", is_there=False) is not None
    assert health.way("fct_care", "plan", is_there=False) is None
    assert health.way("fct_care", "plan") is not None
    # Which columns a star over what nobody knows has, nobody knows.
    assert health.way("seg_star", "plan", is_there=False) is not None


def test_a_model_is_found_by_its_alias_too(project: Project) -> None:
    project.model(
        "customers",
        "select user_id as person_id, '+1' as phone from {{ source('landing', 'events') }}",
        sensitivity="health",
    )
    # The one that has the name is another's relation: who is written to stands in the table.
    project.nodes["model.p.dim_people"]["alias"] = "people_of_before"
    project.nodes["model.p.customers"]["alias"] = "dim_people"
    health = project.health()
    for name in ("customers", "dim_people"):
        assert health.way(name, "phone") == ["customers (marked in models/core/customers.sql:1)"]
        assert health.way(name, "mail", is_there=False) is None


def test_a_column_is_the_same_in_any_case(project: Project) -> None:
    """A template names a column as the model writes it; of two cases DuckDB makes one column."""
    people = "select distinct person_id, event as \"Diagnosis\" from {{ ref('fct_events') }}"
    project.model("dim_people", people, columns={"DIAGNOSIS": {"sensitivity": "health"}})
    project.model("seg_x", "select PERSON_ID, diagnosis as why from {{ ref('dim_people') }}", "segments")
    health = project.health()
    assert health.way("dim_people", "Diagnosis") == ["dim_people.diagnosis (marked in models/core/_core.yml)"]
    assert health.way("seg_x", "Why") is not None
    assert health.way("seg_x", "Person_Id") is None


def test_nothing_is_marked_and_nothing_is_health_data(project: Project) -> None:
    assert project.health().ways == {}


def test_a_marked_event_marks_what_its_rows_reach_and_nothing_that_keeps_them_out(project: Project) -> None:
    health = project.health(**EVENTS)
    assert health.way("seg_due") == ["seg_due", "fct_care", "event refill (contracts/events/refill.yml)"]
    assert health.way("fct_care") is not None
    assert health.way("dim_people") is None
    assert health.way("seg_all") is None
    # Only one of them is marked, and it is not the one that the segment asks for.
    assert project.health(visit="v.yml").way("seg_due") is None


def test_counting_all_events_counts_marked_ones_until_a_reason_says_otherwise(project: Project) -> None:
    counts = "select person_id, count(*) as n from {{ ref('fct_events') }} group by person_id"
    project.model("fct_days", counts)
    project.model("seg_busy", "select person_id from {{ ref('fct_days') }} where n > 3", "segments")
    assert project.health(**EVENTS).way("seg_busy") == [
        "seg_busy",
        "fct_days",
        "event refill (contracts/events/refill.yml)",
    ]
    project.model("fct_days", counts, declassify="how many, and not of what")
    assert project.health(**EVENTS).way("seg_busy") is None
    assert project.health(**EVENTS).way("fct_days") is None


def test_a_marked_model_marks_all_that_depends_on_it_also_by_its_rows_alone(project: Project) -> None:
    project.model("fct_care", CARE, sensitivity="health")
    project.model(
        "seg_x", "select p.person_id from {{ ref('dim_people') }} p join {{ ref('fct_care') }} c using (person_id)"
    )
    project.model(
        "seg_not",
        "select p.person_id from {{ ref('dim_people') }} p where not exists (select 1 from {{ ref('fct_care') }})",
    )
    health = project.health()
    marked = "fct_care (marked in models/core/fct_care.sql:1)"
    for segment in ("seg_due", "seg_x", "seg_not"):
        assert health.way(segment) == [segment, marked]
    assert health.way("seg_all") is None


def test_a_marked_column_marks_what_is_made_of_it_or_chosen_by_it_and_no_other_column(project: Project) -> None:
    people = "select person_id, event as reason, event_at as seen_at from {{ ref('fct_events') }}"
    project.model("dim_people", people, columns={"reason": {"sensitivity": "health"}})
    project.model("seg_shown", "select person_id, upper(reason) as r from {{ ref('dim_people') }}", "segments")
    project.model("seg_chosen", "select person_id from {{ ref('dim_people') }} where reason = 'x'", "segments")
    project.model("seg_star", "select * from {{ ref('dim_people') }}", "segments")
    project.model("seg_other", "select person_id, seen_at from {{ ref('dim_people') }}", "segments")
    health = project.health()
    marked = "dim_people.reason (marked in models/core/_core.yml)"
    assert health.way("dim_people", "reason") == [marked]
    assert health.way("dim_people", "seen_at") is None
    assert health.way("seg_shown", "r") == ["seg_shown.r", marked]
    assert health.way("seg_shown", "person_id") is None
    assert health.way("seg_shown") == ["seg_shown.r", marked]
    assert health.way("seg_chosen") == ["seg_chosen", marked]
    assert health.way("seg_chosen", "person_id") == ["seg_chosen", marked]
    assert health.way("seg_star") == ["seg_star.reason", marked]
    assert health.way("seg_other") is None


@pytest.mark.parametrize(
    "sql", ["select * from {{ nobody_knows(ref('fct_care')) }}", "select from {{ ref('fct_care') }} where"]
)
def test_a_model_that_cannot_be_read_is_health_data_when_anything_above_it_is(project: Project, sql: str) -> None:
    project.model("fct_odd", sql)
    project.model("seg_odd", "select person_id from {{ ref('fct_odd') }}", "segments")
    assert project.health().way("seg_odd") is None
    by_event = project.health(**EVENTS).way("seg_odd")
    assert by_event is not None
    assert by_event[:2] == ["seg_odd", "fct_odd"]
    project.model("fct_care", CARE, sensitivity="health")
    by_model = project.health().way("seg_odd")
    assert by_model == ["seg_odd", "fct_odd", "fct_care (marked in models/core/fct_care.sql:1)"]


def test_what_may_be_a_marked_column_is_taken_for_it(project: Project) -> None:
    people = "select person_id, event as reason from {{ ref('fct_events') }}"
    project.model("dim_people", people, columns={"reason": {"sensitivity": "health"}})
    project.model("fct_odd", "select * from {{ nobody_knows(ref('dim_people')) }}")
    joined = "left join {{ ref('dim_people') }} as p using (person_id)"
    project.model("fct_star", "select x.*, p.reason from {{ source('other', 'x') }} as x " + joined)
    health = project.health()
    marked = "dim_people.reason (marked in models/core/_core.yml)"
    assert health.way("fct_odd") == ["fct_odd", marked]
    assert health.way("fct_star", "anything") == ["fct_star", marked]


def test_what_is_declassified_shows_nothing_also_not_of_columns(project: Project) -> None:
    project.model("fct_care", CARE, columns={"event": {"sensitivity": "health"}})
    project.model(
        "seg_due", "select person_id from {{ ref('fct_care') }} where event = 'refill'", declassify="agreed with …"
    )
    project.model("seg_next", "select person_id from {{ ref('seg_due') }}")
    assert project.health(**EVENTS).way("seg_due") is None
    assert project.health(**EVENTS).way("seg_next") is None


CARE_DOES = Doings(campaigns=frozenset({"care_refill"}), names=frozenset({"care_stage", "seg_reminded"}))


@pytest.fixture
def sent(project: Project) -> Project:
    """The marked event, what campaigns sent, and what they changed of people."""
    project.model("fct_sends", "select person_id, campaign, step, applied_at from {{ source('landing', 'intents') }}")
    project.model("fct_acts", "select person_id, kind, name, value from {{ source('landing', 'acts') }}")
    project.model("fct_counts", "select person_id, count(*) as n from {{ ref('fct_sends') }} group by person_id")
    project.model(
        "dim_people",
        "select p.person_id, p.event as email,"
        " (select max(value) from {{ ref('fct_acts') }} as a where a.person_id = p.person_id and a.name = 'care_stage')"
        " as care_stage,"
        " (select max(value) from {{ ref('fct_acts') }} as a where a.person_id = p.person_id and a.name = 'onboarding')"
        " as onboarding from {{ ref('fct_events') }} as p where p.event = 'x'",
    )
    for name, condition in (
        ("refill", "campaign = 'care_refill'"),
        ("winback", "campaign = 'winback'"),
        ("any", "true"),
        ("step", "step = 'hello'"),
    ):
        project.model(f"seg_{name}", "select person_id from {{ ref('fct_sends') }} where " + condition, "segments")
    return project


def test_what_a_campaign_sent_that_is_health_data_is_too_for_whoever_looks_at_which_it_was(sent: Project) -> None:
    health = sent.health(CARE_DOES, **EVENTS)
    told = "what campaigns that are health data sent (care_refill)"
    assert health.way("seg_refill") == ["seg_refill", "fct_sends.campaign", told]
    assert health.way("seg_step") == ["seg_step", "fct_sends.step", told]
    for name in ("seg_winback", "seg_any", "fct_counts"):
        assert health.way(name) is None, name
    # Which one it was is there to be read.
    sent.model("sync_history", "select person_id, campaign, applied_at from {{ ref('fct_sends') }}", "syncs")
    assert sent.health(CARE_DOES, **EVENTS).way("sync_history") == ["sync_history.campaign", "fct_sends.campaign", told]
    sent.model("sync_history", "select * from {{ nobody_knows(ref('fct_sends')) }}", "syncs")
    assert sent.health(CARE_DOES, **EVENTS).way("sync_history") is not None
    sent.model("fct_sends", sent.nodes["model.p.fct_sends"]["raw_code"], declassify="everybody knows")
    assert sent.health(CARE_DOES, **EVENTS).way("seg_refill") is None


def test_what_such_a_campaign_changed_is_too_attribute_by_attribute_and_list_by_list(sent: Project) -> None:
    listed = "select person_id from {{ ref('fct_acts') }} where name = "
    sent.model("seg_reminded", listed + "'seg_reminded'", "segments")
    sent.model("seg_testers", listed + "'seg_testers'", "segments")
    health = sent.health(CARE_DOES, **EVENTS)
    told = "what campaigns that are health data changed (care_stage, seg_reminded)"
    assert health.way("dim_people", "care_stage") == ["dim_people.care_stage", "fct_acts.name", told]
    assert health.way("dim_people", "onboarding") is None
    assert health.way("dim_people", "email") is None
    assert health.way("seg_reminded") == ["seg_reminded", "fct_acts.name", told]
    assert health.way("seg_testers") is None


def test_a_mark_of_another_kind_stays_where_what_campaigns_did_is_kept_out(sent: Project) -> None:
    rows = "select person_id, campaign, step from {{ source('landing', 'intents') }}"
    sent.model("fct_sends", rows, columns={"step": {"sensitivity": "health"}})
    sent.model("seg_winback", "select person_id, step from {{ ref('fct_sends') }} where campaign = 'winback'")
    marked = "fct_sends.step (marked in models/core/_core.yml)"
    assert sent.health(CARE_DOES, **EVENTS).way("seg_winback") == ["seg_winback.step", marked]
    sent.model("fct_ours", "select * from {{ ref('fct_sends') }} where campaign <> 'care_refill'")
    sent.model("seg_winback", "select person_id, step from {{ ref('fct_ours') }} where campaign = 'winback'")
    way = ["seg_winback.step", "fct_ours.step", marked]
    assert sent.health(CARE_DOES, **EVENTS).way("seg_winback") == way


def test_what_was_worked_out_is_kept_until_a_mark_the_project_or_a_var_changes(project: Project) -> None:
    first = project.health(**EVENTS)
    kept = runner.directory(project.settings) / "health.json"
    content = kept.read_bytes()
    kept.write_bytes(content.replace(b'"fct_care"', b'"fct_kept"'))
    assert project.health(**EVENTS) != first
    kept.write_bytes(content.replace(b'"fct_care"', b'"fct_kept"'))
    project.model("seg_new", "select person_id from {{ ref('fct_care') }}", "segments")
    assert project.health(**EVENTS).way("seg_new") is not None
    assert project.health(visit="elsewhere.yml").way("seg_new") == [
        "seg_new",
        "fct_care",
        "event visit (elsewhere.yml)",
    ]
    before = kept.read_bytes()
    (project.settings.project_dir / "dbt_project.yml").write_text("vars: {days: 8}\n", encoding="utf-8")
    project.health(visit="elsewhere.yml")
    assert kept.read_bytes() != before


def test_a_mark_that_is_none_is_named_with_its_file(project: Project) -> None:
    project.model("fct_care", "{# care #}\n{{ config(meta={}) }}\n" + CARE, sensitivity="helth")
    project.model("fct_days", RAW, declassify=True)
    project.model("dim_people", RAW, columns={"event": {"sensitivity": "secret"}})
    project.health()
    said = sorted(str(problem) for problem in mark_problems(project.settings))
    assert said[0].startswith("models/core/dim_people.sql:1: `sensitivity: secret` is not known; expected `health`")
    assert said[1].startswith("models/core/fct_care.sql:2: `sensitivity: helth` is not known")
    assert said[2].startswith("models/core/fct_days.sql:1: `declassify` gives no reason")
    assert len(said) == 3


def test_the_attributes_that_a_model_depends_on_are_told_with_the_way_there(project: Project) -> None:
    facts = "select person_id, event as plan, type as company, event_at from {{ ref('fct_events') }}"
    project.model("fct_facts", facts, attributes=["plan", "company"])
    project.model(
        "dim_people",
        "select person_id, max(plan) as plan, max(company) as firm from {{ ref('fct_facts') }} group by all",
    )
    project.model("seg_pro", "select person_id from {{ ref('dim_people') }} where plan = 'pro'", "segments")
    project.model("seg_any", "select person_id from {{ ref('dim_people') }}", "segments")
    project.model("seg_odd", "select * from {{ nobody_knows(ref('dim_people')) }}", "segments")
    project.health()
    graph = read_graph(project.settings)
    assert graph.attributes("seg_pro") == {"plan": "seg_pro → dim_people.plan → fct_facts.plan → attribute plan"}
    assert graph.attributes("dim_people", "firm") == {
        "company": "dim_people.firm → fct_facts.company → attribute company"
    }
    assert graph.attributes("seg_any") == {}
    assert graph.attributes("seg_odd").keys() == {"plan", "company"}
    assert graph.attributes("nothing") == {}
