from __future__ import annotations

import json
import string
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import duckdb
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tailrace.campaigns import amounts
from tailrace.campaigns.conditions import ConditionError, Source, compile_where

Ask = Callable[[str, Any], Any]
CONNECTION = duckdb.connect()
CONNECTION.execute("set timezone = 'UTC'")


def ask(where: str, properties: Any) -> Any:
    text = None if properties is None else json.dumps(properties)
    row = CONNECTION.execute(
        f"select {compile_where(where).sql} from (select ?::varchar as properties)", [text]
    ).fetchone()
    assert row is not None
    return row[0]


PRO = {
    "plan": "pro",
    "mrr": 50,
    "trial": True,
    "note": None,
    "Plan Name": "It's",
    "at": "2026-01-01T00:00:00+02:00",
    "n": "nan",
}


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("plan = 'pro' and mrr >= 50", True),
        ("plan = 'pro' and mrr > 50", False),
        ("plan <> 'pro' or mrr = 50.0", True),
        ("not (plan = 'pro')", False),
        ("plan in ('free', 'pro')", True),
        ("plan not in ('free', 'pro')", False),
        ("mrr between 49 and 51", True),
        ("mrr * 12 - 1 = 599", True),
        ("mrr % 7 = 1", True),
        ("mrr > -1", True),
        ("plan like 'p%'", True),
        ("lower(plan) = 'pro' and length(plan) = 3", True),
        ("trial", True),
        ("not trial", False),
        ("trial = true and trial is true", True),
        ("note is null", True),
        ("plan is not null", True),
        ("\"Plan Name\" = 'It''s'", True),
        ("at < timestamp '2025-12-31 23:00:00'", True),
        ("at >= date '2026-01-01'", False),
        ("at = timestamp '2025-12-31T22:00:00Z'", True),
        ("coalesce(seats, 3) > 2", True),
    ],
)
def test_a_condition_means_what_it_says(where: str, expected: bool) -> None:
    assert ask(where, PRO) is expected


@pytest.mark.parametrize(
    "where", ["plan = 'pro'", "mrr > 5", "not trial", "plan <> 'pro'", "mrr / 0 > 1", "at < date '2100-01-01'"]
)
@pytest.mark.parametrize("properties", [None, {}, {"plan": None, "mrr": "many", "trial": "maybe", "at": "soon"}])
def test_what_is_absent_or_of_another_type_is_false_and_never_null(where: str, properties: Any) -> None:
    if where == "plan <> 'pro'" and properties:
        properties = {"plan": None}
    assert ask(where, properties) is False


def test_a_text_that_casts_to_infinity_or_nan_is_no_number() -> None:
    assert ask("n > 5", {"n": "nan"}) is False
    assert ask("n > 5", {"n": "infinity"}) is False


def test_numbers_are_compared_as_numbers_and_not_as_text() -> None:
    assert ask("mrr > 9", {"mrr": 10}) is True
    assert ask("a > b", {"a": 10, "b": 9}) is True


@pytest.mark.parametrize(
    "where",
    [
        "plan = 'a'; drop table people",
        "plan = 'a' union select 1",
        "plan = (select 'a')",
        "plan in (select plan from x)",
        "exists (select 1)",
        "read_csv('/etc/passwd') = plan",
        "getenv('HOME') = plan",
        "plan = $1",
        "plan = ?",
        "plan = e'\\x41'",
        "plan = $$a$$",
        "1 = 1",
        "plan = 'a' or 1 = 1",
        "true",
        "'a'",
        "plan::int > 3",
        "cast(plan as json) = 'a'",
        "people.plan = 'a'",
        "case when trial then true end",
        "plan ilike any(['a'])",
        "plan like note",
        "plan || 'a' = 'b'",
        "plan[1] = 'a'",
        "current_date > at",
        "mrr > interval '1 day'",
        "mrr = 1e400",
        "mrr = 99999999999999999999",
        "mrr > 'x' and 3 > mrr * 'y'",
        "plan = 'a' collate nocase",
        '"a\\"b" = 1',
        '"a""b" = 1',
        '"*" = 1',
        "plan = 'a",
        "plan =",
        "*",
        "plan = *",
        "()",
        "(" * 500 + "trial" + ")" * 500,
        " and ".join(["trial"] * 500),
        "not " * 60 + "trial",
        "columns('.*') = 1",
        "plan = 'a' limit 1",
        "trim(plan, 'x') = 'a'",
    ],
)
def test_everything_else_is_refused(where: str) -> None:
    with pytest.raises(ConditionError):
        compile_where(where)


def test_an_unknown_property_is_named_with_its_line_and_the_nearest_one() -> None:
    with pytest.raises(ConditionError, match=r"no property `pln`\. Did you mean `plan`") as raised:
        compile_where("mrr > 3\nand pln = 'x'", known={"plan", "mrr"})
    assert raised.value.line == 2


def test_the_properties_read_are_listed_with_their_lines() -> None:
    compiled = compile_where("b = 'x'\nand (a > 1 or b = 'y')")
    assert compiled.fields == ("a", "b")
    assert dict(compiled.lines) == {"b": 1, "a": 2}


def ask_of(source: Source, where: str, value: Any) -> Any:
    sql = compile_where(where, source=source).sql
    row = CONNECTION.execute(f"select {sql} from (select ?::varchar as {source})", [json.dumps(value)]).fetchone()
    assert row is not None
    return row[0]


def test_a_condition_may_be_over_a_person_or_over_an_answer() -> None:
    assert ask_of("customer", "plan = 'pro' and mrr > 50", {"plan": "pro", "mrr": 60}) is True
    assert ask_of("customer", "renews_on > date '2026-01-30'", {"renews_on": "2026-01-31"}) is True
    assert ask_of("customer", "plan = 'pro'", {"plan": None}) is False
    assert ask_of("body", "deal.owner.id = 7 and ok", {"ok": True, "deal": {"owner": {"id": 7}}}) is True
    assert ask_of("body", "deal.owner.id = 7", {"deal": [1]}) is False
    assert ask_of("body", "ok", None) is False


@pytest.mark.parametrize(
    ("source", "where", "words"),
    [
        ("customer", "customer.plan = 'x'", "names a table; expected the bare name of a column"),
        ("customer", "pln = 'x'", r"the person has no column `pln`. Did you mean `plan`"),
        ("customer", "1 = 2", "expected a column of the person on one side"),
        ("body", 'a.b.c.d."*" = 1', "cannot be used here|name is too long"),
        ("body", "a.b['c'] = 1", "cannot be used here"),
    ],
)
def test_what_cannot_be_asked_is_named_in_the_words_of_its_source(source: Source, where: str, words: str) -> None:
    with pytest.raises(ConditionError, match=words):
        compile_where(where, known={"plan"} if source == "customer" else None, source=source)


NASTY = st.text(alphabet=st.characters(codec="utf-8", exclude_categories=("Cs",)), max_size=40).filter(
    lambda text: "\x00" not in text
)


@given(NASTY)
def test_a_text_constant_equals_itself_and_nothing_leaks_out_of_it(value: str) -> None:
    where = "p = '" + value.replace("'", "''") + "'"
    assert ask(where, {"p": value}) is True
    assert ask(where, {"p": value + "x"}) is False


@given(st.text(alphabet="abc.*$ '[]()-é", min_size=1, max_size=20).filter(lambda name: name != "*"))
def test_a_property_name_is_only_ever_a_name(name: str) -> None:
    assert ask(f'"{name}" = 1', {name: 1}) is True
    assert ask(f'"{name}" = 1', {name + "_": 1}) is False


@given(st.text(alphabet=string.printable, max_size=40))
@example("@<A")
@example("@")
@example("a = -")
@example("not")
def test_no_text_makes_anything_but_a_boolean_or_a_clear_error(where: str) -> None:
    try:
        compiled = compile_where(where)
    except ConditionError:
        return
    row = CONNECTION.execute(f"select {compiled.sql} from (select '{{}}' as properties)").fetchone()
    assert row is not None
    assert isinstance(row[0], bool)


@given(st.integers(1, 500), st.sampled_from("mhdw"))
def test_a_duration_is_its_number_of_units(number: int, unit: str) -> None:
    length = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}[unit]
    assert amounts.duration(f"{number}{unit}") == number * length


@given(st.text(max_size=6))
def test_no_other_spelling_is_a_duration_or_a_share(text: str) -> None:
    for read, units in ((amounts.duration, "mhdw"), (amounts.basis_points, "%")):
        try:
            read(text)
        except ValueError:
            continue
        assert text.isascii()
        assert text[0].isdigit()
        assert text[-1] in units


@pytest.mark.parametrize(("text", "points"), [("0%", 0), ("10%", 1000), ("2.5%", 250), ("0.05%", 5), ("100%", 10_000)])
def test_a_percentage_is_read_in_basis_points(text: str, points: int) -> None:
    assert amounts.basis_points(text) == points


@pytest.mark.parametrize("text", ["10", "100.01%", "101%", "-1%", "1.234%", "٣%", " 1%", "0.1", "%"])
def test_a_share_that_is_no_percentage_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a share"):
        amounts.basis_points(text)


@pytest.fixture(autouse=True)
def _same_connection() -> Iterator[None]:
    yield
    assert CONNECTION.execute("select count(*) from duckdb_tables()").fetchone() == (0,)
