"""Which lines does an enemy of landing write? Calls that are nearly right, from one seed, each unlike the last."""

from __future__ import annotations

import json
from random import Random

NUMBERS = (
    "0", "-0", "1", "-1", "1.0", "1.10", "1e3", "1E+2", "0.1", "0.30000000000000004", "0.1000000000000000055", "1e400",
    "-1e400", "1e-400", "5e-324", "9007199254740993", "9007199254740993.0", "18446744073709551615",
    "18446744073709551616", "-9223372036854775809", "123456789012345678901234567890", "12345678901234567.5",
    "100000000000000000000000.0", "1e22", "1e23", "123456789e-20", "2.2250738585072011e-308", "1790841600", "17850.5",
)  # fmt: skip
NOT_JSON = (
    "NaN", "nan", "nAn", "NAN", "Infinity", "-Infinity", "infinity", "iNf", "-inf", "+1", "01", "1.", ".5", "1e",
    "0x10", "'a'", "True", "None", "undefined", "tru", "", "-", "--1", "1 2", "/*a*/1", "-NaN", "-nAn", "iNFINITY",
    "1_0",
)  # fmt: skip
PIECES = (
    "a", "b", "é", "😀", "\u2028", "\u00a0", " ", ",", ":", "{", "}", "[", "]", '\\"', "\\\\", "\\/", "\\n", "\\u0041",
    "\\u00e9", "\\ud83d\\ude00", '{\\"', '\\",\\"', "nan", "inf", ",]", ", }", "1e400", "0.1", "\x7f", "'", "--",
    "true",
)  # fmt: skip
BAD_PIECES = ("\x00", "\x01", "\t", "\x1f", "\\u0000", "\\ud800", "\\udc00", "\\x41", "\\u12", "\ufeff", "\\U0041")
KEYS = (
    "a", "b", "k", "url", "a.b", "", "é", "\\u0061", "a b", "type", "userId", "properties", "batch", "$", "x\\\"y",
    "name",
)  # fmt: skip
TIMES = (
    '"2026-10-01T08:00:00.000Z"', '"2026-10-01T08:00:00Z"', '"2026-10-01"', '"2026-10-01 08:00:00.123456+05:30"',
    '"2026-02-29T08:00:00.000Z"', '"2026-10-01T24:00:00Z"', '"2026-10-01T08:60:00Z"', '"2026-12-31T23:59:60.000Z"',
    '"1949-12-31T23:59:59.999Z"', '"2100-01-01T00:00:00.000Z"', '"infinity"', '"epoch"', '"now"', '""', "1790841600",
    "1790841600.5", "null", "true", '{"a":1}', '"2026-1-01T08:00:00Z"', '"0000-00-00T00:00:00Z"', '"20261001"',
    '"2026-10-01T08:00:00.000 "', '" 2026-10-01T08:00:00.00Z"', '"-026-10-01T08:00:00.000Z"', '"20261001T080000Z"',
    '"2026-10-01T 8:00:00.000Z"', '"2026-10-01T08: 0:00.000Z"', '"2026-10-01T08:00:00. 0Z"',
    '"2026-10-01T8:000:00.00Z"',
)  # fmt: skip


class Enemy:
    """Lines from one seed; `daring` is the share of things that are wrong."""

    def __init__(self, random: Random, daring: float = 0.05) -> None:
        self.random, self.daring, self.count = random, daring, 0
        # Who writes keys in one order, without spaces, is believed most: such lines must lie as often as others.
        self.is_orderly = random.random() < 0.5

    def _dares(self) -> bool:
        return self.random.random() < self.daring

    def text(self) -> str:
        pieces = [self.random.choice(PIECES) for _ in range(self.random.randrange(5))]
        if self._dares():
            pieces.insert(self.random.randrange(len(pieces) + 1), self.random.choice(BAD_PIECES))
        return '"' + "".join(pieces) + '"'

    def _space(self) -> str:
        return self.random.choice(("", " ", "\t", "  ")) if self.is_loose else ""

    def value(self, depth: int = 0) -> str:
        kind = self.random.randrange(12 if depth < 4 else 8)
        if self._dares():
            return self.random.choice(NOT_JSON)
        if kind < 3:
            return self.text()
        if kind < 6:
            return self.random.choice(NUMBERS) if self.random.random() < 0.7 else str(self.random.randrange(1000))
        if kind < 8:
            return self.random.choice(("true", "false", "null", '""', "{}", "[]"))
        return self.object(depth + 1) if kind < 10 else self.list(depth + 1)

    def list(self, depth: int) -> str:
        inner = [self.value(depth) for _ in range(self.random.randrange(4))]
        return "[" + ("," + self._space()).join(inner) + ("," if self._dares() else "") + "]"

    def object(self, depth: int) -> str:
        keys = self.random.sample(KEYS, self.random.randrange(4))
        if keys and self._dares():
            keys.append(self.random.choice(keys))
        pairs = [f'"{key}"{self._space()}:{self._space()}{self.value(depth)}' for key in keys]
        return "{" + ("," + self._space()).join(pairs) + ("," if self._dares() else "") + self._space() + "}"

    def deep(self) -> str:
        levels = self.random.choice((3, 30, 60, 61, 62, 63, 64, 65, 100, 2000))
        opening, closing = self.random.choice((('{"a":', "}"), ("[", "]"), ('[{"k":', "}]")))
        return opening * levels + "1" + closing * levels

    def call(self) -> str:
        self.count += 1
        name = f"{self.random.getrandbits(64):016x}-{self.count}"
        pairs: dict[str, str] = {
            "messageId": f'"{name}"',
            "type": self.random.choice(('"track"', '"track"', '"track"', '"identify"', '"page"', '"group"', '"alias"')),
            "event": '"Paid"',
            "userId": f'"u-{name}"',
            "timestamp": self.random.choice(TIMES[:2]),
        }
        for key in ("properties", "traits", "context"):
            if self.random.random() < 0.5:
                pairs[key] = self.object(0)
        for key in ("name", "anonymousId", "previousId", "groupId", "messageId", "userId", "event", "type"):
            if self.random.random() < 0.06:
                # A message id stays its own, or the line would be a duplicate.
                own = (
                    str(self.count),
                    f"{self.count}.5",
                    f"{self.count}.50",
                    f'"{self.count}-{name}"',
                    "null",
                    '""',
                    "true",
                )
                pairs[key] = self.random.choice(own) if key == "messageId" else self.value(self.random.choice((0, 4)))
        for key in ("timestamp", "originalTimestamp", "sentAt", "receivedAt"):
            if self.random.random() < 0.1:
                pairs[key] = self.random.choice(TIMES)
        if self.random.random() < 0.15:
            pairs[self.random.choice(("other", "UserId", "", "a.b", "é", "event ", "\\u0074ype"))] = self.value()
        if self._dares():
            pairs[self.random.choice(("properties", "context", "traits", "other"))] = self.random.choice(
                (self.deep(), self.value(), '{"x":' + self.random.choice((*NOT_JSON, *NUMBERS)) + "}")
            )
        for key in list(pairs):
            if self.random.random() < 0.03:
                del pairs[key]
        written = [f'"{key}"{self._space()}:{self._space()}{value}' for key, value in pairs.items()]
        if self._dares():
            key = self.random.choice((*pairs, "other"))
            written.insert(self.random.randrange(len(written) + 1), f'"{key}":{pairs.get(key, "1")}')
        if not self.is_orderly:
            self.random.shuffle(written)
        return self._space() + "{" + ("," + self._space()).join(written) + self._space() + "}" + self._space()

    def line(self) -> bytes:
        """Return one line without its end."""
        self.is_loose = self.random.random() < (0.05 if self.is_orderly else 0.3)
        if self.random.random() < 0.05:
            calls = [self.call() for _ in range(self.random.randrange(4))]
            extra = self.random.choice(("", ',"sentAt":"2026-10-01T08:00:01Z"', ',"context":{"n":1.10}', ',"a":NaN'))
            return ('{"batch":[' + ", ".join(calls) + "]" + extra + "}").encode("utf-8")
        line = self.call().encode("utf-8")
        if self._dares():
            at = self.random.randrange(len(line))
            line = self.random.choice(
                (
                    line[:at],
                    line[:at] + line[at + 1 :],
                    line[:at] + bytes([self.random.randrange(256)]) + line[at + 1 :],
                    line[:at] + self.random.choice((b",", b'"', b"}", b"{", b":", b"\\", b"\x00", b"\xff")) + line[at:],
                    line + line,
                    line + b" {}",
                    b"[" + line + b"]",
                    json.dumps(line.decode()).encode(),
                    self.random.choice((b" ", b"\x1f", b"\xc2\xa0", b"null", b"{}", b"\t\t", b"\x0b", b"\xe2\x80\xa8")),
                )
            )
        return line.replace(b"\n", b" ")
