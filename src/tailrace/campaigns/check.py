"""Do the campaigns fit the warehouse? Segments and fields that they name are there, and each message can be made."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType

from tailrace.campaigns.analysis import Analysis, analyse, rehearse
from tailrace.campaigns.definition import Campaign, Message
from tailrace.campaigns.flight import Flight, flight_problems
from tailrace.campaigns.personas import persona_problems, read_personas
from tailrace.campaigns.shelf import Shelf
from tailrace.campaigns.steps import AddTo, RemoveFrom
from tailrace.campaigns.triggers import BroadcastTrigger, ObjectTrigger, SegmentTrigger, Trigger, brings_event
from tailrace.errors import Problem, nearest


def check_campaigns(
    shelf: Shelf,
    segments: Collection[str],
    customer_columns: Collection[str],
    segment_columns: Mapping[str, Collection[str]],
    *,
    object_segments: Collection[str] = (),
    objects: Collection[str] = (),
    off: Collection[str] = (),
    lists: Collection[str] | None = None,
    flights: Mapping[str, Flight] = MappingProxyType({}),
) -> list[Problem]:
    """Return what the shelf itself found wrong, and everything in it that does not fit the warehouse, sorted.

    `segments` and `object_segments` are the names of the models, `customer_columns` the columns of `core.dim_people`
    and `core.dim_person_features`, `segment_columns` those of each segment, `objects` the kinds of objects that the
    project knows, `flights` what HEAD knows of the campaigns.
    `lists` are the segments that are kept by hand, None when that is not known.
    `off` are models of programmes that are off: policy.yml may speak of them, no campaign that is on may.
    `shelf.notices` are not among the problems: they stop nothing.
    """
    problems = [*shelf.problems, *_guard_problems(shelf, {*segments, *off})]
    personas = () if shelf.project_dir is None else tuple(read_personas(shelf.project_dir, problems).values())
    for campaign in shelf.campaigns.values():
        problems += _reference_problems(campaign, segments, object_segments, objects, off, customer_columns)
        problems += _list_problems(campaign, segments, lists)
        problems += flight_problems(campaign, flights.get(campaign.slug, Flight()))
        for message in campaign.messages.values():
            found = analyse(message)
            wrong = list(_field_problems(campaign, found, customer_columns, segment_columns, objects))
            if shelf.policy is not None:
                wrong = wrong or _rehearsal_problems(message, found)
                wrong = wrong or list(persona_problems(campaign, message, found, personas))
            problems += wrong
    return sorted(set(problems), key=lambda problem: (problem.path, problem.line or 0, problem.message))


def _reference_problems(
    campaign: Campaign,
    segments: Collection[str],
    object_segments: Collection[str],
    objects: Collection[str],
    off: Collection[str],
    columns: Collection[str],
) -> Iterable[Problem]:
    for reference in campaign.references:
        name = reference.name
        if reference.what in ("segment", "object_segment") and name in off:
            what = (
                f"segment `{name}` is of a programme that is off; expected the campaign to be of it, too (`programme`)"
            )
            yield Problem(campaign.path, reference.line, f"{what}, or the programme in `vars: programmes`")
        elif reference.what == "segment" and name not in segments:
            what = f"segment `{name}` does not exist; expected a model in `models/segments/`"
            yield Problem(campaign.path, reference.line, f"{what}.{nearest(name, segments)}")
        elif reference.what == "object_segment" and name not in object_segments:
            what = f"object segment `{name}` does not exist; expected a model in `models/object_segments/`"
            yield Problem(campaign.path, reference.line, f"{what}.{nearest(name, object_segments)}")
        elif reference.what == "object" and name not in objects:
            yield Problem(campaign.path, reference.line, f"`object: {name}`: {_no_kind(name, objects)}")
        elif reference.what == "column" and columns and name not in columns:
            what = f"the person has no column `{name}`; expected one of `dim_people` or `dim_person_features`"
            yield Problem(campaign.path, reference.line, f"{what}.{nearest(name, columns)}")


def _list_problems(campaign: Campaign, segments: Collection[str], lists: Collection[str] | None) -> Iterable[Problem]:
    """Return the steps that put people into a segment which asks nobody for its list."""
    for step in campaign.all_steps if lists is not None else ():
        if isinstance(step, AddTo | RemoveFrom) and step.segment in segments and step.segment not in (lists or ()):
            what = f"`{step.kind}: {step.segment}`: the segment is not kept by hand, so the step would change nothing"
            asks = f"`manual_members('{step.segment.removeprefix('seg_')}')`, as `seg_beta_testers` does"
            hint = nearest(step.segment, lists or ())
            yield Problem(campaign.path, step.line, f"{what}; expected one that reads {asks}.{hint}")


def _no_kind(name: str, objects: Collection[str]) -> str:
    known = ", ".join(f"`{kind}`" for kind in sorted(objects)) or "none yet"
    what = "there is no such kind of object; expected one of `vars: objects` in dbt_project.yml, or one that a segment"
    return f"{what} of objects names ({known}).{nearest(name, objects)}"


def _field_problems(
    campaign: Campaign,
    found: Analysis,
    customer_columns: Collection[str],
    segment_columns: Mapping[str, Collection[str]],
    objects: Collection[str],
) -> Iterable[Problem]:
    for root, name in sorted(found.required | found.optional):
        path, line = found.places[(root, name)]
        if root == "customer" and name not in customer_columns:
            hint = nearest(name, customer_columns)
            yield Problem(path, line, f"`customer.{name}` does not exist; expected a column of `dim_people`.{hint}")
        elif root == "objects" and name not in objects:
            yield Problem(path, line, f"`objects.{name}`: {_no_kind(name, objects)}")
        elif root not in ("customer", "objects"):
            wrong = _trigger_field_problem(campaign.trigger, root, name, segment_columns)
            if wrong:
                yield Problem(path, line, f"`{root}.{name}`: {wrong}")


def _trigger_field_problem(
    trigger: Trigger, root: str, name: str, segment_columns: Mapping[str, Collection[str]]
) -> str | None:
    """Return what is wrong with a field of the trigger, or None. Properties of events are not known here."""
    has_event = brings_event(trigger)
    segment = trigger.segment if isinstance(trigger, SegmentTrigger | BroadcastTrigger) else None
    has_object = isinstance(trigger, ObjectTrigger)
    if (root in ("event", "trigger") and has_event) or (root == "object" and has_object):
        return None
    if root != "segment" or segment is None:
        what = "an event" if has_event else f"a {trigger.kind}"
        there = (
            ("customer", True),
            ("event", has_event),
            ("segment", segment),
            ("object", has_object),
            ("objects", True),
        )
        known = " or ".join(f"`{word}`" for word, is_there in there if is_there)
        return f"the campaign is started by {what}; expected {known}"
    if isinstance(trigger, SegmentTrigger) and trigger.on == "left":
        return f"who left `{segment}` has no row in it any more; expected a field of `customer`"
    columns = segment_columns.get(segment)
    if columns is None or name in columns:
        return None
    return f"there is no such field; expected a column of `{segment}`.{nearest(name, columns)}"


def _rehearsal_problems(message: Message, found: Analysis) -> list[Problem]:
    error = rehearse(message, found)
    if error is None:
        return []
    what = f"it cannot be made for an invented person ({error}); expected values that fit its filters and tests"
    return [Problem(message.path, message.body_line, what)]


def _guard_problems(shelf: Shelf, segments: Collection[str]) -> Iterable[Problem]:
    if shelf.policy is None:
        return
    for subject, line in shelf.policy.override_lines.items():
        if subject.startswith("seg_") and subject not in segments:
            hint = nearest(subject, segments)
            yield Problem(
                "policy.yml", line, f"`guards.overrides` names the segment `{subject}`, which does not exist.{hint}"
            )
