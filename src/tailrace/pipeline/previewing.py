"""What would a campaign's messages say to a persona, or to a person of the published warehouse?"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tailrace import engine, ids
from tailrace.campaigns.analysis import analyse
from tailrace.campaigns.definition import Campaign, EventTrigger, RenderError, SegmentTrigger, Send
from tailrace.campaigns.render import Renderer
from tailrace.errors import DataError, DefinitionError, Problem, nearest
from tailrace.pipeline.campaigns import find
from tailrace.pipeline.published import has, published, row_of
from tailrace.planning import relations
from tailrace.planning.store import Store
from tailrace.settings import Settings


@dataclass(frozen=True)
class PreviewedMessage:
    """A message as one person would get it, or why that person would not."""

    step: str
    message: str
    subject: str | None
    text: str | None
    html: str | None
    problem: str | None


def preview(settings: Settings, slug: str, person: str | None, step: str | None) -> list[PreviewedMessage]:
    """Render the campaign's messages for a persona or a person of the published warehouse."""
    campaign = find(settings, slug)
    steps = [send for send in campaign.sends if step in (None, send.id)]
    if not steps:
        known = [send.id for send in campaign.sends]
        hint = nearest(step or "", known)
        raise DefinitionError(
            Problem(campaign.path, None, f"no step `{step}` sends anything; expected one of {', '.join(known)}.{hint}")
        )
    data = _data(settings, campaign, person)
    renderer = Renderer()
    return [_render(renderer, campaign, send, data) for send in steps]


def _render(renderer: Renderer, campaign: Campaign, send: Send, data: Mapping[str, Any]) -> PreviewedMessage:
    message = campaign.messages[send.message]
    found = analyse(message)
    missing = sorted(f"{root}.{name}" for root, name in found.required if data[root].get(name) is None)
    if missing:
        problem = f"this person lacks {', '.join(missing)}"
        return PreviewedMessage(send.id, send.message, None, None, None, problem)
    fields = found.required | found.optional
    payload = {root: {name: data[root].get(name) for r, name in fields if r == root} for root in data}
    try:
        rendered = renderer.render(message.source(), json.loads(json.dumps(payload, default=str)))
    except RenderError as error:
        return PreviewedMessage(send.id, send.message, None, None, None, str(error))
    return PreviewedMessage(send.id, send.message, rendered.subject, rendered.text, rendered.html, None)


def _data(settings: Settings, campaign: Campaign, person: str | None) -> dict[str, dict[str, Any]]:
    personas = {path.stem: path for path in sorted((settings.project_dir / "personas").glob("*.yml"))}
    if person is None and personas:
        person = next(iter(personas))
    if person in personas:
        return _persona(personas[person], campaign)
    if person is None:
        raise DataError("there are no personas; expected --as with a user id")
    return _published_person(settings, campaign, person, personas)


def _persona(path: Path, campaign: Campaign) -> dict[str, dict[str, Any]]:
    """Return what a persona's events say of it: its traits, and the properties of its last subscription event."""
    events = YAML(typ="safe").load(path.read_text(encoding="utf-8"))["events"]
    customer: dict[str, Any] = {}
    triggered: dict[str, Any] = {}
    for event in sorted(events, key=lambda event: str(event["timestamp"])):
        user = event.get("userId")
        if user is not None:
            customer |= {"user_id": user, "person_id": ids.person_id(str(user))}
        customer |= event.get("traits") or {}
        properties = event.get("properties") or {}
        if str(event.get("event", "")).startswith("subscription_"):
            customer |= properties | {"renews_on": str(properties.get("renews_at", ""))[:10] or None}
        if isinstance(campaign.trigger, EventTrigger) and event.get("event") == campaign.trigger.event:
            triggered = properties
    return {"customer": customer, "event": triggered, "segment": customer}


def _published_person(
    settings: Settings, campaign: Campaign, user_id: str, personas: Mapping[str, Path]
) -> dict[str, dict[str, Any]]:
    person_id = ids.person_id(user_id)
    with published(settings) as connection:
        customer = row_of(connection, "core.dim_people", person_id)
        if not customer:
            raise DataError(
                "nobody has that user id, and no persona has that name; expected one of"
                f" {', '.join(personas)}, or the user id of a person with an event.{nearest(user_id, personas)}"
            )
        features = row_of(connection, "core.dim_person_features", person_id)
        segment: dict[str, Any] = {}
        trigger = campaign.trigger
        if isinstance(trigger, SegmentTrigger) and has(connection, "segments", trigger.segment):
            segment = row_of(connection, f"segments.{engine.identifier(trigger.segment)}", person_id)
    return {"customer": features | customer, "event": _event_of(settings, campaign, person_id), "segment": segment}


def _event_of(settings: Settings, campaign: Campaign, person_id: int) -> dict[str, Any]:
    """Return the properties of the event that enrolled the person, if one did."""
    store = Store(settings)
    head = store.head()
    if head is None:
        return {}
    source = store.source(store.read(head), f"enrollments:{campaign.slug}", relations.ENROLLMENTS)
    with engine.connect(settings) as connection:
        row = connection.execute(
            f"select event from {source} where person_id = $person order by entered_at desc limit 1",
            {"person": person_id},
        ).fetchone()
    return {} if row is None or row[0] is None else dict(json.loads(row[0]))
