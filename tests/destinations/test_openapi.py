"""Every request that is described by its vendor is as its vendor describes it, or differs for a reason that is told.

`TAILRACE_TEST_OPENAPI` names a folder with the vendors' descriptions (OpenAPI 3, discovery documents), a folder for
each; they are read in place, and what has none there is skipped by name. The reasons stand in conformance/openapi.yml.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from conformance import (
    cases,
    harness,
    test_amplitude,
    test_audiences,
    test_crm,
    test_iterable,
    test_messages,
    test_mixpanel,
)
from conformance import test_customerio as conformance_customerio
from conformance import test_segment as conformance_segment
from conformance.exchanges import acting
from described import Description, Fault
from far_end import batch_of, row
from messenger import mail, note
from ruamel.yaml import YAML
from test_shape import SECRETS, SETTINGS

from tailrace.destinations.base import Exchange, HttpReply, HttpRequest, Matching, Probing, discover

FOLDER = Path(os.environ.get("TAILRACE_TEST_OPENAPI") or "/nowhere")
REASONS = Path(__file__).parent / "conformance" / "openapi.yml"
SHOWN = int(os.environ.get("SHOWN") or 10)
VENDORS = {
    "amplitude": "amplitude",
    "braze": "braze",
    "customerio": "customerio",
    "customerio_broadcast": "customerio",
    "customerio_messages": "customerio",
    "fcm": "fcm",
    "google_data_manager": "google_data_manager",
    "hubspot": "hubspot",
    "iterable": "iterable",
    "meta_ads": "meta",
    "mixpanel": "mixpanel",
    "postmark": "postmark",
    "segment": "customerio_pipelines",
    "sendgrid": "sendgrid",
    "slack_bot": "slack",
    "twilio": "twilio",
}
"""The folder with the description of each destination. Segment has none: one of those who speak its API does."""

ADDRESS = "kim@people.test"
PUSH = '{"title": "Hi", "body": "Hello", "link": "https://acme.test/", "data": {"n": 1}}'
TEMPLATES = {"sms_template": 3, "push_template": "news", "people_by": "person_id"}
KEPT = {"plan": "pro", "seats": 3, "is_new": True, "since": "2026-03-01T06:00:00Z", "tags": ["a", "b"], "left": None}
MAILS = [
    mail(),
    replace(mail(), rendered=replace(mail().rendered, html=None, headers={}, sender=None)),
    mail(Reply_To="answers@acme.test"),
]
MESSAGES: dict[str, list[tuple[dict[str, Any], Any]]] = {
    "customerio_messages": [
        *(({}, one) for one in MAILS),
        ({"email_template": 7}, mail()),
        (TEMPLATES, note("sms", "Hi", "+14155550123")),
        (TEMPLATES, note("push", PUSH, "device")),
    ],
    "fcm": [({}, note("push", PUSH, "device")), ({"addressed_by": "fid"}, note("push", PUSH, "device"))],
    "postmark": [({}, one) for one in MAILS],
    "sendgrid": [*(({}, one) for one in MAILS), ({"unsubscribe_group": 4}, mail())],
    "slack_bot": [({}, note("slack", "Hi", "C0123"))],
    "twilio": [
        ({"smart_encoded": True, "validity_seconds": 600}, note("sms", "Hi", "+14155550123")),
        ({"status_callback": "https://acme.test/sms"}, note("sms", "Hi", "+14155550123")),
        ({"whatsapp_from": "+14155550100"}, note("whatsapp", '{"body": "Hi"}', "+14155550123")),
        (
            {"whatsapp_from": "+14155550100"},
            note(
                "whatsapp",
                '{"template": "HX0123456789abcdef0123456789abcdef", "variables": {"1": "Kim"}}',
                "+14155550123",
            ),
        ),
    ],
}
"""By destination: settings beside those of test_shape.py, and a message."""


def come(target: str, key: str, value: str = "u-1", **data: Any) -> list[tuple[str, str, list[Any]]]:
    return both(target, key, value, **data)[:1]


def both(target: str, key: str, value: str = "u-1", **data: Any) -> list[tuple[str, str, list[Any]]]:
    """Return somebody who comes, or is said to be different, and somebody who goes."""
    return [
        (target, "mirror", [row("add", {key: value}, **data), row("update", {key: f"2{value}"}, **data)]),
        (target, "mirror", [row("remove", {key: value})]),
    ]


def once(target: str, key: str, **data: Any) -> list[tuple[str, str, list[Any]]]:
    return [(target, "append", [row("add", {key: "u-1"}, **data), row("add", {key: "u-2"}, **data)])]


ROWS: dict[str, list[tuple[str, str, list[Any]]]] = {
    "amplitude": [
        *once("events", "user_id", event_type="bought", time="2026-03-01T06:00:00Z", total=9.5),
        *once("events", "device_id", event_type="bought", revenue=9.5, currency="EUR", session_id="1772323"),
        *once("events", "user_id", event_type="bought", location_lat=1.5, groups={"company": "Acme"}, ip="127.0.0.1"),
    ],
    "braze": [
        *both("people", "external_id", **KEPT),
        *both("attribute:vip", "braze_id", plan="pro"),
        ("people", "mirror", [row("remove", {"external_id": "u-1"}), row("remove", {"braze_id": "b-1"})]),
        *once("events", "external_id", name="bought", time="2026-03-01T06:00:00Z", total=9.5),
    ],
    "customerio": [
        *both("people", "id", **KEPT),
        *both("people", "email", ADDRESS),
        *both("people", "cio_id"),
        ("people", "update_only", [row("update", {"id": "u-1"}, **KEPT)]),
        *both("people", "id", timestamp="2026-03-01T06:00:00Z"),
        *both("people", "id", cio_relationships=[{"identifiers": {"object_type_id": "1", "object_id": "a"}}]),
        *both("segment:7", "id"),
        *both("segment:7", "email", ADDRESS),
        *once("events", "id", name="bought", timestamp="2026-03-01T06:00:00Z", total=9.5),
        *once("events", "anonymous_id", name="bought"),
        *once("events", "id", name="home", type="page"),
        *once("events", "id", name="home", type="screen"),
        *both("suppressions", "id"),
        *once("deletions", "id"),
        ("merges", "append", [row("add", {"primary_id": "u-1", "secondary_email": ADDRESS})]),
        ("devices", "mirror", [row("add", {"id": "u-1", "token": "t"}, platform="ios", last_used=1772345678, v="1")]),
        ("devices", "mirror", [row("remove", {"id": "u-1", "token": "t"})]),
        *both("objects", "object_id", name="Acme"),
        ("relationships", "mirror", [row("add", {"id": "u-1", "object_id": "a"}, role="owner")]),
        ("relationships", "mirror", [row("remove", {"id": "u-1", "object_id": "a"})]),
    ],
    "customerio_broadcast": [*once("4", "id", plan="pro"), *once("4", "email", plan="pro")],
    "google_data_manager": [
        *both("123", "email_address", "kim@acme.co", phone_number="+14155550123", given_name="Kim", family_name="Lee",
              region_code="US", postal_code="94016", ad_user_data=True, ad_personalization=False),
        *both("123", "mobile_id", "38400000-8cf0-11bd-b23e-10b96e40000d"),
        *both("123", "user_id"),
    ],
    "hubspot": [
        *both("contacts", "email", ADDRESS, **KEPT),
        *both("companies", "domain", "acme.test", **KEPT),
        ("contacts", "update_only", [row("update", {"email": ADDRESS}, plan="pro")]),
        *both("lists/9", "email", ADDRESS),
    ],
    "iterable": [
        *come("people", "user_id", **KEPT),
        *come("people", "email", ADDRESS, **KEPT),
        ("people", "update_only", [row("update", {"user_id": "u-1"}, plan="pro")]),
        *both("list:3", "user_id", plan="pro"),
        *both("list:3", "email", ADDRESS),
        ("list:3", "update_only", [row("add", {"email": ADDRESS})]),
        *once("events", "user_id", event_name="bought", created_at="2026-03-01T06:00:00Z", campaignId="7", total=9.5),
    ],
    "meta_ads": [
        *both("123", "email", "kim@acme.co", fn="Kim", ln="Lee", country="US", zip="94016", dob="1990-01-31", gen="f"),
        ("123", "mirror", [row("remove", {"phone": "+14155550123"})]),
        *both("123", "extern_id"),
        ("123", "mirror", [row("add", {"madid": "38400000-8cf0-11bd-b23e-10b96e40000d"})]),
    ],
    "mixpanel": [
        *both("people", "distinct_id", **KEPT),
        *both("property:vip", "distinct_id", plan="pro"),
        *both("groups:company", "group_id", **KEPT),
        *once("events", "distinct_id", event="bought", time="2026-03-01T06:00:00Z", total=9.5),
        *once("events", "distinct_id", event="bought", time="2026-03-01T06:00:00.123Z"),
    ],
    "segment": [
        *come("people", "user_id", **KEPT, timestamp="2026-03-01T06:00:00Z"),
        *come("people", "anonymous_id", plan="pro"),
        *both("trait:vip", "user_id", plan="pro"),
        *once("events", "user_id", event="bought", timestamp="2026-03-01T06:00:00Z", total=9.5),
        *once("events:page", "user_id", event="home"),
        *once("events:screen", "anonymous_id", event="home"),
        ("groups", "mirror", [row("add", {"group_id": "acme"}, user_id="u-1", plan="pro")]),
    ],
}  # fmt: skip
"""By destination: target, mode, rows."""

MORE: dict[str, dict[str, Any]] = {
    "hubspot": {"removal": "archive"},
    "google_data_manager": {"terms_accepted": True, "ad_user_data": "granted", "ad_personalization": "granted"},
    "mixpanel": {"project_id": 7},
    "segment": {"base_url": "https://cdp.customer.io/v1"},
}
"""Settings beside those of test_shape.py, for rows."""

ASKING: dict[str, dict[str, Any]] = {"customerio": {"app_api_key_env": "K"}, "mixpanel": MORE["mixpanel"]}
MATCHED = {
    "meta_ads": "123",
    "customerio": "segment:7",
    "google_data_manager": "123",
    "hubspot": "lists/9",
    "iterable": "list:3",
}
"""The audience that is asked for."""


def of_events(translate: Any) -> Any:
    """Return the translation of cases about events only: nothing else is described."""

    def translated(case: cases.Case) -> harness.Driven:
        driven = translate(case)
        return replace(driven, batches=[one for one in driven.batches if one.target == "events"])

    return translated


RECORDED = {
    "customerio": lambda: [
        (conformance_customerio.of_segment, cases.segment("customerio")),
        (conformance_customerio.of_rudder, cases.rudder("customerio")),
    ],
    "google_data_manager": lambda: [
        (test_audiences.of_google_rudder, cases.rudder("google_adwords_remarketing_lists"))
    ],
    "hubspot": lambda: [(test_crm.of_hubspot, map(test_crm.spoken, cases.segment("hubspot")))],
    "iterable": lambda: [
        (test_iterable.of_segment, chain(cases.segment("iterable"), cases.segment("iterable-lists"))),
        (test_iterable.of_rudder, cases.rudder("iterable")),
    ],
    "amplitude": lambda: [(of_events(test_amplitude.of_segment), cases.segment("amplitude"))],
    "meta_ads": lambda: [(test_audiences.of_meta, cases.segment("facebook-custom-audiences"))],
    "mixpanel": lambda: [
        (test_mixpanel.of_segment, cases.segment("mixpanel")),
        (test_mixpanel.of_rudder, cases.rudder("mixpanel")),
    ],
    "segment": lambda: [
        (conformance_segment.of_segment, map(conformance_segment.with_results, cases.segment("segment"))),
        (conformance_segment.of_rudder, cases.rudder("segment")),
    ],
    "sendgrid": lambda: [(test_messages.of_sendgrid, cases.rudder("sendgrid"))],
    "twilio": lambda: [
        (test_messages.of_twilio, chain(cases.segment("twilio-messaging"), cases.segment("twilio"))),
    ],
}
"""How the recorded cases are put into our words, where there are any for what is described."""


@cache
def described(vendor: str) -> Description:
    return Description(FOLDER / vendor)


def faults(name: str, request: HttpRequest) -> list[Fault]:
    """Return what is not as described, but for the host of another region: one of them is described."""
    hosts = {urlsplit(url).netloc for url in getattr(discover()[name].Settings, "hosts", {}).values()}
    found = described(VENDORS[name]).faults(request)
    return [one for one in found if one.field != "url.host" or urlsplit(request.url).netloc not in hosts]


def said(name: str) -> Iterator[tuple[str, HttpRequest]]:
    """Yield every request of the examples above, and of the recorded cases, with words that say which it is."""
    module, secrets = discover()[name], SECRETS
    for number, (more, message) in enumerate(MESSAGES.get(name, [])):
        settings = module.Settings(**SETTINGS[name] | more)
        for request in calls(module.build_request(settings, secrets, message)):
            yield f"message {number} ({message.channel})", request
    for target, mode, rows in ROWS.get(name, []):
        settings = module.Settings(**SETTINGS[name] | MORE.get(name, {}))
        batch = batch_of(rows, target, mode)
        for one in calls(module.build_request(settings, secrets, batch)):
            yield f"{target} {mode} {batch.rows[0].op}", one
    settings = module.Settings(**SETTINGS[name] | ASKING.get(name, {}))
    asking = [("probe", module.build_probe(settings, secrets))] if isinstance(module, Probing) else []
    if isinstance(module, Matching):
        asking.append(("match", module.build_match(settings, {**secrets, "app_api_key_env": "K"}, MATCHED[name])))
    for words, request in asking:
        yield from ((words, one) for one in calls(request))
    for translate, told in RECORDED.get(name, list)():
        for case in told:
            try:
                driven = translate(case)
            except harness.NotApplicable:
                continue
            for request in harness.requests_of(replace(driven, module=acting(module))):
                yield case.label, request


GRANTED = HttpReply(200, {}, b'{"access_token": "t", "expires_in": 60}')


def calls(request: Any) -> Iterator[HttpRequest]:
    """Yield the calls of an exchange, but for the one that asks for a token; each is answered as if all was well."""
    if not isinstance(request, Exchange):
        yield request
        return
    steps = request.steps()
    call = steps.send(None)
    try:
        while True:
            if isinstance(call, HttpRequest) and "token" not in call.url:
                yield call
            found = b'{"results": [{"id": "51", "properties": {"email": "kim@people.test", "domain": "acme.test"}}]}'
            is_read = isinstance(call, HttpRequest) and call.url.endswith("/read")
            call = steps.send(HttpReply(200, {}, found) if is_read else GRANTED)
    except StopIteration:
        return


@pytest.mark.parametrize("name", sorted(VENDORS))
def test_what_is_said_is_what_the_vendor_describes(name, monkeypatch):
    folder = FOLDER / VENDORS[name]
    if not folder.is_dir():
        pytest.skip(f"{folder}: no description of {name}; TAILRACE_TEST_OPENAPI names the folder of descriptions")
    monkeypatch.setattr(harness, "_wire", lambda request: request)
    told = YAML(typ="safe").load(REASONS).get(name) or {}
    entries = [(re.compile(one["fields"]), re.compile(one.get("detail", "")), one["reason"]) for one in told]
    n, used, strange = 0, Counter(), []
    for label, request in said(name):
        n += 1
        for fault in faults(name, request):
            reason = next(
                (
                    why
                    for fields, detail, why in entries
                    if fields.fullmatch(fault.field) and detail.search(fault.detail)
                ),
                None,
            )
            if reason is None:
                strange.append(f"{label}: {fault.field}: {fault.detail}")
            else:
                used[reason] += 1
    print(f"\n{name}: {n} requests, {len(strange)} faults, deliberate: {dict(used)}")
    assert not strange, "\n".join([f"{len(strange)} faults of {name}", *strange[:SHOWN]])
    stale = [why for _, _, why in entries if why not in used]
    assert not stale, f"{REASONS.name}: {name} has reasons that explain nothing: {stale}"
    assert n
