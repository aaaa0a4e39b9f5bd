"""What would a template know of a persona? What its events say, as near as can be told without building a warehouse."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import TemplateError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from tailrace import ids
from tailrace.campaigns import sandbox
from tailrace.campaigns.analysis import Analysis, authored
from tailrace.campaigns.definition import Campaign, Message, RenderError
from tailrace.campaigns.document import Node, document, free_table, read_text
from tailrace.campaigns.markup import Protected
from tailrace.campaigns.render import Rendered, Renderer
from tailrace.campaigns.triggers import EventTrigger, ObjectTrigger
from tailrace.campaigns.usage import dotted, has, reached
from tailrace.errors import Problem

Data = Mapping[str, Mapping[str, Any]]

KIND = "account"
"""What a persona's `group` call is about that names no kind: the first of `vars: objects`, unless that was changed."""


@dataclass(frozen=True)
class Persona:
    """An invented person: a name, and the events that it sent, in order of time."""

    name: str
    path: str
    events: tuple[Mapping[str, Any], ...]


def read_personas(project_dir: Path, problems: list[Problem]) -> dict[str, Persona]:
    """Return the personas of `personas/` and its folders by name, having added those that cannot be read."""
    found: dict[str, Persona] = {}
    for file in sorted((project_dir / "personas").rglob("*.yml")):
        path = file.relative_to(project_dir).as_posix()
        text = read_text(file, path, problems)
        if text is None:
            continue
        events = _events(path, text, problems)
        if events is not None:
            found.setdefault(file.stem, Persona(file.stem, path, tuple(events)))
    return found


def _events(path: str, text: str, problems: list[Problem]) -> list[dict[str, Any]] | None:
    """Return the events in order of time; None, and what is wrong, when these are no calls that could be landed."""
    before = len(problems)
    root = document(path, text, problems)
    table = root.table(("name", "summary", "description", "events")) if root else None
    listed = table.need("events", "a list of calls, such as `{type: track, event: …, timestamp: …}`") if table else None
    for call in (listed.rows() if listed else None) or ():
        said = free_table(call)
        if said is None:
            continue
        for name in ("type", "timestamp"):
            if name not in said:
                call.wrong(f"`{name}` of an event is missing; expected each call to have it")
            elif said[name].scalar() is None:
                said[name].wrong(f"`{name}` is {said[name].kind()}; expected text")
        for name in ("properties", "traits"):
            if name in said and str(said[name].raw.tag) != "tag:yaml.org,2002:null":
                free_table(Node(path, said[name].raw, problems, name, 1))
    if len(problems) > before:
        return None
    try:
        events = YAML(typ="safe").load(text)["events"]
    except YAMLError as error:
        problems.append(Problem(path, None, f"this is no persona ({type(error).__name__}); expected each key once"))
        return None
    return sorted(events, key=lambda event: str(event["timestamp"]))


def data_of(persona: Persona, campaign: Campaign) -> dict[str, dict[str, Any]]:
    """Return what the persona's events say: its traits and last subscription, and what would start the campaign.

    Columns that only a model works out are missing; a message that needs one cannot be shown for a persona.
    """
    customer: dict[str, Any] = {}
    started: dict[str, Any] = {}
    objects: dict[str, dict[str, dict[str, Any]]] = {}
    trigger = campaign.trigger
    starts = trigger.event if isinstance(trigger, EventTrigger | ObjectTrigger) else None
    for event in persona.events:
        user = event.get("userId")
        if user is not None:
            customer |= {"user_id": user, "person_id": ids.person_id(str(user))}
        properties = event.get("properties") or {}
        if event.get("type") == "group":
            _hear(objects, event)
            continue
        customer |= event.get("traits") or {}
        if str(event.get("event", "")).startswith("subscription_"):
            customer |= properties | {"renews_on": str(properties.get("renews_at", ""))[:10] or None}
        if starts is not None and event.get("event") == starts:
            started = dict(properties)
    owned = {kind: list(held.values()) for kind, held in objects.items()}
    one = owned.get(trigger.object, []) if isinstance(trigger, ObjectTrigger) else []
    data = {
        "customer": customer,
        "event": started,
        "trigger": started,
        "segment": customer,
        "object": one[0] if one else {},
        "objects": owned,
    }
    return dict(json.loads(json.dumps(data, default=str)))


def _hear(objects: dict[str, dict[str, dict[str, Any]]], call: Mapping[str, Any]) -> None:
    """Add to `objects` (by kind and id) what a `group` call says of an object and of its person's part in it."""
    traits = dict(call.get("traits") or {})
    kind, key = str(traits.pop("object", KIND)), str(call.get("groupId"))
    said = [traits.pop(name, None) for name in ("relationship", "relationshipAttributes")]
    if traits.pop("is_member", True) is False:
        objects.get(kind, {}).pop(key, None)
        return
    known = objects.setdefault(kind, {}).setdefault(key, {"id": key, "relationship": {}})
    known |= traits
    known["relationship"] |= next((each for each in said if isinstance(each, dict)), {})


def lacking(found: Analysis, data: Data) -> list[str]:
    """Return the fields that the message needs and the data lacks, as `root.name`; else what lacks below them."""
    fields = sorted(dotted(field) for field in found.required if reached(field, data) is None)
    below = (path for path, given in found.needs if reached(path, data) is None and all(has(it, data) for it in given))
    return fields or sorted({dotted(path) for path in below})


def rendered(renderer: Renderer, message: Message, found: Analysis, data: Data) -> Rendered:
    """Return the message for the data, reduced to what a plan would carry. Raises RenderError."""
    fields = found.required | found.optional
    payload = {root: {name: there.get(name) for at, name in fields if at == root} for root, there in data.items()}
    return renderer.render(message.source(), payload, message_key=message.message_key)


def persona_problems(
    campaign: Campaign, message: Message, found: Analysis, personas: Iterable[Persona]
) -> Iterable[Problem]:
    """Return why the message cannot be made although nothing that it needs is missing: where, and for whom first."""
    renderer = Renderer()
    found_for: dict[tuple[str, int, str], list[Persona]] = {}
    for persona in personas:
        data = data_of(persona, campaign)
        if lacking(found, data):
            continue
        try:
            rendered(renderer, message, found, data)
        except RenderError as error:
            root, _, name = error.field.partition(".")
            path, line = found.places.get((root, name)) or _place(message, data, error)
            found_for.setdefault((path, line, str(error)), []).append(persona)
    for (path, line, wrong), (first, *others) in found_for.items():
        more = f" (and {len(others)} more)" if others else ""
        what = f"for the persona `{first.name}`{more} the message cannot be made ({wrong})"
        yield Problem(path, line, f"{what}; expected a value that fits, or a default: see {first.path}")


def _place(message: Message, data: Data, error: RenderError) -> tuple[str, int]:
    """Return where the first tag stands that fails by itself as the whole message does, else where the body starts."""
    if error.field in message.lines:
        return message.path, message.lines[error.field]
    rows: dict[str, Any] = {root: sandbox.Row(root, there) for root, there in data.items()}
    for part in authored(message):
        protected = Protected(part.source)
        for number, tag in enumerate(protected.tags):
            if tag.expression is None or tag.name in part.names:
                continue
            try:
                "".join(sandbox.compiled(f"{{{{ {tag.expression} }}}}", autoescape=False)(rows))
            except RenderError as found:
                if str(found) == str(error):
                    return part.path, part.line + protected.lines[number] - 1
            except (TemplateError, TypeError, ValueError, ArithmeticError, AttributeError, LookupError):
                # A variable of a loop, which is nothing by itself; or a comparison that does not fit.
                continue
    return message.path, message.body_line
