"""Meta's and Google's audiences as Segment's and RudderStack's implementations fill them: who, hashed how, batched how.

Both speak to Google by the Ads API, ours by the Data Manager API that took its place: what is compared there is the
verb, and each member's identifiers.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import phonenumbers

from conformance.cases import Case, Wire, recorded, rudder, segment
from conformance.exchanges import acting
from conformance.harness import Driven, NotApplicable, Rows, held_against
from tailrace.destinations import google_data_manager, meta_ads

HASH = re.compile(r"[0-9a-f]{64}")
NAMES = {
    "externalId": "extern_id", "email": "email", "phone": "phone", "year": "doby", "month": "dobm", "day": "dobd",
    "last": "ln", "first": "fn", "firstInitial": "fi", "gender": "gen", "city": "ct", "state": "st", "zip": "zip",
    "country": "country", "mobileAdId": "madid",
}  # fmt: skip


def of_meta(case: Case) -> Driven:
    if case.kind in {"create_audience", "get_audience"}:
        raise NotApplicable("audiences_are_made_by_people")
    if not case.requests:
        raise NotApplicable("an_error_of_theirs")
    target = case.payloads[0].get("external_audience_id") or ""
    saved = case.payloads[0].get("retlOnMappingSave") or {}
    target = target or saved.get("outputs", {}).get("audienceId", "")
    adding, removing = [], []
    hashed = set()
    for payload in case.payloads:
        told = {ours: payload[name] for name, ours in NAMES.items() if payload.get(name)}
        hashed |= {name for name, value in told.items() if HASH.fullmatch(str(value))}
        key = {name: told[name] for name in ("extern_id", "email") if name in told}
        if goes(payload):
            removing.append(("remove", key, None))
        else:
            adding.append(("add", key, told))
    settings = {"token_env": "T", "hashed": sorted(hashed), "api_version": case.requests[0].url.split("/")[3]}
    batches = [Rows(target, rows) for rows in (adding, removing) if rows]
    return Driven(meta_ads, settings, {"token_env": "123"}, batches)


def goes(payload: dict[str, Any]) -> bool:
    """Whether this person leaves the audience, as Segment's modes and events say."""
    if payload.get("__segment_internal_sync_mode") == "delete":
        return True
    member = payload.get("membership_fields") or {}
    said = member.get("traits_or_properties", {}).get(member.get("audience_key"))
    return member.get("retl_event_name") == "deleted" or said is False


def opened_meta(wire: Wire) -> Wire:
    """People as objects, what is not said of them left out; an id of an audience in a test is no number."""
    payload = wire.body["payload"]
    people = [
        {name: value for name, value in zip(payload["schema"], one, strict=True) if value} for one in payload["data"]
    ]
    body = {name: value for name, value in wire.body.items() if name != "payload"}
    more = {name: value for name, value in payload.items() if name not in {"schema", "data"}}
    return replace(wire, url=wire.url.replace("aud1", "1"), body={**body, **more, "people": people})


@recorded
def test_meta_says_what_segment_says():
    tally = held_against("meta_ads", segment("facebook-custom-audiences"), of_meta, opened_meta)
    assert tally.numbers == {
        "driven": 14,
        "equal": 0,
        "differing": {
            "a_call_is_a_session": 14, "devices_have_ids": 1, "no_application_users": 1, "phones_have_a_country": 1,
        },
        "not_applicable": {"an_error_of_theirs": 5, "audiences_are_made_by_people": 11},
    }  # fmt: skip


def of_meta_rudder(case: Case) -> Driven:
    told = case.raw["input"]
    config = told["destination"]["Config"]
    if not config["isHashRequired"] or config["disableFormat"]:
        raise NotApplicable("always_normalised_and_hashed")
    lists = told["message"]["properties"]["listData"]
    known = {"EMAIL", "PHONE", "COUNTRY"}
    removing = [
        ("remove", {name.lower(): one[name] for name in one if name != "MADID"}, None)
        for one in lists.get("remove", [])
    ]
    adding = [
        ("add", {name.lower(): one[name] for name in known}, {name.lower(): value for name, value in one.items()})
        for one in lists.get("add", [])
    ]
    batches = [Rows("1", rows) for rows in (removing, adding) if rows]
    return Driven(meta_ads, {"token_env": "T", "api_version": "v17.0"}, {"token_env": config["accessToken"]}, batches)


def unfolded(case: Case) -> Case:
    """The case with its requests as bodies: the recorded ones have all in the query."""
    expected = case.raw["expected"] if isinstance(case.raw["expected"], list) else []
    wires = [
        Wire(
            one["method"],
            one["endpoint"],
            {"authorization": f"Bearer {one['params']['access_token']}"},
            {"payload": one["params"]["payload"]},
        )
        for one in expected
    ]
    return replace(case, requests=tuple(wires))


@recorded
def test_meta_says_what_rudderstack_says():
    cases = [unfolded(case) for case in rudder("fb_custom_audience", ("processor",)) if not case.refused]
    tally = held_against("meta_ads_rudder", cases, of_meta_rudder, opened_meta)
    assert tally.numbers == {
        "driven": 4,
        "equal": 0,
        "differing": {
            "a_call_is_a_session": 3, "an_initial_is_one_letter": 3, "devices_have_ids": 3, "nobody_is_not_said": 1,
            "older_dialect": 3, "phones_have_a_country": 1,
        },
        "not_applicable": {"always_normalised_and_hashed": 4},
    }  # fmt: skip


CREDENTIAL = '{"type": "authorized_user"}'


def google(batches: list[Rows], **settings: Any) -> Driven:
    told = {"credentials_env": "C", "account": "1", **settings}
    return Driven(acting(google_data_manager), told, {"credentials_env": CREDENTIAL}, batches)


def of_google(case: Case) -> Driven:
    if case.action != "userList":
        raise NotApplicable("conversions_are_no_audiences")
    if case.refused or not case.requests:
        raise NotApplicable("an_error_of_theirs")
    if not any("addOperations" in wire.url for wire in case.requests):
        raise NotApplicable("an_error_of_theirs")
    adding, removing, hashed, regions = [], [], set(), set()
    for payload in case.payloads:
        names = {"email": "email_address", "phone": "phone_number", "first_name": "given_name"}
        names |= {"last_name": "family_name", "country_code": "region_code", "postal_code": "postal_code"}
        told = {ours: payload[name] for name, ours in names.items() if payload.get(name)}
        hashed |= {name for name, value in told.items() if HASH.fullmatch(str(value))}
        if payload.get("phone"):
            code = re.sub(r"\D", "", str(payload.get("phone_country_code") or "1"))
            regions.add(phonenumbers.region_code_for_country_code(int(code)))
        rows = removing if is_removed(case, payload) else adding
        rows.append(("remove", told, None) if rows is removing else ("add", {"id": str(len(rows))}, told))
    region = regions.pop() if len(regions) == 1 else "US"
    batches = [Rows("1234", rows) for rows in (adding, removing) if rows]
    return google(batches, hashed=sorted(hashed), default_country=region)


def is_removed(case: Case, payload: dict[str, Any]) -> bool:
    """Whether the recorded calls remove them: the events that decide it are not all in the payload."""
    if len(case.payloads) == 1:
        return any("remove" in str(wire.body) for wire in case.requests)
    mail = payload.get("email") or ""
    return mail.startswith("remove@")


def opened_google(wire: Wire) -> Wire:
    """The verb, and the identifiers of each member by kind."""
    body = wire.body or {}
    if "audienceMembers" in body:
        verb = "remove" if wire.url.endswith(":remove") else "create"
        members = [(verb, one["userData"]["userIdentifiers"]) for one in body["audienceMembers"]]
    else:
        members = [
            (verb, one["userIdentifiers"])
            for operation in body.get("operations", [])
            for verb, one in operation.items()
        ]
    return Wire("POST", "https://audience/", {}, [{"verb": verb, **flat(told)} for verb, told in members])


def flat(identifiers: list[dict[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for one in identifiers:
        for name, value in (one.get("address") or one.get("addressInfo") or one).items():
            plain = name.replace("hashed", "").replace("First", "given").replace("Last", "family")
            plain = {"Email": "email", "emailAddress": "email", "PhoneNumber": "phone", "phoneNumber": "phone"}.get(
                plain, plain
            )
            found.setdefault({"countryCode": "regionCode"}.get(plain, plain), value)
    return found


def audience_calls(case: Case) -> Case:
    """The case with the calls that name people, and not those that make and run a job."""
    named = tuple(wire for wire in case.requests if isinstance(wire.body, dict) and "operations" in wire.body)
    return replace(case, requests=named or case.requests)


@recorded
def test_google_hears_of_the_people_that_segment_names():
    cases = [audience_calls(case) for case in segment("google-enhanced-conversions")]
    tally = held_against("google_data_manager", cases, of_google, opened_google)
    assert tally.numbers == {
        "driven": 22,
        "equal": 2,
        "differing": {"a_phone_is_enough": 2, "half_an_address_is_none": 18, "tags_of_gmail_go": 1},
        "not_applicable": {"an_error_of_theirs": 3, "conversions_are_no_audiences": 114},
    }


def of_google_rudder(case: Case) -> Driven:
    told = case.raw["input"]
    config = told["destination"]["Config"]
    if config["typeOfList"] == "mobileDeviceID":
        raise NotApplicable("devices_are_another_sync")
    if not isinstance(case.raw["expected"], list):
        raise NotApplicable("an_error_of_theirs")
    lists = told["message"]["properties"]["listData"]
    batches = [Rows("1", [said(op, {"email_address": one["email"]}) for one in told]) for op, told in lists.items()]
    return google(batches)


def said(op: str, key: dict[str, str]) -> tuple[str, dict[str, str], dict[str, str] | None]:
    return op, key, None if op == "remove" else key


def opened_emails(wire: Wire) -> Wire:
    """The verb, and all addresses: theirs puts the identifiers of all people into one list."""
    opened = opened_google(wire) if "audienceMembers" in wire.body else None
    if opened is not None:
        return replace(opened, body=[(one["verb"], one["email"]) for one in opened.body])
    operations = wire.body["operations"]
    told = [
        (verb, one["hashedEmail"])
        for operation in operations
        for verb, members in operation.items()
        for one in members["userIdentifiers"]
        if "hashedEmail" in one
    ]
    return Wire("POST", "https://audience/", {}, told)


@recorded
def test_google_hears_of_the_addresses_that_rudderstack_names():
    cases = [case for case in rudder("google_adwords_remarketing_lists", ("processor",)) if not case.refused]
    tally = held_against("google_data_manager_rudder", cases, of_google_rudder, opened_emails)
    assert tally.numbers == {
        "driven": 10,
        "equal": 10,
        "differing": {},
        "not_applicable": {"an_error_of_theirs": 2, "devices_are_another_sync": 5},
    }


@recorded
def test_the_recorded_cases_of_the_data_manager_api_name_nobody():
    assert all(not case.requests and case.payloads == ({},) for case in segment("google-data-manager"))
