"""What does a message file say? Front matter and body, or a sheet, as a Message with all that stands around it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from email_validator import EmailNotValidError, validate_email
from jinja2 import TemplateSyntaxError

from tailrace.campaigns import mjml, sms
from tailrace.campaigns.analysis import LAYOUTS, analyse
from tailrace.campaigns.callsheet import read_sheet
from tailrace.campaigns.definition import Message, MessageFile, Snippet
from tailrace.campaigns.document import Node, Table, document, read_text
from tailrace.campaigns.markup import Protected
from tailrace.campaigns.policy import Policy
from tailrace.campaigns.usage import STANDING, usage
from tailrace.campaigns.words import NAME
from tailrace.errors import Problem, nearest

KINDS = {
    "email": ("md", "html", "mjml", "liquid"),
    "sms": ("txt", "liquid"),
    "whatsapp": ("yml",),
    "push": ("yml",),
    "slack": ("md",),
    "webhook": ("yml",),
}
"""The kinds of message file of each channel; all but `liquid` itself may have `.liquid` after them."""
SNIPPETS = "campaigns/_snippets"
_FILE = re.compile(r"([a-z][a-z0-9_]{0,63})\.([a-z]+)\.([a-z]+?)(\.liquid)?", re.ASCII)
_SNIPPET = re.compile(r"([a-z][a-z0-9_]{0,63})(?:\.(md|html|txt))?(\.liquid)?", re.ASCII)
_HEADER = re.compile(r"---[ \t]*\n(.*?)^---[ \t]*$\n?", re.DOTALL | re.MULTILINE)
_KEYS = {"email": ("subject", "preheader", "from_name", "layout", "to"), "slack": ("to",)}
_MARKUP = re.compile(r"</?[a-zA-Z][^<>]*>")
_CHANNEL = re.compile(r"[#@][\w.-]{1,80}")
_EMPTY: dict[str, Any] = {
    **dict.fromkeys(("subject", "preheader", "layout", "layout_html", "layout_text"), ""),
    "from_name": None,
}
_BOX = "an address of staff, such as `success@example.com`"


@dataclass(frozen=True)
class Layout:
    """What stands around messages, for HTML, for MJML and for text; None where there is no such file."""

    html: str | None = None
    mjml: str | None = None
    text: str | None = None


@dataclass(frozen=True)
class Around:
    """What the messages of a project share."""

    layouts: Mapping[str, Layout] = field(default_factory=dict)
    snippets: Mapping[str, Snippet] = field(default_factory=dict)
    policy: Policy | None = None


def message_file(name: str, path: str) -> MessageFile | None:
    """Return what the name of a message file says, or None when it is no message's name."""
    match = _FILE.fullmatch(name)
    if match is None or match.group(3) not in KINDS.get(match.group(2), ()):
        return None
    kind, is_liquid = match.group(3), match.group(3) == "liquid" or match.group(4) is not None
    if kind == "liquid" and match.group(4):
        return None
    return MessageFile(match.group(1), match.group(2), kind, is_liquid, path)


def stranger(name: str) -> str:
    """Return what to say of a file that is no part of a campaign."""
    channels = ", ".join(f"`<name>.{channel}.{kinds[0]}`" for channel, kinds in KINDS.items())
    hint = nearest(name, ("campaign.yml",))
    return f"`{name}` is no part of a campaign; expected `campaign.yml`, {channels}.{hint}"


def read_layouts(folder: Path, problems: list[Problem]) -> dict[str, Layout]:
    """Return the shared layouts by name: `<name>.html` with `<name>.txt`, and `<name>.mjml`."""
    found: dict[str, dict[str, str | None]] = {}
    for entry in sorted(folder.iterdir()) if folder.is_dir() else ():
        if entry.name.startswith(".") or entry.suffix == ".txt":
            continue
        path = f"{LAYOUTS}/{entry.name}"
        if entry.suffix not in (".html", ".mjml") or not NAME.fullmatch(entry.stem):
            problems.append(Problem(path, None, "not a layout; expected pairs such as `email.html` and `email.txt`"))
            continue
        facts = found.setdefault(entry.stem, {})
        facts[entry.suffix[1:]] = read_text(entry, path, problems)
        text = entry.with_suffix(".txt")
        if "text" not in facts and (entry.suffix == ".html" or text.is_file()):
            facts["text"] = read_text(text, f"{LAYOUTS}/{entry.stem}.txt", problems)
    return {name: Layout(**facts) for name, facts in found.items()}


def read_snippets(folder: Path, problems: list[Problem]) -> dict[str, Snippet]:
    """Return the shared texts by name: `<name>.md`, `.html`, `.txt`, or `.liquid` (HTML in Liquid)."""
    found: dict[str, Snippet] = {}
    for entry in sorted(folder.iterdir()) if folder.is_dir() else ():
        if entry.name.startswith(".") or entry.name == "README.md":
            continue
        path = f"{SNIPPETS}/{entry.name}"
        match = _SNIPPET.fullmatch(entry.name)
        if match is None or not (match.group(2) or match.group(3)):
            what = "expected `<name>.md`, `.html`, `.txt` or `.liquid`, named in small letters, digits and `_`"
            problems.append(Problem(path, None, f"`{entry.name}` is not a snippet; {what}"))
            continue
        if match.group(1) in found:
            problems.append(Problem(path, None, f"the snippet `{match.group(1)}` has two files; keep one"))
            continue
        text = read_text(entry, path, problems)
        body = None if text is None else _translated(text, path, 1, problems, is_liquid=bool(match.group(3)))
        if body is not None:
            found[match.group(1)] = Snippet(match.group(1), match.group(2) or "html", body, path)
            problems += [Problem(path, line, said) for line, said in usage(body, STANDING).problems]
    return found


def read_message(file: Path, slug: str, found: MessageFile, around: Around, problems: list[Problem]) -> Message | None:
    """Return the message of a file, or None having added what is wrong with it to `problems`."""
    text = read_text(file, found.path, problems)
    if text is None:
        return None
    before = len(problems)
    facts = _READERS[found.channel](text, found, around, problems)
    if facts is None or len(problems) > before:
        return None
    policy = around.policy
    whole = {"campaign": slug, "name": found.name, "channel": found.channel, "path": found.path, **_EMPTY, **facts}
    message = Message(**whole, snippets=around.snippets, standing=policy.standing() if policy else {})
    try:
        wrong = analyse(message).problems if policy else ()
    except TemplateSyntaxError as error:
        wrong = (Problem(found.path, message.body_line, f"the template cannot be read: {error.message}"),)
    problems.extend(wrong)
    return None if wrong else message


def _translated(text: str, path: str, line: int, problems: list[Problem], *, is_liquid: bool) -> str | None:
    """Return the template in Jinja; None, and a problem, when it is Liquid that cannot be read."""
    if not is_liquid:
        return text
    from tailrace.campaigns.liquid import LiquidProblem, to_jinja  # noqa: PLC0415 (0.2 s, for those who write Liquid)

    try:
        return to_jinja(text)
    except LiquidProblem as error:
        problems.append(Problem(path, line + error.line - 1, str(error)))
        return None


def _email(text: str, found: MessageFile, around: Around, problems: list[Problem]) -> dict[str, Any] | None:
    header = _HEADER.match(text)
    if header is None:
        what = "a header between two lines of `---` with at least `subject: …`, then the body"
        problems.append(Problem(found.path, 1, f"the message has no header; expected {what}"))
        return None
    table, facts = _front_matter(header.group(1), found, problems)
    if table is None:
        return None
    body, body_line = text[header.end() :], text.count("\n", 0, header.end()) + 1
    if not body.strip():
        problems.append(Problem(found.path, body_line, "the message has no body; expected text after the second `---`"))
        return None
    kind = "html" if found.kind == "liquid" else found.kind
    subject = table.need("subject", "the subject line")
    is_whole = kind == "mjml" and mjml.is_document(body)
    layout = None if is_whole else _layout(table, facts, kind, around, problems)
    if subject is None or facts.keys() < table.nodes.keys() or (layout is None and not is_whole):
        return None
    if is_whole and "layout" in table.nodes:
        table.nodes["layout"].wrong(
            "a whole `<mjml>` document has no layout; remove `layout`, or keep only its sections"
        )
    name, line = facts.get("layout", "email"), subject.text_line
    preheader = table.get("preheader")
    preheader_line = preheader.text_line if preheader else 2
    liquid = found.is_liquid
    return {
        "kind": kind,
        "subject": _translated(facts["subject"], found.path, line, problems, is_liquid=liquid),
        "preheader": _translated(facts.get("preheader", ""), found.path, preheader_line, problems, is_liquid=liquid),
        "from_name": facts.get("from_name"),
        "to": facts.get("to"),
        "body": _translated(body, found.path, body_line, problems, is_liquid=liquid),
        "body_line": body_line,
        "layout": "" if layout is None else name,
        "layout_html": "" if layout is None else (layout.mjml if kind == "mjml" else layout.html),
        "layout_text": "" if layout is None else layout.text or "",
        "subject_line": line,
        "preheader_line": preheader_line,
    }


def _front_matter(text: str, found: MessageFile, problems: list[Problem]) -> tuple[Table | None, dict[str, str]]:
    root = document(found.path, text, problems, first_line=2, name="the header")
    table = root.table(_KEYS[found.channel]) if root else None
    facts: dict[str, str] = {}
    for name, node in (table.nodes if table else {}).items():
        value = node.text("one line of text")
        if value is not None and "\n" in value:
            node.wrong(f"`{name}` has more than one line; expected one line of text")
        elif value is not None:
            facts[name] = value
    if table is not None and "to" in facts:
        _check_to(table.nodes["to"], facts["to"], found.channel)
    return table, facts


def _check_to(node: Node, to: str, channel: str) -> None:
    if channel == "slack":
        if not _CHANNEL.fullmatch(to):
            node.wrong('`to` is no channel of Slack; expected such as `"#success"`')
        return
    try:
        validate_email(to, check_deliverability=False, allow_smtputf8=False)
    except EmailNotValidError:
        node.wrong(f"`to` is not an address; expected {_BOX}")


def _layout(
    table: Table, facts: Mapping[str, str], kind: str, around: Around, problems: list[Problem]
) -> Layout | None:
    name = facts.get("layout", "email")
    layout = around.layouts.get(name, Layout())
    node = table.nodes.get("layout", table.node)
    if kind == "mjml" and layout.mjml is None:
        what = f"expected `{LAYOUTS}/{name}.mjml`, or a message that is a whole `<mjml>` document"
        node.wrong(f"there is no MJML layout `{name}`; {what}")
        return None
    if kind != "mjml" and (layout.html is None or layout.text is None):
        hint = nearest(name, around.layouts)
        node.wrong(f"there is no layout `{name}`; expected `{LAYOUTS}/{name}.html` and `.txt`.{hint}")
        return None
    return layout


def _sms(text: str, found: MessageFile, around: Around, problems: list[Problem]) -> dict[str, Any] | None:
    body = _translated(text, found.path, 1, problems, is_liquid=found.is_liquid)
    if body is None:
        return None
    if not body.strip():
        problems.append(Problem(found.path, 1, "the message is empty; expected text"))
        return None
    words = _authored(body, found.path, problems)
    markup = _MARKUP.search(words)
    if markup:
        line = body.count("\n", 0, max(0, body.find(markup.group(0)))) + 1
        problems.append(
            Problem(found.path, line, f"`{markup.group(0)}` would be sent as it stands; a text has no HTML")
        )
    if sms.parts(words) > sms.MOST_PARTS:
        what = f"{len(words)} characters without any data; expected at most {sms.MOST_PARTS} parts"
        problems.append(Problem(found.path, 1, f"the text takes {sms.parts(words)} SMS: {what}"))
    return {"kind": "sms", "body": body, "body_line": 1}


def _authored(body: str, path: str, problems: list[Problem]) -> str:
    """Return what stands around the tags."""
    try:
        protected = Protected(body)
    except TemplateSyntaxError as error:
        problems.append(Problem(path, error.lineno, f"the template cannot be read: {error.message}"))
        return ""
    return protected.word.sub("", protected.text)


def _slack(text: str, found: MessageFile, around: Around, problems: list[Problem]) -> dict[str, Any] | None:
    header = _HEADER.match(text)
    facts: dict[str, str] = {}
    if header is not None:
        table, facts = _front_matter(header.group(1), found, problems)
        if table is None:
            return None
    end = header.end() if header else 0
    line = text.count("\n", 0, end) + 1
    body = _translated(text[end:], found.path, line, problems, is_liquid=found.is_liquid)
    if body is not None and not body.strip():
        problems.append(Problem(found.path, line, "the message is empty; expected text"))
    return {"kind": "slack", "body": body, "body_line": line, "to": facts.get("to")}


def _sheet(text: str, found: MessageFile, around: Around, problems: list[Problem]) -> dict[str, Any] | None:
    read = read_sheet(found.path, text, found.channel, problems)
    if read is None:
        return None
    body, lines = read
    if found.is_liquid:
        body = json.dumps(_sheet_in_jinja(json.loads(body), "", lines, found.path, problems), sort_keys=True)
    return {"kind": found.channel, "body": body, "body_line": 1, "lines": lines}


def _sheet_in_jinja(value: Any, place: str, lines: Mapping[str, int], path: str, problems: list[Problem]) -> Any:
    def below(name: str | int) -> str:
        return f"{place}/{name}" if place else str(name)

    if isinstance(value, dict):
        return {name: _sheet_in_jinja(child, below(name), lines, path, problems) for name, child in value.items()}
    if isinstance(value, list):
        return [_sheet_in_jinja(child, below(at), lines, path, problems) for at, child in enumerate(value)]
    if isinstance(value, str):
        return _translated(value, path, lines[place], problems, is_liquid=True)
    return value


_Reader = Callable[[str, MessageFile, Around, list[Problem]], dict[str, Any] | None]
_READERS: dict[str, _Reader] = {
    "email": _email,
    "sms": _sms,
    "slack": _slack,
    **dict.fromkeys(("whatsapp", "push", "webhook"), _sheet),
}
