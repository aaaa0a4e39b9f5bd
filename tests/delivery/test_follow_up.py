"""What Google accepted is asked about later, in its own words, and what it refused then is not believed any more."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlsplit

import pytest
from far_vendors import granted
from google.ads import datamanager_v1
from receiver import answer
from test_misbehaving import MISBEHAVES, Ground

from tailrace.journal import Journal

States = datamanager_v1.RequestStatusPerDestination.RequestStatus
Reasons = datamanager_v1.ProcessingErrorReason


def status(state, *errors):
    """Return the answer of Google's status page, made of its own types: errors are (reason, count)."""
    counts = [datamanager_v1.ErrorCount(reason=reason, record_count=count) for reason, count in errors]
    said = datamanager_v1.RequestStatusPerDestination(
        request_status=state, error_info=datamanager_v1.ErrorInfo(error_counts=counts) if counts else None
    )
    told = datamanager_v1.RetrieveRequestStatusResponse(request_status_per_destination=[said])
    kind = datamanager_v1.RetrieveRequestStatusResponse
    return answer(200, kind.to_json(told, use_integers_for_enums=False).encode(), content_type="application/json")


class Google:
    """Accepts each call under a number of its own, and says `later` of all of them."""

    def __init__(self, receiver):
        self.receiver, self.later, self.asked, self.refused = receiver, status(States.PROCESSING), [], []
        receiver.otherwise = self

    def __call__(self, call):
        if "token" in call.path:
            return granted(self.receiver.port)
        if call.method == "GET":
            request = datamanager_v1.RetrieveRequestStatusRequest(
                request_id=parse_qs(urlsplit(call.path).query)["requestId"][0]
            )
            assert urlsplit(call.path).path == "/v1/requestStatus:retrieve"
            self.asked.append(request.request_id)
            return self.later
        if self.refused and len(json.loads(call.body)["audienceMembers"]) == 3:
            told = [{"field": f"audience_members[{index}]", "reason": "INVALID_FORMAT"} for index in self.refused]
            error = {"status": "INVALID_ARGUMENT", "details": [{"fieldViolations": told}]}
            return answer(400, json.dumps({"error": error}).encode())
        return answer(200, json.dumps({"requestId": f"r{len(self.receiver.calls)}"}).encode())


@pytest.fixture
def google(receiver):
    return Google(receiver)


@pytest.fixture
def ground(google, receiver, tmp_path, monkeypatch, private_key):
    return Ground(tmp_path, "google_data_manager", receiver, monkeypatch, private_key)


def after(ground, **span):
    ground.world.later(**span)
    return ground.world.deliver()


@pytest.mark.parametrize(
    ("said", "outcome", "code"),
    [
        (status(States.SUCCESS), "accepted", None),
        (status(States.FAILED), "unknown", "failed:no_reason"),
        (status(States.PARTIAL_SUCCESS, (Reasons.PROCESSING_ERROR_REASON_NO_CONSENT, 1),
                (Reasons.PROCESSING_ERROR_REASON_INVALID_FORMAT, 2)), "unknown", "partial:INVALID_FORMAT:2"),
        (status(States.FAILED, (Reasons.PROCESSING_ERROR_OPERATING_ACCOUNT_MISMATCH_FOR_AD_IDENTIFIER, 3)),
         "unknown", "failed:OPERATING_ACCOUNT_MISMATCH_FOR_AD_IDENTIFIER:3"),
    ],
)  # fmt: skip
def test_the_last_word_is_asked_for_once_and_what_was_refused_is_unknown(google, ground, said, outcome, code):
    ground.world.deliver()
    google.later = said
    done = after(ground, minutes=31)
    after(ground, hours=1)

    assert len(google.asked) == 1
    assert ground.outcomes() == [outcome] * 3
    assert (done.rows.unknown, done.rows.codes) == ((3, {f"unknown:{code}": 3}) if code else (0, {}))


def test_while_google_works_on_it_all_is_believed_and_it_is_asked_again(google, ground):
    ground.world.deliver()
    after(ground, minutes=31)
    after(ground, hours=1)
    assert (len(google.asked), ground.outcomes()) == (2, ["accepted"] * 3)

    google.later = status(States.FAILED)
    after(ground, hours=1)
    after(ground, hours=1)
    assert (len(google.asked), ground.outcomes()) == (3, ["unknown"] * 3)


def test_it_is_asked_from_half_an_hour_on_for_three_days_and_only_live(google, ground):
    ground.world.deliver()
    google.later = status(States.FAILED)
    after(ground, minutes=29)
    with Journal.open(ground.world.settings) as journal:
        journal.live_release("ops", "tests", ground.world.now)
    after(ground, minutes=10)
    ground.world.go_live()
    after(ground, days=3)
    assert (google.asked, ground.outcomes()) == ([], ["accepted"] * 3)


def test_who_was_refused_at_once_stays_so(google, ground):
    google.refused = [1]
    ground.world.deliver()
    google.later = status(States.PARTIAL_SUCCESS, (Reasons.PROCESSING_ERROR_REASON_DENIED_CONSENT, 1))
    done = after(ground, hours=1)

    assert ground.outcomes() == ["unknown", "rejected", "unknown"]
    assert done.rows.codes == {"unknown:partial:DENIED_CONSENT:1": 2}


def test_what_nobody_could_plan_anew_is_left_as_it_was(google, ground, monkeypatch):
    ground.world.deliver()
    google.later = status(States.FAILED)
    monkeypatch.setattr(ground.world.plans, "rows", ())
    after(ground, hours=1)
    after(ground, hours=1)
    assert (len(google.asked), ground.outcomes()) == (1, ["accepted"] * 3)


@pytest.mark.torture
@pytest.mark.parametrize("what", [one for one in MISBEHAVES if one != "refuses"])
def test_a_status_page_that_misbehaves_takes_nothing_back_and_stops_nothing(google, ground, what):
    ground.world.deliver()
    google.later = MISBEHAVES[what][0]
    done = after(ground, hours=1)
    assert (done.rows.claimed, done.problems, ground.outcomes()) == (0, [], ["accepted"] * 3)

    google.later = status(States.FAILED)
    after(ground, hours=1)
    assert ground.outcomes() == ["unknown"] * 3
