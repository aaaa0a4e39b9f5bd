"""How does a message become what one person gets? Compiled once per message, then rendered from a row of data.

A source is `Message.source()`: it holds all there is to know, so that a message can be rendered long after the file
has changed. Nothing here reads a file, a clock or the network.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from jinja2 import TemplateError

from tailrace import ids
from tailrace.campaigns import markup, sandbox
from tailrace.campaigns.definition import ROOTS, RenderError
from tailrace.campaigns.policy import unsubscribe_template

LARGEST = 500_000
"""More characters than this in one part of a message are refused."""
_LONGEST_SUBJECT = 500
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
# An encoded word would be decoded by the reader's mail program, line breaks included.
_ENCODED_WORD = re.compile(r"=\?[^?\s]+\?[bq]\?", re.IGNORECASE)
_BLANK_LINES = re.compile(r"\n[ \t]*(?:\n[ \t]*)+\n")
_NOTHING: dict[str, Any] = {}

Pieces = Callable[[dict[str, Any]], Iterator[str]]


@dataclass(frozen=True)
class Rendered:
    """One person's message. `headers` holds `List-Unsubscribe` when the message offers a link to unsubscribe."""

    subject: str
    html: str
    text: str
    headers: dict[str, str]
    from_email: str
    from_name: str


@dataclass(frozen=True)
class Assembled:
    """The template sources of a message with its layout around it, and what the body's markup has wrong."""

    subject: str
    html: str
    text: str
    unsubscribe: str | None
    findings: tuple[markup.Finding, ...]


@dataclass(frozen=True)
class _Ready:
    subject: Pieces
    html: Pieces
    text: Pieces
    unsubscribe: Pieces | None
    from_email: str
    from_name: str


class Renderer:
    """Renders messages; keeps what it compiled, by message key."""

    def __init__(self) -> None:
        self._ready: dict[str, _Ready] = {}

    def render(self, source: Mapping[str, Any], data: Mapping[str, Any], *, message_key: str | None = None) -> Rendered:
        """Return the message `source` for one person's `data`: `{"customer": {…}, "event": {…}, "segment": {…}}`.

        With `message_key` (the hash of `source`) the source is not hashed again for each person.
        Raises RenderError, which names a field and never a value, when the message cannot be made as it is meant.
        """
        key = message_key or ids.digest(json.dumps(dict(source), sort_keys=True, ensure_ascii=False))
        ready = self._ready.get(key)
        if ready is None:
            ready = self._ready[key] = _compile(source)
        rows: dict[str, Any] = {root: sandbox.Row(root, data.get(root) or _NOTHING) for root in ROOTS}
        try:
            subject = " ".join(_joined(ready.subject, rows, "subject").split(" ")).strip()
            page = _joined(ready.html, rows, "body")
            text = _joined(ready.text, rows, "body")
            link = _joined(ready.unsubscribe, rows, "unsubscribe_url") if ready.unsubscribe else None
        except RenderError:
            raise
        except (TemplateError, TypeError, ValueError, ArithmeticError, AttributeError, LookupError, RecursionError):
            # The cause would show the person's values in a traceback.
            raise RenderError("wrong_type") from None
        if not subject or len(subject) > _LONGEST_SUBJECT or _CONTROL.search(subject) or _ENCODED_WORD.search(subject):
            raise RenderError("bad_subject", "subject")
        return Rendered(
            subject=subject,
            html=page,
            text=_BLANK_LINES.sub("\n\n", text).strip("\n") + "\n",
            headers={} if link is None else {"List-Unsubscribe": f"<{link}>"},
            from_email=ready.from_email,
            from_name=ready.from_name,
        )


def assemble(source: Mapping[str, Any]) -> Assembled:
    """Return the templates of `source` with subject, preheader, body and the standing facts put into the layout."""
    url = source.get("unsubscribe_url")
    as_text = {name: str(source[name]) for name in ("postal_address", "from_name") if source.get(name)}
    as_html = {name: html.escape(value) for name, value in as_text.items()}
    if url:
        as_text["unsubscribe_url"] = unsubscribe_template(url, escape=False)
        as_html["unsubscribe_url"] = unsubscribe_template(url, escape=True)
    body = markup.compile_body(source["body"], source["kind"], as_html)
    inner_html = {"body": body.html}
    inner_text = {"body": body.text}
    for name in ("subject", "preheader"):
        inner_html[name] = markup.compile_text(source[name], {}, escape=True)
        inner_text[name] = source[name]
    page = markup.compile_body(source["layout_html"], "html", {**as_html, **inner_html}, whole_document=True)
    text = markup.compile_text(source["layout_text"], {**as_text, **inner_text})
    offered = url and as_html["unsubscribe_url"] in page.html
    return Assembled(
        subject=source["subject"],
        html=page.html,
        text=text,
        unsubscribe=as_text["unsubscribe_url"] if offered else None,
        findings=body.findings,
    )


def _compile(source: Mapping[str, Any]) -> _Ready:
    made = assemble(source)
    return _Ready(
        subject=sandbox.compiled(made.subject, autoescape=False),
        html=sandbox.compiled(made.html, autoescape=True),
        text=sandbox.compiled(made.text, autoescape=False),
        unsubscribe=sandbox.compiled(made.unsubscribe, autoescape=False) if made.unsubscribe else None,
        from_email=str(source["from_email"]),
        from_name=str(source["from_name"]),
    )


def _joined(pieces: Pieces, rows: dict[str, Any], part: str) -> str:
    made: list[str] = []
    size = 0
    for piece in pieces(rows):
        size += len(piece)
        if size > LARGEST:
            raise RenderError("too_long", part)
        made.append(piece)
    whole = "".join(made)
    if not whole.isascii():
        try:
            whole.encode()
        except UnicodeEncodeError:
            raise RenderError("wrong_type", part) from None
    return whole
