"""May this message still reach this person? Asked again right before the claim, of the newest plan's word."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from tailrace.journal import Due

EXEMPT = frozenset({"staff", "action"})
"""Classes that nobody consents to: word to our own people, and calls that are no message."""


class Consents:
    """What people have withdrawn: person_id, channel ('' is all), topic ('' is all), class ('' is every), reason."""

    def __init__(self, table: pa.Table | None = None) -> None:
        self._table = table

    def withdrawn(self, items: Sequence[Due]) -> dict[str, str]:
        """Return those of the items that may not go out any more, each with the reason that weighs most.

        What holds for every class goes first, then what holds for every topic.
        """
        people = {item.person_id for item in items if item.klass not in EXEMPT and item.person_id is not None}
        if self._table is None or not people:
            return {}
        named = pc.is_in(self._table.column("person_id"), pa.array(sorted(people), pa.int64()))
        by_person: dict[int, list[tuple[str, str, str, str]]] = {}
        for row in self._table.filter(named).to_pylist():
            said = (row["class"], row["topic"], row["channel"], row["reason"])
            by_person.setdefault(row["person_id"], []).append(said)
        found = {}
        for item in items:
            if item.klass in EXEMPT or item.person_id is None:
                continue
            against = [said for said in by_person.get(item.person_id, ()) if _holds(item, said)]
            if against:
                found[item.item_id] = min(against)[3]
        return found


def _holds(item: Due, said: tuple[str, str, str, str]) -> bool:
    klass, topic, channel, _ = said
    return klass in ("", item.klass) and topic in ("", item.topic or "") and channel in ("", item.lane)
