"""Which objects of the store stand without the rows of those who were erased? Kept beside it, so that no plan changes.

plans/erased.json   per object that was written anew, what is read in its place; and what HEAD counted of them

A plan's id is the hash of its plan.json, which names objects by the hash of what they held when it was made. That
stays; what is read is what is left of them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tailrace import durable
from tailrace.errors import DataError


@dataclass(frozen=True)
class Correction:
    """How many of a plan's numbers were of people who were erased when it was HEAD: of all people, of each segment."""

    people: int = 0
    segments: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Erased:
    """`objects`: what is read in place of an object. `plans`: by plan and erasure what its numbers have too much."""

    objects: Mapping[str, str] = field(default_factory=dict)
    plans: Mapping[str, Mapping[str, Correction]] = field(default_factory=dict)

    def correction(self, plan_id: str) -> Correction | None:
        """Return what the plan's numbers have too much, by all erasures together; None when by none."""
        found = self.plans.get(plan_id)
        if not found:
            return None
        names = sorted({name for each in found.values() for name in each.segments})
        return Correction(
            sum(each.people for each in found.values()),
            {name: sum(each.segments.get(name, 0) for each in found.values()) for name in names},
        )


def read(root: Path) -> Erased:
    """Return what was written anew in the plan store at `root`. Raises DataError when the record is damaged."""
    path = _path(root)
    try:
        document = json.loads(path.read_bytes())
        return Erased(
            {str(old): str(new) for old, new in document["objects"].items()},
            {
                plan_id: {name: Correction(**each) for name, each in by_erasure.items()}
                for plan_id, by_erasure in document["plans"].items()
            },
        )
    except FileNotFoundError:
        return Erased()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path}: this record of erased objects cannot be read ({type(error).__name__}); expected what"
            " `tailrace erase` wrote: restore the plan store from a backup"
        ) from error


def write(root: Path, erased: Erased) -> None:
    """Put the record on the disk: from then on the objects are read in place of those whose place they take."""
    plans = {
        plan_id: {
            name: {"people": each.people, "segments": dict(sorted(each.segments.items()))}
            for name, each in sorted(by_erasure.items())
        }
        for plan_id, by_erasure in sorted(erased.plans.items())
    }
    document = {"format": 1, "objects": dict(sorted(erased.objects.items())), "plans": plans}
    durable.write(_path(root), json.dumps(document, indent=1).encode() + b"\n")


def _path(root: Path) -> Path:
    return root / "erased.json"
