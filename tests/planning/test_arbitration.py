"""Who gets out, who waits, who is dropped, and why: `judge` on candidates that stand in tables."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace import clock, engine
from tailrace.planning import relations
from tailrace.planning.arbitration import Hours, Limit, Rules, Sunset, judge
from tailrace.planning.enrollment import TABLES
from tailrace.planning.store import Inputs, Piece, Plan, Store
from tailrace.planning.verdict import DEFERS, IN_WORDS, Reason
from tailrace.settings import Settings
from tests.examples import examples
from tests.planning.world import OUTCOMES, campaign

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)  # a Monday
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
WEEK = Limit("marketing", None, 2, 7 * 86_400)


@dataclass
class Court:
    """What is true of people and campaigns, and the candidates to be judged."""

    connection: duckdb.DuckDBPyConnection
    store: Store
    people: dict[int, dict[str, Any]] = field(default_factory=dict)
    consents: list[dict[str, Any]] = field(default_factory=list)
    suppressions: list[dict[str, Any]] = field(default_factory=list)
    engagement: list[dict[str, Any]] = field(default_factory=list)
    campaigns: list[Any] = field(default_factory=lambda: [campaign("welcome", topic="tips")])
    candidates: list[dict[str, Any]] = field(default_factory=list)
    passing: list[dict[str, Any]] = field(default_factory=list)
    rules: Rules = field(default_factory=Rules)
    parent: Plan | None = None

    def asks(self, intent: str, person: int, slug: str = "welcome", **changes: Any) -> None:
        """Add a candidate. Its address is the person's, unless told otherwise."""
        spec = next(spec for spec in self.campaigns if spec.slug == slug)
        self.candidates.append(
            {
                "intent_id": intent,
                "enrollment_id": f"e-{intent}",
                "campaign": slug,
                "version": spec.version,
                "step": "hello",
                "message": "hello",
                "person_id": person,
                "channel": "email",
                "class": spec.definition["class"],
                "priority": spec.priority,
                "arm": "treated",
                "due_at": clock.naive(NOW),
                "expires_at": clock.naive(NOW + DAY),
                "refused": None,
                "address": f"p{person}@example.com",
                "missing": None,
            }
            | changes
        )

    def judge(self, now: datetime = NOW, outcomes: list[tuple[str, str]] | None = None) -> dict[str, dict[str, Any]]:
        """Judge the candidates, note what was said for the next time, and return the verdicts by intent."""
        self._fill()
        gone = [{"intent_id": intent, "outcome": outcome} for intent, outcome in outcomes or []]
        made = judge(
            self.connection,
            self.store,
            self.parent,
            self.rules,
            self.campaigns,
            now,
            pa.Table.from_pylist(gone, schema=OUTCOMES),
        )
        self.parent = plan_of(now, made)
        rows = self.connection.sql("select * from verdicts").to_arrow_table().to_pylist()
        return {row["intent_id"]: row for row in rows}

    def reasons(self, now: datetime = NOW, **more: Any) -> dict[str, tuple[str, str | None]]:
        return {intent: (row["verdict"], row["reason"]) for intent, row in self.judge(now, **more).items()}

    def said(self) -> set[str]:
        assert self.parent is not None
        table = self.store.table(self.parent, "said")
        assert table is not None
        return set(table.column("intent_id").to_pylist())

    def _fill(self) -> None:
        people = [
            {"person_id": person, "timezone": None, "country": None} | facts for person, facts in self.people.items()
        ]
        self._table("wh.core.dim_people", "person_id bigint, timezone varchar, country varchar", people)
        self._table(
            "wh.core.dim_consents", "person_id bigint, channel varchar, topic varchar, state varchar", self.consents
        )
        self._table("wh.core.dim_suppressions", "person_id bigint, channel varchar, reason varchar", self.suppressions)
        self._table(
            "wh.core.dim_engagement",
            "person_id bigint, channel varchar, engaged_at timestamp, n_unanswered integer, unanswered_since timestamp",
            self.engagement,
        )
        candidates = [
            {key: value for key, value in row.items() if key not in ("address", "missing")} for row in self.candidates
        ]
        prepared = [
            {"intent_id": row["intent_id"], "address": row["address"], "message_key": "k", "missing": row["missing"]}
            for row in self.candidates
            if row["message"] is not None
        ]
        self._table("candidates", TABLES["candidates"], candidates)
        self._table(
            "prepared",
            "intent_id varchar, address varchar, message_key varchar, data varchar, missing varchar",
            prepared,
        )
        self._table("passing", "campaign varchar, person_id bigint", self.passing)

    def _table(self, name: str, columns: str, rows: list[dict[str, Any]]) -> None:
        self.connection.execute(f"create or replace table {name} ({columns})")
        if rows:
            every = {key: None for row in rows for key in row}
            self.connection.register("given", pa.Table.from_pylist([every | row for row in rows]))
            self.connection.execute(f"insert into {name} by name select * from given")
            self.connection.unregister("given")


def plan_of(now: datetime, made: dict[str, tuple[Piece, ...]]) -> Plan:
    inputs = Inputs(loads="", project="", definitions="", journal_seq=0, releases=())
    return Plan(parent=None, as_of=now, cause="scheduled", inputs=inputs, relations=made)


@pytest.fixture
def court(tmp_path: Path) -> Iterator[Court]:
    own = Settings(data_dir=tmp_path, project_dir=tmp_path)
    connection = engine.connect(own)
    connection.execute("attach ':memory:' as wh; create schema wh.core")
    connection.execute("create temp table merges (person_id bigint, into_person_id bigint)")
    yield Court(connection, Store(own))
    connection.close()


SEND = ("send", None)


# -- consent -------------------------------------------------------------------------------------------------------


def test_a_dead_address_gets_nothing_of_any_class_and_a_farewell_stops_marketing_only(court: Court) -> None:
    court.campaigns.append(campaign("receipt", class_="transactional", topic=None))
    court.suppressions = [{"person_id": 1, "channel": "email", "reason": "bounced"}]
    court.consents = [
        {"person_id": 1, "channel": "", "topic": "", "state": "unsubscribed"},
        {"person_id": 2, "channel": "email", "topic": "", "state": "unsubscribed"},
        {"person_id": 3, "channel": "", "topic": "tips", "state": "unsubscribed"},
        {"person_id": 4, "channel": "sms", "topic": "", "state": "unsubscribed"},
        {"person_id": 5, "channel": "email", "topic": "news", "state": "unsubscribed"},
    ]
    for person in (1, 2, 3, 4, 5):
        court.asks(f"m{person}", person)
        court.asks(f"t{person}", person, "receipt")

    assert court.reasons() == {
        "m1": ("skip", "suppressed"),
        "t1": ("skip", "suppressed"),
        "m2": ("skip", "unsubscribed"),
        "t2": SEND,
        "m3": ("skip", "unsubscribed_topic"),
        "t3": SEND,
        "m4": SEND,
        "t4": SEND,
        "m5": SEND,
        "t5": SEND,
    }


def test_a_topic_that_is_off_by_default_reaches_those_who_agreed_to_it_on_this_channel(court: Court) -> None:
    court.rules = Rules(topics={"tips": "unsubscribed", "news": "subscribed"})
    court.consents = [
        {"person_id": 1, "channel": "", "topic": "tips", "state": "subscribed"},
        {"person_id": 2, "channel": "sms", "topic": "tips", "state": "subscribed"},
        {"person_id": 3, "channel": "", "topic": "", "state": "subscribed"},
        {"person_id": 4, "channel": "email", "topic": "tips", "state": "subscribed"},
        {"person_id": 4, "channel": "", "topic": "tips", "state": "unsubscribed"},
    ]
    for person in (1, 2, 3, 4):
        court.asks(f"m{person}", person)

    assert court.reasons() == {
        "m1": SEND,
        "m2": ("skip", "not_subscribed"),
        "m3": ("skip", "not_subscribed"),
        "m4": ("skip", "unsubscribed_topic"),
    }


def test_the_topic_and_window_are_those_of_the_version_that_the_pass_is_on(court: Court) -> None:
    old = campaign("welcome", topic="old", window={"days": [2], "from": 0, "to": 1440})
    source = json.dumps(dict(old.definition))
    piece = court.store.put(
        court.connection, "select 'welcome' as campaign, $v as version, $s as source", {"v": old.version, "s": source}
    )
    court.parent = plan_of(NOW - DAY, {"versions:welcome": (piece,)})
    court.consents = [{"person_id": 2, "channel": "", "topic": "old", "state": "unsubscribed"}]
    court.asks("m1", 1, version=old.version)
    court.asks("m2", 2, version=old.version)
    court.asks("m3", 2)
    found = court.judge()

    assert (found["m1"]["topic"], found["m1"]["deliver_after"]) == ("old", datetime.fromisoformat("2026-03-03"))
    assert found["m2"]["reason"] == "unsubscribed_topic"
    assert (found["m3"]["topic"], found["m3"]["reason"]) == ("tips", None)


def test_sunset_stops_marketing_after_so_many_unanswered_or_so_long_and_only_while_answers_are_measured(
    court: Court,
) -> None:
    since = clock.naive(NOW)
    court.campaigns.append(campaign("receipt", class_="transactional", topic=None))
    court.engagement = [
        {"person_id": 1, "channel": "email", "n_unanswered": 10, "unanswered_since": since - DAY},
        {"person_id": 2, "channel": "email", "n_unanswered": 9, "unanswered_since": since - 89 * DAY},
        {"person_id": 3, "channel": "email", "n_unanswered": 1, "unanswered_since": since - 90 * DAY},
        {"person_id": 4, "channel": "sms", "n_unanswered": 99, "unanswered_since": since - 99 * DAY},
    ]
    court.rules = Rules(sunset=Sunset(10, 90))
    for person in (1, 2, 3, 4):
        court.asks(f"m{person}", person)
    court.asks("t1", 1, "receipt")
    unmeasured = court.reasons()
    court.engagement.append({"person_id": 9, "channel": "email", "engaged_at": since, "n_unanswered": 0})

    assert set(unmeasured.values()) == {SEND}
    assert court.reasons() == dict.fromkeys(("m2", "m4", "t1"), SEND) | dict.fromkeys(("m1", "m3"), ("skip", "sunset"))
    court.rules = Rules(sunset=Sunset(None, 90))
    assert court.reasons()["m1"] == SEND
    court.rules = Rules()
    assert set(court.reasons().values()) == {SEND}


# -- order ---------------------------------------------------------------------------------------------------------


@pytest.mark.torture
def test_the_first_reason_in_the_order_of_the_engine_is_the_one_that_is_said(court: Court) -> None:
    """Everything stands against the candidate; each reason taken away shows the next."""
    other = campaign("first", topic="tips", priority=90)
    court.campaigns = [campaign("welcome", topic="tips"), other]
    court.rules = Rules(
        topics={"tips": "unsubscribed"},
        sunset=Sunset(1, None),
        exclusive=[["welcome", "first"]],
        limits=[Limit("marketing", None, 0, 60)],
    )
    court.suppressions = [{"person_id": 1, "channel": "", "reason": "listed"}]
    court.consents = [
        {"person_id": 1, "channel": "", "topic": "", "state": "unsubscribed"},
        {"person_id": 1, "channel": "", "topic": "tips", "state": "unsubscribed"},
        {"person_id": 2, "channel": "", "topic": "tips", "state": "subscribed"},
    ]
    answered = {"person_id": 9, "channel": "email", "engaged_at": clock.naive(NOW), "n_unanswered": 0}
    court.engagement = [{"person_id": 1, "channel": "email", "n_unanswered": 5}, answered]
    court.passing = [{"campaign": "first", "person_id": 1}]
    court.asks("m", 1, refused="paused", arm="global_holdout", address=None, missing="customer.x")
    court.asks("twin", 2, address="same@example.com")
    candidate = court.candidates[0]
    seen = []

    def look() -> None:
        seen.append(court.reasons()["m"])

    look()
    candidate["refused"] = None
    look()
    court.suppressions = []
    look()
    court.consents = court.consents[1:]
    look()
    court.consents = court.consents[1:]
    look()
    court.consents += [{"person_id": 1, "channel": "", "topic": "tips", "state": "subscribed"}]
    look()
    court.engagement = []
    look()
    candidate["arm"] = "holdout"
    look()
    candidate["arm"] = "treated"
    look()
    candidate["address"] = "Same@example.com"
    look()
    candidate["missing"], candidate["expires_at"] = None, clock.naive(NOW - HOUR)
    look()
    candidate["expires_at"] = clock.naive(NOW + HOUR)
    twin = court.candidates[1]
    for person in range(2, 40):
        # Somebody whose hash goes first shares the inbox.
        twin["person_id"] = person
        court.consents.append({"person_id": person, "channel": "", "topic": "tips", "state": "subscribed"})
        if court.reasons()["m"] == ("skip", "duplicate_inbox"):
            break
    look()
    court.candidates = [candidate]
    look()
    court.passing = []
    look()
    court.rules = Rules()
    look()

    assert seen == [
        ("defer", "paused"),
        ("skip", "suppressed"),
        ("skip", "unsubscribed"),
        ("skip", "unsubscribed_topic"),
        ("skip", "not_subscribed"),
        ("skip", "sunset"),
        ("skip", "global_holdout"),
        ("skip", "holdout"),
        ("skip", "no_address"),
        ("skip", "missing_field:customer.x"),
        ("skip", "expired"),
        ("skip", "duplicate_inbox"),
        ("defer", "exclusive"),
        ("defer", "frequency_cap"),
        ("send", None),
    ]
    assert {word for _, word in seen[:1] + seen[-3:-1]} == {str(reason) for reason in DEFERS}
    assert all(reason in IN_WORDS for reason in Reason)


def test_one_who_was_refused_entry_is_skipped_whatever_the_reason(court: Court) -> None:
    court.asks("a", 1, step="(entry)", message=None, channel=None, expires_at=None, refused="paused", address=None)
    court.asks("b", 2, step="(entry)", message=None, channel=None, expires_at=None, refused="late", address=None)

    assert court.reasons() == {"a": ("skip", "paused"), "b": ("skip", "late")}


def test_a_paused_message_waits_until_it_expires(court: Court) -> None:
    court.asks("m", 1, refused="paused")

    assert court.reasons() == {"m": ("defer", "paused")}
    assert court.reasons(NOW + DAY) == {"m": ("defer", "paused")}
    assert court.reasons(NOW + DAY + HOUR) == {"m": ("skip", "expired")}


def test_a_winner_of_a_campaign_whose_sending_is_draft_is_sent_to_wait_for_approval(court: Court) -> None:
    court.campaigns = [campaign("welcome", topic="tips", sending="draft")]
    court.rules = Rules(limits=[WEEK])
    court.asks("m", 1, refused="awaiting_approval")
    court.asks("n", 2)
    court.asks("hook", 3, **{"class": "action", "message": None, "channel": "webhook", "address": None})

    assert court.reasons() == {"m": ("send", "awaiting_approval"), "n": ("send", "awaiting_approval"), "hook": SEND}
    assert court.said() == {"m", "n"}


def test_word_to_staff_and_webhooks_know_no_consent_inbox_caps_or_hours(court: Court) -> None:
    court.campaigns = [campaign("welcome", window={"days": [7], "from": 0, "to": 60})]
    court.rules = Rules(limits=[Limit("marketing", None, 0, 60)], quiet_hours=Hours((1,), 0, 1440))
    court.suppressions = [{"person_id": 1, "channel": "", "reason": "listed"}]
    court.asks("s", 1, **{"class": "staff", "channel": "slack", "address": "ops"})
    court.asks("s2", 2, **{"class": "staff", "channel": "slack", "address": "ops"})
    court.asks("a", 1, **{"class": "action", "channel": "webhook", "message": None, "address": None})
    court.asks("h", 1, arm="holdout", **{"class": "action", "channel": "webhook", "message": None})
    court.asks("x", 1, expires_at=clock.naive(NOW - HOUR), **{"class": "staff", "channel": "slack"})
    found = court.judge()

    assert {intent: row["reason"] for intent, row in found.items()} == {
        "s": None,
        "s2": None,
        "a": None,
        "h": "holdout",
        "x": "expired",
    }
    assert {row["deliver_after"] for row in found.values() if row["verdict"] == "send"} == {clock.naive(NOW)}


# -- inbox, exclusive ----------------------------------------------------------------------------------------------


def test_one_person_per_inbox_gets_all_that_is_theirs(court: Court) -> None:
    for person, address in enumerate(("Shared@example.com", "shared@EXAMPLE.com", "shared@example.com"), start=4):
        court.asks(f"first{person}", person, address=address)
        court.asks(f"second{person}", person, address=address)
        court.asks(f"other{person}", person, address=address, step="later")
    found = court.reasons()
    winners = {intent for intent, verdict in found.items() if verdict == SEND}

    assert winners == {"first6", "second6", "other6"}, "of 4, 5 and 6 the hash of 6 is the smallest"
    assert {verdict for intent, verdict in found.items() if intent not in winners} == {("skip", "duplicate_inbox")}


def test_a_campaign_waits_for_those_that_stand_before_it_in_its_group(court: Court) -> None:
    court.campaigns = [
        campaign(slug, priority=priority) for slug, priority in (("b", 50), ("a", 50), ("top", 90), ("x", 1))
    ]
    court.campaigns.append(campaign("receipt", class_="transactional", topic=None, priority=1))
    court.rules = Rules(exclusive=[["b", "a", "top", "receipt", "no_such_campaign"]])
    court.passing = [
        {"campaign": "a", "person_id": 1},
        {"campaign": "b", "person_id": 2},
        {"campaign": "top", "person_id": 3},
    ]
    for person in (1, 2, 3):
        for slug in ("a", "b", "x", "receipt"):
            court.asks(f"{slug}{person}", person, slug, address=f"{slug}{person}@example.com")
    # Considered in this run is standing, too; a holdout is not.
    court.asks("top4", 4, "top")
    court.asks("a4", 4, "a")
    court.asks("top5", 5, "top", arm="holdout")
    court.asks("a5", 5, "a")
    waits = {intent for intent, verdict in court.reasons().items() if verdict == ("defer", "exclusive")}

    assert waits == {"b1", "b2", "b3", "a3", "a4"}


# -- caps ----------------------------------------------------------------------------------------------------------


def test_a_cap_lets_through_by_priority_then_deadline_then_hash(court: Court) -> None:
    court.campaigns = [campaign("low", priority=10), campaign("high", priority=90)]
    court.rules = Rules(limits=[WEEK])
    court.asks("z", 1, "high")
    court.asks("soon", 1, "low", expires_at=clock.naive(NOW + HOUR))
    court.asks("a", 1, "low", expires_at=clock.naive(NOW + DAY))
    court.asks("b", 1, "low", expires_at=clock.naive(NOW + DAY))
    court.asks("alone", 2, "low")
    for equal in ("e3", "e1", "e2"):
        court.asks(equal, 3, "low")
    found = court.judge()

    assert {intent for intent, row in found.items() if row["verdict"] == "send"} == {"z", "soon", "alone", "e1", "e2"}
    assert {found[intent]["reason"] for intent in "ab"} == {"frequency_cap"}
    assert {found[intent]["next_at"] for intent in "ab"} == {clock.naive(NOW + 7 * DAY)}


def test_a_smaller_message_slips_past_one_that_its_own_channels_cap_stops(court: Court) -> None:
    court.rules = Rules(limits=[Limit("marketing", "email", 1, 86_400), Limit("marketing", None, 2, 86_400)])
    court.asks("a", 1)
    court.asks("b", 1)
    court.asks("c", 1, channel="sms")
    court.asks("d", 1, channel="sms")

    assert {intent for intent, verdict in court.reasons().items() if verdict == SEND} == {"a", "c"}


@pytest.mark.torture
def test_what_was_said_counts_until_it_is_as_old_as_the_limit_or_was_taken_back(court: Court) -> None:
    court.rules = Rules(limits=[Limit("marketing", None, 1, 86_400)])
    court.asks("first", 1)
    assert court.reasons() == {"first": SEND}

    court.candidates = []
    court.asks("second", 1, expires_at=clock.naive(NOW + 9 * DAY))
    soon = court.judge(NOW + HOUR)["second"]
    assert (soon["reason"], soon["next_at"]) == ("frequency_cap", clock.naive(NOW + DAY))
    assert court.reasons(NOW + DAY - timedelta(seconds=1), outcomes=[("first", "accepted")]) == {
        "second": ("defer", "frequency_cap")
    }
    assert court.said() == {"first"}
    assert court.reasons(NOW + DAY) == {"second": SEND}
    assert court.said() == {"second"}

    for outcome in ("rejected", "expired", "cancelled", "blocked"):
        court.candidates = []
        court.asks(f"after-{outcome}", 1, expires_at=clock.naive(NOW + 9 * DAY))
        (last,) = court.said()
        assert court.reasons(NOW + DAY, outcomes=[(last, outcome)]) == {f"after-{outcome}": SEND}
    court.candidates = []
    court.asks("unknown", 1)
    assert court.reasons(NOW + DAY, outcomes=[("after-blocked", "unknown")]) == {"unknown": ("defer", "frequency_cap")}


def test_a_message_that_is_scheduled_counts_and_when_it_is_due_decides_how_long(court: Court) -> None:
    court.campaigns = [campaign("welcome", window={"days": [3], "from": 540, "to": 600})]
    court.rules = Rules(limits=[Limit("marketing", None, 1, 86_400)])
    court.asks("wednesday", 1, expires_at=clock.naive(NOW + 7 * DAY))
    first = court.judge()["wednesday"]
    court.candidates = []
    court.asks("again", 1, expires_at=clock.naive(NOW + 9 * DAY))
    again = court.judge(NOW + HOUR)["again"]

    wednesday = datetime.fromisoformat("2026-03-04 09:00")
    assert (first["verdict"], first["deliver_after"]) == ("send", wednesday)
    assert (again["reason"], again["next_at"]) == ("frequency_cap", wednesday + DAY)


def test_what_passes_after_a_message_does_not_put_off_when_it_is_eligible_again(court: Court) -> None:
    court.rules = Rules(limits=[Limit("marketing", "email", 1, 3_600), Limit("marketing", None, 2, 86_400)])
    court.asks("a", 1, priority=90)
    court.asks("b", 1, priority=80)
    court.asks("c", 1, priority=70, channel="sms")
    found = court.judge()

    assert [found[intent]["verdict"] for intent in "abc"] == ["send", "defer", "send"]
    assert found["b"]["next_at"] == clock.naive(NOW + HOUR)


@pytest.mark.parametrize(("most_before", "ago", "next_in"), [(2, (5, 1), 2), (3, (6, 3, 1), 4)])
def test_there_is_room_again_when_the_oldest_of_the_newest_that_fill_a_limit_leaves_it(
    court: Court, most_before: int, ago: tuple[int, ...], next_in: int
) -> None:
    court.rules = Rules(limits=[Limit("marketing", None, most_before, 7 * 86_400)])
    for days in ago:
        court.candidates = []
        court.asks(f"ago{days}", 1)
        assert court.reasons(NOW - days * DAY) == {f"ago{days}": SEND}
    court.rules = Rules(limits=[WEEK])
    court.candidates = []
    court.asks("now", 1)
    found = court.judge()["now"]

    assert (found["reason"], found["next_at"]) == ("frequency_cap", clock.naive(NOW + next_in * DAY))


def test_a_message_leaves_each_limit_at_the_second_at_which_it_is_that_old(court: Court) -> None:
    court.rules = Rules(limits=[Limit("marketing", None, 1, 3_600), Limit("marketing", None, 9, 86_400)])
    court.asks("first", 1)
    court.judge()
    court.candidates = []
    court.asks("second", 1)

    assert court.reasons(NOW + HOUR - timedelta(seconds=1)) == {"second": ("defer", "frequency_cap")}
    assert court.reasons(NOW + HOUR) == {"second": SEND}


def test_transactional_is_never_capped_counted_or_held_by_quiet_hours_or_topics(court: Court) -> None:
    court.campaigns.append(campaign("receipt", class_="transactional", topic="tips"))
    court.rules = Rules(
        topics={"tips": "unsubscribed"},
        limits=[WEEK, Limit("transactional", None, 0, 86_400)],
        quiet_hours=Hours((1, 2, 3, 4, 5, 6, 7), 0, 1440),
        exclusive=[["receipt", "welcome"]],
        sunset=Sunset(1, 1),
    )
    court.passing = [{"campaign": "welcome", "person_id": 1}]
    for number in range(5):
        court.asks(f"t{number}", 1, "receipt", priority=10, step=f"s{number}")
    found = court.judge()

    assert {(row["verdict"], row["reason"], row["deliver_after"]) for row in found.values()} == {
        ("send", None, clock.naive(NOW))
    }
    assert court.said() == set()


def test_transactional_messages_that_go_before_marketing_take_no_room_of_its_cap_and_need_none(court: Court) -> None:
    court.campaigns.append(campaign("receipt", class_="transactional", topic=None))
    court.rules = Rules(limits=[Limit("marketing", None, 1, 86_400)])
    court.asks("marketing", 1, priority=10)
    for number in range(2):
        court.asks(f"receipt{number}", 1, "receipt", priority=90, step=f"s{number}")

    assert court.reasons() == {"marketing": SEND, "receipt0": SEND, "receipt1": SEND}
    assert court.said() == {"marketing"}


# -- time ----------------------------------------------------------------------------------------------------------


def test_a_message_waits_for_its_window_and_the_end_of_the_quiet_hours_where_the_person_lives(court: Court) -> None:
    court.campaigns = [
        campaign("welcome", window={"days": [1, 2, 3, 4, 5], "from": 540, "to": 1080}),
        campaign(
            "receipt", class_="transactional", topic=None, window={"days": [1, 2, 3, 4, 5], "from": 420, "to": 1080}
        ),
        campaign("always"),
    ]
    court.rules = Rules(quiet_hours=Hours((1, 2, 3, 4, 5, 6, 7), 21 * 60, 10 * 60), timezone="America/New_York")
    court.people = {1: {"timezone": "Asia/Tokyo"}, 2: {"country": "NZ"}, 3: {}}
    for person in court.people:
        for slug in ("welcome", "receipt", "always"):
            court.asks(f"{slug}{person}", person, slug, address=f"{slug}{person}@example.com")
    found = {intent: row["deliver_after"] for intent, row in court.judge().items()}

    at = datetime.fromisoformat
    assert found == {
        "welcome1": at("2026-03-03 01:00"),  # 21:00 in Tokyo: quiet until ten
        "receipt1": at("2026-03-02 22:00"),
        "always1": at("2026-03-03 01:00"),
        "welcome2": at("2026-03-02 21:00"),  # 01:00 in Auckland
        "receipt2": at("2026-03-02 18:00"),
        "always2": at("2026-03-02 21:00"),
        "welcome3": at("2026-03-02 15:00"),  # 07:00 in New York
        "receipt3": at("2026-03-02 12:00"),
        "always3": at("2026-03-02 15:00"),
    }
    assert court.connection.execute("select distinct person_id from zoneless").fetchall() == [(3,)]


def test_a_message_whose_hours_begin_after_it_expires_or_never_is_expired(court: Court) -> None:
    court.campaigns = [
        campaign("welcome", window={"days": [3], "from": 0, "to": 60}),
        campaign("never", window={"days": [1], "from": 0, "to": 60}),
    ]
    court.rules = Rules(quiet_hours=Hours((1,), 0, 120))
    court.asks("late", 1, expires_at=datetime.fromisoformat("2026-03-03 23:59"))
    court.asks("on_time", 2, expires_at=datetime.fromisoformat("2026-03-04 00:00"))
    court.asks("never", 3, "never", expires_at=clock.naive(NOW + 300 * DAY))

    assert court.reasons() == {"late": ("skip", "expired"), "on_time": SEND, "never": ("skip", "expired")}


# -- what a plan keeps ---------------------------------------------------------------------------------------------


def test_the_plan_keeps_who_may_not_be_written_to_for_the_moment_of_the_call(court: Court) -> None:
    court.suppressions = [
        {"person_id": 1, "channel": "email", "reason": reason} for reason in ("bounced", "complained")
    ]
    court.consents = [
        {"person_id": 2, "channel": "", "topic": "", "state": "unsubscribed"},
        {"person_id": 2, "channel": "sms", "topic": "tips", "state": "unsubscribed"},
        {"person_id": 3, "channel": "", "topic": "tips", "state": "subscribed"},
    ]
    court.judge()
    assert court.parent is not None
    table = court.store.table(court.parent, "consents")
    assert table is not None

    columns = [column[0] for column in court.connection.execute(f"{relations.CONSENTS} limit 0").description]
    assert table.column_names == columns
    assert [tuple(row.values()) for row in table.to_pylist()] == [
        (1, "email", "", "", "suppressed"),
        (2, "", "", "marketing", "unsubscribed"),
        (2, "sms", "tips", "marketing", "unsubscribed_topic"),
    ]


# -- order of rows -------------------------------------------------------------------------------------------------

SLUGS = ["a", "b", "c", "receipt"]


@dataclass(frozen=True)
class Case:
    """Candidates as (person, campaign, hours to the deadline, channel, address, is held out), and what was said."""

    candidates: list[tuple[int, str, int, str, int, bool]]
    said: list[tuple[int, str, int]]
    limits: list[Limit]
    priorities: list[int]
    is_exclusive: bool


cases = st.builds(
    Case,
    candidates=st.lists(
        st.tuples(
            st.integers(1, 3),
            st.sampled_from(SLUGS),
            st.integers(0, 2),
            st.sampled_from(["email", "email", "sms"]),
            st.integers(1, 4),
            st.sampled_from([False, False, False, True]),
        ),
        max_size=14,
    ),
    said=st.lists(st.tuples(st.integers(1, 3), st.sampled_from(["email", "sms"]), st.integers(-2, 80)), max_size=8),
    limits=st.lists(
        st.builds(
            Limit,
            st.just("marketing"),
            st.sampled_from([None, "email", "sms"]),
            st.integers(1, 3),
            st.sampled_from([3_600, 86_400, 3 * 86_400]),
        ),
        max_size=3,
    ),
    priorities=st.lists(st.sampled_from([10, 50]), min_size=4, max_size=4),
    is_exclusive=st.booleans(),
)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Court]:
    own = Settings(data_dir=tmp_path_factory.mktemp("shared"), project_dir=Path(), threads=1)
    connection = engine.connect(own)
    connection.execute("attach ':memory:' as wh; create schema wh.core")
    connection.execute("create temp table merges (person_id bigint, into_person_id bigint)")
    yield Court(connection, Store(own))
    connection.close()


def set_up(court: Court, case: Case, order: random.Random | None) -> None:
    court.campaigns = [
        campaign(slug, priority=priority, class_="transactional" if slug == "receipt" else "marketing")
        for slug, priority in zip(SLUGS, case.priorities, strict=True)
    ]
    court.rules = Rules(limits=case.limits, exclusive=[["a", "b"]] if case.is_exclusive else [])
    court.candidates = []
    for number, (person, slug, hours, channel, inbox, is_holdout) in enumerate(case.candidates):
        court.asks(
            f"{number * 7919 % 97:02}",
            person,
            slug,
            expires_at=clock.naive(NOW + hours * HOUR),
            channel=channel,
            address=f"{inbox}@example.com",
            arm="holdout" if is_holdout else "treated",
        )
    said = [
        {
            "intent_id": f"s{number}",
            "person_id": person,
            "campaign": "a",
            "class": "marketing",
            "channel": channel,
            "topic": None,
            "at": clock.naive(NOW - hours * HOUR),
        }
        for number, (person, channel, hours) in enumerate(case.said)
    ]
    if order is not None:
        for rows in (court.campaigns, court.candidates, said):
            order.shuffle(rows)
        limits = list(case.limits)
        order.shuffle(limits)
        court.rules = Rules(limits=limits, exclusive=[["b", "a"]] if case.is_exclusive else [])
    court.connection.execute(f"create or replace temp table said_given as {relations.SAID} limit 0")
    if said:
        court.connection.register("given", pa.Table.from_pylist(said))
        court.connection.execute("insert into said_given by name select * from given")
        court.connection.unregister("given")
    court.parent = plan_of(NOW - DAY, {"said": (court.store.put(court.connection, "select * from said_given"),)})


@pytest.mark.torture
@settings(max_examples=examples(40))
@given(case=cases, seed=st.integers(0, 99))
def test_no_order_of_campaigns_limits_or_rows_changes_a_verdict(shared: Court, case: Case, seed: int) -> None:
    set_up(shared, case, None)
    expected = shared.judge()
    set_up(shared, case, random.Random(seed))

    assert shared.judge() == expected


@pytest.mark.torture
@settings(max_examples=examples(40))
@given(case=cases)
def test_caps_are_what_going_through_each_persons_messages_one_by_one_gives(shared: Court, case: Case) -> None:
    set_up(shared, case, None)
    found = shared.judge()
    now = clock.naive(NOW)
    priority = {spec.slug: spec.priority for spec in shared.campaigns}
    heard = [(person, channel, now - hours * HOUR) for person, channel, hours in case.said]
    running = [
        row for row in found.values() if row["class"] == "marketing" and row["reason"] in (None, "frequency_cap")
    ]
    running.sort(key=lambda row: (-priority[row["campaign"]], row["expires_at"], row["intent_id"]))
    for row in running:
        free = []
        for _, channel, most, seconds in case.limits:
            if channel in (None, row["channel"]):
                per = timedelta(seconds=seconds)
                times = sorted(
                    when
                    for person, medium, when in heard
                    if person == row["person_id"] and channel in (None, medium) and when > now - per
                )
                if len(times) >= most:
                    free.append(times[-most] + per)
        assert row["reason"] == ("frequency_cap" if free else None)
        assert row["next_at"] == max(free, default=None)
        if not free:
            heard.append((row["person_id"], row["channel"], row["deliver_after"]))
