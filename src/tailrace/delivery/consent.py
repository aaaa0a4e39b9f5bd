"""May this message still reach this person? Asked again right before the claim, of the newest plan's word."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from tailrace.delivery.messages import PlanReader
from tailrace.journal import Due

EXEMPT = frozenset({"staff", "action"})
"""Classes that nobody consents to: word to our own people, and calls that are no message."""


class NewestWord:
    """What people have withdrawn by the plan that is HEAD now: a run may apply another while a delivery goes on.

    Several threads may ask: what is kept is replaced, and never changed.
    """

    def __init__(self, store: PlanReader) -> None:
        self._store = store
        self._known: tuple[str | None, pa.Table | None] = (None, None)

    def __call__(self) -> pa.Table | None:
        """Return HEAD's relation `consents`, None when there is no HEAD."""
        head = self._store.head()
        known = self._known
        if known[0] != head:
            known = self._known = (head, None if head is None else self._store.consents(head))
        return known[1]


class Consents:
    """What people have withdrawn: person_id, channel ('' is all), topic ('' is all), class ('' is every), reason.

    `newest` returns the table that counts at this moment: the same object as long as that is the same.
    """

    def __init__(self, newest: Callable[[], pa.Table | None]) -> None:
        self._newest = newest
        self._table = newest()
        self._page: tuple[frozenset[int], dict[int, list[tuple[str, str, str, str]]]] = (frozenset(), {})

    def withdrawn(self, items: Sequence[Due]) -> dict[str, str]:
        """Return those of the items that may not go out any more, each with the reason that weighs most.

        What holds for every class goes first, then what holds for every topic.
        """
        by_person = self._of(items)
        if not by_person:
            return {}
        found = {}
        for item in items:
            if item.klass in EXEMPT or item.person_id is None:
                continue
            against = [said for said in by_person.get(item.person_id, ()) if _holds(item, said)]
            if against:
                found[item.item_id] = min(against)[3]
        return found

    def load(self, items: Sequence[Due]) -> None:
        """Look up the people of a page of items at once: a search per claim would cost more than its calls."""
        self._table = self._newest()
        people = _people(items)
        by_person: dict[int, list[tuple[str, str, str, str]]] = {}
        if people and self._table is not None and self._table.num_rows:
            named = pc.is_in(self._table.column("person_id"), pa.array(sorted(people), pa.int64()))
            for row in self._table.filter(named).to_pylist():
                said = (row["class"], row["topic"], row["channel"], row["reason"])
                by_person.setdefault(row["person_id"], []).append(said)
        self._page = (people, by_person)

    def _of(self, items: Sequence[Due]) -> dict[int, list[tuple[str, str, str, str]]]:
        """Return what people have withdrawn, those of the items among them."""
        if self._newest() is not self._table or not _people(items) <= self._page[0]:
            self.load(items)
        return self._page[1]


def _people(items: Sequence[Due]) -> frozenset[int]:
    return frozenset(item.person_id for item in items if item.klass not in EXEMPT and item.person_id is not None)


def _holds(item: Due, said: tuple[str, str, str, str]) -> bool:
    klass, topic, channel, _ = said
    return klass in ("", item.klass) and topic in ("", item.topic or "") and channel in ("", item.lane)
