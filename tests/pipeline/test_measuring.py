"""What came of a campaign, counted from a real store, journal and landing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tailrace import clock, engine
from tailrace.campaigns.shelf import load_campaigns
from tailrace.cli import measured as printed
from tailrace.engine import statement
from tailrace.errors import DataError
from tailrace.journal.journal import Journal
from tailrace.journal.records import Record
from tailrace.landing.land import land
from tailrace.pipeline.measuring import measure
from tailrace.planning import relations
from tailrace.planning.store import Inputs, Piece, Plan, Store
from tailrace.reports.measured import ComparisonView, MeasuredView, finding, mismatch_in_words
from tailrace.settings import Settings
from tests.examples import examples
from tests.installation import PROJECT
from tests.real.data import DATA

START = datetime(2026, 1, 1, 6, tzinfo=UTC)
DAY = timedelta(days=1)
EXPERIMENT = DATA / "email_experiment" / "hillstrom.parquet"

CAMPAIGN = """purpose: See what a note does
owner: growth@example.com
status: live
class: marketing
topic: product_tips
trigger: {event: signed_up}
repeat: each_occurrence
goal: {event: visited, within: 7d}
holdout: 20%
sending: automatic
steps:
  - split:
      - {name: short, weight: 50, steps: [{send: short_note}]}
      - {name: long, weight: 50, steps: [{send: long_note}]}
    id: length
"""


@dataclass
class World:
    """A data directory with plans that a test writes: passes as they stand, and the moves of each plan."""

    settings: Settings
    version: str
    source: str
    parent: str | None = None
    passes: list[dict[str, Any]] = field(default_factory=list)
    arms: list[tuple[int, str]] = field(default_factory=list)

    def enter(
        self, person: int, arm: str, at: datetime, goal_at: datetime | None = None, status: str = "active"
    ) -> str:
        name = f"{person}-{len(self.passes)}"
        self.passes.append(
            {
                "enrollment_id": name,
                "campaign": "notes",
                "version": self.version,
                "person_id": person,
                "occurrence": name,
                "entered_at": clock.naive(at),
                "arm": arm,
                "step": "length" if status == "active" else None,
                "arrived_at": clock.naive(at),
                "status": status,
                "goal_at": clock.naive(goal_at) if goal_at else None,
                "event": None,
                "object_id": None,
                "wake_at": clock.naive(at),
            }
        )
        return name

    def plan(
        self, as_of: datetime, moves: Sequence[tuple[str, str | None, str | None, str]] = (), *, also: str | None = None
    ) -> None:
        """Apply a plan in which these passes (enrollment, from, to, why) moved, and so did passes of `also`, a campaign
        that has the same steps.
        """
        store = Store(self.settings)
        people = {entry["enrollment_id"]: entry["person_id"] for entry in self.passes}
        moved = [
            (name if slug == "notes" else f"{slug}-{name}", slug, self.version, people[name], place, left, came, why)
            for slug in ("notes", also)
            if slug is not None
            for place, (name, left, came, why) in enumerate(moves)
        ]
        versions = [("notes", self.version, self.source)]
        arms = [(person, "length", name) for person, name in self.arms]
        with engine.connect(self.settings) as connection:
            made = {
                "enrollments:notes": _put(connection, store, relations.ENROLLMENTS, self.passes),
                "transitions": _put(connection, store, relations.TRANSITIONS, moved),
                "versions:notes": _put(connection, store, relations.VERSIONS, versions),
                "assignments:notes": _put(connection, store, relations.ASSIGNMENTS, arms),
            }
        plan = Plan(self.parent, as_of, "scheduled", Inputs("l", "p", "d", 0, ()), {k: (v,) for k, v in made.items()})
        self.parent = store.save(plan)
        store.advance(self.parent)

    def send(
        self, names: Sequence[str], at: datetime, outcome: str = "accepted", slug: str = "notes", channel: str = "email"
    ) -> list[str]:
        """Write a message for each of the passes into the journal, with its outcome; return the intents' ids."""
        people = {entry["enrollment_id"]: entry["person_id"] for entry in self.passes}
        intents = [f"to-{name}" if slug == "notes" else f"{slug}-to-{name}" for name in names]
        rows = {
            "intent_id": intents,
            "campaign": [slug] * len(names),
            "version": [self.version] * len(names),
            "step": ["short_note"] * len(names),
            "enrollment_id": list(names),
            "person_id": [people[name] for name in names],
            "channel": [channel] * len(names),
            "message": ["short_note"] * len(names),
            "class": ["marketing"] * len(names),
            "priority": [50] * len(names),
            "deliver_after": pa.array([clock.naive(at)] * len(names), pa.timestamp("us")),
            "expires_at": pa.array([clock.naive(at + DAY)] * len(names), pa.timestamp("us")),
        }
        with Journal.open(self.settings) as journal:
            journal.apply_plan(f"plan-{at:%d}-{slug}-{channel}", None, at, at, pa.table(rows), [])
            with journal.sender(at) as epoch:
                due = journal.due_messages(channel, at, 1000).items
                claimed = journal.claim(epoch, at, due, destination="smtp", is_idempotent=False)
                journal.record(epoch, at, [Record(claim, outcome, "250", next_at=at) for claim in claimed.claims])
        return intents

    def receive(self, *receipts: tuple[str, str, dict[str, Any]], kind: str = "track") -> None:
        """Land receipts (event, intent, more properties) as a provider would send them."""
        path = self.settings.data_dir / "receipts.jsonl"
        calls = [
            {
                "type": kind,
                "event" if kind == "track" else "name": event,
                "anonymousId": "provider",
                "messageId": f"receipt-{number}-{event}-{intent}",
                "timestamp": START.isoformat(),
                "properties": {"intent_id": intent, **more},
            }
            for number, (event, intent, more) in enumerate(receipts)
        ]
        path.write_text("".join(f"{json.dumps(call)}\n" for call in calls))
        landed = land(self.settings, [path], "app", as_of=START + DAY)
        assert landed.landed == len(receipts)

    def measured(self) -> MeasuredView:
        return measure(self.settings, "notes")


def _put(connection: duckdb.DuckDBPyConnection, store: Store, columns: str, rows: Sequence[Any]) -> Piece:
    empty = connection.sql(f"{columns} limit 0")
    schema = empty.to_arrow_table().schema
    listed = [row if isinstance(row, dict) else dict(zip(schema.names, row, strict=True)) for row in rows]
    connection.register("written", pa.Table.from_pylist(listed, schema=schema))
    return store.put(connection, "select * from written order by all")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("measured") / "project"
    shutil.copytree(PROJECT, root, ignore=shutil.ignore_patterns("target", "logs", "models", "macros", "tests"))
    folder = root / "campaigns" / "notes"
    folder.mkdir()
    (folder / "campaign.yml").write_text(CAMPAIGN)
    for name in ("short_note", "long_note"):
        (folder / f"{name}.email.md").write_text("---\nsubject: A note\n---\nIt is done.\n")
    return root


@pytest.fixture
def world(tmp_path: Path, project: Path) -> World:
    campaign = load_campaigns(project, strict=False).campaigns["notes"]
    return World(Settings(tmp_path / "data", project), campaign.version, json.dumps(campaign.definition()))


def _comparison(seen: MeasuredView, kind: str) -> ComparisonView:
    return next(each for each in seen.comparisons if each.kind == kind)


def _counts(seen: MeasuredView, kind: str) -> dict[str, tuple[int, int | None, int | None]]:
    return {arm.name: (arm.people, arm.measured, arm.converted) for arm in _comparison(seen, kind).arms}


def test_a_person_counts_once_by_the_first_pass_and_only_when_its_time_is_over(world: World) -> None:
    world.enter(1, "treated", START, START + DAY)
    world.enter(1, "treated", START + 2 * DAY, START + 3 * DAY)
    world.enter(2, "treated", START)
    # A second pass, begun within the time of the first, reaches the goal for both.
    world.enter(2, "treated", START + DAY, START + 6 * DAY)
    world.enter(3, "treated", START, START + 8 * DAY)
    world.enter(4, "treated", START + 5 * DAY, START + 6 * DAY)
    world.enter(5, "holdout", START, START + DAY)
    world.enter(6, "holdout", START)
    world.plan(START + 10 * DAY)

    seen = world.measured()

    assert _counts(seen, "holdout") == {"holdout": (2, 2, 1), "treated": (4, 3, 2)}
    assert (seen.passes, seen.reached_goal) == (8, 6)
    assert [each.kind for each in seen.comparisons] == ["holdout", "split"]


def test_who_was_sent_something_by_hand_is_counted_and_not_compared(world: World) -> None:
    by_hand = world.enter(1, "treated", START, START + DAY)
    world.enter(2, "treated", START)
    world.enter(3, "holdout", START)
    world.plan(START + 10 * DAY, [(by_hand, None, "short_note", "corrected")])

    seen = world.measured()

    assert _counts(seen, "holdout") == {"holdout": (1, 1, 0), "treated": (1, 1, 0)}
    assert (seen.passes, seen.reached_goal) == (3, 1)


def test_too_few_people_say_nothing_and_it_is_said(world: World) -> None:
    for person in range(20):
        world.enter(person, "holdout" if person < 4 else "treated", START, START + DAY if person % 2 else None)
    world.plan(START + 10 * DAY)

    comparison = _comparison(world.measured(), "holdout")

    treated = comparison.arms[1]
    assert treated.points is not None
    assert not treated.is_enough
    assert finding(comparison, treated).startswith("too small a sample")
    assert mismatch_in_words(comparison) is None


def test_arms_of_other_sizes_than_intended_are_flagged_and_no_lift_is_believed(world: World) -> None:
    for person in range(600):
        world.enter(person, "holdout" if person % 2 else "treated", START, START + DAY if person % 3 else None)
    world.plan(START + 10 * DAY)

    comparison = _comparison(world.measured(), "holdout")

    assert comparison.is_broken
    assert "1 in a million" in str(mismatch_in_words(comparison))
    assert finding(comparison, comparison.arms[1]).startswith("not to be trusted")


def test_arms_of_the_sizes_that_were_meant_are_no_mismatch_and_the_held_out_are_the_control(world: World) -> None:
    definition = json.loads(world.source)
    definition["steps"][0]["split"][0]["weight"] = 150
    world.source = json.dumps(definition)
    names = [
        world.enter(person, "holdout" if person < 20 else "treated", START, START + 2 * DAY if person % 2 else None)
        for person in range(100)
    ]
    world.arms = [(person, "long" if person % 4 == 0 else "short") for person in range(20, 100)]
    world.plan(START, [(name, "length", "short_note", "arm") for name in names])
    world.plan(START + 10 * DAY)

    seen = world.measured()

    held, split = _comparison(seen, "holdout"), _comparison(seen, "split")
    assert [(arm.name, arm.people, arm.points) for arm in held.arms] == [("holdout", 20, None), ("treated", 80, 0.0)]
    assert [(arm.name, arm.people) for arm in split.arms] == [("short", 60), ("long", 20)]
    assert [held.mismatch, split.mismatch] == [pytest.approx(1), pytest.approx(1)]


def test_the_global_holdout_is_compared_apart(world: World) -> None:
    for person in range(10):
        world.enter(person, ("global_holdout", "holdout", "treated")[min(person // 2, 2)], START)
    world.plan(START + 10 * DAY)

    seen = world.measured()

    assert _counts(seen, "holdout") == {"holdout": (2, 2, 0), "treated": (6, 6, 0)}
    assert _counts(seen, "global_holdout") == {"global_holdout": (2, 2, 0), "treated": (6, 6, 0)}


def test_the_global_holdout_is_meant_to_be_the_policys_share_of_everybody(world: World, tmp_path: Path) -> None:
    own = tmp_path / "project"
    shutil.copytree(world.settings.project_dir, own)
    policy = own / "policy.yml"
    policy.write_text(policy.read_text().replace("\nholdout: 0%", "\nholdout: 5%"))
    world.settings = replace(world.settings, project_dir=own)
    for person in range(100):
        world.enter(person, "global_holdout" if person < 5 else "holdout" if person < 24 else "treated", START)
    world.plan(START + 10 * DAY)

    compared = _comparison(world.measured(), "global_holdout")

    assert [(arm.name, arm.people) for arm in compared.arms] == [("global_holdout", 5), ("treated", 76)]
    assert compared.mismatch == pytest.approx(1)


def test_arms_of_a_split_are_of_treated_people_who_had_not_reached_the_goal_before(world: World) -> None:
    names = [
        world.enter(1, "treated", START, START + 3 * DAY),
        world.enter(2, "treated", START, START + timedelta(hours=1)),
        world.enter(3, "treated", START),
        world.enter(4, "holdout", START, START + 3 * DAY),
        world.enter(5, "treated", START, START + 3 * DAY),
    ]
    world.arms = [(1, "short"), (2, "short"), (3, "long"), (4, "long")]
    world.plan(START)
    world.plan(START + DAY, [(name, "length", "short_note", "arm") for name in names[:4]])
    world.plan(START + 10 * DAY)

    seen = world.measured()

    assert _counts(seen, "split") == {"short": (2, 1, 1), "long": (1, 1, 0)}
    assert _comparison(seen, "split").left_out == 1


def test_the_funnel_says_who_came_rests_went_on_and_ended(world: World) -> None:
    one, two, three = (world.enter(n, "treated", START, status="active" if n == 1 else "completed") for n in (1, 2, 3))
    world.plan(START, [(name, None, "length", "entered") for name in (one, two, three)], also="other")
    world.plan(START + DAY, [(name, "length", "short_note", "arm") for name in (two, three)], also="other")
    over = [(two, "short_note", None, "completed"), (three, "short_note", None, "converted")]
    world.plan(START + 2 * DAY, over, also="other")

    seen = world.measured()

    assert [row.step for row in seen.funnel] == ["length", "short_note", "long_note"]
    rows = {row.step: (row.arrived, row.resting, row.went_on, row.ended) for row in seen.funnel}
    assert rows["length"] == (3, 1, 2, {})
    assert rows["short_note"] == (2, 0, 0, {"completed": 1, "converted": 1})
    assert rows["long_note"] == (0, 0, 0, {})
    assert seen.statuses == {"completed": 2, "active": 1}


@pytest.mark.torture
def test_a_count_is_unknown_until_a_receipt_of_its_kind_has_come_for_a_message_of_ours(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [world.enter(person, "treated", START, START + 2 * DAY if person == 1 else None) for person in (1, 2, 3)]
    world.plan(START)
    world.send(names, START)
    before = world.measured()
    printed.show(before)
    assert "unknown: no receipt of this kind has landed yet" in capsys.readouterr().out
    only = before.messages[0]
    assert (only.planned, only.sent, only.converted) == (3, 3, 1)
    assert only.delivered is only.opened is only.machine_opened is only.clicked is only.unsubscribed is None

    first, second, third = (f"to-{name}" for name in names)
    world.receive(
        ("email_delivered", first, {}),
        ("email_delivered", second, {}),
        ("email_opened", first, {"is_machine": True}),
        ("email_opened", first, {}),
        ("email_opened", first, {}),
        ("email_opened", second, {"is_machine": "yes"}),
        ("email_opened", third, {"is_machine": False}),
        ("email_clicked", third, {"is_machine": True}),
        ("email_complained", "of-nobody", {}),
    )

    only = world.measured().messages[0]
    assert (only.planned, only.sent) == (3, 3)
    assert (only.delivered, only.opened, only.machine_opened, only.clicked) == (2, 2, 1, 0)
    assert only.bounced is only.complained is only.unsubscribed is None


def test_each_kind_of_receipt_counts_the_messages_of_its_own_channel_and_campaign(world: World) -> None:
    people = [world.enter(person, "treated", START) for person in range(1, 7)]
    world.plan(START)
    first, second, third = world.send(people[:3], START)
    others = world.send(people[:3], START, slug="other")
    texts = world.send(people[3:5], START, channel="sms")
    world.receive(
        ("email_bounced", first, {}),
        ("email_complained", second, {}),
        ("email_complained", first, {}),
        ("email_unsubscribed", first, {}),
        ("email_unsubscribed", second, {}),
        ("email_unsubscribed", third, {}),
        *(("email_delivered", intent, {}) for intent in others),
        ("sms_clicked", texts[0], {"is_machine": "1"}),
        ("sms_clicked", texts[1], {}),
    )

    told = {message.channel: message for message in world.measured().messages}

    mail, text = told["email"], told["sms"]
    assert (mail.planned, mail.bounced, mail.complained, mail.unsubscribed, mail.delivered) == (3, 1, 2, 3, 0)
    assert (mail.opened, mail.clicked) == (None, None), "no open has been told of, nor a click on e-mail"
    assert (text.planned, text.clicked, text.unsubscribed) == (2, 1, None)


def test_a_receipt_is_something_that_was_told_and_no_page_of_its_name(world: World) -> None:
    name = world.enter(1, "treated", START)
    world.plan(START)
    (intent,) = world.send([name], START)
    world.receive(("email_opened", intent, {}), kind="page")

    assert world.measured().messages[0].opened is None


def test_a_message_converts_who_reached_the_goal_after_it_was_sent(world: World) -> None:
    names = [world.enter(person, "treated", START, START + person * DAY) for person in (1, 2, 3)]
    world.plan(START + 3 * DAY)
    world.send(names, START + 2 * DAY)

    assert world.measured().messages[0].converted == 1


@pytest.mark.parametrize("outcome", ["rejected", "unknown", "retry_later"])
def test_a_message_that_was_not_accepted_is_planned_and_not_sent(world: World, outcome: str) -> None:
    world.plan(START)
    name = world.enter(1, "treated", START, START + DAY)
    world.plan(START + DAY)
    world.send([name], START, outcome=outcome)
    only = world.measured().messages[0]
    assert (only.planned, only.sent, only.converted) == (1, 0, 0)


def test_before_the_first_plan_there_is_nothing_to_measure(world: World) -> None:
    with pytest.raises(DataError, match="there is nothing to measure yet"):
        world.measured()


@pytest.mark.torture
@pytest.mark.skipif(not EXPERIMENT.exists(), reason="the experiment's data is not here")
def test_the_published_experiment_comes_out_with_its_lifts(world: World) -> None:
    rows = duckdb.sql(f"select segment, visit from '{EXPERIMENT}'").fetchall()
    held = {"No E-Mail": "holdout", "Mens E-Mail": "short", "Womens E-Mail": "long"}
    names = []
    for person, (segment, visit) in enumerate(rows):
        arm = held[segment]
        goal_at = START + 2 * DAY if visit else None
        name = world.enter(person, "holdout" if arm == "holdout" else "treated", START, goal_at)
        if arm != "holdout":
            world.arms.append((person, arm))
            names.append(name)
    world.plan(START, [(name, "length", "short_note", "arm") for name in names])
    world.plan(START + 10 * DAY)

    seen = world.measured()

    split = {arm.name: arm for arm in _comparison(seen, "split").arms}
    control = _comparison(seen, "holdout").arms[0]
    assert [round(100 * (split[name].share - control.share), 2) for name in ("short", "long")] == [7.66, 4.52]
    assert not _comparison(seen, "split").is_broken
    assert finding(_comparison(seen, "split"), split["long"]) == "fewer than short, beyond chance"
    assert _comparison(seen, "holdout").is_broken, "a third was held out, not the fifth that the campaign says"


PASSES = st.lists(
    st.tuples(
        st.integers(1, 6),
        st.sampled_from(["treated", "holdout", "global_holdout"]),
        st.integers(0, 12),
        st.none() | st.integers(-1, 9),
    ),
    max_size=25,
)


@hypothesis_settings(max_examples=examples(50))
@given(PASSES)
def test_arms_are_counted_as_by_hand(passes: list[tuple[int, str, int, int | None]]) -> None:
    as_of, within = START + 14 * DAY, 7 * DAY
    rows = [
        {
            "enrollment_id": f"{number:03}",
            "person_id": person,
            "version": "v",
            "arm": arm,
            "entered_at": clock.naive(START + entered * DAY),
            "goal_at": None if after is None else clock.naive(START + (entered + after) * DAY),
        }
        for number, (person, arm, entered, after) in enumerate(passes)
    ]
    names = ["enrollment_id", "person_id", "version", "arm", "entered_at", "goal_at"]
    kinds = [pa.string(), pa.int64(), pa.string(), pa.string(), pa.timestamp("us"), pa.timestamp("us")]
    with duckdb.connect() as connection:
        connection.register("compared", pa.Table.from_pylist(rows, schema=pa.schema(zip(names, kinds, strict=True))))
        connection.execute(f"create table windows as select 'v' as version, {int(within.total_seconds())} as within")
        connection.execute(statement("tailrace.pipeline", "measured_people"), {"as_of": clock.naive(as_of)})
        counted = {arm: tuple(numbers) for _, arm, *numbers in connection.execute("select * from arms").fetchall()}

    expected: dict[str, list[int]] = {}
    for person in {row["person_id"] for row in rows}:
        mine = sorted(
            (row for row in rows if row["person_id"] == person),
            key=lambda row: (row["entered_at"], row["enrollment_id"]),
        )
        begun = mine[0]["entered_at"]
        goals = [row["goal_at"] for row in mine if row["goal_at"] and begun < row["goal_at"] <= begun + within]
        sums = expected.setdefault(mine[0]["arm"], [0, 0, 0])
        is_over = begun + within <= clock.naive(as_of)
        sums[0] += 1
        sums[1] += is_over
        sums[2] += is_over and bool(goals)
    assert counted == {arm: tuple(sums) for arm, sums in expected.items()}


ROADS = st.lists(
    st.tuples(
        st.integers(1, 4),
        st.sampled_from(["treated", "treated", "treated", "holdout"]),
        st.integers(2, 12),
        st.none() | st.integers(-1, 9),
        st.lists(
            st.tuples(
                st.sampled_from(["notes", "notes", "notes", "other"]),
                st.sampled_from(["length", "length", "length", "tone"]),
                st.sampled_from(["arm", "arm", "passed"]),
                st.integers(0, 4),
            ),
            max_size=3,
        ),
    ),
    max_size=12,
)
"""Passes as (person, arm, day of entry, days to the goal, moves); moves as (campaign, from, why, days after entry)."""


@pytest.mark.torture
@hypothesis_settings(max_examples=examples(60))
@given(ROADS)
def test_arms_of_a_split_are_counted_as_by_hand(roads: list[tuple[Any, ...]]) -> None:
    as_of, within = clock.naive(START + 14 * DAY), 7 * DAY
    begun = {number: clock.naive(START + entered * DAY) for number, (_, _, entered, *_) in enumerate(roads)}
    reached = {
        number: None if after is None else begun[number] + after * DAY for number, (*_, after, _) in enumerate(roads)
    }
    passes = [
        (f"{number:03}", person, "v", arm, begun[number], reached[number])
        for number, (person, arm, *_) in enumerate(roads)
    ]
    moves = [
        (campaign, f"{number:03}", "v", left, why, begun[number] + days * DAY)
        for number, (*_, moved) in enumerate(roads)
        for campaign, left, why, days in moved
    ]
    arms = {person: "short" if person % 2 else "long" for person in (1, 2, 3)}
    with duckdb.connect() as connection:
        connection.execute(
            "create table compared (enrollment_id varchar, person_id bigint, version varchar, arm varchar,"
            " entered_at timestamp, goal_at timestamp);"
            "create table moves (campaign varchar, enrollment_id varchar, version varchar, from_step varchar,"
            " why varchar, as_of timestamp);"
            "create table assigned (person_id bigint, step varchar, name varchar);"
            f"create table windows as select 'v' as version, {int(within.total_seconds())} as within"
        )
        for table, rows in (
            ("compared", passes),
            ("moves", moves),
            ("assigned", [(person, "length", name) for person, name in arms.items()]),
            ("assigned", [(person, "tone", f"not_{name}") for person, name in arms.items()]),
        ):
            if rows:
                places = ", ".join("?" for _ in rows[0])
                connection.executemany(f"insert into {table} values ({places})", [list(row) for row in rows])
        query = statement("tailrace.pipeline", "measured_split").format(assignments="assigned")
        connection.execute(query, {"as_of": as_of, "campaign": "notes", "step": "length"})
        counted = {name: tuple(numbers) for _, name, *numbers in connection.execute("from split_arms").fetchall()}

    expected: dict[str, list[int]] = {}
    for person, name in arms.items():
        drawn = [
            (when, pass_id)
            for campaign, pass_id, _, left, why, when in moves
            if (campaign, left, why) == ("notes", "length", "arm")
            and passes[int(pass_id)][1] == person
            and passes[int(pass_id)][3] == "treated"
        ]
        if not drawn:
            continue
        assigned_at, pass_id = min(drawn)
        entered = begun[int(pass_id)]
        goals = [goal for row in passes if row[1] == person and (goal := row[5]) is not None]
        is_left_out = any(entered < goal <= assigned_at for goal in goals)
        is_measured = entered + within <= as_of and not is_left_out
        sums = expected.setdefault(name, [0, 0, 0, 0])
        sums[0] += 1
        sums[1] += is_measured
        sums[2] += is_measured and any(assigned_at < goal <= entered + within for goal in goals)
        sums[3] += is_left_out
    assert counted == {name: tuple(sums) for name, sums in expected.items()}
