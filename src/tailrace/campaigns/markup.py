"""How does a body become HTML and text? Once, with its template tags taken out and put back where they belong.

Markdown and HTML are read while every `{{ … }}` and `{% … %}` is a plain word, so what a person's data says later can
be neither. Where a tag stands decides how its value is written: in a link it is percent-encoded or must be a whole
http, https or mailto address; in a place that cannot be made safe it is refused.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from html.parser import HTMLParser

from jinja2 import Environment
from markdown_it import MarkdownIt

from tailrace.campaigns.plaintext import to_text
from tailrace.campaigns.sandbox import LINK

_URLS = frozenset(("href", "src", "action", "background", "formaction", "poster", "cite", "data", "longdesc"))
_REFUSED_TAGS = frozenset(("script", "iframe", "object", "embed", "form", "base", "applet", "frame", "svg", "math"))
_OPAQUE = frozenset(("style", "textarea", "noscript", "xmp", "template", "plaintext", "noembed", "noframes"))
_NOT_IN_LINKS = frozenset(("subject", "preheader", "postal_address", "from_name"))
_SAFE_START = re.compile(r"https?://[^/?#\s@\\]+[/?#]|mailto:", re.IGNORECASE)
_WHOLE = re.compile(r"https?://[^/?#\s@\\]+([/?#]\S*)?|mailto:\S+|#[\w-]*", re.IGNORECASE)
_QUOTED = re.compile(r"=\s*(\"[^\"]*\"|'[^']*')")
_BRACES = re.compile(r"\{[{%#]")
# It only cuts sources into tags and text; unlike the sandbox it leaves the new line after a tag in the text.
_LEXER = Environment(autoescape=True, keep_trailing_newline=True)
Finding = tuple[int, str]


@dataclass(frozen=True)
class Tag:
    """One template tag: its source, and the expression of it when it prints."""

    source: str
    expression: str | None


class Protected:
    """A source whose tags are words `<prefix><n>x`; `restore` puts them back."""

    def __init__(self, source: str) -> None:
        number = 0
        while (prefix := f"tagq{number}q") in source:
            number += 1
        self.prefix = prefix
        self.word = re.compile(rf"{prefix}(\d+)x")
        self.tags: list[Tag] = []
        self.lines: list[int] = []
        self.has_raw = False
        self.text = "".join(self._pieces(source))

    def _pieces(self, source: str) -> list[str]:
        pieces: list[str] = []
        held: list[str] = []
        for line, kind, value in _LEXER.lex(source):
            if kind in ("variable_begin", "block_begin", "comment_begin", "raw_begin"):
                self.has_raw = self.has_raw or kind == "raw_begin"
                held = [value]
            elif not held:
                pieces.append(value)
            else:
                held.append(value)
                if kind in ("variable_end", "block_end", "raw_end"):
                    expression = "".join(held[1:-1]).strip() if kind == "variable_end" else None
                    pieces.append(f"{self.prefix}{len(self.tags)}x")
                    self.tags.append(Tag("".join(held), expression))
                    self.lines.append(line)
                    held = []
                elif kind == "comment_end":
                    held = []
        return pieces

    def stand_alone(self, text: str) -> str:
        """Return the text with block tags that fill a line turned into comments: they part blocks, not words."""

        def comment(match: re.Match[str]) -> str:
            words = list(self.word.finditer(match.group(0)))
            if any(self.tags[int(word.group(1))].expression is not None for word in words):
                return match.group(0)
            return "\n".join(f"{match.group(1)}<!--{word.group(0)}-->" for word in words)

        return re.sub(rf"^([ \t]*)(?:{self.prefix}\d+x[ \t]*)+$", comment, text, flags=re.MULTILINE)

    def restore(self, text: str, write: Callable[[int, Tag], str] | None = None) -> str:
        """Return the text with each word as its tag again, or as `write` wants it."""
        text = re.sub(rf"<!--({self.prefix}\d+x)-->", r"\1", text)

        def tag(match: re.Match[str]) -> str:
            number = int(match.group(1))
            return write(number, self.tags[number]) if write else self.tags[number].source

        return self.word.sub(tag, text)


@cache
def _markdown() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    # Bad schemes are refused by the scan, which can say so; Markdown would print them as text without a word.
    parser.validateLink = lambda url: True  # type: ignore[method-assign]
    return parser


@dataclass(frozen=True)
class Compiled:
    """Two template sources: for HTML (to be rendered with autoescape) and for text; and what was wrong."""

    html: str
    text: str
    findings: tuple[Finding, ...]


def compile_body(source: str, kind: str, standing: Mapping[str, str], *, whole_document: bool = False) -> Compiled:
    """Return the templates that `source` (kind `md` or `html`) becomes, and findings as (line, message).

    `standing` maps a name that is printed as it is to the template source that stands for it, with text escaped.
    """
    protected = Protected(source)
    text = protected.stand_alone(protected.text)
    document = str(_markdown().render(text)) if kind == "md" else text
    scan = _Scan(protected, source)
    scan.feed(document)
    scan.close()
    findings = list(scan.findings)
    if protected.has_raw:
        findings.append((1, "`{% raw %}` cannot be used in a message; write the braces as `{{ '{{' }}`"))
    plain = "" if whole_document else to_text(document, protected.word)
    if _BRACES.search(document) or _BRACES.search(plain):
        findings.append((1, "two braces are written with entities or backslashes; write them as `{{ '{{' }}`"))

    def in_html(number: int, tag: Tag) -> str:
        if tag.expression is not None and tag.expression in standing:
            return standing[tag.expression]
        wrapper = scan.wrappers.get(number)
        return tag.source if wrapper is None else f"{{{{ ({tag.expression})|{wrapper} }}}}"

    def in_text(number: int, tag: Tag) -> str:
        if tag.expression is not None and tag.expression in standing:
            return html.unescape(standing[tag.expression])
        return in_html(number, tag)

    return Compiled(protected.restore(document, in_html), protected.restore(plain, in_text), tuple(findings))


def compile_text(source: str, standing: Mapping[str, str], *, escape: bool = False) -> str:
    """Return a template of plain text (a subject, a text layout) with standing names in it; HTML-escaped if asked."""
    protected = Protected(source)
    text = html.escape(protected.text) if escape else protected.text

    def write(_: int, tag: Tag) -> str:
        return standing.get(tag.expression, tag.source) if tag.expression is not None else tag.source

    return protected.restore(text, write)


class _Scan(HTMLParser):
    """Finds where tags stand in HTML: `wrappers` says which filter a tag's value needs, `findings` what is refused."""

    def __init__(self, protected: Protected, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.protected, self.source = protected, source
        self.wrappers: dict[int, str] = {}
        self.findings: list[Finding] = []
        self.opaque: str | None = None

    def _wrong(self, message: str, near: str = "") -> None:
        words = self.protected.word.search(near)
        if words:
            line = self.protected.lines[int(words.group(1))]
        else:
            at = self.source.find(near) if near else -1
            line = self.source.count("\n", 0, at) + 1 if at >= 0 else self.getpos()[0]
        self.findings.append((line, message))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        raw = self.get_starttag_text() or ""
        if tag in _REFUSED_TAGS:
            self._wrong(f"`<{tag}>` cannot be used in a message; mail programs drop it: remove it", f"<{tag}")
        if tag in _OPAQUE:
            self.opaque = tag
        outside = self.protected.word.search(_QUOTED.sub("", raw))
        if outside:
            self._wrong(
                "a template tag stands inside an HTML tag but not in a quoted value; quote it", outside.group(0)
            )
        for name, value in attrs:
            self._attribute(name, value or "")

    def handle_endtag(self, tag: str) -> None:
        if tag == self.opaque:
            self.opaque = None

    def handle_data(self, data: str) -> None:
        if self.opaque and self.protected.word.search(data):
            self._wrong(f"a template tag cannot stand in `<{self.opaque}>`; move it out", data)

    def handle_comment(self, data: str) -> None:
        if self.protected.word.search(data) and not self.protected.word.fullmatch(data):
            self._wrong("a template tag cannot stand in an HTML comment; move it out", data)

    def _attribute(self, name: str, value: str) -> None:
        words = list(self.protected.word.finditer(value))
        named = {self.protected.tags[int(word.group(1))].expression for word in words}
        if "body" in named or (named & _NOT_IN_LINKS and name in _URLS):
            self._wrong(f"this cannot stand in `{name}`; print it between HTML tags", value)
        elif "unsubscribe_url" in named and self.protected.word.fullmatch(value.strip()) is None:
            self._wrong("`{{ unsubscribe_url }}` is a whole link; put nothing around it", value)
        elif name.startswith("on") or name == "srcdoc":
            self._wrong(f"`{name}` cannot be used in a message; remove it", name)
        elif name in ("style", "srcset") and words:
            self._wrong(f"a template tag cannot stand in `{name}`; write the value out", value)
        elif name == "http-equiv" and value.strip().lower() == "refresh":
            self._wrong("a message cannot send its reader elsewhere; remove `http-equiv=refresh`", name)
        elif name in _URLS or name.endswith(":href"):
            self._url(value.strip(), words)

    def _url(self, value: str, words: list[re.Match[str]]) -> None:
        tags = [(int(word.group(1)), self.protected.tags[int(word.group(1))]) for word in words]
        if not tags:
            if not _WHOLE.fullmatch(value):
                self._wrong(
                    f"the link `{value[:60]}` cannot be used; expected a full http, https or mailto address", value
                )
            return
        if any(tag.expression is None for _, tag in tags):
            self._wrong("`{% … %}` cannot stand inside a link; put it around the link", value)
            return
        first = self.protected.word.search(value)
        start = value[: first.start()] if first else value
        if start == "" and len(tags) == 1 and first is not None and first.end() == len(value):
            expression = (tags[0][1].expression or "").replace("'", "").replace("\\", "")
            self.wrappers[tags[0][0]] = f"{LINK}('{expression}')"
        elif _SAFE_START.match(start):
            for number, tag in tags:
                if not re.search(r"\|\s*urlencode\s*$", tag.expression or ""):
                    self.wrappers[number] = "urlencode"
        else:
            self._wrong(
                "a link with data in it cannot be checked; expected its scheme and host written out"
                " (`https://example.com/{{ … }}`), or one whole `{{ … }}`",
                value,
            )
