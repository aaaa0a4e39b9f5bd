"""The fixed cost of a quiet run: nothing new has landed, an hour has passed.

    python -m tests.benchmarks.bench_quiet_run [people]

Plays the sample company's year (3,000 people unless told), then runs the command line three times, an hour apart, in
processes of their own, and prints the median of the whole process, of the processor time that it and dbt took, and of
each step. Goal: under 5 s.
"""

from __future__ import annotations

import resource
import statistics
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

from tailrace import clock
from tailrace.pipeline import spine
from tests.installation import Installation, first_run_at, small_company

RUNS = 3


def main() -> None:
    people = int(sys.argv[1]) if len(sys.argv) > 1 else 3000
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        sample = small_company(root / "files", people=people, days=365)
        installation = Installation(root / "data")
        for file in sample.history:
            installation.drop(file.path)
        instant = first_run_at(sample)
        first = spine.run(installation.settings, instant)
        whole, processor, steps = [], [], []
        for number in range(1, RUNS + 1):
            started, taken = clock.monotonic(), _processor()
            done = installation.cli("run", "--as-of", clock.iso(instant + timedelta(hours=number)), "--json")
            whole.append(clock.monotonic() - started)
            processor.append(_processor() - taken)
            steps.append(done.json["seconds"])
    print(f"first run, {sample.lines:,} lines: {sum(first.seconds.values()):.1f} s {_rounded(first.seconds)}")
    print(
        f"quiet run, whole process: {statistics.median(whole):.2f} s (goal under 5),"
        f" {statistics.median(processor):.2f} s of processor time"
    )
    medians = {step: statistics.median(each.get(step, 0.0) for each in steps) for step in steps[0]}
    print(f"  of that: {_rounded(medians)}")


def _processor() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _rounded(seconds: dict[str, float]) -> str:
    return ", ".join(f"{step} {value:.2f}" for step, value in seconds.items())


if __name__ == "__main__":
    main()
