"""How many examples does a property get? A few with each `make test`, all of them in `make torture`."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

THOROUGH = "torture"
"""The profile that `make torture` names (`--hypothesis-profile`)."""

SHARE = 4


def register() -> None:
    """Have examples take as long as they do: what the clock says depends on the machine, and proves nothing."""
    for name in ("default", THOROUGH):
        settings.register_profile(name, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("default")


def examples(most: int, share: int = SHARE) -> int:
    """Return `most` in `make torture`, and a quarter of it, or another share, otherwise."""
    return most if settings.get_current_profile_name() == THOROUGH else -(-most // share)
