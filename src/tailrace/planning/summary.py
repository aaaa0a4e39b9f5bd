"""What does the plan say in numbers? The counts that plan.json keeps, so that printing a plan reads one file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import duckdb

from tailrace import engine
from tailrace.planning.enrollment import CampaignSpec
from tailrace.planning.run import GOALS_REACHED
from tailrace.planning.steps import steps_of
from tailrace.planning.store import Piece
from tailrace.planning.verdict import ENTRY, Reason, Verdict, Why


def counts(
    connection: duckdb.DuckDBPyConnection, relations: Mapping[str, tuple[Piece, ...]], enrollments: int
) -> dict[str, int]:
    """Return the plan's totals: people, memberships, enrollments, and considered = send + defer + skip.

    `unknown_zones` are the people whose local time mattered and whose zone nobody knows.
    """
    judged = dict(connection.execute("select verdict, count(*) from verdicts group by verdict").fetchall())
    words = engine.columns(connection, "current")[1:]
    bits = " + ".join(f"bit_count({word})::bigint" for word in words)
    return {
        "people": engine.row(connection, "select count(*) from wh.core.dim_people")[0],
        "features": engine.row(connection, "select count(*) from wh.core.dim_person_features")[0],
        "memberships": int(engine.row(connection, f"select coalesce(sum({bits}), 0) from current")[0]),
        "changes": _rows(relations, "changes"),
        "enrollments": enrollments,
        "transitions": _rows(relations, "transitions"),
        "considered": engine.row(connection, "select count(*) from verdicts")[0],
        "send": judged.get(Verdict.SEND, 0),
        "defer": judged.get(Verdict.DEFER, 0),
        "skip": judged.get(Verdict.SKIP, 0),
        "sync_ops": _rows(relations, "sync_ops:"),
        "unknown_zones": engine.row(connection, "select count(distinct person_id) from zoneless")[0],
    }


def _rows(relations: Mapping[str, tuple[Piece, ...]], prefix: str) -> int:
    return sum(
        piece.rows
        for name, pieces in relations.items()
        if name == prefix or (prefix.endswith(":") and name.startswith(prefix))
        for piece in pieces
    )


def campaigns(
    connection: duckdb.DuckDBPyConnection, specs: Sequence[CampaignSpec], parked: Mapping[str, str]
) -> dict[str, dict[str, Any]]:
    """Return, per campaign, the funnel of this run.

    How many passes enter, those that a goal or an exit ends at once too, and move and why (`moves`), how many reach
    their goal (`goals`), whom the trigger named in vain (`not_entered`), and each message's and webhook's verdicts by
    reason; `drafts` of what is sent wait for approval. `acts`: people per step that changes something of them.
    `position` is a step's place in today's version. `health`: the messages that are health data, if any.
    """
    # Who reached the goal, or met an exit, as they entered came from nowhere too, and never rested.
    moved = connection.execute(
        "select campaign, why, count(*) from ("
        "select campaign, why from moves where why <> $entered union all"
        " select campaign, $entered from moves where from_step is null and why <> $corrected"
        ") group by campaign, why order by campaign, why",
        {"entered": str(Why.ENTERED), "corrected": str(Why.CORRECTED)},
    ).fetchall()
    judged = connection.execute(
        "select campaign, step, message, verdict, coalesce(reason, ''), count(*) from verdicts"
        " group by all order by all"
    ).fetchall()
    acts = connection.execute(
        "select campaign, step, kind, count(distinct enrollment_id) from acts group by all order by all"
    ).fetchall()
    connection.execute(GOALS_REACHED)
    goals = dict(
        connection.execute(
            "select campaign, count(distinct enrollment_id) from goals_reached group by campaign"
        ).fetchall()
    )
    described: dict[str, dict[str, Any]] = {}
    for spec in specs:
        trigger = spec.definition["trigger"]
        described[spec.slug] = {
            "status": spec.status,
            "sending": spec.sending,
            "on_edit": spec.on_edit,
            "version": spec.version,
            "parked": parked.get(trigger.get("segment", "")),
            "moves": {why: count for campaign, why, count in moved if campaign == spec.slug},
            "goals": goals.get(spec.slug, 0),
            "not_entered": {
                reason: count
                for campaign, step, _, _, reason, count in judged
                if campaign == spec.slug and step == ENTRY
            },
            "messages": _messages(spec, judged),
            "acts": {step: {"kind": kind, "people": n} for slug, step, kind, n in acts if slug == spec.slug},
            **({"health": sorted(spec.health)} if spec.health else {}),
        }
    return described


def _messages(spec: CampaignSpec, judged: Sequence[tuple[str, str, str, str, str, int]]) -> dict[str, dict[str, Any]]:
    written = {step.id: step for step in steps_of(spec.definition["steps"])}
    steps = [step.id for step in written.values() if step.kind == "send"]
    seen = [step for campaign, step, *_ in judged if campaign == spec.slug and step != ENTRY]
    result: dict[str, dict[str, Any]] = {}
    for step in dict.fromkeys([*steps, *seen]):
        rows = [row for row in judged if row[0] == spec.slug and row[1] == step]
        result[step] = {
            "kind": written[step].kind if step in written else None,
            "position": written[step].position if step in written else None,
            "send": sum(row[5] for row in rows if row[3] == Verdict.SEND),
            "drafts": sum(row[5] for row in rows if row[3] == Verdict.SEND and row[4] == Reason.AWAITING_APPROVAL),
            "defer": {row[4]: row[5] for row in rows if row[3] == Verdict.DEFER},
            "skip": {row[4]: row[5] for row in rows if row[3] == Verdict.SKIP},
        }
    return result
