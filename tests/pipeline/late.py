"""Two companies to which the same things happen: one hears of some of them late, by a backfill, the other in time."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from tailrace.clock import now
from tailrace.landing.backfills import Asked
from tailrace.pipeline import spine
from tailrace.pipeline.result import Result
from tests.conftest import Company
from tests.installation import PROJECT, Installation, at

CAMPAIGN = """purpose: See what lateness does
owner: growth@example.com
status: live
class: transactional
trigger: {{event: signed_up}}
repeat: never
sending: automatic
{exit}expires: 5d
steps:
{steps}
"""
STEPS = {
    # Whoever paid by the next day is left alone.
    "reminded": ("exit: [{event: paid_in_full}]\n", "  - wait: 20h\n  - send: note\n"),
    # Whoever went on hears sooner than the others.
    "urged": ("", "  - wait_until: {event: went_on, timeout: 20h}\n    id: gone_on\n  - send: note\n"),
}


def project(target: Path) -> Path:
    """Copy the project, with two campaigns that everybody who signs up enters."""
    shutil.copytree(PROJECT, target, ignore=shutil.ignore_patterns("target", "logs"))
    for slug, (leaving, steps) in STEPS.items():
        folder = target / "campaigns" / slug
        folder.mkdir()
        (folder / "campaign.yml").write_text(CAMPAIGN.format(exit=leaving, steps=steps.rstrip()))
        (folder / "note.email.md").write_text("---\nsubject: A note\n---\nThis is it.\n")
    return target


def called(user: str, event: str, moment: datetime) -> list[dict[str, Any]]:
    """Return the call, after one that says who the person is."""
    base = {"userId": user, "timestamp": moment.isoformat()}
    return [
        base | {"type": "identify", "messageId": f"is-{user}-{event}", "traits": {"email": f"{user}@example.com"}},
        base | {"type": "track", "event": event, "messageId": f"{event}-{user}", "properties": {"by": user}},
    ]


def write(path: Path, calls: Iterable[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{json.dumps(call)}\n" for call in calls))
    return path


@dataclass(frozen=True)
class Both:
    """`late` after its backfill of `history`, `punctual` after the same runs; `result` is the backfill's."""

    late: Installation
    punctual: Installation
    days: list[datetime]
    history: Path
    result: Result


def play(company: Company, root: Path) -> Both:
    """Play two days. On the first, ada, bob and cy sign up; what ada and bob did next, and that dee came, is late."""
    days = [at(file.last_on, 23) for file in company.sample.daily[:2]]
    hour = timedelta(hours=1)
    morning, evening = days[0] - 8 * hour, days[0] + 2 * hour
    known = [call for user in ("ada", "bob", "cy") for call in called(user, "signed_up", morning)]
    late = [
        *called("ada", "paid_in_full", evening),
        *called("bob", "went_on", morning + hour),
        *called("dee", "signed_up", morning + hour),
    ]
    punctual_days = [late[2:], late[:2]]
    one, other = (
        company.copy(root / "late", project(root / "p1")),
        company.copy(root / "punctual", project(root / "p2")),
    )
    for number, day in enumerate(days):
        for installation in (one, other):
            installation.drop(company.sample.daily[number].path)
            if number == 0:
                installation.drop(write(root / "known.jsonl", known))
        other.drop(write(root / f"in-time-{number}.jsonl", punctual_days[number]))
        spine.run(one.settings, day)
        spine.run(other.settings, day)
    history = write(root / "late.jsonl", late)
    result = spine.backfill(one.settings, [history], "app", "the collector was down", Asked("kim", now()))
    return Both(one, other, days, history, result)
