"""The journal: the memory of what was intended, tried and answered."""
