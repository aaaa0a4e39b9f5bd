"""What a campaign would have done, and what came of it, from the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tailrace.clock import iso
from tailrace.planning.store import Store
from tests.conftest import Company
from tests.installation import Installation, at, call


@pytest.mark.torture
@pytest.mark.slow
def test_a_backtest_of_a_day_that_was_run_says_what_the_run_did_and_that_it_is_no_lift(
    company: Company, day: Installation, tmp_path: Path
) -> None:
    installation = day.copy(tmp_path / "data")
    instant = iso(at(company.sample.daily[0].last_on, 23))
    span = ("campaign", "backtest", "onboarding", "--from", instant, "--to", instant)

    shown = call(installation, *span, "--rows", "--limit", "1")
    assert (shown.code, shown.err) == (0, "")
    assert "Nothing was sent; HEAD and the journal are as they were." in shown.out
    assert "Base rate of the goal (not a lift)" in shown.out
    assert "really sent, or queued, at the time or later" in shown.out

    seen = call(installation, *span, "--json").json
    plan = Store(day.settings).read("HEAD")
    welcome = plan.campaigns["onboarding"]["messages"]["welcome"]["send"]
    assert {row["step"]: row["sent"] for row in seen["messages"]}["welcome"] == welcome > 0
    assert seen["really_sent"] == sum(row["sent"] for row in seen["messages"])
    assert seen["stands_on"] == plan.parent
    assert len(seen["passes"]) == seen["entered"] == plan.campaigns["onboarding"]["moves"]["entered"]
    assert {row["verdict"] for row in seen["rows"]} >= {"send"}


@pytest.mark.torture
def test_a_report_on_a_campaign_names_what_it_does_not_know(day: Installation) -> None:
    shown, seen = call(day, "campaign", "report", "onboarding"), call(day, "campaign", "report", "onboarding", "--json")

    assert (shown.code, seen.code) == (0, 0)
    assert "unknown: no receipt of this kind has landed yet for the channel. It does not mean none." in shown.out
    assert "It does not mean because of it." in shown.out
    assert "nobody to compare yet" in shown.out
    message = seen.json["messages"][0]
    assert (message["opened"], message["machine_opened"], message["delivered"]) == (None, None, None)
    assert message["sent"] > 0
    assert sum(seen.json["statuses"].values()) == seen.json["passes"] > 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--from", "2025-01-02", "--to", "2025-01-01"), "is before --from"),
        (("--from", "2025-01-01", "--to", "2025-01-02", "--every", "often"), "--every: `often` is not a duration"),
        (("--from", "2025-01-01", "--to", "2999-01-01"), "has not come yet"),
        (("--from", "2024-01-01", "--to", "2024-01-02"), "nothing had landed by"),
    ],
)
def test_a_span_that_cannot_be_replayed_is_refused(day: Installation, arguments: tuple[str, ...], said: str) -> None:
    done = call(day, "campaign", "backtest", "onboarding", *arguments)
    assert done.code == 1
    assert said in done.err


def test_a_campaign_that_is_not_there_is_named_with_the_nearest(day: Installation) -> None:
    for command in (("report", "onbording"), ("backtest", "onbording", "--from", "2025-05-24", "--to", "2025-05-24")):
        done = call(day, "campaign", *command)
        assert done.code == 2
        assert "onboarding" in done.err
