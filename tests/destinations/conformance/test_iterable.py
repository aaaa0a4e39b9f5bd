"""Iterable as Segment's and RudderStack's implementations speak to it."""

from __future__ import annotations

from typing import Any

from conformance.cases import Case, Wire, recorded, rudder, segment
from conformance.harness import Driven, NotApplicable, Rows, held_against
from tailrace.destinations import iterable


def add(payload: dict[str, Any], data: dict[str, Any]) -> tuple[str, Any, Any]:
    key = {name: payload[name] for name in ("userId", "email") if payload.get(name)}
    return ("add", {name: str(value) for name, value in key.items()}, {**data, **key})


def fields(payload: dict[str, Any]) -> dict[str, Any]:
    more = {"phoneNumber": payload["phoneNumber"]} if "phoneNumber" in payload else {}
    return {name: value for name, value in {**payload.get("dataFields", {}), **more}.items() if name != "email"}


def of_segment(case: Case) -> Driven:
    match case.action:
        case "updateUser":
            mode = "update_only" if case.payloads[0].get("updateOnly") else "upsert"
            batches = [Rows("people", [add(one, fields(one)) for one in case.payloads], mode)]
        case "trackEvent":
            names = {"event_name": "eventName", "event_id": "id", "created_at": "createdAt"}
            more = ("campaignId", "templateId")
            rows = [
                add(
                    one,
                    {
                        **fields(one),
                        **{ours: one[name] for ours, name in names.items() if name in one},
                        **{name: one[name] for name in more if name in one},
                    },
                )
                for one in case.payloads
            ]
            batches = [Rows("events", rows, "append")]
        case "syncAudience":
            batches = audience(case)
        case "-":
            raise NotApplicable("lists_are_made_there")
        case _:
            raise NotApplicable("no_commerce_calls")
    merge = {"merge_nested_objects": bool(case.payloads[0].get("mergeNestedObjects"))} if case.payloads else {}
    region = "eu" if case.settings.get("dataCenterLocation") == "europe" else "us"
    settings = {"api_key_env": "K", "region": region, **merge}
    secrets = {"api_key_env": case.settings.get("apiKey", "")}
    return Driven(iterable, settings, secrets, batches, not_said=lambda wire: wire.url.endswith("/updateEmail"))


def audience(case: Case) -> list[Rows]:
    known = {"userId": ("userId",), "email": ("email",), "hybrid": ("userId", "email")}
    kind = case.settings.get("iterableProjectType", "userId")
    whom = known.get(kind, ("userId", "email"))
    rows: dict[str, list[Any]] = {"add": [], "remove": []}
    for one in case.payloads:
        key = {name: one[name] for name in whom if one.get(name)}
        is_in = one.get("traitsOrProperties", {}).get(one.get("segmentAudienceKey")) is True
        data = {name: value for name, value in one.get("dataFields", {}).items() if name != "email"}
        rows["add" if is_in else "remove"].append(
            ("add" if is_in else "remove", key, {**data, **key} if is_in else None)
        )
    number = case.payloads[0].get("segmentAudienceId")
    return [Rows(f"list:{number}", told, "mirror") for told in rows.values() if told]


def opened(wire: Wire) -> Wire:
    """A call for one as a call for many of one."""
    body = wire.body or {}
    for single, many, name in (
        ("users/update", "users/bulkUpdate", "users"),
        ("events/track", "events/trackBulk", "events"),
    ):
        if wire.url.endswith(single) and isinstance(body, dict):
            return Wire(wire.method, wire.url.replace(single, many), wire.headers, {name: [body]})
    return wire


def opened_rudder(wire: Wire) -> Wire:
    headers = {("api-key" if name == "api_key" else name): value for name, value in wire.headers.items()}
    return opened(Wire(wire.method, wire.url, headers, wire.body))


def of_rudder(case: Case) -> Driven:
    if case.kind != "processor" or not case.requests or len(case.payloads) != 1 or len(case.requests) != 1:
        raise NotApplicable("refused_or_grouped_by_their_rules")
    body = case.requests[0].body
    if (
        not isinstance(body, dict)
        or "purchase" in case.requests[0].url.lower()
        or "cart" in case.requests[0].url.lower()
    ):
        raise NotApplicable("other_calls")
    (event,) = case.payloads
    inner = (event.get("context") or {}).get("traits") or {}
    places = (inner, event.get("traits") or {}, event.get("properties") or {})
    who = {
        "email": next((place["email"] for place in places if place.get("email")), None),
        "userId": event.get("userId") or event.get("anonymousId"),
    }
    who = {name: value for name, value in who.items() if name in body}
    if case.requests[0].url.endswith("users/update"):
        traits = {**inner, **(event.get("traits") or {})}
        batches = [Rows("people", [add(who, {name: value for name, value in traits.items() if name != "email"})])]
    elif case.requests[0].url.endswith("events/track"):
        own = {"event_name": body.get("eventName"), "created_at": event.get("originalTimestamp")}
        data = {name: value for name, value in (event.get("properties") or {}).items() if name != "email"}
        batches = [Rows("events", [add(who, {**data, **own})], "append")]
    else:
        raise NotApplicable("other_calls")
    settings = {"api_key_env": "K", "merge_nested_objects": True}
    return Driven(iterable, settings, {"api_key_env": case.settings["apiKey"]}, batches)


@recorded
def test_it_says_what_was_recorded():
    cases = [*segment("iterable"), *segment("iterable-lists"), *segment("iterable-audiences")]
    tally = held_against("iterable", cases, of_segment, opened)
    assert tally.numbers == {
        "driven": 40,
        "equal": 5,
        "differing": {
            "addresses_are_not_changed": 5,
            "always_said": 28,
            "each_row_for_itself": 1,
            "identifier_once": 6,
            "made_by_id": 8,
            "recorded_without_a_key": 15,
            "their_settings_leak": 5,
        },
        "not_applicable": {"lists_are_made_there": 4, "no_commerce_calls": 7},
    }


@recorded
def test_it_says_what_another_implementation_said():
    tally = held_against("iterable_rudder", rudder("iterable"), of_rudder, opened_rudder)
    assert tally.numbers == {
        "driven": 12,
        "equal": 0,
        "differing": {
            "always_said": 3,
            "an_event_has_a_name": 2,
            "events_are_known_again": 7,
            "identifier_once": 3,
            "made_by_id": 1,
            "seconds": 7,
            "their_choice_of_traits": 4,
        },
        "not_applicable": {"other_calls": 5, "refused_or_grouped_by_their_rules": 13},
    }
