"""Senders in processes of their own: they claim and record in one journal, with one epoch, all at once."""

from __future__ import annotations

import multiprocessing
import os
from datetime import datetime
from pathlib import Path

from tailrace.journal import Journal, Record
from tailrace.settings import Settings

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.journal.workers"])

CLAIM = 3


def work(settings: Settings, epoch: int, at: datetime, start, told: Path) -> None:
    """Claim all that is due, a few at a time, and record it; a line in `told` is what left."""
    with Journal.open(settings) as journal, told.open("w") as out:
        start.wait()
        while True:
            items = journal.due_messages("email", at, 40).items
            if not items:
                return
            for first in range(0, len(items), CLAIM):
                some = items[first : first + CLAIM]
                claims = journal.claim(epoch, at, some, destination="relay", is_idempotent=False).claims
                for claim in claims:
                    print(claim.item_id, file=out)
                if claims:
                    journal.record(epoch, at, [Record(claim, "accepted", "ok") for claim in claims])


def claim_and_die(settings: Settings, epoch: int, at: datetime, crash_at: str) -> None:
    """Claim all that is due and die where `crash_at` says; `claiming`: before the claim is committed."""
    with Journal.open(settings) as journal:
        if crash_at == "claiming":
            journal._tops = lambda: os.kill(os.getpid(), 9)
        os.environ["TAILRACE_CRASH_AT"] = crash_at
        items = journal.due_messages("email", at, 9).items
        journal.claim(epoch, at, items, destination="relay", is_idempotent=False)


def open_it(settings: Settings, start, told) -> None:
    """Open the journal at the same moment as others, and tell which one it is."""
    start.wait()
    with Journal.open(settings) as journal:
        told.put(journal.journal_id)
