"""How is what one plan does otherwise than another shown?"""

from __future__ import annotations

from tailrace.cli import output
from tailrace.cli.funnels import count_line, people_line, words
from tailrace.planning.comparing import CampaignDifference, Comparison, Decision, SegmentDifference
from tailrace.planning.verdict import WHY_IN_WORDS


def show(found: Comparison) -> None:
    """Print the comparison: what the plans were made from, then campaigns and segments that differ."""
    output.say(f"plan {found.plan_id}  as of {output.cell(found.as_of)} UTC")
    output.say(f"against {found.other_id}  as of {output.cell(found.other_as_of)} UTC  ({found.kin})")
    output.say(f"made from other: {', '.join(found.inputs) or 'nothing: the same inputs'}")
    output.title("Campaigns")
    if not found.campaigns:
        output.say("Both decide the same of everybody.")
    for campaign in found.campaigns:
        _campaign(campaign)
    output.title("Segments")
    output.table(
        ["segment", "there", "here", "in", "out", "why"],
        [[row.segment, row.before, row.now, row.entered, row.left, row.why] for row in found.segments],
        empty="Both have the same members in all.",
    )
    for row in found.segments:
        _segment_people(row)


def _campaign(campaign: CampaignDifference) -> None:
    output.say(" · ".join([campaign.campaign, *campaign.edits]))
    step = None
    for shift in campaign.shifts:
        name = {"(entry)": "entry", "(end)": "end"}.get(shift.step, shift.step)
        text = f"{_word(shift.now)} (there: {_word(shift.before)})"
        if shift.before is None:
            text = f"only here: {_word(shift.now)}"
        elif shift.now is None:
            text = f"only there: {_word(shift.before)}"
        count_line(f"  {name}" if shift.step != step else "", "", shift.people, text)
        people_line(shift.sample)
        step = shift.step
    if campaign.same:
        count_line("  the same", "", campaign.same, "")


def _word(decision: Decision | None) -> str:
    if decision is None:
        return "nothing"
    reason = decision.reason
    said = WHY_IN_WORDS.get(reason, "") if decision.verdict == "end" else words(reason) if reason else ""  # type: ignore[call-overload]
    return f"{decision.verdict}, {said}" if said else decision.verdict


def _segment_people(row: SegmentDifference) -> None:
    for word, ids in (("in", row.entered_sample), ("out", row.left_sample)):
        if ids:
            output.say(f"{row.segment} {word}:")
            people_line(ids)
