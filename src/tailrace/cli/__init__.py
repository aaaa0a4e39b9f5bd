"""The command line: parses, calls the pipeline, prints. Results on stdout, notes and progress on stderr."""

from tailrace.cli.main import main

__all__ = ["main"]
