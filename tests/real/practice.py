"""How do a practice's records reach tailrace, and what do they say by themselves? Cut by day; asked with plain SQL."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb

from tailrace import clock, ids
from tailrace.pipeline import spine
from tailrace.pipeline.result import Result
from tailrace.samples.telehealth import generate
from tests.installation import Installation, at
from tests.real.data import VISITS
from tests.real.projects import HERE, overlay

SEGMENTS = (
    "seg_intake_not_completed",
    "seg_intake_not_paid",
    "seg_awaiting_review",
    "seg_refill_due_7d",
    "seg_renewal_failed_active",
    "seg_reactivation_eligible",
)
HOUR = 15
"""UTC; in the east of the United States it is eleven, and mail may leave."""

_TABLES = (
    ("deaths", "patients", "deceased_at"),
    ("encounters", "encounters", "end_at"),
    ("medication_requests", "medication_requests", "authored_at"),
    ("claims", "claims", "created_at"),
)


def install(root: Path) -> Installation:
    """Return an empty installation in which the telehealth programme alone is on."""
    project = overlay(
        root / "project", "health", drop=["contracts/sources/app.yml"], variables={"programmes": "[telehealth]"}
    )
    return Installation(root / "data", project)


@dataclass(frozen=True)
class Sent:
    """A message that the journal says was accepted, and the day of the run that planned it."""

    patient: str
    campaign: str
    step: str
    enrollment: str
    on: date


@dataclass(frozen=True)
class Day:
    """One run: the files of the day before were new to it. `truth` is by segment what the raw rows say."""

    on: date
    lines: int
    result: Result
    truth: dict[str, set[str]]
    built: dict[str, set[str]]


@dataclass
class Practice:
    """The records, cut into files, and the clinic's own events of months around `first` for who lives then."""

    root: Path
    first: date
    last: date
    days: list[Day] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.installation = install(self.root)
        self.world = duckdb.connect()
        for table in ("patients", "encounters", "medication_requests", "claims"):
            self.world.execute(f"create table {table} as from '{VISITS / table}.parquet'")
        living = self.world.execute(
            "select patient_id from patients where deceased_at is null or deceased_at >= $on order by patient_id",
            {"on": self.first},
        ).fetchall()
        start = self.first - timedelta(days=90)
        self.clinic = generate(
            self.root / "clinic",
            start=start,
            days=(self.last - start).days + 1,
            patients=[patient for (patient,) in living],
        )
        self.world.execute(
            "create table clinic as select userId, type, event, timestamp::timestamp as moment,"
            " coalesce(properties, {'intake_id': null, 'kind': null, 'outcome': null}) as properties"
            f" from read_json('{self.root}/clinic/*.jsonl', format = 'newline_delimited', columns = {{"
            "userId: 'varchar', type: 'varchar', event: 'varchar', timestamp: 'varchar',"
            " properties: 'struct(intake_id varchar, kind varchar, outcome varchar)'})"
        )
        self.world.execute(
            "create table booked as select userId, groupId, timestamp::timestamp as moment, traits"
            f" from read_json('{self.root}/clinic/*.jsonl', format = 'newline_delimited', columns = {{"
            "userId: 'varchar', type: 'varchar', groupId: 'varchar', timestamp: 'varchar',"
            " traits: 'struct(status varchar, visit_at varchar)'}) where type = 'group'"
        )

    def play(self) -> None:
        """Run the baseline with all before it, then day by day to `last`."""
        self.run(self.first, date(1900, 1, 1))
        on = self.first
        while on < self.last:
            on += timedelta(days=1)
            self.run(on, on - timedelta(days=1))

    def run(self, on: date, since: date) -> None:
        """Land what happened from `since` until the day `on`, run that day, and keep what was built."""
        lines = self.drop(on, since)
        result = spine.run(self.installation.settings, at(on, HOUR))
        self.days.append(Day(on, lines, result, self.truth(on), built(self.installation)))

    def drop(self, on: date, since: date) -> int:
        """Put the files of the days from `since` until before `on` into the inbox; return how many lines they have."""
        lines = 0
        if not self.days:
            self.installation.drop(VISITS / "patients.parquet", "visits")
            lines += _count(self.world, "select count(*) from patients")
        for name, table, moment in _TABLES:
            where = f"from {table} where {moment} >= timestamp '{since}' and {moment} < timestamp '{on}'"
            found = _count(self.world, f"select count(*) {where}")
            if found:
                path = self.root / f"{name}-{on}.parquet"
                self.world.execute(f"copy (select * {where}) to '{path}' (format parquet)")
                self.installation.drop(path, "visits")
            lines += found
        for path in self.clinic.files:
            if since <= date.fromisoformat(path.stem) < on and path.stat().st_size:
                self.installation.drop(path, "clinic")
                lines += path.read_bytes().count(b"\n")
        return lines

    def truth(self, on: date) -> dict[str, set[str]]:
        """Return who is in each segment at the run of the day, and who is in care, by the raw rows."""
        asked = self.world.execute(
            (HERE / "care.sql").read_text(encoding="utf-8"), {"today": on, "as_of": clock.naive(at(on, HOUR))}
        )
        names = [column[0] for column in asked.description or ()][1:]
        rows = asked.fetchall()
        return {name: {row[0] for row in rows if row[place]} for place, name in enumerate(names, start=1)}

    def appointments(self, on: date) -> set[tuple[str, str]]:
        """Return (appointment, patient) of what begins within a day of the run and is booked, by the raw calls."""
        rows = self.world.execute(
            "select groupId, max_by(userId, moment) from booked where moment < $today group by groupId"
            " having max_by(traits.status, moment) = 'booked' and max_by(traits.visit_at, moment)::timestamp > $as_of"
            " and max_by(traits.visit_at, moment)::timestamp <= $as_of + interval 1 day",
            {"today": on, "as_of": clock.naive(at(on, HOUR))},
        ).fetchall()
        return {(visit, patient) for visit, patient in rows}

    def unreachable(self) -> set[str]:
        """Return the patients whose address has letters that no mail server need take (beyond ASCII, before the @)."""
        rows = self.world.execute(
            "select patient_id from patients where not regexp_full_match(email, '[ -~]+')"
        ).fetchall()
        return {patient for (patient,) in rows}

    def sent(self, outcome: str = "accepted") -> list[Sent]:
        """Return every message with this outcome, as the journal has it."""
        patients = {
            ids.person_id(patient): patient
            for (patient,) in self.world.execute("select patient_id from patients").fetchall()
        }
        with sqlite3.connect(self.installation.settings.journal) as journal:
            rows = journal.execute(
                "select intents.person_id, intents.campaign, intents.step, intents.enrollment_id, plans.as_of"
                " from intents"
                " inner join plans on plans.plan_id = intents.plan_id"
                " inner join outcomes on outcomes.item_id = intents.intent_id and outcomes.outcome = ?",
                (outcome,),
            ).fetchall()
        return [
            Sent(patients[person], campaign, step, enrollment, datetime.fromtimestamp(as_of / 1e6, UTC).date())
            for person, campaign, step, enrollment, as_of in rows
        ]


def built(installation: Installation) -> dict[str, set[str]]:
    """Return who is in each segment, in care, and out of it for good, as the warehouse has it."""
    with duckdb.connect(str(installation.settings.warehouse), read_only=True) as warehouse:
        people = "inner join core.dim_people using (person_id)"
        found = {
            name: {user for (user,) in warehouse.execute(f"select user_id from segments.{name} {people}").fetchall()}
            for name in SEGMENTS
        }
        states = warehouse.execute(
            f"select user_id, state from states.fct_telehealth_states {people} where ended_at is null"
        ).fetchall()
    found["is_in_care"] = {user for user, state in states if state in ("active", "refill_due")}
    found["is_ended"] = {user for user, state in states if state == "ended"}
    return found


def told(world: duckdb.DuckDBPyConnection, on: date, hour: int) -> dict[str, set[str]]:
    """Return by column of care.sql of whom it is true at the run of the day and hour."""
    question = (HERE / "care.sql").read_text(encoding="utf-8")
    asked = world.execute(question, {"today": on, "as_of": clock.naive(at(on, hour))})
    names = [column[0] for column in asked.description or ()][1:]
    rows = asked.fetchall()
    return {name: {row[0] for row in rows if row[place]} for place, name in enumerate(names, start=1)}


def _count(world: duckdb.DuckDBPyConnection, sql: str) -> int:
    row = world.execute(sql).fetchone()
    assert row is not None
    return int(row[0])
