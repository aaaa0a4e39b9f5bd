"""Is a connection as it should be? Its secrets are there, it opens, and its destination lets us in.

Nothing is changed anywhere, and nothing of a person leaves.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from typing import Any

from tailrace.destinations.base import Failure, Meaning, Outcome, Probing, Result, Secrets
from tailrace.destinations.connections import Connection
from tailrace.errors import TailraceError
from tailrace.settings import Settings, secret


def variables(connection: Connection) -> dict[str, str]:
    """Return the environment variables that the connection reads, by setting."""
    return {name: value for name, value in connection.settings if name.endswith("_env") and value is not None}


def is_set(variable: str) -> bool:
    """Return whether the environment has it."""
    try:
        secret(variable)
    except TailraceError:
        return False
    return True


def probe(connection: Connection, settings: Settings) -> Result | None:
    """Return what the destination said when asked whether it lets us in; None where it has no such question.

    Raises TailraceError when the connection cannot be opened.
    """
    secrets = Secrets({name: secret(variable) for name, variable in variables(connection).items()})
    module: Any = connection.module
    with closing(module.connect(connection.settings, secrets, settings.outbox)) as session:
        if not isinstance(module, Probing):
            return None
        reply = session.perform(module.build_probe(connection.settings, secrets))
        if isinstance(reply, Failure):
            return Result(Outcome.RETRY_LATER, reply.code, is_systemic=True)
        return module.read_probe(connection.settings, reply)


def words(codes: Mapping[Any, Meaning], code: str) -> str | None:
    """Return what a destination's code means in words, if it is in its list whole or by its last part."""
    last = code.replace(":", "_").rpartition("_")[2]
    number = int(last) if last.isascii() and last.isdigit() else None
    return next((codes[name].words for name in (code, last, number, last[:2]) if name in codes), None)
