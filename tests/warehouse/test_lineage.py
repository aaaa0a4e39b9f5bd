"""What a select depends on: values, rows, and which events get through it."""

from __future__ import annotations

import pytest

from tailrace.warehouse.lineage import trace
from tailrace.warehouse.relation import ALL, ROWS, SIFTED, Known, Ref

NAMES = {
    "core.people": ("person_id", "plan", "mrr"),
    "core.states": ("person_id", "state"),
    "core.events": ("person_id", "type", "event", "at"),
    "core.notes": ("person_id", "event"),
}
EVENTS = frozenset({"visit", "refill"})
RELATIONS = {name: Known({column: frozenset() for column in columns}) for name, columns in NAMES.items()}
RELATIONS["core.events"] = Known(
    RELATIONS["core.events"].columns, events=EVENTS, event_column="event", type_column="type"
)
RELATIONS["core.care"] = Known(
    {name: frozenset() for name in ("person_id", "event")}, events=EVENTS, event_column="event"
)


def known(sql: str) -> Known:
    found = trace(sql, RELATIONS)
    assert found is not None
    return found


def refs(*names: str) -> frozenset[Ref]:
    """Return `relation.column` as refs; a name that ends in a dot is about the relation's rows."""
    return frozenset((relation, column) for relation, _, column in (name.rpartition(".") for name in names))


P, S, E = "core.people", "core.states", "core.events"


@pytest.mark.parametrize(
    ("sql", "column", "expected"),
    [
        ("select plan, mrr * 2 as twice from core.people", "twice", (f"{P}.mrr", f"{P}.")),
        # what decides the rows is part of each value
        ("select mrr from core.people where plan = 'pro'", "mrr", (f"{P}.mrr", f"{P}.plan", f"{P}.")),
        ("select max(mrr) as most from core.people group by plan", "most", (f"{P}.mrr", f"{P}.plan", f"{P}.")),
        ("select mrr from core.people order by plan limit 1", "mrr", (f"{P}.mrr", f"{P}.plan", f"{P}.")),
        ("select mrr from core.people order by plan", "mrr", (f"{P}.mrr", f"{P}.")),
        (
            "select mrr from core.people qualify row_number() over (order by plan) = 1",
            "mrr",
            (f"{P}.mrr", f"{P}.plan", f"{P}."),
        ),
        # by way of a CTE, a subquery in `from`, an alias, a star
        ("with a as (select plan as p, mrr from core.people) select a.p from a", "p", (f"{P}.plan", f"{P}.")),
        ("select p from (select plan as p, mrr from core.people) as a", "p", (f"{P}.plan", f"{P}.")),
        ("with a as (select people.* from core.people as people) select mrr from a", "mrr", (f"{P}.mrr", f"{P}.")),
        ("select mrr + 1 as more, more * 2 as most from core.people", "most", (f"{P}.mrr", f"{P}.")),
        ("select MRR from CORE.people", "mrr", (f"{P}.mrr", f"{P}.")),
        # a join decides the rows, one on the left does not
        (
            "select p.mrr from core.people as p join core.states as s on p.person_id = s.person_id",
            "mrr",
            (f"{P}.mrr", f"{P}.person_id", f"{P}.", f"{S}.person_id", f"{S}."),
        ),
        (
            "select p.mrr from core.people as p join core.states as s using (person_id)",
            "mrr",
            (f"{P}.mrr", f"{P}.person_id", f"{P}.", f"{S}.person_id", f"{S}."),
        ),
        (
            "select p.mrr, s.state from core.people as p left join core.states as s on p.person_id = s.person_id",
            "mrr",
            (f"{P}.mrr", f"{P}."),
        ),
        (
            "select p.mrr, s.state from core.people as p left join core.states as s on p.person_id = s.person_id",
            "state",
            (f"{P}.", f"{S}.state", f"{S}.", f"{P}.person_id", f"{S}.person_id"),
        ),
        (
            "select (select max(at) from core.events) a, mrr from core.people left join core.states using (person_id)",
            "mrr",
            (f"{P}.mrr", f"{P}."),
        ),
        # but it makes more of them, and so counts where rows are counted
        (
            "select count(*) as n from core.people as p left join core.states as s on p.person_id = s.person_id",
            "n",
            (f"{P}.", f"{S}.", f"{P}.person_id", f"{S}.person_id"),
        ),
        # subqueries: in the condition, as a value, about the row outside
        (
            "select mrr from core.people where person_id in (select person_id from core.states where state = 'x')",
            "mrr",
            (f"{P}.mrr", f"{P}.", f"{P}.person_id", f"{S}.person_id", f"{S}.state", f"{S}."),
        ),
        (
            "select (select max(state) from core.states s where s.person_id = p.person_id) s, mrr from core.people p",
            "mrr",
            (f"{P}.mrr", f"{P}."),
        ),
        (
            "select (select max(state) from core.states s where s.person_id = p.person_id) as s from core.people p",
            "s",
            (f"{P}.", f"{P}.person_id", f"{S}.person_id", f"{S}.state", f"{S}."),
        ),
        # both sides of a union, by place
        (
            "select plan as a from core.people union all select state from core.states",
            "a",
            (f"{P}.plan", f"{P}.", f"{S}.state", f"{S}."),
        ),
        # what cannot be resolved may be anything
        ("select x.b.c as c from core.people as p", "c", (f"{P}.*", f"{P}.")),
        ("select nothing from core.unknown", "nothing", ("core.unknown.nothing", "core.unknown.")),
    ],
)
def test_a_column_depends_on_its_values_and_on_what_decides_the_rows(
    sql: str, column: str, expected: tuple[str, ...]
) -> None:
    columns = known(sql).columns
    assert columns is not None
    assert columns[column] == refs(*expected)


def test_all_that_is_read_is_told_even_where_no_column_shows_it() -> None:
    sql = "select p.mrr from core.people as p left join core.states as s on p.person_id = s.person_id"
    assert (S, ROWS) in known(sql).reads
    assert known("select 1 as one from core.people where plan = 'x'").rows == refs(f"{P}.plan", f"{P}.")


@pytest.mark.parametrize(
    "sql",
    [
        "with unused as (select * from core.notes) select person_id from core.people",
        "with a as (select * from core.notes), b as (select * from a) select person_id from core.people",
        "with recursive a as (select person_id from core.notes union all from a) select person_id from core.people",
        "with a as (with b as (select * from core.notes) select person_id from core.people) select person_id from a",
    ],
)
def test_a_cte_that_nothing_names_is_not_depended_on(sql: str) -> None:
    found = known(sql)
    assert found.columns == {"person_id": refs(f"{P}.person_id", f"{P}.")}
    assert found.reads == refs(f"{P}.person_id", f"{P}.")


def test_a_cte_that_something_names_is_depended_on_wherever_that_is() -> None:
    found = known(
        "with a as (select person_id from core.notes), b as (select person_id from A)"
        " select person_id from core.people where exists (select 1 from B where b.person_id = people.person_id)"
    )
    assert ("core.notes", "person_id") in (found.columns or {})["person_id"]


def test_a_star_over_what_nobody_knows_is_any_column() -> None:
    found = known("select * from core.unknown")
    assert found.columns is None
    assert ("core.unknown", ALL) in found.reads


def test_what_cannot_be_parsed_is_not_known() -> None:
    assert trace("select from where", RELATIONS) is None
    assert (
        trace("with recursive a as (select 1 as n union all select n + 1 from a where n < 3) select n from a", {})
        is not None
    )


@pytest.mark.parametrize(
    "sql",
    [
        "pivot core.people on plan using max(mrr)",
        "select * from core.people pivot (max(mrr) for plan in ('pro', 'free'))",
        "select * from (unpivot core.people on mrr, person_id into name n value v)",
        "select t.b from core.people as t(a, b, c)",
        "select * from query('select * from core.people')",
        "select * from core.states, query_table('core.people')",
    ],
)
def test_what_reads_more_than_its_text_names_is_not_known(sql: str) -> None:
    assert trace(sql, RELATIONS) is None


@pytest.mark.parametrize(
    ("sql", "columns"),
    [
        ("select * exclude (mrr) from core.people", ("person_id", "plan")),
        ("select people.* exclude (person_id, mrr) from core.people", ("plan",)),
        ("with a as (select * exclude (mrr) from core.people) select * from a", ("person_id", "plan")),
        ("select * rename (mrr as m) from core.people", ("person_id", "plan", "m")),
        ("select * exclude (plan) replace (1 as mrr) from core.people", ("person_id", "mrr")),
        ("with a(x) as (select * from core.people) select * from a", ("x", "plan", "mrr")),
        ("select plan from core.people union all by name select state from core.states", ("plan", "state")),
        ("select columns('m.*') from core.people", None),
        ("select max(columns(*)) from core.people", None),
    ],
)
def test_a_select_has_the_columns_that_it_shows(sql: str, columns: tuple[str, ...] | None) -> None:
    assert (found := known(sql).columns) is columns or tuple(found or ()) == columns


def test_what_is_left_out_is_not_depended_on() -> None:
    assert known("select * exclude (mrr) from core.people").reads == refs(f"{P}.", f"{P}.person_id", f"{P}.plan")
    replaced = known("select * replace (upper(plan) as mrr) from core.people").columns or {}
    assert replaced["mrr"] == refs(f"{P}.", f"{P}.plan")
    assert replaced["plan"] == refs(f"{P}.", f"{P}.plan")
    renamed = known("select * rename (mrr as m) from core.people").columns or {}
    assert renamed["plan"] == refs(f"{P}.", f"{P}.plan")


@pytest.mark.parametrize(
    "sql",
    [
        "select p.nobody_knows from core.people as p",
        "select nobody_knows from core.people",
        "with a as (select nobody_knows from core.people), b as (select * from a) select nobody_knows from b",
        "with a as (select nobody_knows from core.people), b as (select a.nobody_knows from a) select b.* from b",
        "select b.nobody_knows from (select nobody_knows from core.people) as a, (select a.nobody_knows) as b",
    ],
)
def test_a_column_that_nobody_knows_may_be_any_of_what_its_own_select_reads(sql: str) -> None:
    assert (known(sql).columns or {})["nobody_knows"] == refs(f"{P}.", f"{P}.{ALL}")


@pytest.mark.parametrize(
    ("condition", "passes"),
    [
        ("true", EVENTS),
        ("event = 'visit'", {"visit"}),
        ("'visit' = event and at > now()", {"visit"}),
        ("event in ('visit', 'signed_up')", {"visit"}),
        ("event <> 'visit'", {"refill"}),
        ("event not in ('visit', 'refill')", set()),
        ("type = 'identify'", set()),
        ("type = 'identify' or (type = 'track' and event = 'refill')", {"refill"}),
        ("(type = 'identify' and at is not null) or (type = 'track' and event in ('signed_up'))", set()),
        ("not (event = 'visit')", {"refill"}),
        # in doubt it passes
        ("lower(event) = 'signed_up'", EVENTS),
        ("event = 'signed_up' or person_id > 3", EVENTS),
        ("event like 'sign%'", EVENTS),
        ("event in (select state from core.states)", EVENTS),
    ],
)
def test_an_event_passes_unless_the_condition_surely_keeps_it_out(condition: str, passes: set[str]) -> None:
    assert known(f"select person_id from core.events where {condition}").events == frozenset(passes)


@pytest.mark.parametrize(
    ("sql", "passes"),
    [
        ("with a as (select * from core.events) select person_id from a where event = 'visit'", {"visit"}),
        ("with a as (select event as what from core.events) select 1 as n from a where what = 'visit'", {"visit"}),
        # what an event is has been lost on the way
        (
            "with a as (select lower(event) as event from core.events) select 1 as n from a where event = 'visit'",
            EVENTS,
        ),
        (
            "select 1 as n from core.people where exists (select 1 from core.events as e where e.event = 'refill')",
            {"refill"},
        ),
        (
            "select 1 as n from core.people as p join core.events as e using (person_id) where e.event = 'visit'",
            {"visit"},
        ),
        (
            "select 1 as n from core.events as e join core.notes as n using (person_id) where e.event = 'visit'",
            {"visit"},
        ),
        # another relation's column of that name says nothing
        ("select 1 as n from core.events as e join core.notes as n using (person_id) where n.event = 'visit'", EVENTS),
        ("select 1 as n from core.events join core.notes using (person_id) where event = 'visit'", EVENTS),
        (
            "select 1 as n from core.events as e join core.care as c on c.person_id = e.person_id where c.event = 'x'",
            EVENTS,
        ),
        (
            "select 1 as n from core.events where event = 'a' union all select 1 from core.care where event = 'visit'",
            {"visit"},
        ),
        ("select 1 as n from core.care where event = 'visit'", {"visit"}),
        ("select person_id from core.people", set()),
    ],
)
def test_events_are_followed_through_what_a_select_stands_on(sql: str, passes: set[str]) -> None:
    assert known(sql).events == frozenset(passes)


SENT = {
    **RELATIONS,
    "core.sends": Known(
        {name: frozenset() for name in ("person_id", "campaign", "step", "at")},
        told=frozenset({"refill", "visit"}),
        told_by="campaign",
    ),
}

LAST = "lag(step) over"
ONE = "select step from s where campaign = 'winback'"
JOINED = "s.person_id = p.person_id and s.campaign = 'winback'"


@pytest.mark.parametrize(
    ("sql", "is_sifted"),
    [
        ("select person_id, step from core.sends where campaign = 'winback'", True),
        ("select person_id, step from core.sends where campaign in ('winback', 'welcome') and at > now()", True),
        ("select person_id, step from core.sends where campaign <> 'refill' and campaign not in ('visit')", True),
        ("select person_id, step from core.sends where campaign <> 'refill'", False),
        ("select person_id, step from core.sends where campaign = 'refill'", False),
        ("select person_id, step from core.sends where lower(campaign) = 'winback'", False),
        ("select person_id, step from core.sends where campaign = 'winback' or at > now()", False),
        ("select person_id, step from core.sends", False),
        # by way of a CTE that shows it, also by another name
        ("with s as (select campaign as c, step from core.sends) select step from s where c = 'winback'", True),
        ("with s as (select * from core.sends) select step from s where campaign = 'winback'", True),
        (
            "with s as (select max(campaign) as c, step from core.sends group by 2) select step from s where c = 'x'",
            False,
        ),
        (f"with s as (select campaign, {LAST} (order by at) as step from core.sends) {ONE}", False),
        (f"with s as (select campaign, {LAST} (partition by campaign) as step from core.sends) {ONE}", True),
        (f"with s as (select * from core.sends union all select * from core.sends) {ONE}", False),
        # where it is joined: not where the join keeps the others
        (f"select s.step from core.people p join core.sends s on {JOINED}", True),
        (f"select s.step from core.people p left join core.sends s on {JOINED}", True),
        (f"select s.step from core.people p right join core.sends s on {JOINED}", False),
        (f"select s.step from core.people p full join core.sends s on {JOINED}", False),
        (f"select s.step from core.sends s left join core.people p on {JOINED}", False),
        # of two, each for itself
        ("select a.step from core.sends a join core.sends b using (person_id) where b.campaign = 'winback'", False),
    ],
)
def test_who_surely_reads_none_of_some_rows_depends_on_the_rest(sql: str, is_sifted: bool) -> None:
    found = trace(sql, SENT)
    assert found is not None
    assert found.columns is not None
    steps = {relation for relation, column in found.columns["step"] if column == "step"}
    assert steps == {f"{SIFTED}core.sends" if is_sifted else "core.sends"}


def test_rows_are_told_apart_as_long_as_a_column_says_which_they_are() -> None:
    for sql, by in (
        ("select person_id, campaign as about from core.sends", "about"),
        ("select s.campaign, p.plan from core.sends s join core.people p using (person_id)", "campaign"),
        (
            "select person_id, campaign, row_number() over (partition by campaign order by at) as nth from core.sends",
            "campaign",
        ),
        ("select person_id, campaign, row_number() over (order by at) as nth from core.sends", None),
        ("select person_id, upper(campaign) as campaign from core.sends", None),
        ("select a.campaign from core.sends a join core.sends b using (person_id)", None),
    ):
        found = trace(sql, SENT)
        assert found is not None
        assert found.told_by == by, sql
        assert bool(found.told) == (by is not None)


@pytest.mark.parametrize(
    "level",
    [
        "(select x{n}, y{n}, z{n}, person_id from {inner} as a{n})",
        "(select x{n}, person_id, s.v from {inner} as a{n}, (select a{n}.u{n} as v) as s)",
        "(select x{n}, person_id from {inner} as a{n} where exists (select 1 from core.notes where w{n} = 1))",
    ],
)
def test_each_level_of_a_deep_text_is_worked_out_once_whatever_is_unknown_in_it(level: str) -> None:
    """Or this would not end."""
    inner = "core.people"
    for n in range(16):
        inner = level.format(n=n, inner=inner)
    assert (P, ALL) in known(f"select * from {inner}").reads
