"""The harness itself: it finds what differs, and an explanation that explains nothing is found out."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from conformance import cases, harness
from conformance.cases import Case, Wire, body_of
from conformance.harness import Driven, NotApplicable, Rows, compared, held_against
from tailrace.destinations import webhook

YML = """
invented:
  reasons:
    envelope: "ours is the webhook's own document"
    elsewhere: "we have no word for it"
  differences:
    - {cases: /track/, fields: '[+~-](body|url|header).*', reason: envelope}
"""


def case(action: str = "track", body: object = None) -> Case:
    wire = Wire("POST", "https://hook.test/", {}, body)
    return Case("segment", "c1", "invented", action, "single", "a name", ({"id": "1"},), {}, (wire,), False, {})


def driven(told: Case) -> Driven:
    if told.action == "other":
        raise NotApplicable("elsewhere")
    return Driven(webhook, {"url": "https://hook.test/"}, {}, [Rows("people", [("add", {"id": "1"}, {"id": "1"})])])


@pytest.fixture(autouse=True)
def _invented(tmp_path, monkeypatch):
    monkeypatch.setattr(harness, "DIFFERENCES", tmp_path / "differences.yml")
    (tmp_path / "differences.yml").write_text(YML)
    harness.deliberate.cache_clear()
    yield
    harness.deliberate.cache_clear()


def test_what_differs_for_a_reason_is_counted_under_it_and_what_is_not_applicable_apart():
    tally = held_against("invented", [case(), case("other")], driven)
    assert tally.numbers == {
        "driven": 1, "equal": 0, "differing": {"envelope": 1}, "not_applicable": {"elsewhere": 1},
    }  # fmt: skip


def test_what_differs_without_a_reason_fails():
    with pytest.raises(pytest.fail.Exception, match="1 cases of invented differ without a reason"):
        held_against("invented", [case("identify"), case("other")], driven)


def test_a_reason_that_explains_nothing_fails():
    with pytest.raises(AssertionError, match="explain nothing: elsewhere"):
        held_against("invented", [case()], driven)


@cases.recorded
def test_both_data_sets_are_read():
    told = cases.segment("customerio")
    assert len(told) == 244
    assert told[0].requests[0].body["batch"][0]["type"] == "person"
    told = cases.rudder("customerio", ("processor",))
    assert len(told) == 53
    assert told[0].requests[0].url == "https://track.customer.io/api/v1/customers/cio_1234"
    assert cases.rudder("mixpanel")[0].requests[0].body[0]["event"] == "Loaded a Page", "a batch within an envelope"


def test_a_body_is_compared_as_a_value_leaf_by_leaf():
    ours = {"b": [{"x": 1.0, "t": True}], "only": None}
    theirs = {"b": [{"t": 1, "x": 1}, 2], "no": 3}
    assert [one.field for one in compared("body", ours, theirs)] == [
        "~body.b[]",
        "~body.b[].t",
        "-body.no",
        "+body.only",
    ]


def test_a_form_is_opened_field_by_field():
    assert body_of(b"api_key=k&identification=%5B1%5D", "application/x-www-form-urlencoded;charset=UTF-8") == {
        "api_key": "k",
        "identification": [1],
    }


def test_refused_rows_are_left_out_and_the_others_go():
    def build(settings, secrets, batch):
        bad = {row.position: "no_id" for row in batch.rows if row.key["id"] == "2"}
        if bad:
            raise harness.RowsRefused(bad)
        return harness.HttpRequest("POST", "https://x.test/", {}, str(len(batch.rows)).encode())

    module = SimpleNamespace(
        Settings=lambda **told: None, CAPABILITIES=SimpleNamespace(call_rows=2), build_request=build
    )
    rows = [("add", {"id": str(n)}, {}) for n in range(3)]
    sent = harness.requests_of(Driven(module, {}, {}, [Rows("people", rows)]))
    assert [wire.body for wire in sent] == [2], "the second call has the refused row only"
    assert [wire.body for wire in harness.requests_of(Driven(module, {}, {}, [Rows("p", [*rows, rows[0]])]))] == [2, 1]
