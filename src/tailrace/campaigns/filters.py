"""What may an author write after `|`? One table for Jinja and for Liquid, so that a name means one thing.

Each takes a value of a person's data and what the author wrote; each gives a text, a number or a list that cannot grow
beyond LARGEST. What cannot be done is a RenderError without the value.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from jinja2 import Undefined

from tailrace.campaigns import formats
from tailrace.campaigns.dates import as_date, in_zone
from tailrace.campaigns.definition import RenderError
from tailrace.campaigns.formats import as_number, number, plain, whole

LARGEST = 500_000
"""More characters than this are refused, in one part of a message and in what a filter gives."""
LONGEST_LIST = 200
_LINK = re.compile(r"(https?://[^\s<>\"'\\\x00-\x20]+|mailto:[^\s<>\"'\\\x00-\x20]+)", re.ASCII | re.IGNORECASE)
_MARKUP = re.compile(r"<[^>]*>")


def text(value: Any) -> str:
    """Return a text that is not too long for another filter."""
    found = plain(value)
    if len(found) > LARGEST:
        raise RenderError("too_long")
    return found


def items(value: Any) -> list[Any]:
    """Return a list that is not too long for a message."""
    if isinstance(value, Undefined):
        str(value)
    if not isinstance(value, list):
        raise RenderError("wrong_type")
    if len(value) > LONGEST_LIST:
        raise RenderError("too_long")
    return value


def default(value: Any, fallback: Any = "", *, allow_false: bool = False) -> Any:
    """Return the fallback when the field is absent, null or blank; `false` is a value."""
    is_blank = isinstance(value, str) and not value.strip()
    return fallback if isinstance(value, Undefined) or value is None or is_blank else value


def join(value: Any, separator: str = ", ") -> str:
    """Return the elements of a list with a separator between them."""
    return text(plain(separator).join(plain(element) for element in items(value)))


def size(value: Any) -> int:
    """Return how many elements a list or characters a text has."""
    return len(value) if isinstance(value, list | str) else len(plain(value))


def first(value: Any) -> Any:
    """Return the first element of a list."""
    return _element(items(value), 0)


def last(value: Any) -> Any:
    """Return the last element of a list."""
    return _element(items(value), -1)


def _element(values: list[Any], at: int) -> Any:
    if not values or values[at] is None:
        raise RenderError("missing_field")
    return values[at]


def take(value: Any, most: Any, offset: Any = 0) -> list[Any]:
    """Return at most so many elements of a list, from `offset` on."""
    start = whole(offset, 0, LONGEST_LIST)
    return items(value)[start : start + whole(most, 0, LONGEST_LIST)]


def reverse(value: Any) -> list[Any]:
    """Return the list from its end."""
    return items(value)[::-1]


def sort(value: Any, key: str | None = None) -> list[Any]:
    """Return the list sorted, or its rows by one field."""
    rows = items(value)
    try:
        return sorted(rows) if key is None else sorted(rows, key=lambda row: row[key])
    except (TypeError, KeyError):
        raise RenderError("wrong_type") from None


def uniq(value: Any) -> list[Any]:
    """Return the list without repeats."""
    found: list[Any] = []
    for element in items(value):
        if element not in found:
            found.append(element)
    return found


def truncate(value: Any, length: Any = 50, ellipsis: str = "...") -> str:
    """Return at most so many characters, the ellipsis among them."""
    long, end = text(value), plain(ellipsis)
    most = whole(length, 0, LARGEST)
    return long if len(long) <= most else long[: max(0, most - len(end))] + end


def truncatewords(value: Any, length: Any = 15, ellipsis: str = "...") -> str:
    """Return at most so many words."""
    words, most = text(value).split(), whole(length, 1, LARGEST)
    return " ".join(words) if len(words) <= most else " ".join(words[:most]) + plain(ellipsis)


def capitalize(value: Any) -> str:
    """Return the text with its first letter large; the others stay."""
    found = text(value)
    return found[:1].upper() + found[1:]


def titlecase(value: Any) -> str:
    """Return the text with the first letter of each word large."""
    return re.sub(r"\S+", lambda word: capitalize(word.group(0)), text(value))


def replace(value: Any, old: Any, new: Any = "") -> str:
    """Return the text with every `old` as `new`."""
    found, before, after = text(value), plain(old), plain(new)
    if not before or found.count(before) * len(after) > LARGEST:
        raise RenderError("too_long" if before else "wrong_type")
    return found.replace(before, after)


def split(value: Any, separator: Any = " ") -> list[str]:
    """Return the pieces of the text."""
    mark = plain(separator)
    found = text(value)
    return items([piece for piece in found.split(mark) if piece] if mark.strip() else found.split())


def plus(value: Any, other: Any) -> int | float:
    """Return the sum, exactly as decimals."""
    return as_number(number(value) + number(other))


def minus(value: Any, other: Any) -> int | float:
    """Return the difference."""
    return as_number(number(value) - number(other))


def times(value: Any, other: Any) -> int | float:
    """Return the product."""
    return as_number(number(value) * number(other))


def divided_by(value: Any, other: Any) -> int | float:
    """Return the quotient: of two whole numbers the whole part (7 by 2 is 3), else as it is (7 by 2.0 is 3.5)."""
    a, b = number(value), number(other)
    if b == 0:
        raise RenderError("wrong_type")
    is_whole = not isinstance(value, float) and not isinstance(other, float) and a % 1 == 0 and b % 1 == 0
    return int((a / b).to_integral_value(ROUND_FLOOR)) if is_whole else as_number(a / b)


def modulo(value: Any, other: Any) -> int | float:
    """Return what is left of the division, with the sign of the divisor."""
    a, b = number(value), number(other)
    if b == 0:
        raise RenderError("wrong_type")
    return as_number(a - b * (a / b).to_integral_value(ROUND_FLOOR))


def url_part(value: Any) -> str:
    """Return the value percent-encoded: it can neither leave its place in a URL nor start another part."""
    return quote(text(value), safe="")


def tagged(link: str, utm: str) -> str:
    """Return an http or https link with the parameters of the query `utm` that it does not have; others as they are."""
    parts = urlsplit(link)
    if not utm or parts.scheme.lower() not in ("http", "https"):
        return link
    there = {name for name, _ in parse_qsl(parts.query, keep_blank_values=True)}
    more = urlencode([(name, value) for name, value in parse_qsl(utm) if name not in there])
    head, mark, fragment = link.partition("#")
    joint = "" if not more or head.endswith(("?", "&")) else "&" if "?" in head else "?"
    return head + joint + more + mark + fragment


def whole_link(value: Any, field_name: str = "", utm: str = "") -> str:
    """Return the value when it is one http, https or mailto address; raise RenderError otherwise."""
    link = plain(value).strip()
    if not _LINK.fullmatch(link):
        raise RenderError("bad_link", field_name)
    try:
        return tagged(link, utm)
    except ValueError:
        raise RenderError("bad_link", field_name) from None


def as_json(value: Any) -> str:
    """Return the value as JSON text, its type kept."""
    if isinstance(value, Undefined):
        str(value)
    try:
        return text(json.dumps(value, ensure_ascii=True, allow_nan=False))
    except (TypeError, ValueError, RecursionError):
        raise RenderError("wrong_type") from None


def for_slack(value: Any) -> str:
    """Return the value so that Slack reads no link, mention or quote into it."""
    return text(value).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _bounded(pick: Callable[[Decimal, Decimal], Decimal]) -> Callable[[Any, Any], int | float]:
    return lambda value, other: as_number(pick(number(value), number(other)))


def _rounded(mode: str) -> Callable[[Any], int]:
    return lambda value: int(number(value).to_integral_value(mode))


FILTERS: dict[str, Callable[..., Any]] = {
    "abs": lambda value: as_number(abs(number(value))),
    "append": lambda value, more: text(text(value) + plain(more)),
    "at_least": _bounded(max),
    "at_most": _bounded(min),
    "capitalize": capitalize,
    "ceil": _rounded(ROUND_CEILING),
    "currency": formats.currency,
    "date": as_date,
    "default": default,
    "divided_by": divided_by,
    "downcase": lambda value: text(value).lower(),
    "escape": text,
    "first": first,
    "floor": _rounded(ROUND_FLOOR),
    "join": join,
    "last": last,
    "length": size,
    "lower": lambda value: text(value).lower(),
    "minus": minus,
    "modulo": modulo,
    "money": formats.money,
    "number_with_delimiter": formats.with_delimiter,
    "plural": formats.plural,
    "pluralize": formats.pluralize,
    "plus": plus,
    "prepend": lambda value, more: text(plain(more) + text(value)),
    "remove": lambda value, old: replace(value, old, ""),
    "replace": replace,
    "reverse": reverse,
    "round": formats.rounded,
    "size": size,
    "sort": sort,
    "split": split,
    "strip": lambda value: text(value).strip(),
    "strip_html": lambda value: _MARKUP.sub("", text(value)),
    "take": take,
    "times": times,
    "timezone": in_zone,
    "titlecase": titlecase,
    "trim": lambda value: text(value).strip(),
    "truncate": truncate,
    "truncatewords": truncatewords,
    "uniq": uniq,
    "upcase": lambda value: text(value).upper(),
    "upper": lambda value: text(value).upper(),
    "url_encode": url_part,
    "urlencode": url_part,
}
"""What authors may write after `|`."""

OF_LISTS = ("take", "reverse", "sort", "uniq", "split")
"""Filters that give a list, over which a loop may go."""

KINDS = {
    "date": "date",
    "timezone": "date",
    **dict.fromkeys(("money", "currency", "plural", "pluralize", "round", "plus", "minus", "times"), "number"),
    **dict.fromkeys(("divided_by", "modulo", "abs", "ceil", "floor", "at_least", "at_most"), "number"),
    "number_with_delimiter": "number",
    **dict.fromkeys(("join", "first", "last", "take", "reverse", "sort", "uniq"), "list"),
}
"""What a filter tells of the field before it."""
