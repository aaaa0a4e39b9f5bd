"""What does one invented person do, from the first visit to the last? Every act, in no particular order."""

from __future__ import annotations

import calendar
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from random import Random
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from tailrace.samples.people import Person

SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000

PLANS: dict[str, tuple[int, int]] = {"starter": (29, 24), "team": (99, 82), "business": (299, 249)}  # monthly, annual
REASONS = ("too_expensive", "missing_feature", "switched_tool", "project_ended", "no_time", "other")
INTEGRATIONS = ("slack", "github", "google_sheets", "jira", "zapier", "salesforce")
_WEEKDAYS = (1.0, 1.1, 1.1, 1.0, 0.85, 0.22, 0.25)
_HOURS = (8, 9, 9, 9, 10, 10, 10, 11, 11, 12, 13, 13, 14, 14, 14, 15, 15, 16, 16, 17, 18, 19, 20, 21)
_RATES = {"power": 0.85, "steady": 0.5, "casual": 0.22}
_APP_PAGES = ("Dashboard", "Projects", "Project", "Reports", "Report", "Settings", "Team", "Billing", "Integrations")
_SITE_PAGES = ("Home", "Pricing", "Features", "Blog", "Customers", "Docs", "Sign up")
_FORMATS = ("pdf", "csv", "csv", "xlsx")


class Act(NamedTuple):
    """One thing done at `at` (milliseconds since 1970, true time), as a call of Segment's spec.

    `name` is the event of a track and the name of a page. `body` are properties, or traits of identify and group.
    `device` is web, mobile or server; `delay` is how long the device had no network, in milliseconds.
    """

    at: int
    type: str
    name: str | None
    body: dict[str, Any] | None
    device: str
    is_identified: bool = True
    delay: int = 0


@dataclass
class _Life:
    person: Person
    chance: Random
    born: int
    end: int
    acts: list[Act] = field(default_factory=list)
    paid: list[tuple[int, int]] = field(default_factory=list)
    connected: list[str] = field(default_factory=list)
    is_activated: bool = False
    fades_from: int | None = None

    def add(self, at: int, name: str, body: dict[str, Any] | None = None, device: str = "server") -> None:
        self.acts.append(Act(at, "track", name, body, device))


def live(person: Person, born: int, end: int, chance: Random) -> list[Act]:
    """Return everything `person` does between the visits before signing up at `born` and `end` (exclusive).

    All chance comes from `chance`, in a fixed order.
    """
    life = _Life(person, chance, born, end)
    _sign_up(life)
    life.is_activated = chance.random() < 0.6
    _subscribe(life)
    _use(life)
    _consent(life)
    return [act for act in life.acts if act.at < end]


def visit(born: int, chance: Random) -> list[Act]:
    """Return the pages of one visitor who never says who they are."""
    pages = 1 + int(chance.expovariate(0.7))
    at, acts = born, []
    for _ in range(min(pages, 9)):
        acts.append(Act(at, "page", chance.choice(_SITE_PAGES), None, "web", False))
        at += int(chance.uniform(4, 160) * SECOND)
    return acts


def iso(at: int) -> str:
    """Return the instant `at` (milliseconds since 1970) as `2026-01-31T06:00:00.000Z`."""
    day, rest = divmod(at, DAY)
    minutes, millis = divmod(rest, MINUTE)
    return f"{_date(day)}T{minutes // 60:02d}:{minutes % 60:02d}:{millis // 1000:02d}.{millis % 1000:03d}Z"


def months_after(at: int, count: int) -> int:
    """Return the instant `count` calendar months after `at`; the 31st becomes the month's last day."""
    moment = datetime.fromtimestamp(at // SECOND, UTC)
    year, month = divmod(moment.year * 12 + moment.month - 1 + count, 12)
    last = calendar.monthrange(year, month + 1)[1]
    return int(moment.replace(year=year, month=month + 1, day=min(moment.day, last)).timestamp()) * SECOND


@cache
def _date(day: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=day)).strftime("%Y-%m-%d")


@cache
def _offset(timezone: str, day: int) -> int:
    """Return how far local time is ahead of UTC on that day, in milliseconds."""
    noon = datetime.fromtimestamp(day * 86_400 + 43_200, ZoneInfo(timezone))
    shift = noon.utcoffset()
    assert shift is not None
    return int(shift.total_seconds()) * SECOND


def _local(life: _Life, day: int) -> int:
    """Return an instant in somebody's working hours on the UTC day number `day`."""
    hour = life.chance.choice(_HOURS)
    return day * DAY + hour * HOUR + int(life.chance.random() * HOUR) - _offset(life.person.timezone, day)


def traits(person: Person) -> dict[str, Any]:
    """Return the identify traits of `person`; without an address, half say null and half say nothing."""
    body: dict[str, Any] = {"email": person.email, "first_name": person.first_name, "last_name": person.last_name}
    if person.email is None and int(person.user_id[1:]) % 2:
        del body["email"]
    body |= {"country": person.country, "timezone": person.timezone}
    if person.company:
        body["company"] = person.company.name
    return body


def _sign_up(life: _Life) -> None:
    chance, person, born = life.chance, life.person, life.born
    at = born - int(chance.expovariate(0.5) * DAY) - HOUR
    for _ in range(chance.choice((0, 1, 2, 3, 5))):
        life.acts.append(Act(at, "page", chance.choice(_SITE_PAGES), None, "web", False))
        at += int(chance.uniform(5, 120) * SECOND)
    life.acts.append(Act(born - 40 * SECOND, "page", "Sign up", None, "web", False))
    life.acts.append(Act(born, "identify", None, traits(person), "web"))
    life.add(born + 300, "signed_up", None, "web")
    if person.company:
        firm = person.company
        body = {"name": firm.name, "industry": firm.industry, "employees": firm.employees}
        life.acts.append(Act(born + 900, "group", None, body, "web"))


def _subscribe(life: _Life) -> None:
    """Play trial, subscription, renewals, failed payments, cancellation and coming back."""
    chance = life.chance
    has_trial = chance.random() < 0.88
    trial_end = life.born + 14 * DAY
    plan = chance.choice(("starter", "team", "team", "business"))
    if has_trial:
        life.add(life.born + 1_500, "trial_started", {"plan": plan, "trial_ends_at": iso(trial_end)})
    if chance.random() >= (0.46 if life.is_activated else 0.05):
        return
    at = trial_end - int(chance.uniform(-2, 5) * DAY) if has_trial else life.born + int(chance.uniform(0.1, 3) * DAY)
    if chance.random() < 0.28:
        life.fades_from = at + int(chance.uniform(15, 260) * DAY)
    while at < life.end:
        until = _pay(life, at, plan)
        life.paid.append((at, until))
        if chance.random() >= 0.3:
            return
        life.fades_from = None
        at = until + int(chance.uniform(12, 150) * DAY)


def _pay(life: _Life, start: int, plan: str) -> int:
    """Play one subscription from `start`; return when access ends (`life.end` or later when it does not)."""
    chance = life.chance
    billing, months = ("annual", 12) if chance.random() < 0.25 else ("monthly", 1)
    mrr = PLANS[plan][billing == "annual"]
    due = months_after(start, months)
    life.add(start, "subscription_started", {"plan": plan, "mrr": mrr, "billing": billing, "renews_at": iso(due)})
    paid_terms = 1
    while due < life.end + 366 * DAY:
        is_fading = life.fades_from is not None and life.fades_from < due
        hazard = (0.3 if is_fading else 0.035) if months == 1 else (0.6 if is_fading else 0.16)
        opened = months_after(start, months * (paid_terms - 1))
        if chance.random() < hazard:
            at = opened + int(chance.uniform(0.25, 0.98) * (due - opened))
            life.add(at, "subscription_cancelled", {"reason": chance.choice(REASONS), "ends_at": iso(due)})
            return due
        if chance.random() < 0.06:
            tries = chance.choice((1, 1, 1, 2, 2, 3))
            for attempt in range(tries):
                life.add(due + attempt * 3 * DAY, "payment_failed", {"attempt": attempt + 1})
            if tries == 3:
                gone = due + 7 * DAY
                life.add(gone, "subscription_cancelled", {"reason": "payment_failed", "ends_at": iso(gone)})
                return gone
            renewed = due + (tries - 1) * 3 * DAY + 8 * HOUR
        else:
            renewed = due + int(chance.random() * 20 * MINUTE)
        if plan != "business" and chance.random() < 0.02:
            plan = "team" if plan == "starter" else "business"
            mrr = PLANS[plan][billing == "annual"]
        paid_terms += 1
        due = months_after(start, months * paid_terms)
        life.add(renewed, "subscription_renewed", {"plan": plan, "mrr": mrr, "renews_at": iso(due)})
    return due


def _rates(life: _Life) -> Iterator[tuple[int, float]]:
    """Yield (UTC day number, chance of a session that day) from the sign-up on."""
    chance = life.chance
    first = life.born // DAY
    base = _RATES[life.person.temperament] * chance.uniform(0.75, 1.25)
    lingering = chance.uniform(2, 9) if life.is_activated else chance.uniform(0.8, 3.5)
    away_from = first + int(chance.uniform(30, 330)) if chance.random() < 0.5 else 10**9
    away = range(away_from, away_from + int(chance.uniform(7, 17)))
    returns_on = first + int(chance.uniform(45, 220)) if chance.random() < 0.12 else -1
    fade = 10**9 if life.fades_from is None else life.fades_from // DAY
    for day in range(first, life.end // DAY + 1):
        age = day - first
        if any(start // DAY <= day <= until // DAY for start, until in life.paid):
            rate = base if day < fade else base * 0.93 ** (day - fade)
        elif age <= 14:
            rate = max(base, 0.3) * 1.3 * 2.718 ** (-age / (6 * lingering))
        else:
            rate = base * 2.718 ** (-(age - 8) / lingering)
        if returns_on <= day < returns_on + 5:
            rate = max(rate, 0.5)
        yield day, 0.0 if day in away or rate < 0.004 else min(rate, 0.97)


def _use(life: _Life) -> None:
    chance, person = life.chance, life.person
    has_project = not life.is_activated
    for day, rate in _rates(life):
        weekday = _WEEKDAYS[(day + 3) % 7]
        if chance.random() >= rate * weekday * 1.1:
            continue
        for _ in range(2 if person.temperament == "power" and chance.random() < 0.4 else 1):
            at = _local(life, day)
            if at <= life.born:
                at = life.born + int(chance.uniform(2, 25) * MINUTE)
            is_offline = person.has_mobile and chance.random() < 0.35
            device = "mobile" if is_offline else "web"
            delay = int(chance.uniform(0.4, 6) * DAY) if is_offline and chance.random() < 0.18 else 0
            starts_project = not has_project and (day - life.born // DAY >= 3 or chance.random() < 0.6)
            has_project = has_project or starts_project
            life.acts.extend(_session(life, at, device, delay, starts_project))


def _session(life: _Life, at: int, device: str, delay: int, starts_project: bool) -> Iterator[Act]:
    chance, connected = life.chance, life.connected
    roll = chance.random
    yield Act(at, "track", "logged_in", None, device, True, delay)
    if roll() < 0.04:
        yield Act(at + 200, "identify", None, traits(life.person), device, True, delay)
    for _ in range(1 + int(roll() * 3.4)):
        at += int((4 + roll() * 230) * SECOND)
        yield Act(at, "page", chance.choice(_APP_PAGES), None, device, True, delay)
    if starts_project or (life.is_activated and roll() < 0.05):
        at += int((5 + roll() * 200) * SECOND)
        yield Act(at, "track", "project_created", None, device, True, delay)
    # Three in ten connect a tool of theirs to their first project, in the same hour.
    number = int(life.person.user_id[1:])
    if starts_project and number % 10 < 3:
        tool = {"name": INTEGRATIONS[number // 10 % len(INTEGRATIONS)]}
        yield Act(at + (4 + number % 50) * MINUTE, "track", "integration_connected", tool, device, True, delay)
    if not life.is_activated:
        return
    while roll() < 0.38:
        at += int((9 + roll() * 400) * SECOND)
        body = {"format": chance.choice(_FORMATS), "rows": int(chance.paretovariate(0.8) * 40) % 2_000_000}
        yield Act(at, "track", "report_exported", body, device, True, delay)
    if life.person.company and roll() < 0.03:
        yield Act(at + 30 * SECOND, "track", "teammate_invited", None, device, True, delay)
    if len(connected) < len(INTEGRATIONS) and roll() < 0.03:
        name = chance.choice([name for name in INTEGRATIONS if name not in connected])
        connected.append(name)
        yield Act(at + 60 * SECOND, "track", "integration_connected", {"name": name}, device, True, delay)


def _consent(life: _Life) -> None:
    chance = life.chance
    if chance.random() < 0.07:
        at = life.born + int(chance.uniform(4, 200) * DAY)
        life.add(at, "unsubscribed")
        if chance.random() < 0.15:
            life.add(at + int(chance.uniform(0.01, 40) * DAY), "subscribed")
