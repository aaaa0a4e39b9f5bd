"""Why did a person get a campaign's message, or none? As of any plan of the lineage, with what is still known of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from tailrace.errors import DataError, DefinitionError, nearest
from tailrace.journal.journal import Journal
from tailrace.pipeline.evidence import answers, evidence
from tailrace.pipeline.explaining import find_person_then, plan_at
from tailrace.pipeline.request import campaign_spec, load_definitions, rules
from tailrace.planning.arbitration import Rules
from tailrace.planning.reasoning import Reasons, read_case, reasons
from tailrace.planning.run import CampaignSpec
from tailrace.planning.store import Plan, Store
from tailrace.settings import Settings


def why(settings: Settings, person: str, campaign: str, at: datetime | None = None) -> Reasons:
    """Return the reasons of the plan that was current at `at`, or of HEAD, for the person as that plan knew them.

    Raises DataError when the person is not known, when no plan is that old, or when the plan has no such campaign.
    """
    store = Store(settings)
    plan_id, plan = plan_at(store, at)
    if campaign not in plan.campaigns:
        raise DataError(
            f"plan {plan_id} has no campaign `{campaign}`; expected one of: {', '.join(sorted(plan.campaigns))}."
            f"{nearest(campaign, plan.campaigns)}"
        )
    said, specs = _written(settings, plan)
    with evidence(settings, store, plan, find_person_then(settings, store, plan, person)) as known:
        with Journal.open(settings) as journal:
            answers(known.connection, journal, plan)
        return reasons(read_case(known, store, plan_id, plan, campaign, rules=said, specs=specs))


def _written(settings: Settings, plan: Plan) -> tuple[Rules | None, Mapping[str, CampaignSpec] | None]:
    """Return policy and campaigns as they are written, or None for both when the plan was made from others."""
    try:
        definitions = load_definitions(settings)
    except DefinitionError:
        return None, None
    if definitions.fingerprint != plan.inputs.definitions:
        return None, None
    return rules(definitions.policy), {
        slug: campaign_spec(campaign, definitions.late) for slug, campaign in definitions.campaigns.items()
    }
