"""Twilio, SendGrid, Slack and webhooks as other implementations were recorded speaking to them."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from conformance.cases import Case, Wire, recorded, rudder, segment
from conformance.harness import AT, Driven, NotApplicable, held_against
from tailrace.destinations import sendgrid, slack, twilio, webhook
from tailrace.destinations.base import Message, Rendered

THEIRS, REAL = "+1234567890", "+14155550123"
"""The number of their cases has a digit too few, which we would refuse: ours is written for it on both sides."""


def note(channel: str, text: str, address: str = "", subject: str = "", html: str | None = None) -> Message:
    return Message("intent", 7, channel, "c", "s", address, Rendered(subject, html, text), AT)


def sid_of(text: str) -> str:
    """Return the id of `Friendly name [ID]`."""
    found = re.search(r"\[(.+)\]", text)
    return found[1] if found else text


def of_twilio(case: Case) -> Driven:
    (told,) = case.payloads
    if case.destination == "twilio":
        settings = {"account_sid": case.settings["accountId"], "from": case.settings["phoneNumber"]}
        driven = note("sms", told["Body"], told["To"])
        return Driven(
            twilio, settings | {"token_env": "T"}, {"token_env": case.settings["token"]}, [], messages=[driven]
        )
    if told["channel"] not in ("SMS", "Whatsapp"):
        raise NotApplicable("other_channels")
    is_whatsapp = told["channel"] == "Whatsapp"
    if told.get("contentSid") and not is_whatsapp:
        raise NotApplicable("texts_are_ours")
    service, number = told.get("messagingServiceSid"), told.get("fromPhoneNumber")
    if not service and not number:
        raise NotApplicable("checked_before")
    settings: dict[str, Any] = {"account_sid": case.settings["accountSID"], "token_env": "T"}
    settings["key_sid"] = case.settings["apiKeySID"]
    sender = "whatsapp_from" if is_whatsapp else "from"
    settings |= {"messaging_service": sid_of(service)} if service else {sender: number}
    if told.get("validityPeriod"):
        settings["validity_seconds"] = told["validityPeriod"]
    address = told["toPhoneNumber"].replace(THEIRS, REAL)
    text = json.dumps({"body": told["inlineBody"]}) if is_whatsapp else told["inlineBody"]
    said = note("whatsapp" if is_whatsapp else "sms", text, address)
    return Driven(twilio, settings, {"token_env": case.settings["apiKeySecret"]}, [], messages=[said])


def opened_form(wire: Wire) -> Wire:
    """Return the form as fields; they send it as plain text."""
    body = dict(parse_qsl(wire.body)) if isinstance(wire.body, str) else wire.body
    fields = {name: str(value).replace(REAL, THEIRS) for name, value in body.items()}
    return replace(wire, body=fields)


@recorded
def test_twilio():
    tally = held_against("twilio", (*segment("twilio-messaging"), *segment("twilio")), of_twilio, opened_form)
    assert tally.numbers == {
        "driven": 5,
        "equal": 3,
        "differing": {"no_pictures": 1, "no_tags": 1},
        "not_applicable": {"checked_before": 2, "other_channels": 9, "texts_are_ours": 2},
    }


def of_sendgrid(case: Case) -> Driven:
    if case.suite == "segment":
        raise NotApplicable("templates_are_ours" if case.action == "sendEmail" else "contacts_are_not_written")
    if not case.requests:
        raise NotApplicable("checked_before")
    if "/mail/send" not in case.requests[0].url:
        raise NotApplicable("contacts_are_not_written")
    body = case.requests[0].body
    to = body["personalizations"][0]["to"][0]["email"]
    words = Rendered(
        body["subject"],
        body["content"][0]["value"],
        "text",
        {"Reply-To": body["reply_to"]["email"]},
        ("", body["from"]["email"]),
    )
    said = replace(note("email", "text", to), rendered=words)
    group = body.get("asm", {}).get("group_id")
    settings = {"token_env": "T"} | ({"unsubscribe_group": group} if group else {})
    return Driven(sendgrid, settings, {"token_env": case.settings["apiKey"]}, [], messages=[said])


@recorded
def test_sendgrid():
    cases = (*segment("sendgrid"), *segment("sendgrid-audiences"), *rudder("sendgrid"))
    tally = held_against("sendgrid", cases, of_sendgrid)
    assert tally.numbers == {
        "driven": 6,
        "equal": 0,
        "differing": {
            "known_by_its_intent": 6, "no_attachments": 2, "no_group_page": 3, "subject_once": 6,
            "text_is_always_there": 6,
        },
        "not_applicable": {"checked_before": 1, "contacts_are_not_written": 15, "templates_are_ours": 4},
    }  # fmt: skip


def of_slack(case: Case) -> Driven:
    if not case.requests:
        raise NotApplicable("checked_before")
    (wire,) = map(opened_payload, case.requests)
    told = wire.body
    said = note("slack", told["text"], told.get("channel", ""))
    return Driven(slack, {"url_env": "U"}, {"url_env": wire.url}, [], messages=[said])


def opened_payload(wire: Wire) -> Wire:
    """Return what is posted, which they put into a field of a form."""
    body = wire.body if "payload" not in wire.body else json.loads(wire.body["payload"])
    return replace(wire, body=body | {"text": body["text"].strip()})


@recorded
def test_slack():
    tally = held_against("slack", (*segment("slack"), *rudder("slack")), of_slack, opened_payload)
    assert tally.numbers == {
        "driven": 4, "equal": 0, "differing": {"the_webhook_says_where": 4}, "not_applicable": {"checked_before": 4},
    }  # fmt: skip


def of_webhook(case: Case) -> Driven:
    if case.suite == "rudder" and len(case.requests) != 1:
        raise NotApplicable("not_unwrapped")
    if case.suite == "rudder":
        wire = case.requests[0]
        call = {"method": wire.method, "url": wire.url, "body": wire.body or None}
        own = {name: value for name, value in wire.headers.items() if name != "content-type"}
    else:
        (told,) = case.payloads
        call = {"method": told["method"], "url": told["url"], "body": told.get("data")}
        own = told.get("headers") or {}
    settings: dict[str, Any] = {"private_network": True}
    secrets = {}
    dynamic = case.settings.get("dynamicAuthSettings") or {}
    bearer = (dynamic.get("bearer") or {}).get("bearerToken")
    if (dynamic.get("oauth") or {}).get("type") == "authCode":
        raise NotApplicable("no_oauth")
    if bearer:
        settings |= {"url": call["url"], "token_env": "T"}
        secrets["token_env"] = bearer
    said = note("webhook", json.dumps(call | {"headers": own}))
    return Driven(webhook, settings, secrets, [], messages=[said])


def opened_call(wire: Wire) -> Wire:
    """Return the call with a path: an address without one means `/`."""
    parts = urlsplit(wire.url)
    return replace(wire, url=wire.url if parts.path else wire.url.replace(parts.netloc, f"{parts.netloc}/", 1))


@recorded
def test_webhook():
    cases = (*segment("webhook"), *segment("webhook-extensible"), *rudder("webhook"))
    tally = held_against("webhook", cases, of_webhook, opened_call)
    assert tally.numbers == {
        "driven": 21,
        "equal": 19,
        "differing": {"no_token_is_none": 2},
        "not_applicable": {"no_oauth": 2, "not_unwrapped": 14},
    }
