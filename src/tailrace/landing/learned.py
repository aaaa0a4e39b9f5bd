"""What do a source's lines look like, and what follows for the statements that read them?

Any lines may be learned from, and any choice is right: one that fits sends fewer lines on to be looked through.
"""

from __future__ import annotations

import json
import re
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tailrace import engine
from tailrace.landing import chunks, forms, verbatim

TEXT_KEYS = (
    "messageId", "type", "event", "name", "userId", "anonymousId", "previousId", "groupId",
    "timestamp", "originalTimestamp", "sentAt", "receivedAt",
)  # fmt: skip
BODIES = ("properties", "traits", "context")
# What is no name of a column, an address for one, is somebody's, and is not said.
_NAME = re.compile(r"[A-Za-z_$][A-Za-z0-9_$ .:/-]{0,63}")
_SAMPLE_LINES = 200
_MAX_LINES = 2 * _SAMPLE_LINES
_MAX_PATHS = 48
# Many lines are kept at a time: of one as long as this nothing is learned but at the top of a file.
_MAX_SAMPLED = 1 << 16
# So many lines more than are known to stay strangers, of all, are worth another set of statements.
_MANY = 0.05


class Learned:
    """What is known of a source's lines. `parameters` are what the statements need that depends on it."""

    def __init__(self) -> None:
        self.parameters: dict[str, str] = {}
        self._lines: deque[str] = deque(maxlen=_MAX_LINES)
        self._strangers = 0.0
        self._is_fresh = False

    def learn(self, lines: Iterable[str]) -> None:
        """Learn from some more lines; the oldest of many are forgotten."""
        self._lines.extend(lines)
        # Of the first lines it is not known how well they stand for the others.
        self._is_fresh = bool(self.parameters)
        self.parameters = parameters(list(_objects(self._lines)))

    def has_strangers(self, share: float) -> bool:
        """Say whether there is more to learn where the `share` of the lines did not fit what was known."""
        if not self._is_fresh and share > self._strangers + _MANY:
            return True
        self._strangers = share if self._is_fresh else min(share, self._strangers)
        self._is_fresh = False
        return False


def parameters(rows: list[dict[str, Any]]) -> dict[str, str]:
    """Return what the statements need that depends on the lines, of which `rows` are some: what to look for."""
    found: Counter[str] = Counter()
    for row in rows:
        found.update(_paths(row, "$"))
    return {
        **SPEC,
        "paths": _path_list(found),
        **{f"{body}_paths": _path_list(_below(found, body)) for body in BODIES},
        "is_verbatim": verbatim.is_verbatim(rows, TEXT_KEYS, BODIES),
        "fits": " and ".join(forms.fits(rows, body) for body in BODIES),
    }


def kinds(path: Path) -> dict[str, str]:
    """Return the keys of a file's first lines, each with the kinds of value that it has there; null is none."""
    found: dict[str, set[str]] = {}
    names = {str: "text", bool: "true or false", int: "number", float: "number", dict: "object", list: "list"}
    for row in _objects(first_lines(path)):
        for key, value in row.items():
            found.setdefault(key, set()).update([names[type(value)]] if value is not None else [])
    return {key: " or ".join(sorted(found[key])) for key in sorted(found) if is_name(key)}


def is_name(key: str) -> bool:
    """Say whether a key can be the name of a column, and so can be said."""
    return _NAME.fullmatch(key) is not None


def first_lines(path: Path) -> Iterator[str]:
    """Yield the first lines of a file that are text."""
    for chunk in chunks.Reader(path).chunks():
        for line in chunk.body[: 1 << 20].split(b"\n")[:_SAMPLE_LINES]:
            try:
                yield line.decode()
            except UnicodeDecodeError:
                continue
        return


def some_lines(body: bytes, count: int) -> Iterator[str]:
    """Yield up to `count` of the lines of `body`, which is text, from all over it; none when they are very long."""
    left, end = _MAX_SAMPLED, -1
    for number in range(count):
        start = body.find(b"\n", max(len(body) * number // count - 1, end)) + 1 if number else 0
        if number and not start:
            return
        end = body.find(b"\n", start)
        line = body[start:] if end < 0 else body[start:end]
        left -= len(line)
        if left < 0:
            return
        yield line.decode()
        if end < 0:
            return


def _objects(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    for line in lines:
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(row, dict):
            yield row


def _paths(value: Any, at: str) -> Iterator[str]:
    if isinstance(value, dict) and value:
        yield at
        for key, inner in value.items():
            if key.replace("_", "").replace("-", "").isalnum() and key.isascii() and len(at) < 200:
                yield from _paths(inner, f'{at}."{key}"')
    elif isinstance(value, list):
        for number, inner in enumerate(value[:8]):
            yield from _paths(inner, f"{at}[{number}]")


def _below(found: Counter[str], body: str) -> Counter[str]:
    """Return the paths inside a body, as they are in its own text."""
    start = f'$."{body}"'
    return Counter({"$" + path.removeprefix(start): count for path, count in found.items() if path.startswith(start)})


def _path_list(found: Counter[str]) -> str:
    found.pop("$", None)
    chosen = ["$", *(path for path, _ in sorted(found.items(), key=lambda item: (-item[1], item[0]))[: _MAX_PATHS - 1])]
    return "[" + ", ".join(engine.literal(path) for path in chosen) + "]"


def _spec() -> dict[str, str]:
    spec = {**dict.fromkeys(TEXT_KEYS, "VARCHAR"), **dict.fromkeys(BODIES, "JSON")}
    return {
        "spec": engine.literal(json.dumps(spec)),
        "spec_keys": engine.literal(json.dumps(dict.fromkeys(spec))),
        **{f"{body}_paths": "['$']" for body in BODIES},
        "is_verbatim": "false",
        "fits": "false",
        "known": "[" + ", ".join(engine.literal(key) for key in spec) + "]",
    }


SPEC = _spec()
