"""How many people an audience has is what its destination says, or unknown with the reason; nobody asks from a copy."""

from types import SimpleNamespace
from typing import Any

import pytest

from tailrace.destinations.base import Capabilities, Failure, HttpReply
from tailrace.destinations.connections import Connection
from tailrace.pipeline.matching import Matched, matched
from tailrace.settings import Settings
from tests.installation import PROJECT

CAN = Capabilities(channels=frozenset(), takes_batches=True, is_idempotent=True, needs_live=True, slots=1)


class Session:
    def __init__(self, reply: Any) -> None:
        self.reply, self.asked, self.is_closed = reply, [], False

    def perform(self, request: Any) -> Any:
        self.asked.append(request)
        return self.reply

    def close(self) -> None:
        self.is_closed = True


def connection(session: Session, says: int | None = 7) -> Connection:
    module: Any = SimpleNamespace(
        NAME="network",
        CAPABILITIES=CAN,
        connect=lambda settings, secrets, files: session,
        build_match=lambda settings, secrets, target: ("ask", target, dict(secrets)),
        read_match=lambda settings, reply: says,
    )
    settings = {"token_env": "NETWORK_TOKEN", "other_env": None, "region": "eu"}
    return Connection("ads", module, list(settings.items()), 1)


def ask(tmp_path: Any, asked: Connection | None, *, live: bool = True) -> Matched:
    journal: Any = SimpleNamespace(live_show=lambda: SimpleNamespace(held=live))
    return matched(Settings(tmp_path, PROJECT), asked, "1234", journal)


@pytest.fixture(autouse=True)
def _token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETWORK_TOKEN", "secret")


def test_a_destination_that_counts_its_people_is_asked(tmp_path: Any) -> None:
    session = Session(HttpReply(200, {}, b""))

    assert ask(tmp_path, connection(session)) == Matched(7)
    assert session.asked == [("ask", "1234", {"token_env": "secret"})]
    assert session.is_closed


def test_nobody_is_asked_without_the_live_lease(tmp_path: Any) -> None:
    session = Session(HttpReply(200, {}, b""))

    found = ask(tmp_path, connection(session), live=False)

    assert (found.people, session.asked) == (None, [])
    assert "no live lease" in str(found.why_not)


def test_what_is_not_said_is_unknown(tmp_path: Any) -> None:
    silent = ask(tmp_path, connection(Session(HttpReply(200, {}, b"")), says=None))
    down = ask(tmp_path, connection(Session(Failure(handed_over=False, code="connect:refused"))))

    assert silent == Matched(None, "it did not say")
    assert down == Matched(None, "connect:refused")


def test_a_secret_that_is_not_set_is_named_and_nothing_fails(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NETWORK_TOKEN")

    found = ask(tmp_path, connection(Session(None)))

    assert found.people is None
    assert "NETWORK_TOKEN" in str(found.why_not)


def test_a_connection_that_is_gone_is_said_to_be(tmp_path: Any) -> None:
    assert ask(tmp_path, None).why_not == "its connection is not in destinations.yml"
