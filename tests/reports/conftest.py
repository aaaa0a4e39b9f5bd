from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta

import pytest

from tailrace.reports.measured import ArmView, ComparisonView, FunnelView, MeasuredView, MessageView
from tailrace.reports.measurement import Group, lift
from tailrace.reports.view import (
    CampaignView,
    GuardView,
    PlannedStep,
    PlanView,
    ReportView,
    RunView,
    SegmentView,
    SizePoint,
    SourceView,
    StateFlow,
    StateSize,
    StatesView,
    StepView,
    SyncView,
    Totals,
)

AS_OF = datetime(2026, 10, 31, 6, tzinfo=UTC)


def _segment(name: str, summary: str, base: int, swing: int, entered: int, left: int, parked: str | None = None):
    points = [
        SizePoint(
            AS_OF - timedelta(days=29 - day),
            None if day in (11, 12) and parked else base + round(swing * math.sin(day / 4) + swing * day / 12),
        )
        for day in range(30)
    ]
    return SegmentView(name, summary, points[-1].size, entered, left, "behaviour", parked, tuple(points))


def _arm(name: str, people: int, measured: int, converted: int, control: Group | None = None) -> ArmView:
    group = Group(measured, converted)
    over = lift(group, control) if control else None
    numbers = (over.points, over.low, over.high, over.relative) if over else (None, None, None, None)
    return ArmView(
        name, people, measured, converted, group.share, *numbers, over.is_enough if over else group.is_enough
    )


def measured() -> MeasuredView:
    """What came of the onboarding campaign: receipts for one message only, a clear lift, a split that is not."""
    held, short = Group(141, 63), Group(480, 301)
    return MeasuredView(
        slug="onboarding",
        version="36b3e8bf65854a9b",
        goal="project_created within 7 days",
        as_of=AS_OF,
        passes=1412,
        statuses={"completed": 860, "converted": 456, "active": 96},
        reached_goal=849,
        funnel=(
            FunnelView("36b3e8bf65854a9b", True, "welcome", "send welcome", 1412, 2, 1410, {}),
            FunnelView(
                "36b3e8bf65854a9b", True, "wait_before_first_project", "wait 2 days", 1412, 61, 980, {"converted": 371}
            ),
            FunnelView("9d0c1f23ab45cd67", False, "old_step", "send old_step", 31, 1, 29, {"edited": 1}),
        ),
        messages=(
            MessageView("welcome", "welcome", "email", 1229, 1226, 1201, 640, 220, 210, 12, 0, 9, 786),
            MessageView("nudge", "nudge", "sms", 391, 388, None, None, None, None, None, None, None, 102),
        ),
        comparisons=(
            ComparisonView(
                "holdout", None, (_arm("holdout", 141, 141, 63), _arm("treated", 1271, 1180, 786, held)), 0.97, False, 0
            ),
            ComparisonView(
                "split",
                "copy_length",
                (_arm("short", 500, 480, 301), _arm("long", 510, 470, 300, short), _arm("rare", 20, 9, 8, short)),
                0.6,
                False,
                4,
            ),
        ),
    )


def realistic() -> ReportView:
    segments = (
        _segment("seg_new_this_week", "Signed up in the last seven days", 70, 9, 14, 11),
        _segment("seg_not_activated", "Signed up three days ago or more and has no project yet", 640, 30, 21, 9),
        _segment("seg_power_users", "In the top tenth by sessions over 28 days", 182, 12, 3, 4),
        _segment("seg_usage_dropped", "Half or less of their own usual sessions", 96, 20, 12, 7, "guard"),
        _segment("seg_renewal_due_soon", "Renews within the next seven days", 141, 15, 24, 19),
        _segment("seg_dormant", "No session for 30 days, subscription or not", 1180, 40, 16, 5),
        _segment("seg_churned", "Subscription ended and not come back", 171, 4, 2, 0),
        _segment("seg_win_back", "Churned 30 to 90 days ago and may hear from us", 52, 6, 0, 0, "segment_failed"),
    )
    states = StatesView(
        programme="saas",
        since=date(2026, 10, 1),
        sizes=tuple(
            StateSize(state, people)
            for state, people in (
                ("new", 61),
                ("activated", 148),
                ("active", 702),
                ("at_risk", 214),
                ("dormant", 1193),
                ("churned", 176),
                ("returned", 88),
            )
        ),
        flows=tuple(
            StateFlow(*flow)
            for flow in (
                (None, "new", 352),
                ("new", "activated", 190),
                ("new", "dormant", 96),
                ("activated", "active", 141),
                ("activated", "at_risk", 52),
                ("active", "at_risk", 188),
                ("at_risk", "active", 77),
                ("at_risk", "dormant", 104),
                ("active", "churned", 19),
                ("dormant", "returned", 41),
                ("churned", "returned", 9),
                ("returned", "active", 28),
                ("dormant", "churned", 14),
            )
        ),
    )
    campaigns = (
        CampaignView(
            slug="onboarding",
            purpose="Help new people reach their first report within a week",
            status="live",
            trigger="event signed_up",
            goal="project_created within 7d",
            parked=None,
            entered=1412,
            held_out=141,
            active=96,
            converted=786,
            converted_held_out=63,
            steps=(
                StepView("welcome", "email", 1229, {"accepted": 1226, "unknown": 2, "rejected": 1}, {"no_address": 42}),
                StepView("first_project", "email", 804, {"accepted": 804}, {"no_address": 30, "unsubscribed": 18}),
                StepView(
                    "last_nudge", "email", 391, {"accepted": 388, "waiting": 3}, {"unsubscribed": 22, "expired": 4}
                ),
            ),
            planned_enter=13,
            planned_moves={"entered": 13, "passed": 29, "waited": 16, "completed": 6, "converted": 9},
            planned_not_entered={"late": 2},
            planned_steps=(
                PlannedStep("welcome", 11, {}, {"holdout": 1, "no_address": 1}),
                PlannedStep("first_project", 12, {}, {"unsubscribed": 1}),
                PlannedStep("last_nudge", 6, {}, {"missing_field:first_name": 1}),
            ),
            measured=measured(),
        ),
        CampaignView(
            slug="renewal_reminder",
            purpose="Nobody is surprised by a renewal",
            status="live",
            trigger="entered seg_renewal_due_soon",
            goal=None,
            parked=None,
            entered=633,
            held_out=0,
            active=0,
            converted=None,
            converted_held_out=None,
            steps=(StepView("reminder", "email", 588, {"accepted": 588}, {"no_address": 19, "duplicate_inbox": 26}),),
            planned_enter=24,
            planned_moves={"entered": 24, "completed": 24},
            planned_not_entered={},
            planned_steps=(PlannedStep("reminder", 21, {"awaiting_approval": 2}, {"no_address": 1}),),
        ),
        CampaignView(
            slug="win_back",
            purpose="Ask those who left what would bring them back",
            status="draft",
            trigger="entered seg_win_back",
            goal="subscription_started within 30d",
            parked="segment_failed",
            entered=0,
            held_out=0,
            active=0,
            converted=0,
            converted_held_out=0,
            steps=(),
            planned_enter=0,
            planned_moves={},
            planned_not_entered={"draft": 52},
            planned_steps=(),
        ),
    )
    runs = tuple(
        RunView(
            f"{day:016x}",
            AS_OF - timedelta(days=29 - day),
            0 if day == 0 else (6 if (day + 5) % 7 >= 5 else 34 + (day * 7) % 19),
            (day * 3) % 5,
            9 + day % 6,
        )
        for day in range(29)
    )
    return ReportView(
        plan=PlanView("3f9a1c07be5d2248", "9d40c2e1a7b35f60", AS_OF, "scheduled", is_applied=True),
        totals=Totals(2582, 2590, 2045, 57, 50, 2, 5),
        outcomes={"accepted": 3006, "waiting": 3, "unknown": 2, "rejected": 1, "retry_later": 0, "expired": 4},
        runs=(*runs, RunView("3f9a1c07be5d2248", AS_OF, 50, 2, 5)),
        segments=segments,
        states=(states,),
        campaigns=campaigns,
        syncs=(
            SyncView("sync_webhook__customers", "webhook", "mirror", 2440, 2431, 13, 41, 2, 4, 0, None),
            SyncView("sync_webhook__win_back", "webhook", "mirror", None, 51, 0, 0, 0, 0, 0, "segment_failed"),
        ),
        guards=(
            GuardView(
                "segment_left_share", "segment:seg_power_users", "share", 0.0221, 0.3, tripped=False, released=False
            ),
            GuardView(
                "segment_entered_share", "segment:seg_usage_dropped", "share", 0.612, 0.5, tripped=True, released=False
            ),
            GuardView("segment_minimum", "segment:seg_dormant", "count", 1193, 100, tripped=False, released=False),
            GuardView(
                "sync_deletions_share", "sync:sync_webhook__customers", "share", 0.31, 0.2, tripped=True, released=True
            ),
            GuardView("source_stale_after", "source:app", "hours", 6.2, 30, tripped=False, released=False),
        ),
        sources=(
            SourceView(
                name="app",
                loads=42,
                lines=295598,
                landed=293046,
                duplicate=2387,
                quarantined=165,
                orphans=21355,
                newest_event_at=datetime(2026, 10, 30, 23, 47, tzinfo=UTC),
                silent_hours=6.2,
                allowed_hours=30.0,
                reasons={"not_json": 44, "no_user": 20, "no_event": 19, "bad_type": 45, "bad_time": 37},
            ),
            SourceView("billing", 30, 812, 812, 0, 0, 0, None, None, None, {}),
        ),
        failed_models={"seg_win_back": "a test failed: unique_seg_win_back_person_id"},
    )


@pytest.fixture
def view() -> ReportView:
    return realistic()
