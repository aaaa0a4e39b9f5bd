"""`python -m tailrace` is the command line."""

from tailrace.cli import main

main()
