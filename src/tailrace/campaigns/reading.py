"""How does a campaign.yml become a Campaign? Key by key, reporting everything that is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from tailrace.campaigns import amounts
from tailrace.campaigns.conditions import ConditionError, compile_where
from tailrace.campaigns.definition import Campaign, EventTrigger, Goal, Message, Repeat, SegmentTrigger, Send, Wait
from tailrace.campaigns.document import Node, Table, document
from tailrace.campaigns.steps import Step
from tailrace.errors import Problem, nearest

KEYS = (
    *("purpose", "owner", "status", "class", "topic", "priority", "trigger", "existing", "repeat", "goal"),
    *("holdout", "sending", "expires", "steps"),
)
LATER = ("window", "exit", "on_edit", "limits", "sensitivity")
TRIGGER_LATER = ("attribute", "date", "form", "broadcast", "object", "occurrence", "from", "to", "offset", "at")
STEP_LATER = ("if", "then", "else", "wait_until", "split", "webhook", "notify", "update", "exit", "in", "timeout")
STATUSES = ("draft", "live", "paused", "ended")
CLASSES = ("marketing", "transactional")
REPEAT_LATER = ("after_exit", "each_occurrence")
DEFAULT_EXPIRES = timedelta(hours=48)
MOST_STEPS = 100
NAME = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)


@dataclass(frozen=True)
class Found:
    """The messages of a campaign's folder: those that are right, and the names of all that are there."""

    messages: dict[str, Message]
    names: frozenset[str]


def read_campaign(path: str, slug: str, text: str, found: Found, problems: list[Problem]) -> Campaign | None:
    """Return the campaign that `text` defines, or None having added to `problems`."""
    before = len(problems)
    root = document(path, text, problems)
    table = root.table(KEYS, LATER) if root else None
    if table is None:
        return None
    facts: dict[str, Any] = {
        "purpose": _text(table, "purpose", "one sentence: what is this for?"),
        "owner": _text(table, "owner", "who answers for it, such as `growth@example.com`"),
        "status": _choice(table, "status", STATUSES) or "draft",
        "klass": _choice(table, "class", CLASSES, needed=True),
        "sending": _choice(table, "sending", ("draft", "automatic")) or "draft",
        "repeat": _repeat(table),
        "goal": _goal(table.get("goal")),
    }
    facts["topic"] = _topic(table, facts["klass"])
    priority, holdout, expires = table.get("priority"), table.get("holdout"), table.get("expires")
    facts["priority"] = priority.whole(0, 100) if priority else 50
    facts["holdout_bp"] = holdout.convert(amounts.basis_points) if holdout else 0
    facts["expires"] = expires.duration() if expires else DEFAULT_EXPIRES
    trigger = table.need("trigger", "`segment: seg_…` or `event: …`")
    facts["trigger"] = _trigger(trigger) if trigger else None
    facts["existing"] = _existing(table, facts["trigger"])
    steps = table.need("steps", "a list such as `- send: welcome`")
    facts["steps"] = _steps(steps, found) if steps else ()
    if len(problems) > before:
        return None
    used = {step.message for step in facts["steps"] if isinstance(step, Send)}
    return Campaign(
        slug=slug,
        path=path,
        messages={name: message for name, message in found.messages.items() if name in used},
        trigger_line=trigger.line if trigger else 1,
        **facts,
    )


def _text(table: Table, name: str, expected: str) -> str | None:
    node = table.need(name, expected)
    return node.text(expected) if node else None


def _choice(table: Table, name: str, options: Collection[str], *, needed: bool = False) -> str | None:
    node = table.need(name, " or ".join(f"`{option}`" for option in options)) if needed else table.get(name)
    return node.choice(options) if node else None


def _repeat(table: Table) -> Repeat:
    node = table.get("repeat")
    if node is not None:
        written = node.scalar() or ""
        node.choice(("never",), later=(*REPEAT_LATER, written) if written.startswith("every ") else REPEAT_LATER)
    return Repeat()


def _topic(table: Table, klass: str | None) -> str | None:
    node = table.get("topic")
    if node is None:
        if klass == "marketing":
            table.need("topic", "what people can unsubscribe from, such as `product_tips`; marketing needs it")
        return None
    return _name(node)


def _name(node: Node) -> str | None:
    value = node.text("a name such as `product_tips`")
    if value is not None and not NAME.fullmatch(value):
        node.wrong(f"`{node.name}: {value}` is not a name; expected small letters, digits and `_`, a letter first")
        return None
    return value


def _existing(table: Table, trigger: SegmentTrigger | EventTrigger | None) -> str:
    node = table.get("existing")
    if node is None:
        return "skip"
    if isinstance(trigger, EventTrigger) or (isinstance(trigger, SegmentTrigger) and trigger.on == "left"):
        node.wrong("`existing` is about people already in a segment; remove it from this kind of trigger")
    return node.choice(("skip", "enroll")) or "skip"


def _goal(node: Node | None) -> Goal | None:
    table = node.table(("event", "within", "exit")) if node else None
    if table is None:
        return None
    event = _text(table, "event", "the name of an event")
    within = table.need("within", "a duration such as `14d`")
    leaves = table.get("exit")
    length = within.duration() if within else None
    is_exit = leaves.flag() if leaves else True
    return Goal(event, length, bool(is_exit)) if event and length else None


def _trigger(node: Node) -> SegmentTrigger | EventTrigger | None:
    table = node.table(("segment", "on", "event", "where", "late"), TRIGGER_LATER)
    if table is None:
        return None
    segment, event = table.get("segment"), table.get("event")
    if (segment is None) == (event is None):
        node.wrong("`trigger` needs exactly one of `segment: seg_…` and `event: …`")
        return None
    allowed = ("segment", "on") if segment else ("event", "where", "late")
    for name, other in table.nodes.items():
        if name not in allowed:
            other.wrong(f"`{name}` does not go with `{allowed[0]}`; remove it")
    if segment is not None:
        return _segment_trigger(segment, table.get("on"))
    return _event_trigger(table, event) if event else None


def _segment_trigger(segment: Node, on: Node | None) -> SegmentTrigger | None:
    name = segment.text("the name of a segment, such as `seg_trial_ending`")
    if name is not None and not name.startswith("seg_"):
        segment.wrong(f"`segment: {name}` is not a segment; expected a model in `models/segments/`, named `seg_…`")
    moment = on.choice(("entered", "left")) if on else "entered"
    return SegmentTrigger(name, "left" if moment == "left" else "entered") if name and moment else None


def _event_trigger(table: Table, event: Node) -> EventTrigger | None:
    name = event.text("the name of an event, such as `signed_up`")
    late, where = table.get("late"), table.get("where")
    limit = late.duration() if late else None
    written = where.text("a condition such as `plan = 'pro'`") if where else None
    sql = None
    if where is not None and written is not None:
        try:
            sql = compile_where(written).sql
        except ConditionError as error:
            line = where.text_line + error.line - 1
            where.problems.append(Problem(where.path, line, f"`where`: {error}"))
    return EventTrigger(name, written, sql, limit) if name else None


def _steps(node: Node, found: Found) -> tuple[Step, ...]:
    rows = node.rows() or []
    if len(rows) > MOST_STEPS:
        node.wrong(f"`steps` has {len(rows)} steps; expected at most {MOST_STEPS}")
        return ()
    read = [_step(row, found) for row in rows]
    if rows and all(isinstance(step, Wait | None) for step, _ in read) and not any(step is None for step, _ in read):
        node.wrong("`steps` sends nothing; expected at least one `- send: …`")
    return _identified([(step, row) for (step, row) in read if step is not None])


def _step(row: Node, found: Found) -> tuple[Step | None, Node]:
    row.name = "a step"
    word = row.scalar()
    if word in STEP_LATER:
        row.wrong(f"`{word}` is not supported yet; remove it for now")
        return None, row
    table = row.table(("send", "wait", "id"), STEP_LATER)
    if table is None:
        return None, row
    send, wait, own = table.get("send"), table.get("wait"), table.get("id")
    step_id = _name(own) if own else ""
    if (send is None) == (wait is None):
        if not set(table.written) & set(STEP_LATER):
            row.wrong("a step needs exactly one of `send` and `wait`")
        return None, row
    if send is not None:
        return _send(send, step_id or "", row, found), row
    duration = wait.duration() if wait else None
    return (Wait(step_id or "", duration, row.line) if duration else None), row


def _send(send: Node, step_id: str, row: Node, found: Found) -> Send | None:
    message = send.text("the name of a message file, such as `welcome` for `welcome.email.md`")
    if message is None:
        return None
    if message not in found.names:
        hint = nearest(message, found.names)
        send.wrong(f"there is no message `{message}` in this folder; expected a file `{message}.email.md`.{hint}")
        return None
    return Send(step_id, message, row.line)


def _identified(steps: list[tuple[Step, Node]]) -> tuple[Step, ...]:
    """Return the steps with their ids: a send is its message, a wait is `wait_before_<next send>`.

    A wait's id says what it leads to, neither its place nor its length, so that an edit elsewhere renames nothing.
    """
    done: list[Step] = []
    following = "the_end"
    for step, _ in reversed(steps):
        if isinstance(step, Send):
            done.append(Send(step.id or step.message, step.message, step.line))
            following = done[-1].id
        else:
            done.append(Wait(step.id or f"wait_before_{following}", step.duration, step.line))
    done.reverse()
    seen: dict[str, int] = {}
    for named, (_, row) in zip(done, steps, strict=True):
        if named.id in seen:
            what = f"the step on line {seen[named.id]} has the id `{named.id}` too"
            row.wrong(f"{what}; expected each id once: give this one an `id:` of its own, or join the two")
        seen.setdefault(named.id, named.line)
    return tuple(done)
