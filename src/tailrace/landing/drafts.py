"""What would a contract say of an event, going by what has landed? A draft for somebody to read, never more.

No value of a person gets into a draft: a list of values is written only where each is a plain code that several people
sent, and none is anybody's id, name or address; a property whose name looks like data is left out.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from tailrace import clock, engine
from tailrace.landing.census import Seen
from tailrace.landing.loads import event_files, loads
from tailrace.settings import Settings

_PACKAGE = "tailrace.landing"
_MANY, _FEW, _SEVERAL = 100, 12, 5
"""A list takes so many values, at most so many different ones, each sent by so many people."""
_MOST_PROPERTIES = 60
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_ .$-]{0,60}")
_CODE = re.compile(r"[a-z0-9][a-z0-9_.+-]{0,30}|[A-Z][A-Z0-9_]{1,30}")
_DATA = re.compile(r"@|[0-9]{5}|[0-9a-f]{12}")
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_PERSONAL = frozenset({
    "address", "agent", "assignee", "author", "birth", "birthday", "by", "city", "coach", "contact", "customer",
    "dob", "doctor", "email", "first", "id", "ids", "ip", "key", "last", "login", "mail", "manager", "member",
    "mobile", "name", "nickname", "owner", "passport", "patient", "person", "phone", "postcode", "provider",
    "recipient", "rep", "sender", "ssn", "staff", "street", "surname", "token", "url", "user", "username", "uuid",
    "zip",
})  # fmt: skip
_TYPES = ("string", "integer", "number", "boolean", "array", "object")


@dataclass(frozen=True)
class _Found:
    """How many values of each type one property had."""

    name: str
    values: int
    counts: Mapping[str, int]
    moments: int
    days: int
    different: int

    @property
    def type(self) -> str:
        """Return the type of most values; whole numbers are numbers once there is one that is none."""
        kind = max(_TYPES, key=lambda name: (self.counts[name], -_TYPES.index(name)))
        if kind == "string" and self.values in (self.moments, self.days):
            return "timestamp" if self.moments else "date"
        return kind

    @property
    def of_other_types(self) -> int:
        """Return how many values are of another type than that of most."""
        kind = self.type
        return self.values - self.counts["string" if kind in ("timestamp", "date") else kind]


def drafts(settings: Settings, seen: Sequence[Seen], source: str | None) -> dict[str, str]:
    """Return a draft of the contract of each event in `seen`, by name."""
    files = event_files(settings, loads(settings))
    names = list(dict.fromkeys(row.event for row in seen))
    if not files or not names:
        return {}
    listed = ", ".join(engine.literal(str(path)) for path in files)
    with engine.connect(settings) as connection:
        connection.execute(engine.statement(_PACKAGE, "breaches"))
        properties = _properties(connection, listed, names, source)
        words = {each.name for found in properties.values() for each in found}
        personal = _personal(connection, listed, words, in_parts=False)
        kept = {event: [each for each in found if _may_be_named(each, personal)] for event, found in properties.items()}
        enums = _enums(connection, listed, kept, source)
    return {
        name: _text([row for row in seen if row.event == name], properties[name], kept[name], enums, name)
        for name in names
    }


def _properties(
    connection: engine.Connection, files: str, names: list[str], source: str | None
) -> dict[str, list[_Found]]:
    query = engine.statement(_PACKAGE, "drafts").replace("{files}", files)
    found: dict[str, list[_Found]] = {name: [] for name in names}
    for row in connection.execute(query, {"events": names, "source": source}).fetchall():
        event, name, n_values, strings, integers, fractions, booleans, arrays, objects, moments, days, different = row
        numbers = integers + fractions if fractions else 0
        counts = (strings, 0 if fractions else integers, numbers, booleans, arrays, objects)
        found[event].append(_Found(name, n_values, dict(zip(_TYPES, counts, strict=True)), moments, days, different))
    return found


def _may_be_named(found: _Found, personal: frozenset[str]) -> bool:
    return _KEY.fullmatch(found.name) is not None and not looks_like_data(found.name) and found.name not in personal


def looks_like_data(name: str) -> bool:
    """Say whether a name has in it what an address or an id has."""
    return _DATA.search(name) is not None


def _enums(
    connection: engine.Connection, files: str, kept: Mapping[str, Sequence[_Found]], source: str | None
) -> dict[tuple[str, str], list[str] | None]:
    """Return the values to list, by event and property; None where there are few and they may be people's."""
    candidates = [
        (event, each.name)
        for event, found in kept.items()
        for each in found
        # How many different ones is an estimate here; they are counted below.
        if each.type == "string" and each.values >= _MANY and each.different <= 2 * _FEW
    ]
    if not candidates:
        return {}
    table = pa.table({"event": [event for event, _ in candidates], "property": [name for _, name in candidates]})
    connection.register("candidates", table)
    query = engine.statement(_PACKAGE, "drafts_values").replace("{files}", files)
    values: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    for event, name, value, n_people in connection.execute(query, {"source": source}).fetchall():
        values[event, name][value] = n_people
    connection.unregister("candidates")
    personal = _personal(connection, files, {value for counts in values.values() for value in counts}, in_parts=True)
    return {
        (event, name): sorted(counts) if _are_codes(name, counts, personal) else None
        for (event, name), counts in values.items()
        if len(counts) <= _FEW
    }


def _are_codes(name: str, counts: Mapping[str, int], personal: frozenset[str]) -> bool:
    """Say whether the values may stand in a file: plain codes that several people sent, and nobody's own."""
    return not _PERSONAL & {word.lower() for word in _WORD.findall(name)} and all(
        _CODE.fullmatch(value) and not looks_like_data(value) and n_people >= _SEVERAL and value not in personal
        for value, n_people in counts.items()
    )


def _personal(connection: engine.Connection, files: str, words: Iterable[str], *, in_parts: bool) -> frozenset[str]:
    """Return those of the words that are somebody's id, name or address in what has landed.

    With `in_parts`, also those that are a word of somebody's whole name.
    """
    connection.register("words", pa.table({"word": pa.array(sorted(words), pa.string())}))
    query = engine.statement(_PACKAGE, "drafts_people").replace("{files}", files)
    found = frozenset(row[0] for row in connection.execute(query, {"in_parts": in_parts}).fetchall())
    connection.unregister("words")
    return found


def _text(
    seen: Sequence[Seen],
    found: Sequence[_Found],
    kept: Sequence[_Found],
    enums: Mapping[tuple[str, str], list[str] | None],
    event: str,
) -> str:
    n_events = sum(row.events for row in seen)
    first, last = min(row.first_at for row in seen), max(row.last_at for row in seen)
    sources = ", ".join(sorted({row.source for row in seen}))
    lines = [
        f"# A draft, from {n_events:,} events of {sources} ({clock.iso(first)[:10]} to {clock.iso(last)[:10]}).",
        "# Read it, and say what only people know.",
        "# Health data cannot be told from data: where it is, `sensitivity: health` (docs/ownership.md).",
        "summary: (draft) say what happened when this event comes",
        "# owner: who is asked about it",
    ]
    shown = kept[:_MOST_PROPERTIES]
    if shown:
        lines += ["on_breach: warn", "properties:"]
        lines += [line for each in shown for line in _property(each, n_events, enums.get((event, each.name), []))]
    if len(found) > len(shown):
        lines.append(f"# left out: {len(found) - len(shown)} properties that look like data, or are too many")
    return "\n".join(lines) + "\n"


def _property(found: _Found, n_events: int, enum: list[str] | None) -> Iterator[str]:
    asked = [f"type: {found.type}"]
    if found.values == n_events:
        asked.append("required: true")
    if enum:
        asked.append(f"enum: [{', '.join(map(_scalar, enum))}]")
    notes = []
    if enum is None:
        notes.append("few values, which may be people's: they are not listed")
    if found.of_other_types:
        notes.append(f"{found.of_other_types:,} of {found.values:,} values are of another type")
    remark = f"  # {'; '.join(notes)}" if notes else ""
    yield f"  {_scalar(found.name)}: {{{', '.join(asked)}}}{remark}"


def _scalar(text: str) -> str:
    """Return a text as YAML, in quotes where it would be read as something else."""
    if _PLAIN.fullmatch(text) and text.lower() not in ("true", "false", "null"):
        return text
    return json.dumps(text, ensure_ascii=False)
