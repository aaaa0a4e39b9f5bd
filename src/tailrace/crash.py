"""Where could this process die? A named point between every two durable steps, for tests to kill at."""

from __future__ import annotations

import os
import signal

from tailrace.settings import crash_point


def here(name: str) -> None:
    """Die by SIGKILL if TAILRACE_CRASH_AT names this point; `name:3` dies the third time it is passed."""
    wanted = crash_point()
    if wanted is None:
        return
    point, _, nth = wanted.partition(":")
    if point != name:
        return
    _passed[name] = _passed.get(name, 0) + 1
    if _passed[name] >= int(nth or 1):
        os.kill(os.getpid(), signal.SIGKILL)


_passed: dict[str, int] = {}
