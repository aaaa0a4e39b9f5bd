"""A practice's real shapes of records and a clinic's own events, day by day, and years of refills by their pace."""

from __future__ import annotations

import email
from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta
from email import policy
from pathlib import Path

import duckdb
import pytest

from tailrace import clock
from tailrace.pipeline import spine
from tests.installation import at
from tests.real.data import FILLS, VISITS, needs
from tests.real.practice import HERE, SEGMENTS, Practice, built, install, told

pytestmark = [pytest.mark.torture, pytest.mark.slow, pytest.mark.timeout(900)]

FIRST, LAST = date(2018, 6, 15), date(2018, 6, 21)


@pytest.fixture(scope="module")
def practice(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Practice]:
    """The practice after a baseline and six daily runs."""
    played = Practice(tmp_path_factory.mktemp("health"), FIRST, LAST)
    played.play()
    yield played
    played.world.close()


def came(practice: Practice, segment: str) -> set[tuple[str, date]]:
    """Return who newly came into the segment and can be reached, and when, by the raw rows."""
    pairs = zip(practice.days, practice.days[1:], strict=False)
    gone = practice.unreachable()
    return {(who, day.on) for before, day in pairs for who in day.truth[segment] - before.truth[segment] - gone}


def got(practice: Practice, step: str) -> set[tuple[str, date]]:
    found = [(each.patient, each.on) for each in practice.sent() if each.step == step]
    assert len(found) == len(set(found))
    return set(found)


@needs(VISITS)
def test_every_line_is_landed_and_every_run_balances(practice: Practice) -> None:
    for day in practice.days:
        assert day.result.balances
        assert all(balance.holds for balance in day.result.balances)
        assert day.result.steps["build"]["failed"] == {}
        landed = day.result.steps["land"]
        assert (landed["lines"], landed["landed"]) == (day.lines, day.lines)
        assert day.result.steps["deliver"]["unknown_now"] == 0


@needs(VISITS)
@pytest.mark.parametrize("name", [*SEGMENTS, "is_in_care", "is_ended"])
def test_each_segment_holds_whom_the_raw_rows_name_on_every_day(practice: Practice, name: str) -> None:
    for day in practice.days:
        assert day.built[name] == day.truth[name], day.on
    assert any(day.truth[name] for day in practice.days)


@needs(VISITS)
def test_nobody_got_a_message_twice(practice: Practice) -> None:
    sent = practice.sent()
    assert max(Counter((each.enrollment, each.step) for each in sent).values()) == 1
    mails = [
        email.message_from_bytes(path.read_bytes(), policy=policy.default)
        for path in practice.installation.settings.outbox.rglob("*.eml")
    ]
    assert len(mails) == len(sent)


@needs(VISITS)
@pytest.mark.parametrize(
    ("segment", "step"),
    [
        ("seg_refill_due_7d", "due_soon"),
        ("seg_awaiting_review", "we_have_it"),
        ("seg_intake_not_paid", "one_step_left"),
    ],
)
def test_who_newly_came_into_a_segment_was_told_on_that_day(practice: Practice, segment: str, step: str) -> None:
    expected = came(practice, segment)
    assert expected
    assert got(practice, step) == expected


@needs(VISITS)
@pytest.mark.parametrize(
    ("segment", "step"), [("seg_intake_not_completed", "go_on_here"), ("seg_reactivation_eligible", "we_are_here")]
)
def test_nobody_else_was_asked_and_the_holdout_was_not(practice: Practice, segment: str, step: str) -> None:
    could_be_asked = {who for who, _ in came(practice, segment)}
    assert could_be_asked
    assert {who for who, _ in got(practice, step)} <= could_be_asked


@needs(VISITS)
def test_each_visit_is_followed_by_one_mail_a_day_after_it_was_known(practice: Practice) -> None:
    visits = practice.world.execute(
        "select patient_id, end_at::date from encounters where end_at >= $first and end_at < $last",
        {"first": FIRST, "last": LAST - timedelta(days=1)},
    ).fetchall()
    gone = practice.days[-1].truth["is_ended"] | practice.unreachable()
    expected = Counter((who, on + timedelta(days=2)) for who, on in visits if who not in gone)
    found = Counter((each.patient, each.on) for each in practice.sent() if each.step == "what_was_said")
    assert expected
    assert found == expected


@needs(VISITS)
def test_each_appointment_is_announced_once_a_day_ahead(practice: Practice) -> None:
    expected: Counter[tuple[str, date]] = Counter()
    for before, day in zip(practice.days, practice.days[1:], strict=False):
        new = practice.appointments(day.on) - practice.appointments(before.on)
        gone = practice.unreachable() | day.truth["is_ended"]
        expected.update((patient, day.on) for _, patient in new if patient not in gone)
    found = Counter((each.patient, each.on) for each in practice.sent() if each.step == "see_you_soon")
    assert expected
    assert found == expected


@needs(VISITS)
def test_an_address_that_mail_cannot_carry_is_rejected_once_and_nobody_elses_is(practice: Practice) -> None:
    rejected = practice.sent("rejected")
    assert {each.patient for each in rejected} <= practice.unreachable()
    assert [each for each in practice.sent() if each.patient in practice.unreachable()] == []
    renewals = {(each.patient, each.on) for each in rejected if each.step == "card_refused"}
    assert len(renewals) == 1


@needs(VISITS)
def test_nobody_whose_care_has_ended_is_written_to(practice: Practice) -> None:
    ended = {day.on: day.truth["is_ended"] for day in practice.days}
    assert [each for each in practice.sent() if each.patient in ended[each.on]] == []


@needs(VISITS)
def test_no_mail_says_what_anybody_has_or_takes(practice: Practice) -> None:
    found = practice.world.execute(
        "select distinct lower(regexp_extract(medication, '[A-Za-z]{5,}')) from medication_requests"
        f" union select distinct lower(reason) from '{VISITS}/encounters.parquet' where reason is not null"
    ).fetchall()
    words = {word for (word,) in found if word}
    assert len(words) > 100
    for path in practice.installation.settings.outbox.rglob("*.eml"):
        message = email.message_from_bytes(path.read_bytes(), policy=policy.default)
        parts = [str(part.get_content()) for part in message.walk() if part.get_content_maintype() == "text"]
        said = " ".join([str(message["Subject"]), *parts]).lower()
        assert [word for word in words if word in said] == []
    landed = practice.installation.settings.landing
    kept = practice.world.execute(f"select properties from '{landed}/loads/*/events-*.parquet'").fetchall()
    texts = {str(text).lower() for (text,) in kept}
    assert not any("acetaminophen" in text for text in texts)


@needs(VISITS)
def test_refills_over_the_years_are_due_when_the_raw_rows_say(practice: Practice, tmp_path: Path) -> None:
    installation = install(tmp_path)
    deaths = tmp_path / "deaths-all.parquet"
    practice.world.execute(f"copy (from patients where deceased_at is not null) to '{deaths}' (format parquet)")
    files = [VISITS / f"{table}.parquet" for table in ("patients", "encounters", "medication_requests", "claims")]
    landed = spine.land_files(installation.settings, [*files, deaths], "visits", at(date(2004, 1, 1)))
    assert (landed.quarantined, landed.duplicate) == (0, 0)
    practice.world.execute("create table others as from clinic")
    practice.world.execute("delete from clinic")
    try:
        for on in (date(2004, 5, 20), date(2013, 9, 2), date(2024, 10, 28)):
            spine.plan(installation.settings, at(on, 0))
            truth = told(practice.world, on, 0)
            found = built(installation)
            for name in ("seg_refill_due_7d", "seg_reactivation_eligible", "is_in_care", "is_ended"):
                assert found[name] == truth[name], (name, on)
    finally:
        practice.world.execute("insert into clinic from others")


@needs(FILLS)
def test_refills_of_claims_without_days_of_supply_are_due_by_their_pace(tmp_path: Path) -> None:
    installation = install(tmp_path)
    path = FILLS / "pharmacy_claims.parquet"
    landed = spine.land_files(installation.settings, [path], "pharmacy", at(date(2016, 1, 1)))
    assert (landed.lines, landed.landed, landed.quarantined) == (12_019, 12_019, 0)
    with duckdb.connect() as world:
        world.execute(f"create table fills as from '{path}'")
        paced = 0
        for on in (date(2016, 2, 12), date(2017, 3, 4), date(2018, 4, 2)):
            spine.plan(installation.settings, at(on))
            truth = world.execute(
                (HERE / "fills.sql").read_text(encoding="utf-8"), {"as_of": clock.naive(at(on))}
            ).fetchall()
            assert built(installation)["seg_refill_due_7d"] == {user for user, _ in truth}
            assert truth
            paced += sum(bool(is_paced) for _, is_paced in truth)
        assert paced > 50
