"""What stands in the files that a collector writes: calls in order of receipt, some twice, some late, some broken."""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import orjson

from tailrace.samples.life import DAY, HOUR, SECOND, Act, iso
from tailrace.samples.people import Person

LATE = 6 * HOUR
# Kind of damage → keys that go, keys that change.
_DAMAGED_KEYS: dict[str, tuple[tuple[str, ...], dict[str, str]]] = {
    "missing_ids": (("userId", "anonymousId"), {}),
    "missing_event": (("event",), {"type": "track"}),
    "missing_type": (("type",), {}),
    "unknown_type": ((), {"type": "trakc"}),
    "invalid_timestamp": (("originalTimestamp", "sentAt", "receivedAt"), {"timestamp": "2025-13-45T99:00:00Z"}),
}
DAMAGE = ("truncated_json", "not_json", "not_an_object", *_DAMAGED_KEYS)
_LIBRARIES = {
    "web": {"name": "analytics.js", "version": "4.11.2"},
    "mobile": {"name": "analytics-kotlin", "version": "1.16.3"},
    "server": {"name": "analytics-python", "version": "2.3.2"},
}


@dataclass(frozen=True)
class SampleFile:
    """One file: what was received from `first_on` to `last_on` (ISO dates, UTC). lines = events + duplicates + bad."""

    path: Path
    first_on: str
    last_on: str
    lines: int
    events: int
    duplicates: int
    bad: dict[str, int]

    @property
    def n_bad(self) -> int:
        """Return how many lines cannot be landed."""
        return sum(self.bad.values())


class _Line(NamedTuple):
    received: int
    number: int
    raw: bytes
    is_duplicate: bool


class Collector:
    """Turns acts into lines. `since` and `until` (exclusive) bound receipt, in milliseconds since 1970."""

    def __init__(self, since: int, until: int, chance: Random) -> None:
        self._since, self._until, self._chance = since, until, chance
        self._lines: list[_Line] = []
        self.counts: Counter[str] = Counter()

    def take(self, act: Act, person: Person | None, anonymous_id: str, locale: str) -> bool:
        """Receive one act; false when it would arrive after `until`, and then no file has it."""
        chance = self._chance
        lag = 40 + int(chance.random() * (900 if act.device == "server" else 9 * SECOND))
        received = act.at + act.delay + lag
        if received >= self._until:
            return False
        call = self._call(act, person, anonymous_id, locale)
        skew = person.clock_skew_ms if person and act.device != "server" else 0
        self._add(call, act, received, skew, is_duplicate=False)
        self._count(act, person, skew)
        if chance.random() < 0.008:
            again = received + (0 if chance.random() < 0.3 else int(chance.random() ** 3 * 4 * DAY) + SECOND)
            if again < self._until:
                self._add(call, act, again, skew, is_duplicate=True)
        return True

    def _call(self, act: Act, person: Person | None, anonymous_id: str, locale: str) -> dict[str, Any]:
        call: dict[str, Any] = {"messageId": f"m-{self._chance.getrandbits(96):024x}", "type": act.type}
        if act.is_identified and person:
            call["userId"] = person.user_id
        if act.device != "server":
            call["anonymousId"] = anonymous_id
        if act.type == "track":
            call["event"] = act.name
        elif act.type == "page":
            call["name"] = act.name
        elif act.type == "group" and person and person.company:
            call["groupId"] = person.company.group_id
        if act.body is not None:
            call["properties" if act.type == "track" else "traits"] = act.body
        call["context"] = {"library": _LIBRARIES[act.device], "locale": locale}
        if act.device == "server" and act.type == "track" and person and person.company:
            # The billing system knows the account that an invoice is for.
            call["context"]["groupId"] = person.company.group_id
        return call

    def _add(self, call: dict[str, Any], act: Act, received: int, skew: int, *, is_duplicate: bool) -> None:
        """Write the times as the spec has them: timestamp = receivedAt - (sentAt - originalTimestamp)."""
        call["timestamp"] = iso(act.at)
        if act.device != "server":
            call["originalTimestamp"] = iso(act.at + skew)
            call["sentAt"] = iso(received + skew)
        call["receivedAt"] = iso(received)
        # The join copies: what orjson returns holds on to a buffer several times its size.
        raw = b"".join((orjson.dumps(call), b"\n"))
        self._lines.append(_Line(received, len(self._lines), raw, is_duplicate))

    def _count(self, act: Act, person: Person | None, skew: int) -> None:
        self.counts[f"{act.type}:{act.name}" if act.type == "track" else act.type] += 1
        self.counts["late"] += act.delay >= LATE
        self.counts["skewed"] += skew != 0
        self.counts["without_user"] += not (act.is_identified and person)

    def write(self, target: Path, starts: Sequence[int]) -> list[SampleFile]:
        """Write one gz file per period; `starts` are their first UTC day numbers, the last one ends at `until`.

        What was received before the first one stands in the first file. Files are named after their first day, so
        that the order of names is the order of time.
        """
        target.mkdir(parents=True, exist_ok=True)
        self._lines.sort()
        files, at = [], 0
        for start, following in zip(starts, [*starts[1:], self._until // DAY], strict=True):
            to = at
            while to < len(self._lines) and self._lines[to].received < following * DAY:
                to += 1
            files.append(self._write_one(target, start, following - 1, self._lines[at:to]))
            at = to
        return files

    def _write_one(self, target: Path, first: int, last: int, lines: list[_Line]) -> SampleFile:
        raws = [line.raw for line in lines]
        duplicates = sum(line.is_duplicate for line in lines)
        bad: Counter[str] = Counter()
        # A file without one would prove nothing; more than one in a thousand would be a broken collector.
        for number in range(1 + len(raws) // 2_000):
            kind = self._chance.choice(DAMAGE)
            model = orjson.loads(self._chance.choice(lines).raw) if lines else {"type": "track", "event": "logged_in"}
            model["messageId"] = f"bad-{first}-{number}"
            raws.insert(int(self._chance.random() * (len(raws) + 1)), _break(kind, model) + b"\n")
            bad[kind] += 1
        first_on, last_on = iso(first * DAY)[:10], iso(last * DAY)[:10]
        name = first_on if first == last else f"{first_on}-to-{last_on}"
        path = target / f"{name}.jsonl.gz"
        # No name and no time in the header: the same lines are the same bytes.
        path.write_bytes(gzip.compress(b"".join(raws), compresslevel=3, mtime=0))
        return SampleFile(path, first_on, last_on, len(raws), len(lines) - duplicates, duplicates, dict(bad))


def _break(kind: str, call: dict[str, Any]) -> bytes:
    """Return `call` damaged; each kind beyond doubt, so that no honest reader could land it."""
    if kind == "not_json":
        return b"<html><body>502 Bad Gateway</body></html>"
    if kind == "not_an_object":
        return orjson.dumps([call["messageId"]])
    without, changed = _DAMAGED_KEYS.get(kind, ((), {}))
    whole = orjson.dumps({key: value for key, value in call.items() if key not in without} | changed)
    return whole[: len(whole) // 2] if kind == "truncated_json" else whole
