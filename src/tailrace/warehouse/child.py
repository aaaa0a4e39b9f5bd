"""The process that dbt runs in: started by `runner.py`, killed with its parent, gone when dbt is done.

dbt keeps the DuckDB file locked for as long as its process lives, so it never runs in ours.
"""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(arguments: list[str], parent: int) -> int:
    """Run dbt with `arguments` and return its exit code: 0 done, 1 some node failed, 2 dbt could not run."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        return 2
    # The manifest is some hundred thousand objects that all live to the end: looking through them finds nothing.
    gc.disable()
    from dbt.cli.main import dbtRunner  # noqa: PLC0415 (a second and a half: only after the parent is watched)

    result = dbtRunner().invoke(arguments)
    if result.exception is not None:
        sys.stderr.write(f"{result.exception}\n")
        return 2
    return 0 if result.success else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[2:], int(sys.argv[1])))
