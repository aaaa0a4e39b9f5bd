from __future__ import annotations

import re
from datetime import UTC, datetime
from itertools import combinations

import duckdb
import pyarrow as pa

from tailrace import engine

GOOD = "2026-10-01T08:09:10.123Z"
STRICT = re.compile(r"\d{4}-\d\d-\d\dT([01]\d|2[0-3]):\d\d:\d\d\.\d{3}Z", re.ASCII)
FIELDS = ((0, 4), (5, 7), (8, 10), (11, 13), (14, 16), (17, 19), (20, 23))


def expected(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text).astimezone(UTC).replace(tzinfo=None) if STRICT.fullmatch(text) else None
    except ValueError:
        return None


def test_a_time_with_a_character_or_two_exchanged_is_a_time_only_if_every_digit_is_one() -> None:
    signs = [chr(code) for code in range(32, 127)]
    texts = {GOOD, "2026-10-01T24:00:00.000Z", "2026-12-31T23:59:60.000Z", "2026-02-29T00:00:00.000Z"}
    for start, end in FIELDS:
        for one, other in combinations(range(start, end), 2):
            for first in signs:
                for second in " +-0129:.TZe":
                    texts.add(GOOD[:one] + first + GOOD[one + 1 : other] + second + GOOD[other + 1 :])
                    texts.add(GOOD[:one] + second + GOOD[one + 1 : other] + first + GOOD[other + 1 :])
    connection = duckdb.connect()
    connection.execute("set timezone = 'UTC'; create macro local_moment(x) as x")
    connection.execute(engine.statement("tailrace.landing", "macros"))
    connection.register("texts", pa.table({"x": sorted(text for text in texts if text[:4] >= "0001")}))
    read = dict(connection.execute("select x, moment(x) from texts").fetchall())
    connection.close()
    assert sum(at is not None for at in read.values()) > 500
    assert {text: at for text, at in read.items() if at != expected(text)} == {}
