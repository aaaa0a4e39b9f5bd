"""Handing over what plans decided, once."""
