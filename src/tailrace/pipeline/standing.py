"""Where do the messages of each step stand? The journal's last word on each, counted."""

from __future__ import annotations

from tailrace import engine
from tailrace.journal.journal import Journal
from tailrace.settings import Settings

Outcomes = dict[tuple[str, str], dict[str, int]]


def outcomes(settings: Settings) -> Outcomes:
    """Return, per campaign and step, how many messages stand where; `waiting` is what no outcome has ended yet."""
    found: Outcomes = {}
    with Journal.open(settings) as journal, engine.connect(settings) as connection:
        connection.register("intents", journal.mirror("intents", 0))
        connection.register("outcomes", journal.mirror("outcomes", 0))
        rows = connection.execute(engine.statement("tailrace.pipeline", "outcomes")).fetchall()
    for campaign, step, outcome, count in rows:
        found.setdefault((campaign, step), {})[outcome] = count
    return found
