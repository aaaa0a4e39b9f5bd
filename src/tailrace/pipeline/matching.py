"""How many people of an audience does its destination say that it knows?"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass

from tailrace.destinations.base import Failure, Matching, Secrets
from tailrace.destinations.connections import Connection
from tailrace.errors import TailraceError
from tailrace.journal.journal import Journal
from tailrace.settings import Settings, secret


@dataclass(frozen=True)
class Matched:
    """How many; None when it is not known, and why it is not."""

    people: int | None
    why_not: str | None = None


def matched(settings: Settings, connection: Connection | None, target: str, journal: Journal) -> Matched:
    """Ask the destination, if its API says it and this data directory is live: a copy of one asks nobody."""
    if connection is None:
        return Matched(None, "its connection is not in destinations.yml")
    module = connection.module
    if not isinstance(module, Matching):
        return Matched(None, f"{connection.type} does not say")
    if connection.capabilities.needs_live and not journal.live_show().held:
        return Matched(None, "no live lease: nobody was asked")
    try:
        names = {key: value for key, value in connection.settings if key.endswith("_env") and value is not None}
        secrets = Secrets({key: secret(value) for key, value in names.items()})
        request = module.build_match(connection.settings, secrets, target)
        with closing(connection.module.connect(connection.settings, secrets, settings.outbox)) as session:
            reply = session.perform(request)
    except TailraceError as error:
        return Matched(None, str(error))
    if isinstance(reply, Failure):
        return Matched(None, reply.code)
    people = module.read_match(connection.settings, reply)  # type: ignore[arg-type]
    return Matched(people, None if people is not None else "it did not say")
