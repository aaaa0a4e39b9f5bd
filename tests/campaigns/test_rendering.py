from __future__ import annotations

import json
import traceback
from collections.abc import Callable
from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import UndefinedError
from jinja2.sandbox import SecurityError

from tailrace.campaigns import filters, sandbox
from tailrace.campaigns.analysis import analyse
from tailrace.campaigns.definition import Message, RenderError
from tailrace.campaigns.personas import lacking
from tailrace.campaigns.render import Rendered, Renderer
from tailrace.campaigns.usage import usage
from tailrace.engine import literal
from tailrace.planning.payloads import first_missing

Make = Callable[..., Message]
ANN = {"customer": {"person_id": 1152921504606846975, "first_name": "Ann", "plan": "pro", "mrr": 49.5}}


def render(message: Message, data: dict[str, Any] | None = None) -> Rendered:
    assert analyse(message).problems == ()
    source = json.loads(json.dumps(message.source()))
    return Renderer().render(source, ANN if data is None else data)


def complaints(message: Message) -> list[str]:
    return [str(problem) for problem in analyse(message).problems]


def person(**fields: Any) -> dict[str, Any]:
    return {"customer": {"person_id": 1, **fields}}


def test_markdown_becomes_html_and_text(message: Make) -> None:
    made = render(
        message(
            "# Hi {{ customer.first_name }}\n\nYou are on **{{ customer.plan }}**.\n\n"
            "- [a](https://example.com/a)\n- b\n"
        )
    )
    assert "<h1>Hi Ann</h1>" in made.html
    assert '<li><a href="https://example.com/a">a</a></li>' in made.html
    assert made.text == "Hi Ann\n\nYou are on pro.\n\n- a (https://example.com/a)\n- b\n"


def test_html_has_a_text_part_too(message: Make) -> None:
    body = "<style>p{}</style><p>Hi {{ customer.first_name }} &amp; co</p>"
    body += "<ol><li>one</li><li>two<br>lines</li></ol><img alt='Logo' src='https://e.com/a.png'>"
    made = render(message(body, kind="html"))
    assert made.text == "Hi Ann & co\n\n1. one\n2. two\nlines\n\nLogo\n"


def test_the_layout_goes_around_both_parts_and_offers_the_way_out(message: Make) -> None:
    page = "<title>{{ subject }}</title>{{ body }}<a href='{{ unsubscribe_url }}'>out</a> {{ postal_address }}"
    made = render(
        message(
            "Hi\n",
            subject="A & {{ customer.plan }}",
            page=page,
            text="{{ body }}--\n{{ unsubscribe_url }} {{ postal_address }}",
        )
    )
    assert "<title>A &amp; pro</title><p>Hi</p>" in made.html
    assert "<a href='https://example.com/u?a=1&amp;p=1152921504606846975'>out</a> Harbour &amp; Sons" in made.html
    assert made.text.endswith("https://example.com/u?a=1&p=1152921504606846975 Harbour & Sons\n")
    assert made.headers == {"List-Unsubscribe": "<https://example.com/u?a=1&p=1152921504606846975>"}
    assert (made.subject, made.from_email, made.from_name) == ("A & pro", "hello@example.com", "Harbour")


EVIL = "*Ann* [x](https://evil.test) <b onclick=1>\"'> {{ 7*7 }} {% raw %} tagq0q0x <!--tagq0q0x-->"


def test_a_name_can_be_neither_markdown_nor_html_nor_template(message: Make) -> None:
    body = (
        '# {{ customer.first_name }}\n\n**{{ customer.first_name }}**\n\n<p title="{{ customer.first_name }}">x</p>\n'
    )
    made = render(message(body, subject="Hi {{ customer.first_name }}"), person(first_name=EVIL))
    assert "evil.test</a>" not in made.html
    assert "<a " not in made.html
    assert "<b " not in made.html
    assert "<em>" not in made.html
    assert "{{ 7*7 }}" in made.html
    assert "49" not in made.html
    assert made.html.count("&lt;b onclick=1&gt;&#34;&#39;&gt;") == 3
    assert made.text.startswith(EVIL)
    assert made.subject == f"Hi {EVIL}"


@given(st.text(min_size=1, max_size=60).filter(lambda text: text.strip() != ""))
def test_any_name_stays_text_between_the_tags_around_it(name: str) -> None:
    source = {
        "channel": "email",
        "kind": "md",
        "subject": "Hi",
        "preheader": "",
        "body": "Dear *{{ customer.first_name }}*!\n",
        "layout_html": "{{ body }}",
        "layout_text": "{{ body }}",
        "from_email": "a@example.com",
        "from_name": "A",
    }
    made = Renderer().render(source, person(first_name=name))
    inside = made.html.removeprefix("<p>Dear <em>").removesuffix("</em>!</p>\n")
    assert len(inside) == len(made.html) - len("<p>Dear <em></em>!</p>\n")
    assert not set(inside) & set("<>\"'")


@pytest.mark.parametrize("value", [None, "", "  ", "\n\t"])
@pytest.mark.parametrize(
    "body", ["Hi {{ customer.first_name }}", "{{ customer.first_name|upper }}", "{{ 'Hi ' ~ customer.first_name }}"]
)
def test_hi_none_is_impossible(message: Make, body: str, value: Any) -> None:
    with pytest.raises(RenderError) as raised:
        render(message(body), person(first_name=value))
    assert (raised.value.kind, raised.value.field) == ("missing_field", "customer.first_name")
    with pytest.raises(RenderError):
        render(message("Hi", subject=body), person())


def test_a_default_stands_in_for_null_and_blank(message: Make) -> None:
    made = message(
        "Hi {{ customer.first_name|default('there') }}{% if customer.company %} of {{ customer.company }}{% endif %}"
    )
    for value in (None, "", " "):
        assert render(made, person(first_name=value, company=value)).text == "Hi there\n"
    assert render(made, person(first_name="Ann", company="A")).text == "Hi Ann of A\n"


@pytest.mark.parametrize(
    ("body", "required", "optional"),
    [
        ("{{ customer.a }} {{ customer.b|default('x') }}", {"a"}, {"b"}),
        ("{{ customer.a }} {{ customer.a|default('x') }}", {"a"}, set()),
        ("{% if customer.a %}{{ customer.a }}{% else %}{{ customer.b }}{% endif %}", {"b"}, {"a"}),
        ("{% if not customer.a %}x{% else %}{{ customer.a }}{% endif %}", set(), {"a"}),
        ("{% if customer.a %}x{% endif %}{{ customer.a }}", {"a"}, set()),
        ("{% if customer.a and customer.b %}{{ customer.a }}{{ customer.b }}{% endif %}", set(), {"a", "b"}),
        ("{% if customer.a or customer.b %}{{ customer.a }}{% endif %}", {"a"}, {"b"}),
        ("{% if customer.a is defined %}{{ customer.a }}{% endif %}", set(), {"a"}),
        ("{% if customer.a == 'x' %}y{% endif %}", {"a"}, set()),
        ("{{ customer.a or 'x' }}", set(), {"a"}),
        ("{{ customer.a if customer.a else customer.b }}", {"b"}, {"a"}),
        ("{{ customer.a|upper|default('x') }}", {"a"}, set()),
        ("{{ customer['a'] }}", {"a"}, set()),
        ("[x](https://example.com/{{ customer.a }})", {"a"}, set()),
        (
            "{% if customer.a %}1{% elif customer.b %}{{ customer.b }}{% else %}{{ customer.c }}{% endif %}",
            {"c"},
            {"a", "b"},
        ),
        ("{{ customer.a.b }}{% if customer.c.d %}{% endif %}", {"a"}, {"c"}),
    ],
)
def test_needed_fields_are_known_before_anybody_is_written_to(
    message: Make, body: str, required: set[str], optional: set[str]
) -> None:
    made = message(body)
    assert analyse(made).required == {("customer", name) for name in required}
    assert analyse(made).optional == {("customer", name) for name in optional}


@pytest.mark.parametrize(
    ("body", "event", "lacks"),
    [
        ("{{ event.cart.total }}", {"cart": {"total": 1}}, []),
        ("{{ event.cart.total }}", {"cart": {}}, ["event.cart.total"]),
        ("{{ event.cart.total }}", {}, ["event.cart"]),
        ("{{ event.cart.total|default('none') }}", {}, []),
        ("{{ event.items[0].name|default('none') }}", {"items": []}, []),
        ("{{ event.items[0].name }}", {"items": []}, ["event.items[0].name"]),
        ("{{ event.items.first.name }}", {"items": [{"name": " "}]}, ["event.items.first.name"]),
        ("{{ event.items.size }}", {"items": []}, []),
        ("{% if event.cart.total %}{{ event.cart.total }}{% endif %}", {}, []),
        ("{% if event.items %}{{ event.items[0].name }}{% endif %}", {"items": []}, []),
        ("{% if event.items %}{{ event.items[0].name }}{% endif %}", {"items": [{}]}, ["event.items[0].name"]),
        ("{% if event.gift.is_one %}{{ event.gift.to }}{% endif %}", {"gift": {"is_one": False}}, []),
        ("{% if event.gift.is_one %}{{ event.gift.to }}{% endif %}", {"gift": {"is_one": True}}, ["event.gift.to"]),
        ("{% if event.a.b %}{{ event.a.c }}{% endif %}", {"a": {"b": {}}}, []),
        ("{% if event.a.b %}{{ event.a.c }}{% endif %}", {"a": {"b": 0.0}}, []),
        ("{% if event.a.b %}{{ event.a.c }}{% endif %}", {"a": {"b": "0"}}, ["event.a.c"]),
        ("{% if event.a.b is truthy %}{{ event.a.c }}{% endif %}", {"a": {"b": False}}, []),
        ("{% if event.a.b is truthy %}{{ event.a.c }}{% endif %}", {"a": {"b": []}}, ["event.a.c"]),
        ("{% if event.a.b is defined %}{{ event.a.c }}{% endif %}", {"a": {"b": False}}, ["event.a.c"]),
        ("{% if event.a.b is not blank %}{{ event.a.c }}{% endif %}", {"a": {"b": {}}}, []),
        ("{% if event.a.b is not blank %}{{ event.a.c }}{% endif %}", {"a": {"b": 0}}, ["event.a.c"]),
        ("{% for item in event.cart.items %}{{ item }}{% endfor %}", {"cart": {"n": 1}}, ["event.cart.items"]),
    ],
)
def test_what_lacks_below_a_field_is_known_before_the_message_is_made(
    message: Make, body: str, event: dict[str, Any], lacks: list[str]
) -> None:
    made = message(body + ".")
    data = {"customer": {"person_id": 7}, "event": event}

    assert lacking(analyse(made), data) == lacks
    assert planned(analyse(made), data) == next(iter(lacks), None)
    if lacks:
        with pytest.raises(RenderError, match="missing_field"):
            Renderer().render(made.source(), data)
    else:
        Renderer().render(made.source(), data)


def test_fields_are_found_in_the_subject_and_the_layout_too(message: Make) -> None:
    made = message(
        "{{ event.plan }}",
        subject="{{ segment.renews_on }}",
        page="{{ customer.plan }}{{ body }}",
        text="{{ body }}{{ unsubscribe_url }}",
    )
    assert analyse(made).required == {
        ("event", "plan"),
        ("segment", "renews_on"),
        ("customer", "plan"),
        ("customer", "person_id"),
    }


BODIES = st.recursive(
    st.sampled_from(["{{ customer.a }}", "{{ customer.b|default('x') }}", "{{ customer.c or customer.a }}", "t "]),
    lambda inner: st.builds(
        "{{% if {} %}}{}{{% else %}}{}{{% endif %}}{}".format,
        st.sampled_from(["customer.a", "not customer.b", "customer.a and customer.c", "customer.b or customer.c"]),
        *(inner, inner, inner),
    ),
    max_leaves=6,
)


@given(BODIES, st.sets(st.sampled_from("abc")))
def test_whoever_has_the_needed_fields_gets_the_message(body: str, extra: set[str]) -> None:
    source = {
        "channel": "email", "kind": "html", "subject": "Hi", "preheader": "", "body": body,
        "layout_html": "{{ body }}", "layout_text": "{{ body }}", "from_email": "a@example.com", "from_name": "A",
    }  # fmt: skip
    found = sandbox_usage(body)
    fields = {name for _, name in found} | extra
    Renderer().render(source, person(**dict.fromkeys(fields, "v")))


PATHS = ("event.a", "event.a.b", "event.a.b.c", "event.a[0]", "event.a.first.b", "event.b.size", "event.b.c")
TESTED = st.builds(
    "{}{}".format, st.sampled_from(PATHS), st.sampled_from(("", " is truthy", " is defined", " is blank"))
)
DEEP = st.recursive(
    st.builds("{{{{ {}|{} }}}}".format, st.sampled_from(PATHS), st.sampled_from(("json", "json|default(1)"))).map(
        lambda text: text.replace("|json|default", "|default").replace("|json", "")
    ),
    lambda inner: st.builds(
        "{{% if {} %}}{}{{% else %}}{}{{% endif %}}{}".format,
        st.one_of(TESTED, TESTED.map("not ({})".format), st.builds("{} and {}".format, TESTED, TESTED)),
        *(inner, inner, inner),
    ),
    max_leaves=5,
)
VALUES = st.recursive(
    st.sampled_from((None, "", "x", 0, 7, False, True, 0.0, "false")),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(st.sampled_from("abc"), inner, max_size=3)),
    max_leaves=6,
)


@given(DEEP, st.dictionaries(st.sampled_from("ab"), VALUES, max_size=2))
def test_whoever_lacks_nothing_below_a_field_is_never_refused_for_a_missing_one(
    body: str, event: dict[str, Any]
) -> None:
    source = {
        "channel": "email", "kind": "html", "subject": "Hi", "preheader": "", "body": f"t {body}",
        "layout_html": "{{ body }}", "layout_text": "{{ body }}", "from_email": "a@example.com", "from_name": "A",
    }  # fmt: skip
    found = usage(body)
    assert found.problems == []
    wrong = ""
    try:
        Renderer().render(source, {"event": event})
    except RenderError as error:
        wrong = error.kind

    # What is not of the kind that a path needs (a name of a text) is another matter.
    assert wrong != "missing_field" or lacking(found, {"event": event})


@given(DEEP, st.dictionaries(st.sampled_from("ab"), VALUES, max_size=2))
def test_a_plan_finds_missing_what_the_templates_say_is_missing(body: str, event: dict[str, Any]) -> None:
    found = usage(body)
    missing = planned(found, {"event": event})
    lacks = lacking(found, {"event": event})
    assert (missing is None) == (lacks == [])
    assert missing is None or missing in lacks


def planned(found: Any, data: dict[str, Any]) -> str | None:
    """Return what a plan finds missing first."""

    def value_of(root: str, name: str) -> str:
        return f"json_extract({literal(json.dumps(data.get(root, {})))}, {literal('$.' + name)})"

    with duckdb.connect() as connection:
        query = f"select {first_missing(sorted(found.required), sorted(found.needs), value_of)}"
        ((missing,),) = connection.execute(query).fetchall()
    return missing


def sandbox_usage(body: str) -> set[tuple[str, str]]:
    found = usage(body)
    assert found.problems == []
    return found.required


@pytest.mark.parametrize(
    "body",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ customer.__class__ }}",
        "{{ customer['__class__'] }}",
        "{{ customer.keys() }}",
        "{{ customer|attr('keys') }}",
        "{{ customer }}",
        "{{ self }}",
        "{{ range(3) }}",
        "{{ lipsum() }}",
        "{{ cycler.__init__.__globals__ }}",
        "{{ customer.a.format('x') }}",
        "{{ '%s'|format(customer.a) }}",
        "{{ customer.a|safe }}",
        "{{ customer.a|map(attribute='x') }}",
        "{{ customer.a|center(99999999) }}",
        "{{ 10 ** 10 ** 10 }}",
        "{% for a in range(9) %}{% endfor %}",
        "{% for a in event.x %}{% for b in event.y %}{% endfor %}{% endfor %}",
        "{% for customer in event.x %}{{ customer.a }}{% endfor %}",
        "{% include 'x' %}",
        "{% import 'x' as y %}",
        "{% extends 'x' %}",
        "{% from 'x' import y %}",
        "{% macro x() %}{% endmacro %}",
        "{% set x = customer.a %}",
        "{% autoescape false %}{{ customer.a }}{% endautoescape %}",
        "{% block x %}{% endblock %}",
        "{% call x() %}{% endcall %}",
        "{% raw %}{{ x }}{% endraw %}",
        "{% do x %}",
        "{{ customer.a if customer.b }}",
        "{{ custmer.a }}",
        "{{ a }}",
        "&#123;&#123; customer.a }}",
        "\\{\\{ customer.a }}",
        "{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}",
        "{{ customer.a|date('lnog') }}",
        "{{ customer.a is callable }}",
        "{% if unsubscribe_url %}x{% endif %}",
        "{{ body }}",
        "{{ event['a\"b'] }}",
        "{{ event['*'] }}",
        "{{ event[''] }}",
    ],
)
def test_a_template_that_reaches_out_is_refused_before_it_runs(message: Make, body: str) -> None:
    assert complaints(message(body))


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__ }}",
        "{{ customer.values }}",
        "{{ customer.name }}{{ customer.__class__ }}",
        "{{ customer['__init__'] }}",
        "{{ customer.a.upper() }}",
        "{{ customer() }}",
        "{{ 'a' * 10**9 }}",
        "{{ [1] * 10**9 }}",
        "{{ customer }}",
        "{{ event.l }}",
    ],
)
def test_the_sandbox_itself_refuses_what_the_reader_might_let_through(template: str) -> None:
    rows = {"customer": sandbox.Row("customer", {"a": "x", "name": "y"}), "event": sandbox.Row("event", {"l": [1]})}
    with pytest.raises((RenderError, SecurityError, UndefinedError)):
        "".join(sandbox.compiled(template, autoescape=True)(rows))


def test_fields_named_like_methods_of_mappings_are_fields(message: Make) -> None:
    made = message("{{ event.items|join(', ') }} {{ event.values|default('none') }}")
    assert render(made, {"event": {"items": ["a", "b"]}}).text == "a, b none\n"


def test_a_loop_goes_over_a_list_and_no_further_than_two_hundred(message: Make) -> None:
    made = message(
        "{% for item in event.items %}\n- {{ loop.index }} {{ item.name }}: {{ item.price|money }}\n{% endfor %}"
    )
    items = [{"name": "<Cup>", "price": 3}, {"name": "Pot", "price": "12.5"}]
    rendered = render(made, {"event": {"items": items}})
    assert rendered.text.split("\n\n") == ["- 1 <Cup>: $3", "- 2 Pot: $12.50\n"]
    assert "&lt;Cup&gt;" in rendered.html
    with pytest.raises(RenderError, match=r"too_long:event\.items"):
        render(made, {"event": {"items": items * 101}})
    with pytest.raises(RenderError, match=r"missing_field:price"):
        render(made, {"event": {"items": [{"name": "x"}]}})


def test_output_is_limited(message: Make) -> None:
    with pytest.raises(RenderError, match="too_long"):
        render(message("{{ customer.first_name }}"), person(first_name="x" * 600_000))


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("md", "[x](javascript:alert(1))"),
        ("md", "[x](data:text/html,x)"),
        ("md", "[x](/relative)"),
        ("md", "![x](file:///etc/passwd)"),
        ("md", "<javascript:alert>"),
        ("md", "[x](vbscript:x)\n\n[y]\n\n[y]: javascript:x"),
        ("html", "<a href='java\tscript:x'>x</a>"),
        ("html", "<a href='&#106;avascript:x'>x</a>"),
        ("html", "<a HREF=javascript:x>x</a>"),
        ("html", "<img src='data:image/png;base64,x'>"),
        ("html", "<p onclick='x'>x</p>"),
        ("html", "<script>x</script>"),
        ("html", "<svg><a xlink:href='javascript:x'></a></svg>"),
        ("html", "<iframe src='https://example.com'></iframe>"),
        ("html", "<meta http-equiv=Refresh content='0;url=https://evil.test'>"),
        ("html", "<a href={{ customer.a }}>x</a>"),
        ("html", "<a href='{{ customer.a }}{{ customer.b }}'>x</a>"),
        ("html", "<a href='https://{{ customer.a }}/'>x</a>"),
        ("html", "<a href='https://example.com{{ customer.a }}'>x</a>"),
        ("html", "<a href='https://example.com@{{ customer.a }}'>x</a>"),
        ("html", "<a href='{% if customer.a %}https://example.com{% endif %}'>x</a>"),
        ("html", "<p style='color: {{ customer.a }}'>x</p>"),
        ("html", "<style>p { color: {{ customer.a }} }</style>"),
        ("html", "<{{ customer.a }}>"),
        ("html", "<td {{ customer.a }}>"),
        ("html", "<!-- {{ customer.a }} -->"),
    ],
)
def test_a_place_that_data_could_break_out_of_is_refused(message: Make, kind: str, body: str) -> None:
    assert complaints(message(body, kind=kind))


@pytest.mark.parametrize("kind", ["md", "html"])
@pytest.mark.parametrize(
    "value", ["javascript:alert(1)", " JavaScript:x", "data:x", "//evil.test", "/x", "https://a b", 'https://a"b', 7]
)
def test_a_link_from_data_is_http_https_or_mailto(message: Make, kind: str, value: Any) -> None:
    body = "[x]({{ event.url }})" if kind == "md" else "<a href='{{ event.url }}'>x</a>"
    with pytest.raises(RenderError, match=r"^bad_link:event\.url$"):
        render(message(body, kind=kind), {"event": {"url": value}})
    for good in ("https://example.com/a?b=1&c=2", "http://example.com", "mailto:a@example.com"):
        made = render(message(body, kind=kind), {"event": {"url": good}})
        assert good.replace("&", "&amp;") in made.html
        assert good in made.text


def test_data_inside_a_link_cannot_leave_its_place(message: Make) -> None:
    made = render(
        message("[x](https://example.com/{{ customer.a }}/?q={{ customer.a }})"), person(a="../?x=1&y#/é\"'>")
    )
    quoted = "..%2F%3Fx%3D1%26y%23%2F%C3%A9%22%27%3E"
    assert f'href="https://example.com/{quoted}/?q={quoted}"' in made.html


@pytest.mark.parametrize(
    "value", ["a\r\nBcc: x@example.com", "a\nb", "a\x00", "a\u2028b", "=?utf-8?q?a=0d=0aBcc:_x?=", "x" * 600]
)
def test_a_subject_cannot_carry_a_header(message: Make, value: str) -> None:
    with pytest.raises(RenderError, match=r"^bad_subject:subject$"):
        render(message("Hi", subject="Hi {{ customer.first_name }}"), person(first_name=value))


@pytest.mark.parametrize(
    ("template", "value", "expected"),
    [
        ("{{ customer.v }}", 0.1 + 0.2, "0.3"),
        ("{{ customer.v }}", 49.0, "49"),
        ("{{ customer.v }}", 100, "100"),
        ("{{ customer.v }}", True, "yes"),
        ("{{ customer.v|money }}", 1234.5, "$1,234.50"),
        ("{{ customer.v|money('EUR') }}", "-12", "-€12"),
        ("{{ customer.v|money('CHF') }}", 0.005, "0.01 CHF"),
        ("{{ customer.v|date }}", "2026-01-31", "31 January 2026"),
        ("{{ customer.v|date('weekday') }}", "2026-01-31T05:00:00", "Saturday, 31 January"),
        ("{{ customer.v|date('short') }}", "2026-01-31 05:00:00", "31 Jan 2026"),
        ("{{ customer.v|plural('seat', 'seats') }}", 1, "1 seat"),
        ("{{ customer.v|plural('seat', 'seats') }}", 3, "3 seats"),
        ("{{ customer.v|round(1) }}", 2.25, "2.3"),
        ("{{ customer.v * 12 }}", 49.5, "594"),
        ("{{ customer.v / 2 }}", 3, "1.5"),
        ("{{ customer.v|length }}", [1, 2], "2"),
        ("{{ customer.v|capitalize }}", "pro plan", "Pro plan"),
    ],
)  # fmt: skip
def test_values_are_written_the_way_people_write_them(message: Make, template: str, value: Any, expected: str) -> None:
    assert render(message(template), person(v=value)).text == expected + "\n"


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("{{ customer.v }}", [1]),
        ("{{ customer.v }}", {"a": 1}),
        ("{{ customer.v }}", float("inf")),
        ("{{ customer.v }}", float("nan")),
        ("{{ customer.v|money }}", "much"),
        ("{{ customer.v|money }}", "NaN"),
        ("{{ customer.v|date }}", "soon"),
        ("{{ customer.v * 2 }}", "ab"),
        ("{{ customer.v / 0 }}", 1),
        ("{{ customer.v > 3 }}", "a"),
        ("{{ customer.v }}", "\ud800"),
    ],
)
def test_a_value_that_does_not_fit_is_an_error_without_the_value(message: Make, template: str, value: Any) -> None:
    made = message(template)
    with pytest.raises(RenderError) as raised:
        Renderer().render(made.source(), person(v=value, canary="canary-7"))
    assert str(raised.value).split(":")[0] == "wrong_type"
    shown = "".join(traceback.format_exception(raised.value))
    assert "soon" not in shown.replace("|date", "")
    assert "much" not in shown


def test_the_key_changes_with_the_copy_the_layout_and_the_sender_only(message: Make) -> None:
    assert message("a").message_key == message("a").message_key
    keys = {
        message("a").message_key,
        message("b").message_key,
        message("a", subject="x").message_key,
        message("a", page="{{ body }} ").message_key,
    }
    assert len(keys) == 4


def test_a_message_is_compiled_once_for_all_people(message: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    compiled = sandbox.compiled

    def counted(source: str, *, autoescape: bool) -> Any:
        calls.append(source)
        return compiled(source, autoescape=autoescape)

    monkeypatch.setattr(sandbox, "compiled", counted)
    renderer, made = Renderer(), message("Hi {{ customer.first_name }}")
    for name in ("Ann", "Bob", "Cy"):
        assert (
            f"Hi {name}" in renderer.render(made.source(), person(first_name=name), message_key=made.message_key).html
        )
    assert len(calls) == 3


ARGUMENTS: dict[str, tuple[Any, ...]] = {
    **dict.fromkeys(("plural", "pluralize"), ("a", "b")),
    **dict.fromkeys(("append", "prepend", "remove", "replace"), ("a",)),
    **dict.fromkeys(("plus", "minus", "times", "divided_by", "modulo", "at_least", "at_most", "take"), (2,)),
    "timezone": ("Europe/London",),
}


def test_every_filter_refuses_an_absent_field() -> None:
    gone = sandbox.absent("customer.x")
    for name, apply in filters.FILTERS.items():
        if name != "default":
            with pytest.raises(RenderError):
                apply(gone, *ARGUMENTS.get(name, ()))
