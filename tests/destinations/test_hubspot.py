"""HubSpot against a far end that keeps records and a list, and answers as its CRM API does."""

from __future__ import annotations

import json

import pytest
from far_end import Sender, batch_of, listening, outcomes, row
from hypothesis import given
from hypothesis import strategies as st

from tailrace.destinations import hubspot
from tailrace.destinations.base import Exchange, HttpReply, Outcome, RefusedError, Secrets

SECRETS = {"token_env": "token"}


class Portal:
    """One account: contacts by record id; one static list. `strict`: one bad input refuses the whole call."""

    def __init__(self) -> None:
        self.contacts: dict[str, dict[str, str]] = {}
        self.members: set[str] = set()
        self.strict = False
        self.sick: tuple | None = None

    def __call__(self, call):
        assert call.headers["authorization"] == "Bearer token"
        if self.sick is not None:
            return self.sick
        if call.path == "/account-info/v3/details":
            return 200, {}, {"portalId": 62515, "timeZone": "Europe/Berlin"}
        if call.path.startswith("/crm/v3/lists/7"):
            return self.list(call)
        assert call.path.startswith("/crm/v3/objects/contacts/batch/")
        verb, inputs = call.path.rsplit("/", 1)[1], call.said["inputs"]
        assert 1 <= len(inputs) <= 100
        if verb == "read":
            found = [self.known(call.said["idProperty"], one["id"]) for one in inputs]
            results = [{"id": record, "properties": self.contacts[record]} for record in found if record]
            missing = [one["id"] for one, record in zip(inputs, found, strict=True) if not record]
            errors = {"numErrors": 1, "errors": [not_found(missing)]} if missing else {}
            return 207 if missing else 200, {}, {"status": "COMPLETE", "results": results, **errors}
        if verb == "archive":
            for one in inputs:
                self.contacts.pop(one["id"], None)
            return 204, {}, b""
        return self.write(verb, inputs)

    def known(self, name, value):
        same = (record for record, told in self.contacts.items() if told.get(name, "").lower() == value.lower())
        return next(same, None)

    def write(self, verb, inputs):
        results, errors = [], []
        for one in inputs:
            assert all(isinstance(value, str) for value in one["properties"].values())
            record = self.known(one["idProperty"], one["id"])
            trace = {"objectWriteTraceId": one["objectWriteTraceId"]}
            if one["properties"].get("lifecyclestage") == "nonsense":
                if self.strict:
                    return 400, {}, {"status": "error", "category": "VALIDATION_ERROR", "message": "kim@example.com"}
                context = {"objectWriteTraceId": [one["objectWriteTraceId"]]}
                errors.append({"status": "error", "category": "VALIDATION_ERROR", "context": context, "message": "kim"})
            elif record is None and verb == "update":
                errors.append(not_found([one["id"]]))
            else:
                record = record or str(100 + len(self.contacts))
                self.contacts[record] = {**self.contacts.get(record, {}), **one["properties"]}
                results.append({"id": record, **trace})
        more = {"numErrors": len(errors), "errors": errors} if errors else {}
        return 207 if errors else 200, {}, {"status": "COMPLETE", "results": results, **more}

    def list(self, call):
        if call.method == "GET":
            return 200, {}, {"list": {"listId": "7", "additionalProperties": {"hs_list_size": str(len(self.members))}}}
        assert call.path == "/crm/v3/lists/7/memberships/add-and-remove"
        adding, removing = set(call.said["recordIdsToAdd"]), set(call.said["recordIdsToRemove"])
        missing = (adding | removing) - self.contacts.keys()
        self.members = (self.members | adding - missing) - removing
        return 200, {}, {"recordsIdsAdded": sorted(adding - missing), "recordIdsMissing": sorted(missing)}


def not_found(ids):
    message = "Could not get some CONTACT objects, they may be deleted or not exist."
    return {"status": "error", "category": "OBJECT_NOT_FOUND", "message": message, "context": {"ids": ids}}


@pytest.fixture
def portal():
    portal = Portal()
    with listening(portal) as end:
        yield portal, end, Sender(hubspot, end, SECRETS)


def contact(key, **more):
    return row("add", {"warehouse_id": key}, **more)


def test_records_are_upserted_a_hundred_a_call_and_every_property_is_text(portal):
    far, end, sender = portal
    more = {"email": "kim@example.com", "score": 1.5, "is_trial": True, "left_at": None, "tags": ["a", "b"]}
    done = sender.send([contact(f"u{n}", **more) for n in range(230)], "contacts")
    assert set(outcomes(done)) == {("accepted", "ok")}
    assert [len(call.said["inputs"]) for call in end.calls] == [100, 100, 30]
    assert end.calls[0].path == "/crm/v3/objects/contacts/batch/upsert"
    assert end.calls[0].said["inputs"][0] == {
        "idProperty": "warehouse_id",
        "id": "u0",
        "objectWriteTraceId": "0",
        "properties": {
            "warehouse_id": "u0", "email": "kim@example.com", "score": "1.5", "is_trial": "true", "left_at": "",
            "tags": "a;b",
        },
    }  # fmt: skip
    assert len(far.contacts) == 230


@pytest.mark.parametrize("strict", [False, True])
def test_a_bad_row_is_found_by_its_trace_or_by_halving_and_its_neighbours_go(portal, strict):
    far, _, sender = portal
    far.strict = strict
    told = [contact(f"u{n}", lifecyclestage="nonsense" if n == 5 else "lead") for n in range(9)]
    done = sender.send(told, "contacts")
    assert outcomes(done) == [("rejected", "VALIDATION_ERROR") if n == 5 else ("accepted", "ok") for n in range(9)]
    assert len(far.contacts) == 8


def test_update_only_adds_nobody(portal):
    far, _, sender = portal
    sender.send([contact("u1", firstname="Kim")], "contacts")
    done = sender.send([contact("u1", firstname="Lee"), contact("u2", firstname="N")], "contacts", mode="update_only")
    assert outcomes(done) == [("accepted", "ok"), ("rejected", "not_found")]
    assert [one["firstname"] for one in far.contacts.values()] == ["Lee"]


def test_a_mirror_archives_only_when_it_is_told_to_and_who_is_gone_is_gone(portal):
    far, end, sender = portal
    sender.send([contact("u1"), contact("u2")], "contacts")
    gone = [row("remove", {"warehouse_id": "u1"}), row("remove", {"warehouse_id": "never"})]
    assert set(outcomes(sender.send(gone, "contacts"))) == {("rejected", "removal_refused:not_set_up")}
    done = Sender(hubspot, end, SECRETS, removal="archive").send(gone, "contacts")
    assert outcomes(done) == [("accepted", "ok")] * 2
    assert [one["warehouse_id"] for one in far.contacts.values()] == ["u2"]
    done = Sender(hubspot, end, SECRETS, removal="archive").send(gone, "contacts")
    assert outcomes(done) == [("accepted", "ok")] * 2
    assert end.calls[-1].path.endswith("/read"), "nobody is left to archive"


def test_a_list_has_the_contacts_that_hubspot_knows_and_who_goes_stays_a_contact(portal):
    far, _, sender = portal
    sender.send([contact("U1", email="kim@example.com"), contact("u2", email="lee@example.com")], "contacts")
    told = [contact(key) for key in ("u1", "U2", "stranger")]
    done = sender.send(told, "lists/7")
    assert outcomes(done) == [("accepted", "ok")] * 2 + [("rejected", "not_found")]
    assert len(far.members) == 2
    done = sender.send([row("remove", {"warehouse_id": "u1"}), row("remove", {"warehouse_id": "no"})], "lists/7")
    assert outcomes(done) == [("accepted", "ok")] * 2
    assert far.members == {record for record, told in far.contacts.items() if told["warehouse_id"] == "u2"}
    assert len(far.contacts) == 2
    reply = sender.perform(hubspot.build_match(sender.settings, sender.secrets, "lists/7"))
    assert hubspot.read_match(sender.settings, reply) == 1


def test_a_list_by_record_id_needs_no_looking_up_and_says_who_was_not_there(portal):
    far, end, sender = portal
    sender.send([contact("u1")], "contacts")
    told = [row("add", {"hs_object_id": "100"}), row("add", {"hs_object_id": "999"})]
    done = sender.send(told, "lists/7")
    assert outcomes(done) == [("accepted", "ok"), ("rejected", "not_found")]
    assert far.members == {"100"}
    assert [call.path.rsplit("/", 1)[1] for call in end.calls] == ["upsert", "add-and-remove"]


def test_other_objects_have_lists_too():
    settings = hubspot.Settings(token_env="T")
    request = hubspot.build_request(settings, Secrets(SECRETS), batch_of([contact("u1")], "lists/7/companies"))
    assert isinstance(request, Exchange)
    first = request.steps().send(None)
    assert first.url == "https://api.hubapi.com/crm/v3/objects/companies/batch/read"
    asked = json.loads(first.body)
    assert sorted(asked) == ["idProperty", "inputs", "properties", "propertiesWithHistory"], "each is required"
    assert first.acts is False


@pytest.mark.parametrize(
    ("status", "body", "outcome", "code", "wait"),
    [
        (429, {"errorType": "RATE_LIMIT", "policyName": "TEN_SECONDLY_ROLLING"}, "retry_later", "RATE_LIMIT", 10),
        (429, {"errorType": "RATE_LIMIT", "policyName": "DAILY"}, "retry_later", "RATE_LIMIT", 3600),
        (429, {"category": "RATE_LIMITS", "policyName": "SECONDLY"}, "retry_later", "RATE_LIMITS", 1),
        (429, b"", "retry_later", "http_429", None),
        (401, {"category": "INVALID_AUTHENTICATION"}, "blocked", "INVALID_AUTHENTICATION", None),
        (403, {"category": "MISSING_SCOPES"}, "blocked", "MISSING_SCOPES", None),
        (404, {"category": "OBJECT_NOT_FOUND"}, "blocked", "OBJECT_NOT_FOUND", None),
        (423, b"", "retry_later", "http_423", None),
        (477, b"", "retry_later", "http_477", None),
        (500, b"<html>", "unknown", "http_500", None),
        (502, b"", "unknown", "http_502", None),
        (503, b"", "retry_later", "http_503", None),
        (200, b"<html>", "unknown", "http_200_unreadable", None),
        (200, {"results": []}, "unknown", "not_mentioned", None),
        (207, {"results": [], "errors": [{"category": "NEW", "context": {"ids": ["u1"]}}]}, "unknown", "NEW", None),
        (302, b"", "blocked", "http_302", None),
    ],
)
def test_each_answer_has_its_outcome(portal, status, body, outcome, code, wait):
    far, _, sender = portal
    far.sick = status, {}, body
    done = sender.send([contact("u1")], "contacts")
    assert outcomes(done) == [(outcome, code)]
    assert done.last.retry_after == wait


def test_a_throttled_look_up_hands_nothing_over(portal):
    far, end, sender = portal
    far.sick = 429, {}, {"errorType": "RATE_LIMIT", "policyName": "DAILY"}
    assert outcomes(sender.send([contact("u1")], "lists/7")) == [("retry_later", "RATE_LIMIT")]
    far.sick = 200, {}, b"<html>"
    assert outcomes(sender.send([contact("u1")], "lists/7")) == [("unknown", "http_200_unreadable")]
    assert {call.path for call in end.calls} == {"/crm/v3/objects/contacts/batch/read"}


def test_the_credential_can_be_asked_for(portal):
    far, _, sender = portal
    reply = sender.perform(hubspot.build_probe(sender.settings, sender.secrets))
    assert hubspot.read_probe(sender.settings, reply).outcome is Outcome.ACCEPTED
    far.sick = 401, {}, {"category": "INVALID_AUTHENTICATION"}
    reply = sender.perform(hubspot.build_probe(sender.settings, sender.secrets))
    assert hubspot.read_probe(sender.settings, reply).outcome is Outcome.BLOCKED
    assert hubspot.read_match(sender.settings, reply) is None


@pytest.mark.parametrize(
    ("rows", "target", "code"),
    [
        ([row("add", {"a": "1", "b": "2"})], "contacts", "hubspot:one_key_column"),
        ([contact("u1")], "contacts/batch/read?", "hubspot:target_is_no_object_type"),
        ([contact("u1")], "lists/seven", "hubspot:target_is_no_object_type"),
    ],
)
def test_what_hubspot_has_no_name_for_is_refused_before_a_byte_leaves(rows, target, code):
    with pytest.raises(RefusedError) as caught:
        hubspot.build_request(hubspot.Settings(token_env="T"), Secrets(SECRETS), batch_of(rows, target))
    assert caught.value.code == code


def test_rows_without_a_key_are_refused_and_their_neighbours_go_and_an_object_is_its_json(portal):
    far, _, sender = portal
    done = sender.send([contact(""), contact("u1", address={"city": "x"})], "contacts")
    assert outcomes(done) == [("rejected", "row:no_key"), ("accepted", "ok")]
    assert far.contacts["100"]["address"] == '{"city":"x"}'


BODIES = st.from_regex(rb'\{"(results|errors|category|list)": (\[\]|\{\}|1|"x"|\[1\]|null)\}', fullmatch=True)


@given(st.binary(max_size=200) | BODIES, st.integers(100, 599))
def test_whatever_is_answered_nothing_is_raised(body, status):
    settings = hubspot.Settings(token_env="T")
    reply = HttpReply(status, {}, body)
    for op, target in (("add", "contacts"), ("add", "lists/7")):
        batch = batch_of([row(op, {"warehouse_id": "u1"})], target)
        assert hubspot.read_response(settings, batch, reply).code
        answer = hubspot.Answer(status, {}, body, frozenset({0}), {"1": 0})
        assert hubspot.read_response(settings, batch, answer).code
    assert hubspot.read_probe(settings, reply).code
    hubspot.read_match(settings, reply)
    json.dumps(hubspot.read_match(settings, reply))
