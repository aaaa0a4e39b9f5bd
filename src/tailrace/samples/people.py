"""Who are the invented people, and where do they live? Names, places, companies and addresses; nobody real."""

from __future__ import annotations

from bisect import bisect
from dataclasses import dataclass
from importlib import resources
from itertools import accumulate
from random import Random

import orjson


@dataclass(frozen=True, slots=True)
class Place:
    """A country with its share of people, time zones, locale and names, each name as written and as in an address."""

    country: str
    share: int
    timezones: tuple[str, ...]
    locale: str
    first: tuple[tuple[str, str], ...]
    last: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Company:
    """A customer's company; some people have none."""

    group_id: str
    name: str
    slug: str
    industry: str
    employees: int


@dataclass(frozen=True, slots=True)
class Person:
    """One invented person; `temperament` (power, steady, casual) is how much they like such software."""

    user_id: str
    anonymous_id: str
    first_name: str
    last_name: str
    email: str | None
    country: str
    timezone: str
    locale: str
    company: Company | None
    temperament: str
    has_mobile: bool
    clock_skew_ms: int


def _names(text: str) -> tuple[tuple[str, str], ...]:
    """Return `Søren=soren Anna` as ((as written, as in an address), …); `_` stands for a space."""
    pairs = (entry.partition("=") for entry in text.split())
    return tuple((written.replace("_", " "), slug or written.lower()) for written, _, slug in pairs)


def _read_places() -> tuple[Place, ...]:
    return tuple(
        Place(
            country=entry["country"],
            share=entry["share"],
            timezones=tuple(entry["timezones"].split()),
            locale=entry["locale"],
            first=_names(entry["first"]),
            last=_names(entry["last"]),
        )
        for entry in _WORLD["places"]
    )


_WORLD = orjson.loads(resources.files("tailrace.samples").joinpath("world.json").read_bytes())
PLACES = _read_places()
_CUMULATED = list(accumulate(place.share for place in PLACES))
_COMPANY_NAMES = tuple(_WORLD["companies"][part].split() for part in ("first", "second"))
_INDUSTRIES = ("software", "retail", "logistics", "health", "education", "manufacturing", "media")
_PERSONAL = ("example.com", "example.org", "example.net")
_HOUR, _DAY = 3_600_000, 86_400_000
_SKEWS = (-2 * 365 * _DAY, -31 * _DAY, -_DAY, -_HOUR, -7 * 60_000, 11 * 60_000, _HOUR, 3 * _DAY, 366 * _DAY)


def companies(count: int, chance: Random) -> list[Company]:
    """Return `count` companies with distinct names, most of them small."""
    found = []
    for number in range(count):
        one, two = (chance.choice(words) for words in _COMPANY_NAMES)
        name = f"{one} {two} {number + 1}"
        employees = 1 + int(chance.paretovariate(0.9) * 3) % 5000
        slug = f"{one}-{two}-{number + 1}".lower()
        found.append(Company(f"acct_{number + 1:05d}", name, slug, chance.choice(_INDUSTRIES), employees))
    return found


def person(number: int, firms: list[Company], chance: Random) -> Person:
    """Return the person `number` (from 1), whose address is nobody else's."""
    place = PLACES[bisect(_CUMULATED, chance.random() * _CUMULATED[-1])]
    first, first_slug = chance.choice(place.first)
    last, last_slug = chance.choice(place.last)
    # The square makes a few companies large and leaves many with one person.
    company = firms[int(chance.random() ** 2 * len(firms))] if chance.random() < 0.7 else None
    domain = f"{company.slug}.test" if company else chance.choice(_PERSONAL)
    email = f"{first_slug}.{last_slug}{number}@{domain}"
    style = chance.random()
    if style < 0.03:
        email = f"{first_slug}+tools{number}@{domain}"
    elif style < 0.05:
        email = f"{first_slug.capitalize()}.{last_slug.capitalize()}{number}@{domain}"
    return Person(
        user_id=f"u{number:06d}",
        anonymous_id=f"a-{chance.getrandbits(64):016x}",
        first_name=first,
        last_name=last,
        email=None if chance.random() < 0.03 else email,
        country=place.country,
        timezone=chance.choice(place.timezones),
        locale=place.locale,
        company=company,
        temperament="power" if (mood := chance.random()) < 0.15 else "steady" if mood < 0.6 else "casual",
        has_mobile=chance.random() < 0.25,
        clock_skew_ms=chance.choice(_SKEWS) if chance.random() < 0.03 else 0,
    )
