"""Whatever senders, crashes, answers and honest people do: no intent reaches a plain destination twice."""

from __future__ import annotations

import tempfile
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from tailrace.errors import JournalError
from tailrace.journal import Journal, Record
from tailrace.settings import Settings

T0 = datetime(2026, 3, 1, 6, tzinfo=UTC)
NAMES = ("a", "b", "c", "d")
DRAFTS = frozenset({"c", "d"})


class NeverTwice(RuleBasedStateMachine):
    held = Bundle("held")

    def database(self):
        """Return the URL of the journal's database, if it is in one."""

    @initialize()
    def begin(self):
        self.folder = tempfile.TemporaryDirectory()
        root = Path(self.folder.name)
        self.settings = Settings(root, root, self.database())
        self.journal = Journal.open(self.settings)
        self.now = T0
        self.plans = 1
        self.arrived: Counter[str] = Counter()
        n, text, moment = len(NAMES), pa.string(), pa.timestamp("us")
        names = ("intent_id", "campaign", "version", "step", "enrollment_id", "channel", "message", "class")
        columns = {name: pa.array(NAMES if name == "intent_id" else ["email"] * n, text) for name in names}
        columns |= {"person_id": pa.array(range(n), pa.int64()), "priority": pa.array([1] * n, pa.int32())}
        columns |= {"deliver_after": pa.array([T0.replace(tzinfo=None)] * n, moment)}
        columns |= {"expires_at": pa.array([None] * n, moment)}
        columns |= {"is_draft": pa.array([name in DRAFTS for name in NAMES], pa.bool_())}
        self.approved: set[str] = set()
        self.journal.apply_plan("p1", None, T0, T0, pa.table(columns), [])
        self.epoch = self.journal.start_epoch(T0)

    def teardown(self):
        if hasattr(self, "journal"):
            self.journal.close()
            self.folder.cleanup()

    @rule(target=held, n=st.integers(1, 4))
    def claim(self, n):
        items = self.journal.due_messages("email", self.now, n).items
        claimed = self.journal.claim(self.epoch, self.now, items, destination="relay", is_idempotent=False)
        return multiple(*((self.epoch, claim) for claim in claimed.claims))

    @rule(one=consumes(held), arrives=st.booleans(), dies=st.booleans(), answer=st.sampled_from(["yes", "no", "later"]))
    def hand_over(self, one, arrives, dies, answer):
        epoch, claim = one
        if epoch != self.epoch:
            return  # the fence before the bytes
        if arrives:
            self.arrived[claim.item_id] += 1
        if dies:
            return
        if arrives:
            outcome = "accepted" if answer == "yes" else "unknown"
        else:
            outcome = {"yes": "unknown", "no": "rejected", "later": "retry_later"}[answer]
        self.journal.record(epoch, self.now, [Record(claim, outcome, "code", next_at=self.now)])

    @rule(target=held, one=consumes(held), n=st.integers(1, 4))
    def hand_over_and_go_on(self, one, n):
        epoch, claim = one
        if epoch != self.epoch:
            return multiple()
        self.arrived[claim.item_id] += 1
        items = self.journal.due_messages("email", self.now, n).items
        done = [Record(claim, "accepted", "code")]
        claimed = self.journal.claim(epoch, self.now, items, destination="relay", is_idempotent=False, done=done)
        return multiple(*((epoch, claim) for claim in claimed.claims))

    @rule(one=consumes(held))
    def die_holding_it(self, one):
        pass

    @rule()
    def another_sender_starts(self):
        self.epoch = self.journal.start_epoch(self.now)
        self.journal.sweep(self.epoch, self.now)

    @rule(hours=st.integers(1, 10))
    def time_passes(self, hours):
        self.now += timedelta(hours=hours)

    @rule(honest=st.data())
    def a_person_settles_what_they_looked_up(self, honest):
        unknown = self.journal.unknown()
        if unknown:
            one = honest.draw(st.sampled_from(unknown))
            outcome = "accepted" if self.arrived[one.intent_id] else "retry_later"
            self.journal.settle(one.intent_id, outcome, "kim", "looked it up", self.now)

    @rule(name=st.sampled_from(sorted(DRAFTS)), how=st.sampled_from(["approve", "reject"]))
    def a_person_decides_on_a_draft(self, name, how):
        try:
            getattr(self.journal, how)([name], "kim", "why", self.now)
        except JournalError:
            return
        if how == "approve":
            self.approved.add(name)

    @rule()
    def the_plan_is_applied_again(self):
        intents = self.journal.mirror("intents", 0).drop_columns(["seq", "plan_id", "applied_at"])
        assert self.journal.apply_plan("p1", None, T0, T0, intents, []) == 0
        self.plans += 1
        assert self.journal.apply_plan(f"p{self.plans}", "p1", T0, T0, intents, []) == 0

    @rule()
    def it_is_opened_again(self):
        self.journal.close()
        self.journal = Journal.open(self.settings)

    @invariant()
    def nobody_got_it_twice(self):
        assert all(n <= 1 for n in getattr(self, "arrived", Counter()).values())

    @invariant()
    def no_draft_left_without_a_word(self):
        arrived = getattr(self, "arrived", Counter())
        assert {name for name in DRAFTS if arrived[name]} <= getattr(self, "approved", set())

    @invariant()
    def what_arrived_is_never_said_not_to_have(self):
        if not hasattr(self, "journal"):
            return
        for row in self.journal._db.all("select item_id, state from states"):
            if row["state"] in {"pending", "rejected", "draft"}:
                assert self.arrived[row["item_id"]] == 0


class NeverTwiceInPostgres(NeverTwice):
    server = None

    def database(self):
        assert self.server is not None
        return self.server.schema()


@pytest.fixture(scope="module", autouse=True)
def _serving(server):
    NeverTwiceInPostgres.server = server


TestNeverTwice = NeverTwice.TestCase
TestNeverTwice.settings = settings(max_examples=25, stateful_step_count=25)

TestNeverTwiceInPostgres = NeverTwiceInPostgres.TestCase
TestNeverTwiceInPostgres.settings = settings(TestNeverTwice.settings, max_examples=8)
