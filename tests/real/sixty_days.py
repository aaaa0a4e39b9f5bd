"""What do sixty days of the app look like, in numbers? `python -m tests.real.sixty_days [FOLDER]` plays them.

The same checks as in test_b2c.py hold for each day and at the end. FOLDER (default: a temporary one) keeps the
installation for a look with every command.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from datetime import date
from pathlib import Path
from statistics import median

from tailrace import clock
from tailrace.pipeline.reporting import write as write_report
from tailrace.planning.store import Store
from tests.real.trial import STEPS, Trial, check_all, check_churn

FIRST = date(2024, 11, 2)
DAYS = 61
"""The last run is of 2 January 2025: what ended on the data set's as-of date is known then."""


def main(root: Path) -> None:
    """Play, check and print."""
    started = clock.monotonic()
    trial = Trial(root, FIRST)
    trial.play(DAYS)
    seconds = clock.monotonic() - started
    check_all(trial)
    check_churn(trial)
    print(f"{DAYS} daily runs after the baseline, every check holds; {seconds:.0f} s with files and checks")
    first, daily = trial.days[0], trial.days[1:]
    rows, landing = first.files.rows, first.result.seconds["land"]
    print(f"history: {rows:,} lines landed in {landing:.1f} s = {rows / landing:,.0f} lines/s")
    print(f"baseline run: {_split(first.result.seconds)}")
    per_step = {step: median(day.result.seconds.get(step, 0.0) for day in daily) for step in STEPS}
    print(f"daily run, median of each step: {_split(per_step)}")
    totals = sorted(sum(day.result.seconds.values()) for day in daily)
    print(f"daily run: median {median(totals):.1f} s, quickest {totals[0]:.1f} s, slowest {totals[-1]:.1f} s")
    balances: dict[str, Counter[str]] = {}
    for day in trial.days:
        for balance in day.result.balances:
            balances.setdefault(balance.name, Counter()).update({"": balance.total, **balance.parts})
    for name, sums in balances.items():
        parts = " + ".join(f"{count:,} {part}" for part, count in sums.items() if part)
        print(f"balance of {len(trial.days)} runs, {name}: {sums['']:,} = {parts}")
    counts = trial.days[-1].result.steps["plan"]
    print(f"last plan: {', '.join(f'{count:,} {name}' for name, count in counts.items())}")
    print(f"messages: {dict(sorted(Counter((each.campaign, each.step) for each in trial.sent()).items()))}")
    for campaign in ("onboarding", "renewal_reminder", "win_back"):
        print(f"enrollments of {campaign}: {dict(Counter(trial.arms(campaign).values()))}")
    _print_segments(trial)
    print(f"report: {write_report(trial.installation.settings)}")


def _split(seconds: dict[str, float]) -> str:
    return f"{sum(seconds.values()):.1f} s = " + " + ".join(f"{seconds.get(step, 0.0):.2f} {step}" for step in STEPS)


def _print_segments(trial: Trial) -> None:
    store = Store(trial.installation.settings)
    chain = list(store.chain(store.head()))[::-1]
    for name in chain[-1][1].segments:
        sizes = [plan.segments[name]["size"] for _, plan in chain]
        print(f"{name}: {sizes[0]} → {sizes[-1]}, between {min(sizes)} and {max(sizes)}")
    tripped = Counter(
        (reading["guard"], reading["subject"]) for _, plan in chain for reading in plan.guards if reading["tripped"]
    )
    print(f"guards tripped: {dict(tripped)}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as folder:
            main(Path(folder))
