"""How is what a plan does with each campaign shown, so that fifty of them can be read?"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tailrace.cli import output
from tailrace.planning.sampling import Sample
from tailrace.planning.verdict import ENTRY, IN_WORDS, WHY_IN_WORDS, Reason, Why

_ENDS = (Why.COMPLETED, Why.CONVERTED, Why.EXITED, Why.ENDED, Why.EDITED, Why.RESTARTED, Why.MERGED, Why.ERASED)
_KINDS = {"webhook": "a webhook", "notify": "to staff"}
_ACTS = {"update": "attributes change", "add": "join a segment", "remove": "leave a segment"}
_NAME, _WHAT, _COUNT = 24, 7, 9


@dataclass(frozen=True)
class Line:
    """One number of a funnel: the step or stage, the verdict, how many, in words, and where its people are sampled."""

    name: str
    what: str
    count: int
    text: str
    key: tuple[str, str, str] | None = None


def words(reason: str) -> str:
    """Return a verdict's reason in words."""
    name, _, detail = reason.partition(":")
    text = IN_WORDS.get(name, name)  # type: ignore[call-overload]
    return f"{text} ({detail})" if detail else text


def show(campaigns: Mapping[str, Mapping[str, Any]], sample: Sample, *, only: str | None = None) -> None:
    """Print the funnel of each campaign, and those with nothing to do in one line; of `only`, every step."""
    output.title("Campaigns")
    if not campaigns:
        output.say("There are no campaigns.")
        return
    _line("campaign", "", "people", "")
    for slug, entry in campaigns.items():
        lines = list(funnel(entry, every=only is not None))
        if not lines and not entry["parked"] and only is None:
            continue
        output.say(_heading(slug, entry))
        if not lines:
            output.say("  nothing to do")
        name = None
        for line in lines:
            count_line(f"  {line.name}" if line.name != name else "", line.what, line.count, line.text)
            name = line.name
            if line.key is not None:
                people_line(sample.get((slug, *line.key), []))
    quiet = [
        slug if entry["status"] == "live" else f"{slug} ({entry['status']})"
        for slug, entry in campaigns.items()
        if only is None and not entry["parked"] and not list(funnel(entry))
    ]
    _quiet(quiet)
    _migrations(campaigns)


def funnel(entry: Mapping[str, Any], *, every: bool = False) -> Iterator[Line]:
    """Yield what the plan does with a campaign, if anything. `every`: steps without people too."""
    moves, refused = entry["moves"], entry["not_entered"]
    entered = moves.get(Why.ENTERED, 0)
    if entered or refused:
        yield Line("named", "", entered + sum(refused.values()), "by the trigger")
        yield Line("enter", "", entered, "", (ENTRY, "enter", ""))
        for reason, count in refused.items():
            yield Line("do not enter", "", count, words(reason), (ENTRY, "skip", reason))
    for why, text in WHY_IN_WORDS.items():
        if why != Why.ENTERED and why not in _ENDS and moves.get(why):
            yield Line("move on", "", moves[why], text)
    yield from _steps(entry, every=every)
    if entry.get("goals"):
        yield Line("goal", "", entry["goals"], "reached")
    for why in _ENDS:
        if moves.get(why):
            yield Line("end", "", moves[why], WHY_IN_WORDS[why])


def _steps(entry: Mapping[str, Any], *, every: bool) -> Iterator[Line]:
    """Yield what each step says or does, in the order in which they are written; those that are gone come last."""

    def place(step: str) -> tuple[bool, int]:
        position = entry["messages"].get(step, {}).get("position")
        return position is None, position or 0

    for step in sorted(entry["messages"], key=place):
        verdicts = entry["messages"][step]
        kind = _KINDS.get(verdicts.get("kind") or "", "")
        drafts = verdicts.get("drafts", 0)
        sent = verdicts["send"] - drafts
        if sent or (every and not drafts):
            yield Line(step, "send", sent, kind, (step, "send", ""))
        if drafts:
            yield Line(step, "send", drafts, "as drafts: wait for approval", (step, "send", Reason.AWAITING_APPROVAL))
        for verdict in ("defer", "skip"):
            for reason, count in verdicts[verdict].items():
                yield Line(step, verdict, count, words(reason), (step, verdict, reason))
    for step, act in entry.get("acts", {}).items():
        yield Line(step, "do", act["people"], _ACTS[act["kind"]])


def _heading(slug: str, entry: Mapping[str, Any]) -> str:
    parts = [slug, entry["status"]]
    if entry.get("sending") == "draft" and entry["status"] == "live":
        parts.append("sends drafts")
    if entry["parked"]:
        parts.append(f"its segment is parked: {entry['parked']}")
    return " · ".join(parts)


def count_line(name: str, what: str, count: int, text: str) -> None:
    """Print one number with its name before it and words after it."""
    _line(name, what, f"{count:,}", text)


def _line(name: str, what: str, count: str, text: str) -> None:
    """Print one line; what does not fit beside the number goes on below itself."""
    start = f"{name:<{_NAME}} {what:<{_WHAT}}{count:>{_COUNT}}"
    room = max(20, output.width() - len(start) - 2)
    first, *rest = textwrap.wrap(text, room) or [""]
    output.say(f"{start}  {first}".rstrip())
    for more in rest:
        output.say(f"{' ' * len(start)}  {more}")


def people_line(ids: list[int]) -> None:
    """Print person ids, indented."""
    for line in textwrap.wrap(", ".join(map(str, ids)), output.width() - 4):
        output.say(f"    {line}")


def _quiet(names: list[str]) -> None:
    if names:
        for line in textwrap.wrap(f"with nothing to do: {', '.join(names)}", output.width(), subsequent_indent="  "):
            output.say(line)


def _migrations(campaigns: Mapping[str, Mapping[str, Any]]) -> None:
    """Print where people rest on older versions of edited campaigns, and what each choice of `on_edit` gives them."""
    rows = [
        [
            slug,
            row["version"][:8],
            row["step"],
            row["people"],
            *(_upcoming(row[choice]) for choice in ("keep", "move", "exit")),
        ]
        for slug, entry in campaigns.items()
        for row in entry.get("migration") or ()
    ]
    if rows:
        output.title("Edited: who rests on older versions, and the messages that each choice gives them")
        output.table(["campaign", "version", "rests at", "people", "keep", "move", "exit"], rows, empty="")
        chosen = ", ".join(
            f"{slug}: {entry.get('on_edit', 'keep')}" for slug, entry in campaigns.items() if entry.get("migration")
        )
        output.say(f"on_edit of this plan: {chosen}")


def _upcoming(messages: list[str] | None) -> str:
    if messages is None:
        return "(stay)"
    return ", ".join(messages) or "none"
