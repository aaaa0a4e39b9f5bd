from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from liquid import Environment, StrictUndefined

from tailrace.campaigns import sandbox
from tailrace.campaigns.analysis import analyse
from tailrace.campaigns.definition import ROOTS, RenderError
from tailrace.campaigns.liquid import LiquidProblem, to_jinja
from tailrace.campaigns.markup import compile_text
from tailrace.campaigns.render import Renderer
from tailrace.campaigns.usage import usage
from tests.campaigns.conftest import Project

COPY = """\
---
subject: "{% if customer.first_name %}{{ customer.first_name | capitalize }}, your{% else %}Your{% endif %} cart"
preheader: "{{ event.total | currency }} is waiting"
---
{% assign name = customer.first_name | capitalize | default: "friend" %}
<p>Hi {{name}},</p>
{% if customer.plan == 'pro' and event.total >= 100 %}
<p>Pro members ship free.</p>
{% elsif customer.plan contains 'team' or event.total > 200 %}
<p>Teams ship free above $200.</p>
{% else %}
<p>Shipping is {{ event.shipping | default: 5 | times: 1.0 | round: 2 }}.</p>
{% endif %}
<ul>
{% for item in event.items limit: 3 %}
<li>{{ forloop.index }}. {{ item.name | escape }}{% unless item.color == blank %} ({{ item.color }}){% endunless %}</li>
{% endfor %}
</ul>
{% case customer.country %}
  {% when 'DE', 'AT' %}<p>Lieferung in 3 Tagen</p>
  {% when 'US' %}<p>Ships tomorrow</p>
{% endcase %}
<a href="https://shop.example.com/cart/{{ event.cart_id }}">Back to my cart</a>
<a href="{% unsubscribe_url %}">out</a>
"""
CART = {
    "customer": {"person_id": 1, "first_name": "ann", "plan": "pro", "country": "AT"},
    "event": {
        "total": 120,
        "cart_id": "a b",
        "items": [{"name": "Cup <1>", "color": "red"}, {"name": "Pot"}],
    },
}


def write(project: Project, copy: str, name: str = "welcome.email.html.liquid") -> None:
    project.remove("campaigns/hello/welcome.email.md")
    project.write(f"campaigns/hello/{name}", copy)


def test_copy_from_customer_io_works_unchanged(project: Project) -> None:
    write(project, COPY)
    assert project.complaints() == []
    message = project.shelf().campaigns["hello"].messages["welcome"]
    found = analyse(message)
    assert found.required == {("event", "cart_id"), ("customer", "person_id")}
    assert found.optional == {
        *(("customer", name) for name in ("first_name", "plan", "country")),
        *(("event", name) for name in ("items", "shipping", "total")),
    }
    made = Renderer().render(message.source(), CART)
    assert made.subject == "Ann, your cart"
    assert "<p>Hi Ann,</p>" in made.html
    assert "Pro members ship free" in made.html
    assert "Shipping" not in made.html
    assert "<li>1. Cup &lt;1&gt; (red)</li>" in made.html
    assert "<li>2. Pot</li>" in made.html
    assert "Lieferung in 3 Tagen" in made.html
    assert "https://shop.example.com/cart/a%20b" in made.html
    assert made.headers["List-Unsubscribe"] == "<https://example.com/u?a=1&p=1>"
    bare = Renderer().render(message.source(), {"customer": {"person_id": 1}, "event": {"total": 9, "cart_id": 7}})
    assert bare.subject == "Your cart"
    assert "Hi friend," in bare.html
    assert "Shipping is 5.00." in bare.html


@pytest.mark.parametrize("name", ["welcome.email.liquid", "welcome.email.html.liquid", "welcome.email.md.liquid"])
def test_every_kind_of_email_may_be_liquid(project: Project, name: str) -> None:
    write(project, "---\nsubject: Hi\n---\nHello {{ customer.first_name | default: 'there' }}\n", name)
    assert project.complaints() == []
    message = project.shelf().campaigns["hello"].messages["welcome"]
    assert "Hello there" in Renderer().render(message.source(), {"customer": {"person_id": 1}}).text


@pytest.mark.parametrize(
    ("source", "required", "optional"),
    [
        ("{{ customer.a }}", {"a"}, set()),
        ("{{ customer.a | default: 'x' }}", set(), {"a"}),
        ("{{ customer.a | upcase | default: 'x' }}", set(), {"a"}),
        ("{{ customer.a | upcase }}", {"a"}, set()),
        ("{% if customer.a %}{{ customer.a }}{% endif %}", set(), {"a"}),
        ("{% if customer.a == 'x' %}{{ customer.a }}{% endif %}", set(), {"a"}),
        ("{% if customer.a != 'x' %}y{% endif %}", set(), {"a"}),
        ("{% if customer.a > 3 %}y{% else %}{{ customer.b }}{% endif %}", {"b"}, {"a"}),
        ("{% if customer.a contains 'x' %}y{% endif %}", set(), {"a"}),
        ("{% if customer.a == blank %}y{% else %}{{ customer.a }}{% endif %}", set(), {"a"}),
        ("{% unless customer.a == blank %}{{ customer.a }}{% endunless %}", set(), {"a"}),
        ("{% if customer.a != nil and customer.b %}{{ customer.a }}{{ customer.b }}{% endif %}", set(), {"a", "b"}),
        ("{% if customer.a or customer.b %}{{ customer.a }}{% endif %}", {"a"}, {"b"}),
        ("{% case customer.a %}{% when 'x' %}1{% else %}2{% endcase %}", set(), {"a"}),
        ("{% assign n = customer.a %}{% if n %}{{ n }}{% endif %}", set(), {"a"}),
        ("{% assign n = customer.a | default: 'x' %}{{ n }}", set(), {"a"}),
        ("{% for i in customer.a %}{{ i.x }}{% endfor %}", set(), {"a"}),
        ("{% if customer.a.b == 1 %}y{% endif %}", set(), {"a"}),
        ("{{ customer.a.b }}", {"a"}, set()),
        ("{{ customer.a.b | default: 'x' }}", set(), {"a"}),
        ("{{ customer['Plan Name'] }}", {"Plan Name"}, set()),
        ("{% if customer.a == empty %}{% endif %}{{ customer.b.first.name }}", {"b"}, {"a"}),
    ],
)
def test_a_field_that_is_tested_is_optional_and_a_field_that_is_printed_is_needed(
    source: str, required: set[str], optional: set[str]
) -> None:
    found = usage(to_jinja(source))
    assert found.problems == []
    assert found.required == {("customer", name) for name in required}
    assert found.optional == {("customer", name) for name in optional}


@pytest.mark.parametrize(
    ("source", "line", "words"),
    [
        ("a\n{% if customer.x %}", 2, "not Liquid"),
        ("a\n\n{{ customer.x | }}", 3, "not Liquid"),
        ("{% nonsense %}", 1, "not Liquid"),
        ("a\n{% cycle 'a', 'b' %}", 2, "`{% cycle %}` cannot be used"),
        ("{% capture x %}a{% endcapture %}", 1, "`{% capture %}` cannot be used"),
        ("{% increment x %}", 1, "`{% increment %}` cannot be used"),
        ("{% tablerow i in event.x %}{% endtablerow %}", 1, "cannot be used"),
        ("{% for i in (1..1000000000) %}x{% endfor %}", 1, "goes over a list of the data"),
        ("{% for i in event.x %}{% break %}{% endfor %}", 1, "cannot be used"),
        ("{% render 'x' with customer.a %}", 1, "a snippet takes no values"),
        ("{% include customer.a %}", 1, "a snippet takes no values"),
        ("{{ customer[event.x] }}", 1, "not by another field"),
        ("{% if customer.a %}{% assign x = 1 %}{% endif %}\n{{ x }}", 2, "is assigned in a branch"),
        ("{% liquid\n echo customer.a %}", 1, "cannot be used"),
        ("{{ (1..5) }}", 1, "cannot be used"),
    ],
)
def test_what_liquid_has_and_messages_may_not_is_refused_with_its_line(source: str, line: int, words: str) -> None:
    with pytest.raises(LiquidProblem) as raised:
        to_jinja(source)
    assert raised.value.line == line
    assert words in str(raised.value)


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("a\n\n{{ custmer.first_name }}", 3),
        ("{% if customer.a %}\n\n{{ customer.b | upcasee }}{% endif %}", 3),
        ("{% comment %}\n\n{% endcomment %}{{ x }}", 3),
        ("{%- if customer.a -%}\n\n\n{{ x }}{% endif %}", 4),
        ("{{ customer.a\n  | default:\n 'x' }}\n{{ x }}", 4),
        ("{% for i in event.a %}{% for j in event.b %}{% endfor %}{% endfor %}", 1),
        ("{{ customer.__class__ }}", 1),
        ("{{ snippets.nobody }}", 1),
    ],
)
def test_a_mistake_in_liquid_is_named_with_its_line(project: Project, source: str, line: int) -> None:
    write(project, f"---\nsubject: Hi\n---\n{source}\n")
    said = project.complaints()
    assert said
    assert {problem.split(": ")[0] for problem in said} == {f"campaigns/hello/welcome.email.html.liquid:{line + 3}"}


def rendered(source: str, data: dict[str, Any]) -> str:
    template = compile_text(to_jinja(source), {})
    assert usage(template).problems == []
    rows = {root: sandbox.Row(root, data.get(root, {})) for root in ROOTS}
    return "".join(sandbox.compiled(template, autoescape=False)(rows))


@pytest.mark.parametrize(
    "source",
    [
        "{{ '{{' }} {% raw %}{{ customer.a }} {% x %} {# y #}{% endraw %} { {# }} %}",
        "a {% if customer.a == 'x' %}b{% endif %}\nc",
        "{% if customer.zero %}0 is true{% endif %}{% if customer.no %}never{% else %}false is false{% endif %}",
        "{% if customer.gone == nil %}nil{% endif %}{% if customer.gone != 'x' %}other{% endif %}",
        "{% if customer.gone > 3 %}a{% else %}b{% endif %}",
        "{% if customer.n > 3 and customer.gone or customer.n == 5 %}a{% else %}b{% endif %}",
        "{% if customer.n == 5 or customer.gone and customer.gone %}a{% else %}b{% endif %}",
        "{% assign x = customer.n | plus: 2 %}{% assign y = x | times: x %}{{ y }}",
        "{% for i in customer.list reversed %}{{ forloop.index }}{{ i }}{% if forloop.last %}.{% endif %}{% endfor %}",
        "{% for i in customer.list limit: 1 offset: 1 %}{{ forloop.first }}{{ i }}{% endfor %}",
        "{{ customer.list.size }} {{ customer.list.first }} {{ customer.list[1] }} {{ customer.rows[0].name }}",
        "{% for i in customer.gone %}x{% endfor %}",
        "{% case customer.a %}{% when 'y' %}1{% when 'x', 'z' %}2{% else %}3{% endcase %}",
        "{%- if customer.a -%}   a   {%- endif -%}   b",
        "{% unless customer.a == 'x' %}1{% else %}2{% endunless %}",
        "{% if customer.list contains 'b' %}in{% endif %}{% if customer.a contains 'x' %}in{% endif %}",
        "{% if customer.list == empty %}1{% else %}2{% endif %}{% if customer.a == blank %}3{% endif %}",
        "{% comment %} {{ nothing }} {% endcomment %}{{ customer['a b'] }}{% # inline %}",
        "{% if customer.yes == true %}1{% endif %}{% if customer.n == '5' %}2{% endif %}",
    ],
)
def test_it_says_what_a_liquid_library_would_say(source: str) -> None:
    customer = {
        "a": "x", "zero": 0, "no": False, "yes": True, "n": 5, "list": ["a", "b", "c"],
        "rows": [{"name": "r"}], "a b": "spaced",
    }  # fmt: skip
    # It writes true and false; messages write yes and no.
    theirs = Environment().from_string(source).render(customer=customer).replace("false2b", "no2b")
    theirs = theirs.replace("trueb", "yesb")
    assert rendered(source, {"customer": customer}) == theirs


VALUES = st.one_of(st.none(), st.booleans(), st.integers(-5, 5), st.sampled_from(["x", "y z", "pro"]))
OPERANDS = st.sampled_from(["customer.a", "customer.b", "customer.c", "'x'", "'pro'", "3", "0", "nil", "blank", "true"])
TESTS = st.recursive(
    st.one_of(
        st.builds("customer.{} {} {}".format, st.sampled_from("abc"), st.sampled_from(["==", "!="]), OPERANDS),
        st.builds("customer.{}".format, st.sampled_from("abc")),
    ),
    lambda inner: st.builds("{} {} {}".format, inner, st.sampled_from(["and", "or"]), inner),
    max_leaves=4,
)


@given(TESTS, st.fixed_dictionaries(dict.fromkeys("abc", VALUES)))
@example("customer.a == true or customer.b != false", {"a": 1, "b": 0, "c": None})
@example("customer.a == customer.b", {"a": 1, "b": True, "c": None})
def test_every_test_goes_the_way_that_it_goes_in_liquid(test: str, customer: dict[str, Any]) -> None:
    source = f"{{% if {test} %}}yes{{% else %}}no{{% endif %}}"
    if _differs(test, customer):
        return
    present = {name: value for name, value in customer.items() if value is not None}
    theirs = Environment().from_string(source).render(customer=present)
    assert rendered(source, {"customer": customer}) == theirs
    # And nobody who lacks a field is an error.
    assert usage(to_jinja(source)).required == set()


def _differs(test: str, customer: dict[str, Any]) -> bool:
    """Return whether python-liquid is known to go another way: it has `1 != true`, and no gap is blank to it."""
    values = customer.values()
    return ("blank" in test and None in values) or any(isinstance(value, bool) for value in values)


@pytest.mark.parametrize("customer", [{}, {"a": None}, {"a": ""}, {"a": " "}])
def test_a_field_that_is_missing_is_blank_and_so_is_one_without_a_letter(customer: dict[str, Any]) -> None:
    assert rendered("{% if customer.a == blank %}blank{% else %}there{% endif %}", {"customer": customer}) == "blank"
    assert rendered("{% if customer.a != blank %}there{% endif %}", {"customer": customer}) == ""


def test_what_is_undefined_is_an_error_in_both_and_names_the_field_only() -> None:
    with pytest.raises(RenderError, match=r"^missing_field:customer\.gone$"):
        rendered("{{ customer.gone }}", {"customer": {}})
    with pytest.raises(Exception, match="gone"):
        Environment(undefined=StrictUndefined).from_string("{{ customer.gone }}").render(customer={})


def test_an_assignment_cannot_grow_without_end() -> None:
    source = "{% assign x = customer.a %}" + "{% assign x = x | append: x %}" * 30 + "{{ x }}"
    with pytest.raises(LiquidProblem, match="too long"):
        to_jinja(source)
    with pytest.raises(LiquidProblem):
        to_jinja("{% if customer.a %}" * 2000 + "{% endif %}" * 2000)
