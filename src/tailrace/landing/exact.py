"""Is this one line strict JSON that we can keep exactly? The slow, exact judge behind the fast screens.

Set-based SQL sends a line here only when a cheap screen finds something odd in it; most come back cleared. A cleared
line is read by the same SQL as every other one, so what a line becomes never depends on the way it took.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Any

MAX_DEPTH = 64
IDS = ("messageId", "type", "event", "name", "userId", "anonymousId", "previousId", "groupId")
_INHERITED = ("sentAt", "receivedAt", "context", "integrations")
_DECODER_SPACE = " \t\n\r"


@dataclass(frozen=True)
class Verdict:
    """`reason` is None for a line that is fine; `calls` are the calls of a `batch` line, as JSON text."""

    reason: str | None = None
    detail: str | None = None
    calls: tuple[str, ...] = ()


class Refused(ValueError):
    """A line, or an id in it, belongs in quarantine."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail


@dataclass(frozen=True)
class _Number:
    text: str


def judge(raw: bytes, *, ids: tuple[str, ...] = IDS, batches: bool = True) -> Verdict:
    """Return what the line `raw` is: cleared, refused with a reason from `quarantine.REASONS`, or a batch of calls.

    `ids` are the top-level keys whose value must be text (or a number that has one spelling).
    """
    try:
        return _judge(raw, ids, batches)
    except Refused as refused:
        return Verdict(refused.reason, refused.detail)


def _judge(raw: bytes, ids: tuple[str, ...], batches: bool) -> Verdict:
    text = _decoded(raw)
    document = parsed(text)
    if not isinstance(document, dict):
        raise Refused("not_an_object", f"the line is {_kind(document)}; expected one JSON object")
    if _may_be_unsound(text):
        _checked(document, 1)
    for key in ids:
        if key in document:
            check_id(key, document[key])
    for key, value in document.items():
        if key not in ids:
            _exact(value)
    if batches and isinstance(document.get("batch"), list):
        return _batch(text, document)
    return Verdict()


def _decoded(raw: bytes) -> str:
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refused("not_utf8", f"byte {error.start + 1} is not UTF-8; expected UTF-8") from error
    if "\x00" in text:
        raise Refused("nul_character", f"a NUL byte at character {text.index(chr(0)) + 1}; expected text (UTF-8)")
    return text


def parsed(text: str) -> Any:
    """Return a strict JSON text as Python values, numbers as they are written; Refused for any other text."""
    decoder = json.JSONDecoder(
        object_pairs_hook=_pairs, parse_float=_Number, parse_int=_Number, parse_constant=_constant, strict=True
    )
    try:
        return decoder.decode(text)
    except json.JSONDecodeError as error:
        raise Refused(_syntax(error, text), f"{error.msg} at character {error.pos + 1}") from error
    except RecursionError as error:
        raise Refused("too_deep", f"nested deeper than {MAX_DEPTH} levels") from error


def _syntax(error: json.JSONDecodeError, text: str) -> str:
    if error.msg.startswith("Extra data"):
        return "several_values"
    if error.msg.startswith("Invalid control character"):
        return "control_character"
    if error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated string"):
        return "cut_short"
    return "not_json"


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        seen: set[str] = set()
        position = next(n for n, (key, _) in enumerate(pairs, 1) if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise Refused("duplicate_key", f"key number {position} of an object stands there twice")
    return table


def _constant(name: str) -> Any:
    raise Refused("not_a_number", f"{name} is not JSON; expected a number or null")


def _may_be_unsound(text: str) -> bool:
    """Say whether a valid line can have what `_checked` refuses: only escapes make it, and only brackets depth."""
    brackets = text.count("{") + text.count("[")
    return "\\u0000" in text or "\\ud" in text.lower() or brackets > MAX_DEPTH


def _checked(value: Any, depth: int) -> None:
    """Refuse NUL characters, lone surrogates and depth, anywhere below."""
    if depth > MAX_DEPTH and isinstance(value, dict | list):
        raise Refused("too_deep", f"nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, str):
        if "\x00" in value:
            raise Refused("nul_character", "an escaped NUL in a text; no database can be relied on to keep it")
        if not value.isascii():
            try:
                value.encode("utf-8")
            except UnicodeEncodeError as error:
                raise Refused("lone_surrogate", "half of a surrogate pair; expected whole characters") from error
    elif isinstance(value, dict):
        for key, inner in value.items():
            _checked(key, depth)
            _checked(inner, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            _checked(inner, depth + 1)


def check_id(key: str, value: Any) -> None:
    """Raise Refused for the value of the id `key` that is no text and no number with one spelling."""
    if value is None or isinstance(value, str):
        return
    if isinstance(value, _Number):
        if value.text == "-0" or (not _is_whole(value.text) and repr(float(value.text)) != value.text):
            raise Refused("id_not_exact", f"`{key}` is a number with more than one spelling; expected text")
        return
    raise Refused("id_not_text", f"`{key}` is {_kind(value)}; expected text")


def _is_whole(text: str) -> bool:
    return text.lstrip("-").isdigit()


def _exact(value: Any) -> None:
    """Refuse numbers that a 64-bit float would change; whole numbers of any size are kept digit by digit."""
    if isinstance(value, _Number):
        if not _is_whole(value.text) and not _is_kept(value.text):
            raise Refused("number_not_exact", "a number has more digits than a 64-bit float keeps; send it as text")
    elif isinstance(value, dict):
        for inner in value.values():
            _exact(inner)
    elif isinstance(value, list):
        for inner in value:
            _exact(inner)


def _is_kept(text: str) -> bool:
    as_float = float(text)
    try:
        return as_float in (float("inf"), float("-inf")) or Decimal(repr(as_float)) == Decimal(text)
    except InvalidOperation:
        return False


def _kind(value: Any) -> str:
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, str):
        return "a text"
    if value is None:
        return "null"
    return "true or false" if isinstance(value, bool) else "a number"


def _batch(text: str, document: dict[str, Any]) -> Verdict:
    """Return the calls of a batch as they are written, each with what it inherits from the batch put in front."""
    keys = dict(members(text))
    calls = []
    for call, written in zip(document["batch"], elements(keys["batch"]), strict=True):
        if not isinstance(call, dict):
            calls.append(written)
            continue
        inherited = [f"{json.dumps(key)}:{keys[key]}" for key in _INHERITED if key in keys and key not in call]
        body = written[1:-1].strip(_DECODER_SPACE)
        calls.append("{" + ",".join([*inherited, *([body] if body else [])]) + "}")
    if not calls:
        raise Refused("empty_batch", "`batch` is an empty list; expected at least one call")
    return Verdict(calls=tuple(calls))


def _skip(text: str, at: int) -> int:
    while text[at] in _DECODER_SPACE:
        at += 1
    return at


_plain = json.JSONDecoder(parse_int=str, parse_float=str)


def members(text: str) -> Iterator[tuple[str, str]]:
    """Yield the top-level keys of a valid object with their values as they are written."""
    at = _skip(text, 0) + 1
    while text[at := _skip(text, at)] != "}":
        key, at = scanstring(text, at + 1, True)
        start = _skip(text, _skip(text, at) + 1)
        _, end = _plain.raw_decode(text, start)
        yield key, text[start:end]
        at = _skip(text, end)
        if text[at] == ",":
            at += 1


def elements(text: str) -> Iterator[str]:
    """Yield the elements of a valid list as they are written."""
    at = 1
    while text[at := _skip(text, at)] != "]":
        _, end = _plain.raw_decode(text, at)
        yield text[at:end]
        at = _skip(text, end)
        if text[at] == ",":
            at += 1
