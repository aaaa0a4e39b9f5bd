"""What does `tailrace erase` do? It makes a person one who never was, but for ids in the ledger of what was sent.

First whom is written down, as salted hashes (`landing.erased`): from then on no landing lets them in. Then place after
place forgets them, each so that doing it again changes nothing; then the record says that it is done. Who was killed in
between is finished by the same command again, by `tailrace erasures finish`, and by the next run before anything else.

What a destination holds by a key is let go of by the next plan, which needs the key: it stays in the plans until the
destination has answered, and the run after that forgets it too.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime

from tailrace import clock, crash, durable, engine, ids
from tailrace.errors import DataError, JournalError
from tailrace.journal.journal import Journal
from tailrace.journal.readings import MIRRORS
from tailrace.landing import erased
from tailrace.landing import erasing as landing_erasing
from tailrace.landing.erased import Destination, Device, Erasure, Listed
from tailrace.landing.land import landing
from tailrace.landing.loads import loads
from tailrace.landing.mirror import mirrored
from tailrace.pipeline import leftovers
from tailrace.pipeline.letting_go import answered, destinations, head_of, waits
from tailrace.pipeline.request import load_definitions, load_files, loads_fingerprint
from tailrace.pipeline.sync_keys import keys as sync_keys
from tailrace.planning import erasing as planning_erasing
from tailrace.planning.erasing import Whose
from tailrace.planning.store import Store
from tailrace.planning.syncs import LetGo
from tailrace.settings import Settings
from tailrace.warehouse.build import build, read_generation
from tailrace.warehouse.catalog import read_catalog
from tailrace.warehouse.publish import publish

__all__ = ["Erasure", "erase", "erasures", "finish", "finish_begun", "show"]

_FINISH = "`tailrace erasures finish`"


@dataclass(frozen=True)
class _Identity:
    """All that a person is known by, as it stands: never written down."""

    persons: tuple[int, ...]
    users: tuple[str, ...]
    addresses: tuple[str, ...]
    shared: int
    devices: tuple[tuple[str, datetime | None, datetime | None], ...]
    people: int


def erase(
    settings: Settings,
    person: str,
    *,
    who: str,
    reason: str,
    at: datetime,
    by_email: bool = False,
    is_dry: bool = False,
) -> Erasure:
    """Erase the person with this user id (or person_id), or with `by_email` everybody who has or had the address.

    Returns the record. Who was erased before is not erased again: the record of then is returned, finished if it was
    not. With `is_dry` nothing is changed.

    Raises DataError when nobody is known by it or the warehouse is not of all that has landed, Busy when a run, a
    landing, a delivery or a backtest is under way, JournalError when the journal lacks HEAD or is behind its copy,
    BuildError when the warehouse could not be built afterwards: they are erased then.
    """
    if not reason.strip():
        raise DataError(
            "an erasure has no reason; expected one: say why with `--reason`, a ticket and no personal data"
        )
    with _alone(settings, is_dry=is_dry) as journal:
        before = _before(settings, person, by_email)
        if before is not None:
            if not is_dry:
                as_of = _stood_at(settings, before)
                _finish(settings, journal, at)
                _rebuild(settings, as_of)
            return next(each for each in erased.erasures(settings) if each.erasure_id == before.erasure_id)
        record, listed = _begin(settings, person, by_email, who, reason, at, is_dry=is_dry)
        found, destinations = _survey(settings, journal, record, listed)
        record = record.model_copy(update={"found": found, "destinations": destinations})
        if is_dry:
            return record
        erased.write(settings, record)
        crash.here("erase.begun")
        _finish(settings, journal, at)
        _rebuild(settings, record.as_of)
        return next(each for each in erased.erasures(settings) if each.erasure_id == record.erasure_id)


def erasures(settings: Settings) -> list[Erasure]:
    """Return all erasures, oldest first."""
    return erased.erasures(settings)


def show(settings: Settings, prefix: str) -> Erasure:
    """Return the erasure whose id starts with `prefix`. Raises DataError when there is none, or several."""
    found = [each for each in erased.erasures(settings) if prefix and each.erasure_id.startswith(prefix)]
    if len(found) != 1:
        many = "several erasures start so" if found else "there is no such erasure"
        raise DataError(f"erasure `{prefix}`: {many}; expected an id that `tailrace erasures list` shows")
    return found[0]


def finish(settings: Settings, at: datetime) -> list[Erasure]:
    """Go through all stores once more for everybody who was ever erased, and finish what was begun.

    After a backup that is older than an erasure was restored, this makes it true again.
    """
    with _alone(settings, is_dry=False) as journal:
        everybody = erased.erasures(settings)
        if everybody:
            as_of = _stood_at(settings, *everybody)
            _finish(settings, journal, at, again=True)
            _rebuild(settings, as_of)
    return erased.erasures(settings)


def finish_begun(settings: Settings, journal: Journal, at: datetime) -> None:
    """Finish erasures that were killed, and those that destinations have answered; the caller holds the run's lock."""
    states = {each.state for each in erased.erasures(settings)}
    if "begun" in states or ("waiting" in states and _is_let_go(settings, journal)):
        with _others(settings):
            _finish(settings, journal, at)


@contextmanager
def _alone(settings: Settings, *, is_dry: bool) -> Iterator[Journal]:
    """Be the only one who works on this data directory; yields the journal, which knows what is to be delivered."""
    with durable.exclusive(settings.run_lock, "a run"), _others(settings), Journal.open(settings) as journal:
        problem = journal.copy_problem()
        if problem is not None:
            raise JournalError(f"{problem}. Until then nobody knows what is still to be delivered: nobody was erased")
        head = Store(settings).head()
        if head is not None and not journal.is_applied(head):
            raise JournalError(
                f"plan {head} is HEAD, but the journal does not have it yet; expected what a run that was killed began"
                " to be finished first: `tailrace deliver`. Nobody was erased."
            )
        yield journal


@contextmanager
def _others(settings: Settings) -> Iterator[None]:
    with ExitStack() as held:
        held.enter_context(durable.exclusive(settings.data_dir / "backtest.lock", "a backtest"))
        held.enter_context(durable.exclusive(settings.deliver_lock, "delivery"))
        held.enter_context(durable.exclusive(settings.data_dir / "mirror.lock", "a mirror of the journal"))
        held.enter_context(landing(settings))
        yield


def _before(settings: Settings, person: str, by_email: bool) -> Erasure | None:
    """Return the erasure that has this user id, person_id or address, if one has."""
    everybody = erased.listed(settings)
    if everybody is None:
        return None
    kind, said = ("address", person.strip().lower()) if by_email else ("user", person)
    hashed = ids.salted(everybody.salt, kind, said)
    for each in everybody.erasures:
        known = each.addresses if by_email else each.users
        if hashed in known or (not by_email and person in {str(key) for key in each.persons}):
            return each
    return None


def _begin(
    settings: Settings, person: str, by_email: bool, who: str, reason: str, at: datetime, *, is_dry: bool
) -> tuple[Erasure, Listed]:
    """Return the record of an erasure that is about to begin, and the list of whom it is about."""
    generation = read_generation(settings)
    if generation is None or generation.loads_fingerprint != loads_fingerprint(loads(settings)):
        raise DataError(
            "the warehouse is not of all that has landed, and so does not know who is who; expected one run before:"
            " `tailrace run`. Nobody was erased."
        )
    salt = erased.known_salt(settings) or ("" if is_dry else erased.make_salt(settings))
    with engine.connect(settings) as connection:
        engine.attach(connection, settings.warehouse, "warehouse")
        erased.show(connection, Listed(salt, ()))
        found = _identify(connection, person, by_email, at)
        known = sync_keys(settings, connection, salt, found.persons, found.users, found.addresses)
    users = tuple(sorted(ids.salted(salt, "user", user) for user in found.users))
    record = Erasure(
        erasure_id=ids.digest("erasure", *users)[:16],
        at=at,
        who=who,
        reason=reason,
        salt=erased.check(salt),
        as_of=generation.as_of,
        persons=found.persons,
        people=found.people,
        users=users,
        addresses=tuple(sorted(ids.salted(salt, "address", address) for address in found.addresses)),
        shared=found.shared,
        devices=tuple(
            Device(anonymous=ids.salted(salt, "anonymous", name), since=since, until=until)
            for name, since, until in found.devices
        ),
        keys=known,
        state="begun",
        found={},
        destinations=(),
    )
    return record, Listed(salt, (record,))


def _identify(connection: engine.Connection, person: str, by_email: bool, at: datetime) -> _Identity:
    """Return all that the person is known by. Raises DataError when nobody is known by what was said."""
    events = "warehouse.core.fct_events"
    theirs = "person_id in (select person_id from their_people)"
    run = connection.execute
    if by_email:
        where, value = "list_contains(erased_inboxes(properties, traits, context), $said)", person.strip().lower()
    else:
        # Older plans show those who became somebody else by the number that they had.
        became = "select into_person_id from warehouse.core.fct_person_merges where person_id::varchar = $said"
        where, value = f"user_id = $said or person_id::varchar = $said or person_id in ({became})", person
    run(
        f"create temp table their_people as select distinct person_id from {events}"
        f" where person_id is not null and ({where})",
        {"said": value},
    )
    persons = [row[0] for row in run("select person_id from their_people order by 1").fetchall()]
    if not persons:
        what = "e-mail address" if by_email else "user id or person_id"
        raise DataError(
            f"nobody has that {what}; expected a person with an event that has landed (ids are case-sensitive)."
            " Nobody was erased."
        )
    run(
        f"create temp table their_users as select distinct user_id from {events} where {theirs} and user_id is not null"
    )
    # Ids that an alias gave up for one of these are theirs too, whether or not anything came with them.
    run(
        "insert into their_users select user_id from warehouse.main.int_user_merges where into_user_id in"
        " (from their_users) and user_id not in (from their_users)"
    )
    users = [row[0] for row in run("select user_id from their_users order by 1").fetchall()]
    run(
        "create temp table their_inboxes as select distinct unnest(erased_inboxes(properties, traits, context)) as said"
        f" from {events} where {theirs}"
    )
    run(
        "create temp table shared_inboxes as select said from their_inboxes where said in (select unnest("
        f"erased_inboxes(properties, traits, context)) from {events} where person_id is not null and not {theirs})"
    )
    addresses = run("select said from their_inboxes where said not in (from shared_inboxes) order by 1").fetchall()
    # What happens on their devices from now on is somebody else's, or nobody's: the link is gone.
    devices = run(
        "select anonymous_id, min(started_at), max(coalesce(ended_at, $at::timestamp)) from"
        " warehouse.main.int_anonymous_periods where user_id in (from their_users)"
        " group by anonymous_id, started_at order by all",
        {"at": clock.naive(at)},
    ).fetchall()
    return _Identity(
        # Who they were before an alias joined two of their ids has rows in older plans.
        persons=tuple(sorted({*persons, *(ids.person_id(user) for user in users)})),
        users=tuple(users),
        addresses=tuple(row[0] for row in addresses),
        shared=int(engine.row(connection, "select count(*) from shared_inboxes")[0]),
        devices=tuple((name, _aware(since), _aware(until)) for name, since, until in devices),
        people=int(engine.row(connection, f"select count(*) from warehouse.core.dim_people where {theirs}")[0]),
    )


def _aware(moment: datetime | None) -> datetime | None:
    return None if moment is None else clock.parse(moment.isoformat())


def _survey(
    settings: Settings, journal: Journal, record: Erasure, listed: Listed
) -> tuple[dict[str, dict[str, int]], tuple[Destination, ...]]:
    """Return what there is of them, by place, and what destinations hold; nothing is changed."""
    landed = landing_erasing.erase(settings, listed, is_dry=True)
    forgotten = _forget_plans(settings, journal, listed, record, held=(), on=record.at, is_dry=True)
    sent = journal.erase(record.persons, record.at, is_dry=True)
    files = leftovers.remove(settings, listed, journal.intents_to(record.persons), is_dry=True)
    found = {
        "landing": asdict(landed),
        "journal": sent,
        "plans": {**forgotten.rows, "passes": forgotten.passes, "plans": forgotten.plans},
        "files": asdict(files),
        "warehouse": {"people": record.people},
    }
    return found, tuple(destinations(settings, journal, record, listed))


def _is_let_go(settings: Settings, journal: Journal) -> bool:
    waiting = erased.listed(settings, "waiting")
    return waiting is not None and any(
        not waits(settings, journal, Listed(waiting.salt, (each,))) for each in waiting.erasures
    )


def _finish(settings: Settings, journal: Journal, at: datetime, *, again: bool = False) -> None:
    """Let every place forget those whose erasure is not done, or with `again` everybody; then the records say so."""
    begun = erased.listed(settings, None if again else "begun")
    if begun is not None:
        journal.erase(begun.persons, at, is_dry=False)
        crash.here("erase.journal_cancelled")
        _cancel_batches(settings, journal, begun, at)
        crash.here("erase.batches_cancelled")
        landing_erasing.erase(settings, begun, is_dry=False)
        for each in begun.erasures:
            held = waits(settings, journal, Listed(begun.salt, (each,)))
            _forget_plans(settings, journal, begun, each, held=held, on=at, is_dry=False)
        leftovers.remove(settings, begun, journal.intents_to(begun.persons), is_dry=False)
        leftovers.remove_rebuildable(settings)
        journal.leave_no_trace()
        crash.here("erase.journal_rewritten")
        for each in begun.erasures:
            _note(settings, journal, begun, each, at)
    waiting = erased.listed(settings, "waiting")
    for each in waiting.erasures if waiting is not None else ():
        one = Listed(waiting.salt, (each,)) if waiting else None
        assert one is not None
        if not waits(settings, journal, one):
            _forget_plans(settings, journal, one, each, held=(), on=at, is_dry=False)
            leftovers.remove(settings, one, (), is_dry=False)
            _note(settings, journal, one, each, at)


def _note(settings: Settings, journal: Journal, who: Listed, each: Erasure, at: datetime) -> None:
    waiting_for = waits(settings, journal, Listed(who.salt, (each,)))
    if waiting_for:
        erased.write(settings, each.model_copy(update={"state": "waiting"}))
    else:
        gone = tuple(answered(one, read_catalog(settings).syncs, head_of(settings)) for one in each.destinations)
        done_at = each.done_at or at
        erased.write(settings, each.model_copy(update={"state": "done", "destinations": gone, "done_at": done_at}))
    crash.here("erase.noted")


def _cancel_batches(settings: Settings, journal: Journal, who: Listed, at: datetime) -> None:
    """Cancel the open batches that have a row of theirs: the next plan brings those of the others again."""
    store, head_id, head = Store(settings), Store(settings).head(), head_of(settings)
    if head is None:
        return
    found: list[str] = []
    with engine.connect(settings) as connection:
        for sync in who.keys:
            if f"sync_ops:{sync}" in head.relations:
                rows = connection.execute(
                    f"select distinct batch_no from {store.source(head, f'sync_ops:{sync}', '')} where op <> 'remove'"
                    f" and data is not null and {LetGo(who.salt, who.keys).condition(sync)}"
                ).fetchall()
                found += [f"{head_id}/{sync}/{batch_no}" for (batch_no,) in rows]
    journal.cancel_batches_with(found, at)


def _forget_plans(
    settings: Settings,
    journal: Journal,
    who: Listed,
    each: Erasure,
    *,
    held: Collection[str],
    on: datetime,
    is_dry: bool,
) -> planning_erasing.Forgotten:
    whose = Whose(each.erasure_id, each.persons, each.people, who.salt, each.keys, held)
    return planning_erasing.erase(settings, whose, journal.applied(), on, is_dry=is_dry)


def _stood_at(settings: Settings, *some: Erasure) -> datetime:
    """Return the instant of the warehouse: readers are not to be set back to that of the erasures."""
    generation, head = read_generation(settings), head_of(settings)
    return max(each.as_of for each in (*some, generation, head) if each is not None)


def _rebuild(settings: Settings, as_of: datetime) -> None:
    """Build the warehouse as it was, without them, and publish it, unless it stands."""
    if settings.published.exists():
        return
    owners = load_definitions(settings).sources_by_attribute
    files = {table: mirrored(settings, table) for table in MIRRORS}
    build(settings, as_of, load_files(settings, loads(settings)), files, owners)
    publish(settings)
