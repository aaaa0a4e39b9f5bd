"""Drafts from a plan to the outbox, by the command line, over a plan store made by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tailrace import clock, engine
from tailrace.journal.journal import Journal
from tailrace.landing.mirror import mirrored
from tailrace.planning.store import Inputs, Plan, Store
from tests.installation import Installation, call

AT = "2026-03-01T06:00:00Z"
SOURCE = {
    "channel": "email",
    "kind": "md",
    "subject": "Hello {{ customer.first_name }}",
    "preheader": "",
    "body": "Dear {{ customer.first_name }}, welcome.",
    "layout_html": "<html><body>{{ body }}</body></html>",
    "layout_text": "{{ body }}",
    "from_email": "hello@acme.test",
    "from_name": "Acme",
    "postal_address": "1 Street",
    "unsubscribe_url": "https://acme.test/u?p={person_id}",
}
PEOPLE = {"d1": ("Canary Kim", "awaiting_approval"), "d2": ("Lee", "awaiting_approval"), "now": ("Max", None)}


@pytest.fixture
def planned(tmp_path: Path) -> Installation:
    """An installation whose HEAD wants two drafts, one mail, a webhook step's worth of nothing, and one act."""
    installation = Installation(tmp_path / "data")
    store = Store(installation.settings)
    plan = Plan(None, clock.parse(AT), "scheduled", Inputs("", "", "", 0, ()), {})
    relations = {}
    with engine.connect(installation.settings) as connection:
        for name, rows in _rows().items():
            connection.execute(f"create table {name} as {' union all '.join(rows)}")
            relations[name] = (store.put(connection, f"from {name} order by 1"),)
    store.advance(store.save(replace(plan, relations=relations)))
    return installation


def _rows() -> dict[str, list[str]]:
    moment = f"timestamp '{AT[:10]} 06:00:00'"
    verdicts, payloads = [], []
    for number, (intent, (name, reason)) in enumerate(PEOPLE.items(), 1):
        verdicts.append(
            f"select '{intent}' as intent_id, 'e{number}' as enrollment_id, 'hello' as campaign, 'v' as version,"
            f" 'greet' as step, 'hi' as message, {number}::bigint as person_id, 'email' as channel, 'send' as verdict,"
            f" {'null' if reason is None else engine.literal(reason)}::varchar as reason, 'marketing' as class,"
            f" 50 as priority, {moment} as due_at, {moment} as deliver_after, {moment} + interval 1 day as expires_at,"
            " 'tips' as topic"
        )
        data = json.dumps({"customer": {"first_name": name, "person_id": number}})
        payloads.append(
            f"select '{intent}' as intent_id, {number}::bigint as person_id, 'hello' as campaign, 'greet' as step,"
            f" 'email' as channel, 'p{number}@people.test' as address, 'k' as message_key,"
            f" {engine.literal(data)} as data"
        )
    verdicts.append(verdicts[0].replace("'d1'", "'acted'").replace("'awaiting_approval'", "null"))
    verdicts.append(verdicts[0].replace("'d1'", "'skipped'").replace("'send'", "'skip'"))
    source = engine.literal(json.dumps(SOURCE))
    return {
        "verdicts": verdicts,
        "payloads": payloads,
        "messages": [
            (
                f"select 'k' as message_key, 'hello' as campaign, 'hi' as message, 'email' as channel, 'md' as kind,"
                f" {source} as source"
            )
        ],
        "acts": [
            (
                "select 'acted' as intent_id, 1::bigint as person_id, 'hello' as campaign, 'mark' as step,"
                " 'update' as kind, 'stage' as name, '\"greeted\"' as value"
            )
        ],
        "consents": [
            (
                "select 3::bigint as person_id, '' as channel, 'other' as topic, 'marketing' as class,"
                " 'unsubscribed_topic' as reason"
            )
        ],
    }


@pytest.mark.torture
def test_drafts_are_listed_shown_decided_and_delivered(planned: Installation) -> None:
    assert call(planned, "deliver", "--as-of", AT, "--json").json["steps"]["deliver"]["messages"]["accepted"] == 1

    listed = call(planned, "drafts", "list", "--json").json
    assert [row["intent_id"] for row in listed] == ["d1", "d2"]
    shown = call(planned, "drafts", "list")
    assert "people.test" not in shown.out + shown.err
    assert "Canary" not in shown.out + shown.err
    assert "1 of 2 that wait" in call(planned, "drafts", "list", "--limit", "1").err

    seen = call(planned, "drafts", "show", "d1")
    assert "Hello Canary Kim" in seen.out
    assert "Dear Canary Kim, welcome." in seen.out
    assert "p1@people.test" in seen.out
    assert "<body>" in call(planned, "drafts", "show", "d1", "--html").out

    done = call(planned, "drafts", "approve", "d1", "--reason", "read it", "--as-of", AT)
    assert (done.code, done.out) == (0, "1 approved\n")
    again = call(planned, "drafts", "approve", "d1", "--reason", "read it", "--as-of", AT)
    assert (again.code, again.out) == (0, "0 approved\n")
    assert "1 were approved before" in again.err
    assert (
        call(planned, "drafts", "reject", "--campaign", "hello", "--reason", "no", "--as-of", AT).out == "1 rejected\n"
    )
    assert call(planned, "drafts", "list").out == "No message waits for approval.\n"

    delivered = call(planned, "deliver", "--as-of", AT, "--json").json["steps"]["deliver"]
    assert (delivered["messages"]["accepted"], delivered["drafts_now"]) == (1, 0)
    mails = sorted(path.stem for path in (planned.settings.outbox / "email").glob("*.eml"))
    assert mails == ["d1", "now"]


def test_what_a_plan_does_without_calling_anybody_is_an_act_and_no_message(planned: Installation) -> None:
    call(planned, "deliver", "--as-of", AT)

    with Journal.open(planned.settings) as journal:
        (act,) = journal.mirror("acts", 0).to_pylist()
        assert (act["intent_id"], act["name"], act["value"]) == ("acted", "stage", '"greeted"')
        assert journal.intent("acted") is None
        assert journal.intent("skipped") is None
        assert journal.mirror("intents", 0).num_rows == 3
    assert [path.name for path in mirrored(planned.settings, "acts")] == ["acts-1-1.parquet"]


@pytest.mark.parametrize("point", ["journal.applied", "mirror.written", "mirror.moved"])
def test_killed_anywhere_an_act_is_done_and_mirrored_once(planned: Installation, point: str) -> None:
    killed = planned.forked("deliver", "--as-of", AT, TAILRACE_CRASH_AT=point)
    assert killed.code == -9
    for _ in range(2):
        assert call(planned, "deliver", "--as-of", AT).code == 0

    with Journal.open(planned.settings) as journal:
        acts = journal.mirror("acts", 0).to_pylist()
    files = mirrored(planned.settings, "acts")
    assert [act["intent_id"] for act in acts] == ["acted"]
    assert pq.read_table(files).to_pylist() == acts
    assert pq.read_table(mirrored(planned.settings, "intents")).num_rows == 3


def test_a_draft_whose_time_has_passed_cannot_be_approved_and_expires(planned: Installation) -> None:
    call(planned, "deliver", "--as-of", AT)
    late = "2026-03-02T06:00:01Z"

    one = call(planned, "drafts", "approve", "d1", "--reason", "too late", "--as-of", late)
    assert one.code == 1
    assert "d1 has expired" in one.err
    everything = call(planned, "drafts", "approve", "--all", "--reason", "too late", "--as-of", late)
    assert everything.out == "0 approved\n"
    assert "2 have expired" in everything.err
    assert call(planned, "deliver", "--as-of", late, "--json").json["steps"]["deliver"]["messages"]["expired"] == 2


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["approve", "--reason", "x"], 2, "expected intents, or --campaign, or --all"),
        (["approve", "d1", "--all", "--reason", "x"], 2, "only one of them"),
        (["approve", "d1"], 2, "--reason"),
        (["approve", "zzz", "--reason", "x"], 1, "zzz is not in the journal"),
        (["approve", "now", "--reason", "x"], 1, "now is accepted"),
        (["reject", "--campaign", "helo", "--reason", "x"], 1, "Did you mean `hello`"),
        (["show", "zzz"], 1, "no message `zzz` is in the journal"),
    ],
)
def test_what_cannot_be_decided_is_said(planned: Installation, arguments: list[str], code: int, words: str) -> None:
    call(planned, "deliver", "--as-of", AT)
    done = call(planned, "drafts", *arguments)
    assert done.code == code
    assert words in " ".join(done.err.split())
