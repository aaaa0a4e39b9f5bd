"""Which lines could not be landed, why, and what happens when they are tried again?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tailrace import engine
from tailrace.errors import DataError
from tailrace.landing.backfills import OUTSIDE
from tailrace.landing.loads import loads, loads_dir, quarantine_files
from tailrace.settings import Settings

REASONS = {
    "not_utf8": "the bytes are not UTF-8",
    "not_json": "the line, or a text that has to hold an object, is not JSON",
    "cut_short": "the line, or a text that has to hold an object, ends in the middle",
    "several_values": "more than one JSON value stands on the line, or in a text that has to hold an object",
    "not_an_object": "the line is JSON, but not an object",
    "duplicate_key": "an object has the same key twice",
    "not_a_number": "NaN or Infinity, which JSON does not have",
    "number_not_exact": "a number has more digits than a 64-bit float keeps",
    "control_character": "a raw control character in a text",
    "nul_character": "a NUL character, raw or escaped",
    "lone_surrogate": "half of a surrogate pair",
    "too_deep": "nested too deeply",
    "too_long": "the line is too long",
    "empty_batch": "a batch without calls",
    "type_missing": "`type` is missing",
    "type_unknown": "`type` is none of identify, track, page, screen, group, alias",
    "id_missing": "neither a user id nor an anonymous id",
    "id_not_text": "an id, type or name is true, false, a list or an object",
    "id_not_exact": "an id is a number with more than one spelling, such as 1.50",
    "event_missing": "a track call without `event`",
    "group_missing": "a group call without `groupId`",
    "alias_incomplete": "an alias call without `previousId` or `userId`",
    "time_missing": "no timestamp",
    "time_invalid": "a timestamp that is not written as the contract says, or that no clock ever shows",
    "time_implausible": "a time outside the window that the contract calls plausible",
    "outside_range": "a time outside the range that the backfill was asked for",
    "body_not_an_object": "`properties`, `traits`, `context` or a column that the mapping looks into is not an object",
    "contract_broken": "a property is not what the event's contract says (contracts/events/)",
    "call_unknown": "no call of Customer.io's Track API that we know",
    "call_not_kept": "a call of the Track API that says nothing about a person or an object by its id",
    "call_refused": "a call that Customer.io did not take, by the status in the log",
    "identifiers_wrong": "`identifiers` has not exactly one that is understood",
    "row_width": "the row has more or fewer fields than the header",
    "bad_quotes": "quotes that do not match",
    "header_repeated": "the header again, in the middle of the file",
    "ambiguous_number": "a number in the row cannot be kept exactly",
}


@dataclass(frozen=True)
class Quarantined:
    """One line that could not be landed. `is_open` is false once a retry landed it or found it landed."""

    id: str
    load_id: str
    source: str
    file: str
    line: int
    reason: str
    explanation: str
    detail: str | None
    n_bytes: int
    is_open: bool


@dataclass(frozen=True)
class QuarantinedLine(Quarantined):
    """The same with the line itself; bytes that are no UTF-8 are shown as backslash escapes."""

    raw: str


# What is read of a line, but for the line itself.
_FIELDS = ("id", "load_id", "source", "file", "line", "reason", "detail", "n_bytes", "is_open")
_COLUMNS = (
    "q.quarantine_id, q.load_id, q.source, q.file, q.line, q.reason, q.detail, octet_length(q.raw),"
    " r.quarantine_id is null"
)


def resolved_sql(settings: Settings) -> str:
    """Return a relation (quarantine_id, outcome) of the lines that retries took out of quarantine."""
    files = [str(path) for path in sorted(loads_dir(settings).glob("[0-9a-f]*/resolved.parquet"))]
    if not files:
        return "(select null::varchar as quarantine_id, null::varchar as outcome where false)"
    return f"read_parquet([{', '.join(engine.literal(name) for name in files)}])"


def list_quarantine(
    settings: Settings,
    source: str | None = None,
    limit: int | None = 100,
    *,
    reason: str | None = None,
    resolved: bool = False,
) -> list[Quarantined]:
    """Return the lines in quarantine, oldest load first, at most `limit`; open ones only unless `resolved`.

    Without a reason, not those that only the range of a backfill left out: they may be most of a file, and nothing is
    wrong with them. The lines themselves are left out: `show` gives one.
    """
    where = ["true" if resolved else "r.quarantine_id is null"]
    where.append(f"q.reason <> {engine.literal(OUTSIDE)}" if reason is None else f"q.reason = {engine.literal(reason)}")
    if source is not None:
        where.append(f"q.source = {engine.literal(source)}")
    most = "" if limit is None else f" limit {int(limit)}"
    rest = f"where {' and '.join(where)} order by q.load_seq, q.file, q.line, q.part{most}"
    return [Quarantined(**_said(row)) for row in _read(settings, _COLUMNS, rest)]


def show(settings: Settings, quarantine_id: str) -> QuarantinedLine:
    """Return one quarantined line with its content.

    Raises DataError when there is none with this id.
    """
    rest = f"where q.quarantine_id = {engine.literal(quarantine_id)}"
    found = next(iter(_read(settings, f"{_COLUMNS}, q.raw", rest)), None)
    if found is None:
        raise DataError(f"there is no quarantined line `{quarantine_id}`; expected an id from `quarantine list`")
    return QuarantinedLine(**_said(found), raw=found[-1].decode("utf-8", "backslashreplace"))


def counts(settings: Settings, source: str | None = None) -> dict[str, int]:
    """Return how many lines are open, by reason."""
    of_source = "" if source is None else f" and q.source = {engine.literal(source)}"
    rest = f"where r.quarantine_id is null{of_source} group by q.reason order by q.reason"
    return dict(_read(settings, "q.reason, count(*)", rest))


def _read(settings: Settings, columns: str, rest: str) -> list[tuple[Any, ...]]:
    """Return columns of quarantined lines (`q`, and `r` for what took them out), of those that the rest of it says."""
    files = quarantine_files(settings, loads(settings))
    if not files:
        return []
    listed = ", ".join(engine.literal(str(path)) for path in files)
    lines = f"read_parquet([{listed}]) as q left join {resolved_sql(settings)} as r using (quarantine_id)"
    connection = engine.connect(settings)
    try:
        return connection.execute(f"select {columns} from {lines} {rest}").fetchall()
    finally:
        connection.close()


def _said(row: tuple[Any, ...]) -> dict[str, Any]:
    said = dict(zip(_FIELDS, row, strict=False))
    return said | {"explanation": REASONS.get(said["reason"], said["reason"])}
