"""The calls of the Segment spec with everything that it says they may have: nothing of it is lost."""

from __future__ import annotations

import json
from typing import Any

from tests.landing.conftest import World, compact

CONTEXT = {
    "active": True, "ip": "10.0.0.1", "library": {"name": "py", "version": "2"}, "traits": {"plan": "pro"},
    "campaign": {"name": "x"}, "locale": "de-DE", "timezone": "Europe/Berlin", "page": {"path": "/a"},
}  # fmt: skip
COMMON = {
    "userId": "u1", "anonymousId": "a1", "timestamp": "2026-10-01T08:00:00.000Z", "context": CONTEXT, "version": 2,
    "channel": "server", "integrations": {"All": True, "Mixpanel": False},
}  # fmt: skip
REST = {name: COMMON[name] for name in ("version", "channel", "integrations")}
CALLS: dict[str, dict[str, Any]] = {
    "identify": {"traits": {"email": "ana@example.test", "address": {"city": "Köln"}}},
    "track": {"event": "Order Completed", "properties": {"total": 9.5, "products": [{"sku": "1"}]}},
    "page": {"name": "Home", "category": "Docs", "properties": {"url": "https://x.test/", "search": "?a"}},
    "screen": {"name": "Start", "category": "App", "properties": {"n": 1}},
    "group": {"groupId": "g1", "traits": {"name": "Acme", "employees": 7}},
    "alias": {"previousId": "a0"},
}


def test_each_call_lands_with_all_it_says(world: World) -> None:
    world.lines(*(compact({"messageId": kind, "type": kind, **COMMON, **own}) for kind, own in CALLS.items()))
    columns = (
        "type, event, user_id, anonymous_id, previous_id, group_id, event_at::varchar, properties, traits, context"
    )
    for row in world.events(f"{columns}, rest"):
        own = CALLS[row[0]]
        rest = {**REST, **({"category": own["category"]} if "category" in own else {})}
        assert row[1:7] == (
            own.get("event") or own.get("name"), "u1", "a1", own.get("previousId"), own.get("groupId"),
            "2026-10-01 08:00:00",
        )  # fmt: skip
        bodies = [text and json.loads(text) for text in row[7:]]
        assert bodies == [own.get("properties"), own.get("traits"), CONTEXT, rest]


def test_a_batch_gives_its_calls_what_is_said_once_for_all(world: World) -> None:
    shared = {"sentAt": "2016-10-01T08:00:05Z", "receivedAt": "2026-10-01T09:00:05Z", "context": {"ip": "1"},
              "integrations": {"All": False}}  # fmt: skip
    calls = [
        {"messageId": "m1", "type": "track", "event": "A", "userId": "u", "originalTimestamp": "2016-10-01T08:00:00Z"},
        {"messageId": "m2", "type": "alias", "userId": "u", "previousId": "a", "timestamp": "2026-10-01T08:00:00Z"},
        {"messageId": "m3", "type": "page", "anonymousId": "a", "context": {"ip": "2"}, "integrations": {}},
    ]
    done = world.lines(compact({"batch": calls, **shared}))
    assert (done.lines, done.landed) == (3, 3)
    rows = [
        (*row[:2], json.loads(row[2]), json.loads(row[3]))
        for row in world.events("event_id, event_at::varchar, context, rest")
    ]
    assert rows == [
        # By the device's clock ten years behind, five seconds before it was sent.
        ("m1", "2026-10-01 09:00:00", {"ip": "1"}, {"integrations": {"All": False}}),
        ("m2", "2026-10-01 08:00:00", {"ip": "1"}, {"integrations": {"All": False}}),
        ("m3", "2026-10-01 09:00:05", {"ip": "2"}, {"integrations": {}}),
    ]  # fmt: skip
