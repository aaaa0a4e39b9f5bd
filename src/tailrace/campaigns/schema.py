"""What may an editor offer while a campaign.yml is written? A JSON Schema, made from what the loader accepts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tailrace.campaigns import words
from tailrace.campaigns.amounts import DAYS

_DURATION = {"type": "string", "pattern": "^[1-9][0-9]{0,5}[mhdw]$", "examples": ["48h", "7d"]}
_SHARE = {"type": "string", "pattern": "^(100|[0-9]{1,2})(\\.[0-9]{1,2})?%$", "examples": ["10%"]}
_CLOCK = {"type": "string", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$", "examples": ["09:00"]}
_NAME = {"type": "string", "pattern": f"^{words.NAME.pattern}$"}
_SEGMENT = {"type": "string", "pattern": f"^{words.SEGMENT.pattern}$"}
_TEXT = {"type": "string", "minLength": 1}
_DAY_TEXT = {"type": "string", "pattern": f"^({'|'.join(DAYS)}|[-, ])+$", "examples": ["mon-fri"]}
_SCALAR = {"type": ["string", "number", "boolean"]}
_STATUS = {
    "anyOf": [
        {"type": "string", "pattern": f"^({words.STATUS.pattern})$"},
        {"type": "integer", "minimum": 100, "maximum": 599},
    ]
}
_SAME = {"anyOf": [_TEXT, {"type": "array", "minItems": 1, "uniqueItems": True, "items": _TEXT}]}
_STEPS = {"$ref": "#/$defs/steps"}
_CONDITION = {"$ref": "#/$defs/condition"}
_CONDITIONS = {"type": "array", "minItems": 1, "items": _CONDITION}


def schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of campaign.yml: the loader's keys and words, no more and no fewer."""
    properties = {key: _TOP.get(key) or _choice(key) for key in words.KEYS}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "tailrace campaign",
        **_table(properties, words.NEEDED),
        "if": {"properties": {"class": {"const": words.CHOICES["class"][0]}}},
        "then": {"required": ["topic"]},
        "$defs": {
            "condition": {"oneOf": _conditions()},
            "steps": {"type": "array", "minItems": 1, "maxItems": words.MOST_STEPS, "items": {"oneOf": _steps()}},
        },
    }


def _table(properties: Mapping[str, Any], required: tuple[str, ...]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(required),
        "additionalProperties": False,
    }


def _choice(key: str) -> dict[str, Any]:
    return {"enum": list(words.CHOICES[key]), "default": words.CHOICES[key][0]}


def _kinds(kinds: Mapping[str, tuple[str, ...]], values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return one table for each kind: its key, needed, and the keys that go with it."""
    return [
        _table({key: values.get(key) or _choice(key) for key in (kind, *more)}, (kind,)) for kind, more in kinds.items()
    ]


_OF_TRIGGERS: dict[str, Any] = {
    "segment": _SEGMENT,
    "event": _TEXT,
    "form": _TEXT,
    "attribute": _TEXT,
    "date": _TEXT,
    "object": _TEXT,
    "broadcast": {
        "oneOf": [
            {"const": words.BY_COMMAND},
            _table({"segment": _SEGMENT, "at": {"type": "string", "examples": ["2026-12-01T09:00Z"]}}, words.BROADCAST),
        ]
    },
    "where": _TEXT,
    "occurrence": _TEXT,
    "late": _DURATION,
    "from": _SCALAR,
    "to": _SCALAR,
    "offset": {"type": "string", "pattern": "^-?(0|[1-9][0-9]{0,3})d$", "examples": ["-3d"]},
    "at": _CLOCK,
}

_OF_CONDITIONS: dict[str, Any] = {
    "in": _SEGMENT,
    "event": _TEXT,
    "where": _TEXT,
    "same": _SAME,
    "since": {"anyOf": [{"const": "entry"}, _DURATION]},
    "response": _NAME,
    "status": _STATUS,
    "all": _CONDITIONS,
    "any": _CONDITIONS,
    "not": _CONDITION,
}


def _triggers() -> list[dict[str, Any]]:
    plain = {kind: more for kind, more in words.TRIGGERS.items() if kind != "object"}
    of_objects = [
        _table({key: _OF_TRIGGERS.get(key) or _choice(key) for key in ("object", kind, *more)}, ("object", kind))
        for kind, more in words.OBJECT_TRIGGERS.items()
    ]
    return [*_kinds(plain, _OF_TRIGGERS), *of_objects]


def _conditions(also: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    """Return the conditions, each with the keys `also`, all of them needed."""
    tables = _kinds(words.CONDITIONS, _OF_CONDITIONS)
    for table in tables:
        table["properties"] |= also or {}
        table["required"] += list(also or {})
    return tables


def _steps() -> list[dict[str, Any]]:
    arm = _table(
        {"name": _NAME, "weight": {"type": "integer", "minimum": 0, "maximum": words.HEAVIEST}, "steps": _STEPS},
        ("name", "weight"),
    )
    values = {
        "send": _NAME,
        "wait": _DURATION,
        "wait_until": {"oneOf": _conditions({"timeout": _DURATION})},
        "if": _CONDITION,
        "then": _STEPS,
        "else": _STEPS,
        "split": {"type": "array", "minItems": 2, "items": arm},
        "webhook": _NAME,
        "notify": _NAME,
        "update": {"type": "object", "minProperties": 1, "additionalProperties": {"type": [*_SCALAR["type"], "null"]}},
        "add_to": _SEGMENT,
        "remove_from": _SEGMENT,
    }
    tables = _kinds(words.STEPS, values)
    for kind, table in zip(words.STEPS, tables, strict=True):
        table["properties"]["id"] = _NAME
        if kind == "if":
            table["anyOf"] = [{"required": ["then"]}, {"required": ["else"]}]
        if kind == "split":
            table["required"].append("id")
    return [{"const": words.EXIT}, *tables]


_TOP: dict[str, Any] = {
    "purpose": _TEXT,
    "owner": _TEXT,
    "programme": _NAME,
    "topic": _NAME,
    "priority": {"type": "integer", "minimum": 0, "maximum": 100, "default": 50},
    "trigger": {"oneOf": _triggers()},
    "filter": _CONDITION,
    "repeat": {
        "anyOf": [{"enum": list(words.REPEATS)}, {"type": "string", "pattern": "^every [1-9][0-9]{0,5}[mhdw]$"}],
        "default": words.REPEATS[0],
    },
    "goal": {
        **_table(
            {
                "event": _TEXT,
                "segment": _SEGMENT,
                "where": _TEXT,
                "same": _SAME,
                "within": _DURATION,
                "exit": {"type": "boolean"},
            },
            ("within",),
        ),
        "oneOf": [
            {"required": ["event"]},
            {"required": ["segment"], "not": {"anyOf": [{"required": ["where"]}, {"required": ["same"]}]}},
        ],
    },
    "exit": {"type": "array", "minItems": 1, "items": {"anyOf": [{"const": words.LEFT_TRIGGER}, _CONDITION]}},
    "holdout": _SHARE,
    "window": {
        **_table(
            {
                "days": {"anyOf": [_DAY_TEXT, {"type": "array", "minItems": 1, "items": _DAY_TEXT}]},
                "from": _CLOCK,
                "to": _CLOCK,
            },
            (),
        ),
        "minProperties": 1,
    },
    "expires": _DURATION,
    "steps": _STEPS,
}
