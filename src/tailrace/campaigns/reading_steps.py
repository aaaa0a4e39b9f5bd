"""How are steps read? Kind by kind, branches within branches; their ids are given in `naming_steps`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tailrace.campaigns import words
from tailrace.campaigns.definition import MessageFile, Reference
from tailrace.campaigns.document import Node, Table, free_table
from tailrace.campaigns.reading_conditions import Place, read_condition, segment_name, the_kind
from tailrace.campaigns.steps import (
    AddTo,
    Arm,
    Exit,
    If,
    Notify,
    RemoveFrom,
    Send,
    Split,
    Step,
    Update,
    Wait,
    WaitUntil,
    Webhook,
    branches,
)
from tailrace.campaigns.triggers import Trigger
from tailrace.errors import nearest


class StepReader:
    """Reads the steps of one campaign. `answered` are the webhook steps that may have answered where it reads."""

    def __init__(self, files: Mapping[str, MessageFile], references: list[Reference], trigger: Trigger | None) -> None:
        self.files, self.references, self.trigger = files, references, trigger
        self.answered: set[str] = set()
        self.n_steps = 0

    def read(self, node: Node, depth: int = 0) -> tuple[Step, ...]:
        """Return the steps of the list that are right, without ids but those written, having reported what is wrong."""
        if depth > words.DEEPEST:
            node.wrong(f"steps are nested too deeply; expected at most {words.DEEPEST} levels of branches")
            return ()
        steps: list[Step] = []
        is_over = False
        for row in node.rows() or []:
            row.name = "a step"
            self.n_steps += 1
            if self.n_steps == words.MOST_STEPS + 1:
                row.wrong(f"this campaign has too many steps; expected at most {words.MOST_STEPS}")
            if self.n_steps > words.MOST_STEPS:
                return tuple(steps)
            step = self._step(row, depth)
            if is_over:
                row.wrong("this step is never reached: everybody has left before it; remove it, or the `exit`")
            if step is not None:
                steps.append(step)
                is_over = False if is_over else _is_end(step)
        return tuple(steps)

    def _step(self, row: Node, depth: int) -> Step | None:
        if row.scalar() == words.EXIT:
            return Exit("", row.line)
        if row.scalar() is not None:
            row.wrong(f"a step is {row.kind()}; expected `exit`, or a mapping such as `send: welcome`")
            return None
        keys = dict.fromkeys(key for kind, more in words.STEPS.items() for key in (kind, *more))
        table = row.table((*keys, "id"))
        kind = the_kind(table, words.STEPS, ("id",)) if table else None
        if table is None or kind is None:
            return None
        own = table.get("id")
        step_id = (read_name(own) or "") if own else ""
        readers: dict[str, Callable[[Table, str, int], Step | None]] = {
            "send": self._send,
            "wait": self._wait,
            "wait_until": self._wait_until,
            "if": self._if,
            "split": self._split,
            "webhook": self._webhook,
            "notify": self._notify,
            "update": self._update,
            "add_to": self._add_to,
            "remove_from": self._remove_from,
        }
        return readers[kind](table, step_id, depth)

    def _send(self, table: Table, step_id: str, _: int) -> Step | None:
        message = self._message(table.nodes["send"], "send")
        return Send(step_id, message, table.node.line) if message else None

    def _notify(self, table: Table, step_id: str, _: int) -> Step | None:
        message = self._message(table.nodes["notify"], "notify")
        return Notify(step_id, message, table.node.line) if message else None

    def _webhook(self, table: Table, step_id: str, _: int) -> Step | None:
        message = self._message(table.nodes["webhook"], "webhook")
        if message is None:
            return None
        self.answered.add(step_id or message)
        return Webhook(step_id, message, table.node.line)

    def _message(self, node: Node, kind: str) -> str | None:
        name = node.text("the name of a message file, such as `welcome` for `welcome.email.md`")
        if name is None:
            return None
        file, channels = self.files.get(name), words.CHANNELS[kind]
        if file is None:
            fitting = [each for each, other in self.files.items() if other.channel in channels]
            expected = f"expected a file `{name}.{words.FILES[kind]}`"
            node.wrong(f"there is no message `{name}` in this folder; {expected}.{nearest(name, fitting)}")
            return None
        if file.channel not in channels:
            listed = " or ".join(f"`.{channel}.`" for channel in channels)
            node.wrong(f"`{kind}` cannot use `{name}`, which is for `{file.channel}`; expected a {listed} file")
            return None
        return name

    def _wait(self, table: Table, step_id: str, _: int) -> Step | None:
        duration = table.nodes["wait"].duration()
        return Wait(step_id, duration, table.node.line) if duration else None

    def _wait_until(self, table: Table, step_id: str, depth: int) -> Step | None:
        node = table.nodes["wait_until"]
        condition = read_condition(node, self._place(), ("timeout",))
        limit = ((free_table(node) if node.scalar() is None else None) or {}).get("timeout")
        timeout = limit.duration() if limit else None
        if limit is None:
            node.wrong("`timeout` is missing; expected how long to wait at most, such as `timeout: 48h`")
        then, otherwise = self._branches(table, depth)
        if condition is None or timeout is None:
            return None
        return WaitUntil(step_id, condition, timeout, then, otherwise, table.node.line)

    def _if(self, table: Table, step_id: str, depth: int) -> Step | None:
        condition = read_condition(table.nodes["if"], self._place())
        then, otherwise = self._branches(table, depth)
        if table.get("then") is None and table.get("else") is None:
            table.node.wrong("`if` has no branches; expected `then:`, `else:` or both, each a list of steps")
            return None
        return None if condition is None else If(step_id, condition, then, otherwise, table.node.line)

    def _branches(self, table: Table, depth: int) -> tuple[tuple[Step, ...], tuple[Step, ...]]:
        """Return the steps of `then` and of `else`. A webhook in one has not answered in the other."""
        before, answered = set(self.answered), set(self.answered)
        read = []
        for name in ("then", "else"):
            node = table.get(name)
            self.answered = set(before)
            read.append(self.read(node, depth + 1) if node else ())
            answered |= self.answered
        self.answered = answered
        return read[0], read[1]

    def _split(self, table: Table, step_id: str, depth: int) -> Step | None:
        node = table.nodes["split"]
        rows = node.rows() or []
        before, answered = set(self.answered), set(self.answered)
        arms: list[Arm] = []
        for row in rows:
            row.name = "an arm"
            self.answered = set(before)
            arm = self._arm(row, depth)
            answered |= self.answered
            if arm is not None and arm.name in {other.name for other in arms}:
                row.wrong(f"two arms are named `{arm.name}`; expected a name for each")
            elif arm is not None:
                arms.append(arm)
        self.answered = answered
        if table.get("id") is None:
            table.node.wrong("`split` has no `id`; expected one such as `id: copy_length`: it is what deals people out")
            return None
        if rows and len(arms) == len(rows):
            if len(arms) == 1:
                node.wrong("`split` has one arm; expected two or more")
            elif not sum(arm.weight for arm in arms):
                node.wrong("all arms of `split` have weight 0; expected one that is more")
        return Split(step_id, tuple(arms), table.node.line) if len(arms) == len(rows) and arms else None

    def _arm(self, row: Node, depth: int) -> Arm | None:
        table = row.table(words.ARM)
        if table is None:
            return None
        name, weight = table.need("name", "a name such as `short`"), table.need("weight", "a number such as `50`")
        steps = table.get("steps")
        called = read_name(name) if name else None
        share = weight.whole(0, words.HEAVIEST) if weight else None
        inner = self.read(steps, depth + 1) if steps else ()
        return Arm(called, share, inner) if called and share is not None else None

    def _update(self, table: Table, step_id: str, _: int) -> Step | None:
        node = table.nodes["update"]
        values: dict[str, Any] = {}
        for name, value in (free_table(node) or {}).items():
            self.references.append(Reference("owned_attribute", name, value.line))
            if value.scalar() is None:
                value.wrong(f"`{name}` is {value.kind()}; expected text, a number, `true`, `false` or `null`")
            values[name] = value.plain() if value.scalar() is not None else None
        if not values:
            node.wrong("`update` sets nothing; expected something like `{onboarding_stage: nudged}`")
            return None
        return Update(step_id, values, table.node.line)

    def _add_to(self, table: Table, step_id: str, _: int) -> Step | None:
        segment = segment_name(table.nodes["add_to"], self.references)
        return AddTo(step_id, segment, table.node.line) if segment else None

    def _remove_from(self, table: Table, step_id: str, _: int) -> Step | None:
        segment = segment_name(table.nodes["remove_from"], self.references)
        return RemoveFrom(step_id, segment, table.node.line) if segment else None

    def _place(self) -> Place:
        return Place(self.references, self.trigger, frozenset(self.answered))


def read_name(node: Node) -> str | None:
    """Return a name in small letters, or None having reported what is wrong with it."""
    value = node.text("a name such as `product_tips`")
    if value is not None and not words.NAME.fullmatch(value):
        node.wrong(f"`{node.name}: {value}` is not a name; expected small letters, digits and `_`, a letter first")
        return None
    return value


def _is_end(step: Step) -> bool:
    """Return whether nobody goes on from the step."""
    inner = [steps for _, steps in branches(step)]
    return isinstance(step, Exit) or (bool(inner) and all(steps and _is_end(steps[-1]) for steps in inner))
