"""Which words may a campaign.yml use? The one table that the loader reads by and editors complete by."""

from __future__ import annotations

import re

NAME = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)
SEGMENT = re.compile(r"seg_[a-z0-9_]{1,60}", re.ASCII)
STATUS = re.compile(r"[1-5]xx|[1-5][0-9]{2}", re.ASCII)

KEYS = (
    *(
        "purpose",
        "owner",
        "programme",
        "status",
        "class",
        "topic",
        "priority",
        "trigger",
        "filter",
        "existing",
        "repeat",
        "in_flight",
    ),
    *("goal", "exit", "holdout", "sending", "window", "expires", "on_edit", "on_pause", "on_end", "steps"),
)
LATER = ("sensitivity",)
NEEDED = ("purpose", "owner", "class", "trigger", "steps")

CHOICES = {
    "status": ("draft", "live", "paused", "ended"),
    "class": ("marketing", "transactional"),
    "existing": ("skip", "enroll"),
    "in_flight": ("ignore", "restart"),
    "sending": ("draft", "automatic"),
    "on_edit": ("keep", "move", "exit"),
    "on_pause": ("hold", "expire"),
    "on_end": ("exit", "drain"),
    "on": ("entered", "left"),
    "every": ("year", "month", "once"),
}
"""The words that a key may have; the first of each is what holds when the key is left out."""

REPEATS = ("never", "after_exit", "each_occurrence")

TRIGGERS: dict[str, tuple[str, ...]] = {
    "segment": ("on",),
    "event": ("where", "occurrence", "late"),
    "form": ("where", "occurrence", "late"),
    "attribute": ("from", "to"),
    "date": ("offset", "at", "every"),
    "broadcast": (),
    "object": ("event", "where", "late", "segment", "on"),
}
"""The key that says a trigger's kind, and the keys that go with it."""

OBJECT_TRIGGERS: dict[str, tuple[str, ...]] = {"event": ("where", "late"), "segment": ("on",)}
"""What of an object starts its people: one of these."""

BROADCAST = ("segment", "at")
BY_COMMAND = "command"
LEFT_TRIGGER = "left_trigger"
GOAL = ("event", "segment", "where", "same", "within", "exit")

CONDITIONS: dict[str, tuple[str, ...]] = {
    "in": (),
    "event": ("where", "same", "since"),
    "response": ("status", "where"),
    "where": (),
    "all": (),
    "any": (),
    "not": (),
}
"""The key that says a condition's kind, and the keys that go with it."""

STEPS: dict[str, tuple[str, ...]] = {
    "send": (),
    "wait": (),
    "wait_until": ("then", "else"),
    "if": ("then", "else"),
    "split": (),
    "webhook": (),
    "notify": (),
    "update": (),
    "add_to": (),
    "remove_from": (),
}
"""The key that says a step's kind, and the keys that go with it, `id` aside. `exit` is a word of its own."""

EXIT = "exit"
ARM = ("name", "weight", "steps")
MOST_STEPS = 100
DEEPEST = 10
HEAVIEST = 10_000

CHANNELS: dict[str, tuple[str, ...]] = {
    "send": ("email", "sms", "whatsapp", "push"),
    "notify": ("email", "slack"),
    "webhook": ("webhook",),
}
"""The channels of the messages that a kind of step may name."""
FILES = {"send": "email.md", "notify": "slack.md", "webhook": "webhook.yml"}
"""The kind of file that an error proposes for a missing message."""
