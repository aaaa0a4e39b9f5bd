from __future__ import annotations

from datetime import timedelta

import pytest

from tailrace.errors import JournalError
from tailrace.journal.trials import Trials


def test_a_trial_is_there_before_it_has_an_outcome_and_nobody_knows_it_until_then(journal, at):
    trials = Trials(journal)
    seq = trials.begin("relay", "email", "kim", at)

    (before,) = trials.last().values()
    trials.record(seq, "accepted", "smtp_250_end", "q1", at + timedelta(seconds=1))
    (after,) = trials.last().values()

    assert (before.who, before.begun_at, before.outcome, before.code) == ("kim", at, None, None)
    assert (after.seq, after.outcome, after.code) == (seq, "accepted", "smtp_250_end")


def test_each_trial_has_an_id_of_its_own_and_each_connection_its_last_one(journal, at):
    trials = Trials(journal)
    seqs = [trials.begin(name, "email", "kim", at) for name in ("relay", "ses", "relay")]

    assert len({trials.item_id(seq) for seq in seqs}) == 3
    assert {name: each.seq for name, each in trials.last().items()} == {"relay": seqs[2], "ses": seqs[1]}


def test_what_became_of_a_trial_is_said_once(journal, at):
    trials = Trials(journal)
    seq = trials.begin("relay", "email", "kim", at)
    trials.record(seq, "unknown", "end:reset", None, at)
    with pytest.raises(JournalError):
        trials.record(seq, "accepted", "ok", None, at)
    assert trials.last()["relay"].outcome == "unknown"


def test_a_trial_is_no_message(journal, at):
    Trials(journal).begin("relay", "email", "kim", at)
    assert journal.counts().messages == {}
    assert journal.unknown() == []


def test_to_whom_a_trial_went_is_nowhere_in_the_journal(journal, at):
    Trials(journal).begin("relay", "email", "kim", at)
    (row,) = journal._db.tuples("select * from trials")
    assert tuple(row)[1:4] == ("relay", "email", "kim")
    assert len(row) == 5
