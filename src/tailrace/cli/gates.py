"""How is shown why a person got a message, or none?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tailrace.cli import output
from tailrace.cli.funnels import words
from tailrace.planning.reasoning import Reasons
from tailrace.planning.weighing import Weighed

_WORDS = {True: "yes", False: "no", None: "?"}


def show(found: Reasons) -> None:
    """Print every gate with the value seen and whether it is open, the first that was shut, and what would open it."""
    output.say(f"person {found.person_id}, campaign {found.campaign}")
    output.say(f"plan {found.plan_id}  as of {output.cell(found.as_of)} UTC")
    output.say(_decision(found))
    for row in found.also:
        said = f", {words(row.reason)}" if row.reason else ""
        output.say(f"also      {row.verdict} {row.step}{said}  (entered {output.cell(row.entered_at)})")
    output.title("Gates")
    output.table(["gate", "open", "seen"], list(_rows(found)), empty="None.")
    if found.shut is not None:
        output.say("")
        output.say(f"first shut       {found.shut}")
        output.say(f"smallest change  {found.change or 'not known any more'}")


def _decision(found: Reasons) -> str:
    if found.verdict is None:
        return f"decided   nothing; the next message is {found.step}" if found.step else "decided   nothing"
    return f"decided   {found.verdict} {found.step}" if found.step else "decided   does not enter"


def _rows(found: Reasons) -> Iterator[list[Any]]:
    for gate in found.gates:
        yield [gate.name, _WORDS[gate.holds], gate.seen]
        if len(gate.parts) > 1:
            for part in gate.parts:
                yield from _part(part, 1)


def _part(part: Weighed, depth: int) -> Iterator[list[Any]]:
    yield ["  " * depth + "·", _WORDS[part.holds], f"{part.text}: {part.seen}" if part.seen else part.text]
    for inner in part.parts:
        yield from _part(inner, depth + 1)
