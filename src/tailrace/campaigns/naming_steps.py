"""By which id is a step known? By its own `id:`, else by what it does or leads to: never by its place or its length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

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
    every_step,
)
from tailrace.errors import Problem

THE_END = "the_end"


def identified(steps: Sequence[Step], path: str, problems: list[Problem]) -> tuple[Step, ...]:
    """Return the steps with their ids; two that have the same one are a problem.

    What names a message is known by it; `add_to`, `remove_from` and `update` by what they change; `wait`, `if` and
    `wait_until` by the step they lead to, and `exit` by the branch in which it stands. So an edit elsewhere renames
    nothing.
    """
    named = _named(steps, THE_END, "")
    seen: dict[str, int] = {}
    for step in every_step(named):
        if step.id in seen:
            what = f"the step on line {seen[step.id]} has the id `{step.id}` too"
            expected = "expected each id once: give this one an `id:` of its own, or join the two"
            problems.append(Problem(path, step.line, f"{what}; {expected}"))
        seen.setdefault(step.id, step.line)
    return named


def _named(steps: Sequence[Step], following: str, branch: str) -> tuple[Step, ...]:
    done: list[Step] = []
    for step in reversed(steps):
        own = _exit_id(branch) if isinstance(step, Exit) else _own_id(step, following)
        done.append(_with_branches(replace(step, id=own), following))
        if not isinstance(step, Wait):
            following = own
    return tuple(reversed(done))


def _with_branches(step: Step, following: str) -> Step:
    if isinstance(step, If | WaitUntil):
        then, otherwise = (_named(inner, following, f"{step.id}_{name}") for name, inner in branches(step))
        return replace(step, then=then, otherwise=otherwise)
    if isinstance(step, Split):
        arms = [Arm(arm.name, arm.weight, _named(arm.steps, following, f"{step.id}_{arm.name}")) for arm in step.arms]
        return replace(step, arms=tuple(arms))
    return step


def _exit_id(branch: str) -> str:
    return f"exit_from_{branch}" if branch else "exit"


def _own_id(step: Step, following: str) -> str:
    if step.id:
        return step.id
    if isinstance(step, Send | Webhook | Notify):
        return step.message
    if isinstance(step, AddTo | RemoveFrom):
        return f"{step.kind}_{step.segment}"
    if isinstance(step, Update):
        return "update_" + "_and_".join(sorted(step.values))
    return f"{step.kind}_before_{_leads_to(step) or following}"


def _leads_to(step: Step) -> str | None:
    """Return the id of the first thing that happens in a branch of the step, if anything does."""
    for _, inner in branches(step):
        for each in inner:
            if not isinstance(each, Wait | Exit):
                found = each.id or (_own_id(each, "") if not list(branches(each)) else _leads_to(each))
                if found:
                    return found
    return None
