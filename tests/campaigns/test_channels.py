"""Messages that are no e-mail: texts, pushes, Slack, calls; and notes to staff."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tailrace.campaigns import sms
from tailrace.campaigns.analysis import analyse, rehearse
from tailrace.campaigns.definition import Message, RenderError
from tailrace.campaigns.render import Rendered, Renderer
from tailrace.destinations.calls import parse_call
from tests.campaigns.conftest import CAMPAIGN, Project

ANN = {
    "customer": {
        "person_id": 1,
        "first_name": "Ann",
        "plan": "pro",
        "mrr": 49.5,
        "is_admin": False,
        "tags": ["a", "b"],
    },
    "event": {"url": "https://example.com/x", "items": [{"name": "Cup", "price": 3}]},
}
CALL = """\
method: PUT
url: https://crm.example.com/people/{{ customer.plan }}?name={{ customer.first_name }}
headers:
  Content-Type: application/json
  X-Plan: "plan {{ customer.plan }}"
body:
  name: "{{ customer.first_name }}"
  hello: "Hi {{ customer.first_name }}!"
  mrr: "{{ customer.mrr }}"
  admin: "{{ customer.is_admin }}"
  tags: "{{ customer.tags }}"
  items: "{{ event.items }}"
  company: "{{ customer.company|default(none) }}"
  yearly: "{{ customer.mrr * 12 }}"
  fixed: 7
  nothing: null
  list: ["{{ customer.plan }}", true, 1.5]
"""


def put(project: Project, name: str, text: str, step: str = "send") -> None:
    project.remove("campaigns/hello/welcome.email.md") if project.root.joinpath(
        "campaigns/hello/welcome.email.md"
    ).exists() else None
    project.write("campaigns/hello/campaign.yml", CAMPAIGN.replace("- send: welcome", f"- {step}: welcome"))
    project.write(f"campaigns/hello/{name}", text)


def message(project: Project) -> Message:
    assert project.complaints() == []
    return project.shelf().campaigns["hello"].messages["welcome"]


def made(project: Project, data: dict[str, Any] | None = None) -> Rendered:
    source = json.loads(json.dumps(message(project).source()))
    return Renderer().render(source, ANN if data is None else data)


# Webhooks


def test_a_webhook_is_a_call_whose_values_keep_their_types(project: Project) -> None:
    put(project, "welcome.webhook.yml", CALL, "webhook")
    call = json.loads(made(project).text)
    assert call == {
        "method": "PUT",
        "url": "https://crm.example.com/people/pro?name=Ann",
        "headers": {"Content-Type": "application/json", "X-Plan": "plan pro"},
        "body": {
            "name": "Ann",
            "hello": "Hi Ann!",
            "mrr": 49.5,
            "admin": False,
            "tags": ["a", "b"],
            "items": [{"name": "Cup", "price": 3}],
            "company": None,
            "yearly": 594,
            "fixed": 7,
            "nothing": None,
            "list": ["pro", True, 1.5],
        },
    }
    parsed = parse_call(made(project).text, {"https"}, None)
    assert (parsed.method, parsed.url) == ("PUT", call["url"])
    assert json.loads(parsed.body) == call["body"]
    assert made(project).html is None


def test_a_webhook_in_liquid_says_the_same(project: Project) -> None:
    put(project, "welcome.webhook.yml.liquid", CALL.replace("|default(none)", " | default: nil").replace(
        "customer.mrr * 12", "customer.mrr | times: 12"), "webhook")  # fmt: skip
    call = json.loads(made(project).text)
    assert call["body"]["yearly"] == 594
    assert call["body"]["admin"] is False
    assert call["url"] == "https://crm.example.com/people/pro?name=Ann"


def test_what_a_webhook_needs_is_known_beforehand(project: Project) -> None:
    put(project, "welcome.webhook.yml", CALL, "webhook")
    found = analyse(message(project))
    assert ("customer", "mrr") in found.required
    assert ("customer", "company") in found.optional
    assert found.places["event", "items"] == ("campaigns/hello/welcome.webhook.yml", 12)
    assert rehearse(message(project), found) is None
    with pytest.raises(RenderError, match=r"^missing_field:customer\.mrr$"):
        made(project, {**ANN, "customer": {**ANN["customer"], "mrr": None}})


def test_data_in_the_address_of_a_call_is_encoded_or_the_whole_of_it(project: Project) -> None:
    put(project, "welcome.webhook.yml", "url: https://crm.example.com/{{ customer.first_name }}\n", "webhook")
    text = made(project, {"customer": {"first_name": "../a?b=c&d#é"}}).text
    assert json.loads(text)["method"] == "POST"
    assert json.loads(text)["url"] == "https://crm.example.com/..%2Fa%3Fb%3Dc%26d%23%C3%A9"
    put(project, "welcome.webhook.yml", 'url: "{{ event.url }}"\n', "webhook")
    assert json.loads(made(project).text)["url"] == "https://example.com/x"
    with pytest.raises(RenderError, match=r"^bad_link:event\.url$"):
        made(project, {"event": {"url": "file:///etc/passwd"}})


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\x00b", "é", "a\u2028b"])
def test_a_header_takes_no_line_break(project: Project, value: str) -> None:
    put(project, "welcome.webhook.yml", CALL, "webhook")
    data = {**ANN, "customer": {**ANN["customer"], "plan": value}}
    with pytest.raises(RenderError, match=r"^bad_header:headers/X-Plan$") as raised:
        made(project, data)
    assert value not in str(raised.value)


def test_a_form_is_encoded_and_a_plain_text_is_as_it_is(project: Project) -> None:
    form = "url: https://e.example/\nheaders: {content-type: application/x-www-form-urlencoded}\n"
    put(project, "welcome.webhook.yml", form + "body: a={{ customer.first_name }}&b=1\n", "webhook")
    assert json.loads(made(project, {"customer": {"first_name": "x&b=2 ü"}}).text)["body"] == "a=x%26b%3D2%20%C3%BC&b=1"
    text = "url: https://e.example/\nheaders: {content-type: text/plain}\nbody: Hi {{ customer.first_name }}\n"
    put(project, "welcome.webhook.yml", text, "webhook")
    assert json.loads(made(project).text)["body"] == "Hi Ann"


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("method: PUT\n", 1, "`url` is missing"),
        ("url: /x\n", 1, "cannot be used"),
        ("url: https://{{ customer.plan }}.example.com/\n", 1, "cannot be checked"),
        ("url: mailto:a@example.com\n", 1, "http or https"),
        ("method: FETCH\nurl: https://e.example/\n", 1, "`method` is `FETCH`"),
        ("url: https://e.example/\nheader: {}\n", 2, "unknown key `header`"),
        ("url: https://e.example/\nheaders: {'a b': x}\n", 2, "the header `a b` cannot be sent"),
        ("url: https://e.example/\nheaders: {a: [x]}\n", 2, "the header `a` cannot be sent"),
        ('url: https://e.example/\nbody: \'{"a": "{{ customer.plan }}"}\'\n', 2, "write it as YAML"),
        ("url: https://e.example/\nbody:\n  a: x\n  b: '{{ custmer.x }}'\n", 4, "`custmer` is not known"),
        ("url: https://e.example/\nbody:\n  a:\n    - x\n    - '{% if %}'\n", 5, "cannot be read"),
        ("url: https://e.example/\nbody:\n  '{{ a }}': x\n", 3, "only values are templates"),
        ("url: https://e.example/\nbody: {a: 1, a: 2}\n", 2, "stands here twice"),
        ("url: &a https://e.example/\n", 1, "anchor"),
        ("- a\n", 1, "expected a mapping"),
    ],
)
def test_a_mistake_in_a_call_is_named_with_its_line(project: Project, text: str, line: int, words: str) -> None:
    put(project, "welcome.webhook.yml", text, "webhook")
    said = project.complaints()
    assert any(f"welcome.webhook.yml:{line}: " in problem and words in problem for problem in said), said


# Push


def test_a_push_has_a_title_a_body_a_link_and_data(project: Project) -> None:
    push = (
        "title: Hi {{ customer.first_name }}\nbody: Your plan is {{ customer.plan }}\n"
        "link: https://app.example.com/{{ customer.plan }}\ndata: {mrr: '{{ customer.mrr }}', kind: plan}\n"
    )
    put(project, "welcome.push.yml", push)
    rendered = made(project)
    assert rendered.subject == "Hi Ann"
    assert json.loads(rendered.text) == {
        "title": "Hi Ann",
        "body": "Your plan is pro",
        "link": "https://app.example.com/pro",
        "data": {"mrr": 49.5, "kind": "plan"},
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("title: x\n", "`body` is missing"),
        ("body: x\n", "`title` is missing"),
        ("title: x\nbody: y\ndata: z\n", "`data`"),
    ],
)
def test_a_push_without_its_parts_is_a_mistake(project: Project, text: str, words: str) -> None:
    put(project, "welcome.push.yml", text)
    assert words in project.complaints()[0]


# WhatsApp


def test_a_message_on_whatsapp_is_a_template_with_its_variables_or_text(project: Project) -> None:
    put(project, "welcome.whatsapp.yml", 'template: HX1\nvariables: {"1": "{{ customer.first_name }}", "2": 3}\n')
    assert message(project).channel == "whatsapp"
    assert json.loads(made(project).text) == {"template": "HX1", "variables": {"1": "Ann", "2": 3}}
    put(project, "welcome.whatsapp.yml", "body: Hi {{ customer.first_name }}\n")
    assert json.loads(made(project).text) == {"body": "Hi Ann"}
    assert made(project).subject == ""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("variables: {}\n", "expected one of `template` (with `variables`) and `body`"),
        ("template: HX1\nbody: Hi\n", "expected one of `template` (with `variables`) and `body`"),
        ("template: HX1\nvariables: [a]\n", "`variables` is no mapping of texts"),
        ('template: HX1\nvariables: {"1": [a]}\n', "`variables` is no mapping of texts"),
        ('body: Hi\nvariables: {"1": a}\n', "`variables` are a template's"),
        ("templet: HX1\n", "templet"),
    ],
)
def test_a_message_on_whatsapp_that_says_nothing_or_two_things_is_a_mistake(
    project: Project, text: str, words: str
) -> None:
    put(project, "welcome.whatsapp.yml", text)
    said = project.complaints()
    assert any("welcome.whatsapp.yml:" in problem and words in problem for problem in said), said


# Text messages


def test_a_text_message_is_its_file(project: Project) -> None:
    put(project, "welcome.sms.txt", "Hi {{ customer.first_name }}, {{ postal_address }} <3 & more\n")
    rendered = made(project, {"customer": {"first_name": "<b>Ann</b>"}})
    assert rendered.text == "Hi <b>Ann</b>, Harbour Ltd, 12 Mill Lane <3 & more\n"
    assert (rendered.html, rendered.subject) == (None, "")


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("Hi\n\n<b>you</b>", 3, "`<b>` would be sent as it stands"),
        ("x" * 1600, 1, "the text takes 11 SMS"),
        (" \n", 1, "the message is empty"),
        ("Hi\n{{ custmer.x }}", 2, "`custmer` is not known"),
    ],
)
def test_a_mistake_in_a_text_message_is_named_with_its_line(project: Project, text: str, line: int, words: str) -> None:
    put(project, "welcome.sms.txt", text)
    said = project.complaints()
    assert any(f"welcome.sms.txt:{line}: " in problem and words in problem for problem in said), said


def test_a_text_message_that_data_makes_too_long_is_not_sent(project: Project) -> None:
    put(project, "welcome.sms.txt", "Hi {{ customer.first_name }}")
    with pytest.raises(RenderError, match=r"^too_long:body$"):
        made(project, {"customer": {"first_name": "x" * 1600}})


@pytest.mark.parametrize(
    ("text", "encoding", "units", "parts"),
    [
        ("", "GSM-7", 0, 1),
        ("x" * 160, "GSM-7", 160, 1),
        ("x" * 161, "GSM-7", 161, 2),
        ("x" * 306, "GSM-7", 306, 2),
        ("x" * 307, "GSM-7", 307, 3),
        ("€" * 80, "GSM-7", 160, 1),
        ("€" * 81, "GSM-7", 162, 2),
        ("a" * 152 + "€" + "a" * 152, "GSM-7", 306, 3),
        ("я" * 70, "UCS-2", 70, 1),
        ("я" * 71, "UCS-2", 71, 2),
        ("й" * 134, "UCS-2", 134, 2),
        ("й" * 135, "UCS-2", 135, 3),
        ("😀" * 35, "UCS-2", 70, 1),
        ("😀" * 36, "UCS-2", 72, 2),
        ("й" * 66 + "😀" + "й" * 66, "UCS-2", 134, 3),
        ("It’s", "UCS-2", 4, 1),
    ],
)
def test_the_parts_of_a_text_are_counted_as_networks_count_them(
    text: str, encoding: str, units: int, parts: int
) -> None:
    assert sms.counted(text) == sms.Counted(encoding, units, parts)
    assert sms.parts(text) == parts


# Staff


def test_a_slack_note_is_written_as_slack_reads_it(project: Project) -> None:
    text = (
        '---\nto: "#success"\n---\n# Churn risk\n**{{ customer.first_name }}** is on {{ customer.plan }}: '
        "[open](https://app.example.com/p?q={{ customer.first_name }}) <{{ event.url }}|there>\n"
    )
    put(project, "welcome.slack.md", text, "notify")
    assert message(project).to == "#success"
    assert message(project).source()["to"] == "#success"
    data = {"customer": {"first_name": "A&B <!channel> *x*", "plan": "pro"}, "event": {"url": "https://e.example/a|b"}}
    assert made(project, data).text == (
        "*Churn risk*\n*A&amp;B &lt;!channel&gt; *x** is on pro: "
        "<https://app.example.com/p?q=A%26B%20%3C%21channel%3E%20%2Ax%2A|open> <https://e.example/a%7Cb|there>\n"
    )


def test_a_slack_note_needs_no_header(project: Project) -> None:
    put(project, "welcome.slack.md", "Hi\n", "notify")
    assert made(project).text == "Hi\n"


def test_a_mail_to_staff_names_them_and_offers_no_way_out(project: Project) -> None:
    put(
        project,
        "welcome.email.md",
        "---\nsubject: Call {{ customer.first_name }}\nto: cs@example.com\n---\nNow.\n",
        "notify",
    )
    (problem,) = project.complaints()
    assert "welcome.email.md:5: campaigns/_layout/email.html prints `unsubscribe_url`" in problem
    assert "layout: staff" in problem

    project.write("campaigns/_layout/email.html", "<p>{{ body }}</p>")
    project.write("campaigns/_layout/email.txt", "{{ body }}")
    assert message(project).to == "cs@example.com"
    assert made(project).subject == "Call Ann"
    assert "List-Unsubscribe" not in made(project).headers


@pytest.mark.parametrize(
    ("name", "text", "step", "words"),
    [
        ("welcome.email.md", "---\nsubject: x\n---\nx", "notify", "a message to staff needs an address"),
        ("welcome.email.md", "---\nsubject: x\nto: cs@example.com\n---\nx", "send", "`to` is for staff"),
        ("welcome.email.md", "---\nsubject: x\nto: nobody\n---\nx", "notify", "`to` is not an address"),
        ("welcome.slack.md", "---\nto: success\n---\nx", "notify", "`to` is no channel"),
        ("welcome.slack.md", "---\nfrom: x\n---\nx", "notify", "unknown key `from`"),
        ("welcome.slack.md", "---\nto: '#x'\n---\n\n", "notify", "the message is empty"),
        ("welcome.slack.md", "\n[x](javascript:x)", "notify", "welcome.slack.md:2: the link"),
        ("welcome.slack.md", "\n<https://{{ customer.plan }}>", "notify", "welcome.slack.md:2: a link with data"),
    ],
)
def test_a_mistake_in_a_note_to_staff_is_named(project: Project, name: str, text: str, step: str, words: str) -> None:
    put(project, name, text, step)
    assert any(words in problem for problem in project.complaints()), project.complaints()
