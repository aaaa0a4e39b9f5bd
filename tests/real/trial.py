"""What happens when the app's days go through tailrace one after another, and is it what the raw rows say?"""

from __future__ import annotations

import email
import json
import sqlite3
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from email import policy
from pathlib import Path

import duckdb

from tailrace import ids
from tailrace.pipeline import spine
from tailrace.pipeline.result import Result
from tailrace.planning.store import Store
from tests.installation import Installation, at
from tests.real.projects import HERE
from tests.real.social import LAST_DAY, SOURCE, App, Files, install

STEPS = ("land", "mirror", "build", "plan", "apply", "deliver", "publish")


@dataclass(frozen=True)
class Day:
    """One run: the files of the day before were new to it. `truth` is by account what the raw rows say."""

    on: date
    files: Files
    result: Result
    truth: dict[str, dict[str, object]]

    def accounts(self, fact: str) -> set[str]:
        """Return the accounts of which `fact` is true."""
        return {account for account, facts in self.truth.items() if facts[fact]}


@dataclass(frozen=True)
class Sent:
    """A message that the journal says was accepted, and the day of the run that planned it."""

    account: str
    campaign: str
    step: str
    on: date


@dataclass
class Trial:
    """The app in an installation, from the run of the day `first` (which lands all before it and is the baseline)."""

    root: Path
    first: date
    days: list[Day] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.app = App(self.root / "files")
        self.installation: Installation = install(self.root)

    def play(self, days: int) -> None:
        """Run the baseline, then `days` days with one file of each kind before each."""
        self._run(self.first, self.app.history(self.first))
        for number in range(1, days + 1):
            on = self.first + timedelta(days=number)
            self._run(on, self.app.day(on - timedelta(days=1)))

    def _run(self, on: date, files: Files) -> None:
        for path in files.paths:
            self.installation.drop(path, SOURCE)
        result = spine.run(self.installation.settings, at(on))
        day = Day(on, files, result, self._truth(on))
        check_day(day, self.installation)
        self.days.append(day)

    def _truth(self, on: date) -> dict[str, dict[str, object]]:
        asked = self.app.world.execute((HERE / "truth.sql").read_text(encoding="utf-8"), {"today": on})
        names = [column[0] for column in asked.description or ()][1:]
        return {str(row[0]): dict(zip(names, row[1:], strict=True)) for row in asked.fetchall()}

    @property
    def account_of(self) -> dict[int, str]:
        """The account of every person's key."""
        found = self.app.world.execute("select account_id from accounts").fetchall()
        return {ids.person_id(str(account)): str(account) for (account,) in found}

    def sent(self) -> list[Sent]:
        """Return every accepted message, as the journal has it."""
        accounts = self.account_of
        with sqlite3.connect(self.installation.settings.journal) as journal:
            rows = journal.execute(
                "select intents.person_id, intents.campaign, intents.step, plans.as_of from intents"
                " inner join plans on plans.plan_id = intents.plan_id"
                " inner join outcomes on outcomes.item_id = intents.intent_id and outcomes.outcome = 'accepted'"
            ).fetchall()
        return [
            Sent(accounts[person], campaign, step, datetime.fromtimestamp(as_of / 1e6, UTC).date())
            for person, campaign, step, as_of in rows
        ]

    def mails(self) -> list[tuple[str, str]]:
        """Return address and subject of every mail in the outbox, read as a mail program would."""
        found = []
        for path in self.installation.settings.outbox.rglob("*.eml"):
            message = email.message_from_bytes(path.read_bytes(), policy=policy.default)
            found.append((str(message["To"]), str(message["Subject"])))
        return found

    def arms(self, campaign: str) -> dict[str, str]:
        """Return the arm of everybody who ever entered the campaign."""
        store = Store(self.installation.settings)
        table = store.table(store.read("HEAD"), f"enrollments:{campaign}")
        accounts = self.account_of
        return {accounts[row["person_id"]]: row["arm"] for row in table.to_pylist()} if table is not None else {}

    def reached(self, campaign: str) -> set[str]:
        """Return who reached the campaign's goal, as the report counts them."""
        store = Store(self.installation.settings)
        table = store.table(store.read("HEAD"), f"enrollments:{campaign}")
        accounts = self.account_of
        rows = table.to_pylist() if table is not None else []
        return {accounts[row["person_id"]] for row in rows if row["goal_at"] is not None}

    def parked(self, segment: str) -> set[date]:
        """Return the days on which a segment stood still because a guard had parked it."""
        store = Store(self.installation.settings)
        return {
            plan.as_of.date() for _, plan in store.chain(store.head()) if plan.segments[segment]["parked"] is not None
        }


def members(published: duckdb.DuckDBPyConnection, segment: str) -> set[str]:
    """Return the user ids in a segment's table."""
    found = published.execute(
        f"select user_id from segments.{segment} inner join core.dim_people using (person_id)"
    ).fetchall()
    return {row[0] for row in found}


def check_day(day: Day, installation: Installation) -> None:
    """Fail unless the run's counts, people, states and segments are what the raw rows say."""
    result, files = day.result, day.files
    assert result.balances
    assert all(balance.holds for balance in result.balances)
    landed = {name: result.steps["land"][name] for name in ("lines", "landed", "duplicate", "quarantined")}
    assert landed == {
        "lines": files.rows,
        "landed": files.events,
        "duplicate": files.rows - files.events,
        "quarantined": 0,
    }
    assert result.steps["build"]["failed"] == {}
    assert result.steps["deliver"]["is_complete"]
    assert result.steps["deliver"]["unknown_now"] == 0
    assert result.steps["plan"]["people"] == len(day.truth)
    with duckdb.connect(str(installation.settings.published), read_only=True) as published:
        states = published.execute(
            "select user_id, state from states.fct_saas_states inner join core.dim_people using (person_id)"
            " where ended_at is null"
        ).fetchall()
        assert dict(states) == {account: facts["state"] for account, facts in day.truth.items()}
        assert len(states) == len(day.truth)
        assert members(published, "seg_renewal_due_7d") == day.accounts("is_renewal_due")
        assert members(published, "seg_likes_much") == day.accounts("likes_much")
        assert members(published, "seg_activated") == day.accounts("is_activated")
        assert members(published, "seg_usage_dropped") == day.accounts("is_usage_dropped")
        assert members(published, "seg_power_users") == day.accounts("is_power_user")


def check_mail(trial: Trial) -> None:
    """Fail unless each person got each message at most once, by the journal and by the mails themselves."""
    sent, mails = trial.sent(), trial.mails()
    twice = [what for what, count in Counter((each.account, each.step) for each in sent).items() if count > 1]
    assert twice == []
    assert len(mails) == len(sent)
    assert Counter(address for address, _ in mails) == Counter(f"{each.account}@example.com" for each in sent)
    # A second notice about another renewal would have another subject: the date is in it.
    kinds = Counter((address, subject.partition(" renews on ")[0]) for address, subject in mails)
    assert max(kinds.values(), default=1) == 1


def check_notices(trial: Trial) -> None:
    """Fail unless exactly those were told of a renewal who newly came within seven days of one, once, on that day."""
    expected: dict[str, date] = {}
    parked = trial.parked("seg_renewal_due_7d")
    before = trial.days[0].accounts("is_renewal_due")
    for day in trial.days[1:]:
        if day.on in parked:
            continue
        now = day.accounts("is_renewal_due")
        for account in now - before:
            expected.setdefault(account, day.on)
        before = now
    assert {each.account: each.on for each in trial.sent() if each.campaign == "renewal_reminder"} == expected
    renewed = trial.app.world.execute(
        "select account_id, happened_on from happenings where event = 'subscription_renewed' and happened_on < $last",
        {"last": trial.days[-1].on},
    ).fetchall()
    assert trial.reached("renewal_reminder") == {
        str(account)
        for account, on in renewed
        if str(account) in expected and timedelta(0) < on - expected[str(account)] <= timedelta(days=14)
    }


def check_onboarding(trial: Trial) -> None:
    """Fail unless each newcomer but the holdout got each step on its day, until the landed files show a friend."""
    arms, world = trial.arms("onboarding"), trial.app.world
    began = {
        str(account): (joined, friend)
        for account, joined, friend in world.execute(
            "select accounts.account_id, joined_on, min(event_time)"
            " from accounts left join events on events.account_id = accounts.account_id and event_type = 'newfriend'"
            " and event_time > joined_on and event_time <= joined_on + interval 14 days"
            f" where joined_on >= date '{trial.first - timedelta(days=1)}' and joined_on < date '{trial.days[-1].on}'"
            " group by all"
        ).fetchall()
    }
    newcomers = {account for account, (joined, _) in began.items() if joined >= trial.first}
    assert set(arms) == newcomers
    last = trial.days[-1].on
    assert trial.reached("onboarding") == {
        account for account in newcomers if (friend := began[account][1]) is not None and friend.date() < last
    }
    sent = [each for each in trial.sent() if each.campaign == "onboarding"]
    got = {(each.account, each.step): each.on for each in sent}
    assert {each.account for each in sent} <= {account for account, arm in arms.items() if arm == "treated"}
    for step, after in (("welcome", 1), ("first_project", 3), ("need_a_hand", 8)):
        expected = {}
        for account in newcomers:
            joined, friend = began[account]
            on = joined + timedelta(days=after)
            is_converted = friend is not None and friend.date() < on
            if arms[account] == "treated" and not is_converted and on <= last:
                expected[account] = on
        assert {account: on for (account, name), on in got.items() if name == step} == expected, step


def check_win_back(trial: Trial) -> None:
    """Fail unless those were written to who churned seven days before, had had a friend, and are not the holdout."""
    arms = trial.arms("win_back")
    ended = {
        str(account): (on, friends)
        for account, on, friends in trial.app.world.execute(
            "select account_id, happened_on, (select count(*) from events where event_type = 'newfriend'"
            " and events.account_id = happenings.account_id) from happenings where event = 'subscription_cancelled'"
        ).fetchall()
    }
    last = trial.days[-1].on
    eligible = {
        account: on + timedelta(days=7)
        for account, (on, friends) in ended.items()
        if friends and trial.first < on + timedelta(days=7) <= last
    }
    assert set(arms) == set(eligible)
    for step, after in (("what_is_new", 0), ("last_word", 10)):
        expected = {
            account: on + timedelta(days=after)
            for account, on in eligible.items()
            if arms[account] == "treated" and on + timedelta(days=after) <= last
        }
        assert {each.account: each.on for each in trial.sent() if each.step == step} == expected, step


def check_sync(trial: Trial) -> None:
    """Fail unless whoever obeyed every batch of the sync, in order, holds the power users as they last were."""
    settings = trial.installation.settings
    with sqlite3.connect(settings.journal) as journal:
        batches = journal.execute(
            "select batches.plan_id, batches.batch_no from outcomes"
            " inner join batches on batches.batch_id = outcomes.item_id"
            " where outcomes.outcome = 'accepted' order by outcomes.seq"
        ).fetchall()
    held: dict[str, dict[str, object]] = {}
    for plan_id, number in batches:
        name = "sync_webhook__power_users"
        document = json.loads((settings.outbox / name / f"{plan_id}-{name}-{number}.json").read_bytes())
        for row in document["rows"]:
            user = row["key"]["user_id"]
            assert (row["op"] == "add") == (user not in held)
            if row["op"] == "remove":
                del held[user]
            else:
                held[user] = row["data"]
    parked = trial.parked("seg_power_users")
    last = next(day for day in reversed(trial.days) if day.on not in parked)
    assert set(held) == last.accounts("is_power_user")
    assert {user: row["n_usage_days_30d"] for user, row in held.items()} == {
        user: last.truth[user]["n_days_30d"] for user in held
    }


def check_all(trial: Trial) -> None:
    """Fail unless everything that the trial sent is what the raw rows and the campaigns' rules ask for."""
    check_mail(trial)
    check_notices(trial)
    check_onboarding(trial)
    check_win_back(trial)
    check_sync(trial)


def check_churn(trial: Trial) -> None:
    """Fail unless people and churn are the README's check numbers, when the last run knows its as-of date."""
    assert trial.days[-1].on > LAST_DAY
    with duckdb.connect(str(trial.installation.settings.published), read_only=True) as published:
        people = published.execute("select count(*) from core.dim_people").fetchone()
        churned = published.execute(
            "select count(*), count(*) filter (started_at < timestamp '2025-01-01') from states.fct_saas_states"
            " where state = 'churned' and ended_at is null"
        ).fetchone()
    assert people == (1007,)
    # 26 of the 143 ended on the as-of date itself: the data set cuts there, so nobody could renew on that day.
    assert churned == (143, 117)
