"""The steps of a run as Prefect tasks: ids in, counts out, no results kept.

Planning may be repeated: a plan that nobody applied is garbage. Applying may be repeated: the same plan is applied
once. Delivery is never retried here: what may be sent again is decided by the journal and not by the scheduler.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from prefect import task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.futures import wait

from tailrace import clock, unforeseen
from tailrace.delivery.tally import Delivered
from tailrace.delivery.worker import Share
from tailrace.errors import DefinitionError, DestinationError, GuardStop, SenderBusy, StalePlan, TailraceError
from tailrace.landing.backfills import Asked
from tailrace.pipeline import backfills, sending, spine
from tailrace.pipeline.result import Result
from tailrace.planning.store import Store
from tailrace.settings import Settings, is_debugging


def may_pass(_task: Any, _run: Any, state: Any) -> bool:
    """Return whether what a task failed with may be gone when it is done again; what somebody has to mend is not."""
    return not isinstance(state.data, DefinitionError | DestinationError | GuardStop | StalePlan)


SAFE: dict[str, Any] = {
    "retries": 2,
    "retry_delay_seconds": 30,
    "retry_condition_fn": may_pass,
    "persist_result": False,
    "cache_policy": NO_CACHE,
}
ONCE: dict[str, Any] = {"retries": 0, "persist_result": False, "cache_policy": NO_CACHE}

Given = ParamSpec("Given")
Made = TypeVar("Made")


def discreet(step: Callable[Given, Made]) -> Callable[Given, Made]:
    """Have the step fail with words of ours only, and without the errors that led to it.

    Prefect logs, keeps and perhaps sends away what a step fails with, its causes too; their texts may hold a person's
    data, as the values that DuckDB could not read do.
    """

    @wraps(step)
    def told(*args: Given.args, **kwargs: Given.kwargs) -> Made:
        try:
            return step(*args, **kwargs)
        except TailraceError as error:
            raise error from None
        except Exception as error:
            if is_debugging():
                raise
            words = unforeseen.refusal_of_the_system(error) or unforeseen.kind_and_place(error)
            raise TailraceError(words) from None

    return told


@task(name="plan", **SAFE)
@discreet
def plan(settings: Settings, as_of: str) -> dict[str, Any]:
    """Land the inbox, build and plan."""
    return spine.plan(settings, clock.parse(as_of)).document()


@task(name="apply", **SAFE)
@discreet
def apply(settings: Settings, plan_id: str) -> dict[str, Any]:
    """Move HEAD and write the intents."""
    return spine.apply(settings, plan_id).document()


@task(name="deliver", **ONCE)
@discreet
def deliver(settings: Settings, as_of: str, budget_seconds: float | None) -> dict[str, Any]:
    """Hand over what is pending."""
    now = clock.parse(as_of)
    return spine.deliver(settings, now, budget_seconds=budget_seconds, may_be_elsewhere=True).document()


@task(name="deliver share", **ONCE)
@discreet
def deliver_share(settings: Settings, as_of: str, share: Share, budget_seconds: float | None) -> Delivered:
    """Hand over one worker's share of what is pending, and return counts."""
    return sending.deliver_share(settings, clock.parse(as_of), share, budget_seconds)


@discreet
def deliver_shared(settings: Settings, as_of: str, budget_seconds: float | None, workers: int) -> dict[str, Any]:
    """Hand over what is pending, a task for each worker's share; the flow that calls this holds the epoch."""

    def fan_out(shares: Sequence[Share]) -> list[Delivered]:
        futures = [deliver_share.submit(settings, as_of, share, budget_seconds) for share in shares]
        # All have ended before the first failure is raised: none goes on after the epoch is over.
        wait(futures)
        return [future.result() for future in futures]

    done = spine.deliver(
        settings,
        clock.parse(as_of),
        budget_seconds=budget_seconds,
        workers=workers,
        fan_out=fan_out,
        may_be_elsewhere=True,
    )
    return done.document()


def require_sign(delivered: dict[str, Any]) -> None:
    """Raise SenderBusy when the delivery was elsewhere, and nothing was heard of it for long."""
    if delivered["exit_code"]:
        raise SenderBusy(delivered["delivery_elsewhere"])


@task(name="publish", **SAFE)
@discreet
def publish(settings: Settings) -> None:
    """Swap in the readers' copy of the warehouse."""
    spine.publish_copy(settings)


@task(name="backfill", **SAFE)
@discreet
def backfill(
    settings: Settings, paths: list[str], source: str, reason: str, since: str | None, until: str | None
) -> dict[str, Any]:
    """Land files as history and plan at HEAD's own as_of. Doing it again does what is missing."""
    bounds = [None if text is None else clock.parse(text) for text in (since, until)]
    asked = Asked("prefect", clock.now(), *bounds)
    result: Result = spine.backfill(settings, paths, source, reason, asked)
    return result.document()


@task(name="show backfill", **ONCE)
@discreet
def show_backfill(settings: Settings, load_id: str) -> None:
    """Make what the backfill did an artifact: counts by segment and campaign, no person in it."""
    done = backfills.backfill(settings, load_id)
    rows: list[dict[str, Any]] = [
        {"what": one.segment, "before": one.before, "entered": one.entered, "left": one.left, "after": one.after}
        for one in done.segments
    ]
    rows += [{"what": slug, "kept out as history": people} for slug, people in done.refused.items()]
    words = f"Backfill {load_id}: {done.landed} landed, {done.duplicate} duplicate, {done.quarantined} quarantined"
    create_table_artifact(key="tailrace-backfill", table=rows, description=words)


@task(name="show", **ONCE)
@discreet
def show(settings: Settings, plan_id: str) -> None:
    """Make the plan's table an artifact: counts by campaign and message, no person in it."""
    made = Store(settings).read(plan_id)
    rows = [
        {
            "campaign": slug,
            "message": step,
            "send": verdicts["send"],
            "defer": sum(verdicts["defer"].values()),
            "skip": sum(verdicts["skip"].values()),
            "why not": ", ".join(f"{reason} {n}" for reason, n in (verdicts["defer"] | verdicts["skip"]).items()),
        }
        for slug, campaign in made.campaigns.items()
        for step, verdicts in campaign["messages"].items()
    ]
    create_table_artifact(key="tailrace-plan", table=rows, description=f"Plan {plan_id}, as of {clock.iso(made.as_of)}")
