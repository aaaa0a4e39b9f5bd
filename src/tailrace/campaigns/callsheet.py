"""What do calls, push messages and those on WhatsApp say? YAML whose texts are templates, filled with a person's data.

A text that is one `{{ … }}` keeps the type of its value; any other becomes a text. Data in an address is encoded, data
in the body is a value of JSON, and a header takes no line break.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode

from tailrace.campaigns import markup, sandbox
from tailrace.campaigns.definition import RenderError
from tailrace.campaigns.document import Node, Table, document, free_table
from tailrace.errors import Problem

KEYS = {
    "webhook": ("method", "url", "headers", "body"),
    "push": ("title", "body", "link", "data"),
    "whatsapp": ("template", "variables", "body"),
}
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}", re.ASCII)
_HEADER_VALUE = re.compile(r"[\x20-\x7e]{0,4000}", re.ASCII)
_STANDING = re.compile(r"\s*(\w+|snippets\.\w+)\s*", re.ASCII)
_BRACES = re.compile(r"\{[{%#]")
_DEEPEST = 20
_FORM = "application/x-www-form-urlencoded"

How = Literal["text", "json", "url", "header", "form"]


@dataclass(frozen=True)
class Leaf:
    """One template of the sheet: its place (`body/deal/name`), how its text is to be read, and its source."""

    place: str
    how: How
    source: str


def read_sheet(path: str, text: str, channel: str, problems: list[Problem]) -> tuple[str, dict[str, int]] | None:
    """Return the sheet of a `.<channel>.yml` as JSON text, and the line of each text by its place.

    None, having added to `problems`, when it is not one.
    """
    before = len(problems)
    root = document(path, text, problems)
    table = root.table(KEYS[channel]) if root else None
    if table is None:
        return None
    lines: dict[str, int] = {}
    sheet: dict[str, Any] = {}
    for name, node in table.nodes.items():
        sheet[name] = _value(node, name, lines, 0)
    if channel == "webhook":
        method = table.get("method")
        if method is not None:
            method.choice(METHODS)
        _text(table.need("url", "the full address to call"), "an address")
        headers = table.get("headers")
        for name, node in ((free_table(headers) if headers else None) or {}).items():
            if not _HEADER_NAME.fullmatch(name) or not isinstance(sheet["headers"].get(name), str):
                node.wrong(
                    f"the header `{name}` cannot be sent; expected a name in letters and `-`, and one line of text"
                )
        _check_body(table.get("body"), sheet)
    elif channel == "whatsapp":
        _check_template(table, sheet)
    else:
        _text(table.need("title", "one line of text"), "one line of text")
        _text(table.need("body", "what the message says"), "text")
        _text(table.get("link"), "an address")
        if "data" in table.nodes and not isinstance(sheet.get("data"), dict):
            table.nodes["data"].wrong("`data` is no mapping; expected names and values")
    if len(problems) > before:
        return None
    return json.dumps(sheet, ensure_ascii=False, sort_keys=True), lines


def _check_template(table: Table, sheet: Mapping[str, Any]) -> None:
    """Note what is wrong: WhatsApp takes a template with its variables, or text within a day of the person's word."""
    if ("template" in table.nodes) == ("body" in table.nodes):
        table.node.wrong("expected one of `template` (with `variables`) and `body`")
    _text(table.get("template"), "the id of a template that WhatsApp approved, such as Twilio's `HX…`")
    _text(table.get("body"), "what the message says")
    variables = sheet.get("variables", {})
    if not isinstance(variables, dict) or any(isinstance(value, dict | list) for value in variables.values()):
        table.nodes["variables"].wrong('`variables` is no mapping of texts; expected such as `{"1": "{{ … }}"}`')
    elif variables and "template" not in table.nodes:
        table.nodes["variables"].wrong("`variables` are a template's; expected `template`")


def _text(node: Node | None, expected: str) -> None:
    if node is not None:
        node.text(expected)


def _check_body(node: Node | None, sheet: Mapping[str, Any]) -> None:
    body = sheet.get("body")
    if node is None or not isinstance(body, str) or not _BRACES.search(body):
        return
    kind = _content_type(sheet)
    if kind != _FORM and not kind.startswith("text/plain") and markup.lone_expression(body) is None:
        what = "a body of text with data in it needs the header `content-type: text/plain` or that of a form"
        node.wrong(f'{what}; for JSON write it as YAML: `body: {{name: "{{{{ customer.first_name }}}}"}}`')


def _content_type(sheet: Mapping[str, Any]) -> str:
    headers = sheet.get("headers") or {}
    found = [str(value) for name, value in headers.items() if name.lower() == "content-type"]
    return found[0].strip().lower() if found else ""


def _value(node: Node, place: str, lines: dict[str, int], depth: int) -> Any:
    if depth > _DEEPEST:
        node.wrong(f"`{node.name}` is nested too deeply; expected at most {_DEEPEST} levels")
        return None
    if isinstance(node.raw, MappingNode):
        table = free_table(node) or {}
        for name in table:
            if _BRACES.search(name):
                node.wrong("a name has braces in it; only values are templates")
        return {name: _value(child, f"{place}/{name}", lines, depth + 1) for name, child in table.items()}
    if isinstance(node.raw, SequenceNode):
        rows = [Node(node.path, raw, node.problems, node.name, node._first_line) for raw in node.raw.value]
        return [_value(row, f"{place}/{number}", lines, depth + 1) for number, row in enumerate(rows)]
    if not isinstance(node.raw, ScalarNode):
        return None
    value = node.plain() if node.raw.value or not str(node.raw.tag).endswith(":str") else ""
    if isinstance(value, str):
        lines[place] = node.text_line
    return value


def leaves(sheet: Mapping[str, Any], channel: str) -> list[Leaf]:
    """Return the texts of a sheet in order, as they are written."""
    is_form = channel == "webhook" and _content_type(sheet) == _FORM
    return list(_leaves(sheet, "", channel, is_form=is_form))


def _leaves(value: Any, place: str, channel: str, *, is_form: bool) -> Iterator[Leaf]:
    if isinstance(value, Mapping):
        for name, child in value.items():
            yield from _leaves(child, f"{place}/{name}" if place else name, channel, is_form=is_form)
    elif isinstance(value, list):
        for number, child in enumerate(value):
            yield from _leaves(child, f"{place}/{number}", channel, is_form=is_form)
    elif isinstance(value, str):
        yield Leaf(place, _how(place, value, channel, is_form=is_form), value)


def _how(place: str, value: str, channel: str, *, is_form: bool) -> How:
    first = place.partition("/")[0]
    if place in ("url", "link"):
        return "url"
    if first in ("method", "headers"):
        return "header"
    if place == "body" and is_form:
        return "form"
    is_typed = (first == "body" and channel == "webhook") or first == "data"
    expression = markup.lone_expression(value) if is_typed else None
    return "text" if expression is None or _STANDING.fullmatch(expression) else "json"


def template(leaf: Leaf, standing: Mapping[str, str]) -> tuple[str, str | None]:
    """Return the template that a leaf becomes, and what is wrong with it."""
    if leaf.how == "url":
        return markup.compile_url(leaf.source)
    if leaf.how == "json":
        return f"{{{{ ({markup.lone_expression(leaf.source)})|{sandbox.JSON} }}}}", None
    if leaf.how == "form":
        return markup.compile_form(leaf.source), None
    return markup.compile_text(leaf.source, standing), None


def filled(sheet: Mapping[str, Any], channel: str, fill: Mapping[str, str]) -> dict[str, Any]:
    """Return the sheet with the rendered text of each leaf by place put in.

    Raises RenderError for a header or method that cannot be sent.
    """
    hows = {leaf.place: leaf.how for leaf in leaves(sheet, channel)}
    made = dict(_filled(sheet, "", hows, fill))
    return {"method": "POST", **made} if channel == "webhook" else made


def _filled(value: Any, place: str, hows: Mapping[str, How], fill: Mapping[str, str]) -> Any:
    if isinstance(value, Mapping):
        return {name: _filled(child, f"{place}/{name}" if place else name, hows, fill) for name, child in value.items()}
    if isinstance(value, list):
        return [_filled(child, f"{place}/{number}", hows, fill) for number, child in enumerate(value)]
    if not isinstance(value, str):
        return value
    text, how = fill[place], hows[place]
    if how == "header" and not _HEADER_VALUE.fullmatch(text):
        raise RenderError("bad_header", place)
    return json.loads(text) if how == "json" else text
