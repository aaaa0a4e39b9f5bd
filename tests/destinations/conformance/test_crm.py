"""HubSpot and Salesforce as Segment's and RudderStack's implementations write to them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from conformance.cases import Case, Wire, recorded, rudder, segment
from conformance.exchanges import acting
from conformance.harness import Driven, NotApplicable, Rows, held_against
from tailrace.destinations import hubspot, salesforce

LIST = "/memberships/add-and-remove"


def spoken(case: Case) -> Case:
    """The case with the calls that write its own object and its list; associations and look-ups are other calls."""
    own = case.payloads[0].get("object_details", {}).get("object_type") if case.payloads else None
    kept = [wire for wire in case.requests if f"/objects/{own}/batch/upsert" in wire.url or LIST in wire.url]
    return replace(case, requests=tuple(kept))


def of_hubspot(case: Case) -> Driven:
    if case.action in {"customEvent", "sendCustomBehavioralEvent"}:
        raise NotApplicable("events_of_hubspot")
    if case.action != "upsertObject":
        raise NotApplicable("found_before_they_are_written")
    if case.refused or not any("/batch/upsert" in wire.url for wire in case.requests):
        raise NotApplicable("found_before_they_are_written")
    batches = [Rows(case.payloads[0]["object_details"]["object_type"], [record(one) for one in case.payloads])]
    for wire in case.requests:
        if LIST in wire.url:
            name = "/".join(wire.url.split("/")[5:7])
            for op, field in (("add", "recordIdsToAdd"), ("remove", "recordIdsToRemove")):
                told = [(op, {"hs_object_id": one}, None if op == "remove" else {}) for one in wire.body[field]]
                batches += [Rows(name, told)] if told else []
    token = case.requests[0].headers.get("authorization", "Bearer ").removeprefix("Bearer ")
    return Driven(acting(hubspot), {"token_env": "T"}, {"token_env": token}, batches)


def record(payload: dict[str, Any]) -> tuple[str, dict[str, str], dict[str, Any]]:
    told = payload["object_details"]
    key = {told["id_field_name"]: told["id_field_value"]}
    return "add", key, {**(payload.get("properties") or {}), **(payload.get("sensitive_properties") or {}), **key}


def opened(wire: Wire) -> Wire:
    return replace(wire, headers={name: one for name, one in wire.headers.items() if one != "Bearer "})


@recorded
def test_hubspot_hears_what_segment_says():
    cases = [spoken(case) for case in segment("hubspot")]
    tally = held_against("hubspot", cases, of_hubspot, opened)
    assert tally.numbers == {
        "driven": 17,
        "equal": 0,
        "differing": {
            "lists_have_semicolons": 10, "properties_are_text": 10, "rows_are_traced": 17, "who_comes_and_who_goes": 1,
        },
        "not_applicable": {"events_of_hubspot": 27, "found_before_they_are_written": 56},
    }  # fmt: skip


def of_another_way(case: Case) -> Driven:
    raise NotApplicable("found_before_they_are_written")


@recorded
@pytest.mark.parametrize(
    ("name", "cases"),
    [
        ("hubspot_rudder", lambda: rudder("hubspot")),
        ("salesforce", lambda: segment("salesforce")),
        ("salesforce_rudder", lambda: rudder("salesforce")),
    ],
)
def test_no_other_recorded_case_upserts_by_an_external_id(name, cases):
    told = cases()
    path = "batch/upsert" if name.startswith("hubspot") else "composite"
    assert not any(
        path in wire.url or "externalIdFieldName" in str(wire.body) for case in told for wire in case.requests
    )
    tally = held_against(name, told, of_another_way)
    assert tally.numbers["not_applicable"] == {"found_before_they_are_written": len(told)}
    assert salesforce.CAPABILITIES.is_idempotent, "which only an external id makes it"
