"""How does a message become what one person gets? Compiled once per message, then rendered from a row of data.

A source is `Message.source()`: it holds all there is to know, so that a message can be rendered long after the file
has changed. Nothing here reads a file, a clock or the network.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from jinja2 import TemplateError

from tailrace import ids
from tailrace.campaigns import callsheet, sandbox, stylesheet
from tailrace.campaigns.assembly import Assembled, assemble
from tailrace.campaigns.definition import ROOTS, RenderError
from tailrace.campaigns.filters import LARGEST
from tailrace.campaigns.signature import SIGNATURE, UNSIGNED, sign
from tailrace.errors import TailraceError

__all__ = ["LARGEST", "Rendered", "Renderer"]

LONGEST = {"sms": 1_600, "slack": 12_000}
"""More characters than this cannot be sent as one message."""
_LONGEST_SUBJECT = 500
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
# An encoded word would be decoded by the reader's mail program, line breaks included.
_ENCODED_WORD = re.compile(r"=\?[^?\s]+\?[bq]\?", re.IGNORECASE)
_BLANK_LINES = re.compile(r"\n[ \t]*(?:\n[ \t]*)+\n")
_NOTHING: dict[str, Any] = {}

Pieces = Callable[[dict[str, Any]], Iterator[str]]


@dataclass(frozen=True)
class Rendered:
    """One person's message. `headers` holds `List-Unsubscribe` when the message offers a link to unsubscribe.

    Only e-mail has HTML, the rules of its style sheet written into the elements. The text of a webhook call is JSON
    text of method, url, headers and body, that of a push message of title, body, link and data (the subject
    is its title), of one on WhatsApp of template, variables and body.
    """

    subject: str
    html: str | None
    text: str
    headers: dict[str, str]
    from_email: str
    from_name: str


@dataclass(frozen=True)
class _Ready:
    kind: str
    parts: dict[str, Pieces]
    sheet: Mapping[str, Any]
    from_email: str
    from_name: str
    has_rules: bool
    signed_by: str | None


class Renderer:
    """Renders messages; keeps what it compiled, by message key.

    `secret` returns what an environment variable holds, to sign links to unsubscribe with; without it they say that
    they are not signed, as in a preview.
    """

    def __init__(self, secret: Callable[[str], str] | None = None) -> None:
        self._ready: dict[str, _Ready] = {}
        self._secret = secret

    def render(self, source: Mapping[str, Any], data: Mapping[str, Any], *, message_key: str | None = None) -> Rendered:
        """Return the message `source` for one person's `data`: an object of fields per root, such as `customer`.

        With `message_key` (the hash of `source`) the source is not hashed again for each person.
        Raises RenderError, which names a field and never a value, when the message cannot be made as it is meant.
        """
        key = message_key or ids.digest(json.dumps(dict(source), sort_keys=True, ensure_ascii=False))
        ready = self._ready.get(key)
        if ready is None:
            ready = self._ready[key] = _compile(source)
        rows: dict[str, Any] = {root: sandbox.Row(root, data.get(root) or _NOTHING) for root in ROOTS}
        # `trigger` is another word for `event`, also where only one of them was filled.
        if not data.get("trigger"):
            rows["trigger"] = sandbox.Row("trigger", data.get("event") or _NOTHING)
        try:
            made = {part: _joined(pieces, rows, part) for part, pieces in ready.parts.items()}
            if ready.signed_by is not None:
                signature = self._signature(ready.signed_by, data)
                made = {part: text.replace(SIGNATURE, signature) for part, text in made.items()}
            return _finished(ready, made)
        except RenderError:
            raise
        except (TemplateError, TypeError, ValueError, ArithmeticError, AttributeError, LookupError, RecursionError):
            # The cause would show the person's values in a traceback.
            raise RenderError("wrong_type") from None

    def _signature(self, variable: str, data: Mapping[str, Any]) -> str:
        person_id = (data.get("customer") or _NOTHING).get("person_id")
        if self._secret is None or person_id is None:
            return UNSIGNED
        try:
            return sign(self._secret(variable), str(person_id))
        except TailraceError:
            raise RenderError("no_secret") from None


def _finished(ready: _Ready, made: Mapping[str, str]) -> Rendered:
    subject, page, headers = "", None, {}
    if ready.sheet:
        sheet = callsheet.filled(ready.sheet, ready.kind, made)
        text = json.dumps(sheet, ensure_ascii=False, sort_keys=True)
        subject = str(sheet.get("title", ""))
    else:
        text = _BLANK_LINES.sub("\n\n", made["text"]).strip("\n") + "\n"
    if "subject" in made:
        subject = " ".join(made["subject"].split(" ")).strip()
        page = stylesheet.inlined(made["html"]) if ready.has_rules else made["html"]
    if "unsubscribe_url" in made:
        headers["List-Unsubscribe"] = f"<{made['unsubscribe_url']}>"
    has_subject = page is not None or ready.kind == "push"
    is_bad = len(subject) > _LONGEST_SUBJECT or _CONTROL.search(subject) or _ENCODED_WORD.search(subject)
    if has_subject and (not subject or is_bad):
        raise RenderError("bad_subject", "subject" if page is not None else "title")
    if len(text) > LONGEST.get(ready.kind, LARGEST):
        raise RenderError("too_long", "body")
    if not text.strip():
        raise RenderError("missing_field", "body")
    return Rendered(subject, page, text, headers, ready.from_email, ready.from_name)


def _compile(source: Mapping[str, Any]) -> _Ready:
    made: Assembled = assemble(source)
    sources = dict(made.parts)
    has_rules = stylesheet.has_rules(sources.get("html", ""))
    if has_rules:
        sources["html"] = stylesheet.prepared(sources["html"])
    parts = {part: sandbox.compiled(text, autoescape=part == "html") for part, text in sources.items()}
    return _Ready(
        kind=str(source["kind"]),
        parts=parts,
        sheet=made.sheet,
        from_email=str(source.get("from_email", "")),
        from_name=str(source.get("from_name", "")),
        has_rules=has_rules,
        signed_by=source.get("unsubscribe_secret_env") if SIGNATURE in source.get("unsubscribe_url", "") else None,
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
