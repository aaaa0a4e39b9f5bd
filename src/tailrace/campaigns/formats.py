"""How are values written in a message? The filters that a template may use: no locale, no clock, no surprise."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any
from urllib.parse import quote

from jinja2 import Undefined

from tailrace.campaigns.definition import RenderError

MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
SYMBOLS = {"USD": "$", "EUR": "€", "GBP": "£"}
_LINK = re.compile(r"(https?://[^\s<>\"'\\\x00-\x20]+|mailto:[^\s<>\"'\\\x00-\x20]+)", re.ASCII | re.IGNORECASE)


def plain(value: Any) -> str:
    """Return a value as it stands in a message: `yes` and `no`, `0.3` for 0.30000000000000004.

    Raises RenderError for what has no text: an absent field, a list, a mapping, infinity.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float) and -1e15 < value < 1e15:
        return format(Decimal(f"{value:.15g}").normalize(), "f")
    if isinstance(value, Undefined):
        return str(value)
    raise RenderError("wrong_type")


def number(value: Any) -> Decimal:
    """Return a finite number, from a number or its text."""
    if isinstance(value, bool | list | dict):
        raise RenderError("wrong_type")
    try:
        found = Decimal(plain(value).strip())
    except InvalidOperation:
        raise RenderError("wrong_type") from None
    if not found.is_finite() or abs(found) >= Decimal(10) ** 15:
        raise RenderError("wrong_type")
    return found


def as_date(value: Any, style: str = "long") -> str:
    """Return an ISO date or time as `31 January 2026` (long), `31 Jan 2026` (short), `31 January` (day), … ."""
    try:
        moment: date = datetime.fromisoformat(plain(value).strip())
    except ValueError:
        raise RenderError("wrong_type") from None
    month = MONTHS[moment.month - 1]
    styles = {
        "long": f"{moment.day} {month} {moment.year}",
        "short": f"{moment.day} {month[:3]} {moment.year}",
        "day": f"{moment.day} {month}",
        "weekday": f"{WEEKDAYS[moment.weekday()]}, {moment.day} {month}",
        "month": f"{month} {moment.year}",
        "iso": f"{moment.year:04d}-{moment.month:02d}-{moment.day:02d}",
    }
    if style not in styles:
        raise RenderError("wrong_type")
    return styles[style]


def money(value: Any, currency: str = "USD") -> str:
    """Return an amount as `$1,234.50`, without cents when there are none; codes without a symbol stand behind."""
    amount = number(value).quantize(Decimal("0.01"), ROUND_HALF_UP)
    digits = f"{abs(amount):,.2f}".removesuffix(".00")
    sign = "-" if amount < 0 else ""
    symbol = SYMBOLS.get(currency)
    return f"{sign}{symbol}{digits}" if symbol else f"{sign}{digits} {currency}"


def plural(value: Any, one: str, many: str) -> str:
    """Return the count and the right word for it: `1 seat`, `3 seats`."""
    count = number(value)
    return f"{plain(float(count) if count % 1 else int(count))} {one if count == 1 else many}"


def rounded(value: Any, digits: int = 0) -> str:
    """Return a number rounded half up, with `digits` decimals at most 6."""
    if not isinstance(digits, int) or not 0 <= digits <= 6:
        raise RenderError("wrong_type")
    return format(number(value).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP), "f")


def default(value: Any, fallback: Any) -> Any:
    """Return the fallback when the field is absent, null or blank."""
    return fallback if isinstance(value, Undefined) or value is None else value


def join(value: Any, separator: str = ", ") -> str:
    """Return the elements of a list with a separator between them."""
    if not isinstance(value, list):
        raise RenderError("wrong_type")
    return separator.join(plain(element) for element in value)


def length(value: Any) -> int:
    """Return how many elements a list or characters a text has."""
    if isinstance(value, list | str):
        return len(value)
    return len(plain(value))


def url_part(value: Any) -> str:
    """Return the value percent-encoded: it can neither leave its place in a URL nor start another part."""
    return quote(plain(value), safe="")


def whole_link(value: Any, field_name: str = "") -> str:
    """Return the value when it is one http, https or mailto address; raise RenderError otherwise."""
    link = plain(value).strip()
    if not _LINK.fullmatch(link):
        raise RenderError("bad_link", field_name)
    return link


FILTERS: dict[str, Callable[..., Any]] = {
    "date": as_date,
    "default": default,
    "join": join,
    "length": length,
    "lower": lambda value: plain(value).lower(),
    "upper": lambda value: plain(value).upper(),
    "capitalize": lambda value: plain(value)[:1].upper() + plain(value)[1:],
    "money": money,
    "plural": plural,
    "round": rounded,
    "trim": lambda value: plain(value).strip(),
    "urlencode": url_part,
}
"""What authors may write after `|`."""

FORMAT_WORDS = {"date": ("long", "short", "day", "weekday", "month", "iso")}
