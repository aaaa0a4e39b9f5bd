"""Google's Data Manager against its own types, and a far end that refuses a whole call for one bad member."""

from __future__ import annotations

import json
import re

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from far_end import Sender, batch_of, listening, outcomes, row
from google.ads import datamanager_v1
from google.auth import jwt
from hypothesis import given
from hypothesis import strategies as st

from tailrace.destinations import google_data_manager as google
from tailrace.destinations import google_members, tokens
from tailrace.destinations.base import HttpReply, Outcome, RefusedError, RowsRefused, Secrets
from tailrace.destinations.normal import sha256
from tailrace.errors import DestinationError

PRIVATE = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PEM = PRIVATE.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()
PUBLIC = PRIVATE.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
EVIL = sha256("evil@example.com")
"""A member that Google does not take, and names; NASTY it does not name."""
NASTY = sha256("nasty@example.com")
HASH = re.compile(r"[0-9a-f]{64}")


class DataManager:
    """One audience; each member is the set of hashes it was said with."""

    def __init__(self) -> None:
        self.members: list[frozenset[str]] = []
        self.n_tokens = 0
        self.names_one = False
        self.sick: tuple | None = None
        self.no_token: tuple | None = None

    def __call__(self, call):
        if call.path == "/token":
            return self.token(call)
        assert call.headers["authorization"] == "Bearer fresh"
        if self.sick is not None:
            return self.sick
        if call.method == "GET":
            size = {"displayNetworkMembersCount": str(len(self.members)), "searchNetworkMembersCount": "0"}
            return 200, {}, {"name": call.path, "sizeInfo": size}
        kind = datamanager_v1.IngestAudienceMembersRequest
        if call.path.endswith(":remove"):
            kind = datamanager_v1.RemoveAudienceMembersRequest
        told = kind.from_json(call.body)
        assert told.destinations[0].product_destination_id == "987"
        members = [hashes_of(member) for member in told.audience_members]
        bad = [index for index, member in enumerate(members) if EVIL in member]
        bad = bad[:1] if self.names_one else bad
        if bad or any(NASTY in member for member in members):
            return refused(bad)
        self.members = [one for one in self.members if not any(one & other for other in members)]
        if kind is datamanager_v1.IngestAudienceMembersRequest:
            assert told.terms_of_service.customer_match_terms_of_service_status == 1
            self.members += members
        return 200, {}, {"requestId": f"request-{len(self.members)}"}

    def token(self, call):
        self.n_tokens += 1
        if self.no_token is not None:
            return self.no_token
        assert call.form["grant_type"] == tokens.JWT_GRANT
        claims = jwt.decode(call.form["assertion"], certs=PUBLIC, audience=None)
        assert (claims["iss"], claims["scope"]) == ("robot@acme.test", google.SCOPE)
        return 200, {}, {"access_token": "fresh", "token_type": "Bearer", "expires_in": 3599}


def hashes_of(member):
    told = [(one.email_address, one.phone_number, one.address.given_name) for one in member.user_data.user_identifiers]
    return frozenset(value for one in told for value in one if value)


def refused(bad):
    fields = [
        {
            "field": f"audience_members.audience_members[{index}].user_data.user_identifiers[0].email_address",
            "description": "kim@example.com is not valid",
            "reason": "INVALID_SHA256_FORMAT",
        }
        for index in bad
    ]
    kinds = {"ErrorInfo": {"reason": "INVALID_ARGUMENT"}, "BadRequest": {"fieldViolations": fields}}
    details = [{"@type": f"type.googleapis.com/google.rpc.{name}", **more} for name, more in kinds.items()]
    return 400, {}, {"error": {"code": 400, "status": "INVALID_ARGUMENT", "details": details}}


def key_of(url):
    return json.dumps(
        {
            "type": "service_account",
            "client_email": "robot@acme.test",
            "private_key": PEM,
            "private_key_id": "k1",
            "token_uri": f"{url}/token",
        }
    )


SETTINGS = {"account": "1234567890", "terms_accepted": True, "ad_user_data": "granted"}


@pytest.fixture
def far():
    manager = DataManager()
    with listening(manager) as end:
        yield manager, end, Sender(google, end, {"credentials_env": key_of(end.url)}, **SETTINGS)


def person(email, **more):
    return row("add", {"email_address": email}, **more)


def test_an_audience_becomes_what_is_desired_and_all_that_is_personal_is_hashed(far):
    manager, end, sender = far
    address = {"given_name": "Mrs. Kim", "family_name": "O'Neill", "region_code": "us", "postal_code": "94043"}
    told = [person(" K.i.m+news@Gmail.com", phone_number="(650)555-1212", **address), person("lee@example.com")]
    done = sender.send(told, "987")
    assert outcomes(done) == [("accepted", "ok")] * 2
    assert done.provider_id == "request-2"
    kim = frozenset({sha256("kim@gmail.com"), sha256("+16505551212"), sha256("kim")})
    assert manager.members == [kim, frozenset({sha256("lee@example.com")})]
    done = sender.send([row("remove", {"email_address": "kim@gmail.com"})], "987")
    assert outcomes(done) == [("accepted", "ok")]
    assert manager.members == [frozenset({sha256("lee@example.com")})]
    sent = b"".join(call.body for call in end.calls if call.path != "/token").lower()
    assert not re.search(rb"kim|lee|neill|gmail|650\)", sent)


def test_a_body_is_what_the_official_client_would_send(far):
    _, end, sender = far
    more = {"given_name": "Kim", "family_name": "Li", "region_code": "US", "postal_code": "94043"}
    sender.send([person("kim@example.com", ad_user_data=True, ad_personalization=False, **more)], "987")
    account = {"account_type": "GOOGLE_ADS", "account_id": "1234567890"}
    where = {"operating_account": account, "product_destination_id": "987"}
    names = {"given_name": sha256("kim"), "family_name": sha256("li"), "region_code": "US", "postal_code": "94043"}
    expected = datamanager_v1.IngestAudienceMembersRequest(
        destinations=[where],
        audience_members=[
            {
                "user_data": {"user_identifiers": [{"email_address": sha256("kim@example.com")}, {"address": names}]},
                "consent": {"ad_user_data": "CONSENT_GRANTED", "ad_personalization": "CONSENT_DENIED"},
            }
        ],
        consent={"ad_user_data": "CONSENT_GRANTED"},
        encoding="HEX",
        terms_of_service={"customer_match_terms_of_service_status": "ACCEPTED"},
    )
    assert datamanager_v1.IngestAudienceMembersRequest.from_json(end.calls[-1].body) == expected
    sender.send([row("remove", {"email_address": "kim@example.com"})], "987")
    member = {"user_data": {"user_identifiers": [{"email_address": sha256("kim@example.com")}]}}
    expected = datamanager_v1.RemoveAudienceMembersRequest(
        destinations=[where], audience_members=[member], encoding="HEX"
    )
    assert datamanager_v1.RemoveAudienceMembersRequest.from_json(end.calls[-1].body) == expected


def test_members_that_are_named_are_left_out_and_the_others_go_at_once(far):
    manager, end, sender = far
    told = [person(f"p{n}@example.com") for n in range(5)] + [person("evil@example.com"), person("kim@example.com")]
    done = sender.send(told, "987")
    assert outcomes(done) == [("accepted", "ok")] * 5 + [("rejected", "INVALID_SHA256_FORMAT"), ("accepted", "ok")]
    assert len(manager.members) == 6
    assert [call.path for call in end.calls] == ["/token", *["/v1/audienceMembers:ingest"] * 2]


def test_members_that_are_named_one_after_another_are_each_left_out(far):
    manager, end, sender = far
    manager.names_one = True
    told = [
        person("kim@example.com"),
        person("evil@example.com"),
        person("lee@example.com"),
        person("evil@example.com"),
    ]
    done = sender.send(told, "987")
    assert outcomes(done) == [("accepted", "ok"), ("rejected", "INVALID_SHA256_FORMAT")] * 2
    assert len(manager.members) == 2
    assert len(end.calls) == 4


def test_the_request_for_a_token_hands_nothing_over(far):
    _, _, sender = far
    batch = batch_of([person("kim@example.com")], "987")
    steps = google.build_request(sender.settings, sender.secrets, batch).steps()
    assert steps.send(None).acts is False
    assert steps.send(HttpReply(200, {}, b'{"access_token": "t"}')).acts is True


@pytest.mark.torture
def test_a_member_that_nobody_names_is_found_by_halving_and_its_neighbours_go(far):
    manager, _, sender = far
    told = [person(f"p{n}@example.com") for n in range(6)] + [person("nasty@example.com"), person("evil@example.com")]
    done = sender.send(told, "987")
    assert outcomes(done) == [
        *[("accepted", "ok")] * 6,
        ("rejected", "INVALID_ARGUMENT"),
        ("rejected", "INVALID_SHA256_FORMAT"),
    ]
    assert len(manager.members) == 6


def test_a_call_of_bad_members_only_ends(far):
    manager, _, sender = far
    done = sender.send([person("evil@example.com")], "987")
    assert outcomes(done) == [("rejected", "INVALID_SHA256_FORMAT")]
    assert manager.members == []


def test_an_answer_that_names_ever_new_members_is_not_asked_for_ever():
    said = google.Said("https://x.test/", {}, tuple({"n": n} for n in range(20)), tuple(range(20)))
    steps = said({"access_token": "t"})
    steps.send(None)
    reply = HttpReply(400, {}, json.dumps(refused([0])[2]).encode())
    for _ in range(google.MOST_CALLS - 1):
        steps.send(reply)
    with pytest.raises(StopIteration) as ended:
        steps.send(reply)
    assert ended.value.value.dropped == {}, "what is left is delivery's to halve"


def test_rows_that_nobody_could_be_found_by_are_refused_before_the_call(far):
    _, end, sender = far
    told = [
        person("nobody"),
        row("add", {"phone_number": "030 123456"}, region_code="DE"),
        row("add", {"phone_number": "+49 30 123456"}),
        row("add", {"id": "7"}, given_name="Kim", family_name="Li"),
        person("lee@example.com", phone_number="12"),
    ]
    told = [(op, {**dict.fromkeys(("email_address", "phone_number", "id")), **key}, data) for op, key, data in told]
    assert outcomes(sender.send(told, "987")) == [
        ("rejected", "key:email_address"),
        ("rejected", "key:phone_number"),
        ("accepted", "ok"),
        ("rejected", "row:nobody_to_match"),
        ("accepted", "ok"),
    ]
    assert len(end.calls[-1].said["audienceMembers"]) == 2


@pytest.mark.torture
def test_a_refused_token_hands_nothing_over(far):
    manager, end, sender = far
    for answer, outcome, code in (
        ((400, {}, {"error": "invalid_grant", "error_description": "kim"}), "blocked", "token:invalid_grant"),
        ((503, {}, b"<html>"), "retry_later", "token:http_503"),
        ((500, {}, {"access_token": "not this one"}), "retry_later", "token:http_500"),
        ((200, {}, b"<html>"), "retry_later", "token:http_200"),
        ((302, {}, b""), "blocked", "token:http_302"),
    ):
        manager.no_token = answer
        done = sender.send([person("kim@example.com")], "987")
        assert outcomes(done) == [(outcome, code)]
        assert done.last.is_systemic
    assert {call.path for call in end.calls} == {"/token"}


def test_a_user_who_logged_in_with_gcloud_is_let_in_by_the_refresh_token():
    seen = []

    def mind(call):
        seen.append(call.form if call.path == "/token" else call.headers["authorization"])
        return 200, {}, {"access_token": "mine", "requestId": "r"}

    with listening(mind) as end:
        key = {"type": "authorized_user", "client_id": "c", "client_secret": "s", "refresh_token": "r"}
        secrets = {"credentials_env": json.dumps({**key, "token_uri": f"{end.url}/token"})}
        done = Sender(google, end, secrets, **SETTINGS).send([person("kim@example.com")], "987")
    assert outcomes(done) == [("accepted", "ok")]
    form = {"grant_type": "refresh_token", "client_id": "c", "client_secret": "s", "refresh_token": "r"}
    assert seen == [form, "Bearer mine"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("canary", "does not hold a JSON object"),
        ("[]", "does not hold a JSON object"),
        ('{"type": "service_account"}', "holds no credential"),
        ('{"client_email": "a@b.test", "private_key": "canary"}', "private key that can sign"),
        ('{"token_uri": "http://canary/"}', "token_uri"),
    ],
)
def test_a_credential_that_is_none_is_told_when_the_line_is_opened_and_not_shown(text, words):
    settings = google.Settings(credentials_env="GOOGLE_KEY", account="1")
    with pytest.raises(DestinationError, match=words) as caught:
        google.connect(settings, Secrets({"credentials_env": text}), None)
    assert "GOOGLE_KEY" in str(caught.value)
    assert "canary" not in str(caught.value)


def test_without_google_auth_the_extra_is_named(monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(tokens, "import_module", missing)
    with pytest.raises(DestinationError, match=r"pip install tailrace\[google\]"):
        tokens.check_key("GOOGLE_KEY", PEM)


def item(op="add"):
    return batch_of([row(op, {"email_address": "kim@example.com"})], "987")


def error(status, plain, reason=None, **metadata):
    info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "metadata": metadata}
    body = {"error": {"code": status, "status": plain, "message": "kim", "details": [info] if reason else []}}
    return HttpReply(status, {}, json.dumps(body).encode())


@pytest.mark.parametrize(
    ("reply", "outcome", "code", "wait"),
    [
        (error(400, "INVALID_ARGUMENT", "INVALID_USER_LIST_ID"), Outcome.BLOCKED, "INVALID_USER_LIST_ID", None),
        (error(400, "INVALID_ARGUMENT", "INVALID_HEX_ENCODING"), Outcome.REJECTED, "INVALID_HEX_ENCODING", None),
        (error(400, "FAILED_PRECONDITION", "TERMS_AND_CONDITIONS_NOT_SIGNED"), Outcome.BLOCKED,
         "TERMS_AND_CONDITIONS_NOT_SIGNED", None),
        (error(401, "UNAUTHENTICATED"), Outcome.BLOCKED, "UNAUTHENTICATED", None),
        (error(403, "PERMISSION_DENIED", "SERVICE_DISABLED"), Outcome.BLOCKED, "PERMISSION_DENIED", None),
        (error(429, "RESOURCE_EXHAUSTED", "RATE_LIMIT", quota_limit="IngestionMutateRequestsPerMinutePerProject"),
         Outcome.RETRY_LATER, "RESOURCE_EXHAUSTED", 60),
        # Six in the morning in London is ten in the evening in California.
        (error(429, "RESOURCE_EXHAUSTED", "RATE_LIMIT", quota_limit="IngestionMutateRequestsPerDayPerProject"),
         Outcome.RETRY_LATER, "RESOURCE_EXHAUSTED", 2 * 3600),
        (error(503, "UNAVAILABLE"), Outcome.RETRY_LATER, "UNAVAILABLE", None),
        (error(504, "DEADLINE_EXCEEDED"), Outcome.UNKNOWN, "DEADLINE_EXCEEDED", None),
        (error(500, "INTERNAL"), Outcome.UNKNOWN, "INTERNAL", None),
        (error(418, "NEW_ONE", "NEW_REASON"), Outcome.UNKNOWN, "http_418", None),
        (HttpReply(200, {}, b"<html>"), Outcome.UNKNOWN, "http_200_unreadable", None),
        (HttpReply(301, {}, b""), Outcome.BLOCKED, "http_301", None),
    ],
)  # fmt: skip
def test_each_answer_has_its_outcome(reply, outcome, code, wait):
    result = google.read_response(google.Settings(credentials_env="C", account="1"), item(), reply)
    assert (result.outcome, result.code, result.retry_after) == (outcome, code, wait)


def test_every_reason_that_a_call_with_members_can_have_is_listed():
    reasons = set(datamanager_v1.ErrorReason.__members__)
    words = {"AUDIENCE_MEMBER", "USER_IDENTIFIER", "HEX", "USER_LIST_ID", "SHA256", "POSTAL", "TERMS", "PERMISSION"}
    ours = {one for one in reasons if any(word in one for word in words)}
    not_ours = {"TOO_MANY_AUDIENCE_MEMBERS", "DESTINATION_ACCOUNT_ENHANCED_CONVERSIONS_TERMS_NOT_SIGNED"}
    assert ours - not_ours <= google.CODES.keys()
    told = {one for one in google.CODES if isinstance(one, str)} - tokens.REFUSALS.keys()
    by_status = {"UNAUTHENTICATED", "UNAVAILABLE", "INTERNAL"}
    assert told - reasons - by_status == {"INVALID_SHA256_FORMAT"} - reasons, "each of ours is one of Google's"


@pytest.mark.torture
def test_the_size_of_the_audience_and_the_credential_can_be_asked_for(far):
    manager, end, sender = far
    sender.send([person("kim@example.com")], "987")
    reply = sender.perform(google.build_match(sender.settings, sender.secrets, "987"))
    assert google.read_match(sender.settings, reply) == 1
    assert end.calls[-1].path == "/v1/accountTypes/GOOGLE_ADS/accounts/1234567890/userLists/987"
    probe = google.build_probe(sender.settings, sender.secrets)
    assert google.read_probe(sender.settings, sender.perform(probe)).outcome is Outcome.ACCEPTED
    manager.sick = 403, {}, {"error": {"status": "PERMISSION_DENIED"}}
    assert google.read_probe(sender.settings, sender.perform(probe)).outcome is Outcome.BLOCKED
    assert google.read_match(sender.settings, sender.perform(probe)) is None
    manager.no_token = 400, {}, {"error": "invalid_grant"}
    assert google.read_probe(sender.settings, sender.perform(probe)).code == "token:invalid_grant"


@pytest.mark.parametrize(
    ("rows", "target", "code"),
    [
        ([person("kim@example.com", emial="x")], "987", "column:emial"),
        ([person("kim@example.com")], "people", "google_data_manager:target_is_no_audience_id"),
        ([person("kim@example.com"), row("add", {"email_address": "a@b.com"}, mobile_id="m")], "987",
         "google_data_manager:people_and_devices_in_one_sync"),
    ],
)  # fmt: skip
def test_what_google_has_no_word_for_is_refused_before_a_byte_leaves(rows, target, code):
    settings = google.Settings(credentials_env="C", account="1")
    with pytest.raises(RefusedError) as caught:
        google.build_request(settings, Secrets({"credentials_env": key_of("https://x.test")}), batch_of(rows, target))
    assert caught.value.code == code


def test_devices_and_ids_of_ours_go_as_they_are_and_lists_of_addresses_are_one_person():
    settings = google.Settings(credentials_env="C", account="1")
    told = [
        row("add", {"mobile_id": "38400000-8cf0"}),
        row("add", {"user_id": "u1"}),
        row("add", {"id": "1"}, email_address=["a@example.com", "b@example.com", "nobody"]),
        row("add", {"id": "1"}, email_address=[f"p{n}@example.com" for n in range(12)]),
    ]
    made = [google_members.member(settings, one) for one in batch_of(told, "987").rows]
    assert made[:2] == [{"mobileData": {"mobileIds": ["38400000-8cf0"]}}, {"userIdData": {"userId": "u1"}}]
    assert [len(one["userData"]["userIdentifiers"]) for one in made[2:]] == [2, 10]


@given(st.binary(max_size=200) | st.from_regex(rb'\{"error": \{"details": .{0,30}\}\}'), st.integers(100, 599))
def test_whatever_is_answered_nothing_is_raised(body, status):
    settings = google.Settings(credentials_env="C", account="1")
    reply = HttpReply(status, {}, body)
    for one in (reply, tokens.refused(reply)):
        assert google.read_response(settings, item(), one).code
        assert google.read_probe(settings, one).code
        google.read_match(settings, one)
        assert google.read_follow_up(settings, one).code
    steps = google.Said("https://x.test/", {}, ({},), (0,))({"access_token": "t"})
    steps.send(None)
    with pytest.raises(StopIteration):
        steps.send(reply)


WORDS = st.text(st.characters(categories=["Lu", "Ll", "Lo", "Nd"]), min_size=5, max_size=20)


@given(st.from_regex(r"[a-z]{5,10}@[a-z]{5,9}\.com", fullmatch=True), WORDS, WORDS, WORDS)
def test_no_value_of_a_person_is_in_a_member_as_it_was(email, first, last, phone):
    settings = google.Settings(credentials_env="C", account="1", default_country="US")
    more = {"given_name": first, "family_name": last, "phone_number": phone, "postal_code": "94043"}
    try:
        made = google_members.member(settings, batch_of([person(email, region_code="US", **more)], "987").rows[0])
    except (RefusedError, RowsRefused):
        return
    for one in made["userData"]["userIdentifiers"]:
        parts = one.get("address", one)
        assert all(HASH.fullmatch(value) for name, value in parts.items() if name not in {"regionCode", "postalCode"})
