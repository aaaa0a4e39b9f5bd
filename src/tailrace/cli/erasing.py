"""tailrace erase and erasures: a person goes from every store, and the receipt."""

from __future__ import annotations

from typing import Annotated

import typer

from tailrace import clock
from tailrace.cli import output
from tailrace.cli.options import DataDir, Json, ProjectDir, settings, who
from tailrace.pipeline import erasing
from tailrace.pipeline.erasing import Erasure

app = typer.Typer(
    help="Who was erased: receipts, by id. They hold hashes and counts, nothing of a person.", no_args_is_help=True
)

STATES = {
    "begun": "not finished: `tailrace erasures finish`, or the next run",
    "waiting": "gone here; destinations have still to let go",
    "done": "done",
}
_PLACES = {
    ("landing", "events"): "landed events",
    ("landing", "lines"): "lines in quarantine",
    ("landing", "acts"): "attributes that campaigns set, in the journal's mirror",
    ("journal", "messages"): "messages that were on their way, drafts, or of unknown fate: cancelled",
    ("journal", "answers"): "answers of webhooks",
    ("journal", "values"): "attributes that campaigns set",
    ("plans", "payloads"): "payloads of messages",
    ("plans", "acts"): "changes of attributes and segments",
    ("plans", "watched"): "attributes that triggers watch",
    ("plans", "memberships"): "rows of HEAD's memberships",
    ("plans", "merges"): "aliases that HEAD knew",
    ("plans", "enrollments"): "rows of passes",
    ("plans", "passes"): "passes on their way: over",
    ("plans", "sync_ops"): "rows of syncs",
    ("plans", "acknowledged"): "keys that destinations held",
    ("plans", "plans"): "plans that nobody had applied",
    ("files", "inbox"): "landed files of the inbox",
    ("files", "waiting"): "files of the inbox that have not landed, and stay",
    ("files", "unread"): "files of the inbox that cannot be read, and stay: look yourself",
    ("files", "outbox"): "files of the outbox",
    ("files", "rows"): "rows in sync files of the outbox",
    ("warehouse", "people"): "people in the warehouse and its published copy, which were built anew",
}


def register(root: typer.Typer) -> None:
    """Add the command to the root."""
    root.command()(erase)


def erase(
    person: Annotated[
        str,
        typer.Argument(help="A user id, or a person_id as plans show it; with --email an address.", metavar="PERSON"),
    ],
    reason: Annotated[
        str, typer.Option("--reason", help="Why; it is kept with the receipt: a ticket, and no personal data.")
    ],
    email: Annotated[
        bool, typer.Option("--email", help="PERSON is an e-mail address: erase everybody who has or had it.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, and leave it.")] = False,
    data_dir: DataDir = None,
    project_dir: ProjectDir = None,
    json_: Json = False,
) -> None:
    """Remove a person's data from every store, for good: landing, warehouse, plans, journal, files.

    What comes in of them later is left out. The next run has every sync's destination let go of them.
    """
    found = settings(data_dir, project_dir)
    with output.working("erasing"):
        done = erasing.erase(found, person, who=who(), reason=reason, at=clock.now(), by_email=email, is_dry=dry_run)
    if json_:
        output.document(done)
        return
    if dry_run:
        output.say("nothing was changed; without --dry-run:")
    _show(done, is_dry=dry_run)


@app.command(name="list")
def list_(data_dir: DataDir = None, project_dir: ProjectDir = None, json_: Json = False) -> None:
    """List the erasures, oldest first."""
    rows = erasing.erasures(settings(data_dir, project_dir))
    if json_:
        output.document(rows)
        return
    output.table(
        ["id", "at", "by", "people", "state", "reason"],
        [[row.erasure_id, row.at, row.who, len(row.persons), STATES[row.state], row.reason] for row in rows],
        empty="Nobody was erased.",
    )


@app.command()
def show(
    erasure_id: Annotated[str, typer.Argument(help="The id that `list` shows, or the start of it.", metavar="ID")],
    data_dir: DataDir = None,
    project_dir: ProjectDir = None,
    json_: Json = False,
) -> None:
    """Show the receipt of an erasure. What went, from where, and what a destination could not do."""
    found = erasing.show(settings(data_dir, project_dir), erasure_id)
    if json_:
        output.document(found)
    else:
        _show(found, is_dry=False)


@app.command()
def finish(data_dir: DataDir = None, project_dir: ProjectDir = None, json_: Json = False) -> None:
    """Go through all stores once more for everybody who was erased. After a kill, or when a backup was restored."""
    found = settings(data_dir, project_dir)
    with output.working("erasing"):
        rows = erasing.finish(found, clock.now())
    if json_:
        output.document(rows)
        return
    output.say(f"{output.many(len(rows), 'erasure')}: nothing of them is left here")
    for row in rows:
        if row.state != "done":
            output.say(f"{row.erasure_id}: {STATES[row.state]}")


def _show(one: Erasure, *, is_dry: bool) -> None:
    if not is_dry:
        output.say(f"erasure {one.erasure_id} by {one.who} at {output.cell(one.at)} UTC: {one.reason}")
        output.say(f"state   {STATES[one.state]}")
    output.say(f"people  {', '.join(str(person) for person in one.persons)}")
    output.say(
        f"listed  {output.many(len(one.users), 'user id')}, {output.many(len(one.addresses), 'e-mail')},"
        f" {output.many(len(one.devices), 'time')} on devices"
        + (f"; {one.shared:,} left off the list, for somebody else has the address too" if one.shared else "")
    )
    output.title("What there was" if not is_dry else "What would go")
    rows = [
        [place, words, one.found[place][what]] for (place, what), words in _PLACES.items() if one.found[place].get(what)
    ]
    output.table(["where", "what", "count"], rows, empty="Nothing.")
    output.title("Elsewhere")
    output.table(
        ["destination", "sync", "count", ""],
        [[each.name, each.sync or "messages", each.n, each.words] for each in one.destinations],
        empty="No destination holds anything of them, as far as the journal knows.",
    )
