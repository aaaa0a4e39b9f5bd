"""Reports: what happened, for people."""
