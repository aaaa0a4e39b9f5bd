"""Customer.io against a far end that keeps people, events and segments, and answers in the Track API's words."""

from __future__ import annotations

import base64

import pytest
from far_end import AT, Sender, batch_of, listening, outcomes, row

from tailrace.destinations import customerio
from tailrace.destinations.base import HttpReply, Outcome, RefusedError, RowsRefused, Secrets

SECRETS = {"site_id_env": "site", "api_key_env": "key"}
LOGIN = "Basic " + base64.b64encode(b"site:key").decode()


class Track:
    """A workspace: people and their attributes, events by id, manual segments, objects."""

    def __init__(self) -> None:
        self.people: dict[str, dict] = {}
        self.events: dict[str, str] = {}
        self.segments: dict[str, set[str]] = {"7": set()}
        self.seen: list[dict] = []
        self.sick: tuple | None = None

    def __call__(self, call):
        if call.headers["authorization"] != LOGIN and not call.path.startswith("/v1/segments"):
            return 401, {}, {"meta": {"error": "Unauthorized request"}}
        if self.sick is not None:
            return self.sick
        if call.path == "/api/v1/accounts/region":
            return 200, {}, {"url": "https://track.customer.io", "region": "us", "environment_id": 3}
        if call.path.startswith("/v1/segments/"):
            count = len(self.segments[call.path.split("/")[3]])
            return 200, {}, {"segment_id": 7, "count": count, "key": call.headers["authorization"]}
        if call.path.startswith("/api/v1/segments/"):
            _, _, _, _, segment, verb = call.path.split("/")
            if segment not in self.segments:
                return 404, {}, {"meta": {"errors": ["not found"]}}
            ids = set(call.said["ids"])
            assert 1 <= len(call.said["ids"]) <= 1000
            held = self.segments[segment]
            self.segments[segment] = held - ids if verb == "remove_customers" else held | ids
            return 200, {}, {}
        return self.batch(call.said["batch"])

    def batch(self, operations):
        errors = []
        if any("whole" in str(one) for one in operations):
            return 400, {}, {"errors": [{"reason": "invalid", "field": "batch", "message": "kim@people.test"}]}
        for index, one in enumerate(operations):
            kind, who = next(iter(one.get("identifiers", {"merge": "-"}).items()))
            if kind == "email" and "@" not in who:
                said = {"batch_index": index, "reason": "invalid", "field": "identifiers.email", "message": who}
                errors.append(said)
                continue
            self.seen.append(one)
            match one["action"]:
                case "identify":
                    self.people.setdefault(who, {}).update(one["attributes"])
                case "delete" | "suppress":
                    self.people.pop(who, None)
                case "event":
                    self.events.setdefault(one["id"], one["name"])
        return (207, {}, {"errors": errors}) if errors else (200, {}, {})


@pytest.fixture
def track():
    return Track()


@pytest.fixture
def sender(track):
    with listening(track) as end:
        yield Sender(customerio, end, SECRETS)


def test_people_are_identified_changed_and_deleted(sender, track):
    added = [row("add", {"id": 42}, plan="pro", seen_at="2026-03-01 05:00:00"), row("add", {"id": 43}, plan=None)]
    assert outcomes(sender.send(added, "people")) == [("accepted", "http_200")] * 2
    assert track.people == {"42": {"plan": "pro", "seen_at": 1772341200}, "43": {"plan": None}}
    sender.send([row("remove", {"id": 43})], "people")
    assert list(track.people) == ["42"]


def test_the_operations_that_a_207_names_are_the_rows_that_were_refused(sender, track):
    rows = [row("add", {"email": name}, plan="pro") for name in ("a@people.test", "broken", "c@people.test")]
    assert outcomes(sender.send(rows, "people")) == [
        ("accepted", "http_207"), ("rejected", "identifiers.email:invalid"), ("accepted", "http_207"),
    ]  # fmt: skip
    assert list(track.people) == ["a@people.test", "c@people.test"]


def test_a_batch_that_is_refused_as_a_whole_is_halved_until_the_row_is_known(sender, track):
    rows = [row("add", {"id": n}, plan="whole" if n == 5 else "pro") for n in range(8)]
    said = outcomes(sender.send(rows, "people"))
    assert said[5] == ("rejected", "http_400")
    assert [one for one, _ in said].count("accepted") == 7
    assert len(track.people) == 7


def test_an_event_has_the_same_id_at_every_attempt_and_in_every_plan(sender, track):
    rows = [row("add", {"event_id": f"e{n}"}, id=42, name="order_paid", timestamp="2026-03-01T05:00:00Z") for n in "ab"]
    rows.append(row("add", {"order_id": 7}, id=42, name="order_paid"))
    sender.send(rows, "events", "append", plan="p1")
    sender.send(rows[::-1], "events", "append", plan="p2")
    assert len(track.seen) == 6
    assert list(track.events.values()) == ["order_paid"] * 3, "the workspace knows them again"
    assert {one.get("timestamp") for one in track.seen} == {1772341200, None}


def test_a_segment_gets_and_loses_people_a_thousand_ids_a_call(sender, track):
    added = [row("add", {"id": n}) for n in range(1200)]
    assert {outcome for outcome, _ in outcomes(sender.send(added, "segment:7"))} == {"accepted"}
    assert len(track.segments["7"]) == 1200
    sender.send([row("remove", {"id": n}) for n in range(1199)], "segment:7")
    assert track.segments["7"] == {"1199"}


def test_a_segment_that_is_not_there_stops_everything(sender):
    done = sender.send([row("add", {"id": n}) for n in range(1200)], "segment:8")
    assert set(outcomes(done)) == {("blocked", "http_404")}
    assert done.last.is_systemic


@pytest.mark.parametrize(
    ("sick", "outcome", "later"),
    [
        ((429, {}, {}), "retry_later", None),
        ((429, {"Retry-After": "7"}, {}), "retry_later", 7.0),
        ((429, {"X-RateLimit-Reset": str(int(AT.timestamp()) + 9)}, {}), "retry_later", 9.0),
        ((500, {}, b"<html>"), "retry_later", None),
        ((502, {}, b""), "unknown", None),
        ((302, {"Location": "https://elsewhere.test"}, b""), "blocked", None),
        ((200, {}, b"<html>log in</html>"), "unknown", None),
        ((200, {}, []), "unknown", None),
        ((207, {}, {"errors": [{"batch_index": 99}]}), "unknown", None),
        ((207, {}, {"errors": "many"}), "unknown", None),
        ((207, {}, {}), "unknown", None),
    ],
)
def test_what_the_workspace_may_answer_besides(sender, track, sick, outcome, later):
    track.sick = sick
    done = sender.send([row("add", {"id": 1}), row("add", {"id": 2})], "people")
    assert {said for said, _ in outcomes(done)} == {outcome}
    assert done.last.retry_after == later


def test_wrong_credentials_block(track):
    with listening(track) as end:
        wrong = Sender(customerio, end, {**SECRETS, "api_key_env": "old"})
        assert outcomes(wrong.send([row("add", {"id": 1})], "people")) == [("blocked", "http_401")]
        probe = wrong.perform(customerio.build_probe(wrong.settings, wrong.secrets))
        assert customerio.read_probe(wrong.settings, probe).outcome is Outcome.BLOCKED


def test_the_probe_changes_nothing_and_knows_the_region(sender, track):
    request = customerio.build_probe(sender.settings, sender.secrets)
    assert not request.acts
    assert customerio.read_probe(sender.settings, sender.perform(request)).outcome is Outcome.ACCEPTED
    european = HttpReply(200, {}, b'{"region": "eu"}')
    assert customerio.read_probe(sender.settings, european).code == "other_region"
    assert customerio.read_probe(sender.settings, HttpReply(200, {}, b"<html>")).outcome is Outcome.UNKNOWN


def test_the_app_api_says_how_many_a_segment_has(track):
    track.segments["7"] = {"1", "2"}
    with listening(track) as end:
        sender = Sender(customerio, end, {**SECRETS, "app_api_key_env": "app"})
        request = customerio.build_match(sender.settings, sender.secrets, "segment:7")
        assert request.headers["authorization"] == "Bearer app"
        assert customerio.read_match(sender.settings, sender.perform(request)) == 2
    with pytest.raises(RefusedError):
        customerio.build_match(sender.settings, Secrets(SECRETS), "segment:7")
    assert customerio.read_match(sender.settings, HttpReply(200, {}, b"{}")) is None


PERSON = {"type": "person", "identifiers": {"id": "42"}}
ACME = {"type": "object", "identifiers": {"object_type_id": "2", "object_id": "acme"}}


@pytest.mark.parametrize(
    ("target", "mode", "told", "operation"),
    [
        ("people", "mirror", row("add", {"email": "a@people.test"}, id=7),
         {"type": "person", "identifiers": {"email": "a@people.test"}, "action": "identify", "attributes": {"id": 7}}),
        ("people", "update_only", row("add", {"id": 42}, plan="pro"),
         {**PERSON, "action": "identify", "attributes": {"plan": "pro", "_update": True}}),
        ("people", "mirror", row("add", {"id": 42}, timestamp="2026-03-01", cio_relationships=[
            {"identifiers": {"object_type_id": "1", "object_id": "acme"}}]),
         {**PERSON, "action": "identify", "attributes": {}, "timestamp": 1772323200, "_timestamp": 1772323200,
          "cio_relationships": [{"identifiers": {"object_type_id": "1", "object_id": "acme"}}]}),
        ("events:page", "append", row("add", {"event_id": "01HV5YC8D1ZQXQ7W4B1T2M3N4P"}, id=42, name="https://x.test"),
         {**PERSON, "action": "page", "name": "https://x.test", "id": "01HV5YC8D1ZQXQ7W4B1T2M3N4P", "attributes": {}}),
        ("suppressions", "mirror", row("add", {"id": 42}), {**PERSON, "action": "suppress"}),
        ("suppressions", "mirror", row("remove", {"id": 42}), {**PERSON, "action": "unsuppress"}),
        ("deletions", "append", row("add", {"id": 42}), {**PERSON, "action": "delete"}),
        ("merges", "append", row("add", {"primary_id": 1, "secondary_email": "b@people.test"}),
         {"type": "person", "action": "merge", "primary": {"id": "1"}, "secondary": {"email": "b@people.test"}}),
        ("devices", "mirror", row("add", {"id": 42, "token": "t"}, platform="iOS", last_used="2026-03-01", app="2.1"),
         {**PERSON, "action": "add_device",
          "device": {"token": "t", "platform": "ios", "last_used": 1772323200, "attributes": {"app": "2.1"}}}),
        ("devices", "mirror", row("remove", {"id": 42, "token": "t"}),
         {**PERSON, "action": "delete_device", "device": {"token": "t"}}),
        ("objects:2", "mirror", row("add", {"object_id": "acme"}, name="Acme"),
         {**ACME, "action": "identify", "attributes": {"name": "Acme"}}),
        ("objects:2", "mirror", row("remove", {"object_id": "acme"}), {**ACME, "action": "delete"}),
        ("relationships:2", "mirror", row("add", {"object_id": "acme", "id": 42}, role="admin"),
         {**ACME, "action": "add_relationships",
          "cio_relationships": [{"identifiers": {"id": "42"}, "relationship_attributes": {"role": "admin"}}]}),
        ("relationships:2", "mirror", row("remove", {"object_id": "acme", "id": 42}),
         {**ACME, "action": "delete_relationships", "cio_relationships": [{"identifiers": {"id": "42"}}]}),
    ],
)  # fmt: skip
def test_each_target_says_its_operation(sender, track, target, mode, told, operation):
    sender.send([told], target, mode)
    assert track.seen == [operation]


def test_a_eu_account_is_called_in_the_eu():
    settings = customerio.Settings(site_id_env="S", api_key_env="K", region="eu")
    request = customerio.build_request(
        settings, Secrets(SECRETS), batch_of([row("add", {"email": "a@b.test"})], "people")
    )
    assert request.url == "https://track-eu.customer.io/api/v2/batch"
    told = batch_of([row("remove", {"email": "a@b.test"})], "segment:7")
    request = customerio.build_request(settings, Secrets(SECRETS), told)
    assert request.url == "https://track-eu.customer.io/api/v1/segments/7/remove_customers?id_type=email"


@pytest.mark.parametrize(
    ("told", "target", "code"),
    [
        (row("add", {"name": "Kim"}), "people", "row:no_key"),
        (row("add", {"id": ""}), "people", "row:no_key"),
        (row("add", {"id": 2}, note="x" * 33_000), "people", "row:too_large"),
        (row("add", {"event_id": 1}, id=2), "events", "event:no_name"),
        (row("add", {"event_id": 1}, id=2, name="x", type="click"), "events", "event:type"),
        (row("add", {"object_id": 1}), "relationships:1", "row:no_key"),
        (row("add", {"id": 1}, cio_relationships="acme"), "people", "row:cio_relationships"),
        (("add", "text", {}), "people", "row:not_an_object"),
    ],
)
def test_a_row_that_cannot_be_said_is_refused_and_its_neighbours_are_not(told, target, code):
    good = row("add", {"id": 1, "event_id": 3, "object_id": "acme"}, name="bought")
    settings = customerio.Settings(site_id_env="S", api_key_env="K")
    mode = "append" if target == "events" else "mirror"
    with pytest.raises(RowsRefused) as refused:
        customerio.build_request(settings, Secrets(SECRETS), batch_of([good, told], target, mode))
    assert refused.value.rows == {1: code}


@pytest.mark.parametrize(
    ("told", "mode", "code"),
    [
        (row("add", {"event_id": 1}, id=2, name="x"), "upsert", "mode:append_only"),
        (row("remove", {"event_id": 1}), "append", "target:nothing_is_removed_here"),
    ],
)
@pytest.mark.parametrize("target", ["events", "merges", "deletions"])
def test_what_happened_is_only_appended(told, mode, code, target):
    settings = customerio.Settings(site_id_env="S", api_key_env="K")
    with pytest.raises(RefusedError, match=code):
        customerio.build_request(settings, Secrets(SECRETS), batch_of([told], target, mode))


@pytest.mark.parametrize("target", ["persons", "segment:", "segment:vip", ""])
def test_a_target_that_is_not_known_is_refused(target):
    settings = customerio.Settings(site_id_env="S", api_key_env="K")
    with pytest.raises(RefusedError, match="target:"):
        customerio.build_request(settings, Secrets(SECRETS), batch_of([row("add", {"id": 1})], target))


def test_a_ulid_is_kept_and_any_other_id_makes_one():
    assert customerio.ulid("01hv5yc8d1zqxq7w4b1t2m3n4p", None) == "01HV5YC8D1ZQXQ7W4B1T2M3N4P"
    made = customerio.ulid("order-1", "2026-03-01T00:00:00Z")
    assert made == customerio.ulid("order-1", "2026-03-01 00:00:00")
    assert len(made) == 26
    assert made[:10] == "01KJKB3Q00", "the ten characters of the event's millisecond"
    assert customerio.ulid("order-2", "2026-03-01") != made
    assert customerio.ulid("order-1", None).startswith("0000000000")
