"""How is a thing named from what it means? Every id is a hash of meaning, never of time or chance.

The SQL that computes the same ids stands beside each function; a test holds the two equal.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

SEPARATOR = "\x1f"


def digest(*parts: str) -> str:
    """Return the SHA-256 of the parts, as 64 hex digits; parts cannot run into each other."""
    return hashlib.sha256(SEPARATOR.join(parts).encode()).hexdigest()


def person_id(user_id: str) -> int:
    """Return the person's key: the first 60 bits of the MD5 of `user_id`, a positive 64-bit integer.

    Integer keys make a snapshot diff nine times cheaper than text ones, and an id in a log says nothing about
    a company that uses addresses as user ids. dim_people fails its test if two people ever share a key.
    The dbt macro `person_key` computes the same.
    """
    return int(hashlib.md5(user_id.encode(), usedforsecurity=False).hexdigest()[:15], 16)


def _meaning(parts: Iterable[str]) -> str:
    return hashlib.md5(SEPARATOR.join(parts).encode(), usedforsecurity=False).hexdigest()


def enrollment_id(campaign: str, person: int, occurrence: str = "") -> str:
    """Return the id of one pass of a person through a campaign. SQL: `md5(concat_ws(chr(31), …))`."""
    return _meaning((campaign, str(person), occurrence))


def intent_id(campaign: str, step: str, enrollment: str) -> str:
    """Return the id of one message or action: no version in it, so an edit can never send a step twice."""
    return _meaning((campaign, step, enrollment))


def salted(salt: str, kind: str, value: str) -> str:
    """Return the keyed hash of what identifies a person: without the salt nobody can try whom it is of.

    SQL: `sha256(concat_ws(chr(31), salt, kind, value))`.
    """
    return digest(salt, kind, value)


def bucket(person: int, experiment: str, salt: str = "") -> int:
    """Return the person's stable place in [0, 10000) for an experiment: chance as a hash, never a draw."""
    return int(_meaning((experiment, str(person), salt))[:8], 16) % 10_000
