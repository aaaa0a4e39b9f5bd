"""Segment's API as Segment's own and RudderStack's implementations speak to it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from conformance.cases import Case, Wire, recorded, rudder, segment
from conformance.harness import Driven, NotApplicable, Rows, held_against
from tailrace.destinations import segment as ours

KINDS = {
    "sendIdentify": "people",
    "sendTrack": "events:track",
    "sendPage": "events:page",
    "sendScreen": "events:screen",
    "sendGroup": "groups",
}


def driven(target: str, key: dict[str, Any], data: dict[str, Any], secret: str) -> Driven:
    told = {name: value for name, value in key.items() if value}
    row = ("add", {name: str(value) for name, value in told.items()}, {**data, **told})
    mode = "append" if target.startswith("events") else "upsert"
    return Driven(ours, {"write_key_env": "K"}, {"write_key_env": secret}, [Rows(target, [row], mode)])


def of_segment(case: Case) -> Driven:
    if case.action not in KINDS:
        raise NotApplicable("subscriptions_are_columns")
    (payload,) = case.payloads
    key = {name: payload.get(name) for name in ("user_id", "anonymous_id")}
    if case.action == "sendGroup":
        key["group_id"] = payload.get("group_id")
    event = payload.get("event_name") or payload.get("page_name") or payload.get("screen_name")
    own = {"timestamp": payload.get("timestamp"), "message_id": payload.get("message_id"), "event": event}
    told = case.raw["results"][-1].get("data", {}).get("batch", [{}])[0] if case.raw["results"] else {}
    # The context is put together by that implementation; here it is a column.
    data = {**(payload.get("traits") or {}), **(payload.get("properties") or {}), "context": told.get("context")}
    data |= {
        name: value
        for name, value in own.items()
        if value is not None and (name != "event" or "Identify" not in case.action)
    }
    if case.action == "sendGroup":
        data.pop("event", None)
    secret = case.settings.get("source_write_key") or payload.get("engage_space") or ""
    return driven(KINDS[case.action], key, data, secret)


def with_results(case: Case) -> Case:
    """These cases hand what they would send to a pipeline of their own: it stands in the results."""
    told = [
        one["data"]["batch"]
        for one in case.raw["results"] or []
        if isinstance(one.get("data"), dict) and "batch" in one["data"]
    ]
    wires = tuple(Wire("POST", "https://api.segment.io/v1/batch", {}, {"batch": batch}) for batch in told)
    return replace(case, requests=wires)


def opened(wire: Wire) -> Wire:
    """The envelope and the login are not recorded for one of the two; the messages are."""
    batch = [{name: value for name, value in one.items() if name != "type"} for one in wire.body["batch"]]
    return Wire(wire.method, wire.url, {}, {"batch": batch})


def of_rudder(case: Case) -> Driven:
    (event,) = case.payloads
    inner = event.get("context") or {}
    key = {"user_id": event.get("userId"), "anonymous_id": event.get("anonymousId")}
    data = {"timestamp": event.get("timestamp")}
    if case.action == "identify":
        return driven("people", key, {**inner.get("traits", {}), **data}, case.settings["writeKey"])
    data |= {**(event.get("properties") or {}), "event": event.get("event")}
    return driven(f"events:{case.action}", key, data, case.settings["writeKey"])


@recorded
def test_it_says_what_was_recorded():
    cases = [with_results(case) for name in ("segment", "segment-profiles") for case in segment(name)]
    tally = held_against("segment", cases, of_segment, opened)
    assert tally.numbers == {
        "driven": 33,
        "equal": 19,
        "differing": {"every_message_has_an_id": 6, "page_fields_are_columns": 3, "their_own_pipeline": 8},
        "not_applicable": {"subscriptions_are_columns": 6},
    }


@recorded
def test_it_says_what_another_implementation_said():
    tally = held_against("segment_rudder", rudder("segment"), of_rudder)
    assert tally.numbers == {
        "driven": 3,
        "equal": 0,
        "differing": {
            "every_message_has_an_id": 3,
            "sent_at_is_said": 3,
            "timestamp_is_its_name": 3,
            "traits_are_of_people": 2,
        },
        "not_applicable": {},
    }
