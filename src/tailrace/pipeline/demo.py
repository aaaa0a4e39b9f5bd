"""What does tailrace do? A small SaaS company's year, landed and run for some days, delivered to files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

from tailrace import durable, engine
from tailrace.errors import TailraceError
from tailrace.pipeline import spine
from tailrace.pipeline.reporting import write as write_report
from tailrace.planning import relations
from tailrace.planning.store import Store
from tailrace.samples.company import generate
from tailrace.settings import Settings

START = date(2025, 1, 1)
DAYS = 365
SOURCE = "app"
HOUR = time(6, 0, tzinfo=UTC)
ROUNDS = (timedelta(hours=5), timedelta(hours=11))
"""How long after the run the mail that waits for its hour is delivered: noon and evening in Europe, noon in America."""
MARK = "demo.json"


@dataclass(frozen=True)
class Demo:
    """Where the demo left things. `example_user` is somebody with a story to explain."""

    plan_id: str
    outbox: Path
    mails: int
    report: Path
    example_user: str
    tripped: int


def play(settings: Settings, *, people: int, days: int, tell: Callable[[str], None]) -> Demo:
    """Make the data directory anew, land the year but its last `days` days, and run those one after another.

    Raises TailraceError when the data directory holds something that is not a demo.
    """
    _make_room(settings)
    tell(f"making a year of events of {people:,} people …")
    sample = generate(settings.scratch / "sample", people=people, start=START, days=DAYS, split_last_days=days)
    tell(
        f"{sample.lines:,} lines in {len(sample.files)} files: {sample.events:,} events,"
        f" {sample.duplicates:,} duplicates, {sample.bad_lines:,} bad lines"
    )
    first = datetime.combine(sample.end - timedelta(days=days), HOUR)
    inbox = settings.inbox / SOURCE
    inbox.mkdir(parents=True)
    for file in sample.history:
        shutil.move(file.path, inbox / file.path.name)
    tripped = _run(settings, first, tell)
    for number, file in enumerate(sample.daily, start=1):
        shutil.move(file.path, inbox / file.path.name)
        tripped += _run(settings, first + timedelta(days=number), tell)
    durable.remove(settings.scratch / "sample")
    head = Store(settings).head()
    assert head is not None
    return Demo(
        plan_id=head,
        outbox=settings.outbox,
        mails=sum(1 for _ in settings.outbox.rglob("*.eml")),
        report=write_report(settings),
        example_user=_example(settings),
        tripped=tripped,
    )


def _make_room(settings: Settings) -> None:
    mark = settings.data_dir / MARK
    if settings.data_dir.is_dir() and any(settings.data_dir.iterdir()):
        if not mark.is_file():
            raise TailraceError(
                f"{settings.data_dir} is not empty and was not made by the demo; expected a folder of its own: name"
                " another with --data-dir. Nothing was changed."
            )
        shutil.rmtree(settings.data_dir)
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    durable.write(mark, json.dumps({"made_by": "tailrace demo"}).encode())


def _run(settings: Settings, as_of: datetime, tell: Callable[[str], None]) -> int:
    result = spine.run(settings, as_of)
    land, plan = (result.steps[step] for step in ("land", "plan"))
    sent = [each.steps["deliver"] for each in (result, *(spine.deliver(settings, as_of + later) for later in ROUNDS))]
    mails, rows = (sum(each[what]["accepted"] for each in sent) for what in ("messages", "rows"))
    tell(
        f"{as_of:%Y-%m-%d %H:%M}  {land['lines']:>7,} lines = {land['landed']:,} landed +"
        f" {land['duplicate']:,} duplicate + {land['quarantined']:,} quarantined · {plan['considered']:,} considered ="
        f" {plan['send']:,} send + {plan['defer']:,} defer + {plan['skip']:,} skip ·"
        f" {mails:,} mails, {rows:,} sync rows ·"
        f" {sum(result.seconds.values()):.1f} s"
    )
    return len(result.tripped)


def _example(settings: Settings) -> str:
    """Return the user id of the person with the most verdicts in the last plan's campaigns: a story worth telling."""
    store = Store(settings)
    plan = store.read("HEAD")
    with engine.connect(settings) as connection:
        engine.attach(connection, settings.published, "published")
        arms = " union all ".join(
            f"select person_id from {store.source(plan, name, relations.ENROLLMENTS)}"
            for name in sorted(plan.relations)
            if name.startswith("enrollments:")
        )
        row = engine.first(
            connection,
            f"select people.user_id from ({arms}) as passes inner join published.core.dim_people as people"
            " on people.person_id = passes.person_id group by people.user_id"
            " order by count(*) desc, people.user_id limit 1",
        )
    return "" if row is None else str(row[0])
