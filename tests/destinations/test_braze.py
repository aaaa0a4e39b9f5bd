"""Braze against a far end that keeps people and counts events, and names what it refuses by its place."""

from __future__ import annotations

import json

import pytest
from far_end import AT, Sender, batch_of, listening, outcomes, row

from tailrace.destinations import braze
from tailrace.destinations.base import HttpReply, Outcome, RefusedError, RowsRefused, Secrets

SECRETS = {"api_key_env": "key"}
GOOD = {"message": "success"}


class Workspace:
    """People by external id or e-mail; events, each time they are said; who is subscribed to what."""

    def __init__(self) -> None:
        self.people: dict[str, dict] = {}
        self.events: list[dict] = []
        self.groups: dict[str, set[str]] = {"g1": set()}
        self.sick: tuple | None = None
        self.deletions: list[int] = []
        self.n_calls = 0

    def __call__(self, call):
        self.n_calls += 1
        if call.headers["authorization"] != "Bearer key":
            return 401, {}, {"message": "Invalid API key: kim@people.test"}
        if self.sick is not None:
            return self.sick
        return {
            "/users/track": self.track,
            "/users/delete": self.delete,
            "/v2/subscription/status/set": self.subscribe,
        }[call.path](call.said)

    def track(self, told):
        objects = [(kind, one) for kind, many in told.items() for one in many]
        assert len(objects) <= 75
        assert all(len(one.keys() & {"external_id", "email", "user_alias", "braze_id", "phone"}) for _, one in objects)
        bad = [
            {"type": "'external_id' kim is too long", "input_array": kind, "index": index}
            for index, (kind, one) in enumerate(objects)
            if one.get("external_id") == "bad"
        ]
        if len(bad) == len(objects) or any(one.get("external_id") == "fatal" for _, one in objects):
            named = [
                {"type": "x", "input_array": k, "index": i} for i, (k, o) in enumerate(objects) if "fatal" in str(o)
            ]
            return 400, {}, {"message": "Valid data must be provided", "errors": bad or named}
        for kind, one in objects:
            if one.get("external_id") == "bad":
                continue
            who = one.get("external_id") or one.get("email")
            if kind != "attributes":
                self.events.append(one)
            elif who in self.people or not one["_update_existing_only"]:
                self.people.setdefault(who, {}).update(
                    {name: value for name, value in one.items() if name not in {"external_id", "_update_existing_only"}}
                )
        return 201, {}, {**GOOD, "attributes_processed": len(objects) - len(bad), **({"errors": bad} if bad else {})}

    def delete(self, told):
        ids = told.get("external_ids", [])
        assert len(ids) <= 50
        self.deletions.append(len(ids))
        for one in ids:
            self.people.pop(one, None)
        return 200, {}, {"deleted": len(ids), **GOOD}

    def subscribe(self, told):
        (group,) = told["subscription_groups"]
        assert len(group["external_ids"]) <= 50
        held = self.groups[group["subscription_group_id"]]
        ids = set(group["external_ids"])
        self.groups["g1"] = held | ids if group["subscription_state"] == "subscribed" else held - ids
        return 201, {}, GOOD


@pytest.fixture
def workspace():
    return Workspace()


@pytest.fixture
def sender(workspace):
    with listening(workspace) as end:
        yield Sender(braze, end, SECRETS)


def people(n, **data):
    return [row("add", {"external_id": str(each)}, **data) for each in range(n)]


def test_people_are_changed_75_a_call_and_deleted_50_a_call(sender, workspace):
    done = sender.send(people(200, plan="pro", dob="1990-01-01 00:00:00"), "people")
    assert {outcome for outcome, _ in outcomes(done)} == {"accepted"}
    assert workspace.people["199"] == {"plan": "pro", "dob": "1990-01-01"}
    gone = [row("remove", {"external_id": str(each)}) for each in range(199)]
    assert {outcome for outcome, _ in outcomes(sender.send(gone, "people"))} == {"accepted"}
    assert list(workspace.people) == ["199"]
    assert workspace.deletions == [50, 25, 50, 25, 49]


def test_the_objects_that_an_answer_names_are_the_rows_that_were_refused(sender, workspace):
    rows = [row("add", {"external_id": name}, plan="pro") for name in ("1", "bad", "3")]
    assert outcomes(sender.send(rows, "people")) == [
        ("accepted", "http_201"), ("rejected", "refused"), ("accepted", "http_201"),
    ]  # fmt: skip
    assert list(workspace.people) == ["1", "3"]


def test_a_call_that_is_refused_for_one_row_leaves_the_others_for_the_next(sender, workspace):
    rows = [row("add", {"external_id": name}, plan="pro") for name in ("1", "fatal", "3")]
    assert outcomes(sender.send(rows, "people")) == [
        ("retry_later", "neighbours_refused"), ("rejected", "refused"), ("retry_later", "neighbours_refused"),
    ]  # fmt: skip
    assert not workspace.people, "nothing of a refused call is there"


def test_an_audience_is_an_attribute_and_nobody_is_made_to_leave_it(sender, workspace):
    sender.send(people(2), "attribute:in_churn_risk")
    sender.send([row("remove", {"external_id": name}) for name in ("1", "7")], "attribute:in_churn_risk")
    assert workspace.people == {"0": {"in_churn_risk": True}, "1": {"in_churn_risk": False}}


def test_who_is_not_there_is_not_made_when_only_updates_are_wanted(sender, workspace):
    sender.send(people(2, plan="pro"), "people", "update_only")
    assert workspace.people == {}


def test_a_subscription_group_gets_and_loses_people(sender, workspace):
    sender.send(people(60), "subscription_group:g1")
    assert len(workspace.groups["g1"]) == 60
    sender.send([row("remove", {"external_id": "5"})], "subscription_group:g1")
    assert len(workspace.groups["g1"]) == 59


def test_events_are_said_as_braze_reads_them(workspace):
    rows = [row("add", {"event_id": 1}, external_id="7", name="paid", time="2026-03-01 05:00:00+00", total=9.5)]
    with listening(workspace) as end:
        Sender(braze, end, SECRETS, app_id="app").send(rows, "events", "append")
    assert workspace.events == [
        {"external_id": "7", "app_id": "app", "time": "2026-03-01T05:00:00.000Z", "name": "paid",
         "properties": {"total": 9.5}, "_update_existing_only": False},
    ]  # fmt: skip


def test_events_are_never_said_again_by_themselves():
    assert not braze.CAPABILITIES.is_idempotent
    told = batch_of([row("add", {"event_id": 1}, external_id="7", name="paid", time="2026-03-01")], "events", "upsert")
    with pytest.raises(RefusedError, match="mode:append_only"):
        braze.build_request(braze.Settings(api_key_env="K"), Secrets(SECRETS), told)


@pytest.mark.parametrize(
    ("sick", "outcome", "later"),
    [
        ((429, {"X-RateLimit-Reset": str(int(AT.timestamp()) + 33)}, {"message": "limit"}), "retry_later", 33.0),
        ((500, {}, {"message": "error"}), "retry_later", None),
        ((201, {}, b"<html>"), "unknown", None),
        ((201, {}, {}), "unknown", None),
        ((201, {}, {**GOOD, "errors": ["a user failed"]}), "unknown", None),
        ((201, {}, {**GOOD, "errors": [{"index": 9}]}), "unknown", None),
        ((400, {}, {"message": "wrong"}), "rejected", None),
        ((403, {}, {"message": "no"}), "blocked", None),
        ((413, {}, b""), "rejected", None),
        ((502, {}, b""), "unknown", None),
    ],
)
def test_what_it_may_answer_besides(sender, workspace, sick, outcome, later):
    workspace.sick = sick
    done = sender.send(people(2), "people")
    assert {said for said, _ in outcomes(done)} == {outcome}
    assert done.last.retry_after == later


def test_a_deletion_whose_first_half_fails_does_not_go_on(sender, workspace):
    workspace.sick = (500, {}, GOOD)
    gone = [row("remove", {"external_id": str(each)}) for each in range(75)]
    assert {said for said, _ in outcomes(sender.send(gone, "people"))} == {"retry_later"}
    assert workspace.n_calls == 1


@pytest.mark.parametrize(
    ("key", "who"),
    [
        ({"external_id": "7"}, {"external_id": "7"}),
        ({"email": "a@people.test"}, {"email": "a@people.test"}),
        ({"alias_name": "n", "alias_label": "l"}, {"user_alias": {"alias_name": "n", "alias_label": "l"}}),
    ],
)
def test_a_person_is_named_in_one_way(key, who):
    settings, secrets = braze.Settings(api_key_env="K"), Secrets(SECRETS)
    told = braze.build_request(settings, secrets, batch_of([row("add", key, city="Rome")], "people")).body
    assert told == braze.orjson.dumps({"attributes": [{"city": "Rome", **who, "_update_existing_only": False}]})


def test_a_call_names_people_by_one_kind_of_identifier():
    settings = braze.Settings(api_key_env="K")
    rows = [row("remove", {kind: f"{kind}-{n}"}) for n in range(2) for kind in ("external_id", "braze_id")]
    request = braze.build_request(settings, Secrets(SECRETS), batch_of(rows, "people"))
    steps = request.steps()
    first = json.loads(steps.send(None).body)
    second = json.loads(steps.send(HttpReply(200, {}, b'{"message": "success"}')).body)
    assert first == {"external_ids": ["external_id-0", "external_id-1"]}
    assert second == {"braze_ids": ["braze_id-0", "braze_id-1"]}


def test_deletion_by_address_says_which_of_several():
    settings, secrets = braze.Settings(api_key_env="K"), Secrets(SECRETS)
    told = braze.build_request(settings, secrets, batch_of([row("remove", {"email": "a@people.test"})], "people"))
    assert told.body == (b'{"email_addresses":[{"email":"a@people.test","prioritization":["most_recently_updated"]}]}')


@pytest.mark.parametrize(
    ("told", "target", "code"),
    [
        (row("add", {"name": "Kim"}), "people", "row:no_key"),
        (row("add", {"external_id": 2}, note="x" * 110_000), "people", "row:too_large"),
        (row("add", {"event_id": 2}, external_id=1, time="2026-03-01"), "events", "event:no_name"),
        (row("add", {"event_id": 2}, external_id=1, name="x"), "events", "event:no_time"),
        (row("add", {"braze_id": 2}), "subscription_group:g1", "row:no_key"),
    ],
)
def test_a_row_that_cannot_be_said_is_refused_alone(told, target, code):
    good = row("add", {"external_id": 1, "event_id": 1}, name="x", time="2026-03-01")
    mode = "append" if target == "events" else "mirror"
    with pytest.raises(RowsRefused) as refused:
        braze.build_request(braze.Settings(api_key_env="K"), Secrets(SECRETS), batch_of([good, told], target, mode))
    assert refused.value.rows == {1: code}


def test_the_instance_is_the_host_and_the_probe_tracks_nobody(sender, workspace):
    assert braze.Settings(api_key_env="K", instance="fra-01").host == "https://rest.fra-01.braze.eu"
    assert braze.Settings(api_key_env="K").host == "https://rest.iad-01.braze.com"
    probe = braze.build_probe(sender.settings, sender.secrets)
    assert not probe.acts
    assert braze.read_probe(sender.settings, sender.perform(probe)).outcome is Outcome.ACCEPTED
    assert workspace.people == {}
    assert braze.read_probe(sender.settings, HttpReply(401, {}, b"{}")).outcome is Outcome.BLOCKED
    assert braze.read_probe(sender.settings, HttpReply(200, {}, b"<html>")).outcome is Outcome.UNKNOWN
