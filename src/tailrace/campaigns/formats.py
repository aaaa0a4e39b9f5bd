"""How are values written in a message? Texts, numbers, amounts of money: no locale, no clock, no surprise."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

from jinja2 import Undefined

from tailrace.campaigns.definition import RenderError

SYMBOLS = {"USD": "$", "EUR": "€", "GBP": "£"}
_LARGEST = Decimal(10) ** 15


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
    if not found.is_finite() or abs(found) >= _LARGEST:
        raise RenderError("wrong_type")
    return found


def whole(value: Any, low: int, high: int) -> int:
    """Return a whole number in [low, high]: a count that a template gives."""
    found = number(value)
    if found != found.to_integral_value() or not low <= found <= high:
        raise RenderError("wrong_type")
    return int(found)


def as_number(value: Decimal) -> int | float:
    """Return a decimal as an int when it is whole, else as a float. Raises RenderError when it has grown too large."""
    if not value.is_finite() or abs(value) >= _LARGEST:
        raise RenderError("wrong_type")
    return int(value) if value == value.to_integral_value() else float(value)


def money(value: Any, currency: str = "USD") -> str:
    """Return an amount as `$1,234.50`, without cents when there are none; codes without a symbol stand behind."""
    amount = number(value).quantize(Decimal("0.01"), ROUND_HALF_UP)
    return _amount(amount, f"{abs(amount):,.2f}".removesuffix(".00"), currency)


def currency(value: Any, code: str = "USD") -> str:
    """Return an amount as `$1,234.00`, always with cents; a symbol such as `£` may stand for the code."""
    amount = number(value).quantize(Decimal("0.01"), ROUND_HALF_UP)
    return _amount(amount, f"{abs(amount):,.2f}", code)


def _amount(amount: Decimal, digits: str, code: str) -> str:
    sign = "-" if amount < 0 else ""
    symbol = SYMBOLS.get(code, code if code in SYMBOLS.values() else None)
    return f"{sign}{symbol}{digits}" if symbol else f"{sign}{digits} {plain(code)}"


def plural(value: Any, one: str, many: str) -> str:
    """Return the count and the right word for it: `1 seat`, `3 seats`."""
    count = number(value)
    return f"{plain(as_number(count))} {plain(one if count == 1 else many)}"


def pluralize(value: Any, one: str, many: str) -> str:
    """Return the right word for the count, without the count: `seat`, `seats`."""
    return plain(one if number(value) == 1 else many)


def with_delimiter(value: Any, delimiter: str = ",") -> str:
    """Return a number with its thousands set apart: `1,234,567.5`."""
    written = plain(as_number(number(value)))
    digits, dot, rest = written.partition(".")
    return f"{int(digits):,}".replace(",", plain(delimiter)) + dot + rest if digits not in ("-0",) else written


def rounded(value: Any, digits: int = 0) -> str:
    """Return a number rounded half up, with `digits` decimals at most 6."""
    if not isinstance(digits, int) or not 0 <= digits <= 6:
        raise RenderError("wrong_type")
    return format(number(value).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP), "f")
