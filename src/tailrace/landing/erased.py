"""Who was erased, and which lines are theirs? The list that every landing asks; it has salted hashes and ids only.

erasures/salt        the salt, unless the environment has it (TAILRACE_ERASURE_SALT); readable by its user only
erasures/<id>.json   one erasure: whom, why, what was found of them where, and how far it has come

A line is theirs if its user id (or the one that an alias ends) is, if it has no user id and its anonymous id was theirs
at that moment, or if the address that it gives for its person is.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict

from tailrace import clock, durable, engine, ids
from tailrace.errors import DataError
from tailrace.landing import records
from tailrace.settings import Settings, erasure_salt

_PACKAGE = "tailrace.landing"
_CHECK = "this is the salt"

State = Literal["begun", "waiting", "done"]
"""begun: not all of it is gone yet. waiting: all but the keys that destinations were not yet heard to have let go."""


class Device(BaseModel):
    """A time in which what happened on an anonymous id was the person's: after `since`, up to and with `until`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    anonymous: str
    since: AwareDatetime | None
    until: AwareDatetime | None


class Destination(BaseModel):
    """What somewhere else holds of them: `n` messages that were accepted there, or `n` keys of a sync."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    sync: str | None
    n: int
    words: str


class Erasure(BaseModel):
    """What erasures/<id>.json holds. `users`, `addresses`, `anonymous` and `keys` (by sync) are salted hashes.

    `found` is what there was of them, by place, before anything went. `as_of` is that of the warehouse then, `people`
    how many of them it had, `shared` how many of their addresses are somebody else's too, and so not on the list.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    erasure_id: str
    at: AwareDatetime
    who: str
    reason: str
    salt: str
    as_of: AwareDatetime
    persons: tuple[int, ...]
    people: int
    users: tuple[str, ...]
    addresses: tuple[str, ...]
    shared: int
    devices: tuple[Device, ...]
    keys: dict[str, tuple[str, ...]]
    state: State
    found: dict[str, dict[str, int]]
    destinations: tuple[Destination, ...]
    done_at: AwareDatetime | None = None


@dataclass(frozen=True)
class Listed:
    """Whom landing keeps out: all erasures together, with the salt that their hashes were made with."""

    salt: str = field(repr=False)
    erasures: tuple[Erasure, ...]

    @property
    def users(self) -> frozenset[str]:
        """Return the hashes of all user ids."""
        return frozenset(user for each in self.erasures for user in each.users)

    @property
    def addresses(self) -> frozenset[str]:
        """Return the hashes of all addresses."""
        return frozenset(address for each in self.erasures for address in each.addresses)

    @property
    def persons(self) -> tuple[int, ...]:
        """Return the keys of the people."""
        return tuple(sorted({person for each in self.erasures for person in each.persons}))

    @property
    def keys(self) -> dict[str, frozenset[str]]:
        """Return the hashes of the keys by which each sync knows them."""
        syncs = sorted({sync for each in self.erasures for sync in each.keys})
        return {sync: frozenset(key for each in self.erasures for key in each.keys.get(sync, ())) for sync in syncs}


def erasures(settings: Settings) -> list[Erasure]:
    """Return all erasures, oldest first. Raises DataError when a record cannot be read."""
    without = ". Without it people would come back: nothing was changed."
    found = [
        records.read(Erasure, path, "the record of this erasure", "tailrace erase", without)
        for path in settings.erasures.glob("[0-9a-f]*.json")
    ]
    return sorted(found, key=lambda each: (each.at, each.erasure_id))


def listed(settings: Settings, which: State | None = None) -> Listed | None:
    """Return the list of all who were erased (with `which`, by erasures in that state); None when it has nobody.

    Raises DataError when a record cannot be read, or the salt is gone or another one: nobody would be known again.
    """
    found = tuple(each for each in erasures(settings) if which in (None, each.state))
    if not found:
        return None
    salt = known_salt(settings)
    if salt is None or any(each.salt != check(salt) for each in found):
        raise DataError(
            f"{settings.erasures}: the salt is {'gone' if salt is None else 'not the one'} that those who were erased"
            " were written down with; expected it in the file `salt` there, or in TAILRACE_ERASURE_SALT: restore it."
            " Without it people would come back: nothing was changed."
        )
    return Listed(salt, found)


def require_finished(settings: Settings) -> None:
    """Raise DataError when an erasure was killed and has not been finished: records and files need not agree then."""
    begun = [each.erasure_id for each in erasures(settings) if each.state == "begun"]
    if begun:
        raise DataError(
            f"erasure {begun[0]} was begun and is not finished; expected it to be: `tailrace erasures finish`."
            " Nothing was changed."
        )


def known_salt(settings: Settings) -> str | None:
    """Return the salt; None when there is none yet."""
    return erasure_salt() or _kept_salt(settings)


def make_salt(settings: Settings) -> str:
    """Make the salt and return it; there is none yet."""
    made = os.urandom(32).hex()
    aside = settings.erasures / f".salt.{os.getpid()}.tmp"
    aside.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    durable.remove(aside)
    handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(handle, made.encode())
    finally:
        os.close(handle)
    durable.move_in(aside, _salt_path(settings))
    return made


def check(salt: str) -> str:
    """Return what tells one salt from another without saying it."""
    return ids.salted(salt, "check", _CHECK)[:16]


def write(settings: Settings, erasure: Erasure) -> None:
    """Put the record on the disk; from then on landing keeps these people out."""
    durable.write(settings.erasures / f"{erasure.erasure_id}.json", erasure.model_dump_json(indent=1).encode() + b"\n")


def waiting_keys(settings: Settings) -> tuple[str, Mapping[str, frozenset[str]]] | None:
    """Return the salt, and by sync the hashes of the keys that are to go there; None when nobody waits for that."""
    found = [one for one in (listed(settings, "begun"), listed(settings, "waiting")) if one]
    if not found:
        return None
    syncs = sorted({sync for one in found for sync in one.keys})
    keys = {sync: frozenset().union(*(one.keys.get(sync, frozenset()) for one in found)) for sync in syncs}
    return (found[0].salt, keys) if keys else None


def show(connection: engine.Connection, who: Listed) -> None:
    """Let the connection's statements ask: makes the macros and tables that `theirs` and `said_of_them` read."""
    connection.execute(engine.statement(_PACKAGE, "erased_macros").replace("{salt}", engine.literal(who.salt)))
    run = connection.execute
    run(
        "create or replace temp table erased_users as select unnest($hashes::varchar[]) as hash",
        {"hashes": [*who.users]},
    )
    run(
        "create or replace temp table erased_addresses as select unnest($hashes::varchar[]) as hash",
        {"hashes": [*who.addresses]},
    )
    devices = [device for each in who.erasures for device in each.devices]
    run(
        "create or replace temp table erased_devices as select unnest($hashes::varchar[]) as hash,"
        " unnest($since::timestamp[]) as since, unnest($until::timestamp[]) as until",
        {
            "hashes": [device.anonymous for device in devices],
            "since": [device.since and clock.naive(device.since) for device in devices],
            "until": [device.until and clock.naive(device.until) for device in devices],
        },
    )


def theirs(connection: engine.Connection, events: str) -> str:
    """Return the condition that is true of their rows among `events`, which the statement is to call `e`.

    `events` is a relation with user_id, previous_id, anonymous_id, event_at, properties, traits and context. Each id is
    hashed once, however many rows have it.
    """
    for name in ("erased_known_users", "erased_known_devices", "erased_known_addresses"):
        text = engine.statement(_PACKAGE, name).replace("{events}", events)
        connection.execute(f"create or replace temp table {name} as {text}")
    return engine.statement(_PACKAGE, "erased_theirs")


def said_of_them(raw: str) -> str:
    """Return the condition that is true of a line, bytes as they came, that names one of them: none of it was read."""
    return engine.statement(_PACKAGE, "erased_line").replace("{raw}", raw)


def leave_out(settings: Settings, connection: engine.Connection) -> int:
    """Take the lines of those who were erased out of a judged stage; return how many. Nothing is done for nobody.

    Afterwards `sorted` and `refused` lack them; `erased_rows` (row_no) and `erased_refused` have them.
    """
    run = connection.execute
    run("create table erased_rows (row_no bigint); create table erased_refused as from refused limit 0")
    who = listed(settings)
    if who is None:
        return 0
    show(connection, who)
    real = "sorted where coalesce(reason, '') not in ('(blank)', '(batch)')"
    condition = theirs(connection, f"(select * from {real})")
    run(f"insert into erased_rows select e.row_no from (select * from {real}) as e where {condition}")
    # What could not be read, and so has no ids, is told by its words.
    unread = f"(select * from {real} and user_id is null and anonymous_id is null and raw is not null)"
    run(
        f"insert into erased_rows select row_no from {unread} where {said_of_them('encode(raw)')}"
        " and row_no not in (select row_no from erased_rows)"
    )
    run(f"insert into erased_refused select * from refused where {said_of_them('raw')}")
    run("delete from refused where (file_no, line, part) in (select (file_no, line, part) from erased_refused)")
    run(
        "alter view sorted rename to every_row; create view sorted as select * from every_row where row_no not in"
        " (select row_no from erased_rows)"
    )
    counts = engine.row(connection, "select (select count(*) from erased_rows) + (select count(*) from erased_refused)")
    return int(counts[0])


def resolve(connection: engine.Connection) -> None:
    """Write into `resolved` which of the lines that a retry has `taken` are of somebody who was erased."""
    connection.execute(
        "insert into resolved select t.quarantine_id, 'erased' from (select s.file_no, s.line, s.part from stage as s"
        " inner join erased_rows as e on s.row_no = e.row_no union all select file_no, line, part from erased_refused)"
        " as r inner join taken as t on t.file_no = r.file_no and t.line = r.line and t.part = r.part"
        " order by t.quarantine_id"
    )


def _kept_salt(settings: Settings) -> str | None:
    try:
        return _salt_path(settings).read_text(encoding="ascii").strip() or None
    except FileNotFoundError:
        return None


def _salt_path(settings: Settings) -> Path:
    return settings.erasures / "salt"
