"""Mixpanel as Segment's and RudderStack's implementations speak to it."""

from __future__ import annotations

from typing import Any

from conformance.cases import Case, Wire, recorded, rudder, segment
from conformance.harness import Driven, NotApplicable, Rows, held_against
from tailrace.destinations import mixpanel
from tailrace.destinations.moments import millis

AS_PROPERTIES = {
    "ip": "ip", "user_id": "$user_id", "anonymous_id": "$anon_id", "url": "$current_url", "referrer": "$referrer",
    "country": "mp_country_code", "language": "$locale", "library_version": "$lib_version", "timezone": "timezone",
    "name": "event_original_name", "app_name": "$app_name", "app_version": "$app_version_string",
    "app_namespace": "$app_namespace", "app_build": "$app_build_number", "os_name": "$os", "os_version": "$os_version",
    "device_name": "$device_name", "device_type": "$device_type", "device_model": "$model", "region": "$region",
    "city": "$city", "carrier": "$carrier", "device_manufacturer": "$manufacturer", "idfa": "$ios_ifa", "wifi": "$wifi",
    "adid": "$android_ad", "screen_width": "$screen_width", "screen_height": "$screen_height",
    "screen_density": "$screen_density", "bluetooth": "$bluetooth_enabled",
}  # fmt: skip
TRAITS = {"email": "$email", "firstName": "$first_name", "lastName": "$last_name", "first_name": "$first_name",
          "last_name": "$last_name", "name": "$name", "phone": "$phone", "avatar": "$avatar", "created": "$created",
          "createdAt": "$created", "created_at": "$created", "username": "$username"}  # fmt: skip


def event_of(payload: dict[str, Any]) -> tuple[str, Any, Any]:
    """An analyst would name these columns as Mixpanel names its properties."""
    named = {theirs: payload[ours] for ours, theirs in AS_PROPERTIES.items() if payload.get(ours)}
    more = {
        "id": payload.get("user_id"),
        "$identified_id": payload.get("user_id"),
        "$device_id": payload.get("anonymous_id"),
    }
    own = {name: payload.get(name) for name in ("event", "time", "insert_id", "distinct_id")}
    data = {
        **named,
        **{name: value for name, value in more.items() if value},
        **payload.get("event_properties", {}),
        **own,
    }
    return ("add", {"insert_id": payload.get("insert_id", "")}, data)


def of_segment(case: Case) -> Driven:
    token = case.settings.get("projectToken", "")
    match case.action:
        case "trackEvent" if case.kind == "batch_direct":
            raise NotApplicable("made_up_by_their_clock")
        case "trackPurchase" if case.kind == "batch_direct":
            raise NotApplicable("made_up_by_their_clock")
        case "trackPurchase" if len(case.requests) != 1 or case.payloads[0].get("generatePurchaseEventPerProduct"):
            raise NotApplicable("events_of_products")
        case "trackEvent" | "trackPurchase":
            if case.action == "trackPurchase":
                case.payloads[0].setdefault("event", "Order Completed")
            batches = [Rows("events", [event_of(one) for one in case.payloads], "append")]
        case "identifyUser":
            (one,) = case.payloads
            who = {"distinct_id": str(one.get("user_id") or one.get("anonymous_id"))}
            data = {TRAITS.get(name, name): value for name, value in (one.get("traits") or {}).items()}
            batches = [Rows("people", [("add", who, {**data, **who, "ip": one.get("ip")})])]
        case "groupIdentifyUser":
            (one,) = case.payloads
            group = one.get("group_key") or "$group_id"
            key = {"group_id": (one.get("traits") or {}).get(group) or one["group_id"]}
            data = {TRAITS.get(name, name): value for name, value in (one.get("traits") or {}).items()}
            batches = [Rows(f"groups:{group}", [("add", key, {**data, **key})])]
        case _:
            raise NotApplicable("not_repeatable" if case.action == "incrementProperties" else "no_identity_calls")
    told = str(case.settings.get("apiRegion"))
    region = "eu" if told.startswith("EU") else "in" if told.startswith("IN") else "us"
    settings, secrets = {"token_env": "T", "region": region}, {"token_env": token}
    return Driven(mixpanel, settings, secrets, batches, not_said=lambda wire: "$identify" in str(wire.body))


def opened(wire: Wire) -> Wire:
    """A form with one update is a list of one; a call that links two ids of a person is left out of the comparison."""
    body = wire.body["data"] if isinstance(wire.body, dict) and "data" in wire.body else wire.body
    return Wire(wire.method, wire.url, wire.headers, body if isinstance(body, list) else [body])


def of_rudder(case: Case) -> Driven:
    if case.kind != "processor" or len(case.payloads) != 1 or len(case.requests) != 1:
        raise NotApplicable("refused_or_grouped_by_their_rules")
    (event,) = case.payloads
    (wire,) = case.requests
    path = wire.url.split("mixpanel.com")[1].strip("/").split("?")[0]
    if not isinstance(wire.body, list) or path not in {"track", "import", "engage"}:
        raise NotApplicable("other_calls")
    inner = event.get("context") or {}
    who = str(event.get("userId") or event.get("anonymousId"))
    if path == "engage":
        if case.action != "identify":
            raise NotApplicable("not_repeatable")
        traits = {**(inner.get("traits") or {}), **(event.get("traits") or {})}
        data = {TRAITS.get(name, name): value for name, value in traits.items()}
        batches = [Rows("people", [("add", {"distinct_id": who}, {**data, "distinct_id": who, "ip": inner.get("ip")})])]
    else:
        told = wire.body[0]
        if told["event"].startswith("$"):
            raise NotApplicable("no_identity_calls")
        when = event.get("timestamp") or event.get("originalTimestamp")
        data = {
            **(event.get("properties") or {}),
            "event": told["event"],
            "time": when,
            "insert_id": event.get("messageId"),
        }
        key = {"insert_id": event.get("messageId")}
        batches = [Rows("events", [("add", key, {**data, "distinct_id": who})], "append")]
    region = "eu" if "api-eu" in wire.url else "us"
    return Driven(mixpanel, {"token_env": "T", "region": region}, {"token_env": case.settings["token"]}, batches)


def opened_rudder(wire: Wire) -> Wire:
    """Times as one unit; one event of the older `/track` as one of `/import`, which is let in by header."""
    body = []
    for one in wire.body:
        told = dict(one)
        if "properties" in told:
            own = {name: value for name, value in told["properties"].items() if name != "token"}
            at = millis(own.get("time"))
            own["time"] = at // 1000 if isinstance(at, int) and at > 10**11 else at
            told["properties"] = own
        told.pop("$time", None)
        body.append(told)
    url = (
        wire.url.replace("/track/", "/import?strict=1")
        .replace("/import/", "/import")
        .replace("/engage/", "/engage?verbose=1")
    )
    return Wire(wire.method, url, {}, body)


@recorded
def test_it_says_what_was_recorded():
    tally = held_against("mixpanel", segment("mixpanel"), of_segment, opened)
    assert tally.numbers == {
        "driven": 38,
        "equal": 1,
        "differing": {
            "a_row_is_said": 1,
            "an_event_has_a_time": 1,
            "asks_for_words": 16,
            "empty_is_said": 1,
            "full_names_are_columns": 1,
            "ids_have_36_characters": 6,
            "login_of_imports": 1,
            "no_identity_calls": 10,
            "strict_always": 1,
            "their_software": 19,
        },
        "not_applicable": {
            "events_of_products": 6,
            "made_up_by_their_clock": 8,
            "no_identity_calls": 6,
            "not_repeatable": 4,
        },
    }


@recorded
def test_it_says_what_another_implementation_said():
    tally = held_against("mixpanel_rudder", rudder("mixpanel"), of_rudder, opened_rudder)
    assert tally.numbers == {
        "driven": 21,
        "equal": 0,
        "differing": {"ids_are_as_they_are": 2, "names_are_trimmed": 1, "their_choice_of_traits": 21},
        "not_applicable": {"no_identity_calls": 2, "other_calls": 2, "refused_or_grouped_by_their_rules": 21},
    }
