"""Whatever the other side answers: an outcome for the rows that were asked about, a short code, and no exception."""

from __future__ import annotations

import itertools
import re

import orjson
import pytest
from far_end import batch_of, row

from tailrace.destinations import amplitude, braze, customerio, iterable, mixpanel, segment
from tailrace.destinations.base import HttpReply, Outcome, Result

ADDRESS = "kim@people.test"
WRONG = [
    None, True, False, 0, -1, 1.5, "", ADDRESS, "0", [], [None], [[]], [ADDRESS], [0, True, "1", 99, -1], {},
    {ADDRESS: [0]}, {"time": [0]}, {"time": 0}, {"time": {"a": 1}}, [{}], [{"index": 0}], [{"index": True}],
    [{"index": 99}], [{"index": 0, "field": ADDRESS}], [{"index": 0, "field": {"a": []}}], [{"batch_index": 0}],
    [{"batch_index": 1, "reason": ADDRESS, "field": [ADDRESS]}], [{"batch_index": -1}], {"invalidEmails": [ADDRESS, 1]},
    [{"skipped_ids": None}], [{"skipped_ids": [1, None, [2]]}], {"a": {"b": [ADDRESS] * 3}},
]  # fmt: skip
KEYS = [
    "errors", "error", "message", "meta", "code", "status", "success", "successCount", "failCount", "invalidEmails",
    "failedUpdates", "failed_records", "num_records_imported", "events_ingested", "events_with_invalid_fields",
    "events_with_missing_fields", "events_with_invalid_id_lengths", "silenced_events", "memberships_result",
    "missing_field", "region", "count", "lists",
]  # fmt: skip
YES = {
    "message": "success", "successCount": 2, "failCount": 0, "num_records_imported": 2, "events_ingested": 2,
    "code": 200, "status": 1, "memberships_result": [],
}  # fmt: skip
BODIES = [
    *map(orjson.dumps, WRONG),
    *(
        orjson.dumps({**base, key: value})
        for base, key, value in itertools.product(({}, YES), KEYS, WRONG)
    ),
    b'{"failCount":1180591620717411303424}', b"", b"\xff\xfe", b"[" * 600, b"{", b"NaN",
    b"<html>kim@people.test</html>",
]  # fmt: skip
SAYING = (200, 201, 207, 400)
OTHERS = (0, 199, 302, 401, 413, 429, 500, 504, 777)
HEADERS = {"retry-after": ADDRESS, "x-ratelimit-reset": "nan"}
ASKED = [
    (customerio, {"site_id_env": "S", "api_key_env": "K"}, ("people", "segment:7")),
    (segment, {"write_key_env": "K"}, ("people",)),
    (braze, {"api_key_env": "K"}, ("people", "events")),
    (iterable, {"api_key_env": "K"}, ("people", "list:3")),
    (mixpanel, {"token_env": "T"}, ("people", "events")),
    (amplitude, {"api_key_env": "K"}, ("people", "events", "cohort:c")),
]
KEY = {"id": 1, "user_id": 1, "external_id": 1, "distinct_id": 1}


@pytest.mark.parametrize(
    ("module", "settings", "target"),
    [(module, settings, target) for module, settings, targets in ASKED for target in targets],
    ids=lambda value: getattr(value, "NAME", None) or (value if isinstance(value, str) else ""),
)
def test_any_answer_is_understood_or_called_unknown(module, settings, target):
    batch = batch_of([row("add", KEY), row("add", {**KEY, "email": ADDRESS})], target)
    own = module.Settings(**settings)
    for status, body in [*itertools.product(SAYING, BODIES), *itertools.product(OTHERS, BODIES[::40])]:
        reply = HttpReply(status, HEADERS, body)
        for said in (module.read_response(own, batch, reply), module.read_probe(own, reply)):
            assert isinstance(said, Result)
            assert {one.position for one in said.rows} <= {0, 1}
            assert len({one.position for one in said.rows}) == len(said.rows)
            codes = [said.code, *(one.code for one in said.rows)]
            assert all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.:\-]{0,79}", code) for code in codes), codes
            if status not in SAYING:
                assert said.outcome is not Outcome.ACCEPTED
        if hasattr(module, "read_match"):
            assert isinstance(module.read_match(own, reply), int | None)
