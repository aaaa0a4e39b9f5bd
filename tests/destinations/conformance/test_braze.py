"""Braze as Segment's and RudderStack's implementations speak to it."""

from __future__ import annotations

import copy
from typing import Any

from conformance.cases import Case, Wire, recorded, rudder, segment
from conformance.harness import Driven, NotApplicable, Rows, held_against
from tailrace.destinations import braze
from tailrace.destinations.moments import millis

ELSEWHERE = {
    "createAlias": "no_identity_calls",
    "createAlias2": "no_identity_calls",
    "identifyUser": "no_identity_calls",
    "identifyUser2": "no_identity_calls",
    "triggerCampaign": "campaigns_run_here",
    "triggerCanvas": "campaigns_run_here",
    "upsertCatalogItem": "no_catalogues",
    "ecommerce": "their_commerce_schema",
    "ecommerceSingleProduct": "their_commerce_schema",
}
NOT_ATTRIBUTES = {"enable_batching", "batch_size", "custom_attributes", "user_alias", "__segment_internal_sync_mode"}


def whom(payload: dict[str, Any]) -> dict[str, Any]:
    alias = payload.get("user_alias") or {}
    if payload.get("external_id"):
        return {"external_id": payload["external_id"]}
    if alias.get("alias_name") and alias.get("alias_label"):
        return alias
    return {name: payload[name] for name in ("braze_id", "email", "phone") if payload.get(name)}


def only(payload: dict[str, Any]) -> dict[str, Any]:
    mode = payload.get("__segment_internal_sync_mode")
    told = payload.get("_update_existing_only") if mode is None else mode == "update"
    return {} if told is None else {"_update_existing_only": told}


def add(key: dict[str, Any], data: dict[str, Any]) -> tuple[str, Any, Any]:
    return ("add", {name: str(value) for name, value in key.items()}, {**data, **key})


def row_of(case: Case, payload: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    key = whom(payload)
    base = {"time": payload.get("time"), **only(payload)}
    if case.action.startswith("updateUserProfile"):
        own = {"email", "external_id", "braze_id", "phone", "_update_existing_only", "time", "name", "properties"}
        more = {name: value for name, value in payload.items() if name not in NOT_ATTRIBUTES | own}
        custom = {**payload.get("custom_attributes", {})}
        for name in ("firstName", "lastName", "avatar"):
            custom.pop(name, None)
        kept = {name: payload[name] for name in ("email", "phone") if payload.get(name)}
        return [add(key, {**custom, **more, **kept, **only(payload)})]
    properties = payload.get("properties") or {}
    if case.action.startswith("trackEvent"):
        return [add(key, {**base, "name": payload.get("name"), "properties": properties})]
    more = {name: value for name, value in properties.items() if name != "products"}
    return [add(key, {**base, "currency": "USD", **more, **product}) for product in payload.get("products") or []]


def of_segment(case: Case) -> Driven:
    if case.action in ELSEWHERE:
        raise NotApplicable(ELSEWHERE[case.action])
    if "syncMode" in str(case.raw["expected_error"]) or "Sync mode" in str(case.raw["expected_error"]):
        raise NotApplicable("modes_are_checked_before")
    rows = [row for payload in case.payloads for row in row_of(case, payload)]
    kind = "people" if case.action.startswith("update") else "events" if "Event" in case.action else "purchases"
    settings = {"api_key_env": "K", "app_id": case.settings.get("app_id") if kind != "people" else None}
    settings["base_url"] = case.settings["endpoint"].replace("http://", "https://")
    batch = Rows(kind, rows, "upsert" if kind == "people" else "append")
    return Driven(braze, settings, {"api_key_env": case.settings["api_key"]}, [batch])


def opened(wire: Wire) -> Wire:
    """The same moment is the same, whatever the zone that it is written in."""
    body = copy.deepcopy(wire.body)
    for event in (body or {}).get("events", []) if isinstance(body, dict) else []:
        event["time"] = millis(event.get("time"))
    return Wire(wire.method, wire.url.replace("http://", "https://"), wire.headers, body)


HOSTS = {"us-01": "iad-01", "eu-01": "fra-01", "us-03": "iad-03"}


def of_rudder(case: Case) -> Driven:
    if case.kind != "processor" or len(case.payloads) != 1:
        raise NotApplicable("grouped_by_them")
    (event,) = case.payloads
    if case.action in {"group", "alias"} or not case.requests:
        raise NotApplicable("other_calls")
    body = case.requests[0].body
    if not isinstance(body, dict) or "purchases" in body or not case.requests[0].url.endswith("/users/track"):
        raise NotApplicable("other_calls")
    properties = {name: value for name, value in (event.get("properties") or {}).items() if name != "currency"}
    traits = (event.get("context") or {}).get("traits") or event.get("traits") or {}
    alias = {"alias_name": event.get("anonymousId"), "alias_label": "rudder_id"}
    key = {"external_id": event["userId"]} if event.get("userId") else alias
    if case.action == "identify":
        batch = Rows("people", [add(key, {**traits})])
    else:
        name = event.get("event") or {"page": "Page Viewed", "screen": "Screen Viewed"}[case.action]
        batch = Rows(
            "events", [add(key, {"name": name, "time": event.get("timestamp"), "properties": properties})], "append"
        )
    app = next((one["app_id"] for one in body.get("events", []) if "app_id" in one), None)
    settings = {"api_key_env": "K", "app_id": app, "instance": HOSTS[case.settings.get("dataCenter", "eu-01").lower()]}
    secrets = {"api_key_env": case.settings["restApiKey"]}
    return Driven(braze, settings, secrets, [batch])


@recorded
def test_it_says_what_was_recorded():
    tally = held_against("braze", segment("braze"), of_segment, opened)
    assert tally.numbers == {
        "driven": 41,
        "equal": 21,
        "differing": {
            "creation_is_always_said": 13,
            "every_row_goes": 1,
            "modes_are_checked_before": 1,
            "one_identifier": 6,
            "properties_are_always_said": 4,
            "what_is_there_is_said": 2,
        },
        "not_applicable": {
            "campaigns_run_here": 20,
            "modes_are_checked_before": 3,
            "no_catalogues": 10,
            "no_identity_calls": 14,
            "their_commerce_schema": 17,
        },
    }


@recorded
def test_it_says_what_another_implementation_said():
    tally = held_against("braze_rudder", rudder("braze"), of_rudder, opened)
    assert tally.numbers == {
        "driven": 14,
        "equal": 2,
        "differing": {"creation_is_always_said": 9, "their_choice_of_traits": 9, "their_name": 8},
        "not_applicable": {"grouped_by_them": 2, "other_calls": 9},
    }
