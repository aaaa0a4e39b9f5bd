"""How is what came of a campaign printed?"""

from __future__ import annotations

from tailrace.cli import output
from tailrace.cli.funnels import words
from tailrace.reports.measured import TITLES, ArmView, ComparisonView, MeasuredView, finding, mismatch_in_words


def show(seen: MeasuredView) -> None:
    """Print the report on one campaign."""
    output.say(f"{seen.slug} (today's version {seen.version}), as of {output.cell(seen.as_of)} UTC")
    parts = " + ".join(f"{count:,} {words(status)}" for status, count in seen.statuses.items())
    output.say(f"{seen.passes:,} passes" + (f" = {parts}" if parts else ""))
    if seen.goal is None:
        output.say("It has no goal, so nothing can be said of its effect.")
    else:
        output.say(f"goal: {seen.goal}; {output.cell(_known(seen.reached_goal))} passes reached it so far, in all arms")
    if seen.missing:
        output.say(f"{seen.missing} That is: not in the funnel, nor among the arms of splits.")
    _funnel(seen)
    _messages(seen)
    for comparison in seen.comparisons:
        _compared(comparison, seen.goal or "")


def _known(count: int | None) -> int | str:
    return "unknown" if count is None else count


def _funnel(seen: MeasuredView) -> None:
    versions = list(dict.fromkeys(row.version for row in seen.funnel))
    for version in versions:
        output.title("Funnel" + ("" if version == seen.version else f" of the earlier version {version}"))
        output.table(
            ["step", "", "came", "rest here", "went on", "ended here"],
            [
                [row.step, row.what, row.arrived, row.resting, row.went_on, _ended(row.ended)]
                for row in seen.funnel
                if row.version == version
            ],
            empty="It has no steps.",
        )


def _ended(ended: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {words(why)}" for why, count in ended.items())


def _messages(seen: MeasuredView) -> None:
    output.title("Messages")
    output.table(
        [
            *("step", "message", "planned", "sent", "delivered", "opened", "only by machines", "clicked"),
            *("bounced", "complained", "unsubscribed", "goal after it"),
        ],
        [
            [
                *(row.step, row.message, row.planned, row.sent, _known(row.delivered), _known(row.opened)),
                *(_known(row.machine_opened), _known(row.clicked), _known(row.bounced), _known(row.complained)),
                *(_known(row.unsubscribed), _known(row.converted)),
            ]
            for row in seen.messages
        ],
        empty="No message of it is in the journal.",
    )
    if any(row.delivered is None or row.opened is None for row in seen.messages):
        output.say("unknown: no receipt of this kind has landed yet for the channel. It does not mean none.")
    if seen.goal is not None and seen.messages:
        output.say("goal after it: reached the goal at some time after the message. It does not mean because of it.")


def _compared(comparison: ComparisonView, goal: str) -> None:
    step = f" {comparison.step}" if comparison.step else ""
    output.title(TITLES[comparison.kind] + step)
    wrong = mismatch_in_words(comparison)
    if wrong:
        output.say(f"MISMATCH: {wrong}.")
    output.table(
        ["arm", "people", "time is over", "reached it", "share", "lift", "95 % interval", "so"],
        [
            [
                *(arm.name.replace("_", " "), arm.people, _known(arm.measured), _known(arm.converted)),
                *("–" if arm.share is None else f"{arm.share:.2%}", _lift(arm), _interval(arm)),
                finding(comparison, arm),
            ]
            for arm in comparison.arms
        ],
        empty="Nobody is in it.",
    )
    output.say(f"Of people, by their first pass; time is over: entered long enough ago for {goal}.")
    if comparison.left_out:
        output.say(f"{comparison.left_out:,} had reached the goal before they came to the split, and are left out.")
    if len(comparison.arms) > 2:
        output.say("Each arm is compared with the first one alone: of twenty such intervals one misses by chance.")


def _lift(arm: ArmView) -> str:
    if arm.points is None:
        return "–"
    relative = "" if arm.relative is None else f" ({arm.relative:+.0%})"
    return f"{arm.points:+.2f} points{relative}"


def _interval(arm: ArmView) -> str:
    return "–" if arm.low is None or arm.high is None else f"{arm.low:+.2f} to {arm.high:+.2f}"
