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
from tests.installation import read_before
from tests.warehouse.cast import PROJECT, call, land, track
from tests.warehouse.conftest import AS_OF, Built

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

# Who has which number (and token), in whatever writing; the last one said is the one they have.
NUMBERS = {
    "nia": ["+49 30 1234"],
    "noa": ["0049 (0)30-1234"],
    "ned": ["+49301234", "+49 30 99"],
    "nat": ["030 555"],
    "nel": ["+49 30 777"],
    "lou": ["+49 30 888"],
    "wim": ["+1 (415) 555-0100"],
    "wes": ["+14155550100"],
    "pia": ["Token:A"],
    "pat": ["Token:A"],
    "pip": ["Token:B", "Token:C"],
}
DEAD_NUMBERS = [
    # What Twilio and FCM refused, as `pipeline/refusals.py` tells it: no address in it, for it is that of the person.
    receipt("sms_bounced", "2026-02-20T00:00:00Z", intent_id="i-nia-1", code="twilio_21614"),
    receipt("sms_bounced", "2026-01-15T00:00:00Z", intent_id="i-ned-1", code="twilio_21211"),
    receipt("push_bounced", "2026-02-20T00:00:00Z", intent_id="i-pia-1", code="UNREGISTERED"),
    receipt("push_bounced", "2026-01-15T00:00:00Z", intent_id="i-pip-1", code="UNREGISTERED"),
    # What Twilio's status callback said later; nobody's number, and one that was switched off for a while.
    receipt("sms_bounced", "2026-02-20T00:00:00Z", intent_id="i-nat-1", address="+4930555", code="30005"),
    receipt("sms_bounced", "2026-02-20T00:00:00Z", intent_id="i-nel-1", address="+4930777", code="30003"),
    receipt("whatsapp_bounced", "2026-02-20T00:00:00Z", intent_id="i-nel-1", address="whatsapp:+4930777", code="63024"),
    receipt("sms_bounced", "2026-02-20T00:00:00Z", address="+4930888", code=30006),
    receipt("suppression_lifted", "2026-02-21T00:00:00Z", address="+49 30 888"),
    # STOP, from a number that the company's endpoint knows nobody by.
    receipt("unsubscribed", "2026-02-20T00:00:00Z", address="whatsapp:+14155550100", channel="whatsapp"),
]


def with_numbers(project: Path) -> None:
    """Have the project's people have numbers and tokens, as docs/channels.md says."""
    model = project / "models/core/fct_person_facts.sql"
    said = "case when is_identify then trim({{ trait('said', 'NAME') }}) end as NAME,"
    changes = {
        "'attributes': [": "'attributes': ['phone', 'push_token', ",
        said.replace("NAME", "email"): "".join(said.replace("NAME", n) for n in ("email", "phone", "push_token")),
        "nullif(email, '') as email,": "nullif(email, '') as email, phone, push_token,",
    }
    text = model.read_text()
    for old, new in changes.items():
        assert text.count(old) == 1
        text = text.replace(old, new)
    model.write_text(text)


HAVE_NUMBERS = [
    call(
        "identify", f"2026-0{month}-01T00:00:00Z", user, traits={"push_token" if "oken" in number else "phone": number}
    )
    for user, numbers in NUMBERS.items()
    for month, number in enumerate(numbers, 1)
]

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
    *((f"i-{user}-1", user, None) for user in NUMBERS),
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
    with_numbers(folder / "project")
    first = land(folder / "landing", EVENTS + RECEIPTS + HAVE_NUMBERS)
    build(settings, AS_OF, (first,), files)
    loads = (
        first,
        land(folder / "landing", LATER, seq=2),
        land(folder / "landing", FROM_ELSEWHERE, seq=3, source="support"),
        land(folder / "landing", REFUSED + DEAD_NUMBERS, seq=4, source="tailrace"),
    )
    generation = build(settings, AS_OF, loads, files)
    assert generation.failed == {}
    return Built(settings, generation, loads)


PEOPLE = (*NUMBERS, "ann", "bob", "cid", "dan", "eve", "twin", "fay", *BLOCKED, "gus2", "kim@example.com")


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
        *STOPPED,
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


STOPPED = {("wim", "whatsapp", "", "unsubscribed"), ("wes", "whatsapp", "", "unsubscribed")}
UNREACHABLE = {
    ("nia", "sms", "bounced"),
    ("noa", "sms", "bounced"),
    ("nat", "sms", "bounced"),
    ("nel", "whatsapp", "bounced"),
    ("pia", "push", "bounced"),
    ("pat", "push", "bounced"),
}


def test_a_dead_number_or_token_is_dead_for_everybody_who_has_it_now_on_its_channel(built: Built) -> None:
    """Ned and Pip have another one since, Nel's phone was switched off, Lou's number was lifted."""
    found = {row for row in rows(built, "dim_suppressions", "channel", "reason") if row[0] in NUMBERS}

    assert found == UNREACHABLE


def test_who_says_stop_from_a_number_has_left_that_channel_whoever_has_the_number(built: Built) -> None:
    assert {row for row in rows(built, "dim_consents", "channel", "topic", "state") if row[0] in NUMBERS} == STOPPED


def test_hard_bounces_complaints_and_the_list_suppress(built: Built) -> None:
    assert rows(built, "dim_suppressions", "channel", "reason") == {
        ("bob", "email", "bounced"),
        ("cid", "email", "complained"),
        ("fay", "sms", "erased"),
        ("ann", "push", "listed"),
        *BLOCKS,
        *UNREACHABLE,
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


PREFERENCES: dict[str, tuple[list[object], set[tuple[str, str, str]]]] = {
    # What Customer.io was told of each, in order; what is known of channels and topics.
    "whole": (
        [{"topics": {"topic_1": False, "topic_2": True}, "channels": {"email": True, "SMS": "false"}}],
        {
            ("", "product_news", "unsubscribed"),
            ("", "topic_2", "subscribed"),
            ("email", "", "subscribed"),
            ("sms", "", "unsubscribed"),
        },
    ),
    "back": (
        [{"topics": {"topic_1": False}}, {"topics": {"topic_1": True, "topic_3": None}}],
        {("", "product_news", "subscribed")},
    ),
    "odd": (
        [{"topics": {"topic_2": "no, thanks"}, "channels": ["email"], "more": {"a": 1}}],
        {("", "topic_2", "unsubscribed")},
    ),
    "none": (["{topics", None, [1], {}, {"topics": {}}, {"topics": "{"}, 7], set()),
}


def test_preferences_at_customerio_are_what_somebody_agreed_to_and_refused(cast: Built, tmp_path: Path) -> None:
    key = "cio_subscription_preferences"
    said = [
        call("identify", f"2026-02-{day:02d}T00:00:00Z", user, traits={key: preference})
        for user, (preferences, _) in PREFERENCES.items()
        for day, preference in enumerate(preferences, 1)
    ]
    said += [
        call("identify", "2026-02-01T00:00:00Z", "dots", traits={f"{key}.topics.topic_1": False, f"{key}.x": False}),
        call("identify", "2026-02-02T00:00:00Z", "dots", traits={f"{key}.channels.email": True}),
        # Who refused in person is not brought back by what Customer.io has.
        track("person", "unsubscribed", "2026-01-01T00:00:00Z", topic="product_news"),
        call("identify", "2026-02-01T00:00:00Z", "person", traits={key: {"topics": {"topic_1": True}}}),
    ]
    project = tmp_path / "project"
    shutil.copytree(PROJECT, project)
    file = project / "dbt_project.yml"
    file.write_text(file.read_text().replace("customerio_topics: {}", "customerio_topics: {topic_1: product_news}"))
    settings = replace(cast.settings, data_dir=tmp_path / "data", project_dir=project)
    loads = (land(tmp_path / "a", said[::2]), land(tmp_path / "b", said[1::2], seq=2))
    build(settings, AS_OF, loads[:1])
    known = Built(settings, build(settings, AS_OF, loads), loads)
    found: dict[str, set[tuple[str, str, str]]] = {user: set() for user in PREFERENCES}
    rows = known.ask(
        "select user_id, channel, topic, state from core.dim_consents join core.dim_people using (person_id)"
    )
    for user, *consent in rows:
        found.setdefault(user, set()).add(tuple(consent))
    assert found == {
        **{user: expected for user, (_, expected) in PREFERENCES.items()},
        "dots": {("", "product_news", "unsubscribed"), ("email", "", "subscribed")},
        "person": {("", "product_news", "unsubscribed")},
    }


def test_a_second_build_takes_nothing_twice(built: Built) -> None:
    counts = [built.ask(f"select count(*) from core.{table}")[0][0] for table in ("fct_sends", "fct_receipts")]

    assert counts == [4, 17]
    assert built.ask("select count(*) from core.fct_consent_statements") == [(19,)]
