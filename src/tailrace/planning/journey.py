"""Who moves on, and who arrives at a message? One campaign version compiles to one set-based statement.

The statement is a chain of common table expressions in step order. It reads

- `flight`: the version's active enrollments (enrollment_id, person_id, step, arrived_at);
- `entering`: people who enter in this plan (enrollment_id, person_id, due_at);
- the parameter `$as_of`

and returns one row per move and one per message candidate: enrollment_id, person_id, position (the step's place, a
move before its candidate), kind (`move`, `candidate`), from_step, to_step, why, message, due_at, arrived_at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tailrace.engine import literal
from tailrace.planning.verdict import Why


def compile_version(steps: Sequence[Mapping[str, Any]]) -> str:
    """Return the statement for these steps: `{"id", "send": message}` or `{"id", "wait": seconds}`, in order.

    Each CTE `arrived_n` is who comes to step n in this run, `passed_n` who goes on from it. A message is passed in
    the run in which it is reached; a wait never is, because its clock starts at the run that reached it.
    """
    ctes = [_arrivals(0, "entering", literal(Why.ENTERED), "null::varchar")]
    results = []
    for number, step in enumerate(steps):
        here = literal(step["id"])
        if number:
            why = Why.SENT if "send" in steps[number - 1] else Why.WAITED
            ctes.append(_arrivals(number, f"passed_{number - 1}", literal(why), literal(steps[number - 1]["id"])))
        ctes.append(_passing_message(number, here) if "send" in step else _passing_wait(number, here, step["wait"]))
        results.append(_moves(number, f"arrived_{number}", here))
        if "send" in step:
            results.append(_candidates(number, here, literal(step["send"])))
    last = len(steps)
    ctes.append(_arrivals(last, f"passed_{last - 1}", literal(Why.COMPLETED), literal(steps[-1]["id"])))
    results.append(_moves(last, f"arrived_{last}", "null::varchar"))
    return "with " + ",\n\n".join(ctes) + "\n\n" + "\nunion all\n".join(results)


def _arrivals(number: int, source: str, why: str, from_step: str) -> str:
    return (
        f"arrived_{number} as (\n    select enrollment_id, person_id, {from_step} as from_step, due_at, {why} as why\n"
        f"    from {source}\n)"
    )


def _passing_message(number: int, step: str) -> str:
    return (
        f"passed_{number} as (\n    select enrollment_id, person_id, due_at from arrived_{number}\n    union all\n"
        f"    select enrollment_id, person_id, arrived_at as due_at from flight where step = {step}\n)"
    )


def _passing_wait(number: int, step: str, seconds: int) -> str:
    due = f"arrived_at + to_seconds({int(seconds)})"
    return (
        f"passed_{number} as (\n    select enrollment_id, person_id, {due} as due_at from flight\n"
        f"    where step = {step} and {due} <= $as_of\n)"
    )


def _moves(number: int, source: str, step: str) -> str:
    return (
        f"select enrollment_id, person_id, {number} as position, 'move' as kind, from_step, {step} as to_step, why,"
        f" null::varchar as message, due_at, $as_of::timestamp as arrived_at from {source}"
    )


def _candidates(number: int, step: str, message: str) -> str:
    return (
        f"select enrollment_id, person_id, {number} as position, 'candidate' as kind, null::varchar as from_step,"
        f" {step} as to_step, null::varchar as why, {message} as message, due_at, $as_of::timestamp as arrived_at"
        f" from passed_{number}"
    )
