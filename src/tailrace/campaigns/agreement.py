"""Does a campaign agree with policy.yml? Its topic, the attributes it sets, and whether its window ever opens."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tailrace.campaigns.definition import Campaign, Reference
from tailrace.campaigns.policy import Policy
from tailrace.errors import Problem, nearest


def agreement(campaign: Campaign, policy: Policy) -> list[Problem]:
    """Return what in the campaign does not agree with the policy."""
    return list(_problems(campaign, policy))


def _problems(campaign: Campaign, policy: Policy) -> Iterator[Problem]:
    rules = policy.rules
    for reference in campaign.references:
        if reference.what == "topic" and reference.name not in rules.topics:
            yield _unknown(campaign, reference, "topic", "topics", rules.topics)
        if reference.what == "owned_attribute" and reference.name not in rules.owned_attributes:
            yield _unknown(campaign, reference, "attribute of ours", "owned_attributes", rules.owned_attributes)
    if campaign.window is None or rules.quiet_hours is None or campaign.klass != "marketing":
        return
    if campaign.window.minutes() <= rules.quiet_hours.minutes():
        what = "`window` lies in the `quiet_hours` of policy.yml, so it never opens"
        yield Problem(campaign.path, campaign.window_line, f"{what}; expected some hours outside of them")


def _unknown(campaign: Campaign, reference: Reference, what: str, key: str, known: Iterable[str]) -> Problem:
    hint = nearest(reference.name, known)
    expected = f"expected one that policy.yml names under `{key}`: write it there too"
    return Problem(campaign.path, reference.line, f"`{reference.name}` is not a known {what}; {expected}.{hint}")
