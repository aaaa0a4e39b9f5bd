"""What can happen to a person on the way? The kinds of step, and each as the facts of a definition and back.

A condition is a mapping in the shape that docs/engine.md gives it; it is checked before it gets here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar

Condition = Mapping[str, Any]


@dataclass(frozen=True)
class Send:
    """Send the message named `message`. `id` enters the intent's key: renaming it makes another step of it."""

    id: str
    message: str
    line: int
    kind: ClassVar[str] = "send"


@dataclass(frozen=True)
class Wait:
    """Rest for `duration` (more than zero), measured from arrival at this step."""

    id: str
    duration: timedelta
    line: int
    kind: ClassVar[str] = "wait"


@dataclass(frozen=True)
class WaitUntil:
    """Rest until the condition is true (then `then`) or `timeout` after arrival is over (then `otherwise`)."""

    id: str
    condition: Condition
    timeout: timedelta
    then: tuple[Step, ...]
    otherwise: tuple[Step, ...]
    line: int
    kind: ClassVar[str] = "wait_until"


@dataclass(frozen=True)
class If:
    """Go on with `then` or `otherwise`, as the condition is on arrival."""

    id: str
    condition: Condition
    then: tuple[Step, ...]
    otherwise: tuple[Step, ...]
    line: int
    kind: ClassVar[str] = "if"


@dataclass(frozen=True)
class Arm:
    """One way through a split; its share is its weight over the sum of all weights."""

    name: str
    weight: int
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Split:
    """Go on with one of the arms, by a hash of the person and `id`: renaming it deals everybody anew."""

    id: str
    arms: tuple[Arm, ...]
    line: int
    kind: ClassVar[str] = "split"


@dataclass(frozen=True)
class Webhook:
    """Call what the message file named `message` says, and rest until its answer is known."""

    id: str
    message: str
    line: int
    kind: ClassVar[str] = "webhook"


@dataclass(frozen=True)
class Notify:
    """Send the message named `message` to staff."""

    id: str
    message: str
    line: int
    kind: ClassVar[str] = "notify"


@dataclass(frozen=True)
class Update:
    """Set attributes that tailrace owns. Values are JSON scalars."""

    id: str
    values: Mapping[str, Any]
    line: int
    kind: ClassVar[str] = "update"


@dataclass(frozen=True)
class AddTo:
    """Put the person into a manual segment."""

    id: str
    segment: str
    line: int
    kind: ClassVar[str] = "add_to"


@dataclass(frozen=True)
class RemoveFrom:
    """Take the person out of a manual segment."""

    id: str
    segment: str
    line: int
    kind: ClassVar[str] = "remove_from"


@dataclass(frozen=True)
class Exit:
    """The pass ends here."""

    id: str
    line: int
    kind: ClassVar[str] = "exit"


Step = Send | Wait | WaitUntil | If | Split | Webhook | Notify | Update | AddTo | RemoveFrom | Exit


def branches(step: Step) -> Iterator[tuple[str, tuple[Step, ...]]]:
    """Yield what may follow inside the step, by the branch's name: `then` and `else`, or the arms."""
    if isinstance(step, If | WaitUntil):
        yield "then", step.then
        yield "else", step.otherwise
    elif isinstance(step, Split):
        for arm in step.arms:
            yield arm.name, arm.steps


def every_step(steps: Sequence[Step]) -> Iterator[Step]:
    """Yield all steps, also those in branches, in the order in which they are written."""
    for step in steps:
        yield step
        for _, inner in branches(step):
            yield from every_step(inner)


def step_facts(steps: Sequence[Step]) -> list[dict[str, Any]]:
    """Return the steps as a definition has them."""
    return [{"id": step.id, **_facts(step)} for step in steps]


def _facts(step: Step) -> dict[str, Any]:  # noqa: PLR0911 (one return for each kind of step)
    if isinstance(step, Send | Webhook | Notify):
        return {step.kind: step.message}
    if isinstance(step, AddTo | RemoveFrom):
        return {step.kind: step.segment}
    if isinstance(step, Wait):
        return {"wait": seconds(step.duration)}
    if isinstance(step, If):
        return {"if": step.condition, "then": step_facts(step.then), "else": step_facts(step.otherwise)}
    if isinstance(step, WaitUntil):
        return {
            "wait_until": step.condition,
            "timeout": seconds(step.timeout),
            "then": step_facts(step.then),
            "else": step_facts(step.otherwise),
        }
    if isinstance(step, Split):
        arms = [{"name": arm.name, "weight": arm.weight, "steps": step_facts(arm.steps)} for arm in step.arms]
        return {"split": arms}
    if isinstance(step, Update):
        return {"update": dict(step.values)}
    return {"exit": True}


def steps_from(facts: Sequence[Mapping[str, Any]]) -> tuple[Step, ...]:
    """Return the steps that these facts of a definition mean. Their lines are 0."""
    return tuple(_step_from(step) for step in facts)


def _step_from(step: Mapping[str, Any]) -> Step:  # noqa: PLR0911 (one return for each kind of step)
    own = step["id"]
    for kind in (Send, Webhook, Notify):
        if kind.kind in step:
            return kind(own, step[kind.kind], 0)
    for act in (AddTo, RemoveFrom):
        if act.kind in step:
            return act(own, step[act.kind], 0)
    if "wait_until" in step:
        timeout = timedelta(seconds=step["timeout"])
        return WaitUntil(own, step["wait_until"], timeout, steps_from(step["then"]), steps_from(step["else"]), 0)
    if "if" in step:
        return If(own, step["if"], steps_from(step["then"]), steps_from(step["else"]), 0)
    if "split" in step:
        return Split(own, tuple(Arm(arm["name"], arm["weight"], steps_from(arm["steps"])) for arm in step["split"]), 0)
    if "update" in step:
        return Update(own, step["update"], 0)
    if "wait" in step:
        return Wait(own, timedelta(seconds=step["wait"]), 0)
    return Exit(own, 0)


def seconds(duration: timedelta) -> int:
    """Return the duration in whole seconds."""
    return duration.days * 86_400 + duration.seconds


def in_words(step: Step) -> str:
    """Return what the step does, in a few words; of a wait, not how long."""
    words = step.kind.replace("_", " ")
    if isinstance(step, Send | Webhook | Notify):
        return f"{words} {step.message}"
    if isinstance(step, AddTo | RemoveFrom):
        return f"{words} {step.segment}"
    if isinstance(step, Update):
        return f"{words} {', '.join(sorted(step.values))}"
    if isinstance(step, Split):
        return f"{words} {' / '.join(arm.name for arm in step.arms)}"
    return words
