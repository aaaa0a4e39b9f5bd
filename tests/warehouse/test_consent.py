"""Consent, suppression and engagement through real dbt: events, receipts and the journal's mirror, load by load."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tailrace import ids
from tailrace.warehouse.build import build
from tests.warehouse.cast import PROJECT, call, land, track
from tests.warehouse.conftest import AS_OF, Built, read_before

SEGMENTS = {
    "got_any": ("received()", {"ann", "bob", "cid"}),
    "got_two": ("received(campaign='news', at_least=2)", {"ann"}),
    "got_lately": ("received(within='36 hours')", {"cid"}),
    "got_push": ("received(channel='push')", set()),
    "opened": ("opened(campaign='news')", {"ann"}),
    "opened_twice": ("opened(at_least=2)", set()),
    "opened_lately": ("opened(within='7 days')", {"ann"}),
    "clicked": ("clicked(channel='email', step='hello')", {"ann"}),
    "silent": ("received() and not " + "opened()", {"bob", "cid"}),
}

BLOCKED = ("gus", "hal", "ivo", "kim")

EVENTS = [
    *(
        call("identify", "2026-01-01T00:00:00Z", user, traits={"email": f"{address}@example.com"})
        for user, address in (
            ("ann", "Ann"),
            ("bob", "bob"),
            ("cid", "cid"),
            ("dan", "dan"),
            ("eve", "eve"),
            ("twin", "DAN"),
            ("fay", "fay"),
        )
    ),
    # Ann leaves, one source after the other says so, and she comes back herself.
    track("ann", "unsubscribed", "2026-02-01T00:00:00Z"),
    call("identify", "2026-02-02T00:00:00Z", "ann", traits={"unsubscribed": "yes"}),
    track("ann", "subscribed", "2026-02-03T00:00:00Z"),
    # Dan left one topic; who shares his inbox is bound with him.
    track("dan", "unsubscribed", "2026-02-01T00:00:00Z", topic="tips", channel="Email"),
    track("dan", "subscribed", "2026-02-05T00:00:00Z", topic="tips", by="import"),
    # Nobody in particular, by address.
    call(
        "track",
        "2026-02-01T00:00:00Z",
        event="unsubscribed",
        anonymousId="x",
        properties={"address": " EVE@example.com"},
    ),
    track("fay", "subscribed", "2026-02-01T00:00:00Z", topic="tips"),
    # What Customer.io says of whole people: Gus stays blocked, for another source took it back; Hal was let go again.
    *(call("identify", "2026-01-01T00:00:00Z", user, traits={"email": f"{user}@example.com"}) for user in BLOCKED),
    call("identify", "2026-01-01T00:00:00Z", "gus2", traits={"email": "gus@example.com"}),
    *(track(user, "User Suppressed", "2026-02-01T00:00:00Z") for user in ("gus", "hal", "ivo")),
    track("kim@example.com", "User Deleted", "2026-02-01T00:00:00Z"),
    track("hal", "User Unsuppressed", "2026-02-02T00:00:00Z"),
    # At one instant, no. A lifted bounce is nothing to them, and neither is a yes.
    track("ivo", "User Unsuppressed", "2026-02-01T00:00:00Z"),
    track("gus", "suppression_lifted", "2026-02-03T00:00:00Z"),
    track("gus", "subscribed", "2026-02-03T00:00:00Z"),
]
FROM_ELSEWHERE = [track("gus", "User Unsuppressed", "2026-02-05T00:00:00Z")]


def receipt(event: str, at: str, **properties: Any) -> dict[str, Any]:
    """What a provider says: about a message, not about a user."""
    return call("track", at, event=event, anonymousId="provider", properties=properties)


RECEIPTS = [
    receipt("email_delivered", "2026-02-20T10:00:00Z", intent_id="i-ann-1"),
    receipt("email_opened", "2026-02-25T11:00:00Z", intent_id="i-ann-1"),
    receipt("email_opened", "2026-02-25T12:00:00Z", intent_id="i-ann-1"),
    receipt("email_clicked", "2026-02-25T12:01:00Z", intent_id="i-ann-1", url="https://example.com"),
    receipt("email_opened", "2026-02-25T12:00:00Z", intent_id="i-bob-1", is_machine=True),
    receipt("email_bounced", "2026-02-26T00:00:00Z", intent_id="i-bob-1", kind="hard"),
    receipt("email_bounced", "2026-02-26T00:00:00Z", intent_id="i-ann-2", kind="soft"),
]

# What a refusal said of Dan, as `pipeline/refusals.py` tells it.
REFUSED = [receipt("sms_unsubscribed", "2026-02-28T00:00:00Z", intent_id="i-dan-1", code="twilio_21610")]

LATER = [
    receipt("email_complained", "2026-02-28T00:00:00Z", intent_id="i-cid-1"),
    track("fay", "unsubscribed", "2026-02-28T00:00:00Z", topic="tips"),
]

SENT = [
    ("i-ann-1", "ann", "2026-02-20T10:00:00"),
    ("i-ann-2", "ann", "2026-02-26T10:00:00"),
    ("i-bob-1", "bob", "2026-02-20T10:00:00"),
    ("i-cid-1", "cid", "2026-02-28T10:00:00"),
    ("i-dan-1", "dan", None),
]


def mirror(folder: Path) -> dict[str, list[Path]]:
    intents = [
        {
            "seq": seq,
            "intent_id": intent,
            "plan_id": "p",
            "campaign": "news",
            "version": "v",
            "step": "hello",
            "enrollment_id": "e",
            "person_id": ids.person_id(user),
            "channel": "email",
            "message": "hello",
            "class": "marketing",
            "priority": 50,
            "applied_at": datetime.fromisoformat("2026-02-01"),
        }
        for seq, (intent, user, _) in enumerate(SENT, 1)
    ]
    outcomes = [
        {
            "seq": seq,
            "intent_id": intent,
            "outcome": "accepted" if at else "rejected",
            "attempt": 1,
            "recorded_at": datetime.fromisoformat(at or "2026-02-20"),
        }
        for seq, (intent, _, at) in enumerate(SENT, 1)
    ]
    files = {}
    folder.mkdir(parents=True)
    for table, rows in (("intents", intents), ("outcomes", outcomes)):
        files[table] = [folder / f"{table}-1-{len(rows)}.parquet"]
        pq.write_table(pa.Table.from_pylist(rows), files[table][0])
    return files


@pytest.fixture(scope="module")
def built(cast: Built, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Two builds: what the second load says comes on top of the first."""
    folder = tmp_path_factory.mktemp("consent")
    shutil.copytree(PROJECT, folder / "project")
    for name, (condition, _) in SEGMENTS.items():
        (folder / "project/models/segments" / f"seg_{name}.sql").write_text(
            "-- One row per person.\nselect people.person_id from {{ ref('dim_people') }} as people\n"
            f"where {{{{ {condition.split(' and ')[0]} }}}}"
            + "".join(f" and not {{{{ {part.removeprefix('not ')} }}}}" for part in condition.split(" and ")[1:])
        )
    (folder / "project/seeds/suppression_list.csv").write_text(
        "user_id,address,channel,reason\nfay,,sms,erased\n,Nobody@example.com,,\n,ann@EXAMPLE.com,push,\n"
    )
    own = replace(cast.settings, data_dir=folder / "data", project_dir=folder / "project")
    settings = read_before(own, cast.settings)
    files = mirror(folder / "mirror")
    first = land(folder / "landing", EVENTS + RECEIPTS)
    build(settings, AS_OF, (first,), files)
    loads = (
        first,
        land(folder / "landing", LATER, seq=2),
        land(folder / "landing", FROM_ELSEWHERE, seq=3, source="support"),
        land(folder / "landing", REFUSED, seq=4, source="tailrace"),
    )
    generation = build(settings, AS_OF, loads, files)
    assert generation.failed == {}
    return Built(settings, generation, loads)


PEOPLE = ("ann", "bob", "cid", "dan", "eve", "twin", "fay", *BLOCKED, "gus2", "kim@example.com")


def rows(built: Built, table: str, *columns: str) -> set[tuple[Any, ...]]:
    people = {ids.person_id(user): user for user in PEOPLE}
    found = built.ask(f"select person_id, {', '.join(columns)} from core.{table}")
    return {(people[person], *rest) for person, *rest in found}


@pytest.mark.parametrize("name", SEGMENTS)
def test_engagement_selects_whom_it_says(built: Built, name: str) -> None:
    assert built.members(f"seg_{name}") == SEGMENTS[name][1]


def test_consent_is_the_most_restrictive_word_of_person_and_inbox(built: Built) -> None:
    assert rows(built, "dim_consents", "channel", "topic", "state") == {
        ("ann", "", "", "subscribed"),
        ("dan", "email", "tips", "unsubscribed"),
        ("dan", "sms", "", "unsubscribed"),
        # An import may agree for the other channels; the word about mail stands.
        ("dan", "", "tips", "subscribed"),
        ("twin", "email", "tips", "unsubscribed"),
        ("eve", "email", "", "unsubscribed"),
        ("fay", "", "tips", "unsubscribed"),
        ("fay", "email", "tips", "unsubscribed"),
        # A complaint is a farewell to marketing, besides what it does to the address.
        ("cid", "email", "", "unsubscribed"),
        ("gus", "", "", "subscribed"),
    }
    left = built.ask("select user_id from core.dim_people where is_unsubscribed order by user_id")
    assert left == [("cid",), ("eve",)]


BLOCKS = {
    ("gus", "", "suppressed"),
    ("gus", "email", "suppressed"),
    # Who has the inbox is not written to there, whoever it is.
    ("gus2", "email", "suppressed"),
    ("ivo", "", "suppressed"),
    ("ivo", "email", "suppressed"),
    ("kim@example.com", "", "deleted"),
    # Named by the address, the person who has it is meant.
    ("kim", "", "deleted"),
}


def test_hard_bounces_complaints_and_the_list_suppress(built: Built) -> None:
    assert rows(built, "dim_suppressions", "channel", "reason") == {
        ("bob", "email", "bounced"),
        ("cid", "email", "complained"),
        ("fay", "sms", "erased"),
        ("ann", "push", "listed"),
        *BLOCKS,
    }


def test_whom_customer_io_suppressed_or_deleted_nobody_writes_to_until_the_same_source_takes_it_back(
    built: Built,
) -> None:
    found = {row for row in rows(built, "dim_suppressions", "channel", "reason") if row[2] in ("suppressed", "deleted")}

    assert found == BLOCKS


def test_what_nobody_answered_is_counted_since_the_last_human_answer(built: Built) -> None:
    at = datetime.fromisoformat
    assert rows(built, "dim_engagement", "engaged_at", "n_sent", "n_unanswered", "unanswered_since") == {
        ("ann", at("2026-02-25T12:01:00"), 2, 1, at("2026-02-26T10:00:00")),
        ("bob", None, 1, 1, at("2026-02-20T10:00:00")),
        ("cid", None, 1, 1, at("2026-02-28T10:00:00")),
    }


def test_a_second_build_takes_nothing_twice(built: Built) -> None:
    counts = [built.ask(f"select count(*) from core.{table}")[0][0] for table in ("fct_sends", "fct_receipts")]

    assert counts == [4, 9]
    assert built.ask("select count(*) from core.fct_consent_statements") == [(17,)]
