"""Which plans, or what was personal in them, has `tailrace gc` collected? Kept so that it can be said."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tailrace import clock, durable
from tailrace.errors import DataError

PERSONAL = ("payloads", "acts", "sync_ops")
"""The relations that hold personal data; they may go before the plan that names them."""


@dataclass(frozen=True)
class Collected:
    """A plan that was collected, or (`whole` is false) whose personal relations were; `retention` is what was said.

    It is empty when it was no retention, but an erasure.
    """

    as_of: datetime
    on: datetime
    retention: str
    whole: bool

    def in_words(self) -> str:
        """Return when it was collected, and why: `collected by gc on 2026-05-01 06:00, retention 90d`.

        An erasure removes the plans that nobody has applied.
        """
        if not self.retention:
            return f"removed by an erasure on {self.on:%Y-%m-%d %H:%M}: nobody had applied it"
        return f"collected by gc on {self.on:%Y-%m-%d %H:%M}, retention {self.retention}"


def is_personal(relation: str) -> bool:
    """Return whether the relation of a plan holds personal data."""
    return relation.partition(":")[0] in PERSONAL


def read(root: Path) -> dict[str, Collected]:
    """Return what has been collected from the plan store at `root`, by plan id. One that still stands is not gone yet.

    Raises DataError when the record is damaged.
    """
    path = _path(root)
    try:
        document = json.loads(path.read_bytes())
        return {plan_id: _parse(entry) for plan_id, entry in document["plans"].items()}
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path}: this record of collected plans cannot be read ({type(error).__name__}); expected what"
            " `tailrace gc` wrote: restore the plan store from a backup"
        ) from error


def write(root: Path, entries: Mapping[str, Collected]) -> None:
    """Record what has been collected, or is about to be."""
    plans = {plan_id: asdict(entry) for plan_id, entry in sorted(entries.items())}
    for entry in plans.values():
        entry["as_of"], entry["on"] = clock.iso(entry["as_of"]), clock.iso(entry["on"])
    durable.write(_path(root), json.dumps({"format": 1, "plans": plans}, indent=1).encode() + b"\n")


def _path(root: Path) -> Path:
    return root / "collected.json"


def _parse(entry: Mapping[str, Any]) -> Collected:
    return Collected(
        clock.parse(entry["as_of"]), clock.parse(entry["on"]), str(entry["retention"]), bool(entry["whole"])
    )
