"""What was recorded? The cases of both data sets, as values; nothing where the data is absent.

The data is read in place and never copied here. `TAILRACE_REAL_DATA` names its folder where that is another one.
"""

from __future__ import annotations

import gzip
import json
import os
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest

ROOT = Path(__file__).parents[3]
DATA = Path(os.environ.get("TAILRACE_REAL_DATA") or ROOT.parent / "shared" / "data")
SEGMENT = DATA / "conformance_segment_actions"
RUDDER = DATA / "conformance_rudder_mit"

recorded = pytest.mark.skipif(
    not (SEGMENT.is_dir() and RUDDER.is_dir()),
    reason=f"{DATA} has no recorded cases; TAILRACE_REAL_DATA names the folder of the external data",
)


@dataclass(frozen=True)
class Wire:
    """One request, its body as a value: JSON, the fields of a form, or text."""

    method: str
    url: str
    headers: dict[str, str]
    body: Any


@dataclass(frozen=True)
class Case:
    """One recorded case. `payloads` went in, `requests` came out; `refused` when nothing came out but an error.

    A payload of `segment` is resolved: what one of our rows would hold. One of `rudder` is an event before any mapping.
    """

    suite: str
    case_id: str
    destination: str
    action: str
    kind: str
    name: str
    payloads: tuple[Any, ...]
    settings: dict[str, Any]
    requests: tuple[Wire, ...]
    refused: bool
    raw: dict[str, Any] = field(repr=False)

    @property
    def label(self) -> str:
        """What patterns of differences.yml are held against."""
        return f"{self.suite}/{self.destination}/{self.action}/{self.kind}/{self.name}"


@cache
def segment(destination: str) -> tuple[Case, ...]:
    """Return the cases of Segment's action destination of that name."""
    return tuple(_of_segment(row) for row in _read(SEGMENT / f"{destination}.jsonl.gz"))


@cache
def rudder(destination: str, features: tuple[str, ...] = ("processor", "router", "batch")) -> tuple[Case, ...]:
    """Return the cases of RudderStack's destination of that name, of those features."""
    rows = _read(RUDDER / f"{destination}.jsonl.gz")
    return tuple(_of_rudder(row) for row in rows if row["feature"] in features)


def body_of(content: bytes | str | None, content_type: str) -> Any:
    """Return the value of a body, so that neither the order of keys nor spaces make a difference."""
    if content is None or not content:
        return None
    text = content.decode() if isinstance(content, bytes) else content
    if "json" in content_type:
        return json.loads(text)
    if "form-urlencoded" in content_type:
        return {name: _maybe_json(value) for name, value in parse_qsl(text, keep_blank_values=True)}
    return _maybe_json(text)


def _read(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def _of_segment(row: dict[str, Any]) -> Case:
    payload = row["resolved_payload"]
    payloads = payload if isinstance(payload, list) else [] if payload is None else [payload]
    requests = [
        Wire(
            one["method"],
            one["url"],
            {name.lower(): value for name, value in (one["headers"] or {}).items()},
            body_of(one["body"], (one["headers"] or {}).get("content-type", ""))
            if isinstance(one["body"], str)
            else one["body"],
        )
        for one in row["expected_requests"] or []
    ]
    return Case(
        "segment",
        row["case_id"],
        row["destination"],
        row["action"] or "-",
        row["kind"],
        row["test_name"],
        tuple(payloads),
        row["settings"] or {},
        tuple(requests),
        bool(row["expected_error"]),
        row,
    )


def _of_rudder(row: dict[str, Any]) -> Case:
    given = row["input"]
    events = given if isinstance(given, list) else given.get("input", [given]) if isinstance(given, dict) else []
    messages = tuple(one["message"] for one in events if isinstance(one, dict) and "message" in one)
    configs = [one.get("destination") or {} for one in events if isinstance(one, dict)]
    settings = next((one["Config"] for one in configs if one.get("Config")), {})
    expected = row["expected"]
    requests = [wire for one in (expected if isinstance(expected, list) else [expected]) for wire in _envelopes(one)]
    return Case(
        "rudder",
        row["case_id"],
        row["destination"],
        str(messages[0].get("type")) if messages else "-",
        row["feature"],
        row["description"] or f"case {row['case_no']}",
        messages,
        settings,
        tuple(requests),
        bool(row["expected_error"]),
        row,
    )


def _envelopes(told: Any) -> list[Wire]:
    """Return the requests in upstream's envelope, which router and batch wrap once more."""
    if not isinstance(told, dict):
        return []
    if "batchedRequest" in told:
        inner = told["batchedRequest"]
        return [wire for one in (inner if isinstance(inner, list) else [inner]) for wire in _envelopes(one)]
    if "endpoint" not in told:
        return []
    body = told.get("body") or {}
    filled = next((body[kind] for kind in ("JSON", "FORM", "JSON_ARRAY", "XML") if body.get(kind)), None)
    if isinstance(filled, dict) and body.get("JSON_ARRAY") and isinstance(filled.get("batch"), str):
        filled = json.loads(filled["batch"])
    url = told["endpoint"] + (f"?{urlencode(told['params'])}" if told.get("params") else "")
    headers = {name.lower(): str(value) for name, value in (told.get("headers") or {}).items()}
    return [Wire(told.get("method") or "POST", url, headers, filled)]


def _maybe_json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
