from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from tests.landing import postgres

from tailrace.journal import Journal
from tailrace.settings import Settings

T0 = datetime(2026, 3, 1, 6, tzinfo=UTC)


@pytest.fixture
def at():
    return T0


@pytest.fixture(scope="session")
def server():
    with postgres.serving() as found:
        yield found


@pytest.fixture(params=["sqlite", "postgres"])
def kind(request):
    """What the journal is kept in: all that is true of it is true in both."""
    return request.param


@pytest.fixture
def settings(tmp_path, kind, request):
    url = request.getfixturevalue("server").schema() if kind == "postgres" else None
    return Settings(tmp_path / "data", tmp_path / "project", url, journal_copy_dir=tmp_path / "elsewhere")


@pytest.fixture
def journal(settings):
    with Journal.open(settings) as opened:
        yield opened


@pytest.fixture
def intents():
    """Return a function that makes a plan's intents: one per name, all people different."""

    def make(
        *names, due=T0, expires=T0 + timedelta(days=30), priority=50, channel="email", is_draft=False, klass="marketing"
    ):
        n, text, moment = len(names), pa.string(), pa.timestamp("us")
        return pa.table(
            {
                "intent_id": pa.array(names, text),
                "campaign": pa.array(["welcome"] * n, text),
                "version": pa.array(["v1"] * n, text),
                "step": pa.array(["hello"] * n, text),
                "enrollment_id": pa.array([f"e-{name}" for name in names], text),
                "person_id": pa.array(range(1, n + 1), pa.int64()),
                "channel": pa.array([channel] * n, text),
                "message": pa.array(["hello"] * n, text),
                "class": pa.array([klass] * n, text),
                "is_draft": pa.array([is_draft] * n, pa.bool_()),
                "priority": pa.array([priority] * n, pa.int32()),
                "deliver_after": pa.array([due.replace(tzinfo=None)] * n, moment),
                "expires_at": pa.array([expires and expires.replace(tzinfo=None)] * n, moment),
            }
        )

    return make
