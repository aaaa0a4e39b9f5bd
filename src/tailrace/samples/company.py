"""What does a year of a small SaaS company look like as files of events? Same arguments, same bytes."""

from __future__ import annotations

import calendar
from bisect import bisect
from collections import Counter
from dataclasses import dataclass, replace
from datetime import date
from itertools import accumulate
from pathlib import Path
from random import Random

from tailrace.errors import TailraceError
from tailrace.samples.collector import Collector, SampleFile
from tailrace.samples.life import DAY, HOUR, Act, live, visit
from tailrace.samples.people import Person, companies, person

_EPOCH = date(1970, 1, 1).toordinal()
_SIGN_UPS = (1.0, 1.15, 1.2, 1.1, 0.9, 0.35, 0.4)


@dataclass(frozen=True)
class Truth:
    """What is true of the events in the files, counted from what was played and not from what was written.

    n_events: by `track:<event>` and by type of the others. n_without_user: events without a userId (orphans until
    identities are merged). n_visitors: anonymous ids that never identify. n_late: events received six hours or more
    after they happened. n_skewed: events of a device with a wrong clock. n_unsubscribed, n_subscribed: people whose
    last word that was; n_paying: people whose last subscription event was not a cancellation. cast: a part (paying,
    annual, cancelled, won_back, payment_failed, unsubscribed, no_email, shares_address, never_returned, skewed) →
    the user ids that play it, in order.
    """

    n_events: dict[str, int]
    n_without_user: int
    n_visitors: int
    n_late: int
    n_skewed: int
    n_unsubscribed: int
    n_paying: int
    cast: dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class Sample:
    """What was generated. lines = events + duplicates + bad_lines, in each file and in all of them.

    `people` are those with a userId in at least one event. `start` and `end` (exclusive) are UTC dates of receipt.
    `files` are in order of time: months of history, then one a day.
    """

    target: Path
    start: date
    end: date
    split_last_days: int
    people: int
    lines: int
    events: int
    duplicates: int
    bad_lines: int
    bad_by_kind: dict[str, int]
    files: tuple[SampleFile, ...]
    truth: Truth

    @property
    def history(self) -> tuple[SampleFile, ...]:
        """Return the files of months, or of parts of them."""
        return self.files[: len(self.files) - self.split_last_days]

    @property
    def daily(self) -> tuple[SampleFile, ...]:
        """Return the files of single days at the end."""
        return self.files[len(self.files) - self.split_last_days :]


def generate(
    target: Path, *, people: int = 3000, start: date, days: int = 365, seed: int = 7, split_last_days: int = 30
) -> Sample:
    """Write the year's files into the folder `target` and return what is in them.

    One person in nine was a customer before `start`: what the billing system knows of them (from up to 400 days
    before) stands in the first file. Raises TailraceError when `target` holds files already.
    """
    if people < 1 or days < 1 or not 0 <= split_last_days <= days:
        raise TailraceError(
            f"people={people}, days={days}, split_last_days={split_last_days}: expected at least one person and one"
            " day, and no more single days than days"
        )
    if target.is_dir() and any(target.iterdir()):
        raise TailraceError(f"{target} is not empty; expected a new or empty folder: choose another, or remove it")
    first_day = start.toordinal() - _EPOCH
    since, until = first_day * DAY, (first_day + days) * DAY
    chance = _chance(seed, "company")
    firms = companies(max(1, people * 2 // 5), chance)
    cast = [person(number, firms, chance) for number in range(1, people + 1)]
    sharing = _share_addresses(cast, chance)
    births = _births(people, first_day, days, chance)
    collector = Collector(since, until, chance)
    tally = _Tally()
    for who, born in zip(cast, births, strict=True):
        kept = [
            act
            for act in _known(live(who, born, until, _chance(seed, who.user_id)), since)
            if collector.take(act, who, who.anonymous_id, who.locale)
        ]
        tally.add(who, kept)
    visitors = _visitors(collector, people, first_day, days, chance)
    files = tuple(collector.write(target, _starts(first_day, days, split_last_days)))
    counts = collector.counts
    bad = Counter[str]()
    for file in files:
        bad.update(file.bad)
    truth = Truth(
        n_events={name: counts[name] for name in sorted(counts) if name not in {"late", "skewed", "without_user"}},
        n_without_user=counts["without_user"],
        n_visitors=visitors,
        n_late=counts["late"],
        n_skewed=counts["skewed"],
        n_unsubscribed=len(tally.cast["unsubscribed"]),
        n_paying=len(tally.cast["paying"]),
        cast={part: tuple(ids) for part, ids in sorted(tally.cast.items())} | {"shares_address": sharing},
    )
    return Sample(
        target=target,
        start=start,
        end=date.fromordinal(start.toordinal() + days),
        split_last_days=split_last_days,
        people=tally.people,
        lines=sum(file.lines for file in files),
        events=sum(file.events for file in files),
        duplicates=sum(file.duplicates for file in files),
        bad_lines=bad.total(),
        bad_by_kind=dict(sorted(bad.items())),
        files=files,
        truth=truth,
    )


def _chance(seed: int, part: str) -> Random:
    # A year's play, not a secret. Each person has their own, so that a change in one life changes no other.
    return Random(f"{seed}/{part}")  # noqa: S311


def _births(people: int, first_day: int, days: int, chance: Random) -> list[int]:
    """Return when each signs up, in order: sign-ups grow threefold over a year and rest at weekends."""
    weights = list(accumulate(_SIGN_UPS[(first_day + day + 3) % 7] * 3 ** (day / 365) for day in range(days)))
    born = []
    for _ in range(people):
        if chance.random() < 0.11:
            day = first_day - 1 - int(chance.random() * 400)
        else:
            day = first_day + bisect(weights, chance.random() * weights[-1])
        born.append(day * DAY + int(chance.triangular(3, 23, 14) * HOUR))
    return sorted(born)


def _share_addresses(cast: list[Person], chance: Random) -> tuple[str, ...]:
    """Give one person in a hundred somebody else's address, in place; return all who share one."""
    sharing = set()
    for number in range(1, len(cast)):
        mine, other = cast[number], cast[int(chance.random() * number)]
        if chance.random() < 0.01 and mine.email and other.email:
            # Nobody hands on an address that has been handed on: two share, never three.
            if mine.user_id in sharing or other.user_id in sharing:
                continue
            cast[number] = replace(mine, email=other.email)
            sharing |= {mine.user_id, other.user_id}
    return tuple(sorted(sharing))


def _known(acts: list[Act], since: int) -> list[Act]:
    """Return the acts that somebody recorded: before `since` there was no collector, only the billing system."""
    kept = []
    for act in acts:
        if act.at >= since:
            kept.append(act)
        elif act.type in {"identify", "group"} or act.name == "signed_up" or act.device == "server":
            kept.append(act._replace(device="server"))
    return kept


def _visitors(collector: Collector, people: int, first_day: int, days: int, chance: Random) -> int:
    """Send the visitors who never say who they are; return how many left a trace."""
    count = 0
    for _ in range(int(people * 2.2 * days / 365)):
        at = (first_day + int(chance.random() ** 0.75 * days)) * DAY + int(chance.triangular(0, 24, 15) * HOUR)
        anonymous_id, locale = f"a-{chance.getrandbits(64):016x}", chance.choice(("en-US", "de-DE", "pt-BR", "ja-JP"))
        received = [collector.take(act, None, anonymous_id, locale) for act in visit(at, chance)]
        count += any(received)
    return count


def _starts(first_day: int, days: int, split_last_days: int) -> list[int]:
    """Return the first UTC day number of each file: calendar months, then single days."""
    split = first_day + days - split_last_days
    starts, day = [], first_day
    while day < split:
        starts.append(day)
        at = date.fromordinal(day + _EPOCH)
        day += calendar.monthrange(at.year, at.month)[1] - at.day + 1
    return starts + list(range(split, first_day + days))


class _Tally:
    """Counts what is true of each person's events that reached a file."""

    def __init__(self) -> None:
        self.people = 0
        self.cast: dict[str, list[str]] = {}
        for part in (
            "paying",
            "annual",
            "cancelled",
            "won_back",
            "payment_failed",
            "unsubscribed",
            "no_email",
            "never_returned",
            "skewed",
        ):
            self.cast[part] = []

    def add(self, who: Person, acts: list[Act]) -> None:
        said = [act for act in acts if act.is_identified]
        if not said:
            return
        self.people += 1
        tracks = sorted((act for act in said if act.type == "track"), key=lambda act: act.at)
        names = [act.name for act in tracks]
        money = [act for act in tracks if act.name and act.name.startswith("subscription_")]
        consent = [name for name in names if name in {"unsubscribed", "subscribed"}]
        paying = bool(money) and money[-1].name != "subscription_cancelled"
        billing = [act.body["billing"] for act in money if act.name == "subscription_started" and act.body]
        parts = {
            "paying": paying,
            "annual": paying and billing[-1] == "annual",
            "cancelled": bool(money) and not paying,
            "won_back": len(billing) > 1,
            "payment_failed": "payment_failed" in names,
            "unsubscribed": bool(consent) and consent[-1] == "unsubscribed",
            "no_email": who.email is None,
            "never_returned": "logged_in" not in names,
            "skewed": who.clock_skew_ms != 0,
        }
        for part, plays in parts.items():
            if plays:
                self.cast[part].append(who.user_id)
