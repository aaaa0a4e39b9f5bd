"""What stands between a person who has come to a message and its sending: consent, holdout, data, caps, window?"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from tailrace import engine
from tailrace.engine import literal
from tailrace.planning.arbitration import MARKETING, Limit, Sunset
from tailrace.planning.gates import Case, Gate
from tailrace.planning.payloads import USABLE_ADDRESS, address_column, first_missing
from tailrace.planning.verdict import IN_WORDS, Reason
from tailrace.planning.weighing import UNKNOWN, spoken

_GATES: dict[str, tuple[Reason, ...]] = {
    "status": (Reason.PAUSED,),
    "consent": (
        *(Reason.SUPPRESSED, Reason.UNSUBSCRIBED, Reason.UNSUBSCRIBED_TOPIC),
        *(Reason.NOT_SUBSCRIBED, Reason.SUNSET),
    ),
    "holdout": (Reason.GLOBAL_HOLDOUT, Reason.HOLDOUT),
    "address": (Reason.NO_ADDRESS,),
    "data": (Reason.MISSING_FIELD,),
    "expiry": (Reason.EXPIRED,),
    "inbox": (Reason.DUPLICATE_INBOX,),
    "exclusive": (Reason.EXCLUSIVE,),
    "cap": (Reason.FREQUENCY_CAP,),
    "window": (),
}
_ONLY_MARKETING = ("exclusive", "cap")
_OF_ACTIONS = ("status", "holdout", "data", "expiry")
_OTHER = defaultdict(
    lambda: "another address, or its way off the suppression list",
    sms="another number, or its way off the suppression list",
    whatsapp="another number, or its way off the suppression list",
    push="another installation, or its way off the suppression list",
)
_MESSAGES = (MARKETING, "transactional")


def message_gates(
    case: Case, message: str, channel: str, definition: Mapping[str, Any], standing: Mapping[str, Any]
) -> Iterator[Gate]:
    """Yield the gates of a message for one who has not come to it, tried as of the plan."""
    for name in _GATES:
        yield _tried(case, name, message, channel, definition, standing)


def judged_gates(
    case: Case, verdict: Mapping[str, Any], definition: Mapping[str, Any], standing: Mapping[str, Any]
) -> Iterator[Gate]:
    """Yield the gates of a message that the plan has judged: what the verdict names is shut, what is before it open."""
    reason = (verdict["reason"] or "").partition(":")[0]
    is_sent = verdict["verdict"] == "send"
    shut = None if is_sent else next((name for name, reasons in _GATES.items() if reason in reasons), None)
    is_past = False
    for name in _GATES if verdict["class"] in _MESSAGES else _OF_ACTIONS:
        if name == shut:
            is_past = True
            yield _shut(case, name, verdict, definition)
            continue
        gate = _tried(case, name, verdict["message"] or "", verdict["channel"] or "", definition, standing)
        if name == "window":
            yield _window(verdict) if is_sent else Gate(name, None, "was not asked")
        elif is_past:
            yield replace(gate, holds=gate.holds if name not in ("inbox", "expiry") else None)
        else:
            yield Gate(name, True, gate.seen if gate.holds else "as the plan saw it")
    if verdict["reason"] == Reason.AWAITING_APPROVAL:
        yield Gate("approval", None, "planned as a draft: `tailrace drafts list` says where it stands")


def _window(verdict: Mapping[str, Any]) -> Gate:
    after = verdict["deliver_after"]
    return Gate("window", True, "open" if after is None else f"leaves from {after:%Y-%m-%d %H:%M:%S} on")


# -- what the verdict names -----------------------------------------------------------------------------------------


def _shut(case: Case, name: str, verdict: Mapping[str, Any], definition: Mapping[str, Any]) -> Gate:
    """Return the gate that the verdict names, with the least that would have opened it."""
    reason, _, detail = (verdict["reason"] or "").partition(":")
    seen = IN_WORDS[Reason(reason)] + (f" ({detail})" if detail else "")
    topic = definition.get("topic")
    match Reason(reason):
        case Reason.PAUSED:
            change = "the status `live`"
        case Reason.SUPPRESSED:
            change, seen = _OTHER[verdict["channel"]], _suppressed(case, verdict["channel"])
        case Reason.UNSUBSCRIBED:
            change = "a new subscription of the person's own"
        case Reason.UNSUBSCRIBED_TOPIC | Reason.NOT_SUBSCRIBED:
            change = f"to opt in to the topic {topic}"
        case Reason.SUNSET:
            change = "to open or click something, or to do something that counts as engagement"
        case Reason.GLOBAL_HOLDOUT | Reason.HOLDOUT:
            change = "nothing: the draw is by a hash of the person, and stays"
        case Reason.NO_ADDRESS:
            change = "an address"
        case Reason.MISSING_FIELD:
            change = f"a value of {detail}"
        case Reason.EXPIRED:
            change = f"a run on {verdict['expires_at']:%Y-%m-%d %H:%M} or before, with an open window"
        case Reason.DUPLICATE_INBOX:
            change = "an address that nobody else has"
        case Reason.EXCLUSIVE:
            rivals = f" in {', '.join(case.rivals)}" if case.rivals else " in the campaign that goes first"
            change = f"the end of the pass{rivals}"
        case _:
            change = _less(case, verdict)
            seen = f"{seen}: {_counts(case, verdict['channel'], definition)[1]}"
    return Gate(name, False, seen, change)


def _less(case: Case, verdict: Mapping[str, Any]) -> str:
    free = f": free on {verdict['next_at']:%Y-%m-%d %H:%M}" if verdict["next_at"] is not None else ""
    limits = [limit for limit, n in _limits(case, verdict["channel"]) if n >= limit.most]
    span = f" in {spoken(timedelta(seconds=limits[0].seconds))}" if limits else ""
    return f"1 message fewer{span}{free}"


# -- what can be tried ----------------------------------------------------------------------------------------------


def _tried(  # noqa: PLR0911 (one return for each gate)
    case: Case,
    name: str,
    message: str,
    channel: str,
    definition: Mapping[str, Any],
    standing: Mapping[str, Any],
) -> Gate:
    if definition["class"] != MARKETING and name in _ONLY_MARKETING:
        return Gate(name, True, f"does not concern {definition['class']} messages")
    match name:
        case "status":
            status = case.campaign["status"]
            is_held = status in ("draft", "paused")
            return Gate(name, not is_held, status, "the status `live`" if is_held else "")
        case "consent":
            return _consent(case, channel, definition)
        case "holdout":
            treated = standing["arm"] == "treated"
            draw = "" if treated else "nothing: the draw is by a hash of the person, and stays"
            return Gate(name, treated, f"arm {standing['arm']}", draw)
        case "address":
            return _address(case, channel)
        case "data":
            return _data(case, message, standing)
        case "exclusive":
            return _exclusive(case)
        case "cap":
            holds, seen = _counts(case, channel, definition)
            return Gate(name, holds, seen, "" if holds is not False else "1 message fewer")
        case "window":
            window = definition.get("window")
            return Gate(name, True, "has none" if window is None else "the message waits until it opens")
        case _:
            return Gate(name, None, "is asked when the message is due")


def _consent(  # noqa: PLR0911 (one return for each reason)
    case: Case, channel: str, definition: Mapping[str, Any]
) -> Gate:
    topic, klass = definition.get("topic") or "", definition["class"]
    against = [
        row
        for row in case.consents
        if row["channel"] in ("", channel) and row["topic"] in ("", topic) and row["class"] in ("", klass)
    ]
    for reason in (Reason.SUPPRESSED, Reason.UNSUBSCRIBED, Reason.UNSUBSCRIBED_TOPIC):
        if any(row["reason"] == reason for row in against):
            if reason == Reason.SUPPRESSED:
                return Gate("consent", False, _suppressed(case, channel), _OTHER[channel])
            return Gate("consent", False, IN_WORDS[reason], f"to opt in to the topic {topic}")
    if klass != MARKETING:
        return Gate("consent", True, "nothing withdrawn")
    if case.rules is None:
        return Gate("consent", None, f"nothing withdrawn; the topic's default is {UNKNOWN}")
    if case.rules.sunset is not None and _is_silent(case, channel, case.rules.sunset):
        return Gate("consent", None, "too much went unanswered: past the sunset, unless nobody at all ever answered")
    if case.rules.topics.get(topic, "subscribed") == "subscribed":
        return Gate("consent", True, "nothing withdrawn, and the topic needs no opt-in")
    if not case.evidence.knows_people:
        return Gate("consent", None, f"whether the person has opted in to {topic} is {UNKNOWN}")
    said = case.evidence.connection.execute(
        "select 1 from wh.core.dim_consents where person_id = $person and state = 'subscribed' and topic = $topic"
        " and channel in ('', $channel)",
        {"person": case.evidence.person_id, "topic": topic, "channel": channel},
    ).fetchall()
    if said:
        return Gate("consent", True, f"has opted in to {topic}")
    return Gate("consent", False, IN_WORDS[Reason.NOT_SUBSCRIBED], f"to opt in to the topic {topic}")


def _suppressed(case: Case, channel: str) -> str:
    """Return in words why nothing may go to the person on the channel, and since when and by whose word."""
    found = engine.rows(
        case.evidence.connection,
        "select reason, source, max(suppressed_at) as at from wh.core.dim_suppressions"
        " where person_id = $person and channel in ('', $channel) group by all order by all",
        {"person": case.evidence.person_id, "channel": channel},
    )
    # A line of the list kept by hand has no time: it stands at the year 1.
    times = [f" since {row['at']:%Y-%m-%d %H:%M}" if row["at"] and row["at"].year > 1 else "" for row in found]
    told = [f"{row['reason']}{since} ({row['source']})" for row, since in zip(found, times, strict=True)]
    return IN_WORDS[Reason.SUPPRESSED] + (f": {', '.join(told)}" if told else "")


def _is_silent(case: Case, channel: str, sunset: Sunset) -> bool:
    rows = case.evidence.connection.execute(
        "select 1 from wh.core.dim_engagement where person_id = $person and channel = $channel"
        " and (n_unanswered >= $sends::integer or unanswered_since <= $as_of - to_days($days::integer))",
        {
            "person": case.evidence.person_id,
            "channel": channel,
            "sends": sunset.sends,
            "days": sunset.days,
            "as_of": case.evidence.as_of,
        },
    ).fetchall()
    return bool(rows)


def _address(case: Case, channel: str) -> Gate:
    if not case.evidence.knows_people:
        return Gate("address", None, UNKNOWN)
    person = case.evidence.row("dim_person_features") | case.evidence.row("dim_people")
    column = address_column(channel, person)
    address = str(person.get(column) or "").strip()
    if re.fullmatch(USABLE_ADDRESS if column == "email" else r".+", address):
        return Gate("address", True, "there is one")
    return Gate("address", False, "there is one that cannot be used" if address else "there is none", "an address")


def _data(case: Case, message: str, standing: Mapping[str, Any]) -> Gate:
    spec = case.spec.messages.get(message) if case.spec else None
    if spec is None:
        return Gate("data", None, f"which fields it needs is {UNKNOWN}")
    event = json.loads(standing["event"] or "{}")
    person = case.evidence.row("dim_person_features") | case.evidence.row("dim_people")
    known = {"event": event, "trigger": event} | ({"customer": person} if case.evidence.knows_people else {})
    fields = {root: json.dumps(values, default=str) for root, values in known.items()}

    def value_of(root: str, name: str) -> str:
        return f"json_extract({literal(fields[root])}, {literal(chr(36) + '.' + chr(34) + name + chr(34))})"

    asked = [field for field in sorted(spec.required) if field[0] in known]
    below = [need for need in sorted(spec.needs) if need[0][0] in known]
    missing = engine.first(case.evidence.connection, f"select {first_missing(asked, below, value_of)}")
    if missing is not None and missing[0] is not None:
        return Gate("data", False, f"{missing[0]} is not known", f"a value of {missing[0]}")
    unsure = len(asked) < len(spec.required) or len(below) < len(spec.needs)
    return Gate("data", None if unsure else True, UNKNOWN if unsure else "nothing is lacking")


def _exclusive(case: Case) -> Gate:
    if case.rivals is None:
        return Gate("exclusive", None, UNKNOWN)
    if case.rivals:
        names = ", ".join(case.rivals)
        return Gate("exclusive", False, f"is in {names}", f"the end of the pass in {names}")
    return Gate("exclusive", True, "is in no campaign that excludes this one and goes first")


def _limits(case: Case, channel: str | None) -> list[tuple[Limit, int]]:
    """Return the limits that cover the channel, each with how many messages count for it after this plan."""
    found = []
    for limit in case.rules.caps if case.rules else []:
        if limit.channel in (None, channel):
            since = case.evidence.as_of - timedelta(seconds=limit.seconds)
            rows = [row for row in case.said if row["at"] > since and limit.channel in (None, row["channel"])]
            found.append((limit, len(rows)))
    return found


def _counts(case: Case, channel: str | None, definition: Mapping[str, Any]) -> tuple[bool | None, str]:
    if case.rules is None:
        return None, f"the limits are {UNKNOWN}"
    limits = _limits(case, channel)
    if not limits:
        return True, "no limit covers it"
    seen = "; ".join(f"{n} of {limit.most} in {spoken(timedelta(seconds=limit.seconds))}" for limit, n in limits)
    return all(n < limit.most for limit, n in limits), seen
