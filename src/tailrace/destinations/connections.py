"""Where does each channel and each sync go? `destinations.yml`, read strictly: every mistake, with its line.

A connection is a destination with its settings and a name; channels are routed to connections. Secrets stand in the
environment; the file holds only the names of the variables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import MarkedYAMLError

from tailrace import ids
from tailrace.destinations import mime
from tailrace.destinations.base import (
    Batch,
    BatchRow,
    Capabilities,
    Destination,
    Failure,
    Item,
    Outcome,
    RefusedError,
    Request,
    Result,
    RowsRefused,
    Secrets,
    Session,
    SyncRefused,
    discover,
)
from tailrace.errors import DefinitionError, Problem, TailraceError, nearest
from tailrace.settings import Settings, secret

FILE = "destinations.yml"
_NEVER = datetime(2000, 1, 1, tzinfo=UTC)
CHANNELS = ("email", "sms", "whatsapp", "push", "webhook", "slack")


@dataclass(frozen=True)
class Connection:
    """A destination with its settings, by the name that channels and syncs use."""

    name: str
    module: Destination = field(repr=False)
    settings: Any = field(repr=False)
    line: int

    @property
    def type(self) -> str:
        """The destination's name."""
        return self.module.NAME

    @property
    def capabilities(self) -> Capabilities:
        """What the destination can do."""
        return self.module.CAPABILITIES

    @property
    def is_idempotent(self) -> bool:
        """Whether what is unknown may be sent there again."""
        return bool(getattr(self.settings, "is_idempotent", self.capabilities.is_idempotent))

    @property
    def slots(self) -> int:
        """How many items make one claim: the most that a crash can leave unknown."""
        return int(getattr(self.settings, "slots", self.capabilities.slots))

    @property
    def batch_rows(self) -> int:
        """How many rows of a sync make a batch."""
        return int(getattr(self.settings, "batch_rows", self.capabilities.batch_rows))

    @property
    def call_rows(self) -> int | None:
        """How many rows of a batch one call takes at most; None: as many as there are."""
        most: int | None = getattr(self.settings, "call_rows", self.capabilities.call_rows)
        return most

    @property
    def call_bytes(self) -> int | None:
        """How long the body of one call may be; None: as long as it is."""
        most: int | None = getattr(self.settings, "call_bytes", self.capabilities.call_bytes)
        return most

    @property
    def calls_per_second(self) -> float | None:
        """How fast it may be called by all senders together; None: as fast as it answers."""
        asked: float | None = self.settings.calls_per_second
        return asked or self.capabilities.calls_per_second

    @property
    def rules(self) -> str:
        """The version of the rules by which the module writes people before it hashes them; '' when it has none."""
        return str(getattr(self.module, "RULES", ""))

    @property
    def may_have_health_data(self) -> bool:
        """Whether health data may go there: a contract covers it, or nothing leaves this machine."""
        return bool(self.settings.baa) or not self.capabilities.needs_live

    def refuses(self, target: str, mode: str, keys: Sequence[str]) -> str | None:
        """Return the code with which the module refuses every row of such a sync, for its target or its mode, or None.

        It is asked for calls about nobody: no secret is read, and no byte leaves.
        """
        secrets = Secrets({key: "{}" for key, value in self.settings if key.endswith("_env") and value is not None})
        nobody = dict.fromkeys(keys, "0")
        for op in ("add", "remove") if mode == "mirror" else ("add",):
            row = BatchRow(0, op, nobody, None if op == "remove" else nobody)
            batch = Batch("check", "check", "check", target, 0, (row,), _NEVER, mode)
            try:
                self.module.build_request(self.settings, secrets, batch)
            except RowsRefused as refused:
                code = refused.of_sync
            except RefusedError as refused:
                code = refused.code if isinstance(refused, SyncRefused) else None
            except TailraceError:
                # A secret that is no secret: what it says of the rest is not known here.
                return None
            else:
                continue
            if code is not None:
                return code
        return None

    def open(self, settings: Settings) -> Line:
        """Return an open line; its secrets are read now. Raises TailraceError that names an unset variable."""
        names = {key: value for key, value in self.settings if key.endswith("_env") and value is not None}
        secrets = Secrets({key: secret(value) for key, value in names.items()})
        return Line(self, secrets, self.module.connect(self.settings, secrets, settings.outbox))


class Line:
    """An open connection: what the sender talks to. Closing it hangs up."""

    def __init__(self, connection: Connection, secrets: Secrets, session: Session) -> None:
        self.connection = connection
        self._secrets = secrets
        self._session = session

    def prepare(self, item: Item) -> Request | Result:
        """Return the request for the item, or `rejected` when it cannot be expressed. No byte leaves.

        Raises RowsRefused when it is some rows of a batch that cannot.
        """
        try:
            return self.connection.module.build_request(self.connection.settings, self._secrets, item)
        except RowsRefused:
            raise
        except RefusedError as error:
            return Result(Outcome.REJECTED, error.code)

    def hand_over(self, item: Item, request: Request) -> Result:
        """Hand the request over and return what became of the item. This is where bytes leave."""
        reply = self._session.perform(request)
        if isinstance(reply, Failure):
            outcome = Outcome.UNKNOWN if reply.handed_over else Outcome.RETRY_LATER
            return Result(outcome, reply.code, is_systemic=True)
        return self.connection.module.read_response(self.connection.settings, item, reply)

    def follow_up(self, provider_id: str) -> Result:
        """Return what a destination that is `Following` says later of what it accepted."""
        module: Any = self.connection.module
        reply = self._session.perform(module.build_follow_up(self.connection.settings, self._secrets, provider_id))
        if isinstance(reply, Failure):
            return Result(Outcome.RETRY_LATER, reply.code, is_systemic=True)
        told: Result = module.read_follow_up(self.connection.settings, reply)
        return told

    def flush(self) -> None:
        """Make what was handed over durable, where that is ours to do."""
        self._session.flush()

    def close(self) -> None:
        """Hang up."""
        self._session.close()


@dataclass(frozen=True)
class Connections:
    """Every connection by name, and each channel's connection."""

    by_name: Mapping[str, Connection]
    channels: Mapping[str, str]

    @property
    def names(self) -> frozenset[str]:
        """The names of the connections."""
        return frozenset(self.by_name)

    @property
    def fingerprint(self) -> str:
        """Return a hash that changes when a plan would be another one: how many rows each connection takes at once, and
        by which rules.
        """
        known = [(name, self.batch_rows(name), self.by_name[name].rules) for name in sorted(self.by_name)]
        return ids.digest(*(f"{name}={rows}{rules and f' {rules}'}" for name, rows, rules in known))

    def batch_rows(self, name: str) -> int:
        """Return how many rows of a sync to the connection make a batch; 1000 where there is no such connection."""
        connection = self.by_name.get(name)
        return 1000 if connection is None else connection.batch_rows

    def of_channel(self, channel: str) -> Connection | None:
        """Return the connection that the channel goes to, or None."""
        name = self.channels.get(channel)
        return None if name is None else self.by_name[name]


def load_connections(settings: Settings) -> Connections:
    """Return what `destinations.yml` of the project says; without `channels`, all go to the outbox.

    Raises DefinitionError with every mistake and its line.
    """
    path = settings.project_dir / FILE
    document = _parse(path) if path.exists() else CommentedMap()
    reader = _Reader(FILE, document)
    connections = reader.read()
    if reader.problems:
        raise DefinitionError(reader.problems)
    return connections


def _parse(path: Path) -> CommentedMap:
    try:
        document = YAML(typ="rt").load(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise DefinitionError(Problem(FILE, None, "the file is not UTF-8; expected UTF-8 text")) from error
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise DefinitionError(
            Problem(FILE, mark.line + 1 if mark else None, f"not valid YAML: {error.problem or error.context}")
        ) from error
    if document is None:
        return CommentedMap()
    if not isinstance(document, CommentedMap):
        raise DefinitionError(Problem(FILE, 1, "expected the keys `connections` and `channels`"))
    return document


class _Reader:
    """Collects every problem of one file."""

    def __init__(self, path: str, document: CommentedMap) -> None:
        self._path = path
        self._document = document
        self.problems: list[Problem] = []

    def read(self) -> Connections:
        self._only(self._document, ("connections", "channels"), "destinations.yml")
        connections: dict[str, Connection] = {}
        for name, body in self._mapping("connections").items():
            connection = self._connection(str(name), body, self._line(self._mapping("connections"), name))
            if connection is not None:
                connections[connection.name] = connection
        named = set(map(str, self._mapping("connections")))
        if "outbox" not in named:
            outbox = discover()["outbox"]
            connections["outbox"] = Connection("outbox", outbox, outbox.Settings(), 0)
        return Connections(connections, self._channels(connections, named | {"outbox"}))

    def _connection(self, name: str, body: Any, line: int) -> Connection | None:
        where = f"connection `{name}`"
        if not isinstance(body, CommentedMap):
            return self._nothing(line, f"{where}: expected `type` and its settings")
        module = self._module(body, where, line)
        if module is None:
            return None
        plain = {str(key): value for key, value in body.items() if key != "type"}
        try:
            settings = module.Settings(**plain)
        except ValidationError as error:
            self._explain(error, module, body, where, line)
            return None
        sender = getattr(settings, "sender", None)
        if sender is not None:
            try:
                mime.check_header(sender)
                mime.split_sender(sender)
            except RefusedError:
                return self._nothing(
                    self._line(body, "from"), f"{where}: `from` is not a sender; expected `Name <name@example.com>`"
                )
        return Connection(name, module, settings, line)

    def _module(self, body: CommentedMap, where: str, line: int) -> Destination | None:
        """Return the destination that a connection is of; None, with what is wrong said, when there is none such."""
        known = discover()
        kind = body.get("type")
        listed = ", ".join(sorted(known))
        if kind is None:
            self._bad(line, f"{where} has no `type`; expected one of: {listed}")
        elif not isinstance(kind, str) or kind not in known:
            said = f"{where}: there is no destination `{kind}`; expected one of: {listed}." + nearest(str(kind), known)
            self._bad(self._line(body, "type"), said)
        elif "batch_rows" in body and not known[kind].CAPABILITIES.takes_batches:
            self._bad(
                self._line(body, "batch_rows"),
                f"{where}: `batch_rows` is not a setting of {kind}, which carries messages and no syncs; expected it"
                " gone: leave it out, or name a connection that takes a sync",
            )
        else:
            return known[kind]
        return None

    def _explain(self, error: ValidationError, module: Destination, body: CommentedMap, where: str, line: int) -> None:
        unfit = set() if module.CAPABILITIES.takes_batches else {"batch_rows"}
        fields = module.Settings.model_fields.items()
        allowed = [settings.alias or key for key, settings in fields if key not in unfit]
        for one in error.errors(include_input=False, include_url=False):
            key = str(one["loc"][0]) if one["loc"] else ""
            place = self._line(body, key) if key in body else line
            if one["type"] == "extra_forbidden":
                self._bad(
                    place,
                    f"{where}: `{key}` is not a setting of {module.NAME}; expected: {', '.join(sorted(allowed))}."
                    + nearest(key, allowed),
                )
            elif one["type"] == "missing":
                self._bad(line, f"{where}: `{key}` is missing; a {module.NAME} connection needs it")
            else:
                subject = f"`{key}`: " if key else ""
                self._bad(place, f"{where}: {subject}{one['msg']}")

    def _channels(self, connections: Mapping[str, Connection], named: set[str]) -> dict[str, str]:
        channels = dict.fromkeys(CHANNELS, "outbox") if "channels" not in self._document else {}
        body = self._mapping("channels")
        self._only(body, CHANNELS, "channels")
        for channel, target in body.items():
            line = self._line(body, channel)
            if not isinstance(target, str) or target not in named:
                self._bad(
                    line,
                    f"channel `{channel}`: there is no connection `{target}`; expected one of:"
                    f" {', '.join(sorted(named))}.{nearest(str(target), named)}",
                )
            elif target in connections:
                can = connections[target].capabilities.channels
                if channel in CHANNELS and channel not in can:
                    self._bad(line, f"channel `{channel}`: {connections[target].type} carries {', '.join(sorted(can))}")
                channels[str(channel)] = target
        return channels

    def _mapping(self, key: str) -> CommentedMap:
        body = self._document.get(key)
        if body is None:
            return CommentedMap()
        if not isinstance(body, CommentedMap):
            self._bad(self._line(self._document, key), f"`{key}`: expected names, each followed by a colon")
            return CommentedMap()
        return body

    def _only(self, body: CommentedMap, allowed: tuple[str, ...], where: str) -> None:
        for key in body:
            if key not in allowed:
                self._bad(
                    self._line(body, key),
                    f"{where}: there is no key `{key}`; expected: {', '.join(allowed)}.{nearest(str(key), allowed)}",
                )

    def _line(self, body: CommentedMap, key: Any) -> int:
        return int(body.lc.key(key)[0]) + 1

    def _nothing(self, line: int, message: str) -> Connection | None:
        self._bad(line, message)
        return None

    def _bad(self, line: int, message: str) -> None:
        problem = Problem(self._path, line, message)
        if problem not in self.problems:
            self.problems.append(problem)
