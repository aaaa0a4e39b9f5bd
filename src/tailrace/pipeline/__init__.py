"""The spine: what the command line and the flows call. `spine` is its table of contents."""
