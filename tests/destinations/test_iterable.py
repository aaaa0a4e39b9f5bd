"""Iterable against a far end that keeps people, lists and events, and names whom it did not take by address or id."""

from __future__ import annotations

import pytest
from far_end import Sender, batch_of, listening, outcomes, row

from tailrace.destinations import iterable
from tailrace.destinations.base import HttpReply, Outcome, RefusedError, RowsRefused, Secrets

SECRETS = {"api_key_env": "key"}


class Project:
    """People by id or address, lists of them, and events by id."""

    def __init__(self) -> None:
        self.people: dict[str, dict] = {}
        self.lists: dict[int, set[str]] = {3: set()}
        self.events: dict[str, dict] = {}
        self.last: dict = {}
        self.sick: tuple | None = None

    def __call__(self, call):
        if call.headers.get("api-key") != "key":
            return 401, {}, {"msg": "Invalid API key", "code": "BadApiKey", "params": None}
        if self.sick is not None:
            return self.sick
        if call.path == "/api/lists":
            return 200, {}, {"lists": [{"id": 3, "name": "vip"}]}
        if call.path == "/api/lists/3/size":
            return 200, {}, str(len(self.lists[3])).encode()
        self.last = call.said
        many = self.last.get("users") or self.last.get("subscribers") or self.last.get("events")
        assert len(many) <= 1000
        lists: dict[str, list[str]] = {}
        for one in many:
            who = one.get("userId") or one["email"]
            name = {
                "wrong": "invalidUserIds",
                "wrong@": "invalidEmails",
                "gone": "forgottenUserIds",
                "nobody": "notFoundUserIds",
            }.get(who.lower())
            if name:
                lists.setdefault(name, []).append(who.upper())
            elif call.path.endswith("trackBulk"):
                self.events.setdefault(one["id"], one)
            elif call.path.endswith("bulkUpdate"):
                self.people.setdefault(who, {}).update(one["dataFields"])
            elif call.path.endswith("unsubscribe"):
                self.lists[self.last["listId"]].discard(who)
            else:
                self.lists[self.last["listId"]].add(who)
        failed = sum(map(len, lists.values()))
        if any(one.get("userId") == "secret" for one in many):
            failed += 1
        top = {name: ids for name, ids in lists.items() if name.startswith("invalid")}
        more = {name: ids for name, ids in lists.items() if name not in top}
        return 200, {}, {"successCount": len(many) - failed, "failCount": failed, **top, "failedUpdates": more}


@pytest.fixture
def project():
    return Project()


@pytest.fixture
def sender(project):
    with listening(project) as end:
        yield Sender(iterable, end, SECRETS)


def test_people_are_updated_and_their_times_are_written_as_iterable_reads_them(sender, project):
    rows = [row("add", {"user_id": 42}, plan="pro", seen_at="2026-03-01 05:00:00+00", born_on="1990-01-01")]
    assert outcomes(sender.send(rows, "people", "upsert")) == [("accepted", "http_200")]
    assert project.people == {"42": {"plan": "pro", "seen_at": "2026-03-01 05:00:00 +00:00", "born_on": "1990-01-01"}}
    (user,) = project.last["users"]
    assert user["preferUserId"] is True
    assert project.last["createNewFields"] is True
    sender.send([row("add", {"email": "a@people.test"}, plan="pro")], "people", "update_only")
    assert project.last["updateOnly"] is True
    assert "preferUserId" not in project.last["users"][0]


def test_the_people_that_an_answer_names_are_the_rows_that_were_refused(sender, project):
    rows = [row("add", {"user_id": name}) for name in ("1", "wrong", "gone", "nobody", "4")]
    rows.append(row("add", {"email": "Wrong@"}))
    assert outcomes(sender.send(rows, "people", "upsert")) == [
        ("accepted", "http_200"), ("rejected", "invalidUserIds"), ("rejected", "forgottenUserIds"),
        ("rejected", "not_found"), ("accepted", "http_200"), ("rejected", "invalidEmails"),
    ]  # fmt: skip
    assert list(project.people) == ["1", "4"]


def test_a_failure_that_is_counted_and_not_named_is_found_by_halving(sender, project):
    rows = [row("add", {"user_id": "secret" if n == 5 else str(n)}) for n in range(8)]
    said = outcomes(sender.send(rows, "people", "upsert"))
    assert said[5] == ("rejected", "not_named")
    assert [outcome for outcome, _ in said].count("accepted") == 7


def test_a_list_gets_and_loses_people_and_nobody_is_unsubscribed_from_mail(sender, project):
    sender.send([row("add", {"user_id": n}) for n in range(1200)], "list:3")
    assert len(project.lists[3]) == 1200
    assert project.last["updateExistingUsersOnly"] is False
    sender.send([row("remove", {"user_id": n}) for n in range(1199)], "list:3")
    assert project.lists[3] == {"1199"}
    assert project.last["channelUnsubscribe"] is False


def test_an_event_is_known_again(sender, project):
    rows = [
        row("add", {"event_id": "e1"}, user_id=42, event_name="paid", created_at="2026-03-01", campaignId="7", total=9)
    ]
    rows.append(row("add", {"order_id": "o1"}, user_id=42, event_name="paid"))
    for plan in ("p1", "p2"):
        sender.send(rows, "events", "append", plan=plan)
    assert len(project.events) == 2
    assert project.events["e1"] == {
        "userId": "42", "eventName": "paid", "id": "e1", "createdAt": 1772323200, "campaignId": 7,
        "dataFields": {"total": 9},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("sick", "outcome", "code"),
    [
        ((429, {}, {"code": "RateLimitExceeded", "msg": "slow"}), "retry_later", "RateLimitExceeded"),
        ((429, {}, b""), "retry_later", "http_429"),
        ((401, {}, {"code": "BadApiKey"}), "blocked", "BadApiKey"),
        ((400, {}, {"code": "RequestFieldsTypesMismatched", "msg": "kim"}), "rejected", "RequestFieldsTypesMismatched"),
        ((400, {}, {"code": "BatchTooLarge"}), "rejected", "BatchTooLarge"),
        ((400, {}, {"code": "ForgottenUserError"}), "rejected", "ForgottenUserError"),
        ((400, {}, {"code": "kim@people.test"}), "rejected", "http_400"),
        ((400, {}, {"code": ["x"]}), "rejected", "http_400"),
        ((400, {}, {"code": "UnknownUserIdError"}), "rejected", "not_found"),
        ((500, {}, {"code": "GenericError"}), "retry_later", "GenericError"),
        ((200, {}, {}), "unknown", "http_200_unreadable"),
        ((200, {}, {"successCount": 1, "failCount": "some"}), "unknown", "http_200_unreadable"),
        ((200, {}, b"<html>"), "unknown", "http_200_unreadable"),
        ((504, {}, b""), "unknown", "http_504"),
    ],
)
def test_what_it_may_answer_besides(sender, project, sick, outcome, code):
    project.sick = sick
    assert outcomes(sender.send([row("add", {"user_id": 1})], "people", "upsert")) == [(outcome, code)]


@pytest.mark.parametrize(
    ("told", "target", "code"),
    [
        (row("add", {"name": "Kim"}), "people", "row:no_key"),
        (row("remove", {"user_id": 1}), "people", "iterable:people_are_not_removed"),
        (row("add", {"event_id": 2}, user_id=1), "events", "event:no_name"),
        (row("add", {"event_id": 2}, event_name="x"), "events", "row:no_key"),
    ],
)
def test_a_row_that_cannot_be_said_is_refused_alone(told, target, code):
    good = row("add", {"user_id": 1, "event_id": 1}, event_name="x")
    mode = "append" if target == "events" else "mirror"
    with pytest.raises(RowsRefused) as refused:
        iterable.build_request(
            iterable.Settings(api_key_env="K"), Secrets(SECRETS), batch_of([good, told], target, mode)
        )
    assert refused.value.rows == {1: code}


@pytest.mark.parametrize("target", ["persons", "list:", "list:vip"])
def test_a_target_that_is_not_known_is_refused(target):
    told = batch_of([row("add", {"user_id": 1})], target)
    with pytest.raises(RefusedError, match="target:not_known"):
        iterable.build_request(iterable.Settings(api_key_env="K"), Secrets(SECRETS), told)


def test_it_is_probed_and_asked_how_many_a_list_has(sender, project):
    project.lists[3] = {"1", "2"}
    probe = iterable.build_probe(sender.settings, sender.secrets)
    assert not probe.acts
    assert iterable.read_probe(sender.settings, sender.perform(probe)).outcome is Outcome.ACCEPTED
    size = iterable.build_match(sender.settings, sender.secrets, "list:3")
    assert iterable.read_match(sender.settings, sender.perform(size)) == 2
    assert iterable.read_match(sender.settings, HttpReply(200, {}, b"<html>")) is None
    assert iterable.read_probe(sender.settings, HttpReply(401, {}, b"{}")).outcome is Outcome.BLOCKED
    with pytest.raises(RefusedError):
        iterable.build_match(sender.settings, sender.secrets, "people")
    assert iterable.Settings(api_key_env="K", region="eu").host == "https://api.eu.iterable.com"
