"""What may an editor offer while a campaign.yml is written? A JSON Schema, made from what the loader accepts."""

from __future__ import annotations

from typing import Any

from tailrace.campaigns import reading

_DURATION = {"type": "string", "pattern": "^[1-9][0-9]{0,5}[mhdw]$", "examples": ["48h", "7d"]}
_NAME = {"type": "string", "pattern": f"^{reading.NAME.pattern}$"}
_TEXT = {"type": "string", "minLength": 1}


def schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of campaign.yml: the loader's keys and words, no more and no fewer."""
    trigger = {
        "oneOf": [
            _table(
                {
                    "segment": {"type": "string", "pattern": "^seg_"},
                    "on": {"enum": ["entered", "left"], "default": "entered"},
                },
                ["segment"],
            ),
            _table({"event": _TEXT, "where": _TEXT, "late": _DURATION}, ["event"]),
        ]
    }
    goal = _table({"event": _TEXT, "within": _DURATION, "exit": {"type": "boolean"}}, ["event", "within"])
    send = _table({"send": _NAME, "id": _NAME}, ["send"])
    wait = _table({"wait": _DURATION, "id": _NAME}, ["wait"])
    properties: dict[str, Any] = {
        "purpose": _TEXT,
        "owner": _TEXT,
        "status": {"enum": list(reading.STATUSES), "default": "draft"},
        "class": {"enum": list(reading.CLASSES)},
        "topic": _NAME,
        "priority": {"type": "integer", "minimum": 0, "maximum": 100, "default": 50},
        "trigger": trigger,
        "existing": {"enum": ["skip", "enroll"], "default": "skip"},
        "repeat": {"enum": ["never"], "default": "never"},
        "goal": goal,
        "holdout": {"type": "string", "pattern": "^(100|[0-9]{1,2})(\\.[0-9]{1,2})?%$", "examples": ["10%"]},
        "sending": {"enum": ["draft", "automatic"], "default": "draft"},
        "expires": _DURATION,
        "steps": {"type": "array", "minItems": 1, "maxItems": reading.MOST_STEPS, "items": {"oneOf": [send, wait]}},
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "tailrace campaign",
        **_table(properties, ["purpose", "owner", "class", "trigger", "steps"]),
        "if": {"properties": {"class": {"const": "marketing"}}},
        "then": {"required": ["topic"]},
    }


def _table(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
