"""What in a report needs a person? Everything that is unknown, parked, tripped, failed, stale or does not add up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tailrace.landing.backfills import OUTSIDE
from tailrace.reports.figures import amount
from tailrace.reports.measured import mismatch_in_words
from tailrace.reports.view import CampaignView, GuardView, ReportView, SourceView


@dataclass(frozen=True)
class Note:
    """One thing to look at. `level` is stop (something is held back or lost) or look; `anchor` a section's id."""

    level: str
    text: str
    anchor: str
    command: str | None = None


@dataclass(frozen=True)
class Balance:
    """whole = sum of parts. `holds` is None when a number of it is not known."""

    name: str
    whole: tuple[str, int | None]
    parts: tuple[tuple[str, int | None], ...]

    @property
    def holds(self) -> bool | None:
        """Whether the parts sum to the whole."""
        numbers = [number for _, number in (self.whole, *self.parts)]
        known = [number for number in numbers if number is not None]
        return known[0] == sum(known[1:]) if len(known) == len(numbers) else None

    def __str__(self) -> str:
        """Return the sum as people read it: `57 considered = 50 to send + 2 deferred + 5 skipped`."""
        parts = " + ".join(f"{amount(number)} {word}" for word, number in self.parts)
        return f"{amount(self.whole[1])} {self.whole[0]} = {parts}"


def balances(view: ReportView) -> list[Balance]:
    """Return every sum that must hold: what was considered, and the lines of each source."""
    totals = view.totals
    considered = Balance(
        "messages",
        ("considered", totals.considered),
        (("to send", totals.send), ("deferred", totals.defer), ("skipped", totals.skip)),
    )
    return [considered, *(lines_of(source) for source in view.sources)]


def lines_of(source: SourceView) -> Balance:
    """Return the sum of a source's lines."""
    parts = (("landed", source.landed), ("duplicate", source.duplicate), ("quarantined", source.quarantined))
    return Balance(
        source.name, ("lines", source.lines), (*parts, *((("erased", source.erased),) if source.erased else ()))
    )


def notes(view: ReportView) -> list[Note]:
    """Return what needs a person, the worst first."""
    found = [
        *_balances(view),
        *_delivery(view),
        *_guards(view),
        *_parked(view),
        *_campaigns(view.campaigns),
        *_sources(view.sources),
    ]
    return sorted(found, key=lambda note: note.level != "stop")


def shown(unit: str, value: float | None) -> str:
    """Return a guard's number in its unit: `12.5 %`, `36 h`, `1,200`, or `unknown`."""
    if value is None:
        return "unknown"
    if unit == "share":
        return f"{value * 100:.1f} %"
    if unit == "hours":
        return f"{value:,.0f} h"
    return f"{value:,.0f}"


def _balances(view: ReportView) -> Iterator[Note]:
    for balance in balances(view):
        anchor = "messages" if balance.name == "messages" else "data"
        if balance.holds is False:
            yield Note("stop", f"{balance.name}: the numbers do not add up: {balance}", anchor)
        elif balance.holds is None:
            yield Note("look", f"{balance.name}: not every number is known: {balance}", anchor)


def _delivery(view: ReportView) -> Iterator[Note]:
    if view.outcomes is None:
        yield Note("stop", "The journal could not be read: what became of the messages is unknown", "messages")
    else:
        for outcome, text in (
            ("unknown", "with an unknown outcome: each may or may not have arrived"),
            ("rejected", "refused by the destination"),
            ("blocked", "held back: no live lease, not the hour, no connection, or health data without a contract"),
        ):
            count = view.outcomes.get(outcome, 0)
            if count:
                command = "tailrace unknown list" if outcome == "unknown" else None
                yield Note(
                    "stop" if outcome == "unknown" else "look", f"{_messages(count)} {text}", "messages", command
                )
    for sync in view.syncs:
        if sync.unknown is None or sync.unknown:
            yield Note("stop", f"{sync.name}: {amount(sync.unknown)} rows with an unknown outcome", "syncs")
        if sync.rejected:
            yield Note("look", f"{sync.name}: {amount(sync.rejected)} rows refused by {sync.destination}", "syncs")
        if sync.removals_refused:
            told = f"{amount(sync.removals_refused)} rows that {sync.destination} refuses to remove are still there"
            yield Note("look", f"{sync.name}: {told}", "syncs", f"tailrace sync show {sync.name}")


def _guards(view: ReportView) -> Iterator[Note]:
    stale = [guard for guard in view.guards if _is_stale(guard)]
    for guard in view.guards:
        if guard.tripped and not guard.released:
            measured, allowed = shown(guard.unit, guard.measured), shown(guard.unit, guard.allowed)
            text = f"{guard.guard} tripped for {guard.subject}: {measured}, allowed {allowed}"
            # What a silent source parks is one thing to look at, however much that is.
            if stale and guard is stale[0]:
                text += _with_it(view)
            yield Note("stop", text, "guards", f"tailrace guard release {guard.guard} {guard.subject} --reason …")


def _is_stale(guard: GuardView) -> bool:
    return guard.guard == "source_stale_after" and guard.tripped and not guard.released


def _by_staleness(reason: str | None) -> bool:
    return reason is not None and (reason == "source_stale" or reason.endswith(" is stale"))


def _with_it(view: ReportView) -> str:
    counts = (
        (sum(_by_staleness(segment.parked) for segment in view.segments), "segment"),
        (sum(_by_staleness(campaign.parked) for campaign in view.campaigns), "campaign"),
        (sum(_by_staleness(sync.parked) for sync in view.syncs), "sync"),
    )
    parts = [f"{count} {name}{'' if count == 1 else 's'}" for count, name in counts if count]
    return f"; so {', '.join(parts)} {'is' if sum(n for n, _ in counts) == 1 else 'are'} parked" if parts else ""


def _campaigns(campaigns: Sequence[CampaignView]) -> Iterator[Note]:
    for campaign in campaigns:
        for comparison in campaign.measured.comparisons if campaign.measured else ():
            wrong = mismatch_in_words(comparison)
            if wrong is not None:
                yield Note(
                    "look", f"{campaign.slug}: {wrong}", "campaigns", f"tailrace campaign report {campaign.slug}"
                )


def _parked(view: ReportView) -> Iterator[Note]:
    for model, why in view.failed_models.items():
        yield Note("stop", f"the model {model} failed: {why}", "segments")
    # A model that failed, and a guard that parks its own subject, have their own notes.
    noted = {guard.subject.partition(":")[2] for guard in view.guards if guard.tripped and not guard.released}
    noted |= set(view.failed_models)
    is_stale = any(_is_stale(guard) for guard in view.guards)
    parked = [
        *((segment.name, segment.parked, "segments") for segment in view.segments),
        *((campaign.slug, campaign.parked, "campaigns") for campaign in view.campaigns),
        *((sync.name, sync.parked, "syncs") for sync in view.syncs),
    ]
    for name, reason, anchor in parked:
        if reason is not None and name not in noted and not (is_stale and _by_staleness(reason)):
            yield Note("look", f"{name} is parked: {reason.replace('_', ' ')}", anchor)


def _sources(sources: Sequence[SourceView]) -> Iterator[Note]:
    for source in sources:
        # What only the range of a backfill left out is nobody's to mend.
        held = (source.quarantined or 0) - source.reasons.get(OUTSIDE, 0)
        if held:
            text = f"{source.name}: {amount(held)} lines in quarantine"
            yield Note("look", text, "data", "tailrace quarantine list")


def _messages(count: int) -> str:
    return "1 message" if count == 1 else f"{amount(count)} messages"
