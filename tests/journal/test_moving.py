"""A journal that was moved into a database is the one that it was: whatever it knew it knows, and it goes on."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.installation import PROJECT, invoke
from tests.journal.test_drafts import everything, states
from tests.journal.test_journal import chosen, claim_all

from tailrace.errors import JournalError
from tailrace.journal import Journal, Record, RowOutcome, SyncBatch
from tailrace.journal.moving import move


@pytest.fixture
def kind():
    return "sqlite"


@pytest.fixture
def there(settings, server):
    return replace(settings, journal_url=server.schema())


@pytest.fixture
def busy(journal, intents, at):
    """A journal with a row of everything that a day leaves."""
    journal.apply_plan("p1", None, at, at, intents("a", "b", "c"), [SyncBatch("s", 0, 3, "hook")])
    journal.apply_plan("p2", "p1", at, at, intents("d", is_draft=True), [SyncBatch("s", 0, 3, "hook")])
    epoch = journal.start_epoch(at)
    first, second, _ = claim_all(journal, epoch, at)
    journal.record(epoch, at, [Record(first, "accepted", "ok", provider_id="m1"), Record(second, "unknown", "end")])
    (batch,) = journal.claim(
        epoch, at, journal.due_batches("hook", "p2", at, 9).items, destination="hook", is_idempotent=True
    ).claims
    journal.record(epoch, at, [Record(batch, "accepted", "ok", rows=(RowOutcome(1, "rejected", "bad"),))])
    journal.live_acquire("kim", "go", at)
    journal.release_guard("left_share", "segment:x", "p1", 0.4, "kim", "known sale", at)
    journal.choose("b1", chosen("x"), "kim", "they asked", at)
    journal.begin_broadcast("news", "march", "f1", 10, "kim", at)
    return journal


def test_all_of_it_is_there_and_numbers_and_claims_go_on(busy, settings, there, at):
    before, identity, known = everything(busy), busy.journal_id, states(busy)
    newest = max(busy.mirror("outcomes", 0).column("seq").to_pylist())
    busy.close()

    aside, n_rows = move(there)

    assert n_rows == sum(map(len, before.values()))
    assert not list(settings.data_dir.glob("journal.sqlite*"))
    assert aside.is_file()
    with Journal.open(there) as moved:
        assert everything(moved) == before
        assert (moved.journal_id, states(moved), moved.copy_problem()) == (identity, known, None)
        assert not moved.live_show().held
        epoch = moved.start_epoch(at)
        assert moved.sweep(epoch, at).unknown == 1
        moved.approve(["d"], "kim", "read", at)
        (claim,) = claim_all(moved, epoch, at)
        moved.record(epoch, at, [Record(claim, "accepted", "ok")])
        assert [row["intent_id"] for row in moved.mirror("outcomes", newest).to_pylist()] == ["c", "d"]
    aside.rename(settings.journal)
    with Journal.open(settings) as left, pytest.raises(JournalError, match="behind its copy"):
        left.start_epoch(at)


def test_killed_before_the_file_was_put_aside_it_is_done_again(busy, settings, there):
    busy.close()
    aside, n_rows = move(there)
    aside.rename(settings.journal)
    assert move(there) == (aside, n_rows)


def test_nothing_is_moved_onto_another_journal_or_from_nowhere(busy, settings, there):
    busy.close()
    Journal.open(there).close()
    with pytest.raises(JournalError, match="holds another journal"):
        move(there)
    with pytest.raises(JournalError, match="TAILRACE_JOURNAL is not set"):
        move(settings)
    assert settings.journal.is_file()
    settings.journal.unlink()
    with pytest.raises(JournalError, match="there is no journal at"):
        move(there)


def test_the_command_says_how_much_it_moved_and_where_the_file_is(busy, settings, there):
    n_rows = sum(map(len, everything(busy).values()))
    busy.close()
    places = {"TAILRACE_DATA": str(settings.data_dir), "TAILRACE_PROJECT": str(PROJECT)}
    refused = invoke(["journal", "move"], **places)
    assert (refused.code, "TAILRACE_JOURNAL is not set" in refused.err) == (1, True)
    done = invoke(["journal", "move", "--json"], **places, TAILRACE_JOURNAL=there.journal_url)
    assert (done.code, done.json) == (0, {"rows": n_rows, "aside": str(settings.data_dir / "journal.moved")})
    again = invoke(["journal", "move"], **places, TAILRACE_JOURNAL=there.journal_url)
    assert (again.code, "there is no journal at" in again.err) == (1, True)
