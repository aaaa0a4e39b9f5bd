"""How does a body become HTML and text? Once, with its template tags taken out and put back where they belong.

Markdown and HTML are read while every `{{ … }}` and `{% … %}` is a plain word, so what a person's data says later can
be neither. Where a tag stands decides how its value is written: in a link it is percent-encoded or must be a whole
http, https or mailto address; in a place that cannot be made safe it is refused.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cache
from html.parser import HTMLParser

from jinja2 import Environment
from markdown_it import MarkdownIt

from tailrace.campaigns import mjml
from tailrace.campaigns.filters import tagged
from tailrace.campaigns.plaintext import to_text
from tailrace.campaigns.sandbox import LINK, SLACK

_URLS = frozenset(("href", "src", "action", "background", "formaction", "poster", "cite", "data", "longdesc"))
_REFUSED_TAGS = frozenset(("script", "iframe", "object", "embed", "form", "base", "applet", "frame", "svg", "math"))
_OPAQUE = frozenset(("style", "textarea", "noscript", "xmp", "template", "plaintext", "noembed", "noframes"))
_NOT_IN_LINKS = frozenset(("subject", "preheader", "postal_address", "from_name"))
_SAFE_START = re.compile(r"https?://[^/?#\s@\\]+[/?#]|mailto:", re.IGNORECASE)
_WHOLE = re.compile(r"https?://[^/?#\s@\\]+([/?#]\S*)?|mailto:\S+|#[\w-]*", re.IGNORECASE)
_QUOTED = re.compile(r"=\s*(\"[^\"]*\"|'[^']*')")
_BRACES = re.compile(r"\{[{%#]")
_HREF = re.compile(r"(\shref\s*=\s*)(\"[^\"]*\"|'[^']*'|[^\s>\"']+)", re.IGNORECASE)
_BARE = re.compile(r"https?://[^\s<>()\"'{}]*[^\s<>()\"'{}.,;:!?]", re.IGNORECASE)
_LONE_PARAGRAPH = re.compile(r"\s*<p>((?:(?!</?p[ >]).)*)</p>\s*", re.DOTALL)
_SLACK_LINK = re.compile(r"<([^<>|\s!@#][^<>|\s]*)(\|[^<>\n]*)?>")
_MARKDOWN_LINK = re.compile(r"\[([^\]\n]+)\]\(([^()\s]+)\)")
# It only cuts sources into tags and text; unlike the sandbox it leaves the new line after a tag in the text.
_LEXER = Environment(autoescape=True, keep_trailing_newline=True)
Finding = tuple[int, str]


@dataclass(frozen=True)
class Tag:
    """One template tag: its source, and the expression of it when it prints."""

    source: str
    expression: str | None

    @property
    def name(self) -> str:
        """The expression without white space: what a standing name is known by. Empty for a block tag."""
        return "" if self.expression is None else "".join(self.expression.split())


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
        self.alone: set[int] = set()
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

    def stand_alone(self, text: str, blocks: Collection[str] = ()) -> str:
        """Return the text with block tags that fill a line turned into comments: they part blocks, not words.

        `blocks` are expressions that print a block of their own.
        """

        def comment(match: re.Match[str]) -> str:
            numbers = [int(word.group(1)) for word in self.word.finditer(match.group(0))]
            if any(self.tags[number].expression not in (None, *blocks) for number in numbers):
                return match.group(0)
            self.alone.update(numbers)
            return "\n".join(f"{match.group(1)}<!--{self.prefix}{number}x-->" for number in numbers)

        return re.sub(rf"^([ \t]*)(?:{self.prefix}\d+x[ \t]*)+$", comment, text, flags=re.MULTILINE)

    def restore(self, text: str, write: Callable[[int, Tag], str] | None = None) -> str:
        """Return the text with each word as its tag again, or as `write` wants it."""
        text = re.sub(rf"<!--({self.prefix}\d+x)-->", r"\1", text)

        def tag(match: re.Match[str]) -> str:
            number = int(match.group(1))
            return write(number, self.tags[number]) if write else self.source(number)

        return self.word.sub(tag, text)

    def source(self, number: int) -> str:
        """Return a tag's source. One that stands in a line keeps the line break after it, which Jinja would take."""
        source = self.tags[number].source
        if self.tags[number].expression is None and number not in self.alone and source[-3:-2] not in ("-", "+"):
            return f"{source[:-2]} +%}}"
        return source

    def numbers(self, text: str) -> list[int]:
        """Return the numbers of the tags in the text."""
        return [int(word.group(1)) for word in self.word.finditer(text)]


@cache
def _markdown() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    # Bad schemes are refused by the scan, which can say so; Markdown would print them as text without a word.
    parser.validateLink = lambda url: True  # type: ignore[method-assign]
    return parser


@dataclass(frozen=True)
class Standing:
    """The template sources that a standing name becomes in HTML (escaped, rendered with autoescape) and in text.

    `block` is its HTML when it has a line of its own; None: it is part of a line.
    """

    html: str
    text: str
    block: str | None = None


@dataclass(frozen=True)
class Compiled:
    """Two template sources: for HTML (to be rendered with autoescape) and for text; and what was wrong."""

    html: str
    text: str
    findings: tuple[Finding, ...]


def compile_body(
    source: str, kind: str, standing: Mapping[str, Standing], *, utm: str = "", whole_document: bool = False
) -> Compiled:
    """Return the templates that `source` (kind `md`, `html` or `mjml`) becomes, and findings as (line, message).

    `standing` maps a name that is printed as it is to what stands for it. Links to web pages get the query `utm`.
    """
    protected = Protected(source)
    text = protected.stand_alone(protected.text, [name for name, there in standing.items() if there.block is not None])
    problems: list[Finding] = []
    if kind == "md":
        document = str(_markdown().render(text))
    elif kind == "mjml":
        document, wrong = mjml.to_html(text)
        problems += wrong
        problems += [
            (protected.lines[number], "MJML shows nothing of what stands here; put it into `mj-text` or `mj-raw`")
            for number in sorted(set(protected.numbers(text)) - set(protected.numbers(document)))
            if not wrong
        ]
    else:
        document = text
    scan = _Scan(protected, source, utm)
    scan.feed(document)
    scan.close()
    findings = problems + scan.findings
    if protected.has_raw:
        findings.append((1, "`{% raw %}` cannot be used in a message; write the braces as `{{ '{{' }}`"))
    plain = "" if whole_document else to_text(document, protected.word, lambda link: _tagged(link, utm))
    if _BRACES.search(document) or _BRACES.search(plain):
        findings.append((1, "two braces are written with entities or backslashes; write them as `{{ '{{' }}`"))

    def in_html(number: int, tag: Tag) -> str:
        there = standing.get(tag.name)
        if there is not None:
            return there.block if there.block is not None and number in protected.alone else there.html
        wrapper = scan.wrappers.get(number)
        return protected.source(number) if wrapper is None else f"{{{{ ({tag.expression})|{wrapper} }}}}"

    def in_text(number: int, tag: Tag) -> str:
        there = standing.get(tag.name)
        return in_html(number, tag) if there is None else there.text

    return Compiled(
        protected.restore(scan.edited(document), in_html), protected.restore(plain, in_text), tuple(findings)
    )


def compile_snippet(
    source: str, kind: str, standing: Mapping[str, Standing], utm: str = ""
) -> tuple[Standing, tuple[Finding, ...]]:
    """Return what a snippet (kind `md`, `html` or `txt`) becomes, and what is wrong with it."""
    if kind == "txt":
        words = source.strip("\n")
        as_html = compile_text(words, {name: there.html for name, there in standing.items()}, escape=True)
        return Standing(as_html, compile_text(words, {name: there.text for name, there in standing.items()})), ()
    made = compile_body(source, kind, standing, utm=utm)
    text = made.text.strip("\n")
    lone = _LONE_PARAGRAPH.fullmatch(made.html) if kind == "md" else None
    return Standing(lone.group(1) if lone else made.html.strip("\n"), text, made.html), made.findings


def compile_text(source: str, standing: Mapping[str, str], *, escape: bool = False, utm: str = "") -> str:
    """Return a template of plain text (a subject, a text layout) with standing names in it; HTML-escaped if asked."""
    protected = Protected(source)
    text = html.escape(protected.text) if escape else protected.text
    if utm:
        text = _BARE.sub(lambda link: _tagged(link.group(0), utm), text)
    text = protected.stand_alone(text)

    def write(number: int, tag: Tag) -> str:
        return standing.get(tag.name, protected.source(number))

    return protected.restore(text, write)


def compile_url(source: str) -> tuple[str, str | None]:
    """Return the template of an address, and what is wrong with it: data in it is encoded, or the whole of it."""
    protected = Protected(source.strip())
    wrappers, wrong = _url(protected, protected.text, "")
    if wrong is None and protected.text.lower().startswith("mailto:"):
        wrong = "expected a full http or https address"
    return _wrapped(protected, protected.text, wrappers), wrong


def compile_form(source: str) -> str:
    """Return the template of a form's body: data in it is percent-encoded."""
    protected = Protected(source)
    numbers = [number for number, tag in enumerate(protected.tags) if tag.expression is not None]
    return _wrapped(protected, protected.text, dict.fromkeys(numbers, "urlencode"))


def compile_slack(source: str, standing: Mapping[str, str]) -> tuple[str, tuple[Finding, ...]]:
    """Return the template of a Slack message: links and bold as Slack writes them, no value read as markup."""
    protected = Protected(source)
    text = _MARKDOWN_LINK.sub(r"<\2|\1>", protected.text)
    text = re.sub(r"\*\*(?=\S)(.+?)(?<=\S)\*\*", r"*\1*", text)
    text = protected.stand_alone(re.sub(r"^#{1,6}[ \t]+(.+?)[ \t#]*$", r"*\1*", text, flags=re.MULTILINE))
    wrappers: dict[int, str] = {}
    findings: list[Finding] = []
    for link in _SLACK_LINK.finditer(text):
        address = link.group(1)
        if address.startswith("!--"):
            continue
        found, wrong = _url(protected, address, "")
        if wrong:
            at = protected.numbers(address)
            findings.append(
                (protected.lines[at[0]] if at else source.count("\n", 0, max(0, source.find(address))) + 1, wrong)
            )
        wrappers |= {number: f"{wrapper}|replace('|', '%7C')|{SLACK}" for number, wrapper in found.items()}
    for number, tag in enumerate(protected.tags):
        if tag.expression is not None and tag.name not in standing:
            wrappers.setdefault(number, SLACK)

    def write(number: int, tag: Tag) -> str:
        if tag.name in standing:
            return standing[tag.name]
        wrapper = wrappers.get(number)
        return protected.source(number) if wrapper is None else f"{{{{ ({tag.expression})|{wrapper} }}}}"

    return protected.restore(text, write), tuple(findings)


def around_body(layout: str) -> tuple[str, str, str]:
    """Return what stands before `{{ body }}`, the tag, and what stands after it; empty when there is none."""
    protected = Protected(layout)
    for number, tag in enumerate(protected.tags):
        if tag.name == "body":
            before, _, after = protected.text.partition(f"{protected.prefix}{number}x")
            return _authored(protected, before), tag.source, _authored(protected, after)
    return layout, "", ""


def _authored(protected: Protected, text: str) -> str:
    return protected.word.sub(lambda word: protected.tags[int(word.group(1))].source, text)


def lone_expression(source: str) -> str | None:
    """Return the expression when the source is one `{{ … }}` and nothing else."""
    protected = Protected(source.strip())
    return protected.tags[0].expression if protected.word.fullmatch(protected.text) else None


def _wrapped(protected: Protected, text: str, wrappers: Mapping[int, str]) -> str:
    def write(number: int, tag: Tag) -> str:
        wrapper = wrappers.get(number)
        return protected.source(number) if wrapper is None else f"{{{{ ({tag.expression})|{wrapper} }}}}"

    return protected.restore(text, write)


def _tagged(link: str, utm: str) -> str:
    try:
        return tagged(link, utm)
    except ValueError:
        # The scan has refused it.
        return link


def _url(protected: Protected, value: str, utm: str) -> tuple[dict[int, str], str | None]:
    """Return the filters that the tags in an address need, and what is wrong with it."""
    words = list(protected.word.finditer(value))
    tags = [(int(word.group(1)), protected.tags[int(word.group(1))]) for word in words]
    try:
        tagged(value, "a=b")
    except ValueError:
        return {}, f"the link `{value[:60]}` cannot be used; expected a full http, https or mailto address"
    if not tags:
        is_whole = _WHOLE.fullmatch(value)
        what = f"the link `{value[:60]}` cannot be used; expected a full http, https or mailto address"
        return {}, None if is_whole else what
    if any(tag.expression is None for _, tag in tags):
        return {}, "`{% … %}` cannot stand inside a link; put it around the link"
    if len(tags) == 1 and words[0].group(0) == value:
        expression = re.sub(r"['\\\s]", "", tags[0][1].expression or "")[:100]
        return {tags[0][0]: f"{LINK}('{expression}'{f', {utm!r}' if utm else ''})"}, None
    if _SAFE_START.match(value[: words[0].start()]):
        encoded = re.compile(r"\|\s*url_?encode\s*$")
        return {number: "urlencode" for number, tag in tags if not encoded.search(tag.expression or "")}, None
    return {}, (
        "a link with data in it cannot be checked; expected its scheme and host written out"
        " (`https://example.com/{{ … }}`), or one whole `{{ … }}`"
    )


class _Scan(HTMLParser):
    """Finds where tags stand in HTML: `wrappers` says which filter a tag's value needs, `findings` what is refused."""

    def __init__(self, protected: Protected, source: str, utm: str) -> None:
        super().__init__(convert_charrefs=True)
        self.protected, self.source, self.utm = protected, source, utm
        self.edits: list[tuple[tuple[int, int], str, str]] = []
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
        if self.utm and tag in ("a", "area"):
            more = _HREF.sub(self._more, raw, count=1)
            if more != raw:
                self.edits.append((self.getpos(), raw, more))

    def _more(self, match: re.Match[str]) -> str:
        link = html.unescape(match.group(2).strip("\"'")).strip()
        return f'{match.group(1)}"{html.escape(_tagged(link, self.utm))}"'

    def edited(self, document: str) -> str:
        """Return the document with its links as they are to be."""
        starts = [0, *(line.end() for line in re.finditer("\n", document))]
        for (line, column), raw, more in reversed(self.edits):
            at = starts[line - 1] + column
            document = document[:at] + more + document[at + len(raw) :]
        return document

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
        named = {self.protected.tags[int(word.group(1))].name for word in words}
        if (
            "body" in named
            or any(name.startswith("snippets.") for name in named)
            or (named & _NOT_IN_LINKS and name in _URLS)
        ):
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
            wrappers, wrong = _url(self.protected, value.strip(), self.utm if name == "href" else "")
            self.wrappers |= wrappers
            if wrong:
                self._wrong(wrong, value)
