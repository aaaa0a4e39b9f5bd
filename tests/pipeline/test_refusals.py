"""Who said STOP to a provider, and whose address it gave up, is told to landing as receipts are: once."""

from __future__ import annotations

import json
import re
import shutil
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tailrace.destinations import twilio
from tailrace.destinations.base import discover
from tailrace.engine import statement
from tailrace.journal.readings import MIRRORS
from tailrace.landing.inbox import land_inbox
from tailrace.landing.loads import event_files, loads
from tailrace.landing.mirror import journal_dir
from tailrace.pipeline.refusals import tell
from tailrace.settings import Settings
from tests.installation import PROJECT

AT = datetime(2026, 3, 1, 6, tzinfo=UTC)
CONTRACT = Path("contracts") / "sources" / "tailrace.yml"
FCM = "  app: {type: fcm, key_env: F, project: p}\n"
TWILIO = "connections:\n  text: {type: twilio, account_sid: AC1, token_env: T, from: Acme}\n"
POSTMARK = "  mail: {type: postmark, token_env: P}\n"


@pytest.fixture
def settings(tmp_path):
    told = Settings(tmp_path / "data", tmp_path / "project")
    (told.project_dir / CONTRACT).parent.mkdir(parents=True)
    shutil.copy(PROJECT / CONTRACT, told.project_dir / CONTRACT)
    (told.project_dir / "destinations.yml").write_text(TWILIO + POSTMARK + FCM)
    return told


def mirrored(settings, first, *outcomes):
    """Mirror outcomes (intent, channel, outcome, code), numbered from `first`."""
    rows = [
        {
            "seq": first + number, "intent_id": intent, "person_id": 7, "campaign": "c", "step": "s",
            "channel": channel, "attempt": 1, "outcome": outcome, "code": code, "destination": "text",
            "provider_id": None, "recorded_at": AT.replace(tzinfo=None),
        }
        for number, (intent, channel, outcome, code) in enumerate(outcomes)
    ]  # fmt: skip
    folder = journal_dir(settings)
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(
        pa.Table.from_pylist(rows, schema=MIRRORS["outcomes"]),
        folder / f"outcomes-{first}-{first + len(rows) - 1}.parquet",
    )


def landed(settings):
    done = land_inbox(settings, AT).landed
    assert not [one.reasons for one in done if one.quarantined]
    files = [str(path) for path in event_files(settings, loads(settings))]
    if not files:
        return []
    columns = "event, properties ->> '$.intent_id', source, event_at, user_id"
    return duckdb.sql(f"select {columns} from read_parquet({files}) order by all").fetchall()


STOP = ("i1", "sms", "rejected", "twilio_21610")
DEAD = ("i2", "email", "rejected", "postmark_406")


def test_a_refusal_that_says_something_of_its_person_is_a_receipt_of_the_next_run(settings):
    mirrored(
        settings,
        1,
        STOP,
        DEAD,
        ("i3", "sms", "rejected", "twilio_21211"),
        ("i4", "sms", "accepted", "queued"),
        ("i5", "sms", "unknown", "twilio_21610"),
        ("i6", "whatsapp", "rejected", "twilio_21610"),
        ("i7", "push", "rejected", "UNREGISTERED"),
        ("i8", "push", "rejected", "SENDER_ID_MISMATCH"),
        ("i9", "sms", "rejected", "twilio_30003"),
    )
    assert tell(settings) is None
    at = AT.replace(tzinfo=None)
    assert landed(settings) == [
        ("email_bounced", "i2", "tailrace", at, None),
        ("push_bounced", "i7", "tailrace", at, None),
        ("sms_bounced", "i3", "tailrace", at, None),
        ("sms_unsubscribed", "i1", "tailrace", at, None),
        ("whatsapp_unsubscribed", "i6", "tailrace", at, None),
    ]


def test_each_outcome_is_told_once_whatever_is_repeated_or_cleaned_up(settings):
    mirrored(settings, 1, STOP)
    tell(settings)
    tell(settings)
    mirrored(settings, 2, DEAD)
    tell(settings)
    assert sorted(path.name for path in (settings.inbox / "tailrace").iterdir()) == [
        "refusals-1-1.jsonl",
        "refusals-2-2.jsonl",
    ]
    assert len(landed(settings)) == 2
    shutil.rmtree(settings.inbox)
    tell(settings)
    assert len(landed(settings)) == 2


def test_where_nothing_of_the_kind_was_said_nothing_is_written(settings):
    assert tell(settings) is None
    mirrored(settings, 1, ("i1", "sms", "rejected", "twilio_21612"))
    assert tell(settings) is None
    assert not settings.inbox.exists()


def test_codes_of_destinations_that_are_not_connected_say_nothing(settings):
    (settings.project_dir / "destinations.yml").write_text(TWILIO)
    mirrored(settings, 1, STOP, DEAD)
    tell(settings)
    assert [event for event, *_ in landed(settings)] == ["sms_unsubscribed"]


def test_without_the_contract_nothing_is_lost_and_it_is_said(settings):
    (settings.project_dir / CONTRACT).unlink()
    mirrored(settings, 1, STOP)
    assert "1 refusals say that people left" in tell(settings)
    assert not settings.inbox.exists()
    shutil.copy(PROJECT / CONTRACT, settings.project_dir / CONTRACT)
    assert tell(settings) is None
    assert [event for event, *_ in landed(settings)] == ["sms_unsubscribed"]


def test_the_models_know_every_receipt_that_a_destination_names():
    model = (PROJECT / "models" / "core" / "fct_receipts.sql").read_text()
    channels, kinds = (
        json.loads(re.search(rf"set {name} = (\[.*\])", model)[1].replace("'", '"')) for name in ("channels", "kinds")
    )
    named = [kind for module in discover().values() for kind in getattr(module, "RECEIPTS", {}).values()]
    assert named
    assert set(named) <= set(kinds)
    assert channels == ["email", "sms", "whatsapp", "push"], "the channels of refusals.sql"
    measured = re.findall(r"'([a-z]+_[a-z]+)'", statement("tailrace.pipeline", "measured_receipts"))
    assert set(measured) == {f"{channel}_{kind}" for channel in channels for kind in kinds}


def test_a_number_is_dead_by_the_same_codes_whether_twilio_says_so_at_the_call_or_later():
    model = (PROJECT / "models" / "core" / "fct_receipts.sql").read_text()
    later = re.findall(r"'(\d{5})'", model)
    assert sorted(f"twilio_{code}" for code in later) == sorted(
        code for code, kind in twilio.RECEIPTS.items() if kind == "bounced"
    )
