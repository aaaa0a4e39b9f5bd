"""Salesforce against a far end that keeps records by external id, and answers as its REST and Bulk 2.0 APIs do."""

from __future__ import annotations

import csv
import io
import json
from urllib.parse import unquote

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from far_end import Sender, batch_of, listening, outcomes, row
from google.auth import jwt
from hypothesis import given
from hypothesis import strategies as st

from tailrace import clock
from tailrace.destinations import salesforce, salesforce_calls, tokens
from tailrace.destinations.base import HttpReply, Outcome, Pause, RefusedError, Secrets
from tailrace.errors import DestinationError

SECRETS = {"client_id_env": "app", "client_secret_env": "secret"}
V = "/services/data/v62.0"


class Org:
    """One organisation: contacts by external id, jobs by id. `calls_left`: the day's calls."""

    def __init__(self) -> None:
        self.contacts: dict[str, dict] = {}
        self.jobs: dict[str, dict] = {}
        self.url = ""
        self.calls_left = 10**6
        self.sick: tuple | None = None
        self.looks_until_done = 2
        self.n_looks = 0
        self.job_ends = "JobComplete"

    def __call__(self, call):
        if call.path == "/services/oauth2/token":
            if call.form.get("client_secret") == "wrong":
                return 400, {}, {"error": "invalid_client", "error_description": "kim@example.com"}
            return 200, {}, {"access_token": "fresh", "instance_url": self.url, "token_type": "Bearer"}
        assert call.headers["authorization"] == "Bearer fresh"
        if self.sick is not None:
            return self.sick
        if self.calls_left == 0:
            return 403, {}, [{"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": "TotalRequests Limit exceeded."}]
        self.calls_left -= 1
        if call.path == f"{V}/limits":
            return 200, {}, {"DailyApiRequests": {"Max": 15000, "Remaining": 14998}}
        if call.path == f"{V}/composite/sobjects/Contact/Ext__c" and call.method == "PATCH":
            assert call.said["allOrNone"] is False
            assert len(call.said["records"]) <= 200
            return 200, {}, [self.upsert(record) for record in call.said["records"]]
        if call.path == f"{V}/composite/batch":
            assert len(call.said["batchRequests"]) <= 25
            results = [self.single(one) for one in call.said["batchRequests"]]
            return 200, {}, {"hasErrors": any(one["statusCode"] >= 300 for one in results), "results": results}
        return self.bulk(call)

    def upsert(self, record):
        assert record.pop("attributes") == {"type": "Contact"}
        key = record.pop("Ext__c")
        if "LastName" in record and not record["LastName"]:
            error = {
                "statusCode": "REQUIRED_FIELD_MISSING",
                "message": "Missing: [LastName] kim",
                "fields": ["LastName"],
            }
            return {"success": False, "errors": [error]}
        if record.get("LastName") == "Locked":
            return {"success": False, "errors": [{"statusCode": "UNABLE_TO_LOCK_ROW", "message": "", "fields": []}]}
        is_new = key not in self.contacts
        self.contacts[key] = {**self.contacts.get(key, {}), **record}
        return {"id": "003x", "success": True, "created": is_new, "errors": []}

    def single(self, one):
        path, _, query = one["url"].partition("?")
        version, _, target, field, key = path.split("/")
        assert (version, target, field) == ("v62.0", "Contact", "Ext__c")
        key = unquote(key)
        if key == "many":
            return {"statusCode": 300, "result": ["/a", "/b"]}
        if key not in self.contacts:
            error = {"errorCode": "NOT_FOUND", "message": "Provided external ID field does not exist"}
            return {"statusCode": 404, "result": [error]}
        if one["method"] == "DELETE":
            del self.contacts[key]
            return {"statusCode": 204, "result": None}
        assert query == "updateOnly=true"
        self.contacts[key] |= one["richInput"]
        return {"statusCode": 200, "result": {"id": "003x", "success": True, "created": False}}

    def bulk(self, call):
        jobs = f"{V}/jobs/ingest"
        if call.path == jobs:
            assert call.said == {
                "object": "Contact", "operation": "upsert", "externalIdFieldName": "Ext__c",
                "contentType": "CSV", "lineEnding": "LF",
            }  # fmt: skip
            self.jobs["750x"] = {"state": "Open", "lines": []}
            return 200, {}, {"id": "750x", "state": "Open"}
        job = self.jobs["750x"]
        if call.path.endswith("/batches"):
            assert call.headers["content-type"] == "text/csv"
            job["lines"] = list(csv.DictReader(io.StringIO(call.body.decode())))
            return 201, {}, b""
        if call.method == "PATCH":
            assert call.said == {"state": "UploadComplete"}
            job["state"] = "UploadComplete"
            return 200, {}, {"id": "750x", "state": "UploadComplete"}
        if call.path == f"{jobs}/750x":
            self.n_looks += 1
            if self.n_looks >= self.looks_until_done and job["state"] == "UploadComplete":
                self.work(job)
            counts = {"numberRecordsProcessed": len(job["lines"]), "numberRecordsFailed": len(job.get("failed", []))}
            return 200, {}, {"id": "750x", "state": job["state"], **counts}
        lines = job[{"successfulResults": "done", "failedResults": "failed"}.get(call.path.split("/")[-1], "left")]
        assert call.headers["accept"] == "text/csv"
        text = io.StringIO()
        if lines:
            writer = csv.DictWriter(text, list(lines[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(lines)
        return 200, {}, text.getvalue().encode()

    def work(self, job):
        job |= {"state": self.job_ends, "done": [], "failed": [], "left": []}
        for line in job["lines"]:
            if line["Ext__c"].startswith("left"):
                job["left"].append(line)
            elif line.get("LastName") == "#N/A":
                error = "REQUIRED_FIELD_MISSING:Required fields are missing: [LastName]:LastName --"
                job["failed"].append({"sf__Id": "", "sf__Error": error, **line})
            else:
                self.contacts[line["Ext__c"]] = {name: one for name, one in line.items() if name != "Ext__c"}
                job["done"].append({"sf__Id": "003x", "sf__Created": "true", **line})


@pytest.fixture
def org():
    org = Org()
    with listening(org) as end:
        org.url = end.url
        yield org, end


def sender(end, **more):
    return Sender(salesforce, end, SECRETS, **more)


def contact(key, **more):
    return row("add", {"Ext__c": key}, **more)


@pytest.fixture
def slept(monkeypatch):
    waits = []
    monkeypatch.setattr(clock, "sleep", waits.append)
    return waits


def test_records_are_upserted_two_hundred_a_call_under_one_token_and_each_has_its_own_answer(org):
    far, end = org
    told = [contact(f"u{n}", LastName="" if n == 250 else "Locked" if n == 3 else f"L{n}") for n in range(450)]
    done = sender(end).send(told, "Contact")
    said = outcomes(done)
    assert said[250] == ("rejected", "REQUIRED_FIELD_MISSING")
    assert said[3] == ("retry_later", "UNABLE_TO_LOCK_ROW")
    assert {one for n, one in enumerate(said) if n not in {3, 250}} == {("accepted", "ok")}
    assert len(far.contacts) == 448
    assert [call.path.split("/")[-1] for call in end.calls] == ["token", "Ext__c", "Ext__c", "Ext__c"]
    assert end.calls[1].said["records"][0] == {"attributes": {"type": "Contact"}, "Ext__c": "u0", "LastName": "L0"}


def test_a_parent_is_named_by_its_own_external_id_and_nothing_empties_a_field(org):
    far, end = org
    more = {"Account.Ext__c": "acme", "LastName": "Li", "Phone": None, "Score__c": 1.5, "Is_Trial__c": True}
    sender(end).send([contact("u1", **more)], "Contact")
    assert far.contacts["u1"] == {
        "Account": {"Ext__c": "acme"}, "LastName": "Li", "Phone": None, "Score__c": 1.5, "Is_Trial__c": True,
    }  # fmt: skip


def test_when_the_days_calls_are_used_up_what_was_done_is_done_and_the_rest_waits(org):
    far, end = org
    far.calls_left = 1
    done = sender(end).send([contact(f"u{n}", LastName="L") for n in range(401)], "Contact")
    said = outcomes(done)
    assert (set(said[:200]), set(said[200:])) == ({("accepted", "ok")}, {("retry_later", "REQUEST_LIMIT_EXCEEDED")})
    assert (done.last.is_systemic, done.last.retry_after) == (True, 3600)
    assert len(end.calls) == 3, "no call follows one that failed"


def test_a_mirror_deletes_only_when_it_is_told_to_and_who_is_gone_is_gone(org):
    far, end = org
    sender(end).send([contact(f"u{n}", LastName="L") for n in range(30)], "Contact")
    gone = [row("remove", {"Ext__c": f"u{n}"}) for n in range(28)] + [row("remove", {"Ext__c": "never/there"})]
    done = sender(end).send(gone, "Contact")
    assert set(outcomes(done)) == {("rejected", "removal_refused:not_set_up")}
    assert len(far.contacts) == 30
    done = sender(end, removal="delete").send(gone, "Contact")
    assert set(outcomes(done)) == {("accepted", "ok")}
    assert set(far.contacts) == {"u28", "u29"}
    assert end.calls[-1].said["batchRequests"][-1]["url"] == "v62.0/sobjects/Contact/Ext__c/never%2Fthere"
    done = sender(end, removal="delete").send([row("remove", {"Ext__c": "many"})], "Contact")
    assert outcomes(done) == [("rejected", "MULTIPLE_CHOICES")]


def test_a_removal_can_clear_fields_instead(org):
    far, end = org
    sender(end).send([contact("u1", LastName="Li", Segment__c="trial")], "Contact")
    gone = [row("remove", {"Ext__c": "u1"}), row("remove", {"Ext__c": "u2"})]
    done = sender(end, removal="clear", clear_fields=["Segment__c"]).send(gone, "Contact")
    assert far.contacts == {"u1": {"LastName": "Li", "Segment__c": None}}
    assert outcomes(done) == [("accepted", "ok"), ("rejected", "not_found")]


def test_update_only_adds_nobody(org):
    far, end = org
    sender(end).send([contact("u1", LastName="Li")], "Contact")
    told = [contact("u1", LastName="Lee"), contact("u2", LastName="New")]
    done = sender(end).send(told, "Contact", mode="update_only")
    assert outcomes(done) == [("accepted", "ok"), ("rejected", "not_found")]
    assert far.contacts == {"u1": {"LastName": "Lee"}}


def test_a_job_is_uploaded_closed_waited_for_and_read_record_by_record(org, slept):
    far, end = org
    told = [
        contact("u1", LastName='Li, "the" O\'Neill', Is_Trial__c=True, Score__c=2),
        contact("u2", LastName=None),
        contact("left", LastName="Late"),
    ]
    done = sender(end, bulk=True).send(told, "Contact")
    assert outcomes(done) == [
        ("accepted", "ok"),
        ("rejected", "REQUIRED_FIELD_MISSING"),
        ("retry_later", "BULK_UNPROCESSED"),
    ]
    assert far.contacts == {"u1": {"LastName": 'Li, "the" O\'Neill', "Is_Trial__c": "true", "Score__c": "2"}}
    assert slept == [2.0, 4.0]


def test_a_job_without_failures_is_not_read_line_by_line(org, slept):
    _, end = org
    done = sender(end, bulk=True).send([contact("u1", LastName="Li")], "Contact")
    assert outcomes(done) == [("accepted", "ok")]
    assert end.calls[-1].path.endswith("/750x")


def test_a_job_that_does_not_end_in_time_leaves_its_rows_unknown(org, slept):
    far, end = org
    far.looks_until_done = 10**6
    done = sender(end, bulk=True, bulk_wait_seconds=60).send([contact("u1", LastName="Li")], "Contact")
    assert outcomes(done) == [("unknown", "BULK_NOT_FINISHED")]
    assert sum(slept) == 60


def test_a_job_that_fails_says_what_it_did_before(org, slept):
    far, end = org
    far.job_ends = "Failed"
    done = sender(end, bulk=True).send([contact("u1", LastName="Li"), contact("left", LastName="L")], "Contact")
    assert outcomes(done) == [("accepted", "ok"), ("retry_later", "BULK_UNPROCESSED")]


def test_until_a_job_is_closed_nothing_is_handed_over():
    go = salesforce_calls.Bulk(V, "Contact", "Ext__c", ({"Ext__c": "u1"},), (0,), 10)
    steps = salesforce_calls.AtInstance(go, ("https://",))({"access_token": "t", "instance_url": "https://x.test"})
    acting = [(step.method, step.acts) for step in walked(steps, HttpReply(200, {}, b'{"id": "750x"}'))]
    assert acting[:3] == [("POST", False), ("PUT", False), ("PATCH", True)]
    assert set(acting[3:]) == {("GET", False)}


def test_a_large_upload_is_several_jobs(org, slept, monkeypatch):
    far, end = org
    monkeypatch.setattr(salesforce_calls, "LARGEST_JOB", 40)
    done = sender(end, bulk=True).send([contact(f"u{n}", LastName="L" * 15) for n in range(5)], "Contact")
    assert set(outcomes(done)) == {("accepted", "ok")}
    assert len(far.contacts) == 5
    assert sum(call.path.endswith("/ingest") for call in end.calls) == 3


def test_a_signed_assertion_lets_a_user_in():
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    seen = []

    def mind(call):
        if call.path != "/services/oauth2/token":
            return 200, {}, [{"success": True}]
        seen.append(jwt.decode(call.form["assertion"], certs=public))
        return 200, {}, {"access_token": "fresh", "instance_url": end.url}

    with listening(mind) as end:
        secrets = {"client_id_env": "app", "private_key_env": pem}
        done = Sender(salesforce, end, secrets, username="robot@acme.test").send([contact("u1")], "Contact")
        assert outcomes(done) == [("accepted", "ok")]
        assert (seen[0]["iss"], seen[0]["sub"], seen[0]["aud"]) == ("app", "robot@acme.test", end.url)


def test_a_token_that_comes_from_nowhere_or_names_no_address_hands_nothing_over(org):
    far, end = org
    far.url = "ftp://evil.test"
    done = sender(end).send([contact("u1")], "Contact")
    assert outcomes(done) == [("retry_later", "token:no_instance_url")]
    wrong = Sender(salesforce, end, {**SECRETS, "client_secret_env": "wrong"})
    assert outcomes(wrong.send([contact("u1")], "Contact")) == [("blocked", "token:invalid_client")]
    assert {call.path for call in end.calls} == {"/services/oauth2/token"}


@pytest.mark.parametrize(
    ("status", "body", "outcome", "code"),
    [
        (401, [{"errorCode": "INVALID_SESSION_ID", "message": "x"}], "retry_later", "INVALID_SESSION_ID"),
        (403, [{"errorCode": "API_DISABLED_FOR_ORG"}], "blocked", "API_DISABLED_FOR_ORG"),
        (400, [{"errorCode": "INVALID_FIELD", "message": "No such column 'x'"}], "blocked", "INVALID_FIELD"),
        (404, [{"errorCode": "NOT_FOUND"}], "blocked", "NOT_FOUND"),
        (400, {"not": "theirs"}, "blocked", "http_400"),
        (503, b"<html>", "retry_later", "http_503"),
        (500, [{"errorCode": "UNKNOWN_EXCEPTION"}], "unknown", "http_500"),
        (502, b"", "unknown", "http_502"),
        (302, b"", "blocked", "http_302"),
        (200, b"<html>", "unknown", "http_200_unreadable"),
        (200, [], "unknown", "not_mentioned"),
        (200, [{"success": False, "errors": [{"statusCode": "A_NEW_ONE"}]}], "unknown", "A_NEW_ONE"),
        (200, [{"success": False, "errors": [{"statusCode": "INVALID_FIELD"}]}], "blocked", "INVALID_FIELD"),
    ],
)
def test_each_answer_has_its_outcome(org, status, body, outcome, code):
    far, end = org
    far.sick = status, {}, body
    done = sender(end).send([contact("u1", LastName="Li")], "Contact")
    assert outcomes(done) == [(outcome, code)]


def test_the_credential_can_be_asked_for(org):
    far, end = org
    one = sender(end)
    reply = one.perform(salesforce.build_probe(one.settings, one.secrets))
    assert salesforce.read_probe(one.settings, reply).outcome is Outcome.ACCEPTED
    far.calls_left = 0
    reply = one.perform(salesforce.build_probe(one.settings, one.secrets))
    assert salesforce.read_probe(one.settings, reply).outcome is Outcome.RETRY_LATER


SETTINGS = {"client_id_env": "I", "client_secret_env": "S"}


@pytest.mark.parametrize(
    ("rows", "target", "code"),
    [
        ([row("add", {"Ext__c": "1", "b": "2"})], "Contact", "salesforce:one_key_column"),
        ([contact("u1")], "Contact/Ext__c", "salesforce:no_such_name"),
        ([row("add", {"Ext c": "1"})], "Contact", "salesforce:no_such_name"),
    ],
)
def test_what_salesforce_has_no_name_for_is_refused_before_a_byte_leaves(rows, target, code):
    with pytest.raises(RefusedError) as caught:
        salesforce.build_request(salesforce.Settings(**SETTINGS), Secrets(SECRETS), batch_of(rows, target))
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"client_id_env": "I"}, "expected `client_secret_env`, or `private_key_env`"),
        ({**SETTINGS, "private_key_env": "K", "username": "u"}, "and not both"),
        ({**SETTINGS, "username": "u"}, "go together"),
        ({**SETTINGS, "removal": "clear"}, "`clear_fields` go together"),
        ({**SETTINGS, "clear_fields": ["A"]}, "`clear_fields` go together"),
    ],
)
def test_settings_that_contradict_each_other_are_told(settings, words):
    with pytest.raises(ValueError, match=words):
        salesforce.Settings(**settings)


def test_a_private_key_that_cannot_sign_is_told_when_the_line_is_opened():
    settings = salesforce.Settings(client_id_env="I", private_key_env="SF_KEY", username="u")
    with pytest.raises(DestinationError, match="SF_KEY") as caught:
        salesforce.connect(settings, Secrets({"private_key_env": "canary"}), None)
    assert "canary" not in str(caught.value)


@given(
    st.binary(max_size=200) | st.from_regex(rb'\[\{"(success|errors|errorCode)": .{0,30}\}\]'), st.integers(100, 599)
)
def test_whatever_is_answered_nothing_is_raised(body, status):
    settings = salesforce.Settings(**SETTINGS)
    batch = batch_of([contact("u1")], "Contact")
    for one in (HttpReply(status, {}, body), tokens.refused(HttpReply(status, {}, body))):
        assert salesforce.read_response(settings, batch, one).code
        assert salesforce.read_probe(settings, one).code
    for go in (
        salesforce_calls.Collections(V, "Contact", "Ext__c", ({"Ext__c": "u1"},), (0,)),
        salesforce_calls.Singles(V, ({},), (0,)),
        salesforce_calls.Bulk(V, "Contact", "Ext__c", ({"Ext__c": "u1"},), (0,), 10),
    ):
        steps = salesforce_calls.AtInstance(go, ("https://",))(
            json.loads('{"access_token": "t", "instance_url": "https://x"}')
        )
        last = run(steps, HttpReply(status, {}, body))
        assert salesforce.read_response(settings, batch, last).code


def walked(steps, answer):
    """Yield the calls of steps whose every call is answered the same."""
    reply = None
    for _ in range(20):
        try:
            step = steps.send(reply)
        except StopIteration:
            return
        reply = None if isinstance(step, Pause) else answer
        if reply is not None:
            yield step


def run(steps, answer):
    """Return the last word of steps whose every call is answered the same."""
    reply = None
    for _ in range(20):
        try:
            step = steps.send(reply)
        except StopIteration as ended:
            return ended.value
        reply = None if isinstance(step, Pause) else answer
    pytest.fail("the steps do not end")
