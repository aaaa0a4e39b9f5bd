"""Layouts, snippets, links: what messages share, and what is put into them."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.campaigns.analysis import analyse
from tailrace.campaigns.definition import Message
from tailrace.campaigns.filters import tagged
from tailrace.campaigns.render import Rendered, Renderer
from tests.campaigns.conftest import CAMPAIGN, POLICY, Project

ANN = {"customer": {"person_id": 1, "first_name": "Ann", "plan": "pro"}, "event": {"url": "https://example.com/x#a"}}
UTM = POLICY + 'utm: {source: harbour, medium: email, campaign: "{campaign}"}\n'
SECTION = "<mj-section><mj-column><mj-text>{}</mj-text></mj-column></mj-section>"
MJ_LAYOUT = (
    "<mjml>\n<mj-head><mj-preview>{{ preheader }}</mj-preview></mj-head>\n<mj-body>\n{{ body }}\n"
    '<mj-section><mj-column><mj-text><a href="{{ unsubscribe_url }}">out</a> {{ postal_address }}</mj-text>'
    "</mj-column></mj-section>\n</mj-body>\n</mjml>\n"
)


def message(project: Project, text: str, kind: str = "md", header: str = "subject: Hi") -> Message:
    for file in (project.root / "campaigns/hello").glob("welcome.*"):
        file.unlink()
    project.write(f"campaigns/hello/welcome.email.{kind}", f"---\n{header}\n---\n{text}\n")
    assert project.complaints() == []
    return project.shelf().campaigns["hello"].messages["welcome"]


def made(message: Message, data: dict[str, Any] | None = None) -> Rendered:
    return Renderer().render(json.loads(json.dumps(message.source())), data or ANN)


def complaints(project: Project, text: str, kind: str = "md") -> list[str]:
    for file in (project.root / "campaigns/hello").glob("welcome.*"):
        file.unlink()
    project.write(f"campaigns/hello/welcome.email.{kind}", f"---\nsubject: Hi\n---\n{text}\n")
    return project.complaints()


# Snippets


@pytest.mark.parametrize(
    ("file", "body", "expected"),
    [
        ("sign.md", "Yours, **{{ customer.first_name }}**\n", "Yours, <strong>Ann</strong>"),
        ("sign.html", "<b>{{ customer.first_name }}</b>", "<b>Ann</b>"),
        ("sign.txt", "Yours & {{ customer.first_name }}\n", "Yours &amp; Ann"),
        ("sign.liquid", "<b>{{ customer.first_name | upcase }}</b>", "<b>ANN</b>"),
        ("sign.txt.liquid", "{% if customer.plan == 'pro' %}Pro{% endif %}", "Pro"),
    ],
)
def test_a_snippet_is_printed_in_every_kind_of_message(project: Project, file: str, body: str, expected: str) -> None:
    project.write(f"campaigns/_snippets/{file}", body)
    project.write("campaigns/_layout/email.mjml", MJ_LAYOUT)
    assert f"<p>Bye, {expected}!</p>" in made(message(project, "Bye, {{ snippets.sign }}!")).html
    assert f"<i>{expected}</i>" in made(message(project, "<i>{{ snippets.sign }}</i>", "html")).html
    assert expected in made(message(project, SECTION.format("{{snippets.sign}}"), "mjml")).html
    assert expected in made(message(project, "<i>{% render 'sign' %}</i>", "liquid")).html
    text = made(message(project, "Bye, {{ snippets.sign }}!")).text
    assert "<" not in text
    assert "&amp;" not in text


def test_a_snippet_on_a_line_of_its_own_is_a_block(project: Project) -> None:
    project.write("campaigns/_snippets/steps.md", "- one\n- two\n")
    rendered = made(message(project, "Do this:\n\n{{ snippets.steps }}\n\nThen rest."))
    assert re.search(r"<p>Do this:</p>\s*<ul>\s*<li>one</li>\s*<li>two</li>\s*</ul>\s*<p>Then rest.</p>", rendered.html)
    assert "- one\n- two\n" in rendered.text


def test_the_fields_of_a_snippet_are_fields_of_the_message(project: Project) -> None:
    project.write("campaigns/_snippets/sign.md", "{{ customer.company }} {{ customer.plan|default('x') }}")
    found = analyse(message(project, "{{ snippets.sign }}"))
    assert ("customer", "company") in found.required
    assert ("customer", "plan") in found.optional
    assert found.places["customer", "company"] == ("campaigns/_snippets/sign.md", 1)
    found = analyse(message(project, "{% if customer.company %}{{ snippets.sign }}{% endif %}"))
    assert ("customer", "company") in found.optional


def test_a_message_keeps_the_snippets_that_it_uses_and_no_other(project: Project) -> None:
    project.write("campaigns/_snippets/sign.md", "Mara")
    project.write("campaigns/_snippets/other.md", "Otto")
    before = message(project, "{{ snippets.sign }}")
    assert before.source()["snippets"] == {"sign": {"kind": "md", "body": "Mara"}}
    source = json.loads(json.dumps(before.source()))
    project.write("campaigns/_snippets/other.md", "Olga")
    assert message(project, "{{ snippets.sign }}").message_key == before.message_key
    project.write("campaigns/_snippets/sign.md", "Mona")
    assert message(project, "{{ snippets.sign }}").message_key != before.message_key
    project.remove("campaigns/_snippets/sign.md")
    assert "Mara" in Renderer().render(source, ANN).text


@pytest.mark.parametrize(
    ("snippet", "body", "words"),
    [
        ("x", "{{ snippets.sing }}", "no snippet `sing`.*Did you mean `snippets.sign`"),
        ("x", "<a href='{{ snippets.sign }}'>x</a>", "cannot stand in `href`"),
        ("x", "<p title='{{ snippets.sign }}'>x</p>", "cannot stand in `title`"),
        ("x", "{{ snippets.sign|upper }}", "`snippets`"),
        ("x", "{{ snippets }}", "`snippets` is not known"),
        ("x", "{{ snippets['sign'] }}", "`snippets` is not known"),
        ("{{ snippets.sign }}", "{{ snippets.sign }}", "_snippets/sign.html:1: there is no snippet `sign` here"),
        ("{% include 'x' %}", "x", "_snippets/sign.html:1: .*include"),
        ("\n\n{{ custmer.x }}", "x", "_snippets/sign.html:3: `custmer` is not known"),
        ("<script>x</script>", "{{ snippets.sign }}", "_snippets/sign.html:1: `<script>`"),
        ("<a href='/x'>x</a>", "{{ snippets.sign }}", "_snippets/sign.html:1: the link `/x` cannot be used"),
    ],
)
def test_what_a_snippet_may_not_is_refused_where_it_stands(
    project: Project, snippet: str, body: str, words: str
) -> None:
    project.write("campaigns/_snippets/sign.html", snippet)
    said = complaints(project, body, "html")
    assert any(re.search(words, problem) for problem in said), said


@pytest.mark.parametrize("name", ["sign.yml", "sign", "Sign.md", "sign.html.md", "a b.txt"])
def test_a_file_that_is_no_snippet_is_a_mistake(project: Project, name: str) -> None:
    project.write(f"campaigns/_snippets/{name}", "x")
    assert "is not a snippet" in project.complaints()[0]


def test_a_snippet_has_one_file(project: Project) -> None:
    project.write("campaigns/_snippets/sign.md", "x")
    project.write("campaigns/_snippets/sign.txt", "x")
    assert "has two files" in project.complaints()[0]


# MJML


def test_mjml_in_a_layout_becomes_html_and_text(project: Project) -> None:
    project.write("campaigns/_layout/email.mjml", MJ_LAYOUT)
    project.remove("campaigns/_layout/email.txt")
    project.remove("campaigns/_layout/email.html")
    body = (
        SECTION.format("Hi {{ customer.first_name }}")
        + "\n{% if customer.plan == 'pro' %}\n"
        + '<mj-section><mj-column><mj-button href="https://example.com/{{ customer.plan }}">Go</mj-button>'
        + "</mj-column></mj-section>\n{% endif %}"
    )
    rendered = made(message(project, body, "mjml", "subject: Hi\npreheader: For {{ customer.first_name }}"))
    assert rendered.html.startswith("<!DOCTYPE html>")
    assert "Hi Ann" in rendered.html
    assert "For Ann" in rendered.html
    assert 'href="https://example.com/pro"' in rendered.html
    assert "tagq" not in rendered.html
    assert "fonts.googleapis" not in rendered.html
    assert "Hi Ann" in rendered.text
    assert "Go (https://example.com/pro)" in rendered.text
    assert rendered.headers["List-Unsubscribe"] == "<https://example.com/u?a=1&p=1>"
    plain = made(message(project, body, "mjml"), {"customer": {"person_id": 1, "first_name": "Bo", "plan": "free"}})
    assert "Go" not in plain.text


def test_a_text_layout_goes_around_the_text_of_mjml(project: Project) -> None:
    project.write("campaigns/_layout/email.mjml", MJ_LAYOUT)
    rendered = made(message(project, SECTION.format("Hi {{ customer.first_name }}"), "mjml"))
    assert rendered.text == "Hi Ann\n\n-- \nhttps://example.com/u?a=1&p=1\nHarbour Ltd, 12 Mill Lane\n"


def test_a_whole_mjml_document_needs_no_layout(project: Project) -> None:
    body = SECTION.format('Hi <a href="{{ unsubscribe_url }}">out</a>')
    body = f"<mjml><mj-body>{body}</mj-body></mjml>"
    rendered = made(message(project, body, "mjml"))
    assert "Hi" in rendered.html
    assert rendered.text.startswith("Hi out (https://example.com/u?a=1&p=1)")


@pytest.mark.parametrize(
    ("body", "line", "words"),
    [
        ("<mj-section>\n<mj-colum></mj-colum></mj-section>", 5, "`<mj-colum>` is no tag of MJML"),
        ("<mj-section>\n\n<mj-column></mj-section>", 6, "`<mj-column>` is not closed before `</mj-section>`"),
        ("<mj-section><mj-column>\n<mj-text color=red>x</mj-text></mj-column></mj-section>", 5, "is not quoted"),
        ("<mj-section><mj-column>\n\n<mj-text><b>x</mj-text></mj-column></mj-section>", 6, "`<b>`"),
        ("<mj-include path='/etc/passwd' />", 4, "`mj-include` cannot be used"),
        (SECTION.replace("<mj-text>", "<mj-text\nfoo='{{ customer.plan }}'>"), 5, "MJML shows nothing"),
        (SECTION.format("\n<a href='/x'>y</a>"), 5, "the link `/x` cannot be used"),
        (SECTION.format("\n\n{{ custmer.x }}"), 6, "`custmer` is not known"),
        (SECTION.format("\n<a href='https://{{ customer.plan }}/'>y</a>"), 5, "cannot be checked"),
    ],
)
def test_a_mistake_in_mjml_is_named_with_its_line(project: Project, body: str, line: int, words: str) -> None:
    project.write("campaigns/_layout/email.mjml", MJ_LAYOUT)
    said = complaints(project, body, "mjml")
    assert any(f"welcome.email.mjml:{line}: " in problem and words in problem for problem in said), said


def test_a_mistake_in_an_mjml_layout_is_named_with_its_line(project: Project) -> None:
    project.write("campaigns/_layout/email.mjml", MJ_LAYOUT.replace("<mj-head>", "<mj-hed>"))
    said = complaints(project, SECTION.format("x") + "\n\n" + SECTION.format("y"), "mjml")
    assert any(problem.startswith("campaigns/_layout/email.mjml:2: `<mj-hed>`") for problem in said), said
    project.write("campaigns/_layout/email.mjml", MJ_LAYOUT.replace("out</a>", "out</b>"))
    said = complaints(project, SECTION.format("x") + "\n\n" + SECTION.format("y"), "mjml")
    assert any(problem.startswith("campaigns/_layout/email.mjml:5: `<a>` is not closed") for problem in said), said


def test_mjml_without_a_layout_for_it_is_a_mistake(project: Project) -> None:
    assert "there is no MJML layout `email`" in complaints(project, SECTION.format("x"), "mjml")[0]


# Links


def links(rendered: Rendered) -> list[str]:
    return [link.replace("&amp;", "&") for link in re.findall(r'href="([^"]*)"', rendered.html)]


def test_links_of_marketing_carry_the_tags_of_the_policy(project: Project) -> None:
    project.write("policy.yml", UTM)
    query = "utm_source=harbour&utm_medium=email&utm_campaign=hello"
    body = (
        "[a](https://example.com/a) [b](https://example.com/b?x=1&y=2#part) [c](https://example.com/c?utm_source=own)\n"
        "[d](https://example.com/{{ customer.plan }}?p={{ customer.plan }}#{{ customer.plan }})\n"
        "[e](mailto:a@b.example) "
        "[f]({{ event.url }}) <https://example.com/g> ![i](https://example.com/i.png)"
    )
    rendered = made(message(project, body))
    assert links(rendered) == [
        f"https://example.com/a?{query}",
        f"https://example.com/b?x=1&y=2&{query}#part",
        "https://example.com/c?utm_source=own&utm_medium=email&utm_campaign=hello",
        f"https://example.com/pro?p=pro&{query}#pro",
        "mailto:a@b.example",
        f"https://example.com/x?{query}#a",
        f"https://example.com/g?{query}",
        "https://example.com/u?a=1&p=1",
    ]
    assert 'src="https://example.com/i.png"' in rendered.html
    for link in links(rendered)[:-1]:
        assert link.removeprefix("mailto:") in rendered.text
    assert f"https://example.com/g?{query}" in rendered.text
    assert "https://example.com/g (" not in rendered.text
    assert "https://example.com/u?a=1&p=1\n" in rendered.text
    assert rendered.headers == {"List-Unsubscribe": "<https://example.com/u?a=1&p=1>"}


def test_links_of_layouts_and_snippets_are_tagged_once(project: Project) -> None:
    project.write("policy.yml", UTM)
    project.write("campaigns/_snippets/sign.md", "[us](https://example.com/us)")
    project.write(
        "campaigns/_layout/email.html",
        "<a href=https://example.com/home>home</a>{{ body }}<a href='{{ unsubscribe_url }}'>out</a>",
    )
    project.write("campaigns/_layout/email.txt", "{{ body }}\nHome: https://example.com/home.\n{{ unsubscribe_url }}\n")
    rendered = made(message(project, "{{ snippets.sign }}"))
    assert rendered.html.count("utm_source=harbour") == 2
    assert rendered.text.count("utm_source=harbour") == 2
    assert "Home: https://example.com/home?utm_source=harbour&utm_medium=email&utm_campaign=hello.\n" in rendered.text


def test_transactional_mail_and_mail_to_staff_is_not_tagged(project: Project) -> None:
    project.write("policy.yml", UTM)
    transactional = CAMPAIGN.replace("class: marketing\ntopic: tips", "class: transactional")
    project.write("campaigns/hello/campaign.yml", transactional)
    assert "utm" not in made(message(project, "[a](https://example.com/a)")).html
    project.write("campaigns/hello/campaign.yml", CAMPAIGN.replace("- send: welcome", "- notify: welcome"))
    for kind in ("html", "txt"):
        project.write(f"campaigns/_layout/staff.{kind}", "{{ body }}")
    header = "subject: Hi\nto: cs@example.com\nlayout: staff"
    assert "utm" not in made(message(project, "[a](https://example.com/a)", header=header)).html


WORDS = st.text("abc123-._~", max_size=6)
URLS = st.builds(
    "{}://example.com/{}{}{}".format,
    st.sampled_from(["http", "https", "HTTPS"]),
    WORDS,
    st.one_of(st.just(""), st.just("?"), st.builds("?{}={}".format, WORDS, WORDS), st.just("?utm_source=x&y")),
    st.one_of(st.just(""), st.builds("#{}".format, WORDS)),
)


@given(URLS)
def test_a_tagged_link_leads_to_the_same_place_and_is_tagged_once(link: str) -> None:
    once = tagged(link, "utm_source=a&utm_medium=b%20c")
    assert tagged(once, "utm_source=a&utm_medium=b%20c") == once
    before, after = urlsplit(link), urlsplit(once)
    assert (before.scheme, before.netloc, before.path, before.fragment) == (
        after.scheme,
        after.netloc,
        after.path,
        after.fragment,
    )
    pairs = parse_qsl(after.query, keep_blank_values=True)
    assert [name for name, _ in pairs].count("utm_source") == 1
    assert ("utm_medium", "b c") in pairs
    assert after.query.startswith(before.query)


@pytest.mark.parametrize(
    "link", ["/pricing", "www.example.com", "example.com/x", "//example.com", "ftp://example.com/"]
)
@pytest.mark.parametrize("kind", ["md", "html"])
def test_a_link_that_is_not_whole_is_named_with_its_line(project: Project, kind: str, link: str) -> None:
    body = f"one\n\n[x]({link})" if kind == "md" else f"<p>one</p>\n\n<a href='{link}'>x</a>"
    said = complaints(project, body, kind)
    assert said[0].startswith(f"campaigns/hello/welcome.email.{kind}:6: the link `{link}` cannot be used")


def test_a_block_tag_in_a_line_takes_no_line_break_with_it(project: Project) -> None:
    rendered = made(
        message(project, "a {% if customer.plan %}b{% endif %}\nc\n\n{% if customer.plan %}\nd\n{% endif %}\ne")
    )
    assert "a b\nc" in rendered.html
    assert rendered.text.startswith("a b c\n\nd\n\ne\n")
