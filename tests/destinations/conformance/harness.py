"""Does a destination of ours say what was recorded? Drives it from a case, compares, and counts by reason.

A destination brings a translation: the case's payloads as rows of a sync, with settings and target. What then differs
on the wire must stand in differences.yml, with its reason, or the test fails; an entry there that explains nothing
fails too.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from ruamel.yaml import YAML

from conformance.cases import Case, Wire, body_of
from tailrace.destinations.base import Batch, BatchRow, HttpRequest, Item, Message, RefusedError, RowsRefused, Secrets

DIFFERENCES = Path(__file__).with_name("differences.yml")
SHOWN = int(os.environ.get("SHOWN") or 10)
"""How many of the cases that differ a failure prints; `SHOWN=500` for all of them."""
AT = datetime(2026, 11, 21, 8, 45, tzinfo=UTC)


@dataclass(frozen=True)
class Rows:
    """One batch as delivery would hand it over; `rows` are (op, key, data)."""

    target: str
    rows: Sequence[tuple[str, Any, Any]]
    mode: str = "upsert"


@dataclass(frozen=True)
class Driven:
    """A case in our words: a module, its settings and secrets, and the batches.

    `not_said` tells requests that we have none for; each is a difference `-request`, and the others are compared.
    `messages` are said after the batches, one call each.
    """

    module: Any
    settings: dict[str, Any]
    secrets: dict[str, str]
    batches: Sequence[Rows]
    not_said: Callable[[Wire], bool] = lambda wire: False
    messages: Sequence[Message] = ()


Translate = Callable[[Case], Driven]
"""Raises NotApplicable for what we have no word for."""

Opened = Callable[[Wire], Wire]
"""Returns a request in the form in which both sides are compared: a dialect of the same call is no difference."""


class NotApplicable(Exception):
    """The case is about something that our destination does not do; `reason` stands in differences.yml."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


@dataclass(frozen=True)
class Difference:
    """Where two requests differ: `+field` only we say, `-field` only they say, `~field` differs."""

    field: str
    ours: Any
    theirs: Any


@dataclass(frozen=True)
class Deliberate:
    """One entry of differences.yml."""

    cases: re.Pattern[str]
    fields: re.Pattern[str]
    reason: str


@dataclass
class Tally:
    """What became of the cases. `strange` are those that no entry explains."""

    equal: int = 0
    differing: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    not_applicable: Counter[str] = field(default_factory=Counter)
    strange: list[str] = field(default_factory=list)

    @property
    def numbers(self) -> dict[str, Any]:
        """The numbers that a test asserts."""
        return {
            "driven": self.equal + self.differing + len(self.strange),
            "equal": self.equal,
            "differing": dict(sorted(self.reasons.items())),
            "not_applicable": dict(sorted(self.not_applicable.items())),
        }


def held_against(name: str, cases: Iterable[Case], translate: Translate, opened: Opened = lambda wire: wire) -> Tally:
    """Return the tally of a destination's cases, having printed it; fails where a case differs without a reason."""
    __tracebackhide__ = True
    entries, words = deliberate(name)
    tally, used, unexplained = Tally(), set(), Counter()
    for case in cases:
        try:
            driven = translate(case)
        except NotApplicable as none:
            tally.not_applicable[none.reason] += 1
            continue
        found = list(differences(case, driven, opened))
        explained = {one.field: _entry(entries, case, one) for one in found}
        reasons = {entry.reason for entry in explained.values() if entry is not None}
        used |= reasons
        if None in explained.values():
            left = [one for one in found if explained[one.field] is None]
            unexplained.update({one.field for one in left})
            tally.strange.append(f"{case.case_id} {case.label}: " + "; ".join(map(_shown, left)))
        elif found:
            tally.differing += 1
            tally.reasons.update(reasons)
        else:
            tally.equal += 1
    print(f"\n{name}: {tally.numbers}")
    if tally.strange:
        shown = "\n".join([f"fields: {dict(unexplained.most_common(20))}", *tally.strange[:SHOWN]])
        pytest.fail(f"{len(tally.strange)} cases of {name} differ without a reason in {DIFFERENCES.name}:\n{shown}")
    unsaid = sorted(tally.not_applicable.keys() - words.keys())
    assert not unsaid, f"{DIFFERENCES.name}: {name} gives no words for: {', '.join(unsaid)}"
    stale = sorted(words.keys() - used - tally.not_applicable.keys())
    assert not stale, f"{DIFFERENCES.name}: {name} has reasons that explain nothing: {', '.join(stale)}"
    return tally


def differences(case: Case, driven: Driven, opened: Opened) -> Iterator[Difference]:
    """Yield where our requests differ from the recorded ones."""
    ours = [opened(wire) for wire in requests_of(driven)]
    for wire in filter(driven.not_said, case.requests):
        yield Difference("-request", None, wire.url)
    theirs = [opened(wire) for wire in case.requests if not driven.not_said(wire)]
    if len(ours) != len(theirs):
        yield Difference("~requests", len(ours), len(theirs))
    for mine, other in zip(ours, theirs, strict=False):
        if mine.method != other.method:
            yield Difference("~method", mine.method, other.method)
        here, there = urlsplit(mine.url), urlsplit(other.url)
        for part in ("scheme", "netloc", "path", "query"):
            if getattr(here, part) != getattr(there, part):
                yield Difference(f"~url.{part}", getattr(here, part), getattr(there, part))
        for header in ("authorization", "api-key", "x-api-key"):
            if mine.headers.get(header) != other.headers.get(header):
                yield Difference(f"~header.{header}", mine.headers.get(header), other.headers.get(header))
        yield from compared("body", mine.body, other.body)


def requests_of(driven: Driven) -> list[Wire]:
    """Return what our destination says: cut to the rows of a call, and without the rows that it refuses."""
    settings = driven.module.Settings(**driven.settings)
    secrets = Secrets(driven.secrets)
    wires = []
    for number, told in enumerate(driven.batches):
        rows = tuple(BatchRow(position, *row) for position, row in enumerate(told.rows))
        most = driven.module.CAPABILITIES.call_rows or max(1, len(rows))
        for start in range(0, len(rows), most):
            batch = Batch(
                f"p/s/{number}", "p", "s", told.target, number, rows[start : start + most], AT, mode=told.mode
            )
            request = _request(driven.module, settings, secrets, batch)
            if request is not None:
                wires.append(_wire(request))
    said = (_request(driven.module, settings, secrets, message) for message in driven.messages)
    return [*wires, *(_wire(request) for request in said if request is not None)]


def compared(path: str, ours: Any, theirs: Any) -> Iterator[Difference]:
    """Yield the leaves at which two values differ; null and absent are two things, 1 and 1.0 are one."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in sorted(ours.keys() | theirs.keys()):
            if key not in theirs:
                yield Difference(f"+{path}.{key}", ours[key], None)
            elif key not in ours:
                yield Difference(f"-{path}.{key}", None, theirs[key])
            else:
                yield from compared(f"{path}.{key}", ours[key], theirs[key])
    elif isinstance(ours, list) and isinstance(theirs, list):
        if len(ours) != len(theirs):
            yield Difference(f"~{path}[]", len(ours), len(theirs))
        for mine, other in zip(ours, theirs, strict=False):
            yield from compared(f"{path}[]", mine, other)
    elif isinstance(ours, bool) is not isinstance(theirs, bool) or ours != theirs:
        yield Difference(f"~{path}", ours, theirs)


@cache
def deliberate(name: str) -> tuple[tuple[Deliberate, ...], dict[str, str]]:
    """Return the entries of a destination, and its reasons in words."""
    told = YAML(typ="safe").load(DIFFERENCES)[name]
    words = {reason: " ".join(text.split()) for reason, text in told["reasons"].items()}
    entries = tuple(
        Deliberate(re.compile(one.get("cases", "")), re.compile(one["fields"]), one["reason"])
        for one in told.get("differences") or []
    )
    unknown = {entry.reason for entry in entries} - words.keys()
    assert not unknown, f"{DIFFERENCES.name}: {name} names reasons that it does not give: {unknown}"
    return entries, words


def _entry(entries: Sequence[Deliberate], case: Case, found: Difference) -> Deliberate | None:
    matching = (one for one in entries if one.cases.search(case.label) and one.fields.fullmatch(found.field))
    return next(matching, None)


def _request(module: Any, settings: Any, secrets: Secrets, item: Item) -> HttpRequest | None:
    try:
        return module.build_request(settings, secrets, item)
    except RowsRefused as refused:
        assert isinstance(item, Batch)
        left = tuple(row for row in item.rows if row.position not in refused.rows)
        return _request(module, settings, secrets, replace(item, rows=left)) if left else None
    except RefusedError:
        return None


def _wire(request: HttpRequest) -> Wire:
    headers = {name.lower(): value for name, value in request.headers.items()}
    return Wire(request.method, request.url, headers, body_of(request.body, headers.get("content-type", "")))


def _shown(one: Difference) -> str:
    return f"{one.field}: {str(one.ours)[:120]} | {str(one.theirs)[:120]}"
