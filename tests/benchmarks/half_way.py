"""What does the far end have after it failed half-way, and after a sender was killed half-way?"""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

from tests.benchmarks.audience import Ours, made, send
from tests.benchmarks.far_audience import Far

WORKERS = 2


def fails(folder: Path, far: Far, rows: int, batch_size: int) -> dict[str, int]:
    """Have the far end answer 500 from the middle on, for a while; return what it saw, when all is said.

    Nothing is lost, and nothing is said again that it took.
    """
    ours = _begun(folder, far, rows, batch_size)
    far.ask(f"/fail?after={rows // batch_size // 2}")
    first = send(ours.settings, ours.at)
    assert 0 < first.rows.accepted < rows
    assert first.stopped == {"hook": "http_500"}
    far.ask("/fail?after=-1")
    again = send(ours.settings, ours.at + timedelta(minutes=10))
    assert first.rows.accepted + again.rows.accepted == rows
    seen = far.ask()
    assert (seen["different"], seen["repeated"]) == (rows, 0), seen
    assert seen["failed"] > 0
    _knows(ours, far)
    return {"lost": rows - seen["different"], "repeated": seen["repeated"], "calls that failed": seen["failed"]}


def killed(folder: Path, far: Far, rows: int, batch_size: int) -> dict[str, int]:
    """Kill a sender in the middle, while its calls are taken and not answered; return what the far end saw in the end.

    Nothing is lost, and what is said again are the calls that were on their way, each under its own id.
    """
    ours = _begun(folder, far, rows, batch_size)
    far.ask(f"/hold?after={rows // batch_size // WORKERS // 2}")
    command = [sys.executable, "-m", "tests.benchmarks.audience", str(folder), ours.at.isoformat(), str(WORKERS)]
    root = Path(__file__).resolve().parents[2]
    with subprocess.Popen(command, cwd=root) as sender:
        far.ask(f"/held?after={WORKERS}")
        assert sender.poll() is None
        sender.kill()
    far.ask("/hold?after=-1")
    done = send(ours.settings, ours.at + timedelta(minutes=10))
    seen = far.ask()
    assert done.sent_again == WORKERS, done
    assert seen["different"] == rows, seen
    assert (seen["ids_repeated"], seen["ids_of_two_things"]) == (WORKERS, 0), seen
    assert seen["repeated_under_another_id"] == 0, seen
    assert seen["repeated"] <= WORKERS * batch_size, seen
    _knows(ours, far)
    return {
        "lost": rows - seen["different"],
        "repeated": seen["repeated"],
        "of them under another id": seen["repeated_under_another_id"],
        "calls on their way": seen["held"],
    }


def _begun(folder: Path, far: Far, rows: int, batch_size: int) -> Ours:
    ours = Ours(folder, far.port, batch_size)
    ours.write(*made(ours.table, rows))
    ours.decide()
    return ours


def _knows(ours: Ours, far: Far) -> None:
    """Assert that the next plan has nothing to say: all is known to be there."""
    far.ask("/reset")
    ours.once()
    assert far.ask()["calls"] == 0
