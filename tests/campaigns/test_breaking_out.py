"""Whatever a person's data says, it stays where the author put it: in HTML, in a link, in a header, in JSON."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.campaigns.definition import RenderError
from tailrace.campaigns.liquid import to_jinja
from tailrace.campaigns.render import Rendered, Renderer
from tailrace.destinations.base import RefusedError
from tailrace.destinations.calls import parse_call

NASTY = st.lists(
    st.one_of(
        st.sampled_from(
            [
                *(
                    '"',
                    "'",
                    "<",
                    ">",
                    "&",
                    "`",
                    "\\",
                    "/",
                    "?",
                    "#",
                    "=",
                    " ",
                    "{{",
                    "}}",
                    "{%",
                    "%}",
                    "{#",
                    "#}",
                    "]]>",
                ),
                *("<script>alert(1)</script>", "<!--", "-->", "</a>", "</style>", "onerror=x", "javascript:", "&quot;"),
                *("{{ 7*7 }}", "{% raw %}", "{% include 'x' %}", "tagq0q0x", "<!--tagq0q0x-->", "{person_id}"),
                *(
                    "\r\n",
                    "\n",
                    "\t",
                    "\x00",
                    "\x1b[31m",
                    "\u2028",
                    "\u202e",
                    "\u2066",
                    "שלום",
                    "é",
                    "😀",
                    "%0d%0a",
                    "\ufeff",
                ),
                *(
                    "https://evil.test/",
                    "//evil.test",
                    "<!channel>",
                    "|",
                    "*",
                    "_",
                    "[x](https://evil.test)",
                    "=?utf-8?q?x?=",
                ),
            ]
        ),
        st.text(max_size=5),
    ),
    min_size=1,
    max_size=8,
).map("".join)
STANDING = {"from_email": "a@example.com", "from_name": "A", "unsubscribe_url": "https://example.com/u?p={person_id}"}
RENDERER = Renderer()


def source(kind: str, body: str, subject: str = "Hi {{ customer.v }}", **more: Any) -> dict[str, Any]:
    layout = '<div title="{{ preheader }}">{{ body }}<a href="{{ unsubscribe_url }}">out</a></div>'
    return {
        "channel": "email",
        "kind": kind,
        "subject": subject,
        "preheader": "",
        "body": body,
        "layout_html": "" if kind == "mjml" else layout,
        "layout_text": "{{ body }}",
        "utm": {"source": "x"},
        **STANDING,
        **more,
    }


class _Shape(HTMLParser):
    """What a page consists of, its texts and values left out."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.shape: list[Any] = []
        self.links: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.shape.append((tag, tuple(name for name, _ in attrs)))
        self.links += [value or "" for name, value in attrs if name == "href"]

    def handle_endtag(self, tag: str) -> None:
        self.shape.append(f"/{tag}")

    def handle_comment(self, data: str) -> None:
        self.shape.append("comment")


MD = """\
# {{ customer.v }}

**{{ customer.v }}** {{ customer.v }} `{{ customer.v }}` {{ snippets.s }}

- {{ customer.v }}
- [x](https://example.com/{{ customer.v }}/a?q={{ customer.v }}#{{ customer.v }})

| a |
|---|
| {{ customer.v }} |

{% if customer.v %}
> {{ customer.v|truncate(9) }} {{ customer.v|upper }}
{% endif %}
"""
HTML = (
    "<p title=\"{{ customer.v }}\">{{ customer.v }}</p><p title='{{ customer.v|downcase }}'>{{ snippets.s }}</p>"
    "<a href='https://example.com/{{ customer.v }}?q={{ customer.v }}'>{{ customer.v }}</a>"
    '<img alt="{{ customer.v }}"'
    ' src="https://example.com/{{ customer.v|url_encode }}.png">{% for i in customer.l %}<i>{{ i }}</i>{% endfor %}'
)
LIQUID = to_jinja(
    "<p title=\"{{ customer.v }}\">{{ customer.v | escape }}{% if customer.v contains 'x' %}{% endif %}</p>"
    "{% assign w = customer.v | append: '<' %}<b>{{ w }}</b><a href='https://example.com/{{ w }}'>{{ w | upcase }}</a>"
)
MJML = (
    "<mjml><mj-head><mj-title>{{ customer.v }}</mj-title><mj-preview>{{ customer.v }}</mj-preview></mj-head><mj-body>"
    "<mj-section><mj-column><mj-text>{{ customer.v }} {{ snippets.s }}</mj-text>"
    '<mj-button href="https://example.com/{{ customer.v }}">{{ customer.v }}</mj-button>'
    '<mj-image src="https://example.com/a.png" alt="{{ customer.v }}"></mj-image>'
    "</mj-column></mj-section></mj-body></mjml>"
)
SNIPPETS = {"s": {"kind": "md", "body": "*{{ customer.v }}* [l](https://example.com/{{ customer.v }})"}}
PAGES = {
    "md": source("md", MD, "Hi", snippets=SNIPPETS),
    "html": source("html", HTML, "Hi", snippets=SNIPPETS),
    "liquid": source("html", LIQUID, "Hi"),
    "mjml": source("mjml", MJML, "Hi", snippets=SNIPPETS, layout_html=""),
}


def data(value: str) -> dict[str, Any]:
    return {"customer": {"person_id": 7, "v": value, "l": [value, value]}}


def has_text(value: str) -> bool:
    """Return whether a message can be made of it: not blank, and text that can be encoded."""
    return value.strip() != "" and value.encode(errors="replace").decode() == value


def made_or_error(page: dict[str, Any], person: dict[str, Any], key: str) -> Rendered | RenderError:
    try:
        return RENDERER.render(page, person, message_key=key)
    except RenderError as error:
        return error


@pytest.mark.torture
@pytest.mark.parametrize("kind", sorted(PAGES))
@given(value=NASTY.filter(has_text))
def test_no_value_breaks_out_of_html(kind: str, value: str) -> None:
    plain = _Shape(RENDERER.render(PAGES[kind], data("v"), message_key=kind).html or "")
    made = RENDERER.render(PAGES[kind], data(value), message_key=kind)
    nasty = _Shape(made.html or "")
    assert nasty.shape == plain.shape
    assert len(nasty.links) == len(plain.links) > 0
    for before, after in zip(plain.links, nasty.links, strict=True):
        a, b = urlsplit(before), urlsplit(after)
        assert (a.scheme, a.netloc, a.path.count("/")) == (b.scheme, b.netloc, b.path.count("/"))
        assert [name for name, _ in parse_qsl(a.query)] == [name for name, _ in parse_qsl(b.query)]
    assert made.headers == {"List-Unsubscribe": "<https://example.com/u?p=7>"} or kind == "mjml"
    assert "49" not in nasty.rawdata or "49" in value


@given(NASTY.filter(has_text))
def test_no_value_breaks_out_of_a_subject(value: str) -> None:
    made = made_or_error(source("md", "x"), data(value), "subject")
    if isinstance(made, RenderError):
        assert str(made) == "bad_subject:subject"
        return
    assert not set(made.subject) & set("\r\n\x00\x1b\u2028\u2029\x85")
    assert made.subject == " ".join(f"Hi {value}".split(" ")).strip()


CALL = source(
    "webhook",
    json.dumps(
        {
            "method": "POST",
            "url": "https://example.com/{{ customer.v }}/a?q={{ customer.v }}&r=1#{{ customer.v }}",
            "headers": {"x-name": "{{ customer.v }}"},
            "body": {"typed": "{{ customer.v }}", "text": "a {{ customer.v }} b", "list": ["{{ customer.l }}"]},
        }
    ),
)


@given(NASTY.filter(has_text))
def test_no_value_breaks_out_of_a_call(value: str) -> None:
    without = {**CALL, "body": json.dumps({k: v for k, v in json.loads(CALL["body"]).items() if k != "headers"})}
    call = json.loads(RENDERER.render(without, data(value), message_key="call without headers").text)
    assert call["body"] == {"typed": value, "text": f"a {value} b", "list": [[value, value]]}
    parts = urlsplit(call["url"])
    assert (parts.scheme, parts.netloc, parts.path.count("/")) == ("https", "example.com", 2)
    assert unquote(parts.path) == f"/{value}/a"
    assert parse_qsl(parts.query, keep_blank_values=True) == [("q", value), ("r", "1")]
    made = made_or_error(CALL, data(value), "call")
    if isinstance(made, RenderError):
        assert str(made) == "bad_header:headers/x-name"
        return
    try:
        parsed = parse_call(made.text, {"https"}, None)
    except RefusedError:
        # Too long for an address; no value is in the reason.
        return
    assert parsed.headers["x-name"] == value.strip()
    assert not set(parsed.headers["x-name"]) & set("\r\n\x00")


SLACK = source("slack", "{{ customer.v }} <https://example.com/{{ customer.v }}|{{ customer.v }}>", channel="slack")


@given(NASTY.filter(has_text))
def test_no_value_calls_everybody_in_slack(value: str) -> None:
    text = RENDERER.render(SLACK, data(value), message_key="slack").text
    assert text.count("<") == text.count(">") == 1
    assert text[text.index("<") :].startswith("<https://example.com/")


EVERY = {**PAGES, "call": CALL, "slack": SLACK}
for name, source_ in EVERY.items():
    # Compiled here: the first person would pay for it with hypothesis's deadline.
    RENDERER.render(source_, data("v"), message_key=name)


@given(st.recursive(st.one_of(st.none(), st.booleans(), st.floats(), st.integers(), NASTY), lambda inner: st.one_of(
    st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)), max_leaves=5))  # fmt: skip
def test_a_value_of_any_type_gives_a_message_or_an_error_that_names_no_value(value: Any) -> None:
    for kind, page in EVERY.items():
        found = made_or_error(page, {"customer": {"person_id": 7, "v": value, "l": value}}, kind)
        if isinstance(found, RenderError):
            assert found.kind in {"missing_field", "wrong_type", "too_long", "bad_link", "bad_header", "forbidden"}
            assert found.field in {"customer.v", "customer.l", "", "headers/x-name", "body", "html", "text", "[0]"}
