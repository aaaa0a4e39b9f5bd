from __future__ import annotations

from datetime import timedelta

import pytest

from tailrace.errors import JournalError
from tailrace.journal.trials import Trials

ADDRESS = "canary.kim@people.test"


def test_a_trial_is_there_before_it_has_an_outcome_and_nobody_knows_it_until_then(journal, at):
    trials = Trials(journal)
    seq = trials.begin("relay", "email", ADDRESS, "kim", at)

    (before,) = trials.last().values()
    trials.record(seq, "accepted", "smtp_250_end", "q1", at + timedelta(seconds=1))
    (after,) = trials.last().values()

    assert (before.who, before.begun_at, before.outcome, before.code) == ("kim", at, None, None)
    assert (after.seq, after.outcome, after.code) == (seq, "accepted", "smtp_250_end")
    assert ADDRESS not in repr(after)


def test_each_trial_has_an_id_of_its_own_and_each_connection_its_last_one(journal, at):
    trials = Trials(journal)
    seqs = [trials.begin(name, "email", ADDRESS, "kim", at) for name in ("relay", "ses", "relay")]

    assert len({trials.item_id(seq) for seq in seqs}) == 3
    assert {name: each.seq for name, each in trials.last().items()} == {"relay": seqs[2], "ses": seqs[1]}


def test_the_hash_of_an_address_is_the_same_however_it_is_written_and_another_one_for_another(journal, at):
    trials = Trials(journal)
    hashes = []
    for address in (ADDRESS, f" {ADDRESS.upper()}", "other@people.test"):
        trials.begin("relay", "email", address, "kim", at)
        hashes.append(trials.last()["relay"].address)
    assert hashes[0] == hashes[1] != hashes[2]


def test_what_became_of_a_trial_is_said_once(journal, at):
    trials = Trials(journal)
    seq = trials.begin("relay", "email", ADDRESS, "kim", at)
    trials.record(seq, "unknown", "end:reset", None, at)
    with pytest.raises(JournalError):
        trials.record(seq, "accepted", "ok", None, at)
    assert trials.last()["relay"].outcome == "unknown"


def test_a_trial_is_no_message(journal, at):
    Trials(journal).begin("relay", "email", ADDRESS, "kim", at)
    assert journal.counts().messages == {}
    assert journal.unknown() == []
