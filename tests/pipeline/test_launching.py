"""`tailrace check --live`: what stands between a campaign and its launch, in a copy of the small company."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from tailrace import clock
from tailrace.checks.project import Findings
from tailrace.checks.rates import Rate, judge
from tailrace.errors import DataError, DefinitionError, Problem
from tailrace.pipeline.launching import launch_lists
from tests.conftest import Company
from tests.installation import PROJECT, Installation, call, first_run_at
from tests.landing.conftest import call as event
from tests.landing.conftest import compact

NOW = datetime(2026, 3, 1, 6, tzinfo=UTC)


@pytest.fixture
def own(company: Company, tmp_path: Path) -> Installation:
    """The company after its first run, with a project of its own."""
    shutil.copytree(PROJECT, tmp_path / "project", ignore=shutil.ignore_patterns("target", "logs"))
    return company.copy(tmp_path / "data", tmp_path / "project")


@pytest.fixture
def moment(company: Company) -> str:
    return clock.iso(first_run_at(company.sample))


def items(own: Installation, slug: str, moment: str) -> dict[str, tuple[str, str]]:
    """Return what the list says of each thing; of an event, under its name. What check found is left out."""
    (launch,) = launch_lists(own.settings, slug, clock.parse(moment), Findings())
    assert launch.campaign == slug
    found = {}
    for item in launch.items:
        key = item.text.split("`")[1] if item.what in ("event", "trigger event") else item.what
        found[key] = (item.status, item.text)
        assert (item.todo == "") == (item.status == "ok"), item
    assert launch.failed == any(status == "failed" for status, _ in found.values())
    return found


def edit(own: Installation, path: str, before: str, after: str) -> None:
    file = own.project_dir / path
    text = file.read_text(encoding="utf-8")
    assert before in text
    file.write_text(text.replace(before, after, 1), encoding="utf-8")


def published(own: Installation, statement: str) -> None:
    with duckdb.connect(str(own.settings.published)) as connection:
        connection.execute(statement)


def test_a_campaign_that_may_go_has_nothing_that_failed(own: Installation, moment: str) -> None:
    found = items(own, "onboarding", moment)
    assert {status for status, _ in found.values()} == {"ok", "warning"}
    assert [what for what, (status, _) in found.items() if status == "warning"] == ["destination of email"]
    assert {"signed_up", "project_created", "people", "addresses for email", "consent for email"} <= found.keys()
    assert found["holdout"] == ("ok", "10 % of the campaign")


def test_an_event_of_another_spelling_has_never_come_and_the_right_one_is_named(own: Installation, moment: str) -> None:
    edit(own, "campaigns/onboarding/campaign.yml", "event: signed_up", "event: Signed_Up")
    (launch,) = launch_lists(own.settings, "onboarding", clock.parse(moment), Findings())
    (item,) = (item for item in launch.items if item.what == "trigger event")
    assert (item.status, item.text) == ("failed", "`Signed_Up`: has never come")
    assert item.todo == "`Signed_Up`: did you mean `signed_up`? Names are case-sensitive"
    assert items(own, "onboarding", moment)["people"][0] == "warning"


def test_a_condition_that_no_event_fits_leaves_nobody(own: Installation, moment: str) -> None:
    edit(own, "campaigns/onboarding/campaign.yml", "event: signed_up", "event: signed_up\n  where: plan = 'none'")
    assert items(own, "onboarding", moment)["people"] == (
        "warning",
        "people whose `signed_up` came in 35 days and fits: none now",
    )


def test_of_forms_only_the_campaigns_own_is_its_trigger(own: Installation, company: Company) -> None:
    now = first_run_at(company.sample)
    at = clock.iso(now - timedelta(hours=1))
    forms = [{"form": "care_interest"}, {"form": "care_interest"}, {"form": "newsletter"}, {}]
    lines = [
        event(messageId=f"f{n}", event="form_submitted", timestamp=at, properties=form) for n, form in enumerate(forms)
    ]
    path = own.data_dir.parent / "forms.jsonl"
    path.write_bytes(b"".join(compact(line) + b"\n" for line in lines))
    assert call(own, "land", str(path), "--source", "app", "--as-of", clock.iso(now)).code == 0

    def of_trigger(before: str, after: str) -> tuple[str, str]:
        edit(own, "campaigns/onboarding/campaign.yml", f"\n  {before}\n", f"\n  {after}\n")
        return items(own, "onboarding", clock.iso(now))["form_submitted"]

    new = f"in 7 days: new since {at[:10]}"
    said = "`form_submitted` of the form"
    assert of_trigger("event: signed_up", "form: care_interest") == ("ok", f"{said} `care_interest`: 2 {new}")
    never = ("failed", f"{said} `care_intrest`: has never come")
    assert of_trigger("form: care_interest", "form: care_intrest") == never
    assert of_trigger("form: care_intrest", "event: form_submitted") == ("ok", f"`form_submitted`: 4 {new}")


@pytest.mark.torture
def test_people_are_counted_whose_event_came_under_an_anonymous_or_a_given_up_id(
    own: Installation, company: Company
) -> None:
    """As the warehouse attributes the events: to who is identified next on the device, and to who they are now."""
    now = first_run_at(company.sample) + timedelta(hours=4)

    def at(minutes: int) -> str:
        return clock.iso(now - timedelta(minutes=minutes))

    acts = [
        {"userId": "n0"},
        {"userId": ..., "anonymousId": "d1"},
        {"userId": ..., "anonymousId": "d2"},
        {"userId": "old3"},
        {"userId": ..., "anonymousId": "nobody"},
    ]
    lines = [event(messageId=f"a{n}", event="seat_scanned", timestamp=at(60), **who) for n, who in enumerate(acts)]
    links = [
        {"type": "identify", "userId": "n1", "anonymousId": "d1", "timestamp": at(50)},
        {"type": "identify", "userId": "other", "anonymousId": "d1", "timestamp": at(40)},
        {"type": "identify", "userId": "n2", "anonymousId": "d2", "timestamp": at(70)},
        {"type": "alias", "userId": "n2", "previousId": "old3", "timestamp": at(30)},
    ]
    lines += [event(messageId=f"l{n}", event=..., **link) for n, link in enumerate(links)]
    path = own.data_dir.parent / "scanned.jsonl"
    path.write_bytes(b"".join(compact(line) + b"\n" for line in lines))
    own.drop(path)
    assert call(own, "run", "--as-of", clock.iso(now)).code == 0
    edit(own, "campaigns/onboarding/campaign.yml", "event: signed_up", "event: seat_scanned")
    query = "select count(distinct person_id) from core.fct_events where event = 'seat_scanned'"
    with duckdb.connect(str(own.settings.warehouse), read_only=True) as connection:
        assert connection.execute(query).fetchall() == [(3,)]
    assert items(own, "onboarding", clock.iso(now))["people"] == (
        "ok",
        "people whose `seat_scanned` came in 35 days and fits: 3 now",
    )


def test_an_event_that_stopped_is_told_by_the_last_days(own: Installation, company: Company) -> None:
    later = first_run_at(company.sample) + timedelta(days=9)
    status, text = items(own, "onboarding", clock.iso(later))["signed_up"]
    assert status == "failed"
    assert "did not come in 7 days, usually" in text
    assert items(own, "onboarding", clock.iso(later))["data"][0] == "warning"


def test_a_channel_without_a_destination_fails_loudly(own: Installation, moment: str) -> None:
    folder = own.project_dir / "campaigns" / "onboarding"
    text = (folder / "campaign.yml").read_text()
    message = next(line.split("send:")[1].split("#")[0].strip() for line in text.splitlines() if "- send:" in line)
    shutil.move(next(folder.glob(f"{message}.email.*")), folder / "kept.md")
    (folder / "kept.md").unlink()
    (folder / f"{message}.sms.txt").write_text("Hello\n")
    found = items(own, "onboarding", moment)
    assert found["destination of sms"] == ("failed", "there is none: nothing would leave")
    assert found["addresses for sms"][0] == "failed"


def test_a_destination_needs_its_secret_and_the_live_lease(own: Installation, moment: str) -> None:
    relay = "  relay: {type: smtp, host: h, port: 25, username: u, password_env: RELAY_SECRET, from: a@example.com}\n\n"
    edit(own, "destinations.yml", "channels:\n", f"{relay}channels:\n")
    edit(own, "destinations.yml", "email: outbox", "email: relay")
    status, text = items(own, "onboarding", moment)["destination of email"]
    assert (status, text) == ("failed", "`relay`: the variable `RELAY_SECRET` is not set")
    edit(own, "destinations.yml", "username: u, password_env: RELAY_SECRET, ", "")
    status, text = items(own, "onboarding", moment)["destination of email"]
    assert status == "failed"
    assert "reaches allow-listed addresses only" in text
    assert call(own, "live", "acquire", "--reason", "launch").code == 0
    assert items(own, "onboarding", moment)["destination of email"] == ("ok", "`relay` (smtp)")


@pytest.mark.torture
def test_addresses_and_consent_are_of_those_who_would_be_considered(own: Installation, moment: str) -> None:
    before = items(own, "onboarding", moment)
    published(own, "update core.dim_people set email = null")
    assert items(own, "onboarding", moment)["addresses for email"][0] == "failed"
    published(own, "update core.dim_people set email = 'a' || person_id || '@example.com' where person_id % 3 = 0")
    assert items(own, "onboarding", moment)["addresses for email"][0] == "warning"
    published(own, "update core.dim_people set email = 'a' || person_id || '@example.com'")
    published(own, "delete from core.dim_suppressions; delete from core.dim_consents")
    whole = before["people"][1].rsplit(": ", 1)[1].removesuffix(" now")
    all_of_them = f"{whole} of {whole} (100%) with an address may hear of `getting_started`"
    assert items(own, "onboarding", moment)["consent for email"] == ("ok", all_of_them)
    published(
        own,
        "insert into core.dim_suppressions select person_id, 'email', 'bounced', 'x', timestamp '2025-01-01'"
        " from core.dim_people",
    )
    assert items(own, "onboarding", moment)["consent for email"][0] == "failed"


def test_a_topic_that_people_must_ask_for_counts_those_who_did(own: Installation, moment: str) -> None:
    edit(own, "policy.yml", "First steps with Harbour, default: subscribed", "First steps, default: unsubscribed")
    assert items(own, "onboarding", moment)["consent for email"][0] == "failed"


def test_status_and_holdout_are_on_the_list(own: Installation, moment: str) -> None:
    edit(own, "campaigns/onboarding/campaign.yml", "status: live", "status: draft")
    edit(own, "campaigns/onboarding/campaign.yml", "holdout: 10%", "# holdout: 10%")
    found = items(own, "onboarding", moment)
    assert found["status"][0] == "warning"
    assert found["holdout"] == ("warning", "none: what it brings cannot be measured")


def test_what_is_written_wrongly_fails_here_and_elsewhere(own: Installation, moment: str) -> None:
    found = Findings([Problem("campaigns/onboarding/campaign.yml", 3, "wrong"), Problem("policy.yml", 1, "wrong")])
    (launch,) = launch_lists(own.settings, "onboarding", clock.parse(moment), found)
    failed = [(item.what, item.text) for item in launch.items if item.status == "failed"]
    assert failed == [
        ("definition", "campaigns/onboarding/campaign.yml:3: wrong"),
        ("project", "1 problems elsewhere"),
    ]
    edit(own, "campaigns/onboarding/campaign.yml", "owner:", "owener:")
    with pytest.raises(DefinitionError, match="owener"):
        items(own, "onboarding", moment)


def test_before_the_first_run_the_list_says_so(tmp_path: Path) -> None:
    found = items(Installation(tmp_path / "data"), "onboarding", clock.iso(NOW))
    assert found["data"] == ("failed", "nothing has been built and planned yet")
    assert found["signed_up"] == ("failed", "`signed_up`: has never come")


@pytest.mark.torture
def test_without_a_name_every_campaign_that_has_not_ended_is_gone_through(own: Installation, moment: str) -> None:
    """By the command, which shows no address and no id."""
    edit(own, "campaigns/win_back/campaign.yml", "status: live", "status: ended")
    done = call(own, "check", "--live", "--as-of", moment, "--json")
    lists = {launch["campaign"]: {item["what"]: item["status"] for item in launch["items"]} for launch in done.json}
    assert lists["onboarding"]["definition"] == "ok"
    assert lists["churn_risk"]["destination of slack"] == "failed"
    assert "win_back" not in lists
    assert done.code == 1
    assert "example.com" not in done.out


def test_a_campaign_that_is_not_there_or_off_is_named(own: Installation, moment: str) -> None:
    with pytest.raises(DataError, match="Did you mean `onboarding`"):
        items(own, "onbording", moment)
    with pytest.raises(DataError, match="programme `telehealth`, which is off"):
        items(own, "care_refill", moment)
    assert call(own, "check", "onboarding").code == 2


@pytest.mark.parametrize(
    ("recent", "usual", "first_days_ago", "starts", "status", "words"),
    [
        (70, 280, 200, True, "ok", "70 in 7 days, usually 70"),
        (50, 280, 200, True, "ok", "usually 70"),
        (20, 280, 200, True, "warning", "fewer than chance explains"),
        (200, 280, 200, False, "warning", "more than chance explains"),
        (0, 280, 200, True, "failed", "did not come in 7 days, usually 70"),
        (0, 280, 200, False, "warning", "did not come in 7 days"),
        (0, 4, 200, True, "warning", "did not come in 7 days, usually 1"),
        (3, 4, 200, True, "ok", "3 in 7 days, usually 1"),
        (20, 40, 11, True, "warning", "20 in 7 days, usually 70"),
        (20, 0, 3, True, "ok", "20 in 7 days: new since 2026-02-26"),
    ],
)
def test_a_rate_is_judged_by_what_is_usual(
    recent: int, usual: int, first_days_ago: int, starts: bool, status: str, words: str
) -> None:
    first, last = NOW - timedelta(days=first_days_ago), NOW - timedelta(days=8 if recent == 0 else 1)
    found = judge(Rate(recent, usual, first, last), NOW, starts=starts)
    assert found[0] == status
    assert words in found[1]


def test_what_never_came_fails_only_where_it_starts_the_campaign() -> None:
    never = Rate(0, 0, None, None)
    assert judge(never, NOW, starts=True) == ("failed", "has never come")
    assert judge(never, NOW, starts=False) == ("warning", "has never come")
