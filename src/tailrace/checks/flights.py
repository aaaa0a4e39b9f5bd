"""Who is on the way in HEAD, and on which versions of the campaigns?"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from tailrace import engine
from tailrace.campaigns.flight import Flight
from tailrace.planning import relations
from tailrace.planning.store import Plan, Store
from tailrace.settings import Settings


def flights(settings: Settings, today: Mapping[str, str] = MappingProxyType({})) -> dict[str, Flight]:
    """Return what HEAD knows of each campaign, by slug; empty before the first plan is applied.

    Those whose folder is gone are there, too: what they did was done. `today` are the campaigns' versions of today:
    where nobody was ever on another one, it is not told who rests where.
    """
    store = Store(settings)
    head = store.head()
    if head is None:
        return {}
    plan = store.read(head)
    found: dict[str, Flight] = {}
    with engine.connect(settings) as connection:
        for slug in sorted({*plan.campaigns, *_kept(plan)}):
            source = store.source(plan, f"versions:{slug}", relations.VERSIONS)
            known = connection.execute(f"select version, source from {source}").fetchall()
            definitions = {version: json.loads(text) for version, text in known}
            rows: list[tuple[str, str | None, int]] = []
            if set(definitions) != {today.get(slug)}:
                source = store.source(plan, f"enrollments:{slug}", relations.ENROLLMENTS)
                rows = connection.execute(
                    "select version, case when status = 'active' then step end as step, count(*)"
                    f" from {source} group by all order by all"
                ).fetchall()
            found[slug] = _flight(plan.campaigns.get(slug), definitions, rows)
    return found


def _kept(plan: Plan) -> Iterator[str]:
    """Yield the campaigns whose versions a plan keeps."""
    for name in plan.relations:
        kind, _, slug = name.partition(":")
        if kind == "versions":
            yield slug


def _flight(
    facts: dict[str, Any] | None, definitions: dict[str, dict[str, Any]], rows: list[tuple[str, str | None, int]]
) -> Flight:
    resting: dict[str, dict[str, int]] = defaultdict(dict)
    for version, step, people in rows:
        if step is not None:
            resting[version][step] = people
    # A draft that somebody entered has been live before; so has what has no folder any more.
    entered = [version for version, *_ in rows]
    lived = entered if facts is None or facts["status"] == "draft" else [facts["version"]]
    kinds = [definitions[version]["trigger"].get("kind") for version in lived if version in definitions]
    return Flight(kinds[-1] if kinds else None, definitions, dict(resting))
