"""What would a campaign's messages say to a persona, or to a person of the published warehouse?"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import duckdb

from tailrace import engine, ids
from tailrace.campaigns import sms
from tailrace.campaigns.analysis import analyse
from tailrace.campaigns.definition import Campaign, RenderError, SegmentTrigger
from tailrace.campaigns.personas import data_of, lacking, read_personas, rendered
from tailrace.campaigns.render import Rendered, Renderer
from tailrace.campaigns.steps import Notify, Send, Webhook
from tailrace.campaigns.triggers import BroadcastTrigger, ObjectTrigger
from tailrace.errors import DataError, DefinitionError, Problem, nearest
from tailrace.pipeline.campaigns import find
from tailrace.pipeline.published import has, person_now, published, row_of
from tailrace.planning import relations
from tailrace.planning.payloads import MOST_OBJECTS
from tailrace.planning.store import Store
from tailrace.settings import Settings


@dataclass(frozen=True)
class PreviewedMessage:
    """A message as one person would get it, or why that person would not.

    `note` says what it costs (a text message) or who else gets it (staff). Only e-mail has HTML.
    """

    step: str
    message: str
    channel: str
    subject: str | None
    text: str | None
    html: str | None
    problem: str | None
    note: str | None = None


def preview(settings: Settings, slug: str, person: str | None, step: str | None) -> list[PreviewedMessage]:
    """Render the campaign's messages, calls and notes to staff for a persona or a person of the published warehouse."""
    campaign = find(settings, slug)
    saying = [there for there in campaign.all_steps if isinstance(there, Send | Notify | Webhook)]
    steps = [there for there in saying if step in (None, there.id)]
    if not steps:
        known = [there.id for there in saying]
        hint = nearest(step or "", known)
        raise DefinitionError(
            Problem(campaign.path, None, f"no step `{step}` sends anything; expected one of {', '.join(known)}.{hint}")
        )
    data = _data(settings, campaign, person)
    renderer = Renderer()
    return [_render(renderer, campaign, there, data) for there in steps]


def _render(
    renderer: Renderer, campaign: Campaign, step: Send | Notify | Webhook, data: Mapping[str, Mapping[str, Any]]
) -> PreviewedMessage:
    message = campaign.messages[step.message]
    found = analyse(message)
    missing = lacking(found, data)
    made: Rendered | None = None
    problem = f"this person lacks {', '.join(missing)}" if missing else None
    if not missing:
        try:
            made = rendered(renderer, message, found, json.loads(json.dumps(data, default=str)))
        except RenderError as error:
            problem = str(error)
    note = None if message.to is None else f"to {message.to}"
    if made is not None and message.channel == "sms":
        text = made.text.strip("\n")
        found_out = sms.counted(text)
        note = f"{len(text)} characters in {found_out.encoding}, {found_out.parts} SMS"
    return PreviewedMessage(
        step=step.id,
        message=step.message,
        channel=message.channel,
        subject=None if made is None else made.subject,
        text=None if made is None else made.text,
        html=None if made is None else made.html,
        problem=problem,
        note=note,
    )


def _data(settings: Settings, campaign: Campaign, person: str | None) -> dict[str, dict[str, Any]]:
    problems: list[Problem] = []
    personas = read_personas(settings.project_dir, problems)
    if person is None and personas:
        person = next(iter(personas))
    if person in personas:
        return data_of(personas[person], campaign)
    if problems:
        raise DefinitionError(problems)
    if person is None:
        raise DataError("there are no personas; expected --as with a user id")
    return _published_person(settings, campaign, person, list(personas))


def _published_person(
    settings: Settings, campaign: Campaign, user_id: str, personas: list[str]
) -> dict[str, dict[str, Any]]:
    with published(settings) as connection:
        person_id = person_now(connection, ids.person_id(user_id))
        customer = row_of(connection, "core.dim_people", person_id)
        if not customer:
            raise DataError(
                "nobody has that user id, and no persona has that name; expected one of"
                f" {', '.join(personas)}, or the user id of a person with an event.{nearest(user_id, personas)}"
            )
        features = row_of(connection, "core.dim_person_features", person_id)
        segment: dict[str, Any] = {}
        trigger = campaign.trigger
        starts = trigger.segment if isinstance(trigger, SegmentTrigger | BroadcastTrigger) else None
        if starts is not None and has(connection, "segments", starts):
            segment = row_of(connection, f"segments.{engine.identifier(starts)}", person_id)
        owned = _objects_of(connection, person_id)
    one = owned.get(trigger.object, []) if isinstance(trigger, ObjectTrigger) else []
    event = _event_of(settings, campaign, person_id)
    return {
        "customer": features | customer,
        "event": event,
        "trigger": event,
        "segment": segment,
        "object": one[0] if one else {},
        "objects": owned,
    }


def _objects_of(connection: duckdb.DuckDBPyConnection, person_id: int) -> dict[str, list[dict[str, Any]]]:
    """Return the person's objects by kind, as a plan's payload would have them."""
    if not has(connection, "core", "dim_objects"):
        return {}
    connection.execute("create temp table asked_people as select $person::bigint as person_id", {"person": person_id})
    query = engine.statement("tailrace.planning", "owned").replace("wh.core.", "core.")
    row = engine.first(connection, query, {"most": MOST_OBJECTS})
    return {} if row is None else dict(json.loads(row[1]))


def _event_of(settings: Settings, campaign: Campaign, person_id: int) -> dict[str, Any]:
    """Return the properties of the event that enrolled the person, if one did."""
    store = Store(settings)
    head = store.head()
    if head is None:
        return {}
    source = store.source(store.read(head), f"enrollments:{campaign.slug}", relations.ENROLLMENTS)
    with engine.connect(settings) as connection:
        row = engine.first(
            connection,
            f"select event from {source} where person_id = $person order by entered_at desc limit 1",
            {"person": person_id},
        )
    return {} if row is None or row[0] is None else dict(json.loads(row[0]))
