"""What would an edit do to people on their way? What HEAD knows of a campaign, held against its file of today."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tailrace.campaigns.definition import Campaign
from tailrace.campaigns.steps import Notify, Send, Step, Webhook, every_step, steps_from
from tailrace.errors import Problem, nearest


@dataclass(frozen=True)
class Flight:
    """What HEAD knows of a campaign.

    `trigger_kind` is the kind with which it has been live, None when it never was. `definitions` are the versions that
    people are on, `resting` how many rest where: version → step id → people.
    """

    trigger_kind: str | None = None
    definitions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    resting: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


def flight_problems(campaign: Campaign, flight: Flight) -> Iterable[Problem]:
    """Yield what today's file would do to people on their way that nobody asked for."""
    kind = campaign.trigger.kind
    if flight.trigger_kind not in (None, kind):
        what = f"the trigger is of the kind `{kind}`, but this campaign has been live with `{flight.trigger_kind}`"
        expected = "expected the same kind: people are known by it; make a new campaign with a folder of its own"
        yield Problem(campaign.path, campaign.trigger_line, f"{what}; {expected}")
    for version, resting in sorted(flight.resting.items()):
        if version == campaign.version or version not in flight.definitions or campaign.on_edit == "exit":
            continue
        before = tuple(every_step(steps_from(flight.definitions[version]["steps"])))
        if not campaign.is_edit_chosen:
            yield from _moved_ground(campaign, version, resting, before)
        yield from _gone_messages(campaign, version, resting, before)


def _moved_ground(
    campaign: Campaign, version: str, resting: Mapping[str, int], before: tuple[Step, ...]
) -> Iterable[Problem]:
    today = {step.id: step for step in campaign.all_steps}
    for step in before:
        now = today.get(step.id)
        if step.id not in resting or (now is not None and now.kind == step.kind):
            continue
        people = _people(resting[step.id])
        where = f"{people} on version {version} rest at the step `{step.id}`"
        if now is None:
            what = f"{where}, which is gone"
            todo = f"put it back under this id.{nearest(step.id, set(today) - {each.id for each in before})}"
        else:
            what = f"{where}, a `{step.kind}` that is now `{now.kind}`"
            todo = "give the new step another `id:` and put the old one back"
        choice = "or say with `on_edit: keep`, `move` or `exit` what becomes of them"
        yield Problem(campaign.path, now.line if now else None, f"{what}; expected it as it was, {choice}: {todo}")


def _gone_messages(
    campaign: Campaign, version: str, resting: Mapping[str, int], before: tuple[Step, ...]
) -> Iterable[Problem]:
    """Yield the messages that people of a version may still get, in the order of its steps, but have no file."""
    ahead: dict[str, int] = {}
    come = 0
    for step in before:
        come += resting.get(step.id, 0)
        if come and isinstance(step, Send | Notify | Webhook):
            # The last step that sends it is the one that most people have before them.
            ahead[step.message] = come
    for name in sorted(set(ahead) - set(campaign.files)):
        what = f"{_people(ahead[name])} on version {version} may still get the message `{name}`"
        expected = "expected its file: put it back, or end their pass with `on_edit: exit`"
        yield Problem(campaign.path, None, f"{what}, whose file is gone; {expected}")


def _people(count: int) -> str:
    return "1 person" if count == 1 else f"{count} people"
