"""Rules of a style sheet stand in the elements that they are about, and nothing else of a page changes."""

from __future__ import annotations

import pytest

from tailrace.campaigns import stylesheet
from tailrace.campaigns.render import Renderer

SOURCE = {
    "channel": "email", "kind": "html", "subject": "Hi", "preheader": "",
    "body": '<p class="name">{{ customer.first_name }}</p>',
    "layout_html": "<html><head><style>.name { color: #0b6e69 }</style></head><body>{{ body }}</body></html>",
    "layout_text": "{{ body }}", "from_email": "a@example.com", "from_name": "A",
}  # fmt: skip


def page(rules: str, body: str = "<p>Hi</p>") -> str:
    return stylesheet.inlined(stylesheet.prepared(f"<html><head>{rules}</head><body>{body}</body></html>"))


def test_a_rendered_page_carries_its_rules_in_its_elements():
    made = Renderer().render(SOURCE, {"customer": {"first_name": "Kim"}})
    assert '<p class="name" style="color: #0b6e69;">Kim</p>' in made.html


def test_what_a_person_is_called_is_no_rule_and_no_element():
    made = Renderer().render(SOURCE, {"customer": {"first_name": "<style>p{display:none}</style>"}})
    assert "&lt;style&gt;p{display:none}&lt;/style&gt;</p>" in made.html
    assert made.html.count("<style") == 1


def test_a_page_without_a_sheet_is_left_as_it_is():
    made = Renderer().render(SOURCE | {"layout_html": "{{ body }}"}, {"customer": {"first_name": "Kim"}})
    assert made.html.strip() == '<p class="name">Kim</p>'


def test_a_rule_for_small_or_dark_screens_still_wins_over_the_element():
    made = page(
        "<style>p { color: red }\n@media (prefers-color-scheme: dark) { p { color: blue;"
        ' background: url("a;b.png"); margin: 0 !important } }</style>'
    )
    assert '<p style="color: red;">' in made
    assert "color: blue !important" in made
    assert 'background: url("a;b.png") !important' in made
    assert made.count("!important") == 3


def test_what_is_no_screen_rule_is_not_made_important():
    made = page("<style>@font-face { font-family: A; src: url(a) } p:hover { color: red }</style>")
    assert "!important" not in made
    assert "p:hover { color: red; }" in made
    assert "@font-face" in made


@pytest.mark.parametrize("medium", ['media="print"', "media=print", "type='text/css' media = 'screen and (x)'"])
def test_a_sheet_for_a_medium_stays_a_sheet(medium):
    made = page(f"<style {medium}>p {{ color: green }}</style>")
    assert "<p>Hi</p>" in made
    assert "color: green" in made


def test_a_sheet_for_all_media_is_a_sheet():
    assert '<p style="color: green;">' in page('<style media="all">p { color: green }</style>')


def test_nothing_is_fetched_and_links_and_words_stay(tmp_path):
    sheet = tmp_path / "a.css"
    sheet.write_text("p { color: red }")
    made = page(
        f'<link rel="stylesheet" href="{sheet}"><link rel="stylesheet" href="http://127.0.0.1:1/b.css">',
        '<!--[if mso]><table><![endif]--><p>a &amp; b &lt;c&gt; é <a href="https://x.test/?a=1&amp;b=%20">go</a></p>',
    )
    assert "color" not in made
    assert made.count("<link") == 2
    assert (
        '<!--[if mso]><table><![endif]--><p>a &amp; b &lt;c&gt; é <a href="https://x.test/?a=1&amp;b=%20">go</a></p>'
        in made
    )


def test_a_page_that_is_nested_without_end_does_not_end_the_process():
    endless = "<style>p { color: red }</style>" + "<div>" * 50_000 + "<p>x"
    assert stylesheet.inlined(endless) == endless
