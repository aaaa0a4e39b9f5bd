"""tailrace sync: what syncs keep at their destinations, what they would say next, and to say all of it again."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from tailrace import clock
from tailrace.cli import output
from tailrace.cli.options import AsOf, DataDir, Json, ProjectDir, Reason, instant, settings, who
from tailrace.cli.plans import reading
from tailrace.errors import TailraceError
from tailrace.pipeline import syncing
from tailrace.planning.syncs import REJECTED_PATIENCE_HOURS

app = typer.Typer(help="What syncs keep at their destinations, and what they say next.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="A sync, by the name of its file.", metavar="NAME")]

_KINDS = {
    "add": "added",
    "update": "changed",
    "remove": "removed",
    "unknown": "of unknown fate",
    "refused": "refused there, left alone for now",
    "removal refused": "its removal was refused",
    "changed": "changed since it was said; not said again",
}


@app.command(name="list")
def list_(data_dir: DataDir = None, project_dir: ProjectDir = None, json_: Json = False) -> None:
    """List the syncs: where each goes, in which mode, by which keys, how many rows HEAD has of it."""
    found = syncing.list_syncs(settings(data_dir, project_dir))
    if json_:
        output.document(found)
        return
    output.table(
        ["sync", "to", "target", "mode", "keys", "owner", "rows", "held", ""],
        [
            [
                one.name,
                one.destination,
                one.target,
                one.mode,
                ", ".join(one.keys),
                one.owner,
                one.desired,
                one.held,
                f"parked: {one.parked}" if one.parked else "",
            ]
            for one in found
        ],
        empty="There are no syncs.",
    )
    for each in syncing.left_behind(settings(data_dir, project_dir)):
        output.note(each.words)


@app.command()
def plan(
    name: Annotated[
        str | None, typer.Argument(help="A sync, by the name of its file.", metavar="[NAME]", show_default=False)
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="All syncs.")] = False,
    sample: Annotated[int, typer.Option("--sample", help="Name so many rows of each kind, by their keys.")] = 0,
    as_of: AsOf = None,
    data_dir: DataDir = None,
    project_dir: ProjectDir = None,
    json_: Json = False,
) -> None:
    """Say what a sync would tell its destination next, from the warehouse as it was last built. Nothing is changed.

    A key is shown when its columns are ids or hashes; else a short hash of it. Values are never shown.
    """
    if (name is None) is not all_:
        raise TailraceError("expected the name of one sync, or --all: `tailrace sync list` names them")
    found = syncing.plan_syncs(settings(data_dir, project_dir), name, instant(as_of), sample)
    if json_:
        output.document(found)
        return
    if not found:
        output.say("There are no syncs.")
    for place, one in enumerate(found):
        if place:
            output.say("")
        _plan(one)


def _plan(one: syncing.Planned) -> None:
    output.say(f"{one.name}  to {one.destination}{f', {one.target}' if one.target else ''}  ({one.mode})")
    for line in _notes(one):
        output.say(f"  {line}")
    output.table(["", "rows", ""], list(_rows(one)), empty="")
    for guard in one.guards:
        name, subject, measured, allowed = reading(dict(guard))
        said = "would park it" if guard["tripped"] and guard["released"] is None else "lets it pass"
        output.say(f"guard {name} of {subject}: {measured}, {allowed} allowed; {said}")
    if one.sample:
        output.table(
            ["row", "", "columns"],
            [[row.key, _KINDS[row.kind], ", ".join(map(_column, row.columns))] for row in one.sample],
            empty="",
        )


def _notes(one: syncing.Planned) -> list[str]:
    notes = []
    if one.parked:
        notes.append(f"parked: {one.parked}; nothing is said")
    if one.again:
        notes.append("somebody wants all of it said again: the next plan does")
    if one.under_way:
        said = ", ".join(f"{count:,} {state}" for state, count in sorted(one.under_way.items()))
        notes.append(f"rows of HEAD that no destination has answered yet: {said}")
    return notes


def _rows(one: syncing.Planned) -> list[list[Any]]:
    numbers = one.numbers
    is_parked = one.parked is not None and one.parked != "guard"
    rows: list[list[Any]] = [["desired", numbers["desired"], ""]]
    notes = {op: f"{count:,} of them of unknown fate: it may have them" for op, count in one.unknown.items()}
    columns = [f"{_column(name)} {count:,}" for name, count in one.columns.items()]
    notes["update"] = ", ".join([*columns, *filter(None, [notes.get("update")])])
    for op, words in (("add", "added"), ("update", "changed"), ("remove", "removed")):
        rows += [[words, None if is_parked else numbers[op], notes.get(op, "")]]
    if numbers.get("erased"):
        rows += [["let go of", numbers["erased"], "they were erased"]]
    rows += [["held there", numbers["acknowledged"], ""]]
    wait = f"tried again {REJECTED_PATIENCE_HOURS} h after, or when they change"
    for key, words, why in (
        ("unknown", "unknown", "it may have them or not"),
        ("rejected", "refused", wait),
        ("not_there", "not there to update", wait),
        ("removals_refused", "removals refused", f"still there; tried again {REJECTED_PATIENCE_HOURS} h after"),
        ("left", "left there", f"no longer desired; `{one.mode}` removes nothing"),
        ("changed", "changed since", "each key is said once: not said again"),
    ):
        if numbers[key]:
            rows += [[words, numbers[key], why]]
    return rows


def _column(name: str) -> str:
    return {"?": "columns not known", "": "nothing, said again"}.get(name, name)


@app.command()
def show(
    name: Name,
    as_of: AsOf = None,
    data_dir: DataDir = None,
    project_dir: ProjectDir = None,
    json_: Json = False,
) -> None:
    """Show where a sync stands: rows desired, sent, accepted, matched; what is refused, by code.

    How many people were matched the destination is asked, where its API says it and this data directory is live.
    """
    found = syncing.show_sync(settings(data_dir, project_dir), name, instant(as_of))
    if json_:
        output.document(found)
        return
    one = found.planned
    output.say(f"{one.name}  to {one.destination}{f', {one.target}' if one.target else ''}  ({one.mode})")
    output.say(f"keys {', '.join(found.keys)}; owner {found.owner}")
    for line in _notes(one):
        output.say(line)
    output.title("Rows")
    output.table(
        ["", "rows", ""],
        [
            ["desired", found.desired, "" if found.desired is not None else "its model did not build"],
            ["sent", found.sent, "of these: told there, as they are now"],
            ["accepted", found.accepted, "of these: taken over there"],
            ["matched", found.matched.people, _why_not(found.matched.why_not)],
        ],
        empty="",
    )
    output.title("Refused")
    output.table(
        ["what", "code", "rows", "since", "tried again"],
        [[each.what, each.code, each.n_rows, each.since, each.next_at] for each in found.refusals],
        empty="Nothing.",
    )
    for told in found.resyncs:
        done = f"by plan {told.plan_id}" if told.plan_id else "the next plan does it"
        output.say(f"said again, as {told.who} wanted at {output.cell(told.at)} UTC: {told.reason} ({done})")


def _why_not(why: str | None) -> str:
    return f"unknown: {why}" if why else "people of the audience, as the destination counts them"


@app.command()
def resync(
    name: Name, reason: Reason, data_dir: DataDir = None, project_dir: ProjectDir = None, json_: Json = False
) -> None:
    """Have the next plan say everything of a sync again, and remove what it would have. Who wants it is kept."""
    told = syncing.resync(settings(data_dir, project_dir), name, who=who(), reason=reason, at=clock.now())
    if json_:
        output.document(told)
    else:
        output.say(f"kept: the next plan says everything of {told.sync} again (number {told.seq})")
