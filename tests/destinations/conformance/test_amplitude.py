"""Amplitude as Segment's and RudderStack's implementations speak to it."""

from __future__ import annotations

import copy
from typing import Any

from conformance.cases import Case, Wire, recorded, rudder, segment
from conformance.harness import Driven, NotApplicable, Rows, held_against
from tailrace.destinations import amplitude

NOT_FIELDS = {
    "userAgent", "userAgentParsing", "userAgentData", "includeRawUserAgent", "utm_properties", "referrer", "library2",
    "setOnce", "setAlways", "add", "use_batch_endpoint", "trackRevenuePerProduct", "products", "min_id_length",
    "enable_batching", "batch_size", "user_id", "device_id",
}  # fmt: skip


def row_of(payload: dict[str, Any]) -> tuple[str, Any, Any]:
    key = {name: payload[name] for name in ("user_id", "device_id") if payload.get(name)}
    data = {name: value for name, value in payload.items() if name not in NOT_FIELDS}
    return ("add", key, {**data, **key})


def of_segment(case: Case) -> Driven:
    secrets = {"api_key_env": case.settings.get("apiKey") or case.settings.get("api_key") or ""}
    settings: dict[str, Any] = {
        "api_key_env": "K",
        "region": "eu" if case.settings.get("endpoint") == "europe" else "us",
    }
    match case.action:
        case "logEvent" | "logEventV2" | "logPurchase":
            batches = [Rows("events", [row_of(one) for one in case.payloads], "append")]
            settings["min_id_length"] = next(
                (one["min_id_length"] for one in case.payloads if one.get("min_id_length")), None
            )
        case "identifyUser":
            batches = [Rows("people", [row_of(one) for one in case.payloads])]
            settings["min_id_length"] = next(
                (one["min_id_length"] for one in case.payloads if one.get("min_id_length")), None
            )
        case "groupIdentifyUser":
            (one,) = case.payloads
            key = {"group_value": one["group_value"]}
            row = ("add", key, {**one.get("group_properties", {}), **key})
            batches = [Rows(f"groups:{one['group_type']}", [row])]
        case "syncAudience":
            secrets["secret_key_env"] = case.settings.get("secret_key", "")
            settings["secret_key_env"] = "S"
            batches = cohort(case)
        case "mapUser":
            raise NotApplicable("no_identity_calls")
        case _:
            raise NotApplicable("cohorts_are_made_there")
    has_both = case.action == "groupIdentifyUser" and len(case.requests) == 2
    return Driven(
        amplitude, settings, secrets, batches, not_said=lambda wire: has_both and wire.url.endswith("/identify")
    )


def cohort(case: Case) -> list[Rows]:
    """Who joins and who leaves stands in what was recorded only: the payload is the same for both."""
    if not case.requests:
        raise NotApplicable("settings_are_checked_before")
    said = {
        value: one["operation"] for wire in case.requests for one in wire.body["memberships"] for value in one["ids"]
    }
    rows: dict[str, list[Any]] = {"ADD": [], "REMOVE": []}
    for one in case.payloads:
        name = next((name for name in ("amplitude_id", "user_id") if one.get(name) in said), "user_id")
        value = one.get(name)
        operation = said.get(value)
        if operation is not None:
            key = {name: value}
            rows[operation].append(
                ("add" if operation == "ADD" else "remove", key, key if operation == "ADD" else None)
            )
    number = case.payloads[0]["segment_external_audience_id"]
    return [Rows(f"cohort:{number}", told, "mirror") for told in rows.values() if told]


def opened(wire: Wire) -> Wire:
    """A form's list of one is a list of one; options that are not there are not there."""
    body = copy.deepcopy(wire.body)
    if isinstance(body, dict):
        if isinstance(body.get("identification"), dict):
            body["identification"] = [body["identification"]]
        if body.get("options") == "undefined":
            del body["options"]
        if body.get("api_key") in {"undefined", ""}:
            del body["api_key"]
        if body.get("options") == {}:
            del body["options"]
        for event in body.get("events", []):
            event.pop("use_batch_endpoint", None)
    return Wire(wire.method, wire.url, wire.headers, body)


def of_rudder(case: Case) -> Driven:
    if case.kind != "processor" or len(case.payloads) != 1 or len(case.requests) != 1:
        raise NotApplicable("refused_or_grouped_by_their_rules")
    (event,) = case.payloads
    (wire,) = case.requests
    if not isinstance(wire.body, dict) or "events" not in wire.body or len(wire.body["events"]) != 1:
        raise NotApplicable("other_calls")
    told = wire.body["events"][0]
    if told["event_type"].startswith("$"):
        raise NotApplicable("other_calls")
    inner = event.get("context") or {}
    device = (inner.get("device") or {}).get("id") or event.get("anonymousId")
    key = {
        name: str(value)
        for name, value in (("user_id", event.get("userId")), ("device_id", device))
        if value and name in told
    }
    data = {
        "event_type": told["event_type"],
        "time": event.get("originalTimestamp") or event.get("timestamp"),
        "insert_id": event.get("messageId"),
        "event_properties": event.get("properties") or {},
        "session_id": told.get("session_id"),
    }
    options = wire.body.get("options") or {}
    settings = {"api_key_env": "K", "min_id_length": options.get("min_id_length")}
    settings["region"] = "eu" if "eu" in wire.url else "us"
    batch = Rows("events", [("add", {"insert_id": str(event.get("messageId"))}, {**data, **key})], "append")
    return Driven(amplitude, settings, {"api_key_env": case.settings["apiKey"]}, [batch])


@recorded
def test_it_says_what_was_recorded():
    cases = [*segment("amplitude"), *segment("amplitude-cohorts")]
    tally = held_against("amplitude", cases, of_segment, opened)
    assert tally.numbers == {
        "driven": 63,
        "equal": 11,
        "differing": {
            "campaign_parameters_are_columns": 5,
            "documented_words": 2,
            "events_are_known_again": 40,
            "group_membership_is_a_column": 2,
            "products_are_rows": 7,
            "properties_are_always_said": 2,
            "their_software": 43,
            "unsaid_is_left_out": 3,
            "uploads_are_batches": 38,
        },
        "not_applicable": {"cohorts_are_made_there": 8, "no_identity_calls": 2, "settings_are_checked_before": 3},
    }


@recorded
def test_it_says_what_another_implementation_said():
    tally = held_against("amplitude_rudder", rudder("amplitude"), of_rudder, opened)
    assert tally.numbers == {
        "driven": 24,
        "equal": 0,
        "differing": {"events_are_known_again": 3, "their_choice_of_traits": 24, "uploads_are_batches": 24},
        "not_applicable": {"other_calls": 20, "refused_or_grouped_by_their_rules": 14},
    }
