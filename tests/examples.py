"""How many examples does a property get? A few with each `make test`, all of them in `make torture`."""

from __future__ import annotations

from hypothesis import settings

THOROUGH = "torture"
"""The profile that `make torture` names (`--hypothesis-profile`)."""

SHARE = 4


def examples(most: int) -> int:
    """Return `most` in `make torture`, and a quarter of it otherwise."""
    return most if settings.get_current_profile_name() == THOROUGH else -(-most // SHARE)
