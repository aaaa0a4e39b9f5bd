"""tailrace gc: what is old goes, what is small is packed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer

from tailrace.cli import output
from tailrace.cli.options import AsOf, DataDir, Json, ProjectDir, instant, settings
from tailrace.pipeline.collecting import Collected, collect_garbage
from tailrace.planning.collection import OPEN, Kept


def register(app: typer.Typer) -> None:
    """Add the command to the root."""
    app.command()(gc)


def gc(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, and leave it.")] = False,
    as_of: AsOf = None,
    data_dir: DataDir = None,
    project_dir: ProjectDir = None,
    json_: Json = False,
) -> None:
    """Collect plans and payloads older than policy.yml's `retention`, pack small landing files, clear scratch.

    Nothing goes that HEAD, or a message that is not over, needs.
    """
    found = settings(data_dir, project_dir)
    with output.working("collecting"):
        done = collect_garbage(found, instant(as_of), is_dry=dry_run)
    if json_:
        output.document(done)
        return
    for line in _lines(done):
        output.say(line)
    _kept(done)


def _lines(done: Collected) -> Iterator[str]:
    plans, packed, replaced, left = done.plans, done.packed, done.replaced, done.leftovers
    if done.is_dry:
        yield "nothing was changed; without --dry-run:"
    if done.retention.plans is None and done.retention.payloads is None:
        yield "plans      all are kept: policy.yml has no `retention`"
    yield (
        f"removed    {output.many(len(plans.plans), 'plan')}, payloads of {output.many(len(plans.bared), 'more plan')}:"
        f" {output.many(plans.objects, 'object')}, {_size(plans.bytes)}"
        + (f" ({plans.orphans:,} of them named by no plan)" if plans.orphans else "")
    )
    yield (
        f"packed     {output.many(packed.loads, 'load')} in {output.many(packed.files, 'file')} into"
        f" {output.many(packed.packs, 'file')}, {_size(packed.bytes)}"
    )
    yield (
        f"replaced   {output.many(replaced.files, 'file')} removed that were packed earlier, {_size(replaced.bytes)}"
        + (f"; {replaced.waiting:,} stay until the next build has read the packs" if replaced.waiting else "")
    )
    yield f"scratch    {output.many(left.entries, 'leftover')} removed, {_size(left.bytes)}"


def _kept(done: Collected) -> None:
    reasons: dict[str, list[Kept]] = {}
    for entry in done.plans.kept:
        reasons.setdefault(entry.why, []).append(entry)
    output.title("Plans that stay")
    output.table(
        ["plans", "because it", "oldest", "newest"],
        [[len(those), why, those[-1].as_of, those[0].as_of] for why, those in reasons.items()],
        empty="There are none.",
    )
    waiting = [entry for entry in reasons.get(OPEN, ()) if entry.open]
    if waiting:
        output.title("Older ones with something open")
        output.table(
            ["plan", "as of", "open"],
            [
                [
                    entry.plan_id,
                    entry.as_of,
                    ", ".join(f"{count:,} {state}" for state, count in sorted(entry.open.items())),
                ]
                for entry in waiting
            ],
            empty="",
        )


def _size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"
