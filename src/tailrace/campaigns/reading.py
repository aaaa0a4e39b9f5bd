"""How does a campaign.yml become a Campaign? Key by key, reporting everything that is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from tailrace.campaigns import amounts, words
from tailrace.campaigns.definition import Campaign, Goal, Message, MessageFile, Reference, Repeat
from tailrace.campaigns.document import Node, Table, document
from tailrace.campaigns.hours import read_hours
from tailrace.campaigns.naming_steps import identified
from tailrace.campaigns.reading_conditions import (
    Place,
    event_name,
    read_condition,
    read_same,
    read_where,
    segment_name,
)
from tailrace.campaigns.reading_steps import StepReader, read_name
from tailrace.campaigns.reading_triggers import read_trigger
from tailrace.campaigns.steps import (
    Condition,
    Exit,
    If,
    Split,
    Step,
    Wait,
    WaitUntil,
    every_step,
)
from tailrace.campaigns.triggers import DateTrigger, EventTrigger, SegmentTrigger, Trigger
from tailrace.errors import Problem

DEFAULT_EXPIRES = timedelta(hours=48)


@dataclass(frozen=True)
class Found:
    """What a campaign's folder has: the messages that are right and can be made, and all message files, by name."""

    messages: Mapping[str, Message]
    files: Mapping[str, MessageFile]


def read_campaign(path: str, slug: str, text: str, found: Found, problems: list[Problem]) -> Campaign | None:
    """Return the campaign that `text` defines, or None having added to `problems`."""
    before = len(problems)
    root = document(path, text, problems)
    table = root.table(words.KEYS, words.LATER) if root else None
    if table is None:
        return None
    references: list[Reference] = []
    facts: dict[str, Any] = {
        "purpose": _text(table, "purpose", "one sentence: what is this for?"),
        "owner": _text(table, "owner", "who answers for it, such as `growth@example.com`"),
        "klass": _choice(table, "class", needed=True),
        **{key: _choice(table, key) for key in ("status", "sending", "on_edit", "on_pause", "on_end", "in_flight")},
    }
    programme = table.get("programme")
    facts["programme"] = read_name(programme) if programme else None
    facts["topic"] = _topic(table, facts["klass"], references)
    priority, holdout, expires = table.get("priority"), table.get("holdout"), table.get("expires")
    facts["priority"] = priority.whole(0, 100) if priority else 50
    facts["holdout_bp"] = holdout.convert(amounts.basis_points) if holdout else 0
    facts["expires"] = expires.duration() if expires else DEFAULT_EXPIRES
    trigger = table.need("trigger", "`segment: seg_…`, `event: …` or another kind")
    facts["trigger"] = read_trigger(trigger, references) if trigger else None
    facts["repeat"] = _repeat(table, facts["trigger"])
    facts["existing"] = _existing(table, facts["trigger"])
    _check_in_flight(table, facts["repeat"], facts["trigger"])
    steps = table.need("steps", "a list such as `- send: welcome`")
    reader = StepReader(found.files, references, facts["trigger"])
    facts["steps"] = _steps(steps, reader, path, problems) if steps else ()
    condition, window = table.get("filter"), table.get("window")
    facts["filter"] = read_condition(condition, Place(references, facts["trigger"], None)) if condition else None
    facts["exits"] = _exits(table.get("exit"), facts["trigger"], Place(references, facts["trigger"], reader.answered))
    facts["goal"] = _goal(table.get("goal"), facts["trigger"], references)
    facts["window"] = read_hours(window) if window else None
    if len(problems) > before:
        return None
    return Campaign(
        slug=slug,
        path=path,
        messages=dict(found.messages),
        files=dict(found.files),
        trigger_line=trigger.line if trigger else 1,
        window_line=window.line if window else 1,
        references=tuple(references),
        is_edit_chosen=table.get("on_edit") is not None,
        **facts,
    )


def _text(table: Table, name: str, expected: str) -> str | None:
    node = table.need(name, expected)
    return node.text(expected) if node else None


def _choice(table: Table, name: str, *, needed: bool = False) -> str | None:
    options = words.CHOICES[name]
    node = table.need(name, " or ".join(f"`{option}`" for option in options)) if needed else table.get(name)
    return node.choice(options) if node else options[0]


def _topic(table: Table, klass: str | None, references: list[Reference]) -> str | None:
    node = table.get("topic")
    if node is None:
        if klass == "marketing":
            table.need("topic", "what people can unsubscribe from, such as `product_tips`; marketing needs it")
        return None
    name = read_name(node)
    if name is not None:
        references.append(Reference("topic", name, node.line))
    return name


def _repeat(table: Table, trigger: Trigger | None) -> Repeat | None:
    node = table.get("repeat")
    repeat = _read_repeat(node) if node else Repeat()
    if repeat is None or trigger is None:
        return repeat
    trigger_node = table.nodes["trigger"]
    if isinstance(trigger, EventTrigger) and trigger.occurrence and repeat.kind != "each_occurrence":
        trigger_node.wrong(
            "`occurrence` tells one pass from another; expected `repeat: each_occurrence` with it, or no `occurrence`"
        )
    if isinstance(trigger, DateTrigger) and trigger.every != "once" and repeat.kind == "never":
        trigger_node.wrong(
            f"`every: {trigger.every}` comes again, but `repeat: never` lets a person in once; expected"
            " `repeat: each_occurrence`, or `every: once`"
        )
    return repeat


def _read_repeat(node: Node) -> Repeat | None:
    written = node.scalar() or ""
    if written.startswith("every "):
        every = node.convert(lambda text: amounts.duration(text.removeprefix("every ")))
        return None if every is None else Repeat("every", every)
    word = node.choice((*words.REPEATS, "every 30d"))
    kinds: dict[str, Repeat] = {
        "never": Repeat("never"),
        "after_exit": Repeat("after_exit"),
        "each_occurrence": Repeat("each_occurrence"),
    }
    return kinds.get(word or "")


def _existing(table: Table, trigger: Trigger | None) -> str:
    node = table.get("existing")
    if node is None:
        return "skip"
    if trigger is not None and not (isinstance(trigger, SegmentTrigger) and trigger.on == "entered"):
        node.wrong("`existing` is about people already in a segment; remove it from this kind of trigger")
    return node.choice(words.CHOICES["existing"]) or "skip"


def _check_in_flight(table: Table, repeat: Repeat | None, trigger: Trigger | None) -> None:
    node = table.get("in_flight")
    if node is None or node.scalar() != "restart":
        return
    if repeat is not None and repeat.kind != "after_exit":
        node.wrong(
            "`in_flight: restart` is for who may enter again; expected `repeat: after_exit` with it, or remove it"
        )
    if trigger is not None and not isinstance(trigger, EventTrigger):
        node.wrong("`in_flight: restart` needs an `event` or `form` trigger; remove it from this kind of trigger")


def _exits(node: Node | None, trigger: Trigger | None, place: Place) -> tuple[Condition | str, ...]:
    found: list[Condition | str] = []
    for row in (node.rows() or []) if node else []:
        row.name = "a condition of `exit`"
        if row.scalar() is None:
            condition = read_condition(row, place)
            found += [] if condition is None else [condition]
        elif row.choice((words.LEFT_TRIGGER,)):
            if trigger is not None and not isinstance(trigger, SegmentTrigger):
                row.wrong("`left_trigger` needs a `segment` trigger: nobody leaves this one; remove it")
            found.append(words.LEFT_TRIGGER)
    return tuple(found)


def _goal(node: Node | None, trigger: Trigger | None, references: list[Reference]) -> Goal | None:
    table = node.table(words.GOAL) if node else None
    if node is None or table is None:
        return None
    event, segment = table.get("event"), table.get("segment")
    if (event is None) == (segment is None) and (event is not None or table.written <= set(words.GOAL)):
        node.wrong("`goal` needs exactly one of `event` and `segment`")
    name = event_name(event, references) if event else None
    entered = segment_name(segment, references) if segment else None
    for key in ("where", "same"):
        if segment is not None and key in table.nodes:
            table.nodes[key].wrong(f"`{key}` does not go with `segment`; remove it")
    where = read_where(table.get("where"))
    same = [] if segment is not None else read_same(table.get("same"), trigger)
    within = table.need("within", "a duration such as `14d`")
    leaves = table.get("exit")
    length = within.duration() if within else None
    is_exit = leaves.flag() if leaves else True
    if length is None or same is None or not (name or entered):
        return None
    written, sql = (where[0], where[1].sql) if where else (None, None)
    return Goal(name, length, bool(is_exit), entered, written, sql, tuple(same))


def _steps(node: Node, reader: StepReader, path: str, problems: list[Problem]) -> tuple[Step, ...]:
    before = len(problems)
    steps = reader.read(node)
    if len(problems) > before:
        return ()
    if all(isinstance(step, Wait | WaitUntil | If | Split | Exit) for step in every_step(steps)):
        node.wrong("`steps` does nothing; expected at least one `- send: …` or another act")
    return identified(steps, path, problems)
