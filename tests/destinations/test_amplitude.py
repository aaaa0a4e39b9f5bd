"""Amplitude against a far end that keeps people, events by insert id, and cohorts; one wrong event refuses the call."""

from __future__ import annotations

import base64
import json

import pytest
from far_end import Sender, batch_of, listening, outcomes, row

from tailrace.destinations import amplitude
from tailrace.destinations.base import HttpReply, Outcome, RefusedError, RowsRefused, Secrets

SECRETS = {"api_key_env": "key", "secret_key_env": "secret"}
LOGIN = "Basic " + base64.b64encode(b"key:secret").decode()


class Project:
    """People and groups by id, events by insert id and device, cohorts by number."""

    def __init__(self) -> None:
        self.people: dict[str, dict] = {}
        self.groups: dict[str, dict] = {}
        self.events: dict[str, dict] = {}
        self.cohorts: dict[str, set[str]] = {"c1": set()}
        self.options: list = []
        self.sick: tuple | None = None

    def __call__(self, call):
        if self.sick is not None:
            return self.sick
        if call.path == "/api/3/cohorts/membership":
            return self.membership(call)
        if call.path == "/batch":
            return self.batch(call.said)
        assert call.headers["content-type"] == "application/x-www-form-urlencoded"
        form = call.form
        if form["api_key"] != "key":
            return 400, {}, b"invalid_api_key"
        self.options.append(form.get("options"))
        for one in json.loads(form["identification"]):
            if call.path == "/groupidentify":
                self.groups.setdefault(one["group_value"], {}).update(one["group_properties"])
            elif len(one.get("user_id", "long enough")) < 5 and "options" not in form:
                return 400, {}, b"invalid_id"
            else:
                self.people.setdefault(one.get("user_id") or one["device_id"], {}).update(one["user_properties"])
        return 200, {}, b"success"

    def batch(self, told):
        if told["api_key"] != "key":
            return 400, {}, {"code": 400, "error": "Invalid API key: key"}
        many = told["events"]
        assert len(many) <= 1000
        if not many:
            return 400, {}, {"code": 400, "error": "Request missing required field", "missing_field": "events"}
        wrong = [index for index, one in enumerate(many) if not isinstance(one.get("time", 0), int)]
        missing = [index for index, one in enumerate(many) if one["event_type"] == "nobody"]
        if wrong or missing:
            return 400, {}, {
                "code": 400, "error": "Invalid request", "silenced_events": [],
                "events_with_invalid_fields": {"time": wrong}, "events_with_missing_fields": {"user_id": missing},
            }  # fmt: skip
        for one in many:
            self.events.setdefault(one["insert_id"], one)
        return 200, {}, {"code": 200, "events_ingested": len(many), "payload_size_bytes": 1, "server_upload_time": 1}

    def membership(self, call):
        assert call.headers["authorization"] == LOGIN
        (one,) = call.said["memberships"]
        known = {value for value in one["ids"] if not value.startswith("nobody")}
        held = self.cohorts[call.said["cohort_id"]]
        self.cohorts[call.said["cohort_id"]] = held | known if one["operation"] == "ADD" else held - known
        skipped = [value for value in one["ids"] if value not in known]
        return (
            200,
            {},
            {"cohort_id": "c1", "memberships_result": [{"skipped_ids": skipped, "operation": one["operation"]}]},
        )


@pytest.fixture
def project():
    return Project()


@pytest.fixture
def sender(project):
    with listening(project) as end:
        yield Sender(amplitude, end, SECRETS)


def event(number, **data):
    told = {"event_type": "paid", "user_id": "user-42", "time": "2026-03-01", **data}
    return row("add", {"insert_id": f"i-{number}"}, **told)


def test_people_are_identified_with_their_properties(sender, project):
    rows = [
        row("add", {"user_id": f"user-{n}"}, city="Rome", plan="pro", seen="2026-03-01 05:00:00") for n in range(1100)
    ]
    assert {outcome for outcome, _ in outcomes(sender.send(rows, "people", "upsert"))} == {"accepted"}
    assert len(project.people) == 1100
    assert project.people["user-0"] == {"plan": "pro", "seen": "2026-03-01T05:00:00.000Z"}, (
        "a city is a field of its own"
    )


def test_one_row_that_is_refused_is_found_by_halving(sender, project):
    rows = [row("add", {"user_id": "u" if n == 5 else f"user-{n}"}, plan="pro") for n in range(8)]
    said = outcomes(sender.send(rows, "people", "upsert"))
    assert said[5] == ("rejected", "http_400")
    assert [outcome for outcome, _ in said].count("accepted") == 7


def test_short_ids_are_let_in_by_a_setting(project):
    with listening(project) as end:
        sender = Sender(amplitude, end, SECRETS, min_id_length=1)
        assert outcomes(sender.send([row("add", {"user_id": "u"})], "people", "upsert")) == [("accepted", "http_200")]
        assert project.options == ['{"min_id_length":1}']


def test_groups_are_identified(sender, project):
    sender.send([row("add", {"group_value": "acme"}, plan="pro")], "groups:company", "upsert")
    assert project.groups == {"acme": {"plan": "pro"}}


def test_an_event_is_known_again(sender, project):
    rows = [
        event(1, revenue=9.5, currency="EUR", colour="red", session_id="1772323200000"),
        row("add", {"order": 7}, event_type="paid", device_id="d"),
    ]
    for plan in ("p1", "p2"):
        assert {outcome for outcome, _ in outcomes(sender.send(rows, "events", "append", plan))} == {"accepted"}
    assert len(project.events) == 2
    assert project.events["i-1"] == {
        "user_id": "user-42", "event_type": "paid", "time": 1772323200000, "revenue": 9.5, "currency": "EUR",
        "insert_id": "i-1", "session_id": 1772323200000, "event_properties": {"colour": "red"},
    }  # fmt: skip


def test_the_events_that_a_400_names_are_refused_and_the_others_go_next_time(sender, project):
    rows = [event(1), event(2, time="yesterday"), event(3, event_type="nobody")]
    assert outcomes(sender.send(rows, "events", "append")) == [
        ("retry_later", "neighbours_refused"), ("rejected", "time:invalid"), ("rejected", "user_id:missing"),
    ]  # fmt: skip
    assert project.events == {}, "nothing of a refused call is there"
    assert outcomes(sender.send(rows[:1], "events", "append")) == [("accepted", "http_200")]


def test_a_cohort_gets_and_loses_people_and_names_whom_it_does_not_know(sender, project):
    rows = [row("add", {"user_id": name}) for name in ("user-1", "nobody-2", "user-3")]
    assert outcomes(sender.send(rows, "cohort:c1")) == [
        ("accepted", "http_200"), ("rejected", "not_found"), ("accepted", "http_200"),
    ]  # fmt: skip
    sender.send([row("remove", {"user_id": "user-1"})], "cohort:c1")
    assert project.cohorts["c1"] == {"user-3"}


def test_a_wrong_key_blocks_though_it_is_a_400(project):
    with listening(project) as end:
        wrong = Sender(amplitude, end, {**SECRETS, "api_key_env": "old"})
        assert outcomes(wrong.send([event(1)], "events", "append")) == [("blocked", "invalid_api_key")]
        assert outcomes(wrong.send([row("add", {"user_id": "user-1"})], "people", "upsert")) == [
            ("blocked", "invalid_api_key")
        ]
        probe = amplitude.build_probe(wrong.settings, wrong.secrets)
        assert amplitude.read_probe(wrong.settings, wrong.perform(probe)).outcome is Outcome.BLOCKED


def test_the_probe_uploads_nothing(sender, project):
    probe = amplitude.build_probe(sender.settings, sender.secrets)
    assert not probe.acts
    assert amplitude.read_probe(sender.settings, sender.perform(probe)).outcome is Outcome.ACCEPTED
    assert project.events == {}
    assert amplitude.read_probe(sender.settings, HttpReply(503, {}, b"")).outcome is Outcome.RETRY_LATER


@pytest.mark.parametrize(
    ("sick", "target", "said", "later"),
    [
        ((429, {}, {"code": 429, "throttled_users": {"user-42": 11}}), "events", ("retry_later", "http_429"), 30.0),
        ((429, {"Retry-After": "2"}, {}), "people", ("retry_later", "http_429"), 2.0),
        ((413, {}, {"code": 413, "error": "too large"}), "events", ("rejected", "http_413"), None),
        ((400, {}, {"code": 400, "silenced_events": [0]}), "events", ("rejected", "silenced"), None),
        (
            (400, {}, {"events_with_invalid_id_lengths": {"user_id": [0]}}),
            "events",
            ("rejected", "user_id:short"),
            None,
        ),
        (
            (400, {}, {"events_with_invalid_fields": {"kim@people.test": [0]}}),
            "events",
            ("rejected", "row:invalid"),
            None,
        ),
        ((400, {}, {"events_with_invalid_fields": ["x"]}), "events", ("rejected", "http_400"), None),
        ((400, {}, []), "events", ("rejected", "http_400"), None),
        ((200, {}, {"code": 200, "events_ingested": 0}), "events", ("unknown", "fewer_ingested"), None),
        ((200, {}, {}), "events", ("unknown", "http_200_unreadable"), None),
        ((200, {}, b"<html>"), "people", ("unknown", "http_200_unreadable"), None),
        ((200, {}, {}), "cohort:c1", ("unknown", "http_200_unreadable"), None),
        ((200, {}, {"memberships_result": [None]}), "cohort:c1", ("unknown", "http_200_unreadable"), None),
        ((500, {}, {}), "people", ("retry_later", "http_500"), None),
        ((504, {}, {}), "people", ("unknown", "http_504"), None),
    ],
)
def test_what_it_may_answer_besides(sender, project, sick, target, said, later):
    project.sick = sick
    told = event(1) if target == "events" else row("add", {"user_id": "user-1"})
    done = sender.send([told], target, "append" if target == "events" else "upsert")
    assert outcomes(done) == [said]
    assert done.last.retry_after == later


@pytest.mark.parametrize(
    ("told", "target", "code"),
    [
        (row("add", {"name": "Kim"}), "people", "row:no_key"),
        (row("remove", {"user_id": "user-1"}), "people", "amplitude:people_are_not_removed"),
        (row("add", {"insert_id": 2}, user_id="user-1"), "events", "event:no_name"),
        (row("add", {"insert_id": 2}, event_type="x"), "events", "row:no_key"),
        (row("add", {"user_id": ""}), "cohort:c1", "row:no_key"),
    ],
)
def test_a_row_that_cannot_be_said_is_refused_alone(told, target, code):
    good = row("add", {"user_id": "user-1", "insert_id": 1}, event_type="x")
    settings = amplitude.Settings(api_key_env="K", secret_key_env="S")
    batch = batch_of([good, told], target, "append" if target == "events" else "mirror")
    with pytest.raises(RowsRefused) as refused:
        amplitude.build_request(settings, Secrets(SECRETS), batch)
    assert refused.value.rows == {1: code}


@pytest.mark.parametrize(
    ("target", "code"), [("persons", "target:not_known"), ("cohort:c1", "connection:no_secret_key")]
)
def test_what_cannot_be_said_at_all_is_refused(target, code):
    batch = batch_of([row("add", {"user_id": "user-1"})], target)
    with pytest.raises(RefusedError, match=code):
        amplitude.build_request(amplitude.Settings(api_key_env="K"), Secrets({"api_key_env": "key"}), batch)


def test_the_region_is_two_hosts():
    settings = amplitude.Settings(api_key_env="K", secret_key_env="S", region="eu")
    assert settings.host == "https://api.eu.amplitude.com"
    batch = batch_of([row("add", {"amplitude_id": "7"})], "cohort:c1")
    request = amplitude.build_request(settings, Secrets(SECRETS), batch)
    assert request.url == "https://analytics.eu.amplitude.com/api/3/cohorts/membership"
    assert b'"id_type":"BY_ID"' in request.body
