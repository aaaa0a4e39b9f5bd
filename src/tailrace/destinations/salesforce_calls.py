"""Which calls does Salesforce take for records, in which order, and what does it answer of each record?

Each kind of call is a value that is told how a call is made, and yields calls; it ends with what was answered, part by
part. No call follows one that failed.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from tailrace.destinations import api, tokens
from tailrace.destinations.base import HttpReply, HttpRequest, Pause, Steps, token

COLLECTION_ROWS = 200
COMPOSITE_ROWS = 25
LARGEST_JOB = 90_000_000
UNPROCESSED = "BULK_UNPROCESSED"
NOT_FINISHED = "BULK_NOT_FINISHED"
JOB_FAILED = "BULK_JOB_FAILED"

Records = tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class Part:
    """What one call was answered: the codes of the errors of each row, by position; none are none.

    `results` is None when the call failed as a whole: `code` is then Salesforce's own, if it said one.
    """

    status: int
    code: str | None = None
    results: Mapping[int, tuple[str, ...]] | None = None


@dataclass(frozen=True)
class Answers(HttpReply):
    """The answers of several calls as one."""

    parts: tuple[Part, ...] = ()


Parts = Generator["HttpRequest | Pause", "HttpReply | None", tuple[Part, ...]]
Call = Callable[..., HttpRequest]


@dataclass(frozen=True)
class Collections:
    """Upserts, 200 records a call."""

    path: str
    target: str
    key: str
    records: Records = field(repr=False)
    positions: tuple[int, ...]

    def __call__(self, call: Call) -> Parts:
        """Yield the calls."""
        parts: list[Part] = []
        for chunk in _chunks(self.positions, self.records, COLLECTION_ROWS):
            records = [{"attributes": {"type": self.target}, **record} for _, record in chunk]
            body = {"allOrNone": False, "records": records}
            reply = yield call("PATCH", f"{self.path}/composite/sobjects/{self.target}/{self.key}", body)
            parts.append(_read(reply, [position for position, _ in chunk], _of_collection))
            if parts[-1].results is None:
                break
        return tuple(parts)


@dataclass(frozen=True)
class Singles:
    """Requests for one record each, 25 a call."""

    path: str
    requests: Records = field(repr=False)
    positions: tuple[int, ...]

    def __call__(self, call: Call) -> Parts:
        """Yield the calls."""
        parts: list[Part] = []
        for chunk in _chunks(self.positions, self.requests, COMPOSITE_ROWS):
            body = {"haltOnError": False, "batchRequests": [one for _, one in chunk]}
            reply = yield call("POST", f"{self.path}/composite/batch", body)
            parts.append(_read(reply, [position for position, _ in chunk], _of_composite))
            if parts[-1].results is None:
                break
        return tuple(parts)


@dataclass(frozen=True)
class Bulk:
    """Upserts as jobs of Bulk API 2.0: created, uploaded, closed, and asked for until they have ended."""

    path: str
    target: str
    key: str
    records: Records = field(repr=False)
    positions: tuple[int, ...]
    wait_seconds: int

    def __call__(self, call: Call) -> Parts:
        """Yield the calls and waits."""
        parts: list[Part] = []
        by_key = {str(record[self.key]): place for place, record in zip(self.positions, self.records, strict=True)}
        for content, keys in _files(self.records, self.key):
            part = yield from self._job(call, content, {key: by_key[key] for key in keys})
            parts.append(part)
            if part.results is None:
                break
        return tuple(parts)

    def _job(
        self, call: Call, content: bytes, by_key: Mapping[str, int]
    ) -> Generator[HttpRequest | Pause, HttpReply | None, Part]:
        jobs = f"{self.path}/jobs/ingest"
        new = {"object": self.target, "operation": "upsert", "externalIdFieldName": self.key}
        # A job that is not closed does nothing: until then nothing has been handed over.
        reply = yield call("POST", jobs, {**new, "contentType": "CSV", "lineEnding": "LF"}, acts=False)
        told = _object(reply)
        job = f"{jobs}/{token(told.get('id'), '')}"
        if job.endswith("/"):
            return _failed(reply)
        reply = yield call("PUT", f"{job}/batches", content, acts=False)
        if _is_taken(reply):
            reply = yield call("PATCH", job, {"state": "UploadComplete"})
        if not _is_taken(reply):
            return _failed(reply)
        for seconds in _waits(self.wait_seconds):
            yield Pause(seconds)
            reply = yield call("GET", job, acts=False)
            told = _object(reply)
            if told.get("state") in {"JobComplete", "Failed", "Aborted"}:
                return (yield from self._results(call, job, told, by_key))
        return Part(200, NOT_FINISHED)

    def _results(
        self, call: Call, job: str, ended: Mapping[str, Any], by_key: Mapping[str, int]
    ) -> Generator[HttpRequest | Pause, HttpReply | None, Part]:
        """Yield the calls for what became of each record, unless all is well."""
        counts = (ended.get("state"), ended.get("numberRecordsProcessed"), ended.get("numberRecordsFailed"))
        if counts == ("JobComplete", len(by_key), 0):
            return Part(200, results=dict.fromkeys(by_key.values(), ()))
        results: dict[int, tuple[str, ...]] = {}
        for name in ("successfulResults", "failedResults", "unprocessedrecords"):
            reply = yield call("GET", f"{job}/{name}", acts=False, accept="text/csv")
            if reply is None or not _is_taken(reply):
                return _failed(reply)
            for row in csv.DictReader(io.StringIO(reply.body.decode("utf-8", "replace"))):
                position = by_key.get(str(row.get(self.key)))
                if position is not None:
                    results[position] = _of_line(name, row)
        return Part(200, results=results) if results else Part(200, JOB_FAILED)


@dataclass(frozen=True)
class Look:
    """A call that asks; its answer is the exchange's."""

    path: str

    def __call__(self, call: Call) -> Steps:
        """Yield it."""
        reply = yield call("GET", self.path, acts=False)
        assert reply is not None
        return reply


@dataclass(frozen=True)
class AtInstance:
    """The calls, at the address that came with the token."""

    go: Collections | Singles | Bulk | Look
    schemes: tuple[str, ...]

    def __call__(self, granted: Mapping[str, Any]) -> Steps:
        """Yield the calls, and return their answers as one."""
        instance = str(granted.get("instance_url")).rstrip("/")
        if not instance.startswith(self.schemes):
            return tokens.refused(HttpReply(200, {}, b'{"error": "no_instance_url"}'))

        def call(
            method: str, path: str, body: Any = None, *, acts: bool = True, accept: str = "application/json"
        ) -> HttpRequest:
            headers = api.headers(authorization=f"Bearer {granted['access_token']}", accept=accept)
            if isinstance(body, bytes):
                return HttpRequest(method, instance + path, {**headers, "content-type": "text/csv"}, body, acts)
            return HttpRequest(method, instance + path, headers, b"" if body is None else orjson.dumps(body), acts)

        if isinstance(self.go, Look):
            return (yield from self.go(call))
        parts = yield from self.go(call)
        return Answers(200, {}, b"", parts)


def read_parts(reply: HttpReply, positions: Sequence[int]) -> tuple[Part, ...]:
    """Return what was answered; a plain answer is one to an upsert of all rows."""
    return reply.parts if isinstance(reply, Answers) else (_read(reply, positions, _of_collection),)


def code_of(told: Any) -> str | None:
    """Return Salesforce's own code of a refusal."""
    first = told[0] if isinstance(told, list) and told else told
    code = first.get("errorCode") if isinstance(first, dict) else None
    return token(code, "unnamed") if isinstance(code, str) else None


def _read(
    reply: HttpReply | None, positions: Sequence[int], of: Callable[[Any], Iterator[tuple[str, ...]] | None]
) -> Part:
    if reply is None or not _is_taken(reply):
        return _failed(reply)
    told = of(api.read_json(reply))
    if told is None:
        return Part(reply.status, f"http_{reply.status}_unreadable")
    return Part(reply.status, results=dict(zip(positions, told, strict=False)))


def _is_taken(reply: HttpReply | None) -> bool:
    return reply is not None and reply.status // 100 == 2


def _object(reply: HttpReply | None) -> dict[str, Any]:
    told = api.read_json(reply) if reply is not None and _is_taken(reply) else None
    return told if isinstance(told, dict) else {}


def _failed(reply: HttpReply | None) -> Part:
    if reply is None:
        return Part(0)
    return Part(reply.status, f"http_{reply.status}_unreadable" if _is_taken(reply) else code_of(api.read_json(reply)))


def _of_collection(told: Any) -> Iterator[tuple[str, ...]] | None:
    """Return the codes of each record of a collection, in its order."""
    if not isinstance(told, list):
        return None
    return (_codes(one, "statusCode") for one in told)


def _of_composite(told: Any) -> Iterator[tuple[str, ...]] | None:
    """Return the codes of each request of a composite batch, in its order."""
    results = told.get("results") if isinstance(told, dict) else None
    return (_of_request(one) for one in results) if isinstance(results, list) else None


def _of_request(one: Any) -> tuple[str, ...]:
    status = one.get("statusCode") if isinstance(one, dict) else None
    if isinstance(status, int) and status // 100 == 2:
        return ()
    own = code_of(one.get("result")) if isinstance(one, dict) else None
    plain = {300: "MULTIPLE_CHOICES", 404: "NOT_FOUND"}.get(status if isinstance(status, int) else 0)
    return (plain if plain == "MULTIPLE_CHOICES" else own or plain or f"http_{token(status)}",)


def _codes(one: Any, name: str) -> tuple[str, ...]:
    if isinstance(one, dict) and one.get("success") is True:
        return ()
    errors = one.get("errors") if isinstance(one, dict) else None
    told = [error.get(name) for error in errors if isinstance(error, dict)] if isinstance(errors, list) else []
    return tuple(token(code) for code in told) or ("unnamed",)


def _of_line(name: str, row: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the codes of a line of a job's results; an error is its code, a colon, and words that are not kept."""
    if name == "successfulResults":
        return ()
    return (UNPROCESSED if name == "unprocessedrecords" else token(str(row.get("sf__Error")).partition(":")[0]),)


def _chunks(positions: Sequence[int], records: Records, size: int) -> Iterator[tuple[tuple[int, Any], ...]]:
    pairs = tuple(zip(positions, records, strict=True))
    return (pairs[start : start + size] for start in range(0, len(pairs), size))


def _waits(most: float) -> Iterator[float]:
    """Yield the seconds between two looks: few at first, then half a minute, `most` in all."""
    left, seconds = most, 2.0
    while left > 0:
        yield min(seconds, left)
        left -= seconds
        seconds = min(30.0, seconds * 2)


def _files(records: Records, key: str) -> Iterator[tuple[bytes, list[str]]]:
    """Yield CSV files, none too large for a job, and the keys in each."""
    flat = [_flat(record) for record in records]
    columns = list(dict.fromkeys(name for record in flat for name in record))
    lines = [_line(columns)]
    keys: list[str] = []
    size = 0
    for record in flat:
        line = _line([_cell(record.get(name)) for name in columns])
        if keys and size + len(line) > LARGEST_JOB:
            yield b"".join(lines), keys
            lines, keys, size = [_line(columns)], [], 0
        lines.append(line)
        keys.append(str(record[key]))
        size += len(line)
    if keys:
        yield b"".join(lines), keys


def _flat(record: Mapping[str, Any]) -> dict[str, Any]:
    return {
        (f"{name}.{own}" if own else name): told
        for name, value in record.items()
        for own, told in (value.items() if isinstance(value, dict) else [("", value)])
    }


def _cell(value: Any) -> str:
    """Return a cell: an empty one would leave the field as it is, `#N/A` empties it."""
    if value is None or value == "":
        return "#N/A"
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _line(cells: Sequence[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue().encode()
