"""A small warehouse whose tables a test sets, and plans made over it: planning without dbt."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from tailrace import ids
from tailrace.engine import literal
from tailrace.planning.arbitration import Rules
from tailrace.planning.corrections import Chosen
from tailrace.planning.enrollment import CampaignSpec, MessageSpec
from tailrace.planning.guards import Limits
from tailrace.planning.plan import Request, make_plan
from tailrace.planning.steps import steps_of
from tailrace.planning.store import Plan, Store
from tailrace.planning.syncs import LetGo, SyncSpec
from tailrace.settings import Settings

START = datetime(2026, 1, 1, 6, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

ANSWERS = pa.schema(
    [
        ("seq", pa.int64()),
        ("plan_id", pa.string()),
        ("sync", pa.string()),
        ("batch_no", pa.int64()),
        ("position", pa.int64()),
        ("outcome", pa.string()),
        ("code", pa.string()),
        ("answered_at", pa.timestamp("us")),
    ]
)

OUTCOMES = pa.schema([("intent_id", pa.string()), ("outcome", pa.string()), ("recorded_at", pa.timestamp("us"))])

RESPONSES = pa.schema(
    [("enrollment_id", pa.string()), ("step", pa.string()), ("status_code", pa.int32()), ("body", pa.string())]
)

OPEN = Limits(
    segment_left_share=None,
    segment_entered_share=None,
    segment_minimum=None,
    minimum_members=10,
    sync_deletions_share=None,
)


@dataclass(frozen=True)
class Segment:
    name: str
    fingerprint: str = "1"

    @property
    def relation(self) -> str:
        return f"segments.{self.name}"


@dataclass(frozen=True)
class Sync:
    name: str
    keys: tuple[str, ...] = ("user_id",)
    columns: tuple[str, ...] = ("user_id", "email")
    destination: str = "crm"
    target: str = "power_users"
    mode: str = "mirror"

    @property
    def relation(self) -> str:
        return f"syncs.{self.name}"


def message(*required: tuple[str, str], key: str = "m1") -> MessageSpec:
    return MessageSpec(key, "email", "md", json.dumps({"body": key}), frozenset(required), frozenset())


_OUTSIDE = ("status", "sending", "priority", "messages", "on_edit", "on_pause", "on_end")


def event_trigger(event: str, **changes: Any) -> dict[str, Any]:
    return {
        "kind": "event",
        "event": event,
        "where": None,
        "where_sql": None,
        "occurrence": None,
        "late": None,
    } | changes


def goal(**changes: Any) -> dict[str, Any]:
    return {"event": None, "segment": None, "where_sql": None, "within": 14 * 86_400, "exit": True} | changes


def campaign(slug: str = "welcome", /, **changes: Any) -> CampaignSpec:
    """A live campaign on seg_trial with one message, changed as told; `steps`, `trigger` … go into the definition."""
    definition: dict[str, Any] = {
        "slug": slug,
        "class": "marketing",
        "topic": "tips",
        "trigger": {"kind": "segment", "segment": "seg_trial", "on": "entered"},
        "existing": "skip",
        "repeat": {"kind": "never", "seconds": None},
        "in_flight": "ignore",
        "filter": None,
        "exit": [],
        "goal": None,
        "holdout_bp": 0,
        "expires": 86_400,
        "window": None,
        "steps": [{"id": "hello", "send": "hello"}],
    }
    outer = {key: changes.pop(key) for key in _OUTSIDE if key in changes}
    definition |= {key.rstrip("_"): value for key, value in changes.items()}
    steps = [step for step in steps_of(definition["steps"]) if step.kind in ("send", "notify", "webhook")]
    version = ids.digest(json.dumps(definition, sort_keys=True))[:16]
    base = CampaignSpec(
        slug=slug,
        version=version,
        definition=definition,
        status="live",
        sending="automatic",
        priority=50,
        messages={step.facts[step.kind]: message(key=f"{slug}-{step.facts[step.kind]}") for step in steps},
    )
    return replace(base, **outer)


_database = cache(duckdb.connect)
"""One database in memory for the process, to write files with: to open one takes longer than to write what is in it."""


@contextmanager
def _writing(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Give a connection to the new database file at `path`, which has our schemas and is closed after the block."""
    connection = _database()
    connection.execute(f"attach {literal(str(path))} as made; use made; begin")
    try:
        connection.execute("create schema core; create schema segments; create schema syncs")
        yield connection
        connection.execute("commit")
    finally:
        connection.execute("use memory; detach made")


_begun: dict[str, dict[Path, bytes]] = {}
"""The files of each first plan, by the world that it was made of."""


@dataclass
class World:
    """What is in the warehouse now; `plan` makes and applies a plan over it."""

    root: Path
    people: dict[str, dict[str, Any]] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    members: dict[str, set[str]] = field(default_factory=dict)
    audience: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    segments: list[Segment] = field(default_factory=list)
    syncs: list[SyncSpec] = field(default_factory=list)
    campaigns: list[CampaignSpec] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    limits: dict[str, Limits] = field(default_factory=dict)
    source_hours: dict[str, float] = field(default_factory=dict)
    releases: list[Any] = field(default_factory=list)
    answers: list[dict[str, Any]] = field(default_factory=list)
    history: set[int] = field(default_factory=set)
    consents: list[dict[str, Any]] = field(default_factory=list)
    suppressions: list[dict[str, Any]] = field(default_factory=list)
    engagement: list[dict[str, Any]] = field(default_factory=list)
    rules: Rules = field(default_factory=Rules)
    outcomes: list[dict[str, Any]] = field(default_factory=list)
    responses: list[dict[str, Any]] = field(default_factory=list)
    belongs: list[tuple[str, str, str]] = field(default_factory=list)
    objects: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    relationships: dict[tuple[str, str, str], dict[str, Any]] = field(default_factory=dict)
    object_members: dict[str, set[str]] = field(default_factory=dict)
    fingerprints: dict[str, str] = field(default_factory=dict)
    merges: dict[str, str] = field(default_factory=dict)
    people_left_share: float | None = None
    threads: int | None = None
    let_go: LetGo = field(default_factory=LetGo)
    chosen: Chosen = field(default_factory=Chosen)
    resyncs: list[tuple[int, str]] = field(default_factory=list)
    _written: str = field(default="", init=False)

    @property
    def settings(self) -> Settings:
        return Settings(data_dir=self.root, project_dir=self.root, threads=self.threads)

    @property
    def store(self) -> Store:
        return Store(self.settings)

    def person(self, user_id: str, **columns: Any) -> int:
        self.people[user_id] = {"email": f"{user_id}@example.com", "first_name": user_id.title()} | columns
        return ids.person_id(user_id)

    def event(
        self,
        user_id: str | None,
        name: str,
        at: datetime,
        *,
        load: int = 1,
        landed: datetime | None = None,
        group: str | None = None,
        **properties: Any,
    ) -> None:
        self.events.append(
            {
                "event_id": f"e{len(self.events)}",
                "said_by": user_id,
                "user_id": user_id,
                "event": name,
                "event_at": at.replace(tzinfo=None),
                "landed_at": (landed or at).replace(tzinfo=None),
                "load_seq": load,
                "is_history": load in self.history,
                "properties": json.dumps(properties),
                "group_id": group,
            }
        )

    def merge(self, old: str, new: str) -> None:
        """Make two user ids one person, as the models would: everything of the one is the other's, but who said it."""
        self.merges = {was: new if now == old else now for was, now in self.merges.items()} | {old: new}
        self.people.pop(old, None)
        self.members = {
            name: {new if user == old else user for user in members} for name, members in self.members.items()
        }
        for event in self.events:
            if event["user_id"] == old:
                event["user_id"] = new

    def segment(self, name: str, *members: str) -> None:
        self.members[name] = set(members)
        if name not in {segment.name for segment in self.segments}:
            self.segments.append(Segment(name))

    def edit(self, name: str, fingerprint: str) -> None:
        self.segments = [Segment(s.name, fingerprint if s.name == name else s.fingerprint) for s in self.segments]

    def begin(self) -> Plan:
        """Make the first plan, at START, as `plan` does: one over the same world is made once and copied from then on.

        For what stands before a test begins. A test of planning itself calls `plan`.
        """
        plans = self.settings.plans
        made = _begun.get(self._facts())
        if made is None:
            plan = self.plan(START)
            files = [path for path in plans.rglob("*") if path.is_file()]
            _begun[self._facts()] = {path.relative_to(plans): path.read_bytes() for path in files}
            return plan
        for path, content in made.items():
            (plans / path).parent.mkdir(parents=True, exist_ok=True)
            (plans / path).write_bytes(content)
        return self.store.read("HEAD")

    def _facts(self) -> str:
        return repr([getattr(self, each.name) for each in fields(self) if each.name not in ("root", "_written")])

    def plan(self, as_of: datetime, *, apply: bool = True, cause: str = "scheduled") -> Plan:
        """Make the plan on top of HEAD, move HEAD to it, and return it."""
        return self.store.read(self.plan_id(as_of, apply=apply, cause=cause))

    def plan_id(self, as_of: datetime, *, apply: bool = True, cause: str = "scheduled") -> str:
        self._write_warehouse()
        subjects = [f"segment:{s.name}" for s in self.segments] + [f"sync:{s.model.name}" for s in self.syncs]
        loads = sorted({event["load_seq"] for event in self.events})
        head = self.store.head()
        folded = self.store.read(head).inputs.journal_seq if head else 0
        answers = [answer for answer in self.answers if answer["seq"] > folded]
        request = Request(
            as_of=as_of,
            cause=cause,
            parent=head,
            loads=[(f"load{seq}", seq, seq in self.history) for seq in loads],
            loads_fingerprint=ids.digest(*(str(seq) for seq in loads)),
            project_fingerprint="p",
            definitions_fingerprint="d",
            segments=self.segments,
            campaigns=self.campaigns,
            syncs=self.syncs,
            failed=self.failed,
            limits={subject: self.limits.get(subject, OPEN) for subject in subjects},
            source_hours=self.source_hours,
            releases=self.releases,
            answers=pa.Table.from_pylist(answers, schema=ANSWERS),
            journal_seq=max((answer["seq"] for answer in self.answers), default=0),
            fingerprints=self.fingerprints,
            rules=self.rules,
            people_left_share=self.people_left_share,
            outcomes=pa.Table.from_pylist(self.outcomes, schema=OUTCOMES),
            responses=pa.Table.from_pylist(self.responses, schema=RESPONSES),
            let_go=self.let_go,
            chosen=self.chosen,
            resyncs=self.resyncs,
        )
        plan_id = make_plan(self.settings, self.store, request)
        if apply:
            self.store.advance(plan_id)
        return plan_id

    def rows(self, plan: Plan, relation: str, *columns: str) -> list[tuple[Any, ...]]:
        """Return the columns of a relation as sorted tuples."""
        table = self.store.table(plan, relation)
        if table is None:
            return []
        return sorted(zip(*(table.column(column).to_pylist() for column in columns), strict=True), key=repr)

    def verdicts(self, plan: Plan) -> list[tuple[Any, ...]]:
        """Return (user_id, step, verdict, reason) of each verdict, sorted."""
        names = {ids.person_id(user_id): user_id for user_id in self.people}
        return sorted(
            (names[person], step, verdict, reason)
            for person, step, verdict, reason in self.rows(plan, "verdicts", "person_id", "step", "verdict", "reason")
        )

    def _write_warehouse(self) -> None:
        """Write the warehouse anew, unless it says already what is so now."""
        path = self.settings.warehouse
        if path.exists() and self._written == self._facts():
            return
        self._written = self._facts()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        with _writing(path) as connection:
            self._write_people(connection)
            if self.merges:
                self._write_merges(connection)
            if self.object_members or self.belongs:
                self._write_objects(connection)
            for segment in self.segments:
                connection.execute(f"create table {segment.relation} (person_id bigint, note varchar)")
                self._insert(
                    connection,
                    segment.relation,
                    [{"person_id": ids.person_id(user), "note": "n"} for user in self.members[segment.name]],
                )
            for spec in self.syncs:
                columns = ", ".join(f"{column} varchar" for column in spec.model.columns)
                connection.execute(f"create table {spec.model.relation} ({columns})")
                self._insert(connection, spec.model.relation, self.audience.get(spec.model.name, []))

    def _write_people(self, connection: duckdb.DuckDBPyConnection) -> None:
        connection.execute(
            "create table core.dim_people (person_id bigint, user_id varchar, email varchar, first_name varchar,"
            " country varchar, timezone varchar, is_unsubscribed boolean, plan varchar, born_on date, score integer)"
        )
        people: list[dict[str, Any]] = [
            {"person_id": ids.person_id(user_id), "user_id": user_id, "is_unsubscribed": False} | columns
            for user_id, columns in self.people.items()
        ]
        self._insert(connection, "core.dim_people", people)
        self._write_consent(connection, [person["person_id"] for person in people if person["is_unsubscribed"]])
        connection.execute("create table core.dim_person_features (person_id bigint, n_logins bigint)")
        self._insert(
            connection, "core.dim_person_features", [{"person_id": p["person_id"], "n_logins": 3} for p in people]
        )
        connection.execute(
            "create table core.fct_events (event_id varchar, source varchar, type varchar, event varchar,"
            " person_id bigint, event_at timestamp, landed_at timestamp, load_seq bigint, is_history boolean,"
            " properties varchar, group_id varchar, user_id varchar)"
        )
        rows = [
            {key: value for key, value in event.items() if key != "said_by"}
            | {
                "source": "app",
                "type": "track",
                "user_id": event["said_by"],
                "person_id": None if event["user_id"] is None else ids.person_id(event["user_id"]),
            }
            for event in self.events
        ]
        self._insert(connection, "core.fct_events", rows)

    def _write_merges(self, connection: duckdb.DuckDBPyConnection) -> None:
        connection.execute(
            "create table core.fct_person_merges (user_id varchar, person_id bigint, into_person_id bigint)"
        )
        merges = [
            {"user_id": old, "person_id": ids.person_id(old), "into_person_id": ids.person_id(new)}
            for old, new in self.merges.items()
        ]
        self._insert(connection, "core.fct_person_merges", merges)

    def _write_objects(self, connection: duckdb.DuckDBPyConnection) -> None:
        connection.execute(
            "create table core.fct_object_people (object varchar, object_id varchar, person_id bigint,"
            " belongs_since timestamp, attributes varchar)"
        )
        belongs = [
            {
                "object": kind,
                "object_id": key,
                "person_id": ids.person_id(user),
                "belongs_since": START + place * timedelta(seconds=1),
                "attributes": json.dumps(self.relationships.get((kind, key, user), {})),
            }
            for place, (kind, key, user) in enumerate(self.belongs)
        ]
        self._insert(connection, "core.fct_object_people", belongs)
        connection.execute("create table core.dim_objects (object varchar, object_id varchar, attributes varchar)")
        objects = [
            {"object": kind, "object_id": key, "attributes": json.dumps(facts)} for kind, key, facts in self.objects
        ]
        self._insert(connection, "core.dim_objects", objects)
        connection.execute("create schema object_segments")
        for name, members in self.object_members.items():
            connection.execute(f"create table object_segments.{name} (object_id varchar)")
            self._insert(connection, f"object_segments.{name}", [{"object_id": key} for key in sorted(members)])

    def _write_consent(self, connection: duckdb.DuckDBPyConnection, unsubscribed: Sequence[int]) -> None:
        connection.execute(
            "create table core.dim_consents (person_id bigint, channel varchar, topic varchar, state varchar)"
        )
        everything = {"channel": "", "topic": "", "state": "unsubscribed"}
        said = [{"person_id": person} | everything for person in unsubscribed] + self.consents
        self._insert(connection, "core.dim_consents", said)
        connection.execute(
            "create table core.dim_suppressions (person_id bigint, channel varchar, reason varchar, source varchar,"
            " suppressed_at timestamp)"
        )
        self._insert(connection, "core.dim_suppressions", self.suppressions)
        connection.execute(
            "create table core.dim_engagement (person_id bigint, channel varchar, engaged_at timestamp,"
            " n_unanswered integer, unanswered_since timestamp)"
        )
        self._insert(connection, "core.dim_engagement", self.engagement)

    def _insert(self, connection: duckdb.DuckDBPyConnection, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
        if rows:
            given = pa.Table.from_pylist([dict(row) for row in rows])
            connection.register("given", given)
            connection.execute(f"insert into {table} by name select * from given")
