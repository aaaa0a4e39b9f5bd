from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from liquid import Environment

from tailrace.campaigns import filters, sandbox
from tailrace.campaigns.analysis import analyse, rehearse
from tailrace.campaigns.dates import as_date
from tailrace.campaigns.definition import Message, RenderError
from tailrace.campaigns.liquid import to_jinja
from tailrace.campaigns.usage import usage

AT = "2026-03-05T14:07:09Z"
CASES: list[tuple[str, str, Any, str]] = [
    ("abs", "abs", -3.5, "3.5"),
    ("append", "append: '!'", "Hi", "Hi!"),
    ("at_least", "at_least: 5", 3, "5"),
    ("at_most", "at_most: 5", 3, "3"),
    ("capitalize", "capitalize", "pro plan", "Pro plan"),
    ("ceil", "ceil", 1.2, "2"),
    ("currency", "currency: 'EUR'", 1234, "€1,234.00"),
    ("currency", "currency: '£'", 0.5, "£0.50"),
    ("date", "date: '%B %d, %Y'", AT, "March 05, 2026"),
    ("date", "date: '%-d.%-m.%y %l:%M %p'", AT, "5.3.26  2:07 PM"),
    ("date", "date: '%a %b %e %H:%M'", AT, "Thu Mar  5 14:07"),
    ("date", "date: '%F %T'", AT, "2026-03-05 14:07:09"),
    ("date", "date: '%^a %j 100%%'", AT, "THU 064 100%"),
    ("date", "date: '%H:%M', 'America/New_York'", AT, "09:07"),
    ("date", "date: '%H:%M %Z', 'Asia/Tokyo'", "2026-03-05T14:07:09", "23:07 JST"),
    ("date", "date: '%A'", 1772719629, "Thursday"),
    ("date", "date: 'weekday', 'Pacific/Auckland'", "2026-03-05", "Thursday, 5 March"),
    ("default", "default: 'x'", "y", "y"),
    ("default", "default: 'x'", None, "x"),
    ("divided_by", "divided_by: 2", 7, "3"),
    ("divided_by", "divided_by: 2.0", 7, "3.5"),
    ("downcase", "downcase", "ABC", "abc"),
    ("escape", "escape", "a < b", "a < b"),
    ("first", "first", ["a", "b"], "a"),
    ("floor", "floor", 1.8, "1"),
    ("join", "join: ' and '", ["a", "b"], "a and b"),
    ("last", "last", ["a", "b"], "b"),
    ("length", "length", "abc", "3"),
    ("lower", "lower", "ABC", "abc"),
    ("minus", "minus: 2", 5, "3"),
    ("modulo", "modulo: 3", 10, "1"),
    ("money", "money", 49.5, "$49.50"),
    ("number_with_delimiter", "number_with_delimiter", 1234567.5, "1,234,567.5"),
    ("plural", "plural: 'seat', 'seats'", 3, "3 seats"),
    ("pluralize", "pluralize: 'seat', 'seats'", 1, "seat"),
    ("plus", "plus: 0.1", 0.2, "0.3"),
    ("prepend", "prepend: 'Dr '", "No", "Dr No"),
    ("remove", "remove: 'b'", "abc", "ac"),
    ("replace", "replace: 'b', 'x'", "abc", "axc"),
    ("reverse", "reverse | join: ''", ["a", "b"], "ba"),
    ("round", "round: 1", 2.25, "2.3"),
    ("round", "round", 2.5, "3"),
    ("size", "size", ["a", "b"], "2"),
    ("sort", "sort | join: ''", ["b", "a"], "ab"),
    ("split", "split: ',' | last", "a,b", "b"),
    ("strip", "strip", " a ", "a"),
    ("strip_html", "strip_html", "<b>a</b>", "a"),
    ("take", "take: 1 | join", ["a", "b"], "a"),
    ("times", "times: 12", 49.5, "594"),
    ("timezone", "timezone: 'Europe/Berlin' | date: '%H:%M'", AT, "15:07"),
    ("titlecase", "titlecase", "new york", "New York"),
    ("trim", "trim", " a ", "a"),
    ("truncate", "truncate: 6", "Hello there", "Hel..."),
    ("truncate", "truncate: 5, '…'", "Hello there", "Hell…"),
    ("truncatewords", "truncatewords: 1", "Hello there", "Hello..."),
    ("uniq", "uniq | join: ''", ["a", "b", "a"], "ab"),
    ("upcase", "upcase", "abc", "ABC"),
    ("upper", "upper", "abc", "ABC"),
    ("url_encode", "url_encode", "a b&c", "a%20b%26c"),
    ("urlencode", "urlencode", "ü", "%C3%BC"),
]


def in_jinja(source: str, value: Any) -> str:
    assert usage(source, is_compiled=False).problems == []
    return "".join(sandbox.compiled(source, autoescape=False)({"event": sandbox.Row("event", {"v": value})}))


def as_jinja(call: str) -> str:
    """Write `truncate: 5, 'x' | join` as Jinja has it."""
    written = []
    for part in call.split(" | "):
        name, colon, arguments = part.partition(":")
        written.append(f"{name}({arguments.strip()})" if colon else name)
    return f"{{{{ event.v|{'|'.join(written)} }}}}"


@pytest.mark.parametrize(("name", "call", "value", "expected"), CASES, ids=[f"{c[1]} of {c[2]}" for c in CASES])
def test_a_filter_gives_the_same_in_jinja_and_in_liquid(name: str, call: str, value: Any, expected: str) -> None:
    assert in_jinja(as_jinja(call), value) == expected
    assert in_jinja(to_jinja(f"{{{{ event.v | {call} }}}}"), value) == expected


def test_every_filter_is_tried_in_both_languages() -> None:
    assert {name for name, *_ in CASES} == set(filters.FILTERS)


def test_the_page_for_authors_lists_every_filter() -> None:
    page = (Path(__file__).parents[2] / "docs/templates.md").read_text(encoding="utf-8")
    listed = page[page.index("## Filters") : page.index("## Layouts")]
    assert set(filters.FILTERS) <= set(re.findall(r"[a-z_]+", listed))


SHOPIFY = (
    *("abs", "append", "at_least", "at_most", "ceil", "divided_by", "downcase", "first", "floor", "join", "last"),
    *("minus", "modulo", "plus", "prepend", "remove", "replace", "reverse", "size", "sort", "split", "strip"),
    *("strip_html", "times", "truncate", "truncatewords", "uniq", "upcase", "capitalize", "default", "date"),
)


@pytest.mark.parametrize(
    ("call", "value"),
    [(call, value) for name, call, value, _ in CASES if name in SHOPIFY and "', '" not in call and "%^" not in call],
)
def test_a_filter_that_liquid_has_does_what_it_does_there(call: str, value: Any) -> None:
    if isinstance(value, str) and "T" in value and "date" in call:
        value = value.replace("Z", "+00:00")
    source = f"{{{{ event.v | {call} }}}}"
    if "weekday" in call:
        return
    told = Environment().from_string(source).render(event={"v": value})
    assert in_jinja(to_jinja(source), value) == told.removesuffix(".0")


@pytest.mark.parametrize(
    ("call", "value"),
    [
        ("date('%Q')", "2026-01-01"),
        ("date('lnog')", "2026-01-01"),
        ("dat('long')", "2026-01-01"),
    ],
)
def test_a_filter_that_cannot_work_is_refused_before_it_runs(call: str, value: Any) -> None:
    assert usage(f"{{{{ event.v|{call} }}}}").problems


def test_a_message_has_no_clock() -> None:
    assert "has no clock" in usage("{{ 'now'|date('%Y') }}").problems[0][1]
    assert "has no clock" in usage(to_jinja("{{ 'now' | date: '%Y' }}")).problems[0][1]


@pytest.mark.parametrize(
    ("call", "value"),
    [
        ("date('%Y')", "soon"),
        ("date('%Y')", True),
        ("date('%Y')", 10**20),
        ("date('%H', 'Mars/Base')", AT),
        ("date('%H', '../../etc/passwd')", AT),
        ("date('%Y', event.v)", AT),
        ("divided_by(0)", 1),
        ("modulo(0)", 1),
        ("truncate(-1)", "a"),
        ("truncate('many')", "a"),
        ("first", []),
        ("first", "abc"),
        ("join", "abc"),
        ("sort", [1, "a"]),
        ("sort('x')", [{"y": 1}]),
        ("replace('', 'x')", "abc"),
        ("plus(event.v)", "a"),
        ("times(event.v)", 1e14),
        ("take(999)", [1]),
    ],
)
def test_a_value_that_a_filter_cannot_take_is_an_error_without_the_value(call: str, value: Any) -> None:
    with pytest.raises(RenderError) as raised:
        in_jinja(f"{{{{ event.v|{call} }}}}", value)
    assert str(raised.value) in ("wrong_type", "too_long", "missing_field")


@pytest.mark.parametrize("call", ["append(event.v)", "replace('x', event.v)", "prepend(event.v)"])
def test_filters_cannot_make_a_text_grow_without_end(call: str) -> None:
    with pytest.raises(RenderError, match="too_long"):
        in_jinja(f"{{{{ event.v|{call} }}}}", "x" * 300_000)
    with pytest.raises(RenderError, match="too_long"):
        in_jinja("{{ event.v|split(',')|size }}", "a," * 300)


@given(
    st.datetimes(min_value=datetime(1900, 1, 1)),  # noqa: DTZ001
    st.sampled_from(["%Y", "%m", "%d", "%H", "%I", "%M", "%S", "%j", "%u", "%w", "%y", "%B", "%b", "%A", "%a", "%p"]),
)
def test_a_letter_means_what_strftime_means(moment: Any, letter: str) -> None:
    # The C locale's names are English.
    expected = moment.strftime(letter).zfill(4) if letter == "%Y" else moment.strftime(letter)
    assert as_date(moment.isoformat(), letter) == expected


def test_a_zone_may_be_a_field_of_the_person(message: Callable[..., Message]) -> None:
    made = message("{{ event.at|date('%H:%M', customer.timezone|default('UTC')) }} {{ customer.timezone }}")
    assert rehearse(made, analyse(made)) is None
