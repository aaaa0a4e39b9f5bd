"""How many parts does a text message take? 160 characters of the GSM alphabet fit in one, 70 of any other."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

MOST_PARTS = 10
_GSM = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_TWICE = frozenset("^{}\\[~]|€\f")


@dataclass(frozen=True)
class Counted:
    """A text as networks count it: `encoding` is GSM-7 or UCS-2, `units` septets or 16-bit units, `parts` the price."""

    encoding: str
    units: int
    parts: int


def counted(text: str) -> Counted:
    """Return what a text message takes when it is sent (GSM 03.38).

    One character outside the alphabet turns the whole text to UCS-2. A character of two units (`€`, an emoji) is not
    split between parts, so a part may stay one short.
    """
    is_gsm = set(text) <= _GSM | _TWICE
    sizes = [2 if (letter in _TWICE if is_gsm else ord(letter) > 0xFFFF) else 1 for letter in text]
    units, alone, joined = sum(sizes), *((160, 153) if is_gsm else (70, 67))
    parts = 1 if units <= alone else _filled(sizes, joined)
    return Counted("GSM-7" if is_gsm else "UCS-2", units, parts)


def parts(text: str) -> int:
    """Return how many parts a text message takes: what it costs."""
    return counted(text).parts


def _filled(sizes: Iterable[int], room: int) -> int:
    n_parts, used = 1, 0
    for size in sizes:
        if used + size > room:
            n_parts, used = n_parts + 1, 0
        used += size
    return n_parts
