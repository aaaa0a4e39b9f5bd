"""Do the campaigns fit the warehouse? Segments and fields that they name are there, and each message can be made."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from tailrace.campaigns.analysis import Analysis, analyse, rehearse
from tailrace.campaigns.definition import Campaign, EventTrigger, Message, SegmentTrigger
from tailrace.campaigns.shelf import Shelf
from tailrace.errors import Problem, nearest


def check_campaigns(
    shelf: Shelf,
    segments: Collection[str],
    customer_columns: Collection[str],
    segment_columns: Mapping[str, Collection[str]],
) -> list[Problem]:
    """Return what the shelf itself found wrong, and everything in it that does not fit the warehouse, sorted.

    `segments` are the names of the segment models, `customer_columns` the columns of `core.dim_people`,
    `segment_columns` those of each segment. `shelf.notices` are not among them: they stop nothing.
    """
    problems = [*shelf.problems, *_guard_problems(shelf, segments)]
    for campaign in shelf.campaigns.values():
        trigger = campaign.trigger
        if isinstance(trigger, SegmentTrigger) and trigger.segment not in segments:
            hint = nearest(trigger.segment, segments)
            problems.append(
                Problem(
                    campaign.path,
                    campaign.trigger_line,
                    f"segment `{trigger.segment}` does not exist; expected a model in `models/segments/`.{hint}",
                )
            )
        for message in campaign.messages.values():
            found = analyse(message)
            wrong = list(_field_problems(campaign, found, customer_columns, segment_columns))
            problems += wrong or _rehearsal_problems(message, found)
    return sorted(set(problems), key=lambda problem: (problem.path, problem.line or 0, problem.message))


def _field_problems(
    campaign: Campaign,
    found: Analysis,
    customer_columns: Collection[str],
    segment_columns: Mapping[str, Collection[str]],
) -> Iterable[Problem]:
    for root, name in sorted(found.required | found.optional):
        path, line = found.places[(root, name)]
        if root == "customer" and name not in customer_columns:
            hint = nearest(name, customer_columns)
            yield Problem(path, line, f"`customer.{name}` does not exist; expected a column of `dim_people`.{hint}")
        elif root != "customer":
            wrong = _trigger_field_problem(campaign.trigger, root, name, segment_columns)
            if wrong:
                yield Problem(path, line, f"`{root}.{name}`: {wrong}")


def _trigger_field_problem(
    trigger: SegmentTrigger | EventTrigger, root: str, name: str, segment_columns: Mapping[str, Collection[str]]
) -> str | None:
    """Return what is wrong with a field of the trigger, or None. Properties of events are not known here."""
    if isinstance(trigger, EventTrigger):
        return "the campaign is started by an event; expected `customer` or `event`" if root == "segment" else None
    if root == "event":
        return "the campaign is started by a segment; expected `customer` or `segment`"
    if trigger.on == "left":
        return f"who left `{trigger.segment}` has no row in it any more; expected a field of `customer`"
    columns = segment_columns.get(trigger.segment)
    if columns is None or name in columns:
        return None
    return f"there is no such field; expected a column of `{trigger.segment}`.{nearest(name, columns)}"


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
