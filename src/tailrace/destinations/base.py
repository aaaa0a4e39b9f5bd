"""What is a destination, what may it be asked, and what may it answer?

A destination is one module in this folder with `NAME`, `Settings`, `CAPABILITIES`, `CODES`, `connect`,
`build_request` and `read_response` (see docs/delivery.md). It decides nothing: claims, retries, waits and the journal
are delivery's; sockets and files are `transport`'s.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Protocol, cast, runtime_checkable

import orjson
from pydantic import BaseModel, ConfigDict, Field

from tailrace.errors import TailraceError


class Outcome(StrEnum):
    """What became of a hand-over: the one list."""

    ACCEPTED = "accepted"
    """The destination has taken it over."""
    REJECTED = "rejected"
    """It never will take this one; final."""
    RETRY_LATER = "retry_later"
    """It did not take it now, provably; it will be tried again."""
    UNKNOWN = "unknown"
    """It may or may not have it. Never repeated blindly."""
    BLOCKED = "blocked"
    """Nothing may go there now (credentials, permission, no live lease); the item waits."""
    EXPIRED = "expired"
    """Its time passed before it was handed over."""
    CANCELLED = "cancelled"
    """Withdrawn before it was handed over."""


@dataclass(frozen=True)
class RowResult:
    """What became of one row of a batch."""

    position: int
    outcome: Outcome
    code: str


@dataclass(frozen=True)
class Result:
    """What became of one item. `code` is a short token, never free text.

    `is_systemic`: the destination is at fault, not the item, so the next item will hardly fare better.
    `retry_after`: seconds that the destination asked for. `rows`: rows whose outcome differs from the batch's.
    `status_code` and `body` (JSON text): the answer to a webhook step, which its campaign may branch on.
    """

    outcome: Outcome
    code: str
    provider_id: str | None = None
    retry_after: float | None = None
    is_systemic: bool = False
    rows: tuple[RowResult, ...] = ()
    status_code: int | None = None
    body: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Meaning:
    """What a destination's own code means to us, and why in words."""

    outcome: Outcome
    words: str
    is_systemic: bool = False


MODES = frozenset({"mirror", "upsert", "update_only", "append"})
"""What a sync may keep: `mirror` adds, updates and removes; `upsert` never removes; `update_only` changes what is there
and adds nothing; `append` says each row once, as an event."""


@dataclass(frozen=True)
class Capabilities:
    """What a destination can do.

    `is_idempotent`: it recognises a repeated id, so what is unknown may be sent again; a setting of the same name
    overrides it. `needs_live`: it reaches the world, so the live lease is needed. `slots`: items in one claim, which
    bounds what a crash can leave unknown; a setting `slots` overrides it.

    Of syncs: `modes` are those that it can keep. A removal knows no more than a row's key, so the keys of a sync must
    have one of `match_keys`, if there are any. `batch_rows`: rows of a batch, the unit that is claimed and recorded; a
    setting overrides it. `call_rows` and `call_bytes` (of the body): the most that one call takes, to which delivery
    cuts a batch. `names_rows` is False where a refused call does not say which row is at fault: then it is halved until
    it is known. `calls_per_second` is what the documentation allows; a setting overrides it.
    """

    channels: frozenset[str]
    takes_batches: bool
    is_idempotent: bool
    needs_live: bool
    slots: int
    modes: frozenset[str] = MODES
    match_keys: frozenset[str] = frozenset()
    batch_rows: int = 1000
    call_rows: int | None = None
    call_bytes: int | None = None
    names_rows: bool = True
    calls_per_second: float | None = None


@dataclass(frozen=True)
class Rendered:
    """A message's words for one person. `html` is None when there is only text; `sender` is (name, address)."""

    subject: str
    html: str | None
    text: str
    headers: Mapping[str, str] = field(default_factory=dict)
    sender: tuple[str, str] | None = None


@dataclass(frozen=True)
class Message:
    """One message to one address, ready to go. `at` is the moment of this attempt."""

    intent_id: str
    person_id: int
    channel: str
    campaign: str
    step: str
    address: str = field(repr=False)
    rendered: Rendered = field(repr=False)
    at: datetime


class BatchRow:
    """One row of a batch: `op` is add, update or remove; `key` and `data` (None to remove) are JSON values.

    `key_text` and `data_text` are the same as JSON text. None of it shows in a repr, log or error.
    """

    __slots__ = ("_data", "_key", "op", "position")

    def __init__(self, position: int, op: str, key: Any, data: Any) -> None:
        self.position = position
        self.op = op
        self._key = key
        self._data = data

    @property
    def key(self) -> Any:
        """Return the columns that tell it from other rows."""
        return self._key

    @property
    def data(self) -> Any:
        """Return all columns, or None."""
        return self._data

    @property
    def key_text(self) -> str:
        """Return the key as JSON text."""
        return orjson.dumps(self.key).decode()

    @property
    def data_text(self) -> str:
        """Return all columns as JSON text, or `null`."""
        return orjson.dumps(self.data).decode()

    def __repr__(self) -> str:
        """Return its place and what is to be done with it."""
        return f"BatchRow({self.position}, {self.op})"


@dataclass(frozen=True)
class Batch:
    """Rows of a sync, in order of position. A module is asked for a call for some of them: those in `rows`.

    A batch that removes does nothing else.
    """

    batch_id: str
    plan_id: str
    sync: str
    target: str
    batch_no: int
    rows: tuple[BatchRow, ...] = field(repr=False)
    at: datetime
    mode: str = "mirror"


Item = Message | Batch


@dataclass(frozen=True)
class HttpRequest:
    """One call over HTTP. `acts` is False when it changes nothing there: to ask for a token, to look."""

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    acts: bool = True


@dataclass(frozen=True)
class Pause:
    """A wait between two calls of an exchange, in seconds."""

    seconds: float


Steps = Generator["HttpRequest | Pause", "HttpReply | None", "HttpReply"]


@dataclass(frozen=True)
class Exchange:
    """Several calls that make one hand-over.

    `steps` begins a generator that yields calls, and is sent the answer of each, or pauses; what it returns is the
    answer that `read_response` reads.
    """

    steps: Callable[[], Steps] = field(repr=False)


@dataclass(frozen=True)
class Mail:
    """One e-mail for one recipient, as bytes."""

    sender: str
    recipient: str = field(repr=False)
    content: bytes = field(repr=False)


@dataclass(frozen=True)
class FileWrite:
    """One file, named relative to the outbox."""

    folder: str
    name: str
    content: bytes = field(repr=False)


Request = HttpRequest | Exchange | Mail | FileWrite


@dataclass(frozen=True)
class HttpReply:
    """An answer over HTTP; header names are lower case."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True)
class SmtpReply:
    """The answer that ended an SMTP dialogue, and where: connect, login, mail, rcpt, data or end (after the dot)."""

    stage: str
    code: int


@dataclass(frozen=True)
class Written:
    """The file is there; `flush` of its session makes its name durable."""


@dataclass(frozen=True)
class Failure:
    """No answer. `handed_over` is False only when provably nothing that could be acted on had left."""

    handed_over: bool
    code: str


Reply = HttpReply | SmtpReply | Written


class RefusedError(TailraceError):
    """The item cannot be expressed to the destination; `code` says why without repeating any of it."""

    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__(f"the item was refused before it was handed over: {code}")


class SyncRefused(RefusedError):
    """What the sync names, its target or its mode, cannot be expressed to the destination, whoever the row is about."""


class RowsRefused(RefusedError):
    """Some rows of a batch cannot be expressed; `rows` says why, a code by position. Delivery records those as
    rejected, and asks again for the call of the others. `of_sync`: the code among them that is a SyncRefused's.
    """

    def __init__(self, rows: Mapping[int, str], of_sync: str | None = None) -> None:
        self.rows, self.of_sync = dict(rows), of_sync
        super().__init__("rows_refused")


class Session(Protocol):
    """An open line to a destination. It is used by one thread, for one item at a time."""

    def perform(self, request: Any) -> Reply | Failure:
        """Hand over one request and return the answer. Never raises for what the other side does."""

    def flush(self) -> None:
        """Make what was performed durable on our side."""

    def close(self) -> None:
        """Hang up."""


class Secrets(Mapping[str, str]):
    """Secrets by setting (`password_env` → its value); they show in no repr, log or error."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = dict(values)

    def __getitem__(self, name: str) -> str:
        """Return one secret."""
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names."""
        return iter(self._values)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._values)

    def __repr__(self) -> str:
        """Return the names only."""
        return f"Secrets({', '.join(sorted(self._values))})"


class ConnectionSettings(BaseModel):
    """What every destination's settings have in common: strict, frozen, and secrets by environment name only.

    `baa`: there is a contract (a business associate agreement) under which health data may go there.
    `calls_per_second`: how fast it may be called, by all senders together, where that differs from what is documented.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(
        frozen=True, extra="forbid", strict=True, populate_by_name=True, hide_input_in_errors=True
    )

    baa: bool = False
    calls_per_second: float | None = Field(default=None, gt=0)


@runtime_checkable
class Destination(Protocol):
    """The shape of a destination's module."""

    NAME: str
    Settings: type[Any]
    CAPABILITIES: Capabilities
    CODES: Mapping[Any, Meaning]

    def connect(self, settings: Any, secrets: Secrets, files: Path) -> Session:
        """Return a line to it; `files` is the outbox folder."""

    def build_request(self, settings: Any, secrets: Secrets, item: Item) -> Request:
        """Return the request for one item. Pure; raises RefusedError, and RowsRefused where it is some rows only."""

    def read_response(self, settings: Any, item: Item, reply: Any) -> Result:
        """Return what the answer means for the item. Pure."""


@runtime_checkable
class Probing(Protocol):
    """A module that can ask whether it is let in, and change nothing: what `tailrace destination check` asks."""

    def build_probe(self, settings: Any, secrets: Secrets) -> object:
        """Return the call, as the module's own session performs it: a request, an exchange, a greeting."""

    def read_probe(self, settings: Any, reply: Any) -> Result:
        """Return accepted, or why not."""


@runtime_checkable
class Matching(Protocol):
    """A module whose destination says how many people of an audience it knows."""

    def build_match(self, settings: Any, secrets: Secrets, target: str) -> HttpRequest | Exchange:
        """Return the call that asks for the audience `target`."""

    def read_match(self, settings: Any, reply: HttpReply) -> int | None:
        """Return how many, or None when it does not say."""


class Destinations(Mapping[str, Destination]):
    """Every destination by name. A module is imported when it is asked for: most projects speak to two or three."""

    def __init__(self, modules: Mapping[str, str]) -> None:
        self._modules = dict(modules)

    def __getitem__(self, name: str) -> Destination:
        """Return one destination's module."""
        module: Any = importlib.import_module(self._modules[name])
        return cast(Destination, module)

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names."""
        return iter(self._modules)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._modules)


_NAMED = re.compile(r'^NAME = "(\w+)"$', re.MULTILINE)


@cache
def discover() -> Destinations:
    """Return every destination: each module of this folder that has a NAME."""
    package = importlib.import_module("tailrace.destinations")
    found = {}
    for entry in pkgutil.iter_modules(package.__path__):
        name = f"{package.__name__}.{entry.name}"
        source = pkgutil.get_data(package.__name__, f"{entry.name}.py") or b""
        if named := _NAMED.search(source.decode()):
            found[named[1]] = name
    return Destinations(found)


def meaning(codes: Mapping[Any, Meaning], code: Any) -> Meaning:
    """Return what `code` means; a code that is not listed is `unknown`."""
    return codes.get(code, Meaning(Outcome.UNKNOWN, "an answer that tailrace does not know"))


_TOKEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:\-]{0,79}")


def token(value: object, otherwise: str = "unnamed") -> str:
    """Return a code that a destination gave, if it is a short token; free text may name people and is not kept."""
    text = str(value)
    return text if _TOKEN.fullmatch(text) else otherwise
