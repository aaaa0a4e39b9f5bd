"""What do the months of a small telehealth clinic look like as files of events? Same arguments, same bytes.

Forms, intakes, payments, reviews, renewals and appointments, as one JSONL file a day in the Segment spec. With
`patients` (user ids of people whose visits and prescriptions are known from elsewhere) only what a clinic's website and
billing know of them is made; without, people, visits and prescriptions are invented too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from random import Random
from typing import Any

import orjson

from tailrace.errors import TailraceError
from tailrace.samples.life import DAY, HOUR, MINUTE, iso
from tailrace.samples.people import Person, companies, person

FORM = "care_interest"
_EPOCH = date(1970, 1, 1).toordinal()
_TIMEZONES = ("America/New_York", "America/Chicago", "America/Denver", "America/Los_Angeles")


@dataclass(frozen=True)
class Clinic:
    """What was made: one file per day in order of time, named after it; `lines` in all; how many of each `events`."""

    target: Path
    files: tuple[Path, ...]
    lines: int
    events: dict[str, int]


@dataclass
class _Life:
    """One person on the way through the clinic. Times are milliseconds since 1970; nothing from `end` on is told."""

    user_id: str
    end: int
    chance: Random
    is_whole: bool
    calls: list[tuple[int, dict[str, Any]]] = field(default_factory=list)

    def say(self, at: int, kind: str, **rest: Any) -> None:
        if at < self.end:
            call = {"type": kind, "messageId": f"c-{self.user_id}-{len(self.calls)}", "userId": self.user_id}
            self.calls.append((at, call | rest | {"timestamp": iso(at)}))

    def track(self, at: int, event: str, **properties: Any) -> None:
        self.say(at, "track", event=event, properties=properties)

    def after(self, at: int, least: float, most: float) -> int:
        """Return an instant between `least` and `most` hours after `at`."""
        return at + int(self.chance.uniform(least, most) * HOUR)


def generate(
    target: Path, *, start: date, days: int, people: int = 300, seed: int = 11, patients: Sequence[str] | None = None
) -> Clinic:
    """Write the clinic's days into the folder `target` and return what is in them.

    People come evenly over the days. Raises TailraceError when `target` holds files already, when there is no day, and
    when there is nobody.
    """
    if days < 1 or (people < 1 if patients is None else not patients):
        raise TailraceError(f"people={people}, days={days}: expected at least one person and one day")
    if target.is_dir() and any(target.iterdir()):
        raise TailraceError(f"{target} is not empty; expected a new or empty folder: choose another, or remove it")
    first = (start.toordinal() - _EPOCH) * DAY
    end = first + days * DAY
    days_of: dict[int, list[tuple[int, bytes]]] = defaultdict(list)
    events: dict[str, int] = defaultdict(int)
    invented = _invent(people, _chance(seed, "people")) if patients is None else {}
    for user_id in invented if patients is None else patients:
        life = _Life(user_id, end, _chance(seed, user_id), is_whole=patients is None)
        born = first + int(life.chance.random() * days * DAY)
        if user_id in invented:
            life.say(born, "identify", traits=_traits(invented[user_id]))
        _live(life, born)
        for at, call in life.calls:
            days_of[at // DAY].append((at, orjson.dumps(call)))
            events[call.get("event", call["type"])] += 1
    target.mkdir(parents=True, exist_ok=True)
    files = []
    for day in range(first // DAY, end // DAY):
        path = target / f"{iso(day * DAY)[:10]}.jsonl"
        path.write_bytes(b"".join(line + b"\n" for _, line in sorted(days_of[day])))
        files.append(path)
    return Clinic(target, tuple(files), sum(len(lines) for lines in days_of.values()), dict(sorted(events.items())))


def _chance(seed: int, part: str) -> Random:
    # A play, not a secret. Each person has their own, so that a change in one life changes no other.
    return Random(f"{seed}/care/{part}")  # noqa: S311


def _invent(count: int, chance: Random) -> dict[str, Person]:
    firms = companies(count, chance)
    cast = [person(number, firms, chance) for number in range(1, count + 1)]
    return {who.user_id: who for who in cast}


def _traits(who: Person) -> dict[str, Any]:
    zone = _TIMEZONES[int(who.user_id[1:]) % len(_TIMEZONES)]
    return {"email": who.email, "first_name": who.first_name, "country": "US", "timezone": zone}


def _live(life: _Life, born: int) -> None:
    """Play one person: ask, begin, complete, pay, be read, be treated, renew, leave; at each step some stay behind."""
    chance = life.chance
    at = born + MINUTE
    if chance.random() < 0.6:
        life.track(at, "form_submitted", form=FORM)
        at = life.after(at, 0.2, 90)
    if chance.random() < 0.04:
        life.track(life.after(at, 1, 400), "unsubscribed")
    if chance.random() < 0.2:
        return
    for attempt in range(1, 3):
        intake = f"i-{life.user_id}-{attempt}"
        life.track(at, "intake_started", intake_id=intake)
        if chance.random() < 0.72:
            at = life.after(at, 0.1, 1.2 if chance.random() < 0.7 else 80)
            life.track(at, "intake_completed", intake_id=intake)
            break
        # Gave up; one in four begins another later.
        at = life.after(at, 200, 900)
        if attempt == 2 or chance.random() < 0.75:
            return
    if chance.random() < 0.2:
        at = life.after(at, 0.01, 0.2)
        life.track(at, "payment_failed", intake_id=intake, kind="intake")
    if chance.random() < 0.25:
        return
    at = life.after(at, 0.02, 0.5 if chance.random() < 0.7 else 60)
    life.track(at, "payment_completed", intake_id=intake, kind="intake", amount=45)
    paid = at
    if chance.random() < 0.08:
        return
    at = life.after(at, 3, 100)
    is_approved = chance.random() < 0.9
    life.track(at, "review_completed", intake_id=intake, outcome="approved" if is_approved else "declined")
    if not is_approved:
        return
    _visits(life, at)
    if life.is_whole and chance.random() < 0.8:
        _supply(life, life.after(at, 1, 48))
    _renewals(life, paid)


def _visits(life: _Life, at: int) -> None:
    """Book one to three appointments; some are moved, some cancelled. Only invented people are seen to keep them."""
    for number in range(1, life.chance.choice((1, 1, 2, 3)) + 1):
        visit = f"v-{life.user_id}-{number}"
        begins = (at // DAY + life.chance.randint(2, 14)) * DAY + life.chance.randint(14, 22) * HOUR
        _book(life, at, visit, "booked", begins)
        fate = life.chance.random()
        if fate < 0.1:
            _book(life, life.after(at, 1, 20), visit, "cancelled", begins)
        elif fate < 0.2:
            begins += life.chance.randint(1, 5) * DAY
            _book(life, life.after(at, 1, 20), visit, "booked", begins)
        if life.is_whole and fate >= 0.15:
            life.track(begins + 25 * MINUTE, "visit_completed", visit_id=visit)
        at = begins + life.chance.randint(5, 40) * DAY


def _book(life: _Life, at: int, visit: str, status: str, begins: int) -> None:
    # The clinic's day is that of the United States' east in winter; a real one would know the patient's.
    traits = {"object": "visit", "status": status, "visit_at": iso(begins), "visit_on": iso(begins - 5 * HOUR)[:10]}
    life.say(at, "group", groupId=visit, traits=traits)


def _supply(life: _Life, at: int) -> None:
    prescription, chance = f"p-{life.user_id}-1", life.chance
    days = chance.choice((30, 30, 30, 90, None))
    stated = {} if days is None else {"expected_supply_days": days}
    life.track(at, "prescription_started", prescription_id=prescription, **stated)
    while at < life.end and chance.random() < 0.85:
        at = life.after(at, ((days or 28) - 6) * 24, ((days or 28) + 4) * 24)
        if chance.random() < 0.05:
            life.track(at, "prescription_stopped", prescription_id=prescription)
            return
        life.track(at, "prescription_filled", prescription_id=prescription, **stated)


def _renewals(life: _Life, at: int) -> None:
    chance = life.chance
    while at < life.end:
        at += 30 * DAY
        if chance.random() < 0.2:
            life.track(at, "payment_failed", kind="renewal")
            if chance.random() < 0.4:
                if chance.random() < 0.5:
                    life.track(life.after(at, 100, 300), "care_ended")
                return
            at = life.after(at, 20, 150)
        elif chance.random() < 0.06:
            life.track(at, "care_ended")
            return
        life.track(at, "payment_completed", kind="renewal", amount=45)
