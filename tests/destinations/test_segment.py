"""Segment against a far end that keeps messages by their id, and says yes to nearly everything, as Segment does."""

from __future__ import annotations

import base64

import orjson
import pytest
from far_end import AT, Sender, batch_of, listening, outcomes, row

from tailrace.destinations import segment
from tailrace.destinations.base import HttpReply, Outcome, RefusedError, RowsRefused, Secrets

SECRETS = {"write_key_env": "wk"}


class Source:
    """Messages by id: a repeated one is dropped. Too large, too many or no JSON is a 400."""

    def __init__(self) -> None:
        self.messages: dict[str, dict] = {}
        self.n_said = self.n_refused = 0
        self.sick: tuple | None = None

    def __call__(self, call):
        assert call.path == "/batch"
        assert call.headers["authorization"] == "Basic " + base64.b64encode(b"wk:").decode()
        if self.sick is not None:
            return self.sick
        batch = call.said["batch"]
        if len(call.body) > 500_000 or len(batch) > 2500:
            self.n_refused += 1
            return 400, {}, {"code": "invalid_request"}
        self.n_said += len(batch)
        for one in batch:
            assert len(orjson.dumps(one)) <= 32_768
            assert len(one["messageId"]) < 100
            self.messages.setdefault(one["messageId"], one)
        return 200, {}, {"success": True}

    @property
    def told(self):
        return list(self.messages.values())


@pytest.fixture
def source():
    return Source()


@pytest.fixture
def sender(source):
    with listening(source) as end:
        yield Sender(segment, end, SECRETS)


def test_people_are_identified_and_the_same_attempt_is_known_again(sender, source):
    rows = [row("add", {"user_id": 42}, plan="pro"), row("add", {"anonymous_id": "an1"}, plan=None)]
    for _ in range(2):
        assert outcomes(sender.send(rows, "people", "upsert")) == [("accepted", "http_200")] * 2
    first, second = source.told
    assert first == {"type": "identify", "userId": "42", "messageId": first["messageId"], "traits": {"plan": "pro"}}
    assert second["anonymousId"] == "an1"
    assert source.n_said == 4


def test_an_event_keeps_its_id_and_has_one_of_its_key_otherwise(sender, source):
    rows = [
        row("add", {"message_id": "m-1"}, user_id=42, event="Order Paid", timestamp="2026-03-01 05:00:00", total=9.5),
        row("add", {"order_id": 7}, user_id=42, event="Order Paid"),
        row("add", {"message_id": "m" * 120}, user_id=42, event="Order Paid", type="track"),
    ]
    sender.send(rows, "events", "append", plan="p1")
    sender.send(rows[::-1], "events", "append", plan="p2")
    assert len(source.messages) == 3
    assert source.messages["m-1"] == {
        "type": "track", "userId": "42", "messageId": "m-1", "timestamp": "2026-03-01T05:00:00.000Z",
        "properties": {"total": 9.5}, "event": "Order Paid",
    }  # fmt: skip


def test_an_audience_is_a_trait_that_becomes_false(sender, source):
    sender.send([row("add", {"user_id": 42}, since="2026-03-01")], "trait:vip", plan="p1")
    sender.send([row("remove", {"user_id": 42})], "trait:vip", plan="p2")
    assert [one["traits"] for one in source.told] == [{"since": "2026-03-01", "vip": True}, {"vip": False}]


def test_groups_and_pages_are_said(sender, source):
    sender.send([row("add", {"group_id": "acme", "user_id": 42}, name="Acme")], "groups", "upsert")
    sender.send(
        [row("add", {"message_id": "p1"}, user_id=42, event="Home", context={"ip": "0"})], "events:page", "append"
    )
    group, page = source.told
    assert (group["type"], group["groupId"], group["traits"]) == ("group", "acme", {"name": "Acme"})
    assert (page["type"], page["name"], page["context"], page["properties"]) == ("page", "Home", {"ip": "0"}, {})


def test_a_call_has_no_more_than_its_bytes_and_its_rows(sender, source):
    rows = [row("add", {"user_id": n}, note="x" * 30_000) for n in range(40)]
    assert {outcome for outcome, _ in outcomes(sender.send(rows, "people", "upsert"))} == {"accepted"}
    assert len(source.messages) == 40
    rows = [row("add", {"user_id": n}) for n in range(2600)]
    assert {outcome for outcome, _ in outcomes(sender.send(rows, "people", "upsert"))} == {"accepted"}
    assert source.n_refused == 0, "the limits are held here, and not learnt from refusals"


@pytest.mark.parametrize(
    ("sick", "outcome", "code", "later"),
    [
        ((200, {}, b""), "accepted", "http_200", None),
        ((200, {}, b"OK"), "accepted", "http_200", None),
        ((200, {}, "OK"), "accepted", "http_200", None),
        ((200, {}, {}), "accepted", "http_200", None),
        ((200, {}, {"success": False}), "rejected", "says_no", None),
        ((200, {}, {"error": "kim@people.test"}), "rejected", "says_no", None),
        ((200, {}, b"<html>"), "unknown", "http_200_unreadable", None),
        ((400, {}, {}), "rejected", "http_400", None),
        ((401, {}, {}), "blocked", "http_401", None),
        ((429, {"Retry-After": "30"}, {}), "retry_later", "http_429", 30.0),
        ((429, {"X-RateLimit-Reset": str(int(AT.timestamp()) + 12)}, {}), "retry_later", "http_429", 12.0),
        ((301, {"Location": "https://x.test"}, b""), "blocked", "http_301", None),
        ((503, {}, b""), "retry_later", "http_503", None),
    ],
)
def test_what_it_may_answer(sender, source, sick, outcome, code, later):
    source.sick = sick
    done = sender.send([row("add", {"user_id": 1})], "people", "upsert")
    assert outcomes(done) == [(outcome, code)]
    assert done.last.retry_after == later


@pytest.mark.parametrize(
    ("told", "target", "code"),
    [
        (row("add", {"name": "Kim"}), "people", "row:no_key"),
        (row("add", {"user_id": 2}, note="x" * 33_000), "people", "row:too_large"),
        (row("remove", {"user_id": 2}), "people", "segment:people_are_not_removed"),
        (row("add", {"user_id": 2}), "groups", "row:no_key"),
        (row("add", {"message_id": 2}, user_id=1), "events", "event:no_name"),
        (row("add", {"message_id": 2}, user_id=1, event="x", type="alias"), "events", "event:type"),
    ],
)
def test_a_row_that_cannot_be_said_is_refused_alone(told, target, code):
    good = row("add", {"user_id": 1, "group_id": "acme"}, event="x")
    mode = "append" if target == "events" else "upsert"
    with pytest.raises(RowsRefused) as refused:
        segment.build_request(
            segment.Settings(write_key_env="K"), Secrets(SECRETS), batch_of([good, told], target, mode)
        )
    assert refused.value.rows == {1: code}


@pytest.mark.parametrize(("target", "mode"), [("persons", "upsert"), ("trait", "mirror"), ("events", "upsert")])
def test_a_target_or_mode_that_is_not_known_is_refused(target, mode):
    told = batch_of([row("add", {"user_id": 1}, event="x")], target, mode)
    with pytest.raises(RefusedError):
        segment.build_request(segment.Settings(write_key_env="K"), Secrets(SECRETS), told)


def test_the_region_is_a_host_and_strictness_a_header():
    settings = segment.Settings(write_key_env="K", region="eu", strict_mode=True)
    request = segment.build_request(
        settings, Secrets(SECRETS), batch_of([row("add", {"user_id": 1})], "people", "upsert")
    )
    assert request.url == "https://events.eu1.segmentapis.com/v1/batch"
    assert request.headers["x-strict-mode"] == "1"
    probe = segment.build_probe(settings, Secrets(SECRETS))
    assert not probe.acts
    assert segment.read_probe(settings, HttpReply(401, {}, b"")).outcome is Outcome.BLOCKED
    assert segment.read_probe(settings, HttpReply(200, {}, b"{}")).outcome is Outcome.ACCEPTED
