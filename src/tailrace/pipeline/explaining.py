"""What happened to one person, and why? Events, segments, steps, verdicts and outcomes: facts and ids, no addresses."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from tailrace import clock, engine, ids
from tailrace.errors import DataError
from tailrace.journal.journal import Journal
from tailrace.pipeline.published import has, person_now, published, state_tables
from tailrace.planning import relations
from tailrace.planning.store import Plan, Store
from tailrace.planning.story import tell
from tailrace.settings import Settings


@dataclass(frozen=True)
class OutcomeRow:
    """One thing that happened to a message of the person's."""

    at: datetime
    campaign: str
    step: str
    intent_id: str
    what: str
    code: str
    destination: str | None


@dataclass(frozen=True)
class Explanation:
    """One person's story over `n_plans` plans up to `as_of`, oldest first. See `planning.story` for the rows.

    `states` are the person's present ones: programme, state, since. `also` are the keys of their other user ids, which
    rows may name; `asked` is the one of these that was asked for, None when it was the person's own.
    """

    person_id: int
    also: list[int]
    asked: int | None
    as_of: datetime
    n_plans: int
    n_events: int
    n_days: int
    first_on: date | None
    last_on: date | None
    states: list[dict[str, Any]]
    segments: list[str]
    changes: list[dict[str, Any]]
    enrollments: list[dict[str, Any]]
    transitions: list[dict[str, Any]]
    verdicts: list[dict[str, Any]]
    outcomes: list[OutcomeRow]
    missing: str | None


def explain(settings: Settings, person: str, *, limit: int, at: datetime | None = None) -> Explanation:
    """Tell the story of the person with this user id, or with this person_id if nobody has that user id.

    With `at`, up to the plan that was current then; events, states and outcomes are always those of now.

    Raises DataError when neither is known, or when nothing was planned by then.
    """
    store = Store(settings)
    head, plan = plan_at(store, at)
    person_id = find_person(settings, person)
    also = also_known_as(settings, person_id)
    with engine.connect(settings) as connection:
        story = tell(connection, store, person_id, also=also, head=head, limit=limit)
    n_events, n_days, first_on, last_on = _events(settings, person_id)
    return Explanation(
        person_id=person_id,
        also=also,
        asked=next((key for key in _keys(person) if key in also), None),
        as_of=plan.as_of,
        n_plans=story.n_plans,
        n_events=n_events,
        n_days=n_days,
        first_on=first_on,
        last_on=last_on,
        states=_states(settings, person_id),
        segments=story.segments,
        changes=story.changes,
        enrollments=story.enrollments,
        transitions=story.transitions,
        verdicts=story.verdicts,
        outcomes=_outcomes(settings, [person_id, *also]),
        missing=story.missing,
    )


def plan_at(store: Store, at: datetime | None) -> tuple[str, Plan]:
    """Return the plan of HEAD's lineage that was current at `at`: the newest whose as_of is not after it.

    Raises DataError when nothing was planned by then.
    """
    first = None
    for plan_id, plan in store.chain(store.head()):
        if at is None or plan.as_of <= at:
            return plan_id, plan
        first = plan
    if at is None or first is None:
        raise DataError("nothing has been planned yet; expected one run before: `tailrace run`")
    cut = store.cut(first)
    why = f"the plan of {clock.iso(at)} was {cut.in_words()}" if cut else f"no plan was made by {clock.iso(at)}"
    raise DataError(f"{why}; expected a time from {clock.iso(first.as_of)} on")


def find_person(settings: Settings, person: str) -> int:
    """Return the person_id of the person with this user id, or with this person_id if nobody has that user id.

    Of a user id that is another person's now it is that person's. Raises DataError when neither is known.
    """
    with published(settings) as connection:
        for candidate in _keys(person):
            values = {"person": candidate}
            if engine.first(connection, "select 1 from core.dim_people where person_id = $person", values):
                return candidate
            if (now := person_now(connection, candidate)) != candidate:
                return now
    raise DataError(
        "nobody has that user id or person_id; expected a person with an event that has landed and been published"
        " (ids are case-sensitive)"
    )


def find_person_then(settings: Settings, store: Store, plan: Plan, person: str) -> int:
    """Return the person_id by which the plan knew whom `find_person` finds: their own, if they were not merged yet.

    Raises DataError as `find_person` does.
    """
    person_id = find_person(settings, person)
    also = also_known_as(settings, person_id)
    asked = next((key for key in _keys(person) if key in also), person_id)
    with engine.connect(settings) as connection:
        known = f"select into_person_id from {store.source(plan, 'merges', relations.MERGES)} as merges"
        row = engine.first(connection, f"{known} where person_id = $person", {"person": asked})
    return asked if row is None else int(row[0])


def also_known_as(settings: Settings, person_id: int) -> list[int]:
    """Return the keys of the person's other user ids, in order."""
    with published(settings) as connection:
        if not has(connection, "core", "fct_person_merges"):
            return []
        query = "select person_id from core.fct_person_merges where into_person_id = $person order by person_id"
        return [row[0] for row in connection.execute(query, {"person": person_id}).fetchall()]


def _keys(person: str) -> list[int]:
    """Return which keys of people the text may mean, likeliest first."""
    return [ids.person_id(person), *([int(person)] if person.isdigit() and len(person) < 20 else [])]


def _events(settings: Settings, person_id: int) -> tuple[int, int, date | None, date | None]:
    with published(settings) as connection:
        if not has(connection, "core", "fct_person_totals"):
            return 0, 0, None, None
        row = engine.first(
            connection,
            "select n_events, n_days, first_event_at::date, last_event_at::date from core.fct_person_totals"
            " where person_id = $person",
            {"person": person_id},
        )
    return (0, 0, None, None) if row is None else (row[0], row[1], row[2], row[3])


def _states(settings: Settings, person_id: int) -> list[dict[str, Any]]:
    """Return the present state in each programme that is published."""
    with published(settings) as connection:
        found = []
        for programme, table in state_tables(connection).items():
            row = engine.first(
                connection,
                f"select state, started_at from {table} where person_id = $person and ended_at is null",
                {"person": person_id},
            )
            if row is not None:
                found.append({"programme": programme, "state": row[0], "since": row[1]})
    return found


def _outcomes(settings: Settings, known: list[int]) -> list[OutcomeRow]:
    with Journal.open(settings) as journal:
        intents = {intent.intent_id: intent for key in known for intent in journal.intents_of(key)}
        happened = journal.history(intents)
    return [
        OutcomeRow(
            at=item.at,
            campaign=intents[item.item_id].campaign,
            step=intents[item.item_id].step,
            intent_id=item.item_id,
            what=item.what,
            code=item.code,
            destination=item.destination,
        )
        for item in sorted(happened, key=lambda item: (item.at, item.item_id, item.attempt))
    ]
