"""What was a plan made from?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

_DECISIONS = ("choices", "resyncs")


@dataclass(frozen=True)
class Inputs:
    """What a plan was made from: if all of it is equal, so is the plan.

    `journal_seq` is the last sync outcome that was folded in; `releases` are the guard releases that were used,
    `choices` the choices of `send now` that were considered, `resyncs` the decisions to say a sync again that were.
    """

    loads: str
    project: str
    definitions: str
    journal_seq: int
    releases: tuple[int, ...]
    choices: tuple[int, ...] = ()
    resyncs: tuple[int, ...] = ()

    def document(self) -> dict[str, Any]:
        """Return what plan.json has of it: without decisions where there are none, as before there were any."""
        return {name: value for name, value in asdict(self).items() if value or name not in _DECISIONS}


def parse_inputs(content: Mapping[str, Any]) -> Inputs:
    """Return the inputs that `Inputs.document` has written."""
    numbers = {name: tuple(content.get(name, ())) for name in ("releases", *_DECISIONS)}
    return Inputs(**{**content, **numbers})
