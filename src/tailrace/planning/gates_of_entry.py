"""What stands between a person and the entry: trigger, status, cause, late, repeat, filter?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from tailrace.engine import literal
from tailrace.planning.gates import Case, Gate, condition_gate
from tailrace.planning.trigger import BROADCAST_EVENT, DEFAULT_LATE
from tailrace.planning.verdict import IN_WORDS, Reason
from tailrace.planning.weighing import UNKNOWN, Pass, spoken, weigh

_GATES = {
    "status": (Reason.DRAFT, Reason.PAUSED, Reason.ENDED),
    "cause": (Reason.BASELINE, Reason.DEFINITION, Reason.HISTORY, Reason.MERGE),
    "late": (Reason.LATE,),
    "repeat": (Reason.ALREADY_ENROLLED, Reason.IN_FLIGHT, Reason.TOO_SOON),
    "filter": (Reason.FILTERED,),
}
_CAUSES = {
    Reason.BASELINE: "to leave the segment and to enter it again",
    Reason.DEFINITION: "to enter the segment by what the person does: leave it and enter it again",
    Reason.HISTORY: "an event that is not from a backfill",
    Reason.MERGE: "something that happens after the plan that first saw both user ids as one person",
}


def entry_gates(case: Case) -> Iterator[Gate]:
    """Yield the gates of the entry. Those before the one that the plan's refusal names are open, as it says."""
    refusal = case.refusal
    if refusal is None:
        yield _trigger(case)
        shut = None
    else:
        yield Gate("trigger", True, f"named on {refusal['due_at']:%Y-%m-%d %H:%M:%S}")
        shut = next((name for name, reasons in _GATES.items() if refusal["reason"] in reasons), None)
    is_past = False
    for name in _GATES:
        if name == shut and refusal is not None:
            is_past = True
            yield _shut(case, name, refusal)
        elif refusal is not None and not is_past:
            yield Gate(name, True, _open(case, name))
        else:
            yield _tried(case, name)


def _open(case: Case, name: str) -> str:
    """Return what the plan saw at a gate that it let the person through."""
    again = "never entered before" if not case.passes else "may enter again"
    words = {"status": str(case.campaign["status"]), "cause": "what the person did, or time", "late": "in time"}
    return words.get(name, again)


def _shut(case: Case, name: str, refusal: Mapping[str, Any]) -> Gate:
    reason = refusal["reason"]
    seen = IN_WORDS[Reason(reason)]
    if name == "status":
        return Gate(name, False, seen, "the status `live`")
    if name == "cause":
        return Gate(name, False, seen, _CAUSES[Reason(reason)])
    if name == "late":
        # What an event's contract says of it is no part of the campaign's version.
        late = (case.spec.definition if case.spec else case.today)["trigger"].get("late")
        allowed = DEFAULT_LATE if late is None else timedelta(seconds=late)
        return Gate(name, False, seen, f"an event that lands within {spoken(allowed)} of happening")
    if name == "filter":
        gate = condition_gate(name, case, case.today["filter"], Pass(event=_naming_event(case, refusal)))
        return Gate(name, False, f"{seen}; {gate.seen}", gate.change, gate.parts)
    if reason == Reason.TOO_SOON and refusal["next_at"] is not None:
        return Gate(name, False, seen, f"to be named on {refusal['next_at']:%Y-%m-%d %H:%M} or later")
    return Gate(name, False, seen, _again(case))


def _naming_event(case: Case, refusal: Mapping[str, Any]) -> str | None:
    """Return the properties of the person's event that named them, if it is known which one it was."""
    asked = _asked(case)
    if asked is None or not case.evidence.knows_events:
        return None
    rows = case.evidence.connection.execute(
        "select distinct properties from wh.core.fct_events where person_id = $person and event = $event"
        f" and type = 'track' and event_at = $due_at and ({asked['where_sql'] or 'true'})",
        {"person": case.evidence.person_id, "event": asked["event"], "due_at": refusal["due_at"]},
    ).fetchall()
    return rows[0][0] if len(rows) == 1 else None


def _asked(case: Case) -> Mapping[str, Any] | None:
    """Return which events of the person's own start the campaign: event, where, where_sql; None when none do."""
    trigger = case.today["trigger"]
    if trigger["kind"] == "broadcast" and trigger["segment"] is None:
        slug = literal(case.slug)
        sql = f"json_extract_string(properties, '$.campaign') = {slug}"
        return {"event": BROADCAST_EVENT, "where_sql": sql, "where": f"campaign = {slug}"}
    return trigger if trigger["kind"] in ("event", "form") else None


def _again(case: Case) -> str:
    """Return what it takes to enter once more."""
    repeat = case.today["repeat"]
    if repeat["kind"] == "never":
        return "nothing: nobody passes twice (`repeat: never`)"
    if repeat["kind"] == "each_occurrence":
        return "the trigger with an occurrence that the person has not had"
    over = "the end of the pass that is under way, then the trigger again"
    if repeat["kind"] == "every":
        return f"{over}, at least {spoken(timedelta(seconds=repeat['seconds']))} after the last entry"
    return over


def _tried(case: Case, name: str) -> Gate:
    """Return a gate that no verdict speaks of, tried as of the plan."""
    if name == "status":
        status = case.campaign["status"]
        return Gate(name, status == "live", status, "" if status == "live" else "the status `live`")
    if name == "repeat":
        repeat = case.today["repeat"]["kind"]
        if not case.passes:
            return Gate(name, True, "never entered before")
        is_active = case.passes[0]["status"] == "active"
        may = repeat == "each_occurrence" or (repeat == "after_exit" and not is_active)
        seen = f"entered before, on {case.passes[0]['entered_at']:%Y-%m-%d %H:%M}"
        return Gate(name, True if may else None if repeat == "every" else False, seen, "" if may else _again(case))
    if name == "filter":
        if case.today["filter"] is None:
            return Gate(name, True, "there is none")
        return condition_gate(name, case, case.today["filter"], Pass())
    return Gate(name, None, "nothing was named")


# -- the trigger -----------------------------------------------------------------------------------------------------


def _trigger(case: Case) -> Gate:
    trigger = case.today["trigger"]
    asked = _asked(case)
    if asked is not None:
        return _event(case, asked)
    match trigger["kind"]:
        case "segment":
            return _segment(case, trigger)
        case "attribute":
            value = case.watched.get(str(case.evidence.person_id))
            wanted = f" to `{trigger['to']}`" if trigger["to"] is not None else ""
            seen = f"{trigger['attribute']} is {value if value is not None else 'not known'}, as before"
            return Gate("trigger", False, seen, f"a change of {trigger['attribute']}{wanted}")
        case "date":
            return _date(case, trigger)
        case "broadcast":
            inside = weigh(case.evidence, {"in": trigger["segment"]}, Pass())
            seen = f"{inside.text}: {inside.seen}; it goes out at {trigger['at']}"
            return Gate("trigger", False, seen, f"to be in {trigger['segment']} at {trigger['at']}")
        case _:
            what = trigger["event"] or trigger["segment"]
            change = f"`{what}` of a {trigger['object']} that the person belongs to"
            return Gate("trigger", False, "no object of the person's was named", change)


def _segment(case: Case, trigger: Mapping[str, Any]) -> Gate:
    segment, on = trigger["segment"], trigger["on"]
    parked = case.plan.segments.get(segment, {}).get("parked")
    inside = weigh(case.evidence, {"in": segment}, Pass())
    seen = f"{inside.text}: {inside.seen}{', and was before this plan' if inside.holds else ''}"
    if parked:
        return Gate("trigger", False, f"{seen}; {segment} is parked ({parked})", f"{segment} not to be parked")
    if (on == "entered") == bool(inside.holds):
        steps = ("leave", "enter") if on == "entered" else ("enter", "leave")
        return Gate("trigger", False, seen, f"to {steps[0]} {segment}, and to {steps[1]} it again")
    return Gate("trigger", False, seen, f"to {'enter' if on == 'entered' else 'leave'} {segment}")


def _event(case: Case, trigger: Mapping[str, Any]) -> Gate:
    evidence = case.evidence
    written = f"`{trigger['event']}`" + (f" where {trigger['where']}" if trigger.get("where") else "")
    change = f"an event {written}"
    if not evidence.knows_events:
        return Gate("trigger", False, f"the plan saw no new {written}; when the last one was is {UNKNOWN}", change)
    rows = evidence.connection.execute(
        "select max(event_at) from wh.core.fct_events where person_id = $person and event = $event and type = 'track'"
        f" and event_at <= $as_of and ({trigger['where_sql'] or 'true'})",
        {"person": evidence.person_id, "event": trigger["event"], "as_of": evidence.as_of},
    ).fetchall()
    last = rows[0][0]
    if last is None:
        return Gate("trigger", False, f"never had {written}", change)
    return Gate("trigger", False, f"the last {written} was on {last:%Y-%m-%d %H:%M:%S}, not new in this plan", change)


def _date(case: Case, trigger: Mapping[str, Any]) -> Gate:
    attribute = trigger["attribute"]
    row = case.evidence.row("dim_person_features") | case.evidence.row("dim_people")
    days = trigger["offset_days"]
    moment = f"{abs(days)} days {'before' if days < 0 else 'after'} {attribute}" if days else attribute
    if not case.evidence.knows_people:
        return Gate("trigger", False, f"{attribute} is {UNKNOWN}", f"a run on the day {moment}")
    if row.get(attribute) is None:
        return Gate("trigger", False, f"{attribute} is not known", f"a date in {attribute}")
    return Gate("trigger", False, f"{attribute} is {row[attribute]}", f"a run on the day {moment}")
