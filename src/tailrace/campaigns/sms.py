"""How many parts does a text message take? 160 characters of the GSM alphabet fit in one, 70 of any other."""

from __future__ import annotations

MOST_PARTS = 10
_GSM = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_TWICE = frozenset("^{}\\[~]|€\f")


def parts(text: str) -> int:
    """Return how many parts a text message takes when it is sent (GSM 03.38): what it costs."""
    if set(text) <= _GSM | _TWICE:
        length, alone, joined = sum(2 if letter in _TWICE else 1 for letter in text), 160, 153
    else:
        length, alone, joined = len(text.encode("utf-16-le")) // 2, 70, 67
    return 1 if length <= alone else -(-length // joined)
