"""Meta against a far end that keeps an audience, knows people by any of their hashes, and answers as the Graph API."""

from __future__ import annotations

import hashlib
import hmac
import json
import re

import pytest
from far_end import AT, Sender, batch_of, listening, outcomes, row
from hypothesis import given
from hypothesis import strategies as st

from tailrace.destinations import meta_ads
from tailrace.destinations.base import HttpReply, Outcome, RefusedError, RowsRefused, Secrets
from tailrace.destinations.normal import sha256

SECRETS = {"token_env": "token", "app_secret_env": "app-secret"}
PROOF = hmac.new(b"app-secret", b"token", hashlib.sha256).hexdigest()
HASH = re.compile(r"[0-9a-f]{64}")


class Graph:
    """One audience: each person is the set of what was said of them. `floor`: from fewer people nobody is removed."""

    def __init__(self) -> None:
        self.people: list[dict[str, str]] = []
        self.sessions: set[int] = set()
        self.floor = 0
        self.sick: tuple | None = None

    def __call__(self, call):
        assert call.headers["authorization"] == "Bearer token"
        if self.sick is not None:
            return self.sick
        if call.method == "GET":
            assert call.query["appsecret_proof"] == PROOF
            if call.path == "/v25.0/me":
                return 200, {}, {"id": "1"}
            status = {"code": 200, "description": "Normal"}
            return 200, {}, {"approximate_count_lower_bound": len(self.people), "operation_status": status}
        assert call.path == "/v25.0/123/users"
        assert call.said["appsecret_proof"] == PROOF
        payload, session = call.said["payload"], call.said["session"]
        assert session["session_id"] not in self.sessions, "a session is told once"
        assert 0 < session["session_id"] < 2**63
        assert session["estimated_num_total"] == len(payload["data"])
        self.sessions.add(session["session_id"])
        told = [{n: v for n, v in zip(payload["schema"], one, strict=True) if v} for one in payload["data"]]
        if call.method == "DELETE":
            left = [one for one in self.people if not any(self.same(one, gone) for gone in told)]
            if len(left) < self.floor:
                error = {"message": "Permissions error", "type": "OAuthException", "code": 200}
                title = {"error_subcode": 1870047, "error_user_title": "Audience Size too Low"}
                return 400, {}, {"error": {**error, **title, "is_transient": False, "fbtrace_id": "x"}}
            self.people = left
            invalid = []
        else:
            invalid = [one for one in told if one.get("EMAIL") == sha256("invalid@example.com")]
            for one in told:
                if one not in invalid:
                    self.people = [known for known in self.people if not self.same(known, one)] + [one]
        samples = {one["EMAIL"]: "not a valid entry" for one in invalid}
        received = {"audience_id": "123", "session_id": str(session["session_id"]), "num_received": len(told)}
        return 200, {}, {**received, "num_invalid_entries": len(invalid), "invalid_entry_samples": list(samples)}

    def same(self, one, other):
        return any(one.get(name) == other[name] for name in {"EMAIL", "PHONE", "EXTERN_ID", "MADID"} & other.keys())


@pytest.fixture
def meta():
    graph = Graph()
    with listening(graph) as end:
        yield graph, end, Sender(meta_ads, end, SECRETS, default_country="US")


def person(email, **more):
    return row("add", {"email": email}, **more)


def test_an_audience_becomes_what_is_desired_and_all_that_is_personal_is_hashed(meta):
    graph, end, sender = meta
    kim = person(" Kim@Example.com", fn="Kim", ln="O'Neill", phone="(650)555-1212", dob="1997-02-16", COUNTRY="US")
    done = sender.send([kim, person("lee@example.com")], "123")
    assert outcomes(done) == [("accepted", "ok")] * 2
    assert graph.people[0] == {
        "EMAIL": sha256("kim@example.com"),
        "PHONE": sha256("16505551212"),
        "FN": sha256("kim"),
        "LN": sha256("oneill"),
        "DOBY": sha256("1997"),
        "DOBM": sha256("02"),
        "DOBD": sha256("16"),
        "COUNTRY": sha256("us"),
    }
    sender.send([row("update", {"email": "lee@example.com"}, fn="Lee")], "123")
    done = sender.send([row("remove", {"email": "kim@example.com"})], "123")
    assert outcomes(done) == [("accepted", "ok")]
    assert graph.people == [{"EMAIL": sha256("lee@example.com"), "FN": sha256("lee")}]
    sent = b"".join(call.body for call in end.calls).lower()
    assert not re.search(rb"kim|lee|neill|example|650\)|1997-", sent)


def test_a_removal_says_the_key_as_it_was_said_before(meta):
    graph, _, sender = meta
    sender.send([row("add", {"phone": "030 123456", "country": "DE"}, email="kim@example.com")], "123")
    sender.send([row("add", {"phone": "(650)555-1212"}, country="DE")], "123")
    assert [one["PHONE"] for one in graph.people] == [sha256("4930123456"), sha256("16505551212")]
    gone = [{"phone": "030 123456", "country": "DE"}, {"phone": "(650)555-1212"}]
    done = sender.send([row("remove", gone[0])], "123")
    done = sender.send([row("remove", gone[1])], "123")
    assert outcomes(done) == [("accepted", "ok")]
    assert graph.people == []


def test_a_small_audience_keeps_its_people_and_that_is_a_state_of_its_own(meta):
    graph, _, sender = meta
    sender.send([person(f"p{n}@example.com") for n in range(3)], "123")
    graph.floor = 3
    done = sender.send([row("remove", {"email": "p0@example.com"}), row("remove", {"email": "p1@example.com"})], "123")
    assert outcomes(done) == [("rejected", "removal_refused:audience_too_small")] * 2
    assert len(graph.people) == 3
    assert not done.last.is_systemic


def test_rows_that_nobody_could_be_found_by_are_refused_and_their_neighbours_go(meta):
    graph, _, sender = meta
    told = [
        person("kim@example.com"),
        person("not an address"),
        row("add", {"extern_id": ""}, fn="Kim"),
        row("add", {"phone": "12"}, email="lee@example.com"),
        person("lee@example.com", phone="12", zip=""),
    ]
    assert outcomes(sender.send(told, "123")) == [
        ("accepted", "ok"),
        ("rejected", "key:email"),
        ("rejected", "key:extern_id"),
        ("rejected", "key:phone"),
        ("accepted", "ok"),
    ]
    assert graph.people == [{"EMAIL": sha256("kim@example.com")}, {"EMAIL": sha256("lee@example.com")}]


def test_ids_of_ours_and_of_devices_are_not_hashed_and_declared_hashes_are_taken_as_they_are(meta):
    _, end, _ = meta
    sender = Sender(meta_ads, end, SECRETS, hashed=["email"])
    digest, device = sha256("kim@example.com"), "38400000-8CF0-11BD-B23E-10B96E40000D"
    sender.send([row("add", {"extern_id": "u1"}, email=digest.upper(), madid=device)], "123")
    payload = end.calls[-1].said["payload"]
    assert payload == {"schema": ["EXTERN_ID", "EMAIL", "MADID"], "data": [["u1", digest, device.lower()]]}
    done = sender.send([row("add", {"email": "kim@example.com"})], "123")
    assert outcomes(done) == [("rejected", "key:email")]


def test_samples_of_what_meta_could_not_read_are_found_among_the_rows(meta):
    _, _, sender = meta
    done = sender.send([person("kim@example.com"), person("invalid@example.com")], "123")
    assert outcomes(done) == [("accepted", "ok:some_invalid"), ("rejected", "invalid_entry")]


def test_a_throttled_account_says_in_minutes_how_long(meta):
    graph, _, sender = meta
    usage = {"542676646349772": [{"type": "custom_audience", "call_count": 100, "estimated_time_to_regain_access": 7}]}
    error = {"error": {"message": "(#80003)", "type": "OAuthException", "code": 80003, "is_transient": True}}
    graph.sick = 400, {"X-Business-Use-Case-Usage": json.dumps(usage)}, error
    done = sender.send([person("kim@example.com")], "123")
    assert outcomes(done) == [("retry_later", "80003")]
    assert (done.last.is_systemic, done.last.retry_after) == (True, 420)


def item(op="add"):
    return batch_of([row(op, {"email": "kim@example.com"})], "123")


@pytest.mark.parametrize(
    ("status", "code", "subcode", "outcome"),
    [
        (400, 190, None, Outcome.BLOCKED),
        (400, 190, 463, Outcome.BLOCKED),
        (403, 200, 1870050, Outcome.BLOCKED),
        (403, 200, 1870090, Outcome.BLOCKED),
        (400, 200, 1870047, Outcome.REJECTED),
        (403, 294, None, Outcome.BLOCKED),
        (400, 100, 1713230, Outcome.BLOCKED),
        (400, 100, 33, Outcome.BLOCKED),
        (400, 368, None, Outcome.BLOCKED),
        (400, 2655, None, Outcome.BLOCKED),
        (400, 2650, 1870145, Outcome.RETRY_LATER),
        *((400, code, None, Outcome.RETRY_LATER) for code in (1, 2, 4, 17, 32, 613, 80000, 80003, 80004, 80014)),
        (400, 99999, None, Outcome.UNKNOWN),
    ],
)
def test_each_code_has_its_outcome(status, code, subcode, outcome):
    error = {"code": code, "message": "kim@example.com"} | ({} if subcode is None else {"error_subcode": subcode})
    reply = HttpReply(status, {}, json.dumps({"error": error}).encode())
    result = meta_ads.read_response(meta_ads.Settings(token_env="T"), item(), reply)
    assert (result.outcome, result.is_systemic) == (outcome, outcome is not Outcome.REJECTED)
    assert "kim" not in result.code


@pytest.mark.parametrize(
    ("status", "body", "outcome"),
    [
        (200, b"<html>Sign in</html>", Outcome.UNKNOWN),
        (200, b'{"error": "huh"}', Outcome.UNKNOWN),
        (200, b'{"success": true}', Outcome.ACCEPTED),
        (302, b"", Outcome.BLOCKED),
        (500, b"", Outcome.UNKNOWN),
        (502, b"<html>", Outcome.UNKNOWN),
        (503, b"", Outcome.RETRY_LATER),
        (400, b"[]", Outcome.UNKNOWN),
        (400, b'{"error": {"code": 12345, "is_transient": true}}', Outcome.RETRY_LATER),
    ],
)
def test_an_answer_without_a_code_is_read_by_its_status(status, body, outcome):
    result = meta_ads.read_response(meta_ads.Settings(token_env="T"), item(), HttpReply(status, {}, body))
    assert result.outcome is outcome


@given(st.binary(max_size=200) | st.from_regex(rb'\{"(num_received|error|success)": .{0,40}\}'), st.integers(100, 599))
def test_whatever_is_answered_nothing_is_raised(body, status):
    reply = HttpReply(status, {"x-business-use-case-usage": body.decode("latin-1")}, body)
    settings = meta_ads.Settings(token_env="T")
    for read in (lambda: meta_ads.read_response(settings, item(), reply), lambda: meta_ads.read_probe(settings, reply)):
        assert read().code
    meta_ads.read_match(settings, reply)


def test_the_size_of_the_audience_and_the_credential_can_be_asked_for(meta):
    graph, _, sender = meta
    reply = sender.perform(meta_ads.build_probe(sender.settings, sender.secrets))
    assert meta_ads.read_probe(sender.settings, reply).outcome is Outcome.ACCEPTED
    sender.send([person("kim@example.com")], "123")
    reply = sender.perform(meta_ads.build_match(sender.settings, sender.secrets, "123"))
    assert meta_ads.read_match(sender.settings, reply) == 1
    graph.sick = 400, {}, {"error": {"code": 190}}
    reply = sender.perform(meta_ads.build_probe(sender.settings, sender.secrets))
    assert meta_ads.read_probe(sender.settings, reply).outcome is Outcome.BLOCKED
    assert meta_ads.read_match(sender.settings, reply) is None
    small = HttpReply(200, {}, b'{"approximate_count_lower_bound": -1}')
    assert meta_ads.read_match(sender.settings, small) is None


@pytest.mark.parametrize(
    ("rows", "target", "code"),
    [
        ([row("add", {"email": "kim@example.com"}, emial="x")], "123", "column:emial"),
        ([row("add", {"email": "kim@example.com"})], "act_1", "meta_ads:target_is_no_audience_id"),
        ([row("add", {"email": "kim@example.com"})], "1/../2", "meta_ads:target_is_no_audience_id"),
    ],
)
def test_what_is_no_audience_or_no_column_of_metas_is_refused_before_a_byte_leaves(rows, target, code):
    with pytest.raises(RefusedError) as caught:
        meta_ads.build_request(meta_ads.Settings(token_env="T"), Secrets({"token_env": "t"}), batch_of(rows, target))
    assert caught.value.code == code


def test_each_attempt_is_a_session_of_its_own():
    settings, secrets, batch = meta_ads.Settings(token_env="T"), Secrets({"token_env": "t"}), item()
    first = meta_ads.build_request(settings, secrets, batch)
    assert first == meta_ads.build_request(settings, secrets, batch)
    again = meta_ads.build_request(settings, secrets, batch.__class__(**{**vars(batch), "at": AT.replace(hour=7)}))
    assert json.loads(first.body)["session"] != json.loads(again.body)["session"]
    assert json.loads(first.body)["payload"] == json.loads(again.body)["payload"]


WORDS = st.text(st.characters(categories=["Lu", "Ll", "Lo", "Nd"]), min_size=5, max_size=20)


@given(
    st.from_regex(r"[a-z]{5,10}@[a-z]{5,9}\.com", fullmatch=True),
    st.dictionaries(
        st.sampled_from([name for name in meta_ads.COLUMNS if name not in {"extern_id", "madid", "email"}]), WORDS
    ),
)
def test_no_value_of_a_person_is_in_a_body_as_it_was(email, more):
    batch = batch_of([row("add", {"email": email}, **more)], "123")
    try:
        request = meta_ads.build_request(meta_ads.Settings(token_env="T"), Secrets({"token_env": "t"}), batch)
    except RowsRefused:
        return
    payload = json.loads(request.body)["payload"]
    assert all(HASH.fullmatch(value) for value in payload["data"][0] if value)
