"""The command line: parses, calls the pipeline, prints. Results on stdout, notes and progress on stderr."""

import gc
import sys

from tailrace import garbage
from tailrace.warehouse import warm

__all__ = ["main"]

# `plan` builds too, unless it is to show a plan that there is: then dbt would be imported for nothing.
_BUILDS = frozenset({"run", "demo"})


def main() -> None:
    """Run the command line; where it will build, dbt is imported beside our own modules: both take their time."""
    if _BUILDS.intersection(sys.argv[1:2]):
        warm.start(warm.environment())
    is_first = "tailrace.cli.app" not in sys.modules
    if is_first:
        # What is imported stays: to look for garbage in it finds none, now and whenever garbage is looked for later.
        gc.disable()
    from tailrace.cli.app import run  # noqa: PLC0415 (it imports all that tailrace has)

    if is_first:
        garbage.keep()
        gc.enable()
    run()
