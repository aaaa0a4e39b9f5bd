from __future__ import annotations

import shutil
import sqlite3
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from tests.journal.test_drafts import everything

from tailrace.errors import JournalError
from tailrace.journal import Claim, Journal, Record, RowOutcome, SyncBatch
from tailrace.journal.choices import CHOSEN
from tailrace.journal.readings import MIRRORS
from tailrace.journal.records import Choice
from tailrace.pipeline import operations
from tailrace.pipeline.request import heard

IN_A_FILE = pytest.mark.parametrize("kind", ["sqlite"], indirect=True)


def claim_all(journal, epoch, at, *, destination="relay", is_idempotent=False, **options):
    items = journal.due_messages("email", at, 100).items
    return journal.claim(epoch, at, items, destination=destination, is_idempotent=is_idempotent, **options).claims


def say_batch(journal, epoch, plan_id, at):
    due = journal.due_batches("hook", plan_id, at, 9).items
    (claim,) = journal.claim(epoch, at, due, destination="hook", is_idempotent=False).claims
    journal.record(epoch, at, [Record(claim, "accepted", "ok")])


def states(journal):
    return {row["item_id"]: row["state"] for row in journal._db.all("select item_id, state from states")}


def test_applying_a_plan_again_changes_nothing(journal, intents, at):
    assert journal.apply_plan("p1", None, at, at, intents("a", "b"), [SyncBatch("s", 0, 5, "hook")]) == 2
    before = everything(journal)
    assert journal.apply_plan("p1", None, at, at, intents("a", "b"), [SyncBatch("s", 0, 5, "hook")]) == 0
    assert everything(journal) == before


def test_an_intent_that_an_earlier_plan_brought_is_left_as_it_is(journal, intents, at):
    journal.apply_plan("p1", None, at, at, intents("a"), [])
    epoch = journal.start_epoch(at)
    (claim,) = claim_all(journal, epoch, at)
    journal.record(epoch, at, [Record(claim, "accepted", "ok")])
    assert journal.apply_plan("p2", "p1", at, at, intents("a", "b"), []) == 1
    assert states(journal) == {"a": "accepted", "b": "pending"}


def test_due_is_by_priority_then_order_and_pages_cover_all_once(journal, intents, at):
    journal.apply_plan("p1", None, at, at, intents("low1", "low2", priority=1), [])
    journal.apply_plan("p2", "p1", at, at, intents("high1", "high2", "high3", priority=9), [])
    journal.apply_plan("p3", "p2", at, at, intents("later", due=at + timedelta(hours=1)), [])
    seen, after = [], ()
    while after is not None:
        page = journal.due_messages("email", at, 2, *after)
        seen += [item.item_id for item in page.items]
        after = (page.after,) if page.after else None
    assert seen == ["high1", "high2", "high3", "low1", "low2"]


def test_a_claim_is_looked_at_again_in_its_own_transaction(journal, intents, at):
    journal.apply_plan("p1", None, at, at, intents("a", "b", "c"), [])
    epoch = journal.start_epoch(at)
    items = journal.due_messages("email", at, 100).items
    journal.claim(epoch, at, items[:1], destination="relay", is_idempotent=False)
    much_later = at + timedelta(days=31)
    assert journal.claim(epoch, much_later, items, destination="relay", is_idempotent=False).claims == []
    again = journal.claim(epoch, at, items, destination="relay", is_idempotent=False, withdrawn={"b": "unsubscribed"})
    assert again.claims == [Claim("c", 1)]
    assert again.cancelled == {"unsubscribed": 1}
    assert states(journal) == {"a": "claimed", "b": "cancelled", "c": "claimed"}


def test_a_claim_writes_the_outcomes_before_it_too_or_neither(journal, intents, at):
    journal.apply_plan("p1", None, at, at, intents("a", "b", "c"), [])
    epoch = journal.start_epoch(at)
    a, b, c = journal.due_messages("email", at, 9).items
    first = journal.claim(epoch, at, [a], destination="relay", is_idempotent=False).claims
    done = [Record(first[0], "accepted", "ok")]
    wrong = [*done, Record(Claim("c", 1), "accepted", "ok")]
    with pytest.raises(JournalError, match="not claimed by this sender"):
        journal.claim(epoch, at, [b], destination="relay", is_idempotent=False, done=wrong)
    assert states(journal) == {"a": "claimed", "b": "pending", "c": "pending"}
    assert journal.claim(epoch, at, [b, c], destination="relay", is_idempotent=False, done=done).claims == [
        Claim("b", 1),
        Claim("c", 1),
    ]
    assert states(journal) == {"a": "accepted", "b": "claimed", "c": "claimed"}
    assert [(line.what, line.code) for line in journal.history(["a"])][1:] == [("claimed", ""), ("accepted", "ok")]


@IN_A_FILE
def test_a_claim_looks_for_its_items_and_not_among_all_that_are_pending(journal):
    params = {"epoch": 1, "items": "[]", "now": 0, "destination": "relay", "is_idempotent": 0}
    plan = journal._db.tuples(f"explain query plan {journal._db.own_statement('claim')}", params)
    assert "(item_id=?)" in plan[0][3]


def test_only_the_epoch_that_claimed_may_record_and_nothing_of_a_bad_batch_is_written(journal, intents, at):
    journal.apply_plan("p1", None, at, at, intents("a", "b"), [])
    old = journal.start_epoch(at)
    claims = claim_all(journal, old, at)
    with pytest.raises(JournalError, match="not claimed by this sender"):
        journal.record(old, at, [Record(claims[0], "accepted", "ok"), Record(Claim("b", 2), "accepted", "ok")])
    assert states(journal) == {"a": "claimed", "b": "claimed"}
    new = journal.start_epoch(at)
    with pytest.raises(JournalError, match="replaced by a later one"):
        journal.record(old, at, [Record(claims[0], "accepted", "ok")])
    with pytest.raises(JournalError, match="replaced by a later one"):
        claim_all(journal, old, at)
    with pytest.raises(JournalError, match="not claimed by this sender"):
        journal.record(new, at, [Record(claims[0], "accepted", "ok")])


def test_a_dead_senders_claims_are_unknown_unless_repeats_are_recognised(journal, intents, at):
    journal.apply_plan("p1", None, at, at, intents("mail"), [SyncBatch("s", 0, 5, "hook")])
    journal.apply_plan("p2", "p1", at, at, intents("file", channel="sms"), [SyncBatch("s", 0, 5, "hook")])
    dead = journal.start_epoch(at)
    claim_all(journal, dead, at)
    journal.claim(dead, at, journal.due_messages("sms", at, 9).items, destination="outbox", is_idempotent=True)
    journal.claim(dead, at, journal.due_batches("hook", "p2", at, 9).items, destination="hook", is_idempotent=True)
    swept = journal.sweep(journal.start_epoch(at), at)
    assert (swept.unknown, swept.again) == (1, 2)
    assert states(journal) == {"mail": "unknown", "file": "pending", "p1/s/0": "cancelled", "p2/s/0": "pending"}
    (one,) = journal.unknown()
    assert (one.intent_id, one.code, one.campaign, one.destination) == ("mail", "sender_died", "welcome", "relay")
    assert journal.counts().oldest_unknown == at


@pytest.mark.parametrize(("destination", "is_idempotent"), [("relay", True), ("outbox", False), ("relay", False)])
def test_what_one_destination_may_have_is_claimed_for_no_other(journal, intents, at, destination, is_idempotent):
    journal.apply_plan("p1", None, at, at, intents("a"), [])
    epoch = journal.start_epoch(at)
    (claim,) = claim_all(journal, epoch, at, destination="outbox", is_idempotent=True)
    journal.record(epoch, at, [Record(claim, "retry_later", "reset", next_at=at, may_have_arrived=True)])
    assert claim_all(journal, epoch, at, destination=destination, is_idempotent=is_idempotent) == []
    assert journal.strand(epoch, at, "email", "outbox", is_idempotent=True) == 0
    assert journal.strand(epoch, at, "email", destination, is_idempotent=is_idempotent) == 1
    assert states(journal) == {"a": "unknown"}


@pytest.mark.parametrize(
    ("outcome", "state"),
    [("accepted", "accepted"), ("rejected", "rejected"), ("cancelled", "cancelled"), ("retry_later", "pending")],
)
def test_a_person_settles_an_unknown_once_and_it_is_journalled(journal, intents, at, outcome, state):
    journal.apply_plan("p1", None, at, at, intents("a"), [])
    claim_all(journal, journal.start_epoch(at), at)
    journal.sweep(journal.start_epoch(at), at)
    with pytest.raises(JournalError, match="has no reason"):
        journal.settle("a", outcome, "kim", "", at)
    journal.settle("a", outcome, "kim", "asked the relay", at)
    assert states(journal) == {"a": state}
    with pytest.raises(JournalError, match="expected one that is unknown"):
        journal.settle("a", outcome, "kim", "again", at)
    assert [line.what for line in journal.history(["a"])] == ["applied", "claimed", "unknown", outcome]
    assert journal._db.value("select reason from settlements") == "asked the relay"


def test_an_unknown_is_settled_only_with_a_word_that_means_something(journal, at):
    with pytest.raises(JournalError, match="does not settle"):
        journal.settle("a", "sent", "kim", "why", at)
    with pytest.raises(JournalError, match="not in the journal"):
        journal.settle("a", "accepted", "kim", "why", at)


def test_a_guard_release_is_open_until_a_plan_uses_it(journal, intents, at):
    number = journal.release_guard("left_share", "segment:x", "p1", 0.4, "kim", "known sale", at)
    (release,) = journal.releases()
    assert (release.seq, release.guard, release.subject, release.measured) == (number, "left_share", "segment:x", 0.4)
    journal.apply_plan("p2", None, at, at, intents(), [], [number])
    assert journal.releases() == []
    with pytest.raises(JournalError, match="has no reason"):
        journal.release_guard("left_share", "segment:x", "p1", 0.4, "kim", " ", at)


def test_row_outcomes_come_back_by_position_after_a_number(journal, intents, at):
    journal.apply_plan("p1", None, at, at, intents(), [SyncBatch("s", 0, 3, "hook"), SyncBatch("s", 1, 1, "hook")])
    epoch = journal.start_epoch(at)
    items = journal.due_batches("hook", "p1", at, 9).items
    first, second = journal.claim(epoch, at, items, destination="hook", is_idempotent=False).claims
    journal.record(epoch, at, [Record(first, "accepted", "ok", rows=(RowOutcome(1, "rejected", "bad"),))])
    table = journal.acknowledged_rows(0).sort_by([("seq", "ascending"), ("position", "ascending")])
    assert table.column("outcome").to_pylist() == ["accepted", "rejected", "accepted"]
    assert table.column("code").to_pylist() == ["ok", "bad", "ok"]
    seq = max(table.column("seq").to_pylist())
    assert journal.acknowledged_rows(seq).num_rows == 0
    journal.record(epoch, at, [Record(second, "retry_later", "busy", next_at=at)])
    assert journal.acknowledged_rows(seq).num_rows == 0, "still to be tried again"


@pytest.mark.parametrize(
    ("said", "is_held"),
    [
        (None, False),
        ("accepted", True),
        ("unknown", True),
        ("rejected", True),
        ("being said", True),
        ("put off", False),
        ("put off but for a row", True),
    ],
)
def test_what_is_said_once_is_not_said_by_a_plan_that_knows_less_than_was_said(journal, intents, at, said, is_held):
    first = [SyncBatch("s", 0, 2, "hook", is_once=True), SyncBatch("t", 0, 2, "hook")]
    journal.apply_plan("p1", None, at, at, intents(), first, heard_until=0)
    epoch = journal.start_epoch(at)
    if said is not None:
        items = journal.due_batches("hook", "p1", at, 9).items
        claims = journal.claim(epoch, at, items, destination="hook", is_idempotent=False).claims
        rows = (RowOutcome(1, "accepted", "ok"),) if said == "put off but for a row" else ()
        outcome, later = ("retry_later", at + timedelta(hours=1)) if said.startswith("put off") else (said, None)
        if said != "being said":
            journal.record(epoch, at, [Record(claim, outcome, "so", next_at=later, rows=rows) for claim in claims])

    second = [SyncBatch("s", 0, 2, "hook", is_once=True), SyncBatch("t", 0, 2, "hook")]
    journal.apply_plan("p2", "p1", at, at, intents(), second, heard_until=0)

    after = journal.start_epoch(at)
    due = [item.sync for item in journal.due_batches("hook", "p2", at, 9).items]
    assert due == (["t"] if is_held else ["s", "t"])
    if is_held:
        assert ("p2/s/0", "cancelled", "said_meanwhile") in [
            (row["item_id"], row["outcome"], row["code"])
            for row in journal._db.all("select item_id, outcome, code from outcomes")
        ]
    assert after > epoch


def test_a_plan_that_knows_all_that_was_said_says_the_rest(journal, intents, at):
    journal.apply_plan("p1", None, at, at, intents(), [SyncBatch("s", 0, 2, "hook", is_once=True)], heard_until=0)
    epoch = journal.start_epoch(at)
    items = journal.due_batches("hook", "p1", at, 9).items
    (claim,) = journal.claim(epoch, at, items, destination="hook", is_idempotent=False).claims
    journal.record(epoch, at, [Record(claim, "accepted", "ok")])
    heard = max(journal.acknowledged_rows(0).column("seq").to_pylist())
    journal.apply_plan("p2", "p1", at, at, intents(), [SyncBatch("s", 0, 2, "hook", is_once=True)], heard_until=heard)
    assert [item.sync for item in journal.due_batches("hook", "p2", at, 9).items] == ["s"]


def test_the_last_sign_of_a_sender_is_when_it_began_claimed_or_noted_something(journal, intents, at):
    assert journal.last_sign() is None
    journal.apply_plan("p1", None, at, at, intents("a"), [])
    epoch = journal.start_epoch(at)
    assert journal.last_sign() == at
    minutes = [at + timedelta(minutes=n) for n in (1, 2, 3)]
    (claim,) = claim_all(journal, epoch, minutes[0])
    assert journal.last_sign() == minutes[0]
    journal.record(epoch, minutes[1], [Record(claim, "accepted", "ok")])
    assert journal.last_sign() == minutes[1]
    journal.start_epoch(minutes[2])
    assert journal.last_sign() == minutes[2]


def test_what_is_answered_while_a_plan_reads_is_heard_by_the_next_one(journal, intents, at, monkeypatch):
    journal.apply_plan("p1", None, at, at, intents("mail"), [SyncBatch("s", 0, 1, "hook")])
    epoch = journal.start_epoch(at)
    read, times = journal.message_outcomes, iter(range(2))

    def read_while_somebody_sends(since_seq):
        if next(times) == 0:
            say_batch(journal, epoch, "p1", at)
            (claim,) = claim_all(journal, epoch, at)
            journal.record(epoch, at, [Record(claim, "accepted", "ok")])
        return read(since_seq)

    monkeypatch.setattr(journal, "message_outcomes", read_while_somebody_sends)
    rows, messages, until = heard(journal, 0)
    more_rows, more_messages, _ = heard(journal, until)
    assert rows.num_rows + more_rows.num_rows == 1
    assert messages.num_rows + more_messages.num_rows == 1


def test_the_mirror_is_typed_when_empty_and_goes_on_after_a_number(journal, intents, at):
    for table, schema in MIRRORS.items():
        assert journal.mirror(table, 0).schema == schema
    journal.apply_plan("p1", None, at, at, intents("a", "b"), [])
    epoch = journal.start_epoch(at)
    journal.record(
        epoch, at, [Record(claim, "accepted", "ok", provider_id="m1") for claim in claim_all(journal, epoch, at)]
    )
    rows = journal.mirror("intents", 0)
    assert rows.schema == MIRRORS["intents"]
    assert rows.column("intent_id").to_pylist() == ["a", "b"]
    assert rows.column("applied_at").to_pylist() == [at.replace(tzinfo=None)] * 2
    assert journal.mirror("intents", 1).column("intent_id").to_pylist() == ["b"]
    assert journal.mirror("outcomes", 0).column("outcome").to_pylist() == ["accepted", "accepted"]
    assert journal.mirror("outcomes", 0).column("person_id").to_pylist() == [1, 2]
    with pytest.raises(JournalError, match="not mirrored"):
        journal.mirror("attempts", 0)


def test_times_with_a_zone_and_without_are_the_same_instants(journal, intents, at):
    table = intents("a")
    zoned = table.set_column(
        table.schema.get_field_index("deliver_after"),
        "deliver_after",
        table.column("deliver_after").cast(pa.timestamp("ms", "UTC")),
    )
    journal.apply_plan("p1", None, at, at, zoned, [])
    assert journal.intents_of(1)[0].deliver_after == at


@IN_A_FILE
def test_the_files_are_for_their_owner_only(journal, settings, intents, at):
    journal.apply_plan("p1", None, at, at, intents("a"), [])
    claim_all(journal, journal.start_epoch(at), at)
    for path in [*settings.journal.parent.glob("journal.sqlite*"), settings.journal_copy]:
        assert path.stat().st_mode & 0o077 == 0, path


@IN_A_FILE
def test_every_commit_is_synced(journal):
    assert journal._db.value("pragma synchronous") == 2
    assert journal._db.value("pragma journal_mode") == "wal"


def test_migrations_are_numbered_kept_and_a_newer_file_is_refused(settings, journal):
    known = ["0001_the_journal", "0002_drafts_acts_and_answers", "0003_chosen_corrections", "0004_rates"]
    taken = [tuple(row) for row in journal._db.all("select * from migrations order by number")]
    assert [name for _, name in taken[:4]] == known
    assert [number for number, _ in taken] == list(range(1, len(taken) + 1))
    assert journal._db.migrate() == []
    with journal._db.transaction():
        journal._db.run("insert into migrations values (999, 'from_the_future')")
    with pytest.raises(JournalError, match="step 999"):
        Journal.open(settings)


@IN_A_FILE
def test_a_file_that_is_no_database_is_refused_in_words(settings):
    settings.journal.parent.mkdir(parents=True)
    settings.journal.write_bytes(b"not a database" * 100)
    with pytest.raises(JournalError, match="damaged"):
        Journal.open(settings)


class TestBehindItsCopy:
    @pytest.fixture
    def sent(self, journal, settings, intents, at, kind, request):
        """A journal that was backed up, then sent b and c; returns a function that puts the backup back, or nothing."""
        server = request.getfixturevalue("server") if kind == "postgres" else None
        batch = SyncBatch("s", 0, 2, "hook", "all")
        journal.apply_plan("p1", None, at, at, intents("a", "b", "c"), [batch])
        epoch = journal.start_epoch(at)
        items = journal.due_messages("email", at, 9).items
        (first,) = journal.claim(epoch, at, items[:1], destination="relay", is_idempotent=False).claims
        journal.record(epoch, at, [Record(first, "accepted", "ok")])
        backup = settings.journal.with_suffix(".backup")
        if server is not None:
            backup = server.dump(settings.journal_url)
        else:
            with sqlite3.connect(backup) as target:
                journal._db._connection.backup(target)
            target.close()
        claims = journal.claim(epoch, at, items[1:], destination="relay", is_idempotent=False).claims
        journal.record(epoch, at, [Record(claim, "accepted", "ok") for claim in claims])
        say_batch(journal, epoch, "p1", at)
        journal.apply_plan("p2", "p1", at, at, intents("d"), [batch])
        say_batch(journal, epoch, "p2", at)
        (last,) = journal.claim(
            epoch, at, journal.due_messages("email", at, 9).items, destination="relay", is_idempotent=False
        ).claims
        journal.record(epoch, at, [Record(last, "accepted", "ok")])
        journal.close()

        def restore(*, nothing=False):
            if server is not None:
                server.restore(settings.journal_url, None if nothing else backup)
                return
            for path in settings.journal.parent.glob("journal.sqlite*"):
                path.unlink()
            if not nothing:
                shutil.copy(backup, settings.journal)

        return restore

    def test_a_restored_journal_refuses_to_send(self, sent, settings, at):
        sent()
        with Journal.open(settings) as journal, pytest.raises(JournalError, match="behind its copy") as caught:
            journal.start_epoch(at)
        assert "--accept-journal --reason" in str(caught.value)

    def test_a_missing_journal_refuses_to_send(self, sent, settings, at):
        sent(nothing=True)
        with Journal.open(settings) as journal, pytest.raises(JournalError, match="is not the journal"):
            journal.start_epoch(at)

    def test_the_journal_that_was_not_restored_sends(self, sent, settings, at):
        with Journal.open(settings) as journal:
            assert journal.copy_problem() is None
            journal.start_epoch(at)

    @pytest.mark.parametrize("how", ["restored", "missing"])
    def test_taken_on_by_a_person_it_sends_again_but_nothing_that_the_copy_knows(
        self, sent, settings, intents, at, how
    ):
        sent(nothing=how == "missing")
        with Journal.open(settings) as journal:
            with pytest.raises(JournalError, match="needs a reason"):
                journal.accept_copy("kim", "", at)
            lost = journal.accept_copy("kim", "the disk died", at)
            assert lost == (3 if how == "restored" else 4)
            assert journal.accept_copy("kim", "again", at) == 0
            journal.apply_plan("p1", None, at, at, intents("a", "b", "c"), [])
            journal.apply_plan("p2", "p1", at, at, intents("d", "new"), [])
            epoch = journal.start_epoch(at)
            assert epoch > 100_000, "no sender of the time that was lost can pass for this one"
            assert [claim.item_id for claim in claim_all(journal, epoch, at)] == ["new"]
            assert {one.intent_id for one in journal.unknown()} >= {"b", "c", "d"}
            assert {one.code for one in journal.unknown()} == {"only_in_copy"}
            journal.settle("d", "retry_later", "kim", "the relay never saw it", at)
            assert [claim.item_id for claim in claim_all(journal, epoch, at)] == ["d"]
        with Journal.open(settings) as journal:
            assert journal.copy_problem() is None

    @pytest.mark.parametrize("how", ["restored", "missing"])
    def test_rows_that_the_newest_plan_said_are_of_unknown_fate_then_and_others_as_it_knew(
        self, sent, settings, intents, at, how
    ):
        sent(nothing=how == "missing")
        batch = SyncBatch("s", 0, 2, "hook", "all")
        with Journal.open(settings) as journal:
            assert journal.lost_batches() == ["p1/s/0", "p2/s/0"]
            journal.accept_copy("kim", "the disk died", at, "p2")
            journal.apply_plan("p2", "p1", at, at, intents("d"), [batch, replace(batch, batch_no=1)])
            journal.start_epoch(at)
            assert [due.item_id for due in journal.due_batches("hook", "p2", at, 9).items] == ["p2/s/1"]
            said = journal.acknowledged_rows(0).to_pylist()
            assert {(row["plan_id"], row["batch_no"], row["outcome"], row["code"]) for row in said} == {
                ("p2", 0, "unknown", "only_in_copy")
            }
            assert len(said) == 2
            assert all("/" not in one.intent_id for one in journal.unknown())
            assert journal.lost_batches() == ["p1/s/0"]

    @pytest.mark.parametrize(("known", "forgotten"), [([], {"s": 2}), (["p1"], {"s": 1}), (["p1", "p2"], {})])
    def test_who_takes_it_on_hears_of_syncs_whose_rows_are_said_again_because_their_plan_is_lost(
        self, sent, settings, known, forgotten
    ):
        sent()
        for plan_id in known:
            (settings.plans / plan_id).mkdir(parents=True)
            (settings.plans / plan_id / "plan.json").touch()
        assert operations.acquire(settings, "kim", "the disk died", accept_journal=True).forgotten == forgotten
        assert operations.acquire(settings, "kim", "again", accept_journal=True).forgotten == {}

    def test_numbers_that_readers_may_have_seen_are_not_given_out_again(self, sent, settings, intents, at):
        with Journal.open(settings) as journal:
            seen = max(journal.mirror("outcomes", 0).column("seq").to_pylist())
            seen_intents = max(journal.mirror("intents", 0).column("seq").to_pylist())
        sent()
        with Journal.open(settings) as journal:
            journal.accept_copy("kim", "the disk died", at)
            journal.apply_plan("p3", None, at, at, intents("new"), [])
            epoch = journal.start_epoch(at)
            (claim,) = claim_all(journal, epoch, at)
            journal.record(epoch, at, [Record(claim, "accepted", "ok")])
            newest = journal.mirror("outcomes", seen).to_pylist()
            assert [(row["intent_id"], row["outcome"]) for row in newest] == [
                ("b", "unknown"),
                ("c", "unknown"),
                ("d", "unknown"),
                ("new", "accepted"),
            ]
            assert journal.mirror("intents", seen_intents).column("intent_id").to_pylist() == ["new"]

    def test_a_line_that_a_slower_sender_wrote_after_it_does_not_hide_a_claim_that_is_missing(self, sent, settings, at):
        """Senders that work at the same time: the claim of `a` was committed first, and its line comes last."""
        first, *later = settings.journal_copy.read_bytes().splitlines(keepends=True)
        assert b'["a",1]' in first
        settings.journal_copy.write_bytes(b"".join((*later, first)))
        with Journal.open(settings) as journal:
            assert journal.copy_problem() is None
        sent()
        with Journal.open(settings) as journal, pytest.raises(JournalError, match="behind its copy"):
            journal.start_epoch(at)

    def test_a_torn_last_line_is_passed_over_and_fenced_off(self, sent, settings, intents, at):
        with settings.journal_copy.open("ab") as handle:
            handle.write(b'{"journal": "torn')
        with Journal.open(settings) as journal:
            journal.apply_plan("p3", None, at, at, intents("new"), [])
            claim_all(journal, journal.start_epoch(at), at)
        lines = settings.journal_copy.read_bytes().split(b"\n")
        assert lines[-3] == b'{"journal": "torn'
        assert b'"new"' in lines[-2]
        with Journal.open(settings) as journal:
            assert journal.copy_problem() is None

    def test_a_copy_with_a_very_long_last_line_is_still_read(self, journal, settings, intents, at):
        names = [f"intent-{number:030d}" for number in range(5000)]
        journal.apply_plan("p1", None, at, at, intents(*names), [])
        epoch = journal.start_epoch(at)
        items = journal.due_messages("email", at, 5000).items
        journal.claim(epoch, at, items, destination="outbox", is_idempotent=True)
        assert settings.journal_copy.stat().st_size > 3 * 65_536
        assert journal.copy_problem() is None


def test_the_claim_is_in_the_copy_before_it_returns_and_the_journal_may_be_ahead(journal, settings, intents, at):
    journal.apply_plan("p1", None, at, at, intents("a"), [])
    claim_all(journal, journal.start_epoch(at), at)
    assert b'["a",1]' in settings.journal_copy.read_bytes()
    settings.journal_copy.write_bytes(b"")
    assert journal.copy_problem() is None


ENTERED = datetime(2026, 1, 1, tzinfo=UTC).replace(tzinfo=None)


def chosen(*names, **changes):
    rows = [
        {
            "choice": 0,
            "enrollment_id": name,
            "campaign": "welcome",
            "step": "hello",
            "person_id": person,
            "occurrence": "",
            "entered_at": ENTERED,
            "due_at": ENTERED + timedelta(hours=2, microseconds=1),
            "object_id": None,
            "source": "app",
            "event_id": f"e-{name}",
        }
        | changes
        for person, name in enumerate(names, start=1)
    ]
    return pa.Table.from_pylist(rows, schema=CHOSEN)


def test_a_choice_waits_until_a_plan_considered_it_and_the_same_again_is_nothing_new(journal, intents, at):
    assert journal.choose("b1", chosen("x", "y"), "kim", "they asked", at) == 2
    assert journal.choose("b2", chosen("x", "y"), "kim", "again", at) == 0
    assert journal.choose("b2", chosen("y", "z"), "kim", "again", at) == 1
    assert journal.choices("b1") == [Choice(1, "b1", "kim", "they asked", at, 2, None)]
    waiting = journal.chosen()
    assert waiting.column("choice").to_pylist() == [1, 1, 2]
    assert waiting.drop_columns("choice").slice(0, 2) == chosen("x", "y").drop_columns("choice")

    journal.apply_plan("p1", None, at, at, intents(), [], used_choices=[1])

    assert journal.chosen().column("enrollment_id").to_pylist() == ["z"]
    assert journal.choices("b1")[0].plan_id == "p1"
    assert journal.ever_chosen().num_rows == 3
    assert journal.choose("b3", chosen("x"), "kim", "it was refused", at) == 1
    with pytest.raises(JournalError, match="there is no reason"):
        journal.choose("b3", chosen("w"), "kim", " ", at)


def test_of_who_is_erased_no_choice_is_left_and_nothing_of_what_they_did(journal, at):
    journal.choose("b1", chosen("x", "y", occurrence="order-7", object_id="o"), "kim", "they asked", at)

    journal.erase([1], at, is_dry=False)

    assert journal.chosen().column("enrollment_id").to_pylist() == ["y"]
    left = "select occurrence, object_id, source, event_id from chosen where person_id = 1"
    assert journal._db.tuples(left) == [(None, None, None, None)]
