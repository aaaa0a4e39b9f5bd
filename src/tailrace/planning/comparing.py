"""What would one plan do that another does not, to whom, and why, as far as that can be known?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import duckdb

from tailrace.engine import literal, statement
from tailrace.planning import relations
from tailrace.planning.memberships import WORD
from tailrace.planning.store import Plan, Store
from tailrace.planning.verdict import ENTRY

_PACKAGE = "tailrace.planning"
_PLACES = {ENTRY: 0, "(end)": 2}
_NOBODY = "select 0::bigint as person_id, 0::ubigint as w0"


@dataclass(frozen=True)
class Decision:
    """What a plan decided: `send`, `defer`, `skip`, `enter` or `end`, and the reason ('' without one)."""

    verdict: str
    reason: str


@dataclass(frozen=True)
class Shift:
    """A step's people of whom the plans decide differently; None: that plan decided nothing about them.

    `step` is `(entry)` for whom the trigger named, `(end)` for whose pass ended. `sample` are person ids.
    """

    step: str
    before: Decision | None
    now: Decision | None
    people: int
    sample: list[int]


@dataclass(frozen=True)
class CampaignDifference:
    """A campaign in both plans: what its author changed (`edits`), what shifted, how many decisions are the same."""

    campaign: str
    edits: list[str]
    same: int
    shifts: list[Shift]


@dataclass(frozen=True)
class SegmentDifference:
    """A segment whose members differ: `entered` are members here and not there, `left` the reverse."""

    segment: str
    before: int | None
    now: int | None
    entered: int
    left: int
    why: str
    entered_sample: list[int]
    left_sample: list[int]


@dataclass(frozen=True)
class Comparison:
    """`plan_id` against `other_id`. `kin` says how they are related, `inputs` what they were made from that differs."""

    plan_id: str
    as_of: datetime
    other_id: str
    other_as_of: datetime
    kin: str
    inputs: list[str]
    campaigns: list[CampaignDifference]
    segments: list[SegmentDifference]


def compare(
    connection: duckdb.DuckDBPyConnection,
    store: Store,
    plan_id: str,
    other_id: str,
    *,
    size: int = 0,
    campaign: str | None = None,
) -> Comparison:
    """Return what the plan decides otherwise than the other one, with at most `size` person ids to each number.

    With `campaign`, of that one and the segments.
    """
    plan, other = store.read(plan_id), store.read(other_id)
    return Comparison(
        plan_id=plan_id,
        as_of=plan.as_of,
        other_id=other_id,
        other_as_of=other.as_of,
        kin=_kin(store, plan_id, plan, other_id, other),
        inputs=list(_inputs(connection, store, plan, other)),
        campaigns=[
            found for found in _campaigns(connection, store, plan, other, size) if campaign in (None, found.campaign)
        ],
        segments=_segments(connection, store, plan, other, size),
    )


def _kin(store: Store, plan_id: str, plan: Plan, other_id: str, other: Plan) -> str:
    if plan_id == other_id:
        return "the same plan"
    if plan.parent == other.parent:
        return f"both on top of {plan.parent or 'nothing'}"
    for first, second, words in ((plan_id, other_id, "after"), (other_id, plan_id, "before")):
        for steps, (ancestor, _) in enumerate(store.chain(first)):
            if ancestor == second:
                return f"{steps} {'plan' if steps == 1 else 'plans'} {words} it"
    cut = next((cut for each in (plan_id, other_id) if (cut := store.cut([*store.chain(each)][-1][1]))), None)
    return f"what lies between was {cut.in_words()}" if cut else "on another branch"


def _inputs(connection: duckdb.DuckDBPyConnection, store: Store, plan: Plan, other: Plan) -> Iterator[str]:
    """Yield what differs in what the plans were made from, in words."""
    mine, theirs = (store.source(each, "loads", relations.LOADS) for each in (plan, other))
    more, fewer = (
        connection.execute(
            f"select count(*) from {one} as a where not exists (select 1 from {two} as b where b.load_id = a.load_id)"
        ).fetchall()[0][0]
        for one, two in ((mine, theirs), (theirs, mine))
    )
    for count, word in ((more, "more"), (fewer, "fewer")):
        if count:
            yield f"{count:,} {'load' if count == 1 else 'loads'} {word}"
    if plan.as_of != other.as_of:
        yield "as_of"
    if plan.inputs.project != other.inputs.project:
        yield "the dbt project"
    if plan.inputs.definitions != other.inputs.definitions:
        yield "campaigns, policy or destinations"
    if plan.inputs.journal_seq != other.inputs.journal_seq:
        yield "what the journal had answered"
    if plan.inputs.releases != other.inputs.releases:
        yield "released guards"
    if plan.inputs.choices != other.inputs.choices:
        yield "what was chosen to be sent now"
    if plan.cause != other.cause:
        yield f"cause ({plan.cause}, not {other.cause})"


# -- campaigns -------------------------------------------------------------------------------------------------------


def _campaigns(
    connection: duckdb.DuckDBPyConnection, store: Store, plan: Plan, other: Plan, size: int
) -> list[CampaignDifference]:
    query = statement(_PACKAGE, "compared")
    for name, each in (("this", plan), ("other", other)):
        query = query.replace(f"{{{name}}}", _decided(store, each))
    shifts: dict[str, list[Shift]] = {}
    same: dict[str, int] = {}
    for campaign, step, before, why, now, reason, people, sample in connection.execute(
        query, {"size": size}
    ).fetchall():
        if (before, why) == (now, reason):
            same[campaign] = same.get(campaign, 0) + people
        else:
            earlier = None if before is None else Decision(before, why)
            later = None if now is None else Decision(now, reason)
            shifts.setdefault(campaign, []).append(Shift(step, earlier, later, people, list(sample)))
    found = []
    for slug in sorted({*plan.campaigns, *other.campaigns, *shifts}):
        edits = list(_edits(plan.campaigns.get(slug), other.campaigns.get(slug)))
        if edits or slug in shifts:
            ordered = sorted(shifts.get(slug, []), key=lambda shift: _PLACES.get(shift.step, 1))
            found.append(CampaignDifference(slug, edits, same.get(slug, 0), ordered))
    return found


def _decided(store: Store, plan: Plan) -> str:
    query = statement(_PACKAGE, "decided")
    for name, empty in (("verdicts", relations.VERDICTS), ("transitions", relations.TRANSITIONS)):
        query = query.replace(f"{{{name}}}", store.source(plan, name, empty))
    return query


def _edits(now: Mapping[str, Any] | None, before: Mapping[str, Any] | None) -> Iterator[str]:
    """Yield what the author of a campaign changed from one plan to the other."""
    if now is None or before is None:
        yield "not in the other plan" if before is None else "only in the other plan"
        return
    if now["version"] != before["version"]:
        yield f"definition edited: version {now['version'][:8]}, not {before['version'][:8]}"
    for name in ("status", "sending", "on_edit"):
        if now.get(name) != before.get(name) and name in now and name in before:
            yield f"{name}: {now[name]}, not {before[name]}"
    if now.get("parked") != before.get("parked"):
        yield _parked(now.get("parked"), before.get("parked"))


def _parked(now: str | None, before: str | None) -> str:
    """Return which of the two plans had it parked, and why."""
    if not now:
        return f"parked in the other plan only: {before}"
    return f"parked: {now}, and in the other plan: {before}" if before else f"parked, unlike in the other plan: {now}"


# -- segments --------------------------------------------------------------------------------------------------------


def _segments(
    connection: duckdb.DuckDBPyConnection, store: Store, plan: Plan, other: Plan, size: int
) -> list[SegmentDifference]:
    names = sorted(
        name for name in {*plan.segments, *other.segments} if _is_there(plan, name) or _is_there(other, name)
    )
    moved = _moved(connection, store, plan, other, names, size)
    found = []
    for name in names:
        entered, left, entered_sample, left_sample = moved.get(name, (0, 0, [], []))
        why = _why(plan.segments.get(name), other.segments.get(name), _is_there(plan, name), _is_there(other, name))
        if entered or left or why:
            before, now = (each.segments[name]["size"] if _is_there(each, name) else None for each in (other, plan))
            why = why or "data or time"
            found.append(SegmentDifference(name, before, now, entered, left, why, entered_sample, left_sample))
    return found


def _is_there(plan: Plan, name: str) -> bool:
    return name in plan.segments and plan.segments[name]["status"] != "removed"


def _why(now: Mapping[str, Any] | None, before: Mapping[str, Any] | None, is_now: bool, was_there: bool) -> str:
    """Return what somebody changed about the segment; '' when nobody did."""
    if now is None or before is None or is_now != was_there:
        return "only in the other plan" if was_there else "not in the other plan"
    if now["parked"] != before["parked"]:
        return _parked(now["parked"], before["parked"])
    if now["fingerprint"] != before["fingerprint"]:
        return "its SQL was edited"
    return ""


_Moved = dict[str, tuple[int, int, list[int], list[int]]]


def _moved(
    connection: duckdb.DuckDBPyConnection, store: Store, plan: Plan, other: Plan, names: list[str], size: int
) -> _Moved:
    """Return, per segment, who is in it in one of the plans only. A segment's bit may differ between branches."""
    if not names:
        return {}
    mine, theirs = (store.source(each, "memberships", _NOBODY) for each in (plan, other))
    pairs = ", ".join(
        f"({_bit(plan, name, 'mine')}) as now_{place}, ({_bit(other, name, 'theirs')}) as before_{place}"
        for place, name in enumerate(names)
    )
    connection.execute(
        f"create or replace temp table sides as select coalesce(mine.person_id, theirs.person_id) as person_id, {pairs}"
        f" from {mine} as mine full outer join {theirs} as theirs on theirs.person_id = mine.person_id"
    )
    moves = " union all ".join(
        f"select {literal(name)} as segment, now_{place} as is_in, person_id from sides"
        f" where now_{place} <> before_{place}"
        for place, name in enumerate(names)
    )
    found: _Moved = {}
    rows = connection.execute(
        "select segment, is_in, count(*), coalesce(list(person_id order by place) filter (where place <= $size), [])"
        " from (select *, row_number() over (partition by segment, is_in order by md5(person_id::varchar)) as place"
        f" from ({moves})) group by segment, is_in order by segment",
        {"size": size},
    ).fetchall()
    for segment, is_in, count, sample in rows:
        entered, left, entered_sample, left_sample = found.get(segment, (0, 0, [], []))
        found[segment] = (
            (count, left, list(sample), left_sample) if is_in else (entered, count, entered_sample, list(sample))
        )
    return found


def _bit(plan: Plan, name: str, side: str) -> str:
    if not _is_there(plan, name):
        return "false"
    number = plan.segments[name]["bit"]
    return f"coalesce(({side}.w{number // WORD} & {1 << number % WORD}::ubigint) <> 0, false)"
