"""Mixpanel against a far end that keeps profiles, and events by what makes them one; it says yes to wrong profiles."""

from __future__ import annotations

import base64

import pytest
from far_end import Sender, batch_of, listening, outcomes, row

from tailrace.destinations import mixpanel
from tailrace.destinations.base import HttpReply, Outcome, RefusedError, RowsRefused, Secrets

SECRETS = {"token_env": "tok"}


def login(user, password=""):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


class Project:
    """Profiles by id, groups by key and id, events by name, time, person and insert id."""

    def __init__(self) -> None:
        self.profiles: dict[str, dict] = {}
        self.groups: dict[tuple[str, str], dict] = {}
        self.events: dict[tuple, dict] = {}
        self.queries: list[dict] = []
        self.sick: tuple | None = None
        self.logins = {login("tok"), login("service", "secret")}

    def __call__(self, call):
        self.queries.append(call.query)
        if self.sick is not None:
            return self.sick
        if call.path == "/import":
            return self.imported(call)
        many = call.said
        assert len(many) <= 2000
        if any(one["$token"] != "tok" or one.get("$set", {}).get("bad") for one in many):
            return 200, {}, {"status": 0, "error": "kim@people.test is wrong"}
        for one in many:
            if call.path == "/groups":
                place, who = self.groups, (one["$group_key"], one["$group_id"])
            else:
                place, who = self.profiles, one["$distinct_id"]
            if "$delete" in one:
                place.pop(who, None)
                continue
            held = place.setdefault(who, {})
            held.update(one.get("$set", {}))
            for name in one.get("$unset", []):
                held.pop(name, None)
        return 200, {}, {"status": 1, "error": None}

    def imported(self, call):
        if call.headers["authorization"] not in self.logins:
            return 401, {}, {"code": 401, "error": "Invalid credentials", "status": "Unauthorized"}
        assert call.query["strict"] == "1"
        failed = []
        for index, one in enumerate(call.said):
            told = one["properties"]
            if told["time"] > 4_000_000_000_000:
                named = {"index": index, "$insert_id": told["$insert_id"], "field": "properties.time"}
                failed.append({**named, "message": "'properties.time' is invalid: kim@people.test"})
                continue
            key = (one["event"], told["time"], told["distinct_id"], told["$insert_id"])
            self.events.setdefault(key, told)
        taken = len(call.said) - len(failed)
        if failed:
            return 400, {}, {"code": 400, "failed_records": failed, "num_records_imported": taken, "error": "some"}
        return 200, {}, {"code": 200, "num_records_imported": taken, "status": "OK"}


@pytest.fixture
def project():
    return Project()


@pytest.fixture
def sender(project):
    with listening(project) as end:
        yield Sender(mixpanel, end, SECRETS)


def event(number, **data):
    return row(
        "add", {"insert_id": f"i-{number}"}, **{"event": "paid", "distinct_id": "42", "time": "2026-03-01", **data}
    )


def test_profiles_are_set_and_deleted(sender, project):
    rows = [
        row("add", {"distinct_id": n}, **{"$email": "a@b.test", "seen": "2026-03-01 05:00:00"}) for n in range(2100)
    ]
    assert {outcome for outcome, _ in outcomes(sender.send(rows, "people"))} == {"accepted"}
    assert project.profiles["2099"] == {"$email": "a@b.test", "seen": "2026-03-01T05:00:00.000Z"}
    assert project.queries == [{"verbose": "1"}] * 2
    sender.send([row("remove", {"distinct_id": n}) for n in range(2099)], "people")
    assert list(project.profiles) == ["2099"]


def test_a_yes_that_says_no_is_halved_until_the_profile_is_known(sender, project):
    rows = [row("add", {"distinct_id": n}, bad=n == 5) for n in range(8)]
    said = outcomes(sender.send(rows, "people"))
    assert said[5] == ("rejected", "says_no")
    assert [outcome for outcome, _ in said].count("accepted") == 7
    assert len(project.profiles) == 7


def test_an_audience_is_a_property_that_goes_away(sender, project):
    sender.send([row("add", {"distinct_id": 42}, since="2026-03-01")], "property:segment_vip")
    assert project.profiles == {"42": {"since": "2026-03-01", "segment_vip": True}}
    sender.send([row("remove", {"distinct_id": 42})], "property:segment_vip")
    assert project.profiles == {"42": {"since": "2026-03-01"}}


def test_groups_are_set_and_deleted(sender, project):
    sender.send([row("add", {"group_id": "acme"}, plan="pro")], "groups:company")
    assert project.groups == {("company", "acme"): {"plan": "pro"}}
    sender.send([row("remove", {"group_id": "acme"})], "groups:company")
    assert project.groups == {}


def test_an_event_is_known_again_whatever_its_own_id_looks_like(sender, project):
    rows = [event(1, total=9), event("x" * 60), row("add", {"order": 7}, event="paid", time=1772323200000)]
    for plan in ("p1", "p2"):
        assert {outcome for outcome, _ in outcomes(sender.send(rows, "events", "append", plan))} == {"accepted"}
    assert len(project.events) == 3
    assert all(len(key[3]) <= 36 for key in project.events)
    assert project.events["paid", 1772323200000, "42", "i-1"]["total"] == 9


def test_the_events_that_a_400_names_are_refused_and_the_others_are_in(sender, project):
    rows = [event(1), event(2, time="2400-01-01"), event(3)]
    assert outcomes(sender.send(rows, "events", "append")) == [
        ("accepted", "http_400"), ("rejected", "properties.time:refused"), ("accepted", "http_400"),
    ]  # fmt: skip
    assert len(project.events) == 2


def test_events_are_let_in_by_a_service_account(project):
    own = {**SECRETS, "username_env": "service", "secret_env": "secret"}
    with listening(project) as end:
        sender = Sender(mixpanel, end, own, project_id=9)
        project.logins = {login("service", "secret")}
        assert outcomes(sender.send([event(1)], "events", "append")) == [("accepted", "http_200")]
        assert project.queries == [{"strict": "1", "project_id": "9"}]
        probe = mixpanel.build_probe(sender.settings, sender.secrets)
        assert not probe.acts
        assert mixpanel.read_probe(sender.settings, sender.perform(probe)).outcome is Outcome.ACCEPTED
        project.logins = set()
        assert mixpanel.read_probe(sender.settings, sender.perform(probe)).outcome is Outcome.BLOCKED


@pytest.mark.parametrize(
    ("sick", "outcome"),
    [
        ((200, {}, b"1"), "accepted"),
        ((200, {}, b"0"), "rejected"),
        ((200, {}, {"status": "OK"}), "accepted"),
        ((200, {}, {"status": "error"}), "rejected"),
        ((200, {}, {"status": True}), "unknown"),
        ((200, {}, {"status": []}), "unknown"),
        ((200, {}, []), "unknown"),
        ((200, {}, b"<html>"), "unknown"),
        ((429, {}, {}), "retry_later"),
        ((503, {}, {}), "retry_later"),
        ((502, {}, {}), "unknown"),
        ((413, {}, {}), "rejected"),
        ((401, {}, {}), "blocked"),
    ],
)
def test_what_it_may_answer_about_profiles(sender, project, sick, outcome):
    project.sick = sick
    assert [said for said, _ in outcomes(sender.send([row("add", {"distinct_id": 1})], "people"))] == [outcome]


@pytest.mark.parametrize(
    ("sick", "said"),
    [
        ((200, {}, {"code": 200, "num_records_imported": 1}), [("unknown", "fewer_imported")] * 2),
        ((200, {}, {"status": 1}), [("unknown", "fewer_imported")] * 2),
        ((200, {}, b"1"), [("unknown", "http_200_unreadable")] * 2),
        ((400, {}, {"failed_records": "many"}), [("unknown", "http_400_unreadable")] * 2),
        ((400, {}, {"failed_records": [{"index": 7}]}), [("unknown", "http_400_unreadable")] * 2),
        ((400, {}, {"error": "no", "num_records_imported": 0}), [("rejected", "http_400")] * 2),
        ((400, {}, {"failed_records": [{"index": 0, "field": "kim@people.test"}], "num_records_imported": 1}),
         [("rejected", "row:refused"), ("accepted", "http_400")]),
        ((429, {}, {"code": 429}), [("retry_later", "http_429")] * 2),
    ],
)  # fmt: skip
def test_what_it_may_answer_about_events(sender, project, sick, said):
    project.sick = sick
    assert outcomes(sender.send([event(1), event(2)], "events", "append")) == said


@pytest.mark.parametrize(
    ("told", "target", "code"),
    [
        (row("add", {"name": "Kim"}), "people", "row:no_key"),
        (row("add", {"insert_id": 2}, time="2026-03-01"), "events", "event:no_name"),
        (row("add", {"insert_id": 2}, event="x", time="yesterday"), "events", "event:no_time"),
        (row("add", {"insert_id": 2}, event="x"), "events", "event:no_time"),
    ],
)
def test_a_row_that_cannot_be_said_is_refused_alone(told, target, code):
    good = row("add", {"distinct_id": 1, "insert_id": 1}, event="x", time="2026-03-01")
    batch = batch_of([good, told], target, "append" if target == "events" else "mirror")
    with pytest.raises(RowsRefused) as refused:
        mixpanel.build_request(mixpanel.Settings(token_env="T"), Secrets(SECRETS), batch)
    assert refused.value.rows == {1: code}


@pytest.mark.parametrize(("target", "mode"), [("cohort:7", "mirror"), ("property:", "mirror"), ("events", "mirror")])
def test_a_target_or_mode_that_is_not_known_is_refused(target, mode):
    batch = batch_of([event(1)], target, mode)
    with pytest.raises(RefusedError):
        mixpanel.build_request(mixpanel.Settings(token_env="T"), Secrets(SECRETS), batch)


def test_the_region_is_a_host():
    assert mixpanel.Settings(token_env="T", region="eu").host == "https://api-eu.mixpanel.com"
    assert mixpanel.Settings(token_env="T", region="in").host == "https://api-in.mixpanel.com"
    assert (
        mixpanel.read_probe(mixpanel.Settings(token_env="T"), HttpReply(200, {}, b"<html>")).outcome is Outcome.UNKNOWN
    )
