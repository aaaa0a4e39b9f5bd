"""Which templates does a message come to? Subject, body, layout, snippets and standing facts, put together once."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from tailrace.campaigns import callsheet, markup, mjml
from tailrace.campaigns.markup import Finding, Standing
from tailrace.campaigns.policy import unsubscribe_template

FACTS = ("postal_address", "from_name")
"""Names of policy.yml that every message may print, next to `unsubscribe_url`."""


@dataclass(frozen=True)
class Assembled:
    """The template sources of a message by part, and what is wrong: (part, line of it, message).

    Parts of e-mail: `subject`, `html` (to be rendered with autoescape), `text`, and `unsubscribe_url` when the HTML
    shows it (`offers_unsubscribe`: the text does, too). Of sms and slack: `text`. Of the others: one for each
    text of `sheet`, by its place.
    """

    parts: dict[str, str]
    sheet: Mapping[str, Any] = field(default_factory=dict)
    findings: tuple[tuple[str, int, str], ...] = ()
    offers_unsubscribe: bool = False


def assemble(source: Mapping[str, Any]) -> Assembled:
    """Return the templates of a `Message.source()`."""
    utm = urlencode([(f"utm_{name}", value) for name, value in (source.get("utm") or {}).items()])
    standing = _standing(source)
    problems: list[tuple[str, int, str]] = []
    for name, snippet in (source.get("snippets") or {}).items():
        known = {key: value for key, value in standing.items() if not key.startswith("snippets.")}
        standing[f"snippets.{name}"], wrong = markup.compile_snippet(snippet["body"], snippet["kind"], known, utm)
        problems += _of(f"snippets.{name}", wrong)
    as_text = {name: there.text for name, there in standing.items()}
    kind = source["kind"]
    if kind in ("push", "webhook", "whatsapp"):
        return _sheet(source, as_text, problems)
    if kind == "sms":
        return Assembled({"text": markup.compile_text(source["body"], as_text)}, findings=tuple(problems))
    if kind == "slack":
        text, wrong = markup.compile_slack(source["body"], as_text)
        return Assembled({"text": text}, findings=(*problems, *_of("body", wrong)))
    return _email(source, standing, utm, problems)


def _of(part: str, findings: tuple[Finding, ...]) -> list[tuple[str, int, str]]:
    return [(part, line, message) for line, message in findings]


def _standing(source: Mapping[str, Any]) -> dict[str, Standing]:
    found = {name: Standing(html.escape(str(source[name])), str(source[name])) for name in FACTS if source.get(name)}
    url = source.get("unsubscribe_url")
    if url:
        escaped, plain = unsubscribe_template(url, escape=True), unsubscribe_template(url, escape=False)
        found["unsubscribe_url"] = Standing(escaped, plain)
    return found


def _sheet(source: Mapping[str, Any], standing: Mapping[str, str], problems: list[tuple[str, int, str]]) -> Assembled:
    sheet = json.loads(source["body"])
    parts = {}
    for leaf in callsheet.leaves(sheet, source["kind"]):
        parts[leaf.place], wrong = callsheet.template(leaf, standing)
        if wrong:
            problems.append((leaf.place, 1, wrong))
    return Assembled(parts, sheet, tuple(problems))


def _email(
    source: Mapping[str, Any], standing: dict[str, Standing], utm: str, problems: list[tuple[str, int, str]]
) -> Assembled:
    as_text = {name: there.text for name, there in standing.items()}
    words = {name: source[name] for name in ("subject", "preheader")}
    subject = markup.compile_text(words["subject"], as_text)
    inner = {
        name: Standing(
            markup.compile_text(text, {key: there.html for key, there in standing.items()}, escape=True),
            markup.compile_text(text, as_text),
        )
        for name, text in words.items()
    }
    if source["kind"] == "mjml":
        page, text, found = _mjml(source, {**standing, **inner}, utm)
    else:
        body = markup.compile_body(source["body"], source["kind"], standing, utm=utm)
        inner["body"] = Standing(body.html, body.text)
        around = markup.compile_body(source["layout_html"], "html", {**standing, **inner}, utm=utm, whole_document=True)
        page, text, found = around.html, body.text, _of("body", body.findings) + _of("layout", around.findings)
    if source["layout_text"]:
        inner["body"] = Standing("", text)
        everything = {name: there.text for name, there in {**standing, **inner}.items()}
        text = markup.compile_text(source["layout_text"], everything, utm=utm)
    parts = {"subject": subject, "html": page, "text": text}
    way_out = standing.get("unsubscribe_url")
    in_page = way_out is not None and way_out.html in page
    if way_out is not None and in_page:
        parts["unsubscribe_url"] = way_out.text
    offers = way_out is not None and in_page and way_out.text in text
    return Assembled(parts, findings=(*problems, *found), offers_unsubscribe=offers)


def _mjml(
    source: Mapping[str, Any], standing: Mapping[str, Standing], utm: str
) -> tuple[str, str, list[tuple[str, int, str]]]:
    """Return HTML, text and findings. What is not a whole document stands where the layout prints `body`."""
    body, layout = source["body"], source["layout_html"]
    if mjml.is_document(body):
        made = markup.compile_body(body, "mjml", standing, utm=utm)
        return made.html, made.text, _of("body", made.findings)
    before, mark, after = markup.around_body(layout)
    made = markup.compile_body(before + body + after, "mjml", standing, utm=utm)
    first = before.count("\n")
    last = first + body.count("\n")
    found = []
    for line, message in made.findings:
        if not mark or line - 1 < first:
            found.append(("layout", line, message))
        elif line - 1 <= last:
            found.append(("body", line - first, message))
        else:
            found.append(("layout", line - body.count("\n"), message))
    return made.html, _between(source, standing, utm, made.text), found


def _between(source: Mapping[str, Any], standing: Mapping[str, Standing], utm: str, whole: str) -> str:
    """Return the text of the body alone when a text layout stands around it, else that of the whole page."""
    if not source["layout_text"]:
        return whole
    alone = f"<mjml><mj-body>{source['body']}</mj-body></mjml>"
    return markup.compile_body(alone, "mjml", standing, utm=utm).text
