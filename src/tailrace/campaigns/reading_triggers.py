"""How is a trigger read? Exactly one kind, with the keys that go with it."""

from __future__ import annotations

from collections.abc import Callable

from tailrace import engine
from tailrace.campaigns import amounts, words
from tailrace.campaigns.conditions import compile_where
from tailrace.campaigns.definition import Reference
from tailrace.campaigns.document import Node, Table
from tailrace.campaigns.reading_conditions import event_name, property_name, read_where, segment_name, the_kind
from tailrace.campaigns.triggers import (
    FORM_EVENT,
    AttributeTrigger,
    BroadcastTrigger,
    Change,
    DateTrigger,
    EventTrigger,
    ObjectTrigger,
    SegmentTrigger,
    Trigger,
)


def read_trigger(node: Node, references: list[Reference]) -> Trigger | None:
    """Return the trigger, or None having reported what is wrong with it."""
    keys = dict.fromkeys(key for kind, more in words.TRIGGERS.items() for key in (kind, *more))
    table = node.table(keys)
    kind = the_kind(table, words.TRIGGERS, before=("object",)) if table else None
    if table is None or kind is None:
        return None
    readers: dict[str, Callable[[Table, list[Reference]], Trigger | None]] = {
        "segment": _segment,
        "event": _event,
        "form": _form,
        "attribute": _attribute,
        "date": _date,
        "broadcast": _broadcast,
        "object": _object,
    }
    return readers[kind](table, references)


def _segment(table: Table, references: list[Reference]) -> Trigger | None:
    name, moment = segment_name(table.nodes["segment"], references), _change(table)
    return SegmentTrigger(name, moment) if name and moment else None


def _change(table: Table) -> Change | None:
    node = table.get("on")
    word = node.choice(words.CHOICES["on"]) if node else "entered"
    return None if word is None else "left" if word == "left" else "entered"


def _event(table: Table, references: list[Reference]) -> Trigger | None:
    name = event_name(table.nodes["event"], references)
    late, where = table.get("late"), read_where(table.get("where"))
    limit = late.duration() if late else None
    occurrence = _property(table.get("occurrence"))
    if name is None:
        return None
    return EventTrigger(name, where[0] if where else None, where[1].sql if where else None, limit, occurrence)


def _form(table: Table, references: list[Reference]) -> Trigger | None:
    form = table.nodes["form"].text("the name of a form, such as `newsletter`")
    late, where = table.get("late"), read_where(table.get("where"))
    limit = late.duration() if late else None
    occurrence = _property(table.get("occurrence"))
    if form is None:
        return None
    references.append(Reference("event", FORM_EVENT, table.nodes["form"].line))
    asked = compile_where(f"form = {engine.literal(form)}").sql
    sql = f"({asked} and {where[1].sql})" if where else asked
    return EventTrigger(FORM_EVENT, where[0] if where else None, sql, limit, occurrence, form)


def _property(node: Node | None) -> str | None:
    return property_name(node) if node else None


def _attribute(table: Table, references: list[Reference]) -> Trigger | None:
    node = table.nodes["attribute"]
    name = _column(node, references)
    before, after = (_value(table.get(key)) for key in ("from", "to"))
    if before is not None and before == after:
        table.nodes["to"].wrong(f"`from` and `to` are both `{after}`; expected two values: nothing changes otherwise")
        return None
    return AttributeTrigger(name, before, after) if name else None


def _column(node: Node, references: list[Reference]) -> str | None:
    name = node.text("a column of the person, such as `plan`")
    if name is not None:
        references.append(Reference("column", name, node.line))
    return name


def _value(node: Node | None) -> str | None:
    if node is None:
        return None
    value = node.plain()
    if value is None:
        node.wrong(f"`{node.name}` is {node.kind()}; expected a value: leave it out for any")
        return None
    return node.scalar()


def _date(table: Table, references: list[Reference]) -> Trigger | None:
    name = _column(table.nodes["date"], references)
    offset, at, every = table.get("offset"), table.get("at"), table.get("every")
    days = offset.convert(amounts.offset) if offset else 0
    minutes = at.convert(amounts.minutes) if at else DateTrigger.at
    word = every.choice(words.CHOICES["every"]) if every else "once"
    if at is not None and minutes == 1440:
        at.wrong("`at` is `24:00`; expected a time of the day before it, such as `00:00`, and another `offset`")
        return None
    if name is None or days is None or minutes is None or word is None:
        return None
    return DateTrigger(name, days, minutes, "year" if word == "year" else "month" if word == "month" else "once")


def _broadcast(table: Table, references: list[Reference]) -> Trigger | None:
    node = table.nodes["broadcast"]
    if node.scalar() is not None:
        word = node.choice((words.BY_COMMAND,))
        return BroadcastTrigger() if word else None
    own = node.table(words.BROADCAST)
    if own is None:
        return None
    segment, at = own.need("segment", "`segment: seg_…`"), own.need("at", "a moment such as `2026-12-01T09:00Z`")
    name = segment_name(segment, references) if segment else None
    moment = at.convert(amounts.moment) if at else None
    return BroadcastTrigger(name, moment) if name and moment else None


def _object(table: Table, references: list[Reference]) -> Trigger | None:
    name = table.nodes["object"].text("a type of object, such as `account`")
    if name:
        references.append(Reference("object", name, table.nodes["object"].line))
    kind = _of_object(table)
    if kind is None:
        return None
    if kind == "segment":
        segment, moment = _object_segment(table.nodes["segment"], references), _change(table)
        return ObjectTrigger(name, segment=segment, on=moment) if name and segment and moment else None
    event = event_name(table.nodes["event"], references)
    late, where = table.get("late"), read_where(table.get("where"))
    limit = late.duration() if late else None
    if name is None or event is None:
        return None
    return ObjectTrigger(name, event, where[0] if where else None, where[1].sql if where else None, limit)


def _of_object(table: Table) -> str | None:
    found = [kind for kind in words.OBJECT_TRIGGERS if kind in table.nodes]
    if len(found) != 1:
        table.node.wrong("`object` needs exactly one of `event` and `segment` beside it: what starts its people?")
        return None
    for name, other in table.nodes.items():
        if name not in ("object", found[0], *words.OBJECT_TRIGGERS[found[0]]):
            other.wrong(f"`{name}` does not go with `{found[0]}`; remove it")
    return found[0]


def _object_segment(node: Node, references: list[Reference]) -> str | None:
    own: list[Reference] = []
    name = segment_name(node, own)
    references += [Reference("object_segment", reference.name, reference.line) for reference in own]
    return name
