"""Where can things go, would they get there, and does a message really arrive?"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from urllib.parse import urlsplit

import orjson

from tailrace import clock
from tailrace.campaigns.policy import Policy, load_policy
from tailrace.destinations import probing
from tailrace.destinations.base import Message, Outcome, Rendered, Result
from tailrace.destinations.connections import CHANNELS, FILE, Connection, Connections, load_connections
from tailrace.errors import DefinitionError, DestinationError, Problem, TailraceError, nearest
from tailrace.journal.journal import Journal
from tailrace.journal.opening import is_made
from tailrace.journal.trials import Trial, Trials
from tailrace.settings import Settings
from tailrace.warehouse import preview as compiling
from tailrace.warehouse.catalog import read_catalog

_PLACES = ("host", "url", "base_url", "endpoint_url", "folder", "region")


@dataclass(frozen=True)
class Listed:
    """One connection. `secrets`: whether each environment variable that it reads is set, never what it holds.

    `channels` go to it, `syncs` name it (None when the models could not be read); `carries` is what it could carry.
    """

    name: str
    type: str
    place: str
    channels: tuple[str, ...]
    syncs: tuple[str, ...] | None
    carries: tuple[str, ...]
    takes_syncs: bool
    secrets: dict[str, bool]
    needs_live: bool
    baa: bool
    last_test: Trial | None


@dataclass(frozen=True)
class Checked:
    """What was found of one connection; `problems` say the place and the fix. `note` is what could not be asked."""

    name: str
    type: str
    status: Literal["ok", "bad"]
    problems: tuple[str, ...]
    note: str


@dataclass(frozen=True)
class Tested:
    """What became of a message that a person sent to try a connection."""

    trial: int
    id: str
    connection: str
    type: str
    channel: str
    outcome: str
    code: str
    words: str | None
    provider_id: str | None


def overview(settings: Settings) -> tuple[list[Listed], str | None]:
    """Return every connection, and why the syncs could not be read, if so.

    Raises DefinitionError when destinations.yml is wrong.
    """
    connections = load_connections(settings)
    syncs, why = _syncs(settings)
    tried = _tried(settings)
    return [_listed(connections, name, syncs, tried.get(name)) for name in sorted(connections.names)], why


def check(settings: Settings, name: str | None) -> list[Checked]:
    """Return what is wrong with each connection, or with one; nothing is changed anywhere.

    Raises DefinitionError when destinations.yml is wrong, or has no such connection.
    """
    connections = load_connections(settings)
    names = [_known(connections, name).name] if name is not None else sorted(connections.names)
    return [_checked(connections.by_name[each], settings) for each in names]


def try_out(settings: Settings, name: str, address: str, channel: str | None, who: str) -> Tested:
    """Send one message to one address through a connection, and return what became of it.

    It goes where a delivery might go: anywhere with the live lease, without it to addresses of the allow-list. That it
    was sent, and by whom, is in the journal before it leaves. Raises TailraceError when it may not go,
    or the connection cannot be opened.
    """
    connection = _known(load_connections(settings), name)
    lane = _lane(settings, connection, channel)
    policy = load_policy(settings.project_dir)
    line = connection.open(settings)
    with closing(line), Journal.open(settings) as journal:
        lease = journal.live_show()
        is_allowed = address.strip().lower() in settings.allow_list
        if connection.capabilities.needs_live and not lease.held and not is_allowed:
            raise DestinationError(
                f"connection `{name}`: a test would leave this machine, and this data directory is not live"
                f" ({lease.why_not}); expected the live lease, or an address of TAILRACE_ALLOW_LIST: `tailrace live"
                " acquire`, or put the address on the list. Nothing was sent."
            )
        trials = Trials(journal)
        at = clock.now()
        seq = trials.begin(name, lane, who, at)
        item = _message(policy, connection, trials.item_id(seq), lane, address, at)
        request = line.prepare(item)
        result = request if isinstance(request, Result) else line.hand_over(item, request)
        line.flush()
        trials.record(seq, result.outcome.value, result.code, result.provider_id, clock.now())
    return Tested(
        trial=seq,
        id=item.intent_id,
        connection=name,
        type=connection.type,
        channel=lane,
        outcome=result.outcome.value,
        code=result.code,
        words=probing.words(connection.module.CODES, result.code),
        provider_id=result.provider_id,
    )


def _listed(connections: Connections, name: str, syncs: dict[str, str] | None, last: Trial | None) -> Listed:
    connection = connections.by_name[name]
    can = connection.capabilities
    return Listed(
        name=name,
        type=connection.type,
        place=_place(connection.settings),
        channels=tuple(sorted(channel for channel, to in connections.channels.items() if to == name)),
        syncs=None if syncs is None else tuple(sorted(sync for sync, to in syncs.items() if to == name)),
        carries=tuple(sorted(can.channels)),
        takes_syncs=can.takes_batches,
        secrets={variable: probing.is_set(variable) for variable in probing.variables(connection).values()},
        needs_live=can.needs_live,
        baa=bool(connection.settings.baa),
        last_test=last,
    )


def _place(settings: Any) -> str:
    """Return where a connection leads, as far as its settings say: of a web address the host only."""
    told = (str(getattr(settings, name)) for name in _PLACES if getattr(settings, name, None) is not None)
    hosts = (urlsplit(text).hostname or "" if text.startswith(("http://", "https://")) else text for text in told)
    return ", ".join(dict.fromkeys(hosts))


def _syncs(settings: Settings) -> tuple[dict[str, str] | None, str | None]:
    try:
        compiling.refresh(settings)
        return {name: model.destination for name, model in read_catalog(settings).syncs.items()}, None
    except TailraceError as error:
        return None, str(error)


def _tried(settings: Settings) -> dict[str, Trial]:
    if not is_made(settings):
        return {}
    with Journal.open(settings) as journal:
        return Trials(journal).last()


def _known(connections: Connections, name: str) -> Connection:
    if name not in connections.by_name:
        raise DefinitionError(
            Problem(
                FILE,
                None,
                f"there is no connection `{name}`; expected one of: {', '.join(sorted(connections.names))}."
                + nearest(name, connections.names),
            )
        )
    return connections.by_name[name]


def _checked(connection: Connection, settings: Settings) -> Checked:
    place = f"{FILE}:{connection.line}: " if connection.line else ""
    problems = [
        f"{place}`{setting}` names the variable `{variable}`, which is not set; expected its secret there: set it where"
        " tailrace runs"
        for setting, variable in probing.variables(connection).items()
        if not probing.is_set(variable)
    ]
    note = ""
    if problems:
        note = "not asked whether it lets us in, for want of its secrets"
    else:
        said, note = _probed(connection, settings)
        problems += [f"{place}{problem}" for problem in said]
    return Checked(connection.name, connection.type, "bad" if problems else "ok", tuple(problems), note)


def _probed(connection: Connection, settings: Settings) -> tuple[list[str], str]:
    try:
        result = probing.probe(connection, settings)
    except TailraceError as error:
        return [str(error)], ""
    if result is None:
        return [], "opened; it has no question that changes nothing, so whether it lets us in shows at the first call"
    if result.outcome is Outcome.ACCEPTED:
        return [], "it lets us in"
    why = probing.words(connection.module.CODES, result.code)
    fix = (
        "see the settings and the secrets" if result.outcome is Outcome.BLOCKED else "see that it is up, and try again"
    )
    return [f"it does not let us in: {result.code}{f' ({why})' if why else ''}; {fix}"], ""


def _lane(settings: Settings, connection: Connection, channel: str | None) -> str:
    """Return the channel of a test: the one that is named, else the one that goes there, else the only one it has."""
    can = sorted(connection.capabilities.channels, key=_rank)
    if not can:
        raise DestinationError(
            f"connection `{connection.name}`: {connection.type} carries no messages, only syncs; expected a connection"
            f" of a channel: `tailrace destination check {connection.name}` asks whether it lets us in"
        )
    if channel is not None:
        if channel not in can:
            raise DestinationError(f"connection `{connection.name}`: {connection.type} carries {', '.join(can)}")
        return channel
    routed = [lane for lane, name in load_connections(settings).channels.items() if name == connection.name]
    some = [lane for lane in can if lane in routed] or can
    if len(some) > 1:
        raise DestinationError(
            f"connection `{connection.name}` carries {', '.join(some)}; expected one of them: name it with --channel"
        )
    return some[0]


def _rank(channel: str) -> int:
    return CHANNELS.index(channel) if channel in CHANNELS else len(CHANNELS)


def _message(policy: Policy, connection: Connection, item_id: str, channel: str, address: str, at: datetime) -> Message:
    said = f"A test of the connection {connection.name}, sent by hand at {clock.iso(at)}. Nothing is to be done."
    title = f"Test of the connection {connection.name}"
    sheets: dict[str, Any] = {
        "webhook": {"method": "POST", "url": address, "body": {"type": "test", "id": item_id, "text": said}},
        "push": {"title": title, "body": said},
        "whatsapp": {"body": said},
    }
    if channel in sheets:
        said = orjson.dumps(sheets[channel]).decode()
    return Message(
        intent_id=item_id,
        person_id=0,
        channel=channel,
        campaign="test",
        step="test",
        address=address,
        rendered=Rendered(title, None, said, {}, (policy.from_name, policy.from_email)),
        at=at,
    )
